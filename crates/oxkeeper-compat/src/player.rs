//! One server's side of a program. After each step a ping on every open connection is the barrier: requests and events leave
//! a connection in order, so an event that the step caused stands before the pong.

use crate::malformed;
use crate::normalise::Names;
use crate::requests::{Data, Request};
use crate::step::{Identity, Step};
use crate::wire::{self, Connection, Hello, Received};
use oxkeeper_proto::client::{ConnectResponse, ReplyHeader, XID_PING};
use oxkeeper_proto::jute::Reader;
use oxkeeper_types::{ErrorCode, OpCode, SessionId, Xid, Zxid};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a server may leave a request unanswered.
const PATIENCE: Duration = Duration::from_secs(8);
/// Names of sessions that the program does not name start here.
const UNFORESEEN: u32 = 1 << 30;
/// How a line ends where there is no server any more.
pub(crate) const NO_SERVER: &str = "can not connect";
/// How long a node that the reaper should take may stay.
const REAPER_PATIENCE: Duration = Duration::from_secs(60);

/// The xid of a request that stands in for a zxid.
const FILLER_XID: Xid = Xid(-77);

/// Takes a zxid and changes nothing.
fn filler() -> Request {
    Request::Delete { path: String::new(), version: -1 }
}

fn is_filler(line: &str) -> bool {
    line.contains(" reply xid=-77 ")
}

struct Open {
    connection: Connection,
    /// Whose session this is.
    identity: u32,
    last_zxid: Zxid,
    next_xid: i32,
}

#[derive(Clone)]
struct Known {
    session: SessionId,
    password: Vec<u8>,
}

/// One server's side of a program: its connections and sessions.
pub struct Player {
    pub(crate) address: SocketAddr,
    slots: Vec<Option<Open>>,
    known: HashMap<u32, Known>,
    names: Names,
    /// Sessions opened that the program does not name.
    unforeseen: u32,
    /// Whether steps are played that are left out of random programs because servers differ there on purpose.
    pub play_departures: bool,
    /// Whether a write that cannot be read leaves the server where it was, and is made up for: see [`Player::fill`].
    repeats_zxids: bool,
}

impl Player {
    /// `is_reference`: the server is ZooKeeper's.
    pub fn new(address: SocketAddr, is_reference: bool) -> Player {
        Player {
            address,
            slots: Vec::new(),
            known: HashMap::new(),
            names: Names::default(),
            unforeseen: 0,
            play_departures: false,
            repeats_zxids: is_reference,
        }
    }

    /// Loses all connections. Sessions live on.
    pub fn drop_connections(&mut self) {
        self.slots.clear();
    }

    /// Sessions belong to the files: with the files they change hands.
    pub fn swap_sessions(&mut self, other: &mut Player) {
        std::mem::swap(&mut self.known, &mut other.known);
        std::mem::swap(&mut self.names, &mut other.names);
    }

    /// Does one step and tells all that came back, a line each.
    pub fn play(&mut self, step: &Step) -> Vec<String> {
        let mut lines = Vec::new();
        match step {
            Step::Open { slot, identity, timeout_ms, read_only, zxid_ahead } => {
                self.open(*slot, *identity, *timeout_ms, *read_only, *zxid_ahead, &mut lines);
            }
            Step::Drop { slot } => {
                if self.slot(*slot).take().is_none() {
                    lines.push(format!("c{slot} is not open"));
                }
            }
            Step::Request { slot, xid, request } => {
                self.open_if_closed(*slot, &mut lines);
                self.request(*slot, *xid, request, &mut lines);
            }
            Step::Burst { slot, requests } => {
                self.open_if_closed(*slot, &mut lines);
                self.burst(*slot, requests, &mut lines);
            }
            Step::Bytes { slot, bytes } => {
                self.open_if_closed(*slot, &mut lines);
                if let Some(open) = self.slot(*slot) {
                    open.connection.send_bytes(bytes);
                    let received = open.connection.receive();
                    self.note_unasked(*slot, received, &mut lines);
                }
            }
            Step::AwaitGone { slot, path } => self.await_gone(*slot, path, &mut lines),
            // The servers are not this side's business: all that is left to do is to ask whether they are there.
            Step::Restart { .. } => self.open_if_closed(0, &mut lines),
            Step::Dump => self.dump(&mut lines),
        }
        self.barrier(&mut lines);
        if step.deletes_ephemerals() {
            // The ephemeral nodes of a session are deleted in the order of a hash set (reference
            // `PrepRequestProcessor`, closeSession), and so their events come.
            lines.sort();
        }
        lines
    }

    fn slot(&mut self, slot: usize) -> &mut Option<Open> {
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        &mut self.slots[slot]
    }

    fn open(
        &mut self,
        slot: usize,
        identity: Identity,
        timeout_ms: i32,
        read_only: Option<bool>,
        zxid_ahead: bool,
        lines: &mut Vec<String>,
    ) {
        let (id, known) = match identity {
            Identity::New(id) => (id, Known { session: SessionId(0), password: vec![0; 16] }),
            Identity::Resume { of, right_password } => {
                let Some(mut known) = self.known.get(&of).cloned() else {
                    lines.push(format!("c{slot} nothing to resume"));
                    return;
                };
                let live = self.slots.iter().flatten().any(|open| open.identity == of);
                if live && !right_password && !self.play_departures {
                    // A departure: the reference closes the live connection, Oxkeeper leaves it alone.
                    lines.push(format!("c{slot} wrong password for a live session: left out"));
                    return;
                }
                if !right_password {
                    known.password[0] ^= 0xff;
                }
                (of, known)
            }
        };
        // Whoever had the slot loses its socket first, and its session lives on.
        *self.slot(slot) = None;
        let connection = match Connection::open(self.address, PATIENCE) {
            Ok(connection) => connection,
            Err(e) => {
                lines.push(format!("c{slot} {NO_SERVER} ({:?})", e.kind()));
                return;
            }
        };
        let mut open = Open { connection, identity: id, last_zxid: Zxid(0), next_xid: 1 };
        let last_zxid = if zxid_ahead { Zxid(0x7_0000_0000) } else { Zxid(0) };
        let password = known.password;
        open.connection.send_hello(&Hello { session: known.session, password, timeout_ms, last_zxid, read_only });
        let Received::Frame(body) = open.connection.receive() else {
            lines.push(format!("c{slot} closed without an answer"));
            return;
        };
        lines.push(format!("c{slot} connected {}", self.names.connect_response(&body)));
        if let Ok(response) = ConnectResponse::read(&mut Reader::unbounded(&body))
            && response.session.0 != 0
        {
            let password = response.password.to_vec();
            self.known.insert(id, Known { session: response.session, password });
        }
        *self.slot(slot) = Some(open);
    }

    /// A new session where the server has closed the connection: what closes one can not always be foreseen.
    fn open_if_closed(&mut self, slot: usize, lines: &mut Vec<String>) {
        if self.slot(slot).is_none() {
            self.unforeseen += 1;
            self.open(slot, Identity::New(UNFORESEEN + self.unforeseen), 150_000, Some(false), false, lines);
        }
    }

    fn request(&mut self, slot: usize, xid: Option<i32>, request: &Request, lines: &mut Vec<String>) {
        let Some(open) = self.slot(slot) else {
            lines.push(format!("c{slot} is not open"));
            return;
        };
        let xid = xid.map_or_else(|| open.next_xid(), Xid);
        let body = request.body(open.last_zxid);
        let repeats = self.repeats(request);
        let Some(open) = self.slot(slot) else { return };
        open.connection.send_request(xid, request.number(), &body);
        self.read_reply(slot, request, lines);
        if repeats {
            self.fill(slot, lines);
        }
    }

    /// Whether the reference answers this with the zxid of the transaction before it.
    fn repeats(&self, request: &Request) -> bool {
        self.repeats_zxids && !self.play_departures && malformed::takes_no_zxid(request)
    }

    /// A write that cannot be read takes a zxid of its own with us and none with the reference (a departure): there, one that
    /// is refused takes the zxid in its place, so that the two go on side by side.
    fn fill(&mut self, slot: usize, lines: &mut Vec<String>) {
        let filler = filler();
        let Some(open) = self.slot(slot) else { return };
        open.connection.send_request(FILLER_XID, filler.number(), &filler.body(Zxid(0)));
        self.read_filler(slot, lines);
    }

    fn read_filler(&mut self, slot: usize, lines: &mut Vec<String>) {
        let mut answer = Vec::new();
        self.read_reply(slot, &filler(), &mut answer);
        lines.extend(answer.into_iter().filter(|line| !is_filler(line)));
    }

    /// All requests leave at once; then all answers are read.
    fn burst(&mut self, slot: usize, requests: &[Request], lines: &mut Vec<String>) {
        let repeats: Vec<bool> = requests.iter().map(|request| self.repeats(request)).collect();
        let Some(open) = self.slot(slot) else {
            lines.push(format!("c{slot} is not open"));
            return;
        };
        let mut out = Vec::new();
        let filler = filler();
        for (request, repeats) in requests.iter().zip(&repeats) {
            let xid = open.next_xid();
            wire::append_request(xid, request.number(), &request.body(open.last_zxid), &mut out);
            if *repeats {
                wire::append_request(FILLER_XID, filler.number(), &filler.body(Zxid(0)), &mut out);
            }
        }
        open.connection.send_bytes(&out);
        for (request, repeats) in requests.iter().zip(&repeats) {
            self.read_reply(slot, request, lines);
            if *repeats {
                self.read_filler(slot, lines);
            }
        }
    }

    /// Reads up to the answer of `request`; events before it are told in their place.
    fn read_reply(&mut self, slot: usize, request: &Request, lines: &mut Vec<String>) {
        while let Some(open) = self.slot(slot) {
            match open.connection.receive() {
                Received::Frame(frame) if wire::is_event(&frame) => {
                    lines.push(format!("c{slot} event {}", self.names.event(&frame)));
                }
                Received::Frame(mut frame) => {
                    if self.repeats(request) {
                        malformed::count_zxid(&mut frame);
                    }
                    let Some(open) = self.slot(slot) else { return };
                    let closes = request.number() == OpCode::CloseSession.number();
                    let last = open.note_header(&frame) || closes;
                    lines.push(format!("c{slot} reply {}", self.names.reply(request, &frame)));
                    if last {
                        self.await_close(slot, lines);
                    }
                    return;
                }
                ended => {
                    self.end(slot, &ended, lines);
                    return;
                }
            }
        }
    }

    /// The server closes behind an answer that says so. No ping meanwhile: the reference queues answer and close one
    /// after the other, and what arrives between the two may be answered or not.
    fn await_close(&mut self, slot: usize, lines: &mut Vec<String>) {
        if let Some(open) = self.slot(slot) {
            let received = open.connection.receive();
            self.note_unasked(slot, received, lines);
        }
    }

    fn note_unasked(&mut self, slot: usize, received: Received, lines: &mut Vec<String>) {
        match received {
            Received::Frame(frame) => lines.push(format!("c{slot} frame {}", crate::normalise::hex(&frame))),
            ended => self.end(slot, &ended, lines),
        }
    }

    fn end(&mut self, slot: usize, how: &Received, lines: &mut Vec<String>) {
        let how = if *how == Received::Closed { "closed" } else { "SILENT" };
        lines.push(format!("c{slot} {how}"));
        *self.slot(slot) = None;
    }

    /// Brings in the events that the step caused on any connection, and notices which were closed.
    fn barrier(&mut self, lines: &mut Vec<String>) {
        for slot in 0..self.slots.len() {
            if let Some(open) = self.slot(slot) {
                open.connection.send_request(XID_PING, OpCode::Ping.number(), &[]);
            }
        }
        for slot in 0..self.slots.len() {
            while let Some(open) = self.slot(slot) {
                match open.connection.receive() {
                    Received::Frame(frame) if wire::is_event(&frame) => {
                        lines.push(format!("c{slot} event {}", self.names.event(&frame)));
                    }
                    Received::Frame(frame) => {
                        let pong = self.names.reply(&Request::Bare { op: OpCode::Ping }, &frame);
                        lines.push(format!("c{slot} pong {pong}"));
                        break;
                    }
                    ended => {
                        self.end(slot, &ended, lines);
                    }
                }
            }
        }
    }

    /// Asks until the node is gone. Asking takes no zxid, so how often does not matter.
    fn await_gone(&mut self, slot: usize, path: &str, lines: &mut Vec<String>) {
        let deadline = Instant::now() + REAPER_PATIENCE;
        let request = Request::Read { op: OpCode::Exists, path: path.to_string(), watch: false };
        loop {
            let Some(open) = self.slot(slot) else { return };
            let body = request.body(open.last_zxid);
            open.connection.send_request(Xid(0), request.number(), &body);
            let mut answer = Vec::new();
            self.read_reply(slot, &request, &mut answer);
            let gone = answer.last().is_none_or(|line| line.contains("err=-101"));
            let events = answer.iter().filter(|line| line.contains(" event ")).cloned();
            lines.extend(events);
            if gone || Instant::now() >= deadline {
                lines.push(format!("c{slot} {path} {}", if gone { "is gone" } else { "STAYS" }));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Player {
    /// Reads the whole tree with the rights of the super user.
    fn dump(&mut self, lines: &mut Vec<String>) {
        const SLOT: usize = 0;
        self.open_if_closed(SLOT, lines);
        let auth = Request::Auth { scheme: Some("digest".into()), data: Data::text("super:secret") };
        self.request(SLOT, Some(-4), &auth, lines);
        let mut paths = vec!["/".to_string()];
        while let Some(path) = paths.pop() {
            for op in [OpCode::GetData, OpCode::GetAcl] {
                let request = match op {
                    OpCode::GetAcl => Request::Path { op, path: Some(path.clone()) },
                    op => Request::Read { op, path: path.clone(), watch: false },
                };
                self.request(SLOT, Some(0), &request, lines);
            }
            let Some(open) = self.slot(SLOT) else { return };
            let request = Request::Read { op: OpCode::GetChildren, path: path.clone(), watch: false };
            open.connection.send_request(Xid(0), request.number(), &request.body(Zxid(0)));
            let Received::Frame(frame) = open.connection.receive() else { return };
            lines.push(format!("{path}: {}", self.names.reply(&request, &frame)));
            let mut r = Reader::unbounded(&frame);
            let mut names: Vec<String> = match ReplyHeader::read(&mut r).and_then(|_| r.strings()) {
                Ok(names) => names.into_iter().map(String::from).collect(),
                Err(_) => continue,
            };
            names.sort();
            paths.extend(names.iter().rev().map(|name| oxkeeper_types::path::join(&path, name)));
        }
    }
}

impl Open {
    fn next_xid(&mut self) -> Xid {
        self.next_xid += 1;
        Xid(self.next_xid - 1)
    }
    /// Remembers the zxid of a reply; true where the server closes the connection behind it: an operation that does not
    /// exist, and a failed authentication.
    fn note_header(&mut self, frame: &[u8]) -> bool {
        let Ok(header) = ReplyHeader::read(&mut Reader::unbounded(frame)) else { return false };
        if header.zxid.0 > 0 {
            self.last_zxid = header.zxid;
        }
        let unknown = header.error == ErrorCode::Unimplemented.number() && header.zxid.0 == -1;
        unknown || header.error == ErrorCode::AuthFailed.number()
    }
}
