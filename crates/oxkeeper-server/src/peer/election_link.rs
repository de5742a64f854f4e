//! One connection of the election port: bytes to frames and back. Must not know who is connected to whom.

use super::address::is_loop;
use mio::net::TcpStream;
use oxkeeper_proto::election::{Greeting, GreetingRead, Notification, next_frame};
use oxkeeper_proto::frame::Frame;
use oxkeeper_types::ServerId;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// What one read may take.
const READ_BYTES: usize = 16 << 10;
/// Reads in one turn: a peer that talks without end does not keep the others waiting.
const READS_MAX: usize = 32;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// We dial this member.
    Dialling(ServerId),
    /// It was accepted, and has not said yet who it is.
    Nameless,
    /// Notifications go both ways.
    Open(ServerId),
    /// Our greeting is on its way to a member with a larger id; when it is gone, the connection is closed (EL014).
    Parting(ServerId),
}

pub struct ElectionLink {
    pub socket: TcpStream,
    pub address: SocketAddr,
    pub stage: Stage,
    /// When it is closed unless it has come further.
    pub deadline: Option<Instant>,
    /// Since when it is there; the oldest nameless one makes room for others.
    pub since: Instant,
    input: Vec<u8>,
    unsent: Vec<u8>,
}

/// What a turn of reading came to.
#[derive(Debug)]
pub struct Heard {
    pub greeting: Option<Greeting>,
    pub notifications: Vec<Notification>,
    /// Why nothing more will be heard.
    pub end: Option<String>,
    /// There is more to read than fits into a turn.
    pub more: bool,
}

impl ElectionLink {
    pub fn new(socket: TcpStream, address: SocketAddr, stage: Stage, deadline: Option<Instant>) -> ElectionLink {
        let since = Instant::now();
        ElectionLink { socket, address, stage, deadline, since, input: Vec::new(), unsent: Vec::new() }
    }

    /// Whether the dial has succeeded; `None` while it is under way.
    pub fn dialled(&self) -> Option<io::Result<()>> {
        match self.socket.take_error() {
            Ok(Some(error)) | Err(error) => return Some(Err(error)),
            Ok(None) => {}
        }
        match self.socket.peer_addr() {
            Ok(peer) if is_loop(self.socket.local_addr(), peer) => Some(Err(ErrorKind::ConnectionRefused.into())),
            Ok(_) => Some(Ok(())),
            Err(error) if error.kind() == ErrorKind::NotConnected => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Reads what there is, and cuts it into messages.
    pub fn hear(&mut self) -> Heard {
        let mut heard = Heard { greeting: None, notifications: Vec::new(), end: None, more: true };
        let mut chunk = [0; READ_BYTES];
        for _ in 0..READS_MAX {
            match self.socket.read(&mut chunk) {
                Ok(0) => heard.end = Some("the other side has closed it".into()),
                Ok(n) => {
                    self.input.extend_from_slice(&chunk[..n]);
                    if let Err(why) = self.cut(&mut heard) {
                        heard.end = Some(why);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    heard.more = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => heard.end = Some(format!("read failed: {error}")),
            }
            if heard.end.is_some() {
                heard.more = false;
                break;
            }
            // Who it is decides what comes next.
            if heard.greeting.is_some() {
                break;
            }
        }
        heard
    }

    /// What was read behind a greeting.
    pub fn hear_rest(&mut self) -> Heard {
        let mut heard = Heard { greeting: None, notifications: Vec::new(), end: None, more: false };
        if let Err(why) = self.cut(&mut heard) {
            heard.end = Some(why);
        }
        heard
    }

    fn cut(&mut self, heard: &mut Heard) -> Result<(), String> {
        let mut at = 0;
        let result = loop {
            let rest = &self.input[at..];
            if self.stage == Stage::Nameless {
                match Greeting::read(rest) {
                    Ok(GreetingRead::Whole { greeting, consumed }) => {
                        at += consumed;
                        heard.greeting = Some(greeting);
                    }
                    Ok(GreetingRead::Partial) => {}
                    Err(fault) => break Err(format!("its greeting makes no sense: {fault}")),
                }
                break Ok(());
            }
            match next_frame(rest) {
                Frame::Partial { .. } => break Ok(()),
                Frame::BadLength(length) => break Err(format!("a message of {length} bytes")),
                Frame::Whole { body, consumed } => {
                    at += consumed;
                    match Notification::read(body) {
                        Ok(Some(notification)) => heard.notifications.push(notification),
                        Ok(None) => tracing::warn!("skipped a message of {}: unknown state or length", self.address),
                        Err(fault) => {
                            break Err(format!("a message of {} bytes that makes no sense: {fault}", body.len()));
                        }
                    }
                }
            }
        };
        self.input.drain(..at);
        result
    }

    /// Takes bytes to be sent; [`ElectionLink::flush`] sends them.
    pub fn put(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }
    /// Sends as much as the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            if sent == self.unsent.len() {
                break Ok(());
            }
            match self.socket.write(&self.unsent[sent..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};

    #[test]
    fn a_dial_that_meets_itself_has_failed() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        let own = socket.local_addr().unwrap();
        socket.connect(&own).unwrap();
        socket.set_nonblocking(true).unwrap();
        let stage = Stage::Dialling(ServerId(1));
        let link = ElectionLink::new(TcpStream::from_std(socket.into()), own.as_socket().unwrap(), stage, None);
        assert_eq!(link.dialled().unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
