//! Random numbers from a seed (splitmix64). Each purpose has a stream of its own, so that taking a fault away does not change
//! what clients ask for.

#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// `stream` names the purpose.
    pub fn new(seed: u64, stream: &str) -> Random {
        let mut state = seed ^ 0x6f78_6b65_6570_6572;
        for byte in stream.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut random = Random(state);
        random.draw();
        random
    }
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// 0..n; 0 where n is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }
    /// from..=to
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }
    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }
    /// Mostly near `mean`, sometimes several times as long.
    pub fn around(&mut self, mean: u64) -> u64 {
        let spread = self.between(50, 150);
        let tail = if self.chance(3) { self.between(2, 12) } else { 1 };
        mean * spread * tail / 100
    }
}
