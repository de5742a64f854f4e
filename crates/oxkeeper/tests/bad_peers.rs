//! A thousand connections of every bad kind to each server's ports for other servers, while the ensemble works on.

mod processes;

use oxkeeper_client::CreateMode;
use processes::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WAVES: u64 = 5;
/// Of each wave, at each of two ports of a server.
const PER_PORT: u64 = 100;
/// Kilobytes that a server may have grown by.
const GROWTH_KIB_MAX: u64 = 64 << 10;
/// Threads that a server may have more than before, while all of a wave are connected.
const MORE_THREADS_MAX: u64 = 200;

/// The greeting of a server that nobody knows.
fn greeting(id: i64, length: i32) -> Vec<u8> {
    [&(-65536i64).to_be_bytes()[..], &id.to_be_bytes(), &length.to_be_bytes(), b"127.0.0.1:9"].concat()
}

fn packet(kind: i32, zxid: i64, length: i32, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &zxid.to_be_bytes(), &length.to_be_bytes(), data, &(-1i32).to_be_bytes()].concat()
}

/// What a bad peer says to an election port, and to a quorum port.
fn bad(kind: u64, election: bool, random: &mut Random) -> Vec<u8> {
    let election = |bytes| if election { bytes } else { Vec::new() };
    match kind {
        0 => Vec::new(),
        1 => random.bytes(64),
        2 => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        // Greetings: cut off, too long, of a version that does not exist; then messages without an end and of no meaning.
        3 => election(greeting(99, 11)[..20].to_vec()),
        4 => election(greeting(99, i32::MAX)),
        5 => election((-7i64).to_be_bytes().to_vec()),
        6 => election([greeting(99, 11), i32::MAX.to_be_bytes().to_vec(), vec![1; 5000]].concat()),
        7 => election([greeting(98, 11), 40i32.to_be_bytes().to_vec(), random.bytes(40)].concat()),
        // Packets: too long, half there, out of place, of no known type; a learner that nobody knows, with an epoch that is the
        // last one there is.
        8 => packet(11, 0, i32::MAX, b""),
        9 => packet(11, 0, 500_000, &random.bytes(10_000)),
        10 => packet(2, 0x1_0000_0001, 4, b"abcd"),
        11 => packet(77, 0, -1, b""),
        _ => packet(11, 0x7fff_ffff << 32, 20, &[&99i64.to_be_bytes()[..], &[0, 1, 0, 0], &[0; 8]].concat()),
    }
}

fn wave(trio: &Trio, number: u64) {
    let mut random = Random(number);
    let mut open: Vec<TcpStream> = Vec::new();
    for index in 0..PER_PORT {
        for (id, election) in [(1, false), (1, true), (2, false), (2, true), (3, false), (3, true)] {
            let mut socket = TcpStream::connect(("127.0.0.1", trio.peer_port(id, election))).unwrap();
            // The server may have closed it before everything is sent.
            let _ = socket.write_all(&bad((index + number) % 13, election, &mut random));
            open.push(socket);
        }
    }
    for id in 1..=3 {
        assert!(trio.status(id, "Threads:") < 40 + MORE_THREADS_MAX, "server {id}");
    }
    for (n, mut socket) in open.into_iter().enumerate() {
        // Half of them say that nothing more comes, and wait until they are closed; the others are just gone.
        if n % 2 == 0 {
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let _ = socket.shutdown(Shutdown::Write);
            let _ = socket.read(&mut [0; 100]);
        }
    }
}

#[test]
fn bad_peers_disturb_nobody() {
    let mut trio = Trio::start("bad-peers");
    let (leader, followers) = trio.wait_for_leader(3);
    let client = trio.client(followers[0]);
    client.create("/good", b"", CreateMode::Persistent).unwrap();
    let before: Vec<u64> = (1..=3).map(|id| trio.status(id, "VmRSS:")).collect();
    let zxid = |client: &oxkeeper_client::blocking::Client| client.set("/good", b"", -1).unwrap().mzxid.0;
    let epoch = zxid(&client) >> 32;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut rounds = 0;
            while !stop.load(Ordering::Relaxed) {
                client.set("/good", b"on", -1).unwrap();
                rounds += 1;
            }
            rounds
        });
        (0..WAVES).for_each(|number| wave(&trio, number));
        stop.store(true, Ordering::Relaxed);
        assert!(work.join().unwrap() > 0);
    });
    assert_eq!(zxid(&client) >> 32, epoch, "the leader has led all the time");
    assert_eq!(trio.wait_for_leader(3).0, leader);
    for id in 1..=3 {
        let grown = trio.status(id, "VmRSS:").saturating_sub(before[id - 1]);
        assert!(grown < GROWTH_KIB_MAX, "server {id} has grown by {grown} KiB");
    }
    // Those that say nothing at all are closed when there are too many.
    let silent: Vec<TcpStream> =
        (0..PER_PORT).map(|_| TcpStream::connect(("127.0.0.1", trio.peer_port(leader, false))).unwrap()).collect();
    let made_room = |line: &str| line.contains("connection of learner") && line.contains("others wait");
    eventually("the oldest makes room", || trio.log(leader).lines().any(made_room));
    drop(silent);
    // And the ports are as good as before: the next leader is found through them.
    trio.kill(leader);
    let (second, _) = trio.wait_for_leader(2);
    assert!(zxid(&trio.client(second)) >> 32 <= epoch + 10, "epochs count on from the last one");
    trio.stop();
}
