//! Rows of section 5.5 of the inventory, commands, metrics and the rest: CF161 to CF179.

use super::*;

/// Class names of the metrics providers that are known, each also by its last word alone.
pub(crate) const METRICS_DEFAULT: &str = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider";
pub(crate) const METRICS_NULL: &str = "org.apache.zookeeper.metrics.impl.NullMetricsProvider";
pub(crate) const METRICS_PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

pub(super) const ROWS: &[OptionDef] = &[
    g("admin.enableServer", Kind::Word { word: "false", sets: false }, "Commands over HTTP."),
    g("admin.serverAddress", Kind::Host { default: "0.0.0.0" }, "Address of the commands over HTTP.").not_yet(),
    g("admin.serverPort", port(8080), "Port of the commands over HTTP; 0 takes any free one.").not_yet(),
    g("admin.commandURL", text("/commands"), "Path of the commands.").not_yet(),
    g("admin.idleTimeout", int(Unit::Ms, MIN_INT, 30_000), "Time an HTTP connection may be idle.").not_yet(),
    g("admin.httpVersion", int(Unit::Count, MIN_INT, 11), "HTTP version of the reference's answers.").jvm(),
    g("admin.portUnification", flag(false), "HTTPS and HTTP on the same port.").not_yet(),
    g("admin.forceHttps", flag(false), "HTTPS alone.").not_yet(),
    g("admin.needClientAuth", flag(false), "HTTPS clients must show a certificate.").not_yet(),
    g("admin.rateLimiterIntervalInMS", int(Unit::Ms, 0, 300_000), "Time between snapshot or restore commands.")
        .not_yet(),
    g("admin.snapshot.enabled", flag(true), "The snapshot command.").not_yet(),
    g("admin.restore.enabled", flag(true), "The restore command.").not_yet(),
    z(
        "metricsProvider.className",
        text(METRICS_DEFAULT),
        "Where metrics go: the Default, Null or Prometheus provider.",
    ),
    z(
        "metricsProvider.httpPort",
        Kind::Int { unit: Unit::Port, min: -1, max: 65535, default: Some(7000), unset: "" },
        "Port of the Prometheus metrics; 0 takes any free one, -1 none.",
    )
    .not_yet(),
    z("metricsProvider.httpHost", Kind::Host { default: "0.0.0.0" }, "Address of the Prometheus metrics.").not_yet(),
    z(
        "metricsProvider.httpsPort",
        Kind::Int { unit: Unit::Port, min: -1, max: 65535, default: Some(-1), unset: "" },
        "Port of the Prometheus metrics over TLS; -1 none.",
    )
    .not_yet(),
    z("metricsProvider.ssl.*", TEXT, "TLS of the Prometheus metrics.").not_yet(),
    z(
        "metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds",
        int(Unit::Seconds, 1, 60),
        "Span of the quantiles.",
    )
    .not_yet(),
    z("metricsProvider.exportJvmInfo", flag(true), "Metrics of the Java machine.").jvm(),
    z("metricsProvider.numWorkerThreads", int(Unit::Count, MIN_INT, 1), "Threads of the metrics.").jvm(),
    z("metricsProvider.maxQueueSize", int(Unit::Count, MIN_INT, 1_000_000), "Queue of the metrics.").jvm(),
    z("metricsProvider.workerShutdownTimeoutMs", long(Unit::Ms, i64::MIN, 1000), "Wait for those threads at the end.")
        .jvm(),
    g("audit.enable", flag(false), "Log who changed what.").not_yet(),
    g("audit.impl.class", TEXT, "Class of the audit log.").jvm(),
    z("jvm.pause.monitor", flag(false), "Watch for stalls of the whole process."),
    z("jvm.pause.info-threshold.ms", long(Unit::Ms, 0, 1000), "Length of a stall that is told of."),
    z("jvm.pause.warn-threshold.ms", long(Unit::Ms, 0, 10_000), "Length of a stall that is warned of."),
    z("jvm.pause.sleep.time.ms", long(Unit::Ms, 1, 500), "Time between looks."),
    g("jmx.log4j.disable", TEXT, "Log settings over JMX.").jvm(),
    g("jmx.log4j.mbean", TEXT, "Log settings over JMX.").jvm(),
    g("test.allowDiscontinuousProposals", TEXT, "A hook of the reference's tests.").jvm(),
    g("controllerPort", TEXT, "A hook of the reference's tests.").jvm(),
    g("log.dir", path(), "Directory of the log that people read.").not_yet(),
    g("log.file", path(), "File of the log that people read.").not_yet(),
    g("root.logger", TEXT, "Level and target of the log.").jvm(),
    g("request.timeout", long(Unit::Ms, i64::MIN, 0), "Time a client waits for an answer.").client(),
    g("client.secure", flag(false), "A client uses TLS.").client(),
    g("clientCnxnSocket", TEXT, "Class of a client's connection.").client(),
    g("disableAutoWatchReset", flag(false), "A client does not set its watches again.").client(),
    g("shuffleDnsResponse", flag(false), "A client mixes the addresses of a name.").client(),
    g(
        "hostProvider.dnsSrvRefreshIntervalSeconds",
        int(Unit::Seconds, MIN_INT, 60),
        "How often a client asks the DNS for servers.",
    )
    .client(),
];
