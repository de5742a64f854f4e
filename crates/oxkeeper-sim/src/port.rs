//! The client port of a simulated server: bytes to requests and the order of one connection, as the edge has it. Reads wait
//! while the core owes an answer, and while something is committed here that is not applied; everything leaves in order.

use crate::museum::Bug;
use crate::network::ConnKey;
use bytes::Bytes;
use oxkeeper_proto::client::{ConnectRequest, ReplyHeader, RequestHeader};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_replica::namespaces::Namespaces;
use oxkeeper_replica::pipeline::route::{Route, route};
use oxkeeper_replica::state::Caller;
use oxkeeper_replica::{Options, State, Submitted, WatchTable};
use oxkeeper_types::limits::CONNECTION_REQUESTS_MAX;
use oxkeeper_types::{ConnId, ErrorCode, Id, OpCode, SessionId, Zxid};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

const FRAME_BYTES_MAX: usize = 1 << 20;

/// One client connection.
pub struct Port {
    pub key: ConnKey,
    pub session: SessionId,
    pub auth: Arc<[Id]>,
    phase: Phase,
    pending: Vec<u8>,
    /// Requests that the core has and has not answered.
    pub in_core: usize,
    /// The read in front waits until all is applied that is committed here.
    pub waits: bool,
    /// Of the checkers: what had arrived at this server as committed before each message that this process has not looked at,
    pub arrivals: VecDeque<Zxid>,
    /// and before the last one that it has.
    pub arrived: Zxid,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Handshaking,
    Established,
    Closing,
}

/// What comes of the bytes of a connection.
pub enum Taken {
    Connect(ConnectRequest),
    Submit(Submitted),
    /// An answer that leaves at once.
    Answer(Vec<u8>),
    /// The answer of a read.
    Read(Vec<u8>),
    /// Close it: the client broke a rule.
    Close,
    /// Nothing that can be taken now.
    Nothing,
}

impl Port {
    pub fn new(key: ConnKey) -> Port {
        let auth: Arc<[Id]> = Arc::new([Id::new("ip", "10.0.1.1")]);
        let (session, phase, pending) = (SessionId::NONE, Phase::Fresh, Vec::new());
        Port {
            key,
            session,
            auth,
            phase,
            pending,
            in_core: 0,
            waits: false,
            arrivals: VecDeque::new(),
            arrived: Zxid::ZERO,
        }
    }
    pub fn receive(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.arrived = self.arrivals.pop_front().unwrap_or(self.arrived);
    }
    pub fn establish(&mut self, session: SessionId) {
        self.session = session;
        self.phase = Phase::Established;
    }
    pub fn close(&mut self) {
        self.phase = Phase::Closing;
    }
    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Whether the next request is a read whose turn has come.
    pub fn is_about_to_read(&self) -> bool {
        let Frame::Whole { body, .. } = frame::next(&self.pending, FRAME_BYTES_MAX) else { return false };
        let header = RequestHeader::read(&mut Reader::new(body, FRAME_BYTES_MAX));
        let reads = header.is_ok_and(|header| matches!(route(header.op), Route::Read(_)));
        reads && self.phase == Phase::Established && self.in_core == 0
    }

    /// Takes the next request, if its turn has come. `behind`: something is committed here and not applied yet.
    pub fn take(
        &mut self,
        conn: ConnId,
        options: &Options,
        state: &State,
        behind: bool,
        watches: &RefCell<WatchTable>,
        planted: Option<Bug>,
    ) -> Taken {
        if !matches!(self.phase, Phase::Fresh | Phase::Established) {
            return Taken::Nothing;
        }
        self.waits = behind && self.is_about_to_read() && planted != Some(Bug::ReadBeforeApply);
        if self.waits {
            return Taken::Nothing;
        }
        let (consumed, taken) = match frame::next(&self.pending, FRAME_BYTES_MAX) {
            Frame::Partial { .. } => return Taken::Nothing,
            Frame::BadLength(_) => return Taken::Close,
            Frame::Whole { body, consumed } if self.phase == Phase::Fresh => {
                match ConnectRequest::read(&mut Reader::new(body, FRAME_BYTES_MAX)) {
                    Ok(request) => (consumed, Taken::Connect(request)),
                    Err(_) => return Taken::Close,
                }
            }
            Frame::Whole { body, consumed } => match self.request(conn, body, options, state, watches, planted) {
                Some(taken) => (consumed, taken),
                None => return Taken::Nothing,
            },
        };
        self.pending.drain(..consumed);
        match &taken {
            Taken::Connect(_) => {
                self.phase = Phase::Handshaking;
                self.in_core += 1;
            }
            Taken::Submit(_) => self.in_core += 1,
            _ => {}
        }
        taken
    }

    fn request(
        &self,
        conn: ConnId,
        body: &[u8],
        options: &Options,
        state: &State,
        watches: &RefCell<WatchTable>,
        planted: Option<Bug>,
    ) -> Option<Taken> {
        let mut r = Reader::new(body, FRAME_BYTES_MAX);
        let Ok(header) = RequestHeader::read(&mut r) else { return Some(Taken::Close) };
        let restores = matches!(OpCode::from_number(header.op), Some(OpCode::SetWatches | OpCode::SetWatches2));
        match route(header.op) {
            _ if restores && planted == Some(Bug::SetWatchesTooBig) && body.len() > 60 => Some(Taken::Close),
            _ if restores && planted == Some(Bug::SetWatchesIgnored) => {
                let mut out = Vec::new();
                let reply = ReplyHeader { xid: header.xid, zxid: state.tree.last_processed(), error: 0 };
                frame::append(&mut out, |b| reply.write(&mut Writer::new(b)));
                Some(Taken::Answer(out))
            }
            Route::Submit(OpCode::Sync) if planted == Some(Bug::SyncIsLocal) && self.in_core == 0 => {
                let mut out = Vec::new();
                let reply = ReplyHeader { xid: header.xid, zxid: state.tree.last_processed(), error: 0 };
                frame::append(&mut out, |b| {
                    reply.write(&mut Writer::new(b));
                    b.extend_from_slice(r.remaining());
                });
                Some(Taken::Answer(out))
            }
            Route::Submit(op) => (self.in_core < CONNECTION_REQUESTS_MAX).then(|| {
                Taken::Submit(Submitted {
                    conn,
                    session: self.session,
                    xid: header.xid,
                    op,
                    body: Bytes::copy_from_slice(r.remaining()),
                    auth: self.auth.clone(),
                })
            }),
            _ if self.in_core > 0 && planted != Some(Bug::ReadOvertakesWrite) => None,
            Route::Read(op) => {
                let caller = Caller { conn, session: self.session, auth: &self.auth };
                let mut out = Vec::new();
                let mut reads = Namespaces::default();
                state.read(options, &caller, watches, &mut reads, header.xid, op, r.remaining(), &mut out);
                Some(Taken::Read(out))
            }
            Route::Auth | Route::Sasl => {
                let mut out = Vec::new();
                let reply = ReplyHeader { xid: header.xid, zxid: Zxid::ZERO, error: ErrorCode::Ok.number() };
                frame::append(&mut out, |b| reply.write(&mut Writer::new(b)));
                Some(Taken::Answer(out))
            }
            Route::Refuse => Some(Taken::Close),
        }
    }
}
