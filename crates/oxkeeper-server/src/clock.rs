//! The only reader of time on a server.

use oxkeeper_replica::Now;
use oxkeeper_types::Millis;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks. The monotonic one starts with the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock { start: Instant::now() }
    }
}

impl Clock {
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic(), wall: Clock::wall() }
    }
    pub fn monotonic(&self) -> Millis {
        Millis(self.start.elapsed().as_millis() as i64)
    }
    /// Since 1970.
    pub fn wall() -> Millis {
        Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
    }
    /// How long it is until a point on the monotonic clock.
    pub fn until(&self, deadline: Millis) -> Duration {
        Duration::from_millis((deadline.0 - self.monotonic().0).max(0) as u64)
    }
}
