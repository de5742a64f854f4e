//! Servers of an ensemble, request by request: forwarding, sync, sessions that move and expire, watches, a new leader.

mod cluster;

use bytes::Bytes;
use cluster::{Cluster, Got};
use oxkeeper_proto::client::{CreateRequest, PathWatchRequest, SetDataRequest};
use oxkeeper_proto::quorum::{Forwarded, Packet, Revalidate};
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_replica::{Input, Mode};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{ConnId, Millis, SessionId, Xid, Zxid};
use oxkeeper_zab::Input as ZabInput;
use std::sync::Arc;

const CREATE: i32 = 1;
const EXISTS: i32 = 3;
const GET: i32 = 4;
const SET: i32 = 5;
const SYNC: i32 = 9;
const CLOSE: i32 = -11;
const NO_NODE: i32 = -101;
const EPHEMERAL: i32 = 1;

fn serving(voters: i64, observers: i64) -> (Cluster, i64) {
    let mut c = Cluster::new(voters, observers);
    (1..=voters + observers).for_each(|id| c.start(id));
    all_serve(&mut c);
    let leader = c.leader().expect("one leads");
    (c, leader)
}

fn all_serve(c: &mut Cluster) {
    let ids: Vec<i64> = c.servers.keys().copied().collect();
    c.run_until("all servers in service", |c| ids.iter().all(|id| c.mode(*id) != Mode::Looking));
}

fn create(c: &mut Cluster, id: i64, conn: ConnId, path: &str, flags: i32) -> (i32, i64) {
    let request = CreateRequest { path: path.into(), data: Some(b"x"), acl: Some(open_acl()), flags };
    let (error, zxid, _) = c.call(id, conn, CREATE, |w| request.write(w));
    (error, zxid)
}

fn exists(c: &mut Cluster, id: i64, conn: ConnId, path: &str, watch: bool) -> i32 {
    c.call(id, conn, EXISTS, |w| PathWatchRequest { path: path.into(), watch }.write(w)).0
}

fn sync(c: &mut Cluster, id: i64, conn: ConnId) -> i32 {
    c.call(id, conn, SYNC, |w| w.string("/")).0
}

fn followers(c: &Cluster, leader: i64) -> Vec<i64> {
    c.servers.keys().copied().filter(|id| *id != leader).collect()
}

#[test]
fn a_write_on_a_follower_is_there_on_all_servers_after_sync() {
    let (mut c, leader) = serving(3, 1);
    let others = followers(&c, leader);
    let conn = c.client(others[0]);
    let (error, zxid) = create(&mut c, others[0], conn, "/a", 0);
    assert_eq!((error, zxid >> 32), (0, 1), "zxids have the epoch of the leader");
    assert_eq!(exists(&mut c, others[0], conn, "/a", false), 0, "a client reads its own writes");
    for id in others.into_iter().skip(1).chain([leader]) {
        let conn = c.client(id);
        assert_eq!(sync(&mut c, id, conn), 0);
        assert_eq!(exists(&mut c, id, conn, "/a", false), 0, "server {id}");
    }
}

/// When its client has the answer, everybody else has been told: a read elsewhere need only look at what has arrived there.
#[test]
fn a_leader_tells_the_learner_last_whose_client_waits() {
    let (mut c, leader) = serving(3, 1);
    for id in followers(&c, leader) {
        let conn = c.client(id);
        for path in ["/a", "/b"] {
            c.told.clear();
            assert_eq!(create(&mut c, id, conn, &format!("{path}{id}"), 0).0, 0);
            c.run_until("all were told", |c| c.told.len() == 3);
            assert_eq!(c.told.last(), Some(&id), "{:?}", c.told);
        }
    }
}

#[test]
fn refused_writes_are_refused_on_followers_too() {
    let (mut c, leader) = serving(3, 0);
    let follower = followers(&c, leader)[0];
    let conn = c.client(follower);
    assert_eq!(create(&mut c, follower, conn, "/a/b", 0).0, NO_NODE);
    assert_eq!(create(&mut c, follower, conn, "/a", 0).0, 0);
}

#[test]
fn pipelined_requests_on_a_follower_are_answered_in_order() {
    let (mut c, leader) = serving(3, 0);
    let follower = followers(&c, leader)[0];
    let conn = c.client(follower);
    for (xid, path) in [(1, "/a"), (2, "/a"), (3, "/b")] {
        let request = CreateRequest { path: path.into(), data: None, acl: Some(open_acl()), flags: 0 };
        c.send(follower, conn, xid, CREATE, |w| request.write(w));
    }
    c.send(follower, conn, 4, SYNC, |w| w.string("/"));
    c.send(follower, conn, 5, CREATE, |w| {
        CreateRequest { path: "/c".into(), data: None, acl: Some(open_acl()), flags: 0 }.write(w)
    });
    c.run_until("all answers", |c| c.got(follower, conn).len() == 5);
    let xids: Vec<(i32, i32)> = c
        .take(follower, conn)
        .iter()
        .map(|got| match got {
            Got::Frame { xid, error, .. } => (*xid, *error),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(xids, [(1, 0), (2, -110), (3, 0), (4, 0), (5, 0)]);
}

/// The reference's learners keep writes and syncs of all their sessions in one line and take what the leader sends for the
/// answers in that order: one that is overtaken is never answered.
#[test]
fn a_sync_of_a_learner_stands_between_the_commits_of_what_was_proposed_around_it() {
    for learner in [0, 2] {
        let (mut c, leader) = serving(3, 1);
        let others = followers(&c, leader);
        let (here, others) = (others[learner], [others[0], others[1]]);
        let conns: Vec<ConnId> = (0..3).map(|_| c.client(here)).collect();
        c.sent.clear();
        let requests: [(usize, i32); 5] = [(0, CREATE), (1, SYNC), (2, CREATE), (0, SYNC), (1, CREATE)];
        for (n, (conn, op)) in requests.into_iter().enumerate() {
            c.send(here, conns[conn], n as i32 + 1, op, |w| match op {
                SYNC => w.string("/"),
                _ => {
                    CreateRequest { path: format!("/{n}").into(), data: None, acl: Some(open_acl()), flags: 0 }.write(w)
                }
            });
        }
        let proposed = |c: &Cluster| -> Vec<Zxid> {
            let to = |to: i64| to == others[0];
            c.sent
                .iter()
                .filter_map(|(_, at, packet)| match packet {
                    Packet::Proposal { zxid, .. } if to(*at) => Some(*zxid),
                    _ => None,
                })
                .collect()
        };
        c.run_until("three proposals", |c| proposed(c).len() == 3);
        let zxids = proposed(&c);
        let answers = |c: &Cluster| -> Vec<Option<Zxid>> {
            let to_learner = c.sent.iter().filter(|(from, to, _)| (*from, *to) == (leader, here));
            to_learner
                .filter_map(|(_, _, packet)| match packet {
                    Packet::Sync { .. } => Some(None),
                    Packet::Commit { zxid } | Packet::Inform { zxid, .. } => Some(Some(*zxid)),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(answers(&c), [], "nothing is committed, and nobody has confirmed that it leads");
        // All three at once: an ACK stands for everything before it.
        for from in others {
            let link = c.link(leader, from);
            c.input(leader, Input::Peer(ZabInput::Packet { link, packet: Packet::Ack { zxid: zxids[2] } }));
        }
        let [a, b, d] = [0, 1, 2].map(|n| Some(zxids[n]));
        assert_eq!(answers(&c), [a, None, b, None, d], "to server {here}");
        c.run_until("all answers", |c| conns.iter().map(|conn| c.got(here, *conn).len()).sum::<usize>() == 5);
    }
}

/// A leader that nobody has heard of for a while may have been replaced: no SYNC until a quorum has answered it.
#[test]
fn a_sync_of_a_learner_waits_for_the_confirmation_though_nothing_is_under_way() {
    let (mut c, leader) = serving(3, 1);
    let [here, other, _] = followers(&c, leader)[..] else { panic!("three learners") };
    let conn = c.client(here);
    c.run_until("silence", Cluster::is_silent);
    c.sent.clear();
    c.send(here, conn, 1, SYNC, |w| w.string("/"));
    let pings = |c: &Cluster| {
        c.sent.iter().filter(|(from, _, packet)| *from == leader && matches!(packet, Packet::Ping { .. })).count()
    };
    c.run_until("the leader's question", |c| pings(c) > 0);
    let synced =
        |c: &Cluster| c.sent.iter().any(|(_, to, packet)| *to == here && matches!(packet, Packet::Sync { .. }));
    assert!(!synced(&c), "no quorum has answered yet");
    let link = c.link(leader, other);
    c.input(
        leader,
        Input::Peer(ZabInput::Packet { link, packet: Packet::Ping { zxid: Zxid::ZERO, touched: Some(vec![]) } }),
    );
    assert!(synced(&c), "this one and the leader are a quorum");
    c.run_until("the answer", |c| c.got(here, conn).len() == 1);
}

/// A learner takes a session for alive from REVALIDATE on: no yes behind the close of a session, or while it is under way.
#[test]
fn a_session_that_is_being_closed_is_not_valid_any_more() {
    let (mut c, leader) = serving(3, 0);
    let [here, there] = followers(&c, leader)[..] else { panic!("two followers") };
    let old = c.open(here, SessionId::NONE, [0; 16]);
    c.run_until("a session", |c| !c.got(here, old).is_empty());
    let Got::Connected { session, password } = c.take(here, old)[0].clone() else { panic!("connected") };
    c.sent.clear();
    c.send(here, old, 1, CLOSE, |_| {});
    let new = c.open(there, session, password);
    c.run_until("both answers", |c| !c.got(here, old).is_empty() && !c.got(there, new).is_empty());
    let valid = c.sent.iter().find_map(|(_, to, packet)| match packet {
        Packet::Revalidate(Revalidate::Answer { valid, .. }) if *to == there => Some(*valid),
        _ => None,
    });
    assert_eq!(valid, Some(false));
}

/// The requests that a learner passes on are answered one by one, whatever they are: errors, failed multis, closes, and what the
/// leader knows no transaction for. A line of the reference's learner waits for each.
#[test]
fn every_request_of_a_learner_becomes_a_transaction_of_its_session_and_number() {
    let (mut c, leader) = serving(3, 0);
    let here = followers(&c, leader)[0];
    let conn = c.client(here);
    let session = c.servers[&here].conns[&conn].session;
    c.run_until("silence", Cluster::is_silent);
    c.sent.clear();
    let link = c.link(leader, here);
    let nonsense = |n: u8| Bytes::from(vec![n; 3]);
    // check (13), deleteContainer (20), a read, one that nobody knows; then a multi that cannot be read, and two closes.
    for (xid, op) in [(1, 13), (2, 20), (3, GET), (4, 12_345), (5, 14), (6, CREATE), (7, CLOSE), (8, SET), (9, CLOSE)] {
        let body = if op == CLOSE { Bytes::new() } else { nonsense(xid as u8) };
        let request = Forwarded { session, xid: Xid(xid), op, body };
        c.input(
            leader,
            Input::Peer(ZabInput::Packet { link, packet: Packet::Request { request, auth: Arc::new([]) } }),
        );
    }
    let proposed: Vec<(SessionId, i32)> = c
        .sent
        .iter()
        .filter_map(|(_, to, packet)| match packet {
            Packet::Proposal { txn, .. } if *to == here => {
                let header = TxnEntry::read(txn).expect("a transaction").header;
                Some((header.session, header.cxid))
            }
            _ => None,
        })
        .collect();
    let expected: Vec<(SessionId, i32)> = (1..=9).map(|xid| (session, xid)).collect();
    assert_eq!(proposed, expected);
}

#[test]
fn a_watch_on_a_follower_fires_for_a_write_elsewhere() {
    let (mut c, leader) = serving(3, 0);
    let [here, there] = followers(&c, leader)[..] else { panic!("two followers") };
    let (reader, writer) = (c.client(here), c.client(there));
    assert_eq!(exists(&mut c, here, reader, "/w", true), NO_NODE);
    assert_eq!(create(&mut c, there, writer, "/w", 0).0, 0);
    c.run_until("the event", |c| matches!(c.got(here, reader), [Got::Frame { xid: -1, .. }]));
}

#[test]
fn a_session_moves_between_servers_and_its_old_connection_is_refused() {
    let (mut c, leader) = serving(3, 0);
    let [here, there] = followers(&c, leader)[..] else { panic!("two followers") };
    let old = c.open(here, SessionId::NONE, [0; 16]);
    c.run_until("a session", |c| !c.got(here, old).is_empty());
    let Got::Connected { session, password } = c.take(here, old)[0].clone() else { panic!("connected") };
    assert_eq!(create(&mut c, here, old, "/e", EPHEMERAL).0, 0);
    let new = c.open(there, session, password);
    c.run_until("the session", |c| !c.got(there, new).is_empty());
    assert_eq!(c.take(there, new), [Got::Connected { session, password }]);
    assert_eq!(create(&mut c, there, new, "/f", EPHEMERAL).0, 0);
    c.send(here, old, 9, SET, |w| SetDataRequest { path: "/e".into(), data: None, version: -1 }.write(w));
    c.run_until("the end of the old connection", |c| c.got(here, old) == [Got::Closed]);
    assert_eq!(exists(&mut c, there, new, "/e", false), 0);
}

#[test]
fn a_session_that_has_moved_and_is_closed_ends_its_old_connection_too() {
    let (mut c, leader) = serving(3, 0);
    let [follower, other] = followers(&c, leader)[..] else { panic!("two followers") };
    for (here, there) in [(leader, follower), (follower, leader), (follower, other)] {
        let old = c.open(here, SessionId::NONE, [0; 16]);
        c.run_until("a session", |c| !c.got(here, old).is_empty());
        let Got::Connected { session, password } = c.take(here, old)[0].clone() else { panic!("connected") };
        let new = c.open(there, session, password);
        c.run_until("the session", |c| !c.got(there, new).is_empty());
        c.send(there, new, 1, CLOSE, |_| {});
        c.run_until("the end of the old connection", |c| c.got(here, old) == [Got::Closed]);
    }
}

#[test]
fn a_closed_session_takes_its_ephemerals_along_everywhere() {
    let (mut c, leader) = serving(3, 1);
    let others = followers(&c, leader);
    let conn = c.client(others[0]);
    assert_eq!(create(&mut c, others[0], conn, "/e", EPHEMERAL).0, 0);
    let observer = *others.last().expect("an observer");
    let watcher = c.client(observer);
    assert_eq!(sync(&mut c, observer, watcher), 0);
    assert_eq!(exists(&mut c, observer, watcher, "/e", false), 0);
    c.send(others[0], conn, 5, CLOSE, |_| {});
    c.run_until("the connection's end", |c| c.got(others[0], conn).last() == Some(&Got::Closed));
    assert_eq!(sync(&mut c, observer, watcher), 0);
    assert_eq!(exists(&mut c, observer, watcher, "/e", false), NO_NODE);
}

#[test]
fn a_session_that_nobody_hears_from_expires_and_one_that_is_heard_does_not() {
    let (mut c, leader) = serving(3, 0);
    let [here, there] = followers(&c, leader)[..] else { panic!("two followers") };
    let (silent, lively) = (c.client(here), c.client(there));
    assert_eq!(create(&mut c, here, silent, "/silent", EPHEMERAL).0, 0);
    assert_eq!(create(&mut c, there, lively, "/lively", EPHEMERAL).0, 0);
    for _ in 0..20 {
        let next = c.now.monotonic + Millis(1000);
        c.run_until("a second", |c| c.now.monotonic >= next);
        assert_eq!(exists(&mut c, there, lively, "/lively", false), 0);
        let session = c.servers[&there].conns[&lively].session;
        c.input(there, oxkeeper_replica::Input::Touched(vec![session]));
    }
    assert_eq!(exists(&mut c, there, lively, "/silent", false), NO_NODE);
    assert_eq!(c.got(here, silent), [Got::Closed]);
}

#[test]
fn a_new_leader_keeps_what_was_acknowledged_and_sessions_go_on() {
    let (mut c, leader) = serving(3, 0);
    let follower = followers(&c, leader)[0];
    let conn = c.open(follower, SessionId::NONE, [0; 16]);
    c.run_until("a session", |c| !c.got(follower, conn).is_empty());
    let Got::Connected { session, password } = c.take(follower, conn)[0].clone() else { panic!("connected") };
    assert_eq!(create(&mut c, follower, conn, "/a", EPHEMERAL).0, 0);
    let before = c.now.monotonic;
    c.kill(leader);
    c.run_until("the connection's end", |c| c.got(follower, conn).last() == Some(&Got::Closed));
    c.run_until("a new leader", |c| c.leader().is_some() && c.mode(follower) != Mode::Looking);
    assert!(c.now.monotonic - before <= Millis(50), "no timer had to run out: {:?}", c.now.monotonic - before);
    let conn = c.open(follower, session, password);
    c.run_until("the session", |c| !c.got(follower, conn).is_empty());
    assert_eq!(c.take(follower, conn), [Got::Connected { session, password }]);
    assert_eq!(exists(&mut c, follower, conn, "/a", false), 0);
    let (error, zxid) = create(&mut c, follower, conn, "/b", 0);
    assert_eq!((error, zxid >> 32), (0, 2), "in the next epoch");
}

#[test]
fn a_new_leader_gives_each_session_its_full_timeout() {
    let (mut c, leader) = serving(3, 0);
    all_serve(&mut c);
    let [here, there] = followers(&c, leader)[..] else { panic!("two followers") };
    let silent = c.client(here);
    assert_eq!(create(&mut c, here, silent, "/silent", EPHEMERAL).0, 0);
    let pass = |c: &mut Cluster, ms| {
        let then = c.now.monotonic + Millis(ms);
        c.run_until("time", |c| c.now.monotonic >= then);
    };
    // 8 s of its 10 are over when another leader takes over.
    pass(&mut c, 8000);
    c.kill(leader);
    c.run_until("a new leader", |c| c.leader().is_some_and(|id| id != leader));
    let is_there = |c: &Cluster| c.servers[&there].state.tree.node("/silent").is_some();
    pass(&mut c, 9000);
    assert!(is_there(&c), "its time has begun anew");
    pass(&mut c, 3000);
    assert!(!is_there(&c), "and ends");
}

#[test]
fn a_leader_that_has_proposed_nothing_answers_reads_with_the_end_of_the_history_before_its_epoch() {
    let (mut c, leader) = serving(3, 0);
    all_serve(&mut c);
    let follower = followers(&c, leader)[0];
    let conn = c.open(follower, SessionId::NONE, [0; 16]);
    c.run_until("a session", |c| !c.got(follower, conn).is_empty());
    let Got::Connected { session, password } = c.take(follower, conn)[0].clone() else { panic!("connected") };
    let (error, last) = create(&mut c, follower, conn, "/a", 0);
    assert_eq!(error, 0);
    assert_eq!(sync(&mut c, follower, conn), 0);
    c.kill(leader);
    c.run_until("a new leader", |c| c.leader().is_some_and(|id| id != leader));
    let leader = c.leader().expect("there is one");
    let conn = c.open(leader, session, password);
    c.run_until("the session", |c| !c.got(leader, conn).is_empty());
    assert_eq!(c.take(leader, conn), [Got::Connected { session, password }]);
    let (error, zxid, _) =
        c.call(leader, conn, EXISTS, |w| PathWatchRequest { path: "/a".into(), watch: false }.write(w));
    assert_eq!((error, zxid), (0, last));
}

#[test]
fn a_server_that_comes_late_gets_the_whole_tree() {
    let mut c = Cluster::new(3, 0);
    c.start(1);
    c.start(2);
    c.run_until("two servers in service", |c| [1, 2].iter().all(|id| c.mode(*id) != Mode::Looking));
    let conn = c.client(1);
    for n in 0..1000 {
        assert_eq!(create(&mut c, 1, conn, &format!("/n{n}"), 0).0, 0);
    }
    c.start(3);
    all_serve(&mut c);
    let late = c.client(3);
    assert_eq!(sync(&mut c, 3, late), 0);
    assert_eq!(exists(&mut c, 3, late, "/n999", false), 0);
    let digests: Vec<u64> = c.servers.values().map(|s| s.state.tree.digest()).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:x?}");
}

#[test]
fn a_snapshot_asked_for_while_a_long_backlog_is_applied_is_of_its_end() {
    let mut c = Cluster::new(3, 0);
    c.start(1);
    c.start(2);
    c.run_until("two servers in service", |c| [1, 2].iter().all(|id| c.mode(*id) != Mode::Looking));
    let leader = c.leader().expect("one leads");
    let conn = c.client(leader);
    c.behind = Some(leader);
    // Far more than a leader keeps in memory for learners (`commitLogCount`, 500), and than it applies at once.
    for n in 0..2000 {
        let path = format!("/n{n}");
        let request = CreateRequest { path: path.as_str().into(), data: None, acl: Some(open_acl()), flags: 0 };
        c.send(leader, conn, n, CREATE, |w| request.write(w));
    }
    let committed = |c: &Cluster| c.servers[&leader].replica.report().zab.expect("a member").last_committed;
    let before = committed(&c);
    c.run_until("a commit of all", |c| committed(c).0 - before.0 == 2000);
    c.start(3);
    let is_waited_for = |c: &Cluster| c.servers[&leader].replica.report().zab.expect("a member").learners.len() == 2;
    c.run_until("a learner that waits for the snapshot", |c| c.is_idle() && is_waited_for(c));
    let closed = c.links_closed;
    c.behind = None;
    c.apply(leader);
    all_serve(&mut c);
    assert_eq!(c.links_closed, closed, "the first snapshot was good enough");
    let late = c.client(3);
    assert_eq!(exists(&mut c, 3, late, "/n1999", false), 0);
}

#[test]
fn the_configuration_stands_in_its_node() {
    let (mut c, leader) = serving(3, 0);
    for id in followers(&c, leader).into_iter().chain([leader]) {
        let conn = c.client(id);
        let (error, _, body) =
            c.call(id, conn, GET, |w| PathWatchRequest { path: "/zookeeper/config".into(), watch: false }.write(w));
        assert_eq!(error, 0);
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(text.contains("server.2=127.0.0.1:2002:3002:participant;127.0.0.1:4002"), "{text}");
        assert!(text.contains("version=0"), "without reconfiguration it never gets another version: {text}");
    }
}

#[test]
fn without_a_quorum_read_only_clients_are_served_after_a_grace() {
    for (tick, grace) in [(500, 2000), (3000, 3000)] {
        let mut c = Cluster::new(3, 0);
        c.options.read_only_enabled = true;
        c.options.tick = Millis(tick);
        c.start(1);
        let before = c.now.monotonic;
        c.run_until("read-only service", |c| c.mode(1) == Mode::ReadOnly);
        assert_eq!(c.now.monotonic - before, Millis(grace), "the longer of 2 s and a tick of {tick} ms");
        let refused = c.open(1, SessionId::NONE, [0; 16]);
        assert_eq!(c.got(1, refused), [Got::Closed], "this client wants to write");
        let reader = c.open_for(1, SessionId::NONE, [0; 16], true);
        assert!(matches!(c.take(1, reader)[..], [Got::Connected { .. }]));
        c.start(2);
        c.run_until("a leader", |c| c.mode(1) == Mode::Follower && c.mode(2) == Mode::Leader);
        assert_eq!(c.got(1, reader), [Got::Closed], "it may come back now");
    }
}

#[test]
fn a_session_of_the_ensemble_is_not_served_read_only_and_not_told_that_it_has_ended() {
    let mut c = Cluster::new(3, 0);
    c.options.read_only_enabled = true;
    (1..=3).for_each(|id| c.start(id));
    all_serve(&mut c);
    let leader = (1..=3).find(|id| c.mode(*id) == Mode::Leader).expect("one leads");
    let alone = followers(&c, leader)[0];
    let opened = c.open(alone, SessionId::NONE, [0; 16]);
    c.run_until("a session", |c| !c.got(alone, opened).is_empty());
    let Got::Connected { session, password } = c.take(alone, opened)[0] else { panic!("a session was asked for") };
    (1..=3).filter(|id| *id != alone).for_each(|id| c.kill(id));
    c.run_until("read-only service", |c| c.mode(alone) == Mode::ReadOnly);
    let resumed = c.open_for(alone, session, password, true);
    assert_eq!(c.got(alone, resumed), [Got::Closed], "it lives elsewhere, for all that is known here");
    let reader = c.open_for(alone, SessionId::NONE, [0; 16], true);
    assert!(matches!(c.got(alone, reader)[..], [Got::Connected { .. }]));
}

#[test]
fn a_member_whose_clock_steps_back_gives_no_session_away_that_its_leader_knows() {
    let (mut c, leader) = serving(3, 0);
    all_serve(&mut c);
    let follower = followers(&c, leader)[0];
    let conns: Vec<ConnId> = (0..3).map(|_| c.client(follower)).collect();
    let before: Vec<SessionId> = conns.iter().map(|conn| c.servers[&follower].conns[conn].session).collect();
    // It comes back with nothing on its disk, and hears of its sessions from the leader only.
    c.kill(follower);
    c.now.wall = Millis(c.now.wall.0 - 3_600_000);
    c.start(follower);
    all_serve(&mut c);
    let conn = c.client(follower);
    let after = c.servers[&follower].conns[&conn].session;
    assert!(before.iter().all(|old| after.0 > old.0), "{after:?} after {before:?}");
}
