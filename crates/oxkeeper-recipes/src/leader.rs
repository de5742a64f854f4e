//! One of several leads.

use crate::contenders::{in_front, in_order};
use crate::seat::{Line, Seat};
use oxkeeper_client::{Client, ClientError, ErrorCode, ReadAnswer};

/// Leads while it lives: [`Seat::is_held`] and [`Seat::lost`] say how long. Dropping it resigns in the background.
pub type Leadership = Seat;

/// Who may lead, and who is in front: Curator's `LeaderLatch` or `LeaderSelector`, node for node.
///
/// ```no_run
/// use oxkeeper_client::Client;
/// use oxkeeper_recipes::LeaderElection;
///
/// # async fn example() -> Result<(), oxkeeper_client::ClientError> {
/// let client = Client::connect("127.0.0.1:2181").await?;
/// let election = LeaderElection::latch(&client, "/leaders/report", "host-7");
/// loop {
///     let leading = election.lead().await?;
///     tokio::select! {
///         () = work(leading.fence()) => return leading.release().await,
///         () = leading.lost() => {} // stop at once: another may lead by now
///     }
/// }
/// # }
/// # async fn work(_fence: i64) {}
/// ```
#[derive(Clone, Debug)]
pub struct LeaderElection {
    /// Its data is what this one calls itself.
    line: Line,
    kind: &'static str,
}

/// Somebody who leads or waits to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Participant {
    /// What it calls itself.
    pub id: String,
    pub leads: bool,
}

impl LeaderElection {
    /// Beside Curator's `LeaderLatch` at the same path.
    pub fn latch(client: &Client, path: &str, id: &str) -> LeaderElection {
        let line = Line { data: id.as_bytes().to_vec(), ..Line::new(client, path) };
        LeaderElection { line, kind: "latch-" }
    }
    /// Beside Curator's `LeaderSelector` at the same path. It is a lock: a [`crate::Lock`] there takes part, too.
    pub fn selector(client: &Client, path: &str, id: &str) -> LeaderElection {
        LeaderElection { kind: "lock-", ..LeaderElection::latch(client, path, id) }
    }
    /// Waits until this one leads. Cancel safe: dropping the future leaves the line.
    pub async fn lead(&self) -> Result<Leadership, ClientError> {
        self.line.take(self.kind, |_, at| in_front(at, 1)).await
    }
    /// Everybody in line, the leader first.
    pub async fn participants(&self) -> Result<Vec<Participant>, ClientError> {
        let names = match self.line.client.children(&self.line.dir).await {
            Err(error) if error.is(ErrorCode::NoNode) => return Ok(Vec::new()),
            result => result?.0,
        };
        let reads = in_order(names).iter().fold(self.line.client.multi_read(), |reads, contender| {
            reads.get(&format!("{}/{}", self.line.dir, contender.name))
        });
        // Who has gone meanwhile is in line no more.
        let ids = reads.fetch().await?.into_iter().filter_map(|answer| match answer {
            ReadAnswer::Data(id, _) => Some(String::from_utf8_lossy(&id).into_owned()),
            _ => None,
        });
        Ok(ids.enumerate().map(|(at, id)| Participant { id, leads: at == 0 }).collect())
    }
}
