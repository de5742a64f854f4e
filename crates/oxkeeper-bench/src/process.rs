//! CPU time and memory of server processes, read from `/proc`.

use std::fs;

/// Kernel clock ticks in a second: what `/proc/PID/stat` counts in on Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

/// Sums over several processes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time since the processes started.
    pub cpu_seconds: f64,
    /// Resident set.
    pub rss_bytes: f64,
}

impl Usage {
    /// Processes that are gone count nothing.
    pub fn of(pids: &[u32]) -> Usage {
        let mut sum = Usage::default();
        for pid in pids {
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            // The second field is the command in brackets, and may hold blanks.
            let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
            let field = |n: usize| rest.split(' ').nth(n - 3).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
            sum.cpu_seconds += (field(14) + field(15)) / TICKS_PER_SECOND;
            sum.rss_bytes += field(24) * PAGE_BYTES;
        }
        sum
    }
}
