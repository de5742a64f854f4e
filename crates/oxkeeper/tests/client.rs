//! The client on tokio against a real server: order of requests, views, watches as values and streams, and what an outage means to each.

mod processes;

use oxkeeper_client::{
    Acl, Client, ClientError, CreateMode, ErrorCode, EventType, Id, NodeOptions, Perms, ReadAnswer, SessionState,
    Watched,
};
use processes::gate::*;
use processes::*;
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

async fn event(stream: &mut oxkeeper_client::WatchStream) -> (EventType, String) {
    match soon("event", stream.next()).await {
        Some(Watched::Event(event)) => (event.kind, event.path),
        other => panic!("an event was due, not {other:?}"),
    }
}

#[tokio::test]
async fn requests_are_in_line_from_the_call_that_makes_them() {
    let (_scratch, server) = single("client-order", "");
    let client = connect(&format!("127.0.0.1:{}", server.port)).await;
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    let sets: Vec<_> = (0..100).map(|i| client.set("/a", i.to_string(), -1)).collect();
    let mut versions = Vec::new();
    for set in sets.into_iter().rev() {
        versions.push(set.await.unwrap().version);
    }
    assert_eq!(versions, (1..=100).rev().collect::<Vec<_>>());
    // One that nobody polls is carried out as well.
    drop(client.set("/a", "unpolled", -1));
    assert_eq!(client.get("/a").await.unwrap().0, b"unpolled");
    client.close().await.unwrap();
    assert_eq!(client.get("/a").await.unwrap_err(), ClientError::Closed);
    assert_eq!(client.current_state(), SessionState::Closed);
}

#[tokio::test]
async fn views_have_their_own_root_on_the_same_session() {
    let (_scratch, server) = single("client-views", "");
    let root = connect(&format!("127.0.0.1:{}", server.port)).await;
    root.create("/app", "", CreateMode::Persistent).await.unwrap();
    root.create("/apple", "", CreateMode::Persistent).await.unwrap();
    let app = root.at("/app").unwrap();
    let mut below = app.watch("/").recursive().await.unwrap();
    let (path, stat) = app.create("/member-", "x", CreateMode::EphemeralSequential).await.unwrap();
    assert_eq!((path.as_str(), stat.ephemeral_owner), ("/member-0000000000", root.session().0));
    assert_eq!(event(&mut below).await, (EventType::NodeCreated, path.clone()));
    assert_eq!(root.children("/app").await.unwrap().0, ["member-0000000000"]);
    assert_eq!(app.ephemerals("/").await.unwrap(), [path.as_str()]);
    assert_eq!(app.at("/x").unwrap().chroot(), "/app/x");
    let done = app.transaction().set("/", "here", -1).delete(&path, -1).commit().await.unwrap();
    assert_eq!(done.len(), 2);
    assert_eq!(root.get("/app").await.unwrap().0, b"here");
    root.close().await.unwrap();
    assert_eq!(app.get("/").await.unwrap_err(), ClientError::Closed);
}

#[tokio::test]
async fn transactions_and_reads_of_several_nodes() {
    let (_scratch, server) = single("client-multi", "");
    let client = connect(&format!("127.0.0.1:{}", server.port)).await;
    client.create("/a", "1", CreateMode::Persistent).await.unwrap();
    let refused = client.transaction().create("/b", "", CreateMode::Persistent).check("/a", 7).set("/a", "2", -1);
    let error = refused.commit().await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { at: 1, path, .. } if path == "/a"), "{error}");
    assert!(error.is(ErrorCode::BadVersion) && !error.may_have_happened());
    assert_eq!(client.exists("/b").await.unwrap(), None);
    let answers = client.multi_read().get("/a").children("/").get("/b").fetch().await.unwrap();
    assert!(matches!(&answers[0], ReadAnswer::Data(data, _) if data == b"1"), "{answers:?}");
    assert!(matches!(&answers[1], ReadAnswer::Children(names) if names.contains(&"a".into())), "{answers:?}");
    assert_eq!(answers[2], ReadAnswer::Error(ErrorCode::NoNode.number()));
    // A TTL and an ACL travel along.
    let options = NodeOptions::from(CreateMode::Persistent).acl(vec![Acl::new(Perms::READ, Id::anyone())]);
    client.transaction().create("/c", "", options.clone()).commit().await.unwrap();
    assert_eq!(client.get_acl("/c").await.unwrap().0, options.acl);
}

#[tokio::test]
async fn streams_tell_what_they_were_asked_for_and_end_on_the_server_with_the_last() {
    let (_scratch, server) = single("client-streams", "");
    let client = connect(&format!("127.0.0.1:{}", server.port)).await;
    let mut node = client.watch("/a").await.unwrap();
    let mut twin = client.watch("/a").children().await.unwrap();
    let mut all = client.watch("/").recursive().await.unwrap();
    let (found, once) = client.exists_and_watch("/a/b").await.unwrap();
    assert_eq!(found, None);
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    client.create("/a/b", "", CreateMode::Persistent).await.unwrap();
    client.set("/a", "1", -1).await.unwrap();
    use EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged};
    let a = || "/a".to_string();
    for due in [(NodeCreated, a()), (NodeDataChanged, a())] {
        assert_eq!(event(&mut node).await, due);
    }
    for due in [(NodeCreated, a()), (NodeChildrenChanged, a()), (NodeDataChanged, a())] {
        assert_eq!(event(&mut twin).await, due);
    }
    for due in [(NodeCreated, a()), (NodeCreated, "/a/b".into()), (NodeDataChanged, a())] {
        assert_eq!(event(&mut all).await, due);
    }
    assert_eq!(soon("event", once).await.unwrap().kind, NodeCreated);
    let watches = || ask(server.port, "wchs");
    drop(node);
    drop(all);
    client.sync("/").await.unwrap();
    assert!(watches().contains("1 paths"), "the twin's watch stays: {}", watches());
    drop(twin);
    client.sync("/").await.unwrap();
    assert!(watches().contains("Total watches:0"), "{}", watches());
}

#[tokio::test]
async fn a_stream_says_where_it_may_have_missed_something_and_only_there() {
    let (_scratch, server) = single("client-gap", "");
    let gate = Gate::to(server.port);
    let client = connect(&gate.address()).await;
    let other = connect(&format!("127.0.0.1:{}", server.port)).await;
    other.create("/a", "", CreateMode::Persistent).await.unwrap();
    let mut changes = client.watch("/").recursive().await.unwrap();
    client.sync("/").await.unwrap();
    // Nothing happens while it is away: nothing is missed.
    gate.cut();
    let mut states = client.state();
    until(&mut states, SessionState::Disconnected).await;
    gate.mend();
    // Behind the watches that are registered again: a change before them would be a gap.
    soon("connection", client.sync("/")).await.unwrap();
    other.set("/a", "1", -1).await.unwrap();
    assert_eq!(event(&mut changes).await, (EventType::NodeDataChanged, "/a".into()));
    // One change is made while it is away.
    gate.cut();
    until(&mut states, SessionState::Disconnected).await;
    other.set("/a", "2", -1).await.unwrap();
    gate.mend();
    assert_eq!(soon("gap", changes.next()).await, Some(Watched::Gap));
    other.set("/a", "3", -1).await.unwrap();
    assert_eq!(event(&mut changes).await, (EventType::NodeDataChanged, "/a".into()));
    assert!(client.lives_until().unwrap() > Instant::now());
}

/// Takes events until one is this, or a gap stands for it.
async fn event_or_gap(stream: &mut oxkeeper_client::WatchStream, kind: EventType, path: &str) {
    loop {
        match soon(&format!("{kind:?} {path}"), stream.next()).await {
            Some(Watched::Event(event)) if (event.kind, event.path.as_str()) == (kind, path) => return,
            Some(Watched::Event(_)) => {}
            Some(Watched::Gap) => return,
            None => panic!("the stream ended before {kind:?} {path}"),
        }
    }
}

#[tokio::test]
async fn streams_from_a_server_without_persistent_watches_miss_nothing_in_silence() {
    let (_scratch, server) = single("client-older", "");
    let gate = Gate::to_older(server.port);
    let client = connect(&gate.address()).await;
    let other = connect(&format!("127.0.0.1:{}", server.port)).await;
    other.create("/r", "", CreateMode::Persistent).await.unwrap();
    other.create("/r/x", "", CreateMode::Persistent).await.unwrap();
    let mut node = client.watch("/n").await.unwrap();
    let mut list = client.watch("/r").children().await.unwrap();
    let mut all = client.watch("/r").recursive().await.unwrap();
    use EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};
    other.set("/r/x", "1", -1).await.unwrap();
    assert_eq!(event(&mut all).await, (NodeDataChanged, "/r/x".into()));
    other.create("/r/y", "", CreateMode::Persistent).await.unwrap();
    assert_eq!(event(&mut list).await, (NodeChildrenChanged, "/r".into()));
    assert_eq!(event(&mut all).await, (NodeCreated, "/r/y".into()));
    other.create("/r/y/z", "", CreateMode::Persistent).await.unwrap();
    event_or_gap(&mut all, NodeCreated, "/r/y/z").await;
    other.set("/r/y/z", "1", -1).await.unwrap();
    event_or_gap(&mut all, NodeDataChanged, "/r/y/z").await;
    other.delete("/r/y/z", -1).await.unwrap();
    event_or_gap(&mut all, NodeDeleted, "/r/y/z").await;
    other.create("/n", "", CreateMode::Persistent).await.unwrap();
    assert_eq!(event(&mut node).await, (NodeCreated, "/n".into()));
    // Two changes while it is away: one event, and a gap for the other.
    gate.cut();
    let mut states = client.state();
    until(&mut states, SessionState::Disconnected).await;
    for data in ["1", "2"] {
        other.set("/n", data, -1).await.unwrap();
    }
    gate.mend();
    assert_eq!(event(&mut node).await, (NodeDataChanged, "/n".into()));
    assert_eq!(soon("gap", node.next()).await, Some(Watched::Gap));
    // With the last stream and clone the session goes.
    client.create("/mine", "", CreateMode::Ephemeral).await.unwrap();
    let (_, gone) = other.exists_and_watch("/mine").await.unwrap();
    drop((node, list, all, states, client));
    assert_eq!(soon("end", gone).await.unwrap().kind, NodeDeleted);
}

#[tokio::test]
async fn the_end_of_a_session_is_a_state_an_error_and_the_end_of_streams() {
    let (_scratch, server) = single("client-expiry", "tickTime=200");
    let gate = Gate::to(server.port);
    let builder = Client::builder().session_timeout(Duration::from_secs(1)).request_timeout(PATIENCE);
    let client = builder.connect(&gate.address()).await.unwrap();
    client.create("/e", "", CreateMode::Ephemeral).await.unwrap();
    let mut changes = client.watch("/e").await.unwrap();
    let (_, once) = client.get_and_watch("/e").await.unwrap();
    let mut states = client.state();
    let other = connect(&format!("127.0.0.1:{}", server.port)).await;
    let (_, gone) = other.exists_and_watch("/e").await.unwrap();
    gate.cut();
    let lived_until = client.lives_until().unwrap();
    assert_eq!(soon("event", gone).await.unwrap().kind, EventType::NodeDeleted);
    assert!(lived_until <= Instant::now(), "the client must know of the end before others do");
    gate.mend();
    let mut seen = Vec::new();
    while let Some(state) = soon("state", states.next()).await {
        seen.push(state);
    }
    assert_eq!(seen.first(), Some(&SessionState::Connected));
    assert_eq!(seen.last(), Some(&SessionState::Expired));
    let expired = ClientError::SessionExpired { session: client.session() };
    assert_eq!(soon("end", once).await.unwrap_err(), expired);
    assert_eq!(client.get("/").await.unwrap_err(), expired);
    assert_eq!(client.ended().await, expired);
    while soon("end", changes.next()).await.is_some() {}
    assert_eq!(client.lives_until(), None);
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_it_is() {
    let (_scratch, server) = single("client-refused", "");
    let client = connect(&format!("127.0.0.1:{}", server.port)).await;
    for wrong in ["", "a", "/a/", "/a//b", "/a/../b"] {
        let error = client.get(wrong).await.unwrap_err();
        assert!(matches!(error, ClientError::Path { .. }) && !error.may_have_happened(), "{wrong}: {error}");
    }
    let error = client.create("/big", vec![0; 1 << 20], CreateMode::Persistent).await.unwrap_err();
    assert!(matches!(error, ClientError::TooLarge { .. }) && !error.may_have_happened(), "{error}");
    assert_eq!(client.exists("/big").await.unwrap(), None, "the connection is as it was");
    for wrong in ["", "/x", "host:port", "host//x"] {
        assert!(matches!(Client::connect(wrong).await, Err(ClientError::ConnectString { .. })), "{wrong}");
    }
}

#[tokio::test]
async fn a_tree_is_deleted_from_below_and_what_is_not_there_is_fine() {
    let (_scratch, server) = single("client-delete-all", "");
    let root = connect(&format!("127.0.0.1:{}", server.port)).await;
    root.create("/app", "", CreateMode::Persistent).await.unwrap();
    root.create("/apple", "", CreateMode::Persistent).await.unwrap();
    let app = root.at("/app").unwrap();
    for path in ["/a", "/a/b", "/a/b/c", "/a/d", "/e"] {
        app.create(path, "", CreateMode::Persistent).await.unwrap();
    }
    app.delete_all("/a").await.unwrap();
    assert_eq!(app.children("/").await.unwrap().0, ["e"]);
    app.delete_all("/a").await.unwrap();
    app.delete_all("/").await.unwrap();
    let mut left = root.children("/").await.unwrap().0;
    left.sort();
    assert_eq!(left, ["apple", "zookeeper"]);
    let error = root.delete_all("/").await.unwrap_err();
    assert!(error.is(ErrorCode::BadArguments), "the whole of a server is not deleted: {error}");
    assert!(matches!(root.delete_all("/a/").await, Err(ClientError::Path { .. })));
}

#[tokio::test]
async fn a_server_that_talks_nonsense_or_nothing_is_left_for_another() {
    let (_scratch, server) = single("client-nonsense", "");
    let babbler = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let servers = format!("127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}", port(&babbler), port(&silent), server.port);
    std::thread::spawn(move || {
        for stream in babbler.incoming() {
            // The client may be gone already.
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let builder = Client::builder().in_order().session_timeout(Duration::from_secs(4)).connect_timeout(PATIENCE);
    let client = builder.connect(&servers).await.unwrap();
    client.create("/a", "", CreateMode::Persistent).await.unwrap();
    // One deadline of one request: the server stands still.
    signal(&server.child, 19);
    eventually("the server stands still", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    });
    let error = client.get("/a").timeout(Duration::from_millis(50)).await.unwrap_err();
    signal(&server.child, 18);
    assert!(matches!(error, ClientError::Timeout { sent: true, .. }), "{error}");
    soon("answer", client.get("/a")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_watches_survive_a_restart_of_the_server() {
    let scratch = Scratch::new("client-watches");
    let port = free_ports(1)[0];
    let config = scratch.config("4lw.commands.whitelist=*");
    let text = std::fs::read_to_string(&config).unwrap().replace("clientPort=0", &format!("clientPort={port}"));
    std::fs::write(&config, text).unwrap();
    let server = Single::start(&config);
    let client = connect(&format!("127.0.0.1:{port}")).await;
    let paths: Vec<String> = (0..100_000).map(|i| format!("/watched/by/one/client/{i:06}")).collect();
    let asked: Vec<_> = paths.iter().map(|path| client.exists_and_watch(path)).collect();
    let mut watches = Vec::new();
    for watch in asked {
        watches.push(watch.await.unwrap().1);
    }
    server.stop();
    let server = Single::start(&config);
    let other = connect(&format!("127.0.0.1:{port}")).await;
    eventually("all watches at the new process", || ask(server.port, "wchs").contains("Total watches:100000"));
    for path in ["/watched", "/watched/by", "/watched/by/one", "/watched/by/one/client", &paths[99_999]] {
        other.create(path, "", CreateMode::Persistent).await.unwrap();
    }
    let fired = soon("event", watches.pop().unwrap()).await.unwrap();
    assert_eq!((fired.kind, &fired.path), (EventType::NodeCreated, &paths[99_999]));
}
