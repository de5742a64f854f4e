//! The only reader of entropy on a server, and the dice thrown from it.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that differs from process to process. The standard library seeds its hashers from the operating system.
pub fn from_system() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Throws dice for early refusals: cheap, repeatable from its seed, of no use for secrets (splitmix64).
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// Uniform in 0..1.
    pub fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
