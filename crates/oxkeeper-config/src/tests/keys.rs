//! Which keys are known, obeyed, without effect yet, or wrong.

use super::*;

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
    connection_throttle_local_session_weight fips-mode java.security.auth.login.config \
    java.security.krb5.conf kerberos.canonicalizeHostNames kerberos.removeHostFromPrincipal \
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

/// They tune a Java machine, or are hooks of the reference's tests.
const ACCEPTED_IN_SILENCE: &str = "\
    maxResponseCacheSize maxGetChildrenResponseCacheSize watchManagerName watcherCleanThreadsNum watcherCleanThreshold \
    watcherCleanIntervalInSeconds maxInProcessingDeadWatchers bitHashCacheSize nio.directBufferBytes nio.shutdownTimeout \
    intBufferStartingSizeBytes netty.advancedFlowControl.enabled serverCnxnFactory quorum.cnxn.threads.size \
    leader.ackLoggingFrequency learner.asyncSending learner.closeSocketAsync leader.closeSocketAsync \
    forward_learner_requests_to_commit_processor_disabled follower.skipLearnerRequestToNextProcessor \
    commitProcessor.numWorkerThreads commitProcessor.maxReadBatchSize commitProcessor.maxCommitBatchSize \
    commitProcessor.shutdownTimeout multiAddress.reachabilityCheckEnabled multiAddress.reachabilityCheckTimeoutMs \
    kerberos.minReLoginTimeMs kinit ssl.context.supplier.class ssl.quorum.context.supplier.class ssl.sslProvider \
    metricsProvider.exportJvmInfo metricsProvider.numWorkerThreads metricsProvider.maxQueueSize \
    metricsProvider.workerShutdownTimeoutMs jmx.log4j.disable jmx.log4j.mbean \
    test.allowDiscontinuousProposals controllerPort";

#[test]
fn each_key_of_a_java_machine_is_accepted_in_silence_wherever_it_stands() {
    for key in ACCEPTED_IN_SILENCE.split_whitespace() {
        let row = options::all().find(|row| row.name == key).unwrap_or_else(|| panic!("{key} is not known"));
        let value = some_value(row);
        assert_eq!(warnings(&load(&format!("{key}={value}"))), [""; 0], "{key}={value} in the file");
        for property in row.properties() {
            assert_eq!(warnings(&with_property("", &property, &value)), [""; 0], "-D{property}={value}");
        }
    }
    for property in ["learner.asyncSending", "learner.closeSocketAsync", "leader.closeSocketAsync"] {
        let row = options::all().find(|row| row.name == property).expect("known");
        assert!(row.properties().iter().any(|name| name == property), "{property} is a property without a prefix, too");
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

#[test]
fn an_observer_that_may_become_a_voter_is_told_that_it_writes_all_the_same() {
    let members =
        "initLimit=10\nsyncLimit=5\nserver.1=a:1:2:observer\nserver.2=b:1:2\nserver.3=c:1:2\nsyncEnabled=false";
    let told = |more: &str| {
        let config =
            Config::load(&inputs(&base(&format!("{members}\n{more}"))), &mut reading(&[("/data/myid", "1")])).unwrap();
        warnings(&config).iter().any(|w| w.contains("syncEnabled=false is without effect"))
    };
    assert!(told("reconfigEnabled=true") && !told(""));
}
