//! One seed from its beginning to its end: faults, then health and progress, then quiet and comparison.

use crate::check::{Counts, Violation};
use crate::host::Running;
use crate::members::Members;
use crate::swarm::RunOptions;
use crate::transcript::Who;
use crate::world::World;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Simulated milliseconds between looks at whether everybody was served.
const LOOK_MS: u64 = 200;
/// When clients are silent: epochs that may be used up by the end of their sessions, and some.
const EPOCHS_IN_QUIET_MAX: usize = 5;
/// Simulated milliseconds: the longest pause between two rounds of notifications, and what follows it.
const REJOIN_MS_MAX: u64 = 75_000;

#[derive(Clone, Debug)]
pub struct Outcome {
    pub options: RunOptions,
    pub violation: Option<Violation>,
    pub hash: u64,
    pub events: u64,
    pub simulated_us: u64,
    pub counts: Counts,
    pub points: BTreeMap<&'static str, u64>,
    /// Empty unless asked for.
    pub lines: String,
}

/// Runs a seed. A failed assertion of the product is a violation too, where the build unwinds.
pub fn run(options: &RunOptions, readable: bool) -> Outcome {
    let mut world = World::new(options.clone(), readable);
    let done = catch_unwind(AssertUnwindSafe(|| world.play()));
    if let Err(panic) = done {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_else(|| "a panic without words".to_string());
        world.check.fail("ShouldNotBeTriggered", text);
    }
    if let Some(violation) = world.check.violation.clone() {
        world.trace.note(world.now, Who::World, "violation", &[], || violation.to_string());
    }
    let mut points = BTreeMap::new();
    world.points.values().for_each(|(name, n)| *points.entry(*name).or_default() += n);
    Outcome {
        options: options.clone(),
        violation: world.check.violation.clone(),
        hash: world.trace.hash(),
        events: world.trace.events(),
        simulated_us: world.now,
        counts: world.check.counts,
        points,
        lines: world.trace.take_lines(),
    }
}

impl World {
    fn play(&mut self) {
        if !self.run_until(self.options.duration_ms * 1000) {
            return;
        }
        self.heal();
        self.schedule_pipes();
        let changes = self.options.changes() != Members::Same;
        if if changes { self.lists_are_served() } else { self.everybody_is_served() } {
            self.quiet();
        }
    }

    /// Progress within a bound.
    pub(crate) fn everybody_is_served(&mut self) -> bool {
        let healed_at = self.now;
        let limit = healed_at + self.options.recovery_ms_max() * 1000;
        while self.now < limit {
            if !self.run_until(self.now + LOOK_MS * 1000) {
                return false;
            }
            if self.clients.iter().all(|client| client.served) {
                self.check.counts.recovery_ms = (self.now - healed_at) / 1000;
                return true;
            }
        }
        let waiting: Vec<usize> =
            self.clients.iter().enumerate().filter(|(_, client)| !client.served).map(|(c, _)| c + 1).collect();
        let modes: Vec<_> = self.hosts.iter().map(|h| h.running.as_ref().map(|r| r.mode)).collect();
        let text =
            format!("clients {waiting:?} had no write acknowledged after everything was healed; servers: {modes:?}");
        self.check.fail("Liveness", text);
        false
    }

    /// Clients fall silent, half of them for good; then everything must agree.
    fn quiet(&mut self) {
        // A disk that had died is there again, with what it had.
        (0..self.hosts.len()).for_each(|h| self.raise(h));
        for c in 0..self.clients.len() {
            self.clients[c].retired = true;
            if c % 2 == 1 {
                self.client_vanishes(c, c % 4 == 1);
            }
        }
        self.schedule_pipes();
        let expiry = self.options.session_timeout_ms.max(2 * self.options.tick_ms) + 4 * self.options.tick_ms;
        // Drifting clocks, and a leader that has to hear of it from a learner. A new leader gives every session its whole time once
        // more, and the sessions that end may use up an epoch.
        for _ in 0..EPOCHS_IN_QUIET_MAX {
            let leaders = self.check.counts.leaders;
            if !self.run_until(self.now + (expiry * 12 / 10 + 3_000) * 1000) {
                return;
            }
            if self.check.counts.leaders == leaders {
                break;
            }
        }
        for c in 0..self.clients.len() {
            for session in self.clients[c].abandoned.clone() {
                self.check.session_is_gone(c, session);
            }
        }
        // A server that was cut off for long asks for a leader once a minute at the latest.
        let limit = self.now + REJOIN_MS_MAX * 1000;
        let behind = |world: &World| {
            let last = world.check.model.last;
            let is_behind = |r: &Running| r.state.tree.last_processed() != last;
            world.hosts.iter().any(|h| !h.absent && h.running.as_ref().is_none_or(is_behind))
        };
        while behind(self) && self.now < limit {
            if !self.run_until(self.now + LOOK_MS * 1000) {
                return;
            }
        }
        let last = self.check.model.last;
        for h in (0..self.hosts.len()).filter(|h| !self.hosts[*h].absent) {
            let Some(running) = &self.hosts[h].running else {
                self.check.fail("Liveness", format!("server {} is down in the end", h + 1));
                continue;
            };
            let at = running.state.tree.last_processed();
            if at != last {
                let text = format!("server {} is at {at} in the end, the others are at {last}", h + 1);
                self.check.fail("Liveness", text);
            }
            self.check.compare_tree(h, running);
        }
    }
}
