//! A place in a line of ephemeral sequential nodes: what locks, leaders and semaphores have in common.
//!
//! The node is created under an id of its own, so that a creation whose answer was lost is found again; it counts as ours only if its
//! owner is our session. Whoever has a seat acts on it only while the session lives for certain.

use crate::contenders::{Contender, in_order, protection};
use crate::parents;
use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode, Transaction, Zxid};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::time::sleep_until;
use uuid::Uuid;

/// Somewhere in line.
struct Place {
    client: Client,
    dir: String,
    /// What the names of our nodes begin with.
    own: String,
    /// What is behind the id: `lock-`, `latch-`, `__WRIT__`.
    kind: &'static str,
    data: Vec<u8>,
}

/// A node that is far enough in front. Dropping it removes the node in the background.
#[derive(Debug)]
pub struct Seat {
    client: Client,
    dir: String,
    own: String,
    /// The whole path.
    node: String,
    fence: Zxid,
    lost: AtomicBool,
    released: bool,
}

/// How many may be in front at once, for a node of ours at some place in line: the node that must go first, if one must.
pub(crate) type Ahead = fn(&[Contender], usize, usize) -> Option<usize>;

impl Seat {
    /// Waits until no more than `leases` are in front, the own one among them. `ahead` finds the one to wait for.
    ///
    /// Cancel safe: when the future is dropped, the node is removed in the background.
    pub(crate) async fn take(
        client: &Client,
        dir: &str,
        kind: &'static str,
        data: &[u8],
        leases: usize,
        ahead: Ahead,
    ) -> Result<Seat, ClientError> {
        let own = protection(&Uuid::new_v4().to_string());
        let place = Place { client: client.clone(), dir: dir.to_string(), own, kind, data: data.to_vec() };
        let mut leaving = Leaving { place: &place, stays: false };
        place.create().await?;
        loop {
            let Some((node, line, at)) = place.look().await? else {
                place.create().await?;
                continue;
            };
            let Some(before) = ahead(&line, at, leases) else {
                if let Some(fence) = place.owned(&node).await? {
                    leaving.stays = true;
                    let (client, dir, own) = (client.clone(), dir.to_string(), place.own.clone());
                    return Ok(Seat { client, dir, own, node, fence, lost: AtomicBool::new(false), released: false });
                }
                continue;
            };
            let before = format!("{}/{}", place.dir, line[before].name);
            match client.exists_and_watch(&before).await {
                Ok((Some(_), gone)) => drop(gone.await?),
                Ok((None, _)) => {}
                Err(ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Grows with every owner of the same directory: the zxid in which this one's node was created. A store that keeps the largest it has
    /// seen, and refuses smaller ones, is safe from owners that do not know yet that they have lost.
    pub fn fence(&self) -> i64 {
        self.fence.0
    }

    /// The path of the own node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Whether the session lives for certain, and the node has not been taken away as far as is known. Once false, always false.
    pub fn is_held(&self) -> bool {
        if self.client.lives_until().is_none_or(|until| until <= Instant::now()) {
            self.lost.store(true, Ordering::Release);
        }
        !self.lost.load(Ordering::Acquire)
    }

    /// Returns when the seat is lost, or may be: the node is gone, or the session has ended, or it may have ended as no server has
    /// answered for long. Cancel safe.
    pub async fn lost(&self) {
        while self.is_held() {
            let watched = self.watch_node();
            tokio::pin!(watched);
            loop {
                let Some(until) = self.client.lives_until().filter(|_| self.is_held()) else { return };
                tokio::select! {
                    gone = &mut watched => {
                        if gone {
                            self.lost.store(true, Ordering::Release);
                        }
                        break;
                    }
                    () = sleep_until(until.into()) => {}
                }
            }
        }
    }

    /// True once the node is gone or the session has ended; false when it should be asked again.
    async fn watch_node(&self) -> bool {
        match self.client.exists_and_watch(&self.node).await {
            Ok((Some(stat), _)) if stat.czxid != self.fence => true,
            Ok((Some(_), changed)) => match changed.await {
                Ok(event) => event.kind == oxkeeper_client::EventType::NodeDeleted,
                Err(_) => true,
            },
            Ok((None, _)) => true,
            Err(error) => !matches!(error, ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }),
        }
    }

    /// A transaction that is carried out only while the own node is there: a write under it cannot come late.
    pub fn transaction(&self) -> Transaction {
        self.client.transaction().check(&self.node, -1)
    }

    /// Leaves, and returns once the node is gone; or was: a session that has ended holds nothing.
    pub async fn release(mut self) -> Result<(), ClientError> {
        self.released = true;
        leave(&self.client, &self.dir, &self.own).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.released {
            leave_behind(&self.client, &self.dir, &self.own);
        }
    }
}

/// Leaves a line that was not waited out.
struct Leaving<'a> {
    place: &'a Place,
    /// It was waited out.
    stays: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.stays {
            leave_behind(&self.place.client, &self.place.dir, &self.place.own);
        }
    }
}

fn leave_behind(client: &Client, dir: &str, own: &str) {
    let (client, dir, own) = (client.clone(), dir.to_string(), own.to_string());
    // Without a runtime the session ends soon, and the node with it.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move { leave(&client, &dir, &own).await });
    }
}

/// Removes every node of ours. There may be two: one whose creation was answered, and an earlier one whose answer was lost.
async fn leave(client: &Client, dir: &str, own: &str) -> Result<(), ClientError> {
    loop {
        match try_leave(client, dir, own).await {
            Err(ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }) => {}
            Err(ClientError::SessionExpired { .. } | ClientError::Closed) => return Ok(()),
            result => return result,
        }
    }
}

async fn try_leave(client: &Client, dir: &str, own: &str) -> Result<(), ClientError> {
    let names = match client.children(dir).await {
        Err(error) if error.is(ErrorCode::NoNode) => return Ok(()),
        result => result?.0,
    };
    for name in names.iter().filter(|name| name.starts_with(own)) {
        match client.delete(&format!("{dir}/{name}"), -1).await {
            Err(error) if error.is(ErrorCode::NoNode) => {}
            result => result?,
        }
    }
    Ok(())
}

impl Place {
    async fn create(&self) -> Result<(), ClientError> {
        let path = format!("{}/{}{}", self.dir, self.own, self.kind);
        loop {
            match self.client.create(&path, &self.data, CreateMode::EphemeralSequential).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is(ErrorCode::NoNode) => parents::create(&self.client, &self.dir).await?,
                // It may have been created: the next look tells.
                Err(ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Our node, the line, and where in it we are; `None` where we are not in it. A second node of ours is removed.
    async fn look(&self) -> Result<Option<(String, Vec<Contender>, usize)>, ClientError> {
        let names = loop {
            match self.client.children(&self.dir).await {
                Ok((names, _)) => break names,
                Err(error) if error.is(ErrorCode::NoNode) => return Ok(None),
                Err(ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }) => {}
                Err(error) => return Err(error),
            }
        };
        let line = in_order(names);
        let ours: Vec<usize> = (0..line.len()).filter(|at| line[*at].name.starts_with(&self.own)).collect();
        for at in ours.iter().skip(1) {
            match self.client.delete(&format!("{}/{}", self.dir, line[*at].name), -1).await {
                Err(error) if error.is(ErrorCode::NoNode) => {}
                Err(ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }) => {}
                result => result?,
            }
        }
        let Some(&at) = ours.first() else { return Ok(None) };
        let node = format!("{}/{}", self.dir, line[at].name);
        Ok(Some((node, line, at)))
    }

    /// The zxid of our node's creation, if it is there and our session's; another session's node under our name is about to go with
    /// that session.
    async fn owned(&self, node: &str) -> Result<Option<Zxid>, ClientError> {
        match self.client.exists(node).await {
            Ok(Some(stat)) if stat.ephemeral_owner == self.client.session().0 => Ok(Some(stat.czxid)),
            Ok(_) => Ok(None),
            Err(ClientError::ConnectionLost { .. } | ClientError::Timeout { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
