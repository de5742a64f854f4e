//! zoo.cfg, the dynamic configuration file and system properties, read into one checked [`Config`].
//!
//! Owns names, syntax, defaults, ranges and the rules between keys; the table of all keys is [`options`]. Must not know
//! what the server does with a setting. Parsing is pure: [`Config::load`] takes texts and a closure that reads a file, and
//! [`read_text`] is the only function that touches the disk.
//!
//! The caller finds zoo.cfg (ZOOCFGDIR, ZOOCFG) and hands in SERVER_JVMFLAGS and JVMFLAGS; scripts that set
//! ZOO_DATADIR_AUTOCREATE_DISABLE mean the property `zookeeper.datadir.autocreate=false`.

mod config;
mod file;
mod nearest;
pub mod options;
pub mod properties;
mod reader;
mod report;
pub mod rewrite;
mod settings;
mod sources;
#[cfg(test)]
mod tests;

pub use config::{Config, usage};
pub use file::read_text;
pub use report::{At, ConfigError, Warning};
pub use settings::admin::{AdminServer, Audit, Metrics, MetricsProvider, ServerLog, StallDetector};
pub use settings::client::{ClientEdge, ConnectionThrottle, FourLetterWords, Limits, RequestThrottle, Sessions};
pub use settings::ensemble::{ElectionSettings, EnsembleConfig, QuorumSasl};
pub use settings::security::{ClientAuth, Secret, Security, Tls};
pub use settings::storage::{Compression, Storage, Tree};
pub use sources::{Inputs, MainSource, ReadFile};
