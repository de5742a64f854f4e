//! What an operator can set that changes decisions of consensus, and what a server starts with.

use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::persist::TxnBytes;
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

/// Checked settings. Defaults are the reference's.
#[derive(Clone, Debug)]
pub struct ZabOptions {
    pub me: ServerId,
    /// The active configuration: members, roles, weights and groups, version.
    pub ensemble: Ensemble,
    /// A configuration that was proposed and not activated before the last stop (last seen verifier), if it differs. Counts with
    /// `reconfig_enabled` only.
    pub last_seen: Option<Ensemble>,
    /// `tickTime`
    pub tick: Millis,
    /// Ticks: `initLimit`, `syncLimit`.
    pub init_limit: u32,
    pub sync_limit: u32,
    /// `zookeeper.fastleader.minNotificationInterval`, `maxNotificationInterval`
    pub notification_min: Millis,
    pub notification_max: Millis,
    /// How long a quorum of equal votes waits for something better (reference `finalizeWait`: 200 ms); cut short when every
    /// voter that can be reached has answered.
    pub finalize_wait: Millis,
    /// `zookeeper.leader.maxTimeToWaitForEpoch`; `None`: off.
    pub epoch_wait_max: Option<Millis>,
    /// `zookeeper.commitLogCount`: committed transactions kept in memory for DIFF.
    pub commit_log_count: usize,
    /// What the counter of an epoch begins behind (`zookeeper.testingonly.initialZxid`): 0, but where a test is to see its end.
    pub counter_initial: u32,
    /// The last counter of an epoch: behind it a new epoch begins, as in the reference. Only tests have shorter epochs.
    pub counter_max: u32,
    /// `zookeeper.forceSnapshotSync`
    pub force_snapshot_sync: bool,
    /// `zookeeper.snapshotSizeFactor` < 0 switches synchronisation from the log on disk off.
    pub sync_from_disk: bool,
    /// `zookeeper.leader.maxConcurrentSnapSyncs`, `maxConcurrentDiffSyncs` (observers only).
    pub snapshot_syncs_max: u32,
    pub diff_syncs_max: u32,
    /// Observers only, `observer.election.DelayMs`: they pause for less than this before they look for another leader, each for
    /// a time of its own, so that not all come back at one moment.
    pub observer_election_delay: Millis,
    /// Differs from process to process: pauses are drawn from it.
    pub seed: u64,
    /// `reconfigEnabled`: the first configuration gets a version, a leader's newer one counts, and so does, while looking, one that
    /// comes with a notification (EL052). Without it the list of this server's files is the only one.
    pub reconfig_enabled: bool,
}

impl ZabOptions {
    pub fn new(me: ServerId, ensemble: Ensemble) -> ZabOptions {
        ZabOptions {
            me,
            ensemble,
            last_seen: None,
            tick: Millis(2000),
            init_limit: 10,
            sync_limit: 5,
            notification_min: Millis(200),
            notification_max: Millis(60_000),
            finalize_wait: Millis(200),
            epoch_wait_max: None,
            commit_log_count: 500,
            counter_initial: 0,
            counter_max: 0xffff_fffe,
            force_snapshot_sync: false,
            sync_from_disk: true,
            snapshot_syncs_max: 10,
            diff_syncs_max: 100,
            observer_election_delay: Millis(200),
            seed: 0,
            reconfig_enabled: false,
        }
    }

    /// The configuration that counts beside the active one, if reconfiguration is enabled.
    pub(crate) fn last_seen(&self) -> Option<Ensemble> {
        self.last_seen.clone().filter(|_| self.reconfig_enabled)
    }
}

/// What recovery found on disk.
#[derive(Clone, Debug)]
pub struct Durable {
    pub accepted_epoch: Epoch,
    pub current_epoch: Epoch,
    /// The last transaction in the log; the tree has it applied. [`Zxid::NONE`] where an empty database may not be trusted:
    /// such a server does not vote for itself (EL036).
    pub last_logged: Zxid,
    /// The end of the log, oldest first, contiguous up to `last_logged`: at most `commit_log_count`, perhaps none.
    pub recent: Vec<(Zxid, TxnBytes)>,
    /// The zxid before the oldest of `recent`; `last_logged` where there are none.
    pub recent_after: Zxid,
}
