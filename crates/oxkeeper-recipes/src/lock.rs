//! Locks: one owner, several, or readers beside each other.

use crate::contenders::{Contender, in_front};
use crate::seat::{Line, Seat};
use oxkeeper_client::{Client, ClientError};
use std::time::Duration;
use tokio::time::timeout;

/// What is behind the id in the name of a node that wants the lock for itself (Curator's `InterProcessMutex`).
const LOCK: &str = "lock-";
/// A lease of Curator's `InterProcessSemaphoreV2`.
const LEASE: &str = "lease-";
/// As Curator's `InterProcessReadWriteLock` has them, of the same length.
const READ: &str = "__READ__";
const WRITE: &str = "__WRIT__";

/// Held while it lives; see [`Seat`] for what it tells. Dropping it lets go in the background, [`Seat::release`] waits for that.
pub type LockGuard = Seat;

/// A lock with one owner at a time, first come first served: Curator's `InterProcessMutex`, node for node. kazoo's locks told of
/// `-lock-`, and Go's, may contend in the same directory. Not reentrant: who holds it and asks again waits for itself.
///
/// ```no_run
/// use oxkeeper_client::Client;
/// use oxkeeper_recipes::Lock;
///
/// # async fn example() -> Result<(), oxkeeper_client::ClientError> {
/// let client = Client::connect("127.0.0.1:2181").await?;
/// let guard = Lock::new(&client, "/locks/report").acquire().await?;
/// tokio::select! {
///     () = write_report(guard.fence()) => guard.release().await?,
///     () = guard.lost() => eprintln!("lost the lock: another may have it by now"),
/// }
/// # Ok(())
/// # }
/// # async fn write_report(_fence: i64) {}
/// ```
#[derive(Clone, Debug)]
pub struct Lock {
    line: Line,
}

impl Lock {
    /// `path` is a directory of its own; it is created when it is missing.
    pub fn new(client: &Client, path: &str) -> Lock {
        Lock { line: Line::new(client, path) }
    }
    /// What others read in the node of an owner or of one who waits: a name, an address.
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Lock {
        self.line.data = data.as_ref().to_vec();
        self
    }
    /// Waits for its turn. `Err` where the session ends meanwhile, or the server refuses. Cancel safe: dropping the future leaves the line.
    pub async fn acquire(&self) -> Result<LockGuard, ClientError> {
        self.line.take(LOCK, |_, at| in_front(at, 1)).await
    }
    /// As [`Lock::acquire`], at most for `patience`: then `None`.
    pub async fn try_acquire(&self, patience: Duration) -> Result<Option<LockGuard>, ClientError> {
        timeout(patience, self.acquire()).await.map_or(Ok(None), |result| result.map(Some))
    }
}

/// Many readers, or one writer: Curator's `InterProcessReadWriteLock`. First come first served: a reader behind a writer waits for it.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let lock = oxkeeper_recipes::ReadWriteLock::new(&client, "/locks/table");
/// let reading = lock.read().await?;
/// reading.release().await?;
/// let writing = lock.write().await?;
/// writing.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReadWriteLock {
    line: Line,
}

impl ReadWriteLock {
    /// `path` is a directory of its own; it is created when it is missing.
    pub fn new(client: &Client, path: &str) -> ReadWriteLock {
        ReadWriteLock { line: Line::new(client, path) }
    }
    /// What others read in the nodes.
    pub fn data(mut self, data: impl AsRef<[u8]>) -> ReadWriteLock {
        self.line.data = data.as_ref().to_vec();
        self
    }
    /// Beside other readers. Cancel safe.
    pub async fn read(&self) -> Result<LockGuard, ClientError> {
        self.line.take(READ, last_writer).await
    }
    /// Alone. Cancel safe.
    pub async fn write(&self) -> Result<LockGuard, ClientError> {
        self.line.take(WRITE, |_, at| in_front(at, 1)).await
    }
}

/// The last writer in front of a reader: once it is gone, those before it are, too.
fn last_writer(line: &[Contender], at: usize) -> Option<usize> {
    line[..at].iter().rposition(|contender| !contender.name.contains(READ))
}

/// A number of leases that several may hold at once: Curator's `InterProcessSemaphoreV2`. Whoever asks is first alone in line, by a lock
/// beside the leases, so that nobody is overtaken.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let downloads = oxkeeper_recipes::Semaphore::new(&client, "/limits/downloads", 5);
/// let lease = downloads.acquire().await?;
/// lease.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore {
    turn: Lock,
    leases: Line,
    count: usize,
}

impl Semaphore {
    /// All who use `path` must say the same `count`.
    pub fn new(client: &Client, path: &str, count: usize) -> Semaphore {
        let turn = Lock::new(client, &format!("{path}/locks"));
        Semaphore { turn, leases: Line::new(client, &format!("{path}/leases")), count }
    }
    /// What others read in the node of a lease.
    pub fn data(mut self, data: impl AsRef<[u8]>) -> Semaphore {
        self.leases.data = data.as_ref().to_vec();
        self
    }
    /// Waits for a lease. Cancel safe.
    pub async fn acquire(&self) -> Result<LockGuard, ClientError> {
        let turn = self.turn.acquire().await?;
        let lease = self.leases.take(LEASE, |_, at| in_front(at, self.count)).await?;
        // The lease counts from here on; the next in line must not wait for the answer.
        drop(turn);
        Ok(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kinds: &[&str]) -> Vec<Contender> {
        let contender = |(n, kind): (usize, &&str)| Contender { name: format!("x{kind}{n:010}"), sequence: n as i32 };
        kinds.iter().enumerate().map(contender).collect()
    }

    #[test]
    fn readers_wait_for_the_last_writer_before_them_and_writers_for_whoever_is_before_them() {
        let line = line(&[READ, WRITE, READ, WRITE, READ, READ]);
        let waits: Vec<_> = [0, 2, 4, 5].map(|at| last_writer(&line, at)).to_vec();
        assert_eq!(waits, [None, Some(1), Some(3), Some(3)]);
        assert_eq!(in_front(0, 1), None);
        assert_eq!(in_front(3, 1), Some(2));
        assert_eq!(in_front(3, 3), Some(0));
    }
}
