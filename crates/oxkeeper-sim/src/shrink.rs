//! A failing run made smaller: faults are left out, the run is cut short behind its failure, clients are taken away, as long
//! as the same rule is broken.

use crate::run::{Outcome, run};
use crate::swarm::RunOptions;

/// The smallest run found within `tries` runs that breaks the same rule.
pub fn shrink(first: &Outcome, tries: usize) -> Outcome {
    let rule = first.violation.as_ref().expect("only failures are made smaller").rule;
    let mut best = first.clone();
    let mut left = tries;
    let mut attempt = |best: &mut Outcome, options: RunOptions| -> bool {
        if left == 0 {
            return false;
        }
        left -= 1;
        let outcome = run(&options, false);
        let same = outcome.violation.as_ref().is_some_and(|v| v.rule == rule);
        if same {
            *best = outcome;
        }
        same
    };
    // Faults behind the failure do nothing; halves first, then one by one.
    let mut chunk = best.options.faults.max(1);
    while chunk > 0 {
        for start in (0..best.options.faults).step_by(chunk) {
            let mut options = best.options.clone();
            let more =
                (start..(start + chunk).min(options.faults)).filter(|n| !best.options.faults_skipped.contains(n));
            options.faults_skipped.extend(more);
            if options.faults_skipped.len() > best.options.faults_skipped.len() {
                options.faults_skipped.sort_unstable();
                attempt(&mut best, options);
            }
        }
        chunk /= 2;
    }
    for clients in 1..best.options.clients {
        let options = RunOptions { clients, ..best.options.clone() };
        if attempt(&mut best, options) {
            break;
        }
    }
    best
}
