//! The digest of the tree as the reference computes it (`DigestCalculator` version 2, `AdHash`): the sum, modulo 2^64,
//! of a CRC-32 per node over path, data and stat.
//!
//! The CRC of path and data is kept per node; a change of the stat alone then hashes 60 bytes, however large the data.

use oxkeeper_proto::txn::DIGEST_VERSION;
use oxkeeper_types::limits::{DIGEST_LOG_ENTRIES_MAX, DIGEST_LOG_INTERVAL};
use oxkeeper_types::{StatPersisted, Zxid};
use std::collections::VecDeque;

/// CRC-32 of path and data: the part of a node's digest that changes of the stat leave alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentCrc(pub u32);

/// Nodes below this prefix do not count; `/zookeeper` itself does. Quota statistics there differ between servers.
const EXCLUDED_PREFIX: &str = "/zookeeper/";

/// Whether the digest covers the node at `path`.
pub fn is_digested(path: &str) -> bool {
    !path.starts_with(EXCLUDED_PREFIX)
}

/// The CRC of path and data, 0 where the digest leaves the node out. The root is hashed as "".
pub fn content_crc(path: &str, data: Option<&[u8]>) -> ContentCrc {
    if !is_digested(path) {
        return ContentCrc(0);
    }
    let path = if path == "/" { "" } else { path };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(path.as_bytes());
    hasher.update(data.unwrap_or_default());
    ContentCrc(hasher.finalize())
}

/// The digest of a node that the digest covers, from the CRC of its path and data.
pub fn node_digest_of(crc: ContentCrc, stat: &StatPersisted) -> u64 {
    let mut b = [0; 60];
    b[0..8].copy_from_slice(&stat.czxid.0.to_be_bytes());
    b[8..16].copy_from_slice(&stat.mzxid.0.to_be_bytes());
    b[16..24].copy_from_slice(&stat.pzxid.0.to_be_bytes());
    b[24..32].copy_from_slice(&stat.ctime.to_be_bytes());
    b[32..40].copy_from_slice(&stat.mtime.to_be_bytes());
    b[40..44].copy_from_slice(&stat.version.to_be_bytes());
    b[44..48].copy_from_slice(&stat.cversion.to_be_bytes());
    b[48..52].copy_from_slice(&stat.aversion.to_be_bytes());
    b[52..60].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(crc.0);
    hasher.update(&b);
    hasher.finalize() as u64
}

/// The digest of one node, 0 where the digest leaves it out.
pub fn node_digest(path: &str, data: Option<&[u8]>, stat: &StatPersisted) -> u64 {
    if is_digested(path) { node_digest_of(content_crc(path, data), stat) } else { 0 }
}

/// What came of comparing the digest in a transaction with the tree's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DigestCheck {
    /// No digest in the transaction, another version of it, digests off, or the fuzzy span of a snapshot not yet left.
    #[default]
    Unchecked,
    Match,
    Mismatch {
        expected: u64,
        actual: u64,
    },
}

/// The running digest, its log, and what it is waiting for.
pub(crate) struct DigestState {
    pub(crate) enabled: bool,
    pub(crate) value: u64,
    log: VecDeque<(Zxid, u64)>,
    mismatches: u64,
    /// From the trailer of a loaded snapshot: its nodes are a mixture of states until this zxid is replayed.
    awaited: Option<(Zxid, i32, u64)>,
}

impl DigestState {
    pub(crate) fn new(enabled: bool) -> DigestState {
        DigestState { enabled, value: 0, log: VecDeque::new(), mismatches: 0, awaited: None }
    }

    pub(crate) fn add(&mut self, digest: u64) {
        self.value = self.value.wrapping_add(digest);
    }
    pub(crate) fn subtract(&mut self, digest: u64) {
        self.value = self.value.wrapping_sub(digest);
    }
    pub(crate) fn log(&self) -> impl Iterator<Item = (Zxid, u64)> + '_ {
        self.log.iter().copied()
    }
    pub(crate) fn mismatches(&self) -> u64 {
        self.mismatches
    }
    pub(crate) fn is_awaiting(&self) -> bool {
        self.awaited.is_some()
    }

    /// Suspends checks until the transaction `zxid` was applied; a zxid before the snapshot's own is of no use.
    pub(crate) fn await_snapshot(&mut self, zxid: Zxid, version: i32, digest: u64, snapshot: Zxid) {
        self.awaited = (self.enabled && zxid > Zxid::ZERO && zxid >= snapshot).then_some((zxid, version, digest));
    }

    /// Follows one applied transaction (reference `DataTree.processTxn` end, `compareDigest`).
    pub(crate) fn after_txn(&mut self, zxid: Zxid, expected: Option<(i32, u64)>) -> DigestCheck {
        if !self.enabled {
            return DigestCheck::Unchecked;
        }
        match self.awaited {
            None => self.remember(zxid),
            Some((awaited, version, digest)) if zxid == awaited => {
                if version == DIGEST_VERSION && digest != self.value {
                    self.mismatches += 1;
                }
                self.awaited = None;
            }
            // The awaited transaction does not exist. The reference never checks again; we go on checking.
            Some((awaited, ..)) if zxid > awaited => self.awaited = None,
            Some(_) => {}
        }
        match expected {
            Some((DIGEST_VERSION, expected)) if self.awaited.is_none() => {
                if expected == self.value {
                    return DigestCheck::Match;
                }
                self.mismatches += 1;
                DigestCheck::Mismatch { expected, actual: self.value }
            }
            _ => DigestCheck::Unchecked,
        }
    }

    fn remember(&mut self, zxid: Zxid) {
        if zxid.0 % DIGEST_LOG_INTERVAL == 0 {
            if self.log.len() == DIGEST_LOG_ENTRIES_MAX {
                self.log.pop_front();
            }
            self.log.push_back((zxid, self.value));
        }
    }
}
