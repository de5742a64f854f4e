//! The list of members, this server's place in it, and the settings of quorum and election.
//!
//! Follows reference `QuorumPeerConfig.setupQuorumPeerConfig`: list, myid, client port, role, validity.

use std::io;
use std::path::{Path, PathBuf};

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{Ensemble, EnsembleError, HostPort, Member, MemberRules, Role};

use super::client::{ClientEdge, place};
use super::{checked, positive};
use crate::properties::{self, Entry};
use crate::reader::Reader;
use crate::report::{At, ConfigError, Warning};
use crate::sources::{MainSource, ReadFile};

/// All that a server of an ensemble needs besides what every server needs.
#[derive(Clone, Debug)]
pub struct EnsembleConfig {
    pub my_id: ServerId,
    /// This server's role, by the list of members.
    pub role: Role,
    pub members: Ensemble,
    /// A list that was proposed but not activated before the last stop (`<zoo.cfg>.dynamic.next`). Only with `reconfigEnabled`.
    pub last_seen: Option<Ensemble>,
    /// Where the list comes from; `None`: from the configuration file itself.
    pub dynamic_config_file: Option<PathBuf>,
    pub init_limit_ticks: u32,
    pub sync_limit_ticks: u32,
    /// `init_limit_ticks` unless set.
    pub connect_to_learner_master_limit_ticks: u32,
    pub listen_on_all_ips: bool,
    /// Where a follower serves observers; `None`: it does not.
    pub observer_master_port: Option<u16>,
    pub observer_master_limit_bytes: u32,
    /// Whether an observer writes logs and snapshots.
    pub sync_enabled: bool,
    pub leader_serves: bool,
    /// How long a leader waits for a quorum to accept its epoch; `None`: as long as `init_limit_ticks`.
    pub epoch_wait_ms_max: Option<u64>,
    /// Observers that are synced at a time.
    pub snapshot_syncs_max: u32,
    pub diff_syncs_max: u32,
    pub leader_connect_retry_delay_ms: u64,
    pub observer_reconnect_delay_ms: u64,
    pub observer_election_delay_ms: u64,
    /// What the counter of an epoch begins behind; not 0 in tests alone.
    pub counter_initial: u32,
    pub leader_tcp_no_delay: bool,
    pub follower_tcp_no_delay: bool,
    pub multi_address: bool,
    /// TLS between servers.
    pub tls: bool,
    /// TLS and plain on the servers' ports.
    pub port_unification: bool,
    pub reload_certificates: bool,
    pub election: ElectionSettings,
    pub sasl: QuorumSasl,
}

/// Settings of the election port.
#[derive(Clone, Debug)]
pub struct ElectionSettings {
    pub connect_timeout_ms: u64,
    /// `None`: by tick time and sync limit.
    pub read_timeout_ms: Option<u64>,
    /// `None`: for ever.
    pub bind_retries_max: Option<u32>,
    pub tcp_keep_alive: bool,
    pub notification_ms_min: u64,
    pub notification_ms_max: u64,
}

/// SASL between servers.
#[derive(Clone, Debug)]
pub struct QuorumSasl {
    pub enabled: bool,
    pub learner_requires: bool,
    pub server_requires: bool,
    /// Sections of the JAAS file.
    pub learner_section: String,
    pub server_section: String,
    pub service_principal: String,
}

/// What the list of members came to.
pub(crate) struct Membership {
    pub members: Ensemble,
    pub last_seen: Option<Ensemble>,
    pub my_id: Option<ServerId>,
    pub role: Role,
    pub dynamic_config_file: Option<PathBuf>,
    /// Whether this server runs with others, or on its own.
    pub distributed: bool,
}

type Result<T> = std::result::Result<T, ConfigError>;

impl Membership {
    /// Reads the list and myid; takes over or fills in the client addresses of this server's own line.
    pub(crate) fn read(
        r: &mut Reader,
        main: &MainSource,
        data_dir: &Path,
        client: &mut ClientEdge,
        read_file: &mut ReadFile,
    ) -> Result<Membership> {
        let rules = MemberRules { multi_address: r.flag("multiAddress.enabled")? };
        let standalone_enabled = r.flag("standaloneEnabled")?;
        let dynamic_config_file = r.path("dynamicConfigFile");
        for family in ["server.*", "group.*", "weight.*", "version"] {
            r.row(family);
        }
        let (entries, source) = match &dynamic_config_file {
            None => (r.sources.entries.clone(), r.sources.main_name.clone()),
            Some(path) => (dynamic_entries(r, path, read_file)?, path.display().to_string()),
        };
        let mut members = parse_members(&entries, &source, rules)?;
        if let Some(version) = dynamic_config_file.as_deref().and_then(version_of_name) {
            members.set_version(version);
        }
        let voters = check_voters(r, &members, standalone_enabled, &source)?;
        let my_id = read_my_id(data_dir, read_file)?;
        let at = At { source, line: None };
        if let Some(me) = my_id.and_then(|id| members.member_mut(id)) {
            let id = me.id;
            let secure = &mut client.secure_client_address;
            share_address(r, &at, id, "client", &mut client.client_address, &mut me.client)?;
            me.client_from_static = me.client.is_none();
            share_address(r, &at, id, "secure client", secure, &mut me.secure_client)?;
            if me.client_from_static {
                me.client = client.client_address.clone();
            }
        }
        Ok(Membership {
            role: role(r, &members, my_id)?,
            last_seen: match dynamic_config_file {
                Some(_) if r.flag("reconfigEnabled")? => last_seen(main, rules, read_file)?,
                _ => None,
            },
            distributed: !standalone_enabled || voters > 1,
            members,
            my_id,
            dynamic_config_file,
        })
    }
}

/// Reference `QuorumPeerConfig.parse`: the file has members only, and no version, which is in its name.
fn dynamic_entries(r: &Reader, path: &Path, read_file: &mut ReadFile) -> Result<Vec<Entry>> {
    let is_member = |key: &str| key.starts_with("server.") || key.starts_with("group") || key.starts_with("weight");
    if let Some(entry) = r.sources.entries.iter().find(|entry| is_member(&entry.key)) {
        let text = format!(
            "{} stands beside dynamicConfigFile; with that, members, groups and weights belong in {}",
            entry.key,
            path.display()
        );
        return Err(ConfigError::Conflict { at: r.sources.at(entry), text });
    }
    let advice =
        "dynamicConfigFile names it; make the file, or take the key out and list the members in the configuration file";
    let text = read(path, read_file, advice)?.ok_or_else(|| no_file(path, "there is no such file", advice))?;
    let entries = parse_entries(path, &text)?;
    for entry in &entries {
        let at = At { source: path.display().to_string(), line: Some(entry.line) };
        if entry.key == "version" {
            let text =
                "version does not belong here: it is the hexadecimal number at the end of the file's name".to_string();
            return Err(ConfigError::Conflict { at, text });
        }
        if !is_member(&entry.key) {
            let text = format!("unknown key {}; only server.N, group.N and weight.N belong here", entry.key);
            return Err(ConfigError::Conflict { at, text });
        }
    }
    Ok(entries)
}

fn parse_entries(path: &Path, text: &str) -> Result<Vec<Entry>> {
    properties::parse(text)
        .map_err(|e| ConfigError::Escape { at: At { source: path.display().to_string(), line: Some(e.line) } })
}

/// The version at the end of a dynamic file's name (reference `getVersionFromFilename`).
fn version_of_name(path: &Path) -> Option<oxkeeper_types::Zxid> {
    let name = path.to_string_lossy();
    let (_, end) = name.rsplit_once('.')?;
    i64::from_str_radix(end, 16).ok().map(oxkeeper_types::Zxid)
}

fn parse_members(entries: &[Entry], source: &str, rules: MemberRules) -> Result<Ensemble> {
    let pairs = entries.iter().map(|entry| (entry.key.as_str(), entry.value.as_str()));
    Ensemble::from_entries(pairs, rules).map_err(|error| {
        let key = match &error {
            EnsembleError::Number { key }
            | EnsembleError::Member { key, .. }
            | EnsembleError::GroupList { key, .. }
            | EnsembleError::WeightNumber { key, .. }
            | EnsembleError::UnknownKey { key } => key.clone(),
            EnsembleError::Version { .. } => "version".to_string(),
            EnsembleError::NotInGroup { server } => format!("server.{}", server.0),
            EnsembleError::InManyGroups { .. } | EnsembleError::GroupOfStrangers { .. } => String::new(),
        };
        let line = entries.iter().find(|entry| entry.key == key).map(|entry| entry.line).filter(|line| *line > 0);
        ConfigError::Ensemble { at: At { source: source.to_string(), line }, error }
    })
}

/// How many voters there are, once that makes sense (reference `parseDynamicConfig`).
fn check_voters(r: &mut Reader, members: &Ensemble, standalone_enabled: bool, source: &str) -> Result<usize> {
    let (voters, observers) = (members.voters().count(), members.observers().count());
    let conflict = |text: &str| {
        let at = At { source: source.to_string(), line: None };
        Err(ConfigError::Conflict { at, text: text.to_string() })
    };
    match voters {
        0 if !standalone_enabled => {
            return conflict("standaloneEnabled=false needs at least one server.N line of a participant");
        }
        0 | 1 if observers > 0 && (voters == 0 || standalone_enabled) => {
            return conflict("observers need an ensemble to observe: add the server.N lines of the participants");
        }
        0 => {}
        1 if standalone_enabled => r.warn_all(
            "one server.N line only: the server runs on its own; standaloneEnabled=false makes it an ensemble of one"
                .to_string(),
        ),
        1 | 2 => r.warn_all("no failure of a server is tolerated with fewer than three voters".to_string()),
        even if even % 2 == 0 => r.warn_all(format!(
            "{even} voters tolerate no more failures than {}; an odd number of voters is better",
            even - 1
        )),
        _ => {}
    }
    Ok(voters)
}

/// `myid` in the data directory; its first line counts. Any number will do for a server on its own, as in the reference; among
/// others it must be one of the list.
fn read_my_id(data_dir: &Path, read_file: &mut ReadFile) -> Result<Option<ServerId>> {
    let path = data_dir.join("myid");
    let Some(text) = read(&path, read_file, "it holds the number of this server")? else { return Ok(None) };
    let line = text.lines().next().unwrap_or_default().trim();
    match line.parse::<i64>() {
        Ok(id) => Ok(Some(ServerId(id))),
        Err(_) => Err(ConfigError::Value {
            at: At { source: path.display().to_string(), line: Some(1) },
            key: "myid".to_string(),
            value: line.to_string(),
            allowed: "the number of this server's server.N line".to_string(),
        }),
    }
}

/// One client address may stand in both places only if it is the same (reference `setupClientPort`). The line of the list
/// counts. Names are not looked up here: where one side is a name, only the ports are compared.
fn share_address(
    r: &mut Reader,
    at: &At,
    id: ServerId,
    what: &str,
    of_static: &mut Option<HostPort>,
    of_list: &mut Option<HostPort>,
) -> Result<()> {
    let Some(listed) = of_list.clone() else { return Ok(()) };
    if let Some(own) = of_static.as_ref() {
        let same_host = own.is_any() || own.host() == listed.host();
        let comparable = own.is_literal() && listed.is_literal();
        if own.port() != listed.port() || (!same_host && comparable) {
            let text = format!(
                "server.{} has the {what} address {listed}, but {} says {own}; leave it in one place",
                id.0, r.sources.main_name
            );
            return Err(ConfigError::Conflict { at: at.clone(), text });
        }
        if !same_host {
            let text = format!("server.{} has the {what} address {listed}; it is used instead of {own}", id.0);
            r.warnings.push(Warning { at: Some(at.clone()), text });
        }
    }
    *of_static = Some(listed);
    Ok(())
}

/// The list of members beats `peerType` (reference `setupPeerType`).
fn role(r: &mut Reader, members: &Ensemble, my_id: Option<ServerId>) -> Result<Role> {
    let by_list = my_id.and_then(|id| members.member(id)).map_or(Role::Participant, |me: &Member| me.role);
    let by_key = if r.choice("peerType")? == "observer" { Role::Observer } else { Role::Participant };
    if let Some(found) = r.sources.entry("peerType").filter(|_| by_key != by_list) {
        r.warn(
            &found,
            format!("peerType={by_key}, but by the list of members this server is a {by_list}; the list counts"),
        );
    }
    Ok(by_list)
}

/// `<zoo.cfg>.dynamic.next`, looked for only beside a dynamic file. Without reconfiguration it is an old one, and would count in
/// every quorum (ZOOKEEPER-3829).
fn last_seen(main: &MainSource, rules: MemberRules, read_file: &mut ReadFile) -> Result<Option<Ensemble>> {
    let MainSource::File { path, .. } = main else { return Ok(None) };
    let path = PathBuf::from(format!("{path}.dynamic.next"));
    let advice = "it holds a list of members that was proposed before the last stop";
    let Some(text) = read(&path, read_file, advice)? else { return Ok(None) };
    parse_members(&parse_entries(&path, &text)?, &path.display().to_string(), rules).map(Some)
}

fn read(path: &Path, read_file: &mut ReadFile, advice: &str) -> Result<Option<String>> {
    read_file(path).map_err(|error: io::Error| no_file(path, &error.to_string(), advice))
}

fn no_file(path: &Path, reason: &str, advice: &str) -> ConfigError {
    ConfigError::File { path: path.display().to_string(), reason: reason.to_string(), advice: advice.to_string() }
}

impl EnsembleConfig {
    /// Reads the settings in any case, so that a wrong one is told of on a server of its own too.
    pub(crate) fn read(
        r: &mut Reader,
        membership: Membership,
        data_dir: &Path,
        extended_types: bool,
    ) -> Result<Option<EnsembleConfig>> {
        let settings = Settings::read(r)?;
        if !membership.distributed {
            return Ok(None);
        }
        let my_id = check_my_id(r, &membership, data_dir, extended_types)?;
        let ticks = |set: Option<i64>, key, advice| match set {
            Some(ticks) if ticks > 0 => Ok(checked::<u32>(ticks)),
            _ => Err(ConfigError::Missing { file: r.sources.main_name.clone(), key, advice }),
        };
        let init_limit = ticks(
            settings.init_limit,
            "initLimit",
            "an ensemble needs it: ticks for a learner to connect and catch up",
        )?;
        let sync_limit =
            ticks(settings.sync_limit, "syncLimit", "an ensemble needs it: ticks a learner may be silent")?;
        Ok(Some(EnsembleConfig {
            my_id,
            role: membership.role,
            members: membership.members,
            last_seen: membership.last_seen,
            dynamic_config_file: membership.dynamic_config_file,
            init_limit_ticks: init_limit,
            sync_limit_ticks: sync_limit,
            connect_to_learner_master_limit_ticks: settings.connect_limit.and_then(positive).unwrap_or(init_limit),
            ..settings.rest
        }))
    }
}

/// What is read before it is known whether there is an ensemble.
struct Settings {
    init_limit: Option<i64>,
    sync_limit: Option<i64>,
    connect_limit: Option<i64>,
    rest: EnsembleConfig,
}

impl Settings {
    fn read(r: &mut Reader) -> Result<Settings> {
        r.int("electionAlg")?;
        Ok(Settings {
            init_limit: r.int_opt("initLimit")?,
            sync_limit: r.int_opt("syncLimit")?,
            connect_limit: r.int_opt("connectToLearnerMasterLimit")?,
            rest: EnsembleConfig {
                my_id: ServerId(0),
                role: Role::Participant,
                members: Ensemble::default(),
                last_seen: None,
                dynamic_config_file: None,
                init_limit_ticks: 0,
                sync_limit_ticks: 0,
                connect_to_learner_master_limit_ticks: 0,
                listen_on_all_ips: r.flag("quorumListenOnAllIPs")?,
                observer_master_port: positive(r.int("observerMasterPort")?),
                observer_master_limit_bytes: checked(r.int("observerMaster.sizeLimit")?),
                sync_enabled: sync_enabled(r)?,
                leader_serves: r.flag("leaderServes")?,
                epoch_wait_ms_max: positive(r.int("leader.maxTimeToWaitForEpoch")?),
                snapshot_syncs_max: checked(r.int("leader.maxConcurrentSnapSyncs")?),
                diff_syncs_max: checked(r.int("leader.maxConcurrentDiffSyncs")?),
                leader_connect_retry_delay_ms: checked(r.int("leaderConnectDelayDuringRetryMs")?),
                observer_reconnect_delay_ms: checked(r.int("observer.reconnectDelayMs")?),
                counter_initial: counter_initial(r)?,
                observer_election_delay_ms: checked(r.int("observer.election.DelayMs")?),
                leader_tcp_no_delay: r.flag("leader.nodelay")?,
                follower_tcp_no_delay: r.flag("follower.nodelay")?,
                multi_address: r.flag("multiAddress.enabled")?,
                tls: r.flag("sslQuorum")?,
                port_unification: r.flag("portUnification")?,
                reload_certificates: r.flag("sslQuorumReloadCertFiles")?,
                election: ElectionSettings::read(r)?,
                sasl: QuorumSasl::read(r)?,
            },
        })
    }
}

/// A hook of the reference's tests (`Leader.lead`), for the end of an epoch.
fn counter_initial(r: &mut Reader) -> Result<u32> {
    let row = r.row("testingonly.initialZxid");
    let value = r.int(row.name)?;
    if value != 0
        && let Some(found) = r.sources.find(row)
    {
        let text = format!(
            "{}={value} is for tests alone: a server that leads begins its epoch behind that number, and what is missing before it \
             stops the next start of whoever has no snapshot behind it; take it out",
            row.name
        );
        r.warn(&found, text);
    }
    Ok(checked(value))
}

/// Here the property beats the file (reference `QuorumPeer.getSyncEnabled`).
fn sync_enabled(r: &mut Reader) -> Result<bool> {
    let row = r.row("syncEnabled");
    let found = r.sources.property(row.also[0]).or_else(|| r.sources.find(row));
    r.flag_of(row, found)
}

/// Ids above this leave no room for the mark of a node with a time to live (reference `EphemeralType`).
const EXTENDED_SERVER_ID_MAX: i64 = 254;

fn check_my_id(r: &mut Reader, membership: &Membership, data_dir: &Path, extended_types: bool) -> Result<ServerId> {
    let path = data_dir.join("myid");
    let at = At { source: path.display().to_string(), line: None };
    let ids = || {
        let ids: Vec<String> = membership.members.members().keys().map(|id| id.0.to_string()).collect();
        ids.join(", ")
    };
    let Some(id) = membership.my_id else {
        let advice = format!("in an ensemble it holds the number of this server, one of {}", ids());
        return Err(no_file(&path, "there is no such file", &advice));
    };
    if membership.members.member(id).is_none() {
        let text = format!(
            "this server is {0}, but the list of members has only {1}; add server.{0}, or correct myid",
            id.0,
            ids()
        );
        return Err(ConfigError::Conflict { at, text });
    }
    if extended_types && id.0 > EXTENDED_SERVER_ID_MAX {
        let text = format!("this server is {}, but extendedTypesEnabled allows {EXTENDED_SERVER_ID_MAX} at most", id.0);
        return Err(ConfigError::Conflict { at, text });
    }
    if !(1..=255).contains(&id.0) {
        r.warnings.push(Warning {
            at: Some(at),
            text: format!("this server is {}; ids from 1 to 255 make sessions of different servers differ", id.0),
        });
    }
    Ok(id)
}

impl ElectionSettings {
    fn read(r: &mut Reader) -> Result<ElectionSettings> {
        let notification_ms_min = checked(r.int("fastleader.minNotificationInterval")?);
        let notification_ms_max: u64 = checked(r.int("fastleader.maxNotificationInterval")?);
        Ok(ElectionSettings {
            connect_timeout_ms: checked(r.int("cnxTimeout")?),
            read_timeout_ms: positive(r.int("quorumCnxnTimeoutMs")?),
            bind_retries_max: positive(r.int("electionPortBindRetry")?),
            tcp_keep_alive: r.flag("tcpKeepAlive")?,
            notification_ms_min,
            notification_ms_max: notification_ms_max.max(notification_ms_min),
        })
    }
}

impl QuorumSasl {
    fn read(r: &mut Reader) -> Result<QuorumSasl> {
        let sasl = QuorumSasl {
            enabled: r.flag("quorum.auth.enableSasl")?,
            learner_requires: r.flag("quorum.auth.learnerRequireSasl")?,
            server_requires: r.flag("quorum.auth.serverRequireSasl")?,
            learner_section: r.text("quorum.auth.learner.saslLoginContext"),
            server_section: r.text("quorum.auth.server.saslLoginContext"),
            service_principal: r.text("quorum.auth.kerberos.servicePrincipal"),
        };
        let rules = [
            (sasl.server_requires && !sasl.enabled, "quorum.auth.serverRequireSasl", "quorum.auth.enableSasl"),
            (sasl.learner_requires && !sasl.enabled, "quorum.auth.learnerRequireSasl", "quorum.auth.enableSasl"),
            (
                sasl.server_requires && !sasl.learner_requires,
                "quorum.auth.serverRequireSasl",
                "quorum.auth.learnerRequireSasl",
            ),
        ];
        match rules.into_iter().find(|(broken, ..)| *broken) {
            None => Ok(sasl),
            Some((_, key, needs)) => {
                Err(ConfigError::Conflict { at: place(r, &[key]), text: format!("{key}=true needs {needs}=true") })
            }
        }
    }
}
