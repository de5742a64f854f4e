//! Moves bytes between a [`Session`] and blocking sockets. Two threads per client: one connects and reads, one keeps
//! time (pings, silence). Callers write themselves. Decides nothing about the protocol.

use crate::ClientError;
use crate::core::call::{Call, Reply, ReplyReader};
use crate::core::hosts::{ConnectString, Hosts};
use crate::core::session::*;
use oxkeeper_proto::client::Password;
use oxkeeper_types::{Millis, SessionId};
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Events kept for a caller that does not read them; the oldest go first.
const EVENTS_WAITING_MAX: usize = 1 << 20;

/// How a client behaves. `Default` suits tests and tools.
#[derive(Clone)]
pub struct Options {
    /// Session timeout asked for.
    pub session_timeout: Duration,
    /// How long a call waits for its answer, a missing connection included.
    pub call_timeout: Duration,
    /// How long [`crate::blocking::Client::connect`] waits for a session, over all servers.
    pub connect_timeout: Duration,
    /// Whether a server without a quorum will do.
    pub read_only: bool,
    /// Credentials (scheme, data) given before the first call and after each reconnect.
    pub auth: Vec<(String, Vec<u8>)>,
    /// An earlier client's session to take up again.
    pub resume: Option<(SessionId, Password)>,
    /// Bytes: a longer request is refused before it is sent. No limit unless one is given.
    pub request_bytes_max: usize,
    /// Shuffles the servers; `None` keeps the order of the connect string.
    pub shuffle_seed: Option<u64>,
    /// Opens connections: plain TCP unless another is given, for instance one that speaks TLS.
    pub connector: Arc<dyn Connector>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            session_timeout: Duration::from_secs(30),
            call_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            read_only: false,
            auth: Vec::new(),
            resume: None,
            request_bytes_max: usize::MAX,
            shuffle_seed: None,
            connector: Arc::new(TcpConnector),
        }
    }
}

/// The two directions of a connection, and a way to break it from another thread.
pub struct Wire {
    pub reader: Box<dyn Read + Send>,
    pub writer: Box<dyn Write + Send>,
    /// Makes a blocked read or write return.
    pub shutdown: Box<dyn Fn() + Send + Sync>,
}

pub trait Connector: Send + Sync {
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> io::Result<Wire>;
}

/// Plain TCP.
pub struct TcpConnector;

impl Connector for TcpConnector {
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> io::Result<Wire> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let (reader, writer) = (stream.try_clone()?, stream.try_clone()?);
                    let shutdown = Box::new(move || drop(stream.shutdown(Shutdown::Both)));
                    return Ok(Wire { reader: Box::new(reader), writer: Box::new(writer), shutdown });
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

/// One call's place for its result.
#[derive(Default)]
struct Slot {
    result: Mutex<Option<Result<Reply, ClientError>>>,
    filled: Condvar,
}

struct State {
    session: Session,
    slots: HashMap<Ticket, Arc<Slot>>,
    next_ticket: u64,
    events: VecDeque<Event>,
    shutdown: Option<Box<dyn Fn() + Send + Sync>>,
    /// Why the last attempt to connect failed.
    last_failure: String,
    /// The reader has something to send. It leaves that to the timer thread, for it must go on reading: a server that
    /// can not get rid of its answers does not take requests either.
    flush_wanted: bool,
    stop: bool,
}

pub(crate) struct Driver {
    state: Mutex<State>,
    /// Signalled on events, state changes and on stop.
    changed: Condvar,
    /// Taken to write; never waited for while holding `state`.
    writer: Mutex<Option<Box<dyn Write + Send>>>,
    options: Options,
    hosts: String,
    started: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another thread is a bug that its own thread reports; the data is still whole for this one.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Driver {
    pub fn start(connect: &ConnectString, options: Options) -> (Arc<Driver>, Vec<JoinHandle<()>>) {
        let session = Session::new(SessionOptions {
            timeout_ms: i32::try_from(options.session_timeout.as_millis()).unwrap_or(i32::MAX),
            read_only: options.read_only,
            resume: options.resume,
            request_bytes_max: options.request_bytes_max,
        });
        let hosts = match options.shuffle_seed {
            Some(seed) => Hosts::shuffled(connect.hosts.clone(), seed),
            None => Hosts::in_order(connect.hosts.clone()),
        };
        let names: Vec<String> = connect.hosts.iter().map(|(h, p)| format!("{h}:{p}")).collect();
        let driver = Arc::new(Driver {
            state: Mutex::new(State {
                session,
                slots: HashMap::new(),
                next_ticket: 1,
                events: VecDeque::new(),
                shutdown: None,
                last_failure: "no attempt was made".to_string(),
                flush_wanted: false,
                stop: false,
            }),
            changed: Condvar::new(),
            writer: Mutex::new(None),
            options,
            hosts: names.join(","),
            started: Instant::now(),
        });
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_string()).spawn(run).expect("the system can start a thread")
        };
        let (reader, keeper) = (driver.clone(), driver.clone());
        let threads = vec![
            spawn("client-reader", Box::new(move || reader.read_loop(hosts))),
            spawn("client-timer", Box::new(move || keeper.time_loop())),
        ];
        (driver, threads)
    }

    fn now(&self) -> Millis {
        Millis(self.started.elapsed().as_millis() as i64)
    }

    pub fn send<T>(self: &Arc<Driver>, call: Call<T>) -> Result<Pending<T>, ClientError> {
        let reader = call.reader();
        let slot = Arc::new(Slot::default());
        let ticket = {
            let mut state = lock(&self.state);
            let ticket = Ticket(state.next_ticket);
            state.next_ticket += 1;
            state.session.submit(ticket, call.request, self.now())?;
            state.slots.insert(ticket, slot.clone());
            ticket
        };
        self.flush();
        Ok(Pending { driver: self.clone(), slot, ticket, reader })
    }

    /// Writes what there is to write. If another thread is writing, that one takes ours along.
    fn flush(&self) {
        while lock(&self.state).session.has_output() {
            let Ok(mut writer) = self.writer.try_lock() else { return };
            let Some(wire) = writer.as_mut() else { return };
            let bytes = lock(&self.state).session.take_output();
            if wire.write_all(&bytes).and_then(|()| wire.flush()).is_err() {
                *writer = None;
                self.break_connection();
                return;
            }
        }
    }

    fn break_connection(&self) {
        if let Some(shutdown) = &lock(&self.state).shutdown {
            shutdown();
        }
    }

    fn read_loop(&self, mut hosts: Hosts) {
        loop {
            let ((host, port), pause_ms) = hosts.next_server();
            if !self.pause(Duration::from_millis(pause_ms as u64), false) {
                return;
            }
            let name = format!("{host}:{port}");
            // Other servers must get their turn within the session's time.
            let timeout = lock(&self.state).session.silence_ms_max() / hosts.all().len() as i64;
            match self.options.connector.connect(&host, port, Duration::from_millis(timeout.max(50) as u64)) {
                Ok(wire) => {
                    if self.serve(wire, &name) {
                        hosts.connected();
                    }
                }
                Err(e) => lock(&self.state).last_failure = format!("{name}: {e}"),
            }
            self.deliver(|session| session.on_disconnected());
            if lock(&self.state).session.state().is_final() {
                return;
            }
        }
    }

    /// Reads one connection to its end. True where it got as far as a session.
    fn serve(&self, mut wire: Wire, name: &str) -> bool {
        {
            let mut state = lock(&self.state);
            if state.stop {
                return false;
            }
            state.shutdown = Some(wire.shutdown);
            let now = self.now();
            state.session.on_connected(name, now);
        }
        *lock(&self.writer) = Some(wire.writer);
        self.flush();
        let mut buffer = vec![0; 256 * 1024];
        let mut had_session = false;
        let failure = loop {
            let n = match wire.reader.read(&mut buffer) {
                Ok(0) => break "the server closed the connection".to_string(),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => break e.to_string(),
            };
            let now = self.now();
            let result = self.deliver(|session| session.on_bytes(&buffer[..n], now));
            self.ask_for_flush();
            if let Err(misbehaved) = result {
                break format!("not what a ZooKeeper server sends: {misbehaved}");
            }
            let session_state = lock(&self.state).session.state();
            had_session |= session_state.is_connected();
            if session_state.is_final() {
                break "the session has ended".to_string();
            }
        };
        let mut state = lock(&self.state);
        state.last_failure = format!("{name}: {failure}");
        if let Some(shutdown) = state.shutdown.take() {
            shutdown();
        }
        drop(state);
        *lock(&self.writer) = None;
        had_session
    }

    fn ask_for_flush(&self) {
        let mut state = lock(&self.state);
        if state.session.has_output() {
            state.flush_wanted = true;
            self.changed.notify_all();
        }
    }

    fn time_loop(&self) {
        loop {
            let wait = lock(&self.state).session.ping_ms().clamp(5, 1000) as u64 / 4 + 1;
            if !self.pause(Duration::from_millis(wait), true) {
                return;
            }
            let now = self.now();
            let dead = self.deliver(|session| session.on_tick(now));
            self.flush();
            if dead {
                lock(&self.state).last_failure = "the server is silent".to_string();
                self.break_connection();
            }
        }
    }

    /// Sleeps, at most until there is something to flush if that is asked for; false where the client stops meanwhile.
    fn pause(&self, time: Duration, wake_to_flush: bool) -> bool {
        let deadline = Instant::now() + time;
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return false;
            }
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            let Some(left) = left.filter(|_| !(wake_to_flush && std::mem::take(&mut state.flush_wanted))) else {
                return true;
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|p| p.into_inner()).0;
        }
    }

    /// Runs a step of the session and hands out what it says.
    fn deliver<R>(&self, step: impl FnOnce(&mut Session) -> R) -> R {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let result = step(&mut state.session);
        let mut notify = false;
        for outcome in state.session.take_outcomes() {
            match outcome {
                Outcome::Done { ticket, result } => {
                    if let Some(slot) = state.slots.remove(&ticket) {
                        *lock(&slot.result) = Some(result);
                        slot.filled.notify_all();
                    }
                }
                Outcome::Event(event) => {
                    if state.events.len() == EVENTS_WAITING_MAX {
                        state.events.pop_front();
                    }
                    state.events.push_back(event);
                    notify = true;
                }
            }
        }
        if notify {
            self.changed.notify_all();
        }
        result
    }

    /// Waits until there is a session, or none can be had.
    pub fn wait_connected(&self) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.options.connect_timeout;
        let mut state = lock(&self.state);
        loop {
            match state.session.state() {
                SessionState::Connected | SessionState::ConnectedReadOnly => return Ok(()),
                SessionState::Expired => return Err(ClientError::SessionExpired { session: state.session.id() }),
                SessionState::AuthFailed => return Err(ClientError::AuthFailed { scheme: String::new() }),
                SessionState::Closed => return Err(ClientError::Closed),
                SessionState::Disconnected | SessionState::Handshake => {}
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Err(ClientError::Unreachable {
                    hosts: self.hosts.clone(),
                    after_ms: self.options.connect_timeout.as_millis() as i64,
                    last: state.last_failure.clone(),
                });
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|p| p.into_inner()).0;
        }
    }

    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        loop {
            if let Some(event) = state.events.pop_front() {
                return Some(event);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            if left.is_zero() || state.session.state().is_final() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|p| p.into_inner()).0;
        }
    }

    pub fn look<R>(&self, at: impl FnOnce(&Session) -> R) -> R {
        at(&lock(&self.state).session)
    }

    /// Ends without telling the server: the session lives on there until its timeout.
    pub fn abandon(&self) {
        self.deliver(|session| session.abandon(SessionState::Closed));
        let mut state = lock(&self.state);
        state.stop = true;
        if let Some(shutdown) = &state.shutdown {
            shutdown();
        }
        self.changed.notify_all();
    }

    /// Breaks the connection; the client connects again by itself.
    pub fn drop_connection(&self) {
        self.break_connection();
    }
}

/// A call that is under way. Dropping it leaves the call to its fate.
pub struct Pending<T> {
    driver: Arc<Driver>,
    slot: Arc<Slot>,
    ticket: Ticket,
    reader: ReplyReader<T>,
}

impl<T> Pending<T> {
    /// Waits for the answer, at most the client's call timeout.
    pub fn wait(self) -> Result<T, ClientError> {
        let timeout = self.driver.options.call_timeout;
        self.wait_for(timeout)
    }

    pub fn wait_for(self, timeout: Duration) -> Result<T, ClientError> {
        let reply = self.reply(timeout)?;
        self.reader.read(&reply, &self.driver.hosts)
    }

    /// Like [`Pending::wait_for`], with the zxid of the reply's header beside the value.
    pub fn wait_with_zxid(self, timeout: Duration) -> Result<(T, oxkeeper_types::Zxid), ClientError> {
        let reply = self.reply(timeout)?;
        Ok((self.reader.read(&reply, &self.driver.hosts)?, reply.zxid))
    }

    /// Whether the answer is there.
    pub fn is_done(&self) -> bool {
        lock(&self.slot.result).is_some()
    }

    fn reply(&self, timeout: Duration) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + timeout;
        let mut result = lock(&self.slot.result);
        loop {
            if let Some(result) = result.take() {
                return result;
            }
            match deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                Some(left) => result = self.slot.filled.wait_timeout(result, left).unwrap_or_else(|p| p.into_inner()).0,
                None => break,
            }
        }
        drop(result);
        let mut state = lock(&self.driver.state);
        let never_sent = state.session.withdraw(self.ticket);
        state.slots.remove(&self.ticket);
        drop(state);
        // It may have come in the moment between the two locks.
        if let Some(result) = lock(&self.slot.result).take() {
            return result;
        }
        let after_ms = timeout.as_millis() as i64;
        Err(ClientError::Timeout { op: self.reader.op, path: self.reader.path.clone(), after_ms, sent: !never_sent })
    }
}
