//! Rows of section 5.4 of the inventory, security: CF119 to CF160.

use super::*;

/// The keys that exist once for clients (`ssl.`) and once between servers (`ssl.quorum.`).
macro_rules! tls_rows {
    ($prefix:literal, $names_of_clients:literal) => {
        [
            g(concat!($prefix, "keyStore.location"), path(), "Key and certificate of this server.").not_yet(),
            g(concat!($prefix, "keyStore.password"), Kind::Secret, "Password of the key store.").not_yet(),
            g(concat!($prefix, "keyStore.passwordPath"), path(), "File with the password of the key store.").not_yet(),
            g(
                concat!($prefix, "keyStore.type"),
                Kind::Choice { allowed: STORE_TYPES, default: "" },
                "Form of the key store; else by the file's ending.",
            )
            .not_yet(),
            g(concat!($prefix, "trustStore.location"), path(), "Certificates that are trusted.").not_yet(),
            g(concat!($prefix, "trustStore.password"), Kind::Secret, "Password of the trust store.").not_yet(),
            g(concat!($prefix, "trustStore.passwordPath"), path(), "File with the password of the trust store.")
                .not_yet(),
            g(
                concat!($prefix, "trustStore.type"),
                Kind::Choice { allowed: STORE_TYPES, default: "" },
                "Form of the trust store; else by the file's ending.",
            )
            .not_yet(),
            g(concat!($prefix, "protocol"), text("TLSv1.3"), "TLS version offered.").not_yet(),
            g(
                concat!($prefix, "enabledProtocols"),
                Kind::List { default: "" },
                "TLS versions accepted; else 1.3 and 1.2, or protocol.",
            )
            .not_yet(),
            g(
                concat!($prefix, "ciphersuites"),
                Kind::List { default: "" },
                "Cipher suites accepted; else the library's choice.",
            )
            .not_yet(),
            g(
                concat!($prefix, "clientAuth"),
                Kind::Choice { allowed: &["none", "want", "need"], default: "need" },
                "Whether the other side must show a certificate.",
            )
            .not_yet(),
            g(concat!($prefix, "hostnameVerification"), flag(true), "Compare a server's name with its certificate.")
                .not_yet(),
            g(
                concat!($prefix, "clientHostnameVerification"),
                flag($names_of_clients),
                "Compare a client's name with its certificate.",
            )
            .not_yet(),
            g(concat!($prefix, "allowReverseDnsLookup"), flag(false), "Ask the DNS for the name of an address.")
                .not_yet(),
            g(concat!($prefix, "crl"), flag(false), "Look certificates up in revocation lists.").not_yet(),
            g(concat!($prefix, "ocsp"), flag(false), "Ask whether certificates are revoked.").not_yet(),
            g(concat!($prefix, "context.supplier.class"), TEXT, "Class that makes the TLS context.").jvm(),
            g(
                concat!($prefix, "handshakeDetectionTimeoutMillis"),
                int(Unit::Ms, 1, 5000),
                "Time to tell TLS from plain.",
            )
            .not_yet(),
        ]
    };
}

const STORE_TYPES: &[&str] = &["", "JKS", "PEM", "PKCS12", "BCFKS"];
const CLIENT_TLS: [OptionDef; 19] = tls_rows!("ssl.", false);
const QUORUM_TLS: [OptionDef; 19] = tls_rows!("ssl.quorum.", true);

const REST: [OptionDef; 45] = [
    g("authProvider.*", TEXT, "Classes of further authentication schemes."),
    g("DigestAuthenticationProvider.enabled", flag(true), "The digest scheme."),
    g("DigestAuthenticationProvider.digestAlg", text("SHA1"), "What a digest id is hashed with."),
    g("DigestAuthenticationProvider.superDigest", Kind::Secret, "user:digest of the super user."),
    g("IPAuthenticationProvider.usexforwardedfor", flag(false), "HTTP commands: trust the X-Forwarded-For header.")
        .not_yet(),
    g("X509AuthenticationProvider.superUser", TEXT, "Subject of the super user's certificate.").not_yet(),
    g("superUser", TEXT, "SASL name of a super user.").not_yet(),
    g("superUser.*", TEXT, "SASL names of further super users.").not_yet(),
    g("SASLAuthenticationProvider.superPassword", Kind::Secret, "SASL password of the user super.").not_yet(),
    g("letAnySaslUserDoX", TEXT, "A SASL id that every SASL user counts as.").not_yet(),
    g("sessionRequireClientSASLAuth", flag(false), "Clients must use SASL."),
    g("enforce.auth.enabled", flag(false), "Clients must use one of enforce.auth.schemes."),
    g("enforce.auth.schemes", Kind::List { default: "" }, "Schemes of which clients must use one."),
    g("sasl.serverconfig", text("Server"), "Section of the JAAS file for clients.").not_yet(),
    g("sasl.client", flag(true), "Clients use SASL.").client(),
    g("sasl.clientconfig", text("Client"), "Section of the JAAS file of a client.").client(),
    g("sasl.client.username", text("zookeeper"), "First part of the server's principal.").client(),
    g("sasl.client.canonicalize.hostname", flag(true), "Use the server's canonical name.").client(),
    g("sasl.client.allowReverseDnsLookup", flag(false), "Ask the DNS for the server's name.").client(),
    g("server.principal", TEXT, "The server's principal.").client(),
    g("server.realm", TEXT, "Realm of the server's principal.").client(),
    d("java.security.auth.login.config", path(), "The JAAS file.").not_yet(),
    d("java.security.krb5.conf", path(), "The Kerberos configuration.").not_yet(),
    g("kerberos.removeHostFromPrincipal", flag(false), "Leave the host out of a principal.").not_yet(),
    g("kerberos.removeRealmFromPrincipal", flag(false), "Leave the realm out of a principal.").not_yet(),
    g("kerberos.canonicalizeHostNames", flag(false), "Use canonical names of the other servers.").not_yet(),
    g("kerberos.minReLoginTimeMs", int(Unit::Ms, MIN_INT, 60_000), "Time between Kerberos logins.").jvm(),
    g("kinit", TEXT, "Path of kinit.").jvm(),
    g("security.auth_to_local", text("DEFAULT"), "Rules from principals to names.").not_yet(),
    g("requireKerberosConfig", flag(false), "Do not start without a Kerberos configuration.").not_yet(),
    z("quorum.auth.enableSasl", flag(false), "Servers use SASL among themselves.").not_yet(),
    z("quorum.auth.learnerRequireSasl", flag(false), "A learner insists on SASL.").not_yet(),
    z("quorum.auth.serverRequireSasl", flag(false), "A leader insists on SASL.").not_yet(),
    z("quorum.auth.learner.saslLoginContext", text("QuorumLearner"), "Section of the JAAS file for learners.")
        .not_yet(),
    z("quorum.auth.server.saslLoginContext", text("QuorumServer"), "Section of the JAAS file for leaders.").not_yet(),
    z("quorum.auth.kerberos.servicePrincipal", text("zkquorum/localhost"), "Principal of the servers.").not_yet(),
    z("sslQuorum", flag(false), "Servers use TLS among themselves.").not_yet(),
    z("portUnification", flag(false), "TLS and plain on the servers' ports.").not_yet(),
    z("sslQuorumReloadCertFiles", flag(false), "Read the servers' stores again when they change.").not_yet(),
    g("client.portUnification", flag(false), "TLS and plain on the client port.").not_yet(),
    g("client.certReload", flag(false), "Read the clients' stores again when they change.").not_yet(),
    g("fips-mode", flag(true), "Only algorithms that FIPS allows.").not_yet(),
    g("ssl.authProvider", text("x509"), "Scheme of TLS clients.").not_yet(),
    g("ssl.sslProvider", TEXT, "TLS library of the Java machine.").jvm(),
    g("ssl.quorum.sslProvider", TEXT, "TLS library of the Java machine.").jvm(),
];

const fn join() -> [OptionDef; 83] {
    let mut rows = [REST[0]; 83];
    let mut at = 0;
    while at < rows.len() {
        rows[at] = match at {
            0..45 => REST[at],
            45..64 => CLIENT_TLS[at - 45],
            _ => QUORUM_TLS[at - 64],
        };
        at += 1;
    }
    rows
}

pub(super) const ROWS: &[OptionDef] = &join();
