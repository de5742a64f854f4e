//! Model check of the hand-over: every interleaving of one core and one reading connection.
//!
//! The production file is compiled a second time, against loom's locks. Besides the rule itself, the check is shown to
//! have teeth: with the drain left out of the read, it fails.

#[allow(dead_code)]
mod sync {
    pub use loom::sync::atomic::{AtomicBool, Ordering};
    pub use loom::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
}
#[allow(dead_code)]
#[path = "../src/handover.rs"]
mod handover;

use handover::{Handover, Outbox};
use loom::sync::Arc;

/// What the client finds in its stream.
const EVENT: u8 = b'e';
const OLD_DATA: u8 = b'0';
const NEW_DATA: u8 = b'1';

/// The core changes the data and announces it; the connection reads twice. `read` is one read of the connection.
fn check(read: fn(&Handover<u8>, &Outbox<()>, &mut Vec<u8>)) {
    loom::model(move || {
        let state = Arc::new(Handover::new(OLD_DATA));
        let outbox = Arc::new(Outbox::<()>::default());
        let core = {
            let (state, outbox) = (Arc::clone(&state), Arc::clone(&outbox));
            loom::thread::spawn(move || {
                let mut exclusive = state.exclusive();
                *exclusive = NEW_DATA;
                outbox.put(|waiting| waiting.bytes.push(EVENT));
                drop(exclusive);
            })
        };
        let mut stream = Vec::new();
        read(&state, &outbox, &mut stream);
        read(&state, &outbox, &mut stream);
        core.join().unwrap();
        outbox.drain(&mut stream);

        let events = stream.iter().filter(|b| **b == EVENT).count();
        assert_eq!(events, 1, "the event arrives once: {stream:?}");
        let event = stream.iter().position(|b| *b == EVENT).unwrap();
        if let Some(new) = stream.iter().position(|b| *b == NEW_DATA) {
            assert!(event < new, "new data before its event: {stream:?}");
        }
        if let Some(old) = stream.iter().rposition(|b| *b == OLD_DATA) {
            assert!(old < event, "old data after the event: {stream:?}");
        }
    });
}

#[test]
fn an_event_leaves_before_the_data_it_announces() {
    check(|state, outbox, out| {
        let (data, _) = state.read_after_drain(outbox, out);
        out.push(*data);
    });
}

#[test]
#[should_panic(expected = "new data before its event")]
fn without_the_drain_new_data_overtakes_its_event() {
    check(|state, _outbox, out| {
        let data = state.shared();
        out.push(*data);
    });
}

/// Draining first and locking then leaves a gap in which the core can come between.
#[test]
#[should_panic(expected = "new data before its event")]
fn draining_before_the_shared_side_is_not_enough() {
    check(|state, outbox, out| {
        outbox.drain(out);
        let data = state.shared();
        out.push(*data);
    });
}
