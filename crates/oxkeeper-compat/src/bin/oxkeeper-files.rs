//! Command line of the files check: each server opens what the other left when it was killed.

use oxkeeper_compat::files::{Round, RoundError};
use oxkeeper_compat::servers::{ServerKind, workspace_root};
use std::process::ExitCode;
use std::time::Instant;

const USAGE: &str = "\
oxkeeper-files: one server is killed while it writes, the other opens its files; and the other way round

  --rounds N         rounds in each direction (6)
  --seed N           decides what is written and when the kill comes (1)
  --from N           number of the first round, to see one again (0)
  --jobs N           rounds at a time: 1 is all there is (1)
  --only WHICH       to-reference or to-candidate; both without it
  --reference WHAT   java:VERSION, or a command with {conf} for the path of its zoo.cfg (java:3.9.5)
  --candidate WHAT   the same; default: target/release/oxkeeper server {conf}

Prints a line for each round. The moment of the kill depends on the machine, so that a seed alone does not bring back a
failure: its files are kept. Ends with 0 where all is well, 1 where something differs, 2 where a server can not be run.";

struct Options {
    rounds: u64,
    seed: u64,
    from: u64,
    only: Option<String>,
    reference: ServerKind,
    candidate: ServerKind,
}

fn parse() -> Result<Option<Options>, String> {
    let candidate = format!("{} server {{conf}}", workspace_root().join("target/release/oxkeeper").display());
    let mut o = Options {
        rounds: 6,
        seed: 1,
        from: 0,
        only: None,
        reference: ServerKind::parse("java:3.9.5"),
        candidate: ServerKind::parse(&candidate),
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        if matches!(name.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} {value}: not a number in range"));
        match name.as_str() {
            "--rounds" => o.rounds = number()?,
            "--seed" => o.seed = number()?,
            "--from" => o.from = number()?,
            "--jobs" if number()? == 1 => {}
            "--jobs" => return Err(format!("--jobs {value}: expected 1")),
            "--only" if matches!(value.as_str(), "to-reference" | "to-candidate") => o.only = Some(value),
            "--only" => return Err(format!("--only {value}: expected to-reference or to-candidate")),
            "--reference" => o.reference = ServerKind::parse(&value),
            "--candidate" => o.candidate = ServerKind::parse(&value),
            other => return Err(format!("unknown option {other}; --help lists them")),
        }
    }
    Ok(Some(o))
}

fn main() -> ExitCode {
    let o = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("oxkeeper-files: {message}");
            return ExitCode::from(2);
        }
    };
    let directions = [("to-reference", &o.candidate, &o.reference), ("to-candidate", &o.reference, &o.candidate)];
    let (mut good, mut failed) = (0, 0);
    let all = Instant::now();
    for n in o.from..o.from + o.rounds {
        let round = Round::new(o.seed, n);
        for (name, writer, other) in directions {
            if o.only.as_ref().is_some_and(|only| only != name) {
                continue;
            }
            let started = Instant::now();
            match round.run(writer, other) {
                Ok(summary) => {
                    good += 1;
                    let seconds = started.elapsed().as_secs_f32();
                    println!("ok {name} round {n}: {}: {} ({seconds:.1} s)", round.show(), summary.text);
                }
                Err(e @ RoundError::Mismatch { .. }) => {
                    failed += 1;
                    println!("{e}\nFAIL {name} round {n}: seed {}, {}", o.seed, round.show());
                }
                Err(e @ RoundError::Broken(_)) => {
                    eprintln!("oxkeeper-files: {name} round {n}: {e}");
                    return ExitCode::from(2);
                }
            }
        }
    }
    println!("{good} of {} rounds agree ({} s)", good + failed, all.elapsed().as_secs());
    ExitCode::from((failed > 0) as u8)
}
