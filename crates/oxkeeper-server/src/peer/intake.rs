//! What comes in over one connection of the quorum port: from the socket to whole packets in the core's queue.
//!
//! Mostly the reader thread of the link does it: it waits for the socket, takes all there is, and hands every whole packet in it to
//! the core at once. A peer that sends faster than the core takes is not read. On the link with the leader, a thread that is about
//! to answer reads does the same without waiting, so that what had arrived before them is in the queue, however late the
//! reader thread is.

use super::link::{PeerLink, Side};
use super::shared::PeerShared;
use super::snapshot_receiver::SnapshotReceiver;
use crate::core_queue::{CoreEvent, Inlet, to_core};
use crate::lock::lock;
use crate::metrics::bump;
use bytes::{Bytes, BytesMut};
use oxkeeper_proto::quorum::{Packet, PacketRead, read};
use oxkeeper_zab::Input;
use rustix::net::RecvFlags;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What one read may take.
const READ_BYTES: usize = 64 << 10;
/// Between two looks at a disk that has to catch up.
const DISK_PAUSE: Duration = Duration::from_millis(5);
/// Where the length of a packet's data stands: behind type and zxid.
const LENGTH_AT: usize = 12;

/// The receiving half of a link.
pub struct Intake {
    shared: Arc<PeerShared>,
    link: Arc<PeerLink>,
    cutter: Mutex<Cutter>,
    /// Whoever holds `cutter` has taken something off the socket, or is about to, that the queue does not have yet.
    taking: AtomicBool,
}

impl Intake {
    pub fn new(shared: &Arc<PeerShared>, link: &Arc<PeerLink>) -> Intake {
        let (shared, link) = (shared.clone(), link.clone());
        Intake { shared, link, cutter: Mutex::default(), taking: AtomicBool::new(false) }
    }

    /// For the reader thread: takes what comes until the link ends, and gives the reason.
    pub fn read_all(&self) -> String {
        let alone = self.link.side == Side::Leader;
        loop {
            self.wait_for_the_disk();
            // On a learner others may take what comes, so it is waited for without the lock.
            if !alone
                && let Err(error) = self.link.socket.peek(&mut [0])
                && error.kind() != ErrorKind::Interrupted
            {
                return lock(&self.cutter).lost(&self.shared, &error);
            }
            let wait = if alone { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
            if let Err(why) = self.take(&mut lock(&self.cutter), wait) {
                return why;
            }
        }
    }

    /// What a peer sends faster than the disk takes it stays in the peer's connection. A peer whose words wait here for long is taken
    /// for silent; by then our own disk is, too.
    fn wait_for_the_disk(&self) {
        while self.shared.server.history.backlog.is_full() && self.link.is_open() {
            std::thread::sleep(DISK_PAUSE);
        }
    }

    /// One read. Answers how many bytes it has brought; the error is the end of the link.
    fn take(&self, cutter: &mut Cutter, wait: RecvFlags) -> Result<usize, String> {
        if let Some(why) = &cutter.ended {
            return Err(why.clone());
        }
        self.taking.store(true, Release);
        let taken = cutter.take(&self.shared, &self.link, wait);
        self.taking.store(false, Release);
        cutter.ended = taken.as_ref().err().cloned();
        taken
    }
}

impl Inlet for Intake {
    /// Of a packet that is not there as a whole nothing has arrived. Waits for nothing that is still to come.
    fn take_arrived(&self) {
        let mut arrived = rustix::io::ioctl_fionread(&self.link.socket).unwrap_or(0) as usize;
        if arrived == 0 && !self.taking.load(Acquire) {
            return;
        }
        let mut cutter = lock(&self.cutter);
        // Snapshots are for the reader thread: they take long, and nobody is served while one comes.
        while arrived > 0 && cutter.snapshot.is_none() {
            match self.take(&mut cutter, RecvFlags::DONTWAIT) {
                Ok(0) => return,
                Ok(n) => arrived = arrived.saturating_sub(n),
                // The reader thread wakes and tells.
                Err(_) => return self.link.shut_down(),
            }
        }
    }
}

/// Bytes to packets.
#[derive(Default)]
struct Cutter {
    chunk: Vec<u8>,
    /// Read and not cut into packets yet.
    buffer: BytesMut,
    /// Fewer bytes than this do not hold a whole packet.
    wanted: usize,
    events: Vec<CoreEvent>,
    /// A raw snapshot stream is being received.
    snapshot: Option<SnapshotReceiver>,
    /// The socket gives up when nothing comes.
    is_watched: bool,
    /// Why nothing more is taken.
    ended: Option<String>,
}

impl Cutter {
    fn take(&mut self, shared: &PeerShared, link: &PeerLink, wait: RecvFlags) -> Result<usize, String> {
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.resize(READ_BYTES, 0);
        let taken = match rustix::net::recv(&link.socket, &mut chunk[..], wait).map_err(io::Error::from) {
            Ok((0, _)) => Err("the other side has closed it".into()),
            Ok((n, _)) => {
                let cut = self.cut(shared, link, &chunk[..n]).and_then(|()| self.watch(shared, &link.socket));
                shared.core.put_when_room(&mut self.events);
                cut.map(|()| n)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            // Somebody else was faster.
            Err(error) if error.kind() == ErrorKind::WouldBlock && wait == RecvFlags::DONTWAIT => Ok(0),
            Err(error) => Err(self.lost(shared, &error)),
        };
        self.chunk = chunk;
        taken
    }

    /// Why the socket gives no more.
    fn lost(&self, shared: &PeerShared, error: &io::Error) -> String {
        if self.snapshot.is_some() && error.kind() == ErrorKind::WouldBlock {
            let pause = shared.options.snapshot_pause_max.as_millis();
            return format!("nothing was heard for {pause} ms in the middle of a snapshot");
        }
        format!("read failed: {error}")
    }

    /// Consensus counts packets only, so in a stream we watch for it (QP006, initLimit for each read).
    fn watch(&mut self, shared: &PeerShared, socket: &TcpStream) -> Result<(), String> {
        if self.is_watched == self.snapshot.is_some() {
            return Ok(());
        }
        self.is_watched = self.snapshot.is_some();
        let pause = shared.options.snapshot_pause_max;
        let watched = socket.set_read_timeout(self.is_watched.then_some(pause).filter(|pause| !pause.is_zero()));
        watched.map_err(|error| format!("its silence cannot be watched: {error}"))
    }

    fn cut(&mut self, shared: &PeerShared, link: &PeerLink, mut bytes: &[u8]) -> Result<(), String> {
        if self.snapshot.is_some() {
            bytes = &bytes[self.take_snapshot(link, bytes)?..];
        }
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= self.wanted.max(1) {
            let stream = self.buffer.split().freeze();
            let consumed = self.take_packets(shared, link, &stream)?;
            let mut rest = &stream[consumed..];
            if self.snapshot.is_some() {
                // Not through the buffer: a snapshot is larger than anything that should be kept.
                shared.core.put_when_room(&mut self.events);
                rest = &rest[self.take_snapshot(link, rest)?..];
                self.buffer.extend_from_slice(rest);
                self.wanted = 0;
                continue;
            }
            self.buffer.extend_from_slice(rest);
            self.wanted = wanted(rest);
            return Ok(());
        }
        Ok(())
    }

    /// Cuts whole packets off the front, up to one that announces a snapshot stream.
    fn take_packets(&mut self, shared: &PeerShared, link: &PeerLink, stream: &Bytes) -> Result<usize, String> {
        let mut at = 0;
        while at < stream.len() {
            let read = read(&stream.slice(at..), shared.options.packet_bytes_max);
            match read.map_err(|fault| format!("a packet that makes no sense: {fault}"))? {
                PacketRead::Partial => break,
                PacketRead::Whole { packet, consumed } => {
                    at += consumed;
                    note(shared, link, &packet);
                    let snap = match packet {
                        Packet::Snap { zxid } if link.side != Side::Leader => Some(zxid),
                        _ => None,
                    };
                    self.events.push(to_core(Input::Packet { link: link.id, packet }));
                    if let Some(zxid) = snap {
                        self.snapshot = Some(SnapshotReceiver::begin(&shared.server, link.address, zxid)?);
                        break;
                    }
                }
            }
        }
        Ok(at)
    }

    /// Takes bytes of the snapshot stream; answers how many belonged to it.
    fn take_snapshot(&mut self, link: &PeerLink, bytes: &[u8]) -> Result<usize, String> {
        let mut snapshot = self.snapshot.take().expect("looked at before");
        let taken = snapshot.feed(bytes)?;
        if snapshot.is_whole() {
            let snapshot = Box::new(snapshot.finish()?);
            self.events.push(CoreEvent::SnapshotReceived { link: link.id, snapshot });
        } else {
            self.snapshot = Some(snapshot);
        }
        Ok(taken)
    }
}

/// For messages and metrics.
fn note(shared: &PeerShared, link: &PeerLink, packet: &Packet) {
    let metrics = &shared.metrics.peers;
    match packet {
        Packet::FollowerInfo { info, .. } | Packet::ObserverInfo { info, .. } => {
            let server = info.server.map_or(-1, |server| server.0);
            link.introduced(server);
            tracing::info!("{} connected as a learner", link.peer());
        }
        // There is one leader at a time, and whoever has its lock counts.
        Packet::Proposal { .. } | Packet::Inform { .. } => bump(&metrics.proposals_received, 1),
        Packet::Commit { .. } => bump(&metrics.commits_received, 1),
        _ => {}
    }
}

/// The least that the packet takes whose beginning this is.
fn wanted(start: &[u8]) -> usize {
    let Some(length) = start.get(LENGTH_AT..LENGTH_AT + 4) else { return LENGTH_AT + 4 };
    let data = i32::from_be_bytes(length.try_into().expect("4 bytes")).max(0);
    LENGTH_AT + 4 + data as usize + 4
}
