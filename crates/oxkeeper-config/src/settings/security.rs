//! Settings of authentication and TLS. Stores and password files are read by those who open them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::checked;
use crate::reader::Reader;
use crate::report::ConfigError;

/// Text that never shows in logs: formatting it for debugging gives stars.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Who may do what, and how they prove who they are.
#[derive(Clone, Debug)]
pub struct Security {
    /// `authProvider.<name>`: class names by name; `x509` is added where TLS clients are served.
    pub auth_providers: BTreeMap<String, String>,
    pub digest_enabled: bool,
    /// As written, `SHA1` by default.
    pub digest_algorithm: String,
    pub super_digest: Option<Secret>,
    /// HTTP commands: trust the X-Forwarded-For header.
    pub use_x_forwarded_for: bool,
    pub x509_super_user: Option<String>,
    /// `superUser` and `superUser.*`.
    pub sasl_super_users: Vec<String>,
    pub sasl_super_password: Option<Secret>,
    pub let_any_sasl_user_do_x: Option<String>,
    pub session_requires_sasl: bool,
    /// Schemes of which clients must use one; `None`: not enforced.
    pub enforced_schemes: Option<Vec<String>>,
    /// Section of the JAAS file for clients.
    pub sasl_server_section: String,
    pub jaas_file: Option<PathBuf>,
    pub allow_sasl_failed_clients: bool,
    /// `ensembleAuthName`; empty: any.
    pub ensemble_names: Vec<String>,
    /// Scheme of TLS clients.
    pub tls_auth_scheme: String,
    pub fips_mode: bool,
    /// `ssl.*`.
    pub client_tls: Tls,
    /// `ssl.quorum.*`.
    pub quorum_tls: Tls,
}

/// One set of TLS settings.
#[derive(Clone, Debug)]
pub struct Tls {
    pub key_store: Store,
    pub trust_store: Store,
    pub protocol: String,
    /// TLS versions accepted; empty: by `protocol`.
    pub enabled_protocols: Vec<String>,
    /// Empty: the library's choice.
    pub cipher_suites: Vec<String>,
    pub client_auth: ClientAuth,
    pub hostname_verification: bool,
    pub client_hostname_verification: bool,
    pub allow_reverse_dns_lookup: bool,
    pub crl: bool,
    pub ocsp: bool,
    /// Time to tell TLS from plain.
    pub detection_timeout_ms: u64,
}

/// A file with keys or certificates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    pub location: Option<PathBuf>,
    pub password: Option<Secret>,
    /// A file with the password; it wins over `password`.
    pub password_path: Option<PathBuf>,
    /// JKS, PEM, PKCS12 or BCFKS; `None`: by the file's ending.
    pub kind: Option<&'static str>,
}

/// Whether the other side must show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    None,
    Want,
    Need,
}

const X509_PROVIDER: &str = "org.apache.zookeeper.server.auth.X509AuthenticationProvider";

impl Security {
    /// Whether an authentication scheme of this name exists (reference `ProviderRegistry`): by its own switch, or by a class
    /// that `authProvider.*` names. Classes of others than ZooKeeper cannot be loaded, so their schemes do not exist.
    pub fn knows_scheme(&self, scheme: &str) -> bool {
        let has = |class: &str| self.auth_providers.values().any(|name| name.contains(class));
        match scheme {
            "ip" => true,
            "digest" => self.digest_enabled,
            "x509" => has("X509AuthenticationProvider"),
            "sasl" => has("SASLAuthenticationProvider"),
            "ensemble" => !self.ensemble_names.is_empty() || has("EnsembleAuthenticationProvider"),
            _ => false,
        }
    }

    /// Clients cannot be asked for a scheme that nobody can prove anything by (reference `AuthenticationHelper`).
    fn check_enforced_schemes(&self, r: &Reader) -> Result<(), ConfigError> {
        let asked = self.enforced_schemes.iter().flatten().map(|scheme| ("enforce.auth.schemes", scheme.as_str()));
        let sasl = self.session_requires_sasl.then_some(("sessionRequireClientSASLAuth", "sasl"));
        let Some((key, scheme)) = sasl.into_iter().chain(asked).find(|(_, scheme)| !self.knows_scheme(scheme)) else {
            return Ok(());
        };
        let text = format!(
            "{key} demands the authentication scheme {scheme}, which is not available here; authProvider.{scheme} names its \
             class, or take it out of {key}"
        );
        Err(ConfigError::Conflict { at: super::client::place(r, &[key]), text })
    }

    pub(crate) fn read(r: &mut Reader, serves_tls: bool) -> Result<Security, ConfigError> {
        let tls_auth_scheme = r.text("ssl.authProvider");
        let mut auth_providers = family(r, "authProvider.*");
        if serves_tls {
            check_tls_scheme(r, &tls_auth_scheme, &mut auth_providers)?;
        }
        let mut sasl_super_users: Vec<String> = r.text_opt("superUser").into_iter().collect();
        sasl_super_users.extend(family(r, "superUser.*").into_values());
        let enforced = r.flag("enforce.auth.enabled")?;
        let schemes = r.list("enforce.auth.schemes");
        if enforced && schemes.is_empty() {
            let text =
                "enforce.auth.enabled is true but enforce.auth.schemes is empty; name the schemes, as in digest,sasl"
                    .to_string();
            return Err(ConfigError::Conflict { at: super::client::place(r, &["enforce.auth.enabled"]), text });
        }
        let security = Security {
            auth_providers,
            digest_enabled: r.flag("DigestAuthenticationProvider.enabled")?,
            digest_algorithm: r.text("DigestAuthenticationProvider.digestAlg"),
            super_digest: secret(r, "DigestAuthenticationProvider.superDigest"),
            use_x_forwarded_for: r.flag("IPAuthenticationProvider.usexforwardedfor")?,
            x509_super_user: r.text_opt("X509AuthenticationProvider.superUser"),
            sasl_super_users,
            sasl_super_password: secret(r, "SASLAuthenticationProvider.superPassword"),
            let_any_sasl_user_do_x: r.text_opt("letAnySaslUserDoX"),
            session_requires_sasl: r.flag("sessionRequireClientSASLAuth")?,
            enforced_schemes: Some(schemes).filter(|_| enforced),
            sasl_server_section: r.text("sasl.serverconfig"),
            jaas_file: r.path("java.security.auth.login.config"),
            allow_sasl_failed_clients: r.flag("allowSaslFailedClients")?,
            ensemble_names: r.list("ensembleAuthName"),
            tls_auth_scheme,
            fips_mode: r.flag("fips-mode")?,
            client_tls: Tls::read(r, "ssl.")?,
            quorum_tls: Tls::read(r, "ssl.quorum.")?,
        };
        security.check_enforced_schemes(r)?;
        Ok(security)
    }
}

/// Reference `QuorumPeerConfig.configureSSLAuth`: x509 comes by itself, any other scheme needs its class.
fn check_tls_scheme(r: &Reader, scheme: &str, providers: &mut BTreeMap<String, String>) -> Result<(), ConfigError> {
    if scheme == "x509" {
        providers.entry("x509".to_string()).or_insert_with(|| X509_PROVIDER.to_string());
    }
    if providers.contains_key(scheme) {
        return Ok(());
    }
    let text = format!(
        "ssl.authProvider is {scheme}, but authProvider.{scheme} is not set; set it, or leave both unset for x509"
    );
    Err(ConfigError::Conflict { at: super::client::place(r, &["ssl.authProvider", "secureClientPort"]), text })
}

fn family(r: &mut Reader, name: &str) -> BTreeMap<String, String> {
    let row = r.row(name);
    r.sources.family(row).into_iter().map(|(end, found)| (end, found.value)).collect()
}

fn secret(r: &mut Reader, name: &str) -> Option<Secret> {
    r.text_opt(name).map(Secret)
}

impl Tls {
    fn read(r: &mut Reader, prefix: &str) -> Result<Tls, ConfigError> {
        let name = |end: &str| format!("{prefix}{end}");
        Ok(Tls {
            key_store: Store::read(r, &name("keyStore."))?,
            trust_store: Store::read(r, &name("trustStore."))?,
            protocol: r.text(&name("protocol")),
            enabled_protocols: r.list(&name("enabledProtocols")),
            cipher_suites: r.list(&name("ciphersuites")),
            client_auth: match r.choice(&name("clientAuth"))? {
                "none" => ClientAuth::None,
                "want" => ClientAuth::Want,
                _ => ClientAuth::Need,
            },
            hostname_verification: r.flag(&name("hostnameVerification"))?,
            client_hostname_verification: r.flag(&name("clientHostnameVerification"))?,
            allow_reverse_dns_lookup: r.flag(&name("allowReverseDnsLookup"))?,
            crl: r.flag(&name("crl"))?,
            ocsp: r.flag(&name("ocsp"))?,
            detection_timeout_ms: checked(r.int(&name("handshakeDetectionTimeoutMillis"))?),
        })
    }
}

impl Store {
    fn read(r: &mut Reader, prefix: &str) -> Result<Store, ConfigError> {
        Ok(Store {
            location: r.path(&format!("{prefix}location")),
            password: secret(r, &format!("{prefix}password")),
            password_path: r.path(&format!("{prefix}passwordPath")),
            kind: Some(r.choice(&format!("{prefix}type"))?).filter(|kind| !kind.is_empty()),
        })
    }
}
