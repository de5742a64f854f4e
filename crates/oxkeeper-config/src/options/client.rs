//! Rows of section 5.2 of the inventory, what clients meet: CF047 to CF083.

use super::*;

pub(super) const ROWS: &[OptionDef] = &[
    d("jute.maxbuffer", int(Unit::Bytes, 1, 1_048_575), "Longest request; the same on servers, tools and clients."),
    g(
        "jute.maxbuffer.extrasize",
        int_unset(Unit::Bytes, 1024, "jute.maxbuffer"),
        "What a record may be longer than jute.maxbuffer once wrapped.",
    )
    .clamped(),
    d("readonlymode.enabled", flag(false), "Serve reads while cut off from the others."),
    z("localSessionsEnabled", flag(false), "Sessions that only their own server knows.").not_yet(),
    z("localSessionsUpgradingEnabled", flag(false), "Make a local session global when it needs it.").not_yet(),
    g("extendedTypesEnabled", flag(false), "Nodes with a time to live."),
    g("emulate353TTLNodes", flag(false), "Mark such nodes as release 3.5.3 did."),
    d("znode.container.checkIntervalMs", int(Unit::Ms, 1, 60_000), "Time between searches for empty containers."),
    d("znode.container.maxPerMinute", int(Unit::Count, 1, 10_000), "Containers deleted in a minute at most."),
    d(
        "znode.container.maxNeverUsedIntervalMs",
        long(Unit::Ms, 0, 0),
        "Age at which a container that never had a child is deleted; 0 never.",
    ),
    g("enforceQuota", flag(false), "Refuse writes over a hard quota."),
    g("maxResponseCacheSize", int(Unit::Count, MIN_INT, 400), "Size of the cache of data replies.").jvm(),
    g("maxGetChildrenResponseCacheSize", int(Unit::Count, MIN_INT, 400), "Size of the cache of children replies.")
        .jvm(),
    g("watchManagerName", TEXT, "Class that keeps the watches.").jvm(),
    g("watcherCleanThreadsNum", int(Unit::Count, MIN_INT, 2), "Threads that clean up watches.").jvm(),
    g("watcherCleanThreshold", int(Unit::Count, MIN_INT, 1000), "Dead watchers before a clean-up.").jvm(),
    g("watcherCleanIntervalInSeconds", int(Unit::Seconds, MIN_INT, 600), "Time between clean-ups of watches.").jvm(),
    g("maxInProcessingDeadWatchers", int(Unit::Count, MIN_INT, -1), "Dead watchers that may wait for the clean-up.")
        .jvm(),
    g("bitHashCacheSize", int(Unit::Count, MIN_INT, 10), "Cache of a set of watches.").jvm(),
    g(
        "connection_throttle_tokens",
        int(Unit::Count, MIN_INT, 0),
        "Bucket of new connections; 0 switches the throttle off.",
    ),
    g("connection_throttle_fill_time", int(Unit::Ms, 1, 1), "Time between refills of the bucket."),
    g("connection_throttle_fill_count", int(Unit::Count, 0, 1), "Tokens that a refill adds."),
    g(
        "connection_throttle_freeze_time",
        int(Unit::Ms, MIN_INT, -1),
        "Time between changes of the share of dropped connections; -1 drops none early.",
    ),
    g(
        "connection_throttle_drop_increase",
        Kind::Float { min: 0.0, max: 1.0, default: 0.02 },
        "Step up of the share of dropped connections.",
    ),
    g(
        "connection_throttle_drop_decrease",
        Kind::Float { min: 0.0, max: 1.0, default: 0.002 },
        "Step down of the share of dropped connections.",
    ),
    g(
        "connection_throttle_decrease_ratio",
        Kind::Float { min: 0.0, max: 1.0, default: 0.0 },
        "Fill of the bucket above which the share goes down.",
    ),
    g("connection_throttle_weight_enabled", flag(false), "Weigh connections by kind of session."),
    g("connection_throttle_global_session_weight", int(Unit::Count, 1, 3), "Tokens for a new global session."),
    g("connection_throttle_local_session_weight", int(Unit::Count, 1, 1), "Tokens for a new local session.").not_yet(),
    g("connection_throttle_renew_session_weight", int(Unit::Count, 1, 2), "Tokens for a session that comes back."),
    g(
        "request_throttle_max_requests",
        int(Unit::Count, MIN_INT, 0),
        "Requests in the server before new ones wait; 0 is no limit.",
    ),
    g("request_throttle_stall_time", int(Unit::Ms, 0, 100), "How long such a request waits before it tries again."),
    g("request_throttle_drop_stale", flag(true), "Drop waiting requests that nobody waits for."),
    g("request_stale_latency_check", flag(false), "A request is stale once its session's timeout has passed."),
    g("request_stale_connection_check", flag(true), "A request is stale once its connection is closed."),
    g("request_throttler.shutdownTimeout", int(Unit::Ms, 0, 10_000), "How long a stop waits for requests.").not_yet(),
    g(
        "throttled_op_wait_time",
        int(Unit::Ms, MIN_INT, 0),
        "Wait after which a request is answered 'throttled'; 0 never.",
    ),
    g(
        "largeRequestThreshold",
        int(Unit::Bytes, MIN_INT, -1),
        "Size from which a request counts as large; -1 none does.",
    ),
    g("largeRequestMaxBytes", int(Unit::Bytes, 1, 104_857_600), "Bytes of large requests in the server at most."),
    g("clientTcpKeepAlive", flag(false), "TCP keep-alive on client connections."),
    g("skipACL", Kind::Word { word: "yes", sets: true }, "Do not check ACLs."),
    g("enableEagerACLCheck", flag(false), "Check ACLs before a write goes to the leader."),
    g("4lw.commands.whitelist", Kind::List { default: "srvr" }, "Four-letter words that are answered; * is all."),
    g("allowSaslFailedClients", flag(false), "Keep a connection whose SASL exchange failed.").not_yet(),
    g("nio.numSelectorThreads", int_unset(Unit::Count, 1, "by cores"), "Threads of the client port."),
    g("nio.numWorkerThreads", int_unset(Unit::Count, 0, "2 x cores"), "Further threads of the client port.").jvm(),
    g("nio.directBufferBytes", int(Unit::Bytes, MIN_INT, 65536), "Buffers outside the Java heap.").jvm(),
    g("nio.shutdownTimeout", long(Unit::Ms, i64::MIN, 5000), "Wait for worker threads at the end.").jvm(),
    g("intBufferStartingSizeBytes", int(Unit::Bytes, MIN_INT, 1024), "First size of a buffer.").jvm(),
    g("netty.advancedFlowControl.enabled", flag(false), "Flow control of one of the reference's client ports.").jvm(),
    g("nio.sessionlessCnxnTimeout", int(Unit::Ms, 1, 10_000), "How long a connection may take to open a session."),
    g("serverCnxnFactory", TEXT, "Class of the client port; there is one kind here.").jvm(),
    g(
        "netty.server.outstandingHandshake.limit",
        int(Unit::Count, MIN_INT, -1),
        "TLS handshakes at a time; -1 is no limit.",
    )
    .not_yet(),
    g("netty.server.earlyDropSecureConnectionHandshakes", flag(false), "Refuse TLS handshakes while no server runs.")
        .not_yet(),
    g("pathStats.enabled", flag(false), "Statistics of requests by path.").not_yet(),
    g("pathStats.slotCapacity", int(Unit::Count, 1, 60), "Slots of the statistics.").not_yet(),
    g("pathStats.slotDuration", int(Unit::Seconds, 1, 15), "Length of a slot.").not_yet(),
    g("pathStats.maxDepth", int(Unit::Count, 1, 6), "Depth of the paths counted.").not_yet(),
    g("pathStats.topPathMax", int(Unit::Count, 1, 20), "Paths shown.").not_yet(),
    g("pathStats.sampleRate", Kind::Float { min: 0.0, max: 1.0, default: 0.1 }, "Share of the requests counted.")
        .not_yet(),
    g("pathStats.initialDelay", long(Unit::Minutes, 0, 5), "Time before the first output.").not_yet(),
    g("pathStats.delay", long(Unit::Minutes, 0, 5), "Time between outputs.").not_yet(),
];
