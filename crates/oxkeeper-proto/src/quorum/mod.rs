//! Packets between a leader and its learners, back to back without a frame length (reference `QuorumPacket`, inventory
//! §2.2). [`Packet`] is the typed form; [`read`] cuts one off the front of a stream.

mod learner;

pub use learner::{AckEpoch, Forwarded, LEARNER_PROTOCOL, LearnerInfo, Revalidate, SessionTouch};

use crate::jute::{DecodeError, Reader, Writer, read_id_list};
use bytes::Bytes;
use oxkeeper_types::{Epoch, Id, ServerId, Zxid};
use std::sync::Arc;

/// Text behind the raw snapshot stream of a SNAP (reference `LearnerHandler`).
pub const SNAP_SIGNATURE: &str = "BenWasHere";

/// A packet with its meaning. Epochs travel as zxids whose counter is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// Learner to leader: a client's write or sync to be proposed there.
    Request {
        request: Forwarded,
        auth: Arc<[Id]>,
    },
    Proposal {
        zxid: Zxid,
        txn: Bytes,
    },
    Ack {
        zxid: Zxid,
    },
    Commit {
        zxid: Zxid,
    },
    /// From the leader without sessions; the answer carries what was touched, and echoes the zxid. A leader of the
    /// reference ends the link on an answer without any, which is not the same as none (`LearnerHandler.run`).
    Ping {
        zxid: Zxid,
        touched: Option<Vec<SessionTouch>>,
    },
    Revalidate(Revalidate),
    /// One for each forwarded sync, in order.
    Sync {
        zxid: Zxid,
    },
    /// Proposal and commit in one, for observers.
    Inform {
        zxid: Zxid,
        txn: Bytes,
    },
    CommitAndActivate {
        zxid: Zxid,
        leader: ServerId,
    },
    NewLeader {
        epoch: Epoch,
        config: Option<String>,
    },
    FollowerInfo {
        accepted_epoch: Epoch,
        info: LearnerInfo,
    },
    UpToDate {
        zxid: Zxid,
    },
    Diff {
        zxid: Zxid,
    },
    Trunc {
        zxid: Zxid,
    },
    /// A raw snapshot stream follows, then [`SNAP_SIGNATURE`].
    Snap {
        zxid: Zxid,
    },
    ObserverInfo {
        accepted_epoch: Epoch,
        info: LearnerInfo,
    },
    LeaderInfo {
        epoch: Epoch,
        protocol_version: i32,
    },
    AckEpoch(AckEpoch),
    InformAndActivate {
        zxid: Zxid,
        leader: ServerId,
        txn: Bytes,
    },
}

macro_rules! packet_types {
    ($($name:ident = $number:literal;)*) => { $(const $name: i32 = $number;)* };
}
packet_types! {
    REQUEST = 1; PROPOSAL = 2; ACK = 3; COMMIT = 4; PING = 5; REVALIDATE = 6; SYNC = 7; INFORM = 8; COMMITANDACTIVATE = 9;
    NEWLEADER = 10; FOLLOWERINFO = 11; UPTODATE = 12; DIFF = 13; TRUNC = 14; SNAP = 15; OBSERVERINFO = 16; LEADERINFO = 17;
    ACKEPOCH = 18; INFORMANDACTIVATE = 19;
}

const fn epoch_zxid(epoch: Epoch) -> Zxid {
    Zxid(epoch.0 << 32)
}

impl Packet {
    /// The name of its type, as the reference writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Packet::Request { .. } => "REQUEST",
            Packet::Proposal { .. } => "PROPOSAL",
            Packet::Ack { .. } => "ACK",
            Packet::Commit { .. } => "COMMIT",
            Packet::Ping { .. } => "PING",
            Packet::Revalidate(_) => "REVALIDATE",
            Packet::Sync { .. } => "SYNC",
            Packet::Inform { .. } => "INFORM",
            Packet::CommitAndActivate { .. } => "COMMITANDACTIVATE",
            Packet::NewLeader { .. } => "NEWLEADER",
            Packet::FollowerInfo { .. } => "FOLLOWERINFO",
            Packet::UpToDate { .. } => "UPTODATE",
            Packet::Diff { .. } => "DIFF",
            Packet::Trunc { .. } => "TRUNC",
            Packet::Snap { .. } => "SNAP",
            Packet::ObserverInfo { .. } => "OBSERVERINFO",
            Packet::LeaderInfo { .. } => "LEADERINFO",
            Packet::AckEpoch(_) => "ACKEPOCH",
            Packet::InformAndActivate { .. } => "INFORMANDACTIVATE",
        }
    }

    /// Appends the packet as it stands in the stream.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out);
        let mut plain = |kind: i32, zxid: Zxid, data: Option<&[u8]>| write_packet(&mut w, kind, zxid, data, None);
        match self {
            Packet::Request { request, auth } => {
                write_packet(&mut w, REQUEST, Zxid::NONE, Some(&request.to_bytes()), Some(auth));
            }
            Packet::Proposal { zxid, txn } => plain(PROPOSAL, *zxid, Some(txn)),
            Packet::Ack { zxid } => plain(ACK, *zxid, None),
            Packet::Commit { zxid } => plain(COMMIT, *zxid, None),
            Packet::Ping { zxid, touched } => {
                plain(PING, *zxid, touched.as_deref().map(SessionTouch::to_bytes).as_deref());
            }
            Packet::Revalidate(r) => plain(REVALIDATE, Zxid::NONE, Some(&r.to_bytes())),
            Packet::Sync { zxid } => plain(SYNC, *zxid, None),
            Packet::Inform { zxid, txn } => plain(INFORM, *zxid, Some(txn)),
            Packet::CommitAndActivate { zxid, leader } => {
                plain(COMMITANDACTIVATE, *zxid, Some(&leader.0.to_be_bytes()));
            }
            Packet::NewLeader { epoch, config } => {
                plain(NEWLEADER, epoch_zxid(*epoch), config.as_ref().map(|c| c.as_bytes()));
            }
            Packet::FollowerInfo { accepted_epoch, info } => {
                plain(FOLLOWERINFO, epoch_zxid(*accepted_epoch), Some(&info.to_bytes()));
            }
            Packet::UpToDate { zxid } => plain(UPTODATE, *zxid, None),
            Packet::Diff { zxid } => plain(DIFF, *zxid, None),
            Packet::Trunc { zxid } => plain(TRUNC, *zxid, None),
            Packet::Snap { zxid } => plain(SNAP, *zxid, None),
            Packet::ObserverInfo { accepted_epoch, info } => {
                plain(OBSERVERINFO, epoch_zxid(*accepted_epoch), Some(&info.to_bytes()));
            }
            Packet::LeaderInfo { epoch, protocol_version } => {
                plain(LEADERINFO, epoch_zxid(*epoch), Some(&protocol_version.to_be_bytes()));
            }
            Packet::AckEpoch(ack) => plain(ACKEPOCH, ack.last_zxid, Some(&ack.to_bytes())),
            Packet::InformAndActivate { zxid, leader, txn } => {
                let mut data = leader.0.to_be_bytes().to_vec();
                data.extend_from_slice(txn);
                plain(INFORMANDACTIVATE, *zxid, Some(&data));
            }
        }
    }
}

fn write_packet(w: &mut Writer, kind: i32, zxid: Zxid, data: Option<&[u8]>, auth: Option<&[Id]>) {
    w.int(kind);
    w.long(zxid.0);
    w.buffer(data);
    match auth {
        None => w.int(-1),
        Some(ids) => {
            w.count(ids.len());
            ids.iter().for_each(|id| w.id(id));
        }
    }
}

/// What stands at the front of a learner stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PacketRead {
    Whole {
        packet: Packet,
        consumed: usize,
    },
    /// More bytes are needed.
    Partial,
}

/// Cuts one packet off the front of `stream`. `length_max` bounds its data (`jute.maxbuffer` + extrasize).
pub fn read(stream: &Bytes, length_max: usize) -> Result<PacketRead, DecodeError> {
    let mut r = Reader::new(stream, length_max);
    match read_whole(&mut r, stream) {
        Ok(packet) => Ok(PacketRead::Whole { packet, consumed: r.position() }),
        // Cut short at the end of what is there: wait for more. Inside the data a short record is a fault.
        Err(DecodeError::Truncated { at, .. }) if at == stream.len() => Ok(PacketRead::Partial),
        Err(fault) => Err(fault),
    }
}

fn read_whole(r: &mut Reader, stream: &Bytes) -> Result<Packet, DecodeError> {
    let kind = r.int()?;
    let zxid = Zxid(r.long()?);
    let data = r.buffer()?.map(|d| stream.slice_ref(d));
    let auth = read_id_list(r)?;
    let end = r.position();
    // From here on everything is there, so nothing may look like "more bytes needed".
    decode(kind, zxid, data, auth).map_err(|fault| match fault {
        DecodeError::Truncated { wanted, .. } => {
            DecodeError::UnreasonableLength { at: end, length: -(wanted as i64), max: 0 }
        }
        other => other,
    })
}

fn decode(kind: i32, zxid: Zxid, data: Option<Bytes>, auth: Vec<Id>) -> Result<Packet, DecodeError> {
    let body = data.clone().unwrap_or_default();
    let mut r = Reader::unbounded(&body);
    Ok(match kind {
        REQUEST => Packet::Request { request: Forwarded::read(&body)?, auth: auth.into() },
        PROPOSAL => Packet::Proposal { zxid, txn: body },
        ACK => Packet::Ack { zxid },
        COMMIT => Packet::Commit { zxid },
        PING => {
            let touched = data.as_ref().map(|_| SessionTouch::read_all(&mut r)).transpose()?;
            Packet::Ping { zxid, touched }
        }
        REVALIDATE => Packet::Revalidate(Revalidate::read(&mut r)?),
        SYNC => Packet::Sync { zxid },
        INFORM => Packet::Inform { zxid, txn: body },
        COMMITANDACTIVATE => Packet::CommitAndActivate { zxid, leader: ServerId(r.long()?) },
        NEWLEADER => {
            let config = data.map(|d| String::from_utf8_lossy(&d).into_owned());
            Packet::NewLeader { epoch: zxid.epoch(), config }
        }
        FOLLOWERINFO => Packet::FollowerInfo { accepted_epoch: zxid.epoch(), info: LearnerInfo::read(&mut r)? },
        UPTODATE => Packet::UpToDate { zxid },
        DIFF => Packet::Diff { zxid },
        TRUNC => Packet::Trunc { zxid },
        SNAP => Packet::Snap { zxid },
        OBSERVERINFO => Packet::ObserverInfo { accepted_epoch: zxid.epoch(), info: LearnerInfo::read(&mut r)? },
        LEADERINFO => Packet::LeaderInfo { epoch: zxid.epoch(), protocol_version: r.int()? },
        ACKEPOCH => Packet::AckEpoch(AckEpoch::read(zxid, &mut r)?),
        INFORMANDACTIVATE => {
            let leader = ServerId(r.long()?);
            Packet::InformAndActivate { zxid, leader, txn: body.slice(8..) }
        }
        other => return Err(DecodeError::Unknown { at: 0, what: "quorum packet type", value: other.into() }),
    })
}

#[cfg(test)]
mod tests;
