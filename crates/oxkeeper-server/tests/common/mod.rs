//! A server in this process on a disk in memory, and a client that speaks in bytes.
#![allow(dead_code)]

use oxkeeper_config::{Config, Inputs, MainSource};
use oxkeeper_server::run::{Running, start};
use oxkeeper_server::settings::Settings;
use oxkeeper_storage::Disk;
use oxkeeper_storage::fault_disk::FaultDisk;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// However slow the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct TestServer {
    running: Option<Running>,
    pub address: SocketAddr,
    pub disk: Arc<dyn Disk>,
}

impl TestServer {
    /// With these lines of configuration beside the address.
    pub fn start(lines: &str) -> TestServer {
        TestServer::start_on(Arc::new(FaultDisk::new()), lines)
    }
    pub fn start_on(disk: Arc<dyn Disk>, lines: &str) -> TestServer {
        TestServer::start_with(disk, lines, None)
    }
    /// One of the servers that `lines` names.
    pub fn start_member(disk: Arc<dyn Disk>, lines: &str, my_id: usize) -> TestServer {
        TestServer::start_with(disk, lines, Some(my_id.to_string()))
    }
    fn start_with(disk: Arc<dyn Disk>, lines: &str, my_id: Option<String>) -> TestServer {
        let address = if lines.contains("clientPortAddress") { "" } else { "clientPortAddress=127.0.0.1\n" };
        let words = if lines.contains("whitelist") { "" } else { "4lw.commands.whitelist=*\n" };
        let tick = if lines.contains("tickTime") { "" } else { "tickTime=2000\n" };
        let text = format!("clientPort=0\n{address}dataDir=/data\n{words}{tick}preAllocSize=64\n{lines}\n");
        let main = MainSource::File { path: "test.cfg".into(), text };
        let config = Config::load(&Inputs { main, ..Inputs::default() }, &mut |path| {
            Ok(my_id.clone().filter(|_| path.ends_with("myid")))
        })
        .unwrap();
        let settings = Settings::from_config(&config, 7).unwrap();
        let running = start(settings, disk.clone()).unwrap();
        let port = running.client_address.unwrap().port();
        TestServer { running: Some(running), address: SocketAddr::from(([127, 0, 0, 1], port)), disk }
    }
    pub fn stop(mut self) -> Arc<dyn Disk> {
        self.running.take().unwrap().stop();
        self.disk.clone()
    }
    pub fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    }
    pub fn client(&self) -> Client {
        Client::open(self.socket())
    }
    /// A four-letter word and its answer.
    pub fn ask(&self, word: &str) -> String {
        self.ask_bytes(word.as_bytes())
    }
    pub fn ask_bytes(&self, bytes: &[u8]) -> String {
        let mut socket = self.socket();
        socket.write_all(bytes).unwrap();
        // As `nc` does: nothing more will come from this side.
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }
    /// A figure of `mntr`.
    pub fn figure(&self, name: &str) -> String {
        let all = self.ask("mntr");
        let line = all.lines().find_map(|l| l.strip_prefix(&format!("zk_{name}\t")));
        line.unwrap_or_else(|| panic!("mntr has no {name}")).to_string()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// Polls until `check` is true.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The peer has closed: nothing more comes, whether in order or by a reset.
pub fn is_closed(socket: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    match socket.read(&mut byte) {
        Ok(n) => n == 0,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Reply {
    pub xid: i32,
    pub zxid: i64,
    pub error: i32,
    pub body: Vec<u8>,
}

pub struct Client {
    pub socket: TcpStream,
    pub session: i64,
    pub password: Vec<u8>,
    pub timeout: i32,
}

pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as i32).to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out
}
pub fn text(value: &str) -> Vec<u8> {
    frame(value.as_bytes())
}
pub fn connect_request(timeout: i32, session: i64, password: &[u8]) -> Vec<u8> {
    let mut b = vec![0; 4 + 8];
    b.extend_from_slice(&timeout.to_be_bytes());
    b.extend_from_slice(&session.to_be_bytes());
    b.extend(frame(password));
    b.push(0);
    frame(&b)
}
pub fn request(xid: i32, op: i32, body: &[u8]) -> Vec<u8> {
    let mut b = xid.to_be_bytes().to_vec();
    b.extend_from_slice(&op.to_be_bytes());
    b.extend_from_slice(body);
    frame(&b)
}
pub fn create(xid: i32, path: &str, data: &[u8], flags: i32) -> Vec<u8> {
    let mut b = text(path);
    b.extend(frame(data));
    b.extend_from_slice(&1i32.to_be_bytes());
    b.extend_from_slice(&31i32.to_be_bytes());
    b.extend(text("world"));
    b.extend(text("anyone"));
    b.extend_from_slice(&flags.to_be_bytes());
    request(xid, 1, &b)
}
pub fn set(xid: i32, path: &str, data: &[u8]) -> Vec<u8> {
    let mut b = text(path);
    b.extend(frame(data));
    b.extend_from_slice(&(-1i32).to_be_bytes());
    request(xid, 5, &b)
}
pub fn get(xid: i32, path: &str, watch: bool) -> Vec<u8> {
    let mut b = text(path);
    b.push(u8::from(watch));
    request(xid, 4, &b)
}
pub const PING: i32 = 11;
pub const CLOSE: i32 = -11;
pub const SASL: i32 = 102;

impl Client {
    pub fn open(socket: TcpStream) -> Client {
        Client::resume(socket, 10_000, 0, &[0; 16])
    }
    pub fn resume(mut socket: TcpStream, timeout: i32, session: i64, password: &[u8]) -> Client {
        socket.write_all(&connect_request(timeout, session, password)).unwrap();
        let answer = read_frame(&mut socket);
        let timeout = i32::from_be_bytes(answer[4..8].try_into().unwrap());
        let session = i64::from_be_bytes(answer[8..16].try_into().unwrap());
        Client { socket, session, password: answer[20..36].to_vec(), timeout }
    }
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }
    pub fn receive(&mut self) -> Reply {
        let body = read_frame(&mut self.socket);
        Reply {
            xid: i32::from_be_bytes(body[0..4].try_into().unwrap()),
            zxid: i64::from_be_bytes(body[4..12].try_into().unwrap()),
            error: i32::from_be_bytes(body[12..16].try_into().unwrap()),
            body: body[16..].to_vec(),
        }
    }
    pub fn call(&mut self, bytes: &[u8]) -> Reply {
        self.send(bytes);
        self.receive()
    }
}

pub fn read_frame(socket: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut body = vec![0; i32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body).unwrap();
    body
}
