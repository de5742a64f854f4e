//! Keeps transactions within what any server can read back from a log: `jute.maxbuffer` and its extra size.
//!
//! A request is bounded, but its transaction may be longer: an ACL of scheme `auth` becomes all identities of the
//! connection, sequential names get ten digits, and a session may own any number of ephemerals.

use super::Context;
use oxkeeper_proto::txn::{Txn, write_txn};
use oxkeeper_types::{Acl, ErrorCode};

/// At least what a transaction has beside paths, data and lists: header, numbers, digest.
const OVERHEAD_BYTES: usize = 128;
/// The same for a part of a multi.
const PART_OVERHEAD_BYTES: usize = 32;
/// Bytes: version and digest behind a transaction.
const DIGEST_BYTES: usize = 12;

impl Context<'_> {
    /// Refuses what does not fit. Asked before anything is changed.
    pub(super) fn check_fits(&self, path: &str, data: usize, acl: &[Acl]) -> Result<(), ErrorCode> {
        self.within(OVERHEAD_BYTES + path.len() + data + acl_bytes(acl))
    }

    /// The same for all parts of a multi together.
    pub(super) fn check_multi_fits(&self, multi: &Txn) -> Result<(), ErrorCode> {
        let Txn::Multi(parts) = multi else { unreachable!("{multi:?} is no multi") };
        let bound: usize = parts.iter().map(|part| PART_OVERHEAD_BYTES + part_bytes(part)).sum();
        if self.within(OVERHEAD_BYTES + bound).is_ok() {
            return Ok(());
        }
        // The bound is a rough one: near the limit only the real thing will do.
        let header = self.header();
        let mut encoded = Vec::with_capacity(bound);
        write_txn(&header, multi, None, &mut encoded);
        self.within(encoded.len() + DIGEST_BYTES)
    }

    /// Whether the paths of a closed session fit into its transaction.
    pub(super) fn paths_fit(&self, paths: &[String]) -> bool {
        self.within(OVERHEAD_BYTES + paths.iter().map(|path| 4 + path.len()).sum::<usize>()).is_ok()
    }

    fn within(&self, bytes: usize) -> Result<(), ErrorCode> {
        if bytes <= self.options.record_bytes_max { Ok(()) } else { Err(ErrorCode::MarshallingError) }
    }
}

fn acl_bytes(acl: &[Acl]) -> usize {
    acl.iter().map(|entry| 12 + entry.id.scheme.len() + entry.id.id.len()).sum()
}

fn part_bytes(part: &Txn) -> usize {
    let of = |data: &Option<bytes::Bytes>| data.as_ref().map_or(0, |d| d.len());
    match part {
        Txn::Create { path, data, acl, .. }
        | Txn::CreateContainer { path, data, acl, .. }
        | Txn::CreateTtl { path, data, acl, .. } => path.len() + of(data) + acl_bytes(acl) + 16,
        Txn::SetData { path, data, .. } => path.len() + of(data),
        Txn::SetAcl { path, acl, .. } => path.len() + acl_bytes(acl),
        Txn::Delete { path, .. } | Txn::Check { path, .. } => path.len(),
        Txn::Error { .. } => 0,
        Txn::Multi(_) | Txn::CreateSession { .. } | Txn::CloseSession { .. } => {
            unreachable!("{part:?} is no part of a multi")
        }
    }
}
