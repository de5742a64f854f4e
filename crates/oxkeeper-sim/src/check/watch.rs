//! Watches of one client: which events must come, in which order, and that none comes besides.
//!
//! On one connection the sequence is exact: it follows from the registrations and the list of changes, and every event must be
//! there before an answer that shows its change. Over a reconnect the server tells in one event what it was asked to watch and
//! has changed meanwhile (setWatches2); which node changes it cannot see is the protocol's, not ours: a node that was
//! awaited, made and removed in between, and everything that persistent watches missed.

use crate::model::{Model, ModelChange};
use oxkeeper_proto::client::EventType;
use oxkeeper_tree::ChangeKind;
use oxkeeper_types::Zxid;
use std::collections::{BTreeSet, VecDeque};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Watching {
    /// getData, or exists on a node that is there.
    Data,
    /// exists on a node that is not.
    Exist,
    Child,
    Persistent,
    Recursive,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Expected {
    kind: EventType,
    path: String,
    zxid: Zxid,
}

#[derive(Default)]
pub struct ClientWatches {
    /// What the client believes to be registered.
    held: BTreeSet<(Watching, String)>,
    /// What is registered once every change before `cursor` has fired.
    armed: BTreeSet<(Watching, String)>,
    expected: VecDeque<Expected>,
    /// The next change to look at.
    cursor: usize,
    /// A connection was lost, and no answer has come over the new one.
    restoring: bool,
}

fn event_of(kind: ChangeKind) -> EventType {
    match kind {
        ChangeKind::Created => EventType::NodeCreated,
        ChangeKind::Deleted => EventType::NodeDeleted,
        ChangeKind::DataChanged => EventType::NodeDataChanged,
        ChangeKind::ChildrenChanged => EventType::NodeChildrenChanged,
    }
}

/// Whether a watch of this kind on `path` hears of the change.
fn hears(watching: Watching, path: &str, change: &ModelChange) -> bool {
    let same = change.path == path;
    match watching {
        Watching::Data | Watching::Exist => same && change.kind != ChangeKind::ChildrenChanged,
        Watching::Child => same && matches!(change.kind, ChangeKind::Deleted | ChangeKind::ChildrenChanged),
        Watching::Persistent => same,
        Watching::Recursive => {
            let below = path == "/" || change.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            (same || below) && change.kind != ChangeKind::ChildrenChanged
        }
    }
}

fn one_shot(watching: Watching) -> bool {
    matches!(watching, Watching::Data | Watching::Exist | Watching::Child)
}

/// Takes out the one-shot watches that the change uses up. True where any watch heard of it.
fn fire(watches: &mut BTreeSet<(Watching, String)>, change: &ModelChange) -> bool {
    let before = watches.len();
    let mut heard = watches.iter().any(|(w, path)| !one_shot(*w) && hears(*w, path, change));
    watches.retain(|(w, path)| !(one_shot(*w) && hears(*w, path, change)));
    heard |= watches.len() != before;
    heard
}

impl ClientWatches {
    pub fn len(&self) -> usize {
        self.held.len()
    }
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Looks at every change through `zxid`.
    fn scan(&mut self, model: &Model, zxid: Zxid) {
        while let Some(change) = model.changes.get(self.cursor).filter(|change| change.zxid <= zxid) {
            self.cursor += 1;
            if fire(&mut self.armed, change) {
                let (kind, path) = (event_of(change.kind), change.path.clone());
                self.expected.push_back(Expected { kind, path, zxid: change.zxid });
            }
        }
    }

    /// An answer that shows the state at `zxid`: every event through it has come.
    pub fn on_reply(&mut self, model: &Model, zxid: Zxid) -> Result<(), String> {
        if self.restoring {
            self.restoring = false;
            self.restored(model, zxid)?;
        }
        self.scan(model, zxid);
        match self.expected.front() {
            Some(missing) => Err(format!("{missing:?} has not come before an answer at {zxid}")),
            None => Ok(()),
        }
    }

    /// The first answer after a reconnect.
    fn restored(&mut self, model: &Model, zxid: Zxid) -> Result<(), String> {
        let end = model.changes.partition_point(|change| change.zxid <= zxid);
        for (watching, path) in &self.held {
            let missed = model.changes[self.cursor.min(end)..end].iter().find(|c| hears(*watching, path, c));
            let Some(missed) = missed else { continue };
            let visible = match watching {
                Watching::Data | Watching::Child => true,
                Watching::Exist => model.node(path, zxid).is_some(),
                Watching::Persistent | Watching::Recursive => false,
            };
            if visible {
                return Err(format!("{watching:?} watch on {path} has not fired for {missed:?} after a reconnect"));
            }
        }
        self.cursor = end;
        self.armed = self.held.clone();
        Ok(())
    }

    /// A watch was set by an answer at the zxid that `on_reply` was told last.
    pub fn add(&mut self, watching: Watching, path: &str) {
        self.held.insert((watching, path.to_string()));
        self.armed.insert((watching, path.to_string()));
    }
    /// removeWatches of any kind.
    pub fn remove_all(&mut self, path: &str) {
        self.held.retain(|(_, p)| p != path);
        self.armed.retain(|(_, p)| p != path);
    }

    /// `zxid` is the cause's, where the server says it.
    pub fn on_event(&mut self, model: &Model, kind: EventType, path: &str, zxid: Zxid) -> Result<(), String> {
        if self.restoring {
            return self.on_restored_event(model, kind, path, zxid);
        }
        if zxid > model.last {
            return Err(format!(
                "{kind:?} on {path} from the future: {zxid}, nothing is delivered behind {}",
                model.last
            ));
        }
        if zxid > Zxid::ZERO {
            self.scan(model, zxid);
        }
        while self.expected.is_empty() && self.cursor < model.changes.len() {
            let next = model.changes[self.cursor].zxid;
            self.scan(model, next);
        }
        let first = self.expected.pop_front();
        let right = first.as_ref().is_some_and(|e| e.kind == kind && e.path == path);
        if !right || first.as_ref().is_some_and(|e| zxid > Zxid::ZERO && e.zxid != zxid) {
            return Err(format!("{kind:?} on {path} at {zxid} came where {first:?} is next"));
        }
        self.used_up(kind, path);
        Ok(())
    }

    fn used_up(&mut self, kind: EventType, path: &str) {
        let gone = |w: Watching| match kind {
            EventType::NodeChildrenChanged => w == Watching::Child,
            EventType::NodeDeleted => one_shot(w),
            _ => matches!(w, Watching::Data | Watching::Exist),
        };
        self.held.retain(|(w, p)| !(p == path && gone(*w)));
    }

    /// While watches are registered again, several changes come as one event.
    fn on_restored_event(&mut self, model: &Model, kind: EventType, path: &str, zxid: Zxid) -> Result<(), String> {
        let changes = &model.changes[self.cursor.min(model.changes.len())..];
        let justified = self.held.iter().any(|(w, p)| {
            let concerns = p == path || (*w == Watching::Recursive && path.starts_with(p.as_str()));
            concerns && changes.iter().any(|c| c.path == path && hears(*w, p, c))
        });
        if !justified {
            return Err(format!("{kind:?} on {path} came after a reconnect, and nothing watched has changed there"));
        }
        // Each list of setWatches2 is answered for itself: a node that is gone is told of for its data, and then, unlike on a
        // live connection, once more for its children. Such an event has no zxid; one that has is live already.
        let replayed = zxid <= Zxid::ZERO;
        let for_its_data =
            replayed && kind == EventType::NodeDeleted && self.held.contains(&(Watching::Data, path.to_string()));
        self.used_up(if for_its_data { EventType::NodeDataChanged } else { kind }, path);
        Ok(())
    }

    /// The connection is gone; `last_seen` is what the client will tell the next server.
    pub fn on_disconnected(&mut self, model: &Model, last_seen: Zxid) {
        self.expected.clear();
        self.armed.clear();
        self.cursor = model.changes.partition_point(|change| change.zxid <= last_seen);
        self.restoring = true;
    }
}
