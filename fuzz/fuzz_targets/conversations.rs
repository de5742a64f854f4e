//! Whole conversations with a member of an ensemble, as its leader, as its followers and at the election port, by peers that keep to
//! the protocol and peers that do not: none of them ends it.
#![no_main]

#[path = "../../crates/oxkeeper-replica/tests/conversation/mod.rs"]
mod conversation;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| conversation::play(script));
