//! One connection of the quorum port, on either side.
//!
//! The core sends: it writes what a batch of its has for the link straight into the socket, and only what the socket does not
//! take, or what has to wait behind a snapshot, goes to the writer thread. A peer that does not read is closed when more waits
//! for it than [`LINK_BYTES_MAX`]. How what it sends comes in is told in [`super::intake`].

use super::intake::{self, Intake};
use super::{PeerShared, to_core};
use crate::shared::{CoreEvent, lock};
use oxkeeper_proto::quorum::{Packet, SNAP_SIGNATURE};
use oxkeeper_replica::Input as ReplicaInput;
use oxkeeper_tree::{ImageId, ImageProgress};
use oxkeeper_types::ServerId;
use oxkeeper_types::limits::LINK_BYTES_MAX;
use oxkeeper_zab::{Input, LinkEnd, LinkId};
use rustix::net::SendFlags;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;

/// A snapshot is copied out in pieces of this size, each under one hold of the shared side.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for the writer are joined up to this size.
const JOINED_BYTES_MAX: usize = 1 << 20;

/// Which end of the connection we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// A learner connected to us.
    Leader,
    /// We connected to this leader.
    Learner(ServerId),
}

pub struct PeerLink {
    pub id: LinkId,
    pub address: SocketAddr,
    pub(super) side: Side,
    pub(super) socket: TcpStream,
    pub(super) intake: Intake,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Who the peer says it is; -1 until then.
    pub(super) server: AtomicI64,
    /// A learner that has not introduced itself.
    pub(super) nameless: AtomicBool,
    /// We have closed it: nobody waits for news of it.
    closed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    /// Encoded by the core since the last flush.
    fresh: Vec<u8>,
    /// For the writer thread.
    items: VecDeque<Item>,
    /// Bytes in `items`, and in the piece that the writer has in hand.
    waiting: usize,
    /// More than [`LINK_BYTES_MAX`] by so much may wait: history that the peer is sent.
    allowance: usize,
    /// The writer has something in hand.
    writing: bool,
    ended: bool,
}

enum Item {
    Bytes(Vec<u8>),
    Image { image: ImageId, generation: u64 },
}

/// Takes a connected socket: registers the link, has `announce` tell the core of it, and starts its threads.
pub fn start(
    shared: &Arc<PeerShared>,
    id: LinkId,
    socket: TcpStream,
    address: SocketAddr,
    side: Side,
    announce: impl FnOnce(),
) -> io::Result<()> {
    let link = Arc::new(PeerLink {
        id,
        address,
        side,
        socket,
        intake: Intake::default(),
        queue: Mutex::default(),
        wake: Condvar::new(),
        server: AtomicI64::new(match side {
            Side::Leader => -1,
            Side::Learner(leader) => leader.0,
        }),
        nameless: AtomicBool::new(side == Side::Leader),
        closed: AtomicBool::new(false),
    });
    lock(&shared.links).insert(id, link.clone());
    if side != Side::Leader {
        shared.set_leader(&link);
    }
    announce();
    let writer = {
        let (shared, link) = (shared.clone(), link.clone());
        Builder::new().name(format!("link-{}-out", id.0)).spawn(move || link.write_all(&shared))
    };
    let reader = {
        let (shared, link) = (shared.clone(), link.clone());
        Builder::new().name(format!("link-{}-in", id.0)).spawn(move || {
            let why = intake::read_all(&shared, &link);
            link.finish(&shared, &why);
        })
    };
    if let Err(error) = writer.and(reader) {
        tracing::error!("no thread for the connection of {address}: {error}");
        link.shut_down();
        link.finish(shared, "there is no thread for it");
    }
    Ok(())
}

impl PeerLink {
    /// For messages: the id that the peer has told, and its address.
    pub(super) fn peer(&self) -> String {
        match self.server.load(Relaxed) {
            -1 => self.address.to_string(),
            id => format!("server {id} at {}", self.address),
        }
    }

    pub fn is_nameless(&self) -> bool {
        self.nameless.load(Relaxed)
    }
    /// It has not said who it is, and others wait to do so.
    pub fn make_room(&self) {
        tracing::info!("closed the connection of learner {}: others wait to say who they are", self.address);
        self.nameless.store(false, Relaxed);
        self.shut_down();
    }

    // ---- sending, by the core

    /// Adds a packet to what the next flush sends.
    pub fn put(&self, packet: &Packet) {
        packet.write(&mut lock(&self.queue).fresh);
    }

    /// Adds a snapshot stream behind the packets before it.
    pub fn put_image(&self, shared: &PeerShared, image: ImageId) {
        let generation = shared.server.history.generation();
        let mut queue = lock(&self.queue);
        queue.shelve_fresh();
        queue.items.push_back(Item::Image { image, generation });
        drop(queue);
        self.wake.notify_one();
    }

    /// So many bytes of history are about to be put.
    pub fn allow(&self, bytes: usize) {
        lock(&self.queue).allowance += bytes;
    }

    /// Sends what was put since the last time, as far as it goes at once.
    pub fn flush(&self) {
        let mut queue = lock(&self.queue);
        if queue.fresh.is_empty() {
            return;
        }
        if queue.ended {
            queue.fresh.clear();
            return;
        }
        if queue.items.is_empty() && !queue.writing {
            match send_now(&self.socket, &queue.fresh) {
                Ok(n) if n == queue.fresh.len() => {
                    queue.fresh.clear();
                    queue.fresh.shrink_to(JOINED_BYTES_MAX);
                    return;
                }
                Ok(n) => drop(queue.fresh.drain(..n)),
                // The reader finds out too, and tells.
                Err(_) => queue.fresh.clear(),
            }
        }
        queue.shelve_fresh();
        let (waiting, max) = (queue.waiting, LINK_BYTES_MAX + queue.allowance);
        drop(queue);
        if waiting > max {
            tracing::warn!(
                "closing the connection of {}: {waiting} bytes wait for it, {max} may; it does not read",
                self.peer()
            );
            self.shut_down();
        }
        self.wake.notify_one();
    }

    /// Sends what goes at once, and closes. Nobody hears of this link any more.
    pub fn close(&self, why: &LinkEnd) {
        self.closed.store(true, Relaxed);
        self.flush();
        self.shut_down();
        match why {
            LinkEnd::RoleOver => tracing::info!("closed the connection with {}: its role is over", self.peer()),
            LinkEnd::Replaced => {
                tracing::info!("closed the connection with {}: a newer one took its place", self.peer())
            }
            LinkEnd::Silent => tracing::warn!("closed the connection with {}: nothing was heard in time", self.peer()),
            LinkEnd::CannotTruncate => tracing::warn!(
                "closed the connection with {}: the history here cannot be cut to where the leader wants it. Nothing was changed, and \
                 a snapshot is asked for",
                self.peer()
            ),
            LinkEnd::Misbehaved(how) => tracing::warn!("closed the connection with {}: {how}", self.peer()),
        }
    }

    /// Ends both directions; the threads find out.
    pub fn shut_down(&self) {
        // It may be closed already, from the other side or from this one.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    // ---- the writer thread

    fn write_all(&self, shared: &PeerShared) {
        while let Some(item) = self.next_item() {
            let (bytes, written) = match item {
                Item::Bytes(bytes) => (bytes.len(), (&self.socket).write_all(&bytes)),
                Item::Image { image, generation } => {
                    let written = self.write_image(shared, image, generation);
                    shared.core.put_one(CoreEvent::Input(ReplicaInput::ImageSent { image }));
                    (0, written)
                }
            };
            let mut queue = lock(&self.queue);
            queue.waiting -= bytes;
            queue.writing = false;
            if let Err(error) = written {
                if error.kind() == ErrorKind::WouldBlock {
                    let pause = shared.options.snapshot_pause_max.as_millis();
                    tracing::warn!("closing the connection of {}: for {pause} ms it has taken nothing", self.peer());
                }
                queue.ended = true;
                // Then the reader ends too, and tells.
                self.shut_down();
            }
        }
        for item in std::mem::take(&mut lock(&self.queue).items) {
            if let Item::Image { image, .. } = item {
                shared.core.put_one(CoreEvent::Input(ReplicaInput::ImageSent { image }));
            }
        }
    }

    fn next_item(&self) -> Option<Item> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.ended {
                return None;
            }
            if let Some(item) = queue.items.pop_front() {
                queue.writing = true;
                return Some(item);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The raw stream of a snapshot: sessions, ACLs, nodes, end mark; then the signature.
    fn write_image(&self, shared: &PeerShared, image: ImageId, generation: u64) -> io::Result<()> {
        let server = &shared.server;
        let gone = || io::Error::other("the history that the snapshot is of was replaced");
        // A learner that takes nothing for so long is gone. Only this thread waits for the socket.
        let pause = shared.options.snapshot_pause_max;
        self.socket.set_write_timeout(Some(pause).filter(|pause| !pause.is_zero()))?;
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
            (&self.socket).write_all(&piece)?;
            sent += piece.len();
        }
        let mut signature = (SNAP_SIGNATURE.len() as u32).to_be_bytes().to_vec();
        signature.extend_from_slice(SNAP_SIGNATURE.as_bytes());
        (&self.socket).write_all(&signature)?;
        tracing::info!("sent a snapshot of {sent} bytes to {}", self.peer());
        Ok(())
    }

    /// The end, told by the reader.
    fn finish(&self, shared: &PeerShared, why: &str) {
        lock(&shared.links).remove(&self.id);
        shared.forget_leader(self.id);
        lock(&self.queue).ended = true;
        self.wake.notify_one();
        self.shut_down();
        if !self.closed.load(Relaxed) {
            tracing::info!("the connection with {} has ended: {why}", self.peer());
            shared.core.put_one(to_core(Input::LinkClosed { link: self.id }));
        }
    }
}

impl Queue {
    fn shelve_fresh(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        self.waiting += self.fresh.len();
        match self.items.back_mut() {
            Some(Item::Bytes(last)) if last.len() + self.fresh.len() <= JOINED_BYTES_MAX => {
                last.append(&mut self.fresh)
            }
            _ => self.items.push_back(Item::Bytes(std::mem::take(&mut self.fresh))),
        }
    }
}

/// Writes as much as the socket takes without waiting.
fn send_now(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match rustix::net::send(socket, &bytes[sent..], SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(n) => sent += n,
            Err(error) => match io::Error::from(error) {
                error if error.kind() == ErrorKind::WouldBlock => break,
                error if error.kind() == ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(sent)
}
