//! Rules of the code: which crate may know which, module docs, file length, calls that pure crates must not make.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, tests apart, before it has to say why it is longer.
const FILE_LINES_MAX: usize = 620;
/// What a longer file says in its first comment.
const LONG_FILE_EXCUSE: &str = "Longer than most:";

/// Crate to the workspace crates it may depend on (tests and benches included). An edge not listed is a finding.
const EDGES: &[(&str, &[&str])] = &[
    ("oxkeeper-types", &[]),
    ("oxkeeper-proto", &["types"]),
    ("oxkeeper-config", &["types"]),
    ("oxkeeper-tree", &["types", "proto"]),
    ("oxkeeper-zab", &["types", "proto"]),
    ("oxkeeper-replica", &["types", "proto", "tree", "zab"]),
    ("oxkeeper-storage", &["types", "proto", "tree"]),
    ("oxkeeper-client", &["types", "proto"]),
    ("oxkeeper-recipes", &["client"]),
    ("oxkeeper-server", &["config", "replica", "storage", "proto", "types", "tree", "zab", "client"]),
    // `proto` for the peers that its tests play, `recipes` for tests against its server.
    ("oxkeeper", &["server", "config", "types", "client", "proto", "recipes"]),
    ("oxkeeper-compat", &["client", "proto", "types", "storage", "tree"]),
    ("oxkeeper-bench", &["types", "proto", "client"]),
    ("oxkeeper-sim", &["replica", "storage", "client", "tree", "zab", "proto", "types"]),
    ("xtask", &[]),
];

/// Crates that hold no clock, socket, file, thread, async, lock or randomness.
const PURE: &[&str] = &["oxkeeper-types", "oxkeeper-proto", "oxkeeper-tree", "oxkeeper-zab", "oxkeeper-replica"];

/// What must not stand in a pure crate outside of tests, and where it belongs instead.
const BANNED_IN_PURE: &[(&str, &str)] = &[
    ("std::fs", "files belong to oxkeeper-storage"),
    ("std::net::Tcp", "sockets belong to oxkeeper-server"),
    ("std::net::Udp", "sockets belong to oxkeeper-server"),
    ("std::thread", "threads belong to oxkeeper-server"),
    ("std::time::Instant", "time comes in as a value"),
    ("std::time::SystemTime", "time comes in as a value"),
    ("Instant::now", "time comes in as a value"),
    ("SystemTime::now", "time comes in as a value"),
    ("std::sync::Mutex", "locks belong to oxkeeper-server"),
    ("std::sync::RwLock", "locks belong to oxkeeper-server"),
    ("std::env", "settings come in as options"),
    ("RandomState", "use a hasher with a fixed state, so that runs repeat"),
    ("async fn", "the core is driven by step"),
];

/// All findings, each with its file.
pub fn check(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    for dir in crate_dirs(root) {
        let name = dir.file_name().expect("a crate directory has a name").to_string_lossy().into_owned();
        check_edges(&name, &dir, &mut findings);
        for file in rust_files(&dir) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            check_file(&name, &shown, &text, &mut findings);
        }
    }
    findings
}

fn crate_dirs(root: &Path) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = fs::read_dir(root.join("crates"))
        .map(|entries| entries.flatten().map(|e| e.path()).filter(|p| p.join("Cargo.toml").exists()).collect())
        .unwrap_or_default();
    dirs.push(root.join("xtask"));
    dirs.sort();
    dirs
}

/// Every Rust file below `dir`, build output apart.
pub fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn check_edges(name: &str, dir: &Path, findings: &mut Vec<String>) {
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
    let Some((_, allowed)) = EDGES.iter().find(|(n, _)| *n == name) else {
        findings
            .push(format!("{name}: not in the table of crate edges (xtask/src/tidy.rs); say what it may depend on"));
        return;
    };
    for line in manifest.lines() {
        let Some(rest) = line.trim().strip_prefix("oxkeeper-") else { continue };
        let dependency: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let is_name = rest[dependency.len()..].trim_start().starts_with(['.', '=', ' ']);
        if is_name && !allowed.contains(&dependency.as_str()) {
            findings.push(format!(
                "{name}: depends on oxkeeper-{dependency}, which the table of crate edges does not allow"
            ));
        }
    }
}

fn check_file(crate_name: &str, shown: &str, text: &str, findings: &mut Vec<String>) {
    let is_test = shown.contains("/tests/") || shown.ends_with("tests.rs") || shown.contains("/examples/");
    if !text.starts_with("//!") {
        findings.push(format!("{shown}: starts without a module doc (//!)"));
    }
    let production = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = production.lines().count();
    if !is_test && lines > FILE_LINES_MAX && !text.contains(LONG_FILE_EXCUSE) {
        findings.push(format!(
            "{shown}: {lines} lines (at most {FILE_LINES_MAX}); split it, or say why after '{LONG_FILE_EXCUSE}'"
        ));
    }
    if PURE.contains(&crate_name) && !is_test {
        for (at, line) in production.lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            for (banned, instead) in BANNED_IN_PURE {
                if code.contains(banned) {
                    findings.push(format!("{shown}:{}: {banned} in a pure crate: {instead}", at + 1));
                }
            }
        }
    }
}
