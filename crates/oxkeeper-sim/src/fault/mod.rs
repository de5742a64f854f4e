//! What goes wrong, and when: a list drawn from the seed, so that a failing run can be made smaller by leaving faults out.
//!
//! Every fault ends: by itself after a while, or when the run is healed. What may not happen because Zab does not survive it:
//! a voter that loses what it had synced (an empty data directory is for observers alone).

mod peers;

pub(crate) use peers::INSTALL_US;
pub use peers::Widow;

use crate::members::Members;
use crate::museum::Bug;
use crate::points;
use crate::random::Random;
use crate::swarm::RunOptions;
use crate::transcript::Who;
use crate::workload::Burst;
use crate::world::{Crash, Event, ServerEvent, World};
use oxkeeper_replica::output::Mode;
use oxkeeper_storage::fault_disk::{Fault as DiskFault, FaultDisk, Loss};
use oxkeeper_zab::LinkId;
use std::io::ErrorKind;

/// Whom a fault meets: somebody in particular, or whoever leads then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Server(usize),
    Leader,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    Kill {
        target: Target,
        restart_us: u64,
    },
    PowerLoss {
        target: Target,
        loss: Loss,
        restart_us: u64,
    },
    /// All at once, and back one after the other.
    PowerLossOfAll {
        seed: u64,
        restart_us: u64,
    },
    /// A crash at the nth pass of a named point.
    Failpoint {
        target: Target,
        point: &'static str,
        nth: u32,
    },
    /// As by SIGSTOP and SIGCONT.
    Pause {
        target: Target,
        us: u64,
    },
    /// Servers and clients on two sides.
    Partition {
        side: u64,
        us: u64,
    },
    /// Nobody reaches it and it reaches nobody: also what a start under a wrong address looks like.
    Isolate {
        target: Target,
        us: u64,
    },
    /// Its packets get out, nothing gets in; or the other way round.
    OneWay {
        target: Target,
        deaf: bool,
        us: u64,
    },
    /// Two halves that share one server.
    Bridge {
        middle: usize,
        us: u64,
    },
    /// Every link is cut at random.
    Swiss {
        seed: u64,
        us: u64,
    },
    Slow {
        target: Target,
        extra_us: u64,
        us: u64,
    },
    ResetConnections {
        percent: u64,
    },
    ClockJump {
        target: Target,
        ms: i64,
    },
    ClockRate {
        target: Target,
        rate_ppm: i64,
        us: u64,
    },
    DiskSlow {
        target: Target,
        times: u64,
        us: u64,
    },
    /// Whatever is asked of the disk is answered when this ends.
    DiskHangs {
        target: Target,
        us: u64,
    },
    /// The nth call that changes something fails once.
    DiskFails {
        target: Target,
        nth: u64,
    },
    DiskFull {
        target: Target,
        us: u64,
    },
    /// It starts again under an address that nobody else knows: it reaches others, nobody reaches it.
    WrongAddress {
        target: Target,
        us: u64,
    },
    /// Links go one by one and come back in another order.
    Swizzle {
        target: Target,
        seed: u64,
    },
    /// One server after the other is stopped and started, as for an upgrade.
    Rolling {
        pause_us: u64,
    },
    /// An observer starts with nothing.
    Wipe {
        server: usize,
    },
    /// Somebody at the quorum port says that it is a member, and that it has promised this epoch.
    Stranger {
        target: Target,
        epoch: i64,
        member: usize,
    },
    /// A leader's disk dies while its snapshot is being installed, and stays dead until all others are served.
    LeaderLeavesHalf,
    /// The next list of members comes by files, one server after the other.
    NextList {
        pause_us: u64,
        seed: u64,
    },
    /// No fault of anything: many ask at one server at the same moment.
    Burst(Burst),
    ClientMoves {
        client: usize,
    },
    ClientVanishes {
        client: usize,
        politely: bool,
        us: u64,
    },
}

/// The end of a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undo {
    Network,
    /// One direction of one path.
    Cut(usize, usize, bool),
    Address(usize),
    /// Begins, for once: a server is stopped in its turn.
    Stop(usize),
    ClockRate(usize),
    DiskSlow(usize),
    DiskHangs(usize),
    DiskFull(usize),
    Client(usize),
    /// Begins: the next step.
    Widow(Widow),
    /// A planted bug: it comes again.
    Stranger {
        epoch: i64,
        member: usize,
    },
    StrangerGoes {
        h: usize,
        link: LinkId,
    },
}

/// The faults of a run with their times.
pub fn plan(options: &RunOptions) -> Vec<(u64, Fault)> {
    let r = &mut Random::new(options.seed, "faults");
    let span = options.duration_ms * 1000;
    let mut faults: Vec<(u64, Fault)> =
        (0..options.faults).map(|_| (r.between(span / 20, span * 19 / 20), draw(r, options))).collect();
    faults.extend(hanging_disks(options));
    faults.sort_by_key(|(at, _)| *at);
    faults.extend(peers::plan(options));
    faults.extend(bursts(options));
    faults.extend(lists(options));
    faults
}

/// In two of three ensembles, from a stream of their own.
fn bursts(options: &RunOptions) -> Vec<(u64, Fault)> {
    let r = &mut Random::new(options.seed, "bursts");
    let span = options.duration_ms * 1000;
    if options.early || options.servers() == 1 || !r.chance(67) {
        return Vec::new();
    }
    let burst = |r: &mut Random| Burst { server: r.index(options.servers()), seed: r.draw(), waves: r.between(1, 6) };
    (0..r.between(2, 8)).map(|_| (r.between(span / 20, span * 19 / 20), Fault::Burst(burst(r)))).collect()
}

/// Disks that hang, for longer than `syncLimit` nearly always. From a stream of their own, so that seeds keep their other faults; and
/// where clocks are even, so that those runs go on judging when sessions end ([`times_are_kept`]).
fn hanging_disks(options: &RunOptions) -> Vec<(u64, Fault)> {
    let r = &mut Random::new(options.seed, "hanging disks");
    let span = options.duration_ms * 1000;
    if options.early || !options.disk_faults || options.clock_faults || options.faults == 0 || !r.chance(60) {
        return Vec::new();
    }
    let hang = |r: &mut Random| Fault::DiskHangs { target: target(r, options), us: r.between(1_000_000, 15_000_000) };
    (0..r.between(1, 3)).map(|_| (r.between(span / 20, span * 19 / 20), hang(r))).collect()
}

/// Some of the lists of members that a run has come among its faults; the others come when those are over.
fn lists(options: &RunOptions) -> Vec<(u64, Fault)> {
    let r = &mut Random::new(options.seed, "lists");
    if options.changes() == Members::Same {
        return Vec::new();
    }
    let span = options.duration_ms * 1000;
    let list = |r: &mut Random| Fault::NextList { pause_us: r.between(300_000, 3_000_000), seed: r.draw() };
    (0..r.below(4)).map(|_| (r.between(span / 20, span * 19 / 20), list(r))).collect()
}

fn target(r: &mut Random, options: &RunOptions) -> Target {
    if r.chance(35) { Target::Leader } else { Target::Server(r.index(options.servers())) }
}

fn draw(r: &mut Random, options: &RunOptions) -> Fault {
    loop {
        let target = target(r, options);
        let us = r.between(300_000, 8_000_000);
        let fault = match r.below(if options.early { 24 } else { 27 }) {
            0 => Fault::Kill { target, restart_us: r.between(1_000, 5_000_000) },
            1 | 2 => {
                let loss = if r.chance(30) { Loss::Everything } else { Loss::Random(r.draw()) };
                Fault::PowerLoss { target, loss, restart_us: r.between(1_000, 5_000_000) }
            }
            3 => Fault::PowerLossOfAll { seed: r.draw(), restart_us: r.between(1_000, 3_000_000) },
            4..=8 => Fault::Failpoint {
                target,
                point: points::ALL[r.index(points::ALL.len())],
                nth: r.between(1, 12) as u32,
            },
            9 => Fault::Pause { target, us },
            10 => Fault::Partition { side: r.draw(), us },
            11 => Fault::Isolate { target, us },
            12 => Fault::OneWay { target, deaf: r.chance(50), us },
            13 => Fault::Bridge { middle: r.index(options.servers()), us },
            14 => Fault::Swiss { seed: r.draw(), us },
            15 => Fault::Slow { target, extra_us: r.between(10_000, 800_000), us },
            16 => Fault::ResetConnections { percent: r.between(10, 100) },
            17 if r.chance(50) => Fault::ClockJump { target, ms: r.between(0, 7_200_000) as i64 - 3_600_000 },
            17 => Fault::ClockRate { target, rate_ppm: r.between(900_000, 1_100_000) as i64, us },
            18 => Fault::DiskSlow { target, times: r.between(5, 400), us },
            19 => Fault::DiskFails { target, nth: r.between(1, 40) },
            20 => Fault::DiskFull { target, us },
            21 if options.observers > 0 => Fault::Wipe { server: options.voters + r.index(options.observers) },
            21 | 22 => Fault::ClientMoves { client: r.index(options.clients) },
            24 => Fault::WrongAddress { target, us },
            25 => Fault::Swizzle { target, seed: r.draw() },
            26 => Fault::Rolling { pause_us: r.between(300_000, 3_000_000) },
            _ => Fault::ClientVanishes { client: r.index(options.clients), politely: r.chance(50), us },
        };
        if allowed(&fault, options) {
            return fault;
        }
    }
}

fn allowed(fault: &Fault, options: &RunOptions) -> bool {
    use Fault::*;
    match fault {
        Kill { .. }
        | PowerLoss { .. }
        | PowerLossOfAll { .. }
        | Failpoint { .. }
        | Pause { .. }
        | Wipe { .. }
        | Rolling { .. } => options.crashes,
        WrongAddress { .. } => options.crashes && options.network_faults,
        Swizzle { .. } => options.network_faults,
        Partition { .. } | Isolate { .. } | OneWay { .. } | Bridge { .. } | Swiss { .. } | Slow { .. } => {
            options.network_faults
        }
        ResetConnections { .. } => options.network_faults,
        ClockJump { .. } | ClockRate { .. } => options.clock_faults,
        DiskSlow { .. } | DiskHangs { .. } | DiskFails { .. } | DiskFull { .. } => options.disk_faults,
        ClientMoves { .. }
        | ClientVanishes { .. }
        | Stranger { .. }
        | LeaderLeavesHalf
        | NextList { .. }
        | Burst(_) => true,
    }
}

/// Whether time passes for a server as for everybody in this run, but for slow and fast clocks.
pub fn times_are_kept(options: &RunOptions) -> bool {
    use Fault::{DiskHangs, DiskSlow, Pause, Slow};
    let late = |fault: &Fault| matches!(fault, Pause { .. } | Slow { .. } | DiskSlow { .. } | DiskHangs { .. });
    !plan(options).iter().any(|(_, fault)| late(fault))
}

impl World {
    /// The server that serves as leader now, or the one with the lowest number.
    fn find(&self, target: Target) -> usize {
        match target {
            Target::Server(h) => h,
            Target::Leader => {
                let leads = |h: &crate::host::Host| h.running.as_ref().is_some_and(|r| r.mode == Mode::Leader);
                self.hosts.iter().position(leads).unwrap_or(0)
            }
        }
    }

    pub(crate) fn inject(&mut self, n: usize) {
        let fault = self.faults[n].1.clone();
        self.trace.note(self.now, Who::World, "fault", &[n as i64], || format!("{n} {fault:?}"));
        let nodes = self.hosts.len() + self.clients.len();
        match fault {
            Fault::Kill { target, restart_us } => self.stop(target, Crash::Killed, restart_us),
            Fault::PowerLoss { target, loss, restart_us } => self.stop(target, Crash::Power(loss), restart_us),
            Fault::PowerLossOfAll { seed, restart_us } => {
                for h in 0..self.hosts.len() {
                    let loss = Loss::Random(seed.wrapping_add(h as u64));
                    self.stop(Target::Server(h), Crash::Power(loss), restart_us * (h as u64 + 1) / 2);
                }
            }
            Fault::Failpoint { target, point, nth } => {
                let h = self.find(target);
                self.hosts[h].armed = Some((point, nth));
            }
            Fault::Pause { target, us } => self.pause(self.find(target), us),
            Fault::Partition { side, us } => {
                self.cut_where(us, |a, b| (side >> (a % 64)) & 1 != (side >> (b % 64)) & 1);
            }
            Fault::Isolate { target, us } => {
                let h = self.find(target);
                self.cut_where(us, |a, b| (a == h) != (b == h));
            }
            Fault::OneWay { target, deaf, us } => {
                let h = self.find(target);
                self.cut_where(us, |a, b| if deaf { b == h } else { a == h });
            }
            Fault::Bridge { middle, us } => {
                let half = self.hosts.len() / 2;
                self.cut_where(us, |a, b| a != middle && b != middle && (a < half) != (b < half));
            }
            Fault::Swiss { seed, us } => {
                let mut r = Random::new(seed, "swiss");
                let cuts: Vec<bool> = (0..nodes * nodes).map(|_| r.chance(40)).collect();
                self.cut_where(us, |a, b| cuts[a * nodes + b]);
            }
            Fault::Slow { target, extra_us, us } => {
                let h = self.find(target);
                for other in 0..nodes {
                    self.net.set_slow(h, other, extra_us);
                    self.net.set_slow(other, h, extra_us);
                }
                self.after(us, Event::Undo(Undo::Network));
            }
            Fault::ResetConnections { percent } => {
                for key in self.net.keys() {
                    if self.random.chance(percent) {
                        self.net.reset(self.now, key);
                    }
                }
            }
            Fault::ClientMoves { client } => self.client_disconnects(client, true),
            Fault::ClientVanishes { client, politely, us } => {
                self.client_vanishes(client, politely);
                self.after(us, Event::Undo(Undo::Client(client)));
            }
            Fault::Stranger { target, epoch, member } => self.stranger_comes(target, epoch, member),
            Fault::LeaderLeavesHalf => self.leader_leaves_half(),
            Fault::NextList { pause_us, seed } => self.next_list(pause_us, seed),
            Fault::Burst(burst) => self.burst_gathers(burst),
            Fault::Swizzle { target, seed } => self.swizzle(self.find(target), seed),
            fault => self.inject_into_machine(fault),
        }
    }

    fn swizzle(&mut self, h: usize, seed: u64) {
        let r = &mut Random::new(seed, "swizzle");
        let (mut from, mut until) = (0, 4_000_000);
        let mut others: Vec<usize> = (0..self.hosts.len()).filter(|other| *other != h).collect();
        while !others.is_empty() {
            let other = others.swap_remove(r.index(others.len()));
            from += r.between(10_000, 400_000);
            for (a, b) in [(h, other), (other, h)] {
                self.after(from, Event::Undo(Undo::Cut(a, b, true)));
                self.after(until + r.below(2_000_000), Event::Undo(Undo::Cut(a, b, false)));
            }
            until += 100_000;
        }
    }

    fn inject_into_machine(&mut self, fault: Fault) {
        match fault {
            Fault::ClockJump { target, ms } => {
                let h = self.find(target);
                self.hosts[h].clock.jump(ms);
                if self.options.planted == Some(Bug::WallClockTimeouts) {
                    self.hosts[h].clock.jump_both(ms);
                }
            }
            Fault::ClockRate { target, rate_ppm, us } => {
                let h = self.find(target);
                self.hosts[h].clock.set_rate(self.now, rate_ppm);
                self.after(us, Event::Undo(Undo::ClockRate(h)));
            }
            Fault::DiskSlow { target, times, us } => {
                let h = self.find(target);
                self.hosts[h].disk_slowness = times;
                self.after(us, Event::Undo(Undo::DiskSlow(h)));
            }
            Fault::DiskHangs { target, us } => {
                let h = self.find(target);
                self.hosts[h].disk_hangs = true;
                self.after(us, Event::Undo(Undo::DiskHangs(h)));
            }
            Fault::DiskFails { target, nth } => {
                let h = self.find(target);
                self.hosts[h].disk.fail_call(nth, DiskFault::Once(ErrorKind::Other));
                self.hosts[h].disk_full = true;
                self.after(20_000_000, Event::Undo(Undo::DiskFull(h)));
            }
            Fault::DiskFull { target, us } => {
                let h = self.find(target);
                self.hosts[h].disk.set_capacity(Some(1));
                self.hosts[h].disk_full = true;
                self.after(us, Event::Undo(Undo::DiskFull(h)));
            }
            Fault::WrongAddress { target, us } => {
                let h = self.find(target);
                self.crash(h, Crash::Killed);
                self.hosts[h].misaddressed = true;
                self.restart_after(h, 200_000);
                self.after(us, Event::Undo(Undo::Address(h)));
            }
            Fault::Rolling { pause_us } => {
                for h in 0..self.hosts.len() {
                    self.after(pause_us * h as u64, Event::Undo(Undo::Stop(h)));
                }
            }
            Fault::Wipe { server } => {
                self.crash(server, Crash::Killed);
                let id = self.hosts[server].id;
                self.trace.note(self.now, Who::Server(server), "wipe", &[id.0], String::new);
                self.hosts[server].replace_disk(FaultDisk::new());
                self.restart_after(server, 500_000);
            }
            other => unreachable!("{other:?} is no fault of a machine"),
        }
    }

    fn stop(&mut self, target: Target, crash: Crash, restart_us: u64) {
        let h = self.find(target);
        self.crash(h, crash);
        self.restart_after(h, restart_us);
    }

    fn cut_where(&mut self, us: u64, cut: impl Fn(usize, usize) -> bool) {
        let nodes = self.hosts.len() + self.clients.len();
        for a in 0..nodes {
            for b in 0..nodes {
                if cut(a, b) {
                    self.net.set_cut(a, b, true);
                }
            }
        }
        self.after(us, Event::Undo(Undo::Network));
    }

    pub(crate) fn undo(&mut self, undo: Undo) {
        self.trace.note(self.now, Who::World, "undo", &[], || format!("{undo:?}"));
        match undo {
            Undo::Network => {
                self.net.heal(self.now);
                self.cut_alone();
            }
            Undo::Cut(..) | Undo::Stop(_) if self.healed => {}
            Undo::Cut(a, b, cut) => {
                self.net.set_cut(a, b, cut);
                self.cut_alone();
                self.net.wake_stalled(self.now);
            }
            Undo::Stop(h) => self.stop(Target::Server(h), Crash::Killed, 200_000),
            Undo::Address(h) if self.hosts[h].misaddressed => {
                self.hosts[h].misaddressed = false;
                self.stop(Target::Server(h), Crash::Killed, 200_000);
            }
            Undo::Address(_) => {}
            Undo::ClockRate(h) => self.hosts[h].clock.set_rate(self.now, 1_000_000),
            Undo::DiskSlow(h) => {
                let host = &mut self.hosts[h];
                // What it is doing goes on at its usual pace: as slow as it began, it might take a minute.
                let was_slow = std::mem::replace(&mut host.disk_slowness, 1) > 1;
                if was_slow && host.running.as_ref().is_some_and(|running| running.job.is_some()) {
                    self.server_after(self.options.disk_sync_us, h, ServerEvent::DiskDone);
                }
            }
            Undo::DiskHangs(h) => {
                let host = &mut self.hosts[h];
                host.disk_hangs = false;
                if std::mem::take(&mut host.disk_held) {
                    self.server_after(0, h, ServerEvent::DiskDone);
                }
            }
            Undo::DiskFull(h) => {
                self.hosts[h].disk.heal();
                self.hosts[h].disk_full = false;
            }
            Undo::Client(c) => self.client_returns(c),
            Undo::Widow(step) => self.widow_step(step),
            Undo::Stranger { epoch, member } => self.stranger_comes(Target::Leader, epoch, member),
            Undo::StrangerGoes { h, link } => self.stranger_goes(h, link),
        }
    }

    /// Faults are over: from here on a healthy cluster must serve.
    pub(crate) fn heal(&mut self) {
        self.trace.note(self.now, Who::World, "heal", &[], String::new);
        self.healed = true;
        // A learner that waits in its grave for a leader; a disk that has died stays dead.
        let dead = if self.widow.take().is_none() && self.died { self.hosts.iter().position(|h| h.dead) } else { None };
        (0..self.hosts.len()).filter(|h| Some(*h) != dead).for_each(|h| self.raise(h));
        self.alone = None;
        self.net.heal(self.now);
        for h in 0..self.hosts.len() {
            self.undo(Undo::ClockRate(h));
            self.undo(Undo::DiskSlow(h));
            self.undo(Undo::DiskHangs(h));
            self.undo(Undo::DiskFull(h));
            self.undo(Undo::Address(h));
            self.hosts[h].armed = None;
            if self.hosts[h].paused {
                self.at(self.now, Event::Resume(h));
            }
            if self.hosts[h].running.is_none() {
                self.restart_after(h, 1_000);
            }
        }
        for c in 0..self.clients.len() {
            self.undo(Undo::Client(c));
        }
    }
}
