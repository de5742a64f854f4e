//! Removes empty containers and expired TTL nodes (reference `ContainerManager`): looks every interval, and proposes
//! the deletes one by one at a bounded rate.

use crate::options::Options;
use oxkeeper_tree::Tree;
use oxkeeper_types::Millis;
use std::collections::VecDeque;

#[derive(Debug)]
pub struct Reaper {
    /// Monotonic: when to look for candidates next.
    next_check: Millis,
    /// Found and not proposed yet.
    candidates: VecDeque<String>,
    /// Monotonic: when the next candidate may be proposed.
    next_delete: Millis,
}

impl Reaper {
    pub fn new(options: &Options, now: Millis) -> Reaper {
        Reaper { next_check: now + options.container_check_interval, candidates: VecDeque::new(), next_delete: now }
    }

    pub fn next_deadline(&self) -> Millis {
        if self.candidates.is_empty() { self.next_check } else { self.next_delete.min(self.next_check) }
    }

    /// The paths to propose a deletion for now. `wall` is what ctime and mtime are compared with.
    pub fn due(&mut self, tree: &Tree, options: &Options, now: Millis, wall: Millis) -> Vec<String> {
        // A round begins only when the one before it is through, as the reference's single timer thread has it.
        if now >= self.next_check && self.candidates.is_empty() {
            let never_used_max = options.container_never_used_max.unwrap_or_default();
            self.candidates.extend(tree.reaper_candidates(wall, never_used_max));
            self.next_check = now + options.container_check_interval;
            self.next_delete = now;
        }
        let pause = Millis(60_000 / i64::from(options.containers_per_minute_max.max(1)));
        let mut due = Vec::new();
        while now >= self.next_delete
            && let Some(path) = self.candidates.pop_front()
        {
            due.push(path);
            self.next_delete = self.next_delete + pause;
        }
        due
    }
}
