//! Two real servers, one of them the leader, and a third member that the test plays: what it may say, and how long it may take.

mod processes;
mod scripted;

use bytes::Bytes;
use oxkeeper_client::CreateMode;
use oxkeeper_client::blocking::Client;
use oxkeeper_proto::quorum::{LearnerInfo, Packet};
use oxkeeper_types::{Epoch, ServerId, Zxid};
use processes::*;
use scripted::*;
use std::time::{Duration, Instant};

/// Nothing may take so many ticks in a test.
const FOR_EVER: u32 = 1_000_000;

/// Servers 1 and 2 of three; member 3 is played.
struct Pair {
    trio: Trio,
    leader: usize,
    follower: usize,
}

impl Pair {
    fn start(name: &str, tick_ms: u32, init_limit: u32, sync_limit: u32, more: &str) -> Pair {
        let trio = Trio::new(name, |_, text, _| {
            let text = text.replace("tickTime=2000", &format!("tickTime={tick_ms}"));
            let text = text.replace("initLimit=10", &format!("initLimit={init_limit}"));
            let text = text.replace("syncLimit=5", &format!("syncLimit={sync_limit}"));
            // Sessions outlive everything here, however short a tick is.
            text + "maxSessionTimeout=60000\n" + more + "\n"
        });
        let mut pair = Pair { trio, leader: 0, follower: 0 };
        pair.start_again();
        pair
    }
    fn start_again(&mut self) {
        self.trio.start_again(1);
        self.trio.start_again(2);
        self.settle();
    }
    fn settle(&mut self) {
        let (leader, followers) = self.trio.wait_for_leader(2);
        (self.leader, self.follower) = (leader, followers[0]);
    }
    fn port(&self) -> u16 {
        self.trio.peer_port(self.leader, false)
    }
    /// Why the leader has ended this connection, as often as it says so.
    fn said_of(&self, link: &Link) -> Vec<String> {
        let (log, address) = (self.trio.log(self.leader), link.address().to_string());
        let other = ["connected as a learner", "sent a snapshot of"];
        let lines =
            log.lines().filter(|line| line.contains(&address) && !other.iter().any(|words| line.contains(words)));
        lines.map(str::to_owned).collect()
    }
    fn wait_reason(&self, link: &Link, reason: &str) {
        eventually(reason, || !self.said_of(link).is_empty());
        let said = self.said_of(link);
        assert!(said.len() == 1 && said[0].contains(reason), "expected {reason:?} once, got {said:?}");
    }
}

/// The epoch in which this client's writes are committed now.
fn epoch(client: &Client) -> Epoch {
    client.set("/", b"", -1).unwrap().mzxid.epoch()
}

#[test]
fn a_follower_that_falls_silent_is_dropped_after_sync_limit_while_the_others_are_served() {
    let mut pair = Pair::start("silent-follower", 600, FOR_EVER, 10, "");
    let client = pair.trio.client(pair.follower);
    let (before, start) = (epoch(&client), Instant::now());
    let (mut silent, _) = Link::in_sync(pair.port(), SCRIPTED as i64);
    // Another one answers, and has nothing on its disk: it is in no list, and the same holds for it.
    let (mut idle, _) = Link::in_sync(pair.port(), 99);
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| {
            silent.closed();
            assert_passed(start, Duration::from_secs(6), "a follower that says nothing");
        });
        let idle = scope.spawn(|| {
            while let Some(packet) = idle.next() {
                if let Packet::Ping { zxid, .. } = packet {
                    // The leader may have closed it meanwhile.
                    let _ = idle.try_send(&Packet::Ping { zxid, touched: Some(Vec::new()) });
                }
            }
            assert_passed(start, Duration::from_secs(6), "a follower that logs nothing");
        });
        while !silent.is_finished() || !idle.is_finished() {
            client.set("/", b"on", -1).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    pair.wait_reason(&silent, "nothing was heard in time");
    pair.wait_reason(&idle, "nothing was heard in time");
    assert_eq!(epoch(&client), before, "the leader has led all the time");
    pair.trio.stop();
}

#[test]
fn a_learner_that_takes_longer_than_init_limit_for_a_step_of_the_handshake_is_closed() {
    let mut pair = Pair::start("slow-learner", 100, 40, FOR_EVER, "");
    let client = pair.trio.client(pair.follower);
    let before = epoch(&client);
    let start = Instant::now();
    let nameless = Link::dial(pair.port());
    let mut half = Link::dial(pair.port());
    half.send_bytes(&[0, 0, 0, 11, 0, 0]);
    let mut introduced = Link::dial(pair.port());
    introduced.send(&follower_info(97));
    introduced.expect("LEADERINFO");
    let (mut synced, _) = Link::discover(pair.port(), SCRIPTED as i64, Zxid::NONE);
    synced.history();
    for mut link in [nameless, half, introduced, synced] {
        link.closed();
        assert_passed(start, Duration::from_secs(4), "a learner that is slow");
        pair.wait_reason(&link, "nothing was heard in time");
        client.set("/", b"on", -1).unwrap();
    }
    assert_eq!(epoch(&client), before, "the leader has led all the time");
    pair.trio.stop();
}

#[test]
fn a_learner_that_reads_its_snapshot_for_longer_than_init_limit_is_kept() {
    let mut pair = Pair::start("slow-snapshot", 100, 20, FOR_EVER, "");
    let client = pair.trio.client(pair.follower);
    for n in 0..24 {
        client.create(&format!("/n{n}"), vec![n; 900_000], CreateMode::Persistent).unwrap();
    }
    let (mut link, epoch) = Link::discover(pair.port(), SCRIPTED as i64, Zxid::ZERO);
    link.expect("SNAP");
    let start = Instant::now();
    // More than a connection holds by itself, in pieces of at most 64 KiB.
    let length = link.skip_through(b"BenWasHere", Duration::from_millis(10));
    assert!(length > 20_000_000, "{length}");
    assert_passed(start, Duration::from_secs(4), "the snapshot takes so long");
    while link.next().expect("the link is kept").name() != "NEWLEADER" {}
    link.send(&Packet::Ack { zxid: Zxid::new(epoch, 0) });
    while link.next().expect("the link is kept").name() != "UPTODATE" {}
    // One that does not read at all is closed.
    let start = Instant::now();
    let (stuck, _) = Link::discover(pair.port(), 99, Zxid::ZERO);
    let closed =
        format!("closing the connection of server 99 at {}: for 2000 ms it has taken nothing", stuck.address());
    eventually("it is closed", || pair.trio.log(pair.leader).contains(&closed));
    assert_passed(start, Duration::from_secs(2), "a learner that does not read");
    pair.trio.stop();
}

#[test]
fn a_learner_that_tells_its_id_and_its_version_alone_is_taken() {
    // As servers before 3.5, which knew of no versions of the list of members.
    let mut pair = Pair::start("short-introduction", 2000, 10, 5, "");
    let mut short = (SCRIPTED as i64).to_be_bytes().to_vec();
    short.extend_from_slice(&0x1_0000_i32.to_be_bytes());
    let mut link = Link::dial(pair.port());
    link.send_bytes(&raw_packet(11, 0, Some(&short)));
    let Packet::LeaderInfo { epoch, .. } = link.expect("LEADERINFO") else { unreachable!() };
    let ack = oxkeeper_proto::quorum::AckEpoch { current_epoch: None, last_zxid: Zxid::NONE, kept: None };
    link.send(&Packet::AckEpoch(ack));
    assert!(link.history().iter().any(|packet| matches!(packet, Packet::Snap { .. })));
    link.send(&Packet::Ack { zxid: Zxid::new(epoch, 0) });
    while link.next().expect("the link is kept").name() != "UPTODATE" {}
    pair.trio.stop();
}

const REQUEST_BYTES_MAX: usize = 100_000;
const EXTRA_BYTES: usize = 20_000;

/// What is refused, with a part of the reason.
fn refused(leader: usize) -> Vec<(&'static str, Bytes)> {
    let us = info(SCRIPTED as i64);
    let hello = |accepted, info| {
        let mut bytes = Vec::new();
        Packet::FollowerInfo { accepted_epoch: Epoch(accepted), info }.write(&mut bytes);
        Bytes::from(bytes)
    };
    let id = (SCRIPTED as i64).to_be_bytes();
    vec![
        ("expected another server, got one that also has myid", hello(0, info(leader as i64))),
        (
            "got version 100000000: the learner is ahead of the leader",
            hello(0, LearnerInfo { config_version: Zxid(1 << 32), ..us }),
        ),
        ("or later, got 0xffff", hello(0, LearnerInfo { protocol_version: 0xffff, ..us })),
        // Of servers before 3.4: an id alone, and nothing at all.
        ("or later, got 0x0", raw_packet(11, 0, Some(&id))),
        ("or later, got 0x0", raw_packet(11, 0, None)),
        ("expected an epoch from 0, got -1", hello(-1, us)),
        ("expected FOLLOWERINFO or OBSERVERINFO, got ACK", raw_packet(3, 1 << 32, None)),
        ("expected FOLLOWERINFO or OBSERVERINFO, got PROPOSAL", raw_packet(2, 1 << 32, Some(b"data"))),
        ("a packet that makes no sense", raw_packet(77, 0, None)),
        ("a packet that makes no sense", Bytes::from_static(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("a packet that makes no sense", raw_packet(11, 0, Some(&vec![0; REQUEST_BYTES_MAX + EXTRA_BYTES + 1]))),
        ("the other side has closed it", raw_packet(11, 0, Some(&[0; 20])).slice(..30)),
    ]
}

#[test]
fn introductions_that_cannot_be_are_refused_with_one_reason_each_and_cost_the_others_nothing() {
    let more = format!("jute.maxbuffer={REQUEST_BYTES_MAX}\njute.maxbuffer.extrasize={EXTRA_BYTES}");
    let mut pair = Pair::start("refused", 2000, 10, 5, &more);
    let client = pair.trio.client(pair.follower);
    let before = epoch(&client);
    for (reason, bytes) in refused(pair.leader) {
        let mut link = Link::dial(pair.port());
        // What is too long is refused before all of it has come.
        let sent = link.try_send_bytes(&bytes);
        if sent && reason.contains("other side") {
            link.end_sending();
        }
        assert_eq!(link.closed(), [], "{reason}");
        pair.wait_reason(&link, reason);
        client.set("/", b"on", -1).unwrap();
    }
    // As long as it may be, and as short: with an id and a version.
    let mut data = [&(SCRIPTED as i64).to_be_bytes()[..], &0x1_0000i32.to_be_bytes()].concat();
    let mut link = Link::dial(pair.port());
    link.send_bytes(&raw_packet(11, 0, Some(&data)));
    link.expect("LEADERINFO");
    data.resize(REQUEST_BYTES_MAX + EXTRA_BYTES, 0);
    let mut newer = Link::dial(pair.port());
    newer.send_bytes(&raw_packet(11, 0, Some(&data)));
    newer.expect("LEADERINFO");
    assert_eq!(link.closed(), []);
    pair.wait_reason(&link, "a newer one took its place");
    assert_eq!(epoch(&client), before, "the leader has led all the time");
    pair.trio.stop();
}

#[test]
fn a_learner_that_is_in_no_list_is_given_everything_and_counts_for_nothing() {
    let mut pair = Pair::start("stranger", 2000, 10, 5, "");
    let client = pair.trio.client(pair.leader);
    let before = epoch(&client);
    let mut boaster = Link::dial(pair.port());
    boaster.send(&Packet::FollowerInfo { accepted_epoch: Epoch(0x7fff_fff0), info: info(98) });
    let Packet::LeaderInfo { epoch: told, .. } = boaster.expect("LEADERINFO") else { unreachable!() };
    assert_eq!(told, before, "what it promised is nobody's business");
    let (mut stranger, _) = Link::in_sync(pair.port(), 99);
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    while stranger.next().expect("it is served").name() != "COMMIT" {}
    // A leader with a stranger is alone.
    pair.trio.kill(pair.follower);
    stranger.closed();
    eventually("it leads nobody", || pair.trio.ask(pair.leader, "srvr").contains("not currently serving"));
}

#[test]
fn a_member_that_has_promised_a_later_epoch_is_led_in_one_that_is_later_still() {
    let mut pair = Pair::start("later-epoch", 2000, 10, 5, "");
    let before = epoch(&pair.trio.client(pair.follower));
    let promised = Epoch(before.0 + 5);
    let mut told = None;
    eventually("a leader of a later epoch", || {
        pair.settle();
        let Some(mut link) = Link::try_dial(pair.port()) else { return false };
        let _ = link.try_send(&Packet::FollowerInfo {
            accepted_epoch: promised,
            info: LearnerInfo { server: Some(ServerId(SCRIPTED as i64)), ..info(0) },
        });
        if let Some(Packet::LeaderInfo { epoch, .. }) = link.next() {
            told = Some(epoch);
        }
        told.is_some()
    });
    assert!(told.unwrap() > promised, "{told:?}");
    pair.settle();
    assert!(epoch(&pair.trio.client(pair.follower)) > promised);
    pair.trio.stop();
}

#[test]
fn a_member_whose_election_port_takes_no_connection_keeps_nobody_and_is_given_up_after_cnx_timeout() {
    let trio = Trio::new("hanging-election", |_, text, _| text + "cnxTimeout=500\n");
    let full = FullPort::on(trio.peer_port(SCRIPTED, true));
    let mut pair = Pair { trio, leader: 0, follower: 0 };
    let start = Instant::now();
    pair.start_again();
    let place = format!("127.0.0.1:{}", pair.trio.peer_port(SCRIPTED, true));
    let line = format!("Cannot open channel to 3 at election address {place}: {place}: it took too long");
    for id in 1..=2 {
        eventually("the dial ends", || pair.trio.log(id).contains(&line));
    }
    assert_passed(start, Duration::from_millis(500), "a dial that hangs");
    drop(full);
    pair.trio.client(pair.follower).create("/a", b"", CreateMode::Persistent).unwrap();
    pair.trio.stop();
}

/// How a learner with this last zxid is brought up to date: the first packet, and the zxids of the proposals behind it.
fn plan(pair: &Pair, last: Zxid) -> (Packet, Vec<Zxid>) {
    let (mut link, _) = Link::discover(pair.port(), SCRIPTED as i64, last);
    let history = link.history();
    let (mut proposed, mut committed) = (Vec::new(), Vec::new());
    for packet in &history[1..] {
        match packet {
            Packet::Proposal { zxid, .. } => proposed.push(*zxid),
            Packet::Commit { zxid } => committed.push(*zxid),
            other => panic!("{other:?} in a history"),
        }
    }
    assert_eq!(proposed, committed);
    (history[0].clone(), proposed)
}

/// Two epochs, with this many transactions in the second; the last zxids of both.
fn two_epochs(pair: &mut Pair) -> (Zxid, Zxid) {
    let write = |pair: &Pair, name: &str, count: usize| -> Zxid {
        let client = pair.trio.client(pair.leader);
        for n in 0..count {
            client.create(&format!("/{name}{n}"), [7; 100], CreateMode::Persistent).unwrap();
        }
        // Nothing is written behind that.
        client.close().unwrap();
        let text = pair.trio.ask(pair.leader, "srvr");
        let zxid = text.lines().find_map(|line| line.strip_prefix("Zxid: 0x")).unwrap();
        Zxid(i64::from_str_radix(zxid, 16).unwrap())
    };
    let first = write(pair, "a", 20);
    pair.trio.stop();
    pair.start_again();
    (first, write(pair, "b", 2))
}

fn counters(epoch: Epoch, counters: std::ops::RangeInclusive<u32>) -> Vec<Zxid> {
    counters.map(|counter| Zxid::new(epoch, counter)).collect()
}

#[test]
fn learners_get_what_they_lack_from_memory_and_a_snapshot_where_the_log_is_longer_than_that_is_worth() {
    let mut pair = Pair::start("plans", 2000, 10, 5, "commitLogCount=6");
    let (first, last) = two_epochs(&mut pair);
    assert_eq!((first.counter(), last.counter()), (22, 4), "20 and 2 nodes, and a session each that comes and goes");
    let (old, new) = (first.epoch(), last.epoch());
    let diff = Packet::Diff { zxid: last };
    assert_eq!(plan(&pair, last), (diff.clone(), vec![]));
    assert_eq!(plan(&pair, Zxid::new(new, 2)), (diff.clone(), counters(new, 3..=4)));
    // No transaction has this zxid: an epoch begins with it.
    assert_eq!(plan(&pair, Zxid::new(new, 0)), (diff.clone(), counters(new, 1..=4)));
    let all = [counters(old, 21..=22), counters(new, 1..=4)].concat();
    assert_eq!(plan(&pair, Zxid::new(old, 20)), (diff, all), "just before what is in memory");
    assert_eq!(plan(&pair, Zxid::new(new, 9)), (Packet::Trunc { zxid: last }, vec![]), "ahead of all");
    let snapshot = (Packet::Snap { zxid: last }, vec![]);
    // A tail that nobody else has, in an earlier epoch; before what is in memory; nothing at all; a server that trusts no data.
    for lacking in [Zxid::new(old, 30), Zxid::new(old, 5), Zxid::ZERO, Zxid::NONE] {
        assert_eq!(plan(&pair, lacking), snapshot, "{lacking}");
    }
    pair.trio.stop();
}

#[test]
fn learners_get_what_they_lack_from_the_log_on_disk_where_that_is_short_enough_and_has_it_all() {
    let mut pair = Pair::start("log-plans", 2000, 10, 5, "commitLogCount=6\nsnapshotSizeFactor=0");
    let (first, last) = two_epochs(&mut pair);
    let all = [counters(first.epoch(), 6..=22), counters(last.epoch(), 1..=4)].concat();
    assert_eq!(plan(&pair, Zxid::new(first.epoch(), 5)), (Packet::Diff { zxid: last }, all));
    // Of another history: the log does not go on from there.
    assert_eq!(plan(&pair, Zxid(7)), (Packet::Snap { zxid: last }, vec![]));
    pair.trio.stop();
}

#[test]
fn with_force_snapshot_sync_everybody_gets_a_snapshot() {
    let mut pair = Pair::start("force-snapshot", 2000, 10, 5, "forceSnapshotSync=true");
    let (first, last) = two_epochs(&mut pair);
    for lacking in [last, Zxid::new(last.epoch(), 2), first] {
        assert_eq!(plan(&pair, lacking), (Packet::Snap { zxid: last }, vec![]), "{lacking}");
    }
    pair.trio.stop();
}
