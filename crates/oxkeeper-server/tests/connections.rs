//! Connections over real sockets: order, back-pressure, and what happens to those that break the rules.

mod common;

use common::*;
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;

#[test]
fn pipelined_requests_are_answered_in_order_and_read_their_own_writes() {
    let server = TestServer::start("");
    let mut client = server.client();
    let mut all = create(1, "/a", b"0", 0);
    for i in 1..=50 {
        all.extend(set(2 * i, "/a", i.to_string().as_bytes()));
        all.extend(get(2 * i + 1, "/a", false));
    }
    client.send(&all);
    assert_eq!(client.receive().xid, 1);
    for i in 1..=50 {
        assert_eq!(client.receive().xid, 2 * i);
        let got = client.receive();
        let value = i.to_string();
        assert_eq!((got.xid, &got.body[4..4 + value.len()]), (2 * i + 1, value.as_bytes()));
    }
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/a", b"x", 0));
    for byte in get(2, "/a", false) {
        client.send(&[byte]);
        std::thread::yield_now();
    }
    assert_eq!(client.receive().error, 0);
}

#[test]
fn many_large_answers_to_one_small_packet_all_arrive() {
    let server = TestServer::start("");
    let mut client = server.client();
    let data = vec![b'x'; 1_000_000];
    assert_eq!(client.call(&create(1, "/big", &data, 0)).error, 0);
    let mut all = Vec::new();
    for xid in 2..66 {
        all.extend(get(xid, "/big", false));
    }
    client.send(&all);
    for xid in 2..66 {
        let reply = client.receive();
        assert_eq!((reply.xid, reply.error, reply.body.len() > data.len()), (xid, 0, true));
    }
}

#[test]
fn a_client_that_does_not_read_is_served_again_when_it_does() {
    let server = TestServer::start("");
    let (mut slow, mut other) = (server.client(), server.client());
    slow.call(&create(1, "/big", &vec![b'x'; 1_000_000], 0));
    let gets: Vec<u8> = (2..102).flat_map(|xid| get(xid, "/big", false)).collect();
    slow.send(&gets);
    for xid in 1..20 {
        assert_eq!(other.call(&get(xid, "/big", false)).error, 0, "nobody else waits");
    }
    for xid in 2..102 {
        assert_eq!(slow.receive().xid, xid);
    }
}

#[test]
fn a_client_that_never_reads_its_events_is_closed() {
    // Its session would outlive the test.
    let server = TestServer::start("minSessionTimeout=600000\nmaxSessionTimeout=600000");
    let (mut slow, mut other) = (server.client(), server.client());
    let path = format!("/{}", "p".repeat(500_000));
    other.call(&create(1, &path, b"", 0));
    let mut add = text(&path);
    add.extend_from_slice(&0i32.to_be_bytes());
    assert_eq!(slow.call(&request(1, 106, &add)).error, 0);
    // More than may wait in the sockets, in the connection and in its outbox.
    for xid in 2..302 {
        assert_eq!(other.call(&set(xid, &path, b"")).error, 0);
    }
    eventually("the slow one is gone", || server.figure("num_alive_connections") == "2");
}

#[test]
fn a_client_that_does_not_read_is_closed_when_its_session_expires() {
    let server = TestServer::start("minSessionTimeout=1000\nnio.sessionlessCnxnTimeout=500");
    let mut writer = server.client();
    writer.call(&create(1, "/big", &vec![b'x'; 1_000_000], 0));
    let mut slow = Client::resume(server.socket(), 1000, 0, &[0; 16]);
    let gets: Vec<u8> = (2..202).flat_map(|xid| get(xid, "/big", false)).collect();
    slow.send(&gets);
    eventually("the slow one is gone", || {
        writer.call(&request(-2, PING, b""));
        server.figure("num_alive_connections") == "2"
    });
}

#[test]
fn an_event_arrives_before_the_new_data_is_read() {
    let server = TestServer::start("");
    let (mut reader, mut writer) = (server.client(), server.client());
    writer.call(&create(1, "/w", b"00000000", 0));
    let mut version = -1;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for xid in 2.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                assert_eq!(writer.call(&set(xid, "/w", b"11111111")).error, 0);
            }
        });
        let mut event_due = false;
        for xid in 1..2000 {
            reader.send(&get(xid, "/w", true));
            loop {
                let reply = reader.receive();
                if reply.xid == -1 {
                    assert!(event_due, "an event without a watch");
                    event_due = false;
                    continue;
                }
                // The version is in the stat, behind the data: czxid, mzxid, ctime, mtime, version.
                let seen = i32::from_be_bytes(reply.body[12 + 32..12 + 36].try_into().unwrap());
                assert!(seen == version || !event_due, "version {seen} after {version} came before its event");
                version = seen;
                event_due = true;
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn bad_lengths_close_only_their_own_connection() {
    let server = TestServer::start("");
    let mut good = server.client();
    for length in [-1i32, -2, i32::MIN, 1_048_576, i32::MAX] {
        let mut fresh = server.socket();
        fresh.write_all(&length.to_be_bytes()).unwrap();
        assert!(is_closed(&mut fresh), "{length} on a fresh connection");
        let mut established = server.client();
        established.send(&length.to_be_bytes());
        assert!(is_closed(&mut established.socket), "{length} after the handshake");
    }
    for length in 0..8usize {
        let mut established = server.client();
        established.send(&frame(&vec![0; length]));
        assert!(is_closed(&mut established.socket), "a request of {length} bytes");
    }
    assert_eq!(good.call(&request(1, PING, b"")).error, 0);
}

#[test]
fn a_first_frame_that_is_no_handshake_closes() {
    let server = TestServer::start("");
    for body in [&b""[..], b"GET / HTTP/1.1\r\n", &[0x11; 43]] {
        let mut socket = server.socket();
        socket.write_all(&frame(body)).unwrap();
        assert!(is_closed(&mut socket), "{body:?}");
    }
    let mut socket = server.socket();
    socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(is_closed(&mut socket), "text is read as a length that is too large");
    let mut socket = server.socket();
    socket.write_all(&[0xff, 0xf4, 0xff, 0xfd, 6]).unwrap();
    assert!(is_closed(&mut socket), "telnet");
}

#[test]
fn the_largest_frame_is_taken() {
    let server = TestServer::start("");
    let mut client = server.client();
    let overhead = create(1, "/full", b"", 0).len() - 4;
    let reply = client.call(&create(1, "/full", &vec![1; 1_048_575 - overhead], 0));
    assert_eq!(reply.error, 0);
}

#[test]
fn unknown_operations_are_refused_and_close() {
    let server = TestServer::start("");
    for op in [999, 10, 13, 20, -10, 0, -1] {
        let mut client = server.client();
        let reply = client.call(&request(7, op, b""));
        assert_eq!((reply.xid, reply.zxid, reply.error, reply.body.len()), (7, -1, -6, 0), "{op}");
        assert!(is_closed(&mut client.socket), "{op}");
    }
}

#[test]
fn bodies_that_cannot_be_decoded_are_answered_and_the_connection_stays() {
    let server = TestServer::start("");
    let mut client = server.client();
    for (xid, op) in [(1, 4), (2, 1), (3, 5), (4, 14)] {
        let reply = client.call(&request(xid, op, &[0, 0, 0, 9, b'/']));
        assert_eq!((reply.xid, reply.error), (xid, -5), "op {op}");
    }
    assert_eq!(client.call(&request(5, PING, b"")).error, 0);
}

#[test]
fn a_connection_without_a_handshake_is_closed_in_time() {
    let server = TestServer::start("nio.sessionlessCnxnTimeout=300");
    let mut silent = server.socket();
    let mut half = server.socket();
    half.write_all(&connect_request(10_000, 0, &[0; 16])[..20]).unwrap();
    let mut good = server.client();
    assert!(is_closed(&mut silent));
    assert!(is_closed(&mut half));
    assert_eq!(good.call(&request(1, PING, b"")).error, 0);
    assert_eq!(server.figure("sessionless_connections_expired"), "2");
}

#[test]
fn a_client_that_shuts_down_its_side_is_closed() {
    let server = TestServer::start("");
    for _ in 0..50 {
        let mut client = server.client();
        client.send(&request(1, PING, b""));
        client.socket.shutdown(Shutdown::Write).unwrap();
    }
    eventually("all are gone", || server.figure("num_alive_connections") == "1");
}

#[test]
fn closing_a_session_is_answered_and_then_closes() {
    let server = TestServer::start("");
    let (mut client, mut other) = (server.client(), server.client());
    client.call(&create(1, "/e", b"", 1));
    let reply = client.call(&request(2, CLOSE, b""));
    assert_eq!((reply.xid, reply.error), (2, 0));
    assert_eq!(other.call(&get(1, "/e", false)).error, -101, "its ephemerals are gone by then");
    assert!(is_closed(&mut client.socket));
}

#[test]
fn a_session_moves_to_its_newest_connection() {
    let server = TestServer::start("");
    let mut first = server.client();
    first.call(&create(1, "/e", b"", 1));
    let mut second = Client::resume(server.socket(), 10_000, first.session, &first.password.clone());
    assert_eq!(second.session, first.session);
    assert!(is_closed(&mut first.socket));
    assert_eq!(second.call(&get(1, "/e", false)).error, 0);
}

#[test]
fn a_wrong_password_is_answered_with_nothing_and_closes() {
    let server = TestServer::start("");
    let first = server.client();
    let mut refused = Client::resume(server.socket(), 10_000, first.session, &[9; 16]);
    assert_eq!((refused.session, refused.timeout, refused.password.as_slice()), (0, 0, &[0; 16][..]));
    assert!(is_closed(&mut refused.socket));
}

#[test]
fn a_client_that_has_seen_more_than_the_server_is_closed_without_an_answer() {
    let server = TestServer::start("");
    let mut ahead = connect_request(10_000, 0, &[0; 16]);
    // Behind the length and the version of the protocol.
    ahead[8..16].copy_from_slice(&0x1_0000_0000i64.to_be_bytes());
    let mut socket = server.socket();
    socket.write_all(&ahead).unwrap();
    assert!(is_closed(&mut socket));
}

#[test]
fn an_authentication_that_fails_is_answered_without_a_zxid_and_closes() {
    let server = TestServer::start("");
    let mut client = server.client();
    let auth = [&0i32.to_be_bytes()[..], &text("unheard-of"), &frame(b"x")].concat();
    let reply = client.call(&request(-4, 100, &auth));
    assert_eq!((reply.xid, reply.zxid, reply.error), (-4, 0, -115));
    assert!(is_closed(&mut client.socket));
}

#[test]
fn the_id_of_a_session_starts_with_the_number_of_the_server() {
    let server = TestServer::start("");
    assert_eq!(server.client().session >> 56, 1, "a standalone server is number 1");
}

#[test]
fn bytes_behind_a_request_are_ignored() {
    let server = TestServer::start("");
    let mut client = server.client();
    for request in [create(1, "/a", b"x", 0), get(1, "/a", false), set(1, "/a", b"y")] {
        let longer = [&request[4..], b"what a later release may add"].concat();
        assert_eq!(client.call(&frame(&longer)).error, 0);
    }
}

#[test]
fn a_first_frame_is_read_as_a_handshake_whatever_it_is() {
    let server = TestServer::start("");
    let mut socket = server.socket();
    // A request of xid -8, op 0: the version of the protocol and the zxid last seen, to the server.
    let body = [&[0; 4][..], &10_000i32.to_be_bytes(), &[0; 8], &frame(&[0; 16]), b"surplus"].concat();
    socket.write_all(&request(-8, 0, &body)).unwrap();
    let answer = read_frame(&mut socket);
    assert_eq!(i32::from_be_bytes(answer[4..8].try_into().unwrap()), 10_000);
    assert_ne!(i64::from_be_bytes(answer[8..16].try_into().unwrap()), 0, "a session");
}

#[test]
fn a_request_carries_the_identities_of_its_arrival() {
    let server = TestServer::start("");
    let mut client = server.client();
    let auth = [&0i32.to_be_bytes()[..], &text("digest"), &frame(b"ann:secret")].concat();
    let mut other = server.client();
    assert_eq!(other.call(&request(-4, 100, &auth)).error, 0);
    let acl = [&1i32.to_be_bytes()[..], &31i32.to_be_bytes(), &text("auth"), &text("")].concat();
    let body = [&text("/a")[..], &frame(b""), &acl, &0i32.to_be_bytes()].concat();
    assert_eq!(other.call(&request(1, 1, &body)).error, 0);
    // All at once: the first is on its way when the identity comes.
    let all = [set(1, "/a", b"x"), request(-4, 100, &auth), set(2, "/a", b"y")].concat();
    client.send(&all);
    let mut errors: Vec<(i32, i32)> = (0..3).map(|_| client.receive()).map(|r| (r.xid, r.error)).collect();
    errors.sort();
    assert_eq!(errors, [(-4, 0), (1, -102), (2, 0)]);
}

#[test]
fn a_silent_session_expires() {
    let server = TestServer::start("minSessionTimeout=1000");
    let mut client = Client::resume(server.socket(), 1000, 0, &[0; 16]);
    client.call(&create(1, "/e", b"", 1));
    assert!(is_closed(&mut client.socket));
    let mut other = server.client();
    assert_eq!(other.call(&get(1, "/e", false)).error, -101);
}

#[test]
fn connections_of_one_address_are_limited() {
    let server = TestServer::start("maxClientCnxns=2");
    let (first, _second) = (server.client(), server.client());
    let mut third = server.socket();
    assert!(is_closed(&mut third));
    drop(first);
    eventually("its place is free", || {
        let mut socket = server.socket();
        let sent = socket.write_all(&connect_request(10_000, 0, &[0; 16]));
        sent.is_ok() && !is_closed(&mut socket)
    });
}

#[test]
fn large_requests_share_a_budget() {
    let server = TestServer::start("largeRequestThreshold=1000\nlargeRequestMaxBytes=5000");
    let mut client = server.client();
    for xid in 1..20 {
        let reply = client.call(&create(xid, &format!("/{xid}"), &vec![1; 2000], 0));
        assert_eq!(reply.error, 0, "one at a time fits");
    }
    client.send(&create(20, "/20", &vec![1; 6000], 0));
    assert!(is_closed(&mut client.socket));
    assert_eq!(server.figure("large_requests_rejected"), "1");
}

#[test]
fn too_many_handshakes_at_once_are_refused() {
    let server = TestServer::start("connection_throttle_tokens=2\nconnection_throttle_fill_time=1000000");
    let (_first, _second) = (server.client(), server.client());
    let mut third = server.socket();
    third.write_all(&connect_request(10_000, 0, &[0; 16])).unwrap();
    assert!(is_closed(&mut third));
    assert_eq!(server.figure("connection_rejected"), "1");
}

#[test]
fn beyond_the_outstanding_limit_everything_is_still_answered() {
    let server = TestServer::start("globalOutstandingLimit=5");
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    clients[0].call(&create(1, "/a", b"", 0));
    for client in &mut clients {
        let all: Vec<u8> = (2..102).flat_map(|xid| set(xid, "/a", b"x")).collect();
        client.send(&all);
    }
    for client in &mut clients {
        for xid in 2..102 {
            let reply = client.receive();
            assert_eq!((reply.xid, reply.error), (xid, 0));
        }
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/kept", b"value", 0));
    let disk = server.stop();
    let server = TestServer::start_on(disk, "");
    let mut client = server.client();
    let reply = client.call(&get(1, "/kept", false));
    assert_eq!((reply.error, &reply.body[4..9]), (0, &b"value"[..]));
}

#[test]
fn snapshots_are_written_while_requests_go_on() {
    let server = TestServer::start("snapCount=100");
    let mut client = server.client();
    for xid in 1..500 {
        assert_eq!(client.call(&create(xid, &format!("/n{xid}"), b"x", 0)).error, 0);
    }
    eventually("a snapshot is there", || server.figure("cnt_snapshottime") != "0");
    let disk = server.stop();
    let files = disk.list(Path::new("/data/version-2")).unwrap();
    assert!(
        files.iter().filter(|file| file.name.starts_with("log.")).count() > 1,
        "the log rolls with each: {files:?}"
    );
    let server = TestServer::start_on(disk, "");
    assert_eq!(server.figure("znode_count"), "504");
}

#[test]
fn clients_that_come_by_ipv4_are_known_by_their_ipv4_address() {
    let server = TestServer::start("clientPortAddress=0.0.0.0");
    let mut client = server.client();
    let cons = server.ask("cons");
    assert!(cons.lines().next().unwrap().starts_with(" /127.0.0.1:"), "{cons}");
    // An ACL for this address only lets this address in.
    let mut b = text("/mine");
    b.extend(frame(b""));
    b.extend_from_slice(&1i32.to_be_bytes());
    b.extend_from_slice(&31i32.to_be_bytes());
    b.extend(text("ip"));
    b.extend(text("127.0.0.1"));
    b.extend_from_slice(&0i32.to_be_bytes());
    assert_eq!(client.call(&request(1, 1, &b)).error, 0);
    assert_eq!(client.call(&get(2, "/mine", false)).error, 0);
}

/// Nothing is synced before three transactions wait for it; handshakes count, and are not throttled.
const THREE_AT_A_TIME: &str = "flushDelay=600000\nmaxWriteQueuePollTime=600000\nmaxBatchSize=3\n\
    minSessionTimeout=1000\nmaxSessionTimeout=600000\n";

fn is_silent(client: &mut Client) -> bool {
    client.socket.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
    let silent = client.socket.peek(&mut [0]).is_err();
    client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    silent
}

/// Sessions that live as long as the test: this many handshakes, answered together.
fn join(server: &TestServer, timeouts: &[i32]) -> Vec<Client> {
    std::thread::scope(|scope| {
        let open = |timeout: i32| move || Client::resume(server.socket(), timeout, 0, &[0; 16]);
        let threads: Vec<_> = timeouts.iter().map(|timeout| scope.spawn(open(*timeout))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
const FOR_EVER: i32 = 600_000;

#[test]
fn a_batch_waits_for_its_size_or_its_delay() {
    let server = TestServer::start(THREE_AT_A_TIME);
    let mut clients = join(&server, &[FOR_EVER; 3]);
    clients[0].send(&create(1, "/a", b"", 0));
    clients[1].send(&create(1, "/b", b"", 0));
    assert!(is_silent(&mut clients[0]) && is_silent(&mut clients[1]), "two do not make a batch");
    clients[2].send(&create(1, "/c", b"", 0));
    for client in &mut clients {
        assert_eq!(client.receive().error, 0);
    }
}

/// A server with one request under way, of the first client, and one that waits for it, of the second.
fn with_a_waiting_request(lines: &str, timeout: i32) -> (TestServer, Vec<Client>) {
    with_waiting(lines, timeout, &create(1, "/b", b"", 0))
}

fn with_waiting(lines: &str, timeout: i32, waiting: &[u8]) -> (TestServer, Vec<Client>) {
    let lines = format!("{THREE_AT_A_TIME}request_throttle_max_requests=1\nrequest_throttle_stall_time=5\n{lines}");
    let server = TestServer::start(&lines);
    let mut clients = join(&server, &[FOR_EVER, timeout, FOR_EVER]);
    // They come back in the order of their threads.
    assert_eq!((clients[0].timeout, clients[1].timeout), (FOR_EVER, timeout));
    clients[0].send(&create(1, "/a", b"", 0));
    eventually("the first request is under way", || server.figure("outstanding_requests") == "1");
    clients[1].send(waiting);
    eventually("the second request waits", || server.figure("request_throttle_wait_count") != "0");
    (server, clients)
}

#[test]
fn a_waiting_request_is_served_when_the_load_falls() {
    let (server, mut clients) = with_a_waiting_request("", FOR_EVER);
    assert!(is_silent(&mut clients[1]));
    // Two handshakes fill the batch.
    let _more = join(&server, &[FOR_EVER; 2]);
    assert_eq!(clients[0].receive().error, 0);
    eventually("the second request is under way", || server.figure("outstanding_requests") == "1");
    let _more = join(&server, &[FOR_EVER; 2]);
    assert_eq!(clients[1].receive().error, 0);
}

#[test]
fn a_request_that_waits_too_long_is_answered_as_throttled_and_never_proposed() {
    let (server, mut clients) = with_a_waiting_request("throttled_op_wait_time=50", FOR_EVER);
    let reply = clients[1].receive();
    assert_eq!((reply.xid, reply.error), (1, -127));
    assert_eq!(server.figure("throttled_ops"), "1");
    let _more = join(&server, &[FOR_EVER; 2]);
    assert_eq!(clients[0].receive().error, 0);
    assert_eq!(clients[0].call(&get(2, "/b", false)).error, -101);
}

#[test]
fn a_waiting_request_of_a_client_that_has_gone_is_dropped() {
    let (server, mut clients) = with_a_waiting_request("", FOR_EVER);
    clients[1].socket.shutdown(Shutdown::Both).unwrap();
    eventually("it is dropped", || server.figure("stale_requests_dropped") == "1");
    let _more = join(&server, &[FOR_EVER; 2]);
    assert_eq!(clients[0].receive().error, 0);
    assert_eq!(clients[0].call(&get(2, "/b", false)).error, -101);
}

#[test]
fn the_end_of_a_session_is_never_stale_nor_throttled() {
    let (server, mut clients) = with_waiting("throttled_op_wait_time=50", FOR_EVER, &request(1, CLOSE, b""));
    clients[1].socket.shutdown(Shutdown::Both).unwrap();
    let _more = join(&server, &[FOR_EVER; 2]);
    assert_eq!(clients[0].receive().error, 0);
    // Five handshakes, a create, and the end of the session.
    eventually("it is under way", || server.figure("sync_processor_request_queued") == "7");
    let _more = join(&server, &[FOR_EVER; 2]);
    eventually("it is done", || server.figure("global_sessions") == "6");
    assert_eq!((server.figure("stale_requests_dropped"), server.figure("throttled_ops")), ("0".into(), "0".into()));
}

#[test]
fn what_is_stale_is_done_all_the_same_where_it_is_not_to_be_dropped() {
    for (lines, stale) in [("request_throttle_drop_stale=false", "1"), ("request_stale_connection_check=false", "0")] {
        let (server, mut clients) = with_a_waiting_request(lines, FOR_EVER);
        clients[1].socket.shutdown(Shutdown::Both).unwrap();
        let _more = join(&server, &[FOR_EVER; 2]);
        assert_eq!(clients[0].receive().error, 0);
        let counts = || (server.figure("stale_requests"), server.figure("sync_processor_request_queued"));
        // Five handshakes and both creates.
        eventually("it is under way", || counts() == (stale.to_string(), "7".to_string()));
        let _more = join(&server, &[FOR_EVER; 2]);
        eventually("it is done", || clients[0].call(&get(2, "/b", false)).error == 0);
        assert_eq!(
            (server.figure("stale_requests_dropped"), server.figure("stale_replies")),
            ("0".into(), stale.into())
        );
    }
}

#[test]
fn a_request_that_waits_longer_than_its_sessions_timeout_is_dropped_if_that_is_wanted() {
    let (server, mut clients) = with_a_waiting_request("request_stale_latency_check=true", 1000);
    assert!(is_closed(&mut clients[1].socket));
    assert_eq!(server.figure("stale_requests_dropped"), "1");
}

#[test]
fn who_has_not_authenticated_as_demanded_is_told_and_closed() {
    for lines in [
        "enforce.auth.enabled=true\nenforce.auth.schemes=digest",
        "sessionRequireClientSASLAuth=true\nauthProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
    ] {
        let server = TestServer::start(lines);
        let mut client = server.client();
        let reply = client.call(&get(1, "/", false));
        assert_eq!((reply.xid, reply.error), (1, -124), "{lines}");
        assert!(is_closed(&mut client.socket));
        let mut client = server.client();
        let mut auth = 0i32.to_be_bytes().to_vec();
        auth.extend(text("digest"));
        auth.extend(text("u:p"));
        assert_eq!(client.call(&request(-4, 100, &auth)).error, 0);
        let expected = if lines.contains("SASL") { -124 } else { 0 };
        assert_eq!(client.call(&get(1, "/", false)).error, expected, "{lines}");
    }
}

#[test]
fn a_sasl_token_that_is_null_or_cannot_be_read_closes_and_any_other_is_answered() {
    for demanded in ["", "sessionRequireClientSASLAuth=true\nauthProvider.1=SASLAuthenticationProvider"] {
        let server = TestServer::start(demanded);
        let mut client = server.client();
        for token in [&b""[..], b"token"] {
            let reply = client.call(&request(1, SASL, &frame(token)));
            assert_eq!((reply.error, reply.zxid, reply.body), (0, 0, vec![0xff; 4]), "a null token comes back");
        }
        for body in [&[0xff; 4][..], b"", &[0, 0], &[0xff, 0xff, 0xff, 0xfe], &[0, 0, 0, 9, 1]] {
            let mut client = server.client();
            client.send(&request(1, SASL, body));
            assert!(is_closed(&mut client.socket), "{body:?}");
        }
    }
}
