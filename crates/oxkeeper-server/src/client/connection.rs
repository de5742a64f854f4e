//! One client connection: bytes to requests, requests to answers or to the core, answers to bytes.
//!
//! All it does happens in turns ([`Connection::take_turn`]), rounds of: take what the core left in the outbox, take the
//! requests that may be taken, write once. What may not be taken yet stays in `pending`, and nothing more is read.
//! A client that does not read is not served: what it leaves unread is bounded here, and then in its outbox.

use super::accept;
use super::io_thread::{READ_BYTES, Scratch};
use super::link::{Figures, Link, Notice};
use super::order::{Class, InCore, Order};
use super::port::ClientPort;
use super::requests::{End, Taken};
use crate::core_queue::CoreEvent;
use crate::handover::Drained;
use crate::lock::lock;
use crate::metrics::bump;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use oxkeeper_replica::{CloseReason, Input, auth};
use oxkeeper_types::address::socket_text;
use oxkeeper_types::limits::OUTBOX_BYTES_HIGH;
use oxkeeper_types::{ConnId, Id, Millis, SessionId};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// How much unread input is taken off a connection that is closed, in reads.
const FINAL_READS_MAX: usize = 16;

/// Whether there is a connection left after a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// To be told when something happens.
    Open,
    /// It could go on, but others have their turn first.
    Again,
    /// The server has too much to do for its next request; to be asked again in a while.
    Stalled,
    Closed,
}

/// Rounds of reading, answering and writing in one turn.
const ROUNDS_MAX: usize = 8;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Nothing is known: a handshake or a four-letter word.
    Fresh,
    /// A four-letter word is being answered.
    Command,
    /// The core has the handshake.
    Handshaking,
    Established,
    /// To be closed when everything is sent.
    Closing,
}

pub struct Connection {
    socket: TcpStream,
    pub(super) link: Arc<Link>,
    pub(super) phase: Phase,
    pub(super) session: SessionId,
    pub(super) auth: Arc<[Id]>,
    pub(super) order: Order,
    /// The read in front waits for the end of this round of the core: what had arrived before it is not applied yet.
    pub(super) waits_for: Option<u64>,
    /// Read and not taken yet.
    pending: Vec<u8>,
    /// Written to, and not taken by the socket yet.
    unsent: Vec<u8>,
    /// The socket may have more than was read.
    readable: bool,
    /// The client has ended its side: the last read finds that out, and no event will come for it.
    pub(super) peer_closed: bool,
    /// Requests were left because enough was answered for one round.
    pub(super) interrupted: bool,
    /// Since when the request in front waits for the whole server's load to fall.
    pub(super) stalled_since: Option<Millis>,
    /// Since when it is [`Phase::Closing`].
    closing_since: Millis,
    /// The session's activity stands in the thread's list already.
    pub touched: bool,
    opened: Millis,
    /// The core was told of this connection.
    pub(super) known_to_core: bool,
}

impl Connection {
    pub fn new(
        port: &ClientPort,
        thread: usize,
        id: ConnId,
        (socket, peer): (std::net::TcpStream, SocketAddr),
        registry: &Registry,
        token: Token,
    ) -> io::Result<Connection> {
        accept::set_options(&socket, &port.options)?;
        let mut socket = TcpStream::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        let now = port.serving.clock.now();
        let figures = Figures::new(now.wall);
        let link = Arc::new(Link { conn: id, thread, peer, outbox: Default::default(), figures });
        lock(&port.links).insert(id, link.clone());
        Ok(Connection {
            socket,
            link,
            phase: Phase::Fresh,
            session: SessionId::NONE,
            auth: Arc::new([auth::ip_id(peer.ip())]),
            order: Order::default(),
            waits_for: None,
            pending: Vec::new(),
            unsent: Vec::new(),
            readable: false,
            peer_closed: false,
            interrupted: false,
            stalled_since: None,
            closing_since: now.monotonic,
            touched: false,
            opened: now.monotonic,
            known_to_core: false,
        })
    }

    pub fn id(&self) -> ConnId {
        self.link.conn
    }

    /// Since when it owes us something that has a deadline: its handshake, or reading what it is sent before the end.
    pub fn is_waited_for_since(&self) -> Option<Millis> {
        match self.phase {
            Phase::Fresh => Some(self.opened),
            Phase::Closing => Some(self.closing_since),
            _ => None,
        }
    }

    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }
    pub fn has_session(&self) -> bool {
        self.session != SessionId::NONE
    }

    /// Something happened to the socket.
    pub fn on_event(&mut self, readable: bool, peer_closed: bool) {
        self.readable |= readable || peer_closed;
        self.peer_closed |= peer_closed;
    }

    /// Takes what is there.
    pub fn take_turn(&mut self, port: &ClientPort, scratch: &mut Scratch) -> Turn {
        for _ in 0..ROUNDS_MAX {
            if let Err(error) = self.send_unsent() {
                return self.broken(&error);
            }
            if self.phase == Phase::Closing {
                return if self.unsent.is_empty() { Turn::Closed } else { Turn::Open };
            }
            if self.unsent.len() > OUTBOX_BYTES_HIGH && !self.link.outbox.is_urgent() {
                // The socket will tell when it takes more.
                return Turn::Open;
            }
            let mut out = std::mem::take(&mut scratch.write);
            let drained = self.link.outbox.drain(&mut out);
            let drained_overflowed = drained.overflowed;
            self.interrupted = false;
            let done = self
                .absorb(port, drained)
                .and_then(|()| self.take_pending(port, scratch, &mut out))
                .and_then(|()| self.read_and_take(port, scratch, &mut out));
            if let Err(end) = done {
                self.finish(port, end);
            }
            // Who is closed for not reading gets nothing more.
            if self.phase == Phase::Closing && drained_overflowed {
                out.clear();
            }
            let sent = self.send(&mut out);
            out.clear();
            out.shrink_to(OUTBOX_BYTES_HIGH);
            scratch.write = out;
            match sent {
                Err(error) => return self.broken(&error),
                Ok(()) if self.phase == Phase::Closing && self.unsent.is_empty() => return Turn::Closed,
                Ok(()) => {}
            }
            if self.stalled_since.is_some() {
                return Turn::Stalled;
            }
            let may_go_on = self.interrupted || self.readable && self.may_read(port, &[]);
            if !may_go_on {
                return Turn::Open;
            }
        }
        Turn::Again
    }

    fn broken(&self, error: &io::Error) -> Turn {
        if self.phase != Phase::Closing {
            self.log_close(&format!("write failed: {error}"));
        }
        Turn::Closed
    }

    /// No more requests: the log gets its one line, and what is to be sent still is.
    fn finish(&mut self, port: &ClientPort, end: End) {
        if self.phase == Phase::Closing {
            return;
        }
        match end {
            End::Quiet => {}
            End::Because(reason) => self.log_close(&reason),
        }
        self.give_back(port);
        self.phase = Phase::Closing;
        self.closing_since = port.serving.clock.monotonic();
    }

    pub fn log_close(&self, reason: &str) {
        let peer = socket_text(self.link.peer);
        if self.session == SessionId::NONE {
            tracing::info!("closed the connection of /{peer}: {reason}");
        } else {
            tracing::info!("closed the connection of /{peer}, session {}: {reason}", self.session);
        }
    }

    /// What the core has left: replies count against the order, notices change the phase.
    pub(super) fn absorb(&mut self, port: &ClientPort, drained: Drained<Notice>) -> Result<(), End> {
        if drained.frames > 0 {
            bump(&self.link.figures.sent, drained.frames as u64);
            bump(&port.metrics.io[self.link.thread].packets_sent, drained.frames as u64);
        }
        if drained.replies > 0 {
            self.account(port, drained.replies);
        }
        if drained.overflowed {
            self.unsent = Vec::new();
            return Err(End::Because(
                "it does not read what it is sent; its answers and events took more than may wait".into(),
            ));
        }
        for notice in drained.notices {
            match notice {
                Notice::Established { session, timeout } => {
                    self.phase = Phase::Established;
                    self.session = session;
                    self.link.figures.session.store(session.0, Relaxed);
                    self.link.figures.timeout_ms.store(timeout.0 as i32, Relaxed);
                    lock(&port.serving.watches).open(self.link.conn, session, self.auth.clone());
                }
                Notice::Done => return Err(End::Quiet),
                Notice::Close(reason) => return Err(close_text(reason)),
            }
        }
        Ok(())
    }

    /// The core has answered this many requests, oldest first.
    fn account(&mut self, port: &ClientPort, replies: usize) {
        let now = port.serving.clock.now();
        let metrics = &port.metrics.io[self.link.thread];
        let figures = &self.link.figures;
        for _ in 0..replies {
            let answered = self.order.answered();
            let latency = (now.monotonic - answered.since).0.max(0);
            metrics.update_latency.add(latency as u64);
            if port.options.stale_by_latency && latency > i64::from(figures.timeout_ms.load(Relaxed)) {
                bump(&metrics.stale_replies, 1);
            }
            figures.answered(answered.op, answered.xid.0, latency, now.wall);
            if answered.large_bytes > 0 {
                port.large_bytes.fetch_sub(answered.large_bytes as usize, Relaxed);
            }
        }
        port.outstanding.fetch_sub(replies, Relaxed);
        figures.outstanding.store(self.order.outstanding() as u32, Relaxed);
    }

    /// What was read earlier and could not be taken then.
    fn take_pending(&mut self, port: &ClientPort, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), End> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.pending);
        let taken = self.take_requests(port, scratch, &bytes, out)?;
        self.pending = bytes;
        self.pending.drain(..taken.consumed);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
        Ok(())
    }

    /// Reads until the socket has no more, or until something has to be waited for.
    fn read_and_take(&mut self, port: &ClientPort, scratch: &mut Scratch, out: &mut Vec<u8>) -> Result<(), End> {
        while self.readable && self.may_read(port, out) {
            let n = match self.socket.read(&mut scratch.read) {
                Ok(0) => return Err(End::Because("the client has closed it".into())),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(End::Because(format!("read failed: {error}"))),
            };
            // Less than asked for: nothing is left, and news will come as an event.
            self.readable = n == READ_BYTES || self.peer_closed;
            let read = std::mem::take(&mut scratch.read);
            let result = self.take_fresh(port, scratch, &read[..n], out);
            scratch.read = read;
            result?;
        }
        Ok(())
    }

    fn take_fresh(
        &mut self,
        port: &ClientPort,
        scratch: &mut Scratch,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(bytes);
            return self.take_pending(port, scratch, out);
        }
        let Taken { consumed } = self.take_requests(port, scratch, bytes, out)?;
        self.pending.extend_from_slice(&bytes[consumed..]);
        Ok(())
    }

    /// Whether more input can be made use of: a client that does not read its answers is not read either, and whole
    /// requests that have to wait are enough.
    fn may_read(&self, port: &ClientPort, out: &[u8]) -> bool {
        match self.phase {
            Phase::Handshaking | Phase::Command | Phase::Closing => false,
            Phase::Fresh => true,
            Phase::Established => {
                let whole = self
                    .pending
                    .first_chunk::<4>()
                    .is_some_and(|w| self.pending.len() >= 4 + i32::from_be_bytes(*w).max(0) as usize);
                !whole && out.len() < OUTBOX_BYTES_HIGH && !port.serving.is_stopping()
            }
        }
    }

    /// One write(2) for all that a round has to say; what the socket does not take waits for it.
    fn send(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.append(out);
            return Ok(());
        }
        let sent = write(&mut self.socket, out)?;
        if sent < out.len() {
            self.unsent = out[sent..].to_vec();
        }
        Ok(())
    }

    fn send_unsent(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let sent = write(&mut self.socket, &self.unsent)?;
        if sent == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        Ok(())
    }

    pub(super) fn submitted(&mut self, port: &ClientPort, request: InCore) {
        self.order.submitted(request);
        port.outstanding.fetch_add(1, Relaxed);
        self.link.figures.outstanding.store(self.order.outstanding() as u32, Relaxed);
    }

    pub(super) fn may_take(&self, port: &ClientPort, class: Class) -> bool {
        let saturated = port.outstanding.load(Relaxed) > port.options.outstanding_max;
        self.order.may_take(class, saturated)
    }

    /// Nothing more will be answered: what was counted as under way is not.
    fn give_back(&mut self, port: &ClientPort) {
        let mut abandoned = 0;
        for request in self.order.abandon() {
            abandoned += 1;
            port.large_bytes.fetch_sub(request.large_bytes as usize, Relaxed);
        }
        port.outstanding.fetch_sub(abandoned, Relaxed);
    }

    /// The end: everybody who knows of the connection forgets it.
    pub fn end(&mut self, port: &ClientPort, registry: &Registry, scratch: &mut Scratch) {
        self.give_back(port);
        // Input that nobody has read would turn the close into a reset, which can overtake the last answer on its way.
        if self.socket.shutdown(std::net::Shutdown::Write).is_ok() {
            for _ in 0..FINAL_READS_MAX {
                if !matches!(self.socket.read(&mut scratch.read), Ok(n) if n > 0) {
                    break;
                }
            }
        }
        if let Err(error) = registry.deregister(&mut self.socket) {
            tracing::debug!("deregistering /{}: {error}", socket_text(self.link.peer));
        }
        lock(&port.links).remove(&self.link.conn);
        lock(&port.admission).left(self.link.peer.ip());
        if self.session != SessionId::NONE {
            lock(&port.serving.watches).close(self.link.conn);
        }
        if self.known_to_core {
            scratch.submitted.push(CoreEvent::Input(Input::Disconnected { conn: self.link.conn }));
        }
    }
}

/// Writes until the socket takes no more.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// The log's words for a close that the core asked for.
fn close_text(reason: CloseReason) -> End {
    End::Because(match reason {
        // The course of things.
        CloseReason::SessionClosed => return End::Quiet,
        CloseReason::SessionExpired => "its session has expired".into(),
        CloseReason::SessionMoved => "its session is served by another connection now".into(),
        CloseReason::ConnectRefused => "session unknown, expired, or wrong password".into(),
        CloseReason::ClientAhead { client, server } => {
            format!("the client has seen zxid {client}, we are at {server}; it must try another server")
        }
        CloseReason::ConnectThrottled => "too many connect requests at once (connection_throttle_tokens)".into(),
        CloseReason::Unimplemented { op } => format!("unknown request type {op}"),
        CloseReason::AuthFailed => "authentication failed".into(),
        CloseReason::ReadOnlyServer => "this server has no leader, and the client is not one that only reads".into(),
        CloseReason::SessionOfEnsemble => {
            "this server has no leader and cannot keep its session, which is one of the ensemble; it must try another server".into()
        }
        CloseReason::NotServing => "this server serves no clients now: it looks for a leader".into(),
    })
}
