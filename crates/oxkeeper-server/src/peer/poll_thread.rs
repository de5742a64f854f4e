//! The thread of both ports between servers: accepts on the election port and on the quorum port, and owns every election
//! connection. It is asleep nearly always: elections are rare, and so are new learners.

use super::address::{Place, listen_address};
use super::election_mesh::Mesh;
use super::learner_listener::Learners;
use super::options::PeerOptions;
use super::shared::{PeerShared, PollInbox};
use crate::listener::listen;
use crate::lock::lock;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const WAKER: Token = Token(usize::MAX);
/// Tokens of listeners, downward from here; those of connections count upward from 0.
const LISTENERS: usize = usize::MAX - 1;
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;
/// Between two tries to bind a port that is taken (EL018).
const BIND_PAUSE: Duration = Duration::from_secs(1);
/// However far the next deadline is.
const PATIENCE_MAX: Duration = Duration::from_secs(5);
/// Before the next accept after one that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which of the two ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Port {
    Election,
    Quorum,
}

impl Port {
    fn name(self) -> &'static str {
        match self {
            Port::Election => "election",
            Port::Quorum => "quorum",
        }
    }
}

/// The listeners of a server of an ensemble.
pub struct Listeners {
    all: Vec<(Port, TcpListener)>,
}

impl Listeners {
    /// Binds both ports at all their addresses. A port that is taken is tried again, `electionPortBindRetry` times.
    pub fn bind(options: &PeerOptions) -> io::Result<Listeners> {
        let mut all = Vec::new();
        for port in [Port::Election, Port::Quorum] {
            let listeners = bind_port(port, &options.own_places(port == Port::Election), options)?;
            all.extend(listeners.into_iter().map(|listener| (port, listener)));
        }
        Ok(Listeners { all })
    }
}

/// Listens at all these places, or where there are several at those that can be had: the others of a server with several addresses
/// may be out of reach for the moment, or for good (reference `QuorumCnxManager.Listener`, `Leader.createServerSocket`).
fn bind_port(port: Port, places: &[Place], options: &PeerOptions) -> io::Result<Vec<TcpListener>> {
    let mut bound: BTreeMap<SocketAddr, TcpListener> = BTreeMap::new();
    let mut tries = 0;
    loop {
        let mut failed = Vec::new();
        for place in places {
            let address = match listen_address(place, options.listen_on_all) {
                Ok(address) if bound.contains_key(&address) => continue,
                Ok(address) => address,
                Err(error) => {
                    failed.push(error);
                    continue;
                }
            };
            match listen(address, BACKLOG) {
                Ok(listener) => {
                    tracing::info!("{port:?} port: listening at {address}");
                    bound.insert(address, listener);
                }
                Err(error) => failed.push(io::Error::new(
                    error.kind(),
                    format!("cannot listen on the {} port {address}: {error}", port.name()),
                )),
            }
        }
        tries += 1;
        let may_pass = bound.is_empty() || failed.iter().any(|error| error.kind() == ErrorKind::AddrInUse);
        if failed.is_empty() || !may_pass || options.bind_retries_max.is_some_and(|max| tries >= max) {
            if bound.is_empty() {
                return Err(failed.swap_remove(0));
            }
            failed.iter().for_each(|error| tracing::warn!("{error}; our other addresses have to do"));
            return Ok(bound.into_values().collect());
        }
        failed.iter().for_each(|error| tracing::warn!("{error}; trying again"));
        std::thread::sleep(BIND_PAUSE);
    }
}

pub struct PollThread {
    shared: Arc<PeerShared>,
    poll: Poll,
    listeners: Vec<(Port, TcpListener)>,
    mesh: Mesh,
    learners: Learners,
    /// An accept has failed: no event comes for what still waits.
    accept_again: Option<Instant>,
}

impl PollThread {
    pub fn new(shared: Arc<PeerShared>, poll: Poll, listeners: Listeners) -> io::Result<PollThread> {
        let mut listeners = listeners.all;
        for (index, (_, listener)) in listeners.iter_mut().enumerate() {
            poll.registry().register(listener, Token(LISTENERS - index), Interest::READABLE)?;
        }
        let mesh = Mesh::new(shared.clone());
        let learners = Learners::new(shared.clone());
        Ok(PollThread { shared, poll, listeners, mesh, learners, accept_again: None })
    }

    /// Until the server stops.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("epoll failed: {error}"),
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    Token(token) if token > LISTENERS - self.listeners.len() => self.accept(LISTENERS - token),
                    Token(place) => self.mesh.on_event(self.poll.registry(), place),
                }
            }
            if self.take_inbox() {
                return;
            }
            let now = Instant::now();
            if self.accept_again.is_some_and(|at| at <= now) {
                self.accept_again = None;
                (0..self.listeners.len()).for_each(|index| self.accept(index));
            }
            self.mesh.on_time(self.poll.registry(), now);
            self.learners.on_time(now);
            self.mesh.report();
        }
    }

    fn patience(&self) -> Duration {
        let times = [self.mesh.next_time(), self.learners.next_time(), self.accept_again];
        let next = times.into_iter().flatten().min();
        next.map_or(PATIENCE_MAX, |at| at.saturating_duration_since(Instant::now())).min(PATIENCE_MAX)
    }

    /// True when the server stops.
    fn take_inbox(&mut self) -> bool {
        let PollInbox { frames, resolved, stage, stopping } = std::mem::take(&mut *lock(&self.shared.inbox));
        if let Some(stage) = stage {
            self.learners.enter(stage);
        }
        for found in resolved {
            self.mesh.on_resolved(self.poll.registry(), found);
        }
        for (to, frame) in frames {
            self.mesh.send(self.poll.registry(), to, frame);
        }
        stopping
    }

    fn accept(&mut self, index: usize) {
        loop {
            let (port, listener) = &self.listeners[index];
            let port = *port;
            match listener.accept() {
                Ok((socket, address)) => {
                    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                    match port {
                        Port::Election => self.mesh.accepted(self.poll.registry(), socket, address),
                        Port::Quorum => self.learners.accepted(blocking(socket), address),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A peer that was gone before we looked.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    tracing::warn!(
                        "cannot accept on the {port:?} port: {error}; check the limit of open files (ulimit -n)"
                    );
                    self.accept_again = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }
}

fn blocking(socket: TcpStream) -> std::net::TcpStream {
    std::net::TcpStream::from(socket)
}
