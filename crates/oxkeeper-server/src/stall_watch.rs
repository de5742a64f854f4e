//! Looks for stalls of the whole process or of its host (`jvm.pause.monitor`; reference `JvmPauseMonitor`): a thread that sleeps
//! and finds out how much longer than asked for that took. Nothing here stops the world, but a host may: swapping, a
//! hypervisor, a processor with too much to do.

use crate::metrics::Metrics;
use std::sync::Weak;
use std::time::{Duration, Instant};

/// What counts as a stall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StallWatch {
    /// Time between looks.
    pub sleep: Duration,
    /// Longer stalls are told of, and still longer ones warned of.
    pub info: Duration,
    pub warn: Duration,
}

/// How loudly a stall is spoken of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Level {
    Nothing,
    Info,
    Warn,
}

impl StallWatch {
    fn level(&self, stall: Duration) -> Level {
        if stall > self.warn {
            Level::Warn
        } else if stall > self.info {
            Level::Info
        } else {
            Level::Nothing
        }
    }

    /// Until the server is gone.
    pub fn run(&self, metrics: &Weak<Metrics>) {
        let (mut told, mut warned) = (0_u64, 0_u64);
        loop {
            let before = Instant::now();
            std::thread::sleep(self.sleep);
            let Some(metrics) = metrics.upgrade() else { return };
            let stall = before.elapsed().saturating_sub(self.sleep);
            metrics.stall_ms.add(stall.as_millis() as u64);
            let level = self.level(stall);
            match level {
                Level::Nothing => continue,
                Level::Info => told += 1,
                Level::Warn => warned += 1,
            }
            // The reference's words, which people look for.
            let text = format!(
                "Detected pause in JVM or host machine (eg GC): pause of approximately {} ms, total pause: info level: {told}, \
                 warn level: {warned}",
                stall.as_millis()
            );
            if level == Level::Warn { tracing::warn!("{text}") } else { tracing::info!("{text}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_told_of_above_one_limit_and_warned_of_above_the_other() {
        let ms = Duration::from_millis;
        let watch = StallWatch { sleep: ms(500), info: ms(1000), warn: ms(10_000) };
        let levels = [0, 1000, 1001, 10_000, 10_001].map(|stall| watch.level(ms(stall)));
        assert_eq!(levels, [Level::Nothing, Level::Nothing, Level::Info, Level::Info, Level::Warn]);
    }
}
