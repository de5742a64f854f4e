//! What the threads of the ports between servers share.

use super::address::Resolved;
use super::link::PeerLink;
use super::options::PeerOptions;
use crate::core_queue::CoreQueue;
use crate::history::ServerSide;
use crate::lock::lock;
use crate::metrics::Metrics;
use hashbrown::HashMap;
use oxkeeper_types::ServerId;
use oxkeeper_zab::{LinkId, RoleChange};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// What the threads that deal with other servers share.
pub struct PeerShared {
    pub options: PeerOptions,
    pub core: Arc<CoreQueue>,
    pub server: ServerSide,
    pub metrics: Arc<Metrics>,
    /// Open connections of the quorum port.
    pub links: Mutex<HashMap<LinkId, Arc<PeerLink>, foldhash::fast::FixedState>>,
    links_made: AtomicU64,
    /// For the thread that owns the election connections: frames to send, the newest for each member.
    pub inbox: Mutex<PollInbox>,
    pub waker: mio::Waker,
    /// The dial to a leader that counts; all others are given up.
    pub dial: Mutex<u64>,
}

/// What reaches the thread of the election port from outside of its sockets.
#[derive(Default)]
pub struct PollInbox {
    pub frames: BTreeMap<ServerId, Vec<u8>>,
    /// Names that were looked up for a dial.
    pub resolved: Vec<Resolved>,
    /// The part that this server plays has changed.
    pub stage: Option<Stage>,
    pub stopping: bool,
}

impl PeerShared {
    pub fn new(
        options: PeerOptions,
        core: Arc<CoreQueue>,
        metrics: Arc<Metrics>,
        server: ServerSide,
        waker: mio::Waker,
    ) -> PeerShared {
        PeerShared {
            options,
            core,
            server,
            metrics,
            links: Mutex::default(),
            links_made: AtomicU64::new(0),
            inbox: Mutex::default(),
            waker,
            dial: Mutex::new(0),
        }
    }

    pub fn next_link(&self) -> LinkId {
        LinkId(self.links_made.fetch_add(1, Relaxed) + 1)
    }

    /// Changes the inbox of the thread of the election port, and wakes it.
    pub fn tell(&self, change: impl FnOnce(&mut PollInbox)) {
        change(&mut lock(&self.inbox));
        if let Err(error) = self.waker.wake() {
            // It polls with a timeout too, so it comes round without it.
            tracing::warn!("cannot wake the thread of the election port: {error}");
        }
    }

    /// Ends the threads of the ports and of all links.
    pub fn stop(&self) {
        *lock(&self.dial) += 1;
        self.tell(|inbox| inbox.stopping = true);
        let links: Vec<_> = lock(&self.links).values().cloned().collect();
        links.iter().for_each(|link| link.shut_down());
    }
}

/// What is done with a learner that connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stage {
    /// It is not known who leads.
    #[default]
    Looking,
    /// We do.
    Leading,
    /// Somebody else does.
    Learning,
}

impl Stage {
    pub fn of(role: RoleChange) -> Stage {
        match role {
            RoleChange::Looking => Stage::Looking,
            RoleChange::Preparing { .. } | RoleChange::Leading { .. } => Stage::Leading,
            RoleChange::Following { .. } | RoleChange::Observing { .. } => Stage::Learning,
        }
    }
}
