//! Records bytes of the reference, for tests that then need no Java: the reference's own client talks to the reference's
//! server through a proxy that keeps every frame; then the server's files are copied. Must not know what bytes mean beyond
//! the header of a frame.

use crate::normalise::hex;
use crate::servers::{Server, ServerConfig, ServerKind};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_types::OpCode;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A client that names this path wants its connection broken, to be seen coming back.
const BREAK_CONNECTION: &[u8] = b"/break-connection";

/// A frame that passed through the proxy.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Counts connections from 0.
    pub connection: usize,
    pub from_client: bool,
    pub body: Vec<u8>,
}

/// Passes connections on and records their frames. Ends with the process.
pub struct Proxy {
    pub address: SocketAddr,
    frames: Arc<Mutex<Vec<Recorded>>>,
}

impl Proxy {
    pub fn start(upstream: SocketAddr) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let sink = frames.clone();
        std::thread::spawn(move || {
            for (connection, client) in listener.incoming().flatten().enumerate() {
                let Ok(server) = TcpStream::connect(upstream) else { continue };
                let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { continue };
                let (up, down) = (sink.clone(), sink.clone());
                std::thread::spawn(move || pass(client, server, connection, true, &up));
                std::thread::spawn(move || pass(server2, client2, connection, false, &down));
            }
        });
        Ok(Proxy { address, frames })
    }

    pub fn recorded(&self) -> Vec<Recorded> {
        self.frames.lock().expect("no recorder panics").clone()
    }
}

/// Copies one direction, frame by frame, until it ends.
fn pass(mut from: TcpStream, mut to: TcpStream, connection: usize, from_client: bool, sink: &Mutex<Vec<Recorded>>) {
    let mut buffer = Vec::new();
    let mut chunk = [0; 65536];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..n]);
        while let Frame::Whole { body, consumed } = frame::next(&buffer, usize::MAX) {
            if from_client && body.ends_with(BREAK_CONNECTION) {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            let recorded = Recorded { connection, from_client, body: body.to_vec() };
            // Recorded before it is passed on: an answer never stands before its request.
            sink.lock().expect("no recorder panics").push(recorded);
            if to.write_all(&buffer[..consumed]).is_err() {
                return;
            }
            buffer.drain(..consumed);
        }
    }
    // The other end learns of it; if it has gone already, so much the better.
    let _ = to.shutdown(Shutdown::Both);
}

/// Recorded exchanges as named texts: `create-1` holds a request and its answer, each a line of name and a line of hex.
pub fn exchanges(frames: &[Recorded]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut counts: HashMap<&'static str, usize> = HashMap::new();
    let mut waiting: HashMap<(usize, i32), VecDeque<(String, &'static str)>> = HashMap::new();
    let mut greeted: HashMap<(usize, bool), String> = HashMap::new();
    let mut number = |name: &'static str| {
        let n = counts.entry(name).or_default();
        *n += 1;
        format!("{name}-{n}")
    };
    for frame in frames {
        let word = |at: usize| frame.body[at..at + 4].try_into().map(i32::from_be_bytes).expect("four bytes");
        if !greeted.contains_key(&(frame.connection, frame.from_client)) {
            let file = match greeted.get(&(frame.connection, !frame.from_client)) {
                Some(file) => file.clone(),
                None => number("connect"),
            };
            add(&mut files, &file, if frame.from_client { "connect request" } else { "connect response" }, &frame.body);
            greeted.insert((frame.connection, frame.from_client), file);
            continue;
        }
        let xid = word(0);
        if frame.from_client {
            let name = OpCode::from_number(word(4)).map_or("unknown", OpCode::name);
            let file = number(name);
            add(&mut files, &file, &format!("{name} request"), &frame.body);
            waiting.entry((frame.connection, xid)).or_default().push_back((file, name));
        } else if xid == -1 {
            let file = number("watchEvent");
            add(&mut files, &file, "watch event", &frame.body);
        } else if let Some((file, name)) = waiting.get_mut(&(frame.connection, xid)).and_then(VecDeque::pop_front) {
            add(&mut files, &file, &format!("{name} reply"), &frame.body);
        }
    }
    files
}

fn add(files: &mut BTreeMap<String, String>, file: &str, name: &str, body: &[u8]) {
    files.entry(file.to_string()).or_default().push_str(&format!("{name}\n{}\n", hex(body)));
}

/// Where captured bytes go.
pub struct Target {
    pub records: PathBuf,
    pub storage: PathBuf,
}

type Outcome<T> = Result<T, String>;

fn text(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> String {
    let path = path.display().to_string();
    move |e| format!("can not {doing} {path}: {e}")
}

/// Captures everything of one version. What was there before in the target directories is replaced.
pub fn capture(version: &str, target: &Target) -> Outcome<()> {
    let kind = ServerKind::parse(&format!("java:{version}"));
    for dir in [&target.records, &target.storage] {
        if dir.exists() {
            fs::remove_dir_all(dir).map_err(text("remove", dir))?;
        }
        fs::create_dir_all(dir).map_err(text("create", dir))?;
    }
    let mut config = ServerConfig { reaper_interval_ms: Some(200), ..ServerConfig::default() };
    // Small files: they are to be committed.
    config.extra = vec!["preAllocSize=1".to_string(), "minSessionTimeout=4000".to_string()];
    let mut server = Server::start(&kind, &config).map_err(|e| e.to_string())?;
    let proxy = Proxy::start(server.address).map_err(|e| e.to_string())?;
    run_client(&kind, proxy.address, "all")?;
    for (name, content) in exchanges(&proxy.recorded()) {
        let path = target.records.join(format!("{name}.hex"));
        fs::write(&path, content).map_err(text("write", &path))?;
    }
    // A snapshot is written at each start, in the way that is configured then.
    for method in ["", "gz", "snappy"] {
        config.extra = vec!["preAllocSize=1".to_string(), format!("snapshot.compression.method={method}")];
        server.restart(&kind, &config).map_err(|e| e.to_string())?;
    }
    copy_files(&server, &target.storage)?;
    drop(server);
    capture_reconfig(&kind, &target.storage.join("reconfig"))
}

/// A log with a reconfig transaction needs a quorum; one server is one.
fn capture_reconfig(kind: &ServerKind, to: &Path) -> Outcome<()> {
    let port = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
        Ok::<u16, String>(listener.local_addr().map_err(|e| e.to_string())?.port())
    };
    let config = ServerConfig {
        reconfig_enabled: true,
        extra: vec![
            "preAllocSize=1".into(),
            "standaloneEnabled=false".into(),
            "skipACL=yes".into(),
            "initLimit=10".into(),
            "syncLimit=5".into(),
            format!("server.1=127.0.0.1:{}:{}:participant", port()?, port()?),
        ],
        ..ServerConfig::default()
    };
    let server = Server::start_as(kind, &config, Some(1)).map_err(|e| e.to_string())?;
    run_client(kind, server.address, "reconfig")?;
    fs::create_dir_all(to).map_err(text("create", to))?;
    copy_files(&server, to)
}

fn copy_files(server: &Server, to: &Path) -> Outcome<()> {
    let from = server.data_dir().join("version-2");
    for entry in fs::read_dir(&from).map_err(text("read", &from))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let name = path.file_name().expect("a directory entry has a name");
        fs::copy(&path, to.join(name)).map_err(text("copy", &path))?;
    }
    Ok(())
}

/// Runs the Java client that sends one of each request.
fn run_client(kind: &ServerKind, address: SocketAddr, what: &str) -> Outcome<()> {
    let ServerKind::Java { version, script } = kind else { return Err("only the reference can be captured".into()) };
    let classpath = Command::new(script).args([version, "--classpath"]).output().map_err(text("run", script))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/GoldenClient.java");
    let output = Command::new("java")
        .arg("-XX:-UsePerfData")
        .arg("-Dzookeeper.extendedTypesEnabled=true")
        .arg("-cp")
        .arg(String::from_utf8_lossy(&classpath.stdout).trim())
        .arg(&source)
        .args([&address.to_string(), what])
        .output()
        .map_err(|e| format!("can not run java: {e}; a JDK is needed to capture"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the client ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}
