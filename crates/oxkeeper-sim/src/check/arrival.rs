//! Reads see what had arrived: whatever a server was told to be committed, or has told others, before the bytes of a read came is in
//! the answer, whether or not the server had looked at it by then.

use super::Checks;
use oxkeeper_proto::client::ReplyHeader;
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::Reader;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::Zxid;

fn commits(packet: &Packet) -> Option<Zxid> {
    match packet {
        Packet::Commit { zxid } | Packet::CommitAndActivate { zxid, .. } => Some(*zxid),
        Packet::Inform { zxid, .. } | Packet::InformAndActivate { zxid, .. } => Some(*zxid),
        _ => None,
    }
}

impl Checks {
    pub fn arrived(&self, server: usize) -> Zxid {
        self.arrived[server]
    }

    /// A packet is in the socket of this server, or has left it.
    pub fn on_told_committed(&mut self, server: usize, packet: &Packet) {
        let arrived = &mut self.arrived[server];
        *arrived = commits(packet).map_or(*arrived, |zxid| zxid.max(*arrived));
    }

    /// A server looks for a leader, and serves nobody. What it was told before its leader was established is not committed for good:
    /// in synchronisation a leader sends a COMMIT for its whole history.
    pub fn on_role_over(&mut self, server: usize) {
        self.arrived[server] = Zxid::ZERO;
    }

    /// The answer of a read leaves; `arrived` is what stood here when its bytes came.
    pub fn on_read_answered(&mut self, server: usize, arrived: Zxid, mut frames: &[u8]) {
        // Events of watches that were restored may stand before it.
        while let Frame::Whole { body, consumed } = frame::next(frames, frames.len()) {
            let zxid = ReplyHeader::read(&mut Reader::unbounded(body)).expect("a server's own answer").zxid;
            frames = &frames[consumed..];
            if frames.is_empty() && zxid < arrived {
                let text = format!(
                    "server {} answers a read at {zxid}; the COMMIT of {arrived} was there before it",
                    server + 1
                );
                self.fail("ArrivedRead", text);
            }
        }
        self.counts.reads_arrived += u64::from(arrived > Zxid::ZERO);
    }
}
