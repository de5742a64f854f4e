//! The other servers of an ensemble: the election port, the quorum port, and the names and addresses behind them.
//!
//! | what | module |
//! |---|---|
//! | one thread for both ports' listeners and all election connections | [`poll_thread`] |
//! | who dials whom on the election port, one message per member | [`election_mesh`] |
//! | connections of the quorum port: a reader thread and a writer thread each | [`link`], [`intake`] |
//! | learners that connect, while it is not known who leads | [`learner_listener`] |
//! | the dial to the leader | [`learner_dial`] |
//! | a leader's snapshot on its way to the disk | [`snapshot_receiver`] |
//! | the log, read for a learner | [`history_reader`] |
//! | the list of members, kept beside the configuration file | [`members_file`] |
//!
//! [`Peers`] is the core's hand: it carries out what the replica asks for. Decides nothing about votes, epochs or history.

pub mod address;
pub mod election_link;
pub mod election_mesh;
pub mod history_reader;
pub mod intake;
pub mod learner_dial;
pub mod learner_listener;
pub mod link;
pub mod members_file;
pub mod options;
pub mod outputs;
pub mod poll_thread;
pub mod snapshot_receiver;

pub use options::PeerOptions;
pub use outputs::Peers;

use crate::handover::Handover;
use crate::metrics::PeerMetrics;
use crate::options::FileOptions;
use crate::shared::{CoreEvent, CoreQueue, History, lock};
use hashbrown::HashMap;
use learner_listener::Stage;
use link::PeerLink;
use oxkeeper_replica::{Input, State};
use oxkeeper_storage::Disk;
use oxkeeper_types::ServerId;
use oxkeeper_zab::LinkId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// What the threads that deal with other servers share.
pub struct PeerShared {
    pub options: PeerOptions,
    pub core: Arc<CoreQueue>,
    pub server: ServerSide,
    pub metrics: PeerMetrics,
    /// Open connections of the quorum port.
    pub links: Mutex<HashMap<LinkId, Arc<PeerLink>, foldhash::fast::FixedState>>,
    links_made: AtomicU64,
    /// The last one of them that we dialled, while it is open.
    leader: RwLock<Option<Arc<PeerLink>>>,
    /// For the thread that owns the election connections: frames to send, the newest for each member.
    pub inbox: Mutex<PollInbox>,
    pub waker: mio::Waker,
    /// The dial to a leader that counts; all others are given up.
    pub dial: Mutex<u64>,
}

/// What snapshots and the log need to know of the rest of the server.
pub struct ServerSide {
    pub handover: Arc<Handover<State>>,
    pub history: Arc<History>,
    pub disk: Arc<dyn Disk>,
    pub files: FileOptions,
}

/// What reaches the thread of the election port from outside of its sockets.
#[derive(Default)]
pub struct PollInbox {
    pub frames: BTreeMap<ServerId, Vec<u8>>,
    /// Names that were looked up for a dial.
    pub resolved: Vec<address::Resolved>,
    /// The part that this server plays has changed.
    pub stage: Option<Stage>,
    pub stopping: bool,
}

impl PeerShared {
    pub fn new(options: PeerOptions, core: Arc<CoreQueue>, server: ServerSide, waker: mio::Waker) -> PeerShared {
        PeerShared {
            options,
            core,
            server,
            metrics: PeerMetrics::default(),
            links: Mutex::default(),
            links_made: AtomicU64::new(0),
            leader: RwLock::default(),
            inbox: Mutex::default(),
            waker,
            dial: Mutex::new(0),
        }
    }

    pub fn next_link(&self) -> LinkId {
        LinkId(self.links_made.fetch_add(1, Relaxed) + 1)
    }

    fn set_leader(&self, link: &Arc<PeerLink>) {
        *self.leader.write().unwrap_or_else(PoisonError::into_inner) = Some(link.clone());
    }
    fn forget_leader(&self, link: LinkId) {
        self.leader.write().unwrap_or_else(PoisonError::into_inner).take_if(|leader| leader.id == link);
    }

    /// What has arrived from the leader is in the core's queue when this returns.
    pub fn take_arrived(&self) {
        if let Some(link) = &*self.leader.read().unwrap_or_else(PoisonError::into_inner) {
            link.intake.take_arrived(self, link);
        }
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

/// An event of consensus for the core.
pub(crate) fn to_core(input: oxkeeper_zab::Input) -> CoreEvent {
    CoreEvent::Input(Input::Peer(input))
}
