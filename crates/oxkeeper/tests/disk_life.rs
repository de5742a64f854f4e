//! What a running server does with its files as time goes by: snapshots that fail and are tried again, and old files that go.

mod processes;

use oxkeeper_client::CreateMode;
use processes::*;
use std::path::Path;

/// The file names of a data directory that begin so, in order.
fn files(data: &Path, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(data.join("version-2")).unwrap().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.retain(|name| name.starts_with(prefix));
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
}

/// The zxid of the newest snapshot.
fn newest(data: &Path) -> i64 {
    files(data, "snapshot.").last().map_or(0, |name| i64::from_str_radix(&name["snapshot.".len()..], 16).unwrap())
}

#[test]
fn a_snapshot_that_fails_stops_nobody_and_is_tried_again() {
    let scratch = Scratch::new("failing-snapshots");
    let config = scratch.config("snapCount=20");
    let data = scratch.0.join("data");
    // The tree does not fit into one file. The log does: it is begun anew for each snapshot, also for one that fails.
    let mut server = Single::of(with_small_files(&config, 1024));
    let client = server.client();
    let failed = |server: &Single| {
        let said = server.said();
        said.iter()
            .filter(|line| line.contains("no snapshot was written; the next one is tried after snapCount"))
            .count()
    };
    let mut written = 0;
    eventually("a snapshot failed, and so did the next", || {
        client.create(&format!("/n{written}"), vec![b'x'; 15_000], CreateMode::Persistent).unwrap();
        written += 1;
        failed(&server) >= 2
    });
    let before = newest(&data);
    assert!(server.is_running());
    eventually("nothing half made is left", || files(&data, ".").is_empty());
    (1..written).for_each(|n| client.delete(&format!("/n{n}"), -1).unwrap());
    eventually("a snapshot of the smaller tree", || {
        client.set("/n0", b"small", -1).unwrap();
        newest(&data) > before
    });
    drop(client);
    let said = server.stop().join("\n");
    assert!(said.contains(" ERROR ") && said.contains("snapshot."), "{said}");

    let server = Single::start(&config);
    let client = server.client();
    assert_eq!(client.get("/n0", false).unwrap().0.unwrap(), b"small");
    assert_eq!(client.children("/", false).unwrap().0.len(), 2);
    drop(client);
    server.stop();
}

#[test]
fn a_running_server_purges_old_files_again_and_again() {
    let scratch = Scratch::new("purging");
    // A unit of ours, which 3.10 has as well: a number alone is hours.
    let config = scratch.config("snapCount=4\nautopurge.snapRetainCount=3\nautopurge.purgeInterval=100ms");
    let data = scratch.0.join("data");
    let server = Single::start(&config);
    let client = server.client();
    let removed = |kind: &str| {
        let (said, name) = (server.said(), format!("/version-2/{kind}."));
        said.iter().filter(|line| line.contains(" removed ") && line.contains(&name)).count()
    };
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    for round in 1..=3 {
        let (snapshots, logs) = (removed("snapshot"), removed("log"));
        eventually(&format!("purge {round} takes snapshots and logs away"), || {
            client.set("/a", b"more", -1).unwrap();
            removed("snapshot") > snapshots && removed("log") > logs
        });
    }
    let (_, stat) = client.get("/a", false).unwrap();
    // The log that leads to the oldest of them is kept, and every later one.
    let number = |name: &str| i64::from_str_radix(name.rsplit_once('.').unwrap().1, 16).unwrap();
    eventually("what is to be kept is left", || {
        let (snapshots, logs) = (files(&data, "snapshot."), files(&data, "log."));
        snapshots.len() == 3 && logs.first().is_some_and(|log| number(log) <= number(&snapshots[0]) + 1)
    });
    drop(client);
    server.stop();
    let server = Single::start(&config);
    assert_eq!(server.client().get("/a", false).unwrap().1.version, stat.version);
    server.stop();
}

#[test]
fn a_server_without_an_interval_purges_nothing() {
    let scratch = Scratch::new("not-purging");
    let data = scratch.0.join("data");
    let server = Single::start(&scratch.config("snapCount=4"));
    let client = server.client();
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    eventually("more snapshots than any purge keeps", || {
        client.set("/a", b"more", -1).unwrap();
        files(&data, "snapshot.").len() > 6
    });
    let first = files(&data, "snapshot.").remove(0);
    assert_eq!(first, "snapshot.0");
    drop(client);
    assert!(!server.stop().iter().any(|line| line.contains(" removed ")));
}

#[test]
fn an_observer_with_sync_enabled_false_keeps_no_log_and_writes_no_snapshots() {
    let mut trio = Trio::new("diskless", |id, text, _| {
        let observer = text.lines().map(|line| match line.starts_with("server.3=") {
            true => format!("{line}:observer\n"),
            false => format!("{line}\n"),
        });
        let more = if id == 3 { "syncEnabled=false\n" } else { "" };
        format!("{}snapCount=4\n{more}", observer.collect::<String>())
    });
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, _) = trio.wait_for_leader(2);
    let observes = |trio: &Trio| eventually("it observes", || trio.mode(3).as_deref() == Some("observer"));
    observes(&trio);
    let everywhere = |trio: &Trio, path: &str, written: usize| {
        let client = trio.client(3);
        client.create(path, b"0", CreateMode::Persistent).unwrap();
        for n in 1..=written {
            client.set(path, n.to_string(), -1).unwrap();
        }
        assert_eq!(client.get(path, false).unwrap().0.unwrap(), written.to_string().as_bytes());
        client.close().unwrap();
        let zxid = |id| trio.ask(id, "srvr").lines().find(|line| line.starts_with("Zxid: ")).map(str::to_owned);
        eventually("all have it", || zxid(1).is_some() && (2..=3).all(|id| zxid(id) == zxid(1)));
    };
    everywhere(&trio, "/a", 50);
    let voter = trio.data(leader);
    eventually("voters write snapshots", || newest(&voter) > 0 && !files(&voter, "log.").is_empty());
    let before = files(&trio.data(3), "snapshot.");
    assert!(files(&trio.data(3), "log.").is_empty());

    // With another leader it goes on from what it has in memory.
    trio.kill(leader);
    trio.start_again(leader);
    trio.wait_for_leader(2);
    observes(&trio);
    everywhere(&trio, "/b", 50);
    assert!(files(&trio.data(3), "log.").is_empty());
    assert_eq!(files(&trio.data(3), "snapshot."), before, "nothing but what a leader has sent");

    // And from its files after a restart, whatever they lack.
    trio.kill(3);
    trio.start_again(3);
    observes(&trio);
    everywhere(&trio, "/c", 5);
    let (voter, observer) = (trio.client(leader), trio.client(3));
    observer.sync("/").unwrap();
    voter.sync("/").unwrap();
    assert_eq!(tree(&observer), tree(&voter));
    assert!(files(&trio.data(3), "log.").is_empty());
    drop((voter, observer));
    trio.stop();
}

#[test]
fn a_start_writes_no_snapshot_of_a_short_log_and_one_of_a_log_that_is_due() {
    let scratch = Scratch::new("starts");
    let data = scratch.0.join("data");
    let server = Single::start(&scratch.config("snapCount=1000"));
    let client = server.client();
    (0..30).for_each(|n| drop(client.create(&format!("/n{n}"), b"", CreateMode::Persistent).unwrap()));
    drop(client);
    server.stop();
    Single::start(&scratch.config("snapCount=1000")).stop();
    assert_eq!(files(&data, "snapshot."), ["snapshot.0"]);
    // What was replayed counts towards the next one.
    let server = Single::start(&scratch.config("snapCount=20"));
    eventually("the log is not replayed for ever", || newest(&data) > 0);
    assert_eq!(server.client().children("/", false).unwrap().0.len(), 31);
    server.stop();
}
