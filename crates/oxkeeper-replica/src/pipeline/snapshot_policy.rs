//! When to roll the log and write a snapshot: after a number of transactions or bytes that differs from server to
//! server, so that an ensemble does not snapshot all at once (reference `SyncRequestProcessor.shouldSnapshot`).

/// Counts what was logged since the last snapshot.
#[derive(Debug)]
pub struct SnapshotPolicy {
    count_limit: u64,
    bytes_limit: Option<u64>,
    /// Half the limits plus a random part below the other half; drawn anew for each snapshot.
    count_due: u64,
    bytes_due: Option<u64>,
    count: u64,
    bytes: u64,
    random: u64,
}

impl SnapshotPolicy {
    pub fn new(count_limit: u64, bytes_limit: Option<u64>, seed: u64) -> SnapshotPolicy {
        let mut policy = SnapshotPolicy {
            count_limit: count_limit.max(2),
            bytes_limit,
            count_due: 0,
            bytes_due: None,
            count: 0,
            bytes: 0,
            random: seed | 1,
        };
        policy.restart();
        policy
    }

    /// One more transaction was logged. True when the log is to be rolled and a snapshot taken; counting starts anew then.
    pub fn logged(&mut self, bytes: usize) -> bool {
        self.count += 1;
        self.bytes += bytes as u64;
        let due = self.count > self.count_due || self.bytes_due.is_some_and(|limit| self.bytes > limit);
        if due {
            self.restart();
        }
        due
    }

    fn restart(&mut self) {
        self.count = 0;
        self.bytes = 0;
        self.count_due = self.count_limit / 2 + self.below(self.count_limit / 2);
        self.bytes_due = self.bytes_limit.map(|limit| limit / 2 + self.below(limit / 2));
    }

    /// A number below `n` (xorshift; only spreads servers apart).
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if n == 0 { 0 } else { self.random % n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_between_half_the_limit_and_the_limit() {
        for seed in 0..50 {
            let mut policy = SnapshotPolicy::new(100, None, seed);
            for _ in 0..5 {
                let mut n = 1;
                while !policy.logged(10) {
                    n += 1;
                }
                assert!((51..=101).contains(&n), "snapshot after {n}");
            }
        }
    }

    #[test]
    fn bytes_count_too() {
        let mut policy = SnapshotPolicy::new(1_000_000, Some(1000), 7);
        let n = (1..).find(|_| policy.logged(100)).unwrap();
        assert!((6..=11).contains(&n), "snapshot after {n}");
    }
}
