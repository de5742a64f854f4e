//! setWatches.

use super::*;

fn request<'a>(seen: Zxid) -> SetWatches2Request<'a> {
    SetWatches2Request {
        relative_zxid: seen,
        data: vec![],
        exist: vec![],
        child: vec![],
        persistent: vec![],
        recursive: vec![],
    }
}

fn is_watched(world: &World, path: &str, kind: WatcherType) -> bool {
    world.table.contains(ANN, path, kind)
}

/// A replayed event: the zxid of its cause is not known.
fn missed(kind: EventType, path: &str) -> (EventType, String, Zxid) {
    (kind, path.into(), Zxid(-1))
}

#[test]
fn a_data_watch_is_told_of_what_it_missed() {
    let mut world = World::with(&["/same", "/changed"]);
    let seen = world.zxid();
    world.set("/changed");
    let paths = ["/gone", "/changed", "/same"].map(Into::into).to_vec();
    let events = world.restore(SetWatches2Request { data: paths, ..request(seen) });
    assert_eq!(events, [missed(NodeDeleted, "/gone"), missed(NodeDataChanged, "/changed")]);
    for (path, expected) in [("/gone", false), ("/changed", false), ("/same", true)] {
        assert_eq!(is_watched(&world, path, WatcherType::Data), expected, "{path}");
    }
    assert_eq!(world.set("/same").len(), 1);
    assert_eq!(world.set("/same"), []);
}

#[test]
fn new_children_do_not_concern_a_data_watch() {
    let mut world = World::with(&["/a"]);
    let seen = world.zxid();
    world.create("/a/b");
    assert_eq!(world.restore(SetWatches2Request { data: vec!["/a".into()], ..request(seen) }), []);
}

#[test]
fn an_exist_watch_is_told_of_the_creation() {
    let mut world = World::with(&["/there"]);
    let paths = ["/there", "/missing"].map(Into::into).to_vec();
    let seen = world.zxid();
    let events = world.restore(SetWatches2Request { exist: paths, ..request(seen) });
    assert_eq!(events, [missed(NodeCreated, "/there")], "whatever its age");
    assert!(!is_watched(&world, "/there", WatcherType::Any));
    assert!(is_watched(&world, "/missing", WatcherType::Data));
    let heard = world.create("/missing");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/missing")]);
}

#[test]
fn a_child_watch_is_told_of_what_it_missed() {
    let mut world = World::with(&["/same", "/more", "/less", "/less/x"]);
    let seen = world.zxid();
    world.create("/more/x");
    world.delete("/less/x");
    world.set("/same");
    let paths = ["/gone", "/more", "/less", "/same"].map(Into::into).to_vec();
    let events = world.restore(SetWatches2Request { child: paths, ..request(seen) });
    let expected =
        [missed(NodeDeleted, "/gone"), missed(NodeChildrenChanged, "/more"), missed(NodeChildrenChanged, "/less")];
    assert_eq!(events, expected);
    for (path, expected) in [("/gone", false), ("/more", false), ("/less", false), ("/same", true)] {
        assert_eq!(is_watched(&world, path, WatcherType::Children), expected, "{path}");
    }
}

#[test]
fn persistent_watches_come_back_without_events() {
    let mut world = World::with(&["/a"]);
    let both = || ["/a", "/missing"].map(Into::into).to_vec();
    let events = world.restore(SetWatches2Request { persistent: both(), recursive: both(), ..request(Zxid(0)) });
    assert_eq!(events, []);
    for path in ["/a", "/missing"] {
        assert!(is_watched(&world, path, WatcherType::Persistent), "{path}");
        assert!(is_watched(&world, path, WatcherType::PersistentRecursive), "{path}");
    }
    let heard = world.create("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/a/b"), world.e(ANN, NodeChildrenChanged, "/a")]);
}

#[test]
fn the_last_seen_zxid_itself_was_seen() {
    let mut world = World::with(&["/a"]);
    world.create("/a/b");
    let (seen, a) = (world.zxid(), || vec!["/a".into()]);
    assert_eq!(world.restore(SetWatches2Request { data: a(), child: a(), ..request(seen) }), []);
    let earlier = Zxid(seen.0 - 1);
    let events = world.restore(SetWatches2Request { data: a(), child: a(), ..request(earlier) });
    assert_eq!(events, [missed(NodeChildrenChanged, "/a")]);
}

#[test]
fn lists_are_answered_in_order_and_as_often_as_they_ask() {
    let mut world = World::with(&["/a"]);
    let events = world.restore(SetWatches2Request {
        data: vec!["/a".into(), "/x".into(), "/a".into()],
        exist: vec!["/a".into()],
        child: vec!["/x".into()],
        ..request(Zxid(0))
    });
    let expected = [
        missed(NodeDataChanged, "/a"),
        missed(NodeDeleted, "/x"),
        missed(NodeDataChanged, "/a"),
        missed(NodeCreated, "/a"),
        missed(NodeDeleted, "/x"),
    ];
    assert_eq!(events, expected);
}

#[test]
fn several_requests_add_up() {
    let mut world = World::with(&["/a", "/b"]);
    let seen = world.zxid();
    for path in ["/a", "/b"] {
        assert_eq!(world.restore(SetWatches2Request { data: vec![path.into()], ..request(seen) }), []);
    }
    assert_eq!((world.table.count(), world.set("/a").len(), world.set("/b").len()), (2, 1, 1));
}

#[test]
fn a_node_that_the_caller_may_not_read_gives_nothing_away() {
    let mut world = World::new();
    world.txn(create("/secret", only("10.0.0.2"), false));
    world.set("/secret");
    let secret = || vec!["/secret".into()];
    let lists = SetWatches2Request { data: secret(), exist: secret(), child: secret(), ..request(Zxid(0)) };
    assert_eq!(world.restore(lists), []);
    for kind in [WatcherType::Data, WatcherType::Children] {
        assert!(is_watched(&world, "/secret", kind), "{kind:?}: whether it was changed must not show here either");
    }
    world.txn(set_acl("/secret", open_acl()));
    let lists = SetWatches2Request { data: secret(), exist: secret(), child: secret(), ..request(Zxid(0)) };
    let expected = [NodeDataChanged, NodeCreated, NodeChildrenChanged].map(|kind| missed(kind, "/secret"));
    assert_eq!(world.restore(lists), expected);
}

#[test]
fn a_closed_connection_restores_nothing() {
    let mut world = World::with(&["/a"]);
    world.table.close(ANN);
    let seen = world.zxid();
    world.restore(SetWatches2Request { data: vec!["/a".into()], recursive: vec!["/".into()], ..request(seen) });
    assert_eq!(world.table.count(), 0);
}
