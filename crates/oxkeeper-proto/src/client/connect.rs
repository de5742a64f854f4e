//! The handshake: the first frame of a connection, and its answer.

use crate::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::{SessionId, Zxid};

/// Bytes in a session password.
pub const PASSWORD_BYTES: usize = 16;
pub type Password = [u8; PASSWORD_BYTES];

/// The first frame of a client. 44 bytes, or 45 with the read-only flag (since 3.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectRequest {
    pub protocol_version: i32,
    pub last_zxid_seen: Zxid,
    /// Wanted session timeout in milliseconds.
    pub timeout_ms: i32,
    /// 0 asks for a new session.
    pub session: SessionId,
    /// As sent: any length, a null becomes empty.
    pub password: Vec<u8>,
    /// `None` where the client did not send the flag; then the answer has none either (ZOOKEEPER-4814).
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    pub fn read(r: &mut Reader) -> Result<ConnectRequest, DecodeError> {
        Ok(ConnectRequest {
            protocol_version: r.int()?,
            last_zxid_seen: Zxid(r.long()?),
            timeout_ms: r.int()?,
            session: SessionId(r.long()?),
            password: r.buffer()?.unwrap_or_default().to_vec(),
            read_only: if r.is_empty() { None } else { Some(r.boolean()?) },
        })
    }
    pub fn write(&self, w: &mut Writer) {
        w.int(self.protocol_version);
        w.long(self.last_zxid_seen.0);
        w.int(self.timeout_ms);
        w.long(self.session.0);
        w.buffer(Some(&self.password));
        if let Some(flag) = self.read_only {
            w.boolean(flag);
        }
    }
}

/// The answer to the handshake. A refused session gets timeout 0, session 0 and a zero password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectResponse {
    pub protocol_version: i32,
    pub timeout_ms: i32,
    pub session: SessionId,
    pub password: Password,
    /// Present only where the request had the flag.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    pub fn refused(read_only: Option<bool>) -> ConnectResponse {
        ConnectResponse {
            protocol_version: 0,
            timeout_ms: 0,
            session: SessionId::NONE,
            password: [0; PASSWORD_BYTES],
            read_only,
        }
    }
    pub fn read(r: &mut Reader) -> Result<ConnectResponse, DecodeError> {
        Ok(ConnectResponse {
            protocol_version: r.int()?,
            timeout_ms: r.int()?,
            session: SessionId(r.long()?),
            password: {
                let at = r.position();
                let bytes = r.buffer()?.unwrap_or_default();
                bytes.try_into().map_err(|_| DecodeError::UnreasonableLength {
                    at,
                    length: bytes.len() as i64,
                    max: PASSWORD_BYTES,
                })?
            },
            read_only: if r.is_empty() { None } else { Some(r.boolean()?) },
        })
    }
    pub fn write(&self, w: &mut Writer) {
        w.int(self.protocol_version);
        w.int(self.timeout_ms);
        w.long(self.session.0);
        w.buffer(Some(&self.password));
        if let Some(flag) = self.read_only {
            w.boolean(flag);
        }
    }
}
