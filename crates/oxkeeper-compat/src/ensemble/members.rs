//! Members change as `reconfigEnabled=false` has it: the files of one server after the other get another list, and the server
//! restarts, while sessions write. Members are added, retired and exchanged, get names for addresses, and observers become voters.
//! After each change servers are killed, and those left of a quorum must elect and serve (ZOOKEEPER-3829, ZOOKEEPER-3842). Nothing
//! acknowledged may be lost, no session may end, and each server shows the list of its own files.
//!
//! Must not know how servers keep lists.

use super::load::{Load, Outcome};
use super::{Ensemble, EnsembleError, Layout, Member, Role, during, patient_client};
use crate::servers::{ServerError, ServerKind, io};
use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

/// Acknowledged writes after each restart and each kill.
const WRITES_BETWEEN: usize = 40;
const VOTER: Seat = Seat { host: "127.0.0.1", observer: false };
const NAMED: Seat = Seat { host: "localhost", observer: false };
const OBSERVER: Seat = Seat { host: "localhost", observer: true };

/// What a list says of a member, beside its ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seat {
    host: &'static str,
    observer: bool,
}

/// Who is in a list; empty for a server on its own.
type List = BTreeMap<u8, Seat>;

fn list(ids: &[u8], seat: Seat) -> List {
    ids.iter().map(|id| (*id, seat)).collect()
}

/// Five servers of which 4 is of kind `other`. Calls `step` with a line on each change that went well.
pub fn run(
    kind: &ServerKind,
    other: &ServerKind,
    seed: u64,
    step: &mut dyn FnMut(&str),
) -> Result<String, EnsembleError> {
    let kinds = [kind, kind, kind, other, kind].map(|kind| (kind.clone(), false));
    let ensemble = Ensemble::prepare(&Layout::of(kinds.into()))?;
    let mut run = Run { ensemble, files: BTreeMap::new(), voters: Vec::new(), outcome: Outcome::default(), seed };
    let result = run.changes(step);
    if result.is_err() {
        eprintln!("files: {}\n{}", run.ensemble.keep_files(), run.ensemble.state());
    }
    result
}

struct Run {
    ensemble: Ensemble,
    /// What the files of each server list.
    files: BTreeMap<u8, List>,
    /// Of the list that all have.
    voters: Vec<u8>,
    outcome: Outcome,
    seed: u64,
}

impl Run {
    fn changes(&mut self, step: &mut dyn FnMut(&str)) -> Result<String, EnsembleError> {
        let mut started = Instant::now();
        let mut told = |text: &str| {
            step(&format!("{text} ({:.1} s)", started.elapsed().as_secs_f32()));
            started = Instant::now();
        };
        self.restart(1, &List::new())?;
        self.voters = vec![1];
        self.serves()?;

        self.change_to(&list(&[1, 2, 3], VOTER), &[1, 2, 3])?;
        self.survives_without(&[3])?;
        told("a server on its own became three");

        self.change_to(&list(&[1, 2, 3, 4], VOTER), &[4])?;
        self.change_to(&list(&[1, 2, 3, 4, 5], VOTER), &[5])?;
        self.survives_without(&[1, 2])?;
        self.survives_without(&[4, 5])?;
        told("three became four and five; any three of them serve");

        self.change_to(&list(&[3, 4, 5], VOTER), &[])?;
        for gone in [3, 4, 5] {
            self.survives_without(&[gone])?;
        }
        told("two of five retired; any two of the three serve");

        self.forget_history(1)?;
        self.change_to(&list(&[1, 4, 5], VOTER), &[1])?;
        self.survives_without(&[5])?;
        told("one was exchanged for an empty one");

        self.change_to(&list(&[1, 4, 5], NAMED), &[])?;
        self.survives_without(&[4])?;
        told("names took the place of addresses");

        let mut with_observer = list(&[1, 4, 5], NAMED);
        with_observer.insert(2, OBSERVER);
        self.change_to(&with_observer, &[2])?;
        self.change_to(&list(&[1, 2, 4, 5], NAMED), &[2])?;
        self.survives_without(&[5])?;
        told("an observer came and became a voter");

        self.change_to(&list(&[1, 2, 4, 5], VOTER), &[])?;
        let tree = self.outcome.check(&self.ensemble)?;
        Ok(format!("{} nodes alike at all four; {}", tree.len(), self.outcome.summary()))
    }

    /// The next list comes to one server after the other: first to those who are `first`, last to the leader. Who is not in it is
    /// stopped before.
    fn change_to(&mut self, next: &List, first: &[u8]) -> Result<(), EnsembleError> {
        let load = self.load();
        for gone in self.running().into_iter().filter(|id| !next.contains_key(id)) {
            self.ensemble.member(gone).stop().map_err(EnsembleError::Wrong)?;
        }
        self.voters.retain(|id| next.contains_key(id));
        self.serves()?;
        let mut order = first.to_vec();
        order.extend(self.voters.iter().filter(|id| !first.contains(id)));
        order.extend(next.keys().filter(|id| !first.contains(id) && !self.voters.contains(id)));
        let leader = self.ensemble.leader().filter(|leader| !first.contains(leader));
        order.sort_by_key(|id| Some(*id) == leader);
        for id in order {
            self.restart(id, next)?;
            self.serves()?;
        }
        self.voters = next.iter().filter(|(_, seat)| !seat.observer).map(|(id, _)| *id).collect();
        self.settled(load)
    }

    /// These are killed, and come back.
    fn survives_without(&mut self, dead: &[u8]) -> Result<(), EnsembleError> {
        let load = self.load();
        dead.iter().for_each(|id| self.ensemble.member(*id).kill());
        self.ensemble.wait_serving()?;
        load.wait(WRITES_BETWEEN)?;
        for id in dead {
            self.ensemble.member(*id).start()?;
        }
        self.settled(load)
    }

    /// Everybody serves, has all, and shows the list of its files.
    fn settled(&mut self, load: Load) -> Result<(), EnsembleError> {
        self.ensemble.wait_serving()?;
        load.wait(WRITES_BETWEEN)?;
        self.outcome.merge(load.finish()?);
        self.outcome.check(&self.ensemble)?;
        for id in self.running() {
            self.check_list(id)?;
        }
        Ok(())
    }

    fn load(&mut self) -> Load {
        self.seed += 1;
        Load::start(&self.ensemble, self.seed, Some(400))
    }

    fn running(&self) -> Vec<u8> {
        self.ensemble.members.iter().filter(|member| member.is_running()).map(|member| member.id).collect()
    }

    fn restart(&mut self, id: u8, files: &List) -> Result<(), EnsembleError> {
        let member = self.ensemble.member(id);
        member.stop().map_err(EnsembleError::Wrong)?;
        member.observer = files.get(&id).is_some_and(|seat| seat.observer);
        self.ensemble.write_list(id, &self.lines(files))?;
        self.files.insert(id, files.clone());
        self.ensemble.member(id).start()?;
        Ok(())
    }

    fn lines(&self, files: &List) -> Vec<String> {
        let line = |(id, seat): (&u8, &Seat)| {
            let (quorum, election) = self.ensemble.members[usize::from(*id) - 1].peer_ports;
            let role = if seat.observer { "observer" } else { "participant" };
            format!("server.{id}={}:{quorum}:{election}:{role}", seat.host)
        };
        files.iter().map(line).collect()
    }

    /// One leads, and everybody who runs serves; but for those whose files do not list the leader yet, those who are too few
    /// of their list, and those who look while the servers behind the leader are no quorum of their older list: these come back
    /// with their own restart, as in the reference.
    fn serves(&mut self) -> Result<(), EnsembleError> {
        let (files, running) = (self.files.clone(), self.running());
        let is_quorum = |files: &List, up: &[u8]| {
            let voters = files.iter().filter(|(_, seat)| !seat.observer).map(|(id, _)| id);
            let (up, down): (Vec<u8>, Vec<u8>) = voters.partition(|id| up.contains(id));
            files.is_empty() || up.len() > down.len()
        };
        if !running.iter().any(|id| is_quorum(&files[id], &running)) {
            return Ok(());
        }
        self.ensemble.until("whoever may follow serves, and one leads", |ensemble| {
            let roles: Vec<(u8, Option<Role>)> =
                ensemble.members.iter().filter(|m| m.is_running()).map(|m| (m.id, m.role())).collect();
            let leads = |role: &Option<Role>| matches!(role, Some(Role::Leader | Role::Standalone));
            let leaders: Vec<u8> = roles.iter().filter(|(_, role)| leads(role)).map(|(id, _)| *id).collect();
            let &[leader] = &leaders[..] else { return false };
            let serving: Vec<u8> = roles.iter().filter(|(_, role)| role.is_some()).map(|(id, _)| *id).collect();
            let may_look = |id| {
                let (own, its) = (&files[&id], &files[&leader]);
                !own.contains_key(&leader) || own != its && !is_quorum(own, &serving)
            };
            roles.iter().all(|(id, role)| role.is_some() || may_look(*id))
        })
    }

    /// What `/zookeeper/config` shows at this server: the list of its files, and no version, wherever its tree comes from.
    fn check_list(&mut self, id: u8) -> Result<(), EnsembleError> {
        let Some(files) = self.files.get(&id).filter(|files| !files.is_empty()) else { return Ok(()) };
        let expected = format!("{}\nversion=0", self.lines(files).join("\n"));
        let member = self.ensemble.member(id);
        let reading = format!("reading the list of {}", member.name());
        let client = patient_client(&member.address.to_string()).map_err(during(reading.clone()))?;
        let (data, stat) = client.get("/zookeeper/config", false).map_err(during(reading.clone()))?;
        client.close().map_err(during(reading))?;
        let got = String::from_utf8_lossy(data.as_deref().unwrap_or_default()).into_owned();
        if got == expected && stat.version == -1 {
            return Ok(());
        }
        let name = self.ensemble.member(id).name();
        Err(EnsembleError::Wrong(format!(
            "/zookeeper/config at {name}: expected\n{expected}\nin version -1, got\n{got}\nin version {}",
            stat.version
        )))
    }

    /// A new machine under an old id.
    fn forget_history(&mut self, id: u8) -> Result<(), EnsembleError> {
        let dir = Member::data_dir(self.ensemble.member(id)).join("version-2");
        fs::remove_dir_all(&dir).map_err(io("remove", &dir)).map_err(ServerError::into)
    }
}
