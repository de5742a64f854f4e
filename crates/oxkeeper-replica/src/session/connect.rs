//! The handshake: new session, resumed session, or refusal (reference `ZooKeeperServer.processConnectRequest`).
//!
//! One departure: the password is checked before anything else happens to the session, so that whoever knows an id but
//! not its password cannot throw its owner out. The reference closes the live connection first.

use crate::auth::password::session_password;
use crate::options::Options;
use oxkeeper_proto::client::{ConnectRequest, ConnectResponse};
use oxkeeper_types::{Millis, SessionId, Zxid};

/// What becomes of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A createSession transaction is to be proposed; the answer waits for it.
    New { timeout: Millis },
    /// The password is right. Whether the session lives is for whoever keeps it alive to say.
    Resume { session: SessionId, timeout: Millis },
    /// Answered with zeroes, then closed.
    Refuse,
    /// Closed without an answer: the client has seen more than this server.
    ClientAhead { client: Zxid, server: Zxid },
}

/// Judges a handshake. `last_processed` is the server's own zxid.
pub fn judge(options: &Options, request: &ConnectRequest, last_processed: Zxid) -> Verdict {
    if request.last_zxid_seen > last_processed {
        return Verdict::ClientAhead { client: request.last_zxid_seen, server: last_processed };
    }
    let wanted = Millis(i64::from(request.timeout_ms));
    let timeout = wanted.max(options.session_timeout_min).min(options.session_timeout_max);
    if request.session == SessionId::NONE {
        return Verdict::New { timeout };
    }
    let session = request.session;
    if request.password != session_password(session) {
        return Verdict::Refuse;
    }
    Verdict::Resume { session, timeout }
}

/// The answer to a handshake that succeeded.
/// `read_only` is the flag of the request, `is_read_only` what the server is.
pub fn accepted(session: SessionId, timeout: Millis, read_only: Option<bool>, is_read_only: bool) -> ConnectResponse {
    ConnectResponse {
        protocol_version: 0,
        timeout_ms: i32::try_from(timeout.0).expect("timeouts come from 32-bit numbers"),
        session,
        password: session_password(session),
        read_only: read_only.map(|_| is_read_only),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: SessionId = SessionId(0x100_0000);

    fn request(session: SessionId, password: &[u8], timeout_ms: i32) -> ConnectRequest {
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(5),
            timeout_ms,
            session,
            password: password.to_vec(),
            read_only: None,
        }
    }

    fn check(request: ConnectRequest, expected: Verdict) {
        assert_eq!(judge(&Options::default(), &request, Zxid(5)), expected);
    }

    #[test]
    fn timeouts_are_clamped() {
        for (asked, got) in [(-1, 6000), (0, 6000), (10_000, 10_000), (i32::MAX, 60_000)] {
            check(request(SessionId::NONE, b"", asked), Verdict::New { timeout: Millis(got) });
        }
    }

    #[test]
    fn a_wrong_password_is_refused() {
        check(request(S, &[0; 16], 6000), Verdict::Refuse);
        let resume = Verdict::Resume { session: S, timeout: Millis(6000) };
        check(request(S, &session_password(S), 6000), resume);
    }

    #[test]
    fn a_client_from_the_future_goes_elsewhere() {
        let mut ahead = request(SessionId::NONE, b"", 6000);
        ahead.last_zxid_seen = Zxid(6);
        check(ahead, Verdict::ClientAhead { client: Zxid(6), server: Zxid(5) });
    }

    #[test]
    fn the_flag_says_whether_the_server_only_reads_to_whoever_sent_the_byte() {
        let flag = |sent, only_reads| accepted(SessionId(1), Millis(5000), sent, only_reads).read_only;
        assert_eq!([flag(Some(true), true), flag(Some(false), false)], [Some(true), Some(false)]);
        assert_eq!([flag(None, true), flag(None, false)], [None, None]);
    }
}
