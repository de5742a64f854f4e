//! The judgement. Each rule is a function over the writes in the order of their zxids; together they say that writes are
//! linearizable, reads behind a sync are linearizable, and each session sees its own order.

use super::{Answer, Call, Final, Key, Moment, Operation, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rule that is broken, and by what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation(pub String);

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value that a node is created with, before the history begins.
pub const FIRST_VALUE: Value = 0;
/// Lines for one rule; more say no more.
const LINES_MAX: usize = 5;

/// A write with its place in the order.
#[derive(Clone, Copy, Debug)]
struct Placed {
    zxid: i64,
    version: i32,
    value: Value,
    start: Moment,
    /// `None`: no answer, so nothing has to come behind it.
    end: Option<Moment>,
}

/// Everything that is wrong with the history; empty where nothing is.
pub fn check(history: &[Operation], last: &Final) -> Vec<Violation> {
    let mut found = Found::default();
    let keys = last.nodes.len();
    let written: HashMap<Value, &Operation> = history.iter().filter_map(|op| Some((value_of(&op.call)?, op))).collect();
    let per_key: Vec<Vec<Placed>> = (0..keys).map(|key| place(history, key, last, &written, &mut found)).collect();
    for (key, writes) in per_key.iter().enumerate() {
        versions_follow_the_order(key, writes, history, &mut found);
        refusals_are_justified(key, writes, history, &mut found);
        reads_see_the_latest(key, writes, history, &mut found);
        nothing_is_lost(key, writes, last.nodes[key], &mut found);
    }
    order_agrees_with_time(history, &per_key, &mut found);
    sessions_keep_their_order(history, &mut found);
    additions_stay(history, last, &mut found);
    found.violations
}

#[derive(Default)]
struct Found {
    violations: Vec<Violation>,
    counts: BTreeMap<&'static str, usize>,
}

impl Found {
    fn add(&mut self, rule: &'static str, text: String) {
        let count = self.counts.entry(rule).or_default();
        *count += 1;
        if *count <= LINES_MAX {
            self.violations.push(Violation(format!("{rule}: {text}")));
        }
    }
}

fn value_of(call: &Call) -> Option<Value> {
    match call {
        Call::Write { value, .. } | Call::Add { value } => Some(*value),
        Call::Read { .. } => None,
    }
}

/// The writes to a key in their order: the acknowledged ones, and those without an answer that somebody has seen.
fn place(
    history: &[Operation],
    key: Key,
    last: &Final,
    written: &HashMap<Value, &Operation>,
    found: &mut Found,
) -> Vec<Placed> {
    let mut by_zxid: BTreeMap<i64, Placed> = BTreeMap::new();
    for op in history {
        let (Call::Write { key: k, value, .. }, Answer::Written { zxid, version }) = (op.call, op.answer) else {
            continue;
        };
        if k != key {
            continue;
        }
        let placed = Placed { zxid, version, value, start: op.start, end: Some(op.end) };
        if let Some(other) = by_zxid.insert(zxid, placed) {
            found.add("one write has one zxid", format!("{op:?} and value {} have the same", other.value));
        }
    }
    let seen = history.iter().filter_map(|op| match (op.call, op.answer) {
        (Call::Read { key: k, .. }, Answer::Value { value, version, mzxid, .. }) if k == key => {
            Some((value, version, mzxid, op.end))
        }
        _ => None,
    });
    for (value, version, mzxid, end) in seen.chain([last.nodes[key]].map(|(v, n, z)| (v, n, z, Moment::MAX))) {
        let what = format!("key {key}, value {value}, version {version}, mzxid {mzxid:#x}");
        if let Some(placed) = by_zxid.get(&mzxid) {
            if (placed.value, placed.version) != (value, version) {
                found.add("reads see what was written", format!("{what}; that write was {placed:?}"));
            }
            continue;
        }
        if value == FIRST_VALUE {
            let first = Placed { zxid: mzxid, version, value, start: 0, end: Some(0) };
            by_zxid.insert(mzxid, first);
            continue;
        }
        match written.get(&value) {
            Some(op) if op.answer == Answer::Unknown && op.start < end => {
                by_zxid.insert(mzxid, Placed { zxid: mzxid, version, value, start: op.start, end: None });
            }
            Some(op) => found.add("reads see what was written", format!("{what}; that write was {op:?}")),
            None => found.add("reads see what was written", format!("{what}: nobody wrote that")),
        }
    }
    by_zxid.into_values().collect()
}

/// Each set adds one to the version; between two known writes lie at most as many unknown ones as there were.
fn versions_follow_the_order(key: Key, writes: &[Placed], history: &[Operation], found: &mut Found) {
    let conditional: HashMap<Value, i32> = history
        .iter()
        .filter_map(|op| match op.call {
            Call::Write { key: k, value, expected } if k == key && expected >= 0 => Some((value, expected)),
            _ => None,
        })
        .collect();
    let placed: BTreeSet<Value> = writes.iter().map(|write| write.value).collect();
    let unseen = history
        .iter()
        .filter(|op| matches!(op.call, Call::Write { key: k, value, .. } if k == key && !placed.contains(&value)))
        .filter(|op| op.answer == Answer::Unknown)
        .count() as i32;
    let mut hidden = 0;
    for pair in writes.windows(2) {
        let step = pair[1].version - pair[0].version;
        if step < 1 {
            found.add("versions follow the zxids", format!("key {key}: {:?}, then {:?}", pair[0], pair[1]));
        }
        hidden += (step - 1).max(0);
    }
    if hidden > unseen {
        let text = format!("key {key}: {hidden} versions that nobody asked for, {unseen} writes are without an answer");
        found.add("every version has its write", text);
    }
    for write in writes {
        if conditional.get(&write.value).is_some_and(|expected| expected + 1 != write.version) {
            found.add("a conditional write meets its version", format!("key {key}: {write:?}"));
        }
    }
}

/// A write refused for its version must have met another one.
fn refusals_are_justified(key: Key, writes: &[Placed], history: &[Operation], found: &mut Found) {
    for op in history {
        let (Call::Write { key: k, expected, .. }, Answer::Refused { zxid }) = (op.call, op.answer) else { continue };
        if k != key {
            continue;
        }
        let after = writes.partition_point(|write| write.zxid < zxid);
        let (Some(before), Some(next)) = (after.checked_sub(1).map(|n| writes[n]), writes.get(after)) else { continue };
        // Where no unknown write hides between the two, the version at that point is known.
        if next.version == before.version + 1 && before.version == expected {
            found.add("a refused write met another version", format!("{op:?} after {before:?}"));
        }
    }
}

/// A read behind a sync sees nothing older than what was acknowledged or seen before the sync began.
fn reads_see_the_latest(key: Key, writes: &[Placed], history: &[Operation], found: &mut Found) {
    // (end, zxid): from `end` on, `zxid` or later must be seen.
    let mut floors: Vec<(Moment, i64)> = writes.iter().filter_map(|write| Some((write.end?, write.zxid))).collect();
    let reads: Vec<(&Operation, i64, bool)> = history
        .iter()
        .filter_map(|op| match (op.call, op.answer) {
            (Call::Read { key: k, synced }, Answer::Value { mzxid, .. }) if k == key => Some((op, mzxid, synced)),
            _ => None,
        })
        .collect();
    floors.extend(reads.iter().map(|(op, mzxid, _)| (op.end, *mzxid)));
    floors.sort_unstable();
    let mut highest = i64::MIN;
    for floor in &mut floors {
        highest = highest.max(floor.1);
        floor.1 = highest;
    }
    let floor_at = |moment: Moment| {
        let n = floors.partition_point(|(end, _)| *end < moment);
        n.checked_sub(1).map_or(i64::MIN, |n| floors[n].1)
    };
    for (op, mzxid, synced) in &reads {
        if *synced && *mzxid < floor_at(op.start) {
            let text = format!("{op:?}, but {:#x} was known before it began", floor_at(op.start));
            found.add("a read behind a sync is up to date", text);
        }
        let at = writes.partition_point(|write| write.zxid < *mzxid);
        if writes.get(at).is_some_and(|write| write.zxid == *mzxid && write.start > op.end) {
            found.add("no read sees the future", format!("{op:?}"));
        }
    }
}

/// The last state is the last write's, and no write that was acknowledged comes behind it.
fn nothing_is_lost(key: Key, writes: &[Placed], last: (Value, i32, i64), found: &mut Found) {
    let (value, version, mzxid) = last;
    if let Some(write) = writes.last()
        && write.zxid > mzxid
    {
        let text = format!("key {key} ends with value {value}, version {version}, {mzxid:#x}; written was {write:?}");
        found.add("no acknowledged write is lost", text);
    }
}

/// What ended before another began has the lower zxid, over all keys and additions.
fn order_agrees_with_time(history: &[Operation], per_key: &[Vec<Placed>], found: &mut Found) {
    let mut all: Vec<(i64, Moment, Option<Moment>)> =
        per_key.iter().flatten().map(|w| (w.zxid, w.start, w.end)).collect();
    all.extend(history.iter().filter_map(|op| match op.answer {
        Answer::Added { zxid, .. } | Answer::Refused { zxid } => Some((zxid, op.start, Some(op.end))),
        _ => None,
    }));
    all.sort_unstable();
    for pair in all.windows(2) {
        if pair[0].0 == pair[1].0 {
            found.add("one write has one zxid", format!("{:#x} twice", pair[0].0));
        }
    }
    // From the back: the earliest end among those with a higher zxid must not lie before the start of this one.
    let mut earliest: Option<(Moment, i64)> = None;
    for (zxid, start, end) in all.iter().rev() {
        if let Some((end, later)) = earliest
            && end < *start
        {
            let text = format!("{later:#x} was acknowledged before {zxid:#x} was asked for");
            found.add("the order of writes agrees with time", text);
        }
        if let Some(end) = end {
            earliest = Some(earliest.map_or((*end, *zxid), |e| e.min((*end, *zxid))));
        }
    }
}

/// In one session zxids only grow: of its writes, of what its reads saw, of the reply headers of its reads.
fn sessions_keep_their_order(history: &[Operation], found: &mut Found) {
    let mut sessions: BTreeMap<u64, Vec<&Operation>> = BTreeMap::new();
    for op in history {
        sessions.entry(op.session).or_default().push(op);
    }
    for (session, mut ops) in sessions {
        ops.sort_by_key(|op| op.start);
        let (mut seen, mut written) = (i64::MIN, i64::MIN);
        let mut of_key: HashMap<Key, i64> = HashMap::new();
        for op in ops {
            let mut rule = |ok: bool, what: &str| {
                if !ok {
                    found.add("a session sees its own order", format!("session {session}, {what}: {op:?}"));
                }
            };
            match (op.call, op.answer) {
                (_, Answer::Written { zxid, .. } | Answer::Added { zxid, .. } | Answer::Refused { zxid }) => {
                    rule(zxid > written && zxid > seen, "a write behind what it has seen");
                    written = zxid;
                    seen = zxid;
                    if let Call::Write { key, .. } = op.call
                        && matches!(op.answer, Answer::Written { .. })
                    {
                        of_key.insert(key, zxid);
                    }
                }
                (Call::Read { key, .. }, Answer::Value { mzxid, seen: header, .. }) => {
                    rule(header >= seen, "a server behind what it has seen");
                    rule(mzxid <= header, "data from behind the server's last transaction");
                    rule(of_key.get(&key).is_none_or(|known| mzxid >= *known), "older data than before");
                    seen = seen.max(header);
                    of_key.insert(key, mzxid);
                }
                _ => {}
            }
        }
    }
}

/// Every acknowledged addition is there with its number; nothing is there that nobody added.
fn additions_stay(history: &[Operation], last: &Final, found: &mut Found) {
    let there: HashMap<Value, u64> = last.added.iter().copied().collect();
    if there.len() != last.added.len() {
        found.add("an addition happens once", format!("{} nodes, {} values", last.added.len(), there.len()));
    }
    let mut asked: BTreeSet<Value> = BTreeSet::new();
    let mut numbers: BTreeMap<i64, u64> = BTreeMap::new();
    for op in history {
        let Call::Add { value } = op.call else { continue };
        asked.insert(value);
        let Answer::Added { zxid, number } = op.answer else { continue };
        numbers.insert(zxid, number);
        if there.get(&value) != Some(&number) {
            let text = format!("{op:?}, there is {:?}", there.get(&value));
            found.add("no acknowledged addition is lost", text);
        }
    }
    for (value, number) in &last.added {
        if !asked.contains(value) {
            found.add("reads see what was written", format!("node {number} has value {value}, which nobody added"));
        }
    }
    let ordered: Vec<u64> = numbers.into_values().collect();
    for pair in ordered.windows(2) {
        if pair[0] >= pair[1] {
            found.add("numbers follow the zxids", format!("{} stands before {}", pair[0], pair[1]));
        }
    }
}
