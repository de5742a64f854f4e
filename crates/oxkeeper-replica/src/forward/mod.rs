//! Traffic between a leader and its learners beside consensus: requests, syncs, and who is alive. Both ends.
//!
//! | packet | from | means | answered by |
//! |---|---|---|---|
//! | REQUEST | learner | a client's write, sync, or a session that opens or closes | the commit of its transaction, or SYNC |
//! | REVALIDATE | learner | does this session live? It is served here now | REVALIDATE |
//! | PING | leader | are you there? | PING with the sessions that were active |
//!
//! Must not know how links are made or how transactions are agreed on.

mod leader;
mod learner;

pub(crate) use learner::Forwarding;

use crate::input::Now;
use crate::output::Outputs;
use crate::replica::Replica;
use crate::state::State;
use oxkeeper_proto::quorum::{Packet, Revalidate};
use oxkeeper_zab::{Input, LinkEnd, LinkId};

impl Replica {
    /// Something happened on the election port or the quorum port: what is not consensus is dealt with here.
    pub(crate) fn on_peer(&mut self, state: &State, now: Now, input: Input, out: &mut Outputs) {
        let Input::Packet { link, packet } = input else {
            return self.on_zab(state, now, input, out);
        };
        let from_leader = self.peers().zab.leader_link() == Some(link);
        if from_leader && let Err(why) = self.read_proposal(&packet) {
            return self.cut(state, now, link, why, out);
        }
        match packet {
            Packet::Ping { zxid, touched } => {
                if from_leader {
                    // Before UPTODATE a leader of the reference expects acknowledgements and nothing else.
                    if self.peers().is_settled() {
                        self.answer_ping(link, zxid, out);
                    }
                } else {
                    self.on_touched(touched.as_deref().unwrap_or_default(), now);
                }
                self.on_zab(state, now, Input::Packet { link, packet: Packet::Ping { zxid, touched } }, out);
            }
            Packet::Revalidate(Revalidate::Answer { session, valid }) if from_leader => {
                self.on_revalidated(now, session, valid, out);
            }
            Packet::Sync { .. } if from_leader => self.on_sync_answered(state, now, link, out),
            Packet::Request { .. } | Packet::Revalidate(Revalidate::Ask { .. }) if self.serves_learner(link) => {
                match packet {
                    Packet::Request { request, auth } => self.on_request(state, now, link, request, auth, out),
                    Packet::Revalidate(Revalidate::Ask { session, timeout_ms }) => {
                        self.on_revalidate(now, link, session, timeout_ms, out);
                    }
                    _ => unreachable!("one of the two"),
                }
            }
            Packet::Request { .. } | Packet::Revalidate(_) | Packet::Sync { .. } => {
                let why = format!("{} from a peer that is in no position to send it", packet.name());
                self.cut(state, now, link, why, out);
            }
            packet => self.on_zab(state, now, Input::Packet { link, packet }, out),
        }
    }

    fn serves_learner(&mut self, link: LinkId) -> bool {
        let ensemble = self.peers();
        ensemble.is_leading() && ensemble.zab.learner_of(link).is_some()
    }

    /// The peer broke the protocol.
    fn cut(&mut self, state: &State, now: Now, link: LinkId, why: String, out: &mut Outputs) {
        out.peers.push(crate::output::PeerOutput::CloseLink { link, why: LinkEnd::Misbehaved(why) });
        self.on_zab(state, now, Input::LinkClosed { link }, out);
    }
}
