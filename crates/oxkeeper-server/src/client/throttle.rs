//! How many handshakes per time the server takes: a token bucket, with an early random refusal that grows while the bucket
//! is empty (reference `BlueThrottle`, `connection_throttle_*`; inventory CW036). Pure: time and dice come in as values.

use crate::seed::Dice;
use oxkeeper_proto::client::ConnectRequest;
use oxkeeper_types::{Millis, SessionId};

/// `connection_throttle_*`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ThrottleOptions {
    /// `connection_throttle_tokens`: size of the bucket; 0 switches the throttle off.
    pub tokens: i64,
    /// `connection_throttle_fill_time`, `connection_throttle_fill_count`: so many tokens each so many milliseconds.
    pub fill_time: Millis,
    pub fill_count: i64,
    /// `connection_throttle_freeze_time`: how often the chance of an early refusal moves; `None` switches that off.
    pub freeze_time: Option<Millis>,
    /// `connection_throttle_drop_increase`, `connection_throttle_drop_decrease`: the steps of that chance.
    pub drop_increase: f64,
    pub drop_decrease: f64,
    /// `connection_throttle_decrease_ratio`: the chance falls while at most this part of the bucket is used.
    pub decrease_ratio: f64,
    /// `connection_throttle_*_weight`; `None` where every handshake costs one token.
    pub weights: Option<Weights>,
}

/// `connection_throttle_weight_enabled`: what a handshake costs. Tokens and refill are then counted in new sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weights {
    pub new_session: i64,
    pub resumed_session: i64,
}

impl Default for ThrottleOptions {
    fn default() -> ThrottleOptions {
        ThrottleOptions {
            tokens: 0,
            fill_time: Millis(1),
            fill_count: 1,
            freeze_time: None,
            drop_increase: 0.02,
            drop_decrease: 0.002,
            decrease_ratio: 0.0,
            weights: None,
        }
    }
}

/// The bucket.
#[derive(Debug)]
pub struct Throttle {
    options: ThrottleOptions,
    tokens_max: i64,
    tokens: i64,
    filled: Millis,
    frozen: Millis,
    drop_chance: f64,
}

impl Throttle {
    pub fn new(options: ThrottleOptions, now: Millis) -> Throttle {
        let unit = options.weights.map_or(1, |w| w.new_session);
        let options = ThrottleOptions { fill_count: options.fill_count * unit, ..options };
        let tokens = options.tokens * unit;
        Throttle { options, tokens_max: tokens, tokens, filled: now, frozen: now, drop_chance: 0.0 }
    }

    /// Whether a handshake may go on. `dice` is uniform in 0..1.
    pub fn admit(&mut self, resumes: bool, now: Millis, dice: f64) -> bool {
        if self.tokens_max == 0 {
            return true;
        }
        let cost = self.options.weights.map_or(1, |w| if resumes { w.resumed_session } else { w.new_session });
        self.refill(now);
        if !self.passes_dice(now, dice) || self.tokens < cost {
            return false;
        }
        self.tokens -= cost;
        true
    }
    /// Tokens that are missing from a full bucket.
    pub fn deficit(&self) -> i64 {
        self.tokens_max - self.tokens
    }
    pub fn drop_chance(&self) -> f64 {
        self.drop_chance
    }

    fn refill(&mut self, now: Millis) {
        let passed = now.0 - self.filled.0;
        if passed > self.options.fill_time.0 {
            let refill = passed.saturating_mul(self.options.fill_count) / self.options.fill_time.0.max(1);
            self.tokens = self.tokens.saturating_add(refill).min(self.tokens_max);
            self.filled = now;
        }
    }

    fn passes_dice(&mut self, now: Millis, dice: f64) -> bool {
        let Some(freeze_time) = self.options.freeze_time else { return true };
        if now.0 - self.frozen.0 > freeze_time.0 {
            let low = (self.tokens_max as f64 * self.options.decrease_ratio).round() as i64;
            if self.tokens == 0 {
                self.drop_chance = (self.drop_chance + self.options.drop_increase).min(1.0);
            } else if self.deficit() <= low {
                self.drop_chance = (self.drop_chance - self.options.drop_decrease).max(0.0);
            }
            self.frozen = now;
        }
        dice >= self.drop_chance
    }
}

/// The throttle with its dice, as the I/O threads share it.
#[derive(Debug)]
pub struct Gate {
    pub throttle: Throttle,
    dice: Dice,
}

impl Gate {
    pub fn new(options: ThrottleOptions, now: Millis, seed: u64) -> Gate {
        Gate { throttle: Throttle::new(options, now), dice: Dice(seed) }
    }
    pub fn admit(&mut self, request: &ConnectRequest, now: Millis) -> bool {
        let dice = self.dice.throw();
        self.throttle.admit(request.session != SessionId::NONE, now, dice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle(options: ThrottleOptions) -> Throttle {
        Throttle::new(options, Millis(0))
    }

    #[test]
    fn off_by_default() {
        let mut t = throttle(ThrottleOptions::default());
        assert!((0..10_000).all(|_| t.admit(false, Millis(0), 0.0)));
    }

    #[test]
    fn an_empty_bucket_refuses_until_it_is_filled_again() {
        let mut t = throttle(ThrottleOptions { tokens: 2, fill_time: Millis(10), ..ThrottleOptions::default() });
        assert!(t.admit(false, Millis(0), 0.5) && t.admit(false, Millis(0), 0.5));
        assert!(!t.admit(false, Millis(5), 0.5));
        assert_eq!(t.deficit(), 2);
        assert!(t.admit(false, Millis(20), 0.5), "20 ms bring two tokens");
        assert_eq!(t.deficit(), 1);
        assert!(!t.admit(false, Millis(20), 0.5) || t.deficit() == 2);
    }

    #[test]
    fn weights_count_in_new_sessions() {
        let weights = Some(Weights { new_session: 3, resumed_session: 2 });
        let mut t = throttle(ThrottleOptions { tokens: 2, weights, ..ThrottleOptions::default() });
        assert!(t.admit(true, Millis(0), 0.5) && t.admit(true, Millis(0), 0.5) && t.admit(true, Millis(0), 0.5));
        assert!(!t.admit(true, Millis(0), 0.5), "six tokens are three resumed sessions");
    }

    #[test]
    fn the_chance_of_an_early_refusal_follows_the_load() {
        let options = ThrottleOptions {
            tokens: 1,
            fill_time: Millis(1_000_000),
            freeze_time: Some(Millis(1)),
            drop_increase: 0.5,
            ..ThrottleOptions::default()
        };
        let mut t = throttle(options);
        assert!(t.admit(false, Millis(0), 0.0));
        t.admit(false, Millis(2), 0.9);
        assert_eq!(t.drop_chance(), 0.5);
        t.admit(false, Millis(4), 0.9);
        assert_eq!(t.drop_chance(), 1.0);
    }
}
