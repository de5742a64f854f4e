//! Directories with a story: what single releases write, read by the release that we are compatible with and by us. Both
//! must start on them and show the same tree. Each story is played against a running server, which is then killed.
//! Must not know how a server reads files.

use crate::dump;
use crate::files::{Directories, open};
use crate::requests::{AclArg, Data, Part, Request};
use crate::servers::{Server, ServerConfig, ServerKind};
use crate::wire::{Connection, Hello, Received};
use oxkeeper_proto::client::ReplyHeader;
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_storage::log::{LogFileReader, Next, format, reader::Opened};
use oxkeeper_storage::names::{list_logs, list_snapshots};
use oxkeeper_storage::snapshot::{SnapshotOptions, write_frozen};
use oxkeeper_storage::{Dirs, Disk, RealDisk, RecoverOptions, recover};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{Acl, Id, OpCode, Perms, SessionId, Xid, Zxid};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// The snapshot from which a hundred creates cross the end of the 32-bit counter.
const BEFORE_THE_END: Zxid = Zxid(0xffff_ffd0);

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Release(&'static str),
    Candidate,
}

pub struct Story {
    pub name: &'static str,
    pub why: &'static str,
    pub writers: &'static [By],
    /// More lines of zoo.cfg, for all.
    extra: &'static [&'static str],
    /// What is done to the empty directory before, and to the files after.
    before: fn(&Path) -> Told,
    script: fn(&mut Teller) -> Told,
    after: fn(&Path) -> Told,
    /// Releases that read it beside the one that we are compatible with.
    readers: &'static [&'static str],
}

type Told = Result<(), String>;

const OLD_RELEASES: &[By] = &[
    By::Release("3.4.14"),
    By::Release("3.5.10"),
    By::Release("3.6.4"),
    By::Release("3.7.2"),
    By::Release("3.8.4"),
    By::Release("3.9.5"),
];

const NOTHING: fn(&Path) -> Told = |_| Ok(());

pub const ALL: &[Story] = &[
    Story {
        name: "refused_writes_that_the_server_cannot_read",
        why: "3.9 logs them under the zxid before, also as the first of a file",
        writers: OLD_RELEASES,
        // A server of 3.4 that ends early has no snapshot yet.
        extra: &["snapshot.trust.empty=true"],
        before: NOTHING,
        script: unreadable_writes,
        after: NOTHING,
        readers: &[],
    },
    Story {
        name: "a_hundred_creates_across_the_end_of_the_counter",
        why: "a server on its own counts on into the epoch's half",
        writers: &[By::Release("3.4.14"), By::Release("3.9.5"), By::Candidate],
        extra: &[],
        before: snapshot_before_the_end,
        script: hundred_creates,
        after: NOTHING,
        readers: &[],
    },
    Story {
        name: "every_kind_of_write",
        why: "each release has its own records",
        // A server of 3.4 that ends early has no snapshot yet: below.
        writers: &[
            By::Release("3.5.10"),
            By::Release("3.6.4"),
            By::Release("3.7.2"),
            By::Release("3.8.4"),
            By::Release("3.9.5"),
        ],
        extra: &[],
        before: NOTHING,
        script: every_write,
        after: NOTHING,
        readers: &[],
    },
    Story {
        name: "every_kind_of_write_without_digests_and_paths_of_closed_sessions",
        why: "switches of 3.6 and later leave out what they log",
        writers: &[By::Release("3.6.4"), By::Release("3.9.5")],
        extra: &["digest.enabled=false", "closeSessionTxn.enabled=false", "serializeLastProcessedZxid.enabled=false"],
        before: NOTHING,
        script: every_write,
        after: NOTHING,
        readers: &[],
    },
    Story {
        name: "nodes_with_a_time_to_live_as_3_5_3_marked_them",
        why: "the mark stands in the owner of the node",
        writers: &[By::Release("3.5.10"), By::Release("3.9.5")],
        extra: &["emulate353TTLNodes=true"],
        before: NOTHING,
        script: every_write,
        after: NOTHING,
        readers: &[],
    },
    Story {
        name: "a_log_without_its_snapshot",
        why: "servers of 3.4 have none before their first",
        writers: &[By::Release("3.4.14"), By::Release("3.9.5")],
        extra: &["snapshot.trust.empty=true"],
        before: NOTHING,
        script: every_write,
        after: remove_snapshots,
        readers: &[],
    },
    Story {
        name: "older_releases_read_what_we_leave",
        why: "they ignore what stands behind what they expect",
        writers: &[By::Candidate],
        extra: &[],
        before: NOTHING,
        script: every_write,
        after: NOTHING,
        readers: &["3.6.4", "3.8.4"],
    },
    Story {
        name: "transactions_that_stand_in_the_log_twice",
        why: "followers before 3.9 log again what they are sent again",
        writers: &[By::Release("3.8.4")],
        extra: &[],
        before: NOTHING,
        script: hundred_creates,
        after: repeat_the_last,
        readers: &[],
    },
];

/// Has `writer` write, and `judge` and `candidate` read. What the tree holds, or what is wrong.
pub fn play(story: &Story, writer: By, judge: &ServerKind, candidate: &ServerKind) -> Result<String, String> {
    let mut config = ServerConfig::default();
    config.extra.extend(story.extra.iter().map(|line| line.to_string()));
    let (kind, minor) = match writer {
        By::Release(version) => {
            let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
            (ServerKind::parse(&format!("java:{version}")), minor.ok_or(format!("{version} is no release"))?)
        }
        By::Candidate => (candidate.clone(), 9),
    };
    let mut server = Server::start(&kind, &config).map_err(|e| e.to_string())?;
    server.stop();
    (story.before)(&server.data_dir())?;
    server.restart(&kind, &config).map_err(|e| e.to_string())?;
    let mut teller = Teller { server, kind, config, minor, session: (SessionId(0), vec![0; 16]), open: None, xid: 0 };
    (story.script)(&mut teller).map_err(|e| format!("{e}\n  the server's output: {}", teller.server.output()))?;
    let Teller { server, config, .. } = teller;
    let left = server.keep_files();
    let told = (story.after)(&left.join("data"));
    let directories = Directories::copied_from(left).map_err(|e| e.to_string())?;
    match told.and_then(|()| compare(story, &config, &directories, judge, candidate)) {
        Ok(nodes) => Ok(format!("{nodes} nodes")),
        Err(why) => Err(format!("{why}\n  files as the kill left them: {}", directories.keep())),
    }
}

/// How many nodes all readers see, the same.
fn compare(
    story: &Story,
    config: &ServerConfig,
    directories: &Directories,
    judge: &ServerKind,
    candidate: &ServerKind,
) -> Result<usize, String> {
    let read = |kind: &ServerKind, dir: &Path| open(kind, config, dir, &[]).map_err(|lines| lines.join("\n"));
    let ours = read(candidate, &directories.other)?.tree;
    // Each on what the one before has left.
    let others = story.readers.iter().map(|version| ServerKind::parse(&format!("java:{version}")));
    for kind in others.chain([judge.clone()]) {
        let theirs = read(&kind, &directories.writer)?.tree;
        let lines = dump::differences((&kind.name(), &theirs), (&candidate.name(), &ours));
        if !lines.is_empty() {
            return Err(lines.join("\n"));
        }
    }
    Ok(ours.len())
}

/// Plays a script: one session, taken up again whenever its connection has ended.
struct Teller {
    server: Server,
    kind: ServerKind,
    config: ServerConfig,
    /// The second number of the release.
    minor: u32,
    session: (SessionId, Vec<u8>),
    open: Option<Connection>,
    xid: i32,
}

impl Teller {
    fn connection(&mut self) -> Result<&mut Connection, String> {
        if self.open.is_none() {
            let mut connection = Connection::open(self.server.address, PATIENCE).map_err(|e| e.to_string())?;
            let (session, password) = self.session.clone();
            let hello = Hello { session, password, timeout_ms: 150_000, last_zxid: Zxid(0), read_only: Some(false) };
            let answer = connection.handshake(&hello).ok_or("the server answers no handshake")?;
            self.session = (answer.session, answer.password.to_vec());
            self.open = Some(connection);
        }
        Ok(self.open.as_mut().expect("opened above"))
    }

    /// The error in the answer; `None` where the server closed the connection instead.
    fn ask(&mut self, request: &Request) -> Result<Option<i32>, String> {
        self.xid += 1;
        let xid = Xid(self.xid);
        let connection = self.connection()?;
        connection.send_request(xid, request.number(), &request.body(Zxid(0)));
        match connection.receive() {
            Received::Frame(frame) => match ReplyHeader::read(&mut Reader::unbounded(&frame)) {
                Ok(header) => Ok(Some(header.error)),
                Err(e) => Err(format!("{request:?} has no answer: {e}")),
            },
            Received::Closed => {
                self.open = None;
                Ok(None)
            }
            Received::Silence => Err(format!("{request:?} is not answered")),
        }
    }

    fn done(&mut self, request: Request) -> Told {
        match self.ask(&request)? {
            Some(0) => Ok(()),
            other => Err(format!("{request:?} is answered with {other:?}")),
        }
    }

    fn refused(&mut self, request: Request) -> Told {
        match self.ask(&request)? {
            // The answer to a multi says below what became of it.
            Some(0) if !matches!(request, Request::Multi { .. }) => Err(format!("{request:?} is not refused")),
            _ => Ok(()),
        }
    }

    /// A kill and a start on the same files.
    fn restart(&mut self) -> Told {
        self.open = None;
        self.server.restart(&self.kind, &self.config).map_err(|e| e.to_string())
    }
}

fn create(path: &str) -> Request {
    create_as(path, Data::text("x"), open_acl(), 0)
}
fn create_as(path: &str, data: Data, acl: Vec<Acl>, flags: i32) -> Request {
    Request::Create { op: OpCode::Create, path: path.into(), data, acl: AclArg(Some(acl)), flags }
}
fn set(path: &str, data: Data, version: i32) -> Request {
    Request::SetData { path: path.into(), data, version }
}

/// Writes that end too early or lack what they must have.
fn unreadable(minor: u32) -> Vec<Request> {
    let body = |write: &dyn Fn(&mut Writer)| {
        let mut bytes = Vec::new();
        write(&mut Writer::new(&mut bytes));
        Data(Some(bytes))
    };
    let raw = |op: OpCode, body: Data| Request::Raw { op: op.number(), body };
    let null_acl = Request::Create {
        op: OpCode::Create,
        path: "/null-acl".into(),
        data: Data::text("x"),
        acl: AclArg(None),
        flags: 0,
    };
    let mut requests = vec![
        Request::Multi { op: OpCode::Multi, parts: vec![Part::of(null_acl)] },
        raw(
            OpCode::SetData,
            body(&|w| {
                w.string("/a");
                w.buffer(Some(b"no version"));
            }),
        ),
        raw(
            OpCode::CreateTtl,
            body(&|w| {
                w.string("/no-ttl");
                w.buffer(None);
                w.acl_list(&open_acl());
                w.int(5);
            }),
        ),
        raw(
            OpCode::Create,
            body(&|w| {
                w.int(-1);
                w.buffer(None);
                w.acl_list(&open_acl());
                w.int(0);
            }),
        ),
        raw(OpCode::Reconfig, Data(Some(Vec::new()))),
    ];
    // Releases before 3.5 have no such operations, and close the connection.
    requests.retain(|request| {
        minor >= 5 || ![OpCode::CreateTtl, OpCode::Reconfig].map(OpCode::number).contains(&request.number())
    });
    requests
}

fn unreadable_writes(teller: &mut Teller) -> Told {
    teller.done(create("/a"))?;
    for (n, request) in unreadable(teller.minor).into_iter().enumerate() {
        teller.refused(request)?;
        teller.done(create(&format!("/behind-{n}")))?;
    }
    // Several under one zxid; then as the first transaction of a start, whose session is none.
    for round in 0..2 {
        unreadable(teller.minor).into_iter().try_for_each(|request| teller.refused(request))?;
        teller.restart()?;
        unreadable(teller.minor).into_iter().take(2).try_for_each(|request| teller.refused(request))?;
        teller.done(create(&format!("/round-{round}")))?;
    }
    Ok(())
}

fn hundred_creates(teller: &mut Teller) -> Told {
    (0..100).try_for_each(|n| teller.done(create(&format!("/n{n}"))))
}

/// Each operation that the release has, alone and in multis, done and refused, on either side of a restart.
fn every_write(teller: &mut Teller) -> Told {
    for round in 0..2 {
        let top = format!("/top-{round}");
        let below = |name: &str| format!("{top}/{name}");
        let digest = |user: &str| Acl::new(Perms(31), Id::new("digest", user));
        let mut odd = vec![
            digest("u\u{1f600}:x"),
            digest("u:x"),
            Acl::new(Perms(0), Id::new("ip", "10.0.0.1")),
            Acl::new(Perms(0x7fff_ffff), Id::new("world", "anyone")),
        ];
        if teller.minor >= 5 {
            odd.push(Acl::new(Perms(1), Id::new("ip", "10.0.0.0/8")));
        }
        teller.done(create(&top))?;
        teller.done(create_as(&below("null"), Data(None), open_acl(), 0))?;
        teller.done(create_as(&below("odd\u{e9}\u{4e2d}"), Data::text(""), odd.clone(), 0))?;
        teller.done(create_as(&below("ephemeral"), Data(None), open_acl(), 1))?;
        (0..3).try_for_each(|_| teller.done(create_as(&below("s-"), Data::text("s"), open_acl(), 2)))?;
        teller.done(create_as(&below("es-"), Data::text("s"), open_acl(), 3))?;
        if teller.minor >= 5 {
            let (op, acl) = (OpCode::CreateContainer, AclArg(Some(open_acl())));
            let (data, flags) = (Data::text("c"), 4);
            teller.done(Request::Create {
                op,
                path: below("container"),
                data: data.clone(),
                acl: acl.clone(),
                flags,
            })?;
            let op = OpCode::Create2;
            teller.done(Request::Create { op, path: below("two"), data: data.clone(), acl: acl.clone(), flags: 0 })?;
            teller.done(Request::CreateTtl { path: below("ttl"), data, acl, flags: 5, ttl_ms: 3_600_000 })?;
        }
        teller.done(set(&below("null"), Data::text("now some"), 0))?;
        teller.done(set(&below("null"), Data(None), 1))?;
        teller.refused(set(&below("null"), Data::text("late"), 1))?;
        teller.done(Request::SetAcl { path: below("null"), acl: AclArg(Some(odd)), version: -1 })?;
        teller.done(create(&below("gone")))?;
        teller.done(Request::Delete { path: below("gone"), version: -1 })?;
        teller.refused(Request::Delete { path: top.clone(), version: -1 })?;
        let check = |version| Part::of(Request::Check { path: top.clone(), version });
        for (name, version) in [("good", 0), ("bad", 9)] {
            let path = below(name);
            let node = Part::of(create(&path));
            let change = Part::of(set(&path, Data::text("changed"), 0));
            let delete = Part::of(Request::Delete { path: below("s-0000000003"), version: -1 });
            // A multi answers 0 whatever becomes of its parts.
            let parts = vec![node, check(version), change, delete];
            teller.ask(&Request::Multi { op: OpCode::Multi, parts })?;
        }
        teller.ask(&Request::Multi { op: OpCode::Multi, parts: Vec::new() })?;
        if round == 0 {
            teller.done(Request::Bare { op: OpCode::CloseSession })?;
            (teller.open, teller.session) = (None, (SessionId(0), vec![0; 16]));
            teller.done(create("/between"))?;
            teller.restart()?;
        }
    }
    Ok(())
}

fn dirs(data: &Path) -> Dirs {
    Dirs::new(data, None)
}
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// In place of all that is there: an empty tree that has come far.
fn snapshot_before_the_end(data: &Path) -> Told {
    let dirs = dirs(data);
    std::fs::remove_dir_all(&dirs.snapshots).map_err(text)?;
    let mut tree = recover(Arc::new(RealDisk), &dirs, &RecoverOptions::default()).map_err(text)?.tree;
    remove_snapshots(data)?;
    tree.set_last_processed(BEFORE_THE_END);
    // As 3.4 wrote them.
    let options = SnapshotOptions { digest: false, last_processed: false, ..Default::default() };
    write_frozen(Arc::new(RealDisk), &dirs, &mut tree, &options).map_err(text)?;
    Ok(())
}

fn remove_snapshots(data: &Path) -> Told {
    let snapshots = list_snapshots(&RealDisk, &dirs(data).snapshots).map_err(text)?;
    snapshots.iter().try_for_each(|snapshot| std::fs::remove_file(&snapshot.path)).map_err(text)
}

/// The last ten transactions once more behind themselves.
fn repeat_the_last(data: &Path) -> Told {
    let logs = list_logs(&RealDisk, &dirs(data).logs).map_err(text)?;
    let log = &logs.last().ok_or("the server has left no log")?.path;
    let Opened::Log(mut reader) = LogFileReader::open(&RealDisk, log).map_err(text)? else {
        return Err(format!("{} has no header", log.display()));
    };
    let mut records = Vec::new();
    let end = loop {
        match reader.read_next().map_err(text)? {
            Next::Record(record) => records.push(record.body),
            Next::Stop(stop) => break stop.offset(),
        }
    };
    let mut again = Vec::new();
    records.iter().rev().take(10).rev().for_each(|body| format::write_record(&mut again, body));
    RealDisk.open(log).and_then(|file| file.write_at(end, &again)).map_err(text)
}
