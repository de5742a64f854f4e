//! One client connection: frames out, frames in, and when each request was due.

use mio::net::TcpStream;
use oxkeeper_proto::client::{ConnectRequest, CreateRequest, DeleteRequest, PathWatchRequest, SetDataRequest};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::Writer;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{OpCode, SessionId, Zxid};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

const SESSION_TIMEOUT_MS: i32 = 30_000;
/// Room for input at first and, where a read fills it, at most without a larger frame. Ten thousand connections must
/// not cost the load generator more than the server.
const READ_BYTES_MIN: usize = 1 << 10;
const READ_BYTES: usize = 64 << 10;
/// Larger than any reply of a workload.
const FRAME_BYTES_MAX: usize = 64 << 20;

pub struct Conn {
    pub socket: TcpStream,
    unsent: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    filled: usize,
    /// When each unanswered request was due, oldest first.
    waiting: VecDeque<Instant>,
    xid: i32,
    /// The handshake was answered.
    pub ready: bool,
    /// The socket has been reported writable once: before that the connect is under way.
    pub connected: bool,
    pub events: u64,
    /// Counter for names that this connection makes up.
    pub made: u64,
    /// An ephemeral to be deleted next.
    pub to_delete: Option<String>,
}

impl Conn {
    pub fn open(address: SocketAddr) -> io::Result<Conn> {
        let socket = TcpStream::connect(address)?;
        let mut conn = Conn {
            socket,
            unsent: Vec::new(),
            sent: 0,
            buffer: vec![0; READ_BYTES_MIN],
            filled: 0,
            waiting: VecDeque::new(),
            xid: 0,
            ready: false,
            connected: false,
            events: 0,
            made: 0,
            to_delete: None,
        };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: SESSION_TIMEOUT_MS,
            session: SessionId::NONE,
            password: vec![0; 16],
            read_only: Some(false),
        };
        frame::append(&mut conn.unsent, |out| request.write(&mut Writer::new(out)));
        Ok(conn)
    }

    pub fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    fn request(&mut self, op: OpCode, due: Instant, body: impl FnOnce(&mut Writer)) {
        self.xid = if self.xid == i32::MAX { 1 } else { self.xid + 1 };
        let xid = self.xid;
        frame::append(&mut self.unsent, |out| {
            let mut w = Writer::new(out);
            w.int(xid);
            w.int(op.number());
            body(&mut w);
        });
        self.waiting.push_back(due);
    }
    pub fn get(&mut self, path: &str, due: Instant) {
        self.request(OpCode::GetData, due, |w| PathWatchRequest { path: path.into(), watch: false }.write(w));
    }
    pub fn exists(&mut self, path: &str, watch: bool, due: Instant) {
        self.request(OpCode::Exists, due, |w| PathWatchRequest { path: path.into(), watch }.write(w));
    }
    pub fn list(&mut self, path: &str, due: Instant) {
        self.request(OpCode::GetChildren, due, |w| PathWatchRequest { path: path.into(), watch: false }.write(w));
    }
    pub fn set(&mut self, path: &str, data: &[u8], due: Instant) {
        self.request(OpCode::SetData, due, |w| {
            SetDataRequest { path: path.into(), data: Some(data), version: -1 }.write(w);
        });
    }
    pub fn create(&mut self, path: &str, data: &[u8], flags: i32, due: Instant) {
        self.request(OpCode::Create, due, |w| {
            CreateRequest { path: path.into(), data: Some(data), acl: Some(open_acl()), flags }.write(w);
        });
    }
    pub fn delete(&mut self, path: &str, due: Instant) {
        self.request(OpCode::Delete, due, |w| DeleteRequest { path: path.into(), version: -1 }.write(w));
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.connected && self.sent < self.unsent.len() {
            match self.socket.write(&self.unsent[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        if self.sent == self.unsent.len() {
            self.unsent.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Reads what is there; hands the error code and due time of each answered request to `answered`.
    pub fn pump(&mut self, mut answered: impl FnMut(&mut Conn, i32, Instant)) -> io::Result<()> {
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize((2 * self.filled).max(READ_BYTES), 0);
            }
            match self.socket.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.filled += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
            // Less than there was room for: nothing is left, and news comes as an event.
            let more = self.filled == self.buffer.len();
            let mut at = 0;
            while let Frame::Whole { body, consumed } = frame::next(&self.buffer[at..self.filled], FRAME_BYTES_MAX) {
                at += consumed;
                if !self.ready {
                    self.ready = true;
                    continue;
                }
                let number = |from: usize| i32::from_be_bytes(body[from..from + 4].try_into().expect("four bytes"));
                match number(0) {
                    -1 => self.events += 1,
                    -2 => {}
                    _ => {
                        let error = number(12);
                        let due = self.waiting.pop_front().expect("an answer belongs to a request");
                        answered(self, error, due);
                    }
                }
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
            if !more {
                return Ok(());
            }
        }
    }
}
