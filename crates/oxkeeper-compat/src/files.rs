//! Files both ways: one server is loaded and killed in the middle of its work, the other opens what is left, and so does
//! the first again on a copy. Both must show the same tree and the same sessions, with all that was acknowledged.
//! Must not know how files look inside.

use crate::dump::{self, Tree};
use crate::ledger::Ledger;
use crate::rng::Rng;
use crate::servers::{Server, ServerConfig, ServerKind};
use crate::writers::{self, Plan, Progress, Survivor};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the writers may take to get as far as the kill.
const LOAD_TIME_MAX: Duration = Duration::from_secs(60);
const COMPRESSIONS: [&str; 3] = ["", "gz", "snappy"];

/// One round, as its seed decides it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Round {
    pub seed: u64,
    pub snap_count: usize,
    /// Empty: none.
    pub compression: &'static str,
    /// Acknowledged writes before the kill.
    pub kill_after: usize,
}

/// What a round that went well has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    pub text: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The servers disagree with each other or with what was acknowledged; the files are kept.
    #[error("{}\n  files as the kill left them: {kept}", .lines.join("\n"))]
    Mismatch { lines: Vec<String>, kept: String },
    /// Something around the round does not work.
    #[error("{0}")]
    Broken(String),
}

impl Round {
    pub fn new(seed: u64, n: u64) -> Round {
        let mut rng = Rng::fork(seed, n);
        Round {
            seed: rng.next_u64(),
            snap_count: 50 + rng.below(151),
            compression: COMPRESSIONS[(n % 3) as usize],
            kill_after: 100 + rng.below(1100),
        }
    }

    pub fn show(&self) -> String {
        let compression = if self.compression.is_empty() { "uncompressed" } else { self.compression };
        format!("snapCount {}, {compression}, kill after {} writes", self.snap_count, self.kill_after)
    }

    fn config(&self) -> ServerConfig {
        let mut extra = vec![format!("snapCount={}", self.snap_count)];
        if !self.compression.is_empty() {
            extra.push(format!("snapshot.compression.method={}", self.compression));
        }
        ServerConfig { extra, ..ServerConfig::default() }
    }

    /// `writer` writes and is killed; `other` opens the files, and `writer` a copy.
    pub fn run(&self, writer: &ServerKind, other: &ServerKind) -> Result<Summary, RoundError> {
        let server = Server::start(writer, &self.config()).map_err(broken)?;
        let (ledger, survivors, dir) = self.load(server)?;
        let held = format!("{} and then {}", writer.name(), other.name());
        let directories = Directories::copied_from(dir)?;
        let files = count_files(&directories.left);
        let opened = (|| {
            let left = open(other, &self.config(), &directories.other, &survivors)?;
            let right = open(writer, &self.config(), &directories.writer, &survivors)?;
            Ok::<_, Vec<String>>((left, right))
        })();
        let mut lines = Vec::new();
        match opened {
            Ok((left, right)) => {
                let (left_name, right_name) = (format!("[{}]", other.name()), format!("[{} again]", writer.name()));
                let prefixed = |name: &str, tree: &Tree| {
                    ledger.check(tree).into_iter().map(|line| format!("  {name} {line}")).collect::<Vec<_>>()
                };
                lines.extend(prefixed(&left_name, &left.tree));
                lines.extend(prefixed(&right_name, &right.tree));
                let differences = dump::differences((&left_name, &left.tree), (&right_name, &right.tree));
                lines.extend(differences.into_iter().map(|line| format!("  {line}")));
                lines.extend(left.trouble.into_iter().map(|line| format!("  {left_name} {line}")));
                lines.extend(right.trouble.into_iter().map(|line| format!("  {right_name} {line}")));
                if lines.is_empty() {
                    return Ok(Summary { text: summary(&ledger, &left.tree, survivors.len(), &files) });
                }
            }
            Err(trouble) => lines.extend(trouble),
        }
        lines.insert(0, format!("  {held}: {} ({files})", self.show()));
        Err(RoundError::Mismatch { lines, kept: directories.keep() })
    }

    /// Writes until the kill, and a moment longer.
    fn load(&self, server: Server) -> Result<(Ledger, Vec<Survivor>, PathBuf), RoundError> {
        let progress = Progress::default();
        let address = server.address.to_string();
        let mut rng = Rng::new(self.seed);
        let sessions = 2 + rng.below(2) as u64;
        let plans: Vec<Plan> = (0..sessions)
            .map(|n| Plan {
                rng: Rng::fork(self.seed, n + 1),
                // A session that ends takes its ephemeral nodes along.
                close_after: (n == 2).then(|| 20 + rng.below(self.kill_after / 4)),
                survives: false,
                move_after: None,
                multi_creates: true,
            })
            .collect();
        let (mut ledger, mut survivors) = (Ledger::default(), Vec::new());
        let mut dir = PathBuf::new();
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> =
                plans.into_iter().map(|plan| scope.spawn(|| writers::write(&address, plan, &progress))).collect();
            let deadline = Instant::now() + LOAD_TIME_MAX;
            let short = || progress.acknowledged.load(Ordering::Relaxed) < self.kill_after;
            while short() && Instant::now() < deadline && threads.iter().any(|thread| !thread.is_finished()) {
                std::thread::sleep(Duration::from_micros(200));
            }
            dir = server.keep_files();
            progress.over.store(true, Ordering::Relaxed);
            threads.into_iter().map(|thread| thread.join().expect("a writer has panicked")).collect::<Vec<_>>()
        });
        for result in results {
            let (part, survivor) = result.map_err(broken)?;
            ledger.merge(part);
            survivors.extend(survivor);
        }
        if progress.acknowledged.load(Ordering::Relaxed) < self.kill_after {
            let n = progress.acknowledged.load(Ordering::Relaxed);
            return Err(RoundError::Broken(format!("only {n} writes before the kill, expected {}", self.kill_after)));
        }
        Ok((ledger, survivors, dir))
    }
}

fn summary(ledger: &Ledger, tree: &Tree, sessions: usize, files: &str) -> String {
    let (mut ephemeral, mut null) = (0, 0);
    for node in tree.values() {
        ephemeral += (node.stat.ephemeral_owner != 0) as usize;
        null += node.data.is_none() as usize;
    }
    format!(
        "{} writes acknowledged, {} refused, {} in flight; {} nodes ({ephemeral} ephemeral, {null} null), {sessions} sessions; {files}",
        ledger.done.len(),
        ledger.refused,
        ledger.unsure.len(),
        tree.len()
    )
}

/// What a server makes of a directory.
pub(crate) struct Opened {
    pub(crate) tree: Tree,
    trouble: Vec<String>,
}

/// Starts, reads everything, takes the sessions up again, stops.
pub(crate) fn open(
    kind: &ServerKind,
    config: &ServerConfig,
    dir: &Path,
    survivors: &[Survivor],
) -> Result<Opened, Vec<String>> {
    let name = kind.name();
    let server = Server::start_on(kind, config, dir).map_err(|e| vec![format!("  {name} does not start: {e}")])?;
    let read = dump::tree(server.address);
    let mut trouble = Vec::new();
    if let Ok(tree) = &read {
        for survivor in survivors {
            let owned = |(path, node): (&String, &dump::Node)| {
                (node.stat.ephemeral_owner == survivor.session.0).then(|| path.clone())
            };
            let owned = tree.iter().filter_map(owned).collect();
            match dump::resume(server.address, survivor.session, survivor.password) {
                Ok(Some(paths)) if paths == owned => {}
                Ok(Some(paths)) => trouble.push(format!(
                    "session {} lists {} ephemeral nodes, the tree has {}",
                    survivor.session,
                    paths.len(),
                    owned.len()
                )),
                Ok(None) => trouble.push(format!("session {} was not taken up again", survivor.session)),
                Err(e) => trouble.push(format!("session {}: {e}", survivor.session)),
            }
        }
    }
    let output = server.output();
    // The directories belong to the round.
    let _ = server.keep_files();
    match read {
        Ok(tree) => Ok(Opened { tree, trouble }),
        Err(e) => Err(vec![format!("  {name} can not be read: {e}; its output: {output}")]),
    }
}

/// The files as the kill left them, and a copy for each server.
pub(crate) struct Directories {
    left: PathBuf,
    pub(crate) other: PathBuf,
    pub(crate) writer: PathBuf,
    keep: bool,
}

impl Directories {
    pub(crate) fn copied_from(left: PathBuf) -> Result<Directories, RoundError> {
        let beside = |name: &str| left.with_extension(name);
        let directories = Directories { other: beside("other"), writer: beside("writer"), left, keep: false };
        for copy in [&directories.other, &directories.writer] {
            copy_dir(&directories.left.join("data"), &copy.join("data"))
                .map_err(|e| RoundError::Broken(format!("can not copy {}: {e}", directories.left.display())))?;
        }
        Ok(directories)
    }

    pub(crate) fn keep(mut self) -> String {
        self.keep = true;
        self.left.display().to_string()
    }
}

impl Drop for Directories {
    fn drop(&mut self) {
        for dir in [&self.other, &self.writer].into_iter().chain((!self.keep).then_some(&self.left)) {
            // Left-over files are no reason to fail.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn count_files(dir: &Path) -> String {
    let (mut snapshots, mut logs) = (0, 0);
    if let Ok(entries) = fs::read_dir(dir.join("data").join("version-2")) {
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            snapshots += name.starts_with("snapshot.") as u32;
            logs += name.starts_with("log.") as u32;
        }
    }
    format!("{snapshots} snapshots, {logs} logs")
}

fn broken(e: impl std::fmt::Display) -> RoundError {
    RoundError::Broken(e.to_string())
}
