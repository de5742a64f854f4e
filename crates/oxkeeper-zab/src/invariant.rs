//! The ten invariants of the protocol (TLA+ specification of ZooKeeper, after section 3 and 4 of the paper), as far as one
//! server can see them. A check that fails is our bug, and stops the server.
//!
//! | invariant | here |
//! |---|---|
//! | should not be triggered | what no peer may do is a `Misbehaved`, what we may not do an assertion |
//! | leadership 1, 2: one established leader per epoch | it holds the epoch as accepted and current, on disk |
//! | prefix consistency, agreement, total order | what was committed here is never taken back, and stays a prefix of the log |
//! | integrity | only what was proposed, and is in the log, is committed |
//! | local primary order | the log is contiguous: `History::append` |
//! | global primary order | epochs in it never go down: the same |
//! | primary integrity | a leader proposes only after its history is established |
//!
//! The rest is seen by whoever sees all servers: the tests of this crate, and the simulator.

use crate::core::Core;

/// What holds in every role.
pub(crate) fn check(core: &Core) {
    let (committed, last) = (core.committed, core.history.last_logged());
    assert!(committed <= last.max(oxkeeper_types::Zxid::ZERO), "{committed} is committed, the log ends at {last}");
    assert!(
        core.epochs.current() <= core.epochs.accepted(),
        "the current epoch is {:?}, the accepted one {:?}",
        core.epochs.current(),
        core.epochs.accepted()
    );
    assert!(
        last.epoch() <= core.epochs.accepted(),
        "the log holds {last}, the accepted epoch is {:?}",
        core.epochs.accepted()
    );
}
