//! What clients ask for: few paths, so that everybody meets everybody, and data that never repeats.

use crate::check::Watching;
use crate::random::Random;
use oxkeeper_client::core::call::{self, Request};
use oxkeeper_proto::client::{CheckVersionRequest, CreateRequest, DeleteRequest, MultiOp, SetDataRequest};
use oxkeeper_types::{Acl, CreateMode, Id, OpCode, Perms, acl};

/// A request, as the checkers remember it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    Create { path: String, data: Vec<u8>, sequential: bool },
    Set { path: String, data: Vec<u8> },
    Delete { path: String },
    SetAcl { path: String },
    Multi { parts: usize },
    Sync { path: String },
    Get { path: String, watch: bool },
    Exists { path: String, watch: bool },
    Children { path: String, watch: bool },
    AddWatch { path: String, recursive: bool },
    RemoveWatches { path: String },
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

/// Draws a request. `watches` is how many the client has: it does not hoard them, nor the numbered nodes that it `made`.
pub fn draw(r: &mut Random, client: usize, number: u64, watches: usize, made: &mut Vec<String>) -> (Asked, Request) {
    if made.len() > 2
        && let Some(path) = made.pop()
    {
        let request = call::delete(&path, -1).request;
        return (Asked::Delete { path }, request);
    }
    let data = format!("{client}.{number}").into_bytes();
    let watch = watches < 12 && r.chance(35);
    let version = if r.chance(15) { r.below(6) as i32 } else { -1 };
    match r.below(100) {
        0..=17 => create(r, data),
        18..=33 => {
            let path = any(r);
            let request = call::set_data(&path, Some(&data), version).request;
            (Asked::Set { path, data }, request)
        }
        34..=41 => {
            let path = any(r);
            let request = call::delete(&path, version).request;
            (Asked::Delete { path }, request)
        }
        42..=43 => {
            let path = child(r);
            let list = if r.chance(50) { acl::open_acl() } else { vec![Acl::new(Perms::ALL, Id::anyone())] };
            let request = call::set_acl(&path, &list, version).request;
            (Asked::SetAcl { path }, request)
        }
        44..=50 => multi(r, &data),
        51..=56 => {
            let path = top(r);
            let request = call::sync(&path).request;
            (Asked::Sync { path }, request)
        }
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
