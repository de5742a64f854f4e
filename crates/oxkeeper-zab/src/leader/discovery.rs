//! Phase 1 on a leader: a quorum agrees to an epoch that none of it has promised before (paper: CEPOCH, NEWEPOCH, ACK-E).
//!
//! Owns both counts of it: promises asked for, promises given. Must not know histories beyond the last zxid: election has
//! chosen the longest one, and here it is only checked (paper, section 4.2 (fast leader election); QP037, a voter that is ahead).

use oxkeeper_types::{Epoch, Millis, Zxid};

use crate::core::Core;
use crate::epochs::EPOCH_MAX;
use crate::output::Output;
use crate::quorum::AckSet;

#[derive(Clone, Debug)]
pub(super) struct Discovery {
    /// When the step began.
    pub since: Millis,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    /// Until a quorum has told what it has promised.
    Gather { next: Epoch, heard: AckSet },
    /// Until a quorum has promised `epoch`; this server has when it is on its disk.
    Promise { epoch: Epoch, acked: AckSet },
}

impl Discovery {
    pub fn begin(core: &Core, now: Millis) -> Discovery {
        let mut heard = core.quorums().count();
        heard.add(core.me());
        let next = Epoch(core.epochs.accepted().max(core.promised_elsewhere).0 + 1);
        Discovery { since: now, step: Step::Gather { next, heard } }
    }

    pub fn epoch(&self) -> Option<Epoch> {
        match self.step {
            Step::Gather { .. } => None,
            Step::Promise { epoch, .. } => Some(epoch),
        }
    }

    /// The last epoch was promised already: nobody can lead any more.
    pub fn has_no_epoch(&self) -> bool {
        matches!(self.step, Step::Gather { next, .. } if next > EPOCH_MAX)
    }

    /// A learner has introduced itself, see [`Discovery::agree`].
    pub fn on_introduced(&mut self, id: oxkeeper_types::ServerId, observer: bool, accepted: Epoch) {
        if let Step::Gather { next, heard } = &mut self.step {
            *next = Epoch(next.0.max(accepted.0 + 1));
            if !observer {
                heard.add(id);
            }
        }
    }

    /// With a quorum: the epoch, and our own promise (QP033, one above every promise of a quorum).
    pub fn agree(&mut self, core: &mut Core, now: Millis, out: &mut Vec<Output>) {
        if let Step::Gather { next, heard } = &self.step
            && heard.has_quorum()
            && *next <= EPOCH_MAX
        {
            let epoch = *next;
            self.since = now;
            self.step = Step::Promise { epoch, acked: core.quorums().count() };
            core.ask_accepted_epoch(epoch, out);
        }
    }

    /// The epoch that learners may be asked to promise: ours is on disk (QP048, nothing is sent before).
    pub fn promised(&self, core: &Core) -> Option<Epoch> {
        self.epoch().filter(|epoch| core.epochs.has_accepted(*epoch))
    }

    /// A voter has promised, this server among them.
    pub fn on_promise(&mut self, id: oxkeeper_types::ServerId) {
        if let Step::Promise { acked, .. } = &mut self.step {
            acked.add(id);
        }
    }

    /// The epoch, once a quorum has promised it, this server included.
    pub fn agreed(&self, core: &Core) -> Option<Epoch> {
        match &self.step {
            Step::Promise { epoch, acked } if acked.contains(core.me()) && acked.has_quorum() => Some(*epoch),
            _ => None,
        }
    }
}

/// Whether a voter's history is better than ours: then it has to lead.
pub(super) fn is_ahead(theirs: (Epoch, Zxid), ours: (Epoch, Zxid)) -> bool {
    theirs > ours
}
