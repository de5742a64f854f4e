//! `mntr`: every name of the reference, with what this server measures.

use super::ServerInfo;
use super::names::{ADVANCED_SUMMARIES, COUNTERS, FOLLOWER_GAUGES, GAUGES, LEADER_GAUGES, SUMMARIES};
use super::text::{average, mode_name};
use crate::metrics::{IoMetrics, Metrics, PeerMetrics, Summary, SummaryView};
use crate::report::Figures;
use oxkeeper_replica::namespaces::NamespaceFigures;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::watch::Woken;
use oxkeeper_tree::QuotaTotals;
use oxkeeper_zab::{Phase, Standing, ZabReport};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The whole answer.
pub fn write(metrics: &Metrics, info: &ServerInfo, figures: &Figures, out: &mut String) {
    let report = &figures.core;
    let mut line = |name: &str, value: &str| {
        writeln!(out, "zk_{name}\t{value}").expect("writing to a string");
    };
    line("version", &info.version);
    line("server_state", mode_name(report.mode));
    if let Some(zab) = &report.zab {
        line("peer_state", peer_state(zab.standing));
        if let (Mode::Observer, Some(leader)) = (report.mode, zab.leader) {
            line("observer_master_id", &leader.0.to_string());
        }
    }
    for name in GAUGES {
        line(name, &gauge(name, metrics, figures));
    }
    if let Some(zab) = &report.zab {
        line("quorum_size", &zab.voters.len().to_string());
        let names = match report.mode {
            Mode::Leader => LEADER_GAUGES,
            Mode::Follower => FOLLOWER_GAUGES,
            _ => &[],
        };
        names.iter().for_each(|name| line(name, &peer_gauge(name, metrics, figures, zab).to_string()));
    }
    quota_gauges(&figures.tree.quotas, &mut line);
    for name in COUNTERS {
        line(name, &counter(name, metrics, figures).to_string());
    }
    for (namespace, times) in &figures.quota_refusals {
        line(&format!("{namespace}_quota_exceeded_error_per_namespace"), &times.to_string());
    }
    for name in SUMMARIES {
        basic(name, &summary(name, metrics, figures), &mut line);
    }
    for name in ADVANCED_SUMMARIES {
        let view = advanced(name, metrics);
        basic(name, &view, &mut line);
        for (prefix, part) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
            line(&format!("{prefix}_{name}"), &view.quantile(part).to_string());
        }
    }
    for (namespace, figures) in &report.writes {
        by_namespace(namespace, "write_per_namespace", figures, &mut line);
    }
    for (namespace, figures) in &figures.reads {
        by_namespace(namespace, "read_per_namespace", figures, &mut line);
    }
}

/// Limits and usage of all quotas, added up by first-level node.
fn quota_gauges(totals: &BTreeMap<String, QuotaTotals>, line: &mut impl FnMut(&str, &str)) {
    let mut gauge = |name: &str, of: fn(&QuotaTotals) -> Option<i64>| {
        for (namespace, value) in totals.iter().filter_map(|(namespace, t)| Some((namespace, of(t)?))) {
            line(&format!("{namespace}_quota_{name}_per_namespace"), &value.to_string());
        }
    };
    gauge("count_limit", |t| t.limits.map(|(count, _)| count));
    gauge("bytes_limit", |t| t.limits.map(|(_, bytes)| bytes));
    gauge("count_usage", |t| t.usage.map(|(count, _)| count));
    gauge("bytes_usage", |t| t.usage.map(|(_, bytes)| bytes));
}

fn by_namespace(namespace: &str, name: &str, figures: &NamespaceFigures, line: &mut impl FnMut(&str, &str)) {
    let mut view = SummaryView::empty();
    (view.count, view.sum, view.min, view.max) = (figures.count, figures.sum, figures.min, figures.max);
    basic(&format!("{namespace}_{name}"), &view, line);
}

/// Reference `QuorumPeer.getDetailedPeerState`.
fn peer_state(standing: Standing) -> &'static str {
    match standing {
        Standing::Looking => "looking",
        Standing::Leading(Phase::Discovery) => "leading - discovery",
        Standing::Leading(Phase::Synchronisation) => "leading - synchronization",
        Standing::Leading(Phase::Broadcast) => "leading - broadcast",
        Standing::Following(Phase::Discovery) => "following - discovery",
        Standing::Following(Phase::Synchronisation) => "following - synchronization",
        Standing::Following(Phase::Broadcast) => "following - broadcast",
        Standing::Observing(Phase::Discovery) => "observing - discovery",
        Standing::Observing(Phase::Synchronisation) => "observing - synchronization",
        Standing::Observing(Phase::Broadcast) => "observing - broadcast",
    }
}

/// What a leader alone, or a follower too, has to say. A follower has no observers of its own.
fn peer_gauge(name: &str, metrics: &Metrics, figures: &Figures, zab: &ZabReport) -> i64 {
    let sizes = &metrics.core.proposals;
    let count = |observers: bool| zab.learners.iter().filter(|l| l.synced && l.observer == observers).count() as i64;
    match name {
        "learners" => zab.learners.len() as i64,
        "synced_followers" => count(false),
        "synced_observers" => count(true),
        "leader_uptime" => figures.leader_uptime,
        "last_proposal_size" => sizes.last(),
        "min_proposal_size" => sizes.min(),
        "max_proposal_size" => sizes.max(),
        _ => 0,
    }
}

fn basic(name: &str, figures: &SummaryView, line: &mut impl FnMut(&str, &str)) {
    line(&format!("avg_{name}"), &average(figures.average()));
    line(&format!("min_{name}"), &figures.min.to_string());
    line(&format!("max_{name}"), &figures.max.to_string());
    line(&format!("cnt_{name}"), &figures.count.to_string());
    line(&format!("sum_{name}"), &figures.sum.to_string());
}

fn gauge(name: &str, metrics: &Metrics, figures: &Figures) -> String {
    let Figures { status, tree, .. } = figures;
    let latency = &status.latency;
    match name {
        "approximate_data_size" => tree.approximate_data_size.to_string(),
        "avg_latency" => average(latency.average()),
        "min_latency" => latency.min.to_string(),
        "max_latency" => latency.max.to_string(),
        "connection_drop_probability" => format!("{:?}", figures.drop_chance),
        "ephemerals_count" => tree.ephemerals.to_string(),
        "global_sessions" => tree.sessions.to_string(),
        "max_file_descriptor_count" => descriptors_max().to_string(),
        "open_file_descriptor_count" => descriptors_open().to_string(),
        "num_alive_connections" => status.connections.to_string(),
        "outstanding_requests" => status.outstanding.to_string(),
        "packets_received" => status.packets_received.to_string(),
        "packets_sent" => status.packets_sent.to_string(),
        "uptime" => figures.uptime.to_string(),
        "watch_count" => figures.watches.to_string(),
        "znode_count" => status.nodes.to_string(),
        "auth_failed_count" => metrics.total(|m| &m.auth_failed).to_string(),
        "last_client_response_size" => size(metrics, |m| &m.response_last, Iterator::max),
        "max_client_response_size" => size(metrics, |m| &m.response_max, Iterator::max),
        "min_client_response_size" => size(metrics, |m| &m.response_min, Iterator::min),
        _ => "0".into(),
    }
}

/// Of the threads that have answered anything; -1 where none has.
fn size(
    metrics: &Metrics,
    field: impl Fn(&IoMetrics) -> &AtomicU64,
    choose: impl Fn(std::vec::IntoIter<u64>) -> Option<u64>,
) -> String {
    let sizes: Vec<u64> = metrics.io.iter().map(|io| field(io).load(Relaxed)).filter(|size| *size > 0).collect();
    choose(sizes.into_iter()).map_or("-1".into(), |size| size.to_string())
}

fn counter(name: &str, metrics: &Metrics, figures: &Figures) -> u64 {
    let counters = &figures.core.counters;
    match name {
        "bytes_received_count" => metrics.total(|m| &m.bytes_received),
        "response_bytes" => metrics.total(|m| &m.response_bytes),
        "watch_bytes" => counters.watch_events.bytes,
        "connection_request_count" => metrics.total(|m| &m.connect_requests),
        "connection_rejected" => metrics.total(|m| &m.connections_rejected),
        "connection_drop_count" => metrics.total(|m| &m.connections_dropped),
        "connection_revalidate_count" => counters.sessions_resumed,
        "sessionless_connections_expired" => metrics.total(|m| &m.handshakes_expired),
        "stale_sessions_expired" => counters.sessions_expired,
        "request_throttle_wait_count" => metrics.total(|m| &m.throttle_waits),
        "throttled_ops" => metrics.total(|m| &m.throttled_ops),
        "large_requests_rejected" => metrics.total(|m| &m.large_requests_rejected),
        "prep_processor_request_queued" | "outstanding_changes_queued" => counters.prepared,
        "sync_processor_request_queued" => counters.prepared,
        "outstanding_changes_removed" => counters.applied,
        "digest_mismatches_count" => figures.tree.digest_mismatches,
        "stale_requests" => metrics.total(|m| &m.stale_requests),
        "stale_requests_dropped" => metrics.total(|m| &m.stale_requests_dropped),
        "stale_replies" => metrics.total(|m| &m.stale_replies) + metrics.core.stale_replies.load(Relaxed),
        "snapshot_error_count" => metrics.core.snapshot_errors.load(Relaxed),
        _ => peer_counter(name, &metrics.peers),
    }
}

fn peer_counter(name: &str, metrics: &PeerMetrics) -> u64 {
    let counter = match name {
        "looking_count" => &metrics.looking,
        "diff_count" => &metrics.diffs,
        "snap_count" => &metrics.snapshots,
        "proposal_count" => &metrics.proposals,
        "commit_count" => &metrics.commits,
        "learner_proposal_received_count" => &metrics.proposals_received,
        "learner_commit_received_count" => &metrics.commits_received,
        _ => return 0,
    };
    counter.load(Relaxed)
}

fn summary(name: &str, metrics: &Metrics, figures: &Figures) -> SummaryView {
    let (core, woken) = (&metrics.core, &figures.core.counters.watch_events);
    match name {
        "fsynctime" => core.sync_ms.view(),
        "sync_processor_batch_size" => core.batch_size.view(),
        "snapshottime" => core.snapshot_ms.view(),
        "dbinittime" | "startup_snap_load_time" => core.startup_ms.view(),
        "election_time" => metrics.peers.election_ms.view(),
        "node_created_watch_count" => of_woken(&woken.created),
        "node_deleted_watch_count" => of_woken(&woken.deleted),
        "node_changed_watch_count" => of_woken(&woken.data_changed),
        "node_children_watch_count" => of_woken(&woken.children_changed),
        _ => SummaryView::empty(),
    }
}

fn advanced(name: &str, metrics: &Metrics) -> SummaryView {
    let of = |field: fn(&IoMetrics) -> &Summary| {
        metrics.io.iter().fold(SummaryView::empty(), |sum, io| sum.merge(&field(io).view()))
    };
    match name {
        "readlatency" => of(|m| &m.read_latency),
        "updatelatency" => of(|m| &m.update_latency),
        "jvm_pause_time_ms" => metrics.stall_ms.view(),
        "sync_processor_queue_flush_time_ms" => metrics.core.sync_ms.view(),
        _ => SummaryView::empty(),
    }
}

fn of_woken(woken: &Woken) -> SummaryView {
    let mut view = SummaryView::empty();
    (view.count, view.sum) = (woken.times, woken.watchers);
    (view.min, view.max) = (woken.watchers_min, woken.watchers_max);
    view
}

fn descriptors_open() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// The soft limit, from `/proc/self/limits`.
fn descriptors_max() -> u64 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|l| l.strip_prefix("Max open files"));
    line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}
