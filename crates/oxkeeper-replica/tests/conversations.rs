//! Random conversations on the quorum port and the election port, with peers that keep to the protocol and peers that do not: none of
//! them ends the server. `CONVERSATION_SEED` plays one, `CONVERSATION_SEEDS` so many. The fuzz target `conversations` plays the same.

mod conversation;

fn script(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let length = 20 + next() % 600;
    (0..length).map(|_| next() as u8).collect()
}

#[test]
fn no_conversation_ends_a_server() {
    if let Ok(seed) = std::env::var("CONVERSATION_SEED") {
        return conversation::play(&script(seed.parse().expect("a number")));
    }
    let seeds: u64 = std::env::var("CONVERSATION_SEEDS").map_or(3000, |n| n.parse().expect("a number"));
    for seed in 0..seeds {
        let played = std::panic::catch_unwind(|| conversation::play(&script(seed)));
        assert!(played.is_ok(), "conversation {seed} ends the server; CONVERSATION_SEED={seed} plays it alone");
    }
}
