//! Whether a write keeps within its quota (reference `ZooKeeperServer.checkQuota`, inventory CW227-CW230).

use oxkeeper_tree::Tree;
use oxkeeper_types::ErrorCode;

/// What a write adds to the usage of its quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Growth {
    pub nodes: i64,
    pub bytes: i64,
}

/// Checks against committed usage, as the reference does: pending writes do not count yet. A hard limit refuses; else
/// the number of soft limits that are passed comes back, for a metric. Asked only with `enforceQuota`.
pub(super) fn check(tree: &Tree, path: &str, growth: Growth) -> Result<u32, ErrorCode> {
    let Some(quota) = tree.quota_for(path) else { return Ok(0) };
    let mut soft = 0;
    let (limits, usage) = (&quota.limits, &quota.usage);
    for (grown, used, soft_limit, hard_limit) in [
        (growth.nodes, usage.count(), limits.count(), limits.count_hard_limit()),
        (growth.bytes, usage.bytes(), limits.bytes(), limits.bytes_hard_limit()),
    ] {
        // A hard limit, where there is one, stands in for the soft one.
        let is_hard = hard_limit > -1;
        let limit = if is_hard { hard_limit } else { soft_limit };
        if grown == 0 || limit <= -1 || used.saturating_add(grown) <= limit {
            continue;
        }
        if is_hard {
            return Err(ErrorCode::QuotaExceeded);
        }
        soft += 1;
    }
    Ok(soft)
}
