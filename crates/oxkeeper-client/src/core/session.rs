//! The client's session as a state machine: handshake, numbering and matching of requests, pings, what to send again
//! after a reconnect. Bytes and points in time come in; bytes, outcomes and events go out. Opens no connection itself.

use super::call::{Reply, Request, WatchEffect};
use super::watches::{WatchKind, Watches};
use crate::ClientError;
use bytes::Bytes;
use oxkeeper_proto::client::*;
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::{ErrorCode, Millis, OpCode, SessionId, Xid, Zxid};
use std::collections::VecDeque;

/// Requests that may wait for an answer or for a connection; more are refused.
pub const REQUESTS_WAITING_MAX: usize = 1 << 20;
/// Bytes: what a server takes unless `jute.maxbuffer` says otherwise.
pub const REQUEST_BYTES_MAX: usize = 0xfffff;
/// Bytes of a request's header.
const HEADER_BYTES: usize = 8;
/// Bytes: the longest frame taken from a server.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// What the caller calls a request; never on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionOptions {
    /// Wanted session timeout; the server may give another.
    pub timeout_ms: i32,
    /// Whether a server without a quorum will do.
    pub read_only: bool,
    /// A session to take up again, from [`Session::id`] and [`Session::password`] of an earlier client.
    pub resume: Option<(SessionId, Password)>,
    /// Bytes: a longer request is refused before it is sent, as the server would end the connection for it (its
    /// `jute.maxbuffer`).
    pub request_bytes_max: usize,
}

impl Default for SessionOptions {
    /// Thirty seconds, writable servers only, a new session, and the server's default limit.
    fn default() -> SessionOptions {
        SessionOptions { timeout_ms: 30_000, read_only: false, resume: None, request_bytes_max: REQUEST_BYTES_MAX }
    }
}

/// Where the session stands. `Expired`, `AuthFailed` and `Closed` are final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionState {
    /// No connection.
    Disconnected,
    /// The handshake has left, its answer has not come.
    Handshake,
    Connected,
    /// Connected to a server without a quorum: reads only.
    ConnectedReadOnly,
    Expired,
    AuthFailed,
    Closed,
}

impl SessionState {
    pub fn is_final(self) -> bool {
        matches!(self, SessionState::Expired | SessionState::AuthFailed | SessionState::Closed)
    }
    pub fn is_connected(self) -> bool {
        matches!(self, SessionState::Connected | SessionState::ConnectedReadOnly)
    }
}

/// A watch that fired. `zxid` is the cause's, or -1 where the server does not say (before 3.9, and on replays).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchEvent {
    pub kind: EventType,
    pub path: String,
    pub zxid: Zxid,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    State(SessionState),
    Watch(WatchEvent),
    /// A server has taken up all watches after a reconnect. `missed` tells whether anything was changed at this ensemble
    /// meanwhile: one-shot watches have been told of it, persistent ones never are.
    Rewatched {
        missed: bool,
    },
}

/// What the session has to say to its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done { ticket: Ticket, result: Result<Reply, ClientError> },
    Event(Event),
}

/// What the server did that no server does; the connection is to be dropped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServerMisbehaved {
    #[error("a frame of {0} bytes")]
    BadLength(i32),
    #[error("answer {got:?} where {expected:?} is next")]
    OutOfOrder { got: Xid, expected: Option<Xid> },
    #[error("undecodable {what}: {error}")]
    Undecodable { what: &'static str, error: DecodeError },
}

#[derive(Debug)]
struct InFlight {
    xid: Xid,
    /// `None` for what the session sends of its own accord.
    ticket: Option<Ticket>,
    op: OpCode,
    path: String,
    watch: WatchEffect,
    sent: Millis,
}

#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    state: SessionState,
    id: SessionId,
    password: Password,
    /// What the server granted; 0 before the first handshake.
    timeout_ms: i32,
    last_zxid: Zxid,
    next_xid: i32,
    /// Accepted while there was no connection, in order.
    waiting: VecDeque<(Ticket, Request)>,
    /// Sent and unanswered, in the order of sending. Reserved xids wait in the lists below.
    in_flight: VecDeque<InFlight>,
    pings: VecDeque<InFlight>,
    auths: VecDeque<InFlight>,
    set_watches: VecDeque<InFlight>,
    /// Credentials, sent again on every new connection: scheme and packet body.
    credentials: Vec<(String, Vec<u8>)>,
    watches: Watches,
    closing: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    outcomes: Vec<Outcome>,
    last_sent: Millis,
    last_heard: Millis,
    /// When the latest of what the server has answered was sent: the session lived then, at the server's side, too.
    proven: Millis,
    /// The session was known to a quorum at some time; what only a read-only server gave means nothing elsewhere.
    is_global: bool,
    /// The last transaction seen before the watches were registered again.
    seen_before: Zxid,
    /// For messages.
    host: String,
}

impl Session {
    pub fn new(options: SessionOptions) -> Session {
        let (id, password) = options.resume.unwrap_or((SessionId::NONE, [0; PASSWORD_BYTES]));
        let is_global = options.resume.is_some();
        Session {
            options,
            state: SessionState::Disconnected,
            id,
            password,
            timeout_ms: 0,
            last_zxid: Zxid::ZERO,
            next_xid: 1,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            pings: VecDeque::new(),
            auths: VecDeque::new(),
            set_watches: VecDeque::new(),
            credentials: Vec::new(),
            watches: Watches::default(),
            closing: false,
            input: Vec::new(),
            output: Vec::new(),
            outcomes: Vec::new(),
            last_sent: Millis(0),
            last_heard: Millis(0),
            proven: Millis(0),
            is_global,
            seen_before: Zxid::ZERO,
            host: String::new(),
        }
    }

    pub fn state(&self) -> SessionState {
        self.state
    }
    pub fn id(&self) -> SessionId {
        self.id
    }
    pub fn password(&self) -> Password {
        self.password
    }
    /// A closeSession is on its way, or waits for a connection.
    pub fn is_closing(&self) -> bool {
        self.closing
    }
    /// Why a session that has ended takes no requests.
    pub fn end_reason(&self) -> ClientError {
        match self.state {
            SessionState::Expired => ClientError::SessionExpired { session: self.id },
            SessionState::AuthFailed => ClientError::AuthFailed { scheme: self.last_scheme() },
            _ => ClientError::Closed,
        }
    }
    /// The granted session timeout, or the wanted one before the first handshake.
    pub fn timeout_ms(&self) -> i32 {
        if self.timeout_ms > 0 { self.timeout_ms } else { self.options.timeout_ms.max(1) }
    }
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }
    pub fn watches(&self) -> &Watches {
        &self.watches
    }
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }
    /// As [`Session::take_output`], into a buffer that is empty and may be used again.
    pub fn swap_output(&mut self, empty: &mut Vec<u8>) {
        assert!(empty.is_empty(), "bytes in it would be lost");
        std::mem::swap(&mut self.output, empty);
    }
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }
    pub fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// A connection stands: the handshake goes out.
    pub fn on_connected(&mut self, host: &str, now: Millis) {
        if self.state.is_final() {
            return;
        }
        assert_eq!(self.state, SessionState::Disconnected, "a session has one connection at a time");
        self.host = host.to_string();
        self.input.clear();
        self.output.clear();
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid,
            timeout_ms: self.options.timeout_ms,
            session: if self.is_global { self.id } else { SessionId::NONE },
            password: if self.is_global { self.password.to_vec() } else { vec![0; PASSWORD_BYTES] },
            read_only: Some(self.options.read_only),
        };
        frame::append(&mut self.output, |b| request.write(&mut Writer::new(b)));
        self.state = SessionState::Handshake;
        self.last_sent = now;
        self.last_heard = now;
    }

    /// The connection is gone: what was unanswered fails, what never left keeps waiting.
    pub fn on_disconnected(&mut self) {
        self.output.clear();
        self.input.clear();
        let lists = [&mut self.in_flight, &mut self.pings, &mut self.auths, &mut self.set_watches];
        for entry in lists.into_iter().flat_map(|list| list.drain(..)) {
            let Some(ticket) = entry.ticket else { continue };
            let result = if entry.op == OpCode::CloseSession {
                // The server closes the connection behind its answer; losing that answer changes nothing.
                Ok(Reply { zxid: self.last_zxid, error: 0, body: Bytes::new() })
            } else {
                let host = self.host.clone();
                Err(ClientError::ConnectionLost { op: entry.op, path: entry.path, host })
            };
            self.outcomes.push(Outcome::Done { ticket, result });
        }
        if self.closing {
            self.end(SessionState::Closed);
        } else if !self.state.is_final() && self.state != SessionState::Disconnected {
            let was_connected = self.state.is_connected();
            self.state = SessionState::Disconnected;
            if was_connected {
                self.outcomes.push(Outcome::Event(Event::State(SessionState::Disconnected)));
            }
        }
    }

    /// Queues a request; it leaves with the next output, or once there is a connection.
    pub fn submit(&mut self, ticket: Ticket, request: Request, now: Millis) -> Result<(), ClientError> {
        if self.state.is_final() || self.closing {
            return Err(self.end_reason());
        }
        let waiting = self.waiting.len() + self.in_flight.len();
        if waiting >= REQUESTS_WAITING_MAX {
            return Err(ClientError::TooManyRequests { waiting });
        }
        let bytes = HEADER_BYTES + request.body.len();
        if bytes > self.options.request_bytes_max {
            let max = self.options.request_bytes_max;
            return Err(ClientError::TooLarge { op: request.op, path: request.path, bytes, max });
        }
        if request.op == OpCode::Auth {
            self.credentials.push((request.path.clone(), request.body.clone()));
            if !self.state.is_connected() {
                // The handshake sends it, and this ticket is answered by it.
                self.waiting.push_back((ticket, request));
                return Ok(());
            }
        }
        if request.op == OpCode::CloseSession {
            self.closing = true;
        }
        if self.state.is_connected() {
            self.send(Some(ticket), request, now);
        } else {
            self.waiting.push_back((ticket, request));
        }
        Ok(())
    }

    /// The caller stops waiting. True where the request had not left and never will.
    pub fn withdraw(&mut self, ticket: Ticket) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|(t, _)| *t != ticket);
        before != self.waiting.len()
    }

    /// Gives up for good, without a word to the server.
    pub fn abandon(&mut self, state: SessionState) {
        assert!(state.is_final(), "{state:?} is not an end");
        self.end(state);
    }

    /// Milliseconds of silence after which the connection counts as lost (two thirds of the timeout, as the reference).
    pub fn silence_ms_max(&self) -> i64 {
        i64::from(self.timeout_ms()) * 2 / 3
    }
    /// Milliseconds of sending nothing after which a ping leaves.
    pub fn ping_ms(&self) -> i64 {
        (i64::from(self.timeout_ms()) / 3).clamp(1, 10_000)
    }

    /// Until when the session lives for certain, by the clock that this is told the time with. A third of the timeout is kept back:
    /// what a follower has heard reaches its leader late.
    pub fn lives_until(&self) -> Millis {
        if self.id == SessionId::NONE || self.state.is_final() {
            return Millis(i64::MIN);
        }
        Millis(self.proven.0 + self.silence_ms_max())
    }

    /// Sends a ping if it is time. True where the server has been silent for too long: drop the connection. Who does not answer the
    /// handshake has half of that time, so that others get their turn.
    pub fn on_tick(&mut self, now: Millis) -> bool {
        if self.state.is_connected() && (now - self.last_sent).0 >= self.ping_ms() {
            let ping = Request {
                op: OpCode::Ping,
                path: String::new(),
                body: Vec::new(),
                xid: Some(XID_PING),
                watch: WatchEffect::None,
            };
            self.send(None, ping, now);
        }
        let silence = (now - self.last_heard).0;
        match self.state {
            SessionState::Handshake => silence >= self.silence_ms_max() / 2,
            state => state.is_connected() && silence >= self.silence_ms_max(),
        }
    }

    /// Bytes from the server.
    pub fn on_bytes(&mut self, bytes: &[u8], now: Millis) -> Result<(), ServerMisbehaved> {
        self.last_heard = now;
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match frame::next(&input[at..], FRAME_BYTES_MAX) {
                Frame::Partial { .. } => break,
                Frame::BadLength(length) => return Err(ServerMisbehaved::BadLength(length)),
                Frame::Whole { body, consumed } => {
                    if self.state == SessionState::Handshake {
                        self.on_handshake(body, now)?;
                    } else if self.state.is_connected() {
                        self.on_reply(body)?;
                    }
                    at += consumed;
                }
            }
        }
        input.drain(..at);
        self.input = input;
        Ok(())
    }

    fn on_handshake(&mut self, body: &[u8], now: Millis) -> Result<(), ServerMisbehaved> {
        let response = ConnectResponse::read(&mut Reader::unbounded(body))
            .map_err(|error| ServerMisbehaved::Undecodable { what: "connect response", error })?;
        if response.timeout_ms <= 0 {
            self.end(SessionState::Expired);
            return Ok(());
        }
        self.id = response.session;
        self.password = response.password;
        self.timeout_ms = response.timeout_ms;
        self.proven = self.proven.max(self.last_sent);
        let read_only = response.read_only == Some(true);
        self.state = if read_only { SessionState::ConnectedReadOnly } else { SessionState::Connected };
        self.is_global |= !read_only;
        self.outcomes.push(Outcome::Event(Event::State(self.state)));
        self.greet(now);
        Ok(())
    }

    /// What goes first on a new connection: credentials, then watches, then what has waited (reference
    /// `ClientCnxn.SendThread.primeConnection`).
    fn greet(&mut self, now: Millis) {
        let waiting = std::mem::take(&mut self.waiting);
        let (auths, others): (VecDeque<_>, VecDeque<_>) = waiting.into_iter().partition(|(_, r)| r.op == OpCode::Auth);
        let mut tickets: VecDeque<Ticket> = auths.into_iter().map(|(ticket, _)| ticket).collect();
        let credentials = self.credentials.clone();
        let sent_before = credentials.len() - tickets.len();
        for (i, (scheme, body)) in credentials.into_iter().enumerate() {
            let ticket = if i < sent_before { None } else { tickets.pop_front() };
            let auth = Request { op: OpCode::Auth, path: scheme, body, xid: Some(XID_AUTH), watch: WatchEffect::None };
            self.send(ticket, auth, now);
        }
        self.seen_before = self.last_zxid;
        for (op, body) in self.watches.packets(self.last_zxid) {
            let request =
                Request { op, path: String::new(), body, xid: Some(XID_SET_WATCHES), watch: WatchEffect::None };
            self.send(None, request, now);
        }
        for (ticket, request) in others {
            self.send(Some(ticket), request, now);
        }
    }

    fn send(&mut self, ticket: Option<Ticket>, request: Request, now: Millis) {
        let Request { op, path, body, xid, watch } = request;
        let xid = xid.unwrap_or_else(|| {
            let xid = Xid(self.next_xid);
            // Negative numbers are reserved, so the count starts over.
            self.next_xid = if self.next_xid == i32::MAX { 1 } else { self.next_xid + 1 };
            xid
        });
        frame::append(&mut self.output, |b| {
            RequestHeader { xid, op: op.number() }.write(&mut Writer::new(b));
            b.extend_from_slice(&body);
        });
        self.last_sent = now;
        let list = match xid {
            XID_PING => &mut self.pings,
            XID_AUTH => &mut self.auths,
            XID_SET_WATCHES => &mut self.set_watches,
            _ => &mut self.in_flight,
        };
        list.push_back(InFlight { xid, ticket, op, path, watch, sent: now });
    }

    fn on_reply(&mut self, body: &[u8]) -> Result<(), ServerMisbehaved> {
        let mut r = Reader::unbounded(body);
        let undecodable = |what| move |error| ServerMisbehaved::Undecodable { what, error };
        let header = ReplyHeader::read(&mut r).map_err(undecodable("reply header"))?;
        if header.xid == XID_EVENT {
            let event = WatcherEvent::read(&mut r).map_err(undecodable("watch event"))?;
            self.watches.on_event(event.kind, &event.path);
            let event = WatchEvent { kind: event.kind, path: event.path, zxid: header.zxid };
            self.outcomes.push(Outcome::Event(Event::Watch(event)));
            return Ok(());
        }
        let list = match header.xid {
            XID_PING => &mut self.pings,
            XID_AUTH => &mut self.auths,
            XID_SET_WATCHES => &mut self.set_watches,
            _ => &mut self.in_flight,
        };
        let expected = list.front().map(|entry| entry.xid);
        if expected != Some(header.xid) {
            return Err(ServerMisbehaved::OutOfOrder { got: header.xid, expected });
        }
        let entry = list.pop_front().expect("the front was just looked at");
        self.proven = self.proven.max(entry.sent);
        if header.zxid.0 > 0 {
            self.last_zxid = header.zxid;
        }
        if header.xid == XID_SET_WATCHES && entry.ticket.is_none() && self.set_watches.is_empty() {
            let missed = self.last_zxid != self.seen_before || header.error != 0;
            self.outcomes.push(Outcome::Event(Event::Rewatched { missed }));
        }
        self.note_watch(&entry, header.error);
        if entry.op == OpCode::Auth && header.error != 0 {
            let result = Err(ClientError::AuthFailed { scheme: entry.path });
            self.outcomes.extend(entry.ticket.map(|ticket| Outcome::Done { ticket, result }));
            self.end(SessionState::AuthFailed);
            return Ok(());
        }
        if let Some(ticket) = entry.ticket {
            let body = Bytes::copy_from_slice(r.remaining());
            let reply = Reply { zxid: header.zxid, error: header.error, body };
            self.outcomes.push(Outcome::Done { ticket, result: Ok(reply) });
        }
        if entry.op == OpCode::CloseSession {
            self.end(SessionState::Closed);
        }
        Ok(())
    }

    fn note_watch(&mut self, entry: &InFlight, error: i32) {
        match (entry.watch, error) {
            (WatchEffect::Add(kind), 0) => self.watches.add(kind, &entry.path),
            (WatchEffect::AddForExists, 0) => self.watches.add(WatchKind::Data, &entry.path),
            (WatchEffect::AddForExists, e) if e == ErrorCode::NoNode.number() => {
                self.watches.add(WatchKind::Exist, &entry.path);
            }
            (WatchEffect::Remove(watcher_type), 0) => self.watches.on_removed(watcher_type, &entry.path),
            _ => {}
        }
    }

    /// Enters a final state: all that waits fails with its reason.
    fn end(&mut self, state: SessionState) {
        if self.state.is_final() {
            return;
        }
        self.state = state;
        let reason = self.end_reason();
        let lists = [&mut self.in_flight, &mut self.pings, &mut self.auths, &mut self.set_watches];
        let sent = lists.into_iter().flat_map(|list| list.drain(..)).filter_map(|entry| entry.ticket);
        let tickets: Vec<Ticket> = sent.chain(self.waiting.drain(..).map(|(ticket, _)| ticket)).collect();
        for ticket in tickets {
            self.outcomes.push(Outcome::Done { ticket, result: Err(reason.clone()) });
        }
        self.outcomes.push(Outcome::Event(Event::State(state)));
    }

    fn last_scheme(&self) -> String {
        self.credentials.last().map(|(scheme, _)| scheme.clone()).unwrap_or_default()
    }
}
