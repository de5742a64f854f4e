//! Everything at once: on every server of a mixed ensemble several sessions keep a window of writes, multis, syncs and reads
//! under way, close, expire and move, while servers are killed and paused and links are cut. Each request must be answered, or
//! its connection end, in good time, every server must take new sessions after each fault, and the history is judged as that
//! of [`super::faults`].

use super::clients::{self, KEYS, Shared, TOP};
use super::faults::{Fault, ON_LINKS, ON_PROCESSES, heal, judge, strike};
use super::load::agree;
use super::network::Network;
use super::{Ensemble, EnsembleError, Layout, PATIENCE, during, patient_client};
use crate::history::{self, Answer, Call, Key, Moment, Operation};
use crate::rng::Rng;
use crate::servers::ServerKind;
use oxkeeper_client::blocking::{Client, Options, Pending};
use oxkeeper_client::{ClientError, CreateMode, ErrorCode, MultiOp, MultiResult, Stat, call};
use oxkeeper_proto::client::{CheckVersionRequest, SetDataRequest};
use oxkeeper_types::acl::open_acl;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Sessions that stay with one server, and those that move on; of each server.
const SETTLED: usize = 2;
const MOVING: usize = 1;
/// Requests of one session under way.
const WINDOW: usize = 8;
/// Numbered nodes of one run: all of them are read in the end.
const ADDITIONS_MAX: usize = 4000;
/// A client hangs up where nothing comes for two thirds of this. Long: a server that has stopped answering is to be found by
/// its requests, not hidden by the client.
const LONG: Duration = Duration::from_secs(180);
/// Of sessions that end by being left alone.
const SHORT: Duration = Duration::from_secs(4);
const WRITES_BETWEEN: usize = 60;
/// Ticks of silence after which a leader or a learner gives up.
const SYNC_LIMIT: u32 = 4;
/// Starts last, with a tie in its favour.
const SOLO: u8 = 3;

/// Two voters of kind `pair`, one of kind `solo`, and an observer of each.
#[derive(Clone, Debug)]
pub struct Pipelined {
    pub solo: ServerKind,
    pub pair: ServerKind,
    pub time: Duration,
    pub seed: u64,
}

/// What the sessions know together, beside the history.
struct Knowledge {
    shared: Shared,
    additions: AtomicUsize,
    /// Answered requests, by kind.
    answered: Mutex<BTreeMap<&'static str, usize>>,
    /// Sessions whose close was acknowledged, or whose connection ended behind it: the client does not tell these apart.
    closed: Mutex<BTreeSet<i64>>,
    stuck: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipelined {
    pub fn name(&self) -> String {
        format!("1 {} + 2 {}, both observe", self.solo.short(), self.pair.short())
    }

    pub fn run(&self) -> Result<String, EnsembleError> {
        let namespaces = Network::missing().is_none();
        let kinds =
            [(&self.pair, false), (&self.pair, false), (&self.solo, false), (&self.pair, true), (&self.solo, true)];
        let members = kinds.map(|(kind, observer)| (kind.clone(), observer)).to_vec();
        let layout = Layout { namespaces, sync_limit: SYNC_LIMIT, snap_count: 2000, ..Layout::of(members) };
        let mut ensemble = Ensemble::prepare(&layout)?;
        let result = self.torment(&mut ensemble, namespaces);
        if result.is_err() {
            eprintln!("files: {}\n{}", ensemble.keep_files(), ensemble.state());
        }
        result
    }

    fn torment(&self, ensemble: &mut Ensemble, links: bool) -> Result<String, EnsembleError> {
        ensemble.start_some(&[SOLO, 2])?;
        ensemble.start_all()?;
        let addresses = ensemble.addresses();
        clients::set_up(&ensemble.hosts()).map_err(during("creating the nodes"))?;
        let known = Knowledge {
            // A leader of the reference asks nobody when it answers a sync.
            shared: Shared::new(false),
            additions: AtomicUsize::new(0),
            answered: Mutex::default(),
            closed: Mutex::default(),
            stuck: Mutex::default(),
        };
        let struck = std::thread::scope(|scope| {
            for n in 0..addresses.len() * (SETTLED + MOVING) {
                let (known, addresses) = (&known, &addresses);
                let rng = Rng::fork(self.seed, 100 + n as u64);
                scope.spawn(move || live(addresses, n, rng, known));
            }
            let struck = self.inject(ensemble, links, &known);
            known.shared.over.store(true, Ordering::Relaxed);
            struck
        });
        let stuck = std::mem::take(&mut *locked(&known.stuck));
        let struck = match (struck, stuck.is_empty()) {
            (struck, true) => struck?,
            (struck, false) => {
                let why = struck.err().map_or(String::new(), |e| format!("\n{e}"));
                return Err(EnsembleError::Wrong(format!("{}{why}", stuck.join("\n"))));
            }
        };
        self.look(ensemble, &known, struck)
    }

    /// After all: everybody serves and shows the same tree, and the history is one that can be.
    fn look(&self, ensemble: &mut Ensemble, known: &Knowledge, struck: Struck) -> Result<String, EnsembleError> {
        probe(ensemble)?;
        // Sessions that were left alone still expire, and take their nodes along while the trees are read.
        let deadline = Instant::now() + PATIENCE;
        let tree = loop {
            match agree(ensemble) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(500)),
                result => break result?,
            }
        };
        let closed = locked(&known.closed);
        let last = clients::last_state(&ensemble.hosts()).map_err(during("reading the last state"))?;
        let operations = known.shared.take();
        judge(ensemble, &operations, &last)?;
        let unknown = operations.iter().filter(|op| op.answer == history::Answer::Unknown).count();
        let answered: Vec<String> = locked(&known.answered).iter().map(|(what, n)| format!("{n} {what}")).collect();
        let led: Vec<String> = struck.led.iter().map(|(kind, n)| format!("{kind} {n} times")).collect();
        Ok(format!(
            "{} faults{}, led by {}; {} answered, {unknown} writes without an answer, {} sessions, {} closed: linearizable; \
             {} nodes alike at all five",
            struck.faults,
            if struck.links { ", on links too" } else { "" },
            led.join(" and "),
            answered.join(", "),
            known.shared.sessions(),
            closed.len(),
            tree.len()
        ))
    }

    /// One fault after the other until time is up, and until a server of either kind has led.
    fn inject(&self, ensemble: &mut Ensemble, links: bool, known: &Knowledge) -> Result<Struck, EnsembleError> {
        let mut rng = Rng::fork(self.seed, 1);
        let start = Instant::now();
        let mut struck = Struck { faults: 0, links, led: BTreeMap::new() };
        known.shared.wait_for_writes(WRITES_BETWEEN, PATIENCE).map_err(EnsembleError::Wrong)?;
        loop {
            let leader = ensemble.leader().unwrap_or(SOLO);
            *struck.led.entry(ensemble.member(leader).kind.short()).or_default() += 1;
            let one_sided = struck.led.len() < 2;
            if !locked(&known.stuck).is_empty() || (start.elapsed() > self.time && !one_sided) {
                return Ok(struck);
            }
            if start.elapsed() > self.time + 2 * PATIENCE {
                return Err(EnsembleError::Wrong(format!("only {:?} led", struck.led)));
            }
            // Undisturbed for a while, as much happens between faults, too.
            std::thread::sleep(Duration::from_millis(200 + rng.below(1500) as u64));
            let on_links = links && rng.below(2) == 0;
            let fault = match one_sided && start.elapsed() > self.time / 2 {
                true => Fault::KillLeader,
                false => *rng.pick(if on_links { ON_LINKS } else { ON_PROCESSES }),
            };
            let time = Duration::from_millis(*rng.pick(&[20, 150, 600, 1500, 3500]));
            let outcome = strike(ensemble, fault, leader, time, &mut rng);
            let healed = heal(ensemble);
            let told =
                |e: EnsembleError| EnsembleError::Wrong(format!("after {fault:?} of {leader} for {time:?}: {e}"));
            outcome.and(healed).and_then(|()| ensemble.wait_serving()).map_err(told)?;
            let writes = known.shared.wait_for_writes(WRITES_BETWEEN, PATIENCE).map_err(EnsembleError::Wrong);
            writes.and_then(|()| probe(ensemble)).map_err(told)?;
            struck.faults += 1;
        }
    }
}

/// What was done, and who led when.
struct Struck {
    faults: usize,
    links: bool,
    led: BTreeMap<String, usize>,
}

/// Every server takes a new session, and answers it a sync, a write and a read.
fn probe(ensemble: &Ensemble) -> Result<(), EnsembleError> {
    for member in ensemble.members.iter().filter(|member| member.is_running()) {
        let look = || -> Result<(), ClientError> {
            let client = patient_client(&member.address.to_string())?;
            client.sync(TOP)?;
            client.set(TOP, b"probe", -1)?;
            client.get(TOP, false)?;
            client.close()
        };
        look().map_err(during(format!("a new session at {}\n{}", member.name(), ensemble.state())))?;
    }
    Ok(())
}

/// A request under way.
struct Asked {
    what: &'static str,
    start: Moment,
    waits: Waits,
}

enum Waits {
    Set(Call, Pending<Stat>),
    MultiSet(Call, Pending<Vec<MultiResult>>),
    Add(Call, Pending<(String, Stat)>),
    Read(Key, Pending<(Option<Vec<u8>>, Stat)>),
    Sync(Pending<String>),
    Create(Pending<(String, Stat)>),
    RefusedMulti(Pending<Vec<MultiResult>>),
}

/// Sessions one after the other, until all is over.
fn live(addresses: &[SocketAddr], n: usize, mut rng: Rng, known: &Knowledge) {
    let mut order: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    order.rotate_left(n % addresses.len());
    let moves = n / addresses.len() >= SETTLED;
    let servers = if moves { order.join(",") } else { order[0].clone() };
    while !known.shared.over.load(Ordering::Relaxed) {
        let short = rng.below(4) == 0;
        let session_timeout = if short { SHORT } else { LONG };
        let options =
            Options { session_timeout, call_timeout: PATIENCE, connect_timeout: PATIENCE, ..Options::default() };
        let client = match Client::connect(&servers, options) {
            Ok(client) => client,
            Err(error) => {
                known.stop(format!("no session to be had: {error}"));
                return;
            }
        };
        let number = known.shared.new_session();
        let id = client.session().0;
        let mut session =
            Session { client, number, known, servers: &servers, versions: [-1; KEYS], asked: VecDeque::new() };
        session.work(100 + rng.below(500), moves, &mut rng);
        if short && rng.below(2) == 0 {
            // Left alone: the leader ends it. What it wrote is in the history all the same.
            session.settle(0);
            continue;
        }
        // Behind the whole window.
        let closed = session.client.close();
        session.settle(0);
        match closed {
            Ok(()) => drop(locked(&known.closed).insert(id)),
            Err(error @ ClientError::Timeout { .. }) => known.stop(format!("{servers}: closing {id:#x}: {error}")),
            Err(_) => {}
        }
    }
}

impl Knowledge {
    /// Something that must not be: all is over.
    fn stop(&self, text: String) {
        locked(&self.stuck).push(text);
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

struct Session<'a> {
    client: Client,
    number: u64,
    known: &'a Knowledge,
    servers: &'a str,
    /// The last version of each key that this session knows.
    versions: [i32; KEYS],
    asked: VecDeque<Asked>,
}

impl Session<'_> {
    fn work(&mut self, requests: usize, moves: bool, rng: &mut Rng) {
        for n in 0..requests {
            if self.known.shared.over.load(Ordering::Relaxed) || self.client.state().is_final() {
                break;
            }
            while self.client.next_event(Duration::ZERO).is_some() {}
            // Not sent, not asked.
            if let Ok(asked) = self.ask(rng) {
                self.asked.push_back(asked);
            }
            if moves && n % 60 == 59 {
                self.client.drop_connection();
            }
            self.settle(WINDOW);
            std::thread::sleep(Duration::from_micros(500 + rng.below(6000) as u64));
        }
    }

    fn ask(&self, rng: &mut Rng) -> Result<Asked, ClientError> {
        let (key, start) = (rng.below(KEYS), self.known.shared.now());
        let path = clients::path(key);
        let additions = &self.known.additions;
        let (what, waits) = match rng.weighted(&[22, 10, 12, 24, 20, 2, 8, 4]) {
            n @ (0 | 1) => {
                let (value, expected) = (self.known.shared.fresh_value(), if n == 0 { -1 } else { self.versions[key] });
                let write = Call::Write { key, value, expected };
                let data = clients::data(value);
                ("sets", Waits::Set(write, self.client.send(call::set_data(&path, Some(&data), expected))?))
            }
            2 => {
                let (value, expected) = (self.known.shared.fresh_value(), self.versions[key]);
                let (write, data) = (Call::Write { key, value, expected }, clients::data(value));
                let check = CheckVersionRequest { path: path.as_str().into(), version: expected };
                let set = SetDataRequest { path: path.as_str().into(), data: Some(&data), version: -1 };
                let multi = call::multi(&[MultiOp::Check(check), MultiOp::SetData(set)]);
                ("multis", Waits::MultiSet(write, self.client.send(multi)?))
            }
            3 => ("syncs", Waits::Sync(self.client.send(call::sync(&path))?)),
            5 if additions.fetch_add(1, Ordering::Relaxed) < ADDITIONS_MAX => {
                let value = self.known.shared.fresh_value();
                let (parent, data) = (format!("{}/n-", clients::ADDITIONS), clients::data(value));
                let create = call::create2(&parent, Some(&data), &open_acl(), CreateMode::PersistentSequential);
                ("additions", Waits::Add(Call::Add { value }, self.client.send(create)?))
            }
            6 => {
                let path = format!("{TOP}/ephemeral-{:x}-{}", self.client.session().0, rng.below(4));
                let create = call::create2(&path, None, &open_acl(), CreateMode::Ephemeral);
                ("ephemerals", Waits::Create(self.client.send(create)?))
            }
            7 => {
                let set = SetDataRequest { path: "/nobody/there".into(), data: None, version: -1 };
                let multi = call::multi(&[MultiOp::SetData(set)]);
                ("multis", Waits::RefusedMulti(self.client.send(multi)?))
            }
            _ => ("reads", Waits::Read(key, self.client.send(call::get_data(&path, false))?)),
        };
        Ok(Asked { what, start, waits })
    }

    /// Waits for the oldest answers until no more than so many are due.
    fn settle(&mut self, left: usize) {
        while self.asked.len() > left {
            let asked = self.asked.pop_front().expect("more than none");
            if let Err(error) = self.take(asked.waits, asked.start) {
                if let ClientError::Timeout { .. } = error {
                    let session = self.client.session();
                    self.known.stop(format!("{}, session {session}: {error}; its connection stands", self.servers));
                }
                continue;
            }
            *locked(&self.known.answered).entry(asked.what).or_default() += 1;
        }
    }

    /// An error: no answer came.
    fn take(&mut self, waits: Waits, start: Moment) -> Result<(), ClientError> {
        match waits {
            Waits::Set(call, pending) => {
                let answer = pending.wait_with_zxid(PATIENCE).map(|(stat, zxid)| (Some(stat), zxid.0));
                self.note_write(call, answer, start)
            }
            Waits::MultiSet(call, pending) => {
                let answer = pending.wait_with_zxid(PATIENCE).map(|(results, zxid)| match results[..] {
                    [_, MultiResult::SetData { stat }] => (Some(stat), zxid.0),
                    _ if call::multi_failure(&results) == Some((0, ErrorCode::BadVersion)) => (None, zxid.0),
                    _ => (None, -1),
                });
                self.note_write(call, answer, start)
            }
            Waits::Add(call, pending) => match pending.wait_with_zxid(PATIENCE) {
                Ok(((path, _), zxid)) => {
                    self.note(call, Answer::Added { zxid: zxid.0, number: clients::number(&path) }, start);
                    Ok(())
                }
                Err(error) => {
                    self.note(call, Answer::Unknown, start);
                    without_code(error)
                }
            },
            Waits::Read(key, pending) => {
                let ((bytes, stat), seen) = pending.wait_with_zxid(PATIENCE)?;
                self.versions[key] = stat.version;
                let value = clients::value(bytes.as_deref());
                let answer = Answer::Value { value, version: stat.version, mzxid: stat.mzxid.0, seen: seen.0 };
                self.note(Call::Read { key, synced: false }, answer, start);
                Ok(())
            }
            Waits::Sync(pending) => pending.wait_for(PATIENCE).map(drop).or_else(without_code),
            Waits::Create(pending) => pending.wait_for(PATIENCE).map(drop).or_else(without_code),
            Waits::RefusedMulti(pending) => pending.wait_for(PATIENCE).map(drop).or_else(without_code),
        }
    }

    /// `Ok((None, zxid))`: refused for its version, there.
    fn note_write(
        &mut self,
        call: Call,
        answer: Result<(Option<Stat>, i64), ClientError>,
        start: Moment,
    ) -> Result<(), ClientError> {
        let (answer, result) = match answer {
            Ok((Some(stat), zxid)) => {
                if let Call::Write { key, .. } = call {
                    self.versions[key] = stat.version;
                }
                (Answer::Written { zxid, version: stat.version }, Ok(()))
            }
            Ok((None, zxid)) if zxid > 0 => (Answer::Refused { zxid }, Ok(())),
            Ok((None, _)) => (Answer::Unknown, Ok(())),
            Err(ClientError::Server { code, zxid, .. }) if code == ErrorCode::BadVersion.number() => {
                (Answer::Refused { zxid: zxid.0 }, Ok(()))
            }
            Err(error) => (Answer::Unknown, without_code(error)),
        };
        self.note(call, answer, start);
        result
    }

    fn note(&self, call: Call, answer: Answer, start: Moment) {
        let end = self.known.shared.now();
        self.known.shared.note(Operation { session: self.number, call, answer, start, end });
    }
}

/// An error that a server answered with is an answer.
fn without_code(error: ClientError) -> Result<(), ClientError> {
    match error {
        ClientError::Server { .. } => Ok(()),
        error => Err(error),
    }
}
