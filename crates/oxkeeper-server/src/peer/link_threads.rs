//! The two threads of a connection of the quorum port.
//!
//! The writer thread sends what the core could not send at once, and snapshots. The reader thread takes all there is off the
//! socket and hands every whole packet in it to the core at once. A peer that sends faster than the core takes is not read.

use super::link::{Item, PeerLink, Side};
use super::shared::PeerShared;
use super::snapshot_receiver::SnapshotReceiver;
use crate::core_queue::{CoreEvent, to_core};
use crate::lock::lock;
use crate::metrics::bump;
use bytes::{Bytes, BytesMut};
use oxkeeper_proto::quorum::{Packet, PacketRead, SNAP_SIGNATURE, read};
use oxkeeper_replica::Input as ReplicaInput;
use oxkeeper_tree::{ImageId, ImageProgress};
use oxkeeper_zab::{Input, LinkId};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::Builder;

/// What one read may take.
const READ_BYTES: usize = 64 << 10;
/// A snapshot is copied out in pieces of this size, each under one hold of the shared side.
const PIECE_BYTES: usize = 256 << 10;
/// Where the length of a packet's data stands: behind type and zxid.
const LENGTH_AT: usize = 12;

/// Takes a connected socket: registers the link, has `announce` tell the core of it, and starts its threads.
pub fn start(
    shared: &Arc<PeerShared>,
    id: LinkId,
    socket: TcpStream,
    address: SocketAddr,
    side: Side,
    announce: impl FnOnce(),
) -> io::Result<()> {
    let reading = socket.try_clone()?;
    let link = Arc::new(PeerLink::new(id, socket, address, side));
    lock(&shared.links).insert(id, link.clone());
    announce();
    let writer = {
        let (shared, link) = (shared.clone(), link.clone());
        Builder::new().name(format!("link-{}-out", id.0)).spawn(move || write_all(&shared, &link))
    };
    let reader = {
        let (shared, link) = (shared.clone(), link.clone());
        Builder::new().name(format!("link-{}-in", id.0)).spawn(move || read_link(&shared, &link, reading))
    };
    if let Err(error) = writer.and(reader) {
        tracing::error!("no thread for the connection of {address}: {error}");
        link.shut_down();
        finish(shared, &link, "there is no thread for it");
    }
    Ok(())
}

// ---- the writer thread

fn write_all(shared: &PeerShared, link: &PeerLink) {
    while let Some(item) = link.next_item() {
        let (bytes, written) = match item {
            Item::Bytes(bytes) => (bytes.len(), (&link.socket).write_all(&bytes)),
            Item::Image { image, generation } => {
                let written = write_image(shared, link, image, generation);
                shared.core.put_one(CoreEvent::Input(ReplicaInput::ImageSent { image }));
                (0, written)
            }
        };
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let pause = shared.options.snapshot_pause_max.as_millis();
            tracing::warn!("closing the connection of {}: for {pause} ms it has taken nothing", link.peer());
        }
        link.written(bytes, written.is_ok());
    }
    for item in link.unsent() {
        if let Item::Image { image, .. } = item {
            shared.core.put_one(CoreEvent::Input(ReplicaInput::ImageSent { image }));
        }
    }
}

/// The raw stream of a snapshot: sessions, ACLs, nodes, end mark; then the signature.
fn write_image(shared: &PeerShared, link: &PeerLink, image: ImageId, generation: u64) -> io::Result<()> {
    let server = &shared.server;
    let gone = || io::Error::other("the history that the snapshot is of was replaced");
    // A learner that takes nothing for so long is gone. Only this thread waits for the socket.
    let pause = shared.options.snapshot_pause_max;
    link.socket.set_write_timeout(Some(pause).filter(|pause| !pause.is_zero()))?;
    let mut cursor = {
        let state = server.handover.shared();
        if server.history.generation() != generation || !state.tree.has_image(image) {
            return Err(gone());
        }
        state.tree.image_cursor(image)
    };
    let (mut piece, mut progress, mut sent) = (Vec::with_capacity(2 * PIECE_BYTES), ImageProgress::More, 0);
    while progress != ImageProgress::Done {
        piece.clear();
        {
            let state = server.handover.shared();
            if server.history.generation() != generation || !state.tree.has_image(image) {
                return Err(gone());
            }
            progress = state.tree.image_next(&mut cursor, &mut piece, PIECE_BYTES);
        }
        (&link.socket).write_all(&piece)?;
        sent += piece.len();
    }
    let mut signature = (SNAP_SIGNATURE.len() as u32).to_be_bytes().to_vec();
    signature.extend_from_slice(SNAP_SIGNATURE.as_bytes());
    (&link.socket).write_all(&signature)?;
    tracing::info!("sent a snapshot of {sent} bytes to {}", link.peer());
    Ok(())
}

// ---- the reader thread

fn read_link(shared: &Arc<PeerShared>, link: &Arc<PeerLink>, socket: TcpStream) {
    let mut reader = LinkReader {
        shared,
        link,
        buffer: BytesMut::new(),
        wanted: 0,
        events: Vec::new(),
        snapshot: None,
        is_watched: false,
    };
    let why = reader.run(&socket);
    finish(shared, link, &why);
}

/// The end, told by the reader.
fn finish(shared: &PeerShared, link: &PeerLink, why: &str) {
    lock(&shared.links).remove(&link.id);
    if link.end() {
        tracing::info!("the connection with {} has ended: {why}", link.peer());
        shared.core.put_one(to_core(Input::LinkClosed { link: link.id }));
    }
}

struct LinkReader<'a> {
    shared: &'a Arc<PeerShared>,
    link: &'a Arc<PeerLink>,
    /// Read and not cut into packets yet.
    buffer: BytesMut,
    /// Fewer bytes than this do not hold a whole packet.
    wanted: usize,
    events: Vec<CoreEvent>,
    /// A raw snapshot stream is being received.
    snapshot: Option<SnapshotReceiver>,
    /// The socket gives up when nothing comes.
    is_watched: bool,
}

impl LinkReader<'_> {
    /// Until the link ends; gives the reason.
    fn run(&mut self, mut socket: &TcpStream) -> String {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let n = match socket.read(&mut chunk) {
                Ok(0) => return "the other side has closed it".into(),
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if self.snapshot.is_some() && error.kind() == ErrorKind::WouldBlock => {
                    let pause = self.shared.options.snapshot_pause_max.as_millis();
                    return format!("nothing was heard for {pause} ms in the middle of a snapshot");
                }
                Err(error) => return format!("read failed: {error}"),
            };
            let taken = self.take(&chunk[..n]).and_then(|()| self.watch(socket));
            if !self.events.is_empty() {
                self.shared.core.put_when_room(&mut self.events);
            }
            if let Err(why) = taken {
                return why;
            }
        }
    }

    /// Consensus counts packets only, so in a stream we watch for it (QP006).
    fn watch(&mut self, socket: &TcpStream) -> Result<(), String> {
        if self.is_watched == self.snapshot.is_some() {
            return Ok(());
        }
        self.is_watched = self.snapshot.is_some();
        let pause = self.shared.options.snapshot_pause_max;
        let watched = socket.set_read_timeout(self.is_watched.then_some(pause).filter(|pause| !pause.is_zero()));
        watched.map_err(|error| format!("its silence cannot be watched: {error}"))
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        if self.snapshot.is_some() {
            bytes = &bytes[self.take_snapshot(bytes)?..];
        }
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= self.wanted.max(1) {
            let stream = self.buffer.split().freeze();
            let consumed = self.take_packets(&stream)?;
            let mut rest = &stream[consumed..];
            if self.snapshot.is_some() {
                // Not through the buffer: a snapshot is larger than anything that should be kept.
                self.shared.core.put_when_room(&mut self.events);
                rest = &rest[self.take_snapshot(rest)?..];
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
    fn take_packets(&mut self, stream: &Bytes) -> Result<usize, String> {
        let mut at = 0;
        while at < stream.len() {
            let read = read(&stream.slice(at..), self.shared.options.packet_bytes_max);
            match read.map_err(|fault| format!("a packet that makes no sense: {fault}"))? {
                PacketRead::Partial => break,
                PacketRead::Whole { packet, consumed } => {
                    at += consumed;
                    self.note(&packet);
                    let snap = match packet {
                        Packet::Snap { zxid } if self.link.side != Side::Leader => Some(zxid),
                        _ => None,
                    };
                    self.events.push(to_core(Input::Packet { link: self.link.id, packet }));
                    if let Some(zxid) = snap {
                        self.snapshot = Some(SnapshotReceiver::begin(&self.shared.server, self.link.address, zxid)?);
                        break;
                    }
                }
            }
        }
        Ok(at)
    }

    /// For messages and metrics.
    fn note(&self, packet: &Packet) {
        let metrics = &self.shared.metrics.peers;
        match packet {
            Packet::FollowerInfo { info, .. } | Packet::ObserverInfo { info, .. } => {
                let server = info.server.map_or(-1, |server| server.0);
                self.link.introduced(server);
                tracing::info!("{} connected as a learner", self.link.peer());
            }
            // There is one leader at a time, so one thread counts.
            Packet::Proposal { .. } | Packet::Inform { .. } => bump(&metrics.proposals_received, 1),
            Packet::Commit { .. } => bump(&metrics.commits_received, 1),
            _ => {}
        }
    }

    /// Takes bytes of the snapshot stream; answers how many belonged to it.
    fn take_snapshot(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut snapshot = self.snapshot.take().expect("looked at before");
        let taken = snapshot.feed(bytes)?;
        if snapshot.is_whole() {
            let snapshot = Box::new(snapshot.finish()?);
            self.events.push(CoreEvent::SnapshotReceived { link: self.link.id, snapshot });
        } else {
            self.snapshot = Some(snapshot);
        }
        Ok(taken)
    }
}

/// The least that the packet takes whose beginning this is.
fn wanted(start: &[u8]) -> usize {
    let Some(length) = start.get(LENGTH_AT..LENGTH_AT + 4) else { return LENGTH_AT + 4 };
    let data = i32::from_be_bytes(length.try_into().expect("4 bytes")).max(0);
    LENGTH_AT + 4 + data as usize + 4
}
