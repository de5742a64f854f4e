//! What a server has with or without others: directories, listeners, timeouts, words, security.

use super::*;

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
    let c = load("enforce.auth.enabled=true\nenforce.auth.schemes=digest, ip");
    assert_eq!(c.security.enforced_schemes.unwrap(), ["digest", "ip"]);
    assert_eq!(load("enforce.auth.schemes=digest").security.enforced_schemes, None);
}

#[test]
fn enforced_schemes_need_their_providers() {
    let enforced = |schemes: &str| format!("enforce.auth.enabled=true\nenforce.auth.schemes={schemes}");
    assert_eq!(
        refused(&enforced("digest,other")),
        "zoo.cfg:2: enforce.auth.schemes demands the authentication scheme other, which is not available here; \
         authProvider.other names its class, or take it out of enforce.auth.schemes"
    );
    assert!(refused(&enforced("world")).contains("the authentication scheme world"));
    assert!(refused(&format!("{}\nDigestAuthenticationProvider.enabled=false", enforced("digest"))).contains("digest"));
    assert!(refused("sessionRequireClientSASLAuth=true").contains("the authentication scheme sasl"));
    let class = |name: &str| format!("authProvider.1=org.apache.zookeeper.server.auth.{name}AuthenticationProvider");
    for (scheme, provider) in [("sasl", "SASL"), ("x509", "X509"), ("ensemble", "Ensemble")] {
        assert!(refused(&enforced(scheme)).contains(scheme));
        load(&format!("{}\n{}", enforced(scheme), class(provider)));
    }
    load(&format!("{}\nensembleAuthName=here", enforced("ensemble")));
    load(&format!("{}\nsecureClientPort=1", enforced("x509")));
    load(&format!("sessionRequireClientSASLAuth=true\n{}", class("SASL")));
    // Named without being enforced, they do no harm.
    load("enforce.auth.schemes=other");
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
