//! Phase 3 on a leader: PROPOSAL, ACK, COMMIT and INFORM (paper: PROPOSE, ACK, COMMIT).
//!
//! Owns the count of acknowledgements and the order of commits. A commit is decided for a prefix: the highest zxid that a
//! quorum has on disk, in every configuration in force. Must not know how a learner came to be synced.

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::persist::TxnBytes;
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use super::confirm::{Confirm, Next};
use super::learner::{Progress, State};
use super::{Leader, Phase};
use crate::core::{Core, Verdict, send};
use crate::input::LinkId;
use crate::misbehaved::Misbehaved;
use crate::output::{LinkEnd, Output, RoleChange};

#[derive(Clone, Debug)]
pub(super) struct Broadcast {
    pub epoch: Epoch,
    /// Our own log is on disk through this; zero before the first proposal is.
    own_acked: Zxid,
    confirm: Confirm,
    /// Who has what on disk, newest first; kept for its memory only.
    scratch: Vec<(Zxid, ServerId)>,
}

/// The zxid of the next proposal; `None` when the counter of the epoch is used up (QP082).
pub(super) fn next_zxid(core: &Core, epoch: Epoch) -> Option<Zxid> {
    let last = core.history.last_logged().max(Zxid::new(epoch, core.options.counter_initial));
    last.next().filter(|next| next.counter() <= core.options.counter_max)
}

impl Leader {
    /// A quorum has our history: the epoch is established, and what is in the history is committed.
    pub(super) fn establish(&mut self, core: &mut Core, now: Millis, epoch: Epoch, out: &mut Vec<Output>) {
        let (own_acked, confirm) = (Zxid::ZERO, Confirm::default());
        self.phase = Phase::Broadcast(Broadcast { epoch, own_acked, confirm, scratch: Vec::new() });
        core.election.set_peer_epoch(epoch);
        core.activate_configuration();
        out.push(Output::Role(RoleChange::Leading { epoch }));
        core.deliver(core.history.last_logged(), out);
        let synced = |link: &LinkId| matches!(self.learners[link].state, State::Synced);
        let links: Vec<LinkId> = self.learners.keys().copied().filter(synced).collect();
        for link in links {
            self.send_up_to_date(link, now, out);
        }
    }

    /// From here on the learner serves clients, acknowledges proposals and answers PING.
    pub(super) fn send_up_to_date(&mut self, link: LinkId, now: Millis, out: &mut Vec<Output>) {
        send(link, Packet::UpToDate { zxid: Zxid::NONE }, out);
        let learner = self.learners.get_mut(&link).expect("a synced learner");
        learner.enter(State::Broadcast(Progress::default()), now);
    }

    pub fn propose(&mut self, core: &mut Core, now: Millis, zxid: Zxid, txn: TxnBytes, out: &mut Vec<Output>) {
        let Phase::Broadcast(broadcast) = &self.phase else {
            panic!("{zxid} was proposed by a leader that is not established");
        };
        let expected = next_zxid(core, broadcast.epoch);
        assert_eq!(Some(zxid), expected, "the zxid of a proposal is the next one");
        core.append(zxid, txn.clone(), out);
        for (link, learner) in self.learners.iter_mut().filter(|(_, l)| !l.observer && l.is_forwarded_to()) {
            send(*link, Packet::Proposal { zxid, txn: txn.clone() }, out);
            learner.on_proposed(zxid, now);
        }
    }

    /// Our own log: the leader's ack is no better than a follower's (QP052).
    pub fn on_logged(&mut self, core: &mut Core, zxids: &[Zxid], out: &mut Vec<Output>) -> Verdict {
        let Phase::Broadcast(broadcast) = &mut self.phase else { return Verdict::Stay };
        let Some(last) = zxids.last() else { return Verdict::Stay };
        broadcast.own_acked = *last;
        self.commit_acked(core, out)
    }

    pub(super) fn on_ack(
        &mut self,
        core: &mut Core,
        link: LinkId,
        zxid: Zxid,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Misbehaved> {
        let learner = self.learners.get_mut(&link).expect("an ACK comes from a learner");
        // With counter 0: of UPTODATE. From an observer: of no consequence (QP084).
        if zxid.counter() == 0 || learner.observer {
            return Ok(Verdict::Stay);
        }
        let proposed = core.history.last_logged();
        if zxid > proposed {
            return Err(Misbehaved::AckAhead { proposed, got: zxid });
        }
        learner.on_ack(zxid);
        if zxid <= core.committed {
            return Ok(Verdict::Stay);
        }
        Ok(self.commit_acked(core, out))
    }

    /// Commits what a quorum has on disk by now. To be asked whenever something more counts: an acknowledgement, our own disk,
    /// a learner whose acknowledgements count from now on.
    pub(super) fn commit_acked(&mut self, core: &mut Core, out: &mut Vec<Output>) -> Verdict {
        let Phase::Broadcast(broadcast) = &mut self.phase else { return Verdict::Stay };
        let committed = core.committed;
        let acks = &mut broadcast.scratch;
        acks.clear();
        acks.push((broadcast.own_acked, core.me()));
        acks.extend(self.learners.values().filter_map(|l| l.acked_as_voter().map(|acked| (acked, l.id))));
        acks.retain(|(acked, _)| *acked > committed);
        acks.sort_unstable_by(|a, b| b.cmp(a));
        let quorums = core.quorums();
        let has_quorum = |through: Zxid| {
            quorums.contains_where(|server| acks.iter().any(|(acked, id)| *id == server && *acked >= through))
        };
        match acks.iter().map(|(acked, _)| *acked).find(|acked| has_quorum(*acked)) {
            Some(through) => self.commit(core, through, out),
            None => {
                // A proposal sent after a request of confirmation may have been acknowledged.
                self.check_confirmation(core, out);
                Verdict::Stay
            }
        }
    }

    /// COMMIT and INFORM in the order of zxids on each link (QP083, commits are in order; QP085, who gets which).
    fn commit(&mut self, core: &mut Core, through: Zxid, out: &mut Vec<Output>) -> Verdict {
        let Phase::Broadcast(broadcast) = &mut self.phase else { unreachable!("only in broadcast") };
        let (confirmed, next) = broadcast.confirm.committed(through);
        let epoch = broadcast.epoch;
        if let Some(number) = confirmed {
            out.push(Output::LeadershipConfirmed { number });
        }
        let committed = core.committed;
        for (zxid, txn) in core.history.behind(committed).take_while(|(zxid, _)| *zxid <= through) {
            for (link, learner) in self.learners.iter().filter(|(_, learner)| learner.is_forwarded_to()) {
                let packet = if learner.observer {
                    Packet::Inform { zxid: *zxid, txn: txn.clone() }
                } else {
                    Packet::Commit { zxid: *zxid }
                };
                send(*link, packet, out);
            }
        }
        core.deliver(through, out);
        if next == Next::Ask {
            self.ask_for_confirmation(core, out);
        }
        self.check_confirmation(core, out);
        // The counter is used up and nothing is in doubt any more: a new epoch (reference `XidRolloverException`, which
        // gives up what is outstanding).
        if next_zxid(core, epoch).is_none() && core.history.outstanding() == 0 {
            return Verdict::Over(LinkEnd::RoleOver);
        }
        Verdict::Stay
    }
}

/// Confirmation of leadership, see [`super::confirm`].
impl Leader {
    pub fn confirm_leadership(&mut self, core: &mut Core, out: &mut Vec<Output>) {
        let Phase::Broadcast(broadcast) = &mut self.phase else {
            panic!("confirmation was asked of a leader that is not established");
        };
        if broadcast.confirm.takes_new_number() {
            core.confirm_number += 1;
        }
        if broadcast.confirm.request(core.confirm_number, core.history.last_logged()) == Next::Ask {
            self.ask_for_confirmation(core, out);
            self.check_confirmation(core, out);
        }
    }

    fn ask_for_confirmation(&mut self, core: &Core, out: &mut Vec<Output>) {
        self.send_pings(core, out);
        for learner in self.learners.values_mut() {
            if let State::Broadcast(progress) = &mut learner.state {
                progress.round_begins();
            }
        }
    }

    pub(super) fn check_confirmation(&mut self, core: &Core, out: &mut Vec<Output>) {
        loop {
            let Phase::Broadcast(broadcast) = &mut self.phase else { return };
            let Some(round) = broadcast.confirm.open() else { return };
            let is_loyal = |server: ServerId| {
                server == core.me()
                    || self.learners.values().any(|learner| match &learner.state {
                        State::Broadcast(progress) if learner.id == server && !learner.observer => {
                            progress.answered_round() || learner.acked > round.proposed
                        }
                        _ => false,
                    })
            };
            if !core.quorums().contains_where(is_loyal) {
                return;
            }
            out.push(Output::LeadershipConfirmed { number: round.number });
            if broadcast.confirm.confirmed() == Next::Wait {
                return;
            }
            self.ask_for_confirmation(core, out);
        }
    }

    pub(super) fn send_pings(&mut self, core: &Core, out: &mut Vec<Output>) {
        let Phase::Broadcast(Broadcast { epoch, .. }) = self.phase else { return };
        let zxid = core.history.last_logged().max(Zxid::new(epoch, 0));
        for (link, learner) in &mut self.learners {
            if let State::Broadcast(progress) = &mut learner.state {
                progress.ping_sent();
                send(*link, Packet::Ping { zxid, touched: None }, out);
            }
        }
    }
}
