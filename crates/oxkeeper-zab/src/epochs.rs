//! The two epochs of a server, each as asked of the disk and as known to be on it.
//!
//! Owns which promise may be told to others. Must not know when one is made.

use oxkeeper_types::Epoch;

/// A number on disk that only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OnDisk {
    asked: Epoch,
    durable: Epoch,
}

impl OnDisk {
    fn found(epoch: Epoch) -> OnDisk {
        OnDisk { asked: epoch, durable: epoch }
    }
    fn ask(&mut self, epoch: Epoch) {
        assert!(epoch >= self.asked, "an epoch does not go back: {:?} after {:?}", epoch, self.asked);
        self.asked = epoch;
    }
    fn done(&mut self, epoch: Epoch) {
        assert!(self.durable <= epoch && epoch <= self.asked, "{epoch:?} on disk was not asked for: {self:?}");
        self.durable = epoch;
    }
}

/// Paper, phase 1 and 2: f.p, the last epoch promised, and f.a, the epoch whose history was accepted last.
#[derive(Clone, Debug)]
pub(crate) struct Epochs {
    accepted: OnDisk,
    current: OnDisk,
}

impl Epochs {
    pub fn found(accepted: Epoch, current: Epoch) -> Epochs {
        Epochs { accepted: OnDisk::found(accepted), current: OnDisk::found(current) }
    }

    /// The epoch promised. Perhaps not on disk yet: it may bind us, but not be told as a promise.
    pub fn accepted(&self) -> Epoch {
        self.accepted.asked
    }
    /// Whether the promise of `epoch` may be told.
    pub fn has_accepted(&self, epoch: Epoch) -> bool {
        self.accepted.durable >= epoch
    }
    pub fn current(&self) -> Epoch {
        self.current.asked
    }
    pub fn has_current(&self, epoch: Epoch) -> bool {
        self.current.durable >= epoch
    }

    pub fn ask_accepted(&mut self, epoch: Epoch) {
        self.accepted.ask(epoch);
    }
    pub fn ask_current(&mut self, epoch: Epoch) {
        self.current.ask(epoch);
    }
    pub fn accepted_done(&mut self, epoch: Epoch) {
        self.accepted.done(epoch);
    }
    pub fn current_done(&mut self, epoch: Epoch) {
        self.current.done(epoch);
    }
}
