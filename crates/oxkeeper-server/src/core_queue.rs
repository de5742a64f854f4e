//! The queue through which everybody talks to the core.

use crate::client::link::Link;
use crate::lock::lock;
use crate::peer::snapshot_receiver::ReceivedSnapshot;
use crate::rounds::Rounds;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::Input;
use oxkeeper_replica::report::Report;
use oxkeeper_types::ConnId;
use oxkeeper_types::limits::CORE_EVENTS_MAX;
use oxkeeper_zab::LinkId;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// Everything that can wake the core.
pub enum CoreEvent {
    /// A handshake: from here on the core knows the connection.
    Opened(Arc<Link>, oxkeeper_proto::client::ConnectRequest),
    Input(Input),
    /// The stream of a leader's snapshot was read to its end.
    SnapshotReceived {
        link: LinkId,
        snapshot: Box<ReceivedSnapshot>,
    },
    /// Somebody wants to know how the core is doing.
    Report(Sender<Report>),
    /// `stop` or a signal: finish what is queued, then end.
    Stop,
}

impl CoreEvent {
    /// Whether a leader says with it that something is committed.
    fn commits(&self) -> bool {
        let CoreEvent::Input(Input::Peer(oxkeeper_zab::Input::Packet { packet, .. })) = self else { return false };
        use Packet::{Commit, CommitAndActivate, Inform, InformAndActivate};
        matches!(packet, Commit { .. } | CommitAndActivate { .. } | Inform { .. } | InformAndActivate { .. })
    }
}

/// Where another server's packets come in, for those who cannot wait until the thread that reads them is awake.
pub trait Inlet: Send + Sync {
    /// What has arrived is in the queue when this returns.
    fn take_arrived(&self);
}

/// The way to the core. What is put in together is taken out together.
#[derive(Default)]
pub struct CoreQueue {
    /// For reads, which see what had arrived here. Who reads is a connection, with its I/O thread.
    pub rounds: Rounds<(usize, ConnId)>,
    /// Of the connection with the leader, while there is one.
    inlet: RwLock<Option<(LinkId, Arc<dyn Inlet>)>>,
    waiting: Mutex<CoreWaiting>,
    wake: Condvar,
    /// For those who wait in [`CoreQueue::put_when_room`].
    room: Condvar,
}

#[derive(Default)]
struct CoreWaiting {
    events: Vec<CoreEvent>,
    /// The core waits for something to come. Where it does not, waking it would be a system call for nothing.
    sleeping: bool,
    /// How many wait for room.
    crowded: usize,
}

impl CoreQueue {
    /// Moves all of `events` in.
    pub fn put(&self, events: &mut Vec<CoreEvent>) {
        if !events.is_empty() {
            self.put_into(lock(&self.waiting), events);
        }
    }
    pub fn put_one(&self, event: CoreEvent) {
        self.put(&mut vec![event]);
    }
    /// For what another server has sent: as [`CoreQueue::put`], but first waits until fewer than [`CORE_EVENTS_MAX`] wait. What
    /// a peer sends faster than the core takes it stays in the peer's connection.
    pub fn put_when_room(&self, events: &mut Vec<CoreEvent>) {
        if events.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        while waiting.events.len() >= CORE_EVENTS_MAX {
            waiting.crowded += 1;
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.crowded -= 1;
        }
        if events.iter().any(CoreEvent::commits) {
            self.rounds.commit_arrived();
        }
        self.put_into(waiting, events);
    }
    fn put_into(&self, mut waiting: MutexGuard<CoreWaiting>, events: &mut Vec<CoreEvent>) {
        waiting.events.append(events);
        let sleeping = std::mem::take(&mut waiting.sleeping);
        drop(waiting);
        if sleeping {
            self.wake.notify_one();
        }
    }
    /// From here on the leader's packets come in there.
    pub fn open_inlet(&self, link: LinkId, inlet: Arc<dyn Inlet>) {
        *self.inlet.write().unwrap_or_else(PoisonError::into_inner) = Some((link, inlet));
    }
    /// The link is gone.
    pub fn close_inlet(&self, link: LinkId) {
        self.inlet.write().unwrap_or_else(PoisonError::into_inner).take_if(|(open, _)| *open == link);
    }
    /// What has arrived from the leader is in here when this returns.
    pub fn take_arrived(&self) {
        if let Some((_, inlet)) = &*self.inlet.read().unwrap_or_else(PoisonError::into_inner) {
            inlet.take_arrived();
        }
    }

    /// Takes everything there is into `into`, which is empty; waits at most `patience` for something to come.
    pub fn take(&self, into: &mut Vec<CoreEvent>, patience: Duration) {
        let mut waiting = lock(&self.waiting);
        if waiting.events.is_empty() && !patience.is_zero() {
            waiting.sleeping = true;
            waiting = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeping = false;
        }
        self.rounds.begin();
        std::mem::swap(&mut waiting.events, into);
        if waiting.crowded > 0 {
            self.room.notify_all();
        }
    }
}

/// An event of consensus.
pub(crate) fn to_core(input: oxkeeper_zab::Input) -> CoreEvent {
    CoreEvent::Input(Input::Peer(input))
}
