//! How long an ensemble is without a leader: from the kill of the one to the first write that a client gets acknowledged
//! by a survivor.

use super::member::PATIENCE;
use super::{Ensemble, EnsembleError, Layout, during, patient_client};
use crate::servers::ServerKind;
use crate::wire::{Connection, Hello, Received};
use oxkeeper_client::{CreateMode, OpCode, SessionId, Zxid, call};
use oxkeeper_proto::client::{CreateRequest, PASSWORD_BYTES};
use oxkeeper_proto::jute::Writer;
use oxkeeper_types::Xid;
use oxkeeper_types::acl::open_acl;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections that try at each survivor: some servers leave single ones unanswered while they change their role.
const TRIES_AT_ONCE: usize = 3;
/// How long one of them waits for a session before it connects anew.
const SESSION_PATIENCE: Duration = Duration::from_millis(300);
const WRITE_PATIENCE: Duration = Duration::from_secs(3);
const FILL_WINDOW: usize = 2000;

/// Milliseconds of each kill.
pub fn measure(kind: &ServerKind, nodes: usize, kills: usize) -> Result<Vec<f64>, EnsembleError> {
    let mut ensemble = Ensemble::start(&Layout::measured(kind, nodes))?;
    fill(&ensemble.hosts(), nodes).map_err(during("filling the tree"))?;
    let mut times = Vec::new();
    for n in 0..kills {
        ensemble.wait_serving()?;
        let leader = ensemble.leader().ok_or_else(|| EnsembleError::Wrong(ensemble.state()))?;
        times.push(one(&mut ensemble, leader, n)?);
        ensemble.wait_serving()?;
        ensemble.member(leader).start()?;
    }
    Ok(times)
}

/// So many nodes below `/failover`, of 100 bytes each.
pub(super) fn fill(hosts: &str, nodes: usize) -> Result<(), oxkeeper_client::ClientError> {
    let client = patient_client(hosts)?;
    client.create("/failover", b"", CreateMode::Persistent)?;
    let mut waiting = VecDeque::new();
    let acl = open_acl();
    for n in 0..nodes {
        if n % 1000 == 0 {
            client.create(&format!("/failover/d{}", n / 1000), b"", CreateMode::Persistent)?;
        }
        let path = format!("/failover/d{}/n{n}", n / 1000);
        waiting.push_back(client.send(call::create(&path, Some(&[b'v'; 100]), &acl, CreateMode::Persistent))?);
        if waiting.len() == FILL_WINDOW {
            waiting.pop_front().expect("the window is full").wait()?;
        }
    }
    for pending in waiting {
        pending.wait()?;
    }
    client.close()
}

/// Kills the leader and answers with the milliseconds to the first acknowledged write.
fn one(ensemble: &mut Ensemble, leader: u8, n: usize) -> Result<f64, EnsembleError> {
    let survivors: Vec<SocketAddr> =
        ensemble.members.iter().filter(|member| member.id != leader).map(|member| member.address).collect();
    let first = AtomicU64::new(u64::MAX);
    let (go, ready) = (AtomicBool::new(false), AtomicU64::new(0));
    let clock = Instant::now();
    let mut killed = Duration::ZERO;
    std::thread::scope(|scope| {
        for (at, address) in survivors.iter().enumerate() {
            for k in 0..TRIES_AT_ONCE {
                let (first, go, ready) = (&first, &go, &ready);
                let name = format!("/failover/w{n}-{at}-{k}");
                scope.spawn(move || probe(*address, &name, &clock, first, go, ready));
            }
        }
        let all = (survivors.len() * TRIES_AT_ONCE) as u64;
        while ready.load(Ordering::Relaxed) < all && clock.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed = clock.elapsed();
        ensemble.member(leader).kill();
        go.store(true, Ordering::Release);
    });
    match first.load(Ordering::Relaxed) {
        u64::MAX => Err(EnsembleError::Late { what: "a write after the leader's end".into(), state: ensemble.state() }),
        nanos => Ok((Duration::from_nanos(nanos) - killed).as_secs_f64() * 1000.0),
    }
}

/// Has a session at the survivor, waits for the kill, and writes until a write is acknowledged to it or to another.
fn probe(address: SocketAddr, name: &str, clock: &Instant, first: &AtomicU64, go: &AtomicBool, ready: &AtomicU64) {
    let mut connection = session(address, PATIENCE);
    ready.fetch_add(1, Ordering::Relaxed);
    while !go.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut attempt = 0;
    let begun = Instant::now();
    while first.load(Ordering::Relaxed) == u64::MAX && begun.elapsed() < PATIENCE {
        attempt += 1;
        if let Some(open) = &mut connection
            && write(open, &format!("{name}-{attempt}"))
        {
            first.fetch_min(clock.elapsed().as_nanos() as u64, Ordering::Relaxed);
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
        connection = session(address, SESSION_PATIENCE);
    }
}

fn session(address: SocketAddr, patience: Duration) -> Option<Connection> {
    let mut connection = Connection::open(address, patience).ok()?;
    let hello = Hello {
        session: SessionId::NONE,
        password: vec![0; PASSWORD_BYTES],
        timeout_ms: 30_000,
        last_zxid: Zxid::ZERO,
        read_only: Some(false),
    };
    let response = connection.handshake(&hello)?;
    connection.patience = WRITE_PATIENCE;
    (response.timeout_ms > 0).then_some(connection)
}

/// Whether a create was acknowledged.
fn write(connection: &mut Connection, path: &str) -> bool {
    let mut body = Vec::new();
    CreateRequest { path: path.into(), data: Some(b"x"), acl: Some(open_acl()), flags: 0 }
        .write(&mut Writer::new(&mut body));
    connection.send_request(Xid(1), OpCode::Create.number(), &body);
    match connection.receive() {
        // Header: xid, zxid, error.
        Received::Frame(frame) => frame.get(12..16) == Some(&[0; 4]),
        _ => false,
    }
}
