//! A bare connection: frames out, frames in, and whether the server closed it. Deliberately not the client library:
//! the oracle must be able to send what no client sends.

use oxkeeper_proto::client::{ConnectRequest, ConnectResponse, RequestHeader, XID_EVENT};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::{SessionId, Xid, Zxid};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const FRAME_BYTES_MAX: usize = 64 << 20;

/// What a read brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// The body of a frame.
    Frame(Vec<u8>),
    Closed,
    /// Nothing within the time.
    Silence,
}

/// The handshake as the program wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    pub session: SessionId,
    pub password: Vec<u8>,
    pub timeout_ms: i32,
    pub last_zxid: Zxid,
    pub read_only: Option<bool>,
}

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    pub patience: Duration,
}

impl Connection {
    pub fn open(address: SocketAddr, patience: Duration) -> std::io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Connection { stream, input: Vec::new(), patience })
    }

    /// Sends bytes as they are. A failure shows at the next read: the server has closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    pub fn send_hello(&mut self, hello: &Hello) {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: hello.last_zxid,
            timeout_ms: hello.timeout_ms,
            session: hello.session,
            password: hello.password.clone(),
            read_only: hello.read_only,
        };
        let mut out = Vec::new();
        frame::append(&mut out, |b| request.write(&mut Writer::new(b)));
        self.send_bytes(&out);
    }

    pub fn send_request(&mut self, xid: Xid, op: i32, body: &[u8]) {
        let mut out = Vec::new();
        append_request(xid, op, body, &mut out);
        self.send_bytes(&out);
    }

    /// The next frame, whatever it is.
    pub fn receive(&mut self) -> Received {
        let deadline = Instant::now() + self.patience;
        let mut chunk = [0; 64 * 1024];
        loop {
            match frame::next(&self.input, FRAME_BYTES_MAX) {
                Frame::Whole { body, consumed } => {
                    let body = body.to_vec();
                    self.input.drain(..consumed);
                    return Received::Frame(body);
                }
                // No server sends that; show it as it is.
                Frame::BadLength(_) => return Received::Frame(std::mem::take(&mut self.input)),
                Frame::Partial { .. } => {}
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return Received::Silence;
            };
            if self.stream.set_read_timeout(Some(left)).is_err() {
                return Received::Closed;
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Received::Closed,
                Ok(n) => self.input.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Received::Silence,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Received::Closed,
            }
        }
    }

    /// Opens a session and waits for the answer: for checks that need no more than that.
    pub fn handshake(&mut self, hello: &Hello) -> Option<ConnectResponse> {
        self.send_hello(hello);
        match self.receive() {
            Received::Frame(body) => ConnectResponse::read(&mut Reader::unbounded(&body)).ok(),
            _ => None,
        }
    }
}

/// Appends a whole request frame.
pub fn append_request(xid: Xid, op: i32, body: &[u8], out: &mut Vec<u8>) {
    frame::append(out, |b| {
        RequestHeader { xid, op }.write(&mut Writer::new(b));
        b.extend_from_slice(body);
    });
}

/// Whether a frame is a watch event.
pub fn is_event(frame: &[u8]) -> bool {
    frame.first_chunk::<4>().is_some_and(|xid| i32::from_be_bytes(*xid) == XID_EVENT.0)
}
