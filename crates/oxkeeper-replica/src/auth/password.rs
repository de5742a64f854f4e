//! Session ids and session passwords. Both are what the reference computes, so that a session outlives the replacement
//! of its server in a mixed ensemble (inventory CW039-CW043).

use oxkeeper_proto::client::Password;
use oxkeeper_types::node::{CONTAINER_OWNER, OwnerRules};
use oxkeeper_types::{Millis, ServerId, SessionId};

/// Constant of `ZooKeeperServer.superSecret`: known to everybody, so a password keeps no stranger out. It is there to catch
/// mixed-up sessions.
const SECRET: i64 = 0xb341_5c00;
/// java.util.Random: a linear congruential generator of 48 bits.
const MULTIPLIER: u64 = 0x5_deec_e66d;
const INCREMENT: u64 = 0xb;
const STATE_MASK: u64 = (1 << 48) - 1;
/// The largest server id beside extended types: 0xff marks TTL owners there.
pub const EXTENDED_SERVER_ID_MAX: i64 = 0xfe;

/// The password of a session: 16 bytes of java.util.Random seeded with the session id.
pub fn session_password(session: SessionId) -> Password {
    let mut state = ((session.0 ^ SECRET) as u64 ^ MULTIPLIER) & STATE_MASK;
    let mut password = Password::default();
    for chunk in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & STATE_MASK;
        chunk.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

/// Whether a client that reconnects knows the password. Session 0 has none.
pub fn is_session_password(session: SessionId, password: &[u8]) -> bool {
    session != SessionId::NONE && password == session_password(session)
}

/// The ids that this server will hand out. They follow the wall clock, which may step back over a restart: so they also
/// follow the sessions that are known, of which this server may have handed out some in an earlier life.
#[derive(Clone, Copy, Debug)]
pub struct SessionIds {
    next: SessionId,
    /// Differs from life to life.
    salt: i64,
}

impl SessionIds {
    pub fn new(
        wall: Millis,
        seed: u64,
        server: ServerId,
        rules: OwnerRules,
        known: impl Iterator<Item = (SessionId, Millis)>,
    ) -> SessionIds {
        let salt = ((wall.0 as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - LIFE_BITS)) as i64;
        let mut ids = SessionIds { next: first_session_id(wall, server, rules), salt };
        known.for_each(|(session, _)| ids.pass(session));
        ids
    }

    /// An id that nobody has.
    pub fn take(&mut self) -> SessionId {
        let session = self.next;
        self.next = next_session_id(session);
        session
    }

    /// This session exists: no later one gets its id, nor one that was handed out behind it in an earlier life of this server and has
    /// ended since, as whoever had that still knows its password. So there is a leap, of another length in each life. Sessions of
    /// other servers do not matter.
    pub fn pass(&mut self, session: SessionId) {
        let server = |id: SessionId| id.0 >> SERVER_SHIFT;
        let next = skip_reserved((((session.0 >> LIFE_BITS) + 1) << LIFE_BITS) | self.salt);
        if server(session) == server(self.next) && server(next) == server(self.next) && session.0 >= self.next.0 {
            self.next = next;
        }
    }
}

/// A leap ends at any of so many ids; in the time that stands in an id, within a little more than a minute.
const LIFE_BITS: u32 = 32;
/// The server's id stands in the byte above these bits.
const SERVER_SHIFT: u32 = 56;

/// The first id that a server hands out after its start: its own id on top, then the time (reference
/// `SessionTrackerImpl.initializeNextSessionId`). The reference reads a clock that starts with its host, so that ids can
/// come twice after a reboot; the wall clock does not have that fault.
pub(super) fn first_session_id(wall: Millis, server: ServerId, rules: OwnerRules) -> SessionId {
    assert!(
        !rules.extended_types || server.0 <= EXTENDED_SERVER_ID_MAX,
        "server id {} with extendedTypesEnabled: at most {EXTENDED_SERVER_ID_MAX}, since 255 marks TTL nodes",
        server.0
    );
    let time = (((wall.0 as u64) << 24) >> 8) as i64;
    skip_reserved(time | (server.0 << SERVER_SHIFT))
}

/// The id after this one.
pub(super) fn next_session_id(session: SessionId) -> SessionId {
    skip_reserved(session.0.wrapping_add(1))
}

/// 0 is nobody, and the lowest number is the owner of containers.
fn skip_reserved(raw: i64) -> SessionId {
    SessionId(if raw == 0 || raw == CONTAINER_OWNER { raw + 1 } else { raw })
}
