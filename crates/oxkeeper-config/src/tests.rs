//! What a configuration file leads to: values, warnings and errors, word for word.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use oxkeeper_types::ensemble::Role;
use oxkeeper_types::{ServerId, Zxid};
use proptest::prelude::*;

use crate::options::{self, Kind, OptionDef, Status};
use crate::*;

/// Files beside the configuration, by path.
type Files<'a> = &'a [(&'a str, &'a str)];

fn inputs(text: &str) -> Inputs {
    Inputs { main: MainSource::File { path: "zoo.cfg".to_string(), text: text.to_string() }, ..Inputs::default() }
}

fn reading<'a>(files: Files<'a>) -> impl FnMut(&Path) -> io::Result<Option<String>> + 'a {
    move |path| Ok(files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| text.to_string()))
}

fn load_with(text: &str, files: Files) -> Result<Config, ConfigError> {
    Config::load(&inputs(text), &mut reading(files))
}

/// A configuration that is fine but for `text`, without other files.
fn load(text: &str) -> Config {
    load_with(&base(text), &[]).unwrap()
}

fn base(text: &str) -> String {
    let mut all = text.to_string();
    for (key, line) in [("dataDir", "dataDir=/data"), ("clientPort", "clientPort=2181")] {
        if !text.lines().any(|l| l.trim_start().starts_with(key)) {
            all.push('\n');
            all.push_str(line);
        }
    }
    all
}

fn refused(text: &str) -> String {
    load_with(&base(text), &[]).expect_err(text).to_string()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(Warning::to_string).collect()
}

fn with_property(text: &str, key: &str, value: &str) -> Config {
    let mut inputs = inputs(&base(text));
    inputs.properties.push((key.to_string(), value.to_string()));
    Config::load(&inputs, &mut reading(&[])).unwrap()
}

const THREE: &str =
    "initLimit=10\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer\nserver.4=d:1:2\n";
const MYID: Files = &[("/data/myid", "1\n")];

fn ensemble(text: &str) -> Config {
    load_with(&base(&format!("{THREE}{text}")), MYID).unwrap()
}

fn ensemble_refused(text: &str, files: Files) -> String {
    load_with(&base(text), files).expect_err(text).to_string()
}

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
    // The two that are read and not obeyed yet are named in one warning; nothing else is wrong.
    assert_eq!((c.storage.fsync_warning_threshold_ms, c.warnings.len()), (8, 1));
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
    assert_eq!(sizes("jute.maxbuffer=5000"), (5000, 10_000, 0));
    assert_eq!(sizes("jute.maxbuffer=5000\njute.maxbuffer.extrasize=2000"), (2000, 7000, 0));
    assert_eq!(sizes("jute.maxbuffer.extrasize=10"), (1024, 1_049_599, 1));
    let most = i32::MAX as u32;
    assert_eq!(sizes("jute.maxbuffer=2147483647"), (most, most, 0));
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

// Keys

#[test]
fn unknown_keys_are_warned_of_with_the_nearest_name() {
    let c = load("tickTme=1\n\nwhatIsThis=2\nzookeeper.snapCount=3\nserver=4");
    assert_eq!(
        warnings(&c),
        [
            "zoo.cfg:1: unknown key tickTme; is tickTime meant?",
            "zoo.cfg:3: unknown key whatIsThis",
            "zoo.cfg:4: unknown key zookeeper.snapCount; is snapCount meant?",
            "zoo.cfg:5: unknown key server; is server.N meant?",
        ]
    );
    let mut inputs = inputs(&base(""));
    inputs.server_jvmflags =
        "-Dzookeeper.clientPort=1 -Dzookeeper.jute.maxbuffer=2 -Dzookeeper.snapCont=3 -Dcom.sun.x=4".to_string();
    assert_eq!(
        warnings(&Config::load(&inputs, &mut reading(&[])).unwrap()),
        [
            "SERVER_JVMFLAGS: -Dzookeeper.clientPort has no effect: clientPort is read from the configuration file only",
            "SERVER_JVMFLAGS: -Dzookeeper.jute.maxbuffer has no effect: the name of the property is jute.maxbuffer",
            "SERVER_JVMFLAGS: unknown key -Dzookeeper.snapCont; is snapCount meant?",
        ]
    );
}

#[test]
fn keys_without_effect_yet_are_named_in_one_warning_and_java_ones_in_none() {
    let mut inputs = inputs(&base("oraclePath=/o\nnio.numWorkerThreads=4\nsasl.client=false\njmx.log4j.disable=true"));
    inputs.jvmflags = "-Dzookeeper.pathStats.enabled=true".to_string();
    assert_eq!(
        warnings(&Config::load(&inputs, &mut reading(&[])).unwrap()),
        ["not supported yet, and without effect: -Dzookeeper.pathStats.enabled, oraclePath"]
    );
}

/// A value that the row allows beside the defaults of all others.
fn some_value(row: &OptionDef) -> String {
    match row.kind {
        Kind::Int { min, default, .. } => default.unwrap_or(min.max(1)).to_string(),
        Kind::Float { default, .. } => default.to_string(),
        Kind::Hours { .. } => "1".into(),
        Kind::Bool { default } => default.to_string(),
        Kind::Word { word, .. } => word.into(),
        Kind::Choice { allowed, .. } => allowed[allowed.len() - 1].into(),
        Kind::Path { .. } | Kind::Secret => "/x".into(),
        Kind::Text { .. } | Kind::Host { .. } | Kind::List { .. } | Kind::Member => "x".into(),
    }
}

/// In the order of the alphabet.
const WITHOUT_EFFECT_YET: &str = "\
    IPAuthenticationProvider.usexforwardedfor SASLAuthenticationProvider.superPassword \
    X509AuthenticationProvider.superUser admin.commandURL admin.forceHttps admin.idleTimeout admin.needClientAuth \
    admin.portUnification admin.rateLimiterIntervalInMS admin.restore.enabled admin.serverAddress admin.serverPort \
    admin.snapshot.enabled allowSaslFailedClients audit.enable client.certReload client.portUnification \
    connection_throttle_local_session_weight enableEagerACLCheck fips-mode java.security.auth.login.config \
    java.security.krb5.conf jvm.pause.info-threshold.ms jvm.pause.monitor jvm.pause.sleep.time.ms \
    jvm.pause.warn-threshold.ms kerberos.canonicalizeHostNames kerberos.removeHostFromPrincipal \
    kerberos.removeRealmFromPrincipal letAnySaslUserDoX localSessionsEnabled localSessionsUpgradingEnabled log.dir \
    log.file messageTracker.BufferSize messageTracker.Enabled metricsProvider.httpHost metricsProvider.httpPort \
    metricsProvider.httpsPort metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds metricsProvider.ssl.* \
    netty.server.earlyDropSecureConnectionHandshakes netty.server.outstandingHandshake.limit observerMaster.sizeLimit observerMasterPort \
    oraclePath pathStats.delay pathStats.enabled pathStats.initialDelay pathStats.maxDepth pathStats.sampleRate \
    pathStats.slotCapacity pathStats.slotDuration pathStats.topPathMax portUnification quorum.auth.enableSasl \
    quorum.auth.kerberos.servicePrincipal quorum.auth.learner.saslLoginContext quorum.auth.learnerRequireSasl \
    quorum.auth.server.saslLoginContext quorum.auth.serverRequireSasl \
    request_throttler.shutdownTimeout requireKerberosConfig sasl.serverconfig secureClientPort \
    secureClientPortAddress security.auth_to_local ssl.allowReverseDnsLookup ssl.authProvider ssl.ciphersuites \
    ssl.clientAuth ssl.clientHostnameVerification ssl.crl ssl.enabledProtocols ssl.handshakeDetectionTimeoutMillis \
    ssl.hostnameVerification ssl.keyStore.location ssl.keyStore.password ssl.keyStore.passwordPath ssl.keyStore.type \
    ssl.ocsp ssl.protocol ssl.quorum.allowReverseDnsLookup ssl.quorum.ciphersuites ssl.quorum.clientAuth \
    ssl.quorum.clientHostnameVerification ssl.quorum.crl ssl.quorum.enabledProtocols \
    ssl.quorum.handshakeDetectionTimeoutMillis ssl.quorum.hostnameVerification ssl.quorum.keyStore.location \
    ssl.quorum.keyStore.password ssl.quorum.keyStore.passwordPath ssl.quorum.keyStore.type ssl.quorum.ocsp \
    ssl.quorum.protocol ssl.quorum.trustStore.location ssl.quorum.trustStore.password \
    ssl.quorum.trustStore.passwordPath ssl.quorum.trustStore.type ssl.trustStore.location ssl.trustStore.password \
    ssl.trustStore.passwordPath ssl.trustStore.type sslQuorum sslQuorumReloadCertFiles superUser superUser.*";

/// The table, this list and the warning agree: whoever builds a feature takes its keys off the list.
#[test]
fn all_keys_without_effect_yet_are_listed_here_and_each_is_named_when_it_is_set() {
    let in_table: BTreeSet<&str> =
        options::all().filter(|row| row.status == Status::NotYet).map(|row| row.name).collect();
    let listed: Vec<&str> = WITHOUT_EFFECT_YET.split_whitespace().collect();
    assert_eq!(in_table.iter().copied().collect::<Vec<_>>(), listed);
    for row in options::all() {
        let key = row.name.replace('*', "x1");
        let port = if key == "secureClientPortAddress" { "secureClientPort=2281\n" } else { "" };
        let config = match load_with(&base(&format!("{port}{key}={}", some_value(row))), &[]) {
            Ok(config) => config,
            // Keys of ensembles need others beside them, and some of a Java machine may not stand in the file.
            Err(_) if row.status != Status::NotYet => continue,
            Err(error) => panic!("{key}={}: {error}", some_value(row)),
        };
        let keys = warnings(&config)
            .iter()
            .find_map(|w| w.strip_prefix("not supported yet, and without effect: ").map(str::to_owned))
            .unwrap_or_default();
        let named = keys.split(", ").any(|named| named == key);
        let by_value = ["admin.enableServer", "authProvider.*"].contains(&row.name) && some_value(row) != "false";
        assert_eq!(named, row.status == Status::NotYet || by_value, "{key}={}", some_value(row));
    }
}

#[test]
fn some_values_are_without_effect_where_others_are_obeyed() {
    let named = |line: &str| warnings(&load(line)).iter().any(|w| w.starts_with("not supported yet"));
    let class = |name: &str| format!("org.apache.zookeeper.server.auth.{name}");
    assert!(!named(&format!("authProvider.1={}", class("DigestAuthenticationProvider"))));
    assert!(named(&format!("authProvider.1={}", class("SASLAuthenticationProvider"))));
    assert!(named(&format!("authProvider.x509={}", class("X509AuthenticationProvider"))));
    assert!(named("metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"));
    assert!(!named("metricsProvider.className=org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"));
    assert!(named("admin.enableServer=true") && !named("admin.enableServer=false"));
    assert!(named("syncEnabled=false") && !named("syncEnabled=true"));
}

#[test]
fn every_key_that_is_said_to_be_used_is_read() {
    let (_, reader) = Config::load_asked(&inputs(&base("")), &mut reading(&[])).unwrap();
    for row in options::all().filter(|row| row.status == Status::Used) {
        assert!(reader.asked.contains(row.name), "{} is Used but nothing reads it", row.name);
    }
    for name in &reader.asked {
        let status = options::all().find(|row| row.name == *name).unwrap().status;
        assert!(matches!(status, Status::Used | Status::NotYet), "{name} is {status:?} but is read");
    }
}

// Basics

#[test]
fn the_data_directory_is_required() {
    let error = load_with("clientPort=2181", &[]).unwrap_err().to_string();
    assert_eq!(error, "zoo.cfg: dataDir is not set; it names the directory of snapshots and myid");
    let c = load("dataDir=/d\ndataLogDir=/l");
    assert_eq!((c.storage.data_dir, c.storage.data_log_dir), (PathBuf::from("/d"), PathBuf::from("/l")));
}

#[test]
fn relative_paths_are_warned_of_unless_they_say_so() {
    assert_eq!(
        warnings(&load("dataDir=data")),
        ["zoo.cfg:1: dataDir=data is relative to where the server is started; write ./data if that is meant"]
    );
    assert!(load("dataDir=./data").warnings.is_empty());
}

#[test]
fn listeners_take_an_address_and_any_free_port() {
    let c = load("clientPort=0\nclientPortAddress=::1\nsecureClientPort=2281\nsecureClientPortAddress=zk.example.com");
    let plain = c.client.client_address.unwrap();
    assert_eq!((plain.host(), plain.port(), plain.is_any()), ("0:0:0:0:0:0:0:1", 0, false));
    assert_eq!(c.client.secure_client_address.unwrap().to_string(), "zk.example.com:2281");
    assert_eq!(c.security.auth_providers["x509"], "org.apache.zookeeper.server.auth.X509AuthenticationProvider");
    assert!(load("").client.client_address.unwrap().is_any());
    let c = load_with("dataDir=/data", &[]).unwrap();
    assert!(c.client.client_address.is_none());
    assert_eq!(warnings(&c), ["no client port is set: no client can connect; clientPort or secureClientPort sets one"]);
}

#[test]
fn an_address_without_its_port_is_refused() {
    assert_eq!(
        load_with("dataDir=/d\nclientPortAddress=::1", &[]).unwrap_err().to_string(),
        "zoo.cfg:2: clientPortAddress is set but clientPort is not; set clientPort too"
    );
    assert_eq!(
        refused("secureClientPortAddress=::1"),
        "zoo.cfg:1: secureClientPortAddress is set but secureClientPort is not; set secureClientPort too"
    );
}

#[test]
fn session_timeouts_follow_the_tick_and_must_be_in_order() {
    let c = load("tickTime=100\nmaxSessionTimeout=-1");
    assert_eq!((c.sessions.timeout_min_ms, c.sessions.timeout_max_ms), (200, 2000));
    assert_eq!(
        refused("minSessionTimeout=70000"),
        "zoo.cfg:1: minSessionTimeout is 70000, more than maxSessionTimeout, which is 60000; unset, they are 2 and 20 times \
         tickTime"
    );
    assert_eq!(load("tickTime=2147483647").sessions.timeout_max_ms, i32::MAX as u32);
}

#[test]
fn four_letter_words_are_a_list_or_all() {
    let words = load("4lw.commands.whitelist=ruok, mntr,").client.four_letter_words;
    assert!(
        words.allows("ruok")
            && words.allows("mntr")
            && words.allows("srvr")
            && !words.allows("stat")
            && !words.allows("")
    );
    assert!(load("4lw.commands.whitelist=*").client.four_letter_words.allows("stat"));
}

#[test]
fn metrics_providers_go_by_their_class_names() {
    let c = load(
        "metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider\nmetricsProvider.httpPort=0",
    );
    assert_eq!(c.metrics.provider, MetricsProvider::Prometheus);
    assert_eq!(c.metrics.prometheus_address.unwrap().to_string(), "0.0.0.0:0");
    assert_eq!(load("metricsProvider.className=NullMetricsProvider").metrics.provider, MetricsProvider::Null);
    assert!(load("metricsProvider.httpPort=-1").metrics.prometheus_address.is_none());
    let wrong = "metricsProvider.className=PrometheusMetricsProvider\nmetricsProvider.httpPort=x";
    assert_eq!(
        refused(wrong),
        "zoo.cfg:2: metricsProvider.httpPort=x: expected a whole number (a port) from -1 to 65535"
    );
    assert_eq!(
        warnings(&load(&wrong.replace("Prometheus", "Null"))),
        [
            "not supported yet, and without effect: metricsProvider.className, metricsProvider.httpPort",
            "zoo.cfg:2: metricsProvider.httpPort=x: expected a whole number (a port) from -1 to 65535; without effect, as \
          NullMetricsProvider has no port"
        ]
    );
}

// Security

#[test]
fn super_users_and_providers_are_families() {
    let mut inputs = inputs(&base("superUser=a\nsuperUser.1=b\nauthProvider.2=x.Y"));
    inputs.jvmflags = "-Dzookeeper.superUser.1=z -Dzookeeper.superUser.2=c -Dzookeeper.authProvider.sasl=S".to_string();
    let c = Config::load(&inputs, &mut reading(&[])).unwrap();
    assert_eq!(c.security.sasl_super_users, ["a", "b", "c"]);
    assert_eq!(c.security.auth_providers["2"], "x.Y");
    assert_eq!(c.security.auth_providers["sasl"], "S");
    assert!(!c.security.auth_providers.contains_key("x509"));
}

#[test]
fn a_tls_scheme_other_than_x509_needs_its_provider() {
    assert_eq!(
        refused("secureClientPort=1\nssl.authProvider=other"),
        "zoo.cfg:2: ssl.authProvider is other, but authProvider.other is not set; set it, or leave both unset for x509"
    );
    load("secureClientPort=1\nssl.authProvider=other\nauthProvider.other=x.Y");
    load("ssl.authProvider=other");
}

#[test]
fn enforced_authentication_needs_schemes() {
    assert_eq!(
        refused("enforce.auth.enabled=true"),
        "zoo.cfg:1: enforce.auth.enabled is true but enforce.auth.schemes is empty; name the schemes, as in digest,sasl"
    );
    let c = load("enforce.auth.enabled=true\nenforce.auth.schemes=digest, sasl");
    assert_eq!(c.security.enforced_schemes.unwrap(), ["digest", "sasl"]);
    assert_eq!(load("enforce.auth.schemes=digest").security.enforced_schemes, None);
}

#[test]
fn tls_settings_exist_for_clients_and_for_servers() {
    let c = load(
        "ssl.clientAuth=WANT\nssl.quorum.clientAuth=none\nssl.trustStore.type=pem\nssl.quorum.keyStore.location=/k.p12",
    );
    assert_eq!(
        (c.security.client_tls.client_auth, c.security.quorum_tls.client_auth),
        (ClientAuth::Want, ClientAuth::None)
    );
    assert_eq!(c.security.client_tls.trust_store.kind, Some("PEM"));
    assert_eq!(c.security.quorum_tls.key_store.location, Some(PathBuf::from("/k.p12")));
}

#[test]
fn quorum_sasl_is_required_only_where_it_is_enabled() {
    let check = |text: &str, expected: &str| assert_eq!(refused(text), format!("zoo.cfg:1: {expected}"));
    check("quorum.auth.serverRequireSasl=true", "quorum.auth.serverRequireSasl=true needs quorum.auth.enableSasl=true");
    check(
        "quorum.auth.learnerRequireSasl=true",
        "quorum.auth.learnerRequireSasl=true needs quorum.auth.enableSasl=true",
    );
    check(
        "quorum.auth.serverRequireSasl=true\nquorum.auth.enableSasl=true",
        "quorum.auth.serverRequireSasl=true needs quorum.auth.learnerRequireSasl=true",
    );
}

// The ensemble

#[test]
fn server_lines_make_an_ensemble() {
    let c = ensemble("clientPort=2185");
    let e = c.ensemble.as_ref().unwrap();
    assert_eq!((e.my_id, e.role, e.init_limit_ticks, e.sync_limit_ticks), (ServerId(1), Role::Participant, 10, 5));
    assert_eq!(
        (e.connect_to_learner_master_limit_ticks, e.members.voters().count(), e.members.observers().count()),
        (10, 3, 1)
    );
    // The address from the static file is known, but is no part of the text.
    let me = e.members.member(ServerId(1)).unwrap();
    assert_eq!((me.client.as_ref().unwrap().port(), me.client_from_static), (2185, true));
    assert_eq!(
        e.members.to_string(),
        "server.1=a:1:2:participant\nserver.2=b:1:2:participant\nserver.3=c:1:2:observer\nserver.4=d:1:2:participant\nversion=0"
    );
    assert_eq!((e.election.connect_timeout_ms, e.election.notification_ms_max, e.leader_serves), (5000, 60_000, true));
    assert!(c.warnings.is_empty());
}

#[test]
fn one_voter_is_a_server_on_its_own_unless_standalone_is_off() {
    let one = "server.1=a:1:2;2199\ninitLimit=1\nsyncLimit=1\ndataDir=/data\n";
    let c = load_with(one, &[]).unwrap();
    assert!(c.ensemble.is_none() && c.client.client_address.is_none());
    assert_eq!(
        warnings(&c)[0],
        "one server.N line only: the server runs on its own; standaloneEnabled=false makes it an ensemble of one"
    );
    let c = load_with(one, MYID).unwrap();
    assert_eq!((c.client.client_address.unwrap().port(), c.my_id), (2199, Some(ServerId(1))));
    let c = load_with(&format!("{one}standaloneEnabled=false"), MYID).unwrap();
    assert_eq!(c.ensemble.as_ref().unwrap().members.voters().count(), 1);
    assert_eq!(warnings(&c), ["no failure of a server is tolerated with fewer than three voters"]);
}

#[test]
fn voters_are_counted() {
    let files = MYID;
    assert_eq!(
        ensemble_refused("standaloneEnabled=false", files),
        "zoo.cfg: standaloneEnabled=false needs at least one server.N line of a participant"
    );
    let lonely = "zoo.cfg: observers need an ensemble to observe: add the server.N lines of the participants";
    assert_eq!(ensemble_refused("server.1=a:1:2:observer", files), lonely);
    assert_eq!(ensemble_refused("server.1=a:1:2\nserver.2=b:1:2:observer", files), lonely);
    let limits = "initLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\n";
    let c = load_with(&base(limits), files).unwrap();
    assert_eq!(warnings(&c), ["no failure of a server is tolerated with fewer than three voters"]);
    let c = load_with(&base(&format!("{limits}server.3=c:1:2\nserver.4=d:1:2")), files).unwrap();
    assert_eq!(warnings(&c), ["4 voters tolerate no more failures than 3; an odd number of voters is better"]);
}

#[test]
fn limits_and_myid_are_required_in_an_ensemble() {
    let servers = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    assert_eq!(
        ensemble_refused(&format!("{servers}syncLimit=1"), MYID),
        "zoo.cfg: initLimit is not set; an ensemble needs it: ticks for a learner to connect and catch up"
    );
    assert_eq!(
        ensemble_refused(&format!("{servers}initLimit=1\nsyncLimit=0"), MYID),
        "zoo.cfg: syncLimit is not set; an ensemble needs it: ticks a learner may be silent"
    );
    let fine = format!("{servers}initLimit=1\nsyncLimit=1");
    assert_eq!(
        ensemble_refused(&fine, &[]),
        "/data/myid: cannot be read (there is no such file); in an ensemble it holds the number of this server, one of 1, 2, 3"
    );
    assert_eq!(
        ensemble_refused(&fine, &[("/data/myid", "7")]),
        "/data/myid: this server is 7, but the list of members has only 1, 2, 3; add server.7, or correct myid"
    );
    assert_eq!(
        ensemble_refused(&fine, &[("/data/myid", "one\n")]),
        "/data/myid:1: myid=one: expected the number of this server's server.N line"
    );
    assert_eq!(load_with(&base(&fine), &[("/data/myid", " 2 \nrest")]).unwrap().my_id, Some(ServerId(2)));
}

#[test]
fn large_ids_are_refused_with_extended_types() {
    let lines = "initLimit=1\nsyncLimit=1\nserver.255=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let files: Files = &[("/data/myid", "255")];
    assert!(load_with(&base(lines), files).unwrap().warnings.is_empty());
    assert_eq!(
        ensemble_refused(&format!("{lines}extendedTypesEnabled=true"), files),
        "/data/myid: this server is 255, but extendedTypesEnabled allows 254 at most"
    );
    let lines = lines.replace("255", "300");
    assert_eq!(
        warnings(&load_with(&base(&lines), &[("/data/myid", "300")]).unwrap()),
        ["/data/myid: this server is 300; ids from 1 to 255 make sessions of different servers differ"]
    );
}

#[test]
fn errors_of_server_lines_name_the_line() {
    assert_eq!(
        refused("# members\nserver.1=a:1:2\nserver.2=b:1:x"),
        "zoo.cfg:3: server.2=b:1:x: 'x' is not a port; expected a number from 0 to 65535"
    );
    assert_eq!(
        refused("server.1=a:1:2|b:1:2"),
        "zoo.cfg:1: server.1=a:1:2|b:1:2: several addresses for one server; set multiAddress.enabled=true to allow that"
    );
    assert_eq!(
        refused("server.1=a:1:2\nserver.2=a:1:2\ngroup.1=1"),
        "zoo.cfg:2: server.2 is in no group: with group.N or weight.N lines, every voter stands in exactly one group.N line"
    );
    load("multiAddress.enabled=true\nserver.1=a:1:2|b:1:2");
    with_property("server.1=a:1:2|b:1:2", "zookeeper.multiAddress.enabled", "true");
}

#[test]
fn the_client_address_of_the_list_counts_and_must_agree() {
    let lines =
        "initLimit=1\nsyncLimit=1\nserver.1=a:1:2;127.0.0.1:2199\nserver.2=b:1:2\nserver.3=c:1:2\ndataDir=/data\n";
    let c = load_with(lines, MYID).unwrap();
    assert_eq!(c.client.client_address.unwrap().to_string(), "127.0.0.1:2199");
    let me = c.ensemble.unwrap().members.member(ServerId(1)).unwrap().to_string();
    assert_eq!(me, "a:1:2:participant;127.0.0.1:2199");
    let c = load_with(&format!("{lines}clientPort=2199"), MYID).unwrap();
    assert_eq!((c.client.client_address.unwrap().host(), c.warnings.len()), ("127.0.0.1", 0));
    assert_eq!(
        ensemble_refused(&format!("{lines}clientPort=2198"), MYID),
        "zoo.cfg: server.1 has the client address 127.0.0.1:2199, but zoo.cfg says 0.0.0.0:2198; leave it in one place"
    );
    assert_eq!(
        ensemble_refused(&format!("{lines}clientPort=2199\nclientPortAddress=10.0.0.1"), MYID),
        "zoo.cfg: server.1 has the client address 127.0.0.1:2199, but zoo.cfg says 10.0.0.1:2199; leave it in one place"
    );
    let c = load_with(&format!("{lines}clientPort=2199\nclientPortAddress=localhost"), MYID).unwrap();
    assert_eq!(
        warnings(&c),
        ["zoo.cfg: server.1 has the client address 127.0.0.1:2199; it is used instead of localhost:2199"]
    );
}

#[test]
fn the_role_of_the_list_beats_peer_type() {
    let c = load_with(&base(&format!("{THREE}peerType=participant")), &[("/data/myid", "3")]).unwrap();
    assert_eq!(c.ensemble.as_ref().unwrap().role, Role::Observer);
    assert_eq!(
        warnings(&c),
        ["zoo.cfg:7: peerType=participant, but by the list of members this server is a observer; the list counts"]
    );
    let c = load_with(&base(&format!("{THREE}peerType=Observer")), &[("/data/myid", "3")]).unwrap();
    assert!(c.warnings.is_empty());
}

#[test]
fn sync_enabled_follows_the_property_first() {
    let mut inputs = inputs(&base(&format!("{THREE}syncEnabled=true")));
    inputs.jvmflags = "-Dzookeeper.observer.syncEnabled=false".to_string();
    let c = Config::load(&inputs, &mut reading(MYID)).unwrap();
    assert!(!c.ensemble.unwrap().sync_enabled);
    assert!(ensemble("").ensemble.unwrap().sync_enabled);
}

#[test]
fn settings_of_the_ensemble_are_checked_on_a_server_of_its_own_too() {
    assert_eq!(refused("quorumListenOnAllIPs=1"), "zoo.cfg:1: quorumListenOnAllIPs=1: expected true or false");
}

// The dynamic file

const DYNAMIC: &str = "server.1=a:1:2;2181\nserver.2=b:1:2;2181\nserver.3=c:1:2;2181\n";
const POINTER: &str = "dataDir=/data\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile=/c/zoo.cfg.dynamic.10000000a\n";

#[test]
fn members_come_from_the_dynamic_file_and_the_version_from_its_name() {
    let files = [("/c/zoo.cfg.dynamic.10000000a", DYNAMIC), ("/data/myid", "2")];
    let c = load_with(POINTER, &files).unwrap();
    let e = c.ensemble.unwrap();
    assert_eq!((e.members.version(), e.my_id, e.last_seen), (Zxid(0x1_0000_000a), ServerId(2), None));
    assert_eq!(e.dynamic_config_file, Some(PathBuf::from("/c/zoo.cfg.dynamic.10000000a")));
    assert_eq!(c.client.client_address.unwrap().to_string(), "0.0.0.0:2181");
    let plain = POINTER.replace(".10000000a", "");
    let e = load_with(&plain, &[("/c/zoo.cfg.dynamic", DYNAMIC), ("/data/myid", "2")]).unwrap().ensemble.unwrap();
    assert_eq!(e.members.version(), Zxid(0));
}

#[test]
fn a_list_proposed_before_the_stop_is_read() {
    let next = "server.1=a:1:2\nserver.2=b:1:2\nversion=10000000b";
    let files = [("/c/zoo.cfg.dynamic.10000000a", DYNAMIC), ("/data/myid", "2"), ("zoo.cfg.dynamic.next", next)];
    let seen = load_with(POINTER, &files).unwrap().ensemble.unwrap().last_seen.unwrap();
    assert_eq!((seen.version(), seen.members().len()), (Zxid(0x1_0000_000b), 2));
}

#[test]
fn what_does_not_belong_in_the_dynamic_file_is_refused() {
    let check = |dynamic: &str, expected: &str| {
        let files = [("/c/zoo.cfg.dynamic.10000000a", dynamic), ("/data/myid", "2")];
        assert_eq!(
            load_with(POINTER, &files).unwrap_err().to_string(),
            format!("/c/zoo.cfg.dynamic.10000000a:{expected}")
        );
    };
    check(
        "server.1=a:1:2\nversion=1",
        "2: version does not belong here: it is the hexadecimal number at the end of the file's name",
    );
    check("tickTime=1", "1: unknown key tickTime; only server.N, group.N and weight.N belong here");
    check(
        "server.1=a:1",
        "1: server.1=a:1: expected host:quorumPort:electionPort[:participant|:observer][;[clientAddress:]clientPort], an IPv6 address in brackets",
    );
    check("a=\\uxyzt", "1: \\u is not followed by four hexadecimal digits; write a backslash as \\\\");
    assert_eq!(
        load_with(POINTER, &[]).unwrap_err().to_string(),
        "/c/zoo.cfg.dynamic.10000000a: cannot be read (there is no such file); dynamicConfigFile names it; make the file, or \
         take the key out and list the members in the configuration file"
    );
    assert_eq!(
        load_with(&format!("{POINTER}server.1=a:1:2"), &[]).unwrap_err().to_string(),
        "zoo.cfg:5: server.1 stands beside dynamicConfigFile; with that, members, groups and weights belong in \
         /c/zoo.cfg.dynamic.10000000a"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let mut broken = |_: &Path| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    assert_eq!(
        Config::load(&inputs(&base("")), &mut broken).unwrap_err().to_string(),
        "/data/myid: cannot be read (permission denied); it holds the number of this server"
    );
}

#[test]
fn usage_names_both_forms() {
    assert_eq!(usage("oxkeeper server"), "Usage: oxkeeper server configfile | port datadir [ticktime] [maxcnxns]");
}

// Any text

/// Lines that come near real ones, so that the rules between keys are reached.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<String> = options::all().map(|row| row.name.replace('*', "1")).collect();
    let values = prop::sample::select(vec![
        "true",
        "false",
        "yes",
        "no",
        "0",
        "-1",
        "3",
        "99999999999999999999",
        "0x7fffffff",
        "9223372036854775807",
        "a:1:2",
        "a:1:2;[::1]:3",
        "[::1]:1:2:observer|b:3:4",
        "[",
        "]:",
        ";",
        "|",
        "::",
        "1:2:3",
        "\\u",
        "\\",
        "*",
        "nan",
        "inf",
        "-1d",
        "1e999",
        "/data",
        "Default",
    ]);
    let value = prop_oneof![values.prop_map(str::to_string), "\\PC{0,12}"];
    (prop::sample::select(names), value).prop_map(|(name, value)| format!("{name}={value}"))
}

proptest! {
    #[test]
    fn any_text_is_answered_without_a_panic(text in "(?s).{0,200}", myid in "(?s).{0,6}", flags in "(?s).{0,60}") {
        let mut inputs = inputs(&text);
        inputs.jvmflags = flags;
        let _ = Config::load(&inputs, &mut |_| Ok(Some(myid.clone())));
        let _ = rewrite::static_file(&text, "/x", true);
    }

    #[test]
    fn any_lines_of_known_keys_are_answered_without_a_panic(
        lines in prop::collection::vec(line(), 0..12),
        flags in prop::collection::vec(line(), 0..6),
        myid in prop::sample::select(vec!["1", "2", "x", ""]),
    ) {
        let mut inputs = inputs(&base(&lines.join("\n")));
        inputs.server_jvmflags = flags.iter().map(|line| format!("-Dzookeeper.{line} -D{line}")).collect::<Vec<_>>().join(" ");
        let dynamic = "server.1=a:1:2\nserver.2=b:1:2";
        let mut read = |path: &Path| Ok(Some(if path.ends_with("myid") { myid } else { dynamic }.to_string()));
        if let Err(error) = Config::load(&inputs, &mut read) {
            prop_assert!(error.to_string().len() > 10);
        }
    }
}
