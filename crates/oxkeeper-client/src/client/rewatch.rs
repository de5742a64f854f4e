//! Streams of watch events from servers that know only watches that fire once (before 3.6): each is set again when it has fired.
//!
//! Between an event and the next watch something else may happen. It is found by versions and lists; where more than one change
//! lies between two looks, the stream says [`Watched::Gap`].

use super::Client;
use super::mailbox::Mailbox;
use super::registry::{StreamKind, Watched, tell};
use super::watch::OneShotWatch;
use crate::core::session::WatchEvent;
use crate::{ClientError, EventType};
use oxkeeper_types::{ErrorCode, Stat, Zxid};
use std::collections::BTreeSet;
use std::future::{Future, pending};
use std::pin::Pin;
use tokio::sync::watch;

/// A node, and perhaps all below it, for one stream.
#[derive(Clone)]
struct Rewatch {
    /// Without a chroot: paths are the server's.
    client: Client,
    path: String,
    kind: StreamKind,
    mailbox: Mailbox<Watched>,
    /// Ends with the stream.
    stream: watch::Receiver<()>,
}

/// Sets the first watches; from then on tasks of their own feed the mailbox, until what is answered here is dropped.
pub async fn start(
    client: &Client,
    path: &str,
    kind: StreamKind,
    mailbox: &Mailbox<Watched>,
) -> Result<watch::Sender<()>, ClientError> {
    let (feeding, stream) = watch::channel(());
    let (client, path, mailbox) = (client.root(), path.to_string(), mailbox.clone());
    let rewatch = Rewatch { client, path, kind, mailbox, stream };
    let first = rewatch.grow(false).await?;
    tokio::spawn(rewatch.follow(first, false));
    Ok(feeding)
}

/// What stood there when the watches were set.
struct Look {
    stat: Option<Stat>,
    changed: OneShotWatch,
    /// Names of children and the watch on the list, for a node that is there and a stream that asks for it.
    children: Option<(BTreeSet<String>, OneShotWatch)>,
}

impl Rewatch {
    /// Sets the watches and reads what is there. A lost connection only means to ask again.
    async fn look(&self) -> Result<Look, ClientError> {
        loop {
            let (stat, changed) = match self.client.exists_and_watch(&self.path).await {
                Err(ClientError::ConnectionLost { .. }) => continue,
                result => result?,
            };
            if stat.is_none() || self.kind == StreamKind::Node {
                return Ok(Look { stat, changed, children: None });
            }
            match self.client.children_and_watch(&self.path).await {
                Ok(((names, _), watch)) => {
                    let children = Some((names.into_iter().collect(), watch));
                    return Ok(Look { stat, changed, children });
                }
                // Gone between the two: look again.
                Err(error) if error.is(ErrorCode::NoNode) || matches!(error, ClientError::ConnectionLost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks, and for recursive streams has everything below followed before it returns. What is found below a node that `is_new` was
    /// created behind it.
    fn grow(&self, is_new: bool) -> Pin<Box<dyn Future<Output = Result<Look, ClientError>> + Send + '_>> {
        Box::pin(async move {
            let look = self.look().await?;
            self.follow_new(&BTreeSet::new(), &look, is_new).await?;
            Ok(look)
        })
    }

    /// Until the stream or the session ends. A node below the one that is watched `ends` when it is deleted: its parent's list brings it
    /// back.
    fn follow(self, first: Look, ends: bool) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let (mut look, mut stream) = (first, self.stream.clone());
            loop {
                let listed = async {
                    match &mut look.children {
                        Some((_, listed)) => listed.await,
                        None => pending().await,
                    }
                };
                let fired = tokio::select! {
                    fired = &mut look.changed => fired,
                    fired = listed => fired,
                    _ = stream.changed() => return,
                };
                let Ok(event) = fired else { return };
                let next = loop {
                    match self.look().await {
                        Err(error) if error.is_of_the_connection() => {}
                        Err(_) => return self.mailbox.close(),
                        Ok(next) => break next,
                    }
                };
                self.report(event, &look, &next);
                if ends && next.stat.is_none() {
                    return;
                }
                let known = look.children.take().map(|(names, _)| names).unwrap_or_default();
                if self.follow_new(&known, &next, true).await.is_err() {
                    return self.mailbox.close();
                }
                look = next;
            }
        })
    }

    /// Says what has fired, and whether there may have been more.
    fn report(&self, event: WatchEvent, before: &Look, now: &Look) {
        let is_list = event.kind == EventType::NodeChildrenChanged;
        if !is_list || self.kind == StreamKind::Children {
            tell(&self.mailbox, Watched::Event(event.clone()));
        }
        let (was, is) = (before.stat.as_ref(), now.stat.as_ref());
        let steps = match (was, is) {
            (Some(was), Some(is)) if was.czxid != is.czxid => 2,
            (Some(was), Some(is)) => {
                let lists = if self.kind == StreamKind::Node { 0 } else { is.cversion.wrapping_sub(was.cversion) };
                is.version.wrapping_sub(was.version).wrapping_add(lists)
            }
            (None, Some(is)) => 1 + is.version,
            _ => 1,
        };
        if steps > 1 {
            tell(&self.mailbox, Watched::Gap);
        }
    }

    /// For recursive streams: children that are not `known` yet get watches of their own.
    async fn follow_new(&self, known: &BTreeSet<String>, look: &Look, are_new: bool) -> Result<(), ClientError> {
        let Some((names, _)) = look.children.as_ref().filter(|_| self.kind.is_recursive()) else { return Ok(()) };
        for name in names.difference(known) {
            let path = if self.path == "/" { format!("/{name}") } else { format!("{}/{name}", self.path) };
            let child = Rewatch { path, ..self.clone() };
            if are_new {
                let event = WatchEvent { kind: EventType::NodeCreated, path: child.path.clone(), zxid: Zxid::NONE };
                tell(&self.mailbox, Watched::Event(event));
            }
            let first = child.grow(are_new).await?;
            if first.stat.is_some_and(|stat| are_new && stat.version > 0) {
                tell(&self.mailbox, Watched::Gap);
            }
            if first.stat.is_some() {
                tokio::spawn(child.follow(first, true));
            }
        }
        Ok(())
    }
}
