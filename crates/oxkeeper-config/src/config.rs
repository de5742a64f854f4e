//! One checked configuration: groups of typed settings, and what is worth a warning.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::Role;

use crate::options::{self, Status};
use crate::reader::Reader;
use crate::report::{ConfigError, Warning};
use crate::settings::admin::{AdminServer, Audit, Metrics, ServerLog, StallDetector};
use crate::settings::client::{ClientEdge, Limits, Sessions};
use crate::settings::ensemble::{EnsembleConfig, Membership};
use crate::settings::security::Security;
use crate::settings::storage::{Storage, Tree, warn_if_relative};
use crate::sources::{Inputs, MainSource, ReadFile, Sources};

/// Everything a server is told. Every value has passed its rules; units are in the names.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration file, if there is one; a reconfiguration rewrites it.
    pub config_file: Option<PathBuf>,
    /// Its text at the start.
    pub config_text: Option<String>,
    /// `myid`, if the file is there; a server on its own may have none.
    pub my_id: Option<ServerId>,
    pub client: ClientEdge,
    pub sessions: Sessions,
    pub limits: Limits,
    pub storage: Storage,
    pub tree: Tree,
    pub security: Security,
    /// `None`: the server runs on its own.
    pub ensemble: Option<EnsembleConfig>,
    /// Members may change while running.
    pub reconfig_enabled: bool,
    /// A list of one voter means a server on its own.
    pub standalone_enabled: bool,
    pub admin: AdminServer,
    pub metrics: Metrics,
    pub audit: Audit,
    pub stall_detector: StallDetector,
    pub log: ServerLog,
    /// In the order of the sources; for the log.
    pub warnings: Vec<Warning>,
    /// System properties that no setting above stands for, with those that unknown keys of the file become.
    pub properties: BTreeMap<String, String>,
}

impl Config {
    /// Reads and checks everything. `read_file` reads the dynamic file and `myid`; see [`crate::read_text`].
    pub fn load(inputs: &Inputs, read_file: &mut ReadFile) -> Result<Config, ConfigError> {
        Config::load_asked(inputs, read_file).map(|(config, _)| config)
    }

    /// The reference's short form for a server on its own: `port dataDir [tickTime] [maxClientCnxns]`.
    pub fn from_args(
        port: &str,
        data_dir: &str,
        tick_time: Option<&str>,
        max_cnxns: Option<&str>,
    ) -> Result<Config, ConfigError> {
        let words = [Some(port), Some(data_dir), tick_time, max_cnxns];
        let words = words.into_iter().map_while(|word| word.map(str::to_string)).collect();
        let inputs = Inputs { main: MainSource::Arguments(words), ..Inputs::default() };
        Config::load(&inputs, &mut |_| Ok(None))
    }

    pub(crate) fn load_asked(inputs: &Inputs, read_file: &mut ReadFile) -> Result<(Config, Reader), ConfigError> {
        let mut reader = Reader::new(Sources::new(inputs)?);
        let r = &mut reader;
        r.warn_of_keys();
        let storage = Storage::read(r)?;
        let tree = Tree::read(r)?;
        let sessions = Sessions::read(r)?;
        let mut client = ClientEdge::read(r)?;
        let limits = Limits::read(r)?;
        let membership = Membership::read(r, &inputs.main, &storage.data_dir, &mut client, read_file)?;
        if let Some(path) = membership.dynamic_config_file.clone() {
            warn_if_relative(r, "dynamicConfigFile", &path);
        }
        let my_id = membership.my_id;
        let ensemble = EnsembleConfig::read(r, membership, &storage.data_dir, tree.extended_types)?;
        if client.client_address.is_none() && client.secure_client_address.is_none() {
            r.warn_all(
                "no client port is set: no client can connect; clientPort or secureClientPort sets one".to_string(),
            );
        }
        let security = Security::read(r, client.secure_client_address.is_some() || client.port_unification)?;
        let (config_file, config_text) = match &inputs.main {
            MainSource::File { path, text } => (Some(PathBuf::from(path)), Some(text.clone())),
            _ => (None, None),
        };
        let reconfig_enabled = r.flag("reconfigEnabled")?;
        if reconfig_enabled && ensemble.is_some() {
            r.warn_all(
                "reconfigEnabled=true: the list of members gets a version and a file of its own, but it cannot be changed \
                 while running yet"
                    .to_string(),
            );
        }
        if reconfig_enabled && ensemble.as_ref().is_some_and(|e| e.role == Role::Observer && !e.sync_enabled) {
            r.warn_all(
                "syncEnabled=false is without effect with reconfigEnabled=true: an observer that may become a voter needs its log"
                    .to_string(),
            );
        }
        let config = Config {
            config_file,
            config_text,
            my_id,
            reconfig_enabled,
            standalone_enabled: r.flag("standaloneEnabled")?,
            admin: AdminServer::read(r)?,
            metrics: Metrics::read(r)?,
            audit: Audit::read(r)?,
            stall_detector: StallDetector::read(r)?,
            log: ServerLog::read(r),
            client,
            sessions,
            limits,
            storage,
            tree,
            security,
            ensemble,
            properties: leftovers(&r.sources),
            warnings: std::mem::take(&mut r.warnings),
        };
        Ok((config, reader))
    }
}

/// What the reference would have as system properties and no setting of ours reads.
fn leftovers(sources: &Sources) -> BTreeMap<String, String> {
    let read = |status: Status| matches!(status, Status::Used | Status::NotYet);
    let mut left = BTreeMap::new();
    for (name, (value, _)) in &sources.properties {
        if !options::find_property(name).is_some_and(|row| read(row.status)) {
            left.insert(name.clone(), value.clone());
        }
    }
    for entry in &sources.entries {
        match options::find(&entry.key) {
            Some(row) if row.place != options::Place::Generic || read(row.status) => {}
            _ => {
                left.insert(format!("zookeeper.{}", entry.key), entry.value.clone());
            }
        }
    }
    left
}

/// What to print after an error, with exit code 2 (reference `QuorumPeerMain`).
pub fn usage(program: &str) -> String {
    format!("Usage: {program} configfile | port datadir [ticktime] [maxcnxns]")
}
