//! A whole standalone server, request by request: sessions, order, durability, watches, the reaper.

mod common;

use common::{Got, Server};
use oxkeeper_proto::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, EventType, PathWatchRequest, SetDataRequest,
};
use oxkeeper_proto::jute::{Reader, read_acl_list};
use oxkeeper_replica::Options;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{Acl, ConnId, Id, Millis, Perms, SessionId};

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const EXISTS: i32 = 3;
const GET: i32 = 4;
const SET: i32 = 5;
const GET_ACL: i32 = 6;
const CHILDREN: i32 = 8;
const SYNC: i32 = 9;
const CREATE_CONTAINER: i32 = 19;
const CREATE_TTL: i32 = 21;
const SET_WATCHES: i32 = 101;
const GET_EPHEMERALS: i32 = 103;
const CLOSE: i32 = -11;

fn server() -> Server {
    Server::new(Options { tick: Millis(1000), session_timeout_min: Millis(2000), ..Options::default() })
}

fn create(s: &mut Server, conn: ConnId, path: &str, flags: i32) -> i32 {
    let request = CreateRequest { path: path.into(), data: Some(b"x"), acl: Some(open_acl()), flags };
    s.call(conn, CREATE, |w| request.write(w)).0
}

fn exists(s: &mut Server, conn: ConnId, path: &str, watch: bool) -> i32 {
    s.call(conn, EXISTS, |w| PathWatchRequest { path: path.into(), watch }.write(w)).0
}

#[test]
fn a_write_is_answered_only_after_the_disk_has_synced_it() {
    let mut s = server();
    let conn = s.client();
    s.auto_sync = false;
    let request = CreateRequest { path: "/a".into(), data: None, acl: Some(open_acl()), flags: 0 };
    s.send(conn, 1, CREATE, |w| request.write(w));
    assert_eq!(s.got(conn), []);
    assert!(s.state.tree.node("/a").is_none(), "nor can anybody see it");
    s.sync_disk();
    assert!(matches!(s.got(conn)[..], [Got::Reply { xid: 1, error: 0, .. }]));
    let late = s.client();
    assert_eq!(s.got(late), [], "a session is a transaction, too");
    s.sync_disk();
    assert!(matches!(s.got(late)[..], [Got::Connected { .. }]));
}

#[test]
fn replies_come_in_the_order_of_the_requests_and_a_refused_write_takes_a_zxid() {
    let mut s = server();
    let conn = s.client();
    s.auto_sync = false;
    for (xid, path) in [(1, "/a"), (2, "/a"), (3, "/b")] {
        let request = CreateRequest { path: path.into(), data: None, acl: Some(open_acl()), flags: 0 };
        s.send(conn, xid, CREATE, |w| request.write(w));
    }
    s.send(conn, 4, SYNC, |w| w.string("/anywhere"));
    s.sync_disk();
    let seen: Vec<_> = s
        .got(conn)
        .into_iter()
        .map(|g| match g {
            Got::Reply { xid, zxid, error, .. } => (xid, zxid, error),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, [(1, 2, 0), (2, 3, -110), (3, 4, 0), (4, 4, 0)]);
}

#[test]
fn an_event_stands_before_the_reply_of_the_write_that_caused_it() {
    let mut s = server();
    let conn = s.client();
    create(&mut s, conn, "/a", 0);
    exists(&mut s, conn, "/a", true);
    s.send(conn, 5, SET, |w| SetDataRequest { path: "/a".into(), data: Some(b"y"), version: -1 }.write(w));
    match &s.got(conn)[..] {
        [Got::Event { zxid, kind: EventType::NodeDataChanged, path }, Got::Reply { xid: 5, zxid: z, error: 0, .. }] => {
            assert_eq!((zxid, path.as_str()), (z, "/a"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn closing_a_session_removes_its_ephemerals_answers_and_closes() {
    let mut s = server();
    let (owner, other) = (s.client(), s.client());
    create(&mut s, owner, "/e", 1);
    exists(&mut s, other, "/e", true);
    s.send(owner, 9, CLOSE, |_| {});
    assert!(matches!(s.got(owner)[..], [Got::Reply { xid: 9, error: 0, .. }, Got::Closed]));
    assert!(matches!(&s.got(other)[..], [Got::Event { kind: EventType::NodeDeleted, path, .. }] if path == "/e"));
    assert_eq!(s.state.tree.sessions().len(), 1);
}

#[test]
fn a_silent_session_expires_and_one_that_is_heard_does_not() {
    let mut s = server();
    let (silent, heard) = (s.client(), s.client());
    create(&mut s, silent, "/e", 1);
    for _ in 0..6 {
        s.advance(2000);
        let session = s.session(heard);
        s.input(oxkeeper_replica::Input::Touched(vec![session]));
    }
    assert_eq!(s.got(silent).last(), Some(&Got::Closed));
    assert_eq!(s.got(heard), []);
    assert!(s.state.tree.node("/e").is_none());
    assert_eq!(s.state.tree.sessions().iter().map(|(id, _)| id).collect::<Vec<_>>(), [s.session(heard)]);
}

#[test]
fn a_step_of_the_wall_clock_ends_no_session_and_keeps_none() {
    for step in [3_600_000, -3_600_000] {
        let mut s = server();
        let conn = s.client();
        s.now.wall = Millis(s.now.wall.0 + step);
        s.advance(9000);
        assert_eq!(s.got(conn), [], "{step} ms");
        s.advance(3000);
        assert_eq!(s.got(conn), [Got::Closed], "{step} ms");
    }
}

#[test]
fn a_session_moves_to_a_new_connection_with_its_password() {
    let mut s = server();
    let first = s.open(SessionId::NONE, [0; 16], 10_000);
    let [Got::Connected { session, password, timeout_ms: 10_000 }] = s.got(first)[..] else { panic!("not connected") };
    create(&mut s, first, "/e", 1);
    let second = s.open(session, password, 4000);
    assert_eq!(s.got(second), [Got::Connected { session, password, timeout_ms: 4000 }]);
    assert_eq!(s.got(first), [Got::Closed]);
    assert_eq!(exists(&mut s, second, "/e", false), 0, "the session lived on");
}

#[test]
fn a_wrong_password_leaves_the_live_connection_alone() {
    let mut s = server();
    let owner = s.client();
    let session = s.session(owner);
    let thief = s.open(session, [7; 16], 10_000);
    let refused = Got::Connected { session: SessionId::NONE, timeout_ms: 0, password: [0; 16] };
    assert_eq!(s.got(thief), [refused, Got::Closed]);
    assert_eq!(s.got(owner), []);
    assert_eq!(create(&mut s, owner, "/still-mine", 1), 0);
}

#[test]
fn a_closed_connection_leaves_its_session_until_it_expires() {
    let mut s = server();
    let conn = s.client();
    create(&mut s, conn, "/e", 1);
    s.close(conn);
    s.advance(5000);
    assert!(s.state.tree.node("/e").is_some());
    s.advance(10_000);
    assert!(s.state.tree.node("/e").is_none());
}

#[test]
fn nobody_resumes_a_session_that_is_closing_or_unknown_though_the_password_fits() {
    let mut s = server();
    let conn = s.open(SessionId::NONE, [0; 16], 10_000);
    let [Got::Connected { session, password, .. }] = s.got(conn)[..] else { panic!("not connected") };
    s.auto_sync = false;
    s.send(conn, 1, CLOSE, |_| {});
    let refused = Got::Connected { session: SessionId::NONE, timeout_ms: 0, password: [0; 16] };
    let closing = s.open(session, password, 10_000);
    assert_eq!(s.got(closing), [refused.clone(), Got::Closed]);
    s.sync_disk();
    let closed = s.open(session, password, 10_000);
    assert_eq!(s.got(closed), [refused, Got::Closed]);
}

/// A server with TTL nodes, and a client whose session outlives the test.
fn with_reaper(options: Options) -> (Server, ConnId) {
    let mut s = Server::new(Options {
        owner_rules: OwnerRules { extended_types: true, emulate_353_ttl: false },
        session_timeout_max: Millis(10_000_000),
        ..options
    });
    let conn = s.open(SessionId::NONE, [0; 16], 10_000_000);
    (s, conn)
}

fn create_container(s: &mut Server, conn: ConnId, path: &str) {
    let request = CreateRequest { path: path.into(), data: None, acl: Some(open_acl()), flags: 4 };
    assert_eq!(s.call(conn, CREATE_CONTAINER, |w| request.write(w)).0, 0);
}

fn create_ttl(s: &mut Server, conn: ConnId, path: &str, ttl_ms: i64) {
    let request = CreateTtlRequest { path: path.into(), data: None, acl: Some(open_acl()), flags: 5, ttl_ms };
    assert_eq!(s.call(conn, CREATE_TTL, |w| request.write(w)).0, 0);
}

/// A child comes and goes.
fn use_container(s: &mut Server, conn: ConnId, path: &str) {
    let child = format!("{path}/child");
    assert_eq!(create(s, conn, &child, 0), 0);
    assert_eq!(s.call(conn, DELETE, |w| DeleteRequest { path: child.into(), version: -1 }.write(w)).0, 0);
}

#[test]
fn empty_containers_and_old_ttl_nodes_are_reaped() {
    let (mut s, conn) = with_reaper(Options::default());
    create_container(&mut s, conn, "/used");
    create_container(&mut s, conn, "/unused");
    create_ttl(&mut s, conn, "/ttl", 90_000);
    use_container(&mut s, conn, "/used");
    s.advance(60_000);
    let left = |s: &Server| ["/used", "/unused", "/ttl"].map(|p| s.state.tree.node(p).is_some());
    assert_eq!(left(&s), [false, true, true]);
    s.advance(60_000);
    assert_eq!(left(&s), [false, true, false]);
}

#[test]
fn the_reaper_keeps_a_pause_between_its_deletes() {
    let (mut s, conn) = with_reaper(Options { containers_per_minute_max: 60, ..Options::default() });
    for path in ["/a", "/b", "/c"] {
        create_container(&mut s, conn, path);
        use_container(&mut s, conn, path);
    }
    let left = |s: &Server| ["/a", "/b", "/c"].iter().filter(|p| s.state.tree.node(p).is_some()).count();
    s.advance(60_000);
    assert_eq!(left(&s), 2);
    s.advance(999);
    assert_eq!(left(&s), 2);
    s.advance(1);
    assert_eq!(left(&s), 1);
    s.advance(1000);
    assert_eq!(left(&s), 0);
}

#[test]
fn containers_that_were_never_used_go_after_their_time_where_there_is_one() {
    for (max, is_left) in [(None, true), (Some(Millis(90_000)), false)] {
        let (mut s, conn) = with_reaper(Options { container_never_used_max: max, ..Options::default() });
        create_container(&mut s, conn, "/unused");
        s.advance(60_000);
        assert!(s.state.tree.node("/unused").is_some(), "its time is not over");
        s.advance(60_000);
        assert_eq!(s.state.tree.node("/unused").is_some(), is_left, "{max:?}");
    }
}

#[test]
fn a_write_starts_the_time_of_a_ttl_node_again_and_children_do_not() {
    let (mut s, conn) = with_reaper(Options::default());
    create_ttl(&mut s, conn, "/written", 90_000);
    create_ttl(&mut s, conn, "/parent", 90_000);
    s.advance(60_000);
    s.call(conn, SET, |w| SetDataRequest { path: "/written".into(), data: None, version: -1 }.write(w));
    use_container(&mut s, conn, "/parent");
    s.advance(60_000);
    let left = |s: &Server| ["/written", "/parent"].map(|p| s.state.tree.node(p).is_some());
    assert_eq!(left(&s), [true, false]);
    s.advance(60_000);
    assert_eq!(left(&s), [false, false]);
}

#[test]
fn the_age_of_a_ttl_node_is_told_by_the_wall_clock() {
    for (step, is_left) in [(0, true), (40_000, false)] {
        let (mut s, conn) = with_reaper(Options::default());
        create_ttl(&mut s, conn, "/ttl", 90_000);
        s.now.wall = Millis(s.now.wall.0 + step);
        s.advance(60_000);
        assert_eq!(s.state.tree.node("/ttl").is_some(), is_left, "{step} ms more by the clock on the wall");
    }
}

#[test]
fn a_malformed_read_is_answered_and_the_connection_stays() {
    let mut s = server();
    let conn = s.client();
    assert_eq!(s.call(conn, GET, |w| w.int(1000)).0, -5);
    assert_eq!(s.call(conn, CHILDREN, |w| PathWatchRequest { path: "/".into(), watch: false }.write(w)).0, 0);
    assert_eq!(exists(&mut s, conn, "/a\0", false), -8);
    for path in ["a", "/a/", "//"] {
        assert_eq!(exists(&mut s, conn, path, false), -101, "{path}");
        assert_eq!(s.call(conn, GET, |w| PathWatchRequest { path: path.into(), watch: false }.write(w)).0, -101);
    }
}

#[test]
fn who_has_no_admin_right_gets_an_acl_with_its_hashes_masked() {
    let mut s = server();
    let conn = s.client();
    let list = |id: &str| vec![Acl::new(Perms::ADMIN, Id::new("digest", id)), Acl::new(Perms::READ, Id::anyone())];
    let request = CreateRequest { path: "/a".into(), data: None, acl: Some(list("ann:hash")), flags: 0 };
    assert_eq!(s.call(conn, CREATE, |w| request.write(w)).0, 0);
    let got = |s: &mut Server| {
        let (error, _, body) = s.call(conn, GET_ACL, |w| w.string("/a"));
        assert_eq!(error, 0);
        read_acl_list(&mut Reader::unbounded(&body)).unwrap()
    };
    assert_eq!(got(&mut s), Some(list("ann:x")));
    s.set_auth(conn, vec![Id::new("digest", "ann:hash")]);
    assert_eq!(got(&mut s), Some(list("ann:hash")));
}

#[test]
fn whether_a_node_exists_is_for_its_readers_to_know() {
    let mut s = server();
    let conn = s.client();
    let acl = Some(vec![Acl::new(Perms::READ, Id::new("digest", "ann:hash"))]);
    let request = CreateRequest { path: "/a".into(), data: None, acl, flags: 0 };
    assert_eq!(s.call(conn, CREATE, |w| request.write(w)).0, 0);
    assert_eq!((exists(&mut s, conn, "/a", false), exists(&mut s, conn, "/b", false)), (-102, -101));
    s.set_auth(conn, vec![Id::new("digest", "ann:hash")]);
    assert_eq!(exists(&mut s, conn, "/a", false), 0);
}

#[test]
fn ephemerals_are_told_by_a_plain_prefix_of_their_paths() {
    let mut s = server();
    let (conn, other) = (s.client(), s.client());
    for (conn, path) in [(conn, "/ab"), (conn, "/b"), (other, "/ac")] {
        assert_eq!(create(&mut s, conn, path, 1), 0);
    }
    for (prefix, expected) in
        [("", &["/ab", "/b"][..]), (" ", &["/ab", "/b"]), ("/", &["/ab", "/b"]), ("/a", &["/ab"]), ("/ab/", &[])]
    {
        let (error, _, body) = s.call(conn, GET_EPHEMERALS, |w| w.string(prefix));
        let mut paths = Reader::unbounded(&body).strings().unwrap();
        paths.sort();
        assert_eq!((error, paths), (0, expected.iter().map(|path| (*path).into()).collect()), "{prefix:?}");
    }
}

#[test]
fn what_set_watches_replays_stands_before_its_reply() {
    let mut s = server();
    let conn = s.client();
    create(&mut s, conn, "/a", 0);
    s.got(conn);
    s.send(conn, -8, SET_WATCHES, |w| {
        w.long(0);
        w.int(1);
        w.string("/a");
        w.int(0);
        w.int(0);
    });
    let [Got::Event { zxid: -1, kind, path }, Got::Reply { xid: -8, error: 0, .. }] = &s.got(conn)[..] else {
        panic!("an event, then the reply")
    };
    assert_eq!((*kind, path.as_str()), (EventType::NodeDataChanged, "/a"));
}

#[test]
fn snapshots_are_asked_for_by_count_and_one_at_a_time() {
    let mut s = Server::new(Options { snap_count: 10, ..Options::default() });
    let conn = s.client();
    for n in 0..100 {
        create(&mut s, conn, &format!("/n{n}"), 0);
    }
    let started = s.replica.report().counters.snapshots_started;
    assert!((9..=18).contains(&started), "{started} snapshots for 100 transactions");
}

#[test]
fn a_clock_that_steps_back_over_a_restart_gives_no_session_away() {
    let mut s = server();
    let clients = [s.client(), s.client(), s.client()];
    let before: Vec<SessionId> = clients.iter().map(|conn| s.session(*conn)).collect();
    // The first one of this start would be the second one of the last.
    s.now.wall = Millis(s.now.wall.0 - 3_600_000);
    let earlier = s.restart();
    assert!(before.iter().all(|old| earlier.0 > old.0), "{earlier:?} after {before:?}");
    s.now.wall = Millis(s.now.wall.0 + 7_200_000);
    let later = s.restart();
    assert!(later.0 > earlier.0 + 1, "with a clock that goes on, ids follow the clock: {later:?} after {earlier:?}");
}

#[test]
fn nobody_watches_a_null_path_and_a_null_path_in_a_multi_read_ends_its_list() {
    let mut s = server();
    let conn = s.client();
    for op in [17, 18] {
        let asked = |kind: i32| {
            move |w: &mut oxkeeper_proto::jute::Writer| {
                w.int(-1);
                w.int(kind);
            }
        };
        assert_eq!(s.call(conn, op, asked(3)).0, -121, "{op}");
        assert_eq!(s.call(conn, op, asked(9)).0, -5, "{op}: there is no such type");
    }
    let (error, _, body) = s.call(conn, 22, |w| {
        w.int(GET);
        w.boolean(false);
        w.int(-1);
        w.int(-1);
        w.boolean(false);
        w.int(-1);
        w.boolean(true);
        w.int(-1);
    });
    assert_eq!((error, body), (-5, vec![0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]));
    assert_eq!(s.call(conn, GET, |w| w.int(-1)), (-5, 1, vec![]));
}

#[test]
fn what_makes_no_transaction_does_not_count_towards_a_snapshot() {
    let mut s = Server::new(Options { snap_count: 10, ..Options::default() });
    let conn = s.client();
    create(&mut s, conn, "/a", 0);
    for _ in 0..100 {
        assert_eq!(exists(&mut s, conn, "/a", false), 0);
        assert_eq!(s.call(conn, SYNC, |w| w.string("/")).0, 0);
    }
    assert_eq!(s.replica.report().counters.snapshots_started, 0);
}
