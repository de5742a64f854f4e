//! `oxkeeper-load`: puts one workload on servers and prints one line of `name=value` figures.

use clap::Parser;
use hdrhistogram::Histogram;
use oxkeeper_bench::process::Usage;
use oxkeeper_bench::swarm::Swarm;
use oxkeeper_bench::workload::{Kind, Workload};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Requests that the set-up keeps in flight before it waits for answers.
const SETUP_CHUNK: usize = 2000;
/// Handshakes under way at once in the connect workload.
const HANDSHAKES_MAX: usize = 200;
/// Rounds of the watch workload; the median counts.
const WATCH_ROUNDS: usize = 5;

#[derive(Parser)]
#[command(about = "Load on anything that speaks the ZooKeeper client protocol")]
struct Args {
    /// Comma-separated host:port
    #[arg(long, default_value = "127.0.0.1:2181")]
    hosts: String,
    /// get | set | mix:PERCENT_READS | create | eph | list | fill:COUNT | watch:WATCHERS | connect
    #[arg(long, default_value = "get")]
    op: String,
    #[arg(long, default_value_t = 50)]
    conns: usize,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1)]
    pipeline: usize,
    #[arg(long, default_value_t = 1000)]
    keys: usize,
    /// Bytes of data in a node
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5.0)]
    secs: f64,
    /// Seconds before them
    #[arg(long, default_value_t = 2.0)]
    warmup: f64,
    /// Requests per second over all connections, latency counted from when each was due; 0: as fast as answers come
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Comma-separated process ids of the servers, for CPU and memory
    #[arg(long, default_value = "")]
    pids: String,
    /// The node below which everything happens
    #[arg(long, default_value = "/oxkeeper-load")]
    root: String,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let mut hosts = Vec::new();
    for host in args.hosts.split(',') {
        let address = host.to_socket_addrs()?.next();
        hosts.push(address.ok_or_else(|| io::Error::other(format!("{host}: no address")))?);
    }
    let pids: Vec<u32> = args.pids.split(',').filter_map(|p| p.trim().parse().ok()).collect();
    if args.op == "connect" {
        return connect(&args, &hosts, &pids);
    }
    let mut swarm = Swarm::connect(&hosts, args.conns)?;
    swarm.conns[0].create(&args.root, b"", 0, Instant::now());
    swarm.drain()?;
    let (name, parameter) = args.op.split_once(':').unwrap_or((&args.op, ""));
    let number =
        || parameter.parse::<usize>().map_err(|_| io::Error::other(format!("{}: a number after ':'", args.op)));
    let kind = match name {
        "get" => Kind::Mix { reads_percent: 100 },
        "set" => Kind::Mix { reads_percent: 0 },
        "mix" => Kind::Mix { reads_percent: number()? as u64 },
        "create" => Kind::Create,
        "eph" => Kind::Ephemeral,
        "list" => Kind::List,
        "fill" => return fill(&args, number()?, &mut swarm, &pids),
        "watch" => return watch(&args, number()?, &mut swarm),
        other => return Err(io::Error::other(format!("--op {other}: see --help"))),
    };
    let mut workload = Workload::new(kind, &args.root, args.keys, args.size);
    set_up(&workload, &mut swarm)?;
    steady(&args, &mut workload, &mut swarm, &pids)
}

fn set_up(workload: &Workload, swarm: &mut Swarm) -> io::Result<()> {
    let conns = swarm.conns.len();
    for key in 0..workload.keys() {
        workload.prepare(key, &mut swarm.conns[key % conns], Instant::now());
        if key % SETUP_CHUNK == SETUP_CHUNK - 1 {
            swarm.drain()?;
        }
    }
    swarm.drain()
}

/// Keeps the workload up, and measures after the warm-up.
fn steady(args: &Args, workload: &mut Workload, swarm: &mut Swarm, pids: &[u32]) -> io::Result<()> {
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3).expect("bounds of a histogram");
    let (mut errors, mut measuring) = (0u64, false);
    let start = Instant::now();
    let warm = start + Duration::from_secs_f64(args.warmup);
    let end = warm + Duration::from_secs_f64(args.secs);
    let (mut before, mut from) = (Usage::default(), start);
    let mut sent = 0u64;
    if args.rate == 0.0 {
        for i in 0..swarm.conns.len() {
            for _ in 0..args.pipeline {
                workload.issue(&mut swarm.conns[i], i, start);
            }
        }
        swarm.flush()?;
    }
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if !measuring && now >= warm {
            (measuring, errors, before, from) = (true, 0, Usage::of(pids), now);
            latency.reset();
        }
        let mut wait = Duration::from_millis(20);
        if args.rate > 0.0 {
            let due = |n: u64| start + Duration::from_secs_f64(n as f64 / args.rate);
            while due(sent) <= now {
                let i = sent as usize % swarm.conns.len();
                workload.issue(&mut swarm.conns[i], i, due(sent));
                swarm.conns[i].flush()?;
                sent += 1;
            }
            wait = due(sent).saturating_duration_since(Instant::now()).min(Duration::from_millis(1));
        }
        swarm.step(wait, |conn, i, error, due| {
            let now = Instant::now();
            errors += u64::from(error != 0);
            latency.saturating_record(now.duration_since(due).as_micros() as u64);
            if args.rate == 0.0 {
                workload.issue(conn, i, now);
            }
        })?;
    }
    let seconds = from.elapsed().as_secs_f64();
    let (after, ops) = (Usage::of(pids), latency.len() as f64);
    println!(
        "op={} ops={:.0} errs={errors} p50_us={} p99_us={} p999_us={} max_us={} server_cpu_us_per_op={:.2} rss_mb={:.1}",
        args.op,
        ops / seconds,
        latency.value_at_quantile(0.5),
        latency.value_at_quantile(0.99),
        latency.value_at_quantile(0.999),
        latency.max(),
        (after.cpu_seconds - before.cpu_seconds) * 1e6 / ops.max(1.0),
        after.rss_bytes / 1e6,
    );
    Ok(())
}

/// Sessions opened per second, a bounded number of handshakes at a time.
fn connect(args: &Args, hosts: &[SocketAddr], pids: &[u32]) -> io::Result<()> {
    let (before, start) = (Usage::of(pids), Instant::now());
    let mut swarm = Swarm::new()?;
    let mut ready = 0;
    while ready < args.conns {
        while swarm.conns.len() < args.conns && swarm.conns.len() - ready < HANDSHAKES_MAX {
            swarm.add(hosts[swarm.conns.len() % hosts.len()])?;
        }
        swarm.step(Duration::from_millis(50), |_, _, _, _| {})?;
        while ready < swarm.conns.len() && swarm.conns[ready].ready {
            ready += 1;
        }
        if start.elapsed() > Duration::from_secs(120) {
            return Err(io::Error::other(format!("{ready} of {} sessions after 120 s", args.conns)));
        }
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), Usage::of(pids));
    println!(
        "op=connect sessions_per_s={:.0} server_cpu_us_per_session={:.1} rss_mb={:.1}",
        args.conns as f64 / seconds,
        (after.cpu_seconds - before.cpu_seconds) * 1e6 / args.conns as f64,
        after.rss_bytes / 1e6,
    );
    Ok(())
}

/// `count` nodes in directories of a thousand.
fn fill(args: &Args, count: usize, swarm: &mut Swarm, pids: &[u32]) -> io::Result<()> {
    let conns = swarm.conns.len();
    for dir in 0..count.div_ceil(1000) {
        swarm.conns[dir % conns].create(&format!("{}/d{dir}", args.root), b"", 0, Instant::now());
        if dir % 500 == 499 {
            swarm.drain()?;
        }
    }
    swarm.drain()?;
    let (before, start) = (Usage::of(pids), Instant::now());
    let data = vec![b'v'; args.size];
    let (mut next, mut done, mut errors) = (0usize, 0usize, 0u64);
    let mut send = |conn: &mut oxkeeper_bench::conn::Conn| {
        if next < count {
            conn.create(&format!("{}/d{}/n{next}", args.root, next / 1000), &data, 0, Instant::now());
            next += 1;
        }
    };
    for conn in &mut swarm.conns {
        (0..args.pipeline).for_each(|_| send(conn));
    }
    swarm.flush()?;
    while done < count {
        swarm.step(Duration::from_millis(50), |conn, _, error, _| {
            done += 1;
            errors += u64::from(error != 0);
            send(conn);
        })?;
    }
    let (seconds, after) = (start.elapsed().as_secs_f64(), Usage::of(pids));
    println!(
        "op=fill nodes={count} ops={:.0} errs={errors} server_cpu_us_per_op={:.2} rss_mb={:.1} rss_before_mb={:.1}",
        count as f64 / seconds,
        (after.cpu_seconds - before.cpu_seconds) * 1e6 / count as f64,
        after.rss_bytes / 1e6,
        before.rss_bytes / 1e6,
    );
    Ok(())
}

/// `watchers` one-shot watches on a set of nodes, each connection but the first on each node; then every node changes.
fn watch(args: &Args, watchers: usize, swarm: &mut Swarm) -> io::Result<()> {
    let watching = swarm.conns.len() - 1;
    let nodes: Vec<String> = (0..watchers.div_ceil(watching)).map(|n| format!("{}/w{n}", args.root)).collect();
    for node in &nodes {
        swarm.conns[0].create(node, b"", 0, Instant::now());
    }
    swarm.drain()?;
    let mut rounds = Vec::new();
    for _ in 0..WATCH_ROUNDS {
        for conn in &mut swarm.conns[1..] {
            nodes.iter().for_each(|node| conn.exists(node, true, Instant::now()));
        }
        swarm.drain()?;
        let events = |s: &Swarm| s.conns.iter().map(|c| c.events).sum::<u64>();
        let wanted = events(swarm) + (watching * nodes.len()) as u64;
        let start = Instant::now();
        for node in &nodes {
            swarm.conns[0].set(node, b"new", start);
        }
        swarm.flush()?;
        swarm.until(|s| events(s) >= wanted, "not every event arrived")?;
        rounds.push(start.elapsed().as_secs_f64());
        swarm.drain()?;
    }
    rounds.sort_by(f64::total_cmp);
    let total = (watching * nodes.len()) as f64;
    println!("op=watch watchers={total} notifications_per_s={:.0}", total / rounds[WATCH_ROUNDS / 2]);
    Ok(())
}
