//! The dial to the leader's quorum port: some tries, a pause between them, a limit for all (QP031), given up at once when this
//! server plays another part.

use super::address::{Place, is_loop, list};
use super::link::Side;
use super::link_threads;
use super::shared::PeerShared;
use crate::core_queue::to_core;
use crate::lock::lock;
use oxkeeper_types::ServerId;
use oxkeeper_zab::Input;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Reference `Learner.connectToLeader`.
const TRIES_MAX: u32 = 5;

/// Begins the dial, in threads of its own.
pub fn begin(shared: &Arc<PeerShared>, leader: ServerId, pause: Duration) {
    let number = {
        let mut dial = lock(&shared.dial);
        *dial += 1;
        *dial
    };
    let dial = Dial { shared: shared.clone(), leader, number };
    let unreachable = shared.clone();
    let spawned = std::thread::Builder::new().name(format!("dial-{}", leader.0)).spawn(move || dial.run(pause));
    if let Err(error) = spawned {
        tracing::error!("no thread to dial the leader: {error}");
        unreachable.core.put_one(to_core(Input::LeaderUnreachable { leader }));
    }
}

/// What was begun is not wanted any more.
pub fn give_up(shared: &PeerShared) {
    *lock(&shared.dial) += 1;
}

#[derive(Clone)]
struct Dial {
    shared: Arc<PeerShared>,
    leader: ServerId,
    number: u64,
}

impl Dial {
    fn is_wanted(&self) -> bool {
        *lock(&self.shared.dial) == self.number
    }

    fn run(self, pause: Duration) {
        std::thread::sleep(pause);
        let places = self.shared.options.quorum_places(self.leader);
        let (found, connected) = channel();
        // Of several addresses the first to answer counts, whatever becomes of the others: one may swallow what is sent there.
        for place in &places {
            let (dial, place, found) = (self.clone(), place.clone(), found.clone());
            let work = move || dial.try_place(&place, &found);
            if let Err(error) = std::thread::Builder::new().name(format!("dial-{}", self.leader.0)).spawn(work) {
                tracing::warn!("no thread to dial the leader at one of its addresses: {error}");
            }
        }
        drop(found);
        match connected.recv() {
            Ok((socket, address)) => self.connected(socket, address),
            Err(_) if self.is_wanted() => {
                tracing::warn!("server {} does not take us as a learner at {}", self.leader.0, list(&places));
                self.shared.core.put_one(to_core(Input::LeaderUnreachable { leader: self.leader }));
            }
            Err(_) => {}
        }
    }

    /// All tries at one address. Nothing is sent where they fail.
    fn try_place(&self, place: &Place, found: &Sender<(TcpStream, SocketAddr)>) {
        let options = &self.shared.options;
        let end = Instant::now() + options.leader_connect_limit;
        for tries in 0..TRIES_MAX {
            if !self.is_wanted() {
                return;
            }
            match connect(place, end) {
                Ok(connected) => {
                    // Another address may have been faster; then nobody listens, and this socket is closed.
                    let _ = found.send(connected);
                    return;
                }
                Err(error) => {
                    let left = end.saturating_duration_since(Instant::now());
                    tracing::info!("no connection to the leader at {place}, try {} of {TRIES_MAX}: {error}", tries + 1);
                    if tries + 1 == TRIES_MAX || left <= options.leader_retry_delay {
                        return;
                    }
                }
            }
            std::thread::sleep(options.leader_retry_delay);
        }
    }

    /// The link is registered before anybody can give up the dial.
    fn connected(&self, socket: TcpStream, address: SocketAddr) {
        let shared = &self.shared;
        let wanted = lock(&shared.dial);
        if *wanted != self.number {
            return;
        }
        let link = shared.next_link();
        let side = Side::Learner(self.leader);
        let started = socket.set_nodelay(shared.options.learner_no_delay).and_then(|()| {
            link_threads::start(shared, link, socket, address, side, || {
                shared.core.put_one(to_core(Input::LeaderConnected { link }));
            })
        });
        drop(wanted);
        if let Err(error) = started {
            tracing::warn!("the connection with the leader at {address} ended before it began: {error}");
            shared.core.put_one(to_core(Input::LeaderUnreachable { leader: self.leader }));
        }
    }
}

/// Looks the name up, and connects to the first of its addresses that answers.
fn connect(place: &Place, end: Instant) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
    for address in place.look_up()? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) if is_loop(socket.local_addr(), address) => last = io::ErrorKind::ConnectionRefused.into(),
            Ok(socket) => return Ok((socket, address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}
