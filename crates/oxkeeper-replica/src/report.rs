//! Plain data about the server, for four-letter words, metrics and the log.

use crate::namespaces::{NamespaceFigures, Namespaces};
use crate::output::Mode;
use oxkeeper_types::{Millis, OpCode, SessionId, Zxid};
use oxkeeper_zab::ZabReport;
use std::fmt;

/// Counted where it happens, by the core alone. All only ever grow, until a reset subtracts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Requests that entered prep.
    pub prepared: u64,
    /// Refused with an error transaction.
    pub refused: u64,
    pub applied: u64,
    pub sessions_expired: u64,
    pub sessions_created: u64,
    pub sessions_resumed: u64,
    /// Handshakes refused: unknown session or wrong password.
    pub handshakes_refused: u64,
    pub containers_reaped: u64,
    pub snapshots_started: u64,
    /// Due while another one was still being written.
    pub snapshots_skipped: u64,
    pub watch_events: crate::watch::Fired,
    /// Transactions after which the tree's digest was not the one that the leader had computed.
    pub digest_mismatches: u64,
}

/// A moment of the core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    pub counters: Counters,
    /// Prepared and not applied yet.
    pub in_flight: usize,
    pub last_prepared: Zxid,
    /// Expiry buckets: deadline on the monotonic clock, sessions in order.
    pub expiry: Vec<(Millis, Vec<SessionId>)>,
    pub sessions: usize,
    /// The zxid of the last snapshot that was written since the start.
    pub last_snapshot: Option<Zxid>,
    pub mode: Mode,
    /// How consensus stands; `None` on a standalone server.
    pub zab: Option<ZabReport>,
    /// Bytes written (paths and data), by first-level node, sorted.
    pub writes: Vec<(Box<str>, NamespaceFigures)>,
}

impl Report {
    pub(crate) fn sorted(namespaces: &Namespaces) -> Vec<(Box<str>, NamespaceFigures)> {
        let mut all: Vec<_> = namespaces.iter().map(|(name, figures)| (name.into(), *figures)).collect();
        all.sort_unstable_by(|(a, _): &(Box<str>, _), (b, _)| a.cmp(b));
        all
    }
}

/// A write went beyond a limit of its quota: refused where the limit is a hard one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaExceeded {
    /// The node that carries the quota.
    pub prefix: String,
    /// The first-level node that the write is under.
    pub namespace: String,
    pub kind: QuotaKind,
    pub is_hard: bool,
    /// What the usage comes to with this write.
    pub used: i64,
    pub limit: i64,
}

/// What a quota counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaKind {
    Count,
    Bytes,
}

/// In the words that the reference's operators look for.
impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, limit) = match self.kind {
            QuotaKind::Count => ("count", "Count"),
            QuotaKind::Bytes => ("bytes", "Byte"),
        };
        let hardness = if self.is_hard { "hard" } else { "soft" };
        let (prefix, used, max) = (&self.prefix, self.used, self.limit);
        write!(f, "Quota exceeded: {prefix} [current {what}={used}, {hardness}{limit}Limit={max}]")
    }
}

/// The tree differs from that of whoever wrote a transaction (DK071, digests are compared behind each).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestMismatch {
    pub zxid: Zxid,
    pub op: OpCode,
    pub expected: u64,
    pub actual: u64,
}
