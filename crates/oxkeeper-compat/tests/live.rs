//! The client library against a whole server. `./test --only live` runs them on the server under test and on the reference;
//! by hand: `cargo test -p oxkeeper-compat --test live`. The server is the reference unless OXKEEPER_CANDIDATE holds a command
//! with `{conf}` for its zoo.cfg.

use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{
    Acl, ClientError, CreateMode, ErrorCode, Event, EventType, Id, MultiOp, MultiResult, OpCode, Perms, SessionState,
    WatchEvent, call,
};
use oxkeeper_compat::servers::{Server, ServerConfig, ServerKind};
use oxkeeper_proto::client::{CheckVersionRequest, CreateRequest, DeleteRequest, PathWatchRequest, SetWatches2Request};
use oxkeeper_types::Zxid;
use oxkeeper_types::acl::open_acl;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn candidate() -> ServerKind {
    ServerKind::parse(&std::env::var("OXKEEPER_CANDIDATE").unwrap_or_else(|_| "java:3.9.5".to_string()))
}

fn start() -> Server {
    Server::start(&candidate(), &ServerConfig::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn connect(server: &Server) -> Client {
    Client::connect(&server.address.to_string(), Options::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// The next watch event, states left out.
fn next_watch(client: &Client) -> (EventType, String) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(event) = client.next_event(deadline - Instant::now()) {
        if let Event::Watch(WatchEvent { kind, path, .. }) = event {
            return (kind, path);
        }
    }
    panic!("no watch event within {PATIENCE:?}");
}

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ErrorCode {
    result.expect_err("the server is to refuse this").code().expect("a code of the server")
}

#[test]
fn the_client_library_does_every_operation() {
    let server = start();
    let client = connect(&server);
    for mode in [
        CreateMode::Persistent,
        CreateMode::Ephemeral,
        CreateMode::PersistentSequential,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
    ] {
        let path = client.create(&format!("/{mode:?}"), b"data", mode).unwrap();
        assert_eq!(path != format!("/{mode:?}"), mode.is_sequential(), "{path}");
        assert_eq!(client.get(&path, false).unwrap().0.as_deref(), Some(&b"data"[..]));
    }
    let ttl = CreateMode::PersistentWithTtl;
    assert_eq!(client.create_ttl("/ttl", None, &open_acl(), ttl, 3_600_000).unwrap().1.data_length, 0);
    assert_eq!(client.call(call::create("/plain", None, &open_acl(), CreateMode::Persistent)).unwrap(), "/plain");
    assert_eq!(code(client.create("/plain", b"", CreateMode::Persistent)), ErrorCode::NodeExists);
    assert_eq!(client.set("/plain", b"x", 0).unwrap().version, 1);
    assert_eq!(code(client.set("/plain", b"x", 0)), ErrorCode::BadVersion);
    assert_eq!(client.exists("/none", false).unwrap(), None);
    assert_eq!(client.exists("/plain", false).unwrap().unwrap().version, 1);
    assert_eq!(client.ephemerals("/").unwrap().len(), 2);
    assert_eq!(client.children("/", false).unwrap().0.len(), 8);
    assert_eq!(client.call(call::get_children("/", false)).unwrap().len(), 8);
    assert_eq!(client.all_children_number("/").unwrap(), 10);
    assert_eq!(client.sync("/plain").unwrap(), "/plain");
    assert_eq!(client.who_am_i().unwrap(), [Id::new("ip", "127.0.0.1")]);
    assert_eq!(client.sasl(b"token").unwrap(), None);
    assert_eq!(code(client.reconfig(None, Some("1"), None, -1)), ErrorCode::ReconfigDisabled);
    client.ping().unwrap();

    client.auth("digest", b"u1:p1").unwrap();
    let acl = [Acl::new(Perms::ALL, Id::new("auth", ""))];
    assert_eq!(client.set_acl("/plain", &acl, -1).unwrap().aversion, 1);
    assert_eq!(client.get_acl("/plain").unwrap().0[0].id.scheme, "digest");
    let other = connect(&server);
    assert_eq!(code(other.get("/plain", false)), ErrorCode::NoAuth);
    other.close().unwrap();
    client.delete("/plain", -1).unwrap();
    client.close().unwrap();
    assert_eq!(client.state(), SessionState::Closed);
    assert!(matches!(client.get("/ttl", false), Err(ClientError::Closed)));
}

#[test]
fn multis_succeed_or_fail_as_a_whole() {
    let server = start();
    let client = connect(&server);
    let create = |path: &'static str| MultiOp::Create {
        op: OpCode::Create2,
        request: CreateRequest { path: path.into(), data: None, acl: Some(open_acl()), flags: 0 },
    };
    let delete = |path: &'static str| MultiOp::Delete(DeleteRequest { path: path.into(), version: -1 });
    let check = MultiOp::Check(CheckVersionRequest { path: "/a".into(), version: 0 });
    let results = client.multi(&[create("/a"), create("/a/b"), check, delete("/a/b")]).unwrap();
    assert_eq!(call::multi_failure(&results), None);
    assert!(matches!(&results[0], MultiResult::Create2 { path, .. } if path == "/a"));
    let results = client.multi(&[create("/x"), delete("/none"), create("/y")]).unwrap();
    assert_eq!(call::multi_failure(&results), Some((1, ErrorCode::NoNode)));
    let read = |path: &'static str| MultiOp::GetData(PathWatchRequest { path: path.into(), watch: false });
    let results = client.multi_read(&[read("/a"), read("/x")]).unwrap();
    assert!(matches!(results[..], [MultiResult::GetData { .. }, MultiResult::Error(-101)]), "{results:?}");
    client.close().unwrap();
}

#[test]
fn watches_and_ephemerals_survive_a_broken_connection() {
    let server = start();
    let (client, other) = (connect(&server), connect(&server));
    client.create("/a", b"", CreateMode::Persistent).unwrap();
    client.create("/mine", b"", CreateMode::Ephemeral).unwrap();
    client.get("/a", true).unwrap();
    client.exists("/later", true).unwrap();
    client.add_watch("/a", true).unwrap();
    client.check_watches("/a", 5).unwrap();
    assert_eq!(code(client.check_watches("/none", 3)), ErrorCode::NoWatcher);
    let session = client.session();

    client.drop_connection();
    other.create("/later", b"", CreateMode::Persistent).unwrap();
    // Seen at once, or replayed when the client is back: once in either case.
    assert_eq!(next_watch(&client), (EventType::NodeCreated, "/later".to_string()));
    assert_eq!(client.session(), session);
    other.create("/a/b", b"", CreateMode::Persistent).unwrap();
    assert_eq!(next_watch(&client), (EventType::NodeCreated, "/a/b".to_string()));
    other.set("/a", b"x", -1).unwrap();
    assert_eq!(next_watch(&client), (EventType::NodeDataChanged, "/a".to_string()));
    client.remove_watches("/a", 3).unwrap();
    client
        .set_watches(&SetWatches2Request {
            relative_zxid: Zxid(0),
            data: vec!["/a".into()],
            exist: vec![],
            child: vec![],
            persistent: vec![],
            recursive: vec![],
        })
        .unwrap();
    assert_eq!(next_watch(&client), (EventType::NodeDataChanged, "/a".to_string()));
    assert_eq!(client.ephemerals("/").unwrap(), ["/mine"]);
    client.close().unwrap();
    assert_eq!(other.exists("/mine", false).unwrap(), None);
    other.close().unwrap();
}

#[test]
fn pipelined_calls_are_answered_in_order() {
    let server = start();
    let client = connect(&server);
    client.create("/p", b"", CreateMode::Persistent).unwrap();
    let mode = CreateMode::PersistentSequential;
    let pending: Vec<_> =
        (0..2000).map(|_| client.send(call::create("/p/", None, &open_acl(), mode)).unwrap()).collect();
    for (i, call) in pending.into_iter().enumerate() {
        assert_eq!(call.wait().unwrap(), format!("/p/{i:010}"));
    }
    assert_eq!(client.all_children_number("/p").unwrap(), 2000);
    client.close().unwrap();
}

#[test]
fn a_chroot_is_added_and_taken_away() {
    let server = start();
    let root = connect(&server);
    root.create("/app", b"", CreateMode::Persistent).unwrap();
    let client = Client::connect(&format!("{}/app", server.address), Options::default()).unwrap();
    client.add_watch("/", true).unwrap();
    assert_eq!(client.create("/x", b"1", CreateMode::Ephemeral).unwrap(), "/x");
    assert_eq!(next_watch(&client), (EventType::NodeCreated, "/x".to_string()));
    assert_eq!(client.ephemerals("/").unwrap(), ["/x"]);
    assert_eq!(root.children("/app", false).unwrap().0, ["x"]);
    client.close().unwrap();
    root.close().unwrap();
}

#[test]
fn a_session_is_resumed_by_another_client() {
    let server = start();
    let first = connect(&server);
    first.create("/e", b"", CreateMode::Ephemeral).unwrap();
    let resume = Some((first.session(), first.password()));
    drop(first);
    let second = Client::connect(&server.address.to_string(), Options { resume, ..Options::default() }).unwrap();
    assert_eq!(second.ephemerals("/").unwrap(), ["/e"]);
    second.close().unwrap();
    let third = Client::connect(&server.address.to_string(), Options { resume, ..Options::default() });
    assert!(matches!(third, Err(ClientError::SessionExpired { .. })));
}

#[test]
fn refused_credentials_end_the_client() {
    let server = start();
    let client = connect(&server);
    assert_eq!(client.auth("nothing", b"x"), Err(ClientError::AuthFailed { scheme: "nothing".into() }));
    assert_eq!(client.state(), SessionState::AuthFailed);
}

#[test]
fn an_unreachable_server_is_named_in_the_error() {
    let options = Options { connect_timeout: Duration::from_millis(300), ..Options::default() };
    let error = Client::connect("127.0.0.1:1", options).err().expect("nothing serves on port 1");
    let text = error.to_string();
    assert!(text.starts_with("could not reach any of 127.0.0.1:1 within 300 ms"), "{text}");
}
