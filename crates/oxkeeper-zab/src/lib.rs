//! Consensus of one server: fast leader election, then Zab (Junqueira, Reed, Serafini: "Zab: High-performance broadcast
//! for primary-backup systems"). A value without a clock, a socket, a file or a thread: [`Zab::step`] takes an [`Input`] and
//! fills a list of [`Output`]s. Transactions are opaque bytes with a zxid; what they do is the business of the replica.
//!
//! # Phases, in the paper's words and on the wire
//!
//! | phase | paper | leader | follower | packets |
//! |---|---|---|---|---|
//! | 0 election | – | [`election`] | [`election`] | notifications of the election port |
//! | 1 discovery | CEPOCH, NEWEPOCH, ACK-E | `leader::discovery` | `follower::discovery` | FOLLOWERINFO, LEADERINFO, ACKEPOCH |
//! | 2 synchronisation | NEWLEADER, ACK-LD, COMMIT-LD | `leader::sync` | `follower::sync` | DIFF, TRUNC, SNAP, NEWLEADER, ACK, UPTODATE |
//! | 3 broadcast | PROPOSE, ACK, COMMIT | `leader::broadcast` | `follower::broadcast` | PROPOSAL, ACK, COMMIT, INFORM |
//!
//! # Persist before send
//!
//! | this may leave | only after this is on disk |
//! |---|---|
//! | LEADERINFO(e) | leader's acceptedEpoch = e |
//! | ACKEPOCH(e) | follower's acceptedEpoch = e |
//! | follower's ack of NEWLEADER(e) | synced history (log or snapshot), then currentEpoch = e |
//! | leader's own count toward NEWLEADER(e), hence UPTODATE | leader's currentEpoch = e |
//! | ack(zxid), a follower's or the leader's own | log synced through zxid |
//! | an observer's ack | never sent |
//!
//! # What the replica keeps
//!
//! The replica applies transactions; consensus tells it which. Each transaction comes out once as [`Output::Proposed`] (on a
//! learner; a leader's replica made it itself), in the order of the log and never before its [`Output::Persist`], and is
//! covered later by one [`Output::Commit`]. When a server starts to look for a leader, everything that was proposed on it is in
//! its log, committed or not: the replica then applies all of it, so that tree and log are at the same zxid in every election
//! (ZOOKEEPER-2845). What turns out not to have been committed is taken back by TRUNC, which rebuilds the tree from disk.

mod core;
mod disk;
pub mod election;
mod epochs;
mod follower;
mod history;
pub mod input;
mod invariant;
mod leader;
mod misbehaved;
mod observer;
pub mod options;
pub mod output;
pub mod quorum;
pub mod report;
mod sync_plan;
#[cfg(test)]
mod testing;
mod zab;

pub use input::{Input, LinkId};
pub use options::{Durable, ZabOptions};
pub use output::{LinkEnd, Notice, Output, RoleChange};
pub use report::{LearnerReport, Phase, Standing, ZabReport};
pub use zab::Zab;
