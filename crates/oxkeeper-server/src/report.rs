//! What is reported of a server: plain values, gathered from all its threads for one answer.
//!
//! Must not know how an answer looks; [`crate::admin`] does.

use crate::client::link::Link;
use crate::client::port::{ClientPort, Command};
use crate::core_queue::{CoreEvent, CoreQueue};
use crate::lock::lock;
use crate::metrics::{Metrics, SummaryView};
use crate::serving::Serving;
use oxkeeper_replica::namespaces::NamespaceFigures;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::report::Report as CoreReport;
use oxkeeper_replica::{Now, WatchTable};
use oxkeeper_tree::{QuotaTotals, Tree};
use oxkeeper_types::{Millis, OpCode, SessionId, Zxid};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

/// How long the core may take to report. It answers between two batches.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where reports come from.
pub struct Reporter {
    pub serving: Arc<Serving>,
    pub port: Arc<ClientPort>,
    pub core: Arc<CoreQueue>,
    /// Counters may be read as they are.
    pub metrics: Arc<Metrics>,
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub peer: SocketAddr,
    /// 0 where there is none.
    pub session: i64,
    pub timeout_ms: i32,
    /// Wall clock.
    pub established: i64,
    pub received: u64,
    pub sent: u64,
    /// Requests that wait for an answer.
    pub outstanding: u32,
    pub last_op: i32,
    /// -1 where there was none.
    pub last_xid: i64,
    pub last_zxid: i64,
    /// Wall clock of the last answer, and how long it took.
    pub last_response: i64,
    pub last_latency: i64,
    pub latency_min: i64,
    pub latency_mean: i64,
    pub latency_max: i64,
}

/// What a person looks at first.
#[derive(Debug)]
pub struct Status {
    pub mode: Mode,
    /// Of all requests, in milliseconds.
    pub latency: SummaryView,
    pub packets_received: u64,
    pub packets_sent: u64,
    pub connections: usize,
    pub outstanding: usize,
    pub zxid: Zxid,
    pub nodes: usize,
}

/// Sessions and what they own.
#[derive(Debug)]
pub struct Sessions {
    pub core: CoreReport,
    pub now: Now,
    pub timeouts: BTreeMap<SessionId, Millis>,
    pub ephemerals: Vec<(SessionId, Vec<String>)>,
}

/// All figures, for `mntr` and whoever else collects them. What only counts stands in [`Reporter::metrics`].
#[derive(Debug)]
pub struct Figures {
    pub core: CoreReport,
    pub status: Status,
    pub tree: TreeFigures,
    /// Chance that a handshake is refused early.
    pub drop_chance: f64,
    pub watches: usize,
    /// Milliseconds since it began to serve, and since it leads.
    pub uptime: i64,
    pub leader_uptime: i64,
    pub reads: BTreeMap<Box<str>, NamespaceFigures>,
    pub quota_refusals: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub struct TreeFigures {
    pub approximate_data_size: i64,
    pub ephemerals: usize,
    pub sessions: usize,
    pub digest_mismatches: u64,
    pub quotas: BTreeMap<String, QuotaTotals>,
}

impl Reporter {
    pub fn is_serving(&self) -> bool {
        self.serving.is_serving()
    }
    pub fn mode(&self) -> Mode {
        self.serving.mode.get()
    }

    /// Of the core itself; `None` when the server is on its way down.
    fn core(&self) -> Option<CoreReport> {
        let (to, from) = channel();
        self.core.put_one(CoreEvent::Report(to));
        from.recv_timeout(PATIENCE).ok()
    }

    /// In the order in which they came.
    pub fn connections(&self) -> Vec<Connection> {
        self.links().iter().map(|link| connection(link)).collect()
    }
    /// `crst`: their figures count from here on.
    pub fn reset_connections(&self) {
        self.links().iter().for_each(|link| link.figures.reset());
    }
    /// `srst`
    pub fn reset_figures(&self) {
        self.metrics.io.iter().for_each(|io| io.reset());
    }
    fn links(&self) -> Vec<Arc<Link>> {
        let mut links: Vec<Arc<Link>> = lock(&self.port.links).values().cloned().collect();
        links.sort_by_key(|link| link.conn);
        links
    }

    pub fn status(&self) -> Status {
        let mode = self.mode();
        let (latency, metrics) = (self.metrics.latency(), &self.metrics);
        // A leader begins its epoch with a zxid that no transaction has (reference `Leader.startZkServer`), and learners that get its
        // state have it, too. There it is the tree's, and goes into answers: a client that has seen it is then refused by other
        // followers, until something is written.
        let began = metrics.peers.epoch_began.load(Relaxed);
        let state = self.serving.handover.shared();
        Status {
            mode,
            latency,
            packets_received: metrics.total(|m| &m.packets_received),
            packets_sent: metrics.total(|m| &m.packets_sent),
            // With a session, on the way to one, or asking a four-letter word as this one.
            connections: lock(&self.port.links).len(),
            outstanding: self.port.outstanding.load(Relaxed),
            zxid: state.tree.last_processed().max(Zxid(began)),
            nodes: state.tree.node_count(),
        }
    }

    /// `None` when the server is on its way down.
    pub fn sessions(&self) -> Option<Sessions> {
        let core = self.core()?;
        let state = self.serving.handover.shared();
        let owned = |owner| state.tree.ephemerals_of(owner).collect();
        Some(Sessions {
            core,
            now: self.serving.clock.now(),
            timeouts: state.tree.sessions().iter().collect(),
            ephemerals: state.tree.sessions_with_ephemerals().map(|owner| (owner, owned(owner))).collect(),
        })
    }

    /// `None` when the server is on its way down.
    pub fn figures(&self) -> Option<Figures> {
        let core = self.core()?;
        let (status, now) = (self.status(), self.serving.clock.monotonic());
        // One lock at a time: a connection that reads holds the state, its thread's figures and then the watches.
        let tree = tree_figures(&self.serving.handover.shared().tree);
        let drop_chance = lock(&self.port.throttle).throttle.drop_chance();
        let watches = self.watches().count();
        let quota_refusals = lock(&self.metrics.core.quota_refusals).clone();
        Some(Figures {
            core,
            status,
            tree,
            drop_chance,
            watches,
            uptime: (now - self.serving.started).0,
            leader_uptime: now.0 - self.metrics.peers.leading_since.load(Relaxed),
            reads: self.reads(),
            quota_refusals,
        })
    }

    /// All threads' reads by namespace.
    fn reads(&self) -> BTreeMap<Box<str>, NamespaceFigures> {
        let mut all: BTreeMap<Box<str>, NamespaceFigures> = BTreeMap::new();
        for io in &self.metrics.io {
            for (name, figures) in lock(&io.reads).iter() {
                all.entry(name.into()).and_modify(|sum| sum.merge(figures)).or_insert(*figures);
            }
        }
        all
    }

    /// The digests of the last transactions.
    pub fn digests(&self) -> Vec<(Zxid, u64)> {
        self.serving.handover.shared().tree.digest_log().collect()
    }
    /// The text of the members' node.
    pub fn members_text(&self) -> Vec<u8> {
        let state = self.serving.handover.shared();
        let config = state.tree.node(oxkeeper_types::path::CONFIG).and_then(|node| node.data().map(<[u8]>::to_vec));
        config.unwrap_or_default()
    }
    /// Whoever has it keeps clients from their watches.
    pub fn watches(&self) -> MutexGuard<'_, WatchTable> {
        lock(&self.serving.watches)
    }

    /// Sends the answer to a command.
    pub fn answer(&self, command: Command, text: &str) {
        self.port.answer(command, text);
    }
}

fn connection(link: &Link) -> Connection {
    let f = &link.figures;
    let count = f.latency_count.load(Relaxed);
    let of_some = |figure: i64| if count == 0 { 0 } else { figure };
    Connection {
        peer: link.peer,
        session: f.session.load(Relaxed),
        timeout_ms: f.timeout_ms.load(Relaxed),
        established: f.established.load(Relaxed),
        received: f.received.load(Relaxed),
        sent: f.sent.load(Relaxed),
        outstanding: f.outstanding.load(Relaxed),
        last_op: last_op(f),
        last_xid: f.last_xid.load(Relaxed),
        last_zxid: f.last_zxid.load(Relaxed),
        last_response: f.last_response.load(Relaxed),
        last_latency: f.last_latency.load(Relaxed),
        latency_min: of_some(f.latency_min.load(Relaxed)),
        latency_mean: of_some(f.latency_sum.load(Relaxed) / count.max(1)),
        latency_max: f.latency_max.load(Relaxed),
    }
}

/// A write that was refused has no name in the reference (`FinalRequestProcessor`), and the number 0 has none here.
fn last_op(figures: &crate::client::link::Figures) -> i32 {
    let number = figures.last_op.load(Relaxed);
    let is_write = OpCode::from_number(number).is_some_and(OpCode::is_write);
    if is_write && figures.refused.load(Relaxed) { 0 } else { number }
}

fn tree_figures(tree: &Tree) -> TreeFigures {
    TreeFigures {
        approximate_data_size: tree.approximate_data_size(),
        ephemerals: tree.ephemerals_count(),
        sessions: tree.sessions().len(),
        digest_mismatches: tree.digest_mismatches(),
        quotas: tree.quota_totals(),
    }
}
