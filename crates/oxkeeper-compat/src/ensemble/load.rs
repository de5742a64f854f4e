//! Writers in the background while servers come and go, and what must hold when they have ended. Must not know which
//! servers there are.

use super::{Ensemble, EnsembleError, PATIENCE, during};
use crate::dump::{self, Tree};
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::writers::{self, Plan, Progress, Survivor};
use oxkeeper_client::ClientError;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

type Written = Result<(Ledger, Option<Survivor>), ClientError>;

/// Sessions that write, each beginning at another server.
pub struct Load {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Written>>,
}

impl Load {
    /// `move_after`: writes until a session breaks its connection and goes to the next server.
    pub fn start(ensemble: &Ensemble, seed: u64, move_after: Option<usize>) -> Load {
        let addresses = ensemble.addresses();
        let multi_creates = !ensemble.members.iter().any(|member| member.kind.short() == "java-3.8.0");
        let progress = Arc::new(Progress::default());
        let threads = (0..addresses.len())
            .map(|n| {
                let mut order: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
                order.rotate_left(n);
                let rng = Rng::fork(seed, n as u64);
                let plan = Plan { rng, close_after: None, survives: true, move_after, multi_creates };
                let progress = progress.clone();
                std::thread::spawn(move || writers::write(&order.join(","), plan, &progress))
            })
            .collect();
        Load { progress, threads }
    }

    pub fn acknowledged(&self) -> usize {
        self.progress.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for so many more acknowledged writes.
    pub fn wait(&self, more: usize) -> Result<(), EnsembleError> {
        let (target, deadline) = (self.acknowledged() + more, Instant::now() + PATIENCE);
        while self.acknowledged() < target {
            if Instant::now() > deadline || self.threads.iter().any(JoinHandle::is_finished) {
                let got = self.acknowledged() + more - target;
                return Err(EnsembleError::Wrong(format!(
                    "writers got {got} of {more} acknowledgements, or one ended"
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Ends the writers; their sessions live on.
    pub fn finish(mut self) -> Result<Outcome, EnsembleError> {
        self.progress.over.store(true, Ordering::Relaxed);
        let mut outcome = Outcome::default();
        for thread in std::mem::take(&mut self.threads) {
            let written = thread.join().map_err(|_| EnsembleError::Wrong("a writer has panicked".into()))?;
            let (ledger, survivor) = written.map_err(during("writing"))?;
            outcome.ledger.merge(ledger);
            outcome.survivors.extend(survivor);
        }
        Ok(outcome)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.progress.over.store(true, Ordering::Relaxed);
    }
}

/// What writers know when they have ended.
#[derive(Default)]
pub struct Outcome {
    pub ledger: Ledger,
    pub survivors: Vec<Survivor>,
}

impl Outcome {
    pub fn merge(&mut self, other: Outcome) {
        self.ledger.merge(other.ledger);
        self.survivors.extend(other.survivors);
    }

    /// Every member shows the same tree, with all that was acknowledged, and every session lives with its nodes.
    pub fn check(&self, ensemble: &Ensemble) -> Result<Tree, EnsembleError> {
        let tree = agree(ensemble)?;
        let mut lines = self.ledger.check(&tree);
        let addresses = ensemble.addresses();
        for (n, survivor) in self.survivors.iter().enumerate() {
            let owner = survivor.session.0;
            let owned: BTreeSet<String> = tree
                .iter()
                .filter(|(_, node)| node.stat.ephemeral_owner == owner)
                .map(|(path, _)| path.clone())
                .collect();
            let address = addresses[n % addresses.len()];
            match dump::resume(address, survivor.session, survivor.password).map_err(during("resuming"))? {
                None => lines.push(format!("session {} has expired", survivor.session)),
                Some(listed) if listed != owned => {
                    lines.push(format!("session {} lists {listed:?}, the tree has {owned:?}", survivor.session));
                }
                Some(_) => {}
            }
        }
        if lines.is_empty() { Ok(tree) } else { Err(EnsembleError::Wrong(lines.join("\n"))) }
    }

    pub fn summary(&self) -> String {
        format!(
            "{} writes acknowledged, {} refused, {} without an answer, {} sessions alive",
            self.ledger.done.len(),
            self.ledger.refused,
            self.ledger.unsure.len(),
            self.survivors.len()
        )
    }
}

/// The tree, which must be the same at every running member, to the last field of every stat.
pub fn agree(ensemble: &Ensemble) -> Result<Tree, EnsembleError> {
    let mut first: Option<(String, Tree)> = None;
    for member in ensemble.members.iter().filter(|member| member.is_running()) {
        let name = member.name();
        let tree = dump::tree(member.address).map_err(during(format!("reading the tree of {name}")))?;
        match &first {
            None => first = Some((name, tree)),
            Some((left, expected)) => {
                let lines = dump::differences((left, expected), (&name, &tree));
                if !lines.is_empty() {
                    return Err(EnsembleError::Wrong(lines.join("\n")));
                }
            }
        }
    }
    Ok(first.map(|(_, tree)| tree).unwrap_or_default())
}
