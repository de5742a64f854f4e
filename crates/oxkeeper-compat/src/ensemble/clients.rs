//! Sessions that read and write a few nodes, and write down what they did. Must not know what happens to the servers.

use super::faults::create;
use super::patient_client;
use crate::history::{Answer, Call, Final, Key, Moment, Operation, Value};
use crate::rng::Rng;
use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{ClientError, CreateMode, ErrorCode, Event, call};
use oxkeeper_types::acl::open_acl;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) const KEYS: usize = 4;
pub(super) const TOP: &str = "/faults";
pub(super) const ADDITIONS: &str = "/faults/additions";
/// Longer than most faults: sessions are to live through them.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// What the clients and the injector of faults share.
pub struct Shared {
    started: Instant,
    pub over: AtomicBool,
    acknowledged: AtomicUsize,
    sessions: AtomicU64,
    values: AtomicU64,
    operations: Mutex<Vec<Operation>>,
    /// Whether a read behind a sync counts as one that must be up to date.
    trust_sync: bool,
}

impl Shared {
    pub fn new(trust_sync: bool) -> Shared {
        Shared {
            started: Instant::now(),
            over: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            sessions: AtomicU64::new(0),
            values: AtomicU64::new(0),
            operations: Mutex::new(Vec::new()),
            trust_sync,
        }
    }
    pub(super) fn now(&self) -> Moment {
        self.started.elapsed().as_nanos() as Moment
    }
    pub(super) fn note(&self, operation: Operation) {
        if matches!(operation.answer, Answer::Written { .. }) {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }
    pub fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut self.operations.lock().unwrap_or_else(PoisonError::into_inner))
    }
    pub(super) fn fresh_value(&self) -> Value {
        self.values.fetch_add(1, Ordering::Relaxed) + 1
    }
    pub(super) fn new_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub fn wait_for_writes(&self, more: usize, patience: Duration) -> Result<(), String> {
        let (from, deadline) = (self.acknowledged.load(Ordering::Relaxed), Instant::now() + patience);
        loop {
            let got = self.acknowledged.load(Ordering::Relaxed) - from;
            if got >= more {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{got} of {more} writes within {} s", patience.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

pub(super) fn path(key: Key) -> String {
    format!("{TOP}/key-{key}")
}
pub(super) fn data(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
pub(super) fn value(data: Option<&[u8]>) -> Value {
    let text = data.and_then(|bytes| std::str::from_utf8(bytes).ok());
    // Nobody writes this value, so that the judge finds it.
    text.and_then(|text| text.parse().ok()).unwrap_or(Value::MAX)
}

/// The nodes, with the value that the judge knows as the first.
pub fn set_up(hosts: &str) -> Result<(), ClientError> {
    let client = patient_client(hosts)?;
    create(&client, TOP, b"")?;
    create(&client, ADDITIONS, b"")?;
    for key in 0..KEYS {
        create(&client, &path(key), b"0")?;
    }
    client.close()
}

pub fn last_state(hosts: &str) -> Result<Final, ClientError> {
    let client = patient_client(hosts)?;
    client.sync("/")?;
    let mut last = Final::default();
    for key in 0..KEYS {
        let (data, stat) = client.get(&path(key), false)?;
        last.nodes.push((value(data.as_deref()), stat.version, stat.mzxid.0));
    }
    for name in client.children(ADDITIONS, false)?.0 {
        let (data, _) = client.get(&format!("{ADDITIONS}/{name}"), false)?;
        last.added.push((value(data.as_deref()), number(&name)));
    }
    client.close()?;
    Ok(last)
}

pub(super) fn number(name: &str) -> u64 {
    name.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

/// One client: sessions one after the other, until all is over.
pub fn run(hosts: &str, n: usize, mut rng: Rng, shared: &Shared) {
    let mut order: Vec<&str> = hosts.split(',').collect();
    let len = order.len();
    order.rotate_left(n % len);
    let servers = order.join(",");
    while !shared.over.load(Ordering::Relaxed) {
        let options = Options {
            session_timeout: SESSION_TIMEOUT,
            call_timeout: CALL_TIMEOUT,
            connect_timeout: CALL_TIMEOUT,
            ..Options::default()
        };
        // While too few servers run there is no session to be had; the injector sees to it that this ends.
        let Ok(client) = Client::connect(&servers, options) else { continue };
        let number = shared.new_session();
        let mut session = Session { client, number, shared, versions: [-1; KEYS] };
        while !shared.over.load(Ordering::Relaxed) && !session.client.state().is_final() {
            session.step(&mut rng);
            std::thread::sleep(Duration::from_micros(500 + rng.below(5000) as u64));
        }
        // Where it can not be closed, it expires.
        let _ = session.client.close();
    }
}

struct Session<'a> {
    client: Client,
    number: u64,
    shared: &'a Shared,
    /// The last version of each key that this session knows.
    versions: [i32; KEYS],
}

impl Session<'_> {
    fn step(&mut self, rng: &mut Rng) {
        let key = rng.below(KEYS);
        match rng.weighted(&[35, 15, 30, 15, 5]) {
            0 => self.write(key, -1),
            1 => self.write(key, self.versions[key]),
            2 => self.read(key, true),
            3 => self.read(key, false),
            _ => self.add(),
        }
    }

    fn note(&self, call: Call, answer: Answer, start: Moment) {
        self.shared.note(Operation { session: self.number, call, answer, start, end: self.shared.now() });
    }

    fn write(&mut self, key: Key, expected: i32) {
        let value = self.shared.fresh_value();
        let (op, start) = (Call::Write { key, value, expected }, self.shared.now());
        let sent = self.client.send(call::set_data(&path(key), Some(&data(value)), expected));
        // Not sent: not in the history.
        let Ok(pending) = sent else { return };
        let answer = match pending.wait_with_zxid(CALL_TIMEOUT) {
            Ok((stat, zxid)) => {
                self.versions[key] = stat.version;
                Answer::Written { zxid: zxid.0, version: stat.version }
            }
            Err(ClientError::Server { code, zxid, .. }) if code == ErrorCode::BadVersion.number() => {
                Answer::Refused { zxid: zxid.0 }
            }
            Err(_) => Answer::Unknown,
        };
        self.note(op, answer, start);
    }

    fn read(&mut self, key: Key, sync: bool) {
        while self.client.next_event(Duration::ZERO).is_some() {}
        let start = self.shared.now();
        let synced = if sync {
            let Ok(pending) = self.client.send(call::sync(&path(key))) else { return };
            Some(pending)
        } else {
            None
        };
        let Ok(pending) = self.client.send(call::get_data(&path(key), false)) else { return };
        let synced = synced.map(|pending| pending.wait_for(CALL_TIMEOUT).is_ok());
        let Ok(((bytes, stat), seen)) = pending.wait_with_zxid(CALL_TIMEOUT) else { return };
        // Both on one connection, or the sync means nothing for the read.
        let mut moved = false;
        while let Some(event) = self.client.next_event(Duration::ZERO) {
            moved |= matches!(event, Event::State(_));
        }
        self.versions[key] = stat.version;
        let answer =
            Answer::Value { value: value(bytes.as_deref()), version: stat.version, mzxid: stat.mzxid.0, seen: seen.0 };
        let synced = self.shared.trust_sync && synced == Some(true) && !moved;
        self.note(Call::Read { key, synced }, answer, start);
    }

    fn add(&mut self) {
        let value = self.shared.fresh_value();
        let start = self.shared.now();
        let create = call::create2(
            &format!("{ADDITIONS}/n-"),
            Some(&data(value)),
            &open_acl(),
            CreateMode::PersistentSequential,
        );
        let Ok(pending) = self.client.send(create) else { return };
        let answer = match pending.wait_with_zxid(CALL_TIMEOUT) {
            Ok(((path, _), zxid)) => Answer::Added { zxid: zxid.0, number: number(&path) },
            Err(_) => Answer::Unknown,
        };
        self.note(Call::Add { value }, answer, start);
    }
}
