//! `oxkeeper quickstart`: an ensemble of real server processes on this machine, and how it is doing.
//!
//! Owns the processes that it starts, and the order of start and stop; the files are in [`files`], what servers say of
//! themselves in [`health`], what is shown in [`screen`]. Starts nothing again by itself: a server that has ended is told of.

mod files;
mod health;
mod screen;

use clap::Args;
use files::{Layout, Member};
use health::Health;
use screen::{Screen, State, say};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How often the servers are asked how they are.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The same while they start.
const START_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long all servers may take until they serve.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long servers may take to end before they are ended the hard way.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub struct QuickstartArguments {
    /// How many servers; 1 runs one on its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    servers: u16,
    /// Clients connect to this port, and the ones after it
    #[arg(long, default_value_t = 2181, value_parser = clap::value_parser!(u16).range(1..=60000))]
    base_port: u16,
    /// Where everything is kept; started again with the same directory, the ensemble goes on with its data
    #[arg(long, default_value = "oxkeeper-quickstart")]
    dir: PathBuf,
}

pub fn run(arguments: &QuickstartArguments) -> ExitCode {
    match Ensemble::start(arguments).and_then(Ensemble::watch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("oxkeeper quickstart: {why}");
            ExitCode::FAILURE
        }
    }
}

struct Ensemble {
    layout: Layout,
    servers: Vec<Server>,
    stopping: Arc<AtomicBool>,
}

/// One server process.
struct Server {
    member: Member,
    child: Child,
    ended: Option<ExitStatus>,
    health: Health,
}

impl Ensemble {
    /// Writes what is missing, starts all processes and waits until all serve.
    fn start(arguments: &QuickstartArguments) -> Result<Ensemble, String> {
        let stopping = Arc::new(AtomicBool::new(false));
        // SIGHUP: the terminal was closed.
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // The second one ends us where we stand; the servers then end by the terminal, or have to be ended by hand.
            signal_hook::flag::register_conditional_shutdown(signal, 130, stopping.clone())
                .and_then(|_| signal_hook::flag::register(signal, stopping.clone()))
                .map_err(|error| format!("cannot handle signals: {error}"))?;
        }
        let layout = Layout::new(&arguments.dir, arguments.servers, arguments.base_port)?;
        layout.check_ports()?;
        layout.write_missing()?;
        let mut ensemble = Ensemble { layout, servers: Vec::new(), stopping };
        for member in ensemble.layout.members.clone() {
            match spawn(&member) {
                Ok(child) => {
                    let health = Health::Starting;
                    ensemble.servers.push(Server { member, child, ended: None, health });
                }
                Err(why) => {
                    ensemble.stop();
                    return Err(why);
                }
            }
        }
        let plural = if ensemble.servers.len() == 1 { "" } else { "s" };
        say!("starting {} server{plural} in {} ...", ensemble.servers.len(), ensemble.layout.dir.display());
        match ensemble.wait_until_served() {
            Ok(()) => Ok(ensemble),
            Err(why) => {
                ensemble.stop();
                Err(why)
            }
        }
    }

    fn wait_until_served(&mut self) -> Result<(), String> {
        let end = Instant::now() + START_PATIENCE;
        loop {
            self.look();
            if self.stopping.load(Relaxed) {
                return Ok(());
            }
            if let Some(server) = self.servers.iter().find(|server| server.ended.is_some()) {
                return Err(format!("{}\n{}", server.how_it_ended(), server.member.last_words()));
            }
            if self.servers.iter().all(|server| server.health.is_serving()) {
                return Ok(());
            }
            if Instant::now() > end {
                let late = self.servers.iter().find(|server| !server.health.is_serving()).expect("not all serve");
                let seconds = START_PATIENCE.as_secs();
                return Err(format!(
                    "server {} does not serve after {seconds} s; its log is {}",
                    late.member.id,
                    late.member.log.display()
                ));
            }
            std::thread::sleep(START_LOOK_EVERY);
        }
    }

    /// Shows how the servers are, until a signal comes or none is left.
    fn watch(mut self) -> Result<(), String> {
        if !self.stopping.load(Relaxed) {
            screen::print_welcome(&self.layout, &self.states());
        }
        let mut screen = Screen::new();
        while !self.stopping.load(Relaxed) && self.servers.iter().any(|server| server.ended.is_none()) {
            self.look();
            screen.show(&self.states());
            self.sleep(LOOK_EVERY);
        }
        screen.leave();
        let none_left = self.servers.iter().all(|server| server.ended.is_some());
        say!("stopping ...");
        self.stop();
        say!("stopped; the data is in {}", self.layout.dir.display());
        if none_left { Err("all servers have ended by themselves; see their logs".into()) } else { Ok(()) }
    }

    /// In pieces, so that a signal is noticed soon.
    fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end && !self.stopping.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks every server how it is.
    fn look(&mut self) {
        for server in &mut self.servers {
            if server.ended.is_none() {
                // A child of ours that cannot be waited for has been waited for by nobody else: it is still there.
                server.ended = server.child.try_wait().unwrap_or(None);
            }
            server.health = match server.ended {
                Some(_) => Health::Ended(server.how_it_ended()),
                None => health::ask(server.member.client_port, &server.health),
            };
        }
    }

    fn states(&self) -> Vec<State> {
        let state = |server: &Server| State {
            member: server.member.clone(),
            process: server.child.id(),
            health: server.health.clone(),
        };
        self.servers.iter().map(state).collect()
    }

    /// Followers first, so that no new leader is elected on the way down.
    fn stop(&mut self) {
        self.servers.sort_by_key(|server| server.health.is_leading());
        for server in self.servers.iter().filter(|server| server.ended.is_none()) {
            signal(server.child.id());
        }
        let end = Instant::now() + STOP_PATIENCE;
        for server in self.servers.iter_mut().filter(|server| server.ended.is_none()) {
            while matches!(server.child.try_wait(), Ok(None)) {
                if Instant::now() > end {
                    say!("server {} does not end; it is killed", server.member.id);
                    // It may end by itself at this moment.
                    let _ = server.child.kill();
                    let _ = server.child.wait();
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

impl Server {
    fn how_it_ended(&self) -> String {
        match self.ended.map(|status| (status.code(), status)) {
            None => "running".into(),
            Some((Some(code), _)) => format!(
                "server {} has ended with code {code}; its log is {}",
                self.member.id,
                self.member.log.display()
            ),
            Some((None, status)) => {
                format!("server {} was ended ({status}); its log is {}", self.member.id, self.member.log.display())
            }
        }
    }
}

/// Starts this program as a server, in a process group of its own: Ctrl-C is ours, we end the servers in order.
fn spawn(member: &Member) -> Result<Child, String> {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&member.log);
    let log = log.map_err(|error| format!("{}: {error}", member.log.display()))?;
    let mut command = Command::new(program);
    command.arg("server").arg(&member.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
    command.spawn().map_err(|error| format!("cannot start server {}: {error}", member.id))
}

/// SIGTERM. A process that is gone is no failure.
fn signal(process: u32) {
    let pid = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    let sent = pid.map_or(Err(io::ErrorKind::NotFound.into()), |pid| {
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).map_err(io::Error::from)
    });
    if let Err(error) = sent {
        eprintln!("cannot signal process {process}: {error}");
    }
}
