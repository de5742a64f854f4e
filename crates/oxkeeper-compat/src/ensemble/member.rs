//! One server of an ensemble as a process: its files, its ports, starting, stopping, killing, pausing. Must not know what
//! the ensemble is used for.

use super::cleanup;
use crate::servers::{ServerError, ServerKind, ask, io};
use oxkeeper_types::Zxid;
use rustix::process::Signal;
use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long a four-letter word may take before it is asked again: a server that is starting forgets some connections.
const WORD_PATIENCE: Duration = Duration::from_millis(500);
/// Lines of a server's output that an error shows.
const OUTPUT_LINES_MAX: usize = 25;

/// What a server says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Leader,
    Follower,
    Observer,
    Standalone,
}

#[derive(Debug)]
pub struct Member {
    pub id: u8,
    pub kind: ServerKind,
    pub observer: bool,
    pub address: SocketAddr,
    /// Quorum port and election port.
    pub peer_ip: IpAddr,
    pub peer_ports: (u16, u16),
    /// A network namespace to run in.
    pub namespace: Option<String>,
    pub(super) dir: PathBuf,
    pub(super) heap_mb: u32,
    pub(super) jvm_flags: String,
    child: Option<Child>,
    paused: bool,
}

impl Member {
    pub(super) fn new(id: u8, kind: ServerKind, observer: bool, dir: PathBuf) -> Member {
        let nowhere = IpAddr::from([127, 0, 0, 1]);
        Member {
            id,
            kind,
            observer,
            address: SocketAddr::from((nowhere, 0)),
            peer_ip: nowhere,
            peer_ports: (0, 0),
            namespace: None,
            dir,
            heap_mb: 256,
            jvm_flags: String::new(),
            child: None,
            paused: false,
        }
    }

    /// The line of this member in every zoo.cfg.
    pub(super) fn line(&self) -> String {
        let role = if self.observer { ":observer" } else { "" };
        format!("server.{}={}:{}:{}{role}", self.id, self.peer_ip, self.peer_ports.0, self.peer_ports.1)
    }

    pub fn name(&self) -> String {
        format!("{}#{}{}", self.kind.short(), self.id, if self.observer { "o" } else { "" })
    }
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process; it serves once the ensemble has a quorum.
    pub fn start(&mut self) -> Result<(), ServerError> {
        assert!(self.child.is_none(), "{} runs already", self.name());
        let conf = self.dir.join("zoo.cfg");
        let path = self.dir.join("output");
        let output = File::options().create(true).append(true).open(&path).map_err(io("open", &path))?;
        let errors = output.try_clone().map_err(io("open", &path))?;
        let mut command = self.command(&conf);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child =
            command.spawn().map_err(|error| ServerError::Io { doing: "start", what: format!("{command:?}"), error })?;
        cleanup::add_process(child.id());
        self.child = Some(child);
        self.paused = false;
        Ok(())
    }

    fn command(&self, conf: &Path) -> Command {
        let mut words: Vec<String> = Vec::new();
        if let Some(namespace) = &self.namespace {
            words.extend(["ip", "netns", "exec", namespace].map(String::from));
        }
        match &self.kind {
            ServerKind::Java { version, script } => {
                words.extend([script.display().to_string(), version.clone(), conf.display().to_string()]);
            }
            ServerKind::Command(text) => {
                let conf = conf.display().to_string();
                words.extend(text.split_whitespace().map(|word| word.replace("{conf}", &conf)));
            }
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&self.dir);
        command.env("SERVER_JVMFLAGS", &self.jvm_flags).env("ZK_SERVER_HEAP", self.heap_mb.to_string());
        command
    }

    /// Ends the process at once, as a crash of it would.
    pub fn kill(&mut self) {
        self.send(Signal::KILL);
        self.reap();
    }

    /// Asks the process to end, and waits for that.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(child) = &mut self.child else { return Ok(()) };
        cleanup::signal(child.id(), Signal::CONT);
        cleanup::signal(child.id(), Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                self.reap();
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let name = self.name();
        self.kill();
        Err(format!("{name} did not end within {} s of SIGTERM", PATIENCE.as_secs()))
    }

    /// Stops the process's clock, so to say: it does nothing until [`Member::resume`], and its sockets stay open.
    pub fn pause(&mut self) {
        self.send(Signal::STOP);
        self.paused = true;
        // The signal is only a wish: on a busy machine the other threads go on until the first has got its turn.
        let deadline = Instant::now() + PATIENCE;
        while !self.stands_still() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    /// Whether every thread is stopped, or is no more.
    fn stands_still(&self) -> bool {
        let Some(pid) = self.pid() else { return true };
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).map(|tasks| tasks.flatten().collect::<Vec<_>>());
        tasks.unwrap_or_default().iter().all(|task| {
            // The state stands behind the name, which stands in brackets and may have some itself.
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }
    pub fn resume(&mut self) {
        self.send(Signal::CONT);
        self.paused = false;
    }
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    fn send(&self, signal: Signal) {
        if let Some(child) = &self.child {
            cleanup::signal(child.id(), signal);
        }
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            cleanup::remove_process(child.id());
            // Fails only where it was waited for before.
            let _ = child.wait();
        }
        self.paused = false;
    }

    /// The role, while it serves.
    pub fn role(&self) -> Option<Role> {
        let text = self.word("srvr")?;
        let mode = text.lines().find_map(|line| line.strip_prefix("Mode: "))?;
        match mode.trim() {
            "leader" => Some(Role::Leader),
            "follower" => Some(Role::Follower),
            "observer" => Some(Role::Observer),
            "standalone" => Some(Role::Standalone),
            _ => None,
        }
    }

    /// The last transaction that it has applied.
    pub fn zxid(&self) -> Option<Zxid> {
        let text = self.word("srvr")?;
        let digits = text.lines().find_map(|line| line.strip_prefix("Zxid: 0x"))?;
        i64::from_str_radix(digits.trim(), 16).ok().map(Zxid)
    }

    /// The answer to a four-letter word; `None` where there is none in good time.
    pub fn word(&self, word: &str) -> Option<String> {
        ask(self.address, word, WORD_PATIENCE).ok().filter(|text| !text.is_empty())
    }

    /// A figure of `mntr`.
    pub fn figure(&self, name: &str) -> Option<f64> {
        let text = self.word("mntr")?;
        text.lines().find_map(|line| line.split_once('\t').filter(|(key, _)| *key == name)?.1.trim().parse().ok())
    }

    /// Why the process has ended by itself, if it has.
    pub fn ended(&mut self) -> Option<ServerError> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        let command = self.name();
        self.reap();
        Some(ServerError::Ended { command, status: status.to_string(), output: self.output() })
    }

    /// The last that it wrote to its standard output and error.
    pub fn output(&self) -> String {
        let text = fs::read(self.dir.join("output")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // Of a Java exception, its name says enough.
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("\tat ")).collect();
        lines[lines.len().saturating_sub(OUTPUT_LINES_MAX)..].join("\n")
    }

    /// How many lines of its output so far have these words.
    pub fn times_said(&self, words: &str) -> usize {
        let text = fs::read(self.dir.join("output")).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter(|line| line.contains(words)).count()
    }

    /// Whether these bytes stand in a log file.
    pub fn log_contains(&self, wanted: &[u8]) -> bool {
        let dir = self.data_dir().join("version-2");
        let files = fs::read_dir(dir).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
        files.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with("log.")).any(|entry| {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            bytes.windows(wanted.len()).any(|window| window == wanted)
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
