//! Makes a failing program small: steps are left out, in ever smaller pieces, as long as the program still fails.
//! Bounded in tries and in time, since every try starts two servers.

use crate::lockstep::Mismatch;
use crate::requests::Request;
use crate::step::{Program, Step};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub tries_max: u32,
    pub time_max: Duration,
}

/// The smallest failing program that was found, with its mismatch. `run` plays a program on fresh servers; `None` from
/// it means that both sides agree.
pub fn shrink(
    program: &Program,
    mismatch: Mismatch,
    bounds: Bounds,
    mut run: impl FnMut(&Program) -> Option<Mismatch>,
) -> (Program, Mismatch) {
    let started = Instant::now();
    let mut tries = 0;
    // Nothing behind the failing step matters.
    let mut best = program.clone();
    best.steps.truncate(mismatch.at + 1);
    let mut found = mismatch;
    let mut attempt = |steps: Vec<Step>, best: &mut Program, found: &mut Mismatch| -> bool {
        if tries >= bounds.tries_max || started.elapsed() >= bounds.time_max {
            return false;
        }
        tries += 1;
        let candidate = Program { steps, ..best.clone() };
        let Some(mismatch) = run(&candidate) else { return false };
        *best = candidate;
        best.steps.truncate(mismatch.at + 1);
        *found = mismatch;
        true
    };
    let mut size = best.steps.len().div_ceil(2);
    while size > 0 {
        // From the end: late steps are the likeliest to matter, so early ones go in big pieces.
        let mut from = 0;
        while from < best.steps.len().saturating_sub(1) {
            let to = (from + size).min(best.steps.len() - 1);
            let steps = [&best.steps[..from], &best.steps[to..]].concat();
            if !attempt(steps, &mut best, &mut found) {
                from = to;
            }
        }
        size /= 2;
    }
    for at in (0..best.steps.len()).rev() {
        for smaller in smaller_steps(best.steps.get(at)) {
            let mut steps = best.steps.clone();
            steps[at] = smaller;
            if attempt(steps, &mut best, &mut found) {
                break;
            }
        }
    }
    (best, found)
}

/// Simpler forms of a step that holds several requests.
fn smaller_steps(step: Option<&Step>) -> Vec<Step> {
    match step {
        Some(Step::Burst { slot, requests }) => (0..requests.len())
            .filter(|_| requests.len() > 1)
            .map(|i| {
                let mut fewer = requests.clone();
                fewer.remove(i);
                Step::Burst { slot: *slot, requests: fewer }
            })
            .collect(),
        Some(Step::Request { slot, xid, request: Request::Multi { op, parts } }) => (0..parts.len())
            .map(|i| {
                let mut fewer = parts.clone();
                fewer.remove(i);
                Step::Request { slot: *slot, xid: *xid, request: Request::Multi { op: *op, parts: fewer } }
            })
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::ServerConfig;

    #[test]
    fn a_failing_program_shrinks_to_the_steps_that_matter() {
        let steps: Vec<Step> = (0..100).map(|slot| Step::Drop { slot }).collect();
        let program = Program { seed: 1, config: ServerConfig::default(), steps };
        // Fails as soon as slots 17 and 63 have both been dropped.
        let run = |p: &Program| {
            let at = |wanted| p.steps.iter().position(|s| *s == Step::Drop { slot: wanted });
            let at = at(17)?.max(at(63)?);
            Some(Mismatch { at, left: vec![], right: vec![], before: vec![] })
        };
        let first = run(&program).unwrap();
        let bounds = Bounds { tries_max: 200, time_max: Duration::from_secs(60) };
        let (small, _) = shrink(&program, first, bounds, run);
        assert_eq!(small.steps, [Step::Drop { slot: 17 }, Step::Drop { slot: 63 }]);
    }
}
