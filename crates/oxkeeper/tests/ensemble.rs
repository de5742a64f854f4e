//! Three server processes, as operators run them: they elect, write, lose a leader to SIGKILL, and are one again.

mod processes;

use oxkeeper_client::CreateMode;
use processes::*;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn three_servers_elect_serve_lose_their_leader_and_agree() {
    let mut ensemble = Trio::start("kill-leader");
    let (leader, followers) = ensemble.wait_for_leader(3);
    let writer = ensemble.client(followers[0]);
    writer.create("/a", b"one", CreateMode::Persistent).unwrap();
    let reader = ensemble.client(followers[1]);
    reader.sync("/").unwrap();
    assert_eq!(
        reader.get("/a", false).unwrap().0.as_deref(),
        Some(&b"one"[..]),
        "a write on a follower is read on another"
    );

    ensemble.kill(leader);
    let (second, _) = ensemble.wait_for_leader(2);
    assert_ne!(second, leader);
    let client = ensemble.client(second);
    for n in 0..50 {
        client.create(&format!("/n{n}"), b"", CreateMode::Persistent).unwrap();
    }
    ensemble.start_again(leader);
    ensemble.wait_for_leader(3);
    let late = ensemble.client(leader);
    late.sync("/").unwrap();
    assert_eq!(late.get("/n49", false).unwrap().0.as_deref(), Some(&b""[..]), "it has what was written without it");
    let trees: Vec<BTreeMap<String, Vec<u8>>> = (1..=3).map(|id| tree(&ensemble.client(id))).collect();
    assert_eq!(trees[0], trees[1]);
    assert_eq!(trees[1], trees[2]);
    assert!(trees[0].len() > 50);
    ensemble.stop();
}

#[test]
fn a_server_that_lost_its_data_is_given_a_snapshot() {
    let mut ensemble = Trio::start("snapshot");
    let (leader, followers) = ensemble.wait_for_leader(3);
    let client = ensemble.client(leader);
    for n in 0..600 {
        client.create(&format!("/n{n}"), [7; 100], CreateMode::Persistent).unwrap();
    }
    let poor = followers[0];
    ensemble.kill(poor);
    std::fs::remove_dir_all(ensemble.data(poor).join("version-2")).unwrap();
    ensemble.start_again(poor);
    ensemble.wait_for_leader(3);
    let late = ensemble.client(poor);
    late.sync("/").unwrap();
    assert_eq!(tree(&late), tree(&client));
    // It is on its disk, too.
    ensemble.kill(poor);
    ensemble.start_again(poor);
    ensemble.wait_for_leader(3);
    assert_eq!(tree(&ensemble.client(poor)), tree(&client));
    ensemble.stop();
}

#[test]
fn a_server_that_is_given_a_snapshot_shows_the_zxid_of_its_leader_though_nothing_is_written() {
    let mut ensemble = Trio::start("zxid-shown");
    let (first, _) = ensemble.wait_for_leader(3);
    ensemble.client(first).create("/a", b"", CreateMode::Persistent).unwrap();
    ensemble.kill(first);
    std::fs::remove_dir_all(ensemble.data(first).join("version-2")).unwrap();
    let (second, _) = ensemble.wait_for_leader(2);
    ensemble.start_again(first);
    ensemble.wait_for_leader(3);
    // As scripts do that restart one server after the other.
    let zxid = |id| ensemble.ask(id, "srvr").lines().find(|l| l.starts_with("Zxid: 0x")).unwrap_or("").to_owned();
    assert!(zxid(second).ends_with("00000000"), "leader at {}", zxid(second));
    eventually("the zxid of the leader", || zxid(first) == zxid(second));
    ensemble.stop();
}

#[test]
fn without_a_quorum_nobody_is_served_and_commands_say_so() {
    let mut ensemble = Trio::start("no-quorum");
    let (leader, followers) = ensemble.wait_for_leader(3);
    ensemble.kill(followers[0]);
    ensemble.kill(leader);
    let alone = followers[1];
    eventually("it knows that it is alone", || ensemble.ask(alone, "srvr").contains("not currently serving"));
    assert_eq!(ensemble.ask(alone, "ruok"), "imok");
    assert_eq!(ensemble.ask(alone, "isro"), "null");
    // A connection is taken, and closed when the client has said who it is.
    let mut client = TcpStream::connect(("127.0.0.1", ensemble.port(alone))).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let handshake =
        [&44i32.to_be_bytes()[..], &[0; 12], &10_000i32.to_be_bytes(), &[0; 8], &16i32.to_be_bytes(), &[0; 16]];
    client.write_all(&handshake.concat()).unwrap();
    let end = client.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "no answer, but {end:?}");
    ensemble.start_again(leader);
    ensemble.wait_for_leader(2);
    let text = ensemble.ask(alone, "conf");
    assert!(text.contains("membership: \nserver.1=127.0.0.1:") && text.contains("peerType=0\n"), "{text}");
    ensemble.stop();
}

#[test]
fn commands_and_the_log_say_who_leads_who_follows_and_who_is_in_sync() {
    let mut ensemble = Trio::start("commands");
    let (leader, followers) = ensemble.wait_for_leader(3);
    let (follower, has) = (followers[0], |id, word: &str, line: &str| {
        eventually(&format!("{line:?} in {word} of {id}"), || ensemble.ask(id, word).lines().any(|l| l == line))
    });
    // Before the first transaction a leader is at the beginning of its epoch, and whoever synchronised with it at nothing.
    let zxid = |id| ensemble.ask(id, "srvr").lines().find_map(|l| l.strip_prefix("Zxid: 0x")).unwrap_or("").to_owned();
    let began = zxid(leader);
    assert!(began.len() == 9 && began.ends_with("00000000"), "leader at {began}");
    has(follower, "srvr", "Zxid: 0x0");
    let client = ensemble.client(follower);
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    has(leader, "srvr", &format!("Zxid: 0x{}2", &began[..8]));
    let lines = ["server_state\tleader", "peer_state\tleading - broadcast", "quorum_size\t3", "learners\t2"];
    lines.iter().for_each(|line| has(leader, "mntr", &format!("zk_{line}")));
    ["synced_followers\t2", "synced_observers\t0"].iter().for_each(|line| has(leader, "mntr", &format!("zk_{line}")));
    let lines = ["server_state\tfollower", "peer_state\tfollowing - broadcast", "quorum_size\t3"];
    lines.iter().for_each(|line| has(follower, "mntr", &format!("zk_{line}")));
    assert!(
        ensemble.ask(leader, "mntr").contains("zk_leader_uptime\t")
            && ensemble.ask(leader, "srvr").contains("Proposal sizes last/min/max: ")
    );
    assert!(!ensemble.ask(follower, "mntr").contains("zk_synced_followers"));
    let conf =
        ["serverId=", "initLimit=10", "syncLimit=5", "electionAlg=3", "electionPort=", "quorumPort=", "peerType=0"];
    let text = ensemble.ask(follower, "conf");
    assert!(conf.iter().all(|line| text.lines().any(|l| l.starts_with(line))), "{text}");
    has(follower, "dump", "Global Sessions(1):");
    assert!(ensemble.ask(leader, "dump").contains("Session Sets ("));
    assert_eq!(ensemble.ask(follower, "isro"), "rw");
    let said = [(leader, "LEADING - LEADER ELECTION TOOK - "), (follower, "FOLLOWING - LEADER ELECTION TOOK - ")];
    for (id, line) in said {
        let log = ensemble.log(id);
        assert!(log.contains(line) && log.contains("PeerState set to ") && log.contains("binding to port "), "{log}");
    }
    ensemble.stop();
}
