//! Bugs put in on purpose, by name. A checker that has never caught anything is not trusted.
//!
//! They stand where the simulator plays the edge of a server (its disk thread, its ports, its links), so that nothing of them
//! is in the product; each is what a careless edge or storage would do.

use bytes::Bytes;
use oxkeeper_proto::txn::{Txn, TxnEntry};
use oxkeeper_types::persist::{Persist, Persisted};

macro_rules! bugs {
    ($($bug:ident = $name:literal, $what:literal, $like:literal, $seed:literal;)*) => {
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
            /// Where this has happened to others: numbers are ZOOKEEPER tickets, others name their project.
            pub fn like(self) -> &'static str {
                match self { $(Bug::$bug => $like,)* }
            }
            /// A seed that finds it, and is tried first.
            pub fn seed(self) -> u64 {
                match self { $(Bug::$bug => $seed,)* }
            }
        }
    };
}

bugs! {
    AckBeforeSync = "ack-before-sync", "the disk answers when it is asked, and writes later", "4646, etcd 14370", 1;
    DiffAckedBeforeSync = "diff-acked-before-sync", "the same, but only while a learner synchronises", "3911, 4646, 4785", 1;
    ForceSyncOff = "force-sync-off", "transactions are written and never synced", "forceSync=no", 8;
    SyncErrorSwallowed = "sync-error-swallowed", "a failed write or sync is answered as done", "fsyncgate", 25;
    AcceptedEpochNotWritten = "accepted-epoch-not-written", "acceptedEpoch is confirmed and not written", "", 1;
    CurrentEpochNotWritten = "current-epoch-not-written", "currentEpoch is confirmed and not written", "", 1;
    EpochBeforeLog = "epoch-before-log", "epochs of a batch are written before its transactions", "4643", 1;
    LostTruncation = "lost-truncation", "TRUNC leaves the log as it is", "2845, 3023", 3;
    TruncatesTooMuch = "truncates-too-much", "TRUNC cuts one transaction more than it was told", "", 19;
    SnapshotBesideLog = "snapshot-beside-log", "a leader's snapshot is installed and the old log stays", "etcd 13766", 1491;
    SnapshotNamedTooLate = "snapshot-named-too-late", "a snapshot is named for the transaction behind its last", "etcd 14685", 3;
    HistoryWithHole = "history-with-hole", "a learner is sent the log without its second transaction", "4925", 21;
    DiffForSnapshot = "diff-for-snapshot", "a learner that needs a snapshot gets an empty DIFF", "4352", 2;
    RecoveryForgets = "recovery-forgets", "a start drops the last transaction of the log", "4685", 4;
    EmptyLogRefused = "empty-log-refused", "a log without a whole header stops the start", "1621, 2332", 10;
    LongRecordRefused = "long-record-refused", "the log is read back with a smaller limit than it is written with", "pravega 477", 37;
    WatchAfterReply = "watch-after-reply", "answers leave before the events that stand in front of them", "etcd 15220", 1;
    EventLost = "event-lost", "every twentieth watch event is lost", "etcd 17529", 2;
    EventTwice = "event-twice", "every twentieth watch event is sent twice", "etcd 18089", 1;
    MultiEventLost = "multi-event-lost", "of several events of one transaction only the first is sent", "zookeeper-client-rust 82", 2;
    SetWatchesIgnored = "set-watches-ignored", "watches are not registered again after a reconnect", "etcd 20221", 1;
    SetWatchesTooBig = "set-watches-too-big", "a connection that restores many watches is closed", "706", 2;
    ReplyLost = "reply-lost", "every fiftieth answer is lost", "", 2;
    ReadOvertakesWrite = "read-overtakes-write", "reads do not wait for the writes before them", "ClickHouse 100415", 2;
    ReadBeforeApply = "read-before-apply", "reads do not wait until what has arrived as committed is applied", "", 9;
    ReadWithoutLook = "read-without-look", "reads are answered before the leader's socket is read", "", 9;
    ServesWhileLooking = "serves-while-looking", "connections stay and are read from while there is no leader", "4712", 8;
    SyncIsLocal = "sync-is-local", "sync is answered without asking the leader", "etcd 20418", 10;
    SyncOvertaken = "sync-overtaken", "a leader's SYNC leaves behind the COMMITs of the same step", "", 2;
    SyncAtApply = "sync-at-apply", "a leader's SYNC leaves when it has applied what was proposed before the sync", "", 2;
    WallClockTimeouts = "wall-clock-timeouts", "timeouts are measured with the wall clock", "1366", 951;
    ProposalLost = "proposal-lost", "every fiftieth PROPOSAL is lost on its link", "2355", 2;
    CloseAltered = "close-altered", "a learner deletes all but one ephemeral of a closed session", "1208, ClickHouse 65198", 1;
    CommitLost = "commit-lost", "every fiftieth COMMIT is lost on its link", "", 8;
    CommitWithProposal = "commit-with-proposal", "COMMIT is sent with the PROPOSAL, before a quorum has it", "4394", 27;
    AckTooFar = "ack-too-far", "a learner acknowledges one transaction more than it has", "ClickHouse 102629", 1;
    QuorumMiscounted = "quorum-miscounted", "a server counts its own vote for as much as all others", "3829", 1;
    VoteWithoutZxid = "vote-without-zxid", "notifications do not tell how far the candidate's log goes", "", 1;
    UpToDateEarly = "uptodate-early", "a learner gets UPTODATE in the place of NEWLEADER", "4643", 1;
    LimitNotPassedOn = "limit-not-passed-on", "syncLimit is not handed to consensus, which waits for its disk and its peers at ease", "", 86;
    EarlyAckForgotten = "early-ack-forgotten", "a leader forgets what was acknowledged before NEWLEADER", "3911", 28;
    StrangerBelieved = "stranger-believed", "what a stranger says of epochs ends leaders, as often as it says it", "", 5;
    OldListKept = "old-list-kept", "the first list of members is kept, and counts beside those that come by files", "3814, 3829, 3830, 3842", 2;
    PromiseNotCounted = "promise-not-counted", "a promise with a wish for a snapshot does not tell what history it stands upon, so it is not counted", "", 3;
    UsedUpEpochRefused = "used-up-epoch-refused", "a start refuses a log that goes on behind the end of an epoch's counter", "1277", 5;
    PassedEpochRefused = "passed-epoch-refused", "a start of a server on its own refuses a log in which 0x100000000 follows 0xffffffff", "1277", 25;
    MessagesOvertake = "messages-overtake", "every hundredth packet of a link overtakes the one before it", "", 2;
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

    /// A closed session's list without its last ephemeral.
    pub(crate) fn alter_close(bytes: &Bytes) -> Bytes {
        let Ok(mut entry) = TxnEntry::read(bytes) else { return bytes.clone() };
        let Txn::CloseSession { paths: Some(paths) } = &mut entry.txn else { return bytes.clone() };
        paths.pop();
        let mut altered = Vec::new();
        entry.write(&mut altered);
        altered.into()
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
