//! From the checked configuration to what each part of the server is told.

use crate::admin::EnsembleInfo;
use crate::client::throttle::{ThrottleOptions, Weights};
use crate::options::{Batching, EdgeOptions, FileOptions};
use crate::peer::PeerOptions;
use crate::peer::address::{Place, listen_address};
use crate::stall_watch::StallWatch;
use oxkeeper_config::{Compression as ConfigCompression, Config, ConnectionThrottle, EnsembleConfig, Security};
use oxkeeper_proto::frame::FourLetterWord;
use oxkeeper_replica::Options;
use oxkeeper_replica::options::{AuthOptions, DigestAlgorithm};
use oxkeeper_storage::log::writer::LogOptions;
use oxkeeper_storage::recover::RecoverOptions;
use oxkeeper_storage::snapshot::writer::SnapshotOptions;
use oxkeeper_storage::{Compression, Dirs};
use oxkeeper_tree::TreeOptions;
use oxkeeper_types::ensemble::{HostPort, Role};
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{Millis, ServerId};
use oxkeeper_zab::ZabOptions;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Everything that [`crate::run::start`] needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    pub replica: Options,
    pub edge: EdgeOptions,
    pub files: FileOptions,
    /// `jvm.pause.monitor`; `None`: nobody looks.
    pub stall_watch: Option<StallWatch>,
    /// `None`: the server runs on its own.
    pub ensemble: Option<EnsembleSettings>,
}

/// What a server among others needs beside.
#[derive(Clone, Debug)]
pub struct EnsembleSettings {
    pub zab: ZabOptions,
    pub peers: PeerOptions,
    pub info: EnsembleInfo,
}

impl Settings {
    /// `seed` differs from start to start. Fails where the client address cannot be resolved, and where the configuration asks
    /// for a protection between servers that is not there.
    pub fn from_config(config: &Config, seed: u64) -> io::Result<Settings> {
        let ensemble = config.ensemble.as_ref().map(|of| ensemble(config, of, seed)).transpose()?;
        let (replica, edge, files) = (replica(config, seed), edge(config)?, files(config, seed));
        Ok(Settings { replica, edge, files, stall_watch: stall_watch(config), ensemble })
    }
}

fn ensemble(config: &Config, of: &EnsembleConfig, seed: u64) -> io::Result<EnsembleSettings> {
    // To go on without would send everything in the open, and reach nobody who does as configured.
    let asked = [(of.tls, "sslQuorum"), (of.sasl.enabled, "quorum.auth.enableSasl")];
    if let Some((_, key)) = asked.into_iter().find(|(asked, _)| *asked) {
        let text = format!("{key}=true: connections between servers cannot be protected that way by this release yet");
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    let peers = PeerOptions::from_config(config).expect("it is an ensemble's");
    Ok(EnsembleSettings { zab: zab(config, of, seed), peers, info: EnsembleInfo::new(of) })
}

fn zab(config: &Config, of: &EnsembleConfig, seed: u64) -> ZabOptions {
    let storage = &config.storage;
    ZabOptions {
        last_seen: of.last_seen.clone(),
        tick: millis(config.sessions.tick_time_ms),
        init_limit: of.init_limit_ticks,
        sync_limit: of.sync_limit_ticks,
        notification_min: millis(of.election.notification_ms_min),
        notification_max: millis(of.election.notification_ms_max),
        epoch_wait_max: of.epoch_wait_ms_max.map(millis),
        counter_initial: of.counter_initial,
        commit_log_count: storage.commit_log_count as usize,
        force_snapshot_sync: storage.force_snapshot_sync,
        sync_from_disk: storage.snapshot_size_factor.is_some(),
        snapshot_syncs_max: of.snapshot_syncs_max,
        diff_syncs_max: of.diff_syncs_max,
        observer_election_delay: millis(of.observer_election_delay_ms),
        seed,
        reconfig_enabled: config.reconfig_enabled,
        ..ZabOptions::new(of.my_id, of.members.clone())
    }
}

fn stall_watch(config: &Config) -> Option<StallWatch> {
    let detector = &config.stall_detector;
    detector.enabled.then(|| StallWatch {
        sleep: Duration::from_millis(detector.sleep_ms),
        info: Duration::from_millis(detector.info_threshold_ms),
        warn: Duration::from_millis(detector.warn_threshold_ms),
    })
}

fn millis(ms: impl Into<u64>) -> Millis {
    Millis(i64::try_from(ms.into()).unwrap_or(i64::MAX))
}

fn owner_rules(config: &Config) -> OwnerRules {
    let tree = &config.tree;
    OwnerRules { extended_types: tree.extended_types, emulate_353_ttl: tree.emulate_353_ttl_nodes }
}

fn replica(config: &Config, seed: u64) -> Options {
    let (sessions, storage, tree) = (&config.sessions, &config.storage, &config.tree);
    let keeps_files = keeps_files(config);
    Options {
        // A server on its own counts as server 1, whatever myid says (reference `ZooKeeperServer.createSessionTracker`).
        server: config.ensemble.as_ref().map_or(ServerId(1), |ensemble| ensemble.my_id),
        tick: millis(sessions.tick_time_ms),
        session_timeout_min: millis(sessions.timeout_min_ms),
        session_timeout_max: millis(sessions.timeout_max_ms),
        owner_rules: owner_rules(config),
        digest_enabled: tree.digest_enabled,
        close_session_txn: tree.close_session_txn,
        enforce_quota: tree.enforce_quota,
        skip_acl: tree.skip_acl,
        // A server on its own has nobody to ask (reference: the processors of followers, observers and leaders do it).
        eager_acl_check: config.ensemble.is_some() && config.tree.eager_acl_check,
        reconfig_enabled: config.reconfig_enabled,
        snap_count: if keeps_files { storage.snap_count.into() } else { u64::MAX },
        snap_size_limit_bytes: storage.snap_size_limit_bytes.filter(|_| keeps_files),
        container_check_interval: millis(tree.container_check_interval_ms),
        containers_per_minute_max: tree.containers_per_minute_max,
        container_never_used_max: tree.container_never_used_ms_max.map(millis),
        read_only_enabled: config.client.read_only_mode,
        leader_serves: config.ensemble.as_ref().is_none_or(|ensemble| ensemble.leader_serves),
        record_bytes_max: config.client.record_bytes_max as usize,
        auth: auth(&config.security),
        seed,
    }
}

fn auth(security: &Security) -> AuthOptions {
    let mut enforced = security.enforced_schemes.clone().unwrap_or_default();
    if security.session_requires_sasl && !enforced.iter().any(|s| s == "sasl") {
        enforced.push("sasl".into());
    }
    AuthOptions {
        digest_enabled: security.digest_enabled,
        digest_algorithm: digest_algorithm(&security.digest_algorithm),
        super_digest: security.super_digest.as_ref().map(|s| s.reveal().to_owned()),
        x509_super_user: security.x509_super_user.clone(),
        x509_enabled: security.knows_scheme("x509"),
        sasl_enabled: security.knows_scheme("sasl"),
        sasl_super_users: security.sasl_super_users.clone(),
        let_any_sasl_user_do_x: security.let_any_sasl_user_do_x.clone(),
        ensemble_enabled: security.knows_scheme("ensemble"),
        ensemble_names: security.ensemble_names.clone(),
        enforced_schemes: enforced,
    }
}

/// By the names of Java's `MessageDigest`; an unknown one is the default, as the configuration has warned.
fn digest_algorithm(name: &str) -> DigestAlgorithm {
    match name.to_ascii_uppercase().replace('-', "").as_str() {
        "SHA256" => DigestAlgorithm::Sha256,
        "SHA512" => DigestAlgorithm::Sha512,
        "SHA3256" => DigestAlgorithm::Sha3_256,
        "MD5" => DigestAlgorithm::Md5,
        _ => DigestAlgorithm::Sha1,
    }
}

fn edge(config: &Config) -> io::Result<EdgeOptions> {
    let (client, limits) = (&config.client, &config.limits);
    let defaults = EdgeOptions::default();
    let words = FourLetterWord::ALL.iter().copied().filter(|w| client.four_letter_words.allows(w.text())).collect();
    Ok(EdgeOptions {
        client_address: client.client_address.as_ref().map(resolve).transpose()?,
        listen_backlog: client.listen_backlog.map_or(-1, |n| n as i32),
        connections_per_address_max: client.connections_per_address_max.unwrap_or(0) as usize,
        connections_max: client.connections_max.unwrap_or(0) as usize,
        tcp_keep_alive: client.tcp_keep_alive,
        handshake_timeout: millis(client.handshake_timeout_ms),
        frame_bytes_max: client.request_bytes_max as usize,
        outstanding_max: outstanding_max(config),
        large_request_bytes: limits.large_request_bytes.map(|n| n as usize),
        large_requests_bytes_max: limits.large_requests_bytes_max as usize,
        requests_max: limits.request_throttle.requests_max.map_or(0, |max| max as usize),
        stall_time: millis(limits.request_throttle.stall_time_ms),
        throttled_op_wait: limits.request_throttle.throttled_op_wait_ms.map(millis),
        drop_stale: limits.request_throttle.drop_stale,
        stale_by_connection: limits.request_throttle.stale_by_connection,
        stale_by_latency: limits.request_throttle.stale_by_latency,
        throttle: throttle(&client.throttle),
        threads: client.io_threads.map_or(defaults.threads, |n| n as usize),
        four_letter_words: words,
    })
}

/// `globalOutstandingLimit` is the leader's; its followers share it (OP016, reference `getGlobalOutstandingLimit`).
fn outstanding_max(config: &Config) -> usize {
    let voters = config.ensemble.as_ref().map_or(1, |ensemble| ensemble.members.voters().count());
    let share = if voters > 2 { voters - 1 } else { 1 };
    config.limits.requests_outstanding_max as usize / share
}

/// The wildcard stands for both families where the machine has IPv6, as Java's does.
fn resolve(address: &HostPort) -> io::Result<SocketAddr> {
    let place = Place { host: address.host().to_owned(), port: address.port() };
    listen_address(&place, address.is_any()).map_err(|e| io::Error::new(e.kind(), format!("clientPortAddress {e}")))
}

fn throttle(config: &ConnectionThrottle) -> ThrottleOptions {
    ThrottleOptions {
        tokens: config.tokens.unwrap_or(0).into(),
        fill_time: millis(config.fill_time_ms),
        fill_count: config.fill_count.into(),
        freeze_time: config.freeze_time_ms.map(millis),
        drop_increase: config.drop_increase,
        drop_decrease: config.drop_decrease,
        decrease_ratio: config.decrease_ratio,
        weights: config.weight_enabled.then(|| Weights {
            new_session: config.global_session_weight.into(),
            resumed_session: config.renew_session_weight.into(),
        }),
    }
}

/// An observer may be told to keep neither a log nor snapshots of its own (OP006, an observer may skip the disk); not one that a
/// list of members from its leader may turn into a voter.
fn keeps_files(config: &Config) -> bool {
    let skips = |of: &EnsembleConfig| !of.sync_enabled && of.role == Role::Observer && !config.reconfig_enabled;
    !config.ensemble.as_ref().is_some_and(skips)
}

fn files(config: &Config, seed: u64) -> FileOptions {
    let storage = &config.storage;
    let apart = (storage.data_log_dir != storage.data_dir).then_some(storage.data_log_dir.as_path());
    let snapshot = SnapshotOptions {
        compression: match storage.compression {
            ConfigCompression::None => Compression::None,
            ConfigCompression::Gzip => Compression::Gzip,
            ConfigCompression::Snappy => Compression::Snappy,
        },
        digest: config.tree.digest_enabled,
        last_processed: storage.serialize_last_processed_zxid,
    };
    FileOptions {
        dirs: Dirs::new(&storage.data_dir, apart),
        log: LogOptions {
            preallocate_bytes: storage.log_allocation_bytes,
            file_bytes_max: storage.log_size_limit_bytes,
            force_sync: storage.force_sync,
            record_bytes_max: config.client.record_bytes_max as usize,
        },
        keeps_log: keeps_files(config),
        recover: RecoverOptions {
            tree: TreeOptions {
                digest_enabled: config.tree.digest_enabled,
                owner_rules: owner_rules(config),
                hash_seed: seed,
            },
            snapshot,
            trust_empty_snapshot: storage.trust_empty_snapshot,
            database_autocreate: storage.database_autocreate,
            in_service: false,
            directory_autocreate: storage.data_dir_autocreate,
            epochs: config.ensemble.is_some(),
            recent_max: if config.ensemble.is_some() { storage.commit_log_count as usize } else { 0 },
            record_bytes_max: config.client.record_bytes_max as usize,
        },
        snapshot,
        slow_sync: Duration::from_millis(storage.fsync_warning_threshold_ms),
        batching: Batching {
            transactions_max: storage.batch_transactions_max.map_or(usize::MAX, |n| n as usize),
            delay: Duration::from_millis(storage.flush_delay_ms),
            poll: Duration::from_millis(storage.write_queue_poll_ms_max),
        },
        snapshots_kept: storage.snap_retain_count as usize,
        purge_interval: storage.purge_interval_ms.map(Duration::from_millis),
    }
}

#[cfg(test)]
mod tests;
