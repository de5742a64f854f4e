//! Who was heard from, through which connection, and who is due to expire (reference `SessionTrackerImpl`, `ExpiryQueue`).
//!
//! Deadlines are rounded up to the next tick, and the core hears of activity up to [`TOUCH_DELAY_MS_MAX`] late. So a session whose
//! client fell silent is due to expire after its timeout, and within one tick and that delay more; it ends when the closeSession
//! made of it is committed. Nobody expires whom this server's own connections heard in time, as long as its threads run. Of clients
//! of learners the leader hears with the answers to its PINGs, half a tick later and more where a link is slow; with that delay a
//! session can end whose client was heard in time, as by the reference.

use hashbrown::{HashMap, HashSet};
use oxkeeper_types::limits::TOUCH_DELAY_MS_MAX;
use oxkeeper_types::{ConnId, ErrorCode, Millis, SessionId};
use oxkeeper_zab::LinkId;
use std::collections::BTreeMap;

type Hasher = foldhash::fast::FixedState;

/// Who may speak for a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// A connection of this server.
    Conn(ConnId),
    /// A client of the learner on this link (reference: the `LearnerHandler` as a session's owner).
    Learner(LinkId),
}

/// One session that this server keeps alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Live {
    /// Negotiated by the connection that serves it now.
    pub timeout: Millis,
    /// Key of its bucket, on the monotonic clock.
    pub deadline: Millis,
    /// Who may speak for it; `None`: its client has not come back yet.
    pub speaker: Option<Speaker>,
    /// A connection of this server that spoke for it before a learner's client did: it is there until it asks for something, or
    /// until the session ends.
    pub former: Option<ConnId>,
    /// A closeSession was prepared: nothing more is taken from it.
    pub closing: bool,
}

impl Live {
    /// The connection of this server that belongs to it.
    pub fn conn(&self) -> Option<ConnId> {
        match self.speaker {
            Some(Speaker::Conn(conn)) => Some(conn),
            Some(Speaker::Learner(_)) | None => self.former,
        }
    }
}

#[derive(Debug)]
pub struct Tracker {
    tick: Millis,
    sessions: HashMap<SessionId, Live, Hasher>,
    /// Deadline, a multiple of the tick, to the sessions that expire there.
    buckets: BTreeMap<Millis, HashSet<SessionId, Hasher>>,
}

impl Tracker {
    /// Arms every known session with its full timeout, as a server does when it starts or takes over.
    pub fn new(tick: Millis, known: impl Iterator<Item = (SessionId, Millis)>, now: Millis) -> Tracker {
        assert!(tick.0 > 0, "tick of {} ms", tick.0);
        let mut tracker = Tracker { tick, sessions: HashMap::default(), buckets: BTreeMap::new() };
        for (session, timeout) in known {
            tracker.track(session, timeout, None, now);
        }
        tracker
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
    pub fn get(&self, session: SessionId) -> Option<&Live> {
        self.sessions.get(&session)
    }

    /// Starts to keep a session alive, or hands a known one to another speaker with the timeout it negotiated.
    pub fn track(&mut self, session: SessionId, timeout: Millis, speaker: Option<Speaker>, now: Millis) {
        let deadline = self.bucket(now + timeout);
        let moved = matches!(speaker, Some(Speaker::Learner(_)));
        let former = self.sessions.get(&session).filter(|_| moved).and_then(Live::conn);
        let live = Live { timeout, deadline, speaker, former, closing: false };
        if let Some(before) = self.sessions.insert(session, live) {
            self.leave_bucket(session, before.deadline);
        }
        self.buckets.entry(deadline).or_default().insert(session);
    }

    /// The session was heard from. Nothing happens for unknown and closing ones.
    pub fn touch(&mut self, session: SessionId, now: Millis) {
        let Some(live) = self.sessions.get(&session).filter(|live| !live.closing).copied() else { return };
        let deadline = self.bucket(now + live.timeout);
        if deadline != live.deadline {
            self.leave_bucket(session, live.deadline);
            self.buckets.entry(deadline).or_default().insert(session);
            self.sessions.get_mut(&session).expect("looked up above").deadline = deadline;
        }
    }

    pub fn set_closing(&mut self, session: SessionId) {
        if let Some(live) = self.sessions.get_mut(&session) {
            live.closing = true;
        }
    }

    /// The connection is gone; its session waits for another one or for its deadline.
    pub fn disconnected(&mut self, session: SessionId, conn: ConnId) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        live.speaker.take_if(|speaker| *speaker == Speaker::Conn(conn));
        live.former.take_if(|former| *former == conn);
    }

    pub fn remove(&mut self, session: SessionId) -> Option<Live> {
        let live = self.sessions.remove(&session)?;
        self.leave_bucket(session, live.deadline);
        Some(live)
    }

    /// Whether `speaker` may speak for `session` (reference `SessionTrackerImpl.checkSession`). A session that nobody speaks
    /// for is taken by the first learner that does: it has asked for the session's validity before.
    pub fn check(&mut self, session: SessionId, speaker: Speaker) -> Result<(), ErrorCode> {
        let Some(live) = self.sessions.get_mut(&session).filter(|live| !live.closing) else {
            return Err(ErrorCode::SessionExpired);
        };
        if live.speaker.is_none() && matches!(speaker, Speaker::Learner(_)) {
            live.speaker = Some(speaker);
        }
        if live.speaker == Some(speaker) { Ok(()) } else { Err(ErrorCode::SessionMoved) }
    }

    /// Sessions whose time is over, in order of their ids; each is marked as closing and comes out once.
    pub fn expire(&mut self, now: Millis) -> Vec<SessionId> {
        let mut due = Vec::new();
        while let Some(bucket) = self.buckets.first_entry() {
            if *bucket.key() + Millis(TOUCH_DELAY_MS_MAX) > now {
                break;
            }
            let start = due.len();
            due.extend(bucket.remove());
            due[start..].sort_unstable();
        }
        due.retain(|session| {
            let live = self.sessions.get_mut(session).expect("a session in a bucket is known");
            let first = !live.closing;
            live.closing = true;
            first
        });
        due
    }

    /// When [`Tracker::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.buckets.first_key_value().map(|(deadline, _)| *deadline + Millis(TOUCH_DELAY_MS_MAX))
    }

    /// Deadlines with their sessions in order, for `dump`.
    pub fn buckets(&self) -> impl Iterator<Item = (Millis, Vec<SessionId>)> + '_ {
        self.buckets.iter().map(|(deadline, sessions)| {
            let mut sorted: Vec<_> = sessions.iter().copied().collect();
            sorted.sort_unstable();
            (*deadline, sorted)
        })
    }

    fn bucket(&self, at: Millis) -> Millis {
        Millis((at.0 / self.tick.0 + 1) * self.tick.0)
    }

    fn leave_bucket(&mut self, session: SessionId, deadline: Millis) {
        if let Some(bucket) = self.buckets.get_mut(&deadline) {
            bucket.remove(&session);
            if bucket.is_empty() {
                self.buckets.remove(&deadline);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const S: SessionId = SessionId(7);
    const CONN: Speaker = Speaker::Conn(ConnId(1));

    fn tracker() -> Tracker {
        let mut t = Tracker::new(Millis(1000), std::iter::empty(), Millis(0));
        t.track(S, Millis(4000), Some(CONN), Millis(500));
        t
    }

    #[test]
    fn a_session_expires_after_its_timeout_and_within_a_tick_more() {
        let mut t = tracker();
        assert_eq!(t.next_deadline(), Some(Millis(5000 + TOUCH_DELAY_MS_MAX)));
        assert_eq!(t.expire(Millis(5000 + TOUCH_DELAY_MS_MAX - 1)), []);
        assert_eq!(t.expire(Millis(5000 + TOUCH_DELAY_MS_MAX)), [S]);
        assert_eq!(t.expire(Millis(60000)), [], "it comes out once");
    }

    #[test]
    fn a_touch_moves_the_deadline() {
        let mut t = tracker();
        t.touch(S, Millis(3000));
        assert_eq!(t.expire(Millis(7999)), []);
        assert_eq!(t.expire(Millis(8000 + TOUCH_DELAY_MS_MAX)), [S]);
    }

    #[test]
    fn a_closing_session_is_not_touched_and_not_obeyed() {
        let mut t = tracker();
        t.set_closing(S);
        t.touch(S, Millis(3000));
        assert_eq!(t.get(S).unwrap().deadline, Millis(5000));
        assert_eq!(t.check(S, CONN), Err(ErrorCode::SessionExpired));
    }

    #[test]
    fn only_the_serving_connection_speaks_for_a_session() {
        let mut t = tracker();
        assert_eq!(t.check(S, CONN), Ok(()));
        t.track(S, Millis(9000), Some(Speaker::Conn(ConnId(2))), Millis(600));
        assert_eq!(t.check(S, CONN), Err(ErrorCode::SessionMoved));
        assert_eq!(t.check(SessionId(8), CONN), Err(ErrorCode::SessionExpired));
        t.disconnected(S, ConnId(1));
        assert_eq!(
            t.get(S).unwrap().speaker,
            Some(Speaker::Conn(ConnId(2))),
            "the old connection's end is no concern of the new one"
        );
    }

    #[test]
    fn a_session_without_a_speaker_goes_to_the_first_learner() {
        let mut t = tracker();
        t.disconnected(S, ConnId(1));
        let (first, second) = (Speaker::Learner(LinkId(1)), Speaker::Learner(LinkId(2)));
        assert_eq!(t.check(S, CONN), Err(ErrorCode::SessionMoved), "a connection has to resume it");
        assert_eq!(t.check(S, first), Ok(()));
        assert_eq!(t.check(S, second), Err(ErrorCode::SessionMoved));
    }

    #[test]
    fn sessions_known_at_the_start_get_their_full_timeout() {
        let t = Tracker::new(Millis(1000), [(S, Millis(2500))].into_iter(), Millis(10_000));
        assert_eq!(t.get(S).unwrap().deadline, Millis(13_000));
    }
}
