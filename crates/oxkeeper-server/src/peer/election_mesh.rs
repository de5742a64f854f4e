//! The connections of the election port: one for each pair of servers, made by the one with the larger id (EL014-EL017: who dials,
//! who is dialled back, what is replaced).
//!
//! A message to a member without a connection dials at once. A member with a smaller id that dials says no more than who it is,
//! closes, and is dialled back. Each member has room for one message, the newest; the last one sent goes out again on a new
//! connection (EL031). What consensus hears at once: that a connection is there, that it is lost, that a dial to a server that
//! was met before has failed.
//!
//! Runs inside of [`super::poll_thread`]. Must not look into votes.

use super::address::{Place, Resolved, list};
use super::election_link::{ElectionLink, Heard, Stage};
use super::shared::PeerShared;
use crate::core_queue::{CoreEvent, to_core};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use oxkeeper_proto::election::{Greeting, OBSERVER_WITHOUT_ID};
use oxkeeper_types::ServerId;
use oxkeeper_types::limits::{ELECTION_HANDSHAKES_MAX, ELECTION_STRANGERS_MAX};
use oxkeeper_zab::Input;
use slab::Slab;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before the next dial to a member that a message waits for, after so many failures.
const REDIAL_MIN: Duration = Duration::from_millis(50);
const REDIAL_MAX: Duration = Duration::from_secs(2);
/// How long a member with a larger id may take to dial back.
const DIAL_BACK_WAIT: Duration = Duration::from_secs(1);

/// Another server, as the election port knows it.
#[derive(Default)]
struct Peer {
    /// The open connection: its place in the table.
    link: Option<usize>,
    /// To be sent.
    queued: Option<Vec<u8>>,
    /// Was sent last.
    sent: Option<Vec<u8>>,
    dial: Option<Dial>,
    /// It was told who we are, and is to dial us before this.
    dial_back_by: Option<Instant>,
    failures: u32,
    /// There was a connection once.
    met: bool,
    redial_at: Option<Instant>,
    /// Of its greeting; where it is not in the configuration, this is the way to it (EL007).
    greeted: Vec<Place>,
}

/// A dial under way, to all addresses of the member at once: the first to answer counts.
struct Dial {
    number: u64,
    links: Vec<usize>,
    /// Names that are still looked up.
    names: usize,
    last_error: String,
}

pub struct Mesh {
    shared: Arc<PeerShared>,
    links: Slab<ElectionLink>,
    peers: BTreeMap<ServerId, Peer>,
    /// For observers without an id (EL009).
    next_stranger: i64,
    dials: u64,
    /// For the core, handed over once per wake-up.
    out: Vec<CoreEvent>,
    /// Links that had more to read than fits into a turn.
    again: Vec<usize>,
}

impl Mesh {
    pub fn new(shared: Arc<PeerShared>) -> Mesh {
        Mesh {
            shared,
            links: Slab::new(),
            peers: BTreeMap::new(),
            next_stranger: -1,
            dials: 0,
            out: Vec::new(),
            again: Vec::new(),
        }
    }

    fn me(&self) -> ServerId {
        self.shared.options.me
    }
    fn is_member(&self, server: ServerId) -> bool {
        self.shared.options.is_member(server)
    }

    /// A message for a member.
    pub fn send(&mut self, registry: &Registry, to: ServerId, frame: Vec<u8>) {
        if to == self.me() {
            return;
        }
        let peer = self.peers.entry(to).or_default();
        peer.queued = Some(frame);
        match peer.link {
            Some(place) => self.flush(registry, place),
            None => self.dial(registry, to),
        }
    }

    /// A connection to our election port.
    pub fn accepted(&mut self, registry: &Registry, socket: TcpStream, address: SocketAddr) {
        let nameless = || self.links.iter().filter(|(_, link)| link.stage == Stage::Nameless);
        if nameless().count() >= ELECTION_HANDSHAKES_MAX {
            let oldest = nameless().min_by_key(|(_, link)| link.since).map(|(place, _)| place).expect("there are some");
            self.close(registry, oldest, "others wait to say who they are");
        }
        let deadline = Instant::now() + self.shared.options.greeting_timeout;
        self.keep(registry, ElectionLink::new(socket, address, Stage::Nameless, Some(deadline)));
    }

    /// Puts a link into the table and has it watched. `None` where that fails.
    fn keep(&mut self, registry: &Registry, mut link: ElectionLink) -> Option<usize> {
        let entry = self.links.vacant_entry();
        let place = entry.key();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = registry.register(&mut link.socket, Token(place), interest) {
            tracing::warn!("cannot watch the election connection of {}: {error}", link.address);
            return None;
        }
        entry.insert(link);
        Some(place)
    }

    /// Something happened to a socket.
    pub fn on_event(&mut self, registry: &Registry, place: usize) {
        let Some(link) = self.links.get_mut(place) else { return };
        match link.stage {
            Stage::Dialling(server) => match link.dialled() {
                None => {}
                Some(Ok(())) => self.on_connected(registry, place, server),
                Some(Err(error)) => self.on_dial_error(registry, place, server, &error.to_string()),
            },
            Stage::Nameless => self.read(registry, place),
            Stage::Open(_) => {
                self.flush(registry, place);
                self.read(registry, place);
            }
            Stage::Parting(_) => self.part(registry, place),
        }
    }

    fn read(&mut self, registry: &Registry, place: usize) {
        let Some(link) = self.links.get_mut(place) else { return };
        let heard = link.hear();
        self.on_heard(registry, place, heard);
    }

    fn on_heard(&mut self, registry: &Registry, place: usize, heard: Heard) {
        if heard.more {
            self.again.push(place);
        }
        if let Some(greeting) = heard.greeting {
            return self.on_greeting(registry, place, greeting);
        }
        if let Stage::Open(from) = self.links[place].stage {
            self.out.extend(
                heard.notifications.into_iter().map(|n| to_core(Input::Notification { from, notification: n })),
            );
        }
        if let Some(why) = heard.end {
            self.close(registry, place, &why);
        }
    }

    /// Somebody has said who it is.
    fn on_greeting(&mut self, registry: &Registry, place: usize, greeting: Greeting) {
        let mut server = greeting.server;
        if server == OBSERVER_WITHOUT_ID {
            server = ServerId(self.next_stranger);
            self.next_stranger -= 1;
        }
        if server == self.me() {
            return self.close(registry, place, "it says that it is us: two servers have the same myid");
        }
        let strangers = self.peers.keys().filter(|id| !self.is_member(**id)).count();
        if !self.is_member(server) && !self.peers.contains_key(&server) && strangers >= ELECTION_STRANGERS_MAX {
            return self.close(registry, place, "it is in no configuration, and so are too many others");
        }
        if server > self.me() {
            return self.open(registry, place, server);
        }
        // It believes that there is no connection, so the one that we may have is of no use.
        let places = greeting.addresses.iter().filter_map(|text| Place::parse(text));
        let peer = self.peers.entry(server).or_default();
        peer.greeted = places.filter(|place| !place.is_wildcard()).collect();
        let old = peer.link.take();
        self.forget(registry, place);
        if let Some(old) = old {
            self.forget(registry, old);
        }
        self.dial(registry, server);
    }

    /// Notifications may go both ways from now on.
    fn open(&mut self, registry: &Registry, place: usize, server: ServerId) {
        let link = &mut self.links[place];
        (link.stage, link.deadline) = (Stage::Open(server), None);
        tracing::debug!("election connection with server {} at {}", server.0, link.address);
        self.tune(place);
        let peer = self.peers.entry(server).or_default();
        let old = peer.link.replace(place);
        let dial = peer.dial.take();
        (peer.failures, peer.redial_at, peer.dial_back_by, peer.met) = (0, None, None, true);
        if peer.queued.is_none() {
            peer.queued = peer.sent.clone();
        }
        for other in old.into_iter().chain(dial.into_iter().flat_map(|dial| dial.links)) {
            self.forget(registry, other);
        }
        self.out.push(to_core(Input::ElectionLink { peer: server, up: true }));
        self.flush(registry, place);
        if let Some(link) = self.links.get_mut(place) {
            let rest = link.hear_rest();
            self.on_heard(registry, place, rest);
            // What came with the greeting raises no event again.
            self.again.push(place);
        }
    }

    fn tune(&self, place: usize) {
        let socket = socket2::SockRef::from(&self.links[place].socket);
        let tuned = socket.set_tcp_nodelay(true).and_then(|()| socket.set_keepalive(self.shared.options.keep_alive));
        if let Err(error) = tuned {
            tracing::debug!("socket options of {}: {error}", self.links[place].address);
        }
    }

    /// Sends what waits for the member at the other end.
    fn flush(&mut self, registry: &Registry, place: usize) {
        let Some(link) = self.links.get_mut(place) else { return };
        let Stage::Open(server) = link.stage else { return };
        let peer = self.peers.get_mut(&server).expect("an open connection is a peer's");
        let sent = loop {
            match link.flush() {
                Err(error) => break Err(error),
                Ok(()) if !link.is_flushed() => break Ok(()),
                Ok(()) => match peer.queued.take() {
                    None => break Ok(()),
                    Some(frame) => {
                        link.put(&frame);
                        peer.sent = Some(frame);
                    }
                },
            }
        };
        if let Err(error) = sent {
            self.close(registry, place, &format!("write failed: {error}"));
        }
    }

    // ---- dialling

    /// Dials all addresses of a member, unless that is under way.
    fn dial(&mut self, registry: &Registry, server: ServerId) {
        let peer = self.peers.entry(server).or_default();
        if peer.link.is_some() || peer.dial.is_some() || peer.dial_back_by.is_some() {
            return;
        }
        peer.redial_at = None;
        self.dials += 1;
        let number = self.dials;
        let mut places = self.shared.options.election_places(server);
        if places.is_empty() {
            places = peer.greeted.clone();
        }
        let (literal, names): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| place.literal().is_some());
        let last_error = "no address is known".to_string();
        peer.dial = Some(Dial { number, links: Vec::new(), names: names.len(), last_error });
        for place in names {
            self.look_up(server, number, place);
        }
        for address in literal.iter().filter_map(Place::literal) {
            self.connect(registry, server, address);
        }
        self.check_dial(server);
    }

    /// Name look-up blocks, so it has a thread of its own.
    fn look_up(&self, server: ServerId, dial: u64, place: Place) {
        let shared = self.shared.clone();
        let work = move || {
            let found = place.look_up().map_err(|error| format!("{place}: {error}"));
            shared.tell(|inbox| inbox.resolved.push(Resolved { server, dial, found }));
        };
        if let Err(error) = std::thread::Builder::new().name("name-lookup".into()).spawn(work) {
            let found = Err(format!("no thread for a name look-up: {error}"));
            self.shared.tell(|inbox| inbox.resolved.push(Resolved { server, dial, found }));
        }
    }

    /// A name was looked up.
    pub fn on_resolved(&mut self, registry: &Registry, resolved: Resolved) {
        let server = resolved.server;
        let Some(dial) = self.peers.get_mut(&server).and_then(|peer| peer.dial.as_mut()) else { return };
        if dial.number != resolved.dial {
            return;
        }
        dial.names -= 1;
        match resolved.found {
            Ok(addresses) => addresses.into_iter().for_each(|address| self.connect(registry, server, address)),
            Err(why) => dial.last_error = why,
        }
        self.check_dial(server);
    }

    fn connect(&mut self, registry: &Registry, server: ServerId, address: SocketAddr) {
        let deadline = Instant::now() + self.shared.options.election_connect_timeout;
        let kept = TcpStream::connect(address).map(|socket| {
            self.keep(registry, ElectionLink::new(socket, address, Stage::Dialling(server), Some(deadline)))
        });
        let peer = self.peers.get_mut(&server).expect("it is dialled");
        let dial = peer.dial.as_mut().expect("it is dialled");
        match kept {
            Ok(Some(place)) => dial.links.push(place),
            Ok(None) => dial.last_error = format!("{address}: cannot be watched"),
            Err(error) => dial.last_error = format!("{address}: {error}"),
        }
    }

    /// Ends a dial that has nothing under way any more.
    fn check_dial(&mut self, server: ServerId) {
        let Some(peer) = self.peers.get_mut(&server) else { return };
        if peer.dial.as_ref().is_none_or(|dial| dial.names > 0 || !dial.links.is_empty()) {
            return;
        }
        let dial = peer.dial.take().expect("looked at above");
        if peer.failures == 0 {
            let places = self.shared.options.election_places(server);
            let places = if places.is_empty() { &peer.greeted } else { &places };
            tracing::warn!(
                "Cannot open channel to {} at election address {}: {}",
                server.0,
                list(places),
                dial.last_error
            );
        }
        self.on_unreachable(server);
    }

    /// The member cannot be reached now, or does not dial back.
    fn on_unreachable(&mut self, server: ServerId) {
        let is_member = self.is_member(server);
        let peer = self.peers.get_mut(&server).expect("it was dialled");
        if peer.met {
            // A server that was never met may be starting, as we do: who does not wait for its vote then may lead nobody, and
            // finds that out as late as `initLimit` has it.
            self.out.push(to_core(Input::ElectionLink { peer: server, up: false }));
        }
        if !is_member {
            self.peers.remove(&server);
            return;
        }
        let pause = REDIAL_MIN.saturating_mul(1 << peer.failures.min(16)).min(REDIAL_MAX);
        peer.failures += 1;
        peer.redial_at = peer.queued.is_some().then(|| Instant::now() + pause);
    }

    fn on_connected(&mut self, registry: &Registry, place: usize, server: ServerId) {
        let peer = self.peers.get_mut(&server).expect("it is dialled");
        let dial = peer.dial.take().expect("a dialling link belongs to a dial");
        dial.links.into_iter().filter(|other| *other != place).for_each(|other| self.forget(registry, other));
        let mut greeting = Vec::new();
        Greeting { server: self.me(), addresses: self.shared.options.own_texts() }.write(&mut greeting);
        let link = &mut self.links[place];
        link.put(&greeting);
        if server < self.shared.options.me {
            return self.open(registry, place, server);
        }
        link.stage = Stage::Parting(server);
        let peer = self.peers.get_mut(&server).expect("it is dialled");
        peer.dial_back_by = Some(Instant::now() + DIAL_BACK_WAIT);
        self.part(registry, place);
    }

    fn on_dial_error(&mut self, registry: &Registry, place: usize, server: ServerId, why: &str) {
        let address = self.links[place].address;
        self.forget(registry, place);
        self.dial_failed(place, server, &format!("{address}: {why}"));
    }

    fn dial_failed(&mut self, place: usize, server: ServerId, why: &str) {
        if let Some(dial) = self.peers.get_mut(&server).and_then(|peer| peer.dial.as_mut()) {
            dial.links.retain(|other| *other != place);
            dial.last_error = why.to_owned();
        }
        self.check_dial(server);
    }

    /// Says who we are to a member with a larger id, and leaves.
    fn part(&mut self, registry: &Registry, place: usize) {
        let Some(link) = self.links.get_mut(place) else { return };
        match link.flush() {
            Ok(()) if !link.is_flushed() => {}
            Ok(()) | Err(_) => self.forget(registry, place),
        }
    }

    // ---- ends

    /// Closes a link that has come to an unforeseen end, which gets its one line in the log.
    fn close(&mut self, registry: &Registry, place: usize, why: &str) {
        let (stage, address) = (self.links[place].stage, self.links[place].address);
        self.forget(registry, place);
        match stage {
            Stage::Dialling(server) => self.dial_failed(place, server, &format!("{address}: {why}")),
            Stage::Nameless => tracing::info!("closed an election connection of {address}: {why}"),
            Stage::Parting(_) => {}
            Stage::Open(server) => {
                let peer = self.peers.get_mut(&server).expect("an open connection is a peer's");
                if peer.link != Some(place) {
                    return;
                }
                peer.link = None;
                let waits = peer.queued.is_some();
                tracing::info!("closed the election connection with server {} at {address}: {why}", server.0);
                self.out.push(to_core(Input::ElectionLink { peer: server, up: false }));
                if !self.is_member(server) {
                    self.peers.remove(&server);
                } else if waits {
                    self.dial(registry, server);
                }
            }
        }
    }

    /// Takes a link out of the table.
    fn forget(&mut self, registry: &Registry, place: usize) {
        let Some(mut link) = self.links.try_remove(place) else { return };
        if let Err(error) = registry.deregister(&mut link.socket) {
            tracing::debug!("deregistering {}: {error}", link.address);
        }
    }

    // ---- time

    /// Ends what takes too long, and dials again.
    pub fn on_time(&mut self, registry: &Registry, now: Instant) {
        for place in std::mem::take(&mut self.again) {
            if self.links.contains(place) {
                self.on_event(registry, place);
            }
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let late: Vec<usize> = self.links.iter().filter(|(_, l)| due(l.deadline)).map(|(place, _)| place).collect();
        for place in late {
            if self.links.contains(place) {
                self.close(registry, place, "it took too long");
            }
        }
        let ids: Vec<ServerId> = self.peers.keys().copied().collect();
        for server in ids {
            let Some(peer) = self.peers.get_mut(&server) else { continue };
            if due(peer.dial_back_by) {
                peer.dial_back_by = None;
                self.on_unreachable(server);
            } else if due(peer.redial_at) {
                self.dial(registry, server);
            }
        }
    }

    /// When [`Mesh::on_time`] has something to do.
    pub fn next_time(&self) -> Option<Instant> {
        if !self.again.is_empty() {
            return Some(Instant::now());
        }
        let links = self.links.iter().filter_map(|(_, link)| link.deadline);
        let peers = self.peers.values().flat_map(|peer| [peer.dial_back_by, peer.redial_at]).flatten();
        links.chain(peers).min()
    }

    /// Hands over what consensus is to hear.
    pub fn report(&mut self) {
        if !self.out.is_empty() {
            self.shared.core.put_when_room(&mut self.out);
        }
    }
}
