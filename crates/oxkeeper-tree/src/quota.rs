//! Quota bookkeeping: which subtrees have limits, and their usage (reference `Quotas`, `StatsTrack`, `DataTree.updateQuota*`).
//!
//! The statistics nodes are edited in place, outside any transaction: their stat does not move, the digest leaves them out.
//! Must not know enforcement: prep compares limits and usage.

use crate::node::NodeId;
use crate::tree::Tree;
use oxkeeper_types::path;
use std::collections::{BTreeMap, BTreeSet};

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD: &str = "countHardLimit";
const BYTES_HARD: &str = "byteHardLimit";

/// The text of a limits or statistics node: keys with numbers, -1 where a key is missing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StatsTrack {
    values: BTreeMap<String, i64>,
}

impl StatsTrack {
    /// Reads `key=number` pairs between `,` and `;`, as the reference does: `None` where it fails on one of them.
    pub fn parse_strictly(text: &[u8]) -> Option<StatsTrack> {
        let text = String::from_utf8_lossy(text);
        let mut values = BTreeMap::new();
        // Java's split drops empty pieces at the end, and takes separators that stand together for one.
        let pairs = text.trim_end_matches([',', ';']);
        let pieces = pairs.split([',', ';']).enumerate().filter(|(at, pair)| *at == 0 || !pair.is_empty());
        for (_, pair) in pieces.take_while(|_| !pairs.is_empty()) {
            let mut parts = pair.trim_end_matches('=').split('=');
            let (key, value) = (parts.next()?, parts.next()?);
            values.insert(key.to_owned(), if value.is_empty() { -1 } else { value.parse().ok()? });
        }
        Some(StatsTrack { values })
    }

    /// The same for usage, which this server writes itself: what is no pair or no number is passed over, where the
    /// reference would throw in the middle of a transaction and serve nobody any more.
    pub fn parse(text: &[u8]) -> StatsTrack {
        let text = String::from_utf8_lossy(text);
        let mut values = BTreeMap::new();
        for pair in text.split([',', ';']) {
            let mut parts = pair.split('=');
            let (Some(key), Some(value)) = (parts.next(), parts.next()) else { continue };
            let value = if value.is_empty() { Ok(-1) } else { value.parse() };
            if let (false, Ok(value)) = (key.is_empty(), value) {
                values.insert(key.to_owned(), value);
            }
        }
        StatsTrack { values }
    }

    fn get(&self, key: &str) -> i64 {
        self.values.get(key).copied().unwrap_or(-1)
    }
    fn set(&mut self, key: &str, value: i64) {
        self.values.insert(key.to_owned(), value);
    }
    pub fn count(&self) -> i64 {
        self.get(COUNT)
    }
    pub fn bytes(&self) -> i64 {
        self.get(BYTES)
    }
    pub fn count_hard_limit(&self) -> i64 {
        self.get(COUNT_HARD)
    }
    pub fn bytes_hard_limit(&self) -> i64 {
        self.get(BYTES_HARD)
    }
    pub fn set_count(&mut self, value: i64) {
        self.set(COUNT, value);
    }
    pub fn set_bytes(&mut self, value: i64) {
        self.set(BYTES, value);
    }
    pub fn set_count_hard_limit(&mut self, value: i64) {
        self.set(COUNT_HARD, value);
    }
    pub fn set_bytes_hard_limit(&mut self, value: i64) {
        self.set(BYTES_HARD, value);
    }
}

/// Count and bytes come first; the stray `=` before the other keys makes parsers of old releases stop there.
impl std::fmt::Display for StatsTrack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count(), self.bytes())?;
        let mut others = self.values.iter().filter(|(key, _)| *key != COUNT && *key != BYTES).peekable();
        if others.peek().is_some() {
            f.write_str("=")?;
        }
        others.try_for_each(|(key, value)| write!(f, ";{key}={value}"))
    }
}

/// The quota that a path falls under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaUsage {
    /// The node that carries the quota.
    pub prefix: String,
    /// `None` where the text is null, or not made of numbers.
    pub limits: Option<StatsTrack>,
    /// `None` without a statistics node.
    pub usage: Option<StatsTrack>,
}

/// Limits and usage of all quotas below one first-level node, each a count and bytes; for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaTotals {
    /// Hard limits where there are any, else soft ones; -1 where there is neither.
    pub limits: Option<(i64, i64)>,
    pub usage: Option<(i64, i64)>,
}

/// The paths that carry a quota.
#[derive(Default)]
pub(crate) struct Quotas {
    prefixes: BTreeSet<String>,
}

impl Quotas {
    /// The deepest quota that `path` is under. `/zookeeper` and the root never count.
    fn deepest<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.prefixes.is_empty() || is_system(path) {
            return None;
        }
        let mut at = path;
        while !at.is_empty() {
            if self.prefixes.contains(at) {
                return Some(at);
            }
            at = &at[..at.rfind('/')?];
        }
        None
    }
}

fn is_system(path: &str) -> bool {
    path.strip_prefix(path::SYSTEM).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path that a node under `/zookeeper/quota` speaks of: `None` elsewhere and for the quota node itself.
fn target_of(quota_path: &str) -> Option<&str> {
    quota_path.strip_prefix(path::QUOTA).filter(|target| target.starts_with('/'))
}

fn limits_path(prefix: &str) -> String {
    format!("{}{prefix}/{}", path::QUOTA, path::QUOTA_LIMITS_NODE)
}

fn stats_path(prefix: &str) -> String {
    format!("{}{prefix}/{}", path::QUOTA, path::QUOTA_STATS_NODE)
}

impl Tree {
    /// The quota that decides over `path`: the deepest one alone. Without its limits node it decides nothing (reference
    /// `ZooKeeperServer.checkQuota`).
    pub fn quota_for(&self, path: &str) -> Option<QuotaUsage> {
        let prefix = self.quotas.deepest(path)?;
        let data = |path: String| self.lookup(&path).map(|node| self.record(node).content.data());
        let limits = data(limits_path(prefix))?.and_then(StatsTrack::parse_strictly);
        let usage = data(stats_path(prefix)).map(|text| StatsTrack::parse(text.unwrap_or_default()));
        Some(QuotaUsage { prefix: prefix.to_owned(), limits, usage })
    }

    /// The paths that carry a quota, sorted.
    pub fn quota_prefixes(&self) -> impl Iterator<Item = &str> {
        self.quotas.prefixes.iter().map(String::as_str)
    }

    /// What all quotas below each first-level node come to (reference `QuotaMetricsUtils`): every limits or statistics
    /// node without children counts.
    pub fn quota_totals(&self) -> BTreeMap<String, QuotaTotals> {
        let mut totals: BTreeMap<String, QuotaTotals> = BTreeMap::new();
        let Some(top) = self.lookup(path::QUOTA) else { return totals };
        self.visit_below(top, |id| {
            let node = self.record(id);
            let is_limits = node.content.name() == path::QUOTA_LIMITS_NODE;
            let is_leaf = self.num_children(id) == 0;
            if !is_leaf || !(is_limits || node.content.name() == path::QUOTA_STATS_NODE) {
                return;
            }
            let at = self.path_of(id);
            let namespace = target_of(&at).and_then(path::top_namespace);
            let (Some(namespace), Some(data)) = (namespace, node.content.data()) else { return };
            let track = StatsTrack::parse(data);
            let of = |hard: i64, soft: i64| if hard > -1 { hard } else { soft };
            let totals = totals.entry(namespace.to_owned()).or_default();
            let (sum, count, bytes) = if is_limits {
                let count = of(track.count_hard_limit(), track.count());
                (&mut totals.limits, count, of(track.bytes_hard_limit(), track.bytes()))
            } else {
                (&mut totals.usage, track.count(), track.bytes())
            };
            let (counted, sized) = sum.unwrap_or((0, 0));
            *sum = Some((counted.saturating_add(count), sized.saturating_add(bytes)));
        });
        totals
    }

    /// Takes note of a node that was created (reference end of `createNode`).
    pub(crate) fn quota_after_create(&mut self, path: &str, data_len: usize) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if let Some(target) = target_of(parent) {
            if name == path::QUOTA_LIMITS_NODE {
                self.quotas.prefixes.insert(target.to_owned());
            } else if name == path::QUOTA_STATS_NODE {
                self.count_usage(target);
            }
        }
        self.add_usage(path, data_len as i64, 1);
    }

    /// Takes note of a node that was deleted.
    pub(crate) fn quota_after_delete(&mut self, path: &str, data_len: usize) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == path::QUOTA_LIMITS_NODE
            && let Some(target) = target_of(parent)
        {
            self.quotas.prefixes.remove(target);
        }
        self.add_usage(path, -(data_len as i64), -1);
    }

    /// Adds to the usage of the quota that `path` falls under, if there is one.
    pub(crate) fn add_usage(&mut self, path: &str, bytes: i64, count: i64) {
        let Some(prefix) = self.quotas.deepest(path) else { return };
        let stats_path = stats_path(prefix);
        // A quota whose statistics node is gone: the reference logs and goes on.
        let Some(id) = self.lookup(&stats_path) else { return };
        let mut usage = StatsTrack::parse(self.record(id).content.data().unwrap_or_default());
        usage.set_count(usage.count().wrapping_add(count));
        usage.set_bytes(usage.bytes().wrapping_add(bytes));
        self.write_usage(id, &stats_path, &usage);
    }

    /// Counts nodes and bytes of a subtree anew and writes them to its statistics node.
    fn count_usage(&mut self, target: &str) {
        let stats_path = stats_path(target);
        let Some(stats) = self.lookup(&stats_path) else { return };
        let (mut count, mut bytes) = (0, 0);
        if let Some(top) = self.lookup(target) {
            let mut add = |id| {
                count += 1;
                bytes += self.record(id).content.data_len() as i64;
            };
            add(top);
            self.visit_below(top, add);
        }
        let mut usage = StatsTrack::default();
        usage.set_count(count);
        usage.set_bytes(bytes);
        self.write_usage(stats, &stats_path, &usage);
    }

    fn write_usage(&mut self, id: NodeId, stats_path: &str, usage: &StatsTrack) {
        let text = usage.to_string();
        self.change(id, stats_path, |tree| tree.replace_data(id, stats_path, Some(text.as_bytes()), None));
    }

    /// Finds the quotas in the tree and counts their usage anew; after loading (reference `setupQuota`).
    pub fn recompute_quota_usage(&mut self) {
        self.quotas.prefixes.clear();
        let Some(top) = self.lookup(path::QUOTA) else { return };
        let mut limits = Vec::new();
        self.visit_below(top, |id| {
            if self.record(id).content.name() == path::QUOTA_LIMITS_NODE {
                limits.push(self.record(id).parent);
            }
        });
        for parent in limits {
            let path = self.path_of(parent);
            if let Some(target) = target_of(&path) {
                self.count_usage(target);
                self.quotas.prefixes.insert(target.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        StatsTrack::parse(text.as_bytes()).to_string()
    }

    #[test]
    fn texts_of_all_releases_are_read_and_written_as_the_reference_does() {
        assert_eq!(rewritten("count=4,bytes=5"), "count=4,bytes=5");
        assert_eq!(rewritten("bytes=5,count=4"), "count=4,bytes=5");
        assert_eq!(
            rewritten("count=4,bytes=5=;countHardLimit=10;byteHardLimit=20"),
            "count=4,bytes=5=;byteHardLimit=20;countHardLimit=10"
        );
        assert_eq!(rewritten("count==1,,;bytes=7"), "count=-1,bytes=7");
        assert_eq!(rewritten(""), "count=-1,bytes=-1");
        assert_eq!(rewritten("nonsense;count=x;bytes=1"), "count=-1,bytes=1");
        assert_eq!(rewritten("count=1,bytes=2=;other=3"), "count=1,bytes=2=;other=3");
    }

    #[test]
    fn texts_that_the_reference_fails_on_are_none() {
        let strict = |text: &str| StatsTrack::parse_strictly(text.as_bytes()).map(|track| track.to_string());
        for (text, same) in [
            ("", "count=-1,bytes=-1"),
            (",;,", "count=-1,bytes=-1"),
            ("count=4,bytes=5", "count=4,bytes=5"),
            ("bytes=5;,;count=+4,,", "count=4,bytes=5"),
            ("count=4,bytes=5=;countHardLimit=10", "count=4,bytes=5=;countHardLimit=10"),
            ("count==1", "count=-1,bytes=-1"),
            ("=3", "count=-1,bytes=-1=;=3"),
        ] {
            assert_eq!(strict(text).as_deref(), Some(same), "{text}");
        }
        for text in ["nonsense", ",count=1", "count=", "count", "=", "count=x", "count= 1", "count=1,=", "count=1.5"] {
            assert_eq!(strict(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_deepest_prefix_counts_and_none_in_the_system_subtree() {
        let mut quotas = Quotas::default();
        assert_eq!(quotas.deepest("/a"), None);
        quotas.prefixes.extend(["/a", "/a/b", "/zookeeper"].map(String::from));
        for (path, expected) in [
            ("/a", Some("/a")),
            ("/a/b", Some("/a/b")),
            ("/a/b/c/d", Some("/a/b")),
            ("/a/bc", Some("/a")),
            ("/ab", None),
            ("/", None),
            ("", None),
            ("/zookeeper/quota", None),
            ("/zookeeperx", None),
        ] {
            assert_eq!(quotas.deepest(path), expected, "{path}");
        }
    }
}
