//! Command line of the files check: each server opens what the other left when it was killed.

use oxkeeper_compat::files::{Round, RoundError};
use oxkeeper_compat::servers::{ServerKind, reference_script, workspace_root};
use oxkeeper_compat::stories::{self, By};
use std::process::{Command, ExitCode};
use std::time::Instant;

const USAGE: &str = "\
oxkeeper-files: one server is killed while it writes, the other opens its files; and the other way round

  --rounds N         rounds in each direction (6)
  --seed N           decides what is written and when the kill comes (1)
  --from N           number of the first round, to see one again (0)
  --jobs N           rounds at a time: 1 is all there is (1)
  --only WHICH       to-reference or to-candidate; both without it
  --stories          instead: directories that single releases leave, opened by the reference and by the candidate
  --story NAME       one of them
  --reference WHAT   java:VERSION, or a command with {conf} for the path of its zoo.cfg (java:3.9.5)
  --candidate WHAT   the same; default: target/release/oxkeeper server {conf}

Prints a line for each round. The moment of the kill depends on the machine, so that a seed alone does not bring back a
failure: its files are kept. Ends with 0 where all is well, 1 where something differs, 2 where a server can not be run.";

struct Options {
    rounds: u64,
    seed: u64,
    from: u64,
    only: Option<String>,
    stories: bool,
    story: Option<String>,
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
        stories: false,
        story: None,
        reference: ServerKind::parse("java:3.9.5"),
        candidate: ServerKind::parse(&candidate),
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        if matches!(name.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        if name == "--stories" {
            o.stories = true;
            continue;
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
            "--story" => (o.stories, o.story) = (true, Some(value)),
            "--reference" => o.reference = ServerKind::parse(&value),
            "--candidate" => o.candidate = ServerKind::parse(&value),
            other => return Err(format!("unknown option {other}; --help lists them")),
        }
    }
    Ok(Some(o))
}

/// A line for each story and writer. A release that cannot be had is left out, and said.
fn tell_stories(o: &Options) -> ExitCode {
    let told = stories::ALL.iter().filter(|story| o.story.as_ref().is_none_or(|name| name == story.name));
    let mut failed = false;
    for (story, writer) in told.flat_map(|story| story.writers.iter().map(move |writer| (story, *writer))) {
        let name = match writer {
            By::Release(version) => format!("{} of {version}", story.name),
            By::Candidate => format!("{} of ours", story.name),
        };
        if let By::Release(version) = writer
            && let Err(why) = has_release(version)
        {
            println!("skip {name}: {why}");
            continue;
        }
        match stories::play(story, writer, &o.reference, &o.candidate) {
            Ok(what) => println!("ok {name}: {what}; {}", story.why),
            Err(why) => {
                failed = true;
                println!("{why}\nFAIL {name}");
            }
        }
    }
    ExitCode::from(failed as u8)
}

fn has_release(version: &str) -> Result<(), String> {
    let script = reference_script();
    let asked = Command::new(&script).args([version, "--classpath"]).output().map_err(|e| e.to_string())?;
    match asked.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&asked.stderr).lines().last().unwrap_or("no reason given").to_string()),
    }
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
    if o.stories {
        return tell_stories(&o);
    }
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
