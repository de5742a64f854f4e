//! Command line of the oracle: plays random programs on two servers and reports where they differ.

use oxkeeper_compat::lockstep::{self, Pair};
use oxkeeper_compat::program;
use oxkeeper_compat::servers::{Server, ServerConfig, ServerKind, workspace_root};
use oxkeeper_compat::step::{Program, Step};
use oxkeeper_compat::{departures, four_letter, report, shrink};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "\
oxkeeper-oracle: the same random requests on a reference server and on a candidate, compared byte for byte

  --programs N       programs to play (20)
  --requests N       steps in each (300)
  --seed N           seed of the first program; each next one counts up (1)
  --jobs N           programs at a time (2)
  --reference WHAT   java:VERSION, or a command with {conf} for the path of its zoo.cfg (java:3.9.5)
  --candidate WHAT   the same; default: target/release/oxkeeper server {conf}
  --shrink-tries N   how often a failing program may be run again to make it small (80; 0 shows it as it is)
  --failures N       stop after this many failing programs (1)
  --restarts         crash and restart both servers within each program, on their own files and on each other's
  --reaper           programs that wait for containers and TTL nodes to go
  --departures       check the list of intended differences instead, on both servers
  --show             print every step of every program with what came back
  --four-letter      compare the shapes of the four-letter words' answers after each program as well

java:VERSION needs the script that starts it: tests/reference/zookeeper, or the one that OXKEEPER_REFERENCE names.
Ends with 0 where all agree, 1 where something differs, 2 where a server can not be run.";

struct Options {
    programs: u64,
    requests: usize,
    seed: u64,
    jobs: usize,
    reference: ServerKind,
    candidate: ServerKind,
    shrink_tries: u32,
    failures: u64,
    reaper: bool,
    restarts: bool,
    departures: bool,
    four_letter: bool,
    show: bool,
}

fn parse() -> Result<Option<Options>, String> {
    let candidate = format!("{} server {{conf}}", workspace_root().join("target/release/oxkeeper").display());
    let mut o = Options {
        programs: 20,
        requests: 300,
        seed: 1,
        jobs: 2,
        reference: ServerKind::parse("java:3.9.5"),
        candidate: ServerKind::parse(&candidate),
        shrink_tries: 80,
        failures: 1,
        reaper: false,
        restarts: false,
        departures: false,
        four_letter: false,
        show: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{name} needs a value"));
        fn number<T: std::str::FromStr>(name: &str, text: String) -> Result<T, String> {
            text.parse().map_err(|_| format!("{name} {text}: not a number in range"))
        }
        match name.as_str() {
            "--programs" => o.programs = number(&name, value()?)?,
            "--requests" => o.requests = number(&name, value()?)?,
            "--seed" => o.seed = number(&name, value()?)?,
            "--jobs" => o.jobs = number(&name, value()?)?,
            "--reference" => o.reference = ServerKind::parse(&value()?),
            "--candidate" => o.candidate = ServerKind::parse(&value()?),
            "--shrink-tries" => o.shrink_tries = number(&name, value()?)?,
            "--failures" => o.failures = number(&name, value()?)?,
            "--restarts" => o.restarts = true,
            "--reaper" => o.reaper = true,
            "--departures" => o.departures = true,
            "--show" => o.show = true,
            "--four-letter" => o.four_letter = true,
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("unknown option {other}; --help lists them")),
        }
    }
    Ok(Some(o))
}

fn main() -> ExitCode {
    let options = match parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("oxkeeper-oracle: {message}");
            return ExitCode::from(2);
        }
    };
    if options.departures { check_departures(&options) } else { play(&options) }
}

fn check_departures(o: &Options) -> ExitCode {
    let mut failed = false;
    for kind in [&o.reference, &o.candidate] {
        for departure in departures::ALL {
            let result = match Server::start(kind, &ServerConfig::default()) {
                Ok(server) => departures::check(departure, server.address, kind.is_java()),
                Err(e) => {
                    eprintln!("oxkeeper-oracle: {e}");
                    return ExitCode::from(2);
                }
            };
            failed |= result.is_err();
            println!("{} {} {}", if result.is_ok() { "ok    " } else { "FAILED" }, kind.name(), departure.name);
            if let Err(text) = result {
                println!("{text}");
            }
        }
    }
    ExitCode::from(failed as u8)
}

/// What the worker threads share.
#[derive(Default)]
struct Progress {
    next: AtomicU64,
    agreed: AtomicU64,
    steps: AtomicU64,
    failed: AtomicU64,
    broken: AtomicU64,
    /// Held while printing, so that reports stay in one piece.
    print: Mutex<()>,
}

fn play(o: &Options) -> ExitCode {
    let started = Instant::now();
    let progress = Progress::default();
    std::thread::scope(|scope| {
        for _ in 0..o.jobs.max(1) {
            scope.spawn(|| work(o, &progress));
        }
    });
    let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
    println!(
        "{} of {} programs agree ({} steps, {} s): {} against {}",
        count(&progress.agreed),
        count(&progress.agreed) + count(&progress.failed),
        count(&progress.steps),
        started.elapsed().as_secs(),
        o.candidate.name(),
        o.reference.name()
    );
    if count(&progress.broken) > 0 {
        return ExitCode::from(2);
    }
    ExitCode::from((count(&progress.failed) > 0) as u8)
}

fn work(o: &Options, progress: &Progress) {
    loop {
        let n = progress.next.fetch_add(1, Ordering::Relaxed);
        let enough =
            progress.failed.load(Ordering::Relaxed) >= o.failures || progress.broken.load(Ordering::Relaxed) > 0;
        if n >= o.programs || enough {
            return;
        }
        let seed = o.seed.wrapping_add(n);
        let program = match (o.reaper, o.restarts) {
            (true, _) => program::reaper_program(seed),
            (_, true) => program::generate_with_restarts(seed, o.requests),
            _ => program::generate(seed, o.requests),
        };
        match one(o, &program) {
            Ok(None) => {
                progress.agreed.fetch_add(1, Ordering::Relaxed);
                progress.steps.fetch_add(program.steps.len() as u64, Ordering::Relaxed);
            }
            Ok(Some(text)) => {
                progress.failed.fetch_add(1, Ordering::Relaxed);
                let _printing = progress.print.lock();
                println!("{text}");
            }
            Err(text) => {
                progress.broken.fetch_add(1, Ordering::Relaxed);
                let _printing = progress.print.lock();
                eprintln!("oxkeeper-oracle: seed {seed}: {text}");
            }
        }
    }
}

/// Plays one program; what differs, as text.
fn one(o: &Options, program: &Program) -> Result<Option<String>, String> {
    let mut pair = Pair::start(program, &o.reference, &o.candidate).map_err(|e| e.to_string())?;
    let show = |step: &Step, lines: &[String]| {
        if o.show {
            println!("{step:?}\n    {}", lines.join("\n    "));
        }
    };
    let Some(mismatch) = pair.compare(program, show).map_err(|e| e.to_string())? else {
        if !o.four_letter {
            return Ok(None);
        }
        let (left, right) = pair.addresses();
        let differences = four_letter::compare(left, right).map_err(|e| e.to_string())?;
        return Ok(four_letter_report(program, &differences));
    };
    let outputs = pair.outputs();
    drop(pair);
    let bounds = shrink::Bounds { tries_max: o.shrink_tries, time_max: Duration::from_secs(180) };
    let steps = program.steps.len();
    let (program, mismatch) = shrink::shrink(program, mismatch, bounds, |candidate| {
        lockstep::run(candidate, &o.reference, &o.candidate).ok().flatten()
    });
    let mut text = report::mismatch(&program, &mismatch, &o.reference.name(), &o.candidate.name());
    text.push_str(&format!("  ({} steps of {steps} left)\n", program.steps.len()));
    for output in outputs {
        let lines: Vec<&str> = output.lines().collect();
        // A panic is the news, however much follows it.
        let panic = lines.iter().position(|line| line.contains("panicked at"));
        let from = panic.unwrap_or(lines.len().saturating_sub(6));
        for line in lines.iter().skip(from).take(6) {
            text.push_str(&format!("  | {line}\n"));
        }
    }
    Ok(Some(text))
}

fn four_letter_report(program: &Program, differences: &[four_letter::Difference]) -> Option<String> {
    if differences.is_empty() {
        return None;
    }
    let mut text = format!("seed {}: four-letter words differ\n", program.seed);
    for difference in differences {
        text.push_str(&format!("  {}\n", difference.word));
        for line in &difference.missing {
            text.push_str(&format!("    - {line}\n"));
        }
        for line in &difference.extra {
            text.push_str(&format!("    + {line}\n"));
        }
    }
    Some(text)
}
