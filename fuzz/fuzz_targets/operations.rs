//! A list of well-formed operations over a few paths and sessions. After each one: the digest of the tree is what a walk
//! over all nodes gives, ephemerals belong to live sessions, and an image of the tree loads to the same digest.
#![no_main]

#[path = "../../crates/oxkeeper-replica/tests/common/mod.rs"]
mod common;

use arbitrary::Arbitrary;
use common::Server;
use libfuzzer_sys::fuzz_target;
use oxkeeper_proto::client::*;
use oxkeeper_replica::Options;
use oxkeeper_types::{ConnId, OpCode, acl::open_acl, node::OwnerRules};

#[derive(Arbitrary, Debug)]
enum Operation {
    Create { client: u8, path: u8, flags: u8, size: u8 },
    Delete { client: u8, path: u8, version: i8 },
    Set { client: u8, path: u8, size: u8, version: i8 },
    Multi { client: u8, parts: Vec<Part> },
    Watch { client: u8, path: u8, op: u8 },
    AddWatch { client: u8, path: u8, mode: u8 },
    Close { client: u8 },
    Drop { client: u8 },
    Advance { seconds: u8 },
}

#[derive(Arbitrary, Debug)]
enum Part {
    Create { path: u8, flags: u8 },
    Delete { path: u8 },
    Set { path: u8 },
    Check { path: u8, version: i8 },
}

const PATHS: [&str; 8] = ["/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/zookeeper/quota/a", "/a/s-"];
const CLIENTS: usize = 3;

fn path(n: u8) -> std::borrow::Cow<'static, str> {
    PATHS[n as usize % PATHS.len()].into()
}

fuzz_target!(|operations: Vec<Operation>| {
    let mut server = Server::new(Options {
        owner_rules: OwnerRules { extended_types: true, emulate_353_ttl: false },
        snap_count: 10,
        ..Options::default()
    });
    let mut clients: Vec<ConnId> = (0..CLIENTS).map(|_| server.client()).collect();
    for operation in operations.into_iter().take(60) {
        run(&mut server, &mut clients, operation);
        check(&server);
    }
});

fn run(s: &mut Server, clients: &mut [ConnId], operation: Operation) {
    let conn = |clients: &[ConnId], n: u8| clients[n as usize % CLIENTS];
    match operation {
        Operation::Create { client, path: p, flags, size } => {
            let data = vec![1; size as usize];
            let request =
                CreateRequest { path: path(p), data: Some(&data), acl: Some(open_acl()), flags: i32::from(flags % 8) };
            let op = if flags & 16 == 0 { OpCode::Create2 } else { OpCode::CreateContainer };
            s.send(conn(clients, client), 1, op.number(), |w| request.write(w));
        }
        Operation::Delete { client, path: p, version } => {
            let request = DeleteRequest { path: path(p), version: version.into() };
            s.send(conn(clients, client), 1, 2, |w| request.write(w));
        }
        Operation::Set { client, path: p, size, version } => {
            let data = vec![2; size as usize];
            let request = SetDataRequest { path: path(p), data: Some(&data), version: version.into() };
            s.send(conn(clients, client), 1, 5, |w| request.write(w));
        }
        Operation::Multi { client, parts } => {
            let parts: Vec<MultiOp> = parts.into_iter().take(8).map(part).collect();
            s.send(conn(clients, client), 1, 14, |w| write_multi(&parts, w));
        }
        Operation::Watch { client, path: p, op } => {
            let op = [3, 4, 8][op as usize % 3];
            s.send(conn(clients, client), 1, op, |w| PathWatchRequest { path: path(p), watch: true }.write(w));
        }
        Operation::AddWatch { client, path: p, mode } => {
            let request = AddWatchRequest { path: Some(path(p)), mode: i32::from(mode % 2) };
            s.send(conn(clients, client), 1, 106, |w| request.write(w));
        }
        Operation::Close { client } => s.send(conn(clients, client), 1, -11, |_| {}),
        Operation::Drop { client } => s.close(conn(clients, client)),
        Operation::Advance { seconds } => s.advance(i64::from(seconds) * 100),
    }
    for client in clients.iter_mut() {
        if s.got(*client).last() == Some(&common::Got::Closed) {
            *client = s.client();
        }
    }
}

fn part(part: Part) -> MultiOp<'static> {
    match part {
        Part::Create { path: p, flags } => {
            let flags = i32::from(flags % 5);
            let op = if flags == 4 { OpCode::CreateContainer } else { OpCode::Create };
            MultiOp::Create { op, request: CreateRequest { path: path(p), data: None, acl: Some(open_acl()), flags } }
        }
        Part::Delete { path: p } => MultiOp::Delete(DeleteRequest { path: path(p), version: -1 }),
        Part::Set { path: p } => MultiOp::SetData(SetDataRequest { path: path(p), data: Some(b"m"), version: -1 }),
        Part::Check { path: p, version } => {
            MultiOp::Check(CheckVersionRequest { path: path(p), version: version.into() })
        }
    }
}

fn check(s: &Server) {
    let tree = &s.state.tree;
    assert_eq!(tree.digest_mismatches(), 0, "prep and tree disagree on a digest");
    let mut digest = 0u64;
    tree.visit_all(|node| {
        let path = node.path();
        if !path.starts_with("/zookeeper/") {
            let stat = node.stat_persisted();
            digest = digest.wrapping_add(oxkeeper_tree::node_digest(&path, node.data(), &stat));
        }
    });
    assert_eq!(tree.digest(), digest, "the running digest is not the digest of the nodes");
    for session in tree.sessions_with_ephemerals() {
        assert!(tree.sessions().contains(session), "ephemerals of {session}, which is gone");
    }
}
