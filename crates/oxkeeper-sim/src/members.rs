//! Members changed by files: one voter at a time joins or leaves, and one server after the other gets the new list and starts again.
//!
//! Owns which list is whose and when the next one may come. While faults happen a change takes its course among them; when they are
//! over, every list is judged: all servers have it, who has left is gone for good, as many of the oldest members as the list can do without
//! are dead, and the others have to elect and serve.

use crate::random::Random;
use crate::swarm::RunOptions;
use crate::transcript::Who;
use crate::world::{Crash, Event, World};
use oxkeeper_replica::output::Mode;
use std::collections::VecDeque;

/// Microseconds between looks at whether the ensemble serves with the last list, so that the next one may come.
const AGAIN_US: u64 = 1_000_000;
/// Microseconds of a restart.
const RESTART_US: u64 = 200_000;

/// How the voters of a run change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Members {
    Same,
    /// Two join.
    Grow,
    /// One joins, the oldest leaves; twice.
    Exchange,
    /// Two join, the two oldest leave.
    Replace,
    /// The two oldest leave.
    Retire,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Joins,
    Leaves,
}

impl Members {
    /// Changes that this many voters, all of one weight, may go through.
    pub fn draw(r: &mut Random, voters: usize) -> Members {
        match voters {
            3 => *r.pick(&[Members::Grow, Members::Exchange, Members::Replace]),
            5 => Members::Retire,
            _ => Members::Same,
        }
    }
    fn steps(self) -> &'static [Step] {
        use Step::{Joins, Leaves};
        match self {
            Members::Same => &[],
            Members::Grow => &[Joins, Joins],
            Members::Exchange => &[Joins, Leaves, Joins, Leaves],
            Members::Replace => &[Joins, Joins, Leaves, Leaves],
            Members::Retire => &[Leaves, Leaves],
        }
    }
    /// Machines that are not members at first.
    pub fn spares(self) -> usize {
        self.steps().iter().filter(|step| **step == Step::Joins).count()
    }
    /// The voters of each list, by index of their machines: the first are members from the beginning, `spare` is the first that is not.
    fn lists(self, voters: usize, spare: usize) -> Vec<Vec<usize>> {
        let mut lists = vec![(0..voters).collect::<Vec<usize>>()];
        let mut spares = spare..;
        for step in self.steps() {
            let mut list = lists[lists.len() - 1].clone();
            match step {
                Step::Joins => list.extend(spares.next()),
                Step::Leaves => drop(list.remove(0)),
            }
            lists.push(list);
        }
        lists
    }
}

/// How far the changes of a run have come.
pub struct Changes {
    /// The voters of each list.
    lists: Vec<Vec<usize>>,
    /// The list that servers have, or are being given.
    given: usize,
    /// Who has not got it yet, in the order in which they will.
    turns: VecDeque<usize>,
    pause_us: u64,
}

impl Changes {
    pub fn new(options: &RunOptions) -> Changes {
        let lists = options.members.lists(options.voters, options.servers());
        Changes { lists, given: 0, turns: VecDeque::new(), pause_us: 0 }
    }
    fn voters(&self) -> &[usize] {
        &self.lists[self.given]
    }
    fn are_done(&self) -> bool {
        self.turns.is_empty() && self.given + 1 == self.lists.len()
    }
}

impl World {
    /// A fault: the next list comes, as soon as the one before is everybody's and an ensemble serves with it. Two at once need
    /// have no server in common in their quorums.
    pub(crate) fn next_list(&mut self, pause_us: u64, seed: u64) {
        if self.healed || self.changes.given + 1 == self.changes.lists.len() {
            return;
        }
        if !self.list_is_in_force() {
            return self.after(AGAIN_US, Event::NextList { pause_us, seed });
        }
        self.begin_list(pause_us, seed);
        self.after(pause_us, Event::GiveList);
    }

    fn list_is_in_force(&self) -> bool {
        let leads = |h: usize| self.hosts[h].running.as_ref().is_some_and(|running| running.mode == Mode::Leader);
        self.changes.turns.is_empty() && self.check.last_leader().is_some_and(leads)
    }

    /// Whoever joins starts with the new list; the others follow in any order, whoever leaves among them.
    fn begin_list(&mut self, pause_us: u64, seed: u64) {
        let r = &mut Random::new(seed, "list");
        let before = self.changes.voters().to_vec();
        self.changes.given += 1;
        self.changes.pause_us = pause_us;
        let joins = self.changes.voters().iter().copied().filter(|h| !before.contains(h));
        let mut turns: VecDeque<usize> = joins.collect();
        let mut others = before.clone();
        others.extend(self.options.voters..self.options.servers());
        while !others.is_empty() {
            turns.push_back(others.swap_remove(r.index(others.len())));
        }
        self.trace.note(self.now, Who::World, "list", &[self.changes.given as i64], || {
            format!("{:?} behind {before:?}, given to {turns:?}", self.changes.voters())
        });
        self.changes.turns = turns;
    }

    /// The next server in turn, until the run is healed: then [`World::lists_are_served`] goes on.
    pub(crate) fn give_list(&mut self) {
        if self.healed {
            return;
        }
        self.give_list_to_next();
        if !self.changes.turns.is_empty() {
            self.after(self.changes.pause_us, Event::GiveList);
        }
    }

    fn give_list_to_next(&mut self) {
        let Some(h) = self.changes.turns.pop_front() else { return };
        let voters = self.changes.voters();
        let stays = voters.contains(&h) || (self.options.voters..self.options.servers()).contains(&h);
        let list = self.options.ensemble_of(voters);
        self.trace.note(self.now, Who::Server(h), "gets list", &[i64::from(stays)], || format!("{voters:?}"));
        self.crash(h, Crash::Killed);
        self.hosts[h].absent = !stays;
        if stays {
            self.hosts[h].list = list;
            self.restart_after(h, RESTART_US);
        }
    }

    /// When faults are over: every list that there still is, one after the other. True where all were served.
    pub(crate) fn lists_are_served(&mut self) -> bool {
        loop {
            while !self.changes.turns.is_empty() {
                self.give_list_to_next();
                self.schedule_pipes();
                if !self.run_until(self.now + self.changes.pause_us) {
                    return false;
                }
            }
            let voters = self.changes.voters().to_vec();
            let dying = (voters.len() - 1) / 2;
            for h in voters.into_iter().take(dying) {
                self.crash(h, Crash::Killed);
                self.hosts[h].dead = true;
            }
            self.clients.iter_mut().for_each(|client| client.served = false);
            self.schedule_pipes();
            if !self.everybody_is_served() {
                return false;
            }
            self.check.counts.lists_judged += 1;
            (0..self.hosts.len()).for_each(|h| self.raise(h));
            if self.changes.are_done() {
                return true;
            }
            // A client may have been served last by a server that has given up its role since.
            while !self.list_is_in_force() {
                if !self.run_until(self.now + AGAIN_US) {
                    return false;
                }
            }
            let (pause_us, seed) = (self.random.between(300_000, 3_000_000), self.random.draw());
            self.begin_list(pause_us, seed);
        }
    }
}
