//! Elections with messages in any order, lost, said twice, in ensembles of our servers, of the reference's and of both.
//!
//! Around the elections stands the least that roles do: a follower looks again if its leader does not lead, and a leader if
//! no quorum has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::World;
use super::*;
use crate::quorum::Quorums;

const SEEDS: u64 = 1500;
const STEPS_MAX: u32 = 20_000;
/// How long a role is tried: a leader waits for followers, a follower dials.
const ROLE_TRIED: Millis = Millis(1000);

/// A small generator (xorshift*), so that a seed says all.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Ours,
    TheReferences,
    Mixed,
}

struct Run {
    seed: u64,
    random: Random,
    world: World,
    quorums: Arc<Quorums>,
    /// Processes end and begin anew. They forget their round, so that its number may come twice.
    kills: bool,
    /// The leader that a quorum has settled on, by round.
    leader_of_round: BTreeMap<i64, i64>,
}

impl Run {
    fn new(seed: u64, kind: Kind) -> Run {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let voters = [3, 5, 7][random.below(3) as usize];
        let ensemble = members(voters, voters, "");
        let quorums = Arc::new(Quorums::of(&ensemble));
        let mut world = World::new(ensemble);
        world.reports_links = !random.chance(3);
        for id in 1..=voters {
            let epoch = random.below(3) as i64;
            world = world.with_history(id, epoch, zxid(epoch, random.below(3) as u32));
            if kind == Kind::TheReferences || (kind == Kind::Mixed && random.chance(2)) {
                world.as_reference(id);
            }
        }
        let kills = random.chance(3);
        Run { seed, random, world, quorums, kills, leader_of_round: BTreeMap::new() }
    }

    /// All decide and agree, with whatever happens on the way.
    fn run(mut self) {
        let voters: Vec<i64> = self.world.servers.keys().copied().collect();
        let mut late: Vec<i64> = voters.clone();
        let lossy = self.random.chance(3);
        for step in 0..STEPS_MAX {
            let wild = step < 300;
            if !late.is_empty() && (self.random.chance(10) || !wild) {
                let id = late.swap_remove(self.random.below(late.len() as u64) as usize);
                self.world.start(id);
            }
            if wild && self.random.chance(40) {
                self.somebody_looks_again();
            }
            if wild && self.kills && self.random.chance(40) {
                late.extend(self.kill_somebody());
            }
            self.deliver_something(wild && lossy);
            self.check();
            if late.is_empty() && self.is_stable() {
                return;
            }
        }
        panic!("seed {}: no agreement: {:?}", self.seed, self.world.leaders());
    }

    fn somebody_looks_again(&mut self) {
        let up = self.world.up();
        if !up.is_empty() {
            let id = up[self.random.below(up.len() as u64) as usize];
            self.world.look(id);
        }
    }

    fn kill_somebody(&mut self) -> Option<i64> {
        let up = self.world.up();
        let id = *up.get(self.random.below(10) as usize)?;
        self.world.kill(id);
        Some(id)
    }

    fn deliver_something(&mut self, lossy: bool) {
        let busy = self.world.busy();
        if busy.is_empty() || self.random.chance(50) {
            self.let_time_pass();
            return;
        }
        let pair = busy[self.random.below(busy.len() as u64) as usize];
        if lossy && self.random.chance(5) {
            self.world.lose(pair);
        } else {
            if self.random.chance(20) {
                self.world.repeat(pair);
            }
            self.world.deliver(pair);
        }
    }

    /// To the next deadline, of an election or of a role.
    fn let_time_pass(&mut self) {
        let up = self.world.up();
        let due = |world: &World, id: i64| {
            let server = &world.servers[&id];
            server.elector.next_deadline().unwrap_or(server.settled_at + ROLE_TRIED).max(world.now)
        };
        let Some(id) = up.into_iter().min_by_key(|id| due(&self.world, *id)) else { return };
        self.world.now = due(&self.world, id);
        let Some(leader) = self.world.leader_of(id) else {
            self.world.tick(id);
            return;
        };
        let works = self.world.leader_of(leader) == Some(leader);
        if works && (leader != id || self.quorums.contains(&self.world.behind(id))) {
            let now = self.world.now;
            self.world.servers.get_mut(&id).unwrap().settled_at = now;
        } else {
            self.world.look(id);
        }
    }

    /// Everybody has settled on the same server.
    fn is_stable(&self) -> bool {
        let leaders = self.world.leaders();
        leaders[0].is_some() && leaders.iter().all(|leader| *leader == leaders[0])
    }

    /// One round has at most one leader that a quorum has settled on, and it is not behind a quorum.
    fn check(&mut self) {
        for leader in self.world.up() {
            if self.world.leader_of(leader) != Some(leader) {
                continue;
            }
            let round = self.world.servers[&leader].elector.round();
            let mut behind = self.world.behind(leader);
            behind.retain(|id| self.world.servers[&id.0].elector.round() == round);
            if !self.quorums.contains(&behind) {
                continue;
            }
            // Servers keep their histories in this test, so this holds however often they start anew.
            let known = *self.leader_of_round.entry(round).or_insert(leader);
            assert!(known == leader || self.kills, "seed {}: {known} and {leader} lead in round {round}", self.seed);
            let rank = |id: i64| (self.world.servers[&id].epoch, self.world.servers[&id].last, id);
            let not_ahead = self.world.servers.keys().filter(|id| rank(**id) <= rank(leader)).map(|id| ServerId(*id));
            assert!(self.quorums.contains(&not_ahead.collect()), "seed {}: {leader} is behind a quorum", self.seed);
        }
    }
}

fn all_agree(kind: Kind) {
    for seed in 1..=SEEDS {
        Run::new(seed, kind).run();
    }
}

#[test]
fn our_servers_agree_whatever_happens_to_messages() {
    all_agree(Kind::Ours);
}

#[test]
fn servers_of_the_reference_agree_in_the_same_world() {
    all_agree(Kind::TheReferences);
}

#[test]
fn our_servers_and_the_references_agree_with_each_other() {
    all_agree(Kind::Mixed);
}
