//! The core thread: owns the `Replica`, moves inputs in and outputs out. No decisions.

use crate::client::link::{Link, Notice};
use crate::client::port::ClientPort;
use crate::core_queue::{CoreEvent, CoreQueue};
use crate::disk_thread::DiskQueue;
use crate::lock::lock;
use crate::metrics::{Metrics, bump};
use crate::peer::outputs::Peers;
use crate::peer::snapshot_receiver::ReceivedSnapshot;
use crate::rate_log::RateLog;
use crate::serving::Serving;
use crate::snapshot_thread::SnapshotJobs;
use hashbrown::HashMap;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::report::DigestMismatch;
use oxkeeper_replica::{Control, Input, Outputs, Replica};
use oxkeeper_types::limits::OUTBOX_BYTES_MAX;
use oxkeeper_types::persist::Persist;
use oxkeeper_types::{ConnId, Millis, Zxid};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A write beyond the same quota with the same usage is told of this often (reference `ZooKeeperServer.RATE_LOGGER`).
const QUOTA_LOG_INTERVAL: Millis = Millis(100);
/// And of digests that differ, once the first was told in full (reference `DataTree.RATE_LOGGER`).
const DIGEST_LOG_INTERVAL: Millis = Millis(900_000);
/// However far the next deadline is, the core looks around this often.
const PATIENCE_MAX: Duration = Duration::from_secs(1);

/// What the core shares with others.
pub struct CoreShare {
    pub serving: Arc<Serving>,
    pub port: Arc<ClientPort>,
    pub queue: Arc<CoreQueue>,
    pub metrics: Arc<Metrics>,
    pub disk: Arc<DiskQueue>,
}

pub struct CoreLoop {
    share: CoreShare,
    replica: Replica,
    snapshots: SnapshotJobs,
    links: HashMap<ConnId, Arc<Link>, foldhash::fast::FixedState>,
    /// Of an ensemble.
    peers: Option<Peers>,
    /// A leader's snapshots that wait for their turn on the disk.
    received: VecDeque<Box<ReceivedSnapshot>>,
    out: Outputs,
    /// Connections with something new in their outboxes, by I/O thread.
    dirty: Vec<Vec<ConnId>>,
    quota_log: RateLog,
    digest_log: RateLog,
    /// The first transaction behind which the tree differed.
    first_mismatch: Option<Zxid>,
}

impl CoreLoop {
    pub fn new(share: CoreShare, replica: Replica, snapshots: SnapshotJobs, peers: Option<Peers>) -> CoreLoop {
        CoreLoop {
            replica,
            snapshots,
            links: HashMap::default(),
            peers,
            received: VecDeque::new(),
            out: Outputs::default(),
            dirty: share.port.io.iter().map(|_| Vec::new()).collect(),
            quota_log: RateLog::new(QUOTA_LOG_INTERVAL),
            digest_log: RateLog::new(DIGEST_LOG_INTERVAL),
            first_mismatch: None,
            share,
        }
    }

    /// Until a stop comes: then everything that was queued before it has been handed on.
    pub fn run(mut self) {
        let mut events = Vec::new();
        if self.peers.is_some() {
            let serving = self.share.serving.clone();
            self.replica.start(&serving.handover.shared(), serving.clock.now(), &mut self.out);
            self.hand_on();
        }
        loop {
            let patience = self.share.serving.clock.until(self.replica.next_deadline()).min(PATIENCE_MAX);
            self.share.queue.take(&mut events, patience);
            let mut stop = false;
            self.step_all(&mut events, &mut stop);
            while self.replica.has_committed() {
                self.apply();
            }
            self.share.queue.rounds.end(|(thread, conn)| self.dirty[thread].push(conn));
            self.tell();
            if stop {
                return;
            }
        }
    }

    /// The prepared writes of all events go to the disk as one batch.
    fn step_all(&mut self, events: &mut Vec<CoreEvent>, stop: &mut bool) {
        let serving = self.share.serving.clone();
        let state = serving.handover.shared();
        let now = serving.clock.now();
        for event in events.drain(..) {
            match event {
                CoreEvent::Opened(link, request) => {
                    let conn = link.conn;
                    self.links.insert(conn, link);
                    self.replica.step(&state, now, Input::Connect { conn, request }, &mut self.out);
                }
                CoreEvent::Input(input) => {
                    if let Input::Disconnected { conn } = &input {
                        self.links.remove(conn);
                    }
                    self.replica.step(&state, now, input, &mut self.out);
                }
                CoreEvent::SnapshotReceived { link, snapshot } => {
                    let before = self.out.persist.len();
                    let input = Input::Peer(oxkeeper_zab::Input::SnapshotReceived { link });
                    self.replica.step(&state, now, input, &mut self.out);
                    // Nobody wants the one of a link that is gone.
                    if self.out.persist[before..].iter().any(|p| matches!(p, Persist::InstallSnapshot { .. })) {
                        self.received.push_back(snapshot);
                    }
                }
                // Whoever asked may have given up.
                CoreEvent::Report(to) => drop(to.send(self.replica.report())),
                CoreEvent::Stop => *stop = true,
            }
        }
        // Behind what has come: where this thread wakes late, whoever was heard meanwhile is not taken for silent.
        if now.monotonic >= self.replica.next_deadline() {
            self.replica.step(&state, now, Input::Tick, &mut self.out);
        }
        drop(state);
        // COMMIT is about to leave: who hears of it there and reads here is to see it.
        if self.peers.is_some() && self.replica.has_committed() {
            self.share.queue.rounds.committed_here();
        }
        // The disk first: it takes longest.
        self.ask_disk();
        self.tell_of_quotas(now.monotonic);
        self.deliver();
        self.hand_on();
    }

    fn tell_of_quotas(&mut self, now: Millis) {
        for exceeded in self.out.quotas_exceeded.drain(..) {
            self.quota_log.log(exceeded.to_string(), now, |line| tracing::warn!("{line}"));
            if exceeded.is_hard {
                self.share.metrics.core.quota_refused(exceeded.namespace);
            }
        }
    }

    /// The first in full, then how often there were more (reference `DataTree.compareDigest`). The server goes on.
    fn tell_of_digests(&mut self, now: Millis) {
        for DigestMismatch { zxid, op, expected, actual } in self.out.digest_mismatches.drain(..) {
            let first = *self.first_mismatch.get_or_insert_with(|| {
                tracing::error!(
                    "First digest mismatch on txn: {} at zxid {zxid}, expected digest is {expected:#x}, actual digest is {actual:#x}: \
                     from here on the nodes of this server differ from those of the one that wrote the transaction; compare them, and \
                     let the one that is wrong join empty",
                    op.name()
                );
                zxid
            });
            let text = format!("Digests are not matching. The first was of Zxid {first}.");
            self.digest_log.log(text, now, |line| tracing::error!("{line}"));
        }
    }

    /// Replies and events are in their outboxes before the exclusive side is given back.
    fn apply(&mut self) {
        let serving = self.share.serving.clone();
        let mut state = serving.handover.exclusive();
        let mut watches = lock(&serving.watches);
        let now = serving.clock.now();
        self.replica.apply_committed(&mut state, &mut watches, now, &mut self.out);
        drop(watches);
        self.deliver();
        drop(state);
        self.tell_of_digests(now.monotonic);
        self.hand_on();
    }

    /// For the disk and for the other servers.
    fn hand_on(&mut self) {
        self.ask_disk();
        if let Some(peers) = &mut self.peers {
            peers.carry_out(&mut self.out.peers, &self.out.last);
            if let Some(members) = self.out.members.take() {
                peers.keep(*members);
            }
        }
        self.out.clear();
    }

    /// Whatever has not been handed to the disk yet.
    fn ask_disk(&mut self) {
        self.count_proposals();
        self.share.disk.put(&mut self.out.persist, &mut self.received);
    }

    fn count_proposals(&self) {
        if self.share.serving.mode.get() == Mode::Leader {
            for request in &self.out.persist {
                if let Persist::Append { txn, .. } = request {
                    self.share.metrics.core.proposals.add(txn.len());
                }
            }
        }
    }

    fn deliver(&mut self) {
        let CoreLoop { out, links, dirty, share, .. } = self;
        for delivery in &out.deliveries {
            let Some(link) = links.get(&delivery.conn) else {
                let stale = delivery.is_reply && share.port.options.stale_by_connection;
                bump(&share.metrics.core.stale_replies, u64::from(stale));
                continue;
            };
            let frame = &out.frames[delivery.range.clone()];
            let mut overflows = false;
            let newly = link.outbox.put(|waiting| {
                if waiting.bytes.len() + frame.len() > OUTBOX_BYTES_MAX && !waiting.overflowed {
                    overflows = true;
                    waiting.overflowed = true;
                    waiting.bytes = Vec::new();
                }
                if !waiting.overflowed {
                    waiting.bytes.extend_from_slice(frame);
                    waiting.frames += 1;
                    waiting.replies += usize::from(delivery.is_reply);
                }
            });
            if delivery.is_reply && link.figures.session.load(Relaxed) != 0 {
                // Behind the length and the xid stand the zxid and the error.
                let zxid = frame[8..16].try_into().expect("a reply has a header");
                link.figures.last_zxid.store(i64::from_be_bytes(zxid), Relaxed);
                link.figures.refused.store(frame[16..20] != [0; 4], Relaxed);
            }
            if newly || overflows {
                dirty[link.thread].push(link.conn);
            }
        }
        for control in &out.controls {
            let (conn, notice) = match *control {
                Control::Established { conn, session, timeout } => (conn, Notice::Established { session, timeout }),
                Control::Close { conn, reason } => (conn, Notice::Close(reason)),
                Control::Serve { mode } => {
                    self.share.serving.mode.set(mode);
                    self.share.metrics.core.proposals.reset();
                    continue;
                }
                Control::Snapshot { image, zxid } => {
                    self.snapshots.begin(image, zxid, self.share.serving.history.generation());
                    continue;
                }
            };
            // What comes after a Close is for nobody.
            let link = if matches!(notice, Notice::Close(_)) { links.remove(&conn) } else { links.get(&conn).cloned() };
            if let Some(link) = link {
                link.outbox.put(|waiting| waiting.notices.push(notice));
                // Also where the outbox was not empty: a connection that cannot send leaves bytes there, but no notice.
                dirty[link.thread].push(conn);
            }
        }
    }

    /// Each I/O thread is woken at most once for all that happened.
    fn tell(&mut self) {
        for (handle, dirty) in self.share.port.io.iter().zip(&mut self.dirty) {
            handle.tell(dirty);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::link::Figures;
    use crate::clock::Clock;
    use crate::handover::Handover;
    use crate::history::History;
    use crate::options::EdgeOptions;
    use oxkeeper_proto::client::ConnectRequest;
    use oxkeeper_replica::{Options, State};
    use oxkeeper_tree::{Tree, TreeOptions};
    use oxkeeper_types::SessionId;
    use oxkeeper_types::limits::TOUCH_DELAY_MS_MAX;
    use oxkeeper_types::persist::Persisted;
    use std::net::SocketAddr;
    use std::sync::mpsc::channel;

    /// The core of a server on its own, without its other threads.
    fn core(options: Options) -> CoreLoop {
        let clock = Clock::default();
        let state = State { tree: Tree::new(TreeOptions::default()) };
        let replica = Replica::new(options.clone(), &state, 0, false, clock.now());
        let (history, queue, metrics): (Arc<History>, Arc<CoreQueue>, Arc<Metrics>) = Default::default();
        let handover = Arc::new(Handover::new(state));
        let serving = Arc::new(Serving::new(handover, history.clone(), options, clock, Mode::Standalone));
        let edge = EdgeOptions::default();
        let port = ClientPort::new(serving.clone(), queue.clone(), metrics.clone(), edge, Vec::new(), channel().0);
        let disk = Arc::new(DiskQueue::new(history));
        let share = CoreShare { serving, port: Arc::new(port), queue, metrics, disk };
        let mut core = CoreLoop::new(share, replica, SnapshotJobs(channel().0), None);
        core.dirty.push(Vec::new());
        core
    }

    #[test]
    fn who_was_heard_while_the_core_slept_is_not_taken_for_silent() {
        let mut core = core(Options {
            tick: Millis(1),
            session_timeout_min: Millis(2),
            session_timeout_max: Millis(60_000),
            ..Options::default()
        });
        let link = Link {
            conn: ConnId(1),
            thread: 0,
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            outbox: Default::default(),
            figures: Figures::new(Millis(0)),
        };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms: 50,
            session: SessionId::NONE,
            password: vec![0; 16],
            read_only: None,
        };
        let mut events = vec![CoreEvent::Opened(Arc::new(link), request)];
        core.step_all(&mut events, &mut false);
        events.push(CoreEvent::Input(Input::Persisted(Persisted::Log { through: Zxid(1) })));
        core.step_all(&mut events, &mut false);
        core.apply();
        let (deadline, sessions) = core.replica.report().expiry.remove(0);
        // Its time is over, but its word waits in the queue.
        while core.share.serving.clock.monotonic() < deadline + Millis(2 * TOUCH_DELAY_MS_MAX) {
            std::thread::sleep(Duration::from_millis(10));
        }
        events.push(CoreEvent::Input(Input::Touched(sessions)));
        core.step_all(&mut events, &mut false);
        assert_eq!(core.replica.report().counters.sessions_expired, 0);
    }
}
