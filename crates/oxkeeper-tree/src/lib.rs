//! The replicated state: znodes and sessions, deterministic, in memory.
//!
//! Owns what a committed transaction does to the state ([`Tree::apply`]), what reads see ([`Node`]), and the image of the
//! state in snapshots ([`Tree::freeze`], [`ImageLoader`]). Must not know watches, connections, permissions, clocks, files.
//!
//! Places where the reference's behaviour asked for more than a plain map:
//!
//! - [`Tree::apply_hinted`] takes the CRCs of path and data that whoever prepared the transaction has already computed
//!   ([`content_crc`], [`node_digest_of`]), so that data is hashed once. [`Node::content_crc`] lets a parent's new digest
//!   be computed without its data.
//! - [`Tree::apply`] does not stop on `NoNode` and `NodeExists`: over the fuzzy span of a snapshot of the reference they
//!   are normal, for a learner too. It reports them; [`Applied::is_refused`] tells them from error transactions.
//! - [`Tree::write_config`] takes the zxid and time that the node shows, as the reference's `initConfigInZKDatabase` does.
//! - [`Tree::acl_of`] gives the open ACL as an ordinary list; `None` stands for an empty list only.
//! - After loading, [`Tree::remove_stale_ephemerals`] drops what sessions left behind that are not in the table; it runs
//!   after replay, not inside the loader, because the log may still open or close them.

mod acl_cache;
mod apply;
mod change;
mod container;
mod content;
mod digest;
mod ephemeral;
mod image;
mod index;
mod load;
mod node;
mod quota;
mod read;
mod replay;
mod sessions;
mod slab;
mod tree;

pub use change::{Applied, Change, ChangeKind};
pub use digest::{ContentCrc, DigestCheck, content_crc, is_digested, node_digest, node_digest_of};
pub use image::{ImageCursor, ImageId, ImageProgress};
pub use load::{ImageLoader, LoadError, LoadErrorKind, Loaded};
pub use quota::{QuotaTotals, QuotaUsage, StatsTrack};
pub use read::{Children, Node};
pub use replay::ReplayOutcome;
pub use sessions::Sessions;
pub use tree::{Tree, TreeOptions};

#[cfg(test)]
mod tests;
