//! One client: its session, its connection, what it waits for; moves, vanishes and comes back as the faults have it.

use super::ask::{self, Asked};
use crate::check::ClientWatches;
use crate::network::{ConnKey, Message};
use crate::points;
use crate::random::Random;
use crate::swarm::RunOptions;
use crate::transcript::Who;
use crate::world::{ClientEvent, Event, World};
use oxkeeper_client::core::call::{Reply, Request};
use oxkeeper_client::core::session::{Event as SessionEvent, Outcome, Session, SessionOptions, SessionState, Ticket};
use oxkeeper_proto::jute::Reader;
use oxkeeper_types::{Millis, SessionId, Zxid};
use std::collections::BTreeMap;

/// Microseconds that a dial to a silent server takes to fail, and a pause between rounds.
const DIAL_TIMEOUT_US: u64 = 700_000;
const DIAL_PAUSE_US: u64 = 60_000;

/// A request under way.
#[derive(Clone, Debug)]
pub struct Pending {
    pub asked: Asked,
    /// The latest write that anybody knew to be done when this one began.
    pub acked_before: Zxid,
    /// What a sync before this request has promised to its reads.
    pub synced_before: Zxid,
    /// Simulated microseconds.
    pub asked_at: u64,
}

pub struct Client {
    pub generation: u64,
    pub session: Session,
    pub conn: Option<(ConnKey, usize)>,
    pub watches: ClientWatches,
    /// Set while it stays away.
    pub away: bool,
    /// Asks for nothing any more.
    pub retired: bool,
    /// An acknowledged write since the faults were over.
    pub served: bool,
    /// Sessions that ended, or were left to expire, and must be gone in the end.
    pub abandoned: Vec<SessionId>,
    random: Random,
    pending: BTreeMap<u64, Pending>,
    next_ticket: u64,
    next_server: usize,
    /// The latest zxid in an answer of this session.
    seen: Zxid,
    synced: Zxid,
    timeout_ms: i32,
    /// Numbered nodes that are to be deleted again.
    made: Vec<String>,
}

impl Client {
    pub fn new(index: usize, options: &RunOptions) -> Client {
        let mut random = Random::new(options.seed ^ (index as u64 + 1) << 40, "client");
        let timeout_ms = options.session_timeout_ms as i32;
        let session = Session::new(SessionOptions { timeout_ms, ..SessionOptions::default() });
        let next_server = random.index(options.servers());
        Client {
            generation: 0,
            session,
            conn: None,
            watches: ClientWatches::default(),
            away: false,
            retired: false,
            served: false,
            abandoned: Vec::new(),
            random,
            pending: BTreeMap::new(),
            next_ticket: 0,
            next_server,
            seen: Zxid::ZERO,
            synced: Zxid::ZERO,
            timeout_ms,
            made: Vec::new(),
        }
    }

    /// Another session, as a client starts one whose session is over.
    fn renew(&mut self) {
        self.session = Session::new(SessionOptions { timeout_ms: self.timeout_ms, ..SessionOptions::default() });
        self.watches = ClientWatches::default();
        self.pending.clear();
        (self.seen, self.synced) = (Zxid::ZERO, Zxid::ZERO);
    }
    /// Where it goes when its connection is over.
    pub(super) fn next_is(&mut self, server: usize, servers: usize) {
        self.next_server = (server + servers - 1) % servers;
    }
    pub fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}

impl World {
    fn millis(&self) -> Millis {
        Millis((self.now / 1000) as i64)
    }

    fn client_after(&mut self, us: u64, c: usize, event: ClientEvent) {
        let generation = self.clients[c].generation;
        self.after(us, Event::Client(c, generation, event));
    }

    pub(crate) fn on_client_event(&mut self, c: usize, event: ClientEvent) {
        if self.clients[c].away {
            return;
        }
        match event {
            ClientEvent::Connect => {
                let client = &mut self.clients[c];
                client.next_server = (client.next_server + 1) % self.hosts.len();
                let server = client.next_server;
                let node = self.client_node(c);
                let silent = self.net.is_cut(node, server) || self.net.is_cut(server, node);
                let us =
                    if silent { DIAL_TIMEOUT_US } else { self.net.delay(node, server) + self.net.delay(server, node) };
                self.client_after(us, c, ClientEvent::Dialled { server });
            }
            ClientEvent::Dialled { server } => {
                let generation = self.clients[c].generation + 1;
                match self.accept_client(server, c, generation) {
                    None => {
                        let us = self.random.around(DIAL_PAUSE_US);
                        self.client_after(us, c, ClientEvent::Connect);
                    }
                    Some(key) => {
                        let now = self.millis();
                        let client = &mut self.clients[c];
                        client.generation = generation;
                        client.conn = Some((key, server));
                        client.session.on_connected(&format!("server {}", server + 1), now);
                        self.flush_client(c);
                        self.client_after(5_000, c, ClientEvent::Tick);
                    }
                }
            }
            ClientEvent::Tick => self.on_client_tick(c),
        }
    }

    fn on_client_tick(&mut self, c: usize) {
        let now = self.millis();
        let client = &mut self.clients[c];
        if client.conn.is_none() {
            return;
        }
        if client.session.on_tick(now) {
            return self.client_disconnects(c, true);
        }
        if client.session.state().is_connected() && !client.retired {
            self.ask_more(c);
        }
        self.flush_client(c);
        let ping = self.clients[c].session.ping_ms() as u64 * 500;
        let think = self.options.think_us;
        let us = self.clients[c].random.around(think).min(ping).max(1_000);
        self.client_after(us, c, ClientEvent::Tick);
    }

    fn ask_more(&mut self, c: usize) {
        let client = &mut self.clients[c];
        let room = self.options.pipeline.saturating_sub(client.pending.len());
        let wanted = 1 + client.random.index(self.options.pipeline);
        for _ in 0..room.min(wanted) {
            let client = &mut self.clients[c];
            let number = client.next_ticket + 1;
            let (early, watches) = (self.options.early, client.watches.len());
            let (asked, request) = ask::draw(&mut client.random, (c, number), watches, &mut client.made, early);
            self.ask(c, asked, request);
        }
    }

    /// Puts a request behind those that are under way.
    pub(super) fn ask(&mut self, c: usize, asked: Asked, request: Request) {
        let now = self.millis();
        let client = &mut self.clients[c];
        client.next_ticket += 1;
        let number = client.next_ticket;
        if asked == Asked::Close {
            client.abandoned.push(client.session.id());
            self.check.session_may_end(client.session.id());
        }
        let (acked_before, synced_before) = (self.check.acked_max, client.synced);
        let pending = Pending { asked, acked_before, synced_before, asked_at: self.now };
        self.trace.note(self.now, Who::Client(c), "ask", &[number as i64], || format!("{number} {:?}", pending.asked));
        client.pending.insert(number, pending);
        if client.session.submit(Ticket(number), request, now).is_err() {
            client.pending.remove(&number);
        }
    }

    pub(super) fn flush_client(&mut self, c: usize) {
        let client = &mut self.clients[c];
        if let (Some((key, _)), true) = (client.conn, client.session.has_output()) {
            let bytes = client.session.take_output();
            self.net.send(self.now, key, 0, Message::Bytes(bytes));
        }
    }

    pub(crate) fn on_client_message(&mut self, c: usize, generation: u64, message: Message) {
        if self.clients[c].generation != generation || self.clients[c].conn.is_none() {
            return;
        }
        match message {
            Message::Bytes(bytes) => {
                let now = self.millis();
                if let Err(error) = self.clients[c].session.on_bytes(&bytes, now) {
                    return self.check.fail("ClientProtocol", format!("client {}: {error}", c + 1));
                }
                self.take_outcomes(c);
                self.flush_client(c);
            }
            Message::Closed => self.client_disconnects(c, false),
            _ => unreachable!("servers send bytes to clients"),
        }
    }

    fn take_outcomes(&mut self, c: usize) {
        for outcome in self.clients[c].session.take_outcomes() {
            match outcome {
                Outcome::Done { ticket, result } => match result {
                    Ok(reply) => self.on_answer(c, ticket.0, &reply),
                    Err(_) => {
                        self.clients[c].pending.remove(&ticket.0);
                    }
                },
                Outcome::Event(SessionEvent::Watch(event)) => {
                    self.trace.note(self.now, Who::Client(c), "event", &[event.zxid.0], || format!("{event:?}"));
                    self.check.counts.events_checked += 1;
                    let client = &mut self.clients[c];
                    let judged = client.watches.on_event(&self.check.model, event.kind, &event.path, event.zxid);
                    if let Err(text) = judged {
                        self.check.fail("Watch", format!("client {}: {text}", c + 1));
                    }
                }
                Outcome::Event(SessionEvent::State(state)) => self.on_session_state(c, state),
                Outcome::Event(SessionEvent::Rewatched { .. }) => {}
            }
        }
    }

    fn on_session_state(&mut self, c: usize, state: SessionState) {
        let session = self.clients[c].session.id();
        self.trace.note(self.now, Who::Client(c), "session", &[session.0], || format!("{session} is {state:?}"));
        if state == SessionState::Expired {
            self.check.counts.expired += 1;
            self.clients[c].abandoned.push(session);
            if let Some((key, _)) = self.clients[c].conn.take() {
                self.net.close(self.now, key, 0);
            }
            self.clients[c].generation += 1;
            self.clients[c].renew();
            self.client_after(DIAL_PAUSE_US, c, ClientEvent::Connect);
        }
    }

    fn on_answer(&mut self, c: usize, number: u64, reply: &Reply) {
        let client = &mut self.clients[c];
        let Some(pending) = client.pending.remove(&number) else { return };
        let (session, zxid, error) = (client.session.id(), reply.zxid, reply.error);
        self.trace.note(self.now, Who::Client(c), "answer", &[number as i64, zxid.0, i64::from(error)], || {
            format!("{number} at {zxid}, code {error}")
        });
        let seen = client.seen;
        self.check.session_is_alive(session, client.session.timeout_ms(), pending.asked_at);
        self.check.on_reply(c, session, seen, &pending, reply);
        let client = &mut self.clients[c];
        if zxid > client.seen {
            client.seen = zxid;
        }
        if zxid.0 > 0
            && let Err(text) = client.watches.on_reply(&self.check.model, zxid)
        {
            self.check.fail("Watch", format!("client {}: {text}", c + 1));
        }
        if let Some((watching, path)) = pending.asked.watch(error == 0)
            && (error == 0 || error == points::NO_NODE)
        {
            client.watches.add(watching, path);
        }
        match &pending.asked {
            Asked::Create { sequential: true, .. } if error == 0 => {
                client.made.extend(Reader::unbounded(&reply.body).required_string().map(|p| p.into_owned()));
            }
            Asked::RemoveWatches { path } if error == 0 => client.watches.remove_all(path),
            Asked::Sync { .. } if error == 0 => client.synced = client.synced.max(pending.acked_before),
            _ => {}
        }
        client.served |= self.healed && pending.asked.is_write();
    }

    /// The connection is over, for the client at least; it tries the next server.
    pub(crate) fn client_disconnects(&mut self, c: usize, tell: bool) {
        let client = &mut self.clients[c];
        let Some((key, _)) = client.conn.take() else { return };
        if tell {
            self.net.close(self.now, key, 0);
        }
        let client = &mut self.clients[c];
        client.generation += 1;
        // A client takes its close as done where the connection ends; the list of transactions does not.
        client.pending.retain(|_, pending| pending.asked != Asked::Close);
        client.session.on_disconnected();
        let last_seen = client.session.last_zxid();
        client.watches.on_disconnected(&self.check.model, last_seen);
        self.take_outcomes(c);
        self.clients[c].pending.clear();
        let us = self.random.around(DIAL_PAUSE_US);
        if self.clients[c].session.state() == SessionState::Closed {
            self.clients[c].renew();
        }
        self.client_after(us, c, ClientEvent::Connect);
    }

    /// The client's machine is gone; it will come back as somebody new.
    pub(crate) fn client_vanishes(&mut self, c: usize, politely: bool) {
        let client = &mut self.clients[c];
        client.generation += 1;
        client.away = true;
        let session = client.session.id();
        if session != SessionId::NONE {
            client.abandoned.push(session);
        }
        if let Some((key, _)) = client.conn.take() {
            if politely {
                self.net.close(self.now, key, 0);
            } else {
                self.net.silence(key, 0);
            }
        }
        self.clients[c].renew();
    }
    pub(crate) fn client_returns(&mut self, c: usize) {
        if self.clients[c].away && !self.clients[c].retired {
            self.clients[c].away = false;
            self.client_after(1_000, c, ClientEvent::Connect);
        }
    }
}
