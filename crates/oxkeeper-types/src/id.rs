//! Newtypes for every number that has a meaning. Conversion from bare integers happens at the wire.

use std::fmt;

/// A transaction id: the epoch of the leader that proposed it in the high 32 bits, a counter in the low 32
/// (Zab paper, section 3; reference `ZxidUtils`). Ordered as a signed 64-bit number, as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

impl Zxid {
    /// The state before any transaction.
    pub const ZERO: Zxid = Zxid(0);
    /// What a server without a trusted database carries, and what notifications of old servers carry.
    pub const NONE: Zxid = Zxid(-1);

    pub const fn new(epoch: Epoch, counter: u32) -> Zxid {
        Zxid((epoch.0 << 32) | counter as i64)
    }
    pub const fn epoch(self) -> Epoch {
        Epoch(self.0 >> 32)
    }
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }
    /// The zxid after this one in the same epoch, or `None` where the counter would reach its last value
    /// (the reference starts a new epoch there: `XidRolloverException`).
    pub const fn next(self) -> Option<Zxid> {
        if self.counter() >= 0xffff_fffe { None } else { Some(Zxid(self.0 + 1)) }
    }
    /// Whether `self` may directly follow `previous`: the next counter, or the first zxids of a later epoch.
    pub const fn follows(self, previous: Zxid) -> bool {
        self.0 == previous.0.wrapping_add(1) || self.epoch().0 > previous.epoch().0
    }
}

impl fmt::Debug for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// The reign of one leader. Fits 32 bits on the wire, stored as decimal text in the epoch files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Epoch(pub i64);

/// A server's `myid`. Standalone servers use 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct ServerId(pub i64);

/// A client session. 0 is never a valid session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

impl SessionId {
    /// Not a session: persistent nodes are owned by it.
    pub const NONE: SessionId = SessionId(0);
}
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:x}", self.0)
    }
}

/// One client connection on this server. Unique for the life of the process, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u64);

/// A client's number for a request, echoed in the reply. Negative values are reserved (see `oxkeeper-proto`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Xid(pub i32);

/// Milliseconds: either a span, or a point on a clock that the edge hands in (wall clock for znode times,
/// monotonic for deadlines; each use says which).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Millis(pub i64);

impl std::ops::Add for Millis {
    type Output = Millis;
    fn add(self, other: Millis) -> Millis {
        Millis(self.0 + other.0)
    }
}
impl std::ops::Sub for Millis {
    type Output = Millis;
    fn sub(self, other: Millis) -> Millis {
        Millis(self.0 - other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zxid_splits_into_epoch_and_counter() {
        let z = Zxid::new(Epoch(5), 7);
        assert_eq!((z.0, z.epoch(), z.counter()), (0x5_0000_0007, Epoch(5), 7));
    }

    #[test]
    fn counter_never_reaches_its_last_value() {
        assert_eq!(Zxid::new(Epoch(1), 0xffff_fffd).next(), Some(Zxid::new(Epoch(1), 0xffff_fffe)));
        assert_eq!(Zxid::new(Epoch(1), 0xffff_fffe).next(), None);
    }

    #[test]
    fn a_gap_inside_an_epoch_does_not_follow() {
        assert!(Zxid(0x1_0000_0002).follows(Zxid(0x1_0000_0001)));
        assert!(!Zxid(0x1_0000_0003).follows(Zxid(0x1_0000_0001)));
        assert!(Zxid(0x2_0000_0001).follows(Zxid(0x1_0000_0009)));
    }
}
