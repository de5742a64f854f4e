//! Starts and stops servers: the reference by its script, a candidate by a command. Each on a fresh directory and a free
//! port of 127.0.0.1; stopped by its own process id, and its directory removed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Environment variable with the path of the script that starts the reference.
pub const REFERENCE_SCRIPT_VARIABLE: &str = "OXKEEPER_REFERENCE";
/// Where that script is in a checkout.
const REFERENCE_SCRIPT_DEFAULT: &str = "tests/reference/zookeeper";
/// Password `secret` of user `super`, as `superDigest` wants it.
pub(crate) const SUPER_DIGEST: &str = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("can not {doing} {what}: {error}")]
    Io { doing: &'static str, what: String, error: std::io::Error },
    #[error(
        "server '{command}' did not serve within {seconds} s (its output: {output}); does it run with this zoo.cfg?\n{conf}"
    )]
    NotServing { command: String, seconds: u64, output: String, conf: String },
    #[error("server '{command}' ended at its start with {status} (its output: {output})")]
    Ended { command: String, status: String, output: String },
}

/// What to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerKind {
    /// The reference of this version.
    Java { version: String, script: PathBuf },
    /// A command whose `{conf}` becomes the path of a zoo.cfg.
    Command(String),
}

impl ServerKind {
    /// `java:VERSION`, or a command with `{conf}` in it.
    pub fn parse(text: &str) -> ServerKind {
        match text.strip_prefix("java:") {
            Some(version) => ServerKind::Java { version: version.to_string(), script: reference_script() },
            None => ServerKind::Command(text.to_string()),
        }
    }
    pub fn name(&self) -> String {
        match self {
            ServerKind::Java { version, .. } => format!("ZooKeeper {version}"),
            ServerKind::Command(command) => command.split_whitespace().next().unwrap_or("candidate").to_string(),
        }
    }
    /// One word for each kind.
    pub fn short(&self) -> String {
        match self {
            ServerKind::Java { version, .. } => format!("java-{version}"),
            ServerKind::Command(_) => "oxkeeper".to_string(),
        }
    }
    pub fn is_java(&self) -> bool {
        matches!(self, ServerKind::Java { .. })
    }
}

/// The script that starts the reference: from the environment, or the one of the checkout.
pub fn reference_script() -> PathBuf {
    match std::env::var_os(REFERENCE_SCRIPT_VARIABLE) {
        Some(path) => path.into(),
        None => workspace_root().join(REFERENCE_SCRIPT_DEFAULT),
    }
}

/// The root of the checkout that this was built from.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).expect("this crate lies two levels below the root").to_path_buf()
}

/// What varies between runs in a server's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    pub extended_types: bool,
    pub enforce_quota: bool,
    pub reconfig_enabled: bool,
    /// Milliseconds between runs of the reaper of containers and TTL nodes; `None`: not during a program.
    pub reaper_interval_ms: Option<u32>,
    /// More `key=value` lines.
    pub extra: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            extended_types: true,
            enforce_quota: false,
            reconfig_enabled: false,
            reaper_interval_ms: None,
            extra: Vec::new(),
        }
    }
}

impl ServerConfig {
    fn text(&self, data_dir: &Path, port: u16) -> String {
        let mut conf = String::new();
        let mut line = |text: String| writeln!(conf, "{text}").expect("writing to a string can not fail");
        line(format!("dataDir={}", data_dir.display()));
        line(format!("clientPort={port}"));
        line("clientPortAddress=127.0.0.1".into());
        line("tickTime=2000".into());
        // No session may end by itself: that would take a zxid at a moment nobody chose.
        line("minSessionTimeout=120000".into());
        line("maxSessionTimeout=600000".into());
        line("maxClientCnxns=0".into());
        line("admin.enableServer=false".into());
        line("4lw.commands.whitelist=*".into());
        line("preAllocSize=64".into());
        line("forceSync=no".into());
        line(format!("DigestAuthenticationProvider.superDigest={SUPER_DIGEST}"));
        line(format!("extendedTypesEnabled={}", self.extended_types));
        line(format!("enforceQuota={}", self.enforce_quota));
        line(format!("reconfigEnabled={}", self.reconfig_enabled));
        if let Some(interval) = self.reaper_interval_ms {
            line(format!("znode.container.checkIntervalMs={interval}"));
        }
        for text in &self.extra {
            line(text.clone());
        }
        conf
    }
}

/// A running server. Dropping it stops the process and removes its directory.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    dir: PathBuf,
    command: String,
}

impl Server {
    /// Starts and waits until it serves.
    pub fn start(kind: &ServerKind, config: &ServerConfig) -> Result<Server, ServerError> {
        Server::start_as(kind, config, None)
    }

    /// The same with a `myid` file, for a member of an ensemble.
    pub fn start_as(kind: &ServerKind, config: &ServerConfig, myid: Option<u8>) -> Result<Server, ServerError> {
        let dir = new_dir()?;
        if let Some(myid) = myid {
            let path = dir.join("data").join("myid");
            fs::create_dir_all(dir.join("data")).map_err(io("create", &path))?;
            fs::write(&path, myid.to_string()).map_err(io("write", &path))?;
        }
        let result = Server::start_in(kind, config, &dir);
        if result.is_err() {
            // The error carries what the server said; the directory is of no more use.
            let _ = fs::remove_dir_all(&dir);
        }
        result
    }

    /// Starts on the directory of an earlier server, which [`Server::keep_files`] gave away, or on a copy of it.
    pub fn start_on(kind: &ServerKind, config: &ServerConfig, dir: &Path) -> Result<Server, ServerError> {
        Server::start_in(kind, config, dir)
    }

    /// Ends the process at once and leaves its files, in `data` below the directory that this answers with.
    pub fn keep_files(mut self) -> PathBuf {
        self.stop();
        std::mem::take(&mut self.dir)
    }

    fn start_in(kind: &ServerKind, config: &ServerConfig, dir: &Path) -> Result<Server, ServerError> {
        let mut last = None;
        // Another process may take the free port before the server does.
        for _ in 0..3 {
            let port = free_port()?;
            match Server::start_at(kind, config, dir, port) {
                Err(e @ ServerError::Ended { .. }) => last = Some(e),
                other => return other,
            }
        }
        Err(last.expect("three attempts leave an error"))
    }

    /// Exchanges the files of two servers, which must both have been stopped.
    pub fn swap_files(&mut self, other: &mut Server) {
        std::mem::swap(&mut self.dir, &mut other.dir);
    }

    /// Stops the server and starts it again on the same files.
    pub fn restart(&mut self, kind: &ServerKind, config: &ServerConfig) -> Result<(), ServerError> {
        self.stop();
        let mut started = Server::start_in(kind, config, &self.dir)?;
        std::mem::swap(&mut self.child, &mut started.child);
        self.address = started.address;
        // The directory stays with this value; the old process has ended.
        started.dir = PathBuf::new();
        Ok(())
    }

    fn start_at(kind: &ServerKind, config: &ServerConfig, dir: &Path, port: u16) -> Result<Server, ServerError> {
        let data_dir = dir.join("data");
        fs::create_dir_all(&data_dir).map_err(io("create", &data_dir))?;
        let conf_path = dir.join("zoo.cfg");
        let conf = config.text(&data_dir, port);
        fs::write(&conf_path, &conf).map_err(io("write", &conf_path))?;
        let output_path = dir.join("output");
        let output = File::create(&output_path).map_err(io("create", &output_path))?;
        let errors = output.try_clone().map_err(io("open", &output_path))?;
        let mut command = command(kind, config, &conf_path);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let shown = format!("{command:?}");
        let child = command.spawn().map_err(|error| ServerError::Io { doing: "start", what: shown.clone(), error })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut server = Server { child, address, dir: dir.to_path_buf(), command: shown };
        match server.wait_until_serving(&conf) {
            Ok(()) => Ok(server),
            Err(e) => {
                server.stop();
                // The directory belongs to the caller until the server runs.
                server.dir = PathBuf::new();
                Err(e)
            }
        }
    }

    fn wait_until_serving(&mut self, conf: &str) -> Result<(), ServerError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            // The reference takes connections a moment before it reads from them, and forgets those for 10 s.
            if let Ok(text) = ask(self.address, "srvr", Duration::from_millis(500))
                && text.contains("Mode: ")
            {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|error| ServerError::Io {
                doing: "watch",
                what: self.command.clone(),
                error,
            })?;
            if let Some(status) = ended {
                return Err(ServerError::Ended {
                    command: self.command.clone(),
                    status: status.to_string(),
                    output: self.output(),
                });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(ServerError::NotServing {
            command: self.command.clone(),
            seconds: START_TIMEOUT.as_secs(),
            output: self.output(),
            conf: conf.to_string(),
        })
    }

    /// What the server wrote to its standard output and error, the last part of it.
    pub fn output(&self) -> String {
        let text = fs::read(self.dir.join("output")).unwrap_or_default();
        let from = text.len().saturating_sub(20_000);
        String::from_utf8_lossy(&text[from..]).into_owned()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Ends the process at once, as a crash would. Its files stay until this value is dropped.
    pub fn stop(&mut self) {
        // Both fail only where the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if !self.dir.as_os_str().is_empty() {
            // Left-over files of a test are no reason to fail it.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn command(kind: &ServerKind, config: &ServerConfig, conf: &Path) -> Command {
    match kind {
        ServerKind::Java { version, script } => {
            let mut command = Command::new(script);
            command.arg(version).arg(conf);
            // A client compiler alone starts faster and suits a process that lives for seconds.
            let mut flags = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData".to_string();
            if let Some(interval) = config.reaper_interval_ms {
                // A plain system property there, which zoo.cfg can not set.
                flags.push_str(&format!(" -Dznode.container.checkIntervalMs={interval}"));
            }
            command.env("SERVER_JVMFLAGS", flags).env("ZK_SERVER_HEAP", "256");
            command
        }
        ServerKind::Command(text) => {
            let conf = conf.display().to_string();
            let mut words = text.split_whitespace().map(|word| word.replace("{conf}", &conf));
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            command
        }
    }
}

pub(crate) fn io(doing: &'static str, what: &Path) -> impl FnOnce(std::io::Error) -> ServerError {
    let what = what.display().to_string();
    move |error| ServerError::Io { doing, what, error }
}

pub(crate) fn new_dir() -> Result<PathBuf, ServerError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("oxkeeper-compat-{}-{n}", std::process::id()));
    fs::create_dir_all(&dir).map_err(io("create", &dir))?;
    Ok(dir)
}

fn free_port() -> Result<u16, ServerError> {
    // The system may name a port again before the server that it was picked for has bound it.
    static PICKED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map(|address| address.port())
            .map_err(|error| ServerError::Io { doing: "find", what: "a free port".into(), error })?;
        if PICKED.lock().unwrap_or_else(PoisonError::into_inner).insert(port) {
            return Ok(port);
        }
    }
}

/// Sends a four-letter word and reads the whole answer.
pub fn four_letter(address: SocketAddr, word: &str) -> std::io::Result<String> {
    ask(address, word, Duration::from_secs(10))
}

pub(crate) fn ask(address: SocketAddr, word: &str, patience: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
