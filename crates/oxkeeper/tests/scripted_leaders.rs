//! A real follower and a leader that the test plays: what it may be told, and how long it waits.

mod processes;
mod scripted;

use bytes::Bytes;
use oxkeeper_client::CreateMode;
use oxkeeper_proto::quorum::{Forwarded, Packet};
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_types::{Epoch, OpCode, SessionId, Zxid};
use processes::*;
use scripted::*;
use std::time::{Duration, Instant};

/// Nothing may take so many ticks in a test.
const FOR_EVER: u32 = 1_000_000;
const TICK: u32 = 100;

/// Server 1, and member 3 as its leader. Limits are in ticks of 100 ms.
fn follower(name: &str, init_limit: u32, sync_limit: u32, more: &str) -> Trio {
    Trio::new(name, |_, text, _| {
        let text = text.replace("tickTime=2000", &format!("tickTime={TICK}"));
        let text = text.replace("initLimit=10", &format!("initLimit={init_limit}"));
        text.replace("syncLimit=5", &format!("syncLimit={sync_limit}")) + more + "\n"
    })
}

fn ticks(count: u32) -> Duration {
    Duration::from_millis(u64::from(count * TICK))
}

/// Gives server 1 files of a server on its own that has written a few nodes and taken snapshots, and tells how far they go.
fn history(trio: &Trio, wanted: impl Fn(&str) -> bool) -> Zxid {
    let scratch = Scratch::new("history-of-one");
    let server = Single::start(&scratch.config("snapCount=4"));
    let (from, to) = (scratch.0.join("data/version-2"), trio.data(1).join("version-2"));
    let files = || std::fs::read_dir(&from).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let newest = || files().filter_map(|name| i64::from_str_radix(name.strip_prefix("snapshot.")?, 16).ok()).max();
    let client = server.client();
    eventually("it takes a snapshot", || {
        client.create("/n", b"", CreateMode::PersistentSequential).unwrap();
        newest() > Some(2)
    });
    client.close().unwrap();
    server.stop();
    std::fs::create_dir_all(&to).unwrap();
    for name in files().filter(|name| wanted(name)) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    Zxid(newest().unwrap())
}

#[test]
fn a_history_that_does_not_lead_to_where_the_leader_says_is_kept_and_a_snapshot_asked_for() {
    let mut trio = follower("cannot-cut", FOR_EVER, FOR_EVER, "");
    // It begins with a snapshot: all before that was purged.
    let last = history(&trio, |name| name.starts_with("snapshot.") && name != "snapshot.0");
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let mut link = leader.accept();
    assert_eq!(link.lead(2).last_zxid, last);
    link.send(&Packet::Trunc { zxid: Zxid(1) });
    link.closed();
    // It tells the next one that nothing can be built upon what it has,
    let mut link = leader.accept();
    assert_eq!(link.lead(3).last_zxid, Zxid::NONE);
    let said = trio.log(1);
    assert!(said.contains("Truncating log to get in sync with the leader 0x1"), "{said}");
    assert!(said.contains("the history here cannot be cut to where the leader wants it"), "{said}");
    // and has lost nothing of it.
    trio.kill(1);
    drop(link);
    trio.start_again(1);
    assert_eq!(leader.accept().lead(4).last_zxid, last);
}

#[test]
fn a_log_that_cannot_be_read_when_it_is_to_be_cut_ends_the_process_with_13() {
    let mut trio = follower("cannot-read", FOR_EVER, FOR_EVER, "");
    history(&trio, |name| name == "snapshot.0" || name.starts_with("log."));
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let mut link = leader.accept();
    let last = link.lead(2).last_zxid;
    // A byte of the first log turns over while the server runs.
    let log = trio.data(1).join("version-2/log.1");
    let bytes = std::fs::read(&log).unwrap();
    let place = bytes.windows(4).position(|window| window == b"/n00").expect("a node was made in it");
    let mut damaged = bytes.clone();
    damaged[place + 1] ^= 1;
    std::fs::write(&log, &damaged).unwrap();
    link.send(&Packet::Trunc { zxid: Zxid(last.0 - 1) });
    assert_eq!(trio.wait(1).code(), Some(13));
    let said = trio.log(1);
    assert!(said.contains("Not able to truncate the log") && said.contains("is damaged at offset"), "{said}");
    // With the byte back it starts again with all that it had.
    std::fs::write(&log, &bytes).unwrap();
    trio.start_again(1);
    assert_eq!(leader.accept().lead(3).last_zxid, last);
}

#[test]
fn a_leader_that_falls_silent_is_given_up_after_sync_limit_and_followed_when_it_is_back() {
    let mut trio = follower("silent-leader", FOR_EVER, 20, "");
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let mut link = leader.accept();
    link.establish(2);
    eventually("it serves", || trio.mode(1).as_deref() == Some("follower"));
    let ping = Packet::Ping { zxid: Zxid::new(Epoch(2), 0), touched: None };
    link.send(&ping);
    link.expect("PING");
    let silent = Instant::now();
    link.send(&ping);
    link.closed();
    assert_passed(silent, ticks(20), "a silent leader is given up");
    let mut link = leader.accept();
    link.establish(3);
    eventually("it serves again", || trio.mode(1).as_deref() == Some("follower"));
    let said = trio.log(1);
    assert!(said.contains("closed the connection with server 3 at") && said.contains("nothing was heard in time"));
}

#[test]
fn a_leader_that_falls_silent_before_it_is_one_is_given_up_after_init_limit() {
    let mut trio = follower("silent-handshake", 20, FOR_EVER, "");
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let limit = ticks(20);
    // It takes the connection, and says nothing.
    let mut link = leader.accept();
    link.expect("FOLLOWERINFO");
    link.closed();
    // It says which epoch it is, and no more.
    let mut link = leader.accept();
    let silent = Instant::now();
    link.lead(2);
    link.closed();
    assert_passed(silent, limit, "behind ACKEPOCH");
    // Everything but NEWLEADER.
    let mut link = leader.accept();
    let last = link.lead(3).last_zxid;
    let silent = Instant::now();
    link.send(&Packet::Diff { zxid: last });
    link.closed();
    assert_passed(silent, limit, "behind DIFF");
    let mut link = leader.accept();
    link.establish(4);
    eventually("it serves", || trio.mode(1).as_deref() == Some("follower"));
    assert_eq!(trio.log(1).matches("nothing was heard in time").count(), 3);
}

#[test]
fn a_leader_that_falls_silent_in_the_middle_of_its_snapshot_is_given_up_after_init_limit() {
    let mut trio = follower("silent-snapshot", 20, FOR_EVER, "");
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let mut link = leader.accept();
    link.lead(2);
    let silent = Instant::now();
    link.send(&Packet::Snap { zxid: Zxid(0x1_0000_0005) });
    // The first bytes of the stream: one session, of which half is there.
    link.send_bytes(&[0, 0, 0, 1, 0, 0]);
    link.closed();
    assert_passed(silent, ticks(20), "in the middle of a snapshot");
    let mut link = leader.accept();
    assert_eq!(link.lead(3).last_zxid, Zxid::ZERO, "nothing of it counts");
}

#[test]
fn a_dial_that_hangs_ends_with_its_own_limit_and_without_one_with_init_limit() {
    for (name, init_limit, more) in
        [("dial-limit", FOR_EVER, "connectToLearnerMasterLimit=20"), ("dial-init-limit", 20, "")]
    {
        let mut trio = follower(name, init_limit, FOR_EVER, more);
        let port = trio.peer_port(SCRIPTED, false);
        let full = FullPort::on(port);
        let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut leader = Candidate::with(elsewhere, trio.peer_port(1, true));
        let start = Instant::now();
        trio.start_again(1);
        // With both limits alike, consensus may give the leader up a moment before the dial ends.
        let ended = format!("no connection to the leader at 127.0.0.1:{port}, try 1 of 5: ");
        let looks = || trio.log(1).matches("PeerState set to LOOKING").count();
        eventually("the dial ends", || trio.log(1).contains(&ended) && looks() > 1);
        assert_passed(start, ticks(20), "a dial that hangs");
        assert!(!trio.log(1).contains("try 2 of 5"), "{}", trio.log(1));
        if init_limit == FOR_EVER {
            let given_up = format!("server 3 does not take us as a learner at 127.0.0.1:{port}");
            assert!(trio.log(1).contains(&given_up));
        }
        // It looks for a leader again, and finds this one when it answers.
        leader.quorum_port = full.free();
        let mut link = leader.accept();
        link.establish(2);
        eventually("it serves", || trio.mode(1).as_deref() == Some("follower"));
    }
}

#[test]
fn a_dial_that_is_refused_is_tried_five_times() {
    let mut trio = follower("dial-tries", FOR_EVER, FOR_EVER, "leaderConnectDelayDuringRetryMs=200");
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let leader = Candidate::with(elsewhere, trio.peer_port(1, true));
    let start = Instant::now();
    trio.start_again(1);
    let port = trio.peer_port(SCRIPTED, false);
    let tries = |n: u32| {
        trio.log(1).matches(&format!("no connection to the leader at 127.0.0.1:{port}, try {n} of 5: ")).count()
    };
    eventually("it looks again, and dials again", || tries(1) > 1);
    assert_passed(start, Duration::from_millis(800), "four pauses between five dials");
    for n in 2..=5 {
        assert!(tries(n) >= 1, "try {n}");
    }
    assert_eq!(tries(6), 0);
    drop(leader);
}

/// PROPOSAL and COMMIT of one transaction, in one piece.
fn committed(header: TxnHeader, txn: Txn) -> Vec<u8> {
    committed_with(header, txn, None)
}

fn committed_with(header: TxnHeader, txn: Txn, digest: Option<TxnDigest>) -> Vec<u8> {
    let (zxid, mut bytes, mut packets) = (header.zxid, Vec::new(), Vec::new());
    TxnEntry { header, txn, digest }.write(&mut bytes);
    Packet::Proposal { zxid, txn: bytes.into() }.write(&mut packets);
    Packet::Commit { zxid }.write(&mut packets);
    packets
}

/// What is in the leader's socket when a read comes is applied before the read is answered, however late the server is in reading
/// it; and only that: of a packet that ends in the middle nothing has arrived.
#[test]
fn a_read_sees_what_had_arrived_before_it() {
    let mut trio = follower("arrived", FOR_EVER, FOR_EVER, "maxSessionTimeout=600000");
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let mut link = leader.accept();
    link.establish(1);
    let client = std::thread::scope(|scope| {
        let client = scope.spawn(|| trio.client(1));
        let Packet::Request { request: Forwarded { session, xid, .. }, .. } = link.expect("REQUEST") else {
            unreachable!()
        };
        let header = TxnHeader { session, cxid: xid.0, zxid: Zxid::new(Epoch(1), 1), time: 1 };
        link.send_bytes(&committed(header, Txn::CreateSession { timeout_ms: 60_000 }));
        client.join().unwrap()
    });
    let set = |counter: u32| {
        let header = TxnHeader { session: client.session(), cxid: -1, zxid: Zxid::new(Epoch(1), counter), time: 1 };
        let data = Some(Bytes::from(counter.to_string()));
        committed(header, Txn::SetData { op: OpCode::SetData, path: "/".into(), data, version: -1 })
    };
    let read = || String::from_utf8(client.get("/", false).unwrap().0.unwrap()).unwrap();
    let mut begun = Vec::new();
    for counter in 2..1000 {
        // The rest of the one before, and the next but for its last byte.
        let next = set(counter);
        begun.extend_from_slice(&next[..next.len() - 1]);
        link.send_bytes(&begun);
        let before = if counter == 2 { String::new() } else { (counter - 1).to_string() };
        assert_eq!(read(), before, "before the COMMIT of {counter} has come as a whole");
        begun = next[next.len() - 1..].to_vec();
        if counter % 2 == 0 {
            link.send_bytes(&begun);
            begun.clear();
            assert_eq!(read(), counter.to_string());
        }
    }
    drop(link);
    trio.kill(1);
}

#[test]
fn a_tree_that_differs_from_the_leader_s_is_told_of_and_served_on() {
    let mut trio = follower("digests", FOR_EVER, FOR_EVER, "maxSessionTimeout=600000");
    let leader = Candidate::of(&trio);
    trio.start_again(1);
    let mut link = leader.accept();
    link.establish(1);
    eventually("it serves", || trio.mode(1).as_deref() == Some("follower"));
    let counted = || {
        let mntr = trio.ask(1, "mntr");
        mntr.lines().find_map(|line| line.strip_prefix("zk_digest_mismatches_count\t")?.parse::<u64>().ok())
    };
    for counter in 1..=3 {
        let header = TxnHeader { session: SessionId(1), cxid: -1, zxid: Zxid::new(Epoch(1), counter), time: 1 };
        let txn = Txn::SetData { op: OpCode::SetData, path: "/".into(), data: Some(Bytes::new()), version: -1 };
        let digest = TxnDigest { version: DIGEST_VERSION, tree_digest: 0x1234 };
        link.send_bytes(&committed_with(header, txn, Some(digest)));
    }
    eventually("it has counted them", || counted() == Some(3));
    eventually("it has told of them", || {
        trio.log(1).contains("Digests are not matching. The first was of Zxid 0x100000001.")
    });
    let said = trio.log(1);
    let first =
        "First digest mismatch on txn: setData at zxid 0x100000001, expected digest is 0x1234, actual digest is 0x";
    assert_eq!(said.matches(first).count(), 1, "{said}");
    assert_eq!(said.matches("Digests are not matching").count(), 1, "{said}");
    assert_eq!(trio.mode(1).as_deref(), Some("follower"));
    drop(link);
    trio.kill(1);
}
