//! A leader's snapshot: from the raw stream behind a SNAP packet to a tree and to a file, at the same time.
//!
//! The file has no name until the disk thread installs it. Must not decide whether the snapshot counts.

use crate::history::ServerSide;
use oxkeeper_proto::quorum::SNAP_SIGNATURE;
use oxkeeper_storage::snapshot::SnapshotWriter;
use oxkeeper_tree::{ImageLoader, Tree};
use oxkeeper_types::Zxid;
use std::net::SocketAddr;

pub struct SnapshotReceiver {
    zxid: Zxid,
    loader: ImageLoader,
    writer: SnapshotWriter,
    signature: Vec<u8>,
    bytes: u64,
}

/// A snapshot that was received as a whole.
pub struct ReceivedSnapshot {
    /// At the snapshot's zxid.
    pub tree: Tree,
    /// Dropped without an installation, it removes its file.
    pub writer: SnapshotWriter,
}

/// The signature is a jute string.
const SIGNATURE_BYTES: usize = 4 + SNAP_SIGNATURE.len();

impl SnapshotReceiver {
    /// `from`: the leader's address, for the log.
    pub fn begin(server: &ServerSide, from: SocketAddr, zxid: Zxid) -> Result<SnapshotReceiver, String> {
        if zxid < Zxid::ZERO {
            return Err(format!("a snapshot at {zxid}: expected a zxid from 0"));
        }
        tracing::info!("Getting a snapshot from leader 0x{:x}, from {}", zxid.0, from);
        let files = &server.files;
        let writer = SnapshotWriter::create(server.disk.clone(), &files.dirs, zxid, files.snapshot.compression)
            .map_err(|error| format!("no room for the leader's snapshot: {error}"))?;
        let loader = ImageLoader::new(files.recover.tree);
        Ok(SnapshotReceiver { zxid, loader, writer, signature: Vec::new(), bytes: 0 })
    }

    /// Takes bytes of the stream, and says how many of them belong to it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        if !self.loader.is_done() {
            taken =
                self.loader.feed(bytes).map_err(|fault| format!("the leader's snapshot cannot be loaded: {fault}"))?;
            let written = self.writer.write(&bytes[..taken]);
            written.map_err(|error| format!("the leader's snapshot cannot be written: {error}"))?;
            self.bytes += taken as u64;
        }
        if self.loader.is_done() {
            let missing = SIGNATURE_BYTES - self.signature.len();
            let part = &bytes[taken..(taken + missing).min(bytes.len())];
            self.signature.extend_from_slice(part);
            taken += part.len();
        }
        Ok(taken)
    }

    pub fn is_whole(&self) -> bool {
        self.signature.len() == SIGNATURE_BYTES
    }

    /// Checks the end of the stream.
    pub fn finish(self) -> Result<ReceivedSnapshot, String> {
        let (length, text) = self.signature.split_at(4);
        if length != (SNAP_SIGNATURE.len() as u32).to_be_bytes() || text != SNAP_SIGNATURE.as_bytes() {
            let got = String::from_utf8_lossy(text);
            return Err(format!(
                "Missing signature behind the leader's snapshot: expected {SNAP_SIGNATURE}, got {got:?}"
            ));
        }
        let loaded = self.loader.finish().map_err(|fault| format!("the leader's snapshot is no tree: {fault}"))?;
        if loaded.acls_missing > 0 {
            tracing::warn!("{} nodes of the leader's snapshot name an ACL that it lacks", loaded.acls_missing);
        }
        let mut tree = loaded.tree;
        tree.set_last_processed(self.zxid);
        tracing::info!("received a snapshot of {} bytes, {} nodes, at {}", self.bytes, tree.node_count(), self.zxid);
        Ok(ReceivedSnapshot { tree, writer: self.writer })
    }
}
