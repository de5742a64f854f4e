//! Starts and stops a server.

use crate::admin::{self, EnsembleInfo, ServerInfo};
use crate::client::accept::listen;
use crate::client::io_thread::{IoThread, WAKER};
use crate::client::port::{ClientPort, IoHandle};
use crate::clock::Clock;
use crate::core_loop::{CoreLoop, CoreShare};
use crate::core_queue::{CoreEvent, CoreQueue};
use crate::disk_thread::{DiskQueue, DiskThread};
use crate::handover::Handover;
use crate::history::{History, ServerSide};
use crate::metrics::Metrics;
use crate::options::{EdgeOptions, FileOptions};
use crate::peer::PeerOptions;
use crate::peer::outputs::Peers;
use crate::peer::poll_thread::{self, Listeners, PollThread};
use crate::peer::shared::PeerShared;
use crate::recovery::{self, Loaded};
use crate::report::Reporter;
use crate::serving::Serving;
use crate::settings::Settings;
use crate::snapshot_thread::{self, SnapshotJobs};
use mio::net::TcpListener;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::{Options, Replica};
use oxkeeper_storage::{DirLock, Disk, StorageError};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

/// A server that runs. Dropping it leaves its threads alone; [`Running::stop`] ends them.
pub struct Running {
    serving: Arc<Serving>,
    port: Arc<ClientPort>,
    queue: Arc<CoreQueue>,
    peers: Option<Arc<PeerShared>>,
    disk: Arc<DiskQueue>,
    io: Vec<JoinHandle<()>>,
    core: JoinHandle<()>,
    disk_thread: JoinHandle<()>,
    snapshot_thread: JoinHandle<()>,
    peer_thread: Option<JoinHandle<()>>,
    /// Where clients connect; `None` where there is no client port.
    pub client_address: Option<SocketAddr>,
}

/// Why a server did not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("cannot listen on {address}: {error}; is another server running there?")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("{0}; is another server running there?")]
    PeerPort(io::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Exit code for a port between servers that is taken (reference `ExitCode.UNABLE_TO_BIND_QUORUM_PORT`).
const EXIT_PEER_PORT: i32 = 14;

impl StartError {
    /// As the reference's `ExitCode` where it has one.
    pub fn exit_code(&self) -> i32 {
        match self {
            StartError::Storage(error) => error.exit_code(),
            StartError::PeerPort(_) => EXIT_PEER_PORT,
            _ => 1,
        }
    }
}

/// Recovers the state, opens the ports and starts the threads.
pub fn start(settings: Settings, disk: Arc<dyn Disk>) -> Result<Running, StartError> {
    let Settings { replica: options, edge, files, stall_watch, ensemble } = settings;
    let clock = Clock::default();
    let Loaded { state, persister, replayed, snapshot_wanted, durable, took } = recovery::load(disk.clone(), &files)?;
    let now = clock.now();
    let replica = match (&ensemble, durable) {
        (Some(ensemble), Some(durable)) => {
            Replica::of_ensemble(options.clone(), ensemble.zab.clone(), durable, &state, replayed, snapshot_wanted, now)
        }
        _ => Replica::new(options.clone(), &state, replayed, snapshot_wanted, now),
    };
    let threads = edge.threads.max(1);
    let (polls, handles) = io_handles(threads)?;
    let queue: Arc<CoreQueue> = Arc::default();
    let metrics = Arc::new(Metrics::new(threads));
    metrics.core.startup_ms.add(took.as_millis() as u64);
    let history = Arc::new(History::default());
    let disk_queue = Arc::new(DiskQueue::new(history.clone()));
    history.synced.store(state.tree.last_processed().0, Relaxed);
    let handover = Arc::new(Handover::new(state));
    let mode = if ensemble.is_some() { Mode::Looking } else { Mode::Standalone };
    let server = ServerSide { handover: handover.clone(), history: history.clone(), disk, files };
    let server_id = ensemble.as_ref().map_or(0, |ensemble| ensemble.zab.me.0);
    let (peers, peer_thread) = match &ensemble {
        None => (None, None),
        Some(ensemble) => {
            let (queue, metrics) = (queue.clone(), metrics.clone());
            let (peers, thread) = open_peer_ports(ensemble.peers.clone(), queue, metrics, server.clone())?;
            (Some(peers), Some(thread))
        }
    };
    // After the ports between servers, which may take a while: whoever connects before is refused, and does not wait.
    let mut listener = open_client_port(&edge)?;
    let client_address = listener.as_ref().map(|l| l.local_addr()).transpose()?;
    let info = server_info(client_address, &edge, &options, &server.files, ensemble.map(|ensemble| ensemble.info));
    let (admin, commands) = channel();
    let (jobs, snapshot_jobs) = channel();
    let serving = Arc::new(Serving::new(handover, history, options, clock, mode));
    let port = ClientPort::new(serving.clone(), queue.clone(), metrics.clone(), edge, handles, admin);
    let port = Arc::new(port);
    let disk_thread = {
        let (core, metrics, server, queue) = (queue.clone(), metrics.clone(), server.clone(), disk_queue.clone());
        let thread = DiskThread { core, metrics, server, queue, persister, server_id };
        spawn("disk", move || thread.run())?
    };
    let snapshot_thread = {
        let (core, metrics) = (queue.clone(), metrics.clone());
        spawn("snapshot", move || snapshot_thread::run(server, core, metrics, snapshot_jobs))?
    };
    let core = {
        let (serving, port, queue, metrics) = (serving.clone(), port.clone(), queue.clone(), metrics.clone());
        let share = CoreShare { serving, port, queue, metrics, disk: disk_queue.clone() };
        let peers = peers.clone().map(|peers| Peers::new(peers, clock));
        let core = CoreLoop::new(share, replica, SnapshotJobs(jobs), peers);
        spawn("core", move || core.run())?
    };
    if let Some(watch) = stall_watch {
        // It ends by itself, within one sleep of the server's end.
        let metrics = Arc::downgrade(&metrics);
        spawn("stall-watch", move || watch.run(&metrics))?;
    }
    let reporter = Reporter { serving: serving.clone(), port: port.clone(), core: queue.clone(), metrics };
    spawn("admin", move || admin::run(reporter, info, commands))?;
    let mut io = Vec::new();
    for (index, poll) in polls.into_iter().enumerate() {
        let thread = IoThread::new(port.clone(), index, poll, listener.take())?;
        io.push(spawn(&format!("io-{index}"), move || thread.run())?);
    }
    let peer_thread = peer_thread.map(|thread| spawn("peers", move || thread.run())).transpose()?;
    let disk = disk_queue;
    Ok(Running {
        serving,
        port,
        queue,
        peers,
        disk,
        io,
        core,
        disk_thread,
        snapshot_thread,
        peer_thread,
        client_address,
    })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(run)
}

fn open_client_port(edge: &EdgeOptions) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = edge.client_address else { return Ok(None) };
    let listener = listen(address, edge).map_err(|error| StartError::Listen { address, error })?;
    tracing::info!("binding to port {}", listener.local_addr()?);
    Ok(Some(listener))
}

fn server_info(
    client_address: Option<SocketAddr>,
    edge: &EdgeOptions,
    options: &Options,
    files: &FileOptions,
    ensemble: Option<EnsembleInfo>,
) -> ServerInfo {
    ServerInfo {
        client_port: client_address.map_or(-1, |a| i32::from(a.port())),
        secure_client_port: -1,
        data_dir: absolute(&files.dirs.snapshots),
        data_log_dir: absolute(&files.dirs.logs),
        listen_backlog: edge.listen_backlog,
        four_letter_words: edge.four_letter_words.clone(),
        tick: options.tick,
        session_timeout_min: options.session_timeout_min,
        session_timeout_max: options.session_timeout_max,
        connections_per_address_max: edge.connections_per_address_max,
        version: crate::version_text(),
        ensemble,
    }
}

/// What the threads of connections wait on, and what wakes them.
fn io_handles(threads: usize) -> io::Result<(Vec<mio::Poll>, Vec<IoHandle>)> {
    let mut pairs = Vec::with_capacity(threads);
    for _ in 0..threads {
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        pairs.push((poll, IoHandle { inbox: Mutex::default(), waker }));
    }
    Ok(pairs.into_iter().unzip())
}

/// Opens the election port and the quorum port. Nothing is accepted before the thread runs.
fn open_peer_ports(
    options: PeerOptions,
    core: Arc<CoreQueue>,
    metrics: Arc<Metrics>,
    server: ServerSide,
) -> Result<(Arc<PeerShared>, PollThread), StartError> {
    let listeners = Listeners::bind(&options).map_err(StartError::PeerPort)?;
    let poll = mio::Poll::new()?;
    let waker = mio::Waker::new(poll.registry(), poll_thread::WAKER)?;
    let shared = Arc::new(PeerShared::new(options, core, metrics, server, waker));
    let thread = PollThread::new(shared.clone(), poll, listeners)?;
    Ok((shared, thread))
}

impl Running {
    /// Ends in order: no new requests, then what the core has, then the log. Sessions stay as they are in the log.
    pub fn stop(self) {
        self.serving.stopping.store(true, Relaxed);
        self.port.io.iter().for_each(|io| io.wake());
        let join = |thread: JoinHandle<()>| {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!("thread {name} had panicked");
            }
        };
        self.io.into_iter().for_each(join);
        if let Some(peers) = &self.peers {
            peers.stop();
        }
        if let Some(thread) = self.peer_thread {
            join(thread);
        }
        self.queue.put_one(CoreEvent::Stop);
        join(self.core);
        self.disk.stop();
        join(self.disk_thread);
        // A snapshot under way is finished: its jobs end with the core.
        join(self.snapshot_thread);
    }
}

/// Keeps other servers away from the files of a server on a real disk; to be held while it runs. Where the directory is
/// missing and may not be made, recovery says so.
pub fn lock_directory(files: &FileOptions) -> Result<Option<DirLock>, StartError> {
    let data_dir = files.dirs.snapshots.parent().unwrap_or(Path::new("."));
    if files.recover.directory_autocreate {
        std::fs::create_dir_all(data_dir).map_err(|e| StorageError::io("create directory", data_dir, e))?;
    }
    if data_dir.is_dir() { Ok(Some(DirLock::take(data_dir)?)) } else { Ok(None) }
}

fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf())
}
