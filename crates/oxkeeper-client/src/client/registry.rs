//! Who is told of which watch event: the one-shot watches and the streams of one client, by path.

use super::mailbox::Mailbox;
use crate::core::session::WatchEvent;
use oxkeeper_proto::client::EventType;
use std::collections::HashMap;
use tokio::sync::oneshot;

/// Events that a stream keeps for a reader that is slow; then it says [`Watched::Gap`] in the place of what does not fit.
const EVENTS_WAITING_MAX: usize = 1 << 16;

/// What a stream of watch events brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    Event(WatchEvent),
    /// Events may have been missed here, after a reconnect or because the stream was not read for long: read what you need
    /// anew. What comes behind it is complete again.
    Gap,
}

/// What a one-shot watch is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OneShotKind {
    /// Data of the node, its creation and its end.
    Node,
    /// The list of its children, and its end.
    Children,
}

/// What a stream is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamKind {
    /// The node alone.
    Node,
    /// The node, and that its list of children has changed.
    Children,
    /// The node and all below it.
    Recursive,
}

/// A watch that begins with the answer to a request.
#[derive(Debug)]
pub enum NewWatch {
    OneShot(OneShotKind, oneshot::Sender<WatchEvent>),
    Stream(StreamKind, Mailbox<Watched>),
}

#[derive(Debug)]
struct OneShot {
    kind: OneShotKind,
    /// It waits for the node to be created.
    absent: bool,
    fire: oneshot::Sender<WatchEvent>,
}

#[derive(Debug, Default)]
pub struct Registry {
    one_shots: HashMap<String, Vec<OneShot>>,
    streams: HashMap<String, Vec<(StreamKind, Mailbox<Watched>)>>,
    /// How many streams the server is to know of, by path and whether they are recursive. Counted from the request on: a removal
    /// that is sent behind it would take its watch away.
    wanted: HashMap<(String, bool), usize>,
}

impl StreamKind {
    pub fn is_recursive(self) -> bool {
        self == StreamKind::Recursive
    }
}

impl Registry {
    pub fn begin(&mut self, path: &str, watch: NewWatch, absent: bool) {
        match watch {
            NewWatch::OneShot(kind, fire) => {
                let list = self.one_shots.entry(path.to_string()).or_default();
                list.retain(|one_shot| !one_shot.fire.is_closed());
                list.push(OneShot { kind, absent, fire });
            }
            NewWatch::Stream(kind, mailbox) => {
                if !mailbox.is_closed() {
                    self.streams.entry(path.to_string()).or_default().push((kind, mailbox));
                }
            }
        }
    }

    pub fn fire(&mut self, event: WatchEvent) {
        self.fire_one_shots(&event);
        if self.streams.is_empty() {
            return;
        }
        let mut at = event.path.as_str();
        loop {
            let is_node = at.len() == event.path.len();
            for (kind, mailbox) in self.streams.get(at).into_iter().flatten() {
                let is_told = match kind {
                    StreamKind::Node => is_node && event.kind != EventType::NodeChildrenChanged,
                    StreamKind::Children => is_node,
                    StreamKind::Recursive => event.kind != EventType::NodeChildrenChanged,
                };
                if is_told {
                    tell(mailbox, Watched::Event(event.clone()));
                }
            }
            match at.rfind('/') {
                _ if at == "/" => return,
                Some(0) => at = "/",
                Some(slash) => at = &at[..slash],
                None => return,
            }
        }
    }

    fn fire_one_shots(&mut self, event: &WatchEvent) {
        let Some(list) = self.one_shots.get_mut(&event.path) else { return };
        let fires = |one_shot: &mut OneShot| match event.kind {
            EventType::NodeCreated => one_shot.kind == OneShotKind::Node,
            EventType::NodeDataChanged => one_shot.kind == OneShotKind::Node,
            EventType::NodeDeleted => !one_shot.absent,
            EventType::NodeChildrenChanged => one_shot.kind == OneShotKind::Children,
        };
        for one_shot in list.extract_if(.., fires) {
            // Whoever dropped the watch does not want to know.
            let _ = one_shot.fire.send(event.clone());
        }
        if list.is_empty() {
            self.one_shots.remove(&event.path);
        }
    }

    /// Persistent watches may have missed something.
    pub fn gap(&mut self) {
        for (_, mailbox) in self.streams.values().flatten() {
            tell(mailbox, Watched::Gap);
        }
    }

    /// A stream asks the server for a watch.
    pub fn want(&mut self, path: &str, kind: StreamKind) {
        *self.wanted.entry((path.to_string(), kind.is_recursive())).or_default() += 1;
    }

    /// Takes a stream out. Answers whether it was the last of its sort at this path.
    pub fn forget(&mut self, path: &str, kind: StreamKind, mailbox: &Mailbox<Watched>) -> bool {
        mailbox.close();
        if let Some(list) = self.streams.get_mut(path) {
            list.retain(|(_, other)| !other.is(mailbox));
            if list.is_empty() {
                self.streams.remove(path);
            }
        }
        let key = (path.to_string(), kind.is_recursive());
        let Some(count) = self.wanted.get_mut(&key) else { return false };
        *count -= 1;
        let is_last = *count == 0;
        if is_last {
            self.wanted.remove(&key);
        }
        is_last
    }

    /// The session has ended: streams end, one-shot watches are told so by the loss of their sender.
    pub fn end(&mut self) {
        self.one_shots.clear();
        self.wanted.clear();
        self.streams.drain().flat_map(|(_, list)| list).for_each(|(_, mailbox)| mailbox.close());
    }
}

/// For streams that somebody else feeds, too.
pub fn tell(mailbox: &Mailbox<Watched>, what: Watched) {
    mailbox.put(what, EVENTS_WAITING_MAX, |last| *last = Watched::Gap);
}
