//! `docs/COMPAT`: every id of the inventory of ZooKeeper's behaviour is answered once, and every test named there exists.
//!
//! A row is `| CW001 | same | what, in a few words | file::test[, file::test …] |`. The verdict is `same`, `differs`,
//! `half` or `absent`. All but `absent` need a test: a file of the repository, `::`, and the name of a test in it (see `shown`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::shown;

/// Chapter prefix and the last number in it; numbering has no gaps.
const IDS: &[(&str, u32)] = &[
    ("BG", 53),
    ("CF", 188),
    ("CW", 279),
    ("DK", 98),
    ("EL", 60),
    ("OB", 94),
    ("OP", 47),
    ("QP", 128),
    ("SE", 49),
    ("TL", 93),
    ("TS", 44),
];
const VERDICTS: &[&str] = &["same", "differs", "half", "absent"];

pub fn check(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut differing = Vec::new();
    let mut verdicts: BTreeMap<String, [u32; 4]> = BTreeMap::new();
    let mut pages: Vec<_> = fs::read_dir(root.join("docs/COMPAT"))
        .map(|entries| {
            entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "md")).collect()
        })
        .unwrap_or_default();
    pages.sort();
    for page in pages {
        let shown = page.strip_prefix(root).unwrap_or(&page).display().to_string();
        for (at, line) in fs::read_to_string(&page).unwrap_or_default().lines().enumerate() {
            let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
            let Some(id) = cells.first().filter(|c| is_id(c)) else { continue };
            let place = format!("{shown}:{}", at + 1);
            if let Some(before) = seen.insert(id.to_string(), place.clone()) {
                findings.push(format!("{place}: {id} was answered already at {before}"));
            }
            check_row(root, &place, &cells, &mut findings);
            if cells.get(1) == Some(&"differs") {
                differing.push(id.to_string());
            }
            if let Some(at) = VERDICTS.iter().position(|v| cells.get(1) == Some(v)) {
                verdicts.entry(id[..2].to_owned()).or_default()[at] += 1;
            }
        }
    }
    check_counts(root, &verdicts, &mut findings);
    check_differences(root, &differing, &mut findings);
    for (prefix, last) in IDS {
        let missing: Vec<String> =
            (1..=*last).map(|n| format!("{prefix}{n:03}")).filter(|id| !seen.contains_key(id)).collect();
        if !missing.is_empty() {
            findings.push(format!("docs/COMPAT: {} ids not answered: {}", missing.len(), summary(&missing)));
        }
    }
    findings
}

fn check_row(root: &Path, place: &str, cells: &[&str], findings: &mut Vec<String>) {
    let [id, verdict, words, tests] = cells else {
        findings.push(format!("{place}: {} cells, expected id, verdict, words, tests", cells.len()));
        return;
    };
    if !known(id) {
        findings.push(format!("{place}: {id} is no id of the inventory"));
    }
    if !VERDICTS.contains(verdict) {
        findings.push(format!("{place}: verdict '{verdict}', expected one of {VERDICTS:?}"));
    }
    if words.is_empty() {
        findings.push(format!("{place}: {id} says nothing"));
    }
    let named: Vec<&str> = tests.split(", ").map(|t| t.trim_matches('`')).filter(|t| t.contains("::")).collect();
    if named.is_empty() && *verdict != "absent" {
        findings.push(format!("{place}: {id} is '{verdict}' and names no test"));
    }
    for test in &named {
        let (file, name) = test.split_once("::").expect("filtered on it");
        findings.extend(shown::fault(root, file, name).map(|fault| format!("{place}: {id}: {fault}")));
    }
    let oracle_alone = !named.is_empty() && named.iter().all(|test| test.starts_with("oracle::"));
    if oracle_alone && !words.contains("oracle") {
        findings.push(format!("{place}: {id} is shown by the oracle alone and does not say so"));
    }
}

/// The table of counts: a row ends with the chapter and how many ids it has, and then the number of each verdict.
fn check_counts(root: &Path, verdicts: &BTreeMap<String, [u32; 4]>, findings: &mut Vec<String>) {
    let text = fs::read_to_string(root.join("docs/COMPAT/README.md")).unwrap_or_default();
    let mut all = [0; 4];
    for (chapter, counts) in verdicts {
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let total: u32 = counts.iter().sum();
        expect_counts(&text, &format!("| {chapter} {total} | "), counts, findings);
    }
    expect_counts(&text, &format!("| All | {} | ", all.iter().sum::<u32>()), &all, findings);
}

/// The list of all deliberate differences has each of them, by its id or within `TS036 to TS039`.
fn check_differences(root: &Path, differing: &[String], findings: &mut Vec<String>) {
    let text = fs::read_to_string(root.join("docs/COMPAT/README.md")).unwrap_or_default();
    let list = text.split_once("## All deliberate differences").map(|(_, list)| list).unwrap_or_default();
    let words: Vec<&str> = list.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut listed: Vec<&str> = words.iter().copied().filter(|word| is_id(word)).collect();
    listed.sort_unstable();
    let within =
        |id: &str| words.windows(3).any(|w| w[1] == "to" && is_id(w[0]) && is_id(w[2]) && w[0] <= id && id <= w[2]);
    for id in differing.iter().filter(|id| listed.binary_search(&id.as_str()).is_err() && !within(id)) {
        findings.push(format!("docs/COMPAT/README.md: {id} differs and is not in 'All deliberate differences'"));
    }
}

fn expect_counts(text: &str, opening: &str, counts: &[u32; 4], findings: &mut Vec<String>) {
    let expected = format!("{opening}{} |", counts.map(|n| n.to_string()).join(" | "));
    if !text.contains(&expected) {
        findings.push(format!("docs/COMPAT/README.md: the counts of a row are to be '{expected}'"));
    }
}

fn is_id(cell: &str) -> bool {
    cell.len() == 5
        && cell.is_ascii()
        && cell[..2].bytes().all(|b| b.is_ascii_uppercase())
        && cell[2..].parse::<u32>().is_ok()
}

fn known(id: &str) -> bool {
    let (prefix, number) = id.split_at(2);
    let number: u32 = number.parse().unwrap_or(0);
    IDS.iter().any(|(p, last)| *p == prefix && (1..=*last).contains(&number))
}

fn summary(missing: &[String]) -> String {
    let shown: Vec<&str> = missing.iter().take(8).map(String::as_str).collect();
    let more = missing.len().saturating_sub(shown.len());
    if more == 0 { shown.join(" ") } else { format!("{} and {more} more", shown.join(" ")) }
}
