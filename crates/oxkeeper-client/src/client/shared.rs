//! What all clones of a client share with the task of its connection: the session, who waits for which answer, and the watches.
//!
//! One lock. Whoever makes a request puts it into the session under that lock, so requests leave in the order of the calls that made
//! them; the task sends what is there, takes what comes, and hands it out. Must not know sockets.

use super::mailbox::Mailbox;
use super::registry::{NewWatch, Registry};
use crate::ClientError;
use crate::core::call::{Reply, Request};
use crate::core::session::{Event, Outcome, Session, SessionState, Ticket};
use oxkeeper_types::{ErrorCode, Millis, OpCode};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, oneshot};

/// States kept for a stream that nobody reads; then the last one is replaced.
const STATES_WAITING_MAX: usize = 64;

pub type Answer = oneshot::Receiver<Result<Reply, ClientError>>;
type Asker = oneshot::Sender<Result<Reply, ClientError>>;

pub struct Shared {
    inner: Mutex<Inner>,
    /// For the task: there is something to send, or the session has ended.
    pub wake: Notify,
    started: Instant,
    /// For messages.
    pub hosts: String,
    /// How long a request waits for its answer, a missing connection included.
    request_timeout: Duration,
}

pub struct Inner {
    pub session: Session,
    pub registry: Registry,
    waiting: HashMap<Ticket, Waiting>,
    next_ticket: u64,
    states: Vec<Mailbox<SessionState>>,
    /// Why the last attempt to connect failed.
    pub last_failure: String,
}

struct Waiting {
    answer: Asker,
    watch: Option<NewWatch>,
    since: Instant,
    op: OpCode,
    path: String,
}

impl Shared {
    pub fn new(session: Session, hosts: String, request_timeout: Duration) -> Shared {
        Shared {
            inner: Mutex::new(Inner {
                session,
                registry: Registry::default(),
                waiting: HashMap::new(),
                next_ticket: 1,
                states: Vec::new(),
                last_failure: "no attempt was made".to_string(),
            }),
            wake: Notify::new(),
            started: Instant::now(),
            hosts,
            request_timeout,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere is reported there; nothing in here is left half done by one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Millis {
        Millis(self.started.elapsed().as_millis() as i64)
    }

    /// The point in time that `now` would give as `millis`; nothing before the client was made.
    pub fn instant(&self, millis: Millis) -> Instant {
        self.started + Duration::from_millis(millis.0.max(0) as u64)
    }

    /// Queues a request; a watch counts from its answer on.
    pub fn submit(&self, request: Request, watch: Option<NewWatch>) -> Result<(Ticket, Answer), ClientError> {
        let (answer, receiver) = oneshot::channel();
        let mut inner = self.lock();
        let ticket = Ticket(inner.next_ticket);
        inner.next_ticket += 1;
        let (op, path) = (request.op, request.path.clone());
        let (now, since) = (self.now(), Instant::now());
        inner.session.submit(ticket, request, now)?;
        inner.waiting.insert(ticket, Waiting { answer, watch, since, op, path });
        drop(inner);
        self.wake.notify_one();
        Ok((ticket, receiver))
    }

    /// A request that nobody waits for. Where it cannot be sent any more there is nothing it could do.
    pub fn submit_silently(&self, request: Request) {
        let _ = self.submit(request, None);
    }

    /// The caller waits no longer. The answer may have come already.
    pub fn give_up(&self, ticket: Ticket, after: Duration) -> Option<ClientError> {
        self.lock().give_up(ticket, after).map(|(_, error)| error)
    }

    /// Runs a step of the session, and hands out what it says.
    pub fn step<R>(&self, step: impl FnOnce(&mut Session, Millis) -> R) -> R {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let result = step(&mut inner.session, self.now());
        for outcome in inner.session.take_outcomes() {
            inner.hand_out(outcome);
        }
        result
    }

    /// Ends what has waited for too long.
    pub fn expire(&self) {
        let mut inner = self.lock();
        let timeout = self.request_timeout;
        let late: Vec<Ticket> =
            inner.waiting.iter().filter(|(_, waiting)| waiting.since.elapsed() > timeout).map(|(t, _)| *t).collect();
        for ticket in late {
            if let Some((answer, error)) = inner.give_up(ticket, timeout) {
                // Whoever dropped the future does not want to know.
                let _ = answer.send(Err(error));
            }
        }
    }

    /// Ends without a word to the server: the session lives on there until its timeout.
    pub fn abandon(&self) {
        self.step(|session, _| session.abandon(SessionState::Closed));
        self.wake.notify_one();
    }

    /// A stream of states that begins with the one of now.
    pub fn states(&self) -> Mailbox<SessionState> {
        let mailbox = Mailbox::default();
        let mut inner = self.lock();
        let state = inner.session.state();
        mailbox.put(state, 1, |_| {});
        if state.is_final() {
            mailbox.close();
        } else {
            inner.states.push(mailbox.clone());
        }
        mailbox
    }

    pub fn forget_states(&self, mailbox: &Mailbox<SessionState>) {
        self.lock().states.retain(|other| !other.is(mailbox));
    }
}

impl Inner {
    /// An answer that still comes may leave a watch: it stays with the session, and nobody hears of it.
    fn give_up(&mut self, ticket: Ticket, after: Duration) -> Option<(Asker, ClientError)> {
        let Waiting { answer, op, path, .. } = self.waiting.remove(&ticket)?;
        let never_sent = self.session.withdraw(ticket);
        Some((answer, ClientError::Timeout { op, path, after_ms: after.as_millis() as i64, sent: !never_sent }))
    }

    fn finish(&mut self, ticket: Ticket, result: Result<Reply, ClientError>) {
        let Some(waiting) = self.waiting.remove(&ticket) else { return };
        if let (Some(watch), Ok(reply)) = (waiting.watch, &result) {
            let absent = waiting.op == OpCode::Exists && reply.error == ErrorCode::NoNode.number();
            if reply.error == 0 || absent {
                self.registry.begin(&waiting.path, watch, absent);
            }
        }
        // Whoever dropped the future does not want to know.
        let _ = waiting.answer.send(result);
    }

    fn hand_out(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done { ticket, result } => self.finish(ticket, result),
            Outcome::Event(Event::Watch(event)) => self.registry.fire(event),
            Outcome::Event(Event::Rewatched { missed: true }) => self.registry.gap(),
            Outcome::Event(Event::Rewatched { missed: false }) => {}
            Outcome::Event(Event::State(state)) => {
                for mailbox in &self.states {
                    mailbox.put(state, STATES_WAITING_MAX, |last| *last = state);
                }
                if state.is_final() {
                    self.states.drain(..).for_each(|mailbox| mailbox.close());
                    self.registry.end();
                }
            }
        }
    }
}
