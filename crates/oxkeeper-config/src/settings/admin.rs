//! Settings of what people look at: HTTP commands, metrics, the audit log, stalls, the log.

use std::path::PathBuf;

use oxkeeper_types::ensemble::HostPort;

use super::{checked, positive};
use crate::options::admin::{METRICS_DEFAULT, METRICS_NULL, METRICS_PROMETHEUS};
use crate::reader::{Reader, wrong};
use crate::report::ConfigError;

/// Commands over HTTP.
#[derive(Clone, Debug)]
pub struct AdminServer {
    pub enabled: bool,
    /// Port 0 takes any free one.
    pub address: HostPort,
    /// Path of the commands, as in `/commands`.
    pub command_url: String,
    /// `None`: for ever.
    pub idle_timeout_ms: Option<u64>,
    /// HTTPS and HTTP on the same port.
    pub port_unification: bool,
    pub force_https: bool,
    pub need_client_auth: bool,
    /// Time between snapshot or restore commands.
    pub rate_limit_interval_ms: u64,
    pub snapshot_enabled: bool,
    pub restore_enabled: bool,
}

/// Where metrics go.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub provider: MetricsProvider,
    /// Where Prometheus fetches them; `None`: nowhere over plain HTTP. Meant for that provider alone.
    pub prometheus_address: Option<HostPort>,
    /// Span of the quantiles.
    pub summary_rotation_s: u64,
}

/// `metricsProvider.className`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricsProvider {
    /// None are kept.
    Null,
    /// For `mntr` and the HTTP commands.
    Default,
    /// For those and for Prometheus.
    Prometheus,
}

/// The log of who changed what.
#[derive(Clone, Debug)]
pub struct Audit {
    pub enabled: bool,
}

/// Looks for stalls of the whole process (`jvm.pause.*`).
#[derive(Clone, Debug)]
pub struct StallDetector {
    pub enabled: bool,
    pub info_threshold_ms: u64,
    pub warn_threshold_ms: u64,
    pub sleep_ms: u64,
}

/// Where the log that people read goes; `None`: as the caller likes.
#[derive(Clone, Debug)]
pub struct ServerLog {
    pub dir: Option<PathBuf>,
    pub file: Option<PathBuf>,
}

impl AdminServer {
    pub(crate) fn read(r: &mut Reader) -> Result<AdminServer, ConfigError> {
        let port = checked(r.int("admin.serverPort")?);
        let url = r.text("admin.commandURL");
        Ok(AdminServer {
            enabled: r.flag("admin.enableServer")?,
            address: r.listen("admin.serverAddress", port)?,
            command_url: if url.starts_with('/') { url } else { format!("/{url}") },
            idle_timeout_ms: positive(r.int("admin.idleTimeout")?),
            port_unification: r.flag("admin.portUnification")?,
            force_https: r.flag("admin.forceHttps")?,
            need_client_auth: r.flag("admin.needClientAuth")?,
            rate_limit_interval_ms: checked(r.int("admin.rateLimiterIntervalInMS")?),
            snapshot_enabled: r.flag("admin.snapshot.enabled")?,
            restore_enabled: r.flag("admin.restore.enabled")?,
        })
    }
}

impl Metrics {
    pub(crate) fn read(r: &mut Reader) -> Result<Metrics, ConfigError> {
        let class = r.text("metricsProvider.className");
        let is = |known: &str| known == class || known.rsplit('.').next() == Some(class.as_str());
        let provider = if is(METRICS_PROMETHEUS) {
            MetricsProvider::Prometheus
        } else if is(METRICS_NULL) {
            MetricsProvider::Null
        } else if is(METRICS_DEFAULT) {
            MetricsProvider::Default
        } else {
            let row = r.row("metricsProvider.className");
            let found = r.sources.find(row).unwrap_or_else(|| panic!("the default {class} is unknown"));
            let allowed = format!("one of {METRICS_DEFAULT}, {METRICS_NULL}, {METRICS_PROMETHEUS}");
            return Err(wrong(row, &found, allowed));
        };
        // The other providers ignore their settings in the reference, so a wrong one does not stop the start.
        let port = match r.int("metricsProvider.httpPort") {
            Err(error) if provider != MetricsProvider::Prometheus => {
                r.warn_all(format!("{error}; without effect, as {class} has no port"));
                -1
            }
            port => port?,
        };
        let address = r.listen("metricsProvider.httpHost", u16::try_from(port).unwrap_or(0))?;
        Ok(Metrics {
            provider,
            prometheus_address: Some(address).filter(|_| port >= 0),
            summary_rotation_s: checked(r.int("metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds")?),
        })
    }
}

impl Audit {
    pub(crate) fn read(r: &mut Reader) -> Result<Audit, ConfigError> {
        Ok(Audit { enabled: r.flag("audit.enable")? })
    }
}

impl StallDetector {
    pub(crate) fn read(r: &mut Reader) -> Result<StallDetector, ConfigError> {
        Ok(StallDetector {
            enabled: r.flag("jvm.pause.monitor")?,
            info_threshold_ms: checked(r.int("jvm.pause.info-threshold.ms")?),
            warn_threshold_ms: checked(r.int("jvm.pause.warn-threshold.ms")?),
            sleep_ms: checked(r.int("jvm.pause.sleep.time.ms")?),
        })
    }
}

impl ServerLog {
    pub(crate) fn read(r: &mut Reader) -> ServerLog {
        ServerLog { dir: r.path("log.dir"), file: r.path("log.file") }
    }
}
