//! Registering, firing, removing.

use super::*;

#[test]
fn events_on_the_wire() {
    let mut world = World::with(&["/a"]);
    world.add(ANN, "/a", Data);
    let mut out = Outputs::default();
    let change =
        Change { kind: oxkeeper_tree::ChangeKind::DataChanged, path: "/a".into(), zxid: Zxid(0x102), acl: None };
    world.table.trigger(&world.options, &[change], &mut out);
    #[rustfmt::skip]
    assert_eq!(out.frames, [
        0, 0, 0, 30,
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0,
        0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'a',
    ]);
}

#[test]
fn a_created_node_wakes_who_waits_for_it_and_who_watches_the_parents_children() {
    let mut world = World::with(&["/p"]);
    world.add(ANN, "/p/c", Data);
    world.add(BOB, "/p", Child);
    world.add(CYN, "/p", Data);
    let heard = world.create("/p/c");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/p/c"), world.e(BOB, NodeChildrenChanged, "/p")]);
    assert_eq!(world.create("/p/d"), []);
    world.add(ANN, "/", Child);
    let heard = world.create("/q");
    assert_eq!(heard, [world.e(ANN, NodeChildrenChanged, "/")]);
}

#[test]
fn a_deleted_node_is_told_once_to_each_connection_that_watches_data_or_children() {
    let mut world = World::with(&["/p", "/p/c"]);
    world.add(ANN, "/p/c", Data);
    world.add(ANN, "/p/c", Child);
    world.add(ANN, "/p", Child);
    world.add(BOB, "/p/c", Child);
    world.add(CYN, "/p", Data);
    let heard = world.delete("/p/c");
    let expected =
        [world.e(ANN, NodeDeleted, "/p/c"), world.e(BOB, NodeDeleted, "/p/c"), world.e(ANN, NodeChildrenChanged, "/p")];
    assert_eq!(heard, expected);
    assert_eq!(world.table.count(), 1, "both kinds of the deleted node's watches are gone");
}

#[test]
fn changed_data_wakes_data_watches_only() {
    let mut world = World::with(&["/p", "/p/c"]);
    world.add(ANN, "/p/c", Child);
    world.add(ANN, "/p", Child);
    world.add(BOB, "/p/c", Data);
    let heard = world.set("/p/c");
    assert_eq!(heard, [world.e(BOB, NodeDataChanged, "/p/c")]);
}

#[test]
fn a_changed_acl_wakes_nobody() {
    let mut world = World::with(&["/a"]);
    world.add(ANN, "/a", Data);
    world.add(ANN, "/a", Child);
    world.add(ANN, "/", PersistentRecursive);
    assert_eq!(world.txn(set_acl("/a", open_acl())), []);
}

#[test]
fn a_one_shot_watch_fires_once_however_often_it_was_set() {
    let mut world = World::with(&["/a"]);
    world.add(ANN, "/a", Data);
    world.add(ANN, "/a", Data);
    assert_eq!(world.table.count(), 1);
    assert_eq!(world.set("/a").len(), 1);
    assert_eq!(world.set("/a"), []);
    world.add(ANN, "/a", Data);
    assert_eq!(world.set("/a").len(), 1);
}

#[test]
fn a_persistent_watch_stays_and_hears_of_data_and_children() {
    let mut world = World::new();
    world.add(ANN, "/a", Persistent);
    assert_eq!(world.table.count(), 2, "one in each manager");
    let heard = world.create("/a");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/a")]);
    let heard = world.create("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeChildrenChanged, "/a")]);
    let heard = world.set("/a");
    assert_eq!(heard, [world.e(ANN, NodeDataChanged, "/a")]);
    assert_eq!(world.set("/a/b"), [], "not of what lies below");
    world.delete("/a/b");
    let heard = world.delete("/a");
    assert_eq!(heard, [world.e(ANN, NodeDeleted, "/a")]);
    assert_eq!(world.create("/a").len(), 1);
}

#[test]
fn a_recursive_watch_hears_of_all_below_and_never_of_children() {
    let mut world = World::with(&["/a", "/ab"]);
    world.add(ANN, "/a", PersistentRecursive);
    assert_eq!(world.table.count(), 1, "in the data manager only");
    for path in ["/a/b", "/a/b/c"] {
        let heard = world.create(path);
        assert_eq!(heard, [world.e(ANN, NodeCreated, path)]);
    }
    for path in ["/a", "/a/b/c"] {
        let heard = world.set(path);
        assert_eq!(heard, [world.e(ANN, NodeDataChanged, path)]);
    }
    assert_eq!(world.set("/ab"), [], "a sibling with the same beginning");
    for path in ["/a/b/c", "/a/b", "/a"] {
        let heard = world.delete(path);
        assert_eq!(heard, [world.e(ANN, NodeDeleted, path)]);
    }
}

#[test]
fn a_recursive_watch_on_the_root_sees_everything() {
    let mut world = World::new();
    world.add(ANN, "/", PersistentRecursive);
    world.create("/a");
    let heard = world.create("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/a/b")]);
    let heard = world.set("/");
    assert_eq!(heard, [world.e(ANN, NodeDataChanged, "/")]);
}

#[test]
fn overlapping_watches_of_one_connection_give_one_event() {
    let mut world = World::with(&["/a", "/a/b"]);
    for path in ["/", "/a", "/a/b"] {
        world.add(ANN, path, PersistentRecursive);
    }
    world.add(ANN, "/a/b", Persistent);
    world.add(ANN, "/a/b", Data);
    world.add(ANN, "/a/b", Child);
    let heard = world.delete("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeDeleted, "/a/b")]);
    world.add(ANN, "/a/b", Child);
    let heard = world.create("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/a/b")]);
    let heard = world.delete("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeDeleted, "/a/b")], "recursive above, child watch on the node");
}

#[test]
fn modes_on_one_path_coexist() {
    let mut world = World::with(&["/a"]);
    world.add(ANN, "/a", Persistent);
    world.add(ANN, "/a", PersistentRecursive);
    world.add(ANN, "/a", Data);
    let heard = world.create("/a/b");
    assert_eq!(heard, [world.e(ANN, NodeCreated, "/a/b"), world.e(ANN, NodeChildrenChanged, "/a")]);
    assert_eq!(world.set("/a").len(), 1);
    for kind in [WatcherType::Persistent, WatcherType::PersistentRecursive, WatcherType::Any] {
        assert!(world.table.contains(ANN, "/a", kind), "{kind:?}");
    }
    assert!(!world.table.contains(ANN, "/a", WatcherType::Data), "the one-shot watch has fired");
}

#[test]
fn all_parts_of_a_multi_fire_with_its_zxid_in_their_order() {
    let mut world = World::with(&["/a", "/b"]);
    world.add(ANN, "/", PersistentRecursive);
    world.add(ANN, "/a", Child);
    let parts = vec![create("/a/x", open_acl(), false), set("/b"), delete("/a/x")];
    let heard = world.txn(Txn::Multi(parts));
    let expected = [
        world.e(ANN, NodeCreated, "/a/x"),
        world.e(ANN, NodeChildrenChanged, "/a"),
        world.e(ANN, NodeDataChanged, "/b"),
        world.e(ANN, NodeDeleted, "/a/x"),
    ];
    assert_eq!(heard, expected);
}

#[test]
fn a_refused_write_fires_nothing() {
    let mut world = World::with(&["/a"]);
    world.add(ANN, "/a", Persistent);
    assert_eq!(world.txn(Txn::Error { code: -101 }), []);
}

#[test]
fn ephemerals_of_a_closed_session_go_with_events() {
    let mut world = World::with(&["/p"]);
    world.apply(SessionId(7), Txn::CreateSession { timeout_ms: 1000 });
    world.apply(SessionId(7), create("/p/e", open_acl(), true));
    world.add(ANN, "/p/e", Data);
    world.add(ANN, "/p", Child);
    let heard = world.apply(SessionId(7), Txn::CloseSession { paths: Some(vec!["/p/e".into()]) });
    assert_eq!(heard, [world.e(ANN, NodeDeleted, "/p/e"), world.e(ANN, NodeChildrenChanged, "/p")]);
}

#[test]
fn who_may_not_read_the_node_hears_nothing_of_it() {
    let mut world = World::with(&["/p"]);
    for conn in [ANN, BOB] {
        world.add(conn, "/p/c", Data);
        world.add(conn, "/p", Child);
        world.add(conn, "/", PersistentRecursive);
    }
    let heard = world.txn(create("/p/c", only("10.0.0.2"), false));
    let expected = [
        world.e(BOB, NodeCreated, "/p/c"),
        world.e(ANN, NodeChildrenChanged, "/p"),
        world.e(BOB, NodeChildrenChanged, "/p"),
    ];
    assert_eq!(heard, expected, "the parent's ACL guards the child event");
    assert_eq!((world.fired.created.watchers, world.fired.events), (2, 3), "both were woken");
    assert!(!world.table.contains(ANN, "/p/c", WatcherType::Data), "gone all the same");
    let heard = world.set("/p/c");
    assert_eq!(heard, [world.e(BOB, NodeDataChanged, "/p/c")]);
    let heard = world.delete("/p/c");
    assert_eq!(heard, [world.e(BOB, NodeDeleted, "/p/c")], "the last ACL guards the deletion");
}

#[test]
fn the_parents_acl_guards_child_events() {
    let mut world = World::new();
    world.txn(create("/p", only("10.0.0.2"), false));
    for conn in [ANN, BOB] {
        world.add(conn, "/p", Child);
        world.add(conn, "/p/c", Data);
    }
    let heard = world.create("/p/c");
    let expected =
        [world.e(ANN, NodeCreated, "/p/c"), world.e(BOB, NodeCreated, "/p/c"), world.e(BOB, NodeChildrenChanged, "/p")];
    assert_eq!(heard, expected);
}

#[test]
fn the_ids_at_delivery_decide() {
    let mut world = World::new();
    world.txn(create("/a", only("10.9.9.9"), false));
    world.add(ANN, "/a", Persistent);
    assert_eq!(world.set("/a"), []);
    world.table.set_auth(ANN, ids(&["10.0.0.1", "10.9.9.9"]));
    assert_eq!(world.set("/a").len(), 1);
    world.table.set_auth(ANN, ids(&["10.0.0.1"]));
    assert_eq!(world.set("/a"), []);
    world.options.skip_acl = true;
    assert_eq!(world.set("/a").len(), 1);
}

#[test]
fn only_what_is_there_can_be_removed() {
    let mut world = World::with(&["/a"]);
    for kind in WatcherType::ALL {
        assert!(!world.table.contains(ANN, "/a", kind) && !world.table.remove(ANN, "/a", kind), "{kind:?}");
    }
    world.add(BOB, "/a", Persistent);
    world.add(BOB, "/a", Data);
    world.add(ANN, "/b", Data);
    for kind in WatcherType::ALL {
        assert!(!world.table.contains(ANN, "/a", kind) && !world.table.remove(ANN, "/a", kind), "{kind:?}");
    }
    assert_eq!(world.table.count(), 3, "two modes of one manager are one watch");
}

#[test]
fn each_type_removes_its_own_modes() {
    let all = [Data, Child, Persistent, PersistentRecursive];
    let cases: [(WatcherType, &[WatcherType]); 5] = [
        (WatcherType::Children, &[WatcherType::Data, WatcherType::Persistent, WatcherType::PersistentRecursive]),
        (WatcherType::Data, &[WatcherType::Children, WatcherType::Persistent, WatcherType::PersistentRecursive]),
        (WatcherType::Any, &[]),
        (WatcherType::Persistent, &[WatcherType::Children, WatcherType::Data, WatcherType::PersistentRecursive]),
        (WatcherType::PersistentRecursive, &[WatcherType::Children, WatcherType::Data, WatcherType::Persistent]),
    ];
    for (removed, left) in cases {
        let mut world = World::with(&["/a", "/a/b"]);
        for kind in all {
            world.add(ANN, "/a", kind);
        }
        assert!(world.table.remove(ANN, "/a", removed), "{removed:?}");
        assert!(!world.table.remove(ANN, "/a", removed), "{removed:?} is gone");
        for kind in WatcherType::ALL {
            let expected = left.contains(&kind) || kind == WatcherType::Any && !left.is_empty();
            assert_eq!(world.table.contains(ANN, "/a", kind), expected, "{kind:?} after {removed:?}");
        }
        let below = world.set("/a/b").len();
        assert_eq!(below, left.contains(&WatcherType::PersistentRecursive) as usize, "{removed:?}");
    }
}

#[test]
fn watcher_types_have_the_numbers_of_the_wire() {
    let numbers = WatcherType::ALL.map(|kind| kind as i32);
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert_eq!(numbers.map(WatcherType::from_number), WatcherType::ALL.map(Some));
    assert_eq!([0, 6, -1].map(WatcherType::from_number), [None; 3]);
}

#[test]
fn watches_end_with_their_connection() {
    let mut world = World::with(&["/a"]);
    for conn in [ANN, BOB] {
        for kind in [Data, Child, Persistent, PersistentRecursive] {
            world.add(conn, "/a", kind);
        }
    }
    world.table.close(ANN);
    assert_eq!(world.table.count(), 2);
    let heard = world.set("/a");
    assert_eq!(heard, [world.e(BOB, NodeDataChanged, "/a")]);
    world.table.close(BOB);
    assert_eq!((world.table.count(), world.set("/a")), (0, vec![]));
    world.table.close(BOB);
    let next = ConnId(99);
    world.table.open(next, session(ANN), ids(&[]));
    assert!(!world.table.contains(next, "/a", WatcherType::Any), "the session's new connection starts without any");
}

#[test]
fn a_closed_connection_cannot_register() {
    let mut world = World::with(&["/a"]);
    world.table.close(ANN);
    assert!(!world.table.add(ANN, "/a", Data));
    assert!(!world.table.add(ConnId(4711), "/a", PersistentRecursive));
    assert!(!world.table.remove(ANN, "/a", WatcherType::Any));
    world.table.set_auth(ANN, ids(&["10.0.0.1"]));
    assert_eq!((world.table.count(), world.set("/a")), (0, vec![]));
}

#[test]
#[should_panic(expected = "ConnId(11) of session 0x10b is opened twice")]
fn a_connection_opens_once() {
    World::new().table.open(ANN, session(ANN), ids(&[]));
}

#[test]
fn who_came_first_is_told_first() {
    let mut world = World::with(&["/a"]);
    let conns: Vec<ConnId> = (100..300).map(ConnId).collect();
    for &conn in &conns {
        world.table.open(conn, session(conn), ids(&[]));
    }
    // From one watcher over a short list to one with an index, and some of them leave.
    for &conn in conns.iter().rev() {
        world.add(conn, "/a", if conn.0 % 2 == 0 { Persistent } else { Data });
    }
    for &conn in conns.iter().filter(|conn| conn.0 % 3 == 0) {
        world.table.remove(conn, "/a", WatcherType::Any);
    }
    let told: Vec<u64> = world.set("/a").iter().map(|heard| heard.0.0).collect();
    let expected: Vec<u64> = (100..300).rev().filter(|conn| conn % 3 != 0).collect();
    assert_eq!(told, expected);
    let told: Vec<u64> = world.set("/a").iter().map(|heard| heard.0.0).collect();
    assert_eq!(told, expected.into_iter().filter(|conn| conn % 2 == 0).collect::<Vec<_>>());
}

#[test]
fn one_frame_goes_to_many() {
    let mut world = World::with(&["/a"]);
    for conn in [ANN, BOB, CYN] {
        world.add(conn, "/a", Data);
    }
    let change =
        |zxid| Change { kind: oxkeeper_tree::ChangeKind::DataChanged, path: "/a".into(), zxid: Zxid(zxid), acl: None };
    let mut out = Outputs::default();
    let fired = world.table.trigger(&world.options, &[change(5)], &mut out);
    assert_eq!((out.frames.len(), out.deliveries.len()), (34, 3));
    assert_eq!((fired.events, fired.bytes), (3, 90));
    assert_eq!(world.table.trigger(&world.options, &[change(6)], &mut out), Fired::default());
    assert_eq!(out.frames.len(), 34, "nothing is written when nobody listens");
}

#[test]
fn watchers_are_counted_as_the_reference_samples_them() {
    let mut world = World::with(&["/a"]);
    world.add(ANN, "/a", Data);
    world.add(ANN, "/a", Child);
    world.add(BOB, "/a", Child);
    world.add(BOB, "/", PersistentRecursive);
    world.add(CYN, "/", PersistentRecursive);
    world.delete("/a");
    let deleted = Woken { times: 2, watchers: 5, watchers_max: 3, watchers_min: 2 };
    assert_eq!((world.fired.deleted, world.fired.events), (deleted, 3));
    let mut sum = world.fired;
    world.create("/a");
    sum += world.fired;
    assert_eq!(sum.created, Woken { times: 1, watchers: 2, watchers_max: 2, watchers_min: 2 });
    assert_eq!((sum.deleted, sum.events), (deleted, 5));
}

#[test]
fn any_text_can_be_watched() {
    let mut world = World::new();
    for path in ["", "a", "/a/", "//", "/\u{1f600}"] {
        for kind in [Data, PersistentRecursive] {
            world.add(ANN, path, kind);
        }
    }
    world.create("/a");
    assert_eq!(world.create("/a/b"), []);
    for path in ["", "a", "/a/", "//", "/\u{1f600}"] {
        assert!(world.table.remove(ANN, path, WatcherType::Any), "{path:?}");
    }
    assert_eq!(world.table.count(), 0);
}
