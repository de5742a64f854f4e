//! The two epochs of a server, each as asked of the disk and as known to be on it.
//!
//! Owns which promise may be told to others, and which epoch may be believed when others tell it. Must not know when one is made.

use oxkeeper_types::Epoch;

/// The last epoch there is: it stands in the high half of a zxid, which is signed.
pub(crate) const EPOCH_MAX: Epoch = Epoch(0x7fff_ffff);
/// How far ahead of our promise another server's may be. Each step of the way is a leader that a quorum has introduced itself to and
/// that came to nothing before any of our quorum had promised its epoch.
const EPOCH_LEAP_MAX: i64 = 1000;
/// Epochs before the last one that are reached by elections alone, one by one.
const EPOCHS_KEPT: i64 = 0x1_0000;

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

    /// The latest epoch that another server may say it has promised. What lies beyond was said by a stranger, or comes from a
    /// damaged file: no quorum can have got there. It is measured from our own promise, which grows with elections only, so that
    /// saying it again gets nobody further.
    pub fn believable_max(&self) -> Epoch {
        let accepted = self.accepted().0;
        let kept = (EPOCH_MAX.0 - EPOCHS_KEPT).max(accepted + 1);
        Epoch((accepted + EPOCH_LEAP_MAX).min(kept).min(EPOCH_MAX.0 - 1))
    }
    /// Whether a leader may offer this epoch. One that was away for long does not know how far the others are, but near the end
    /// nobody got by elections.
    pub fn may_be_offered(&self, epoch: Epoch) -> bool {
        epoch.0 <= EPOCH_MAX.0 - EPOCHS_KEPT || epoch.0 <= self.accepted().0 + EPOCH_LEAP_MAX
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_takes_nobody_to_the_end() {
        let believed = |accepted: i64| Epochs::found(Epoch(accepted), Epoch(0)).believable_max().0;
        assert_eq!(believed(5), 1005);
        // Near the end: one at a time, and never the last one, as a leader has to find one behind it.
        assert_eq!(believed(0x7ffe_ffff), 0x7fff_0000);
        assert_eq!(believed(0x7fff_0005), 0x7fff_0006);
        assert_eq!(believed(0x7fff_ffff), 0x7fff_fffe);
    }

    #[test]
    fn an_offer_near_the_end_is_taken_from_one_that_is_not_far() {
        let may = |accepted: i64, epoch: i64| Epochs::found(Epoch(accepted), Epoch(0)).may_be_offered(Epoch(epoch));
        assert!(may(1, 0x7ffe_ffff) && !may(1, 0x7fff_0000) && !may(1, 0x7fff_ffff));
        assert!(may(0x7fff_fffe, 0x7fff_ffff));
    }
}
