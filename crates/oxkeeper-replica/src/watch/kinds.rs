//! The kinds of watch, and which change wakes which of them. Must not know who watches or where.
//!
//! The reference keeps two managers, for data and for children, and a set of modes per watcher in each (`WatchManager`,
//! `WatchStats`). Here one byte per connection and path holds the modes of both.

use oxkeeper_proto::client::EventType;
use oxkeeper_tree::ChangeKind;

/// What a client registers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WatchKind {
    /// By getData, and by exists also on a node that is not there. Fires once.
    Data,
    /// By getChildren. Fires once.
    Child,
    /// Data and children of one node, until it is removed.
    Persistent,
    /// Creation, deletion and data of a node and of all below it, until it is removed.
    PersistentRecursive,
}

/// What removeWatches and checkWatches name (reference `Watcher.WatcherType`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum WatcherType {
    /// One-shot child watches.
    Children = 1,
    /// One-shot data watches.
    Data = 2,
    /// Whatever there is on the path.
    Any = 3,
    Persistent = 4,
    PersistentRecursive = 5,
}

impl WatcherType {
    pub const ALL: [WatcherType; 5] = [
        WatcherType::Children,
        WatcherType::Data,
        WatcherType::Any,
        WatcherType::Persistent,
        WatcherType::PersistentRecursive,
    ];
    pub fn from_number(number: i32) -> Option<WatcherType> {
        WatcherType::ALL.into_iter().find(|&t| t as i32 == number)
    }
    /// The modes that it means. Persistent ones always stand in both managers, so that looking at both or at one (as
    /// `DataTree.containsWatcher` does) is the same.
    pub(super) fn modes(self) -> Modes {
        match self {
            WatcherType::Children => Modes::CHILD_ONCE,
            WatcherType::Data => Modes::DATA_ONCE,
            WatcherType::Any => Modes::ALL,
            WatcherType::Persistent => WatchKind::Persistent.modes(),
            WatcherType::PersistentRecursive => Modes::RECURSIVE,
        }
    }
}

impl WatchKind {
    pub(super) fn modes(self) -> Modes {
        match self {
            WatchKind::Data => Modes::DATA_ONCE,
            WatchKind::Child => Modes::CHILD_ONCE,
            WatchKind::Persistent => Modes::DATA_PERSISTENT.with(Modes::CHILD_PERSISTENT),
            WatchKind::PersistentRecursive => Modes::RECURSIVE,
        }
    }
}

/// How many low bits of a word the modes take; the rest is the connection's slot.
pub(super) const MODE_BITS: u32 = 5;

/// The modes in which one connection watches one path; they coexist (ZOOKEEPER-4466).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Modes(pub u32);

impl Modes {
    pub const NONE: Modes = Modes(0);
    pub const DATA_ONCE: Modes = Modes(1);
    pub const DATA_PERSISTENT: Modes = Modes(2);
    /// In the data manager only.
    pub const RECURSIVE: Modes = Modes(4);
    pub const CHILD_ONCE: Modes = Modes(8);
    pub const CHILD_PERSISTENT: Modes = Modes(16);
    /// All that makes an entry of the reference's data manager.
    pub const DATA: Modes = Modes(1 | 2 | 4);
    pub const CHILD: Modes = Modes(8 | 16);
    pub const ALL: Modes = Modes((1 << MODE_BITS) - 1);

    pub fn with(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }
    pub fn without(self, other: Modes) -> Modes {
        Modes(self.0 & !other.0)
    }
    pub fn any(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a change does to the watches of its own path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    pub event: EventType,
    pub wakes: Modes,
    pub removes: Modes,
    /// Whether recursive watches above the path wake too.
    pub climbs: bool,
}

impl Effect {
    /// The reference's calls of `triggerWatch` in `DataTree.createNode`, `deleteNode` and `setData`. Child events ask the
    /// child manager alone, which has no recursive watches (ZOOKEEPER-4475).
    pub fn of(kind: ChangeKind) -> Effect {
        let (event, wakes, removes) = match kind {
            ChangeKind::Created => (EventType::NodeCreated, Modes::DATA, Modes::DATA_ONCE),
            ChangeKind::DataChanged => (EventType::NodeDataChanged, Modes::DATA, Modes::DATA_ONCE),
            ChangeKind::Deleted => (EventType::NodeDeleted, Modes::ALL, Modes::DATA_ONCE.with(Modes::CHILD_ONCE)),
            ChangeKind::ChildrenChanged => (EventType::NodeChildrenChanged, Modes::CHILD, Modes::CHILD_ONCE),
        };
        Effect { event, wakes, removes, climbs: kind != ChangeKind::ChildrenChanged }
    }
}
