//! What operators write into the configurations of an ensemble, as its servers obey it.

mod processes;

use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{Acl, ClientError, CreateMode, ErrorCode, Id, Perms};
use processes::*;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn connect(port: u16, options: Options) -> Result<Client, ClientError> {
    Client::connect(&format!("127.0.0.1:{port}"), options)
}

fn config_node(client: &Client) -> String {
    String::from_utf8(client.get("/zookeeper/config", false).unwrap().0.unwrap()).unwrap()
}

#[test]
fn names_are_members_too_and_one_that_cannot_be_looked_up_is_a_server_that_is_down() {
    let mut trio = Trio::new("names", |_, text, _| {
        let text = text.replace("=127.0.0.1:", "=localhost:");
        text.replace("server.3=localhost", "server.3=no-such-host.invalid")
    });
    trio.start_again(1);
    trio.start_again(2);
    let (leader, _) = trio.wait_for_leader(2);
    let client = trio.client(leader);
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    let text = config_node(&client);
    let member =
        |id: usize, host: &str| format!("server.{id}={}:participant\n", trio.member(id).replace("127.0.0.1", host));
    let lines = [member(1, "localhost"), member(2, "localhost"), member(3, "no-such-host.invalid")];
    assert_eq!(text, format!("{}version=0", lines.concat()));
    let said = trio.log(leader);
    assert!(said.contains("Cannot open channel to 3 at election address no-such-host.invalid:"), "{said}");
    trio.stop();
}

/// The members stand in a file of their own, with the addresses for clients.
fn with_dynamic_file(id: usize, text: &str, trio: &Trio) -> String {
    let file = trio.dir().join(format!("zoo{id}.cfg.dynamic"));
    let lines = (1..=3).map(|n| format!("server.{n}={};127.0.0.1:{}\n", trio.member(n), trio.port(n)));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let moved = |line: &&str| !line.starts_with("server.") && !line.starts_with("clientPort");
    let rest: Vec<&str> = text.lines().filter(moved).collect();
    format!("# ours\n{}\ndynamicConfigFile={}\n", rest.join("\n"), file.display())
}

fn listed(trio: &Trio) -> String {
    let line = |id| format!("server.{id}={}:participant;127.0.0.1:{}\n", trio.member(id), trio.port(id));
    (1..=3).map(line).collect()
}

#[test]
fn members_stand_in_a_file_of_their_own_which_is_left_alone() {
    let mut trio = Trio::new("dynamic", |id, text, trio| with_dynamic_file(id, &text, trio));
    let before: Vec<String> = (1..=3).map(|id| std::fs::read_to_string(trio.config(id)).unwrap()).collect();
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, _) = trio.wait_for_leader(3);
    assert_eq!(config_node(&trio.client(leader)), format!("{}version=0", listed(&trio)));
    trio.stop();
    // Without reconfigEnabled nothing of it is written, as in the reference.
    let after: Vec<String> = (1..=3).map(|id| std::fs::read_to_string(trio.config(id)).unwrap()).collect();
    assert_eq!(after, before);
}

#[test]
fn with_reconfig_enabled_the_list_gets_a_version_and_a_file_that_the_next_start_reads() {
    let mut trio =
        Trio::new("versions", |id, text, trio| with_dynamic_file(id, &text, trio) + "reconfigEnabled=true\n");
    let before: Vec<String> = (1..=3).map(|id| std::fs::read_to_string(trio.config(id)).unwrap()).collect();
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, _) = trio.wait_for_leader(3);
    let named = config_node(&trio.client(leader));
    let version = named.lines().last().unwrap().strip_prefix("version=").unwrap().to_owned();
    assert!(version.ends_with("00000000") && version != "00000000", "an epoch's first zxid, got {version}");
    for id in 1..=3 {
        let file = format!("{}.dynamic.{version}", trio.config(id).display());
        let pointer = format!("dynamicConfigFile={file}\n");
        let text = || std::fs::read_to_string(trio.config(id)).unwrap();
        eventually("the pointer to the list", || text().ends_with(&pointer));
        let (kept, _) = before[id - 1].split_once("dynamicConfigFile=").unwrap();
        assert_eq!(text(), format!("{kept}reconfigEnabled=true\n{pointer}"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), listed(&trio).trim_end());
    }
    trio.stop();
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, _) = trio.wait_for_leader(3);
    assert!(config_node(&trio.client(leader)).ends_with(&format!("version={version}")));
    trio.stop();
}

#[test]
fn a_member_with_several_addresses_is_reached_at_the_one_that_answers() {
    let mut trio = Trio::new("addresses", |id, text, _| {
        // To the others: nobody is at 127.0.0.9.
        let own = format!("server.{id}=");
        let lines = text.lines().map(|line| match line.split_once("=127.0.0.1:") {
            Some((key, ports)) if key.starts_with("server.") && !line.starts_with(&own) => {
                format!("{key}=127.0.0.9:{ports}|127.0.0.1:{ports}\n")
            }
            _ => format!("{line}\n"),
        });
        format!("{}multiAddress.enabled=true\n", lines.collect::<String>())
    });
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, followers) = trio.wait_for_leader(3);
    trio.client(followers[0]).create("/a", b"", CreateMode::Persistent).unwrap();
    let other = followers[1];
    let line =
        format!("server.{other}={}|{}:participant", trio.member(other), trio.member(other).replace("0.0.1", "0.0.9"));
    assert!(config_node(&trio.client(leader)).contains(&line));
    trio.stop();
}

/// Every line of a member with `addresses` of the two ports in the place of its one address.
fn with_addresses(text: &str, addresses: impl Fn(&str) -> String) -> String {
    let lines = text.lines().map(|line| match line.split_once("=127.0.0.1:") {
        Some((key, ports)) if key.starts_with("server.") => format!("{key}={}\n", addresses(ports)),
        _ => format!("{line}\n"),
    });
    format!("{}multiAddress.enabled=true\n", lines.collect::<String>())
}

#[test]
fn an_address_of_its_own_that_cannot_be_had_keeps_no_server_from_an_ensemble() {
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| text.contains("00000001 01"));
    for host in ["127.0.0.1", "[::1]"].into_iter().filter(|host| v6 || *host != "[::1]") {
        let name = if host == "[::1]" { "unreachable-6" } else { "unreachable-4" };
        let mut trio = Trio::new(name, |_, text, _| {
            with_addresses(&text, |ports| format!("{host}:{ports}|unreachable.invalid:{ports}"))
        });
        (1..=3).for_each(|id| trio.start_again(id));
        let (leader, followers) = trio.wait_for_leader(3);
        trio.client(followers[0]).create("/a", b"", CreateMode::Persistent).unwrap();
        let said = trio.log(leader);
        assert!(said.contains("our other addresses have to do"), "{said}");
        trio.stop();
    }
}

#[test]
fn a_server_listens_at_all_its_addresses_and_is_found_at_each() {
    // Of server 3 the others know one address each.
    let mut trio = Trio::new("own-addresses", |id, text, trio| {
        let text = with_addresses(&text, |ports| format!("127.0.0.1:{ports}|127.0.0.2:{ports}"));
        let (first, second) = (trio.member(3), trio.member(3).replace("0.0.1", "0.0.2"));
        let known = if id == 1 { first.clone() } else { second.clone() };
        if id == 3 { text } else { text.replace(&format!("{first}|{second}"), &known) }
    });
    (1..=3).for_each(|id| trio.start_again(id));
    trio.wait_for_leader(3);
    for address in ["127.0.0.1", "127.0.0.2"] {
        let line = format!("Election port: listening at {address}:{}", trio.peer_port(3, true));
        assert!(trio.log(3).contains(&line), "{line}");
    }
    trio.stop();
}

/// Takes connections that wait to be accepted until there is no room for more: whoever connects hears nothing.
fn swallow_connections(port: u16) -> (TcpListener, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(connection) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(connection);
        assert!(waiting.len() < 5000, "connections are not swallowed here");
    }
    (listener, waiting)
}

#[test]
fn an_address_that_swallows_what_is_sent_there_does_not_hold_up_the_dial_to_the_leader() {
    let mut trio = Trio::new("swallowed", |id, text, _| {
        let own = format!("server.{id}=127.0.0.1:");
        let text = text.replace(&own, &format!("server.{id}=127.0.0.9:"));
        // To the others, at both; the one that swallows is the first.
        with_addresses(&text, |ports| format!("127.0.0.1:{ports}|127.0.0.9:{ports}"))
    });
    let _swallowing: Vec<_> = (1..=3).map(|id| swallow_connections(trio.peer_port(id, false))).collect();
    (1..=3).for_each(|id| trio.start_again(id));
    let (_, followers) = trio.wait_for_leader(3);
    trio.client(followers[0]).create("/a", b"", CreateMode::Persistent).unwrap();
    trio.stop();
}

#[test]
fn clients_are_served_at_an_ipv6_address_with_a_scope() {
    if !std::fs::read_to_string("/proc/net/if_inet6").is_ok_and(|text| text.contains("00000001 01")) {
        return;
    }
    let mut trio = Trio::new("scope", |_, text, _| {
        text.replace("clientPortAddress=127.0.0.1\n", "") + "clientPortAddress=::1%lo\n"
    });
    (1..=3).for_each(|id| trio.start_again(id));
    eventually("it listens", || std::net::TcpStream::connect(("::1", trio.port(1))).is_ok());
    trio.stop();
}

#[test]
fn a_client_port_that_is_taken_ends_the_start_of_a_member_before_it_looks_for_a_leader() {
    let mut trio = Trio::new("taken-client-port", |_, text, _| text);
    let taken = TcpListener::bind(("127.0.0.1", trio.port(1))).unwrap();
    trio.start_again(1);
    assert_eq!(trio.wait(1).code(), Some(1));
    let said = trio.log(1);
    assert!(said.contains(&taken.local_addr().unwrap().port().to_string()) && !said.contains("LOOKING"), "{said}");
}

#[test]
fn a_member_that_trusts_a_log_without_a_snapshot_writes_one_so_that_the_next_start_need_not() {
    let mut trio = Trio::start("trust-empty");
    let snapshots = |trio: &Trio, id: usize| {
        let files = std::fs::read_dir(trio.data(id).join("version-2")).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("snapshot.")).collect::<Vec<_>>()
    };
    trio.wait_for_leader(3);
    trio.client(1).create("/kept", b"", CreateMode::Persistent).unwrap();
    for id in 1..=3 {
        trio.kill(id);
        snapshots(&trio, id).iter().for_each(|name| {
            std::fs::remove_file(trio.data(id).join("version-2").join(name)).unwrap();
        });
    }
    let config = |trio: &Trio, id: usize| std::fs::read_to_string(trio.config(id)).unwrap();
    let before: Vec<String> = (1..=3).map(|id| config(&trio, id)).collect();
    for id in 1..=3 {
        std::fs::write(trio.config(id), config(&trio, id) + "snapshot.trust.empty=true\n").unwrap();
        trio.start_again(id);
    }
    trio.wait_for_leader(3);
    for id in 1..=3 {
        eventually("a snapshot of what the log holds", || !snapshots(&trio, id).is_empty());
    }
    // The switch is taken out again, as its documentation asks for.
    for id in 1..=3 {
        trio.kill(id);
        std::fs::write(trio.config(id), &before[id - 1]).unwrap();
        trio.start_again(id);
    }
    trio.wait_for_leader(3);
    assert!(trio.client(2).exists("/kept", false).unwrap().is_some());
    trio.stop();
}

#[test]
fn without_a_quorum_clients_that_only_read_are_served_where_that_is_enabled() {
    let mut trio = Trio::new("read-only", |_, text, _| {
        text.replace("tickTime=2000", "tickTime=500") + "readonlymode.enabled=true\n"
    });
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, followers) = trio.wait_for_leader(3);
    trio.client(leader).create("/a", b"kept", CreateMode::Persistent).unwrap();
    let alone = followers[0];
    let reader = trio.client(alone);
    reader.sync("/").unwrap();
    drop(reader);
    trio.kill(leader);
    trio.kill(followers[1]);
    eventually("it serves who only reads", || trio.ask(alone, "isro") == "ro");
    assert_eq!(trio.mode(alone).as_deref(), Some("read-only"));
    let reader = connect(trio.port(alone), Options { read_only: true, ..Options::default() }).unwrap();
    assert_eq!(reader.get("/a", false).unwrap().0.as_deref(), Some(&b"kept"[..]));
    let refused = reader.create("/b", b"", CreateMode::Persistent).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NotReadOnly));
    let patience = Duration::from_millis(500);
    assert!(connect(trio.port(alone), Options { connect_timeout: patience, ..Options::default() }).is_err());
    // With a quorum, everybody is served again.
    trio.start_again(leader);
    trio.wait_for_leader(2);
    trio.client(alone).create("/b", b"", CreateMode::Persistent).unwrap();
    trio.stop();
}

#[test]
fn a_server_that_served_only_readers_comes_back_to_an_ensemble_that_has_had_writes() {
    let mut trio = Trio::new("read-only-return", |_, text, _| {
        text.replace("tickTime=2000", "tickTime=500") + "readonlymode.enabled=true\n"
    });
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, followers) = trio.wait_for_leader(3);
    let (alone, other) = (followers[0], followers[1]);
    let client = trio.client(alone);
    client.create("/a", b"old", CreateMode::Persistent).unwrap();
    client.close().unwrap();
    let zxid = |id: usize| trio.ask(id, "srvr").lines().find(|line| line.starts_with("Zxid: ")).map(str::to_owned);
    eventually("all have everything", || zxid(alone).is_some() && (1..=3).all(|id| zxid(id) == zxid(alone)));
    let before = zxid(alone);
    trio.kill(leader);
    trio.kill(other);
    eventually("it serves who only reads", || trio.ask(alone, "isro") == "ro");
    let read_only = || Options { read_only: true, ..Options::default() };
    let mut reader = connect(trio.port(alone), read_only()).unwrap();
    assert_eq!(reader.get("/a", false).unwrap().0.as_deref(), Some(&b"old"[..]));
    let zxid = |id: usize| trio.ask(id, "srvr").lines().find(|line| line.starts_with("Zxid: ")).map(str::to_owned);
    assert_eq!(zxid(alone), before, "sessions that only read are no transactions");
    // The others write while it takes no part in anything.
    trio.signal(alone, 19);
    trio.start_again(leader);
    trio.start_again(other);
    let writer = connect(trio.port(leader), Options { connect_timeout: PATIENCE, ..Options::default() }).unwrap();
    writer.set("/a", b"new", -1).unwrap();
    writer.create("/b", b"", CreateMode::Persistent).unwrap();
    trio.signal(alone, 18);
    eventually("its reader sees what is new", || match reader.get("/a", false) {
        Ok((data, _)) => data.as_deref() == Some(b"new"),
        Err(_) => {
            // A session that only read ends with its server's loneliness.
            reader = connect(trio.port(alone), read_only()).unwrap();
            false
        }
    });
    trio.wait_for_leader(3);
    let back = trio.client(alone);
    back.sync("/").unwrap();
    assert_eq!(tree(&back), tree(&writer), "nothing was lost on either side");
    trio.stop();
}

#[test]
fn the_leader_removes_empty_containers_and_old_nodes_everywhere_and_so_does_the_next_one() {
    let mut trio =
        Trio::new("reaper", |_, text, _| text + "znode.container.checkIntervalMs=200\nextendedTypesEnabled=true\n");
    (1..=3).for_each(|id| trio.start_again(id));
    let (leader, followers) = trio.wait_for_leader(3);
    let check = |trio: &Trio, at: usize, then: usize| {
        let client = trio.client(at);
        client.create("/kept", b"", CreateMode::Container).unwrap();
        client.create("/kept/child", b"", CreateMode::Persistent).unwrap();
        client.create("/used", b"", CreateMode::Container).unwrap();
        client.create("/used/child", b"", CreateMode::Persistent).unwrap();
        client.delete("/used/child", -1).unwrap();
        let (open, mode) = (oxkeeper_types::acl::open_acl(), CreateMode::PersistentWithTtl);
        client.create_ttl("/short", Some(b""), &open, mode, 300).unwrap();
        client.create_ttl("/long", Some(b""), &open, mode, 3_600_000).unwrap();
        let reader = trio.client(then);
        eventually("what is due is gone", || {
            reader.sync("/").unwrap();
            ["/used", "/short"].iter().all(|path| reader.exists(path, false).unwrap().is_none())
        });
        let left = tree(&reader);
        assert!(["/kept", "/kept/child", "/long"].iter().all(|path| left.contains_key(*path)), "{left:?}");
        ["/kept/child", "/kept", "/long"].iter().for_each(|path| {
            // An empty container may be gone before we are.
            let _ = client.delete(path, -1);
        });
    };
    check(&trio, followers[0], followers[1]);
    trio.kill(leader);
    let (second, others) = trio.wait_for_leader(2);
    check(&trio, others[0], second);
    trio.stop();
}

#[test]
fn a_leader_that_is_not_to_serve_leaves_the_clients_to_the_others() {
    let mut trio = Trio::new("leader-serves", |_, text, _| text + "leaderServes=no\n");
    (1..=3).for_each(|id| trio.start_again(id));
    eventually("two follow", || (1..=3).filter(|id| trio.mode(*id).as_deref() == Some("follower")).count() == 2);
    let leader = (1..=3).find(|id| trio.mode(*id).as_deref() != Some("follower")).unwrap();
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let client = trio.client(follower);
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    let patience = Duration::from_millis(500);
    assert!(connect(trio.port(leader), Options { connect_timeout: patience, ..Options::default() }).is_err());
    trio.stop();
}

#[test]
fn a_port_for_other_servers_that_stays_taken_ends_the_start_with_14() {
    let mut trio = Trio::new("taken", |_, text, _| text + "electionPortBindRetry=1\n");
    let taken = TcpListener::bind(("127.0.0.1", trio.peer_port(1, true))).unwrap();
    trio.start_again(1);
    assert_eq!(trio.wait(1).code(), Some(14));
    let said = trio.log(1);
    assert!(said.contains(&format!("cannot listen on the election port {}", taken.local_addr().unwrap())), "{said}");
}

#[test]
fn a_port_for_other_servers_that_is_taken_is_tried_again() {
    let mut trio = Trio::new("taken-for-a-while", |_, text, _| text + "electionPortBindRetry=0\n");
    let taken = TcpListener::bind(("127.0.0.1", trio.peer_port(1, true))).unwrap();
    (1..=3).for_each(|id| trio.start_again(id));
    trio.wait_for_leader(2);
    eventually("it tries", || trio.log(1).contains("trying again"));
    assert!(TcpStream::connect(("127.0.0.1", trio.port(1))).is_err(), "clients are refused, not kept waiting");
    drop(taken);
    trio.wait_for_leader(3);
    trio.stop();
}

#[test]
fn with_eager_acl_checks_a_refused_write_takes_no_zxid_on_any_member() {
    for (line, taken) in [("enableEagerACLCheck=true\n", 0), ("", 4)] {
        let mut trio = Trio::new(&format!("eager{taken}"), |_, text, _| text + line);
        (1..=3).for_each(|id| trio.start_again(id));
        let (leader, _) = trio.wait_for_leader(3);
        let owner = trio.client(leader);
        owner.auth("digest", b"u:p").unwrap();
        let strangers: Vec<Client> = (1..=3).map(|id| trio.client(id)).collect();
        owner.create("/mine", b"", CreateMode::Persistent).unwrap();
        owner.create("/mine/child", b"", CreateMode::Persistent).unwrap();
        owner.set_acl("/mine", &[Acl::new(Perms::ALL, Id::new("auth", ""))], -1).unwrap();
        let czxid = |path: &str| {
            owner.create(path, b"", CreateMode::Persistent).unwrap();
            owner.exists(path, false).unwrap().unwrap().czxid.0
        };
        for (at, stranger) in strangers.iter().enumerate() {
            // It knows what the owner has done.
            stranger.sync("/").unwrap();
            let before = czxid(&format!("/before{at}"));
            let no_auth = |result: Result<(), ClientError>| {
                assert_eq!(result.unwrap_err().code(), Some(ErrorCode::NoAuth), "{line}server {}", at + 1);
            };
            no_auth(stranger.set("/mine", b"x", -1).map(drop));
            no_auth(stranger.create("/mine/x", b"", CreateMode::Persistent).map(drop));
            no_auth(stranger.delete("/mine/child", -1));
            no_auth(stranger.set_acl("/mine", &oxkeeper_types::acl::open_acl(), -1).map(drop));
            assert_eq!(czxid(&format!("/after{at}")) - before, 1 + taken, "{line}server {}", at + 1);
        }
        trio.stop();
    }
}
