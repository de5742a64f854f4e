//! What the operator is shown.

use super::*;

fn summary(world: &World) -> (usize, usize, usize) {
    let Summary { connections, paths, watches } = world.table.summary();
    (connections, paths, watches)
}

#[test]
fn the_summary_counts_data_watches_only() {
    let mut world = World::with(&["/a"]);
    assert_eq!(summary(&world), (0, 0, 0));
    world.add(ANN, "/a", Child);
    assert_eq!((summary(&world), world.table.count()), ((0, 0, 0), 1));
    world.add(ANN, "/a", Data);
    world.add(ANN, "/a", Persistent);
    world.add(BOB, "/a", Data);
    world.add(BOB, "/b", PersistentRecursive);
    assert_eq!((summary(&world), world.table.count()), ((2, 2, 3), 4));
    world.table.close(BOB);
    assert_eq!((summary(&world), world.table.count()), ((1, 1, 1), 2));
    world.table.remove(ANN, "/a", WatcherType::Any);
    assert_eq!((summary(&world), world.table.count()), ((0, 0, 0), 0));
}

/// As in the reference: firing leaves the connection's empty entry where it is, removing does not.
#[test]
fn a_connection_whose_watches_have_fired_is_still_counted() {
    let mut world = World::with(&["/a", "/b"]);
    world.add(ANN, "/a", Data);
    world.set("/a");
    assert_eq!(summary(&world), (1, 0, 0));
    assert_eq!(world.table.by_session(), [(session(ANN), vec![])]);
    assert!(!world.table.remove(ANN, "/a", WatcherType::Data));
    assert_eq!(summary(&world), (1, 0, 0));
    world.add(ANN, "/b", Data);
    world.table.remove(ANN, "/b", WatcherType::Data);
    assert_eq!(summary(&world), (0, 0, 0));
}

#[test]
fn watches_are_listed_by_session_and_by_path() {
    let mut world = World::new();
    world.add(BOB, "/b", Data);
    world.add(BOB, "/a", PersistentRecursive);
    world.add(ANN, "/b", Persistent);
    world.add(ANN, "/child", Child);
    world.add(CYN, "/b", Child);
    assert_eq!(world.table.by_session(), [(session(ANN), vec!["/b"]), (session(BOB), vec!["/a", "/b"])]);
    assert_eq!(world.table.by_path(), [("/a", vec![session(BOB)]), ("/b", vec![session(BOB), session(ANN)])]);
}
