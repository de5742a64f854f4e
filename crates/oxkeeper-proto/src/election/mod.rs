//! Messages of the election port: the greeting of a connection, then length-prefixed notifications
//! (reference `QuorumCnxManager.InitialMessage`, `FastLeaderElection.buildMsg` and its `WorkerReceiver`).

use crate::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::limits::{ELECTION_ADDRESS_BYTES_MAX, ELECTION_FRAME_BYTES_MAX};
use oxkeeper_types::{Epoch, ServerId, Zxid};

/// First word of a greeting that carries one address.
const PROTOCOL_V1: i64 = -65536;
/// First word of a greeting that carries several addresses, joined by `|`.
const PROTOCOL_V2: i64 = -65535;
/// Version of the notification format that we write: with the sender's configuration.
const NOTIFICATION_VERSION: i32 = 2;
/// The id that an observer without one of its own sends; the receiver makes one up (reference `OBSERVER_ID`).
pub const OBSERVER_WITHOUT_ID: ServerId = ServerId(i64::MAX);

/// What a dialling server sends first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Greeting {
    pub server: ServerId,
    /// `host:port` texts of the dialler's election addresses; empty where a 3.4 server dials.
    pub addresses: Vec<String>,
}

/// What stands at the front of a fresh election connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GreetingRead {
    Whole {
        greeting: Greeting,
        consumed: usize,
    },
    /// More bytes are needed.
    Partial,
}

impl Greeting {
    /// Reads the front of `bytes`. A first word >= 0 is a 3.4 server's id and nothing else follows.
    pub fn read(bytes: &[u8]) -> Result<GreetingRead, DecodeError> {
        let mut r = Reader::unbounded(bytes);
        let Ok(version) = r.long() else { return Ok(GreetingRead::Partial) };
        if version >= 0 {
            let greeting = Greeting { server: ServerId(version), addresses: Vec::new() };
            return Ok(GreetingRead::Whole { greeting, consumed: 8 });
        }
        if version != PROTOCOL_V1 && version != PROTOCOL_V2 {
            return Err(DecodeError::Unknown { at: 0, what: "election protocol version", value: version });
        }
        let (Ok(server), Ok(length)) = (r.long(), r.int()) else { return Ok(GreetingRead::Partial) };
        if length <= 0 || length as usize > ELECTION_ADDRESS_BYTES_MAX {
            let max = ELECTION_ADDRESS_BYTES_MAX;
            return Err(DecodeError::UnreasonableLength { at: 16, length: length.into(), max });
        }
        let Ok(text) = r.take(length as usize) else { return Ok(GreetingRead::Partial) };
        let addresses = String::from_utf8_lossy(text).split('|').map(str::to_owned).collect();
        let consumed = r.position();
        Ok(GreetingRead::Whole { greeting: Greeting { server: ServerId(server), addresses }, consumed })
    }

    /// Writes the form with one address, or with several where there are several.
    pub fn write(&self, out: &mut Vec<u8>) {
        let text = self.addresses.join("|");
        let mut w = Writer::new(out);
        w.long(if self.addresses.len() > 1 { PROTOCOL_V2 } else { PROTOCOL_V1 });
        w.long(self.server.0);
        w.buffer(Some(text.as_bytes()));
    }
}

/// What a server does, as it tells the others (reference `QuorumPeer.ServerState` ordinals).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum PeerState {
    Looking = 0,
    Following = 1,
    Leading = 2,
    Observing = 3,
}

impl PeerState {
    pub const fn from_number(n: i32) -> Option<PeerState> {
        Some(match n {
            0 => PeerState::Looking,
            1 => PeerState::Following,
            2 => PeerState::Leading,
            3 => PeerState::Observing,
            _ => return None,
        })
    }
}

/// One notification: the sender's state and its vote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    pub state: PeerState,
    /// The proposed leader.
    pub leader: ServerId,
    /// Its last logged zxid.
    pub zxid: Zxid,
    /// The sender's round (logical clock).
    pub round: i64,
    /// The proposed leader's current epoch.
    pub peer_epoch: Epoch,
    /// Format version: 0 from 3.4 servers, 2 with a configuration.
    pub version: i32,
    /// The sender's configuration, its text as sent; `None` where there is none or it is broken.
    pub config: Option<String>,
}

impl Notification {
    /// A whole frame, its length word included.
    pub fn write_frame(&self, out: &mut Vec<u8>) {
        crate::frame::append(out, |out| {
            let mut w = Writer::new(out);
            w.int(self.state as i32);
            w.long(self.leader.0);
            w.long(self.zxid.0);
            w.long(self.round);
            w.long(self.peer_epoch.0);
            w.int(NOTIFICATION_VERSION);
            w.buffer(Some(self.config.as_deref().unwrap_or_default().as_bytes()));
        });
    }

    /// Reads the body of a frame. `Ok(None)` for a message that is skipped with the connection kept: an unknown state
    /// or a configuration whose length cannot be.
    pub fn read(body: &[u8]) -> Result<Option<Notification>, DecodeError> {
        let mut r = Reader::unbounded(body);
        let state = r.int()?;
        let leader = ServerId(r.long()?);
        let zxid = Zxid(r.long()?);
        let round = r.long()?;
        // 28 bytes: the oldest format, without an epoch; it is the zxid's.
        let peer_epoch = if r.is_empty() { zxid.epoch() } else { Epoch(r.long()?) };
        // 40 bytes: servers of 3.4; four bytes that say nothing follow the epoch.
        let version = if body.len() <= 40 { 0 } else { r.int()? };
        let config = if version > 1 {
            let length = r.int()?;
            if length < 0 || length as usize > body.len() {
                return Ok(None);
            }
            Some(String::from_utf8_lossy(r.take(length as usize)?).into_owned())
        } else {
            None
        };
        let Some(state) = PeerState::from_number(state) else { return Ok(None) };
        Ok(Some(Notification { state, leader, zxid, round, peer_epoch, version, config }))
    }
}

/// The next frame of an election connection after its greeting.
pub fn next_frame(buffer: &[u8]) -> crate::frame::Frame<'_> {
    match crate::frame::next(buffer, ELECTION_FRAME_BYTES_MAX) {
        crate::frame::Frame::Whole { body: [], .. } => crate::frame::Frame::BadLength(0),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification() -> Notification {
        Notification {
            state: PeerState::Looking,
            leader: ServerId(3),
            zxid: Zxid(0x1_0000_0007),
            round: 5,
            peer_epoch: Epoch(1),
            version: 2,
            config: Some("server.1=\u{fc}:1:2:participant\nversion=0".into()),
        }
    }

    #[test]
    fn notifications_survive_the_wire() {
        let mut out = Vec::new();
        notification().write_frame(&mut out);
        let crate::frame::Frame::Whole { body, consumed } = next_frame(&out) else { panic!("a whole frame") };
        assert_eq!((Notification::read(body), consumed), (Ok(Some(notification())), out.len()));
    }

    #[test]
    fn a_notification_has_the_layout_of_the_reference_and_its_text_is_utf_8() {
        let mut out = Vec::new();
        notification().write_frame(&mut out);
        let text = "server.1=\u{fc}:1:2:participant\nversion=0".as_bytes();
        let longs = [3, 0x1_0000_0007, 5, 1].map(i64::to_be_bytes).concat();
        let body = [&[0; 4][..], &longs, &[0, 0, 0, 2], &(text.len() as i32).to_be_bytes(), text].concat();
        assert_eq!(out, [&(body.len() as i32).to_be_bytes()[..], &body].concat());
        let states = [PeerState::Looking, PeerState::Following, PeerState::Leading, PeerState::Observing];
        for (number, state) in (0i32..).zip(states) {
            out[4..8].copy_from_slice(&number.to_be_bytes());
            assert_eq!(Notification::read(&out[4..]), Ok(Some(Notification { state, ..notification() })));
        }
        for number in [-1i32, 4] {
            out[4..8].copy_from_slice(&number.to_be_bytes());
            assert_eq!(Notification::read(&out[4..]), Ok(None), "{number} is no state");
        }
    }

    #[test]
    fn old_forms_are_read() {
        let mut out = Vec::new();
        notification().write_frame(&mut out);
        let oldest = Notification::read(&out[4..32]).unwrap().unwrap();
        assert_eq!((oldest.peer_epoch, oldest.version, oldest.config), (Epoch(1), 0, None));
        let of_34 = Notification::read(&out[4..44]).unwrap().unwrap();
        assert_eq!((of_34.peer_epoch, of_34.version), (Epoch(1), 0));
        assert!(Notification::read(&out[4..31]).is_err());
    }

    #[test]
    fn a_broken_configuration_skips_the_message() {
        let mut out = Vec::new();
        notification().write_frame(&mut out);
        for length in [-3, out.len() as i32] {
            out[44..48].copy_from_slice(&length.to_be_bytes());
            assert_eq!(Notification::read(&out[4..]), Ok(None), "{length}");
        }
    }

    #[test]
    fn greetings_survive_in_both_versions_and_in_pieces() {
        for addresses in [vec!["a:3888".to_owned()], vec!["a:3888".into(), "[::1]:3888".into()]] {
            let greeting = Greeting { server: ServerId(2), addresses };
            let mut out = Vec::new();
            greeting.write(&mut out);
            for cut in 0..out.len() {
                assert_eq!(Greeting::read(&out[..cut]), Ok(GreetingRead::Partial), "{cut}");
            }
            assert_eq!(Greeting::read(&out), Ok(GreetingRead::Whole { greeting, consumed: out.len() }));
        }
        let old = Greeting { server: ServerId(4), addresses: vec![] };
        assert_eq!(Greeting::read(&4i64.to_be_bytes()), Ok(GreetingRead::Whole { greeting: old, consumed: 8 }));
        assert!(Greeting::read(&(-5i64).to_be_bytes()).is_err());
    }
}
