//! What the threads of one server share, and the queue through which everybody talks to the core.

use crate::admin::Command;
use crate::client::admission::Admission;
use crate::client::link::Link;
use crate::client::throttle::Gate;
use crate::clock::Clock;
use crate::handover::Handover;
use crate::metrics::{CoreMetrics, IoMetrics};
use crate::options::EdgeOptions;
use hashbrown::HashMap;
use oxkeeper_replica::report::Report;
use oxkeeper_replica::state::WatchAccess;
use oxkeeper_replica::{Input, Options, State, WatchTable};
use oxkeeper_types::{ConnId, Millis};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Everything that can wake the core.
pub enum CoreEvent {
    /// A handshake: from here on the core knows the connection.
    Opened(Arc<Link>, oxkeeper_proto::client::ConnectRequest),
    Input(Input),
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
}

#[derive(Default)]
struct CoreWaiting {
    events: Vec<CoreEvent>,
    /// The core waits for something to come. Where it does not, waking it would be a system call for nothing.
    sleeping: bool,
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
    /// Takes everything there is into `into`, which is empty; waits at most `patience` for something to come.
    pub fn take(&self, into: &mut Vec<CoreEvent>, patience: Duration) {
        let mut waiting = lock(&self.waiting);
        if waiting.events.is_empty() && !patience.is_zero() {
            waiting.sleeping = true;
            waiting = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeping = false;
        }
        std::mem::swap(&mut waiting.events, into);
    }
}

/// What reaches an I/O thread from outside of its sockets.
#[derive(Default)]
pub struct Inbox {
    /// Accepted by another thread, to be served by this one.
    pub accepted: Vec<(TcpStream, SocketAddr)>,
    /// Their outboxes were empty and are not any more.
    pub dirty: Vec<ConnId>,
}

/// One I/O thread, as the others see it.
pub struct IoHandle {
    pub inbox: Mutex<Inbox>,
    pub waker: mio::Waker,
    pub metrics: IoMetrics,
}

impl IoHandle {
    /// Tells the thread which of its connections have something in their outboxes.
    pub fn tell(&self, dirty: &mut Vec<ConnId>) {
        if dirty.is_empty() {
            return;
        }
        self.put(|inbox| inbox.dirty.append(dirty));
    }
    pub fn give(&self, socket: TcpStream, peer: SocketAddr) {
        self.put(|inbox| inbox.accepted.push((socket, peer)));
    }
    /// Who finds something in the inbox leaves the waking to whoever put that in.
    fn put(&self, fill: impl FnOnce(&mut Inbox)) {
        let mut inbox = lock(&self.inbox);
        let first = inbox.dirty.is_empty() && inbox.accepted.is_empty();
        fill(&mut inbox);
        drop(inbox);
        if first {
            self.wake();
        }
    }
    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The thread polls with a timeout too, so it comes round without it.
            tracing::warn!("cannot wake an I/O thread: {error}");
        }
    }
}

/// One server.
pub struct Shared {
    pub handover: Handover<State>,
    pub watches: Mutex<WatchTable>,
    pub options: Options,
    pub edge: EdgeOptions,
    pub clock: Clock,
    pub core: CoreQueue,
    pub io: Vec<IoHandle>,
    pub core_metrics: CoreMetrics,
    pub admission: Mutex<Admission>,
    pub throttle: Mutex<Gate>,
    /// To the thread that answers four-letter words.
    pub admin: Sender<Command>,
    /// Every open connection, for `cons`.
    pub links: Mutex<HashMap<ConnId, Arc<Link>, foldhash::fast::FixedState>>,
    /// Requests that the core has and has not answered, over all connections.
    pub outstanding: AtomicUsize,
    /// Bytes of large requests under way.
    pub large_bytes: AtomicUsize,
    /// No new connections and no new requests: the server is on its way down.
    pub stopping: AtomicBool,
    /// Monotonic: when it began to serve.
    pub started: Millis,
}

impl Shared {
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}

/// Reads reach the watch table through its mutex.
pub struct LockedWatches<'a>(pub &'a Mutex<WatchTable>);

impl WatchAccess for LockedWatches<'_> {
    fn with<R>(&self, f: impl FnOnce(&mut WatchTable) -> R) -> R {
        f(&mut lock(self.0))
    }
}

/// A panic ends the process, so a poisoned lock is never seen in production; tests may see one.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
