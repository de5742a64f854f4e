//! One member of an ensemble, and whoever else speaks to it: leaders, followers, observers and strangers that keep to the protocol,
//! or do not. Driven by bytes, so that a fuzzer and a random test can play the same conversations.
//!
//! Owns what the edge does (disk, streams, links) and a peer's idea of what comes next: without that, no conversation would get
//! beyond its second word. Whatever is said, the server lives: every assertion inside of it is one of this.

use bytes::Bytes;
use oxkeeper_proto::client::ConnectRequest;
use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_proto::quorum::{AckEpoch, Forwarded, LEARNER_PROTOCOL, LearnerInfo, Packet, Revalidate, SessionTouch};
use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_replica::{Control, Input, Now, Options, Outputs, PeerOutput, Replica, State, Submitted, WatchTable};
use oxkeeper_tree::{Tree, TreeOptions};
use oxkeeper_types::ensemble::{Ensemble, Member, MemberRules};
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{ConnId, Epoch, Id, Millis, OpCode, ServerId, SessionId, Xid, Zxid, acl::open_acl};
use oxkeeper_zab::{Durable, Input as ZabInput, LinkId, ZabOptions};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// The script: bytes, taken one by one; behind its end everything is 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }
    fn below(&mut self, n: u8) -> u8 {
        self.byte() % n
    }
    fn choose<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }
    /// Mostly a member.
    fn server(&mut self) -> ServerId {
        let member = self.choose(&[1, 2, 3, 4, 5]);
        ServerId(self.number(member))
    }
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
    /// Mostly what fits, sometimes what cannot be.
    fn number(&mut self, fits: i64) -> i64 {
        match self.byte() {
            0..=199 => fits,
            200..=215 => fits.wrapping_add(1),
            216..=225 => fits.wrapping_sub(1),
            226..=230 => -1,
            231..=235 => 0,
            236..=238 => i64::MAX,
            239..=241 => i64::MIN,
            242..=244 => 0x7fff_ffff,
            245..=247 => -0x8000_0000,
            n => i64::from(n) << (n % 40),
        }
    }
    fn epoch(&mut self, fits: Epoch) -> Epoch {
        // As on the wire: the high half of a zxid.
        Epoch(self.number(fits.0) as i32 as i64)
    }
    fn zxid(&mut self, fits: Zxid) -> Zxid {
        match self.below(16) {
            0 => Zxid(self.number(fits.0)),
            1 => Zxid::new(self.epoch(fits.epoch()), fits.counter()),
            2 => Zxid::new(fits.epoch(), self.number(i64::from(fits.counter())) as u32),
            _ => fits,
        }
    }
}

/// The server and its surroundings.
struct World {
    replica: Replica,
    state: State,
    watches: RefCell<WatchTable>,
    now: Now,
    /// What the disk was asked for; with the tree that takes the place of the old one.
    disk: VecDeque<(Persist, Option<Box<Tree>>)>,
    /// Links that are open, as the edge sees it; the one to the leader among them.
    links: Vec<LinkId>,
    to_leader: Option<LinkId>,
    dialled: Option<ServerId>,
    next_link: u64,
    /// A SNAP whose stream comes next.
    announced: Option<(LinkId, Zxid)>,
    received: Option<(LinkId, Box<Tree>)>,
    frozen: Vec<oxkeeper_tree::ImageId>,
    history_wanted: Vec<(LinkId, Zxid)>,
    clients: Vec<(ConnId, SessionId)>,
    xid: i32,
}

/// Plays the conversation that `bytes` tell.
pub fn play(bytes: &[u8]) {
    let mut script = Script(bytes);
    let mut world = World::new(&mut script);
    while !script.is_over() {
        world.act(&mut script);
    }
    // Whatever was said, it goes on: the disk answers, time passes.
    for _ in 0..4 {
        world.work(usize::MAX);
        world.pass(60_000);
    }
}

fn members() -> Ensemble {
    let members = (1..=4).map(|id| {
        let role = if id > 3 { ":observer" } else { "" };
        let text = format!("127.0.0.1:{}:{}{role};127.0.0.1:{}", 2000 + id, 3000 + id, 4000 + id);
        Member::parse(ServerId(id), &text, MemberRules::default()).expect("a good line")
    });
    Ensemble::of_majority(members, Zxid::ZERO)
}

fn tree(options: &Options) -> Tree {
    let tree = TreeOptions { digest_enabled: options.digest_enabled, owner_rules: options.owner_rules, hash_seed: 0 };
    Tree::new(tree)
}

impl World {
    fn new(script: &mut Script) -> World {
        let me = if script.below(4) == 0 { ServerId(4) } else { ServerId(1) };
        let options =
            Options { server: me, tick: Millis(1000), session_timeout_min: Millis(2000), ..Options::default() };
        let mut zab = ZabOptions::new(me, members());
        zab.tick = options.tick;
        zab.commit_log_count = usize::from(script.below(4));
        zab.reconfig_enabled = script.below(2) == 0;
        let durable = Durable {
            accepted_epoch: Epoch(1),
            current_epoch: Epoch(1),
            last_logged: Zxid::ZERO,
            recent: Vec::new(),
            recent_after: Zxid::ZERO,
        };
        let now = Now { monotonic: Millis(1_000_000), wall: Millis(1_700_000_000_000) };
        let state = State { tree: tree(&options) };
        let replica = Replica::of_ensemble(options, zab, durable, &state, 0, false, now);
        let mut world = World {
            replica,
            state,
            watches: RefCell::new(WatchTable::new()),
            now,
            disk: VecDeque::new(),
            links: Vec::new(),
            to_leader: None,
            dialled: None,
            next_link: 1,
            announced: None,
            received: None,
            frozen: Vec::new(),
            history_wanted: Vec::new(),
            clients: Vec::new(),
            xid: 0,
        };
        let mut out = Outputs::default();
        world.replica.start(&world.state, now, &mut out);
        world.carry_out(out);
        world
    }

    fn zab(&self) -> oxkeeper_zab::ZabReport {
        self.replica.report().zab.expect("a member")
    }

    // ---- the edge

    fn input(&mut self, input: Input) {
        let mut out = Outputs::default();
        self.replica.step(&self.state, self.now, input, &mut out);
        self.carry_out(out);
        while self.replica.has_committed() {
            let mut out = Outputs::default();
            self.replica.apply_committed(&mut self.state, &mut self.watches.borrow_mut(), self.now, &mut out);
            self.carry_out(out);
        }
    }
    fn peer(&mut self, input: ZabInput) {
        self.input(Input::Peer(input));
    }
    /// A packet, as the reader of a link hands it over: over an open link, and with the zxid of a SNAP taken down.
    fn packet(&mut self, link: LinkId, packet: Packet) {
        if !self.links.contains(&link) || self.announced.is_some_and(|(waits, _)| waits == link) {
            return;
        }
        if let Packet::Snap { zxid } = packet
            && zxid >= Zxid::ZERO
        {
            self.announced = Some((link, zxid));
        }
        self.peer(ZabInput::Packet { link, packet });
    }

    fn carry_out(&mut self, out: Outputs) {
        for request in out.persist {
            let installs = matches!(request, Persist::InstallSnapshot { .. });
            let tree = installs.then(|| self.received.take().expect("a snapshot is installed after it was received").1);
            self.disk.push_back((request, tree));
        }
        for control in out.controls {
            match control {
                Control::Established { conn, session, .. } => {
                    self.clients.iter_mut().filter(|(c, _)| *c == conn).for_each(|client| client.1 = session);
                    self.watches.borrow_mut().open(conn, session, auth());
                }
                Control::Close { conn, .. } => {
                    self.watches.borrow_mut().close(conn);
                    self.clients.retain(|(c, _)| *c != conn);
                }
                Control::Snapshot { zxid, .. } => self.input(Input::SnapshotDone { zxid: Some(zxid) }),
                Control::Serve { .. } => {}
            }
        }
        for peer in out.peers {
            match peer {
                PeerOutput::CloseLink { link, .. } => self.forget(link),
                PeerOutput::DialLeader { leader } => self.dialled = Some(leader),
                PeerOutput::SendImage { image, .. } => self.frozen.push(image),
                PeerOutput::ReadHistory { link, after } => self.history_wanted.push((link, after)),
                PeerOutput::Role { .. } => self.dialled = None,
                PeerOutput::Notify { .. } | PeerOutput::Send { .. } | PeerOutput::Tell(_) => {}
            }
        }
    }
    fn forget(&mut self, link: LinkId) {
        self.links.retain(|open| *open != link);
        self.announced.take_if(|(waits, _)| *waits == link);
        self.received.take_if(|(from, _)| *from == link);
        self.to_leader.take_if(|open| *open == link);
    }

    /// The disk does up to `n` of what it was asked for.
    fn work(&mut self, n: usize) {
        for _ in 0..n {
            let Some((request, tree_of_leader)) = self.disk.pop_front() else { return };
            match request {
                Persist::Append { zxid, .. } => self.input(Input::Persisted(Persisted::Log { through: zxid })),
                Persist::AcceptedEpoch(epoch) => self.input(Input::Persisted(Persisted::AcceptedEpoch(epoch))),
                Persist::CurrentEpoch(epoch) => self.input(Input::Persisted(Persisted::CurrentEpoch(epoch))),
                Persist::RollLog => {}
                Persist::InstallSnapshot { .. } => {
                    let tree = tree_of_leader.expect("taken when it was asked for");
                    self.input(Input::StateReplaced { tree });
                }
                // There is nothing but the tree here, so a cut fails, or leaves less than was wanted.
                Persist::TruncateLog { zxid } if zxid.counter() % 2 == 0 => {
                    // All that is in the log was applied when the role before ended.
                    let last = self.state.tree.last_processed();
                    self.input(Input::Persisted(Persisted::CannotTruncate { last }));
                }
                Persist::TruncateLog { zxid } => {
                    let mut tree = tree(self.replica.options());
                    tree.set_last_processed(zxid);
                    self.input(Input::StateReplaced { tree: Box::new(tree) });
                }
            }
        }
    }
    fn pass(&mut self, ms: i64) {
        self.now.monotonic = self.now.monotonic + Millis(ms);
        self.now.wall = self.now.wall + Millis(ms);
        self.input(Input::Tick);
    }

    // ---- who speaks

    fn act(&mut self, script: &mut Script) {
        match script.below(16) {
            0 => self.pass(script.choose(&[1, 200, 1000, 20_000])),
            1 | 2 => self.work(usize::from(script.below(6))),
            3 => self.elect(script),
            4 => self.notification(script),
            5 => self.dial(script),
            6 | 7 => self.learner_connects(script),
            8..=10 => self.says(script),
            11 => self.lead(script),
            12 => self.client(script),
            13 => self.edge(script),
            _ => self.follow(script),
        }
    }

    fn notification(&mut self, script: &mut Script) {
        let zab = self.zab();
        let notification = Notification {
            state: script.choose(&[PeerState::Looking, PeerState::Following, PeerState::Leading, PeerState::Observing]),
            leader: script.server(),
            zxid: script.zxid(zab.last_logged),
            round: script.number(zab.election_round),
            peer_epoch: Epoch(script.number(zab.current_epoch.0)),
            version: script.number(2) as i32,
            config: (script.below(8) == 0).then(|| {
                let mut config = members();
                config.set_version(script.zxid(Zxid(1)));
                config.to_string()
            }),
        };
        let from = script.server();
        self.peer(ZabInput::Notification { from, notification });
    }

    /// The others agree: on us, or on server 3.
    fn elect(&mut self, script: &mut Script) {
        let zab = self.zab();
        let us = script.below(2) == 0 && zab.me == ServerId(1);
        let leader = if us { zab.me } else { ServerId(3) };
        for from in [2, 3].map(ServerId) {
            let state = match (us, from == leader) {
                (true, _) => PeerState::Looking,
                (false, true) => PeerState::Leading,
                (false, false) => PeerState::Following,
            };
            let (zxid, peer_epoch) = if us { (zab.last_logged, zab.current_epoch) } else { (Zxid::ZERO, Epoch(1)) };
            let (round, version) = (zab.election_round, 2);
            let notification = Notification { state, leader, zxid, round, peer_epoch, version, config: None };
            self.peer(ZabInput::Notification { from, notification });
        }
        self.pass(200);
    }

    fn dial(&mut self, script: &mut Script) {
        let Some(leader) = self.dialled.take() else { return };
        if script.below(8) == 0 {
            return self.peer(ZabInput::LeaderUnreachable { leader });
        }
        let link = self.open();
        self.to_leader = Some(link);
        self.peer(ZabInput::LeaderConnected { link });
    }
    fn open(&mut self) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.links.push(link);
        link
    }

    /// As a leader: the whole way to broadcast, or a part of it.
    fn lead(&mut self, script: &mut Script) {
        let Some(link) = self.to_leader else { return };
        let epoch = self.next_epoch();
        self.packet(link, Packet::LeaderInfo { epoch, protocol_version: LEARNER_PROTOCOL });
        self.work(usize::MAX);
        let last = self.zab().last_logged;
        match script.below(4) {
            0 => {
                self.packet(link, Packet::Snap { zxid: script.zxid(last) });
                self.stream();
            }
            1 => self.packet(link, Packet::Trunc { zxid: script.zxid(last) }),
            _ => self.packet(link, Packet::Diff { zxid: last }),
        }
        if script.below(3) == 0 {
            return;
        }
        self.work(usize::MAX);
        self.packet(link, Packet::NewLeader { epoch, config: None });
        self.work(usize::MAX);
        if script.below(3) != 0 {
            self.packet(link, Packet::UpToDate { zxid: Zxid::NONE });
        }
    }
    fn next_epoch(&self) -> Epoch {
        let zab = self.zab();
        zab.epoch.unwrap_or(Epoch(zab.accepted_epoch.0 + 1))
    }
    fn stream(&mut self) {
        if let Some((link, zxid)) = self.announced.take() {
            let mut tree = tree(self.replica.options());
            tree.set_last_processed(zxid);
            self.received = Some((link, Box::new(tree)));
            self.peer(ZabInput::SnapshotReceived { link });
        }
    }

    fn learner_connects(&mut self, script: &mut Script) {
        let link = self.open();
        self.peer(ZabInput::LearnerConnected { link });
        let info = LearnerInfo {
            server: (script.below(16) != 0).then(|| script.server()),
            protocol_version: script.number(i64::from(LEARNER_PROTOCOL)) as i32,
            config_version: script.zxid(Zxid::ZERO),
        };
        let accepted_epoch = script.epoch(self.zab().accepted_epoch);
        let observes = info.server.is_some_and(|id| id.0 > 3);
        let hello = if observes {
            Packet::ObserverInfo { accepted_epoch, info }
        } else {
            Packet::FollowerInfo { accepted_epoch, info }
        };
        self.packet(link, hello);
    }

    /// As a learner: the whole way to broadcast.
    fn follow(&mut self, script: &mut Script) {
        let Some(link) = self.some_link(script) else { return };
        self.work(usize::MAX);
        let zab = self.zab();
        let current_epoch = (script.below(8) != 0).then(|| script.epoch(zab.current_epoch));
        let kept = (script.below(8) == 0).then(|| script.zxid(zab.last_logged));
        let last_zxid = if kept.is_some() { Zxid::NONE } else { script.zxid(zab.last_logged) };
        self.packet(link, Packet::AckEpoch(AckEpoch { current_epoch, last_zxid, kept }));
        self.work(usize::MAX);
        let epoch = self.next_epoch();
        if script.below(8) == 0 {
            self.packet(link, Packet::Ack { zxid: script.zxid(self.zab().last_logged) });
        }
        self.packet(link, Packet::Ack { zxid: Zxid::new(script.epoch(epoch), 0) });
        self.packet(link, Packet::Ack { zxid: Zxid::new(epoch, 0) });
    }
    fn some_link(&self, script: &mut Script) -> Option<LinkId> {
        let n = self.links.len();
        if n == 0 { None } else { self.links.get(usize::from(script.byte()) % n).copied() }
    }

    /// Any packet over any link.
    fn says(&mut self, script: &mut Script) {
        let link = if script.below(2) == 0 { self.to_leader } else { self.some_link(script) };
        let Some(link) = link else { return };
        let packet = self.any_packet(script);
        self.packet(link, packet);
    }

    fn any_packet(&mut self, script: &mut Script) -> Packet {
        let (zab, epoch) = (self.zab(), self.next_epoch());
        let last = zab.last_logged;
        let next = if last.epoch() == epoch { Zxid(last.0 + 1) } else { Zxid::new(epoch, 1) };
        match script.below(22) {
            0..=3 => {
                let zxid = script.zxid(next);
                Packet::Proposal { zxid, txn: self.txn(script, zxid) }
            }
            4 | 5 => Packet::Commit { zxid: script.zxid(last) },
            6 => Packet::Ack { zxid: script.zxid(last) },
            7 => Packet::Ack { zxid: script.zxid(Zxid::new(epoch, 0)) },
            8 => {
                let zxid = script.zxid(next);
                Packet::Inform { zxid, txn: self.txn(script, zxid) }
            }
            9 => Packet::NewLeader { epoch: script.epoch(epoch), config: None },
            10 => Packet::UpToDate { zxid: Zxid::NONE },
            11 => Packet::LeaderInfo { epoch: script.epoch(epoch), protocol_version: LEARNER_PROTOCOL },
            12 => Packet::Diff { zxid: script.zxid(last) },
            13 => Packet::Trunc { zxid: script.zxid(last) },
            14 => Packet::Snap { zxid: script.zxid(last) },
            15 => {
                let touch = SessionTouch { session: self.session(script), timeout_ms: script.number(4000) as i32 };
                Packet::Ping { zxid: script.zxid(last), touched: (script.below(2) == 0).then(|| vec![touch]) }
            }
            16 => Packet::Revalidate(Revalidate::Ask {
                session: self.session(script),
                timeout_ms: script.number(4000) as i32,
            }),
            17 => Packet::Revalidate(Revalidate::Answer { session: self.session(script), valid: script.below(2) == 0 }),
            18 => Packet::Sync { zxid: script.zxid(last) },
            19 => {
                let config = members();
                Packet::NewLeader { epoch, config: Some(config.to_string()) }
            }
            20 => Packet::CommitAndActivate { zxid: script.zxid(last), leader: ServerId(script.number(2)) },
            _ => self.request(script),
        }
    }
    fn session(&self, script: &mut Script) -> SessionId {
        match script.below(4) {
            0 => SessionId(script.number(1)),
            n => self.clients.get(usize::from(n)).map_or(SessionId(77), |(_, session)| *session),
        }
    }

    fn request(&mut self, script: &mut Script) -> Packet {
        let op = script.choose(&[1, 2, 5, 7, 9, 14, 16, 20, -10, -11, 21]);
        let op = script.number(op) as i32;
        let length = usize::from(script.below(40));
        let body: Vec<u8> = match script.below(3) {
            0 => vec![0, 0, 0x20, 0],
            1 => path_body("/a"),
            _ => (0..length).map(|_| script.byte()).collect(),
        };
        let session = self.session(script);
        let xid = Xid(script.number(i64::from(self.xid)) as i32);
        Packet::Request { request: Forwarded { session, xid, op, body: body.into() }, auth: auth() }
    }

    /// A transaction of a leader: what one may be, what makes no sense for our tree, or bytes.
    fn txn(&mut self, script: &mut Script, zxid: Zxid) -> Bytes {
        let session = self.session(script);
        let header =
            TxnHeader { session, cxid: script.number(i64::from(self.xid)) as i32, zxid, time: script.number(5) };
        let path = script.choose(&["/a", "/b", "/a/b", "/", "", "a", "/zookeeper"]).to_string();
        let data = Some(Bytes::from_static(b"x"));
        let txn = match script.below(8) {
            0 | 1 => Txn::Create {
                op: OpCode::Create,
                path,
                data,
                acl: open_acl(),
                ephemeral: script.below(2) == 0,
                parent_cversion: script.number(1) as i32,
            },
            2 => Txn::Delete { op: script.choose(&[OpCode::Delete, OpCode::DeleteContainer]), path },
            3 => Txn::SetData { op: OpCode::SetData, path, data, version: script.number(1) as i32 },
            4 => Txn::CreateSession { timeout_ms: script.number(4000) as i32 },
            5 => Txn::CloseSession { paths: (script.below(2) == 0).then(|| vec![path]) },
            6 => Txn::Error { code: script.number(-101) as i32 },
            _ => {
                let length = script.below(60);
                return (0..length).map(|_| script.byte()).collect::<Vec<u8>>().into();
            }
        };
        let mut bytes = Vec::new();
        TxnEntry { header, txn, digest: None }.write(&mut bytes);
        if script.below(32) == 0 {
            bytes.truncate(usize::from(script.byte()));
        }
        bytes.into()
    }

    fn client(&mut self, script: &mut Script) {
        match (script.below(3), self.clients.first().copied()) {
            (0, _) | (_, None) => {
                let conn = ConnId(1_000_000 + self.next_link);
                self.next_link += 1;
                self.clients.push((conn, SessionId::NONE));
                let request = ConnectRequest {
                    protocol_version: 0,
                    last_zxid_seen: Zxid::ZERO,
                    timeout_ms: script.number(10_000) as i32,
                    session: SessionId::NONE,
                    password: vec![0; 16],
                    read_only: Some(false),
                };
                self.input(Input::Connect { conn, request });
            }
            (_, Some((conn, session))) => {
                self.xid += 1;
                let op = script.choose(&[OpCode::Sync, OpCode::Delete, OpCode::CloseSession]);
                let body = path_body("/a").into();
                let request = Submitted { conn, session, xid: Xid(self.xid), op, body, auth: auth() };
                self.input(Input::Submit(request));
            }
        }
    }

    /// What the edge has to say.
    fn edge(&mut self, script: &mut Script) {
        match script.below(6) {
            0 | 1 => self.stream(),
            2 => {
                if let Some(link) = self.some_link(script) {
                    self.forget(link);
                    self.peer(ZabInput::LinkClosed { link });
                }
            }
            3 => {
                if let Some(image) = self.frozen.pop() {
                    self.input(Input::ImageSent { image });
                }
            }
            4 => {
                if let Some((link, after)) = self.history_wanted.pop() {
                    self.peer(ZabInput::HistoryRead { link, after, txns: None });
                }
            }
            _ => {
                let peer = ServerId(i64::from(2 + script.below(2)));
                self.peer(ZabInput::ElectionLink { peer, up: script.below(2) == 0 });
            }
        }
    }
}

fn path_body(path: &str) -> Vec<u8> {
    let mut body = (path.len() as u32).to_be_bytes().to_vec();
    body.extend_from_slice(path.as_bytes());
    body.extend_from_slice(&(-1_i32).to_be_bytes());
    body
}
fn auth() -> Arc<[Id]> {
    Arc::new([Id::new("ip", "127.0.0.1")])
}
