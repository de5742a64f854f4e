//! Members of an ensemble that a test plays: their votes, and the packets of the quorum port, on either side of it.
#![allow(dead_code)]

use crate::processes::{PATIENCE, Trio, eventually};
use bytes::{Bytes, BytesMut};
use oxkeeper_proto::election::{Greeting, Notification, PeerState};
use oxkeeper_proto::quorum::{AckEpoch, LEARNER_PROTOCOL, LearnerInfo, Packet, PacketRead, read};
use oxkeeper_types::{Epoch, ServerId, Zxid};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The member that tests play.
pub const SCRIPTED: usize = 3;
/// As much as any packet of a test.
const PACKET_BYTES_MAX: usize = 16 << 20;

/// One connection of the quorum port.
pub struct Link {
    socket: TcpStream,
    buffer: BytesMut,
}

impl Link {
    fn of(socket: TcpStream) -> Link {
        socket.set_nonblocking(false).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Link { socket, buffer: BytesMut::new() }
    }
    pub fn dial(port: u16) -> Link {
        Link::of(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }
    /// The next that dials.
    pub fn accept(listener: &TcpListener) -> Link {
        listener.set_nonblocking(true).unwrap();
        let mut socket = None;
        eventually("somebody dials", || {
            socket = listener.accept().ok();
            socket.is_some()
        });
        Link::of(socket.unwrap().0)
    }
    /// Unless nobody listens just now.
    pub fn try_dial(port: u16) -> Option<Link> {
        TcpStream::connect(("127.0.0.1", port)).ok().map(Link::of)
    }
    /// Of our end, which is the name that the other end has for us.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }
    pub fn send(&mut self, packet: &Packet) {
        assert!(self.try_send(packet), "closed before {packet:?}");
    }
    /// Whether the other end had not closed it yet.
    pub fn try_send(&mut self, packet: &Packet) -> bool {
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        self.try_send_bytes(&bytes)
    }
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }
    /// Nothing more will be sent.
    pub fn end_sending(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
    /// The next packet; `None` once it is closed, in order or by a reset.
    pub fn next(&mut self) -> Option<Packet> {
        loop {
            if let PacketRead::Whole { packet, consumed } =
                read(&self.buffer.clone().freeze(), PACKET_BYTES_MAX).unwrap()
            {
                let _ = self.buffer.split_to(consumed);
                return Some(packet);
            }
            if !self.fill() {
                return None;
            }
        }
    }
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 << 10];
        match self.socket.read(&mut chunk) {
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                n > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came, and it was not closed: {error}"),
        }
    }
    pub fn expect(&mut self, what: &str) -> Packet {
        let packet = self.next();
        let packet = packet.unwrap_or_else(|| panic!("expected {what}, and it was closed"));
        assert_eq!(packet.name(), what, "{packet:?}");
        packet
    }
    /// Whatever comes is taken, without an answer, until the other side closes: what that was.
    pub fn closed(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.next()).collect()
    }
    /// The raw bytes of a stream, up to and with this mark.
    pub fn skip_through(&mut self, mark: &[u8], pause: Duration) -> usize {
        let mut skipped = 0;
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                let _ = self.buffer.split_to(at + mark.len());
                return skipped + at + mark.len();
            }
            let kept = self.buffer.len().min(mark.len());
            let gone = self.buffer.len() - kept;
            let _ = self.buffer.split_to(gone);
            skipped += gone;
            std::thread::sleep(pause);
            assert!(self.fill(), "closed in the middle of the stream, behind {skipped} bytes");
        }
    }
}

// ---- as a learner

pub fn info(server: i64) -> LearnerInfo {
    LearnerInfo { server: Some(ServerId(server)), protocol_version: LEARNER_PROTOCOL, config_version: Zxid::ZERO }
}

pub fn follower_info(server: i64) -> Packet {
    Packet::FollowerInfo { accepted_epoch: Epoch(0), info: info(server) }
}

impl Link {
    /// Dials a leader and goes through discovery with this as the last zxid: the epoch.
    pub fn discover(port: u16, server: i64, last_zxid: Zxid) -> (Link, Epoch) {
        let mut link = Link::dial(port);
        link.send(&follower_info(server));
        let Packet::LeaderInfo { epoch, .. } = link.expect("LEADERINFO") else { unreachable!() };
        // As one that has promised it before: it does not count for a quorum.
        link.send(&Packet::AckEpoch(AckEpoch { current_epoch: None, last_zxid, kept: None }));
        (link, epoch)
    }
    /// What a leader sends up to NEWLEADER, the raw stream of a snapshot left out.
    pub fn history(&mut self) -> Vec<Packet> {
        let mut history = Vec::new();
        loop {
            match self.next().expect("it is closed before NEWLEADER") {
                Packet::NewLeader { .. } => return history,
                packet => {
                    let is_snapshot = matches!(packet, Packet::Snap { .. });
                    history.push(packet);
                    if is_snapshot {
                        self.skip_through(b"BenWasHere", Duration::ZERO);
                    }
                }
            }
        }
    }
    /// A learner that has all that the leader has, up to UPTODATE.
    pub fn in_sync(port: u16, server: i64) -> (Link, Epoch) {
        let (mut link, epoch) = Link::discover(port, server, Zxid::NONE);
        link.history();
        link.send(&Packet::Ack { zxid: Zxid::new(epoch, 0) });
        while link.expect_any().name() != "UPTODATE" {}
        link.send(&Packet::Ack { zxid: Zxid::new(epoch, 0) });
        (link, epoch)
    }
    fn expect_any(&mut self) -> Packet {
        self.next().expect("it is closed")
    }
}

// ---- as a leader

/// Member 3 as everybody's leader: it wins every election of the server at this port, whenever that looks for a leader.
pub struct Candidate {
    votes: Arc<Mutex<Vec<TcpStream>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub quorum_port: TcpListener,
}

impl Candidate {
    /// Of server 1.
    pub fn of(trio: &Trio) -> Candidate {
        let quorum_port = TcpListener::bind(("127.0.0.1", trio.peer_port(SCRIPTED, false))).unwrap();
        Candidate::with(quorum_port, trio.peer_port(1, true))
    }
    pub fn with(quorum_port: TcpListener, election_port: u16) -> Candidate {
        let (votes, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (votes, stop) = (votes.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(socket) = TcpStream::connect(("127.0.0.1", election_port)) {
                        votes.lock().unwrap().push(socket.try_clone().unwrap());
                        // Ends when the server does, or the test.
                        let _ = be_elected(socket);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            })
        };
        Candidate { votes, stop, thread: Some(thread), quorum_port }
    }
    pub fn accept(&self) -> Link {
        Link::accept(&self.quorum_port)
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for socket in self.votes.lock().unwrap().iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Answers every vote for somebody else with a better one for ourselves in the same round.
fn be_elected(mut socket: TcpStream) -> io::Result<()> {
    let leader = ServerId(SCRIPTED as i64);
    let mut bytes = Vec::new();
    Greeting { server: leader, addresses: vec!["127.0.0.1:1".into()] }.write(&mut bytes);
    socket.write_all(&bytes)?;
    loop {
        let mut length = [0; 4];
        socket.read_exact(&mut length)?;
        let mut body = vec![0; i32::from_be_bytes(length) as usize];
        socket.read_exact(&mut body)?;
        let heard = Notification::read(&body).unwrap().unwrap();
        if heard.state != PeerState::Looking {
            continue;
        }
        let is_ours = heard.leader == leader;
        let peer_epoch = if is_ours { heard.peer_epoch } else { Epoch(heard.peer_epoch.0 + 1) };
        let (zxid, state) = (Zxid::new(peer_epoch, 0), PeerState::Looking);
        bytes.clear();
        Notification { state, leader, zxid, round: heard.round, peer_epoch, version: 2, config: Some(String::new()) }
            .write_frame(&mut bytes);
        socket.write_all(&bytes)?;
    }
}

impl Link {
    /// As a leader: discovery with a follower; what it has.
    pub fn lead(&mut self, epoch: i64) -> AckEpoch {
        self.expect("FOLLOWERINFO");
        self.send(&Packet::LeaderInfo { epoch: Epoch(epoch), protocol_version: LEARNER_PROTOCOL });
        let Packet::AckEpoch(ack) = self.expect("ACKEPOCH") else { unreachable!() };
        ack
    }
    /// The follower has all that we have, and serves.
    pub fn establish(&mut self, epoch: i64) {
        let ack = self.lead(epoch);
        self.send(&Packet::Diff { zxid: ack.last_zxid });
        self.send(&Packet::NewLeader { epoch: Epoch(epoch), config: None });
        self.expect("ACK");
        self.send(&Packet::UpToDate { zxid: Zxid::NONE });
        self.expect("ACK");
    }
}

// ---- ports that do not answer

/// A port whose queue of connections is full: whoever dials waits, until this is dropped or [`FullPort::free`] makes room.
pub struct FullPort {
    listener: TcpListener,
    fillers: Vec<socket2::Socket>,
}

impl FullPort {
    pub fn on(port: u16) -> FullPort {
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.set_reuse_address(true).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let mut fillers = Vec::new();
        let mut hung = 0;
        // On the loopback device a connection is there at once, or waits for room.
        while hung < 3 {
            let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            hung += u32::from(filler.connect_timeout(&address.into(), Duration::from_millis(100)).is_err());
            fillers.push(filler);
        }
        FullPort { listener: listener.into(), fillers }
    }
    /// From here on it is a port like any other.
    pub fn free(self) -> TcpListener {
        drop(self.fillers);
        socket2::SockRef::from(&self.listener).listen(128).unwrap();
        // Those that were there are gone; a server that dialled meanwhile dials again.
        self.listener.set_nonblocking(true).unwrap();
        while self.listener.accept().is_ok() {}
        self.listener
    }
}

/// A server may be later than a limit says, and hardly earlier: its clock says when it last looked.
pub fn assert_passed(since: Instant, limit: Duration, what: &str) {
    let passed = since.elapsed();
    assert!(passed >= limit / 2, "{what}: after {passed:?}, the limit is {limit:?}");
}

/// Bytes of a packet whose header says so, with nothing that it would promise.
pub fn raw_packet(kind: i32, zxid: i64, data: Option<&[u8]>) -> Bytes {
    let length = data.map_or(-1, |data| data.len() as i32);
    let parts = [
        &kind.to_be_bytes()[..],
        &zxid.to_be_bytes(),
        &length.to_be_bytes(),
        data.unwrap_or_default(),
        &(-1i32).to_be_bytes(),
    ];
    parts.concat().into()
}
