//! Shows a mismatch to a person: the configuration, the steps that lead there, and both sides where they part.

use crate::lockstep::Mismatch;
use crate::step::Program;
use std::fmt::Write as _;

/// Steps shown in front of the failing one.
const STEPS_BEFORE_MAX: usize = 25;

pub fn mismatch(program: &Program, mismatch: &Mismatch, left: &str, right: &str) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").expect("writing to a string can not fail");
    line(format!("seed {}, {:?}", program.seed, program.config));
    let from = mismatch.before.len().saturating_sub(STEPS_BEFORE_MAX);
    if from > 0 {
        line(format!("  ... {from} steps on which both agree ..."));
    }
    for (at, lines) in &mismatch.before[from..] {
        line(format!("  {at:>3} {:?}", program.steps[*at]));
        for text in lines.iter().filter(|text| !text.contains(" pong ")) {
            line(format!("        {text}"));
        }
    }
    line(format!("* {:>3} {:?}", mismatch.at, program.steps[mismatch.at]));
    let (l, r) = (&mismatch.left, &mismatch.right);
    for text in l.iter().filter(|text| r.contains(text)) {
        line(format!("    both:  {text}"));
    }
    line(format!("    {left}:"));
    for text in l.iter().filter(|text| !r.contains(text)) {
        line(format!("      - {text}"));
    }
    line(format!("    {right}:"));
    for text in r.iter().filter(|text| !l.contains(text)) {
        line(format!("      + {text}"));
    }
    let mut sorted = (l.clone(), r.clone());
    sorted.0.sort();
    sorted.1.sort();
    if sorted.0 == sorted.1 {
        line("    the same lines in another order:".to_string());
        for (name, lines) in [(left, l), (right, r)] {
            line(format!("    {name}:"));
            for text in lines {
                line(format!("      {text}"));
            }
        }
    }
    out
}
