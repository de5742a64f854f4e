//! What serves the state: the tree and the watches, and whether clients are served now.

use crate::clock::Clock;
use crate::handover::Handover;
use crate::history::History;
use crate::lock::lock;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::state::WatchAccess;
use oxkeeper_replica::{Options, State, WatchTable};
use oxkeeper_types::Millis;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// One server, as far as it serves.
pub struct Serving {
    pub handover: Arc<Handover<State>>,
    pub history: Arc<History>,
    pub watches: Mutex<WatchTable>,
    pub options: Options,
    pub clock: Clock,
    /// How clients are served now.
    pub mode: SharedMode,
    /// No new connections and no new requests: the server is on its way down.
    pub stopping: AtomicBool,
    /// Monotonic: when it began to serve.
    pub started: Millis,
}

impl Serving {
    pub fn new(
        handover: Arc<Handover<State>>,
        history: Arc<History>,
        options: Options,
        clock: Clock,
        mode: Mode,
    ) -> Serving {
        Serving {
            handover,
            history,
            watches: Mutex::new(WatchTable::with_seed(options.seed)),
            options,
            mode: SharedMode::new(mode),
            stopping: AtomicBool::new(false),
            started: clock.monotonic(),
            clock,
        }
    }
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

/// Reads reach the watch table through its mutex.
pub struct LockedWatches<'a>(pub &'a Mutex<WatchTable>);

impl WatchAccess for LockedWatches<'_> {
    fn with<R>(&self, f: impl FnOnce(&mut WatchTable) -> R) -> R {
        f(&mut lock(self.0))
    }
}
