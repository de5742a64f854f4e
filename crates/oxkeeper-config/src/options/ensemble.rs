//! Rows of section 5.3 of the inventory, the ensemble: CF084 to CF118.

use super::*;

pub(super) const ROWS: &[OptionDef] = &[
    m("server.*", "A member: host:quorumPort:electionPort[:role][;[address:]clientPort]."),
    m("group.*", "The servers of a group, separated by colons."),
    m("weight.*", "The weight of a server's vote."),
    m("version", "The version of the list of members."),
    z("dynamicConfigFile", path(), "File with the list of members."),
    z(
        "initLimit",
        int_unset(Unit::Ticks, 0, "required in an ensemble"),
        "Time for a learner to connect and to catch up.",
    ),
    z("syncLimit", int_unset(Unit::Ticks, 0, "required in an ensemble"), "Time a learner may be silent."),
    z("connectToLearnerMasterLimit", int_unset(Unit::Ticks, 0, "initLimit"), "Time for a learner to connect."),
    z(
        "electionAlg",
        Kind::Int { unit: Unit::Count, min: 3, max: 3, default: Some(3), unset: "" },
        "Election algorithm; there is only one.",
    ),
    z(
        "peerType",
        Kind::Choice { allowed: &["participant", "observer"], default: "participant" },
        "This server's role; the list of members decides.",
    ),
    z("quorumListenOnAllIPs", flag(false), "Listen for servers at all addresses."),
    z("standaloneEnabled", flag(true), "A list of one voter means a server on its own."),
    z("reconfigEnabled", flag(false), "Members may change while running."),
    g("leaderServes", Kind::Word { word: "no", sets: false }, "The leader serves clients."),
    g("cnxTimeout", int(Unit::Ms, 1, 5000), "Time to reach another server's election port."),
    g(
        "quorumCnxnTimeoutMs",
        int(Unit::Ms, MIN_INT, -1),
        "Time to read from another server's election port; -1 is by tickTime and syncLimit.",
    ),
    g("electionPortBindRetry", int(Unit::Count, 0, 3), "Tries to listen at the election port; 0 is for ever."),
    g("tcpKeepAlive", flag(false), "TCP keep-alive on election connections."),
    z("quorum.cnxn.threads.size", int(Unit::Count, MIN_INT, 20), "Threads that open election connections.").jvm(),
    g("fastleader.minNotificationInterval", int(Unit::Ms, 1, 200), "First wait for votes."),
    g("fastleader.maxNotificationInterval", int(Unit::Ms, 1, 60_000), "Longest wait for votes."),
    g(
        "leader.maxTimeToWaitForEpoch",
        int(Unit::Ms, MIN_INT, -1),
        "How long a leader waits for a quorum; -1 is initLimit.",
    ),
    g("leader.ackLoggingFrequency", int(Unit::Count, 1, 1000), "Every how many acks one is logged.").jvm(),
    g("leader.maxConcurrentSnapSyncs", int(Unit::Count, 1, 10), "Observers that are sent a snapshot at a time."),
    g("leader.maxConcurrentDiffSyncs", int(Unit::Count, 1, 100), "Observers that are sent transactions at a time."),
    g("leaderConnectDelayDuringRetryMs", int(Unit::Ms, 0, 100), "Wait before another try to reach the leader."),
    g("learner.asyncSending", flag(false), "Send to the leader from another thread.")
        .jvm()
        .also(&["learner.asyncSending"]),
    g("learner.closeSocketAsync", flag(false), "Close connections from another thread.")
        .jvm()
        .also(&["learner.closeSocketAsync"]),
    g("leader.closeSocketAsync", flag(false), "Close connections from another thread.")
        .jvm()
        .also(&["leader.closeSocketAsync"]),
    g("forward_learner_requests_to_commit_processor_disabled", flag(false), "A short cut inside the leader.").jvm(),
    g("follower.skipLearnerRequestToNextProcessor", flag(false), "A short cut inside a follower.").jvm(),
    g("commitProcessor.numWorkerThreads", int_unset(Unit::Count, 0, "cores"), "Threads that answer.").jvm(),
    g("commitProcessor.maxReadBatchSize", int(Unit::Count, MIN_INT, -1), "Reads between commits.").jvm(),
    g("commitProcessor.maxCommitBatchSize", int(Unit::Count, MIN_INT, 1), "Commits between reads.").jvm(),
    g("commitProcessor.shutdownTimeout", long(Unit::Ms, i64::MIN, 5000), "Wait for those threads at the end.").jvm(),
    g("observerMaster.sizeLimit", int(Unit::Bytes, 1, 33_554_432), "Transactions a follower keeps for its observers.")
        .not_yet(),
    g("observer.reconnectDelayMs", long(Unit::Ms, 0, 0), "Wait before an observer connects again."),
    g(
        "testingonly.initialZxid",
        // One is left before the last.
        Kind::Int { unit: Unit::Count, min: 0, max: 0xffff_fffd, default: Some(0), unset: "" },
        "For tests alone: what a leader's counter begins behind.",
    ),
    g("observer.election.DelayMs", long(Unit::Ms, 0, 200), "Wait before an observer asks for the leader again."),
    z("multiAddress.enabled", flag(false), "Several addresses for one server.")
        .also(&["zookeeper.multiAddress.enabled"]),
    z("multiAddress.reachabilityCheckEnabled", flag(true), "Find out which address of a server works.")
        .jvm()
        .also(&["zookeeper.multiAddress.reachabilityCheckEnabled"]),
    z("multiAddress.reachabilityCheckTimeoutMs", int(Unit::Ms, 1, 1000), "Time for that.")
        .jvm()
        .also(&["zookeeper.multiAddress.reachabilityCheckTimeoutMs"]),
    z("oraclePath", path(), "File that decides for one of two servers.").not_yet(),
    g("messageTracker.Enabled", flag(false), "Keep the last packets of each learner.").not_yet(),
    g("messageTracker.BufferSize", int(Unit::Count, 1, 10), "How many packets.").not_yet(),
    d("leader.nodelay", flag(true), "TCP_NODELAY on the leader's connections."),
    d("follower.nodelay", flag(true), "TCP_NODELAY on a learner's connection."),
    g("ensembleAuthName", Kind::List { default: "" }, "Names of the ensemble that clients may ask for."),
];
