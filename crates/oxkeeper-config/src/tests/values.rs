//! Where values come from, and what each kind of them may look like.

use super::*;

// Sources

#[test]
fn without_a_file_there_are_defaults() {
    let config = Config::load(&Inputs::default(), &mut reading(&[])).unwrap();
    assert_eq!(config.client.client_address.as_ref().unwrap().to_string(), "0.0.0.0:2181");
    assert_eq!(config.storage.data_dir, PathBuf::from("./oxkeeper-data"));
    assert_eq!((config.warnings, config.config_file), (vec![], None));
}

#[test]
fn defaults_are_those_of_the_reference() {
    let c = load("");
    assert_eq!((c.sessions.tick_time_ms, c.sessions.timeout_min_ms, c.sessions.timeout_max_ms), (3000, 6000, 60000));
    assert_eq!((c.client.connections_per_address_max, c.client.connections_max), (Some(60), None));
    assert_eq!((c.client.request_bytes_max, c.client.request_extra_bytes), (1_048_575, 1_048_575));
    assert_eq!(c.client.handshake_timeout_ms, 10_000);
    assert_eq!((c.limits.large_request_bytes, c.limits.large_requests_bytes_max), (None, 104_857_600));
    assert_eq!((c.storage.snap_count, c.storage.snap_size_limit_bytes), (100_000, Some(4 << 30)));
    assert_eq!((c.storage.log_allocation_bytes, c.storage.log_size_limit_bytes), (64 << 20, None));
    assert_eq!((c.storage.snap_retain_count, c.storage.purge_interval_ms), (3, None));
    assert_eq!((c.storage.force_sync, c.storage.compression), (true, Compression::None));
    let batches = (c.storage.flush_delay_ms, c.storage.write_queue_poll_ms_max, c.storage.batch_transactions_max);
    assert_eq!(batches, (0, 0, Some(1000)));
    assert_eq!((c.tree.enforce_quota, c.tree.eager_acl_check, c.client.read_only_mode), (false, false, false));
    assert_eq!(c.storage.data_log_dir, PathBuf::from("/data"));
    assert_eq!((c.tree.skip_acl, c.tree.extended_types, c.tree.digest_enabled), (false, false, true));
    assert_eq!((c.admin.enabled, c.admin.address.to_string()), (true, "0.0.0.0:8080".to_string()));
    assert_eq!(c.metrics.provider, MetricsProvider::Default);
    assert_eq!((c.security.client_tls.client_auth, c.security.fips_mode), (ClientAuth::Need, true));
    assert!(!c.security.client_tls.client_hostname_verification && c.security.quorum_tls.client_hostname_verification);
    assert!(c.client.four_letter_words.allows("srvr") && !c.client.four_letter_words.allows("ruok"));
    assert!(c.ensemble.is_none() && c.warnings.is_empty());
}

#[test]
fn the_short_form_takes_two_to_four_words() {
    let c = Config::from_args("0", "/d", Some("2000"), Some("7")).unwrap();
    assert_eq!((c.client.client_address.unwrap().port(), c.storage.data_dir), (0, PathBuf::from("/d")));
    assert_eq!((c.sessions.timeout_max_ms, c.client.connections_per_address_max), (40_000, Some(7)));
    assert_eq!(
        Config::from_args("x", "/d", None, None).unwrap_err().to_string(),
        "command line: clientPort=x: expected a whole number (a port) from 0 to 65535"
    );
    let one = Inputs { main: MainSource::Arguments(vec!["1".to_string()]), ..Inputs::default() };
    assert_eq!(
        Config::load(&one, &mut reading(&[])).unwrap_err().to_string(),
        "command line: 1 arguments; expected a configuration file, or: port dataDir [tickTime] [maxClientCnxns]"
    );
}

#[test]
fn the_file_beats_properties_and_the_command_line_beats_the_environment() {
    let mut inputs = inputs(&base("snapCount=7"));
    inputs.jvmflags = "-Dzookeeper.snapCount=8 -Dzookeeper.commitLogCount=9 -Dzookeeper.enforceQuota=true".to_string();
    inputs.properties = vec![("zookeeper.commitLogCount".to_string(), "10".to_string())];
    let c = Config::load(&inputs, &mut reading(&[])).unwrap();
    assert_eq!((c.storage.snap_count, c.storage.commit_log_count, c.tree.enforce_quota), (7, 10, true));
    assert_eq!(warnings(&c), Vec::<String>::new());
}

#[test]
fn keys_that_the_reference_reads_as_properties_only_may_stand_in_the_file() {
    let c = load(
        "jute.maxbuffer=4194304\nreadonlymode.enabled=true\nznode.container.checkIntervalMs=5\nznode.container.maxPerMinute=6\n\
         znode.container.maxNeverUsedIntervalMs=7\njava.security.auth.login.config=/jaas.conf\nfsync.warningthresholdms=8",
    );
    assert_eq!((c.client.request_bytes_max, c.client.request_extra_bytes), (4_194_304, 4_194_304));
    assert!(c.client.read_only_mode && c.client.four_letter_words.allows("isro"));
    assert_eq!((c.tree.container_check_interval_ms, c.tree.containers_per_minute_max), (5, 6));
    assert_eq!(c.tree.container_never_used_ms_max, Some(7));
    assert_eq!(c.security.jaas_file, Some(PathBuf::from("/jaas.conf")));
    // The two that are read and not obeyed yet are named in one warning, and jute.maxbuffer in another; nothing else is wrong.
    assert_eq!((c.storage.fsync_warning_threshold_ms, c.warnings.len()), (8, 2));
    let c = with_property("", "fsync.warningthresholdms", "20");
    assert_eq!(c.storage.fsync_warning_threshold_ms, 20);
    assert_eq!(with_property("", "jute.maxbuffer", "0x100000").client.request_bytes_max, 1 << 20);
}

#[test]
fn the_extra_size_is_added_and_has_a_floor() {
    let sizes = |text: &str| {
        let c = load(text);
        (c.client.request_extra_bytes, c.client.record_bytes_max, c.warnings.len())
    };
    assert_eq!(sizes(""), (1_048_575, 2_097_150, 0));
    assert_eq!(sizes("jute.maxbuffer=5000"), (5000, 10_000, 1));
    assert_eq!(sizes("jute.maxbuffer=5000\njute.maxbuffer.extrasize=2000"), (2000, 7000, 1));
    assert_eq!(sizes("jute.maxbuffer=128"), (1024, 1152, 1), "a small limit leaves no less room for headers");
    assert_eq!(sizes("jute.maxbuffer.extrasize=10"), (1024, 1_049_599, 1));
    let most = i32::MAX as u32;
    assert_eq!(sizes("jute.maxbuffer=2147483647"), (most, most, 1));
}

#[test]
fn a_limit_of_requests_that_stands_in_the_file_alone_is_warned_of() {
    let said = warnings(&load("\njute.maxbuffer=4194304"));
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("zoo.cfg:2: jute.maxbuffer=4194304 is obeyed here, but ZooKeeper ignores it in a file:"),
        "{said:?}"
    );
    assert_eq!(warnings(&with_property("", "jute.maxbuffer", "4194304")), Vec::<String>::new());
    assert_eq!(warnings(&with_property("jute.maxbuffer=4194304", "jute.maxbuffer", "4194304")), Vec::<String>::new());
}

#[test]
fn unknown_properties_are_kept_for_whoever_asks() {
    let mut inputs = inputs(&base("myKey=1\ntickTime=9\nsnapCount=3\nwatchManagerName=x"));
    inputs.properties = vec![("java.io.tmpdir".to_string(), "/t".to_string())];
    let c = Config::load(&inputs, &mut reading(&[])).unwrap();
    let expected = [("java.io.tmpdir", "/t"), ("zookeeper.myKey", "1"), ("zookeeper.watchManagerName", "x")];
    assert_eq!(c.properties, BTreeMap::from(expected.map(|(k, v)| (k.to_string(), v.to_string()))));
}

// Kinds of values

#[test]
fn wrong_values_of_the_file_stop_the_start() {
    let check = |text: &str, expected: &str| assert_eq!(refused(text), expected);
    check("\ntickTime=abc", "zoo.cfg:2: tickTime=abc: expected a whole number of milliseconds from 1 to 2147483647");
    check("tickTime=0", "zoo.cfg:1: tickTime=0: expected a whole number of milliseconds from 1 to 2147483647");
    check("tickTime=0x10", "zoo.cfg:1: tickTime=0x10: expected a whole number of milliseconds from 1 to 2147483647");
    check("clientPort=70000", "zoo.cfg:1: clientPort=70000: expected a whole number (a port) from 0 to 65535");
    check("clientPort=", "zoo.cfg:1: clientPort=: expected a whole number (a port) from 0 to 65535");
    check("localSessionsEnabled=yes", "zoo.cfg:1: localSessionsEnabled=yes: expected true or false");
    check("peerType=boss", "zoo.cfg:1: peerType=boss: expected one of participant, observer");
    check("electionAlg=0", "zoo.cfg:1: electionAlg=0: expected 3");
    check(
        "autopurge.purgeInterval=1w",
        "zoo.cfg:1: autopurge.purgeInterval=1w: expected a whole number of hours, or a number with one of ms, s, m, h, d",
    );
    check(
        "clientPort=1\nclientPortAddress=a b",
        "zoo.cfg:2: clientPortAddress=a b: expected a host name or an address",
    );
    check("initLimit=-1", "zoo.cfg:1: initLimit=-1: expected a whole number of ticks from 0 to 2147483647");
    check(
        "metricsProvider.className=my.Provider",
        "zoo.cfg:1: metricsProvider.className=my.Provider: expected one of \
         org.apache.zookeeper.metrics.impl.DefaultMetricsProvider, org.apache.zookeeper.metrics.impl.NullMetricsProvider, \
         org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    );
    check("x=\\u00", "zoo.cfg:1: \\u is not followed by four hexadecimal digits; write a backslash as \\\\");
}

#[test]
fn wrong_values_of_generic_keys_are_warned_of_and_the_default_is_used() {
    let check = |text: &str, expected: &str| {
        let c = load(text);
        assert_eq!(warnings(&c), [expected]);
        c
    };
    let c = check(
        "snapCount=many",
        "zoo.cfg:1: snapCount=many: expected a whole number from 2 to 2147483647; the default is used: 100000",
    );
    assert_eq!(c.storage.snap_count, 100_000);
    let c = check("snapCount=1", "zoo.cfg:1: snapCount=1 is not a whole number from 2 to 2147483647; 2 is used");
    assert_eq!(c.storage.snap_count, 2);
    let c = check(
        "autopurge.snapRetainCount=1",
        "zoo.cfg:1: autopurge.snapRetainCount=1 is not a whole number from 3 to 2147483647; 3 is used",
    );
    assert_eq!(c.storage.snap_retain_count, 3);
    check(
        "commitLogCount=0",
        "zoo.cfg:1: commitLogCount=0: expected a whole number from 1 to 2147483647; the default is used: 500",
    );
    check(
        "snapshotSizeFactor=2",
        "zoo.cfg:1: snapshotSizeFactor=2: expected a number of at most 1; the default is used: 0.33",
    );
    check(
        "snapshotSizeFactor=big",
        "zoo.cfg:1: snapshotSizeFactor=big: expected a number of at most 1; the default is used: 0.33",
    );
    check(
        "snapshot.compression.method=zip",
        "zoo.cfg:1: snapshot.compression.method=zip: expected one of nothing, gz, snappy; the default is used: nothing",
    );
    check("enforceQuota=yes", "zoo.cfg:1: enforceQuota=yes counts as false: only 'true' is true");
    assert_eq!(
        warnings(&load("admin.serverPort=x")),
        [
            "not supported yet, and without effect: admin.serverPort",
            "zoo.cfg:1: admin.serverPort=x: expected a whole number (a port) from 0 to 65535; the default is used: 8080"
        ]
    );
    let c = with_property("", "zookeeper.maxCnxns", "1,5");
    assert_eq!(
        warnings(&c),
        ["command line: -Dzookeeper.maxCnxns=1,5: expected a whole number; the default is used: 0"]
    );
}

#[test]
fn generic_numbers_are_decimal_hexadecimal_or_octal() {
    assert_eq!(load("snapCount=0x10").storage.snap_count, 16);
    assert_eq!(load("snapCount=010").storage.snap_count, 8);
    assert_eq!(load("maxBatchSize=0").storage.batch_transactions_max, None);
    assert_eq!(load("txnLogSizeLimitInKb=16").storage.log_size_limit_bytes, Some(16384));
    assert_eq!(load("snapSizeLimitInKb=-1").storage.snap_size_limit_bytes, None);
    assert_eq!(load("flushDelay=30").storage.write_queue_poll_ms_max, 10);
}

#[test]
fn words_that_switch_are_taken_to_the_letter() {
    let c = load("skipACL=yes\nforceSync=no\nleaderServes=no");
    assert!(c.tree.skip_acl && !c.storage.force_sync);
    assert_eq!(
        warnings(&c),
        ["forceSync=no: a write is answered before it is on disk, and is lost if the machine stops"]
    );
    assert!(load("forceSync=yes\nskipACL=no\nadmin.enableServer=false").warnings.is_empty());
    let c = load("skipACL=true\nforceSync=false");
    assert!(!c.tree.skip_acl && c.storage.force_sync);
    assert_eq!(
        warnings(&c),
        [
            "zoo.cfg:2: forceSync=false changes nothing: expected 'no' to switch it off; anything else leaves it on",
            "zoo.cfg:1: skipACL=true changes nothing: expected 'yes' to switch it on; anything else leaves it off",
        ]
    );
    assert!(!load("admin.enableServer=false").admin.enabled);
}

#[test]
fn purge_interval_is_in_hours_or_carries_its_unit() {
    assert_eq!(load("autopurge.purgeInterval=2").storage.purge_interval_ms, Some(7_200_000));
    assert_eq!(load("autopurge.purgeInterval=90s").storage.purge_interval_ms, Some(90_000));
    assert_eq!(load("autopurge.purgeInterval=0").storage.purge_interval_ms, None);
}

#[test]
fn secrets_show_neither_in_messages_nor_in_debug_output() {
    let c = load("ssl.keyStore.password=hunter2\nDigestAuthenticationProvider.superDigest=super:hunter2");
    assert_eq!(c.security.client_tls.key_store.password.as_ref().unwrap().reveal(), "hunter2");
    assert!(!format!("{:?}", c.security).contains("hunter2"));
}
