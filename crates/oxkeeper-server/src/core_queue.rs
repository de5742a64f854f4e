//! The queue through which everybody talks to the core.

use crate::client::link::Link;
use crate::lock::lock;
use crate::peer::snapshot_receiver::ReceivedSnapshot;
use oxkeeper_replica::Input;
use oxkeeper_replica::report::Report;
use oxkeeper_types::limits::CORE_EVENTS_MAX;
use oxkeeper_zab::LinkId;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
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

/// The way to the core. What is put in together is taken out together.
#[derive(Default)]
pub struct CoreQueue {
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
        if events.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.events.append(events);
        let sleeping = std::mem::take(&mut waiting.sleeping);
        drop(waiting);
        if sleeping {
            self.wake.notify_one();
        }
    }
    pub fn put_one(&self, event: CoreEvent) {
        self.put(&mut vec![event]);
    }
    /// As [`CoreQueue::put`], but first waits until fewer than [`CORE_EVENTS_MAX`] wait: what a peer sends faster than the core
    /// takes it stays in the peer's connection.
    pub fn put_when_room(&self, events: &mut Vec<CoreEvent>) {
        let mut waiting = lock(&self.waiting);
        while waiting.events.len() >= CORE_EVENTS_MAX {
            waiting.crowded += 1;
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.crowded -= 1;
        }
        drop(waiting);
        self.put(events);
    }
    /// Takes everything there is into `into`, which is empty; waits at most `patience` for something to come.
    pub fn take(&self, into: &mut Vec<CoreEvent>, patience: Duration) {
        let mut waiting = lock(&self.waiting);
        if waiting.events.is_empty() && !patience.is_zero() {
            waiting.sleeping = true;
            waiting = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeping = false;
        }
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
