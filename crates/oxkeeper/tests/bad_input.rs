//! Ten thousand connections of every bad kind against a real server, while a good client works on.

mod processes;

use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{ClientError, CreateMode, Event, SessionState};
use oxkeeper_types::SessionId;
use processes::*;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Waves keep below the usual limit of 1024 open files, here and in the server.
const WAVES: usize = 50;
const WAVES_AT_A_TIME: usize = 4;
const PER_WAVE: usize = 200;
/// The longest that the good client may wait for one answer: a hundred times what it takes on a busy machine.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Kilobytes that the server may have grown by: less than two for each bad connection.
const GROWTH_KIB_MAX: u64 = 16 << 10;
const SLOW_READERS: usize = 10;
/// Kinds of bad connections.
const KINDS: usize = 12;

fn descriptors(server: &Single) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count()
}
/// How many lines say why a connection was closed.
fn reasons(server: &Single) -> usize {
    server.said().iter().filter(|line| line.contains("closed the connection of")).count()
}
fn connected(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

fn framed(body: &[u8]) -> Vec<u8> {
    [&(body.len() as i32).to_be_bytes()[..], body].concat()
}

fn handshake() -> Vec<u8> {
    let mut body = vec![0; 12];
    body.extend_from_slice(&4000i32.to_be_bytes());
    body.extend_from_slice(&[0; 8]);
    body.extend_from_slice(&framed(&[0; 16]));
    body.push(0);
    framed(&body)
}

fn request(op: i32, body: &[u8]) -> Vec<u8> {
    framed(&[&1i32.to_be_bytes()[..], &op.to_be_bytes(), body].concat())
}

/// What a bad client sends; and whether it says by itself that nothing more will come.
fn bad(kind: usize, random: &mut Random) -> (Vec<u8>, bool) {
    let after_handshake = |bytes: Vec<u8>| [handshake(), bytes].concat();
    match kind {
        // Garbage instead of a handshake, its length in range or not.
        0 => (framed(&random.bytes(40)), true),
        1 => (random.bytes(64), true),
        // A handshake, or a request, that ends in the middle.
        2 => (handshake()[..20].to_vec(), true),
        3 => (after_handshake(request(1, b"\0\0\0\x02/a")[..14].to_vec()), true),
        // Lengths that are no lengths.
        4 => (i32::to_be_bytes(-1 - (random.next() % 1000) as i32).to_vec(), false),
        5 => (after_handshake(i32::MAX.to_be_bytes().to_vec()), false),
        6 => (after_handshake(2_000_000i32.to_be_bytes().to_vec()), false),
        // Ops that do not exist, or are not for clients.
        7 => (after_handshake(request(1000 + (random.next() % 1000) as i32, b"")), false),
        // Too short for a header; bodies of the wrong type, lengths inside that lie.
        8 => (after_handshake(framed(&[1, 2])), false),
        9 => {
            let op = [1, 2, 3, 4, 5, 6, 7, 8, 14, 15, 101, 105, 106][(random.next() % 13) as usize];
            (after_handshake(request(op, &[0x7f, 0xff, 0xff, 0xff, 1, 2])), true)
        }
        10 => {
            let length = (random.next() % 200) as usize;
            let noise = random.bytes(length);
            (after_handshake(framed(&noise)), true)
        }
        // Says nothing at all, and stays.
        11 => (Vec::new(), false),
        _ => unreachable!("there are {KINDS} kinds"),
    }
}

/// One wave: all connect, all send, and all are held until the server has closed every one of them.
fn wave(port: u16, number: usize) {
    let mut random = Random(number as u64);
    let mut open: Vec<TcpStream> = Vec::new();
    for index in 0..PER_WAVE {
        let mut socket = connected(port);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (bytes, ends) = bad((number + index) % KINDS, &mut random);
        // The server may have closed it before everything is sent.
        let _ = socket.write_all(&bytes);
        if ends {
            let _ = socket.shutdown(Shutdown::Write);
        }
        open.push(socket);
    }
    for mut socket in open {
        let mut answer = Vec::new();
        if let Err(error) = socket.read_to_end(&mut answer) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it was to be closed");
        }
    }
}

/// Asks for more than it reads, and stays until it is dropped.
fn slow_reader(port: u16) -> TcpStream {
    let mut socket = connected(port);
    socket.write_all(&handshake()).unwrap();
    let mut get = (b"/big".len() as i32).to_be_bytes().to_vec();
    get.extend_from_slice(b"/big\0");
    for _ in 0..50 {
        socket.write_all(&request(4, &get)).unwrap();
    }
    socket
}

/// Works until it is told to stop: how often, and the longest pause.
fn good_work(client: &Client, stop: &AtomicBool) -> (u64, Duration) {
    let (mut rounds, mut longest) = (0u64, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let value = rounds.to_string();
        let start = Instant::now();
        client.set("/good", value.as_bytes(), -1).unwrap();
        let (data, _) = client.get("/good", false).unwrap();
        longest = longest.max(start.elapsed());
        assert_eq!(data.as_deref(), Some(value.as_bytes()));
        rounds += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    (rounds, longest)
}

/// So many waves, some of them at a time, and clients that do not read, while the good client works: the longest that it waited.
/// Each of them is closed, and has its line.
fn siege(server: &Single, client: &Client, waves: usize) -> Duration {
    let (before, port) = (reasons(server), server.port);
    let stop = AtomicBool::new(false);
    let (rounds, longest) = std::thread::scope(|scope| {
        let good = scope.spawn(|| good_work(client, &stop));
        let slow: Vec<TcpStream> = (0..SLOW_READERS).map(|_| slow_reader(port)).collect();
        let threads: Vec<_> = (1..=WAVES_AT_A_TIME)
            .map(|first| scope.spawn(move || (first..=waves).step_by(WAVES_AT_A_TIME).for_each(|n| wave(port, n))))
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(slow);
        stop.store(true, Ordering::Relaxed);
        good.join().unwrap()
    });
    assert!(rounds > 0, "the good client has done nothing");
    let closed = waves * PER_WAVE + SLOW_READERS;
    eventually("each connection has its reason in the log", || reasons(server) - before >= closed);
    assert_eq!(reasons(server) - before, closed, "one reason for each");
    longest
}

#[test]
fn ten_thousand_bad_connections_harm_nobody() {
    let scratch = Scratch::new("bad-input");
    let mut server = Single::start(&scratch.config("maxClientCnxns=0\nnio.sessionlessCnxnTimeout=500"));
    let client = server.client();
    client.create("/good", b"", CreateMode::Persistent).unwrap();
    client.create("/big", vec![b'x'; 500_000], CreateMode::Persistent).unwrap();
    let open = descriptors(&server);
    // What the allocator and the kernel keep for the next time is there when the server is measured.
    siege(&server, &client, 3 * WAVES_AT_A_TIME);
    let resident = server.status("VmRSS:");
    let longest = siege(&server, &client, WAVES);
    assert!(server.is_running(), "the server has ended");
    assert!(longest < PAUSE_MAX, "an answer took {longest:?}");
    eventually("descriptors are given back", || descriptors(&server) <= open);
    let grown = server.status("VmRSS:").saturating_sub(resident);
    assert!(grown < GROWTH_KIB_MAX, "the server grew by {grown} KiB from {resident} KiB");
    println!("the longest answer took {longest:?}; grown by {grown} KiB from {resident} KiB");
    client.close().unwrap();
    let said = server.stop();
    assert!(!said.iter().any(|line| line.contains("panicked")), "something panicked");
}

#[test]
fn a_wrong_password_leaves_the_owner_of_the_session_alone() {
    let scratch = Scratch::new("wrong-password");
    let server = Single::start(&scratch.config(""));
    let owner = server.client();
    owner.create("/e", b"", CreateMode::Ephemeral).unwrap();
    let address = format!("127.0.0.1:{}", server.port);
    let (session, mut password) = (owner.session(), owner.password());
    password[0] ^= 1;
    let sessions = [(session, password), (session, [0; 16]), (SessionId(session.0 ^ 1), owner.password())];
    for resume in sessions {
        let options = Options { resume: Some(resume), ..Options::default() };
        let refused = Client::connect(&address, options);
        assert!(matches!(refused, Err(ClientError::SessionExpired { .. })), "{resume:?}");
    }
    // The same connection: a client that had to connect again would have told its state.
    owner.set("/e", b"still", -1).unwrap();
    let moved: Vec<_> = std::iter::from_fn(|| owner.next_event(Duration::ZERO)).collect();
    assert!(moved.iter().all(|event| matches!(event, Event::State(SessionState::Connected))), "{moved:?}");
    assert_eq!(owner.ephemerals("/").unwrap(), ["/e"]);
    owner.close().unwrap();
    server.stop();
}
