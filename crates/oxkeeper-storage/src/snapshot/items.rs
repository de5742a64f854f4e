//! The records of a snapshot's body one by one, without a tree: for tools, and to verify a file.
//!
//! Owns a second, simple reading of the layout that `oxkeeper-tree` owns; tests hold the two against each other. Checks lengths
//! only, not whether the nodes make a tree.

use super::format::Trailers;
use super::reader::{self, Body};
use crate::disk::Disk;
use crate::error::StorageResult;
use crate::names::SnapshotFile;
use oxkeeper_proto::jute::{DecodeError, Reader, read_acl_list, read_stat_persisted};
use oxkeeper_types::{Acl, Millis, SessionId, StatPersisted};
use std::borrow::Cow;

/// One record, in the order of the file: sessions, then ACL lists, then nodes.
#[derive(Clone, PartialEq, Debug)]
pub enum Item<'a> {
    Session {
        id: SessionId,
        timeout: Millis,
    },
    /// `id` is what nodes refer to.
    AclList {
        id: i64,
        acl: Vec<Acl>,
    },
    /// The root's path is "". `acl` is -1 for the open list.
    Node {
        path: Cow<'a, str>,
        data: Option<&'a [u8]>,
        acl: i64,
        stat: StatPersisted,
    },
}

/// Hands every record of a snapshot to `visit` and checks the seals behind them. What was visited before an error stands.
pub fn read_items(disk: &dyn Disk, file: &SnapshotFile, visit: &mut dyn FnMut(Item<'_>)) -> StorageResult<Trailers> {
    reader::read(disk, file, &mut ItemScanner::new(visit))
}

enum Phase {
    SessionCount,
    Sessions(i32),
    AclCount,
    Acls(i32),
    Nodes,
    Done,
}

pub(super) struct ItemScanner<'v> {
    visit: &'v mut dyn FnMut(Item<'_>),
    phase: Phase,
    /// The beginning of a record whose end has not come yet.
    carry: Vec<u8>,
    /// Offset of the next record in the body.
    at: u64,
}

impl<'v> ItemScanner<'v> {
    pub(super) fn new(visit: &'v mut dyn FnMut(Item<'_>)) -> ItemScanner<'v> {
        ItemScanner { visit, phase: Phase::SessionCount, carry: Vec::new(), at: 0 }
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<usize, (u64, String)> {
        let mut taken = 0;
        while !self.is_done() {
            let mut r = Reader::unbounded(&bytes[taken..]);
            match self.record(&mut r) {
                Ok(()) => {
                    taken += r.position();
                    self.at += r.position() as u64;
                }
                Err(DecodeError::Truncated { .. }) => break,
                Err(error) => return Err((self.at, error.to_string())),
            }
        }
        Ok(taken)
    }

    fn record(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.phase = match self.phase {
            Phase::SessionCount => Phase::Sessions(r.int()?),
            Phase::Sessions(n) if n <= 0 => Phase::AclCount,
            Phase::Sessions(n) => {
                (self.visit)(Item::Session { id: SessionId(r.long()?), timeout: Millis(r.int()?.into()) });
                Phase::Sessions(n - 1)
            }
            Phase::AclCount => Phase::Acls(r.int()?),
            Phase::Acls(n) if n <= 0 => Phase::Nodes,
            Phase::Acls(n) => {
                let (id, acl) = (r.long()?, read_acl_list(r)?.unwrap_or_default());
                (self.visit)(Item::AclList { id, acl });
                Phase::Acls(n - 1)
            }
            Phase::Nodes => {
                let path = r.required_string()?;
                if path == "/" {
                    Phase::Done
                } else {
                    let (data, acl, stat) = (r.buffer()?, r.long()?, read_stat_persisted(r)?);
                    (self.visit)(Item::Node { path, data, acl, stat });
                    Phase::Nodes
                }
            }
            Phase::Done => unreachable!("records are read until the end mark only"),
        };
        Ok(())
    }
}

impl Body for ItemScanner<'_> {
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, (u64, String)> {
        if self.carry.is_empty() {
            let taken = self.scan(bytes)?;
            if !self.is_done() {
                self.carry.extend_from_slice(&bytes[taken..]);
                return Ok(bytes.len());
            }
            return Ok(taken);
        }
        let mut carry = std::mem::take(&mut self.carry);
        let before = carry.len();
        carry.extend_from_slice(bytes);
        let taken = self.scan(&carry)?;
        if self.is_done() {
            return Ok(taken - before);
        }
        carry.drain(..taken);
        self.carry = carry;
        Ok(bytes.len())
    }
    fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }
}
