//! The world: one queue of events in the order of (time, number), servers, clients, the network between them, and whoever
//! watches. Nothing here depends on the order of a hash map, on a clock or on a thread: a seed is a run.

use crate::check::Checks;
use crate::fault::{self, Fault, Undo};
use crate::host::{Host, Job, Work};
use crate::members::Changes;
use crate::museum::Bug;
use crate::network::{ConnKey, Kind, Message, Network, Node, Side};
use crate::random::Random;
use crate::swarm::RunOptions;
use crate::transcript::{Transcript, Who};
use crate::workload::{Burst, Client};
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::Input;
use oxkeeper_replica::output::Mode;
use oxkeeper_storage::fault_disk::{Fault as DiskFault, Loss};
use oxkeeper_tree::ImageId;
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{ConnId, ServerId, Zxid};
use oxkeeper_zab::{Input as ZabInput, LinkId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Microseconds before a process is started again by whatever supervises it.
const RESTART_US: u64 = 1_500_000;

/// More events at one instant are a loop.
const STEPS_AT_ONCE_MAX: u64 = 100_000;

pub enum Event {
    /// The head of a pipe is due.
    Arrive(ConnKey, Side),
    /// For the process with this life.
    Server(usize, u64, ServerEvent),
    Start(usize),
    Resume(usize),
    Client(usize, u64, ClientEvent),
    Fault(usize),
    Undo(Undo),
    Burst(Burst),
    /// The next list of members, if the last one is in force.
    NextList {
        pause_us: u64,
        seed: u64,
    },
    /// The next server gets the list that is under way.
    GiveList,
}

pub enum ServerEvent {
    Wake,
    Apply,
    DiskDone,
    /// A planted bug: the disk says what is not so.
    Lie(Persisted),
    SnapshotWritten,
    ReadHistory {
        link: LinkId,
        after: Zxid,
    },
    /// The reader of the link with the leader has its turn.
    ReadLink,
    ImageSent(ImageId),
    /// A learner as release 3.8 has it logs what is outstanding before the leader says UPTODATE.
    OldUpToDate {
        link: LinkId,
    },
    LeaderDialled {
        number: u64,
    },
    ElectionDialled {
        peer: ServerId,
        refused: bool,
    },
    Message {
        kind: Kind,
        name: u64,
        key: ConnKey,
        message: Message,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientEvent {
    /// Look at the clock: pings, silence, the next request.
    Tick,
    /// Try to connect to the next server.
    Connect,
    /// The attempt that began a while ago comes to its end.
    Dialled { server: usize },
}

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The machine goes on: what was written stays in its page cache, its peers are told at once.
    Killed,
    /// What was not synced may be gone; nobody is told.
    Power(Loss),
}

struct Entry {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

pub struct World {
    pub now: u64,
    pub options: RunOptions,
    pub hosts: Vec<Host>,
    pub clients: Vec<Client>,
    pub net: Network,
    pub check: Checks,
    pub trace: Transcript,
    pub faults: Vec<(u64, Fault)>,
    pub(crate) random: Random,
    pub(crate) disk_random: Random,
    queue: BinaryHeap<Reverse<Entry>>,
    numbers: u64,
    /// Events since time passed.
    steps_here: u64,
    pub(crate) next_name: u64,
    /// Faults are over: nothing may fail from here on.
    pub healed: bool,
    /// A learner whose leader dies with the next image that it installs.
    pub(crate) widow: Option<(usize, usize)>,
    /// The other voter, which is cut off from them for as long.
    pub(crate) alone: Option<usize>,
    /// That has happened.
    pub(crate) died: bool,
    pub(crate) changes: Changes,
    /// How often each point of a server's work was passed, by the address of its name, which is quick to compare.
    pub points: BTreeMap<usize, (&'static str, u64)>,
}

impl World {
    pub fn new(options: RunOptions, readable: bool) -> World {
        let seed = options.seed;
        let (servers, clients) = (options.machines(), options.clients);
        let mut net = Network::new(servers + clients, options.network_delay_us, Random::new(seed, "network"));
        net.overtaking = options.planted == Some(Bug::MessagesOvertake);
        let hosts: Vec<Host> = (0..servers).map(|n| Host::new(n, &options)).collect();
        let faults = fault::plan(&options);
        let mut world = World {
            now: 0,
            hosts,
            clients: (0..clients).map(|n| Client::new(n, &options)).collect(),
            net,
            check: Checks::new(&options),
            trace: Transcript::new(readable),
            faults,
            random: Random::new(seed, "world"),
            disk_random: Random::new(seed, "disk"),
            queue: BinaryHeap::new(),
            numbers: 0,
            steps_here: 0,
            next_name: 1,
            healed: false,
            widow: None,
            alone: None,
            died: false,
            changes: Changes::new(&options),
            points: BTreeMap::new(),
            options,
        };
        for n in 0..servers {
            let at = world.random.below(50_000);
            world.hosts[n].start_scheduled = true;
            world.at(at, Event::Start(n));
        }
        for n in 0..clients {
            let at = 20_000 + world.random.below(2_000_000);
            world.at(at, Event::Client(n, 0, ClientEvent::Connect));
        }
        for n in 0..world.faults.len() {
            if !world.options.faults_skipped.contains(&n) {
                let at = world.faults[n].0;
                world.at(at, Event::Fault(n));
            }
        }
        world
    }

    pub fn at(&mut self, at: u64, event: Event) {
        self.numbers += 1;
        self.queue.push(Reverse(Entry { at: at.max(self.now), number: self.numbers, event }));
    }
    pub fn after(&mut self, us: u64, event: Event) {
        self.at(self.now + us, event);
    }
    pub(crate) fn server_after(&mut self, us: u64, h: usize, event: ServerEvent) {
        let life = self.hosts[h].life;
        self.after(us, Event::Server(h, life, event));
    }
    pub(crate) fn name(&mut self) -> u64 {
        self.next_name += 1;
        self.next_name
    }
    pub fn client_node(&self, client: usize) -> Node {
        self.hosts.len() + client
    }

    /// Goes on until `until`, or until a rule was broken. True where nothing was.
    pub fn run_until(&mut self, until: u64) -> bool {
        while self.check.violation.is_none() {
            match self.queue.peek() {
                Some(Reverse(entry)) if entry.at <= until => {}
                _ => break,
            }
            let Reverse(Entry { at, event, .. }) = self.queue.pop().expect("looked at above");
            self.steps_here = if at == self.now { self.steps_here + 1 } else { 0 };
            if self.steps_here > STEPS_AT_ONCE_MAX {
                self.check.fail("Standstill", format!("{STEPS_AT_ONCE_MAX} events without time passing"));
            }
            self.now = at;
            self.check.now = at;
            self.handle(event);
            self.schedule_pipes();
        }
        self.now = self.now.max(until);
        self.check.violation.is_none()
    }

    pub(crate) fn schedule_pipes(&mut self) {
        let mut due = std::mem::take(&mut self.net.due);
        for (at, key, side) in due.drain(..) {
            self.at(at, Event::Arrive(key, side));
        }
        self.net.due = due;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive(key, side) => {
                if let Some((node, kind, name, message)) = self.net.arrive(self.now, key, side) {
                    if node < self.hosts.len() {
                        self.note_arrival(node, kind, ConnId(name), &message);
                        self.on_server_event(node, ServerEvent::Message { kind, name, key, message });
                    } else {
                        self.on_client_message(node - self.hosts.len(), name, message);
                    }
                }
            }
            Event::Server(h, life, event) => {
                if self.hosts[h].life == life {
                    self.on_server_event(h, event);
                }
            }
            Event::Start(h) => self.start(h),
            Event::Resume(h) => self.resume(h),
            Event::Client(c, generation, event) => {
                if self.clients[c].generation == generation {
                    self.on_client_event(c, event);
                }
            }
            Event::Fault(n) => self.inject(n),
            Event::Undo(undo) => self.undo(undo),
            Event::Burst(burst) => self.burst(burst),
            Event::NextList { pause_us, seed } => self.next_list(pause_us, seed),
            Event::GiveList => self.give_list(),
        }
    }

    // ---- servers

    fn on_server_event(&mut self, h: usize, event: ServerEvent) {
        if self.hosts[h].running.is_none() {
            return;
        }
        if self.hosts[h].paused {
            self.hosts[h].deferred.push(event);
            return;
        }
        match event {
            ServerEvent::Wake => self.on_wake(h),
            ServerEvent::Apply => self.apply(h),
            ServerEvent::DiskDone => self.on_disk_done(h),
            ServerEvent::OldUpToDate { link } => {
                if self.running(h).links.contains_key(&link) {
                    let packet = Packet::UpToDate { zxid: Zxid::NONE };
                    self.input(h, Input::Peer(ZabInput::Packet { link, packet }));
                }
            }
            ServerEvent::Lie(done) => self.input(h, Input::Persisted(done)),
            ServerEvent::SnapshotWritten => {
                let zxid = self.hosts[h].write_snapshot(self.options.planted);
                self.input(h, Input::SnapshotDone { zxid });
            }
            ServerEvent::ReadHistory { link, after } => {
                let txns = self.hosts[h].read_history(&self.options, after);
                self.input(h, Input::Peer(ZabInput::HistoryRead { link, after, txns }));
            }
            ServerEvent::ReadLink => self.read_link(h),
            ServerEvent::ImageSent(image) => self.input(h, Input::ImageSent { image }),
            ServerEvent::LeaderDialled { number } => self.on_leader_dialled(h, number),
            ServerEvent::ElectionDialled { peer, refused } => self.on_election_dialled(h, peer, refused),
            ServerEvent::Message { kind, name, key, message } => match kind {
                Kind::Client => self.on_client_bytes(h, ConnId(name), message),
                Kind::Quorum => self.on_link_arrival(h, LinkId(name), message),
                Kind::Election => self.on_election_message(h, key, message),
            },
        }
        self.settle(h);
    }

    /// For the checkers: what comes to this server, whether or not anybody there looks.
    fn note_arrival(&mut self, h: usize, kind: Kind, conn: ConnId, message: &Message) {
        let Some(running) = &mut self.hosts[h].running else { return };
        match (kind, message) {
            (Kind::Quorum, Message::Packet(packet)) => self.check.on_told_committed(h, packet),
            (Kind::Client, Message::Bytes(_)) => {
                if let Some(port) = running.ports.get_mut(&conn) {
                    port.arrivals.push_back(self.check.arrived(h));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn start(&mut self, h: usize) {
        let host = &mut self.hosts[h];
        host.start_scheduled = false;
        if host.running.is_some() || host.dead || host.absent {
            return;
        }
        host.life += 1;
        match host.start(&self.options, self.now) {
            Ok(()) => {
                let running = self.hosts[h].running.as_ref().expect("it was just started");
                let last = running.state.tree.last_processed();
                let detail = || format!("at zxid {last}, log {:?}", running.shadow.last());
                self.trace.note(self.now, Who::Server(h), "start", &[last.0], detail);
                for (key, side) in std::mem::take(&mut self.hosts[h].silent) {
                    self.net.tell_closed(self.now, key, side);
                }
                self.check.on_start(h, self.hosts[h].running.as_ref().expect("started"));
                self.begin(h);
                self.settle(h);
            }
            Err(error) => {
                self.trace.note(self.now, Who::Server(h), "start failed", &[], || error.to_string());
                if self.healed || !self.hosts[h].disk_full {
                    self.check.fail("recovery", format!("server {} cannot start: {error}", h + 1));
                }
                self.restart_after(h, RESTART_US);
            }
        }
    }

    pub(crate) fn restart_after(&mut self, h: usize, us: u64) {
        if !self.hosts[h].start_scheduled {
            self.hosts[h].start_scheduled = true;
            self.after(us, Event::Start(h));
        }
    }

    /// The process ends here and now. What the disk was doing gets as far as it gets.
    pub(crate) fn crash(&mut self, h: usize, crash: Crash) {
        let host = &mut self.hosts[h];
        let Some(running) = &mut host.running else { return };
        self.trace.note(self.now, Who::Server(h), "crash", &[], || format!("{crash:?}"));
        let (job, writing) = (running.job.take(), running.snapshot.is_some());
        if job.is_some() || writing {
            host.disk.fail_call(self.disk_random.between(1, 14), DiskFault::Stop);
            if let Some(job) = job {
                let _ = host.carry_out_job(&self.options, job);
            }
            if writing {
                let _ = host.write_snapshot(self.options.planted);
            }
        }
        let running = host.running.take().expect("looked at above");
        host.life += 1;
        host.disk_held = false;
        host.deferred.clear();
        host.armed = None;
        host.paused = false;
        match crash {
            Crash::Killed => host.disk.crash(Loss::Nothing),
            Crash::Power(loss) => host.disk.crash(loss),
        }
        let elections = running.election.values().filter_map(|peer| peer.conn);
        let clients = running.ports.values().map(|port| (port.key, 1));
        let conns: Vec<(ConnKey, Side)> = running.links.values().copied().chain(elections).chain(clients).collect();
        drop(running);
        for (key, side) in conns {
            if crash == Crash::Killed {
                self.net.close(self.now, key, side);
            } else if self.net.silence(key, side) {
                self.hosts[h].silent.push((key, side));
            }
        }
        self.check.on_crash(h);
    }

    fn resume(&mut self, h: usize) {
        if !self.hosts[h].paused {
            return;
        }
        self.trace.note(self.now, Who::Server(h), "resume", &[], String::new);
        self.hosts[h].paused = false;
        for event in std::mem::take(&mut self.hosts[h].deferred) {
            self.on_server_event(h, event);
        }
    }
    pub(crate) fn pause(&mut self, h: usize, us: u64) {
        if self.hosts[h].running.is_some() && !self.hosts[h].paused {
            self.hosts[h].paused = true;
            self.after(us, Event::Resume(h));
        }
    }

    fn on_wake(&mut self, h: usize) {
        let now = self.hosts[h].clock.now(self.now);
        let running = self.hosts[h].running.as_mut().expect("events go to processes");
        running.wake_at = u64::MAX;
        if now.monotonic >= running.replica.next_deadline() {
            self.input(h, Input::Tick);
        }
        if let Some(running) = &self.hosts[h].running {
            self.check.on_woken(h, running, &self.options);
        }
    }

    /// The clock wakes a server when it has something to do.
    pub(crate) fn schedule_wake(&mut self, h: usize) {
        let host = &mut self.hosts[h];
        let Some(running) = &mut host.running else { return };
        let at = host.clock.when(running.replica.next_deadline()).max(self.now + 1);
        if at < running.wake_at {
            running.wake_at = at;
            let life = host.life;
            self.at(at, Event::Server(h, life, ServerEvent::Wake));
        }
    }

    /// The core applies what is committed a little later, so that inputs that come at once are taken together.
    pub(crate) fn schedule_apply(&mut self, h: usize) {
        let Some(running) = &mut self.hosts[h].running else { return };
        if running.replica.has_committed() && !running.apply_scheduled {
            running.apply_scheduled = true;
            let us = self.random.below(40);
            self.server_after(us, h, ServerEvent::Apply);
        }
    }

    // ---- disk

    pub(crate) fn start_disk(&mut self, h: usize) {
        let Some(running) = &mut self.hosts[h].running else { return };
        if running.job.is_some() || running.work.is_empty() {
            return;
        }
        let mut batch = Vec::new();
        while let Some(Work::Persist(_)) = running.work.front() {
            let Some(Work::Persist(request)) = running.work.pop_front() else { unreachable!("looked at above") };
            let ends = matches!(request, Persist::TruncateLog { .. });
            batch.push(request);
            if ends {
                break;
            }
        }
        let job = if batch.is_empty() {
            match running.work.pop_front() {
                Some(Work::Install(received)) => Job::Install(received),
                _ => unreachable!("an empty batch means that something else is first"),
            }
        } else {
            Job::Batch(batch)
        };
        let early = match (&job, self.options.planted) {
            (Job::Batch(batch), Some(Bug::AckBeforeSync)) => Bug::pretend(batch),
            (Job::Batch(batch), Some(Bug::DiffAckedBeforeSync)) if running.mode == Mode::Looking => Bug::pretend(batch),
            _ => Vec::new(),
        };
        running.lied = !early.is_empty();
        running.job = Some(job);
        running.job_since = self.now;
        for done in early {
            self.server_after(1, h, ServerEvent::Lie(done));
        }
        let us = self.disk_random.around(self.options.disk_sync_us) * self.hosts[h].disk_slowness;
        self.server_after(us, h, ServerEvent::DiskDone);
    }

    fn on_disk_done(&mut self, h: usize) {
        if self.hosts[h].disk_hangs {
            self.hosts[h].disk_held = true;
            return;
        }
        let running = self.hosts[h].running.as_mut().expect("events go to processes");
        let Some(job) = running.job.take() else { return };
        let (before, after) = match &job {
            Job::Batch(_) => ("before the disk works", "after the disk has worked"),
            Job::Install(_) => ("before an image is installed", "after an image was installed"),
        };
        if matches!(job, Job::Install(_)) && self.widow(h) {
            self.running(h).job = Some(job);
            return self.server_after(fault::INSTALL_US, h, ServerEvent::DiskDone);
        }
        if self.point(h, before) {
            return;
        }
        match self.hosts[h].carry_out_job(&self.options, job) {
            Ok(inputs) => {
                if self.point(h, after) {
                    return;
                }
                if self.running(h).lied {
                    return self.start_disk(h);
                }
                for input in inputs {
                    self.note_durable(h, &input);
                    self.input(h, input);
                    if self.hosts[h].running.is_none() {
                        return;
                    }
                }
                self.start_disk(h);
            }
            Err(error) => {
                self.trace.note(self.now, Who::Server(h), "disk failed", &[], || error.to_string());
                self.crash(h, Crash::Killed);
                self.restart_after(h, RESTART_US);
            }
        }
    }

    pub(crate) fn write_snapshot_later(&mut self, h: usize) {
        let us = self.disk_random.around(self.options.disk_sync_us * 20);
        self.server_after(us, h, ServerEvent::SnapshotWritten);
    }
    pub(crate) fn read_history_later(&mut self, h: usize, link: LinkId, after: Zxid) {
        let us = self.disk_random.around(self.options.disk_sync_us);
        self.server_after(us, h, ServerEvent::ReadHistory { link, after });
    }
    pub(crate) fn image_sent_later(&mut self, h: usize, image: ImageId) {
        let us = self.random.around(2_000);
        self.server_after(us, h, ServerEvent::ImageSent(image));
    }
}
