//! The data fields of learner packets.

use crate::jute::{DecodeError, Reader, Writer};
use bytes::Bytes;
use oxkeeper_types::{Epoch, ServerId, SessionId, Xid, Zxid};

/// Version of the protocol between leader and learner, the same in every release since 3.4.
pub const LEARNER_PROTOCOL: i32 = 0x1_0000;

/// How a learner introduces itself. 20 bytes; older servers send less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerInfo {
    /// `None` where the packet had no data: the leader makes up a negative id.
    pub server: Option<ServerId>,
    pub protocol_version: i32,
    pub config_version: Zxid,
}

impl LearnerInfo {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(20);
        let mut w = Writer::new(&mut out);
        w.long(self.server.expect("we always know who we are").0);
        w.int(self.protocol_version);
        w.long(self.config_version.0);
        out
    }
    pub(super) fn read(r: &mut Reader) -> Result<LearnerInfo, DecodeError> {
        let left = r.remaining().len();
        Ok(LearnerInfo {
            server: if left >= 8 { Some(ServerId(r.long()?)) } else { None },
            protocol_version: if left >= 12 { r.int()? } else { 0 },
            config_version: if left >= 20 { Zxid(r.long()?) } else { Zxid::ZERO },
        })
    }
}

/// Answer to LEADERINFO.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AckEpoch {
    /// `None` (-1 on the wire): this learner had accepted the epoch before, so it does not vote for it again.
    pub current_epoch: Option<Epoch>,
    /// The history that the leader may build upon ends here; [`Zxid::NONE`]: there is none, a snapshot is asked for.
    pub last_zxid: Zxid,
    /// Where a snapshot is asked for though there is a history: its end. Eight bytes behind the epoch; the reference reads the
    /// epoch alone, and does not send them.
    pub kept: Option<Zxid>,
}

impl AckEpoch {
    /// The end of the history that the learner has, whether the leader may build upon it or not. `None`: it knows of none.
    pub fn end_of_history(&self) -> Option<Zxid> {
        if self.last_zxid == Zxid::NONE { self.kept } else { Some(self.last_zxid) }
    }
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        let mut w = Writer::new(&mut out);
        w.int(self.current_epoch.map_or(-1, |epoch| epoch.0 as i32));
        if let Some(kept) = self.kept {
            w.long(kept.0);
        }
        out
    }
    pub(super) fn read(last_zxid: Zxid, r: &mut Reader) -> Result<AckEpoch, DecodeError> {
        let epoch = r.int()?;
        let current_epoch = (epoch != -1).then_some(Epoch(i64::from(epoch)));
        let kept = if r.remaining().len() >= 8 { Some(Zxid(r.long()?)) } else { None };
        Ok(AckEpoch { current_epoch, last_zxid, kept })
    }
}

/// A client request that a learner passes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarded {
    pub session: SessionId,
    pub xid: Xid,
    pub op: i32,
    pub body: Bytes,
}

impl Forwarded {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.body.len());
        let mut w = Writer::new(&mut out);
        w.long(self.session.0);
        w.int(self.xid.0);
        w.int(self.op);
        out.extend_from_slice(&self.body);
        out
    }
    pub(super) fn read(data: &Bytes) -> Result<Forwarded, DecodeError> {
        let mut r = Reader::unbounded(data);
        Ok(Forwarded {
            session: SessionId(r.long()?),
            xid: Xid(r.int()?),
            op: r.int()?,
            body: data.slice(r.position()..),
        })
    }
}

/// A learner asks whether a session lives; the leader answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revalidate {
    Ask { session: SessionId, timeout_ms: i32 },
    Answer { session: SessionId, valid: bool },
}

impl Revalidate {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(12);
        let mut w = Writer::new(&mut out);
        match self {
            Revalidate::Ask { session, timeout_ms } => {
                w.long(session.0);
                w.int(timeout_ms);
            }
            Revalidate::Answer { session, valid } => {
                w.long(session.0);
                w.boolean(valid);
            }
        }
        out
    }
    /// Question and answer differ by their length only.
    pub(super) fn read(r: &mut Reader) -> Result<Revalidate, DecodeError> {
        let session = SessionId(r.long()?);
        Ok(if r.remaining().len() >= 4 {
            Revalidate::Ask { session, timeout_ms: r.int()? }
        } else {
            Revalidate::Answer { session, valid: r.boolean()? }
        })
    }
}

/// A session that was active on a learner since its last ping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionTouch {
    pub session: SessionId,
    pub timeout_ms: i32,
}

impl SessionTouch {
    pub(super) fn to_bytes(touched: &[SessionTouch]) -> Vec<u8> {
        let mut out = Vec::with_capacity(12 * touched.len());
        let mut w = Writer::new(&mut out);
        for touch in touched {
            w.long(touch.session.0);
            w.int(touch.timeout_ms);
        }
        out
    }
    pub(super) fn read_all(r: &mut Reader) -> Result<Vec<SessionTouch>, DecodeError> {
        let mut all = Vec::with_capacity(r.remaining().len() / 12);
        while !r.is_empty() {
            all.push(SessionTouch { session: SessionId(r.long()?), timeout_ms: r.int()? });
        }
        Ok(all)
    }
}
