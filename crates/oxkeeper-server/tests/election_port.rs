//! The election port as other servers meet it: who dials whom, what is said again, what is reported and how soon.

mod peer_common;

use oxkeeper_proto::election::Greeting;
use oxkeeper_replica::output::PeerOutput;
use oxkeeper_types::ServerId;
use peer_common::*;
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Member 2 of three; 1 and 3 are scripted.
struct Between {
    member: Member,
    port: u16,
    one: TcpListener,
    three: TcpListener,
    one_port: u16,
    three_port: u16,
}

fn between() -> Between {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (one, three) = (listen(), listen());
    let (one_port, three_port) = (one.local_addr().unwrap().port(), three.local_addr().unwrap().port());
    let port = free_port();
    let members = [(1, address(1, one_port)), (2, address(free_port(), port)), (3, address(3, three_port))];
    let mut options = options(2, &members);
    options.greeting_timeout = Duration::from_secs(2);
    options.election_connect_timeout = CONNECT_TIMEOUT;
    Between { member: Member::start(options), port, one, three, one_port, three_port }
}

/// Server 1 was there and is gone. With its election port, at which nobody listens.
fn without_one() -> (Between, u16) {
    let mut t = between();
    notify(&mut t.member, 1, 0);
    drop(accept(&t.one));
    t.member.wait_link(1, true);
    t.member.wait_link(1, false);
    // Its listener is closed; another stands in its place, at a port that nobody is told of.
    t.one = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = t.one_port;
    (t, port)
}

fn notify(member: &mut Member, to: i64, round: i64) {
    let output = PeerOutput::Notify { to: ServerId(to), notification: vote(2, round) };
    member.peers.carry_out(&mut vec![output], &[]);
}

#[test]
fn a_member_with_a_smaller_id_is_dialled_and_kept() {
    let mut t = between();
    notify(&mut t.member, 1, 7);
    let mut one = accept(&t.one);
    assert_eq!(read_greeting(&mut one), (2, format!("127.0.0.1:{}", t.port)));
    assert_eq!(read_vote(&mut one), vote(2, 7));
    t.member.wait_link(1, true);
    one.write_all(&frame(&vote(1, 7))).unwrap();
    assert_eq!(t.member.wait_vote(), (1, vote(1, 7)));
    drop(one);
    t.member.wait_link(1, false);
}

#[test]
fn a_member_with_a_larger_id_is_told_who_we_are_and_dials_back() {
    let mut t = between();
    notify(&mut t.member, 3, 7);
    let mut three = accept(&t.three);
    assert_eq!(read_greeting(&mut three).0, 2);
    assert!(is_closed(&mut three), "it dials us");
    let mut back = dial(t.port);
    back.write_all(&greeting(3, t.three_port)).unwrap();
    assert_eq!(read_vote(&mut back), vote(2, 7), "what waited for the connection");
    t.member.wait_link(3, true);
    back.write_all(&frame(&vote(3, 8))).unwrap();
    assert_eq!(t.member.wait_vote(), (3, vote(3, 8)));
}

#[test]
fn a_member_with_a_smaller_id_that_dials_is_dialled_back() {
    let mut t = between();
    let mut one = dial(t.port);
    one.write_all(&greeting(1, t.one_port)).unwrap();
    assert!(is_closed(&mut one));
    let mut back = accept(&t.one);
    assert_eq!(read_greeting(&mut back).0, 2);
    t.member.wait_link(1, true);
}

#[test]
fn a_3_4_server_says_its_id_alone_and_in_any_pieces() {
    let mut t = between();
    let mut three = dial(t.port);
    for byte in 3i64.to_be_bytes() {
        three.write_all(&[byte]).unwrap();
    }
    t.member.wait_link(3, true);
    // A vote of 40 bytes, without a version, behind it.
    let whole = frame(&vote(3, 2));
    three.write_all(&40i32.to_be_bytes()).unwrap();
    three.write_all(&whole[4..40]).unwrap();
    three.write_all(&[0; 4]).unwrap();
    let (from, heard) = t.member.wait_vote();
    assert_eq!((from, heard.version, heard.round), (3, 0, 2));
}

#[test]
fn votes_in_the_same_bytes_as_the_greeting_are_heard() {
    let mut t = between();
    let mut three = dial(t.port);
    let mut bytes = greeting(3, t.three_port);
    bytes.extend(frame(&vote(3, 1)));
    bytes.extend(frame(&vote(3, 2)));
    three.write_all(&bytes).unwrap();
    assert_eq!(t.member.wait_vote().1.round, 1);
    assert_eq!(t.member.wait_vote().1.round, 2);
}

#[test]
fn the_newest_message_waits_and_the_last_one_is_said_again() {
    let mut t = between();
    for round in 1..=3 {
        notify(&mut t.member, 3, round);
    }
    let mut first = dial(t.port);
    first.write_all(&greeting(3, t.three_port)).unwrap();
    let heard = loop {
        let heard = read_vote(&mut first);
        if heard.round == 3 {
            break heard;
        }
    };
    assert_eq!(heard, vote(2, 3));
    // A newer connection takes the place of the old one, which is not reported as a loss.
    let mut second = dial(t.port);
    second.write_all(&greeting(3, t.three_port)).unwrap();
    assert_eq!(read_vote(&mut second), vote(2, 3), "the last one, again");
    assert!(is_closed(&mut first));
    notify(&mut t.member, 3, 4);
    assert_eq!(read_vote(&mut second).round, 4);
    t.member.wait_link(3, true);
    let down = t.member.core.clone();
    let mut events = Vec::new();
    down.take(&mut events, Duration::from_millis(200));
    assert!(!format!("{:?}", events.iter().map(debug).collect::<Vec<_>>()).contains("up: false"));
}

fn debug(event: &oxkeeper_server::core_queue::CoreEvent) -> String {
    match event {
        oxkeeper_server::core_queue::CoreEvent::Input(input) => format!("{input:?}"),
        _ => String::new(),
    }
}

#[test]
fn a_refused_dial_is_reported_at_once_and_tried_again_while_a_message_waits() {
    let (mut t, port) = without_one();
    let start = Instant::now();
    notify(&mut t.member, 1, 1);
    t.member.wait_link(1, false);
    assert!(start.elapsed() < Duration::from_secs(5), "not only after a timeout: {:?}", start.elapsed());
    let one = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut socket = accept(&one);
    assert_eq!(read_greeting(&mut socket).0, 2);
    assert_eq!(read_vote(&mut socket), vote(2, 1));
    t.member.wait_link(1, true);
}

#[test]
fn a_dial_that_hangs_ends_with_its_limit_and_keeps_nobody() {
    let (mut t, port) = without_one();
    let (one, fillers) = full_port(port);
    let start = Instant::now();
    notify(&mut t.member, 1, 1);
    // Meanwhile the others are heard.
    let mut three = dial(t.port);
    three.write_all(&greeting(3, t.three_port)).unwrap();
    three.write_all(&frame(&vote(3, 5))).unwrap();
    assert_eq!(t.member.wait_vote(), (3, vote(3, 5)));
    t.member.wait_link(1, false);
    assert!(start.elapsed() >= CONNECT_TIMEOUT / 2, "{:?}", start.elapsed());
    // There is room again: the message has waited.
    drop(fillers);
    drop(one.accept().unwrap());
    let mut socket = accept(&one);
    assert_eq!(read_greeting(&mut socket).0, 2);
    assert_eq!(read_vote(&mut socket), vote(2, 1));
}

/// A listener whose queue is full: whoever dials waits.
fn full_port(port: u16) -> (TcpListener, Vec<socket2::Socket>) {
    let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let (listener, address) = (socket(), std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    listener.set_reuse_address(true).unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let (mut fillers, mut hung) = (Vec::new(), 0);
    // On the loopback device a connection is there at once, or waits for room.
    while hung < 3 {
        let filler = socket();
        hung += u32::from(filler.connect_timeout(&address.into(), Duration::from_millis(100)).is_err());
        fillers.push(filler);
    }
    (listener.into(), fillers)
}

#[test]
fn a_host_that_does_not_resolve_is_a_server_that_is_down() {
    let three = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut nowhere = address(1, 2);
    nowhere.host = "no-such-host.invalid".into();
    let there = address(3, three.local_addr().unwrap().port());
    let members = [(1, nowhere), (2, address(free_port(), free_port())), (3, there)];
    let mut member = Member::start(options(2, &members));
    notify(&mut member, 1, 1);
    notify(&mut member, 3, 1);
    assert_eq!(read_greeting(&mut accept(&three)).0, 2, "the others are reached all the same");
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let mut t = between();
    let mut three = dial(t.port);
    three.write_all(&greeting(3, t.three_port)).unwrap();
    t.member.wait_link(3, true);
    let garbage: [&[u8]; 3] = [&(-5i64).to_be_bytes(), &[0xff; 64], b"GET / HTTP/1.1\r\n\r\n"];
    // Addresses without a byte, and of more bytes than are allowed.
    let lengths = [0i32, -1, 2049, i32::MAX].map(|length| {
        [&(-65536i64).to_be_bytes()[..], &3i64.to_be_bytes(), &length.to_be_bytes(), &[b'a'; 3000]].concat()
    });
    for bytes in garbage.into_iter().chain(lengths.iter().map(Vec::as_slice)) {
        let mut socket = dial(t.port);
        socket.write_all(bytes).unwrap();
        // Text is the id of a server of 3.4 that nobody knows, and what follows is no message.
        assert!(is_closed(&mut socket), "{bytes:?}");
    }
    three.write_all(&frame(&vote(3, 5))).unwrap();
    assert_eq!(t.member.wait_vote(), (3, vote(3, 5)));
    three.write_all(&(600_000i32).to_be_bytes()).unwrap();
    assert!(is_closed(&mut three), "no message is that long");
    t.member.wait_link(3, false);
}

#[test]
fn a_silent_connection_keeps_nobody_and_is_closed() {
    let mut t = between();
    let mut silent: Vec<_> = (0..80).map(|_| dial(t.port)).collect();
    let mut three = dial(t.port);
    three.write_all(&greeting(3, t.three_port)).unwrap();
    t.member.wait_link(3, true);
    for socket in &mut silent {
        assert!(is_closed(socket));
    }
    // Who has said who it is may be silent for longer than that.
    three.write_all(&frame(&vote(3, 5))).unwrap();
    assert_eq!(t.member.wait_vote(), (3, vote(3, 5)));
}

#[test]
fn our_own_id_is_refused() {
    let mut t = between();
    let mut twin = dial(t.port);
    twin.write_all(&greeting(2, 1)).unwrap();
    assert!(is_closed(&mut twin));
    notify(&mut t.member, 1, 1);
    accept(&t.one);
}

#[test]
fn strangers_and_observers_without_an_id_are_dialled_back_where_they_say() {
    let mut t = between();
    for id in [0, i64::MAX] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stranger = dial(t.port);
        stranger.write_all(&greeting(id, listener.local_addr().unwrap().port())).unwrap();
        let mut back = accept(&listener);
        assert_eq!(read_greeting(&mut back).0, 2);
        back.write_all(&frame(&vote(1, 1))).unwrap();
        let (from, _) = t.member.wait_vote();
        assert!(if id == 0 { from == 0 } else { from < 0 }, "{from}");
    }
}

#[test]
fn of_strangers_32_are_dialled_back_at_most() {
    let mut t = between();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let come = || {
        let mut stranger = dial(t.port);
        stranger.write_all(&greeting(i64::MAX, listener.local_addr().unwrap().port())).unwrap();
        stranger
    };
    let kept: Vec<_> = (0..32).map(|_| (come(), accept(&listener))).collect();
    assert!(is_closed(&mut come()));
    // Whoever is a member is heard all the same; by then the stranger would have been dialled.
    let mut three = dial(t.port);
    three.write_all(&greeting(3, t.three_port)).unwrap();
    t.member.wait_link(3, true);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(kept);
}

#[test]
fn nobody_is_dialled_back_at_all_addresses_of_a_machine() {
    let t = between();
    let (listener, wrong) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let wildcards = [format!("0.0.0.0:{}", port(&wrong)), format!("[::]:{}", port(&wrong))];
    let say = |server, addresses: Vec<String>| {
        let mut bytes = Vec::new();
        Greeting { server: ServerId(server), addresses }.write(&mut bytes);
        let mut link = dial(t.port);
        link.write_all(&bytes).unwrap();
        link
    };
    // A stranger is, at the address that is one.
    let _stranger = say(0, [&wildcards[..], &[format!("127.0.0.1:{}", port(&listener))]].concat());
    assert_eq!(read_greeting(&mut accept(&listener)).0, 2);
    // A member is, where the configuration says.
    let _one = say(1, wildcards.to_vec());
    assert_eq!(read_greeting(&mut accept(&t.one)).0, 2);
    wrong.set_nonblocking(true).unwrap();
    assert_eq!(wrong.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn two_members_that_dial_each_other_end_up_with_one_connection() {
    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let members = [(1, address(ports[0], ports[1])), (2, address(ports[2], ports[3]))];
    let (mut one, mut two) = (Member::start(options(1, &members)), Member::start(options(2, &members)));
    for round in 1..=50 {
        let to = |to| PeerOutput::Notify { to: ServerId(to), notification: vote(to, round) };
        one.peers.carry_out(&mut vec![to(2)], &[]);
        two.peers.carry_out(&mut vec![to(1)], &[]);
        while one.wait_vote().1.round != round {}
        while two.wait_vote().1.round != round {}
    }
    // One of ours, at its own end and at the other's: the larger id has dialled, and the smaller one has taken it.
    let open = || established(ports[1]) + established(ports[3]);
    let end = Instant::now() + PATIENCE;
    while open() != 1 {
        assert!(Instant::now() < end, "{} connections", open());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((established(ports[1]), established(ports[3])), (1, 0));
}

/// Connections that were taken at this port of 127.0.0.1 and are open.
fn established(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let here = format!("0100007F:{port:04X}");
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|f| f[1] == here && f[3] == "01")
        .count()
}
