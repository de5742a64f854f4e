//! Rows of section 5.1 of the inventory, basics and storage: CF012 to CF046.

use super::*;

pub(super) const ROWS: &[OptionDef] = &[
    z("clientPort", port_unset(), "Plain client port; 0 takes any free one."),
    z("clientPortAddress", Kind::Host { default: "all addresses" }, "Address that clientPort listens at."),
    z("secureClientPort", port_unset(), "TLS client port; 0 takes any free one.").not_yet(),
    z("secureClientPortAddress", Kind::Host { default: "all addresses" }, "Address that secureClientPort listens at.")
        .not_yet(),
    z(
        "observerMasterPort",
        Kind::Int { unit: Unit::Port, min: MIN_INT, max: 65535, default: Some(0), unset: "" },
        "Port where a follower serves observers; 0 switches it off.",
    )
    .not_yet(),
    z(
        "clientPortListenBacklog",
        int(Unit::Count, -1, -1),
        "Connections that may wait to be accepted; -1 leaves it to the system.",
    ),
    z("dataDir", Kind::Path { unset: "required" }, "Directory of snapshots and myid."),
    z("dataLogDir", Kind::Path { unset: "dataDir" }, "Directory of transaction logs."),
    z("tickTime", int(Unit::Ms, 1, 3000), "Base unit of time."),
    z("minSessionTimeout", int_unset(Unit::Ms, -1, "2 x tickTime"), "Shortest session timeout a client gets."),
    z("maxSessionTimeout", int_unset(Unit::Ms, -1, "20 x tickTime"), "Longest session timeout a client gets."),
    z("maxClientCnxns", int(Unit::Count, MIN_INT, 60), "Connections from one address; 0 is no limit."),
    g("maxCnxns", int(Unit::Count, MIN_INT, 0), "Connections in all; 0 is no limit."),
    g(
        "globalOutstandingLimit",
        int(Unit::Count, 1, 1000),
        "Requests in the server before it stops reading; shared out among the followers.",
    ),
    g("preAllocSize", long(Unit::Kib, 0, 65536), "How much of a log file is allocated ahead."),
    g("snapCount", int(Unit::Count, 2, 100_000), "Transactions between snapshots.").clamped(),
    g(
        "snapSizeLimitInKb",
        long(Unit::Kib, i64::MIN, 4_194_304),
        "Log size between snapshots; 0 or less switches it off.",
    ),
    g(
        "txnLogSizeLimitInKb",
        long(Unit::Kib, i64::MIN, -1),
        "Size at which a new log file begins; 0 or less switches it off.",
    ),
    g("commitLogCount", int(Unit::Count, 1, 500), "Committed transactions kept in memory for learners."),
    g("fsync.warningthresholdms", long(Unit::Ms, 0, 1000), "A sync that takes longer is warned of.")
        .also(&["fsync.warningthresholdms"]),
    z("autopurge.snapRetainCount", int(Unit::Count, 3, 3), "Snapshots that the purge keeps.").clamped(),
    z("autopurge.purgeInterval", Kind::Hours { default_ms: 0 }, "Time between purges; 0 switches them off."),
    g(
        "snapshot.compression.method",
        Kind::Choice { allowed: &["", "gz", "snappy"], default: "" },
        "Compression of snapshots.",
    ),
    g("snapshot.trust.empty", flag(false), "Start from logs without a snapshot."),
    g(
        "snapshotSizeFactor",
        Kind::Float { min: f64::MIN, max: 1.0, default: 0.33 },
        "Logs sent from disk to a learner, as a share of the snapshot; less than 0 sends none.",
    ),
    g("forceSnapshotSync", flag(false), "Always send learners a snapshot; for tests."),
    g("serializeLastProcessedZxid.enabled", flag(true), "End snapshots with the last zxid."),
    g("digest.enabled", flag(true), "Keep digests of the tree."),
    g("closeSessionTxn.enabled", flag(true), "List the deleted paths in the transaction that closes a session."),
    g("datadir.autocreate", flag(true), "Make missing data directories."),
    g("db.autocreate", flag(true), "Trust an empty database at the first start."),
    z("syncEnabled", flag(true), "Whether observers write logs and snapshots.")
        .also(&["zookeeper.observer.syncEnabled"]),
    g("forceSync", Kind::Word { word: "no", sets: false }, "Sync logs to disk before answering; 'no' risks data."),
    g("flushDelay", long(Unit::Ms, 0, 0), "How long a transaction may wait for others to share a sync with."),
    g(
        "maxWriteQueuePollTime",
        Kind::Int { unit: Unit::Ms, min: 0, max: i64::MAX, default: None, unset: "flushDelay / 3" },
        "How long to wait for another transaction before a sync.",
    ),
    g("maxBatchSize", int(Unit::Count, 0, 1000), "Transactions that share a sync at most; 0 is no limit."),
];
