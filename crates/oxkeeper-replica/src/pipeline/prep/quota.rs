//! Whether a write keeps within its quota (reference `ZooKeeperServer.checkQuota`, inventory CW227-CW230).

use crate::report::{QuotaExceeded, QuotaKind};
use oxkeeper_tree::Tree;
use oxkeeper_types::{ErrorCode, path};

/// What a write adds to the usage of its quota.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Growth {
    pub nodes: i64,
    pub bytes: i64,
}

/// Checks against committed usage, as the reference does: pending writes do not count yet. A hard limit refuses; every
/// limit that is passed, soft or hard, is added to `exceeded`, for the log. Asked only with `enforceQuota`.
pub(super) fn check(
    tree: &Tree,
    path: &str,
    growth: Growth,
    exceeded: &mut Vec<QuotaExceeded>,
) -> Result<(), ErrorCode> {
    let Some(quota) = tree.quota_for(path) else { return Ok(()) };
    // The reference fails on such a text in the middle of the request. That is what one wants as well: a limit that
    // somebody has spoiled by a slip of the pen is not to lift itself without a word.
    let limits = quota.limits.as_ref().ok_or(ErrorCode::MarshallingError)?;
    let Some(usage) = &quota.usage else { return Ok(()) };
    for (kind, grown, used, soft_limit, hard_limit) in [
        (QuotaKind::Count, growth.nodes, usage.count(), limits.count(), limits.count_hard_limit()),
        (QuotaKind::Bytes, growth.bytes, usage.bytes(), limits.bytes(), limits.bytes_hard_limit()),
    ] {
        // A hard limit, where there is one, stands in for the soft one.
        let is_hard = hard_limit > -1;
        let limit = if is_hard { hard_limit } else { soft_limit };
        let used = used.saturating_add(grown);
        if grown == 0 || limit <= -1 || used <= limit {
            continue;
        }
        let namespace = path::top_namespace(path).unwrap_or_default().to_owned();
        exceeded.push(QuotaExceeded { prefix: quota.prefix.clone(), namespace, kind, is_hard, used, limit });
        if is_hard {
            return Err(ErrorCode::QuotaExceeded);
        }
    }
    Ok(())
}
