//! Command line of the tests on ensembles of real processes.

use oxkeeper_compat::ensemble::cleanup;
use oxkeeper_compat::ensemble::faults::Faults;
use oxkeeper_compat::ensemble::mixed::Mix;
use oxkeeper_compat::ensemble::network::Network;
use oxkeeper_compat::ensemble::pipelined::Pipelined;
use oxkeeper_compat::ensemble::{
    Ensemble, Layout, elsewhere, failover, followers, members, rolling, rollover, unreadable,
};
use oxkeeper_compat::servers::{ServerKind, workspace_root};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const USAGE: &str = "\
oxkeeper-ensembles COMMAND [--option VALUE ...]: ensembles of real servers, of one kind or mixed

  mixed      one Oxkeeper and two ZooKeepers, and the reverse, with an observer: every kind leads, follows, comes back
               --versions V,..   of ZooKeeper (3.9.5,3.8.0)
               --only WORDS      mixes whose name contains them
  pipelined  ours and ZooKeepers, an observer of each: all operations at once on every server under kills, pauses, and (as root)
             cut links; every request must be answered, and the history must be linearizable
               --versions V,..   of ZooKeeper (3.9.5,3.8.0)
               --solo K          of which kind there is one voter beside two: ours or java (ours)
               --seconds N       of each (60)
  unreadable writes that cannot be read, pipelined beside good ones, where a ZooKeeper leads two of ours and an observer: all serve again
               --versions V,..   (3.9.5)
  rollover   an epoch comes to its end under load, with a ZooKeeper as leader and ours as followers, and the reverse
               --versions V,..   (3.9.5)
  rolling    three ZooKeepers are replaced by Oxkeeper one by one under load, and back
               --versions V,..   (3.9.5,3.8.0)
  members    members change by files and restarts: one to three, four and five, back, exchanged, by name, observer to voter
               --kinds K,..      of the fourth of five servers, one run each (ours,java:3.9.5)
  faults     kills, pauses and restarts on three of ours under clients; their history must be linearizable
               --seconds N       (60)
               --network yes     cuts links, too; needs root and `ip`
               --kind K          of the servers (ours)
  failover   milliseconds from the kill of a leader to the first write that a survivor acknowledges
               --nodes N         in the tree (1000)
               --kills N         (10)
               --kinds K,..      one after the other (ours,java:3.9.5)
  followers  times of writes at a leader: undisturbed, while a follower is down, comes back empty, and stands still
               --nodes N         in the tree (300000)
               --seconds N       of each, but for the coming back (5)
               --kinds K,..      one after the other (ours,java:3.9.5)
  elsewhere  reads on one server, each right behind a write on another: how many miss it. Fails where the first kind misses more
             than one behind it in the same run
               --tries N         from each server to each other (300)
               --busy N,..       threads beside it that use the processors, one run each (0,2)
               --kinds K,..      (ours,java:3.9.5)
  with       starts an ensemble, runs the command behind --, and ends the ensemble; the command's exit code
               --members K,..    (ours,ours,ours) with K: ours, java:VERSION, or either followed by /observer
               --ports P,..      client ports; free ones without it
               --reaper MS       between runs of the reaper (3600000)
             In the command, {hosts} is the connect string and {pids} the process ids.

For all:
  --candidate WHAT   'ours': a command with {conf} for its zoo.cfg, or java:VERSION
                     (target/release/oxkeeper server {conf})
  --seed N           of what is written (1)

Prints a line for each check: ok, FAIL or skip. Ends with 0 where all is well, 1 where something is not, 2 where it was
called wrongly.";

struct Args {
    options: Vec<(String, String)>,
    command: Vec<String>,
}

impl Args {
    fn parse(words: impl Iterator<Item = String>, known: &[&str]) -> Result<Args, String> {
        let mut args = Args { options: Vec::new(), command: Vec::new() };
        let mut words = words;
        while let Some(word) = words.next() {
            if word == "--" {
                args.command = words.by_ref().collect();
                break;
            }
            let name = word.strip_prefix("--").filter(|name| known.contains(name) || COMMON.contains(name));
            let name = name.ok_or_else(|| format!("unknown option {word}; --help lists them"))?.to_string();
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            args.options.push((name, value));
        }
        Ok(args)
    }
    fn get(&self, name: &str, default: &str) -> String {
        let given = self.options.iter().rev().find(|(key, _)| key == name);
        given.map_or(default.to_string(), |(_, value)| value.clone())
    }
    fn number(&self, name: &str, default: u64) -> Result<u64, String> {
        let text = self.get(name, &default.to_string());
        text.parse().map_err(|_| format!("--{name} {text}: expected a number"))
    }
    fn list(&self, name: &str, default: &str) -> Vec<String> {
        self.get(name, default).split(',').filter(|part| !part.is_empty()).map(String::from).collect()
    }
    fn ours(&self) -> ServerKind {
        let binary = workspace_root().join("target/release/oxkeeper");
        ServerKind::parse(&self.get("candidate", &format!("{} server {{conf}}", binary.display())))
    }
    fn seed(&self) -> Result<u64, String> {
        self.number("seed", 1)
    }
}

const COMMON: &[&str] = &["candidate", "seed"];

/// Counts what failed, and prints.
struct Report {
    failed: usize,
}

impl Report {
    fn line<E: std::fmt::Display>(&mut self, name: &str, started: Instant, result: Result<String, E>) {
        let seconds = started.elapsed().as_secs_f32();
        match result {
            Ok(text) => println!("ok {name}: {text} ({seconds:.1} s)"),
            Err(e) => {
                self.failed += 1;
                // The cause stands in the line as well: where only such lines are kept, it is what remains.
                let text = e.to_string();
                let cause: String = text.lines().next().unwrap_or_default().chars().take(400).collect();
                println!("{text}\nFAIL {name}: {cause} ({seconds:.1} s)");
            }
        }
    }
    fn code(&self) -> ExitCode {
        ExitCode::from((self.failed > 0) as u8)
    }
}

fn java(version: &str) -> ServerKind {
    ServerKind::parse(&format!("java:{version}"))
}

fn run_mixed(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let only = args.get("only", "");
    let seed = args.seed()? * 1000;
    for version in args.list("versions", "3.9.5,3.8.0") {
        let (ours, java) = (args.ours(), java(&version));
        let mix = |solo: &ServerKind, pair: &ServerKind, from_log| {
            let (observer, solo) = (solo.clone(), solo.clone());
            Mix { solo, pair: pair.clone(), observer, from_log, seed }
        };
        for mix in [mix(&ours, &java, false), mix(&java, &ours, true)] {
            let name = format!("mixed {version}, {}", mix.name());
            if !name.contains(&only) {
                continue;
            }
            let started = Instant::now();
            let mut legs = 0;
            let result = mix.run(&mut |leg| {
                legs += 1;
                println!("ok {name}: {leg}");
            });
            report.line(&name, started, result.map(|()| format!("all {legs} legs")));
        }
    }
    Ok(report.code())
}

fn run_pipelined(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let time = Duration::from_secs(args.number("seconds", 60)?);
    let solo_is_ours = args.get("solo", "ours") == "ours";
    for version in args.list("versions", "3.9.5,3.8.0") {
        let (ours, java) = (args.ours(), java(&version));
        let (solo, pair) = if solo_is_ours { (ours, java) } else { (java, ours) };
        let pipelined = Pipelined { solo, pair, time, seed: args.seed()? };
        let started = Instant::now();
        report.line(&format!("pipelined {version}, {}", pipelined.name()), started, pipelined.run());
    }
    Ok(report.code())
}

fn run_unreadable(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    for version in args.list("versions", "3.9.5") {
        let started = Instant::now();
        let name = format!("unreadable {version}");
        let result =
            unreadable::run(&java(&version), &args.ours(), args.seed()?, &mut |step| println!("ok {name}: {step}"));
        report.line(&name, started, result);
    }
    Ok(report.code())
}

fn run_rollover(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    for version in args.list("versions", "3.9.5") {
        let (ours, java) = (args.ours(), java(&version));
        for (leader, followers) in [(&ours, &java), (&java, &ours)] {
            let started = Instant::now();
            let name = format!("rollover {version}, {} leads", leader.short());
            let result = rollover::run(leader, followers, args.seed()?, &mut |step| println!("ok {name}: {step}"));
            report.line(&name, started, result);
        }
    }
    Ok(report.code())
}

fn run_rolling(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    for version in args.list("versions", "3.9.5,3.8.0") {
        let started = Instant::now();
        let name = format!("rolling {version}");
        let result =
            rolling::run(&java(&version), &args.ours(), args.seed()?, &mut |step| println!("ok {name}: {step}"));
        report.line(&name, started, result);
    }
    Ok(report.code())
}

fn run_members(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    for text in args.list("kinds", "ours,java:3.9.5") {
        let other = kind(args, &text);
        let started = Instant::now();
        let name = format!("members with {}", other.short());
        let result = members::run(&args.ours(), &other, args.seed()?, &mut |step| println!("ok {name}: {step}"));
        report.line(&name, started, result);
    }
    Ok(report.code())
}

fn kind(args: &Args, text: &str) -> ServerKind {
    if text == "ours" { args.ours() } else { ServerKind::parse(text) }
}

fn run_faults(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let network = args.get("network", "no") == "yes";
    let faults = Faults {
        kind: kind(args, &args.get("kind", "ours")),
        time: Duration::from_secs(args.number("seconds", 60)?),
        seed: args.seed()?,
        network,
    };
    let name = if network { "faults on links" } else { "faults on processes" };
    if let Some(why) = network.then(Network::missing).flatten() {
        println!("skip {name}: no network of our own here: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    report.line(name, started, faults.run());
    Ok(report.code())
}

fn run_failover(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let nodes = args.number("nodes", 1000)? as usize;
    let kills = args.number("kills", 10)? as usize;
    for text in args.list("kinds", "ours,java:3.9.5") {
        let kind = kind(args, &text);
        let started = Instant::now();
        let result = failover::measure(&kind, nodes, kills).map(|mut times| {
            times.sort_by(f64::total_cmp);
            let all: Vec<String> = times.iter().map(|ms| format!("{ms:.0}")).collect();
            let median = times.get(times.len() / 2).copied().unwrap_or_default();
            format!("{nodes} nodes, {kills} kills, median {median:.0} ms, all: {} ms", all.join(" "))
        });
        report.line(&format!("failover of {}", kind.short()), started, result);
    }
    Ok(report.code())
}

fn run_followers(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let nodes = args.number("nodes", 300_000)? as usize;
    let time = Duration::from_secs(args.number("seconds", 5)?);
    for text in args.list("kinds", "ours,java:3.9.5") {
        let kind = kind(args, &text);
        let started = Instant::now();
        let result = followers::measure(&kind, nodes, time).map(|figures| {
            let lines: Vec<String> = figures.iter().map(|figures| format!("\n   {figures}")).collect();
            format!("{nodes} nodes{}\n  ", lines.concat())
        });
        report.line(&format!("followers of {}", kind.short()), started, result);
    }
    Ok(report.code())
}

fn run_elsewhere(args: &Args) -> Result<ExitCode, String> {
    let mut report = Report { failed: 0 };
    let tries = args.number("tries", 300)? as usize;
    for text in args.list("busy", "0,2") {
        let busy: usize = text.parse().map_err(|_| format!("--busy {text}: expected a number"))?;
        let mut first = None;
        for text in args.list("kinds", "ours,java:3.9.5") {
            let (kind, started) = (kind(args, &text), Instant::now());
            let result = elsewhere::measure(&kind, tries, busy).map_err(|e| e.to_string()).and_then(|misses| {
                let first = first.get_or_insert_with(|| misses.clone());
                if first.is_more_than(&misses) {
                    Err(format!("{misses}; the first kind: {first}"))
                } else {
                    Ok(misses.to_string())
                }
            });
            report.line(&format!("elsewhere of {}, {busy} busy threads", kind.short()), started, result);
        }
    }
    Ok(report.code())
}

fn layout(args: &Args, members: &str) -> Result<Layout, String> {
    let mut kinds = Vec::new();
    for text in args.list("members", members) {
        let (kind_text, observer) = match text.strip_suffix("/observer") {
            Some(kind) => (kind, true),
            None => (text.as_str(), false),
        };
        kinds.push((kind(args, kind_text), observer));
    }
    let mut layout = Layout::of(kinds);
    for port in args.list("ports", "") {
        layout.client_ports.push(port.parse().map_err(|_| format!("--ports {port}: expected a port"))?);
    }
    Ok(layout)
}

fn run_with(args: &Args) -> Result<ExitCode, String> {
    let mut layout = layout(args, "ours,ours,ours")?;
    layout.snap_count = 100_000;
    layout.extra.push("reconfigEnabled=true".into());
    layout.reaper_interval_ms = u32::try_from(args.number("reaper", 3_600_000)?).map_err(|e| e.to_string())?;
    if args.command.is_empty() {
        return Err("with: a command behind --".into());
    }
    let ensemble = Ensemble::start(&layout).map_err(|e| e.to_string())?;
    let hosts = ensemble.hosts();
    let pids: Vec<String> = ensemble.members.iter().filter_map(|m| m.pid()).map(|pid| pid.to_string()).collect();
    let words: Vec<String> =
        args.command.iter().map(|word| word.replace("{hosts}", &hosts).replace("{pids}", &pids.join(","))).collect();
    let status = Command::new(&words[0]).args(&words[1..]).env("ZK_HOSTS", &hosts).status();
    let status = status.map_err(|e| format!("{}: {e}", words[0]))?;
    if !status.success() {
        eprintln!("{}", ensemble.state());
    }
    Ok(ExitCode::from(status.code().unwrap_or(1) as u8))
}

fn main() -> ExitCode {
    cleanup::install();
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let result = match command.as_str() {
        "mixed" => Args::parse(words, &["versions", "only"]).and_then(|args| run_mixed(&args)),
        "pipelined" => Args::parse(words, &["versions", "seconds", "solo"]).and_then(|args| run_pipelined(&args)),
        "unreadable" => Args::parse(words, &["versions"]).and_then(|args| run_unreadable(&args)),
        "rollover" => Args::parse(words, &["versions"]).and_then(|args| run_rollover(&args)),
        "rolling" => Args::parse(words, &["versions"]).and_then(|args| run_rolling(&args)),
        "members" => Args::parse(words, &["kinds"]).and_then(|args| run_members(&args)),
        "faults" => Args::parse(words, &["seconds", "network", "kind"]).and_then(|args| run_faults(&args)),
        "failover" => Args::parse(words, &["nodes", "kills", "kinds"]).and_then(|args| run_failover(&args)),
        "followers" => Args::parse(words, &["nodes", "seconds", "kinds"]).and_then(|args| run_followers(&args)),
        "elsewhere" => Args::parse(words, &["tries", "busy", "kinds"]).and_then(|args| run_elsewhere(&args)),
        "with" => Args::parse(words, &["members", "ports", "reaper"]).and_then(|args| run_with(&args)),
        "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(format!("'{command}' is no command; --help lists them")),
    };
    result.unwrap_or_else(|message| {
        eprintln!("oxkeeper-ensembles: {message}");
        ExitCode::from(2)
    })
}
