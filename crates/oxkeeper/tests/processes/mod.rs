//! Server processes on free ports, in a directory that is gone when the test ends.
#![allow(dead_code)]

pub mod gate;

use oxkeeper_client::blocking::{Client, Options};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("oxkeeper-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
    /// The configuration of a server for itself, on a port that the system picks.
    pub fn config(&self, lines: &str) -> PathBuf {
        let (path, data) = (self.0.join("zoo.cfg"), self.0.join("data"));
        let text = format!(
            "clientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\ndataDir={}\n{lines}\n",
            data.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}
impl Drop for Scratch {
    fn drop(&mut self) {
        // The directory may be gone; there is nothing to be done about it here.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Listeners stand below the range of ports that dials go out from (32768 on Linux): a dial of a server that is down could
/// otherwise get the very port it dials, and be connected with itself.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// The next port that may be free; no two calls of a process get the same one, and other processes begin elsewhere.
fn next_port(step: u16) -> u16 {
    static OFFSET: Mutex<Option<u16>> = Mutex::new(None);
    let mut offset = OFFSET.lock().unwrap();
    let first = (std::process::id().wrapping_mul(7919) % PORTS.len() as u32) as u16;
    let next = (offset.unwrap_or(first) + step) % PORTS.len() as u16;
    *offset = Some(next);
    PORTS.start + next
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Ports that were free a moment ago, all different.
pub fn free_ports(count: usize) -> Vec<u16> {
    (0..PORTS.len()).map(|_| next_port(1)).filter(|port| is_free(*port)).take(count).collect()
}

/// A port that was free a moment ago, and so were the others at these offsets from it.
pub fn free_base(offsets: &[u16]) -> u16 {
    let all_free = |base: &u16| offsets.iter().all(|offset| is_free(base + offset));
    (0..PORTS.len()).map(|_| next_port(12)).find(all_free).expect("free ports")
}

pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a four-letter word is answered; nothing where nobody answers.
pub fn ask(port: u16, word: &str) -> String {
    let mut text = String::new();
    if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may end at any moment: then there is no answer.
        let _ = socket.write_all(word.as_bytes()).and_then(|()| socket.read_to_string(&mut text));
    }
    text
}

pub fn wait(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn signal(child: &Child, signal: i32) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

fn status(child: &Child, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// The same numbers in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// `oxkeeper server` with these arguments, its log on a pipe.
pub fn server(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxkeeper"));
    command.arg("server").args(arguments);
    as_server(command)
}

/// Whatever it runs: what a server says goes to a pipe, and nothing of our own surroundings reaches it.
pub fn as_server(mut command: Command) -> Command {
    command.stderr(Stdio::piped()).stdout(Stdio::null());
    command.env_remove("SERVER_JVMFLAGS").env_remove("JVMFLAGS").env_remove("OXKEEPER_LOG");
    command
}

/// The system lets no file grow beyond so many KiB: then a write fails, as on a full disk.
pub fn with_small_files(config: &Path, kib: u64) -> Command {
    let mut command = Command::new("sh");
    // Ignored, the signal that would end the process leaves an error of the call.
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &(2 * kib).to_string()]);
    command.args([env!("CARGO_BIN_EXE_oxkeeper"), "server", config.to_str().unwrap()]);
    as_server(command)
}

/// A server for itself that serves. What it says is read on, so that the pipe never fills.
pub struct Single {
    pub child: Child,
    pub port: u16,
    said: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Single {
    pub fn start(config: &Path) -> Single {
        Single::of(server(&[config.to_str().unwrap()]))
    }
    /// Waits for its port.
    pub fn of(mut command: Command) -> Single {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut before = Vec::new();
        let port = loop {
            let Some(line) = lines.next() else {
                // It has ended, or will: nobody reads on.
                let _ = child.kill();
                panic!("no port, and {}: {before:?}", child.wait().unwrap());
            };
            if let Some((_, address)) = line.split_once("binding to port ") {
                break address.trim().rsplit_once(':').unwrap().1.parse().unwrap();
            }
            before.push(line);
        };
        let said = Arc::new(Mutex::new(before));
        let reader = {
            let said = said.clone();
            std::thread::spawn(move || lines.for_each(|line| said.lock().unwrap().push(line)))
        };
        Single { child, port, said, reader: Some(reader) }
    }
    /// The lines so far, without the one that names the port.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
    pub fn client(&self) -> Client {
        Client::connect(&format!("127.0.0.1:{}", self.port), Options::default()).unwrap()
    }
    /// A number of what the system says of the process.
    pub fn status(&self, name: &str) -> u64 {
        status(&self.child, name)
    }
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
    /// Waits until it ends: its status, and all it said.
    pub fn end(mut self) -> (ExitStatus, Vec<String>) {
        let status = wait(&mut self.child);
        self.reader.take().unwrap().join().unwrap();
        (status, self.said())
    }
    /// Asks it to end in order.
    pub fn stop(self) -> Vec<String> {
        signal(&self.child, 15);
        let (status, said) = self.end();
        assert_eq!(status.code(), Some(0), "{said:?}");
        said
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        // It may have ended; whoever wanted to know has seen that already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Servers 1, 2 and 3.
pub struct Trio {
    scratch: Scratch,
    ports: Vec<u16>,
    children: BTreeMap<usize, Child>,
}

impl Trio {
    pub fn start(name: &str) -> Trio {
        let mut trio = Trio::new(name, |_, text, _| text);
        (1..=3).for_each(|id| trio.start_again(id));
        trio
    }
    /// Nothing is started yet. `edit` is given the id of a server and its configuration, and answers with the one that
    /// is written.
    pub fn new(name: &str, edit: impl Fn(usize, String, &Trio) -> String) -> Trio {
        let (scratch, ports) = (Scratch::new(name), free_ports(9));
        let trio = Trio { scratch, ports, children: BTreeMap::new() };
        for id in 1..=3 {
            std::fs::create_dir_all(trio.data(id)).unwrap();
            std::fs::write(trio.data(id).join("myid"), format!("{id}\n")).unwrap();
            let mut text = format!(
                "tickTime=2000\ninitLimit=10\nsyncLimit=5\npreAllocSize=64\nclientPort={}\nclientPortAddress=127.0.0.1\n\
                 4lw.commands.whitelist=*\ndataDir={}\n",
                trio.port(id),
                trio.data(id).display()
            );
            for other in 1..=3 {
                text.push_str(&format!("server.{other}={}\n", trio.member(other)));
            }
            std::fs::write(trio.config(id), edit(id, text, &trio)).unwrap();
        }
        trio
    }
    /// `host:port:port` of a server, as its line in the configurations has it.
    pub fn member(&self, id: usize) -> String {
        format!("127.0.0.1:{}:{}", self.ports[2 + id], self.ports[5 + id])
    }
    pub fn peer_port(&self, id: usize, election: bool) -> u16 {
        self.ports[if election { 5 } else { 2 } + id]
    }
    /// A number of what the system says of a server's process.
    pub fn status(&self, id: usize, name: &str) -> u64 {
        status(&self.children[&id], name)
    }
    /// What a server has said so far.
    pub fn log(&self, id: usize) -> String {
        std::fs::read_to_string(self.scratch.0.join(format!("log{id}"))).unwrap_or_default()
    }
    pub fn dir(&self) -> &Path {
        &self.scratch.0
    }
    pub fn port(&self, id: usize) -> u16 {
        self.ports[id - 1]
    }
    pub fn data(&self, id: usize) -> PathBuf {
        self.scratch.0.join(format!("data{id}"))
    }
    pub fn config(&self, id: usize) -> PathBuf {
        self.scratch.0.join(format!("zoo{id}.cfg"))
    }
    pub fn start_again(&mut self, id: usize) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.scratch.0.join(format!("log{id}")));
        let mut command = server(&[self.config(id).to_str().unwrap()]);
        command.stderr(log.unwrap());
        self.children.insert(id, command.spawn().unwrap());
    }
    pub fn kill(&mut self, id: usize) {
        let mut child = self.children.remove(&id).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    /// Such as 19, which freezes it, and 18, which lets it go on.
    pub fn signal(&self, id: usize, number: i32) {
        signal(&self.children[&id], number);
    }
    /// Until it ends by itself.
    pub fn wait(&mut self, id: usize) -> std::process::ExitStatus {
        wait(&mut self.children.remove(&id).unwrap())
    }
    /// All end in order.
    pub fn stop(&mut self) {
        for (id, mut child) in std::mem::take(&mut self.children) {
            signal(&child, 15);
            assert_eq!(wait(&mut child).code(), Some(0), "server {id}");
        }
    }
    pub fn ask(&self, id: usize, word: &str) -> String {
        ask(self.port(id), word)
    }
    pub fn mode(&self, id: usize) -> Option<String> {
        self.ask(id, "srvr").lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned)
    }
    /// Waits until so many servers serve, one of them as the leader.
    pub fn wait_for_leader(&self, serving: usize) -> (usize, Vec<usize>) {
        let mut found = None;
        eventually("one leads and the others follow", || {
            let modes: Vec<(usize, String)> = (1..=3).filter_map(|id| Some((id, self.mode(id)?))).collect();
            let of =
                |wanted: &str| modes.iter().filter(|(_, mode)| mode == wanted).map(|(id, _)| *id).collect::<Vec<_>>();
            let (leaders, followers) = (of("leader"), of("follower"));
            let there = leaders.len() == 1 && followers.len() + 1 == serving;
            found = there.then(|| (leaders[0], followers));
            there
        });
        found.unwrap()
    }
    pub fn client(&self, id: usize) -> Client {
        Client::connect(&format!("127.0.0.1:{}", self.port(id)), Options::default()).unwrap()
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            // The test has failed; what is left of it must go.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for id in 1..=3 {
                eprintln!("---- server {id}\n{}", self.log(id));
            }
        }
    }
}

/// Every path with its data, but for what a server keeps about itself.
pub fn tree(client: &Client) -> BTreeMap<String, Vec<u8>> {
    let (mut all, mut open) = (BTreeMap::new(), vec!["/".to_owned()]);
    while let Some(path) = open.pop() {
        let (data, _) = client.get(&path, false).unwrap();
        for child in client.children(&path, false).unwrap().0 {
            let parent = if path == "/" { "" } else { &path };
            open.push(format!("{parent}/{child}"));
        }
        all.insert(path, data.unwrap_or_default());
    }
    all
}
