//! When to say again what nobody has answered.
//!
//! Owns the growing pause between repetitions (EL044). Must not know what is said.

use oxkeeper_types::Millis;

#[derive(Clone, Copy, Debug)]
pub(super) struct BackOff {
    max: Millis,
    /// Silence that is waited for before the next repetition.
    pause: Millis,
    due: Millis,
}

impl BackOff {
    pub(super) fn new(now: Millis, min: Millis, max: Millis) -> BackOff {
        BackOff { max, pause: min, due: now + min }
    }

    pub(super) fn due(&self) -> Millis {
        self.due
    }

    /// Something was heard: the silence starts anew, as long as it was.
    pub(super) fn heard(&mut self, now: Millis) {
        self.due = now + self.pause;
    }

    /// The silence was long enough; the next one is twice as long.
    pub(super) fn repeated(&mut self, now: Millis) {
        self.pause = Millis(self.pause.0.saturating_mul(2)).min(self.max);
        self.due = now + self.pause;
    }
}
