//! What an operator can set that changes decisions. The edge fills it from the configuration.

use oxkeeper_types::limits::RECORD_BYTES_MAX;
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{Millis, ServerId};

/// Checked settings of one server. Units are in the names; defaults are the reference's.
#[derive(Clone, Debug)]
pub struct Options {
    /// 1 on a standalone server.
    pub server: ServerId,
    pub tick: Millis,
    pub session_timeout_min: Millis,
    pub session_timeout_max: Millis,
    pub owner_rules: OwnerRules,
    /// `digest.enabled`
    pub digest_enabled: bool,
    /// `closeSessionTxn.enabled`
    pub close_session_txn: bool,
    /// `enforceQuota`
    pub enforce_quota: bool,
    /// `skipACL=yes`
    pub skip_acl: bool,
    /// `enableEagerACLCheck`, of a member of an ensemble: see [`crate::State::refuses_eagerly`].
    pub eager_acl_check: bool,
    /// `reconfigEnabled`
    pub reconfig_enabled: bool,
    /// Transactions between snapshots (`snapCount`).
    pub snap_count: u64,
    /// Log bytes between snapshots (`snapSizeLimitInKb`), `None` when off.
    pub snap_size_limit_bytes: Option<u64>,
    /// `znode.container.*`
    pub container_check_interval: Millis,
    pub containers_per_minute_max: u32,
    /// Containers that never had a child are reaped at this age; `None`: never.
    pub container_never_used_max: Option<Millis>,
    /// `readonlymode.enabled`: without a leader, read-only clients are served.
    pub read_only_enabled: bool,
    /// `leaderServes`: a leader has clients of its own.
    pub leader_serves: bool,
    /// `jute.maxbuffer` and `jute.maxbuffer.extrasize` together: no transaction is longer in the log.
    pub record_bytes_max: usize,
    pub auth: AuthOptions,
    /// Makes snapshot intervals and session ids of servers differ; read from the system's entropy by the edge.
    pub seed: u64,
}

/// Authentication schemes and their super users.
#[derive(Clone, Debug, Default)]
pub struct AuthOptions {
    /// `DigestAuthenticationProvider.enabled`
    pub digest_enabled: bool,
    /// `DigestAuthenticationProvider.digestAlg`, normalised; SHA1 by default.
    pub digest_algorithm: DigestAlgorithm,
    /// `DigestAuthenticationProvider.superDigest`
    pub super_digest: Option<String>,
    /// `X509AuthenticationProvider.superUser`
    pub x509_super_user: Option<String>,
    /// Whether the x509 and sasl schemes are known at all (TLS port configured, `authProvider.*`).
    pub x509_enabled: bool,
    pub sasl_enabled: bool,
    /// `superUser` and `superUser.*`
    pub sasl_super_users: Vec<String>,
    /// `letAnySaslUserDoX`
    pub let_any_sasl_user_do_x: Option<String>,
    /// Whether the ensemble scheme is known (`authProvider.*`, or a name is configured).
    pub ensemble_enabled: bool,
    /// `ensembleAuthName`: accepted names. Without any, every client is let through.
    pub ensemble_names: Vec<String>,
    /// `enforce.auth.enabled` with `enforce.auth.schemes`; empty when off.
    pub enforced_schemes: Vec<String>,
}

/// What a digest id is hashed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DigestAlgorithm {
    #[default]
    Sha1,
    Sha256,
    Sha512,
    Sha3_256,
    Md5,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            server: ServerId(1),
            tick: Millis(3000),
            session_timeout_min: Millis(6000),
            session_timeout_max: Millis(60000),
            owner_rules: OwnerRules::default(),
            digest_enabled: true,
            close_session_txn: true,
            enforce_quota: false,
            skip_acl: false,
            eager_acl_check: false,
            reconfig_enabled: false,
            snap_count: 100_000,
            snap_size_limit_bytes: Some(4 << 30),
            container_check_interval: Millis(60_000),
            containers_per_minute_max: 10_000,
            container_never_used_max: None,
            read_only_enabled: false,
            leader_serves: true,
            record_bytes_max: RECORD_BYTES_MAX,
            auth: AuthOptions { digest_enabled: true, ..AuthOptions::default() },
            seed: 0,
        }
    }
}
