//! A running ensemble changes its servers one by one, each on the files of its forerunner, to another kind and back, while
//! sessions write. Nothing acknowledged may be lost, and no session may end.

use super::load::Load;
use super::{Ensemble, EnsembleError, Layout};
use crate::servers::ServerKind;
use std::time::Instant;

/// Acknowledged writes between two replacements.
const WRITES_BETWEEN: usize = 300;

/// Three servers of kind `from`, each replaced by one of kind `to`, and then back.
pub fn run(from: &ServerKind, to: &ServerKind, seed: u64, step: &mut dyn FnMut(&str)) -> Result<String, EnsembleError> {
    let mut ensemble = Ensemble::start(&Layout::of(vec![(from.clone(), false); 3]))?;
    let result = replace_all(&mut ensemble, from, to, seed, step);
    if result.is_err() {
        eprintln!("files: {}\n{}", ensemble.keep_files(), ensemble.state());
    }
    result
}

fn replace_all(
    ensemble: &mut Ensemble,
    from: &ServerKind,
    to: &ServerKind,
    seed: u64,
    step: &mut dyn FnMut(&str),
) -> Result<String, EnsembleError> {
    let load = Load::start(ensemble, seed, Some(400));
    load.wait(WRITES_BETWEEN)?;
    for kind in [to, from] {
        let started = Instant::now();
        let acknowledged = load.acknowledged();
        for id in [1, 2, 3] {
            let member = ensemble.member(id);
            member.stop().map_err(EnsembleError::Wrong)?;
            member.kind = kind.clone();
            ensemble.member(id).start()?;
            ensemble.wait_serving()?;
            load.wait(WRITES_BETWEEN)?;
        }
        let writes = load.acknowledged() - acknowledged;
        let seconds = started.elapsed().as_secs_f32();
        step(&format!("all three are {} now, {writes} writes meanwhile ({seconds:.1} s)", kind.short()));
    }
    let outcome = load.finish()?;
    let tree = outcome.check(ensemble)?;
    Ok(format!("{} nodes alike at all three; {}", tree.len(), outcome.summary()))
}
