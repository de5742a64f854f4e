//! Starts and stops a server.

use crate::admin::{self, ServerInfo};
use crate::client::accept::listen;
use crate::client::io_thread::{IoThread, WAKER};
use crate::client::throttle::Gate;
use crate::clock::Clock;
use crate::core_loop::CoreLoop;
use crate::disk_thread::{self, DiskQueue};
use crate::handover::Handover;
use crate::options::{EdgeOptions, FileOptions};
use crate::shared::{CoreEvent, IoHandle, Shared};
use crate::snapshot_thread::SnapshotJobs;
use oxkeeper_replica::{Options, Replica, State, WatchTable};
use oxkeeper_storage::Persister;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

/// A server that runs. Dropping it leaves its threads alone; [`Running::stop`] ends them.
pub struct Running {
    shared: Arc<Shared>,
    disk: Arc<DiskQueue>,
    io: Vec<JoinHandle<()>>,
    core: JoinHandle<()>,
    disk_thread: JoinHandle<()>,
    /// Where clients connect; `None` where there is no client port.
    pub client_address: Option<SocketAddr>,
}

/// What recovery has found, ready to serve.
pub struct Recovered {
    pub state: State,
    pub persister: Persister,
    /// Transactions that came from the log.
    pub replayed: u64,
}

/// Opens the ports and starts the threads.
pub fn start(options: Options, edge: EdgeOptions, files: &FileOptions, recovered: Recovered) -> io::Result<Running> {
    let clock = Clock::default();
    let now = clock.now();
    let Recovered { state, persister, replayed } = recovered;
    let replica = Replica::new(options.clone(), &state, replayed, now);
    let mut listener = edge.client_address.map(|address| listen(address, &edge)).transpose()?;
    let client_address = listener.as_ref().map(|l| l.local_addr()).transpose()?;
    let mut polls = Vec::new();
    let mut handles = Vec::new();
    for _ in 0..edge.threads.max(1) {
        let poll = mio::Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        handles.push(IoHandle { inbox: Mutex::default(), waker, metrics: Default::default() });
        polls.push(poll);
    }
    let info = ServerInfo {
        client_port: client_address.map_or(-1, |a| i32::from(a.port())),
        secure_client_port: -1,
        data_dir: files.data_dir.join("version-2"),
        data_log_dir: files.data_log_dir.as_ref().unwrap_or(&files.data_dir).join("version-2"),
        listen_backlog: edge.listen_backlog,
        version: crate::version_text(),
    };
    let (admin, commands) = channel();
    let (jobs, snapshot_jobs) = channel();
    let seed = options.seed;
    let shared = Arc::new(Shared {
        handover: Handover::new(state),
        watches: Mutex::new(WatchTable::with_seed(seed)),
        core: Default::default(),
        io: handles,
        core_metrics: Default::default(),
        admission: Mutex::default(),
        throttle: Mutex::new(Gate::new(edge.throttle, now.monotonic, seed)),
        admin,
        links: Mutex::default(),
        outstanding: AtomicUsize::new(0),
        large_bytes: AtomicUsize::new(0),
        stopping: AtomicBool::new(false),
        started: now.monotonic,
        clock,
        options,
        edge,
    });
    let disk = Arc::new(DiskQueue::default());
    let disk_thread = {
        let (shared, disk, slow) = (shared.clone(), disk.clone(), files.slow_sync);
        Builder::new().name("disk".into()).spawn(move || disk_thread::run(shared, disk, persister, slow))?
    };
    drop(snapshot_jobs);
    let core = {
        let core = CoreLoop::new(shared.clone(), replica, disk.clone(), SnapshotJobs(jobs));
        Builder::new().name("core".into()).spawn(move || core.run())?
    };
    {
        let shared = shared.clone();
        Builder::new().name("admin".into()).spawn(move || admin::run(shared, info, commands))?;
    }
    let mut io = Vec::new();
    for (index, poll) in polls.into_iter().enumerate() {
        let thread = IoThread::new(shared.clone(), index, poll, listener.take())?;
        io.push(Builder::new().name(format!("io-{index}")).spawn(move || thread.run())?);
    }
    Ok(Running { shared, disk, io, core, disk_thread, client_address })
}

impl Running {
    /// Ends in order: no new requests, then what the core has, then the log. Sessions stay as they are in the log.
    pub fn stop(self) {
        self.shared.stopping.store(true, Relaxed);
        self.shared.io.iter().for_each(|io| io.wake());
        let join = |thread: JoinHandle<()>| {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!("thread {name} had panicked");
            }
        };
        self.io.into_iter().for_each(join);
        self.shared.core.put_one(CoreEvent::Stop);
        join(self.core);
        self.disk.stop();
        join(self.disk_thread);
    }
}
