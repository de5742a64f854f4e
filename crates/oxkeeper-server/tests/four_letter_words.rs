//! Four-letter words over real sockets, in the shapes that release 3.9.5 answers in (captured from a live one).

mod common;

use common::*;
use std::collections::BTreeSet;

/// Replaces runs of digits, so that shapes can be compared.
fn shape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('9') => {}
            '0'..='9' => out.push('9'),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn words_that_need_no_server() {
    let server = TestServer::start("");
    assert_eq!(server.ask("ruok"), "imok");
    assert_eq!(server.ask("isro"), "rw");
    assert_eq!(server.ask("gtmk"), "306");
    assert_eq!(server.ask_bytes(b"stmk\0\0\0\0\0\0\0\x07"), "7");
    assert_eq!(server.ask("gtmk"), "7");
    assert_eq!(server.ask("srst"), "Server stats reset.\n");
    assert_eq!(server.ask("crst"), "Connection stats reset.\n");
}

#[test]
fn a_word_that_comes_in_pieces_is_answered() {
    use std::io::{Read, Write};
    let server = TestServer::start("");
    let mut socket = server.socket();
    for byte in b"ruok" {
        socket.write_all(&[*byte]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");
}

#[test]
fn what_stands_behind_a_word_is_ignored() {
    let server = TestServer::start("");
    for bytes in [&b"ruok\n"[..], b"ruok\r\n", b"ruok srvr", b"ruok\0\0\0\x01\xff"] {
        assert_eq!(server.ask_bytes(bytes), "imok", "{bytes:?}");
    }
}

#[test]
fn a_word_counts_as_one_packet_received_and_none_sent() {
    let server = TestServer::start("");
    let figures = || {
        let srvr = server.ask("srvr");
        let of = |name: &str| srvr.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).unwrap();
        (of("Received: "), of("Sent: "))
    };
    assert_eq!(figures(), (1, 0), "the word itself");
    assert_eq!(server.ask("ruok"), "imok");
    assert_eq!(figures(), (3, 0));
    server.ask("srst");
    assert_eq!(figures(), (1, 0), "counted anew");
}

#[test]
fn hash_tells_the_digests_with_their_zxids() {
    let server = TestServer::start("");
    let mut client = server.client();
    assert_eq!(server.ask("hash"), "");
    // The session took the first one.
    for n in 1..=255 {
        client.call(&create(n, &format!("/n{n}"), b"", 0));
    }
    let hash = server.ask("hash");
    let lines: Vec<(&str, i64)> =
        hash.lines().map(|line| line.split_once(": ").map(|(z, d)| (z, d.parse().unwrap())).unwrap()).collect();
    assert!(matches!(lines[..], [("80", first), ("100", second)] if first != second), "{hash}");
}

#[test]
fn addresses_are_in_javas_form() {
    let Ok(_) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("this machine has no IPv6: left out");
        return;
    };
    let mut server = TestServer::start("clientPortAddress=::1");
    let address = std::net::SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], server.address.port()));

    server.address = address;
    let client = server.client();
    let port = client.socket.local_addr().unwrap().port();
    for word in ["cons", "stat"] {
        let answer = server.ask(word);
        assert!(answer.contains(&format!(" /[0:0:0:0:0:0:0:1]:{port}[1](")), "{answer}");
    }
    let dump = server.ask("dump");
    assert!(dump.contains(&format!("\tip: /[0:0:0:0:0:0:0:1]:{port} sessionId: 0x")), "{dump}");
}

#[test]
fn every_operation_has_the_name_of_the_reference() {
    let server = TestServer::start("extendedTypesEnabled=true\nreconfigEnabled=true");
    let mut client = server.client();
    let last = |client: &mut Client, frame: &[u8]| {
        client.call(frame);
        let cons = server.ask("cons");
        let mine = cons.lines().find(|line| line.contains(&format!("sid=0x{:x},", client.session))).unwrap();
        mine.split(",lop=").nth(1).unwrap().split(',').next().unwrap().to_string()
    };
    let int = |n: i32| n.to_be_bytes().to_vec();
    let path = |tail: Vec<u8>| [text("/a"), tail].concat();
    let open = [int(1), int(31), text("world"), text("anyone")].concat();
    let create = |name: &str, flags: i32| [text(name), frame(b""), open.clone(), int(flags)].concat();
    let end = [int(-1), vec![1], int(-1)].concat();
    for (op, body, expected) in [
        (1, create("/a", 0), "CREA"),
        (15, create("/b", 0), "CREA"),
        (19, create("/c", 4), "CREA"),
        (21, [create("/d", 5), 1000i64.to_be_bytes().to_vec()].concat(), "CREA"),
        (2, [text("/b"), int(-1)].concat(), "DELE"),
        (3, path(vec![0]), "EXIS"),
        (4, path(vec![0]), "GETD"),
        (5, [path(frame(b"x")), int(-1)].concat(), "SETD"),
        (6, path(vec![]), "GETA"),
        (7, [path(open.clone()), int(-1)].concat(), "SETA"),
        (8, path(vec![0]), "GETC"),
        (12, path(vec![0]), "GETC"),
        (104, path(vec![]), "GETACN"),
        (9, path(vec![]), "SYNC"),
        (14, end.clone(), "MULT"),
        (22, end.clone(), "MLTR"),
        (106, path(int(0)), "ADDW"),
        (17, path(int(4)), "CHKW"),
        (18, path(int(4)), "REMW"),
        (101, [vec![0; 8], int(0), int(0), int(0)].concat(), "SETW"),
        (105, [vec![0; 8], int(0), int(0), int(0), int(0), int(0)].concat(), "STW2"),
        (103, text("/"), "GETE"),
        (107, vec![], "HOMI"),
    ] {
        assert_eq!(last(&mut client, &request(1, op, &body)), expected, "{op}");
    }
    assert_eq!(last(&mut client, &request(-2, PING, b"")), "PING");
    // What was refused: a write has no name, a read keeps its own, and a multi that fails is answered all the same.
    let check = [int(13), vec![0], int(-1), text("/none"), int(-1)].concat();
    for (op, body, expected) in [
        (1, create("/a", 0), "NA"),
        (4, [text("/none"), vec![0]].concat(), "GETD"),
        (5, [text("/none"), frame(b"x"), int(-1)].concat(), "NA"),
        (14, [check, end.clone()].concat(), "MULT"),
        (14, int(7), "NA"),
        (5, path(frame(b"x")), "NA"),
        (5, [path(frame(b"x")), int(-1)].concat(), "SETD"),
        (9, vec![], "SYNC"),
    ] {
        assert_eq!(last(&mut client, &request(1, op, &body)), expected, "{op}");
    }
}

#[test]
fn srvr_and_stat() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/a", b"", 0));
    let srvr = server.ask("srvr");
    let lines: Vec<&str> = srvr.lines().collect();
    let (version, date) = lines[0].split_once(", built on ").unwrap();
    assert!(version.starts_with("Zookeeper version: 3.9.5-oxkeeper-") && date == "unknown", "{srvr}");
    let shapes: Vec<String> = lines[1..].iter().map(|line| shape(line)).collect();
    assert!(shapes[0].starts_with("Latency min/avg/max: 9/9.9/9"), "{srvr}");
    assert_eq!(
        shapes[1..],
        [
            "Received: 9",
            "Sent: 9",
            "Connections: 9",
            "Outstanding: 9",
            "Zxid: 9x9",
            "Mode: standalone",
            "Node count: 9"
        ]
    );
    assert!(srvr.contains("\nZxid: 0x2\n") && srvr.ends_with("Node count: 6\n"), "{srvr}");

    let stat = server.ask("stat");
    let lines: Vec<String> = stat.lines().map(shape).collect();
    assert_eq!(lines[1], "Clients:");
    assert_eq!(lines[2], " /9.9.9.9:9[9](queued=9,recved=9,sent=9)");
    assert_eq!(lines[4], "", "{stat}");
}

#[test]
fn cons_tells_what_a_connection_did_last() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/a", b"", 0));
    client.call(&get(2, "/a", false));
    client.call(&request(-2, PING, b""));
    client.call(&get(3, "/a", false));
    let cons = server.ask("cons");
    let lines: Vec<&str> = cons.lines().collect();
    let mine = lines.iter().find(|line| line.contains(",sid=")).unwrap();
    let expected = format!("(queued=0,recved=5,sent=5,sid=0x{:x},lop=GETD,est=", client.session);
    assert!(mine.contains(&expected), "{cons}");
    assert!(mine.contains(",to=10000,lcxid=0x3,lzxid=0x2,lresp="), "{cons}");
    let tail = shape(mine.split(",lresp=").nth(1).unwrap());
    assert_eq!(tail, "9,llat=9,minlat=9,avglat=9,maxlat=9)");
    assert!(cons.ends_with("\n\n"), "a blank line at the end");

    server.ask("crst");
    let cons = server.ask("cons");
    assert!(cons.contains("recved=0,sent=0,sid="), "{cons}");
    assert!(cons.contains(",lop=NA,est="), "{cons}");
    assert!(cons.contains(",to=10000,lzxid=0xffffffffffffffff,lresp=0,"), "{cons}");
}

#[test]
fn the_handshake_is_an_operation_too() {
    let server = TestServer::start("");
    let _client = server.client();
    let cons = server.ask("cons");
    assert!(cons.contains("recved=1,sent=1,sid=") && cons.contains(",lop=SESS,"), "{cons}");
}

#[test]
fn watches_are_listed_by_session_and_by_path() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/e", b"", 1));
    client.call(&get(2, "/e", true));
    let mut exists = text("/nope");
    exists.push(1);
    client.call(&request(3, 3, &exists));
    let session = client.session;
    assert_eq!(server.ask("wchs"), "1 connections watching 2 paths\nTotal watches:2\n");
    assert_eq!(server.ask("wchc"), format!("0x{session:x}\n\t/e\n\t/nope\n\n"));
    assert_eq!(server.ask("wchp"), format!("/e\n\t0x{session:x}\n/nope\n\t0x{session:x}\n\n"));
}

#[test]
fn dump_lists_sessions_ephemerals_and_connections() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/e", b"", 1));
    let dump = server.ask("dump");
    let session = format!("0x{:x}", client.session);
    let lines: Vec<String> = dump.replace(&session, "SID").lines().map(shape).collect();
    assert_eq!(lines[..2], ["SessionTracker dump:", "Session Sets (9)/(9):"]);
    assert!(lines[2].starts_with("9 expire at ") && lines[2].ends_with(" UTC 9:"), "{dump}");
    assert_eq!(
        lines[3..8],
        ["\tSID", "ephemeral nodes dump:", "Sessions with Ephemerals (9):", "SID:", "\t/e"],
        "{dump}"
    );
    assert_eq!(lines[8], "Connections dump:");
    assert_eq!(lines[9], "Connections Sets (9)/(9):");
    assert!(lines.iter().any(|line| line == "\tip: /9.9.9.9:9 sessionId: SID"), "{dump}");
    // The reference goes on listing a session that has none left.
    client.call(&request(2, 2, &[text("/e"), (-1_i32).to_be_bytes().to_vec()].concat()));
    let dump = server.ask("dump");
    assert!(dump.contains("\nSessions with Ephemerals (0):\nConnections dump:\n"), "{dump}");
}

#[test]
fn conf_shows_the_settings() {
    let server = TestServer::start("maxClientCnxns=17");
    let conf = server.ask("conf");
    let keys: Vec<&str> = conf.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "clientPort",
            "secureClientPort",
            "dataDir",
            "dataDirSize",
            "dataLogDir",
            "dataLogSize",
            "tickTime",
            "maxClientCnxns",
            "minSessionTimeout",
            "maxSessionTimeout",
            "clientPortListenBacklog",
            "serverId"
        ]
    );
    for line in [
        "secureClientPort=-1",
        "dataDir=/data/version-2",
        "maxClientCnxns=17",
        "tickTime=2000",
        "minSessionTimeout=4000",
        "maxSessionTimeout=40000",
        "clientPortListenBacklog=-1",
        "serverId=0",
    ] {
        assert!(conf.lines().any(|l| l == line), "{line} in {conf}");
    }
}

#[test]
fn envi_and_dirs_have_their_keys() {
    let server = TestServer::start("");
    let envi = server.ask("envi");
    assert!(envi.starts_with("Environment:\nzookeeper.version=3.9.5-"), "{envi}");
    for key in ["host.name", "java.version", "os.name", "os.arch", "user.name", "user.dir", "os.memory.max"] {
        assert!(envi.lines().any(|line| line.starts_with(&format!("{key}="))), "{key} in {envi}");
    }
    assert_eq!(shape(&server.ask("dirs")), "datadir_size: 9\nlogdir_size: 9\n");
}

#[test]
fn mntr_has_every_name_of_the_reference() {
    let server = TestServer::start("");
    let mntr = server.ask("mntr");
    let ours: BTreeSet<&str> =
        mntr.lines().map(|line| line.strip_prefix("zk_").unwrap().split('\t').next().unwrap()).collect();
    let theirs: BTreeSet<&str> = include_str!("mntr-3.9.5.txt").lines().collect();
    assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&&str>::new(), "missing");
    assert_eq!(ours.len(), mntr.lines().count(), "each name once");
}

#[test]
fn mntr_counts() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/a", b"x", 0));
    client.call(&get(2, "/a", true));
    client.call(&set(3, "/a", b"y"));
    client.receive();
    for (name, value) in [
        ("znode_count", "6"),
        ("watch_count", "0"),
        ("global_sessions", "1"),
        ("server_state", "standalone"),
        ("connection_request_count", "1"),
        ("connection_drop_probability", "0.0"),
        ("cnt_node_changed_watch_count", "1"),
    ] {
        assert_eq!(server.figure(name), value, "{name}");
    }
    for name in
        ["packets_received", "packets_sent", "cnt_readlatency", "cnt_updatelatency", "cnt_fsynctime", "response_bytes"]
    {
        assert_ne!(server.figure(name), "0", "{name}");
    }
    assert_ne!(server.figure("last_client_response_size"), "-1");
}

#[test]
fn mntr_counts_bytes_by_first_level_node() {
    let server = TestServer::start("");
    let mut client = server.client();
    client.call(&create(1, "/a", b"x", 0));
    client.call(&create(2, "/a/b", b"yy", 0));
    client.call(&set(3, "/a", b"zzz"));
    client.call(&get(4, "/a", false));
    let mut children = text("/a");
    children.push(0);
    client.call(&request(5, 8, &children));
    client.call(&get(6, "/nope", false));
    for (name, value) in [
        ("avg_a_write_per_namespace", "4.6667"),
        ("min_a_write_per_namespace", "3"),
        ("max_a_write_per_namespace", "6"),
        ("cnt_a_write_per_namespace", "3"),
        ("sum_a_write_per_namespace", "14"),
        ("avg_a_read_per_namespace", "72.0"),
        ("min_a_read_per_namespace", "71"),
        ("max_a_read_per_namespace", "73"),
        ("cnt_a_read_per_namespace", "2"),
        ("sum_a_read_per_namespace", "144"),
    ] {
        assert_eq!(server.figure(name), value, "{name}");
    }
    assert!(!server.ask("mntr").contains("nope"), "what is not there is not counted");
}

#[test]
fn mntr_adds_up_quotas_by_first_level_node() {
    let server = TestServer::start("enforceQuota=true");
    let mut client = server.client();
    let mut make = |path: &str, data: &[u8]| client.call(&create(1, path, data, 0)).error;
    for (path, data) in [
        ("/a", ""),
        ("/a/b", ""),
        ("/zookeeper/quota/a", ""),
        ("/zookeeper/quota/a/b", ""),
        ("/zookeeper/quota/a/zookeeper_limits", "count=5,bytes=100"),
        ("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0"),
        ("/zookeeper/quota/a/b/zookeeper_limits", "count=9,bytes=-1=;countHardLimit=2"),
        ("/zookeeper/quota/a/b/zookeeper_stats", "count=0,bytes=0"),
        ("/a/b/c", "four"),
    ] {
        assert_eq!(make(path, data.as_bytes()), 0, "{path}");
    }
    assert_eq!((make("/a/b/d", b""), make("/a/b/e", b"")), (-125, -125));
    for (name, value) in [
        ("count_limit", "7"),
        ("bytes_limit", "99"),
        // The statistics node of /a was counted before the quota of /a/b came between.
        ("count_usage", "4"),
        ("bytes_usage", "4"),
        ("exceeded_error", "2"),
    ] {
        assert_eq!(server.figure(&format!("a_quota_{name}_per_namespace")), value, "{name}");
    }
}

#[test]
fn words_outside_of_the_whitelist_are_not_run() {
    let server = TestServer::start("4lw.commands.whitelist=ruok");
    assert_eq!(server.ask("ruok"), "imok");
    assert!(server.ask("srvr").starts_with("Zookeeper version"), "always allowed");
    assert_eq!(server.ask("stat"), "stat is not executed because it is not in the whitelist.\n");
}

#[test]
fn stalls_are_looked_for_where_that_is_wanted() {
    let server = TestServer::start("jvm.pause.monitor=true\njvm.pause.sleep.time.ms=5");
    let looks = |server: &TestServer| server.figure("cnt_jvm_pause_time_ms").parse::<u64>().unwrap();
    eventually("it has looked a few times", || looks(&server) > 3);
    let server = TestServer::start("");
    assert_eq!(looks(&server), 0);
}
