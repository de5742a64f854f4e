//! The ports between servers of one member, on 127.0.0.1, with a queue where the core would be; and scripted peers.

use oxkeeper_proto::election::{Greeting, Notification, PeerState};
use oxkeeper_replica::{Input as ReplicaInput, State};
use oxkeeper_server::core_queue::{CoreEvent, CoreQueue};
use oxkeeper_server::handover::Handover;
use oxkeeper_server::history::{History, ServerSide};
use oxkeeper_server::options::{Batching, FileOptions};
use oxkeeper_server::peer::PeerOptions;
use oxkeeper_server::peer::outputs::Peers;
use oxkeeper_server::peer::poll_thread::{Listeners, PollThread, WAKER};
use oxkeeper_server::peer::shared::PeerShared;
use oxkeeper_storage::fault_disk::FaultDisk;
use oxkeeper_storage::{Dirs, Disk};
use oxkeeper_tree::{Tree, TreeOptions};
use oxkeeper_types::ensemble::MemberAddress;
use oxkeeper_types::{Epoch, ServerId, Zxid};
use oxkeeper_zab::Input;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// One member, without a core.
pub struct Member {
    pub shared: Arc<PeerShared>,
    pub core: Arc<CoreQueue>,
    pub peers: Peers,
    thread: Option<JoinHandle<()>>,
    seen: VecDeque<CoreEvent>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn address(quorum_port: u16, election_port: u16) -> MemberAddress {
    MemberAddress { host: "127.0.0.1".into(), quorum_port, election_port }
}

pub fn options(me: i64, members: &[(i64, MemberAddress)]) -> PeerOptions {
    PeerOptions {
        me: ServerId(me),
        is_observer: false,
        members: members.iter().map(|(id, a)| (ServerId(*id), vec![a.clone()])).collect::<BTreeMap<_, _>>(),
        proposed: BTreeMap::new(),
        listen_on_all: false,
        bind_retries_max: Some(3),
        election_connect_timeout: Duration::from_secs(5),
        greeting_timeout: Duration::from_secs(10),
        keep_alive: true,
        multi_address: false,
        leader_connect_limit: Duration::from_secs(20),
        snapshot_pause_max: Duration::from_secs(20),
        leader_retry_delay: Duration::from_millis(100),
        observer_reconnect_delay: Duration::ZERO,
        leader_no_delay: true,
        learner_no_delay: true,
        packet_bytes_max: 1 << 20,
        history_factor: 0.33,
        members_file: None,
    }
}

impl Member {
    pub fn start(options: PeerOptions) -> Member {
        let (core, disk): (Arc<CoreQueue>, Arc<dyn Disk>) = (Arc::default(), Arc::new(FaultDisk::new()));
        let handover = Arc::new(Handover::new(State { tree: Tree::new(TreeOptions::default()) }));
        let files = file_options();
        disk.create_dir_all(&files.dirs.snapshots).unwrap();
        let history = Arc::new(History::default());
        let server = ServerSide { handover, history, disk, files };
        let listeners = Listeners::bind(&options).unwrap();
        let poll = mio::Poll::new().unwrap();
        let waker = mio::Waker::new(poll.registry(), WAKER).unwrap();
        let shared = Arc::new(PeerShared::new(options, core.clone(), Arc::default(), server, waker));
        let thread = PollThread::new(shared.clone(), poll, listeners).unwrap();
        let thread = Some(std::thread::spawn(move || thread.run()));
        let peers = Peers::new(shared.clone(), Default::default());
        Member { shared, core, peers, thread, seen: VecDeque::new() }
    }

    /// The next event for which `choose` has something; others are dropped.
    pub fn wait<T>(&mut self, what: &str, mut choose: impl FnMut(CoreEvent) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.seen.pop_front() {
                if let Some(found) = choose(event) {
                    return found;
                }
            }
            assert!(Instant::now() < end, "never: {what}");
            let mut events = Vec::new();
            self.core.take(&mut events, Duration::from_millis(50));
            self.seen.extend(events);
        }
    }
    pub fn wait_peer<T>(&mut self, what: &str, mut choose: impl FnMut(Input) -> Option<T>) -> T {
        self.wait(what, |event| match event {
            CoreEvent::Input(ReplicaInput::Peer(input)) => choose(input),
            _ => None,
        })
    }
    pub fn wait_link(&mut self, peer: i64, up: bool) {
        self.wait_peer(&format!("server {peer} up: {up}"), |input| match input {
            Input::ElectionLink { peer: of, up: now } if of == ServerId(peer) && now == up => Some(()),
            _ => None,
        });
    }
    pub fn wait_vote(&mut self) -> (i64, Notification) {
        self.wait_peer("a notification", |input| match input {
            Input::Notification { from, notification } => Some((from.0, notification)),
            _ => None,
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

pub fn file_options() -> FileOptions {
    FileOptions {
        dirs: Dirs::new(Path::new("/data"), None),
        log: Default::default(),
        keeps_log: true,
        recover: Default::default(),
        snapshot: Default::default(),
        slow_sync: Duration::from_secs(1),
        batching: Batching { transactions_max: 1000, delay: Duration::ZERO, poll: Duration::ZERO },
        snapshots_kept: 3,
        purge_interval: None,
    }
}

pub fn vote(leader: i64, round: i64) -> Notification {
    Notification {
        state: PeerState::Looking,
        leader: ServerId(leader),
        zxid: Zxid(0x1_0000_0001),
        round,
        peer_epoch: Epoch(1),
        version: 2,
        config: Some("version=0".into()),
    }
}

pub fn greeting(server: i64, port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    Greeting { server: ServerId(server), addresses: vec![format!("127.0.0.1:{port}")] }.write(&mut bytes);
    bytes
}
pub fn frame(notification: &Notification) -> Vec<u8> {
    let mut bytes = Vec::new();
    notification.write_frame(&mut bytes);
    bytes
}

pub fn dial(port: u16) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}
pub fn accept(listener: &TcpListener) -> TcpStream {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}
/// A greeting with an address, as servers from 3.5 on send it.
pub fn read_greeting(socket: &mut TcpStream) -> (i64, String) {
    let mut head = [0; 20];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(i64::from_be_bytes(head[..8].try_into().unwrap()), -65536);
    let mut text = vec![0; i32::from_be_bytes(head[16..].try_into().unwrap()) as usize];
    socket.read_exact(&mut text).unwrap();
    (i64::from_be_bytes(head[8..16].try_into().unwrap()), String::from_utf8(text).unwrap())
}
pub fn read_vote(socket: &mut TcpStream) -> Notification {
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut body = vec![0; i32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body).unwrap();
    Notification::read(&body).unwrap().unwrap()
}
/// Nothing more comes: closed in order or by a reset.
pub fn is_closed(socket: &mut TcpStream) -> bool {
    match socket.read(&mut [0; 1]) {
        Ok(n) => n == 0,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}
