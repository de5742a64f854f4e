//! Figures gathered from all threads for one answer.

use crate::metrics::{SummaryView, total};
use crate::shared::{CoreEvent, Shared, lock};
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::report::Report;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long the core may take to report. It answers between two batches.
const PATIENCE: Duration = Duration::from_secs(10);

/// A report of the core; `None` when the server is on its way down.
pub fn report(shared: &Shared) -> Option<Report> {
    let (to, from) = channel();
    shared.core.put_one(CoreEvent::Report(to));
    from.recv_timeout(PATIENCE).ok()
}

/// Latency of all requests in milliseconds.
pub fn latency(shared: &Shared) -> SummaryView {
    shared.io.iter().fold(SummaryView::empty(), |sum, io| {
        sum.merge(&io.metrics.read_latency.view()).merge(&io.metrics.update_latency.view())
    })
}

pub fn packets(shared: &Shared) -> (u64, u64) {
    let io = || shared.io.iter().map(|io| &io.metrics);
    (total(io(), |m| &m.packets_received), total(io(), |m| &m.packets_sent))
}

/// Connections with a session or on the way to one: those that ask four-letter words do not count themselves.
pub fn connections(shared: &Shared) -> usize {
    lock(&shared.links).len()
}

/// As `srvr` and `mntr` name it.
pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Standalone => "standalone",
        Mode::Leader => "leader",
        Mode::Follower => "follower",
        Mode::Observer => "observer",
        Mode::ReadOnly => "read-only",
        // Nobody is told: there is no answer then.
        Mode::Looking => "looking",
    }
}
