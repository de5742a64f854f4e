//! Ensembles of real processes, of one kind of server or mixed: [`Ensemble`] writes their configurations, starts and ends
//! them and tells who leads. [`mixed`], [`pipelined`], [`unreadable`], [`rollover`], [`rolling`], [`members`], [`faults`],
//! [`failover`], [`followers`] and [`elsewhere`] are what is tried on them.
//! Must not know how the servers work inside.

pub mod cleanup;
pub mod clients;
pub mod elsewhere;
pub mod failover;
pub mod faults;
pub mod followers;
pub mod load;
pub mod member;
pub mod members;
pub mod mixed;
pub mod network;
pub mod pipelined;
pub mod rolling;
pub mod rollover;
pub mod tour;
pub mod unreadable;

pub use member::{Member, PATIENCE, Role};

use crate::servers::{SUPER_DIGEST, ServerError, ServerKind, io, new_dir};
use network::Network;
use oxkeeper_client::blocking::{Client, Options};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds.
pub const TICK_MS: u32 = 500;
/// Suits processes that live for seconds: starts faster, and less memory.
const QUICK_JVM: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto";

#[derive(Debug, thiserror::Error)]
pub enum EnsembleError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("after {} s still not: {what}\n{state}", PATIENCE.as_secs())]
    Late { what: String, state: String },
    #[error("{0}")]
    Wrong(String),
    #[error("{what}: {error}")]
    Client { what: String, error: oxkeeper_client::ClientError },
}

/// Names the step in which a client's call failed.
pub fn during(what: impl Into<String>) -> impl FnOnce(oxkeeper_client::ClientError) -> EnsembleError {
    let what = what.into();
    move |error| EnsembleError::Client { what, error }
}

/// Opens a client for setting up and looking afterwards.
pub(super) fn patient_client(hosts: &str) -> Result<Client, oxkeeper_client::ClientError> {
    Client::connect(hosts, Options { connect_timeout: PATIENCE, call_timeout: PATIENCE, ..Options::default() })
}

/// What to set up. Ids are 1, 2, 3 .. in the order of `members`.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Kind, and whether it is an observer.
    pub members: Vec<(ServerKind, bool)>,
    pub snap_count: u32,
    /// Ticks.
    pub sync_limit: u32,
    /// Milliseconds between runs of the reaper of containers and TTL nodes.
    pub reaper_interval_ms: u32,
    pub heap_mb: u32,
    /// Whether the JVM may compile well, which takes it longer.
    pub long_lived: bool,
    /// Client ports; free ones where this is empty.
    pub client_ports: Vec<u16>,
    /// Each member in a network namespace of its own.
    pub namespaces: bool,
    /// More `key=value` lines.
    pub extra: Vec<String>,
}

impl Layout {
    pub fn of(members: Vec<(ServerKind, bool)>) -> Layout {
        Layout {
            members,
            snap_count: 400,
            sync_limit: 10,
            reaper_interval_ms: 3_600_000,
            heap_mb: 256,
            long_lived: false,
            client_ports: Vec::new(),
            namespaces: false,
            extra: Vec::new(),
        }
    }

    /// Three servers of one kind that live long enough to be measured, with room for a tree of so many nodes.
    pub fn measured(kind: &ServerKind, nodes: usize) -> Layout {
        Layout {
            snap_count: 100_000,
            long_lived: true,
            heap_mb: if nodes > 100_000 { 3000 } else { 512 },
            ..Layout::of(vec![(kind.clone(), false); 3])
        }
    }
}

/// The processes and their files. Dropping it ends the processes and removes the files.
#[derive(Debug)]
pub struct Ensemble {
    pub members: Vec<Member>,
    pub network: Option<Network>,
    layout: Layout,
    dir: PathBuf,
    keep: bool,
}

impl Ensemble {
    /// Writes the files; starts nothing.
    pub fn prepare(layout: &Layout) -> Result<Ensemble, EnsembleError> {
        let dir = new_dir()?;
        cleanup::add_directory(&dir);
        let mut members = Vec::new();
        for (n, (kind, observer)) in layout.members.iter().enumerate() {
            let id = n as u8 + 1;
            let mut member = Member::new(id, kind.clone(), *observer, dir.join(format!("member-{id}")));
            let client_port = layout.client_ports.get(n).copied().map_or_else(steady_port, Ok)?;
            member.address = SocketAddr::from(([127, 0, 0, 1], client_port));
            member.peer_ports = (steady_port()?, steady_port()?);
            member.heap_mb = layout.heap_mb;
            // A plain system property there, which zoo.cfg can not set.
            let quick = if layout.long_lived { "" } else { QUICK_JVM };
            member.jvm_flags = format!("{quick} -Dznode.container.checkIntervalMs={}", layout.reaper_interval_ms);
            members.push(member);
        }
        let mut ensemble = Ensemble { members, network: None, layout: layout.clone(), dir, keep: false };
        if layout.namespaces {
            ensemble.enter_namespaces().map_err(EnsembleError::Wrong)?;
        }
        ensemble.write_files()?;
        Ok(ensemble)
    }

    fn enter_namespaces(&mut self) -> Result<(), String> {
        let network = Network::set_up(self.members.len())?;
        for (n, member) in self.members.iter_mut().enumerate() {
            member.namespace = Some(network.namespace(n));
            member.address.set_ip(IpAddr::V4(network.client_ip(n)));
            member.peer_ip = IpAddr::V4(network.peer_ip(n));
        }
        self.network = Some(network);
        Ok(())
    }

    fn write_files(&self) -> Result<(), ServerError> {
        for member in &self.members {
            let data = member.data_dir();
            fs::create_dir_all(&data).map_err(io("create", &data))?;
            let myid = data.join("myid");
            fs::write(&myid, member.id.to_string()).map_err(io("write", &myid))?;
            self.write_conf(member)?;
        }
        Ok(())
    }

    fn write_conf(&self, member: &Member) -> Result<(), ServerError> {
        let lines: Vec<String> = self.members.iter().map(Member::line).collect();
        self.write_list(member.id, &lines)
    }

    /// The zoo.cfg of a member, with these lines for the list of members.
    pub fn write_list(&self, id: u8, lines: &[String]) -> Result<(), ServerError> {
        let member = &self.members[usize::from(id) - 1];
        let mut text = conf(member, &self.layout);
        for line in lines {
            writeln!(text, "{line}").expect("writing to a string can not fail");
        }
        let path = member.dir.join("zoo.cfg");
        fs::write(&path, text).map_err(io("write", &path))
    }

    /// Writes the files, starts everybody and waits until all serve.
    pub fn start(layout: &Layout) -> Result<Ensemble, EnsembleError> {
        let mut ensemble = Ensemble::prepare(layout)?;
        ensemble.start_all()?;
        Ok(ensemble)
    }

    pub fn start_all(&mut self) -> Result<(), EnsembleError> {
        for member in self.members.iter_mut().filter(|member| !member.is_running()) {
            member.start()?;
        }
        self.wait_serving()
    }

    /// Starts these in this order, each at once, and waits until they serve.
    pub fn start_some(&mut self, ids: &[u8]) -> Result<(), EnsembleError> {
        for id in ids {
            self.member(*id).start()?;
        }
        self.wait_serving()
    }

    pub fn member(&mut self, id: u8) -> &mut Member {
        &mut self.members[usize::from(id) - 1]
    }

    /// Waits until everybody who runs serves, and exactly one of them leads.
    pub fn wait_serving(&mut self) -> Result<(), EnsembleError> {
        self.until("every running member serves and one leads", |ensemble| {
            let roles: Vec<Option<Role>> =
                ensemble.members.iter().filter(|m| m.is_running() && !m.is_paused()).map(Member::role).collect();
            roles.iter().all(Option::is_some) && roles.iter().filter(|role| **role == Some(Role::Leader)).count() == 1
        })
    }

    /// Ends everybody, once all have the same: so whoever has the highest id wins the next election.
    pub fn stop_level(&mut self) -> Result<(), EnsembleError> {
        self.until("all show one zxid", |ensemble| {
            let mut zxids = ensemble.members.iter().filter(|member| member.is_running()).map(Member::zxid);
            let first = zxids.next().flatten();
            first.is_some() && zxids.all(|zxid| zxid == first)
        })?;
        self.members.iter_mut().try_for_each(|member| member.stop().map_err(EnsembleError::Wrong))
    }

    /// Polls until `done`, and fails when a member has ended or time is up.
    pub fn until(&mut self, what: &str, done: impl Fn(&Ensemble) -> bool) -> Result<(), EnsembleError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if done(self) {
                return Ok(());
            }
            if let Some(ended) = self.members.iter_mut().find_map(Member::ended) {
                return Err(ended.into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(EnsembleError::Late { what: what.to_string(), state: self.state() })
    }

    /// What everybody says, for errors.
    pub fn state(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let role = match (member.is_running(), member.is_paused()) {
                (false, _) => "not running".to_string(),
                (true, true) => "paused".to_string(),
                (true, false) => format!("{:?}", member.role()),
            };
            writeln!(text, "--- {} at {}: {role}", member.name(), member.address).expect("a string takes all");
            if member.is_running() {
                writeln!(text, "{}", member.output()).expect("a string takes all");
            }
        }
        text
    }

    /// Who leads, if anybody says so.
    pub fn leader(&self) -> Option<u8> {
        self.members
            .iter()
            .filter(|member| member.is_running() && !member.is_paused())
            .find(|member| member.role() == Some(Role::Leader))
            .map(|member| member.id)
    }

    pub fn expect_leader(&self, id: u8) -> Result<(), EnsembleError> {
        match self.leader() {
            Some(leader) if leader == id => Ok(()),
            other => Err(EnsembleError::Wrong(format!("{other:?} leads, expected {id}\n{}", self.state()))),
        }
    }

    /// Client addresses of those who run.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().filter(|member| member.is_running()).map(|member| member.address).collect()
    }
    pub fn hosts(&self) -> String {
        self.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }
    pub fn names(&self) -> String {
        self.members.iter().map(Member::name).collect::<Vec<_>>().join(", ")
    }
    pub fn kinds(&self) -> BTreeSet<String> {
        self.members.iter().map(|member| member.kind.name()).collect()
    }

    /// Leaves the files for a person to look at, and answers with their place.
    pub fn keep_files(&mut self) -> String {
        self.keep = true;
        cleanup::remove_directory(&self.dir);
        self.dir.display().to_string()
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill();
        }
        self.network = None;
        if !self.keep {
            cleanup::remove_directory(&self.dir);
            // Left-over files of a test are no reason to fail it.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Ports for servers that come back to them: below those that the system gives to outgoing connections.
const STEADY_PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A port that nobody listens at now, and that no outgoing connection takes while its server is down.
fn steady_port() -> Result<u16, ServerError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = STEADY_PORTS.end - STEADY_PORTS.start;
    for _ in 0..count {
        // Processes that run at the same time begin at different places.
        let n = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(97));
        let port = (STEADY_PORTS.start + n % count) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    let error = std::io::Error::from(std::io::ErrorKind::AddrInUse);
    Err(ServerError::Io { doing: "find", what: "a free port".into(), error })
}

fn conf(member: &Member, layout: &Layout) -> String {
    let mut conf = String::new();
    let mut line = |text: String| writeln!(conf, "{text}").expect("writing to a string can not fail");
    line(format!("dataDir={}", member.data_dir().display()));
    line(format!("clientPort={}", member.address.port()));
    line(format!("clientPortAddress={}", member.address.ip()));
    line(format!("tickTime={TICK_MS}"));
    line("initLimit=60".into());
    line(format!("syncLimit={}", layout.sync_limit));
    line("minSessionTimeout=1000".into());
    line("maxSessionTimeout=600000".into());
    line("maxClientCnxns=0".into());
    line("admin.enableServer=false".into());
    line("4lw.commands.whitelist=*".into());
    line("preAllocSize=64".into());
    line(format!("snapCount={}", layout.snap_count));
    line("extendedTypesEnabled=true".into());
    line(format!("DigestAuthenticationProvider.superDigest={SUPER_DIGEST}"));
    line(format!("znode.container.checkIntervalMs={}", layout.reaper_interval_ms));
    if member.observer {
        line("peerType=observer".into());
    }
    for text in &layout.extra {
        line(text.clone());
    }
    conf
}
