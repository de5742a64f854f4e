//! A fixed round of every write and what must be seen of it elsewhere: done through one member, observed through another,
//! for every pair. Watches, refused requests and sessions that move are part of it. Leaves nothing behind.

use super::{Ensemble, EnsembleError, PATIENCE, during};
use crate::ensemble::Member;
use crate::servers::ServerKind;
use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{Acl, ClientError, CreateMode, ErrorCode, Event, EventType, Id, MultiOp, OpCode, Perms, call};
use oxkeeper_proto::client::{CheckVersionRequest, CreateRequest, DeleteRequest, SetDataRequest, SetWatches2Request};
use oxkeeper_types::acl::open_acl;
use std::time::Instant;

const TOP: &str = "/tour";
const TTL_MS: i64 = 3_600_000;
const MODES: [CreateMode; 7] = [
    CreateMode::Persistent,
    CreateMode::PersistentSequential,
    CreateMode::Ephemeral,
    CreateMode::EphemeralSequential,
    CreateMode::Container,
    CreateMode::PersistentWithTtl,
    CreateMode::PersistentSequentialWithTtl,
];

/// Goes through all ordered pairs of running members; answers with how many there were.
pub fn tour(ensemble: &Ensemble) -> Result<usize, EnsembleError> {
    let running: Vec<&Member> = ensemble.members.iter().filter(|member| member.is_running()).collect();
    let first = connect(running[0])?;
    first.create(TOP, b"", CreateMode::Persistent).map_err(during("creating /tour"))?;
    let mut pairs = 0;
    for writer in &running {
        for reader in &running {
            let pair = Pair::open(writer, reader)?;
            pair.go().map_err(|why| {
                EnsembleError::Wrong(format!("written at {}, seen at {}: {why}", writer.name(), reader.name()))
            })?;
            pairs += 1;
        }
    }
    catch_up(&first, running[0]).map_err(EnsembleError::Wrong)?;
    first.delete(TOP, -1).map_err(during("deleting /tour"))?;
    first.close().map_err(during("closing"))?;
    Ok(pairs)
}

fn options() -> Options {
    Options {
        connect_timeout: PATIENCE,
        call_timeout: PATIENCE,
        session_timeout: std::time::Duration::from_secs(120),
        ..Options::default()
    }
}

fn connect(member: &Member) -> Result<Client, EnsembleError> {
    let what = format!("connecting to {}", member.name());
    Client::connect(&member.address.to_string(), options()).map_err(during(what))
}

struct Pair<'a> {
    writer: Client,
    reader: Client,
    reader_at: &'a Member,
    writer_at: &'a Member,
    base: String,
}

/// What is wrong, in words.
type Checked = Result<(), String>;

fn done<T>(what: &str, result: Result<T, ClientError>) -> Result<T, String> {
    result.map_err(|e| format!("{what}: {e}"))
}

/// Has a member apply what was acknowledged before. A leader of the reference answers a sync of its own client as it answers a read
/// (its `CommitProcessor` does not match syncs), though a follower may have told of a commit that it has still to apply itself;
/// but it answers a write, a refused one too, behind all before it.
fn catch_up(client: &Client, member: &Member) -> Checked {
    done("sync", client.sync("/"))?;
    if matches!(member.kind, ServerKind::Java { .. }) {
        let nothing = format!("{TOP}/nothing");
        refused("a delete of nothing", client.delete(&nothing, -1), ErrorCode::NoNode)?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Checked {
    if got == expected { Ok(()) } else { Err(format!("{what}: got {got:?}, expected {expected:?}")) }
}

fn refused<T: std::fmt::Debug>(what: &str, result: Result<T, ClientError>, code: ErrorCode) -> Checked {
    match result {
        Err(e) if e.is(code) => Ok(()),
        other => Err(format!("{what}: got {other:?}, expected {code:?}")),
    }
}

fn event(client: &Client, kind: EventType, path: &str) -> Checked {
    let deadline = Instant::now() + PATIENCE;
    while let Some(event) = client.next_event(deadline.saturating_duration_since(Instant::now())) {
        if let Event::Watch(watch) = event {
            return same("the next event", (watch.kind, watch.path), (kind, path.to_string()));
        }
    }
    Err(format!("no event {kind:?} {path} within {} s", PATIENCE.as_secs()))
}

impl<'a> Pair<'a> {
    fn open(writer_at: &'a Member, reader_at: &'a Member) -> Result<Pair<'a>, EnsembleError> {
        let base = format!("{TOP}/{}-{}", writer_at.id, reader_at.id);
        Ok(Pair { writer: connect(writer_at)?, reader: connect(reader_at)?, reader_at, writer_at, base })
    }

    fn go(self) -> Checked {
        done("create the base", self.writer.create(&self.base, b"base", CreateMode::Persistent))?;
        self.creates()?;
        self.changes()?;
        self.multi()?;
        self.refusals()?;
        self.watches()?;
        self.moved_session()?;
        self.clean()
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// What was just written, as the other member sees it.
    fn seen(&self, path: &str, data: &[u8], stat: oxkeeper_client::Stat) -> Checked {
        catch_up(&self.reader, self.reader_at)?;
        let (got, got_stat) = done(&format!("read {path}"), self.reader.get(path, false))?;
        same(&format!("data of {path}"), got.as_deref(), Some(data))?;
        same(&format!("stat of {path}"), got_stat, stat)
    }

    fn creates(&self) -> Checked {
        for (n, mode) in MODES.into_iter().enumerate() {
            let (path, data) = (self.path(&format!("{mode:?}")), format!("{mode:?}").into_bytes());
            let acl = open_acl();
            let made = if mode.is_ttl() {
                self.writer.create_ttl(&path, Some(&data), &acl, mode, TTL_MS)
            } else {
                self.writer.create_with(&path, Some(&data), &acl, mode)
            };
            let (made, stat) = done(&format!("create {mode:?}"), made)?;
            let number = if mode.is_sequential() { format!("{n:010}") } else { String::new() };
            same("the path", &made, &format!("{path}{number}"))?;
            self.seen(&made, &data, stat)?;
        }
        let count = done("count", self.reader.all_children_number(&self.base))?;
        same("nodes below the base", count, MODES.len() as i32)
    }

    fn changes(&self) -> Checked {
        let path = self.path("changed");
        done("create", self.writer.create(&path, b"one", CreateMode::Persistent))?;
        let stat = done("set", self.writer.set(&path, b"two", 0))?;
        self.seen(&path, b"two", stat)?;
        let acl = vec![Acl::new(Perms::ALL, Id::anyone()), Acl::new(Perms::READ, Id::new("ip", "127.0.0.1"))];
        let stat = done("set the ACL", self.writer.set_acl(&path, &acl, 0))?;
        self.seen(&path, b"two", stat)?;
        let (got, _) = done("read the ACL", self.reader.get_acl(&path))?;
        same("the ACL", got, acl)?;
        done("delete", self.writer.delete(&path, 1))?;
        catch_up(&self.reader, self.reader_at)?;
        same("the deleted node", done("exists", self.reader.exists(&path, false))?, None)
    }

    fn multi(&self) -> Checked {
        let (a, b) = (self.path("multi-a"), self.path("multi-b"));
        let create = |path: &str| MultiOp::Create {
            // In a multi, 3.8.0 can not apply create2.
            op: OpCode::Create,
            request: CreateRequest { path: path.to_string().into(), data: Some(b"m"), acl: Some(open_acl()), flags: 0 },
        };
        let check =
            |path: &str, version: i32| MultiOp::Check(CheckVersionRequest { path: path.to_string().into(), version });
        let set = SetDataRequest { path: a.as_str().into(), data: Some(b"n"), version: 0 };
        let delete = DeleteRequest { path: b.as_str().into(), version: 0 };
        let ops = [create(&a), create(&b), check(&a, 0), MultiOp::SetData(set), MultiOp::Delete(delete)];
        let results = done("multi", self.writer.multi(&ops))?;
        same("the multi", call::multi_failure(&results), None)?;
        catch_up(&self.reader, self.reader_at)?;
        let (data, stat) = done("read", self.reader.get(&a, false))?;
        same("data and version", (data.as_deref(), stat.version), (Some(&b"n"[..]), 1))?;
        same("what the multi deleted", done("exists", self.reader.exists(&b, false))?, None)?;

        let results = done("multi", self.writer.multi(&[create(&b), check(&a, 7)]))?;
        same("the refused multi", call::multi_failure(&results), Some((1, ErrorCode::BadVersion)))?;
        catch_up(&self.reader, self.reader_at)?;
        same("what the refused multi created", done("exists", self.reader.exists(&b, false))?, None)
    }

    fn refusals(&self) -> Checked {
        let (path, missing) = (self.path("multi-a"), self.path("missing"));
        let node = |path: &str| self.writer.create(path, b"", CreateMode::Persistent);
        refused("a second create", node(&path), ErrorCode::NodeExists)?;
        refused("a create without a parent", node(&format!("{missing}/x")), ErrorCode::NoNode)?;
        let below_ephemeral = self.path("Ephemeral/x");
        refused("a child of an ephemeral node", node(&below_ephemeral), ErrorCode::NoChildrenForEphemerals)?;
        refused("a set of another version", self.writer.set(&path, b"", 9), ErrorCode::BadVersion)?;
        refused("a delete of another version", self.writer.delete(&path, 9), ErrorCode::BadVersion)?;
        refused("a delete of nothing", self.writer.delete(&missing, -1), ErrorCode::NoNode)?;
        refused("a delete of a parent", self.writer.delete(&self.base, -1), ErrorCode::NotEmpty)
    }

    fn watches(&self) -> Checked {
        let path = self.path("watched");
        let (reader, writer) = (&self.reader, &self.writer);
        catch_up(reader, self.reader_at)?;
        same("before its creation", done("exists", reader.exists(&path, true))?, None)?;
        done("watch children", reader.children(&self.base, true))?;
        done("create", writer.create(&path, b"0", CreateMode::Persistent))?;
        event(reader, EventType::NodeCreated, &path)?;
        event(reader, EventType::NodeChildrenChanged, &self.base)?;
        done("watch data", reader.get(&path, true))?;
        done("set", writer.set(&path, b"1", 0))?;
        event(reader, EventType::NodeDataChanged, &path)?;
        done("watch for good", reader.add_watch(&self.base, true))?;
        let child = format!("{path}/child");
        done("create", writer.create(&child, b"", CreateMode::Persistent))?;
        done("delete", writer.delete(&child, 0))?;
        done("delete", writer.delete(&path, 1))?;
        event(reader, EventType::NodeCreated, &child)?;
        event(reader, EventType::NodeDeleted, &child)?;
        event(reader, EventType::NodeDeleted, &path)
    }

    /// A session that was made at the writer's member goes on at the reader's, misses nothing, and ends there.
    fn moved_session(&self) -> Checked {
        let (own, watched) = (self.path("own"), self.path("multi-a"));
        let server = |member: &Member| member.address.to_string();
        let before = done("connect", Client::connect(&server(self.writer_at), options()))?;
        done("create", before.create(&own, b"", CreateMode::Ephemeral))?;
        done("watch", before.get(&watched, true))?;
        let resume = Some((before.session(), before.password()));
        let (session, relative_zxid) = (before.session(), before.last_zxid());
        drop(before);
        done("set", self.writer.set(&watched, b"meanwhile", -1))?;
        catch_up(&self.reader, self.reader_at)?;
        let after = Client::connect(&server(self.reader_at), Options { resume, ..options() });
        let after = done("take the session along", after)?;
        same("the session", after.session(), session)?;
        let request = SetWatches2Request {
            relative_zxid,
            data: vec![watched.as_str().into()],
            exist: Vec::new(),
            child: Vec::new(),
            persistent: Vec::new(),
            recursive: Vec::new(),
        };
        done("set watches", after.set_watches(&request))?;
        event(&after, EventType::NodeDataChanged, &watched)?;
        same("its nodes", done("list", after.ephemerals("/"))?, vec![own.clone()])?;
        done("close", after.close())?;
        catch_up(&self.writer, self.writer_at)?;
        same("its node after the close", done("exists", self.writer.exists(&own, false))?, None)
    }

    fn clean(self) -> Checked {
        catch_up(&self.reader, self.reader_at)?;
        let (names, _) = done("list", self.reader.children(&self.base, false))?;
        for name in names {
            done("clean", self.reader.delete(&self.path(&name), -1))?;
        }
        done("clean", self.reader.delete(&self.base, -1))?;
        done("close", self.reader.close())?;
        done("close", self.writer.close())
    }
}
