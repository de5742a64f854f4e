//! What a row of `docs/COMPAT` may name as the thing that shows it: a test function, a check of a suite under `tests/`, a
//! step of the oracle, or a stage of the ensembles. A word that merely stands in a file is none of these.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::tidy;

/// The prefix of what the oracle shows: `oracle::Create` is a request of that kind, drawn at random, on the reference and on us.
pub const ORACLE: &str = "oracle";
const ORACLE_SOURCES: &str = "crates/oxkeeper-compat/src";

/// What ensembles of real servers go through, and the rules that the histories of their clients are judged by: functions of
/// these files that fail the run.
const STAGES: &[(&str, &[&str])] = &[
    ("ensemble/faults.rs", &["torment"]),
    ("ensemble/load.rs", &["agree"]),
    ("ensemble/members.rs", &["changes", "check_list"]),
    ("ensemble/mixed.rs", &["legs", "come_back", "lose_a_tail"]),
    ("ensemble/rollover.rs", &["legs"]),
    ("ensemble/unreadable.rs", &["legs"]),
    ("ensemble/rolling.rs", &["run"]),
    ("ensemble/tour.rs", &["creates", "changes", "multi", "refusals", "watches", "moved_session"]),
    (
        "history/check.rs",
        &[
            "versions_follow_the_order",
            "refusals_are_justified",
            "reads_see_the_latest",
            "nothing_is_lost",
            "order_agrees_with_time",
            "sessions_keep_their_order",
            "additions_stay",
        ],
    ),
];

/// Why `file::name` is nothing that shows anything; `None` where it is.
pub fn fault(root: &Path, file: &str, name: &str) -> Option<String> {
    if file == ORACLE {
        return (!steps(root).contains(name)).then(|| format!("the oracle has no step '{name}'"));
    }
    let Ok(text) = fs::read_to_string(root.join(file)) else { return Some(format!("{file} is not there")) };
    let there = if file.starts_with("tests/parts/") {
        text.lines().any(|line| line.trim().strip_prefix("play ").is_some_and(|rest| rest.starts_with(name)))
    } else if file.starts_with("tests/") {
        checks(&text).iter().any(|check| check.starts_with(name))
    } else {
        is_test(&text, name) || is_stage(file, &text, name)
    };
    let wanted = if file.starts_with("tests/") { "named check" } else { "test function" };
    (!there).then(|| format!("{file} has no {wanted} '{name}'"))
}

/// A function whose attributes say that it is a test.
fn is_test(text: &str, name: &str) -> bool {
    let mut attributed = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") {
            attributed = true;
        } else if let Some(rest) = line.strip_prefix("fn ").or(line.strip_prefix("pub fn ")) {
            if attributed && rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')) {
                return true;
            }
            attributed = false;
        } else if line.ends_with('}') {
            attributed = false;
        }
    }
    false
}

fn is_stage(file: &str, text: &str, name: &str) -> bool {
    STAGES.iter().any(|(stage_file, names)| {
        file.strip_prefix(ORACLE_SOURCES).and_then(|rest| rest.strip_prefix('/')) == Some(stage_file)
            && names.contains(&name)
            && text.contains(&format!("fn {name}("))
    })
}

/// The names of a suite's checks: the classes of ZooKeeper's tests that run, the sections of a transcript, and what stands first in a table of checks or a call of `check`.
fn checks(text: &str) -> BTreeSet<&str> {
    let openings = ["@check(\"", "check(\"", "checks.put(\"", "{\"", "(\""];
    let mut names = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(class) = line.strip_prefix("quick ").or(line.strip_prefix("long ")) {
            names.insert(class);
        } else if line.starts_with("= ") {
            names.insert(line);
        } else if let Some((_, rest)) = line.split_once("f\"{label}: ") {
            names.extend(rest.split('"').next());
        } else if let Some(rest) = openings.iter().find_map(|opening| line.strip_prefix(opening)) {
            names.extend(rest.split('"').next());
        }
    }
    names
}

/// The steps of the oracle: the kinds of requests it draws, the steps of a program, the departures, the four-letter words, and
/// the ping on every connection behind each step.
fn steps(root: &Path) -> BTreeSet<String> {
    let mut steps = BTreeSet::from(["barrier".to_owned()]);
    for file in tidy::rust_files(&root.join(ORACLE_SOURCES)) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for line in text.lines().map(str::trim) {
            let kind = line.strip_prefix("(Kind::").and_then(|rest| rest.split(',').next());
            let departure = line.strip_prefix("name: \"").and_then(|rest| rest.split('"').next());
            steps.extend(kind.or(departure).map(str::to_owned));
        }
        steps.extend(body(&text, "pub enum Step {").lines().filter_map(variant));
        steps.extend(body(&text, "pub const WORDS: &[&str] = &[").split('"').skip(1).step_by(2).map(str::to_owned));
    }
    steps
}

/// What stands between a line and the next one that closes it.
fn body<'a>(text: &'a str, opening: &str) -> &'a str {
    let Some((_, rest)) = text.split_once(opening) else { return "" };
    rest.split("\n}").next().and_then(|rest| rest.split("\n];").next()).unwrap_or_default()
}

fn variant(line: &str) -> Option<String> {
    let name: String = line.trim().chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_beside_a_test_is_no_test() {
        let text = "fn helper() {\n}\n#[test]\n#[should_panic]\nfn it_holds() {\n    helper();\n}\nfn another() {\n}\n";
        assert!(is_test(text, "it_holds"));
        assert!(!is_test(text, "helper"));
        assert!(!is_test(text, "another"));
        assert!(!is_test(text, "it_hold"));
    }

    #[test]
    fn checks_are_known_by_their_names_and_not_by_what_they_say() {
        let text =
            "@check(\"bad version\")\ndef f():\n    demand(\"imok\")\n= quotas\n> setquota\n    {\"lock\", lock},\n";
        assert_eq!(checks(text), BTreeSet::from(["bad version", "= quotas", "lock"]));
    }

    #[test]
    fn the_oracle_names_its_kinds_its_steps_its_words_and_its_departures() {
        let steps = steps(&crate::root());
        for step in ["Create", "Open", "mntr", "create_session_is_refused_from_clients", "barrier"] {
            assert!(steps.contains(step), "{step} in {steps:?}");
        }
        assert!(!steps.contains("generate"));
    }
}
