//! A few servers in one thread: links that deliver in order, disks that sync at once, a clock that goes when nothing else
//! happens. No faults but stopped servers: those are for the simulator.

use bytes::Bytes;
use oxkeeper_proto::client::{ConnectRequest, ConnectResponse, ReplyHeader};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::pipeline::route::{Route, route};
use oxkeeper_replica::state::Caller;
use oxkeeper_replica::{
    Control, Input, Mode, Now, Options, Outputs, PeerOutput, Replica, State, Submitted, WatchTable,
};
use oxkeeper_tree::{ImageLoader, ImageProgress, Tree, TreeOptions};
use oxkeeper_types::ensemble::{Ensemble, Member, MemberRules};
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{ConnId, Epoch, Id, Millis, ServerId, SessionId, Xid, Zxid};
use oxkeeper_zab::{Durable, Input as ZabInput, LinkId, ZabOptions};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a client got, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    Connected { session: SessionId, password: [u8; 16] },
    Frame { xid: i32, zxid: i64, error: i32, body: Vec<u8> },
    Closed,
}

pub struct Conn {
    pub session: SessionId,
    pub got: Vec<Got>,
    closed: bool,
}

pub struct Server {
    pub replica: Replica,
    pub state: State,
    watches: RefCell<WatchTable>,
    pub conns: BTreeMap<ConnId, Conn>,
    up: bool,
    pub mode: Mode,
    /// A snapshot that was received, and from when it is.
    received: Option<Box<Tree>>,
    /// The zxid of a snapshot stream that was announced: its bytes follow.
    announced: Option<Zxid>,
}

/// What is on its way.
enum Event {
    Input(Input),
    Image(LinkId, Vec<u8>),
}

pub struct Cluster {
    pub servers: BTreeMap<i64, Server>,
    pub options: Options,
    ensemble: Ensemble,
    events: VecDeque<(i64, Event)>,
    /// Both ends: link of one server to (other server, its link).
    links: BTreeMap<LinkId, (i64, LinkId)>,
    owners: BTreeMap<LinkId, i64>,
    /// Whom COMMITs went to, in the order in which they left.
    pub told: Vec<i64>,
    next_id: u64,
    pub now: Now,
    /// What went over links, in order: from, to, and the packet.
    pub sent: Vec<(i64, i64, Packet)>,
    /// A server whose core has so much to do that it applies nothing yet.
    pub behind: Option<i64>,
    /// Links that a server has closed.
    pub links_closed: usize,
}

pub fn ensemble(voters: i64, observers: i64) -> Ensemble {
    let members = (1..=voters + observers).map(|id| {
        let role = if id > voters { ":observer" } else { "" };
        let text = format!("127.0.0.1:{}:{}{role};127.0.0.1:{}", 2000 + id, 3000 + id, 4000 + id);
        Member::parse(ServerId(id), &text, MemberRules::default()).expect("a good line")
    });
    Ensemble::of_majority(members, Zxid::ZERO)
}

impl Cluster {
    pub fn new(voters: i64, observers: i64) -> Cluster {
        let options = Options { tick: Millis(1000), session_timeout_min: Millis(2000), ..Options::default() };
        Cluster {
            servers: BTreeMap::new(),
            options,
            ensemble: ensemble(voters, observers),
            events: VecDeque::new(),
            links: BTreeMap::new(),
            owners: BTreeMap::new(),
            told: Vec::new(),
            next_id: 1,
            now: Now { monotonic: Millis(1_000_000), wall: Millis(1_700_000_000_000) },
            sent: Vec::new(),
            behind: None,
            links_closed: 0,
        }
    }

    /// A fresh server, with nothing on its disk.
    pub fn start(&mut self, id: i64) {
        let options = Options { server: ServerId(id), ..self.options.clone() };
        let tree =
            TreeOptions { digest_enabled: options.digest_enabled, owner_rules: options.owner_rules, hash_seed: 0 };
        let state = State { tree: Tree::new(tree) };
        let mut zab = ZabOptions::new(ServerId(id), self.ensemble.clone());
        zab.tick = options.tick;
        let durable = Durable {
            accepted_epoch: Epoch(0),
            current_epoch: Epoch(0),
            last_logged: Zxid::ZERO,
            recent: Vec::new(),
            recent_after: Zxid::ZERO,
        };
        let replica = Replica::of_ensemble(options, zab, durable, &state, 0, false, self.now);
        let mut server = Server {
            replica,
            state,
            watches: RefCell::new(WatchTable::new()),
            conns: BTreeMap::new(),
            up: true,
            mode: Mode::Looking,
            received: None,
            announced: None,
        };
        let mut out = Outputs::default();
        server.replica.start(&server.state, self.now, &mut out);
        self.servers.insert(id, server);
        for other in self.up_servers().into_iter().filter(|other| *other != id) {
            for (at, peer) in [(id, other), (other, id)] {
                let link = ZabInput::ElectionLink { peer: ServerId(peer), up: true };
                self.events.push_back((at, Event::Input(Input::Peer(link))));
            }
        }
        self.carry_out(id, out);
    }

    fn up_servers(&self) -> Vec<i64> {
        self.servers.iter().filter(|(_, s)| s.up).map(|(id, _)| *id).collect()
    }

    /// As `kill -9`: links break, nothing is heard any more.
    pub fn kill(&mut self, id: i64) {
        self.servers.get_mut(&id).expect("it runs").up = false;
        for other in self.up_servers() {
            let link = ZabInput::ElectionLink { peer: ServerId(id), up: false };
            self.events.push_back((other, Event::Input(Input::Peer(link))));
        }
        let broken: Vec<LinkId> = self.owners.iter().filter(|(_, owner)| **owner == id).map(|(l, _)| *l).collect();
        broken.into_iter().for_each(|link| self.break_link(link));
    }

    fn break_link(&mut self, link: LinkId) {
        if let Some((other, there)) = self.links.remove(&link) {
            self.links.remove(&there);
            let closed = Input::Peer(ZabInput::LinkClosed { link: there });
            self.events.push_back((other, Event::Input(closed)));
        }
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.events.is_empty()
    }

    /// Until `done`, or a minute has passed.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Cluster) -> bool) {
        let end = self.now.monotonic + Millis(60_000);
        while !done(self) {
            assert!(self.now.monotonic < end, "a minute without {what}");
            self.turn();
        }
    }

    /// Nothing is on its way.
    pub fn is_silent(&self) -> bool {
        self.events.is_empty()
    }

    /// What `at` calls its link to this peer.
    pub fn link(&self, at: i64, peer: i64) -> LinkId {
        let is_it = |link: &LinkId| self.owners[link] == at && self.links[link].0 == peer;
        self.links.keys().copied().rfind(is_it).expect("they are connected")
    }

    /// One event, or else time.
    fn turn(&mut self) {
        match self.events.pop_front() {
            Some((id, event)) => self.deliver(id, event),
            None => {
                self.now.monotonic = self.now.monotonic + Millis(10);
                self.now.wall = self.now.wall + Millis(10);
                for id in self.up_servers() {
                    if self.servers[&id].replica.next_deadline() <= self.now.monotonic {
                        self.input(id, Input::Tick);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, id: i64, event: Event) {
        if !self.servers.get(&id).is_some_and(|s| s.up) {
            return;
        }
        match event {
            Event::Input(input) => {
                if let Input::Peer(ZabInput::Packet { packet: Packet::Snap { zxid }, .. }) = &input {
                    self.servers.get_mut(&id).expect("up").announced = Some(*zxid);
                }
                self.input(id, input);
            }
            Event::Image(link, bytes) => {
                let server = self.servers.get_mut(&id).expect("up");
                let zxid = server.announced.take().expect("an image follows its packet");
                let (loaded, used) = ImageLoader::load(server.state.tree.options(), &bytes).expect("a whole image");
                assert_eq!(used, bytes.len());
                let mut tree = loaded.tree;
                tree.set_last_processed(zxid);
                server.received = Some(Box::new(tree));
                self.input(id, Input::Peer(ZabInput::SnapshotReceived { link }));
            }
        }
    }

    pub fn input(&mut self, id: i64, input: Input) {
        let mut out = Outputs::default();
        let server = self.servers.get_mut(&id).expect("it runs");
        server.replica.step(&server.state, self.now, input, &mut out);
        self.carry_out(id, out);
    }

    fn carry_out(&mut self, id: i64, out: Outputs) {
        self.dispatch(id, out);
        if self.behind != Some(id) {
            self.apply(id);
        }
    }

    /// All that is committed.
    pub fn apply(&mut self, id: i64) {
        loop {
            let server = self.servers.get_mut(&id).expect("it runs");
            if !server.replica.has_committed() {
                break;
            }
            let mut out = Outputs::default();
            let Server { replica, state, watches, .. } = server;
            replica.apply_committed(state, &mut watches.borrow_mut(), self.now, &mut out);
            self.dispatch(id, out);
        }
    }

    fn dispatch(&mut self, id: i64, mut out: Outputs) {
        let server = self.servers.get_mut(&id).expect("it runs");
        for delivery in &out.deliveries {
            if let Some(conn) = server.conns.get_mut(&delivery.conn) {
                conn.receive(&out.frames[delivery.range.clone()]);
            }
        }
        let mut through = None;
        for persist in out.persist {
            let done = match persist {
                Persist::Append { zxid, .. } => {
                    through = Some(zxid);
                    continue;
                }
                Persist::RollLog => continue,
                Persist::TruncateLog { zxid } => panic!("nothing to cut at {zxid} without faults"),
                Persist::InstallSnapshot { .. } => {
                    let tree = server.received.take().expect("a snapshot was received");
                    self.events.push_back((id, Event::Input(Input::StateReplaced { tree })));
                    continue;
                }
                Persist::AcceptedEpoch(epoch) => Persisted::AcceptedEpoch(epoch),
                Persist::CurrentEpoch(epoch) => Persisted::CurrentEpoch(epoch),
            };
            if let Some(through) = through.take() {
                self.events.push_back((id, Event::Input(Input::Persisted(Persisted::Log { through }))));
            }
            self.events.push_back((id, Event::Input(Input::Persisted(done))));
        }
        if let Some(through) = through {
            self.events.push_back((id, Event::Input(Input::Persisted(Persisted::Log { through }))));
        }
        for control in out.controls {
            self.control(id, control);
        }
        // As the edge does it.
        out.peers.sort_by_key(|peer| matches!(peer, PeerOutput::Send { link, .. } if out.last.contains(link)));
        for peer in out.peers {
            self.peer(id, peer);
        }
    }

    fn control(&mut self, id: i64, control: Control) {
        let server = self.servers.get_mut(&id).expect("it runs");
        match control {
            Control::Established { conn, session, .. } => {
                server.conns.get_mut(&conn).expect("known").session = session;
                server.watches.borrow_mut().open(conn, session, auth());
            }
            Control::Close { conn, .. } => {
                let Some(c) = server.conns.get_mut(&conn).filter(|c| !c.closed) else { return };
                c.closed = true;
                c.got.push(Got::Closed);
                server.watches.borrow_mut().close(conn);
                self.events.push_back((id, Event::Input(Input::Disconnected { conn })));
            }
            Control::Serve { mode } => server.mode = mode,
            Control::Snapshot { zxid, .. } => {
                self.events.push_back((id, Event::Input(Input::SnapshotDone { zxid: Some(zxid) })));
            }
        }
    }

    fn peer(&mut self, id: i64, output: PeerOutput) {
        let me = ServerId(id);
        match output {
            PeerOutput::Notify { to, notification } => {
                let input = Input::Peer(ZabInput::Notification { from: me, notification });
                self.events.push_back((to.0, Event::Input(input)));
            }
            PeerOutput::DialLeader { leader } if self.servers.get(&leader.0).is_some_and(|s| s.up) => {
                let (here, there) = (LinkId(self.next_id), LinkId(self.next_id + 1));
                self.next_id += 2;
                self.links.insert(here, (leader.0, there));
                self.links.insert(there, (id, here));
                self.owners.insert(here, id);
                self.owners.insert(there, leader.0);
                let connected = Input::Peer(ZabInput::LearnerConnected { link: there });
                self.events.push_back((leader.0, Event::Input(connected)));
                let connected = Input::Peer(ZabInput::LeaderConnected { link: here });
                self.events.push_back((id, Event::Input(connected)));
            }
            PeerOutput::DialLeader { leader } => {
                self.events.push_back((id, Event::Input(Input::Peer(ZabInput::LeaderUnreachable { leader }))));
            }
            PeerOutput::Send { link, packet } => {
                if let Some((other, there)) = self.links.get(&link) {
                    self.sent.push((id, *other, packet.clone()));
                    if matches!(packet, Packet::Commit { .. } | Packet::Inform { .. }) {
                        self.told.push(*other);
                    }
                    let input = Input::Peer(ZabInput::Packet { link: *there, packet });
                    self.events.push_back((*other, Event::Input(input)));
                }
            }
            PeerOutput::CloseLink { link, .. } => {
                self.links_closed += 1;
                self.break_link(link);
            }
            PeerOutput::SendImage { link, image } => {
                let tree = &self.servers[&id].state.tree;
                let (mut cursor, mut bytes) = (tree.image_cursor(image), Vec::new());
                while tree.image_next(&mut cursor, &mut bytes, 1 << 16) != ImageProgress::Done {}
                if let Some((other, there)) = self.links.get(&link) {
                    self.events.push_back((*other, Event::Image(*there, bytes)));
                }
                self.events.push_back((id, Event::Input(Input::ImageSent { image })));
            }
            PeerOutput::ReadHistory { link, after } => {
                let read = ZabInput::HistoryRead { link, after, txns: None };
                self.events.push_back((id, Event::Input(Input::Peer(read))));
            }
            PeerOutput::Role { .. } | PeerOutput::Tell(_) => {}
        }
    }

    // Clients.

    pub fn open(&mut self, id: i64, session: SessionId, password: [u8; 16]) -> ConnId {
        self.open_for(id, session, password, false)
    }

    pub fn open_for(&mut self, id: i64, session: SessionId, password: [u8; 16], read_only: bool) -> ConnId {
        let conn = ConnId(self.next_id);
        self.next_id += 1;
        let client = Conn { session: SessionId::NONE, got: Vec::new(), closed: false };
        self.servers.get_mut(&id).expect("it runs").conns.insert(conn, client);
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 10_000,
            session,
            password: password.to_vec(),
            read_only: Some(read_only),
        };
        self.input(id, Input::Connect { conn, request });
        conn
    }

    /// A connection with a session of its own.
    pub fn client(&mut self, id: i64) -> ConnId {
        let conn = self.open(id, SessionId::NONE, [0; 16]);
        self.run_until("a session", |c| !c.got(id, conn).is_empty());
        assert!(matches!(self.take(id, conn)[..], [Got::Connected { .. }]));
        conn
    }

    pub fn send(&mut self, id: i64, conn: ConnId, xid: i32, op: i32, body: impl FnOnce(&mut Writer)) {
        let mut bytes = Vec::new();
        body(&mut Writer::new(&mut bytes));
        let server = self.servers.get_mut(&id).expect("it runs");
        let session = server.conns[&conn].session;
        match route(op) {
            Route::Submit(op) => {
                let request = Submitted { conn, session, xid: Xid(xid), op, body: Bytes::from(bytes), auth: auth() };
                self.input(id, Input::Submit(request));
            }
            Route::Read(op) => {
                let (ids, mut out) = (auth(), Vec::new());
                let caller = Caller { conn, session, auth: &ids };
                let Server { state, watches, .. } = server;
                let mut reads = oxkeeper_replica::namespaces::Namespaces::default();
                state.read(&self.options, &caller, &*watches, &mut reads, Xid(xid), op, &bytes, &mut out);
                server.conns.get_mut(&conn).expect("known").receive(&out);
            }
            other => panic!("{other:?} is the edge's"),
        }
    }

    /// Sends one request and takes its reply.
    pub fn call(&mut self, id: i64, conn: ConnId, op: i32, body: impl FnOnce(&mut Writer)) -> (i32, i64, Vec<u8>) {
        self.take(id, conn);
        self.send(id, conn, 77, op, body);
        let answered = |got: &Got| matches!(got, Got::Frame { xid: 77, .. } | Got::Closed);
        self.run_until("a reply", |c| c.got(id, conn).iter().any(answered));
        match self.take(id, conn).pop() {
            Some(Got::Frame { zxid, error, body, .. }) => (error, zxid, body),
            other => panic!("no reply but {other:?}"),
        }
    }

    pub fn got(&self, id: i64, conn: ConnId) -> &[Got] {
        &self.servers[&id].conns[&conn].got
    }
    pub fn take(&mut self, id: i64, conn: ConnId) -> Vec<Got> {
        std::mem::take(&mut self.servers.get_mut(&id).expect("it runs").conns.get_mut(&conn).expect("known").got)
    }
    pub fn mode(&self, id: i64) -> Mode {
        self.servers[&id].mode
    }
    pub fn leader(&self) -> Option<i64> {
        self.up_servers().into_iter().find(|id| self.mode(*id) == Mode::Leader)
    }
}

fn auth() -> Arc<[Id]> {
    Arc::new([Id::new("ip", "127.0.0.1")])
}

impl Conn {
    fn receive(&mut self, mut frames: &[u8]) {
        while let Frame::Whole { body, consumed } = frame::next(frames, usize::MAX) {
            frames = &frames[consumed..];
            let mut r = Reader::unbounded(body);
            if self.session == SessionId::NONE && self.got.is_empty() {
                let response = ConnectResponse::read(&mut r).expect("a connect response");
                self.got.push(Got::Connected { session: response.session, password: response.password });
                continue;
            }
            let header = ReplyHeader::read(&mut r).expect("a reply");
            let body = r.remaining().to_vec();
            self.got.push(Got::Frame { xid: header.xid.0, zxid: header.zxid.0, error: header.error, body });
        }
        assert!(frames.is_empty(), "half a frame was delivered");
    }
}
