//! What clients ask for: few paths, so that everybody meets everybody, and data that never repeats.

use crate::check::Watching;
use crate::random::Random;
use oxkeeper_client::core::call::{self, Request};
use oxkeeper_proto::client::{
    CheckVersionRequest, CreateRequest, DeleteRequest, MultiOp, PathWatchRequest, SetDataRequest,
};
use oxkeeper_types::{Acl, CreateMode, Id, OpCode, Perms, acl};

/// A request, as the checkers remember it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    Create {
        path: String,
        data: Vec<u8>,
        sequential: bool,
    },
    Set {
        path: String,
        data: Vec<u8>,
    },
    Delete {
        path: String,
    },
    SetAcl {
        path: String,
        list: Vec<Acl>,
    },
    Multi {
        parts: usize,
    },
    Sync {
        path: String,
    },
    Get {
        path: String,
        watch: bool,
    },
    Exists {
        path: String,
        watch: bool,
    },
    Children {
        path: String,
        watch: bool,
    },
    AddWatch {
        path: String,
        recursive: bool,
    },
    RemoveWatches {
        path: String,
    },
    GetAcl {
        path: String,
    },
    /// getAllChildrenNumber
    Count {
        path: String,
    },
    Ephemerals {
        prefix: String,
    },
    /// getData where true, getChildren where not.
    MultiRead {
        parts: Vec<(bool, String)>,
    },
    Close,
}

impl Asked {
    pub fn is_write(&self) -> bool {
        use Asked::*;
        matches!(self, Create { .. } | Set { .. } | Delete { .. } | SetAcl { .. } | Multi { .. } | Close)
    }
    /// The watch that a successful answer leaves behind.
    pub fn watch(&self, found: bool) -> Option<(Watching, &str)> {
        match self {
            Asked::Get { path, watch: true } if found => Some((Watching::Data, path)),
            Asked::Exists { path, watch: true } if found => Some((Watching::Data, path)),
            Asked::Exists { path, watch: true } => Some((Watching::Exist, path)),
            Asked::Children { path, watch: true } if found => Some((Watching::Child, path)),
            Asked::AddWatch { path, recursive: true } if found => Some((Watching::Recursive, path)),
            Asked::AddWatch { path, recursive: false } if found => Some((Watching::Persistent, path)),
            _ => None,
        }
    }
}

fn top(r: &mut Random) -> String {
    format!("/n{}", r.below(4))
}
fn child(r: &mut Random) -> String {
    format!("/n{}/c{}", r.below(4), r.below(4))
}
fn any(r: &mut Random) -> String {
    match r.below(4) {
        0 => top(r),
        1 | 2 => child(r),
        _ => format!("/n{}/e{}", r.below(4), r.below(4)),
    }
}

/// Draws a request; `early`: of those that there were at first. `watches` is how many the client has: it does not hoard them, nor the numbered nodes that it `made`.
pub fn draw(
    r: &mut Random,
    (client, number): (usize, u64),
    watches: usize,
    made: &mut Vec<String>,
    early: bool,
) -> (Asked, Request) {
    if made.len() > 2
        && let Some(path) = made.pop()
    {
        let request = call::delete(&path, -1).request;
        return (Asked::Delete { path }, request);
    }
    let data = format!("{client}.{number}").into_bytes();
    if !early && r.chance(14) {
        return draw_rare(r, data);
    }
    let watch = watches < 12 && r.chance(35);
    let version = if r.chance(15) { r.below(6) as i32 } else { -1 };
    match r.below(100) {
        0..=17 => create(r, data),
        18..=33 => set(r, data, version),
        34..=41 => delete(r, version),
        42..=43 => {
            let path = child(r);
            let list = if r.chance(50) { acl::open_acl() } else { vec![Acl::new(Perms::ALL, Id::anyone())] };
            let request = call::set_acl(&path, &list, version).request;
            (Asked::SetAcl { path, list }, request)
        }
        44..=50 => multi(r, &data),
        51..=56 => sync(r),
        57..=72 => {
            let path = any(r);
            let request = call::get_data(&path, watch).request;
            (Asked::Get { path, watch }, request)
        }
        73..=84 => {
            let path = any(r);
            let request = call::exists(&path, watch).request;
            (Asked::Exists { path, watch }, request)
        }
        85..=95 => {
            let path = if r.chance(20) { "/".to_string() } else { top(r) };
            let request = call::get_children2(&path, watch).request;
            (Asked::Children { path, watch }, request)
        }
        96..=97 => {
            let (path, recursive) = (top(r), r.chance(50));
            let request = call::add_watch(&path, recursive).request;
            (Asked::AddWatch { path, recursive }, request)
        }
        _ => {
            let path = any(r);
            let request = call::remove_watches(&path, 3).request;
            (Asked::RemoveWatches { path }, request)
        }
    }
}

/// What a client asks for now and then.
fn draw_rare(r: &mut Random, data: Vec<u8>) -> (Asked, Request) {
    match r.below(100) {
        0..=19 => {
            // Gone again while the run lasts: the leader looks for such nodes every few seconds.
            let (path, mode) = match r.below(3) {
                0 => (format!("{}/t", top(r)), CreateMode::PersistentSequentialWithTtl),
                _ => (child(r), CreateMode::PersistentWithTtl),
            };
            let ttl_ms = r.between(500, 6_000) as i64;
            let request = call::create_ttl(&path, Some(&data), &acl::open_acl(), mode, ttl_ms).request;
            (Asked::Create { path, data, sequential: mode.is_sequential() }, request)
        }
        20..=29 => {
            let path = child(r);
            let perms = if r.chance(60) { Perms::ALL } else { Perms(Perms::READ.0 | Perms::ADMIN.0) };
            let list = vec![Acl::new(perms, Id::anyone())];
            let request = call::set_acl(&path, &list, -1).request;
            (Asked::SetAcl { path, list }, request)
        }
        30..=44 => {
            let path = any(r);
            let request = call::get_acl(&path).request;
            (Asked::GetAcl { path }, request)
        }
        45..=59 => {
            let path = if r.chance(20) { "/".to_string() } else { top(r) };
            let request = call::get_all_children_number(&path).request;
            (Asked::Count { path }, request)
        }
        60..=74 => {
            let prefix = if r.chance(50) { "/".to_string() } else { top(r) };
            let request = call::get_ephemerals(&prefix).request;
            (Asked::Ephemerals { prefix }, request)
        }
        75..=95 => {
            let parts: Vec<(bool, String)> = (0..r.between(1, 4)).map(|_| (r.chance(60), any(r))).collect();
            let ops: Vec<MultiOp> = parts.iter().map(|(data, path)| read_op(*data, path)).collect();
            let request = call::multi_read(&ops).request;
            (Asked::MultiRead { parts }, request)
        }
        _ => (Asked::Close, call::raw(OpCode::CloseSession, "", Vec::new()).request),
    }
}

fn read_op(data: bool, path: &str) -> MultiOp<'_> {
    let request = PathWatchRequest { path: path.into(), watch: false };
    if data { MultiOp::GetData(request) } else { MultiOp::GetChildren(request) }
}

/// A write of the frequent kinds.
pub fn write(r: &mut Random, data: Vec<u8>) -> (Asked, Request) {
    match r.below(10) {
        0..=3 => create(r, data),
        4..=6 => set(r, data, -1),
        7 | 8 => delete(r, -1),
        _ => multi(r, &data),
    }
}

pub fn sync(r: &mut Random) -> (Asked, Request) {
    let path = top(r);
    let request = call::sync(&path).request;
    (Asked::Sync { path }, request)
}

fn set(r: &mut Random, data: Vec<u8>, version: i32) -> (Asked, Request) {
    let path = any(r);
    let request = call::set_data(&path, Some(&data), version).request;
    (Asked::Set { path, data }, request)
}

fn delete(r: &mut Random, version: i32) -> (Asked, Request) {
    let path = any(r);
    let request = call::delete(&path, version).request;
    (Asked::Delete { path }, request)
}

fn create(r: &mut Random, data: Vec<u8>) -> (Asked, Request) {
    let (path, mode) = match r.below(10) {
        0..=2 => (top(r), CreateMode::Persistent),
        3..=5 => (child(r), CreateMode::Persistent),
        6 => (format!("{}/s", top(r)), CreateMode::PersistentSequential),
        7 => (format!("{}/x", top(r)), CreateMode::EphemeralSequential),
        8 => (format!("/n{}/e{}", r.below(4), r.below(4)), CreateMode::Ephemeral),
        _ => (child(r), CreateMode::Container),
    };
    let request = if mode == CreateMode::Container || r.chance(50) {
        call::create2(&path, Some(&data), &acl::open_acl(), mode).request
    } else {
        call::create(&path, Some(&data), &acl::open_acl(), mode).request
    };
    (Asked::Create { path, data, sequential: mode.is_sequential() }, request)
}

fn multi(r: &mut Random, data: &[u8]) -> (Asked, Request) {
    let parts = r.between(2, 4) as usize;
    let ops: Vec<MultiOp> = (0..parts)
        .map(|_| match r.below(4) {
            0 => MultiOp::Create {
                op: OpCode::Create,
                request: CreateRequest {
                    path: any(r).into(),
                    data: Some(data),
                    acl: Some(acl::open_acl()),
                    flags: if r.chance(30) { CreateMode::Ephemeral.flag() } else { CreateMode::Persistent.flag() },
                },
            },
            1 => MultiOp::SetData(SetDataRequest { path: any(r).into(), data: Some(data), version: -1 }),
            2 => MultiOp::Delete(DeleteRequest { path: any(r).into(), version: -1 }),
            _ => MultiOp::Check(CheckVersionRequest { path: top(r).into(), version: -1 }),
        })
        .collect();
    let request = call::multi(&ops).request;
    (Asked::Multi { parts }, request)
}
