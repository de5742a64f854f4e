//! Sessions that write at random with several requests under way each, syncs and reads among them, until their server is gone,
//! and keep the ledger of what it acknowledged. Must not know what becomes of the server's files.

use crate::ledger::{Change, Done, Ledger};
use crate::rng::Rng;
use crate::universe::{DIGEST_U1, DIGEST_U2};
use oxkeeper_client::blocking::{Client, Options, Pending};
use oxkeeper_client::{Acl, ClientError, CreateMode, Id, MultiOp, MultiResult, OpCode};
use oxkeeper_client::{Perms, SessionId, Stat, Zxid, call};
use oxkeeper_proto::client::{CreateRequest, DeleteRequest, Password, SetDataRequest};
use oxkeeper_types::acl::open_acl;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Requests under way in one session.
const WINDOW: usize = 12;
/// How long a broken connection may take to be noticed.
const LAST_ANSWERS: Duration = Duration::from_millis(300);
/// How long an answer may take on a busy machine.
const ANSWER: Duration = Duration::from_secs(20);
/// The session of a writer that outlives servers, and is asked for its nodes in the end.
const LONG_SESSION: Duration = Duration::from_secs(600);
const TTL_MS: i64 = 3_600_000;

/// A request, as the changes that it asks for, and how; most are writes.
#[derive(Clone, Debug)]
enum Write {
    Create {
        path: String,
        data: Option<Vec<u8>>,
        acl: Vec<Acl>,
        mode: CreateMode,
    },
    Set {
        path: String,
        data: Option<Vec<u8>>,
    },
    SetAcl {
        path: String,
        acl: Vec<Acl>,
    },
    Delete {
        path: String,
    },
    Multi(Vec<Write>),
    /// Changes nothing; a learner's line of requests has it between the writes of all sessions.
    Sync {
        path: String,
    },
    /// Changes nothing; waits for the writes of its session.
    Read {
        path: String,
    },
}

enum Answer {
    Created(Pending<(String, Stat)>),
    Stat(Pending<Stat>),
    Deleted(Pending<()>),
    Multi(Pending<Vec<MultiResult>>),
    Synced(Pending<String>),
    Read(Pending<Option<Stat>>),
}

/// What the writers share.
#[derive(Default, Debug)]
pub struct Progress {
    pub acknowledged: AtomicUsize,
    /// Set once the server is gone, or writers that survive that shall end.
    pub over: AtomicBool,
}

/// One session: its random numbers, whether it closes after so many writes, and what it does about a lost connection.
#[derive(Clone, Debug)]
pub struct Plan {
    pub rng: Rng,
    pub close_after: Option<usize>,
    /// Goes on when answers were lost, until all is over; else it ends then.
    pub survives: bool,
    /// Breaks its connection each time it has sent so many, and so moves to the next server.
    pub move_after: Option<usize>,
    /// Whether multis create nodes. The answer with a stat (create2) is asked for, which 3.8.0 can not apply in a multi.
    pub multi_creates: bool,
}

/// A session that outlived its server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Survivor {
    pub session: SessionId,
    pub password: Password,
}

/// Writes until the server is gone or the plan ends.
pub fn write(server: &str, plan: Plan, progress: &Progress) -> Result<(Ledger, Option<Survivor>), ClientError> {
    let options = Options {
        session_timeout: if plan.survives { LONG_SESSION } else { Duration::from_secs(120) },
        call_timeout: ANSWER,
        connect_timeout: Duration::from_secs(60),
        auth: vec![("digest".into(), b"u1:p1".to_vec())],
        ..Options::default()
    };
    let client = Client::connect(server, options)?;
    let survivor = Survivor { session: client.session(), password: client.password() };
    let mut rng = plan.rng;
    let mut ledger = Ledger::default();
    let mut waiting: VecDeque<(Write, Answer)> = VecDeque::new();
    let (mut sent, mut broken) = (0, false);
    while !broken && !progress.over.load(Ordering::Relaxed) && plan.close_after.is_none_or(|n| sent < n) {
        while waiting.len() < WINDOW {
            let write = random(&mut rng, plan.multi_creates);
            let answer = send(&client, &write)?;
            waiting.push_back((write, answer));
            sent += 1;
        }
        let (write, answer) = waiting.pop_front().expect("the window was just filled");
        broken = !note(write, answer, ANSWER, progress, &mut ledger) && !plan.survives;
        if plan.survives {
            // The server starts that it lasts through take seconds; the tree shall not grow without end meanwhile.
            std::thread::sleep(Duration::from_millis(3));
        }
        if plan.move_after.is_some_and(|n| sent % n == 0) {
            client.drop_connection();
        }
    }
    for (write, answer) in waiting {
        let gone = progress.over.load(Ordering::Relaxed) && !plan.survives;
        let patience = if gone { LAST_ANSWERS } else { ANSWER };
        broken |= !note(write, answer, patience, progress, &mut ledger);
    }
    if plan.close_after.is_some_and(|n| sent >= n) && !broken {
        ledger.closing.insert(survivor.session.0);
        if client.close().is_ok() {
            ledger.closed.insert(survivor.session.0);
        }
        return Ok((ledger, None));
    }
    Ok((ledger, Some(survivor)))
}

/// Waits for an answer and writes it down; false where none came.
fn note(write: Write, answer: Answer, patience: Duration, progress: &Progress, ledger: &mut Ledger) -> bool {
    match wait(&write, answer, patience) {
        Ok(Some(done)) if done.changes.is_empty() => true,
        Ok(Some(done)) => {
            progress.acknowledged.fetch_add(1, Ordering::Relaxed);
            ledger.done.push(done);
            true
        }
        Ok(None) | Err(ClientError::Server { .. }) => {
            ledger.refused += 1;
            true
        }
        Err(_) => {
            ledger.unsure.extend(changes(&write));
            false
        }
    }
}

fn wait(write: &Write, answer: Answer, patience: Duration) -> Result<Option<Done>, ClientError> {
    let mut changes = changes(write);
    let zxid: Zxid = match answer {
        Answer::Created(pending) => {
            let ((path, stat), zxid) = pending.wait_with_zxid(patience)?;
            complete(&mut changes[0], Some(path), Some(stat));
            zxid
        }
        Answer::Stat(pending) => {
            let (stat, zxid) = pending.wait_with_zxid(patience)?;
            complete(&mut changes[0], None, Some(stat));
            zxid
        }
        Answer::Deleted(pending) => pending.wait_with_zxid(patience)?.1,
        Answer::Synced(pending) => pending.wait_with_zxid(patience)?.1,
        Answer::Read(pending) => pending.wait_with_zxid(patience)?.1,
        Answer::Multi(pending) => {
            let (results, zxid) = pending.wait_with_zxid(patience)?;
            if call::multi_failure(&results).is_some() {
                return Ok(None);
            }
            for (change, result) in changes.iter_mut().zip(results) {
                match result {
                    MultiResult::Create2 { path, stat } => complete(change, Some(path), Some(stat)),
                    MultiResult::SetData { stat } => complete(change, None, Some(stat)),
                    _ => {}
                }
            }
            zxid
        }
    };
    Ok(Some(Done { zxid, changes }))
}

fn complete(change: &mut Change, final_path: Option<String>, answered: Option<Stat>) {
    match change {
        Change::Create { path, stat, .. } => {
            *path = final_path.expect("the answer to a create has a path");
            *stat = answered;
        }
        Change::Set { stat, .. } | Change::SetAcl { stat, .. } => *stat = answered,
        Change::Delete { .. } => {}
    }
}

fn changes(write: &Write) -> Vec<Change> {
    match write.clone() {
        Write::Create { path, data, mode, .. } => {
            vec![Change::Create { path, data, numbered: mode.is_sequential(), stat: None }]
        }
        Write::Set { path, data } => vec![Change::Set { path, data, stat: None }],
        Write::SetAcl { path, .. } => vec![Change::SetAcl { path, stat: None }],
        Write::Delete { path } => vec![Change::Delete { path }],
        Write::Multi(parts) => parts.iter().flat_map(changes).collect(),
        Write::Sync { .. } | Write::Read { .. } => Vec::new(),
    }
}

fn send(client: &Client, write: &Write) -> Result<Answer, ClientError> {
    Ok(match write {
        Write::Create { path, data, acl, mode } => {
            let ttl = mode.is_ttl();
            let call = if ttl {
                call::create_ttl(path, data.as_deref(), acl, *mode, TTL_MS)
            } else {
                call::create2(path, data.as_deref(), acl, *mode)
            };
            Answer::Created(client.send(call)?)
        }
        Write::Set { path, data } => Answer::Stat(client.send(call::set_data(path, data.as_deref(), -1))?),
        Write::SetAcl { path, acl } => Answer::Stat(client.send(call::set_acl(path, acl, -1))?),
        Write::Delete { path } => Answer::Deleted(client.send(call::delete(path, -1))?),
        Write::Multi(parts) => {
            let ops: Vec<MultiOp> = parts.iter().map(multi_op).collect();
            Answer::Multi(client.send(call::multi(&ops))?)
        }
        Write::Sync { path } => Answer::Synced(client.send(call::sync(path))?),
        Write::Read { path } => Answer::Read(client.send(call::exists(path, false))?),
    })
}

fn multi_op(write: &Write) -> MultiOp<'_> {
    match write {
        Write::Create { path, data, acl, mode } => MultiOp::Create {
            op: OpCode::Create2,
            request: CreateRequest {
                path: path.as_str().into(),
                data: data.as_deref(),
                acl: Some(acl.clone()),
                flags: mode.flag(),
            },
        },
        Write::Set { path, data } => {
            MultiOp::SetData(SetDataRequest { path: path.as_str().into(), data: data.as_deref(), version: -1 })
        }
        Write::Delete { path } => MultiOp::Delete(DeleteRequest { path: path.as_str().into(), version: -1 }),
        Write::SetAcl { .. } | Write::Multi(_) | Write::Sync { .. } | Write::Read { .. } => {
            unreachable!("{write:?} has no place in a multi")
        }
    }
}

fn random(rng: &mut Rng, multi_creates: bool) -> Write {
    match rng.weighted(&[70, 6, 10, 10, 4]) {
        0 => simple(rng),
        1 => Write::SetAcl { path: path(rng), acl: acl(rng) },
        3 => Write::Sync { path: path(rng) },
        4 => Write::Read { path: path(rng) },
        _ => Write::Multi((0..1 + rng.below(4)).map(|_| multi_part(rng, multi_creates)).collect()),
    }
}

fn simple(rng: &mut Rng) -> Write {
    match rng.weighted(&[60, 26, 14]) {
        0 => create(rng),
        1 => Write::Set { path: path(rng), data: data(rng) },
        _ => Write::Delete { path: path(rng) },
    }
}

/// TTL nodes have another request, which the multi here leaves out.
fn multi_part(rng: &mut Rng, creates: bool) -> Write {
    loop {
        match simple(rng) {
            Write::Create { mode, .. } if mode.is_ttl() || !creates => {}
            write => return write,
        }
    }
}

fn create(rng: &mut Rng) -> Write {
    let mode = match rng.weighted(&[42, 10, 18, 10, 8, 6, 6]) {
        0 => CreateMode::Persistent,
        1 => CreateMode::Ephemeral,
        2 => CreateMode::PersistentSequential,
        3 => CreateMode::EphemeralSequential,
        4 => CreateMode::Container,
        5 => CreateMode::PersistentWithTtl,
        _ => CreateMode::PersistentSequentialWithTtl,
    };
    let path = if mode.is_sequential() { format!("{}-", path(rng)) } else { path(rng) };
    Write::Create { path, data: data(rng), acl: acl(rng), mode }
}

/// Few enough that writes meet each other, many enough that most succeed.
fn path(rng: &mut Rng) -> String {
    let depth = 1 + rng.weighted(&[50, 40, 10]);
    (0..depth).map(|level| format!("/{}", (b'a' + rng.below(if level == 0 { 12 } else { 8 }) as u8) as char)).collect()
}

fn data(rng: &mut Rng) -> Option<Vec<u8>> {
    match rng.weighted(&[8, 8, 60, 20, 4]) {
        0 => None,
        1 => Some(Vec::new()),
        2 => Some(format!("v{}", rng.below(1_000_000)).into_bytes()),
        3 => Some((0..rng.below(900)).map(|i| (i * 37) as u8).collect()),
        _ => Some(vec![b'y'; 1000 + rng.below(60_000)]),
    }
}

/// Mostly open: what nobody may change is dull.
fn acl(rng: &mut Rng) -> Vec<Acl> {
    match rng.weighted(&[80, 8, 4, 4, 4]) {
        0 => open_acl(),
        1 => vec![Acl::new(Perms::ALL, Id::new("digest", DIGEST_U1)), Acl::new(Perms::READ, Id::anyone())],
        2 => vec![Acl::new(Perms::ALL, Id::new("digest", DIGEST_U2))],
        3 => vec![Acl::new(Perms::ALL, Id::new("auth", ""))],
        _ => vec![Acl::new(Perms(31), Id::new("ip", "127.0.0.0/8")), Acl::new(Perms(1), Id::anyone())],
    }
}
