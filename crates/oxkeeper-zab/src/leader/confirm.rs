//! Whether this server still leads: the ground under a linearizable `sync` (ZOOKEEPER-1675; Ongaro's thesis, 6.4, calls it
//! ReadIndex).
//!
//! Owns the rounds. A round is confirmed when a quorum, this server included, has answered a PING or acknowledged a proposal
//! that was sent after the round was asked for: each of them was then still bound to our epoch, so no later leader had its
//! quorum before the round was asked for. Must not know links.

use oxkeeper_types::Zxid;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Round {
    pub number: u64,
    /// What was proposed before the last request of the round: proposals behind it count as questions.
    pub proposed: Zxid,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Confirm {
    open: Option<Round>,
    /// Requests that came while a round was open: one round for all of them.
    waiting: Option<Round>,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Wait,
    /// A round has begun: send PINGs.
    Ask,
}

impl Confirm {
    /// `number` is the one to be used if the request opens or announces a round.
    pub fn request(&mut self, number: u64, proposed: Zxid) -> Next {
        let round = Round { number, proposed };
        if self.open.is_none() {
            self.open = Some(round);
            return Next::Ask;
        }
        match &mut self.waiting {
            Some(waiting) => waiting.proposed = proposed,
            None => self.waiting = Some(round),
        }
        Next::Wait
    }

    /// Whether the next request needs a number of its own.
    pub fn takes_new_number(&self) -> bool {
        self.open.is_none() || self.waiting.is_none()
    }

    pub fn open(&self) -> Option<Round> {
        self.open
    }

    /// A quorum has answered the open round.
    pub fn confirmed(&mut self) -> Next {
        assert!(self.open.is_some(), "a round was confirmed that nobody asked for");
        self.open = self.waiting.take();
        if self.open.is_some() { Next::Ask } else { Next::Wait }
    }

    /// A quorum has acknowledged everything through `through`. The highest round that this confirms.
    pub fn committed(&mut self, through: Zxid) -> (Option<u64>, Next) {
        let is_implied = |round: &Round| through > round.proposed;
        let Some(open) = self.open.filter(is_implied) else { return (None, Next::Wait) };
        match self.waiting {
            Some(waiting) if is_implied(&waiting) => {
                (self.open, self.waiting) = (None, None);
                (Some(waiting.number), Next::Wait)
            }
            _ => (Some(open.number), self.confirmed()),
        }
    }
}
