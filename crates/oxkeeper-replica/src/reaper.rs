//! Removes empty containers and expired TTL nodes (reference `ContainerManager`): looks every interval, and proposes
//! the deletes one by one at a bounded rate.

use crate::options::Options;
use oxkeeper_tree::Tree;
use oxkeeper_types::Millis;
use oxkeeper_types::node::Owner;
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
            self.candidates.extend(candidates(tree, options, wall));
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

fn candidates(tree: &Tree, options: &Options, wall: Millis) -> Vec<String> {
    let mut found = Vec::new();
    for path in tree.containers() {
        let Some(node) = tree.node(&path) else { continue };
        let never_used = node.stat_persisted().cversion == 0;
        let age = wall.0 - node.stat_persisted().mtime;
        let reap = if never_used { options.container_never_used_max.is_some_and(|max| age > max.0) } else { true };
        if node.num_children() == 0 && reap {
            found.push(path);
        }
    }
    for path in tree.ttl_nodes() {
        let Some(node) = tree.node(&path) else { continue };
        if let Owner::Ttl { ttl_ms } = node.owner()
            && node.num_children() == 0
            && ttl_ms != 0
            && wall.0 - node.stat_persisted().mtime > ttl_ms
        {
            found.push(path);
        }
    }
    found
}
