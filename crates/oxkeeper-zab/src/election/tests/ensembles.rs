//! Whole ensembles with orderly delivery.

use super::world::World;
use super::*;

/// The leaders that the servers which are up have settled on, or 0.
fn leaders(world: &World) -> Vec<i64> {
    world.leaders().into_iter().map(|leader| leader.unwrap_or(0)).collect()
}

fn start_in_order(world: &mut World, ids: impl IntoIterator<Item = i64>) {
    for id in ids {
        world.start(id);
        world.flow();
    }
}

#[test]
fn of_five_fresh_servers_started_in_order_the_third_leads() {
    let mut world = World::new(members(5, 5, ""));
    for id in 1..=5 {
        world = world.with_history(id, 0, Zxid::ZERO);
    }
    let began = world.now;
    start_in_order(&mut world, [1]);
    assert_eq!(leaders(&world), [0]);
    start_in_order(&mut world, [2]);
    assert_eq!(leaders(&world), [0, 0]);
    assert_eq!(world.servers[&1].elector.vote().leader, ServerId(2));
    start_in_order(&mut world, [3]);
    assert_eq!(leaders(&world), [3, 3, 3]);
    start_in_order(&mut world, [4]);
    assert_eq!(leaders(&world), [3, 3, 3, 3]);
    start_in_order(&mut world, [5]);
    assert_eq!(leaders(&world), [3, 3, 3, 3, 3]);
    assert_eq!(world.now, began, "with links known no election waits for a timer");
}

#[test]
fn without_reports_of_links_the_third_waits_and_then_leads() {
    let mut world = World::new(members(5, 5, ""));
    world.reports_links = false;
    start_in_order(&mut world, 1..=3);
    assert_eq!(leaders(&world), [0, 0, 0]);
    world.pass();
    world.flow();
    assert_eq!(leaders(&world), [3, 3, 3]);
}

#[test]
fn the_longest_history_of_the_latest_epoch_leads() {
    let mut world = World::new(members(5, 5, ""))
        .with_history(5, 1, zxid(1, 900))
        .with_history(2, 2, zxid(1, 7))
        .with_history(1, 2, zxid(1, 8))
        .with_history(4, 0, zxid(3, 0));
    for id in 1..=5 {
        world.start(id);
    }
    world.flow();
    assert_eq!(leaders(&world), [1, 1, 1, 1, 1]);
}

#[test]
fn the_death_of_a_leader_costs_no_wait_when_its_link_is_known_down() {
    let mut world = World::new(members(3, 3, ""));
    start_in_order(&mut world, 1..=3);
    assert_eq!(leaders(&world), [2, 2, 2]);
    let began = world.now;
    world.kill(2);
    world.look(1);
    world.flow();
    assert_eq!(leaders(&world), [0, 2], "3 still follows, as far as it knows");
    world.look(3);
    world.flow();
    assert_eq!((leaders(&world), world.now), (vec![3, 3], began));
    start_in_order(&mut world, [2]);
    assert_eq!((leaders(&world), world.now), (vec![3, 3, 3], began));
}

#[test]
fn without_the_news_the_same_costs_one_wait() {
    let mut world = World::new(members(3, 3, ""));
    start_in_order(&mut world, 1..=3);
    world.reports_links = false;
    let began = world.now;
    // The end of the process was noticed on no election connection.
    world.kill(2);
    for id in [1, 3] {
        world.look(id);
    }
    world.flow();
    assert_eq!(leaders(&world), [0, 0]);
    world.pass();
    assert_eq!((leaders(&world), world.now - began), (vec![3, 3], Millis(200)));
}

#[test]
fn rounds_that_differ_become_the_largest() {
    let mut world = World::new(members(3, 3, ""));
    world.reports_links = false;
    world.start(2);
    for _ in 0..5 {
        world.look(2);
    }
    world.start(1);
    world.start(3);
    world.flow();
    assert_eq!(leaders(&world), [3, 3, 3]);
    assert!(world.servers.values().all(|server| server.elector.round() == 6));
}

#[test]
fn a_message_said_twice_changes_nothing() {
    let mut world = World::new(members(3, 3, ""));
    for id in 1..=3 {
        world.start(id);
    }
    for from in 1..=3 {
        for to in (1..=3).filter(|to| *to != from) {
            world.repeat((from, to));
        }
    }
    world.flow();
    assert_eq!(leaders(&world), [3, 3, 3]);
}

#[test]
fn when_every_first_message_is_lost_the_second_elects() {
    let mut world = World::new(members(3, 3, ""));
    for id in 1..=3 {
        world.start(id);
    }
    while let [pair, ..] = world.busy()[..] {
        world.lose(pair);
        // A report of a link is not lost.
        if world.busy().contains(&pair) {
            world.deliver(pair);
        }
    }
    assert_eq!(leaders(&world), [0, 0, 0]);
    world.pass();
    world.flow();
    assert_eq!(leaders(&world), [3, 3, 3]);
}

#[test]
fn observers_follow_whom_the_voters_elect_and_elect_nobody() {
    let mut world = World::new(members(3, 5, "")).with_history(5, 9, zxid(9, 9));
    start_in_order(&mut world, [4, 5, 1]);
    assert_eq!(leaders(&world), [0, 0, 0]);
    start_in_order(&mut world, [2]);
    assert_eq!(leaders(&world), [2, 2, 2, 2]);
    start_in_order(&mut world, [3]);
    assert_eq!(leaders(&world), [2, 2, 2, 2, 2]);
}

#[test]
fn a_server_without_weight_never_leads_but_follows() {
    let mut world = World::new(members(3, 3, "group.1=1:2:3\nweight.3=0\n")).with_history(3, 9, zxid(9, 9));
    start_in_order(&mut world, [3, 1]);
    assert_eq!(leaders(&world), [0, 0]);
    start_in_order(&mut world, [2]);
    assert_eq!(leaders(&world), [2, 2, 2]);
}

#[test]
fn one_heavy_server_elects_itself_without_the_others() {
    let mut world = World::new(members(3, 3, "group.1=1:2:3\nweight.2=3\n"));
    start_in_order(&mut world, [2]);
    assert_eq!(leaders(&world), [2], "the others are down");
    let mut unknown = World::new(members(3, 3, "group.1=1:2:3\nweight.2=3\n"));
    unknown.reports_links = false;
    start_in_order(&mut unknown, [2]);
    assert_eq!(leaders(&unknown), [0]);
    unknown.pass();
    assert_eq!((leaders(&unknown), unknown.now), (vec![2], Millis(1200)));
}

#[test]
fn a_majority_of_groups_elects() {
    let groups = "group.1=1:2:3\ngroup.2=4:5:6\ngroup.3=7:8:9\n";
    let mut world = World::new(members(9, 9, groups));
    start_in_order(&mut world, [1, 2, 3, 7, 4]);
    assert_eq!(leaders(&world), [0; 5], "five of nine, but of one group only");
    start_in_order(&mut world, [5]);
    assert_eq!(leaders(&world), [7; 6], "two of three in two groups of three");
}
