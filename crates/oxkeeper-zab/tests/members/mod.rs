//! Members change by files: servers restart one after the other, each with another list. No list but the one of a server's
//! files may count (ZOOKEEPER-3829, ZOOKEEPER-3842). Ids are 1 to 5.

use crate::world::{Options, World};

/// The ensemble while its members change, and who has which list.
struct Changing {
    world: World,
    voters: Vec<i64>,
    name: String,
}

fn at(id: i64) -> usize {
    id as usize - 1
}

impl Changing {
    fn begin(seed: u64, voters: &[i64]) -> Changing {
        let options =
            Options { voters: 5, observers: 0, commit_log_count: [3, 500][(seed % 2) as usize], groups: false };
        let mut world = World::prepare(seed, options);
        for id in voters {
            world.write_list(at(*id), voters);
            world.start(at(*id));
        }
        let mut changing = Changing { world, voters: voters.to_vec(), name: format!("seed {seed}") };
        changing.serves(voters);
        changing
    }

    /// One of `up` leads, and all of them get everything; but for those whose files do not list the leader yet: they wait.
    fn serves(&mut self, up: &[i64]) {
        let world = &mut self.world;
        let end = world.now + 5000;
        let mut asked = 0;
        while world.now < end {
            world.run_until(world.now + 20);
            let leaders = world.leaders();
            if asked < 5 {
                leaders.iter().for_each(|leader| world.propose(*leader));
                asked += leaders.len();
            }
            let all = world.check.committed.clone();
            let follows = |id: &i64| {
                let may = leaders.iter().all(|leader| world.may_follow(at(*id), *leader));
                !may || world.nodes[at(*id)].applied == all
            };
            if asked >= 5 && leaders.len() == 1 && up.iter().all(follows) {
                return;
            }
        }
        let states: Vec<_> = up.iter().map(|id| world.report(at(*id))).collect();
        panic!("{}: {up:?} should serve; they say {states:?}", self.name);
    }

    /// The next list, written by one after the other; who is new starts first, who is not listed any more is stopped first. A server
    /// that was alone gets it before the others start, or they would elect each other without what it has.
    fn change_to(&mut self, next: &[i64]) {
        for gone in self.voters.clone().iter().filter(|id| !next.contains(id)) {
            self.world.crash(at(*gone));
        }
        let (old, new): (Vec<i64>, Vec<i64>) = next.iter().partition(|id| self.voters.contains(id));
        let order = if self.voters.len() == 1 { [old, new] } else { [new, old] }.concat();
        for id in order {
            self.restart(id, next);
            let up: Vec<i64> = (1..=5).filter(|id| self.world.nodes[at(*id)].zab.is_some()).collect();
            if up.len() > next.len() / 2 {
                self.serves(&up);
            }
        }
        self.voters = next.to_vec();
    }

    fn restart(&mut self, id: i64, list: &[i64]) {
        self.world.crash(at(id));
        self.world.write_list(at(id), list);
        let now = self.world.now;
        self.world.run_until(now + 10);
        self.world.start(at(id));
    }

    /// Whoever is left of a quorum elects and serves, whichever these are.
    fn survives_kills(&mut self) {
        let voters = self.voters.clone();
        let spare = (voters.len() - 1) / 2;
        for begin in 0..voters.len() {
            let dead: Vec<i64> = voters.iter().cycle().skip(begin).take(spare).copied().collect();
            dead.iter().for_each(|id| self.world.crash(at(*id)));
            let left: Vec<i64> = voters.iter().filter(|id| !dead.contains(id)).copied().collect();
            self.serves(&left);
            dead.iter().for_each(|id| self.world.start(at(*id)));
            self.serves(&voters);
        }
    }
}

#[test]
fn the_two_oldest_may_die_after_three_became_five() {
    let mut changing = Changing::begin(1, &[1, 2, 3]);
    changing.change_to(&[1, 2, 3, 4, 5]);
    changing.world.crash(at(1));
    changing.world.crash(at(2));
    changing.serves(&[3, 4, 5]);
}

#[test]
fn two_of_five_retire_and_the_others_drop_them_one_by_one() {
    let mut changing = Changing::begin(2, &[1, 2, 3]);
    changing.change_to(&[1, 2, 3, 4, 5]);
    changing.change_to(&[3, 4, 5]);
    changing.survives_kills();
}

#[test]
fn members_come_go_and_are_exchanged_with_a_minority_dead_in_between() {
    for seed in 0..40 {
        let mut changing = Changing::begin(seed, &[2]);
        let ways: [&[i64]; 8] = [
            &[1, 2, 3],
            &[1, 2, 3, 4],
            &[1, 2, 3, 4, 5],
            &[2, 3, 4, 5],
            &[3, 4, 5],
            &[1, 4, 5],
            &[1, 2, 4, 5],
            &[1, 2, 4],
        ];
        for list in ways {
            changing.change_to(list);
            changing.survives_kills();
        }
    }
}

/// One voter more or less at a time, so that a quorum of either list has a server in common with each of the other: then nothing
/// is lost, whatever fails meanwhile.
#[test]
fn nothing_is_lost_where_members_change_amid_faults() {
    for seed in 1000..1100 {
        let mut changing = Changing::begin(seed, &[1, 2, 3]);
        for _ in 0..4 {
            let mut next = changing.voters.clone();
            let pick = changing.world.rng.below(5) as i64 + 1;
            match next.iter().position(|id| *id == pick) {
                Some(place) if next.len() > 2 => drop(next.remove(place)),
                Some(_) => continue,
                None => next.push(pick),
            }
            next.sort_unstable();
            changing.change_amid_faults(&next);
            changing.survives_kills();
        }
    }
}

impl Changing {
    fn change_amid_faults(&mut self, next: &[i64]) {
        for gone in self.voters.clone().iter().filter(|id| !next.contains(id)) {
            self.world.crash(at(*gone));
        }
        for id in next {
            self.restart(*id, next);
            for _ in 0..self.world.rng.below(6) {
                let now = self.world.now;
                let pause = 1 + self.world.rng.below(60) as i64;
                self.world.run_until(now + pause);
                self.world.leaders().into_iter().for_each(|leader| self.world.propose(leader));
                let (a, b) = (self.pick(next), self.pick(next));
                match self.world.rng.below(4) {
                    0 => self.world.crash(a),
                    1 => self.world.break_some_link(),
                    2 => self.world.cut(a, b, true),
                    _ => self.world.start(a),
                }
            }
            self.world.heal();
        }
        next.iter().for_each(|id| self.world.start(at(*id)));
        self.voters = next.to_vec();
        self.serves(next);
    }

    fn pick(&mut self, of: &[i64]) -> usize {
        at(of[self.world.rng.below(of.len() as u64) as usize])
    }
}
