//! Each key of the configuration arrives where it is obeyed: its default, and another value.

use super::*;
use oxkeeper_config::{Inputs, MainSource};

const MEMBERS: &str =
    "initLimit=10\nsyncLimit=5\nserver.1=127.0.0.1:1:2;0\nserver.2=127.0.0.1:3:4;0\nserver.3=127.0.0.1:5:6;0";

/// The settings of a file with these lines, in an ensemble or not.
fn settings(lines: &str, ensemble: bool) -> Settings {
    try_settings(lines, ensemble).expect(lines)
}

fn try_settings(lines: &str, ensemble: bool) -> io::Result<Settings> {
    let members = if ensemble { MEMBERS } else { "" };
    try_settings_of(lines, members)
}

fn try_settings_of(lines: &str, members: &str) -> io::Result<Settings> {
    let ensemble = !members.is_empty();
    let text = format!("dataDir=/data\nclientPort=0\n{members}\n{lines}\n");
    let inputs = Inputs { main: MainSource::File { path: "zoo.cfg".into(), text }, ..Inputs::default() };
    let mut read = |path: &std::path::Path| Ok(path.ends_with("myid").then(|| "1".to_owned()).filter(|_| ensemble));
    Settings::from_config(&Config::load(&inputs, &mut read).expect(lines), 7)
}

/// What a setting is at last, as text.
type Told = fn(&Settings) -> String;

/// A line of zoo.cfg, what is told without it, and what with it.
type Case = (&'static str, &'static str, &'static str, Told);

fn each_arrives(cases: &[Case], ensemble: bool) {
    for (line, default, changed, told) in cases {
        assert_eq!(told(&settings("", ensemble)), *default, "without {line}");
        assert_eq!(told(&settings(line, ensemble)), *changed, "{line}");
    }
}

#[test]
fn keys_of_the_client_port_arrive() {
    let cases: &[Case] = &[
        ("clientPortListenBacklog=9", "-1", "9", |s| s.edge.listen_backlog.to_string()),
        ("clientTcpKeepAlive=true", "false", "true", |s| s.edge.tcp_keep_alive.to_string()),
        ("globalOutstandingLimit=30", "1000", "30", |s| s.edge.outstanding_max.to_string()),
        ("nio.numSelectorThreads=3", default_threads(), "3", |s| s.edge.threads.to_string()),
        ("connection_throttle_tokens=4", "0", "4", |s| s.edge.throttle.tokens.to_string()),
        ("connection_throttle_fill_time=5", "Millis(1)", "Millis(5)", |s| format!("{:?}", s.edge.throttle.fill_time)),
        ("connection_throttle_fill_count=6", "1", "6", |s| s.edge.throttle.fill_count.to_string()),
        ("connection_throttle_freeze_time=7", "None", "Some(Millis(7))", |s| {
            format!("{:?}", s.edge.throttle.freeze_time)
        }),
        ("connection_throttle_drop_increase=0.5", "0.02", "0.5", |s| s.edge.throttle.drop_increase.to_string()),
        ("connection_throttle_drop_decrease=0.25", "0.002", "0.25", |s| s.edge.throttle.drop_decrease.to_string()),
        ("connection_throttle_decrease_ratio=0.75", "0", "0.75", |s| s.edge.throttle.decrease_ratio.to_string()),
        ("connection_throttle_weight_enabled=true", "false", "true", |s| s.edge.throttle.weights.is_some().to_string()),
        ("request_throttle_max_requests=8", "0", "8", |s| s.edge.requests_max.to_string()),
        ("request_throttle_stall_time=9", "Millis(100)", "Millis(9)", |s| format!("{:?}", s.edge.stall_time)),
        ("request_throttle_drop_stale=false", "true", "false", |s| s.edge.drop_stale.to_string()),
        ("request_stale_latency_check=true", "false", "true", |s| s.edge.stale_by_latency.to_string()),
        ("request_stale_connection_check=false", "true", "false", |s| s.edge.stale_by_connection.to_string()),
        ("throttled_op_wait_time=11", "None", "Some(Millis(11))", |s| format!("{:?}", s.edge.throttled_op_wait)),
        ("largeRequestThreshold=12", "None", "Some(12)", |s| format!("{:?}", s.edge.large_request_bytes)),
        ("largeRequestMaxBytes=13", "104857600", "13", |s| s.edge.large_requests_bytes_max.to_string()),
    ];
    each_arrives(cases, false);
}

#[test]
fn session_weights_are_those_of_the_reference_and_can_be_set() {
    let weights = |lines: &str| {
        settings(&format!("connection_throttle_weight_enabled=true\n{lines}"), false).edge.throttle.weights
    };
    let default = weights("").expect("they are on");
    assert_eq!((default.new_session, default.resumed_session), (3, 2));
    let set = weights("connection_throttle_global_session_weight=8\nconnection_throttle_renew_session_weight=7")
        .expect("they are on");
    assert_eq!((set.new_session, set.resumed_session), (8, 7));
}

#[test]
fn followers_share_the_limit_of_outstanding_requests() {
    assert_eq!(settings("globalOutstandingLimit=30", true).edge.outstanding_max, 15, "three voters: two shares");
    assert_eq!(settings("globalOutstandingLimit=30", false).edge.outstanding_max, 30);
}

#[test]
fn acls_are_checked_eagerly_in_an_ensemble_only() {
    let eager = |ensemble| settings("enableEagerACLCheck=true", ensemble).replica.eager_acl_check;
    assert_eq!([eager(true), eager(false)], [true, false]);
}

#[test]
fn an_observer_alone_can_do_without_log_and_snapshots() {
    let kept = |lines: &str, members: &str| {
        let settings = try_settings_of(lines, members).expect(lines);
        let replica = settings.replica;
        (settings.files.keeps_log, replica.snap_count, replica.snap_size_limit_bytes)
    };
    let (observer, all) = (MEMBERS.replace("1:2;0", "1:2:observer;0"), (true, 100_000, Some(4 << 30)));
    assert_eq!(kept("syncEnabled=false", &observer), (false, u64::MAX, None));
    assert_eq!(kept("", &observer), all);
    assert_eq!(kept("syncEnabled=false", MEMBERS), all, "a voter");
    assert_eq!(kept("syncEnabled=false", ""), all, "a server on its own");
    assert_eq!(kept("syncEnabled=false\nreconfigEnabled=true", &observer), all, "it may become a voter");
}

#[test]
fn keys_of_the_tree_and_its_files_arrive() {
    let cases: &[Case] = &[
        ("snapshot.trust.empty=true", "false", "true", |s| s.files.recover.trust_empty_snapshot.to_string()),
        ("serializeLastProcessedZxid.enabled=false", "true", "false", |s| s.files.snapshot.last_processed.to_string()),
        ("closeSessionTxn.enabled=false", "true", "false", |s| s.replica.close_session_txn.to_string()),
        ("datadir.autocreate=false", "true", "false", |s| s.files.recover.directory_autocreate.to_string()),
        ("db.autocreate=false", "true", "false", |s| s.files.recover.database_autocreate.to_string()),
        ("emulate353TTLNodes=true", "false", "true", |s| s.replica.owner_rules.emulate_353_ttl.to_string()),
        ("znode.container.checkIntervalMs=5", "Millis(60000)", "Millis(5)", |s| {
            format!("{:?}", s.replica.container_check_interval)
        }),
        ("znode.container.maxPerMinute=6", "10000", "6", |s| s.replica.containers_per_minute_max.to_string()),
        ("znode.container.maxNeverUsedIntervalMs=7", "None", "Some(Millis(7))", |s| {
            format!("{:?}", s.replica.container_never_used_max)
        }),
        ("DigestAuthenticationProvider.enabled=false", "true", "false", |s| s.replica.auth.digest_enabled.to_string()),
        ("DigestAuthenticationProvider.digestAlg=SHA-256", "Sha1", "Sha256", |s| {
            format!("{:?}", s.replica.auth.digest_algorithm)
        }),
        ("forceSync=no", "true", "false", |s| s.files.log.force_sync.to_string()),
        ("fsync.warningthresholdms=8", "1s", "8ms", |s| format!("{:?}", s.files.slow_sync)),
        ("autopurge.snapRetainCount=9", "3", "9", |s| s.files.snapshots_kept.to_string()),
        ("autopurge.purgeInterval=2", "None", "Some(7200s)", |s| format!("{:?}", s.files.purge_interval)),
    ];
    each_arrives(cases, false);
}

#[test]
fn keys_of_an_ensemble_arrive() {
    let cases: &[Case] = &[
        ("commitLogCount=9", "500", "9", |s| member(s).zab.commit_log_count.to_string()),
        ("snapshotSizeFactor=0.5", "0.33", "0.5", |s| member(s).peers.history_factor.to_string()),
        ("snapshotSizeFactor=-1", "true", "false", |s| member(s).zab.sync_from_disk.to_string()),
        ("quorumListenOnAllIPs=true", "false", "true", |s| member(s).peers.listen_on_all.to_string()),
        ("tcpKeepAlive=true", "false", "true", |s| member(s).peers.keep_alive.to_string()),
        ("leader.maxTimeToWaitForEpoch=77", "None", "Some(Millis(77))", |s| {
            format!("{:?}", member(s).zab.epoch_wait_max)
        }),
        ("leader.maxConcurrentSnapSyncs=5", "10", "5", |s| member(s).zab.snapshot_syncs_max.to_string()),
        ("leader.maxConcurrentDiffSyncs=6", "100", "6", |s| member(s).zab.diff_syncs_max.to_string()),
        ("leaderConnectDelayDuringRetryMs=8", "100ms", "8ms", |s| format!("{:?}", member(s).peers.leader_retry_delay)),
        ("observer.reconnectDelayMs=9", "0ns", "9ms", |s| format!("{:?}", member(s).peers.observer_reconnect_delay)),
        ("observer.election.DelayMs=10", "Millis(200)", "Millis(10)", |s| {
            format!("{:?}", member(s).zab.observer_election_delay)
        }),
        ("quorumCnxnTimeoutMs=12", "15s", "12ms", |s| format!("{:?}", member(s).peers.greeting_timeout)),
        ("electionPortBindRetry=13", "Some(3)", "Some(13)", |s| format!("{:?}", member(s).peers.bind_retries_max)),
        ("electionPortBindRetry=0", "Some(3)", "None", |s| format!("{:?}", member(s).peers.bind_retries_max)),
        ("leader.nodelay=false", "true", "false", |s| member(s).peers.leader_no_delay.to_string()),
        ("follower.nodelay=false", "true", "false", |s| member(s).peers.learner_no_delay.to_string()),
        ("leaderServes=no", "true", "false", |s| s.replica.leader_serves.to_string()),
        ("fastleader.minNotificationInterval=11", "Millis(200)", "Millis(11)", |s| {
            format!("{:?}", member(s).zab.notification_min)
        }),
        ("multiAddress.enabled=true", "false", "true", |s| member(s).peers.multi_address.to_string()),
    ];
    each_arrives(cases, true);
}

fn member(settings: &Settings) -> &EnsembleSettings {
    settings.ensemble.as_ref().expect("an ensemble's")
}

fn default_threads() -> &'static str {
    Box::leak(EdgeOptions::default().threads.to_string().into_boxed_str())
}

#[test]
fn an_ensemble_that_is_to_be_protected_does_not_start_in_the_open() {
    for line in ["sslQuorum=true", "quorum.auth.enableSasl=true"] {
        let error = try_settings(line, true).expect_err(line);
        assert!(error.to_string().contains(line), "{error}");
    }
}
