//! Plain data about the server, for four-letter words and metrics. Formats nothing.

use crate::output::Mode;
use oxkeeper_types::{Millis, SessionId, Zxid};
use oxkeeper_zab::ZabReport;

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
}
