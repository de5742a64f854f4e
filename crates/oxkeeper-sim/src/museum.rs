//! Bugs put in on purpose, by name. A checker that has never caught anything is not trusted.
//!
//! They stand where the simulator plays the edge of a server (its disk thread, its ports, its links), so that nothing of them
//! is in the product; each is what a careless edge or storage would do.

use oxkeeper_types::persist::{Persist, Persisted};

macro_rules! bugs {
    ($($bug:ident = $name:literal, $what:literal;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug { $(#[doc = $what] $bug,)* }

        impl Bug {
            pub const ALL: &[Bug] = &[$(Bug::$bug,)*];
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)* }
            }
            pub fn what(self) -> &'static str {
                match self { $(Bug::$bug => $what,)* }
            }
        }
    };
}

bugs! {
    AckBeforeSync = "ack-before-sync", "the disk answers when it is asked, and writes later";
    SyncErrorSwallowed = "sync-error-swallowed", "a failed write or sync is answered as done";
    AcceptedEpochNotWritten = "accepted-epoch-not-written", "acceptedEpoch is confirmed and not written";
    CurrentEpochNotWritten = "current-epoch-not-written", "currentEpoch is confirmed and not written";
    EpochBeforeLog = "epoch-before-log", "epochs of a batch are written before its transactions";
    LostTruncation = "lost-truncation", "TRUNC leaves the log as it is";
    TruncatesTooMuch = "truncates-too-much", "TRUNC cuts one transaction more than it was told";
    SnapshotBesideLog = "snapshot-beside-log", "a leader's snapshot is installed and the old log stays";
    HistoryWithHole = "history-with-hole", "a learner is sent the log without its second transaction";
    RecoveryForgets = "recovery-forgets", "a start drops the last transaction of the log";
    WatchAfterReply = "watch-after-reply", "answers leave before the events that stand in front of them";
    EventLost = "event-lost", "every twentieth watch event is lost";
    EventTwice = "event-twice", "every twentieth watch event is sent twice";
    ReplyLost = "reply-lost", "every fiftieth answer is lost";
    ReadOvertakesWrite = "read-overtakes-write", "reads do not wait for the writes before them";
    ServesWhileLooking = "serves-while-looking", "connections stay and are read from while there is no leader";
    SyncIsLocal = "sync-is-local", "sync is answered without asking the leader";
    ProposalLost = "proposal-lost", "every fiftieth PROPOSAL is lost on its link";
    CommitLost = "commit-lost", "every fiftieth COMMIT is lost on its link";
    UpToDateEarly = "uptodate-early", "a learner gets UPTODATE in the place of NEWLEADER";
    MessagesOvertake = "messages-overtake", "every hundredth packet of a link overtakes the one before it";
}

impl Bug {
    pub fn of_name(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| bug.name() == name)
    }

    /// What the disk is really asked for, and what it says without being asked.
    pub(crate) fn spoil_batch(self, batch: &mut Vec<Persist>) -> Vec<Persisted> {
        let mut lies = Vec::new();
        match self {
            Bug::AcceptedEpochNotWritten => batch.retain(|request| match request {
                Persist::AcceptedEpoch(epoch) => {
                    lies.push(Persisted::AcceptedEpoch(*epoch));
                    false
                }
                _ => true,
            }),
            Bug::CurrentEpochNotWritten => batch.retain(|request| match request {
                Persist::CurrentEpoch(epoch) => {
                    lies.push(Persisted::CurrentEpoch(*epoch));
                    false
                }
                _ => true,
            }),
            Bug::EpochBeforeLog => batch.sort_by_key(|request| matches!(request, Persist::Append { .. })),
            Bug::TruncatesTooMuch => batch.iter_mut().for_each(|request| {
                if let Persist::TruncateLog { zxid } = request
                    && zxid.counter() > 1
                {
                    zxid.0 -= 1;
                }
            }),
            _ => {}
        }
        lies
    }

    /// What a disk that has failed says all the same.
    pub(crate) fn pretend(batch: &[Persist]) -> Vec<Persisted> {
        batch
            .iter()
            .filter_map(|request| match request {
                Persist::Append { zxid, .. } => Some(Persisted::Log { through: *zxid }),
                Persist::AcceptedEpoch(epoch) => Some(Persisted::AcceptedEpoch(*epoch)),
                Persist::CurrentEpoch(epoch) => Some(Persisted::CurrentEpoch(*epoch)),
                Persist::RollLog | Persist::TruncateLog { .. } | Persist::InstallSnapshot { .. } => None,
            })
            .collect()
    }
}
