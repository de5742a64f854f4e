//! The end of an epoch: the counter of its zxids is used up under load, the leader gives up its role, and the next epoch goes on, with
//! leader and followers of different kinds. The leader begins near the end by a hook that the reference has for that
//! (`testingonly.initialZxid`); its log has a hole there, which the files of nobody ever have but by the hook.

use super::load::{Load, Outcome};
use super::member::Member;
use super::{Ensemble, EnsembleError, Layout, PATIENCE};
use crate::servers::{ServerError, ServerKind};
use oxkeeper_types::Zxid;
use std::time::{Duration, Instant};

/// Highest, so that it wins a tie.
const LEADER: u8 = 3;
const COUNTER_MAX: u32 = 0xffff_fffe;
/// Transactions of an epoch that begins by the hook.
const EPOCH_TXNS: u32 = 1500;
/// A server of ours refuses a log with a hole in it, unless a snapshot stands behind that.
const SNAP_COUNT: u32 = 100;
/// Enough for every server to have a snapshot of the epoch.
const WRITES_AFTER: usize = 400;

/// One voter of kind `leader` that leads, and two of kind `followers`.
pub fn run(
    leader: &ServerKind,
    followers: &ServerKind,
    seed: u64,
    step: &mut dyn FnMut(&str),
) -> Result<String, EnsembleError> {
    let voter = |kind: &ServerKind| (kind.clone(), false);
    let members = vec![voter(followers), voter(followers), voter(leader)];
    let layout = Layout { snap_count: SNAP_COUNT, ..Layout::of(members) };
    let mut ensemble = Ensemble::prepare(&layout)?;
    let result = legs(&mut ensemble, seed, step);
    if result.is_err() {
        eprintln!("files: {}\n{}", ensemble.keep_files(), ensemble.state());
    }
    result
}

fn legs(ensemble: &mut Ensemble, seed: u64, step: &mut dyn FnMut(&str)) -> Result<String, EnsembleError> {
    let mut outcome = Outcome::default();
    // Followers that have something get what is missing as transactions. A snapshot would be of the beginning of the epoch, and what is
    // proposed behind the hook does not follow that.
    start_in_order(ensemble)?;
    write(ensemble, seed, 50, &mut outcome)?;
    ensemble.stop_level()?;
    set_hook(ensemble, true)?;
    start_in_order(ensemble)?;

    let load = Load::start(ensemble, seed + 1, Some(400));
    load.wait(50)?;
    let first = last_zxid(ensemble)?;
    if first.counter() < COUNTER_MAX - EPOCH_TXNS {
        let text = format!("the epoch begins at {first}: the hook does nothing in one of {}", ensemble.names());
        return Err(EnsembleError::Wrong(text));
    }
    let started = Instant::now();
    while last_zxid(ensemble)?.epoch() == first.epoch() {
        if started.elapsed() > PATIENCE {
            return Err(EnsembleError::Late { what: format!("the epoch of {first} ends"), state: ensemble.state() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ensemble.wait_serving()?;
    load.wait(WRITES_AFTER)?;
    outcome.merge(load.finish()?);
    let nodes = outcome.check(ensemble)?.len();
    let next = last_zxid(ensemble)?;
    let leader = ensemble.leader().unwrap_or_default();
    let name = ensemble.member(leader).name();
    step(&format!("the epoch of {first} came to its end; {name} leads at {next}, {nodes} nodes alike"));

    ensemble.stop_level()?;
    set_hook(ensemble, false)?;
    ensemble.start_all()?;
    outcome.check(ensemble)?;
    write(ensemble, seed + 2, 100, &mut outcome)?;
    let nodes = outcome.check(ensemble)?.len();
    ensemble.stop_level()?;
    step(&format!("all were started again on their files and serve, {nodes} nodes alike"));
    Ok(outcome.summary())
}

fn start_in_order(ensemble: &mut Ensemble) -> Result<(), EnsembleError> {
    ensemble.start_some(&[LEADER, 2])?;
    ensemble.expect_leader(LEADER)?;
    ensemble.start_all()
}

fn write(ensemble: &Ensemble, seed: u64, writes: usize, outcome: &mut Outcome) -> Result<(), EnsembleError> {
    let load = Load::start(ensemble, seed, None);
    load.wait(writes)?;
    outcome.merge(load.finish()?);
    outcome.check(ensemble).map(|_| ())
}

/// The member that leads first begins each epoch that it leads near the end, or no more.
fn set_hook(ensemble: &mut Ensemble, on: bool) -> Result<(), ServerError> {
    let mut lines: Vec<String> = ensemble.members.iter().map(Member::line).collect();
    if on {
        lines.push(format!("testingonly.initialZxid={}", COUNTER_MAX - EPOCH_TXNS));
    }
    ensemble.write_list(LEADER, &lines)
}

/// The highest that anybody shows.
fn last_zxid(ensemble: &Ensemble) -> Result<Zxid, EnsembleError> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(last) = ensemble.members.iter().filter_map(Member::zxid).max() {
            return Ok(last);
        }
    }
    Err(EnsembleError::Late { what: "somebody shows a zxid".into(), state: ensemble.state() })
}
