//! What the threads of one server share, and the queue through which everybody talks to the core.

use crate::admin::Command;
use crate::client::admission::Admission;
use crate::client::link::Link;
use crate::client::throttle::Gate;
use crate::clock::Clock;
use crate::handover::Handover;
use crate::metrics::{CoreMetrics, IoMetrics};
use crate::options::EdgeOptions;
use crate::peer::PeerShared;
use crate::peer::snapshot_receiver::ReceivedSnapshot;
use crate::rounds::Rounds;
use hashbrown::HashMap;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::report::Report;
use oxkeeper_replica::state::WatchAccess;
use oxkeeper_replica::{Input, Options, State, WatchTable};
use oxkeeper_types::limits::CORE_EVENTS_MAX;
use oxkeeper_types::{ConnId, Millis};
use oxkeeper_zab::LinkId;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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

/// The way to the core. What is put in together is taken out together.
#[derive(Default)]
pub struct CoreQueue {
    /// For reads, which see what had arrived here. A reader is a connection, by its I/O thread.
    pub rounds: Rounds<(usize, ConnId)>,
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
    pub handover: Arc<Handover<State>>,
    pub watches: Mutex<WatchTable>,
    pub options: Options,
    pub edge: EdgeOptions,
    pub clock: Clock,
    pub core: Arc<CoreQueue>,
    /// How clients are served now.
    pub mode: SharedMode,
    pub history: Arc<History>,
    /// Of an ensemble.
    pub peers: Option<Arc<PeerShared>>,
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
    /// Whether clients are served: not on the way down, and not without a leader.
    pub fn is_serving(&self) -> bool {
        !self.is_stopping() && self.mode.get() != Mode::Looking
    }
}

/// The one [`Mode`] of a server, for all threads.
#[derive(Debug)]
pub struct SharedMode(AtomicU8);

impl SharedMode {
    pub fn new(mode: Mode) -> SharedMode {
        SharedMode(AtomicU8::new(mode as u8))
    }
    pub fn set(&self, mode: Mode) {
        self.0.store(mode as u8, Relaxed);
    }
    pub fn get(&self) -> Mode {
        let modes = [Mode::Standalone, Mode::Leader, Mode::Follower, Mode::Observer, Mode::ReadOnly, Mode::Looking];
        let stored = self.0.load(Relaxed);
        modes.into_iter().find(|mode| *mode as u8 == stored).unwrap_or_else(|| panic!("mode {stored} was never set"))
    }
}

/// What the files say happened, as far as other threads than the disk's may rely on it.
#[derive(Debug, Default)]
pub struct History {
    /// Everything in the log up to this zxid is durable.
    pub synced: AtomicI64,
    /// How often the history was replaced: cut, or put in place by a leader's snapshot. Images of the tree from before are of no
    /// use then, and may be gone.
    replaced: AtomicU64,
    /// Held while a snapshot is written.
    writing: Mutex<()>,
}

impl History {
    /// To be compared with a later one, while the shared side is held.
    pub fn generation(&self) -> u64 {
        self.replaced.load(SeqCst)
    }
    /// The history is about to be replaced: when this returns no snapshot of the old one is being written any more, nor will one be.
    pub fn end_generation(&self) {
        self.replaced.fetch_add(1, SeqCst);
        drop(lock(&self.writing));
    }
    /// To be held while a snapshot is written; whoever has it looks at the generation again.
    pub fn begin_snapshot(&self) -> MutexGuard<'_, ()> {
        lock(&self.writing)
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
