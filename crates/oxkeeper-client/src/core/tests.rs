//! The session without a socket: what goes out, what an answer does, what a reconnect sends again.

use super::call::{self, Reply};
use super::hosts::{ConnectString, Hosts};
use super::session::*;
use super::watches::{SET_WATCHES_BYTES_MAX, WatchKind, Watches};
use crate::ClientError;
use oxkeeper_proto::client::*;
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::{Millis, OpCode, SessionId, Xid, Zxid};

const PASSWORD: Password = [7; 16];

fn session() -> Session {
    Session::new(SessionOptions { timeout_ms: 3000, ..SessionOptions::default() })
}

fn framed(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Vec::new();
    frame::append(&mut out, |b| write(&mut Writer::new(b)));
    out
}

fn granted() -> Vec<u8> {
    let response = ConnectResponse {
        protocol_version: 0,
        timeout_ms: 3000,
        session: SessionId(0x77),
        password: PASSWORD,
        read_only: Some(false),
    };
    framed(|w| response.write(w))
}

fn answer(xid: i32, zxid: i64, error: i32, body: &[u8]) -> Vec<u8> {
    framed(|w| {
        ReplyHeader { xid: Xid(xid), zxid: Zxid(zxid), error }.write(w);
        w.out.extend_from_slice(body);
    })
}

fn event(kind: EventType, path: &str) -> Vec<u8> {
    framed(|w| {
        ReplyHeader { xid: XID_EVENT, zxid: Zxid(9), error: 0 }.write(w);
        WatcherEvent::write(kind, path, w);
    })
}

/// Headers of all frames in `bytes`.
fn headers(bytes: &[u8]) -> Vec<(i32, i32)> {
    let (mut at, mut found) = (0, Vec::new());
    while let Frame::Whole { body, consumed } = frame::next(&bytes[at..], usize::MAX) {
        let header = RequestHeader::read(&mut Reader::unbounded(body)).unwrap();
        found.push((header.xid.0, header.op));
        at += consumed;
    }
    assert_eq!(at, bytes.len(), "only whole frames leave");
    found
}

fn connected() -> Session {
    let mut s = session();
    s.on_connected("a:1", Millis(0));
    s.take_output();
    s.on_bytes(&granted(), Millis(1)).unwrap();
    assert_eq!(s.take_outcomes(), [Outcome::Event(Event::State(SessionState::Connected))]);
    s
}

fn done(s: &mut Session) -> Vec<(u64, Result<Reply, ClientError>)> {
    let only_done = |o| match o {
        Outcome::Done { ticket, result } => Some((ticket.0, result)),
        Outcome::Event(_) => None,
    };
    s.take_outcomes().into_iter().filter_map(only_done).collect()
}

#[test]
fn answers_are_matched_in_order() {
    let mut s = connected();
    s.submit(Ticket(1), call::delete("/a", -1).request, Millis(2)).unwrap();
    s.submit(Ticket(2), call::get_data("/b", true).request, Millis(2)).unwrap();
    assert_eq!(headers(&s.take_output()), [(1, 2), (2, 4)]);
    // Cut anywhere: frames are put together again.
    let bytes = [answer(1, 5, -101, &[]), answer(2, 5, 0, b"body")].concat();
    s.on_bytes(&bytes[..7], Millis(3)).unwrap();
    s.on_bytes(&bytes[7..], Millis(3)).unwrap();
    let results = done(&mut s);
    assert_eq!(results[0].1.as_ref().unwrap().error, -101);
    assert_eq!(results[1].1.as_ref().unwrap().body.as_ref(), b"body");
    assert_eq!(s.last_zxid(), Zxid(5));
    assert!(s.watches().has(WatchKind::Data, "/b"));
    assert_eq!(
        s.on_bytes(&answer(9, 5, 0, &[]), Millis(3)),
        Err(ServerMisbehaved::OutOfOrder { got: Xid(9), expected: None })
    );
}

#[test]
fn a_reconnect_takes_the_session_up_and_registers_credentials_and_watches_first() {
    let mut s = connected();
    s.submit(Ticket(1), call::auth("digest", b"u:p").request, Millis(2)).unwrap();
    s.submit(Ticket(2), call::exists("/none", true).request, Millis(2)).unwrap();
    s.submit(Ticket(3), call::add_watch("/r", true).request, Millis(2)).unwrap();
    s.submit(Ticket(4), call::get_data("/lost", false).request, Millis(2)).unwrap();
    s.on_bytes(&[answer(-4, 0, 0, &[]), answer(1, 6, -101, &[]), answer(2, 6, 0, &[0; 4])].concat(), Millis(3))
        .unwrap();
    assert_eq!(done(&mut s).len(), 3);
    s.on_disconnected();
    assert!(matches!(&done(&mut s)[..], [(4, Err(ClientError::ConnectionLost { op: OpCode::GetData, .. }))]));
    s.submit(Ticket(5), call::delete("/later", -1).request, Millis(4)).unwrap();

    s.take_output();
    s.on_connected("b:1", Millis(5));
    let hello = s.take_output();
    let request = ConnectRequest::read(&mut Reader::unbounded(&hello[4..])).unwrap();
    assert_eq!(
        (request.session, request.password, request.last_zxid_seen),
        (SessionId(0x77), PASSWORD.to_vec(), Zxid(6))
    );
    s.on_bytes(&granted(), Millis(6)).unwrap();
    assert_eq!(headers(&s.take_output()), [(-4, 100), (-8, 105), (4, 2)]);
}

#[test]
fn it_is_said_whether_anything_happened_while_watches_were_away() {
    let mut s = connected();
    s.submit(Ticket(1), call::add_watch("/r", true).request, Millis(2)).unwrap();
    s.on_bytes(&answer(1, 6, 0, &[]), Millis(3)).unwrap();
    for (zxid, missed) in [(6, false), (7, true)] {
        s.on_disconnected();
        s.on_connected("b:1", Millis(5));
        s.on_bytes(&[granted(), answer(-8, zxid, 0, &[])].concat(), Millis(6)).unwrap();
        assert_eq!(s.take_outcomes().last(), Some(&Outcome::Event(Event::Rewatched { missed })));
    }
}

#[test]
fn a_session_lives_for_two_thirds_of_its_time_behind_the_last_request_that_was_answered() {
    let mut s = connected();
    assert_eq!(s.lives_until(), Millis(2000), "the handshake left at 0");
    s.submit(Ticket(1), call::sync("/").request, Millis(100)).unwrap();
    assert_eq!(s.lives_until(), Millis(2000), "nobody has heard it yet");
    s.on_bytes(&answer(1, 6, 0, &[0; 4]), Millis(900)).unwrap();
    assert_eq!(s.lives_until(), Millis(2100), "the answer may have been long on its way");
    s.abandon(SessionState::Closed);
    assert_eq!(s.lives_until(), Millis(i64::MIN));
}

#[test]
fn what_a_read_only_server_gave_is_no_session_elsewhere() {
    let mut s = Session::new(SessionOptions { read_only: true, ..SessionOptions::default() });
    s.on_connected("a:1", Millis(0));
    let response = ConnectResponse {
        protocol_version: 0,
        timeout_ms: 3000,
        session: SessionId(0x55),
        password: PASSWORD,
        read_only: Some(true),
    };
    s.on_bytes(&framed(|w| response.write(w)), Millis(1)).unwrap();
    assert_eq!(s.state(), SessionState::ConnectedReadOnly);
    s.on_disconnected();
    s.take_output();
    s.on_connected("b:1", Millis(2));
    let hello = s.take_output();
    let request = ConnectRequest::read(&mut Reader::unbounded(&hello[4..])).unwrap();
    assert_eq!((request.session, request.password), (SessionId::NONE, vec![0; 16]));
}

#[test]
fn a_request_beyond_the_limit_never_leaves() {
    let mut s = connected();
    let big = call::set_data("/a", Some(&[0; 0xfffff]), -1).request;
    assert!(matches!(s.submit(Ticket(1), big, Millis(2)), Err(ClientError::TooLarge { max: 0xfffff, .. })));
    assert!(!s.has_output());
}

#[test]
fn a_refused_handshake_is_the_end() {
    let mut s = session();
    s.submit(Ticket(1), call::sync("/").request, Millis(0)).unwrap();
    s.on_connected("a:1", Millis(0));
    s.on_bytes(&framed(|w| ConnectResponse::refused(Some(false)).write(w)), Millis(1)).unwrap();
    assert_eq!(s.state(), SessionState::Expired);
    assert!(matches!(&done(&mut s)[..], [(1, Err(ClientError::SessionExpired { .. }))]));
    assert!(s.submit(Ticket(2), call::sync("/").request, Millis(2)).is_err());
}

#[test]
fn pings_leave_when_idle_and_silence_is_noticed() {
    let mut s = connected();
    assert!(!s.on_tick(Millis(500)));
    assert!(!s.has_output());
    assert!(!s.on_tick(Millis(1001)));
    assert_eq!(headers(&s.take_output()), [(-2, 11)]);
    assert!(s.on_tick(Millis(2001)), "2000 ms of silence are two thirds of the timeout");
}

#[test]
fn events_use_up_one_shot_watches_only() {
    let mut s = connected();
    s.submit(Ticket(1), call::get_data("/a", true).request, Millis(2)).unwrap();
    s.submit(Ticket(2), call::add_watch("/a", false).request, Millis(2)).unwrap();
    s.on_bytes(&[answer(1, 6, 0, &[]), answer(2, 6, 0, &[])].concat(), Millis(3)).unwrap();
    s.take_outcomes();
    s.on_bytes(&event(EventType::NodeDataChanged, "/a"), Millis(4)).unwrap();
    let fired = WatchEvent { kind: EventType::NodeDataChanged, path: "/a".into(), zxid: Zxid(9) };
    assert_eq!(s.take_outcomes(), [Outcome::Event(Event::Watch(fired))]);
    assert!(!s.watches().has(WatchKind::Data, "/a") && s.watches().has(WatchKind::Persistent, "/a"));
    s.submit(Ticket(3), call::remove_watches("/a", 4).request, Millis(5)).unwrap();
    s.on_bytes(&answer(3, 6, 0, &[]), Millis(6)).unwrap();
    assert!(s.watches().is_empty());
}

#[test]
fn a_withdrawn_request_never_leaves() {
    let mut s = session();
    s.submit(Ticket(1), call::delete("/a", -1).request, Millis(0)).unwrap();
    assert!(s.withdraw(Ticket(1)));
    s.on_connected("a:1", Millis(0));
    s.take_output();
    s.on_bytes(&granted(), Millis(1)).unwrap();
    assert!(!s.has_output());
}

#[test]
fn a_close_whose_answer_is_lost_is_still_a_close() {
    let mut s = connected();
    s.submit(Ticket(1), call::close_session().request, Millis(2)).unwrap();
    s.on_disconnected();
    assert!(matches!(&done(&mut s)[..], [(1, Ok(_))]));
    assert_eq!(s.state(), SessionState::Closed);
}

#[test]
fn a_failed_authentication_ends_the_client() {
    let mut s = connected();
    s.submit(Ticket(1), call::auth("digest", b"bad").request, Millis(2)).unwrap();
    s.on_bytes(&answer(-4, 0, -115, &[]), Millis(3)).unwrap();
    assert_eq!(done(&mut s), [(1, Err(ClientError::AuthFailed { scheme: "digest".into() }))]);
    assert_eq!(s.state(), SessionState::AuthFailed);
}

#[test]
fn watches_are_registered_again_in_packets_of_128_kib() {
    let mut watches = Watches::default();
    for i in 0..10_000 {
        watches.add(
            if i % 2 == 0 { WatchKind::Data } else { WatchKind::Child },
            &format!("/some/path/that/is/long/{i:05}"),
        );
    }
    let packets = watches.packets(Zxid(7));
    assert!(packets.len() > 1);
    let mut seen = 0;
    for packet in &packets {
        assert!(packet.1.len() <= SET_WATCHES_BYTES_MAX + 28, "{} bytes", packet.1.len());
        assert_eq!(packet.0, OpCode::SetWatches, "nothing in it asks for the newer kind");
        let request = SetWatchesRequest::read(&mut Reader::unbounded(&packet.1)).unwrap();
        assert_eq!(request.relative_zxid, Zxid(7));
        seen += request.data.len() + request.child.len();
    }
    assert_eq!(seen, 10_000);
}

#[test]
fn connect_strings() {
    let parsed = ConnectString::parse("a:1, b,[::1]:3,fe80::1/x/y").unwrap();
    let hosts: Vec<_> = parsed.hosts.iter().map(|(h, p)| (h.as_str(), *p)).collect();
    assert_eq!(hosts, [("a", 1), ("b", 2181), ("::1", 3), ("fe80::1", 2181)]);
    assert_eq!(parsed.chroot, "/x/y");
    assert_eq!(ConnectString::parse("a/").unwrap().chroot, "");
    for wrong in ["", "/x", "a:port", "a//x", "a/x/", "[::1"] {
        assert!(matches!(ConnectString::parse(wrong), Err(ClientError::ConnectString { .. })), "{wrong}");
    }
}

#[test]
fn every_server_is_tried_before_the_client_pauses() {
    let list: Vec<_> = (0..5).map(|i| (format!("h{i}"), 1)).collect();
    let mut hosts = Hosts::shuffled(list.clone(), 42);
    let mut round: Vec<_> = (0..5).map(|_| hosts.next_server()).collect();
    assert!(round.iter().all(|(_, pause)| *pause == 0));
    round.sort();
    assert_eq!(round.into_iter().map(|(host, _)| host).collect::<Vec<_>>(), list);
    assert_eq!(hosts.next_server().1, 20);
    hosts.connected();
    assert_eq!(hosts.next_server().1, 0);
}

#[test]
fn messages_say_what_to_do() {
    let failed = ClientError::Server { code: -101, op: OpCode::GetData, path: "/a".into(), zxid: Zxid(1) };
    assert_eq!(failed.to_string(), "KeeperErrorCode = NoNode for getData /a (code -101)");
    let late = ClientError::Timeout { op: OpCode::SetData, path: "/a".into(), after_ms: 10, sent: false };
    assert_eq!(
        late.to_string(),
        "no answer to setData /a within 10 ms: it never left, so it is safe to try again; is a server reachable?"
    );
}
