//! The clocks of a machine: rates and jumps are faults of theirs.

use crate::random::Random;
use oxkeeper_replica::Now;
use oxkeeper_types::Millis;

/// The clocks of a machine, each a line over simulated time.
#[derive(Clone, Debug)]
pub struct Clock {
    anchor_us: u64,
    /// Monotonic clock in microseconds at the anchor.
    mono_us: i64,
    wall_offset_ms: i64,
    /// Parts per million: 1,000,000 keeps time.
    rate_ppm: i64,
}

impl Clock {
    pub fn new(random: &mut Random, faults: bool) -> Clock {
        let mut clock = Clock {
            anchor_us: 0,
            mono_us: random.between(1_000_000, 900_000_000) as i64,
            wall_offset_ms: 1_700_000_000_000,
            rate_ppm: 1_000_000,
        };
        if faults {
            clock.wall_offset_ms += random.between(0, 7_200_000) as i64 - 3_600_000;
            clock.rate_ppm += random.between(0, 20_000) as i64 - 10_000;
        }
        clock
    }
    fn mono(&self, now: u64) -> i64 {
        self.mono_us + (now - self.anchor_us) as i64 * self.rate_ppm / 1_000_000
    }
    pub fn now(&self, now: u64) -> Now {
        let mono = self.mono(now) / 1000;
        Now { monotonic: Millis(mono), wall: Millis(mono + self.wall_offset_ms) }
    }
    /// When the monotonic clock shows `deadline`, in simulated time.
    pub fn when(&self, deadline: Millis) -> u64 {
        let ahead = deadline.0.saturating_mul(1000).saturating_sub(self.mono_us).max(0);
        self.anchor_us + (i128::from(ahead) * 1_000_000 / i128::from(self.rate_ppm)) as u64 + 1000
    }
    pub fn set_rate(&mut self, now: u64, rate_ppm: i64) {
        self.mono_us = self.mono(now);
        self.anchor_us = now;
        self.rate_ppm = rate_ppm;
    }
    /// Somebody sets the wall clock.
    pub fn jump(&mut self, ms: i64) {
        self.wall_offset_ms += ms;
    }
    /// A planted bug: what is measured with the wall clock sees its jumps.
    pub fn jump_both(&mut self, ms: i64) {
        self.mono_us += ms.max(0) * 1000;
    }
}
