//! One connection of the quorum port, on either side.
//!
//! The core sends: it writes what a batch of its has for the link straight into the socket, and only what the socket does not
//! take, or what has to wait behind a snapshot, goes to the writer thread ([`super::link_threads`]). A peer that does not read is
//! closed when more waits for it than [`LINK_BYTES_MAX`].

use crate::lock::lock;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_tree::ImageId;
use oxkeeper_types::ServerId;
use oxkeeper_types::limits::LINK_BYTES_MAX;
use oxkeeper_zab::{LinkEnd, LinkId};
use rustix::net::SendFlags;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};

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
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Who the peer says it is; -1 until then.
    server: AtomicI64,
    /// A learner that has not introduced itself.
    nameless: AtomicBool,
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
    /// And by so much: what the peer has taken of an image, behind which live traffic waits, since nothing waited last. A peer that
    /// takes an image faster than the traffic grows is no slow reader, however large the image is.
    image_taken: usize,
    /// The writer has something in hand.
    writing: bool,
    ended: bool,
}

/// What the writer thread sends.
pub(super) enum Item {
    Bytes(Vec<u8>),
    Image { image: ImageId, generation: u64 },
}

impl PeerLink {
    pub(super) fn new(id: LinkId, socket: TcpStream, address: SocketAddr, side: Side) -> PeerLink {
        PeerLink {
            id,
            address,
            side,
            socket,
            queue: Mutex::default(),
            wake: Condvar::new(),
            server: AtomicI64::new(match side {
                Side::Leader => -1,
                Side::Learner(leader) => leader.0,
            }),
            nameless: AtomicBool::new(side == Side::Leader),
            closed: AtomicBool::new(false),
        }
    }

    /// For messages: the id that the peer has told, and its address.
    pub(super) fn peer(&self) -> String {
        match self.server.load(Relaxed) {
            -1 => self.address.to_string(),
            id => format!("server {id} at {}", self.address),
        }
    }

    /// Nobody has ended it, on this side.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Relaxed) && !lock(&self.queue).ended
    }
    pub fn is_nameless(&self) -> bool {
        self.nameless.load(Relaxed)
    }
    /// The learner has said who it is; -1: it has not said which server.
    pub(super) fn introduced(&self, server: i64) {
        self.server.store(server, Relaxed);
        self.nameless.store(false, Relaxed);
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

    /// Adds a snapshot stream behind the packets before it. `generation`: of the history that the image is of.
    pub fn put_image(&self, image: ImageId, generation: u64) {
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
                // What is lost leaves a hole in the stream, so it ends here. The reader would not find out by itself where the
                // system is short of something, or only this direction is closed.
                Err(error) => {
                    queue.fresh.clear();
                    drop(queue);
                    tracing::warn!("closing the connection of {}: it cannot be written: {error}", self.peer());
                    return self.shut_down();
                }
            }
        }
        queue.shelve_fresh();
        let (waiting, max) = (queue.waiting, LINK_BYTES_MAX + queue.allowance + queue.image_taken);
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
            LinkEnd::DiskSilent => {
                tracing::info!("closed the connection with {}: our own disk does not answer", self.peer())
            }
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

    // ---- for its threads

    /// What the writer sends next; `None` at the end.
    pub(super) fn next_item(&self) -> Option<Item> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.ended {
                return None;
            }
            if let Some(item) = queue.items.pop_front() {
                queue.writing = true;
                return Some(item);
            }
            queue.image_taken = 0;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
    /// The peer has taken so many bytes more of an image.
    pub(super) fn image_taken(&self, bytes: usize) {
        lock(&self.queue).image_taken += bytes;
    }

    /// So many bytes of an item were sent, or they were not and the link has to end.
    pub(super) fn written(&self, bytes: usize, well: bool) {
        let mut queue = lock(&self.queue);
        queue.waiting -= bytes;
        queue.writing = false;
        if !well {
            queue.ended = true;
            // Then the reader ends too, and tells.
            self.shut_down();
        }
    }

    /// What will never be sent.
    pub(super) fn unsent(&self) -> VecDeque<Item> {
        std::mem::take(&mut lock(&self.queue).items)
    }

    /// The reader has come to the end. Answers whether somebody waits for that news.
    pub(super) fn end(&self) -> bool {
        lock(&self.queue).ended = true;
        self.wake.notify_one();
        self.shut_down();
        !self.closed.load(Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_tree::{Tree, TreeOptions};
    use oxkeeper_types::Zxid;
    use std::io::Read;
    use std::net::TcpListener;
    use std::time::Duration;

    /// A link without its threads, and its peer.
    fn link() -> (PeerLink, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, address) = listener.accept().unwrap();
        for side in [&socket, &peer] {
            side.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        }
        (PeerLink::new(LinkId(1), socket, address, Side::Learner(ServerId(1))), peer)
    }
    fn send(link: &PeerLink) {
        link.put(&Packet::Ack { zxid: Zxid(1) });
        link.flush();
    }

    #[test]
    fn a_send_that_fails_ends_the_link_though_nothing_comes_from_the_peer() {
        let (link, _peer) = link();
        link.socket.shutdown(Shutdown::Write).unwrap();
        send(&link);
        // As its reader would find out. Without an end it waits, and a request that was lost with the send is never answered.
        assert_eq!((&link.socket).read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn what_waits_behind_an_image_may_be_as_long_as_the_image_so_far() {
        let (link, mut peer) = link();
        link.put_image(Tree::new(TreeOptions::default()).freeze(), 0);
        link.image_taken(LINK_BYTES_MAX);
        lock(&link.queue).waiting = 2 * LINK_BYTES_MAX - 100;
        send(&link);
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock, "it is open");
        peer.set_nonblocking(false).unwrap();
        lock(&link.queue).waiting = 2 * LINK_BYTES_MAX;
        send(&link);
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "it reads slower than the traffic grows");
    }
}
