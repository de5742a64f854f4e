//! A place in a line of ephemeral sequential nodes: what locks, leaders and semaphores have in common.
//!
//! The node is created under an id of its own, so that a creation whose answer was lost is found again; it counts as ours only if its
//! owner is our session. Whoever has a seat acts on it only while the session lives for certain.

use crate::contenders::{Contender, in_order, protection};
use crate::parents;
use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode, EventType, Transaction, Zxid};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::time::sleep_until;
use uuid::Uuid;

/// A directory in which a line forms, and what others read in our nodes there.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub client: Client,
    pub dir: String,
    pub data: Vec<u8>,
}

/// The nodes of one who is in line: mostly one, two where the answer to a creation was lost. Removed in the background when this is dropped.
#[derive(Debug)]
struct Ours {
    client: Client,
    dir: String,
    /// What their names begin with.
    prefix: String,
    gone: bool,
}

/// A node that is far enough in front. Dropping it removes the node in the background.
#[derive(Debug)]
pub struct Seat {
    ours: Ours,
    /// The whole path.
    node: String,
    fence: Zxid,
    lost: AtomicBool,
}

impl Line {
    pub fn new(client: &Client, dir: &str) -> Line {
        Line { client: client.clone(), dir: dir.to_string(), data: Vec::new() }
    }

    /// Waits until nobody must go first: `ahead` finds the one to wait for, from the line and our place in it. `kind` stands behind the id
    /// in the node's name: `lock-`, `latch-`, `__WRIT__`.
    ///
    /// Cancel safe: when the future is dropped, the node is removed in the background.
    pub async fn take(
        &self,
        kind: &str,
        ahead: impl Fn(&[Contender], usize) -> Option<usize>,
    ) -> Result<Seat, ClientError> {
        let (client, dir) = (self.client.clone(), self.dir.clone());
        let ours = Ours { client, dir, prefix: protection(&Uuid::new_v4().to_string()), gone: false };
        ours.create(kind, &self.data).await?;
        loop {
            let Some((node, line, at)) = ours.look().await? else {
                ours.create(kind, &self.data).await?;
                continue;
            };
            let Some(before) = ahead(&line, at) else {
                if let Some(fence) = ours.owned(&node).await? {
                    return Ok(Seat { ours, node, fence, lost: AtomicBool::new(false) });
                }
                continue;
            };
            match self.client.exists_and_watch(&format!("{}/{}", self.dir, line[before].name)).await {
                Ok((Some(_), gone)) => drop(gone.await?),
                Ok((None, _)) => {}
                Err(error) if error.is_of_the_connection() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Seat {
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
        if self.ours.client.lives_until().is_none_or(|until| until <= Instant::now()) {
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
                let Some(until) = self.ours.client.lives_until().filter(|_| self.is_held()) else { return };
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
        match self.ours.client.exists_and_watch(&self.node).await {
            Ok((Some(stat), _)) if stat.czxid != self.fence => true,
            Ok((Some(_), changed)) => match changed.await {
                Ok(event) => event.kind == EventType::NodeDeleted,
                Err(_) => true,
            },
            Ok((None, _)) => true,
            Err(error) => !error.is_of_the_connection(),
        }
    }

    /// A transaction that is carried out only while the own node is there: a write under it cannot come late.
    pub fn transaction(&self) -> Transaction {
        self.ours.client.transaction().check(&self.node, -1)
    }

    /// Leaves, and returns once the node is gone; or was: a session that has ended holds nothing. When the future is dropped, the node is
    /// removed in the background.
    pub async fn release(mut self) -> Result<(), ClientError> {
        leave(&self.ours.client, &self.ours.dir, &self.ours.prefix).await?;
        self.ours.gone = true;
        Ok(())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        // Without a runtime the session ends soon, and the nodes with it.
        if !self.gone
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (client, dir, prefix) = (self.client.clone(), self.dir.clone(), self.prefix.clone());
            runtime.spawn(async move { leave(&client, &dir, &prefix).await });
        }
    }
}

/// Removes every node whose name begins with `prefix`.
async fn leave(client: &Client, dir: &str, prefix: &str) -> Result<(), ClientError> {
    loop {
        match try_leave(client, dir, prefix).await {
            Err(error) if error.is_of_the_connection() => {}
            Err(ClientError::SessionExpired { .. } | ClientError::Closed) => return Ok(()),
            result => return result,
        }
    }
}

async fn try_leave(client: &Client, dir: &str, prefix: &str) -> Result<(), ClientError> {
    let names = match client.children(dir).await {
        Err(error) if error.is(ErrorCode::NoNode) => return Ok(()),
        result => result?.0,
    };
    for name in names.iter().filter(|name| name.starts_with(prefix)) {
        match client.delete(&format!("{dir}/{name}"), -1).await {
            Err(error) if error.is(ErrorCode::NoNode) => {}
            result => result?,
        }
    }
    Ok(())
}

impl Ours {
    async fn create(&self, kind: &str, data: &[u8]) -> Result<(), ClientError> {
        let path = format!("{}/{}{kind}", self.dir, self.prefix);
        loop {
            match self.client.create(&path, data, CreateMode::EphemeralSequential).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is(ErrorCode::NoNode) => parents::create(&self.client, &self.dir).await?,
                // It may have been created: the next look tells.
                Err(error) if error.is_of_the_connection() => return Ok(()),
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
                Err(error) if error.is_of_the_connection() => {}
                Err(error) => return Err(error),
            }
        };
        let line = in_order(names);
        let ours: Vec<usize> = (0..line.len()).filter(|at| line[*at].name.starts_with(&self.prefix)).collect();
        for at in ours.iter().skip(1) {
            match self.client.delete(&format!("{}/{}", self.dir, line[*at].name), -1).await {
                Err(error) if error.is(ErrorCode::NoNode) => {}
                Err(error) if error.is_of_the_connection() => {}
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
            Err(error) if error.is_of_the_connection() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
