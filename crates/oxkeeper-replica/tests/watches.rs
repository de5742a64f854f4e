//! Memory and speed with a million watches, one shape after the other, with nothing else in the process. The figures:
//! `cargo test --release -p oxkeeper-replica --test watches -- --nocapture`

use oxkeeper_replica::watch::WatchKind::{Data, Persistent, PersistentRecursive};
use oxkeeper_replica::{Options, Outputs, WatchTable};
use oxkeeper_tree::{Change, ChangeKind};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{AclList, ConnId, Id, SessionId, Zxid};
use std::fmt::Write;
use std::time::Instant;

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().split(' ').next()?.parse::<usize>().ok()).unwrap_or(0) * 1024
}

fn open(table: &mut WatchTable, conn: ConnId) {
    table.open(conn, SessionId(0x100 + conn.0 as i64), [Id::new("ip", "127.0.0.1")].into());
}

fn table(conns: u64) -> WatchTable {
    let mut table = WatchTable::new();
    for conn in (0..conns).map(ConnId) {
        open(&mut table, conn);
    }
    table
}

/// Registers `paths` on each connection and reports what that took.
fn fill(name: &str, conns: u64, paths: u64, shared: bool) -> WatchTable {
    let before = resident_bytes();
    let mut table = table(conns);
    let mut text = String::new();
    let start = Instant::now();
    for conn in 0..conns {
        for n in 0..paths {
            text.clear();
            let n = if shared { n } else { conn * paths + n };
            write!(text, "/services/group-{:03}/node-{n:010}", n % 100).unwrap();
            table.add(ConnId(conn), &text, Data);
        }
    }
    let elapsed = start.elapsed();
    let megabytes = resident_bytes().saturating_sub(before) as f64 / 1e6;
    println!("{name}: {} watches, {megabytes:.1} MB, {:.0} ns per add", table.count(), nanos(elapsed, table.count()));
    assert!(megabytes <= 100.0, "{name} takes {megabytes} MB");
    table
}

fn nanos(elapsed: std::time::Duration, count: usize) -> f64 {
    elapsed.as_nanos() as f64 / count.max(1) as f64
}

fn changes(n: u64, shape: impl Fn(u64) -> String, kind: ChangeKind) -> Vec<Change> {
    let acl: AclList = open_acl().into();
    (0..n).map(|n| Change { kind, path: shape(n), zxid: Zxid(n as i64), acl: Some(acl.clone()) }).collect()
}

fn fire(name: &str, table: &mut WatchTable, changes: &[Change]) {
    let mut out = Outputs::default();
    let options = Options::default();
    let start = Instant::now();
    let mut events = 0;
    for batch in changes.chunks(100) {
        events += table.trigger(&options, batch, &mut out).events;
        out.clear();
    }
    let elapsed = start.elapsed();
    let rate = events as f64 / elapsed.as_secs_f64() / 1e6;
    let per_change = nanos(elapsed, changes.len());
    println!(
        "{name}: {events} events of {} changes, {rate:.1} M events/s, {per_change:.0} ns per change",
        changes.len()
    );
}

fn a_million_paths_with_one_watcher_each() {
    let shape = |n: u64| format!("/services/group-{:03}/node-{n:010}", n % 100);
    let mut table = fill("1 connection x 1,000,000 paths", 1, 1_000_000, false);
    let start = Instant::now();
    table.close(ConnId(0));
    println!("close: {:.0} ns per watch", nanos(start.elapsed(), 1_000_000));
    drop(table);
    let mut table = fill("100 connections x 10,000 paths of their own", 100, 10_000, false);
    let missed =
        changes(1_000_000, |n| format!("/services/group-{:03}/none-{n:010}", n % 100), ChangeKind::DataChanged);
    fire("nobody watches these paths", &mut table, &missed);
    table.add(ConnId(0), "/elsewhere", PersistentRecursive);
    fire("nobody does, and there is a recursive watch", &mut table, &missed);
    drop(missed);
    fire("all", &mut table, &changes(1_000_000, shape, ChangeKind::Deleted));
}

fn ten_thousand_paths_with_a_hundred_watchers_each() {
    let shape = |n: u64| format!("/services/group-{:03}/node-{n:010}", n % 100);
    let mut table = fill("100 connections x the same 10,000 paths", 100, 10_000, true);
    fire("1,000 nodes x 100 connections", &mut table, &changes(1_000, shape, ChangeKind::DataChanged));
    fire("all", &mut table, &changes(10_000, shape, ChangeKind::DataChanged));
}

fn half_a_million_paths_with_two_watchers_each() {
    let mut table = fill("2 connections x the same 500,000 paths", 2, 500_000, true);
    let shape = |n: u64| format!("/services/group-{:03}/node-{n:010}", n % 100);
    fire("all", &mut table, &changes(500_000, shape, ChangeKind::DataChanged));
}

fn one_path_with_a_hundred_thousand_watchers() {
    let mut table = fill("100,000 connections x 1 path", 100_000, 1, true);
    let shape = |n: u64| format!("/services/group-{:03}/node-{n:010}", n % 100);
    fire("all", &mut table, &changes(1, shape, ChangeKind::Deleted));
    for conn in 0..100_000 {
        table.add(ConnId(conn), "/again", Persistent);
    }
    let start = Instant::now();
    for conn in 0..100_000 {
        table.close(ConnId(conn));
    }
    println!("close: {:.0} ns per connection", nanos(start.elapsed(), 100_000));
    open(&mut table, ConnId(11));
    table.close(ConnId(11));
    fire("an empty table", &mut table, &changes(1_000_000, shape, ChangeKind::Deleted));
}

#[test]
fn a_million_watches_of_any_shape_take_less_than_a_hundred_megabytes() {
    a_million_paths_with_one_watcher_each();
    ten_thousand_paths_with_a_hundred_watchers_each();
    half_a_million_paths_with_two_watchers_each();
    one_path_with_a_hundred_thousand_watchers();
}
