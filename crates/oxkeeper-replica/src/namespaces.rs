//! Bytes read and written by first-level node, for metrics (reference `DataTree.updateReadStat`, `updateWriteStat`).
//!
//! Whoever serves a request adds to a set of its own; the edge adds the sets up.

use hashbrown::HashMap;
use oxkeeper_proto::txn::Txn;
use oxkeeper_tree::Applied;
use oxkeeper_types::limits::NAMESPACES_MAX;
use oxkeeper_types::path;

/// What the reference adds to each read for the stat that comes with it.
const STAT_BYTES: usize = 68;

/// One namespace: how many operations, and the bytes of all, of the smallest and of the largest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NamespaceFigures {
    pub count: u64,
    pub sum: u64,
    pub min: u64,
    pub max: u64,
}

impl NamespaceFigures {
    const NONE: NamespaceFigures = NamespaceFigures { count: 0, sum: 0, min: u64::MAX, max: 0 };

    fn add(&mut self, value: u64) {
        self.merge(&NamespaceFigures { count: 1, sum: value, min: value, max: value });
    }
    pub fn merge(&mut self, other: &NamespaceFigures) {
        self.count += other.count;
        self.sum = self.sum.wrapping_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// Figures by namespace. Holds [`NAMESPACES_MAX`] of them; what comes later is not counted.
#[derive(Clone, Debug, Default)]
pub struct Namespaces {
    figures: HashMap<Box<str>, NamespaceFigures, foldhash::fast::FixedState>,
}

impl Namespaces {
    /// A node was read; `bytes` of data or of names went out.
    pub fn read(&mut self, path: &str, bytes: usize) {
        self.add(path, bytes + STAT_BYTES);
    }

    /// A transaction was applied: its creates, deletes and changes of data count.
    pub fn wrote(&mut self, txn: &Txn, applied: &Applied) {
        match txn {
            Txn::Create { path, data, .. }
            | Txn::CreateContainer { path, data, .. }
            | Txn::CreateTtl { path, data, .. }
            | Txn::SetData { path, data, .. } => self.add(path, data.as_ref().map_or(0, |d| d.len())),
            Txn::Delete { path, .. } => self.add(path, 0),
            // One failed part undoes all.
            Txn::Multi(parts) if parts.iter().any(|part| matches!(part, Txn::Error { .. })) => {}
            Txn::Multi(parts) => parts.iter().zip(&applied.multi).for_each(|(part, done)| self.wrote(part, done)),
            Txn::CloseSession { .. } => applied.deleted_ephemerals.iter().for_each(|path| self.add(path, 0)),
            Txn::SetAcl { .. } | Txn::Check { .. } | Txn::CreateSession { .. } | Txn::Error { .. } => {}
        }
    }

    /// The path counts with the data; the root is in no namespace.
    fn add(&mut self, path: &str, bytes: usize) {
        let Some(namespace) = path::top_namespace(path) else { return };
        let value = (path::utf16_length(path) + bytes) as u64;
        if let Some(figures) = self.figures.get_mut(namespace) {
            figures.add(value);
        } else if self.figures.len() < NAMESPACES_MAX {
            let mut figures = NamespaceFigures::NONE;
            figures.add(value);
            self.figures.insert(namespace.into(), figures);
        }
    }

    /// In no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &NamespaceFigures)> {
        self.figures.iter().map(|(name, figures)| (&**name, figures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_counts_its_path_its_bytes_and_a_stat_under_its_first_level_node() {
        let mut all = Namespaces::default();
        all.read("/a/b", 10);
        all.read("/a", 0);
        all.read("/", 5);
        assert_eq!(
            all.iter().collect::<Vec<_>>(),
            [("a", &NamespaceFigures { count: 2, sum: 82 + 70, min: 70, max: 82 })]
        );
    }

    #[test]
    fn there_are_only_so_many_namespaces() {
        let mut all = Namespaces::default();
        (0..NAMESPACES_MAX + 5).for_each(|n| all.read(&format!("/{n}"), 0));
        assert_eq!(all.iter().count(), NAMESPACES_MAX);
        all.read("/0", 0);
        assert_eq!(all.iter().map(|(_, figures)| figures.count).sum::<u64>(), NAMESPACES_MAX as u64 + 1);
    }
}
