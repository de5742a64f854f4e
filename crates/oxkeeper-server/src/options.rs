//! What an operator can set that the edge itself carries out: limits of connections and requests, addresses, files.

use crate::client::throttle::ThrottleOptions;
use oxkeeper_proto::frame::FourLetterWord;
use oxkeeper_storage::Dirs;
use oxkeeper_storage::log::writer::LogOptions;
use oxkeeper_storage::recover::RecoverOptions;
use oxkeeper_storage::snapshot::writer::SnapshotOptions;
use oxkeeper_types::Millis;
use std::net::SocketAddr;
use std::time::Duration;

/// Settings of the client port. Defaults are the reference's.
#[derive(Clone, Debug)]
pub struct EdgeOptions {
    /// `clientPortAddress` and `clientPort`; port 0 takes any free one. `None`: no plain client port.
    pub client_address: Option<SocketAddr>,
    /// `clientPortListenBacklog`; -1: the system's own.
    pub listen_backlog: i32,
    /// `maxClientCnxns`, connections from one address; 0: any number.
    pub connections_per_address_max: usize,
    /// `maxCnxns`; 0: any number.
    pub connections_max: usize,
    /// `clientTcpKeepAlive`
    pub tcp_keep_alive: bool,
    /// `nio.sessionlessCnxnTimeout`
    pub handshake_timeout: Millis,
    /// `jute.maxbuffer`
    pub frame_bytes_max: usize,
    /// `globalOutstandingLimit`: above it, a connection with a request under way is not read.
    pub outstanding_max: usize,
    /// `largeRequestThreshold`; `None`: no request is large.
    pub large_request_bytes: Option<usize>,
    /// `largeRequestMaxBytes`: of all large requests under way.
    pub large_requests_bytes_max: usize,
    /// `request_throttle_max_requests`: with so many under way, requests wait; 0: off.
    pub requests_max: usize,
    /// `request_throttle_stall_time`: when a waiting request is looked at again.
    pub stall_time: Millis,
    /// `throttled_op_wait_time`: a request that waits longer is answered with an error; `None`: off.
    pub throttled_op_wait: Option<Millis>,
    /// `request_throttle_drop_stale`: a waiting request that is stale ends its connection.
    pub drop_stale: bool,
    /// `request_stale_connection_check`: a request is stale once its client has ended the connection.
    pub stale_by_connection: bool,
    /// `request_stale_latency_check`: it is once it has waited longer than its session's timeout.
    pub stale_by_latency: bool,
    pub throttle: ThrottleOptions,
    /// I/O threads.
    pub threads: usize,
    /// `4lw.commands.whitelist`
    pub four_letter_words: Vec<FourLetterWord>,
}

/// Settings of the files.
#[derive(Clone, Debug)]
pub struct FileOptions {
    pub dirs: Dirs,
    pub log: LogOptions,
    /// False for an observer with `syncEnabled=false`.
    pub keeps_log: bool,
    pub recover: RecoverOptions,
    pub snapshot: SnapshotOptions,
    /// `fsync.warningthresholdms`
    pub slow_sync: Duration,
    pub batching: Batching,
    /// `autopurge.snapRetainCount`
    pub snapshots_kept: usize,
    /// `autopurge.purgeInterval`; `None`: never.
    pub purge_interval: Option<Duration>,
}

/// What goes under one sync. By default: what waits when the disk is free, up to 1000 transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Batching {
    /// `maxBatchSize`: transactions under one sync.
    pub transactions_max: usize,
    /// `flushDelay`: a batch may be added to until this long after the sync before it.
    pub delay: Duration,
    /// `maxWriteQueuePollTime`: how long to wait for the next transaction then.
    pub poll: Duration,
}

impl Default for EdgeOptions {
    fn default() -> EdgeOptions {
        EdgeOptions {
            client_address: Some(SocketAddr::from(([0, 0, 0, 0], 2181))),
            listen_backlog: -1,
            connections_per_address_max: 60,
            connections_max: 0,
            tcp_keep_alive: false,
            handshake_timeout: Millis(10_000),
            frame_bytes_max: oxkeeper_types::limits::JUTE_BUFFER_BYTES_MAX,
            outstanding_max: 1000,
            large_request_bytes: None,
            large_requests_bytes_max: 100 << 20,
            requests_max: 0,
            stall_time: Millis(100),
            throttled_op_wait: None,
            drop_stale: true,
            stale_by_connection: true,
            stale_by_latency: false,
            throttle: ThrottleOptions::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            four_letter_words: vec![FourLetterWord::Srvr],
        }
    }
}
