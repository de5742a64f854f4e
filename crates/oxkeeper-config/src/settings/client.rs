//! Settings that clients meet: listeners, connections, sessions, limits, four-letter words.

use std::collections::BTreeSet;

use oxkeeper_types::ensemble::HostPort;
use oxkeeper_types::limits::JUTE_EXTRA_BYTES_MIN;

use super::{checked, positive};
use crate::reader::Reader;
use crate::report::{At, ConfigError};

/// The client ports and their connections.
#[derive(Clone, Debug)]
pub struct ClientEdge {
    /// Where plain clients are served; port 0 takes any free one. For all addresses `is_any()` holds: listen at both families.
    pub client_address: Option<HostPort>,
    /// Where TLS clients are served.
    pub secure_client_address: Option<HostPort>,
    /// Connections that may wait to be accepted; `None` leaves it to the system.
    pub listen_backlog: Option<u32>,
    /// Connections from one address (`maxClientCnxns`); `None` is no limit.
    pub connections_per_address_max: Option<u32>,
    /// Connections in all (`maxCnxns`); `None` is no limit.
    pub connections_max: Option<u32>,
    pub tcp_keep_alive: bool,
    /// How long a connection may take to open a session.
    pub handshake_timeout_ms: u64,
    /// I/O threads (`nio.numSelectorThreads`); `None`: by cores.
    pub io_threads: Option<u32>,
    /// Longest request (`jute.maxbuffer`).
    pub request_bytes_max: u32,
    /// What a record may be longer than that once wrapped.
    pub request_extra_bytes: u32,
    /// Both together: the longest record of a log.
    pub record_bytes_max: u32,
    /// TLS and plain on `client_address`.
    pub port_unification: bool,
    /// Read the stores again when they change.
    pub reload_certificates: bool,
    /// TLS handshakes at a time; `None` is no limit.
    pub handshakes_max: Option<u32>,
    /// Refuse TLS handshakes while no server runs.
    pub early_drop_handshakes: bool,
    pub throttle: ConnectionThrottle,
    pub four_letter_words: FourLetterWords,
    /// Serve reads while cut off from the others.
    pub read_only_mode: bool,
}

/// The bucket that new connections draw from (reference `BlueThrottle`).
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectionThrottle {
    /// `None`: off.
    pub tokens: Option<u32>,
    pub fill_time_ms: u64,
    pub fill_count: u32,
    /// Time between changes of the drop share; `None`: nothing is dropped early.
    pub freeze_time_ms: Option<u64>,
    pub drop_increase: f64,
    pub drop_decrease: f64,
    pub decrease_ratio: f64,
    pub weight_enabled: bool,
    pub global_session_weight: u32,
    pub local_session_weight: u32,
    pub renew_session_weight: u32,
}

/// Which four-letter words are answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FourLetterWords {
    /// `*`.
    pub all: bool,
    pub words: BTreeSet<String>,
}

impl FourLetterWords {
    pub fn allows(&self, word: &str) -> bool {
        self.all || self.words.contains(word)
    }
}

/// Sessions and time.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub tick_time_ms: u32,
    pub timeout_min_ms: u32,
    pub timeout_max_ms: u32,
    pub local_sessions: bool,
    pub local_session_upgrading: bool,
}

/// Bounds on requests.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `globalOutstandingLimit`, as written: followers share it out.
    pub requests_outstanding_max: u32,
    pub request_throttle: RequestThrottle,
    /// Size from which a request counts as large; `None`: none does.
    pub large_request_bytes: Option<u32>,
    /// Bytes of large requests in the server at most.
    pub large_requests_bytes_max: u32,
}

/// What becomes of requests when there are too many.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestThrottle {
    /// `None`: off.
    pub requests_max: Option<u32>,
    pub stall_time_ms: u64,
    pub drop_stale: bool,
    /// Stale once the session's timeout has passed.
    pub stale_by_latency: bool,
    /// Stale once the connection is closed.
    pub stale_by_connection: bool,
    pub shutdown_timeout_ms: u64,
    /// Wait after which a request is answered "throttled"; `None`: never.
    pub throttled_op_wait_ms: Option<u64>,
}

impl ClientEdge {
    pub(crate) fn read(r: &mut Reader) -> Result<ClientEdge, ConfigError> {
        let request_bytes_max: u32 = checked(r.int("jute.maxbuffer")?);
        warn_of_file_alone(r, "jute.maxbuffer");
        // Reference `BinaryInputArchive`: never less, whatever is set, or not set beside a small `jute.maxbuffer`.
        let request_extra_bytes =
            r.int_opt("jute.maxbuffer.extrasize")?.map_or(request_bytes_max, checked).max(JUTE_EXTRA_BYTES_MIN as u32);
        let read_only_mode = r.flag("readonlymode.enabled")?;
        Ok(ClientEdge {
            client_address: listener(r, "clientPort", "clientPortAddress")?,
            secure_client_address: listener(r, "secureClientPort", "secureClientPortAddress")?,
            listen_backlog: positive(r.int("clientPortListenBacklog")?),
            connections_per_address_max: positive(r.int("maxClientCnxns")?),
            connections_max: positive(r.int("maxCnxns")?),
            tcp_keep_alive: r.flag("clientTcpKeepAlive")?,
            handshake_timeout_ms: checked(r.int("nio.sessionlessCnxnTimeout")?),
            io_threads: r.int_opt("nio.numSelectorThreads")?.map(checked),
            request_bytes_max,
            request_extra_bytes,
            // Reference `BinaryInputArchive.totalBufferSize`.
            record_bytes_max: request_bytes_max.saturating_add(request_extra_bytes).min(i32::MAX as u32),
            port_unification: r.flag("client.portUnification")?,
            reload_certificates: r.flag("client.certReload")?,
            handshakes_max: positive(r.int("netty.server.outstandingHandshake.limit")?),
            early_drop_handshakes: r.flag("netty.server.earlyDropSecureConnectionHandshakes")?,
            throttle: ConnectionThrottle::read(r)?,
            four_letter_words: FourLetterWords::read(r, read_only_mode),
            read_only_mode,
        })
    }
}

/// A line of the file that means nothing to the reference: where it stands there alone, the limit of Java members, tools and the
/// server that comes back is another one.
fn warn_of_file_alone(r: &mut Reader, name: &'static str) {
    let row = r.row(name);
    if let Some(found) = r.sources.entry(name)
        && r.sources.property(name).is_none()
    {
        let (key, value) = (row.name, found.value.clone());
        r.warn(
            &found,
            format!(
                "{key}={value} is obeyed here, but ZooKeeper ignores it in a file: its servers cannot read what is larger than their \
                 own limit, 1048575 unless -D{key} says otherwise; set -D{key}={value} in the flags of every server and client"
            ),
        );
    }
}

/// An address without its port is a mistake (reference `QuorumPeerConfig.parseProperties`).
fn listener(r: &mut Reader, port: &str, address: &str) -> Result<Option<HostPort>, ConfigError> {
    let address_row = r.row(address);
    let Some(number) = r.int_opt(port)? else {
        return match r.sources.find(address_row) {
            None => Ok(None),
            Some(found) => Err(ConfigError::Conflict {
                at: found.at,
                text: format!("{address} is set but {port} is not; set {port} too"),
            }),
        };
    };
    r.listen(address, checked(number)).map(Some)
}

impl ConnectionThrottle {
    fn read(r: &mut Reader) -> Result<ConnectionThrottle, ConfigError> {
        Ok(ConnectionThrottle {
            tokens: positive(r.int("connection_throttle_tokens")?),
            fill_time_ms: checked(r.int("connection_throttle_fill_time")?),
            fill_count: checked(r.int("connection_throttle_fill_count")?),
            freeze_time_ms: Some(r.int("connection_throttle_freeze_time")?).filter(|ms| *ms >= 0).map(checked),
            drop_increase: r.float("connection_throttle_drop_increase")?,
            drop_decrease: r.float("connection_throttle_drop_decrease")?,
            decrease_ratio: r.float("connection_throttle_decrease_ratio")?,
            weight_enabled: r.flag("connection_throttle_weight_enabled")?,
            global_session_weight: checked(r.int("connection_throttle_global_session_weight")?),
            local_session_weight: checked(r.int("connection_throttle_local_session_weight")?),
            renew_session_weight: checked(r.int("connection_throttle_renew_session_weight")?),
        })
    }
}

impl FourLetterWords {
    /// `srvr` is always answered, `isro` with read-only mode (reference `FourLetterCommands.isEnabled`).
    fn read(r: &mut Reader, read_only_mode: bool) -> FourLetterWords {
        let mut words: BTreeSet<String> = r.list("4lw.commands.whitelist").into_iter().collect();
        words.insert("srvr".to_string());
        if read_only_mode {
            words.insert("isro".to_string());
        }
        FourLetterWords { all: words.remove("*"), words }
    }
}

impl Sessions {
    pub(crate) fn read(r: &mut Reader) -> Result<Sessions, ConfigError> {
        let tick_time_ms = r.int("tickTime")?;
        let mut timeout = |name: &str, ticks: i64| {
            let set = r.int_opt(name)?.filter(|ms| *ms != -1);
            Ok::<u32, ConfigError>(checked(set.unwrap_or(tick_time_ms * ticks).min(i64::from(i32::MAX))))
        };
        let (timeout_min_ms, timeout_max_ms) = (timeout("minSessionTimeout", 2)?, timeout("maxSessionTimeout", 20)?);
        if timeout_min_ms > timeout_max_ms {
            let text = format!(
                "minSessionTimeout is {timeout_min_ms}, more than maxSessionTimeout, which is {timeout_max_ms}; unset, they are \
                 2 and 20 times tickTime"
            );
            return Err(ConfigError::Conflict { at: place(r, &["minSessionTimeout", "maxSessionTimeout"]), text });
        }
        Ok(Sessions {
            tick_time_ms: checked(tick_time_ms),
            timeout_min_ms,
            timeout_max_ms,
            local_sessions: r.flag("localSessionsEnabled")?,
            local_session_upgrading: r.flag("localSessionsUpgradingEnabled")?,
        })
    }
}

/// Where the first of the keys is set.
pub(crate) fn place(r: &Reader, keys: &[&str]) -> At {
    keys.iter()
        .find_map(|key| r.sources.entry(key))
        .map_or_else(|| At { source: r.sources.main_name.clone(), line: None }, |found| found.at)
}

impl Limits {
    pub(crate) fn read(r: &mut Reader) -> Result<Limits, ConfigError> {
        Ok(Limits {
            requests_outstanding_max: checked(r.int("globalOutstandingLimit")?),
            request_throttle: RequestThrottle {
                requests_max: positive(r.int("request_throttle_max_requests")?),
                stall_time_ms: checked(r.int("request_throttle_stall_time")?),
                drop_stale: r.flag("request_throttle_drop_stale")?,
                stale_by_latency: r.flag("request_stale_latency_check")?,
                stale_by_connection: r.flag("request_stale_connection_check")?,
                shutdown_timeout_ms: checked(r.int("request_throttler.shutdownTimeout")?),
                throttled_op_wait_ms: positive(r.int("throttled_op_wait_time")?),
            },
            large_request_bytes: positive(r.int("largeRequestThreshold")?),
            large_requests_bytes_max: checked(r.int("largeRequestMaxBytes")?),
        })
    }
}
