//! The four-letter words, in the reference's shapes (its package `server.command`, inventory OB001-OB026).

use super::text::{average, date};
use super::{ServerInfo, mntr, view};
use crate::client::link::Link;
use crate::shared::{Shared, lock};
use oxkeeper_proto::frame::FourLetterWord as Word;
use oxkeeper_replica::output::Mode;
use oxkeeper_types::{Millis, OpCode, Zxid};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";
/// The reference's default trace mask; kept for `gtmk` and `stmk`, traces nothing here.
static TRACE_MASK: AtomicI64 = AtomicI64::new(306);

/// The answer to a word, whole.
pub fn answer(shared: &Shared, info: &ServerInfo, word: Word, mask: Option<i64>) -> String {
    if !shared.edge.four_letter_words.contains(&word) {
        return format!("{} is not executed because it is not in the whitelist.\n", word.text());
    }
    let needs_server = !matches!(word, Word::Ruok | Word::Envi | Word::Gtmk | Word::Stmk | Word::Isro);
    if needs_server && !shared.is_serving() {
        return NOT_SERVING.into();
    }
    let mut out = String::new();
    run(shared, info, word, mask, &mut out).expect("writing to a string");
    out
}

fn run(shared: &Shared, info: &ServerInfo, word: Word, mask: Option<i64>, out: &mut String) -> std::fmt::Result {
    match word {
        Word::Ruok => write!(out, "imok"),
        Word::Isro if !shared.is_serving() => write!(out, "null"),
        Word::Isro => write!(out, "{}", if shared.mode.get() == Mode::ReadOnly { "ro" } else { "rw" }),
        Word::Gtmk => write!(out, "{}", TRACE_MASK.load(Relaxed)),
        Word::Stmk => {
            TRACE_MASK.store(mask.unwrap_or(0), Relaxed);
            write!(out, "{}", mask.unwrap_or(0))
        }
        Word::Crst => {
            links(shared).iter().for_each(|link| link.figures.reset());
            writeln!(out, "Connection stats reset.")
        }
        Word::Srst => {
            shared.io.iter().for_each(|io| io.metrics.reset());
            writeln!(out, "Server stats reset.")
        }
        Word::Conf => conf(shared, info, out),
        Word::Cons => {
            for link in links(shared) {
                connection(&link, false, out)?;
            }
            writeln!(out)
        }
        Word::Dirs => {
            writeln!(out, "datadir_size: {}", size(&info.data_dir))?;
            writeln!(out, "logdir_size: {}", size(&info.data_log_dir))
        }
        Word::Dump => dump(shared, out),
        Word::Envi => envi(info, out),
        Word::Hash => {
            let state = shared.handover.shared();
            state.tree.digest_log().try_for_each(|(zxid, digest)| writeln!(out, "{:x}: {}", zxid.0, digest as i64))
        }
        Word::Mntr => match view::report(shared) {
            None => write!(out, "{NOT_SERVING}"),
            Some(report) => {
                mntr::write(shared, info, &report, out);
                Ok(())
            }
        },
        Word::Srvr => status(shared, info, false, out),
        Word::Stat => status(shared, info, true, out),
        Word::Wchs => {
            let summary = lock(&shared.watches).summary();
            writeln!(out, "{} connections watching {} paths", summary.connections, summary.paths)?;
            writeln!(out, "Total watches:{}", summary.watches)
        }
        Word::Wchc => {
            for (session, paths) in lock(&shared.watches).by_session() {
                writeln!(out, "{session}")?;
                paths.iter().try_for_each(|path| writeln!(out, "\t{path}"))?;
            }
            writeln!(out)
        }
        Word::Wchp => {
            for (path, sessions) in lock(&shared.watches).by_path() {
                writeln!(out, "{path}")?;
                sessions.iter().try_for_each(|session| writeln!(out, "\t{session}"))?;
            }
            writeln!(out)
        }
    }
}

fn links(shared: &Shared) -> Vec<Arc<Link>> {
    let mut links: Vec<Arc<Link>> = lock(&shared.links).values().cloned().collect();
    links.sort_by_key(|link| link.conn);
    links
}

fn conf(shared: &Shared, info: &ServerInfo, out: &mut String) -> std::fmt::Result {
    let options = &shared.options;
    writeln!(out, "clientPort={}", info.client_port)?;
    writeln!(out, "secureClientPort={}", info.secure_client_port)?;
    writeln!(out, "dataDir={}", info.data_dir.display())?;
    writeln!(out, "dataDirSize={}", size(&info.data_dir))?;
    writeln!(out, "dataLogDir={}", info.data_log_dir.display())?;
    writeln!(out, "dataLogSize={}", size(&info.data_log_dir))?;
    writeln!(out, "tickTime={}", options.tick.0)?;
    writeln!(out, "maxClientCnxns={}", shared.edge.connections_per_address_max)?;
    writeln!(out, "minSessionTimeout={}", options.session_timeout_min.0)?;
    writeln!(out, "maxSessionTimeout={}", options.session_timeout_max.0)?;
    writeln!(out, "clientPortListenBacklog={}", info.listen_backlog)?;
    let Some(ensemble) = &info.ensemble else {
        // A standalone server has no id; its sessions carry a 1 all the same.
        return writeln!(out, "serverId=0");
    };
    writeln!(out, "serverId={}", ensemble.my_id.0)?;
    writeln!(out, "initLimit={}\nsyncLimit={}", ensemble.init_limit, ensemble.sync_limit)?;
    writeln!(out, "electionAlg=3\nelectionPort={}", ensemble.election_ports)?;
    writeln!(out, "quorumPort={}\npeerType={}", ensemble.quorum_ports, ensemble.peer_type)?;
    writeln!(out, "membership: ")?;
    let state = shared.handover.shared();
    let config = state.tree.node(oxkeeper_types::path::CONFIG).and_then(|node| node.data().map(<[u8]>::to_vec));
    write!(out, "{}", String::from_utf8_lossy(&config.unwrap_or_default()))
}

/// ` /ip:port[ops](queued=…)`; the part from the session on only where there is one.
fn connection(link: &Link, brief: bool, out: &mut String) -> std::fmt::Result {
    let f = &link.figures;
    let session = f.session.load(Relaxed);
    let interest = i32::from(session != 0);
    let (queued, received, sent) = (f.outstanding.load(Relaxed), f.received.load(Relaxed), f.sent.load(Relaxed));
    write!(out, " /{}[{interest}](queued={queued},recved={received},sent={sent}", link.peer)?;
    if !brief && session != 0 {
        let count = f.latency_count.load(Relaxed);
        let mean = if count == 0 { 0 } else { f.latency_sum.load(Relaxed) / count };
        let min = if count == 0 { 0 } else { f.latency_min.load(Relaxed) };
        let op = last_operation(f.last_op.load(Relaxed));
        let (established, timeout) = (f.established.load(Relaxed), f.timeout_ms.load(Relaxed));
        write!(out, ",sid=0x{session:x},lop={op},est={established},to={timeout}")?;
        let xid = f.last_xid.load(Relaxed);
        if xid >= 0 {
            write!(out, ",lcxid=0x{xid:x}")?;
        }
        let (zxid, response) = (f.last_zxid.load(Relaxed), f.last_response.load(Relaxed));
        write!(out, ",lzxid=0x{zxid:x},lresp={response},llat={}", f.last_latency.load(Relaxed))?;
        write!(out, ",minlat={min},avglat={mean},maxlat={}", f.latency_max.load(Relaxed))?;
    }
    writeln!(out, ")")
}

/// The reference's short names of operations.
fn last_operation(number: i32) -> &'static str {
    match OpCode::from_number(number) {
        Some(OpCode::CreateSession) => "SESS",
        Some(OpCode::Ping) => "PING",
        Some(OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl) => "CREA",
        Some(OpCode::Delete | OpCode::DeleteContainer) => "DELE",
        Some(OpCode::Exists) => "EXIS",
        Some(OpCode::GetData) => "GETD",
        Some(OpCode::SetData) => "SETD",
        Some(OpCode::GetAcl) => "GETA",
        Some(OpCode::SetAcl) => "SETA",
        Some(OpCode::GetChildren | OpCode::GetChildren2) => "GETC",
        Some(OpCode::GetAllChildrenNumber) => "GETACN",
        Some(OpCode::Sync) => "SYNC",
        Some(OpCode::Check) => "CHEC",
        Some(OpCode::Multi) => "MULT",
        Some(OpCode::MultiRead) => "MLTR",
        Some(OpCode::Reconfig) => "RECO",
        Some(OpCode::CheckWatches) => "CHKW",
        Some(OpCode::RemoveWatches) => "REMW",
        Some(OpCode::SetWatches) => "SETW",
        Some(OpCode::SetWatches2) => "STW2",
        Some(OpCode::AddWatch) => "ADDW",
        Some(OpCode::GetEphemerals) => "GETE",
        Some(OpCode::WhoAmI) => "HOMI",
        Some(OpCode::CloseSession) => "CLOS",
        _ => "NA",
    }
}

fn dump(shared: &Shared, out: &mut String) -> std::fmt::Result {
    let Some(report) = view::report(shared) else { return write!(out, "{NOT_SERVING}") };
    let now = shared.clock.now();
    let wall = |deadline: Millis| date(now.wall + deadline - now.monotonic);
    let state = shared.handover.shared();
    writeln!(out, "SessionTracker dump:")?;
    if matches!(report.mode, Mode::Follower | Mode::Observer) {
        // When sessions expire is for the leader to know (reference `LearnerSessionTracker.dumpSessions`).
        let sessions: BTreeMap<_, _> = state.tree.sessions().iter().collect();
        writeln!(out, "Global Sessions({}):", sessions.len())?;
        sessions.iter().try_for_each(|(session, timeout)| writeln!(out, "{session}\t{}ms", timeout.0))?;
    } else {
        writeln!(out, "Session Sets ({})/({}):", report.expiry.len(), report.sessions)?;
        for (deadline, sessions) in &report.expiry {
            writeln!(out, "{} expire at {}:", sessions.len(), wall(*deadline))?;
            sessions.iter().try_for_each(|session| writeln!(out, "\t{session}"))?;
        }
    }
    let owners: Vec<_> = state.tree.sessions_with_ephemerals().collect();
    writeln!(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):", owners.len())?;
    for owner in owners {
        writeln!(out, "{owner}:")?;
        state.tree.ephemerals_of(owner).try_for_each(|path| writeln!(out, "\t{path}"))?;
    }
    drop(state);
    // Connections have no deadlines of their own here: those of their sessions count. So there is one set.
    let links = links(shared);
    writeln!(out, "Connections dump:\nConnections Sets (1)/({}):", links.len())?;
    writeln!(out, "{} expire at {}:", links.len(), date(now.wall + shared.options.session_timeout_max))?;
    links.iter().try_for_each(|link| {
        writeln!(out, "\tip: /{} sessionId: 0x{:x}", link.peer, link.figures.session.load(Relaxed))
    })
}

fn status(shared: &Shared, info: &ServerInfo, clients: bool, out: &mut String) -> std::fmt::Result {
    writeln!(out, "Zookeeper version: {}", info.version)?;
    let mode = shared.mode.get();
    if mode == Mode::ReadOnly {
        writeln!(out, "READ-ONLY mode; serving only read-only clients")?;
    }
    if clients {
        writeln!(out, "Clients:")?;
        links(shared).iter().try_for_each(|link| connection(link, true, out))?;
        writeln!(out)?;
    }
    let latency = view::latency(shared);
    let (received, sent) = view::packets(shared);
    let state = shared.handover.shared();
    writeln!(out, "Latency min/avg/max: {}/{}/{}", latency.min, average(latency.average()), latency.max)?;
    writeln!(out, "Received: {received}\nSent: {sent}\nConnections: {}", view::connections(shared))?;
    writeln!(out, "Outstanding: {}", shared.outstanding.load(Relaxed))?;
    // A leader begins its epoch with a zxid that no transaction has (reference `Leader.startZkServer`). There it is the tree's, and
    // goes into answers, too: a client that has seen it is then refused by followers, until something is written.
    let began = shared.peers.as_ref().filter(|_| mode == Mode::Leader).map(|p| p.metrics.epoch_began.load(Relaxed));
    let zxid = state.tree.last_processed().max(Zxid(began.unwrap_or(0)));
    writeln!(out, "Zxid: {zxid}\nMode: {}", view::mode_name(mode))?;
    writeln!(out, "Node count: {}", state.tree.node_count())?;
    if mode == Mode::Leader {
        let sizes = &shared.core_metrics.proposals;
        writeln!(out, "Proposal sizes last/min/max: {}/{}/{}", sizes.last(), sizes.min(), sizes.max())?;
    }
    Ok(())
}

/// What scripts look for keeps its name; what only a JVM has says what stands in its place.
fn envi(info: &ServerInfo, out: &mut String) -> std::fmt::Result {
    let read = |path: &str| std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let here = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    let (free, total) = memory_mb();
    writeln!(out, "Environment:\nzookeeper.version={}", info.version)?;
    writeln!(out, "host.name={}", read("/proc/sys/kernel/hostname"))?;
    writeln!(out, "java.version=none\njava.vendor=Oxkeeper\njava.home=\njava.class.path=\njava.library.path=")?;
    writeln!(out, "java.io.tmpdir={}\njava.compiler=<NA>", std::env::temp_dir().display())?;
    let arch = if std::env::consts::ARCH == "x86_64" { "amd64" } else { std::env::consts::ARCH };
    writeln!(out, "os.name=Linux\nos.arch={arch}\nos.version={}", read("/proc/sys/kernel/osrelease"))?;
    writeln!(out, "user.name={}\nuser.home={}\nuser.dir={here}", variable("USER"), variable("HOME"))?;
    writeln!(out, "os.memory.free={free}MB\nos.memory.max={total}MB\nos.memory.total={total}MB")
}

/// Available and total memory of the machine.
fn memory_mb() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    };
    (kb("MemAvailable:") / 1024, kb("MemTotal:") / 1024)
}

/// Bytes of the files in a directory, below it too.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => size(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}
