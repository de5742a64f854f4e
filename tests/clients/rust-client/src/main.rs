//! What the crate zookeeper-client does against a server: operations, multi, watches of every kind, permissions, sessions, and
//! its lock. Each check has a client and a directory `at` of its own.

use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::time::Duration;

use zookeeper_client::*;

type Outcome = std::result::Result<(), String>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

const LONG: Duration = Duration::from_secs(30);
const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());
const EPHEMERAL: CreateOptions<'static> = CreateMode::Ephemeral.with_acls(Acls::anyone_all());

/// Ends a check with what was got and what was expected.
macro_rules! equal {
    ($got:expr, $expected:expr) => {{
        let (got, expected) = (&$got, &$expected);
        if got != expected {
            return Err(format!("line {}: got {got:?}, expected {expected:?}", line!()));
        }
    }};
}

/// The value, or the end of the check.
macro_rules! ok {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(format!("line {}: {error}", line!())),
        }
    };
}

/// The event, or the end of the check when none comes.
macro_rules! told {
    ($watcher:expr, $kind:expr, $path:expr) => {{
        let event = ok!(tokio::time::timeout(LONG, $watcher).await);
        equal!((event.event_type, event.path.as_str()), ($kind, $path.as_str()));
    }};
}

fn hosts() -> String {
    std::env::var("ZK_HOSTS").expect("ZK_HOSTS names the servers")
}

async fn connect() -> Client {
    Client::connector().with_session_timeout(Duration::from_secs(10)).connect(&hosts()).await.expect("a session")
}

fn operations<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let n = format!("{at}/n");
        let (made, _) = ok!(zk.create(&n, b"one", &PERSISTENT).await);
        let (data, stat) = ok!(zk.get_data(&n).await);
        equal!((data.as_slice(), stat), (b"one".as_slice(), made));
        let set = ok!(zk.set_data(&n, b"three", Some(0)).await);
        equal!((set.version, set.data_length, set.czxid), (1, 5, stat.czxid));
        equal!(ok!(zk.check_stat(&n).await), Some(set));
        equal!(zk.create(&n, b"", &PERSISTENT).await.err(), Some(Error::NodeExists));
        equal!(zk.set_data(&n, b"", Some(0)).await.err(), Some(Error::BadVersion));
        equal!(zk.delete(at, None).await.err(), Some(Error::NotEmpty));
        equal!(zk.get_data(&format!("{at}/x")).await.err(), Some(Error::NoNode));
        ok!(zk.create(&format!("{n}/e"), b"", &EPHEMERAL).await);
        equal!(zk.create(&format!("{n}/e/c"), b"", &PERSISTENT).await.err(), Some(Error::NoChildrenForEphemerals));
        equal!(ok!(zk.list_ephemerals(at).await), vec![format!("{n}/e")]);
        equal!(ok!(zk.count_descendants_number(at).await), 2);
        equal!(ok!(zk.get_children(&n).await).0, vec!["e".to_string()]);
        ok!(zk.sync(at).await);
        ok!(zk.delete(&format!("{n}/e"), None).await);
        ok!(zk.delete(&n, Some(1)).await);
        Ok(())
    })
}

fn modes<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let sequential = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        for expected in 0..3 {
            let (stat, sequence) = ok!(zk.create(&format!("{at}/s-"), b"", &sequential).await);
            equal!(sequence.into_i64(), expected);
            equal!(stat.ephemeral_owner, zk.session_id().0);
        }
        let container = CreateMode::Container.with_acls(Acls::anyone_all());
        ok!(zk.create(&format!("{at}/c"), b"", &container).await);
        if std::env::var("ZK_RUNNER").is_ok() {
            let brief = format!("{at}/ttl");
            ok!(zk.create(&brief, b"", &PERSISTENT.clone().with_ttl(Duration::from_millis(500))).await);
            let (_, watcher) = ok!(zk.check_and_watch_stat(&brief).await);
            told!(watcher.changed(), EventType::NodeDeleted, brief);
        }
        ok!(zk.mkdir(&format!("{at}/a/b/c"), &PERSISTENT).await);
        Ok(())
    })
}

fn multi<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let (a, b) = (format!("{at}/a"), format!("{at}/b"));
        let mut writer = zk.new_multi_writer();
        ok!(writer.add_create(&a, b"1", &PERSISTENT));
        ok!(writer.add_set_data(&a, b"2", Some(0)));
        ok!(writer.add_check_version(&a, 1));
        ok!(writer.add_create(&b, b"", &EPHEMERAL));
        equal!(ok!(writer.commit().await).len(), 4);
        let mut writer = zk.new_multi_writer();
        ok!(writer.add_delete(&b, None));
        ok!(writer.add_check_version(&a, 7));
        equal!(
            writer.commit().await.err(),
            Some(MultiWriteError::OperationFailed { index: 1, source: Error::BadVersion })
        );
        let mut reader = zk.new_multi_reader();
        ok!(reader.add_get_data(&a));
        ok!(reader.add_get_children(at));
        ok!(reader.add_get_data(&format!("{at}/none")));
        let mut results = ok!(reader.commit().await);
        equal!(matches!(results.pop(), Some(MultiReadResult::Error { err: Error::NoNode })), true);
        equal!(matches!(results.pop(), Some(MultiReadResult::Children { children }) if children.len() == 2), true);
        equal!(matches!(results.pop(), Some(MultiReadResult::Data { data, .. }) if data == b"2"), true);
        Ok(())
    })
}

fn watches<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let w = format!("{at}/w");
        let (_, created) = ok!(zk.check_and_watch_stat(&w).await);
        ok!(zk.create(&w, b"", &PERSISTENT).await);
        told!(created.changed(), EventType::NodeCreated, w);
        let (_, _, changed) = ok!(zk.get_and_watch_data(&w).await);
        ok!(zk.set_data(&w, b"1", None).await);
        told!(changed.changed(), EventType::NodeDataChanged, w);
        let (_, children) = ok!(zk.list_and_watch_children(&w).await);
        ok!(zk.create(&format!("{w}/c"), b"", &PERSISTENT).await);
        told!(children.changed(), EventType::NodeChildrenChanged, w);
        let (_, _, removed) = ok!(zk.get_and_watch_data(&w).await);
        drop(removed); // removes it on the server too
        ok!(zk.sync(at).await);
        Ok(())
    })
}

fn lasting_watches<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let (at, x) = (at.to_string(), format!("{at}/x"));
        let mut one = ok!(zk.watch(&at, AddWatchMode::Persistent).await);
        let mut all = ok!(zk.watch(&at, AddWatchMode::PersistentRecursive).await);
        ok!(zk.create(&x, b"", &PERSISTENT).await);
        ok!(zk.set_data(&x, b"1", None).await);
        ok!(zk.set_data(&at, b"1", None).await);
        ok!(zk.delete(&x, None).await);
        told!(one.changed(), EventType::NodeChildrenChanged, at);
        told!(one.changed(), EventType::NodeDataChanged, at);
        told!(one.changed(), EventType::NodeChildrenChanged, at);
        told!(all.changed(), EventType::NodeCreated, x);
        told!(all.changed(), EventType::NodeDataChanged, x);
        told!(all.changed(), EventType::NodeDataChanged, at);
        told!(all.changed(), EventType::NodeDeleted, x);
        drop((one, all)); // removes them on the server too
        ok!(zk.sync(&at).await);
        Ok(())
    })
}

fn permissions<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let n = format!("{at}/n");
        let ann = ok!(Client::connector().with_auth("digest", b"ann:secret").connect(&hosts()).await);
        ok!(ann.create(&n, b"", &CreateMode::Persistent.with_acls(Acls::creator_all())).await);
        equal!(zk.get_data(&n).await.err(), Some(Error::NoAuth));
        let (acl, _) = ok!(ann.get_acl(&n).await);
        equal!(acl[0].auth_id().scheme(), "digest");
        equal!(ok!(ann.list_auth_users().await).contains(&AuthUser::new("digest", "ann")), true);
        ok!(zk.auth("digest", b"ann:secret").await);
        ok!(zk.get_data(&n).await);
        equal!(ok!(zk.set_acl(&n, &[Acl::new(Permission::ALL, AuthId::anyone())], Some(0)).await).aversion, 1);
        equal!(
            zk.set_acl(&n, &[Acl::new(Permission::ALL, AuthId::new("unheard-of", "x"))], None).await.err(),
            Some(Error::InvalidAcl)
        );
        let other = connect().await;
        equal!(other.auth("unheard-of", b"x").await.err(), Some(Error::AuthFailed));
        Ok(())
    })
}

fn sessions<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let e = format!("{at}/e");
        let first = ok!(Client::connector().with_detached().connect(&hosts()).await);
        ok!(first.create(&e, b"", &EPHEMERAL).await);
        let id = first.session_id();
        let session = first.into_session(); // detached: it is not closed
        let second = ok!(Client::connector().with_session(session).connect(&hosts()).await);
        equal!(second.session_id(), id);
        let (stat, gone) = ok!(zk.check_and_watch_stat(&e).await);
        equal!(stat.map(|s| s.ephemeral_owner), Some(id.0));
        drop(second);
        told!(gone.changed(), EventType::NodeDeleted, e);
        Ok(())
    })
}

fn restart<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let Ok(runner) = std::env::var("ZK_RUNNER") else { return Ok(()) };
        let (n, e) = (format!("{at}/n"), format!("{at}/e"));
        ok!(zk.create(&n, b"kept", &PERSISTENT).await);
        ok!(zk.create(&e, b"", &EPHEMERAL).await);
        let (_, before, changed) = ok!(zk.get_and_watch_data(&n).await);
        let mut lasting = ok!(zk.watch(&n, AddWatchMode::Persistent).await);
        let (mut states, id) = (zk.state_watcher(), zk.session_id());
        ok!(Command::new("kill").args(["-USR1", &runner]).status());
        for expected in [SessionState::Disconnected, SessionState::SyncConnected] {
            equal!(ok!(tokio::time::timeout(LONG, states.changed()).await), expected);
        }
        equal!(ok!(zk.get_data(&n).await), (b"kept".to_vec(), before));
        equal!((zk.session_id(), ok!(zk.check_stat(&e).await).map(|s| s.ephemeral_owner)), (id, Some(id.0)));
        ok!(zk.set_data(&n, b"new", None).await);
        told!(changed.changed(), EventType::NodeDataChanged, n);
        loop {
            let event = ok!(tokio::time::timeout(LONG, lasting.changed()).await);
            if event.event_type != EventType::Session {
                equal!(event.event_type, EventType::NodeDataChanged);
                return Ok(());
            }
        }
    })
}

fn lock<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let other = connect().await;
        let prefix = || LockPrefix::new_curator(at, "lock-");
        let first = ok!(zk.lock(ok!(prefix()), b"first", LockOptions::new(Acls::anyone_all())).await);
        let mut second = Box::pin(other.lock(ok!(prefix()), b"second", LockOptions::new(Acls::anyone_all())));
        equal!(tokio::time::timeout(Duration::from_millis(300), &mut second).await.is_err(), true);
        drop(first);
        ok!(ok!(tokio::time::timeout(LONG, second).await));
        Ok(())
    })
}

fn pipeline<'a>(zk: &'a Client, at: &'a str) -> Running<'a> {
    Box::pin(async move {
        let paths: Vec<String> = (0..500).map(|i| format!("{at}/{i}")).collect();
        let answers: Vec<_> = paths.iter().map(|path| zk.create(path, b"", &PERSISTENT)).collect();
        let mut last = 0;
        for answer in answers {
            let (stat, _) = ok!(answer.await);
            equal!(stat.czxid > last, true);
            last = stat.czxid;
        }
        equal!(ok!(zk.check_stat(at).await).map(|s| s.cversion), Some(500));
        Ok(())
    })
}

async fn remove_tree(zk: &Client, root: &str) {
    let (mut todo, mut seen) = (vec![root.to_string()], Vec::new());
    while let Some(path) = todo.pop() {
        let children = zk.list_children(&path).await.unwrap_or_default();
        todo.extend(children.iter().map(|child| format!("{path}/{child}")));
        seen.push(path);
    }
    for path in seen.iter().rev() {
        let _ = zk.delete(path, None).await; // an ephemeral may be gone by itself
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let checks: &[(&str, for<'a> fn(&'a Client, &'a str) -> Running<'a>)] = &[
        ("operations, stats and errors", operations),
        ("create modes", modes),
        ("multi writes and reads", multi),
        ("one-shot watches", watches),
        ("persistent and recursive watches", lasting_watches),
        ("ACLs and authentication", permissions),
        ("a session is resumed, and its ephemerals go with it", sessions),
        ("a restart of the server", restart),
        ("lock", lock),
        ("500 requests in flight, answered in order", pipeline),
    ];
    let root = format!("/rust-client-{}", std::process::id());
    let admin = connect().await;
    admin.create(&root, b"", &PERSISTENT).await.expect("the directory of the suite");
    let mut failed = false;
    for (number, (name, check)) in checks.iter().enumerate() {
        let (at, zk) = (format!("{root}/{number}"), connect().await);
        zk.create(&at, b"", &PERSISTENT).await.expect("the directory of a check");
        match check(&zk, &at).await {
            Ok(()) => println!("ok   {name}"),
            Err(why) => {
                failed = true;
                println!("FAIL {name}: {why}");
            }
        }
    }
    remove_tree(&admin, &root).await;
    drop(admin);
    std::process::exit(i32::from(failed));
}
