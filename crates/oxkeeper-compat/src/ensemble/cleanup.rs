//! Ends what this process has started and undoes what it has set up, also where it is interrupted or panics: a registry
//! of process ids, directories and commands. Must not know what they are for.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Registry {
    processes: BTreeSet<u32>,
    directories: BTreeSet<PathBuf>,
    /// Run in the reverse order of their registration.
    commands: Vec<Vec<String>>,
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { processes: BTreeSet::new(), directories: BTreeSet::new(), commands: Vec::new() });

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn add_process(pid: u32) {
    registry().processes.insert(pid);
}
/// Call before the process is waited for: afterwards its id may belong to another.
pub fn remove_process(pid: u32) {
    registry().processes.remove(&pid);
}
pub fn add_directory(path: &Path) {
    registry().directories.insert(path.to_path_buf());
}
/// The directory is gone, or is to be kept.
pub fn remove_directory(path: &Path) {
    registry().directories.remove(path);
}
/// `command` undoes something.
pub fn add_command(command: &[&str]) {
    registry().commands.push(command.iter().map(|word| word.to_string()).collect());
}

/// Sends a signal to a process that this one has started.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Fails only where the process has ended already.
        let _ = kill_process(pid, signal);
    }
}

/// Runs the registered commands, the last first, and forgets them.
pub fn undo_commands() {
    let commands = std::mem::take(&mut registry().commands);
    for words in commands.iter().rev() {
        // What is gone already needs no undoing.
        let _ = Command::new(&words[0]).args(&words[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn end_all() {
    let processes = std::mem::take(&mut registry().processes);
    for pid in processes {
        signal(pid, Signal::KILL);
    }
    undo_commands();
    for path in std::mem::take(&mut registry().directories) {
        // Left-over files are no reason to fail in the middle of ending.
        let _ = std::fs::remove_dir_all(path);
    }
}

/// From now on an interrupt, a termination or a panic ends all that is registered. Call once, first thing.
pub fn install() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        before(info);
        end_all();
    }));
    let signals = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP];
    let mut signals = signal_hook::iterator::Signals::new(signals).expect("handlers of these signals can be set");
    std::thread::spawn(move || {
        if let Some(number) = signals.forever().next() {
            end_all();
            std::process::exit(128 + number);
        }
    });
}
