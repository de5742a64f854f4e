//! Settings of the disk and of the tree.

use std::path::{Path, PathBuf};

use super::{checked, kib, positive};
use crate::reader::Reader;
use crate::report::ConfigError;

/// Logs and snapshots.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Snapshots and myid.
    pub data_dir: PathBuf,
    /// Transaction logs; `data_dir` unless set.
    pub data_log_dir: PathBuf,
    /// How much of a log file is allocated ahead.
    pub log_allocation_bytes: u64,
    /// Transactions between snapshots, at least 2.
    pub snap_count: u32,
    /// Log bytes between snapshots; `None`: off.
    pub snap_size_limit_bytes: Option<u64>,
    /// Size at which a new log file begins; `None`: off.
    pub log_size_limit_bytes: Option<u64>,
    /// Committed transactions kept in memory for learners.
    pub commit_log_count: u32,
    /// Logs sent from disk to a learner, as a share of the snapshot; `None`: none are sent.
    pub snapshot_size_factor: Option<f64>,
    /// Always send learners a snapshot.
    pub force_snapshot_sync: bool,
    /// A sync that takes longer is warned of.
    pub fsync_warning_threshold_ms: u64,
    /// Sync before answering. Off risks data.
    pub force_sync: bool,
    pub flush_delay_ms: u64,
    pub write_queue_poll_ms_max: u64,
    /// Transactions that share a sync; `None` is no limit.
    pub batch_transactions_max: Option<u32>,
    /// Snapshots that the purge keeps, at least 3.
    pub snap_retain_count: u32,
    /// Time between purges; `None`: off.
    pub purge_interval_ms: Option<u64>,
    pub compression: Compression,
    /// Start from logs without a snapshot.
    pub trust_empty_snapshot: bool,
    /// End snapshots with the last zxid.
    pub serialize_last_processed_zxid: bool,
    /// Make missing data directories.
    pub data_dir_autocreate: bool,
    /// Trust an empty database at the first start.
    pub database_autocreate: bool,
}

/// How snapshots are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
}

/// What the tree allows and records.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Nodes with a time to live.
    pub extended_types: bool,
    pub emulate_353_ttl_nodes: bool,
    pub container_check_interval_ms: u64,
    pub containers_per_minute_max: u32,
    /// Age at which a container that never had a child is deleted; `None`: never.
    pub container_never_used_ms_max: Option<u64>,
    pub enforce_quota: bool,
    pub skip_acl: bool,
    /// Check ACLs before a write goes to the leader.
    pub eager_acl_check: bool,
    pub digest_enabled: bool,
    /// List the deleted paths in the transaction that closes a session.
    pub close_session_txn: bool,
}

impl Storage {
    pub(crate) fn read(r: &mut Reader) -> Result<Storage, ConfigError> {
        let data_dir = r.path("dataDir").ok_or_else(|| ConfigError::Missing {
            file: r.sources.main_name.clone(),
            key: "dataDir",
            advice: "it names the directory of snapshots and myid",
        })?;
        let data_log_dir = r.path("dataLogDir").unwrap_or_else(|| data_dir.clone());
        warn_if_relative(r, "dataDir", &data_dir);
        warn_if_relative(r, "dataLogDir", &data_log_dir);
        let flush_delay_ms = r.int("flushDelay")?;
        let force_sync = r.flag("forceSync")?;
        if !force_sync {
            r.warn_all(
                "forceSync=no: a write is answered before it is on disk, and is lost if the machine stops".to_string(),
            );
        }
        Ok(Storage {
            data_dir,
            data_log_dir,
            log_allocation_bytes: kib(r.int("preAllocSize")?),
            snap_count: checked(r.int("snapCount")?),
            snap_size_limit_bytes: Some(r.int("snapSizeLimitInKb")?).filter(|size| *size > 0).map(kib),
            log_size_limit_bytes: Some(r.int("txnLogSizeLimitInKb")?).filter(|size| *size > 0).map(kib),
            commit_log_count: checked(r.int("commitLogCount")?),
            snapshot_size_factor: Some(r.float("snapshotSizeFactor")?).filter(|factor| *factor >= 0.0),
            force_snapshot_sync: r.flag("forceSnapshotSync")?,
            fsync_warning_threshold_ms: checked(r.int("fsync.warningthresholdms")?),
            force_sync,
            flush_delay_ms: checked(flush_delay_ms),
            write_queue_poll_ms_max: checked(r.int_opt("maxWriteQueuePollTime")?.unwrap_or(flush_delay_ms / 3)),
            batch_transactions_max: positive(r.int("maxBatchSize")?),
            snap_retain_count: checked(r.int("autopurge.snapRetainCount")?),
            purge_interval_ms: positive(r.hours_ms("autopurge.purgeInterval")?),
            compression: match r.choice("snapshot.compression.method")? {
                "gz" => Compression::Gzip,
                "snappy" => Compression::Snappy,
                _ => Compression::None,
            },
            trust_empty_snapshot: r.flag("snapshot.trust.empty")?,
            serialize_last_processed_zxid: r.flag("serializeLastProcessedZxid.enabled")?,
            data_dir_autocreate: r.flag("datadir.autocreate")?,
            database_autocreate: r.flag("db.autocreate")?,
        })
    }
}

/// Reference `VerifyingFileFactory.warnForRelativePath`: `./` says that it is meant.
pub(crate) fn warn_if_relative(r: &mut Reader, key: &str, path: &Path) {
    let Some(found) = r.sources.entry(key) else { return };
    if path.is_relative() && !path.to_string_lossy().starts_with("./") {
        let text = format!(
            "{key}={} is relative to where the server is started; write ./{} if that is meant",
            found.value, found.value
        );
        r.warn(&found, text);
    }
}

impl Tree {
    pub(crate) fn read(r: &mut Reader) -> Result<Tree, ConfigError> {
        Ok(Tree {
            extended_types: r.flag("extendedTypesEnabled")?,
            emulate_353_ttl_nodes: r.flag("emulate353TTLNodes")?,
            container_check_interval_ms: checked(r.int("znode.container.checkIntervalMs")?),
            containers_per_minute_max: checked(r.int("znode.container.maxPerMinute")?),
            container_never_used_ms_max: positive(r.int("znode.container.maxNeverUsedIntervalMs")?),
            enforce_quota: r.flag("enforceQuota")?,
            skip_acl: r.flag("skipACL")?,
            eager_acl_check: r.flag("enableEagerACLCheck")?,
            digest_enabled: r.flag("digest.enabled")?,
            close_session_txn: r.flag("closeSessionTxn.enabled")?,
        })
    }
}
