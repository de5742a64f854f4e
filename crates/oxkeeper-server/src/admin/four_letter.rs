//! The four-letter words, in the reference's shapes (its package `server.command`, inventory OB001-OB026).

use super::text::{average, date, mode_name};
use super::{ServerInfo, mntr};
use crate::report::{Connection, Reporter};
use oxkeeper_proto::frame::FourLetterWord as Word;
use oxkeeper_replica::output::Mode;
use oxkeeper_types::address::socket_text;
use oxkeeper_types::{Millis, OpCode};
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests\n";
/// The reference's default trace mask; kept for `gtmk` and `stmk`, traces nothing here.
static TRACE_MASK: AtomicI64 = AtomicI64::new(306);

/// The answer to a word, whole.
pub fn answer(reporter: &Reporter, info: &ServerInfo, word: Word, mask: Option<i64>) -> String {
    if !info.four_letter_words.contains(&word) {
        return format!("{} is not executed because it is not in the whitelist.\n", word.text());
    }
    let needs_server = !matches!(word, Word::Ruok | Word::Envi | Word::Gtmk | Word::Stmk | Word::Isro);
    if needs_server && !reporter.is_serving() {
        return NOT_SERVING.into();
    }
    let mut out = String::new();
    run(reporter, info, word, mask, &mut out).expect("writing to a string");
    out
}

fn run(reporter: &Reporter, info: &ServerInfo, word: Word, mask: Option<i64>, out: &mut String) -> std::fmt::Result {
    match word {
        Word::Ruok => write!(out, "imok"),
        Word::Isro if !reporter.is_serving() => write!(out, "null"),
        Word::Isro => write!(out, "{}", if reporter.mode() == Mode::ReadOnly { "ro" } else { "rw" }),
        Word::Gtmk => write!(out, "{}", TRACE_MASK.load(Relaxed)),
        Word::Stmk => {
            TRACE_MASK.store(mask.unwrap_or(0), Relaxed);
            write!(out, "{}", mask.unwrap_or(0))
        }
        Word::Crst => {
            reporter.reset_connections();
            writeln!(out, "Connection stats reset.")
        }
        Word::Srst => {
            reporter.reset_figures();
            writeln!(out, "Server stats reset.")
        }
        Word::Conf => conf(reporter, info, out),
        Word::Cons => {
            for of in reporter.connections() {
                connection(&of, false, out)?;
            }
            writeln!(out)
        }
        Word::Dirs => {
            writeln!(out, "datadir_size: {}", size(&info.data_dir))?;
            writeln!(out, "logdir_size: {}", size(&info.data_log_dir))
        }
        Word::Dump => dump(reporter, info, out),
        Word::Envi => envi(info, out),
        Word::Hash => {
            let digests = reporter.digests();
            digests.iter().try_for_each(|(zxid, digest)| writeln!(out, "{:x}: {}", zxid.0, *digest as i64))
        }
        Word::Mntr => match reporter.figures() {
            None => write!(out, "{NOT_SERVING}"),
            Some(figures) => {
                mntr::write(&reporter.metrics, info, &figures, out);
                Ok(())
            }
        },
        Word::Srvr => status(reporter, info, false, out),
        Word::Stat => status(reporter, info, true, out),
        Word::Wchs => {
            let summary = reporter.watches().summary();
            writeln!(out, "{} connections watching {} paths", summary.connections, summary.paths)?;
            writeln!(out, "Total watches:{}", summary.watches)
        }
        Word::Wchc => {
            for (session, paths) in reporter.watches().by_session() {
                writeln!(out, "{session}")?;
                paths.iter().try_for_each(|path| writeln!(out, "\t{path}"))?;
            }
            writeln!(out)
        }
        Word::Wchp => {
            for (path, sessions) in reporter.watches().by_path() {
                writeln!(out, "{path}")?;
                sessions.iter().try_for_each(|session| writeln!(out, "\t{session}"))?;
            }
            writeln!(out)
        }
    }
}

fn conf(reporter: &Reporter, info: &ServerInfo, out: &mut String) -> std::fmt::Result {
    writeln!(out, "clientPort={}", info.client_port)?;
    writeln!(out, "secureClientPort={}", info.secure_client_port)?;
    writeln!(out, "dataDir={}", info.data_dir.display())?;
    writeln!(out, "dataDirSize={}", size(&info.data_dir))?;
    writeln!(out, "dataLogDir={}", info.data_log_dir.display())?;
    writeln!(out, "dataLogSize={}", size(&info.data_log_dir))?;
    writeln!(out, "tickTime={}", info.tick.0)?;
    writeln!(out, "maxClientCnxns={}", info.connections_per_address_max)?;
    writeln!(out, "minSessionTimeout={}", info.session_timeout_min.0)?;
    writeln!(out, "maxSessionTimeout={}", info.session_timeout_max.0)?;
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
    write!(out, "{}", String::from_utf8_lossy(&reporter.members_text()))
}

/// ` /ip:port[ops](queued=…)`; the part from the session on only where there is one.
fn connection(of: &Connection, brief: bool, out: &mut String) -> std::fmt::Result {
    let interest = i32::from(of.session != 0);
    let (queued, received, sent) = (of.outstanding, of.received, of.sent);
    write!(out, " /{}[{interest}](queued={queued},recved={received},sent={sent}", socket_text(of.peer))?;
    if !brief && of.session != 0 {
        let op = last_operation(of.last_op);
        write!(out, ",sid=0x{:x},lop={op},est={},to={}", of.session, of.established, of.timeout_ms)?;
        if of.last_xid >= 0 {
            write!(out, ",lcxid=0x{:x}", of.last_xid)?;
        }
        write!(out, ",lzxid=0x{:x},lresp={},llat={}", of.last_zxid, of.last_response, of.last_latency)?;
        write!(out, ",minlat={},avglat={},maxlat={}", of.latency_min, of.latency_mean, of.latency_max)?;
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

fn dump(reporter: &Reporter, info: &ServerInfo, out: &mut String) -> std::fmt::Result {
    let Some(all) = reporter.sessions() else { return write!(out, "{NOT_SERVING}") };
    let wall = |deadline: Millis| date(all.now.wall + deadline - all.now.monotonic);
    writeln!(out, "SessionTracker dump:")?;
    if matches!(all.core.mode, Mode::Follower | Mode::Observer) {
        // When sessions expire is for the leader to know (reference `LearnerSessionTracker.dumpSessions`).
        writeln!(out, "Global Sessions({}):", all.timeouts.len())?;
        all.timeouts.iter().try_for_each(|(session, timeout)| writeln!(out, "{session}\t{}ms", timeout.0))?;
    } else {
        writeln!(out, "Session Sets ({})/({}):", all.core.expiry.len(), all.core.sessions)?;
        for (deadline, sessions) in &all.core.expiry {
            writeln!(out, "{} expire at {}:", sessions.len(), wall(*deadline))?;
            sessions.iter().try_for_each(|session| writeln!(out, "\t{session}"))?;
        }
    }
    writeln!(out, "ephemeral nodes dump:\nSessions with Ephemerals ({}):", all.ephemerals.len())?;
    for (owner, paths) in &all.ephemerals {
        writeln!(out, "{owner}:")?;
        paths.iter().try_for_each(|path| writeln!(out, "\t{path}"))?;
    }
    // Connections have no deadlines of their own here: those of their sessions count. So there is one set.
    let connections = reporter.connections();
    writeln!(out, "Connections dump:\nConnections Sets (1)/({}):", connections.len())?;
    writeln!(out, "{} expire at {}:", connections.len(), date(all.now.wall + info.session_timeout_max))?;
    connections.iter().try_for_each(|of| writeln!(out, "\tip: /{} sessionId: 0x{:x}", socket_text(of.peer), of.session))
}

fn status(reporter: &Reporter, info: &ServerInfo, clients: bool, out: &mut String) -> std::fmt::Result {
    let status = reporter.status();
    writeln!(out, "Zookeeper version: {}", info.version)?;
    if status.mode == Mode::ReadOnly {
        writeln!(out, "READ-ONLY mode; serving only read-only clients")?;
    }
    if clients {
        writeln!(out, "Clients:")?;
        reporter.connections().iter().try_for_each(|of| connection(of, true, out))?;
        writeln!(out)?;
    }
    let latency = &status.latency;
    writeln!(out, "Latency min/avg/max: {}/{}/{}", latency.min, average(latency.average()), latency.max)?;
    writeln!(out, "Received: {}\nSent: {}", status.packets_received, status.packets_sent)?;
    writeln!(out, "Connections: {}\nOutstanding: {}", status.connections, status.outstanding)?;
    writeln!(out, "Zxid: {}\nMode: {}", status.zxid, mode_name(status.mode))?;
    writeln!(out, "Node count: {}", status.nodes)?;
    if status.mode == Mode::Leader {
        let sizes = &reporter.metrics.core.proposals;
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
