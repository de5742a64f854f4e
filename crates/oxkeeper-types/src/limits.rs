//! Every bound of Oxkeeper that is not a configuration key: its value, its unit, and what happens when it is reached.

/// Bytes: default of `jute.maxbuffer`; a longer client frame closes the connection.
pub const JUTE_BUFFER_BYTES_MAX: usize = 0xf_ffff;
/// Bytes: floor of `jute.maxbuffer.extrasize`.
pub const JUTE_EXTRA_BYTES_MIN: usize = 1024;
/// Bytes: default of `jute.maxbuffer` and `jute.maxbuffer.extrasize` together; a write that would become a longer record
/// of the log is refused, and a log that holds one cannot be read.
pub const RECORD_BYTES_MAX: usize = 2 * JUTE_BUFFER_BYTES_MAX;
/// Bytes: the longest election frame; a longer one closes the link (reference `QuorumCnxManager.PACKETMAXSIZE`).
pub const ELECTION_FRAME_BYTES_MAX: usize = 1024 * 512;
/// Milliseconds: how late the core may hear that a session was active. Expiry waits this much longer,
/// so that a session is never expired that was heard from in time.
pub const TOUCH_DELAY_MS_MAX: i64 = 100;
/// Requests: how many requests of one connection may wait in the server; beyond it the connection is not read
/// until answers have left.
pub const CONNECTION_REQUESTS_MAX: usize = 1024;
/// Bytes: how much unsent output one connection may hold before it is not read any more (back-pressure).
pub const OUTBOX_BYTES_HIGH: usize = 4 << 20;
/// Bytes: how much unsent output one connection may hold at all; a slower reader is closed.
pub const OUTBOX_BYTES_MAX: usize = 64 << 20;
/// First-level nodes: how many have figures of their own in `mntr`; those that are used later are not counted.
pub const NAMESPACES_MAX: usize = 10_000;
/// Entries: remembered digests, one each 128 zxids (reference `DataTree.DIGEST_LOG_LIMIT`).
pub const DIGEST_LOG_ENTRIES_MAX: usize = 1024;
/// Transactions: digest log interval.
pub const DIGEST_LOG_INTERVAL: i64 = 128;
/// Bytes: the longest address in an election greeting.
pub const ELECTION_ADDRESS_BYTES_MAX: usize = 2048;
/// Events: how many may wait for the core before connections to other servers are not read until it has caught up.
pub const CORE_EVENTS_MAX: usize = 32_768;
/// Bytes: how much may wait for the disk before clients' writes and the packets of other servers are left unread until it has caught
/// up. What was read by then comes on top: up to [`CORE_EVENTS_MAX`] events.
pub const DISK_BYTES_MAX: usize = 64 << 20;
/// Connections: how many of the election port may be without their greeting; the oldest is closed for a newer one.
pub const ELECTION_HANDSHAKES_MAX: usize = 64;
/// Servers: how many that are not in the configuration may be connected or dialled back at a time; more are closed.
pub const ELECTION_STRANGERS_MAX: usize = 32;
/// Connections: how many of the quorum port may wait while this server finds out whether it leads; more are closed.
pub const EARLY_LEARNERS_MAX: usize = 64;
/// Connections: how many learners of a leader may be without their introduction; the oldest is closed for a newer one.
pub const LEARNER_HANDSHAKES_MAX: usize = 64;
/// Bytes: how much may wait for one connection of the quorum port, beside what its synchronisation takes; a peer that
/// reads slower is closed.
pub const LINK_BYTES_MAX: usize = 256 << 20;
