//! Phase 3 on an observer: INFORM, proposal and COMMIT in one.
//!
//! Owns nothing but the link and the epoch: what comes is committed. Discovery and synchronisation are the follower's
//! ([`crate::follower`]), with OBSERVERINFO for FOLLOWERINFO. An observer acknowledges NEWLEADER and UPTODATE, since the
//! leader's side waits for that, and nothing else.

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::{Epoch, Zxid};

use crate::core::Core;
use crate::follower::{SyncedHistory, check_follows, repeats_zxid};
use crate::input::LinkId;
use crate::misbehaved::{Misbehaved, unexpected};
use crate::output::{Notice, Output};

#[derive(Clone, Debug)]
pub(crate) struct Inform {
    link: LinkId,
    epoch: Epoch,
}

impl Inform {
    pub fn begin(core: &mut Core, synced: SyncedHistory, out: &mut Vec<Output>) -> Inform {
        let SyncedHistory { link, epoch, mut backlog, .. } = synced;
        let mut last = None;
        // A proposal without a COMMIT is no business of an observer: it will be told by INFORM.
        for (zxid, txn) in backlog.take_committed() {
            core.append_proposed(zxid, txn, out);
            last = Some(zxid);
        }
        if let Some(through) = last {
            core.deliver(through, out);
        }
        Inform { link, epoch }
    }

    pub fn link(&self) -> LinkId {
        self.link
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn on_packet(&mut self, core: &mut Core, packet: Packet, out: &mut Vec<Output>) -> Result<(), Misbehaved> {
        match packet {
            Packet::Inform { zxid, txn } | Packet::InformAndActivate { zxid, txn, .. } => {
                let last = core.history.last_logged();
                if repeats_zxid(zxid, &txn, last) {
                    out.push(Output::Tell(Notice::PassedOver { zxid }));
                    return Ok(());
                }
                check_follows(zxid, last, self.epoch)?;
                core.append_proposed(zxid, txn, out);
                core.deliver(zxid, out);
                Ok(())
            }
            other => Err(unexpected("INFORM or PING", &other)),
        }
    }

    pub fn invariants(&self, core: &Core) {
        assert_eq!(
            core.committed,
            Zxid::max(core.committed, core.history.last_logged()),
            "an observer holds back nothing"
        );
    }
}
