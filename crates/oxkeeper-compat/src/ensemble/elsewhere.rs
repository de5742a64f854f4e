//! How often a read on one server, sent as soon as a write on another is acknowledged, misses it. Zab allows that; programs that lean
//! on it exist, so rarer is better.

use super::{Ensemble, EnsembleError, Layout, PATIENCE, Role};
use crate::servers::ServerKind;
use crate::wire::{Connection, Hello, Received};
use oxkeeper_client::{OpCode, SessionId, Zxid};
use oxkeeper_proto::client::{PASSWORD_BYTES, PathWatchRequest, SetDataRequest};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::Xid;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Longer than a whole measurement, in which most sessions are idle most of the time.
const SESSION_TIMEOUT_MS: i32 = 600_000;
/// Behind the length stand xid, zxid and error.
const REPLY_HEADER_BYTES: usize = 16;

/// Tries and misses from each role to each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Misses {
    by_roles: BTreeMap<(&'static str, &'static str), (usize, usize)>,
}

impl Misses {
    fn add(&mut self, roles: (&'static str, &'static str), missed: usize, tries: usize) {
        let both = self.by_roles.entry(roles).or_default();
        *both = (both.0 + missed, both.1 + tries);
    }
    /// In all: misses, and tries.
    pub fn total(&self) -> (usize, usize) {
        self.by_roles.values().fold((0, 0), |sum, both| (sum.0 + both.0, sum.1 + both.1))
    }
    /// Whether a larger part of the tries has missed than there.
    pub fn is_more_than(&self, other: &Misses) -> bool {
        let ((missed, tries), (missed_there, tries_there)) = (self.total(), other.total());
        missed * tries_there > missed_there * tries
    }
}

impl fmt::Display for Misses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines =
            self.by_roles.iter().map(|((from, to), (missed, tries))| format!("{from} to {to} {missed} of {tries}"));
        f.write_str(&lines.collect::<Vec<_>>().join(", "))
    }
}

/// So many tries from each of three servers to each other, beside so many threads that only use the processors.
pub fn measure(kind: &ServerKind, tries: usize, busy: usize) -> Result<Misses, EnsembleError> {
    let ensemble = Ensemble::start(&Layout::measured(kind, 0))?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..busy {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let misses = all_pairs(&ensemble, tries);
        over.store(true, Ordering::Relaxed);
        misses
    })
}

fn all_pairs(ensemble: &Ensemble, tries: usize) -> Result<Misses, EnsembleError> {
    let wrong = |what: &str| EnsembleError::Wrong(format!("{what}\n{}", ensemble.state()));
    let mut ends = Vec::new();
    for member in &ensemble.members {
        let role = if member.role() == Some(Role::Leader) { "leader" } else { "follower" };
        ends.push((role, session(member.address).ok_or_else(|| wrong("no session"))?));
    }
    let mut misses = Misses::default();
    for (from, to) in (0..ends.len()).flat_map(|from| (0..3).map(move |to| (from, to))).filter(|(from, to)| from != to)
    {
        let mut missed = 0;
        for n in 0..tries {
            let value = format!("{from}.{to}.{n}");
            write(&mut ends[from].1, value.as_bytes()).ok_or_else(|| wrong("a write was not acknowledged"))?;
            let seen = read(&mut ends[to].1).ok_or_else(|| wrong("a read was not answered"))?;
            missed += usize::from(seen != value.as_bytes());
        }
        misses.add((ends[from].0, ends[to].0), missed, tries);
    }
    Ok(misses)
}

fn session(address: std::net::SocketAddr) -> Option<Connection> {
    let mut connection = Connection::open(address, PATIENCE).ok()?;
    let hello = Hello {
        session: SessionId::NONE,
        password: vec![0; PASSWORD_BYTES],
        timeout_ms: SESSION_TIMEOUT_MS,
        last_zxid: Zxid::ZERO,
        read_only: Some(false),
    };
    connection.handshake(&hello).filter(|response| response.timeout_ms > 0).map(|_| connection)
}

/// The body of a successful answer.
fn call(connection: &mut Connection, op: OpCode, body: &[u8]) -> Option<Vec<u8>> {
    connection.send_request(Xid(1), op.number(), body);
    let Received::Frame(frame) = connection.receive() else { return None };
    let (header, body) = frame.split_at_checked(REPLY_HEADER_BYTES)?;
    (header[12..] == [0; 4]).then(|| body.to_vec())
}

fn write(connection: &mut Connection, value: &[u8]) -> Option<()> {
    let mut body = Vec::new();
    SetDataRequest { path: "/".into(), data: Some(value), version: -1 }.write(&mut Writer::new(&mut body));
    call(connection, OpCode::SetData, &body).map(|_| ())
}

fn read(connection: &mut Connection) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    PathWatchRequest { path: "/".into(), watch: false }.write(&mut Writer::new(&mut body));
    let answer = call(connection, OpCode::GetData, &body)?;
    Reader::unbounded(&answer).buffer().ok()?.map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_misses_counts_and_not_the_number() {
        let of = |missed, tries| {
            let mut misses = Misses::default();
            misses.add(("leader", "follower"), missed, tries);
            misses
        };
        assert!(of(2, 100).is_more_than(&of(10, 1000)));
        assert!(!of(1, 100).is_more_than(&of(10, 1000)));
        assert!(!of(0, 100).is_more_than(&of(0, 1000)));
        assert!(of(1, 100).is_more_than(&of(0, 10)));
    }
}
