//! Says the same thing only so often (reference `RateLogger`). Pure: time comes in as a value.

use oxkeeper_types::Millis;

/// A text is said when it first comes; as long as it comes again, only how often, and only each `interval`.
#[derive(Debug)]
pub struct RateLog {
    interval: Millis,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    text: String,
    said: Millis,
    repeats: u32,
}

impl RateLog {
    pub fn new(interval: Millis) -> RateLog {
        RateLog { interval, last: None }
    }

    /// Hands to `say` what is to be said now: at most the repetitions of the text before, and this one.
    pub fn log(&mut self, text: String, now: Millis, mut say: impl FnMut(&str)) {
        match &mut self.last {
            Some(last) if last.text == text => {
                last.repeats += 1;
                if now - last.said >= self.interval {
                    last.say_repeats(&mut say);
                    last.said = now;
                }
            }
            other => {
                if let Some(before) = other {
                    before.say_repeats(&mut say);
                }
                say(&text);
                *other = Some(Last { text, said: now, repeats: 0 });
            }
        }
    }
}

impl Last {
    fn say_repeats(&mut self, say: &mut impl FnMut(&str)) {
        match std::mem::take(&mut self.repeats) {
            0 => {}
            1 => say(&self.text),
            n => say(&format!("[{n} times] {}", self.text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_comes_again_is_said_once_an_interval_with_its_number() {
        let mut log = RateLog::new(Millis(100));
        let mut said = Vec::new();
        for (text, at) in [("a", 0), ("a", 10), ("a", 99), ("a", 100), ("a", 110), ("b", 111), ("a", 112)] {
            log.log(text.into(), Millis(at), |line| said.push(format!("{at}: {line}")));
        }
        assert_eq!(said, ["0: a", "100: [3 times] a", "111: a", "111: b", "112: a"]);
    }
}
