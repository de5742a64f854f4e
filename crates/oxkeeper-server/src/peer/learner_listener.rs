//! Connections to the quorum port. A leader serves them; who follows closes them at once.
//!
//! The port is open from the start. While it is not known who leads, a learner that was faster with its count of the votes
//! waits for us, for a while: to be refused would cost it its next try, 100 ms later.

use super::link::Side;
use super::link_threads;
use super::shared::{PeerShared, Stage};
use crate::core_queue::to_core;
use crate::lock::lock;
use oxkeeper_types::limits::{EARLY_LEARNERS_MAX, LEARNER_HANDSHAKES_MAX};
use oxkeeper_zab::Input;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a learner may wait for this server to find out whether it leads.
const EARLY_WAIT: Duration = Duration::from_secs(1);

/// A learner that waits.
struct Early {
    socket: TcpStream,
    address: SocketAddr,
    until: Instant,
}

pub struct Learners {
    shared: Arc<PeerShared>,
    stage: Stage,
    early: Vec<Early>,
}

impl Learners {
    pub fn new(shared: Arc<PeerShared>) -> Learners {
        Learners { shared, stage: Stage::default(), early: Vec::new() }
    }

    /// The part that this server plays has changed.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        if stage == Stage::Looking {
            return;
        }
        for early in std::mem::take(&mut self.early) {
            self.accepted(early.socket, early.address);
        }
    }

    /// A connection to our quorum port.
    pub fn accepted(&mut self, socket: TcpStream, address: SocketAddr) {
        match self.stage {
            Stage::Leading => self.serve(socket, address),
            Stage::Learning => tracing::info!("closed the connection of learner {address}: this server does not lead"),
            Stage::Looking if self.early.len() >= EARLY_LEARNERS_MAX => {
                tracing::info!("closed the connection of learner {address}: too many wait for the end of the election");
            }
            Stage::Looking => self.early.push(Early { socket, address, until: Instant::now() + EARLY_WAIT }),
        }
    }

    fn serve(&self, socket: TcpStream, address: SocketAddr) {
        let options = &self.shared.options;
        self.make_room();
        let tuned = socket.set_nonblocking(false).and_then(|()| socket.set_nodelay(options.leader_no_delay));
        let link = self.shared.next_link();
        let started = tuned.and_then(|()| {
            link_threads::start(&self.shared, link, socket, address, Side::Leader, || {
                self.shared.core.put_one(to_core(Input::LearnerConnected { link }));
            })
        });
        if let Err(error) = started {
            tracing::warn!("the connection of learner {address} ended before it began: {error}");
        }
    }

    /// Each connection takes two threads, so those that say nothing are few.
    fn make_room(&self) {
        let links = lock(&self.shared.links);
        let nameless = || links.values().filter(|link| link.is_nameless());
        if nameless().count() >= LEARNER_HANDSHAKES_MAX
            && let Some(oldest) = nameless().min_by_key(|link| link.id)
        {
            oldest.make_room();
        }
    }

    /// Whoever has waited long enough looks for a leader again.
    pub fn on_time(&mut self, now: Instant) {
        self.early.retain(|early| {
            if early.until <= now {
                tracing::info!("closed the connection of learner {}: no leader is elected yet", early.address);
            }
            early.until > now
        });
    }
    pub fn next_time(&self) -> Option<Instant> {
        self.early.iter().map(|early| early.until).min()
    }
}
