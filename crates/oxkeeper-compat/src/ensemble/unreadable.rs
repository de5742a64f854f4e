//! Writes that no server can read, sent beside good ones to an ensemble that a server of releases 3.9.0 to 3.9.5 leads. Such a leader
//! logs and proposes them under a zxid that it has given out before, and commits nothing more then, whoever follows it: somebody has to
//! restart it. Ours pass it over and say so; nothing that was acknowledged is lost, and whatever they have on disk is good for a start.
//!
//! It is restarted before it closes the links of followers for an acknowledgement that it misses. Who follows it again is told to cut
//! its log back to what is committed, and gets the refused writes in the place of good ones, which that leader still has in its log; so
//! do its observers while such writes stand in pipelines. Nothing of ours can tell, so our observer is away then.

use super::load::agree;
use super::{Ensemble, EnsembleError, Layout, PATIENCE, during};
use crate::dump;
use crate::rng::Rng;
use crate::servers::ServerKind;
use oxkeeper_client::blocking::{Client, Options, Pending};
use oxkeeper_client::{CreateMode, ErrorCode, call};
use oxkeeper_types::acl::open_acl;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Highest, so that it wins a tie.
const JAVA: u8 = 3;
const OURS: [u8; 2] = [1, 2];
const OBSERVER: u8 = 4;
const TOP: &str = "/unreadable";
/// Of each session in each pipeline.
const WRITES: usize = 12;
/// What our learners say of such a proposal.
const PASSED_OVER: &str = "the leader proposed a refused write under";
/// How long an answer may take that a leader of the reference may owe for good.
const ANSWER: Duration = Duration::from_secs(3);
/// In ticks, a minute.
const SYNC_LIMIT: u32 = 120;

/// A voter of kind `java` that leads at first, two voters and an observer of kind `ours`.
pub fn run(
    java: &ServerKind,
    ours: &ServerKind,
    seed: u64,
    step: &mut dyn FnMut(&str),
) -> Result<String, EnsembleError> {
    let voter = |kind: &ServerKind| (kind.clone(), false);
    let members = vec![voter(ours), voter(ours), voter(java), (ours.clone(), true)];
    let ensemble = Ensemble::prepare(&Layout { sync_limit: SYNC_LIMIT, ..Layout::of(members) })?;
    let mut run = Run { ensemble, rng: Rng::new(seed), sent: 0, acknowledged: BTreeSet::new(), refused: 0 };
    let result = run.legs(step);
    if result.is_err() {
        eprintln!("files: {}\n{}", run.ensemble.keep_files(), run.ensemble.state());
    }
    result
}

struct Run {
    ensemble: Ensemble,
    rng: Rng,
    /// Good writes.
    sent: usize,
    /// Nodes whose creation was acknowledged.
    acknowledged: BTreeSet<String>,
    /// Writes that cannot be read and were answered so.
    refused: usize,
}

impl Run {
    fn legs(&mut self, step: &mut dyn FnMut(&str)) -> Result<String, EnsembleError> {
        self.ensemble.start_some(&[JAVA, OURS[1]])?;
        self.ensemble.expect_leader(JAVA)?;
        self.ensemble.start_all()?;
        let client = self.client(JAVA)?;
        client.create(TOP, b"", CreateMode::Persistent).map_err(during("creating a node"))?;

        self.alone(&client)?;
        drop(client);
        let leader = self.restart_java()?;
        step(&format!("{} was sent one alone and restarted; everybody serves, {leader} leads", self.name(JAVA)));

        self.java_leads()?;
        let unanswered = self.pipelined(ANSWER)?;
        let leader = self.restart_java()?;
        self.ensemble.start_all()?;
        let (name, told) = (self.name(JAVA), self.passed_over());
        step(&format!(
            "{name} was sent pipelines with some, owed {unanswered} answers and was restarted; ours passed over {told:?}, {leader} leads"
        ));

        for id in OURS.into_iter().chain([OBSERVER, JAVA]) {
            self.ensemble.member(id).kill();
            self.ensemble.wait_serving()?;
            self.ensemble.member(id).start()?;
            self.ensemble.wait_serving()?;
        }
        self.agree()?;
        step("each was killed and came back; all trees are alike");

        let leader = self.leader()?;
        if leader == JAVA {
            return Err(EnsembleError::Wrong(format!("nobody of ours leads\n{}", self.ensemble.state())));
        }
        let told = self.passed_over();
        let unanswered = self.pipelined(PATIENCE)?;
        self.ensemble.expect_leader(leader)?;
        if unanswered > 0 || told != self.passed_over() {
            let name = self.name(leader);
            return Err(EnsembleError::Wrong(format!(
                "{unanswered} requests had not the right answer where {name} leads"
            )));
        }
        self.agree()?;
        step(&format!("{} leads on through such pipelines, and all is answered", self.name(leader)));
        Ok(format!("{} of {} good writes acknowledged, {} refused", self.acknowledged.len(), self.sent, self.refused))
    }

    fn name(&mut self, id: u8) -> String {
        self.ensemble.member(id).name()
    }
    fn leader(&self) -> Result<u8, EnsembleError> {
        self.ensemble.leader().ok_or_else(|| EnsembleError::Wrong(format!("nobody leads\n{}", self.ensemble.state())))
    }
    /// How often each of ours has said that it passed over such a write.
    fn passed_over(&self) -> Vec<usize> {
        let ours = self.ensemble.members.iter().filter(|member| !member.kind.is_java());
        ours.map(|member| member.times_said(PASSED_OVER)).collect()
    }

    fn client(&self, id: u8) -> Result<Client, EnsembleError> {
        let member = &self.ensemble.members[usize::from(id) - 1];
        let options = Options {
            session_timeout: Duration::from_secs(120),
            connect_timeout: PATIENCE,
            call_timeout: PATIENCE,
            ..Options::default()
        };
        Client::connect(&member.address.to_string(), options)
            .map_err(during(format!("connecting to {}", member.name())))
    }

    /// The member of the reference leads the voters.
    fn java_leads(&mut self) -> Result<(), EnsembleError> {
        self.agree()?;
        self.ensemble.stop_level()?;
        self.ensemble.start_some(&[JAVA, OURS[1]])?;
        self.ensemble.expect_leader(JAVA)?;
        self.ensemble.start_some(&[OURS[0]])
    }

    /// What commits nothing more is restarted. Answers with the name of the next leader.
    fn restart_java(&mut self) -> Result<String, EnsembleError> {
        self.ensemble.member(JAVA).kill();
        self.ensemble.wait_serving()?;
        self.everybody_serves()?;
        self.ensemble.member(JAVA).start()?;
        self.ensemble.wait_serving()?;
        self.everybody_serves()?;
        self.agree()?;
        let leader = self.leader()?;
        Ok(self.name(leader))
    }

    /// A good write that is answered, and then one that cannot be read: it has the zxid of what is committed already.
    fn alone(&mut self, client: &Client) -> Result<(), EnsembleError> {
        let good = self.send_good(client)?;
        let unanswered = self.note(vec![good], Vec::new(), PATIENCE);
        let bad = self.send_unreadable(client)?;
        let started = Instant::now();
        while unanswered > 0 || self.passed_over().iter().take(OURS.len()).any(|told| *told == 0) {
            if unanswered > 0 || started.elapsed() > PATIENCE {
                let told = self.passed_over();
                return Err(EnsembleError::Wrong(format!(
                    "{unanswered} good writes had no answer; passed over by our voters and observer: {told:?}"
                )));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.note(Vec::new(), vec![bad], ANSWER);
        Ok(())
    }

    /// On each server a session that has good writes and such as cannot be read under way at once; how many had no answer.
    fn pipelined(&mut self, patience: Duration) -> Result<usize, EnsembleError> {
        let running = self.ensemble.members.iter().filter(|member| member.is_running());
        let ids: Vec<u8> = running.map(|member| member.id).collect();
        let clients = ids.iter().map(|id| self.client(*id)).collect::<Result<Vec<Client>, _>>()?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for _ in 0..WRITES {
            for client in &clients {
                good.push(self.send_good(client)?);
                if self.rng.chance(30) {
                    bad.push(self.send_unreadable(client)?);
                }
            }
        }
        Ok(self.note(good, bad, patience))
    }

    fn send_good(&mut self, client: &Client) -> Result<(String, Pending<String>), EnsembleError> {
        self.sent += 1;
        let path = format!("{TOP}/n-{}", self.sent);
        let create = call::create(&path, Some(b"good"), &open_acl(), CreateMode::Persistent);
        Ok((path, client.send(create).map_err(during("sending a good write"))?))
    }

    /// setData without its version, or cut off before; createTTL without its time to live; a create of which only the path is there.
    fn send_unreadable(&mut self, client: &Client) -> Result<Pending<()>, EnsembleError> {
        let mut call = call::delete(TOP, -1);
        call.request = match self.rng.below(4) {
            0 => call::set_data(TOP, Some(b"bad"), 7).request,
            1 => call::create_ttl(TOP, None, &open_acl(), CreateMode::PersistentWithTtl, 7).request,
            2 => call::create(TOP, None, &open_acl(), CreateMode::Persistent).request,
            _ => call::delete(TOP, -1).request,
        };
        let cut = call.request.body.len() - 1 - self.rng.below(4);
        call.request.body.truncate(cut);
        client.send(call).map_err(during("sending what cannot be read"))
    }

    /// Waits for the answers, as far as there are any; how many requests had none, or another than they should.
    fn note(&mut self, good: Vec<(String, Pending<String>)>, bad: Vec<Pending<()>>, patience: Duration) -> usize {
        let deadline = Instant::now() + patience;
        let left = || deadline.saturating_duration_since(Instant::now());
        let mut unanswered = 0;
        for (path, pending) in good {
            match pending.wait_for(left()) {
                Ok(_) => drop(self.acknowledged.insert(path)),
                Err(_) => unanswered += 1,
            }
        }
        for pending in bad {
            match pending.wait_for(left()) {
                Err(error) if error.is(ErrorCode::MarshallingError) => self.refused += 1,
                Ok(()) | Err(_) => unanswered += 1,
            }
        }
        unanswered
    }

    /// Every running member takes sessions and writes.
    fn everybody_serves(&mut self) -> Result<(), EnsembleError> {
        let deadline = Instant::now() + PATIENCE;
        let running = self.ensemble.members.iter().filter(|member| member.is_running());
        for id in running.map(|member| member.id).collect::<Vec<u8>>() {
            while !self.takes_a_write(id) {
                if Instant::now() > deadline {
                    let what = format!("{} takes a write", self.name(id));
                    return Err(EnsembleError::Late { what, state: self.ensemble.state() });
                }
            }
        }
        self.ensemble.wait_serving()
    }

    fn takes_a_write(&mut self, id: u8) -> bool {
        let member = &self.ensemble.members[usize::from(id) - 1];
        let patience = Duration::from_secs(2);
        let options = Options { connect_timeout: patience, call_timeout: patience, ..Options::default() };
        self.sent += 1;
        let path = format!("{TOP}/n-{}", self.sent);
        let Ok(client) = Client::connect(&member.address.to_string(), options) else { return false };
        let taken = client.create(&path, b"good", CreateMode::Persistent).is_ok();
        self.acknowledged.extend(taken.then_some(path));
        taken
    }

    /// All trees are alike, and have what was acknowledged.
    fn agree(&self) -> Result<(), EnsembleError> {
        let tree: dump::Tree = agree(&self.ensemble)?;
        match self.acknowledged.iter().find(|path| !tree.contains_key(*path)) {
            Some(path) => Err(EnsembleError::Wrong(format!("{path} was acknowledged and is not there"))),
            None => Ok(()),
        }
    }
}
