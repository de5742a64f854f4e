//! What happened, one line of columns an event, and a hash over all of it: two runs of a seed have the same hash or the
//! simulator is broken. Lines are only made where somebody wants to read them.

use std::fmt::Write;

/// Columns: simulated time in microseconds, who, what, detail.
pub struct Transcript {
    hash: u64,
    events: u64,
    /// `None` where nobody reads.
    lines: Option<String>,
}

impl Transcript {
    pub fn new(readable: bool) -> Transcript {
        Transcript { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: readable.then(String::new) }
    }

    /// `numbers` go into the hash; `detail` is only asked for where lines are kept.
    pub fn note(&mut self, at: u64, who: Who, what: &'static str, numbers: &[i64], detail: impl FnOnce() -> String) {
        self.events += 1;
        self.mix(at);
        self.mix(match who {
            Who::World => 0,
            Who::Server(n) => 1 + n as u64,
            Who::Client(n) => 1000 + n as u64,
        });
        what.bytes().for_each(|b| self.mix(u64::from(b)));
        numbers.iter().for_each(|n| self.mix(*n as u64));
        if let Some(lines) = &mut self.lines {
            let who = match who {
                Who::World => "world".to_string(),
                Who::Server(n) => format!("server {}", n + 1),
                Who::Client(n) => format!("client {}", n + 1),
            };
            let detail = detail();
            writeln!(lines, "{:>4}.{:06} {who:<9} {what:<14} {detail}", at / 1_000_000, at % 1_000_000)
                .expect("strings take everything");
        }
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }
    pub fn hash(&self) -> u64 {
        self.hash
    }
    pub fn events(&self) -> u64 {
        self.events
    }
    pub fn take_lines(&mut self) -> String {
        self.lines.take().unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    World,
    /// Index, from 0.
    Server(usize),
    Client(usize),
}
