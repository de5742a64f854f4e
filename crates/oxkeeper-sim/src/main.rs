//! Runs seeds, one seed, or makes a failing seed smaller.

use clap::Parser;
use oxkeeper_sim::members::Members;
use oxkeeper_sim::museum::Bug;
use oxkeeper_sim::{Outcome, RunOptions, run, shrink::shrink};
use oxkeeper_types::Zxid;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// A whole cluster in one thread from one seed.
#[derive(Parser, Debug)]
#[command(name = "oxkeeper-sim", version)]
struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// One seed, with everything that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Find the smallest run that fails like this seed does.
    #[arg(long)]
    shrink: bool,
    /// Numbers of faults to leave out, as a shrunk run prints them.
    #[arg(long, value_delimiter = ',')]
    without: Vec<usize>,
    /// Requests and faults as when the simulator was new: for the first seeds that are named in `docs/SIMULATION.md`.
    #[arg(long)]
    early: bool,
    /// So many voting servers, whatever the seed says.
    #[arg(long)]
    voters: Option<usize>,
    /// Processes that share the seeds.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Every seed runs twice and must do the same thing.
    #[arg(long)]
    twice: bool,
    /// Puts a bug in, by its name; with `--museum`, each in turn, until a seed finds it.
    #[arg(long)]
    plant: Option<String>,
    #[arg(long)]
    museum: bool,
    /// One line a seed, for the process that started this one.
    #[arg(long, hide = true)]
    worker: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.worker {
        return work(&arguments);
    }
    if arguments.museum {
        return museum(&arguments);
    }
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn options(seed: u64, arguments: &Arguments) -> RunOptions {
    let mut options = RunOptions::of_seed(seed);
    options.faults_skipped = arguments.without.clone();
    options.early = arguments.early;
    options.planted = arguments.plant.as_deref().map(|name| {
        Bug::of_name(name).unwrap_or_else(|| {
            let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
            eprintln!("no bug is called {name}; there are: {}", names.join(", "));
            std::process::exit(2)
        })
    });
    if let Some(voters) = arguments.voters {
        options.voters = voters;
        options.weighted &= voters >= 5;
        options.members = Members::Same;
        options.begins_at = Zxid::ZERO;
        if voters == 1 {
            options.observers = 0;
        }
    }
    options
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let options = options(seed, arguments);
    println!("{options}");
    let mut outcome = run(&options, !arguments.shrink);
    if arguments.shrink && outcome.violation.is_some() {
        let smaller = shrink(&outcome, 200);
        println!("smaller: {}", smaller.options);
        outcome = run(&smaller.options, true);
        let skipped: Vec<String> = outcome.options.faults_skipped.iter().map(usize::to_string).collect();
        println!("again: oxkeeper-sim --seed {seed} --without {}", skipped.join(","));
    }
    print!("{}", outcome.lines);
    println!("{}", line(&outcome));
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// What a worker says about a seed.
fn line(outcome: &Outcome) -> String {
    let verdict = outcome.violation.as_ref().map_or("ok".to_string(), |v| format!("BROKEN {v}"));
    let c = outcome.counts;
    format!(
        "seed {} hash {:016x} us {} events {} delivered {} trees {} writes {} reads {} syncs {} watches {} arrived {} learner_answers {} cuts_of_two {} lists {} leaders {} vain_ms {} recovery_ms {} {verdict}",
        outcome.options.seed,
        outcome.hash,
        outcome.simulated_us,
        outcome.events,
        c.delivered,
        c.trees_compared,
        c.writes_acked,
        c.reads_checked,
        c.syncs_checked,
        c.events_checked,
        c.reads_arrived,
        c.learner_answers,
        c.cuts_of_two,
        c.lists_judged,
        c.leaders,
        c.elected_in_vain_ms,
        c.recovery_ms,
    )
}

/// Seeds `start`, `start + jobs`, ...; one line each.
fn work(arguments: &Arguments) -> ExitCode {
    let mut out = std::io::stdout();
    let mut points: BTreeMap<&str, u64> = BTreeMap::new();
    let end = arguments.start + arguments.seeds;
    for seed in (arguments.start..end).step_by(arguments.jobs as usize) {
        let options = options(seed, arguments);
        let outcome = run(&options, false);
        let mut text = line(&outcome);
        if arguments.twice && outcome.violation.is_none() {
            let again = run(&options, false);
            if again.hash != outcome.hash {
                text.push_str(" BROKEN Determinism: a second run did something else");
            }
        }
        outcome.points.iter().for_each(|(name, n)| *points.entry(name).or_default() += n);
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            return ExitCode::FAILURE;
        }
    }
    for (name, n) in points {
        println!("point {n} {name}");
    }
    ExitCode::SUCCESS
}

/// Every planted bug, until a seed finds it; a row of the table in `docs/SIMULATION.md` each. Every run is a process of its own:
/// what a bug breaks may be an assertion of the product.
fn museum(arguments: &Arguments) -> ExitCode {
    let bugs: Vec<Bug> =
        Bug::ALL.iter().copied().filter(|b| arguments.plant.as_deref().is_none_or(|name| name == b.name())).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let missed = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let begin = Instant::now();
                    let found = find(*bug, arguments);
                    let seconds = begin.elapsed().as_secs_f64();
                    let (seed, rule) = found.clone().unwrap_or(("none".to_string(), "not found".to_string()));
                    let (name, what, like) = (bug.name(), bug.what(), bug.like());
                    println!("| `{name}` | {what} | {like} | {seed} | {rule} | {seconds:.1} s |");
                    missed.fetch_add(usize::from(found.is_none()), std::sync::atomic::Ordering::Relaxed);
                }
            });
        }
    });
    let missed = missed.into_inner();
    println!("{} of {} planted bugs found", bugs.len() - missed, bugs.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first seed that finds a bug, and the rule that was broken.
fn find(bug: Bug, arguments: &Arguments) -> Option<(String, String)> {
    let program = std::env::current_exe().expect("the program knows where it is");
    let seeds = arguments.start..arguments.start + arguments.seeds;
    std::iter::once(bug.seed()).chain(seeds.filter(|seed| *seed != bug.seed())).find_map(|seed| {
        let number = seed.to_string();
        let mut command = Command::new(&program);
        command.args(["--worker", "--seeds", "1", "--jobs", "1", "--start", &number, "--plant", bug.name()]);
        let output = command.env("RUST_BACKTRACE", "0").output().expect("the program can start itself");
        let text = String::from_utf8_lossy(&output.stdout);
        let rule = if output.status.success() {
            let rule = text.split("BROKEN ").nth(1)?;
            rule.split(' ').next()?.to_string()
        } else {
            "ShouldNotBeTriggered".to_string()
        };
        Some((number, rule))
    })
}

/// Sums over all seeds.
#[derive(Default)]
struct Total {
    seeds: u64,
    simulated_us: u64,
    sums: BTreeMap<String, u64>,
    broken: Vec<String>,
    points: BTreeMap<String, u64>,
}

impl Total {
    fn take(&mut self, line: &str) -> Option<u64> {
        if let Some(rest) = line.strip_prefix("point ") {
            let (n, name) = rest.split_once(' ')?;
            *self.points.entry(name.to_string()).or_default() += n.parse::<u64>().ok()?;
            return None;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let seed = words.get(1)?.parse().ok()?;
        self.seeds += 1;
        for pair in words.chunks(2).skip(2).take_while(|pair| pair.len() == 2) {
            let Ok(n) = pair[1].parse::<u64>() else { break };
            match pair[0] {
                "us" => self.simulated_us += n,
                name => *self.sums.entry(name.to_string()).or_default() += n,
            }
        }
        if let Some(at) = line.find("BROKEN") {
            self.broken.push(format!("seed {seed}: {}", &line[at..]));
            println!("seed {seed}: {}", &line[at..]);
        }
        Some(seed)
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let begin = Instant::now();
    println!("seeds {}..{}", arguments.start, arguments.start + arguments.seeds - 1);
    let (sender, lines) = std::sync::mpsc::channel();
    let workers: Vec<_> = (0..arguments.jobs.max(1))
        .map(|n| {
            let (sender, start) = (sender.clone(), arguments.start + n);
            let end = arguments.start + arguments.seeds;
            let (jobs, mut extra) = (arguments.jobs.max(1), Vec::new());
            if arguments.early {
                extra.push("--early".to_string());
            }
            if arguments.twice {
                extra.push("--twice".to_string());
            }
            if let Some(plant) = &arguments.plant {
                extra.extend(["--plant".to_string(), plant.clone()]);
            }
            if let Some(voters) = arguments.voters {
                extra.extend(["--voters".to_string(), voters.to_string()]);
            }
            std::thread::spawn(move || supervise(start, end, jobs, &extra, &sender))
        })
        .collect();
    drop(sender);
    let mut total = Total::default();
    for line in lines {
        total.take(&line);
    }
    for worker in workers {
        worker.join().expect("a supervisor does not panic");
    }
    let hours = total.simulated_us as f64 / 3.6e9;
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{} seeds, {hours:.2} simulated hours in {took:.1} s: {:.0} x real time",
        total.seeds,
        hours * 3600.0 / took
    );
    for (name, n) in &total.sums {
        println!("{name:>12} {n}");
    }
    let rare: Vec<_> = total.points.iter().filter(|(_, n)| **n < 100).map(|(p, n)| format!("{p} {n}")).collect();
    println!("{} points passed; fewer than 100 times: {}", total.points.len(), rare.join(", "));
    println!("{} broken", total.broken.len());
    total.broken.iter().for_each(|text| println!("  {text}"));
    if total.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Keeps a worker going: a release build aborts where the product panics, and the seeds behind that one still run.
fn supervise(start: u64, end: u64, jobs: u64, extra: &[String], sender: &std::sync::mpsc::Sender<String>) {
    let program = std::env::current_exe().expect("the program knows where it is");
    let mut next = start;
    while next < end {
        let mut command = Command::new(&program);
        command.args(["--worker", "--start", &next.to_string(), "--seeds", &(end - next).to_string()]);
        command.args(["--jobs", &jobs.to_string()]);
        command.args(extra);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can start itself");
        let errors = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            BufReader::new(errors).lines().map_while(Result::ok).take(40).collect::<Vec<_>>().join(" | ")
        });
        for line in BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok) {
            if let Some(seed) =
                line.strip_prefix("seed ").and_then(|l| l.split(' ').next()).and_then(|s| s.parse::<u64>().ok())
            {
                next = seed + jobs;
            }
            let _ = sender.send(line);
        }
        let status = child.wait().expect("the worker was started here");
        let text = errors.join().expect("reading does not panic");
        if !status.success() {
            let _ = sender.send(format!("seed {next} hash 0 BROKEN ShouldNotBeTriggered: {text}"));
            next += jobs;
        }
        if status.success() {
            break;
        }
    }
}
