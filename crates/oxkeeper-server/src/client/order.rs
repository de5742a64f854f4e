//! The order of one connection's requests. Pure: must not know sockets, time or threads.
//!
//! Requests that the core answers (writes, sync, the handshake) are handed over at once, one behind the other. Everything
//! else is answered where it arrives, and must not overtake: it waits while the core still owes an answer, and everything
//! behind it waits too. So a client reads its own writes, and replies come back in the order of the requests
//! (inventory CW014, CW015; reference `CommitProcessor` and its queue per session).

use oxkeeper_types::limits::CONNECTION_REQUESTS_MAX;
use oxkeeper_types::{Millis, Xid};
use std::collections::VecDeque;

/// How a request is answered, as far as the order is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// By this thread: reads, pings, auth.
    Here,
    /// By the core, in the order in which it was handed over.
    Core,
}

/// A request that the core has and has not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InCore {
    pub xid: Xid,
    /// Its op number, for statistics.
    pub op: i32,
    /// When it came in, on the monotonic clock.
    pub since: Millis,
    /// Counted against the budget of large requests; 0 where it is none.
    pub large_bytes: u32,
}

/// What the core owes to one connection, oldest first.
#[derive(Debug, Default)]
pub struct Order {
    in_core: VecDeque<InCore>,
}

/// Queues that grew beyond this give their memory back when they are empty.
const KEPT_REQUESTS_MAX: usize = 16;

impl Order {
    /// Whether the next request in line may be taken now. `saturated`: the whole server has more requests under way than
    /// `globalOutstandingLimit`; then a connection that is owed an answer waits (inventory CW016).
    pub fn may_take(&self, class: Class, saturated: bool) -> bool {
        match class {
            Class::Here => self.in_core.is_empty(),
            Class::Core => self.in_core.is_empty() || (!saturated && self.in_core.len() < CONNECTION_REQUESTS_MAX),
        }
    }
    /// The request has been handed to the core.
    pub fn submitted(&mut self, request: InCore) {
        assert!(self.in_core.len() < CONNECTION_REQUESTS_MAX, "{} requests in the core", self.in_core.len());
        self.in_core.push_back(request);
    }
    /// The core has answered the oldest request.
    pub fn answered(&mut self) -> InCore {
        let request = self.in_core.pop_front().expect("the core answers only what it was given");
        if self.in_core.is_empty() && self.in_core.capacity() > KEPT_REQUESTS_MAX {
            self.in_core = VecDeque::new();
        }
        request
    }
    /// Requests that the core owes an answer to.
    pub fn outstanding(&self) -> usize {
        self.in_core.len()
    }
    /// Empties it: the connection is gone.
    pub fn abandon(&mut self) -> impl Iterator<Item = InCore> {
        std::mem::take(&mut self.in_core).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(xid: i32) -> InCore {
        InCore { xid: Xid(xid), op: 1, since: Millis(0), large_bytes: 0 }
    }

    #[test]
    fn a_read_waits_behind_an_unanswered_write() {
        let mut order = Order::default();
        assert!(order.may_take(Class::Here, false));
        order.submitted(request(1));
        assert!(!order.may_take(Class::Here, false));
        assert_eq!(order.answered().xid, Xid(1));
        assert!(order.may_take(Class::Here, false));
    }

    #[test]
    fn writes_follow_each_other_without_waiting() {
        let mut order = Order::default();
        for xid in 1..=3 {
            assert!(order.may_take(Class::Core, false));
            order.submitted(request(xid));
        }
        assert_eq!(order.outstanding(), 3);
        for xid in 1..=3 {
            assert!(!order.may_take(Class::Here, false), "before the answer to {xid}");
            assert_eq!(order.answered().xid, Xid(xid));
        }
        assert!(order.may_take(Class::Here, false));
    }

    #[test]
    fn one_connection_cannot_fill_the_core() {
        let mut order = Order::default();
        for xid in 0..CONNECTION_REQUESTS_MAX {
            assert!(order.may_take(Class::Core, false));
            order.submitted(request(xid as i32));
        }
        assert!(!order.may_take(Class::Core, false));
        order.answered();
        assert!(order.may_take(Class::Core, false));
    }

    #[test]
    fn on_a_saturated_server_each_connection_has_one_request_under_way() {
        let mut order = Order::default();
        assert!(order.may_take(Class::Core, true));
        order.submitted(request(1));
        assert!(!order.may_take(Class::Core, true));
        order.answered();
        assert!(order.may_take(Class::Core, true));
    }

    #[test]
    fn a_gone_connection_gives_back_what_it_had_under_way() {
        let mut order = Order::default();
        order.submitted(request(1));
        order.submitted(request(2));
        assert_eq!(order.abandon().count(), 2);
        assert_eq!(order.outstanding(), 0);
    }
}
