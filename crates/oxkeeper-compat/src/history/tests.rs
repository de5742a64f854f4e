//! The judge on histories that are right, and on small bad ones: one for each rule.

use super::*;

fn op(session: u64, start: Moment, end: Moment, call: Call, answer: Answer) -> Operation {
    Operation { session, call, answer, start, end }
}
fn write(session: u64, start: Moment, end: Moment, value: Value, zxid: i64, version: i32) -> Operation {
    let call = Call::Write { key: 0, value, expected: -1 };
    op(session, start, end, call, Answer::Written { zxid, version })
}
fn unknown(session: u64, start: Moment, value: Value) -> Operation {
    op(session, start, start + 1, Call::Write { key: 0, value, expected: -1 }, Answer::Unknown)
}
fn conditional(start: Moment, expected: i32, answer: Answer) -> Operation {
    op(9, start, start + 1, Call::Write { key: 0, value: 900 + start, expected }, answer)
}
fn read(session: u64, start: Moment, end: Moment, synced: bool, value: Value, version: i32, mzxid: i64) -> Operation {
    let answer = Answer::Value { value, version, mzxid, seen: mzxid.max(1) };
    op(session, start, end, Call::Read { key: 0, synced }, answer)
}
fn ends(value: Value, version: i32, mzxid: i64) -> Final {
    Final { nodes: vec![(value, version, mzxid)], added: Vec::new() }
}
fn add(start: Moment, value: Value, zxid: i64, number: u64) -> Operation {
    op(5, start, start + 1, Call::Add { value }, Answer::Added { zxid, number })
}

#[track_caller]
fn good(history: &[Operation], last: &Final) {
    assert_eq!(check(history, last), Vec::new());
}
#[track_caller]
fn bad(history: &[Operation], last: &Final, rule: &str) {
    let found = check(history, last);
    assert!(found.iter().any(|violation| violation.0.starts_with(rule)), "expected '{rule}', found {found:?}");
}

#[test]
fn a_correct_history_passes() {
    let history = [
        write(1, 0, 10, 1, 2, 1),
        write(2, 5, 20, 2, 3, 2),
        read(1, 21, 22, true, 2, 2, 3),
        read(3, 21, 22, false, 0, 0, 1),
        conditional(30, 2, Answer::Written { zxid: 4, version: 3 }),
        conditional(40, 2, Answer::Refused { zxid: 5 }),
        write(1, 50, 60, 4, 6, 4),
    ];
    good(&history, &ends(4, 4, 6));
}

#[test]
fn a_write_without_an_answer_may_have_happened_or_not() {
    let history = [write(1, 0, 10, 1, 2, 1), unknown(2, 5, 2)];
    good(&history, &ends(1, 1, 2));
    good(&history, &ends(2, 2, 3));
    let overwritten = [unknown(2, 5, 2), write(1, 10, 20, 1, 7, 2)];
    good(&overwritten, &ends(1, 2, 7));
}

#[test]
fn an_acknowledged_write_that_is_gone_is_found() {
    bad(&[write(1, 0, 10, 1, 2, 1)], &ends(0, 0, 1), "no acknowledged write is lost");
    bad(&[write(1, 0, 10, 1, 2, 1), write(1, 20, 30, 2, 3, 2)], &ends(1, 1, 2), "no acknowledged write is lost");
}

#[test]
fn a_write_lost_in_the_middle_shows_in_the_versions() {
    let history = [write(1, 0, 10, 1, 2, 1), write(2, 20, 30, 2, 4, 1)];
    bad(&history, &ends(2, 1, 4), "versions follow the zxids");
}

#[test]
fn a_version_that_no_write_explains_is_found() {
    let history = [write(1, 0, 10, 1, 2, 1), write(2, 20, 30, 2, 4, 3)];
    bad(&history, &ends(2, 3, 4), "every version has its write");
    let explained = [write(1, 0, 10, 1, 2, 1), unknown(3, 11, 7), write(2, 20, 30, 2, 4, 3)];
    good(&explained, &ends(2, 3, 4));
}

#[test]
fn writes_out_of_their_order_in_time_are_found() {
    let history = [write(1, 0, 10, 1, 3, 2), write(2, 20, 30, 2, 2, 1)];
    bad(&history, &ends(1, 2, 3), "the order of writes agrees with time");
    let concurrent = [write(1, 0, 25, 1, 3, 2), write(2, 20, 30, 2, 2, 1)];
    good(&concurrent, &ends(1, 2, 3));
}

#[test]
fn a_stale_read_is_found_behind_a_sync_and_allowed_without() {
    let history = |synced| [write(1, 0, 10, 1, 2, 1), write(1, 20, 30, 2, 3, 2), read(2, 40, 50, synced, 1, 1, 2)];
    bad(&history(true), &ends(2, 2, 3), "a read behind a sync is up to date");
    good(&history(false), &ends(2, 2, 3));
}

#[test]
fn a_read_that_falls_behind_another_clients_read_is_found() {
    let history = [
        write(1, 0, 10, 1, 2, 1),
        // Never acknowledged in this time, but seen by session 2.
        op(1, 20, 90, Call::Write { key: 0, value: 2, expected: -1 }, Answer::Written { zxid: 3, version: 2 }),
        read(2, 30, 40, true, 2, 2, 3),
        read(3, 50, 60, true, 1, 1, 2),
    ];
    bad(&history, &ends(2, 2, 3), "a read behind a sync is up to date");
}

#[test]
fn data_from_nowhere_and_from_the_future_is_found() {
    bad(&[read(1, 0, 10, false, 77, 1, 2)], &ends(0, 0, 1), "reads see what was written");
    let early = [read(2, 0, 5, false, 1, 1, 2), write(1, 10, 20, 1, 2, 1)];
    bad(&early, &ends(1, 1, 2), "no read sees the future");
    let other = [write(1, 0, 10, 1, 2, 1), read(2, 20, 30, false, 1, 5, 2)];
    bad(&other, &ends(1, 1, 2), "reads see what was written");
}

#[test]
fn a_session_that_goes_back_is_found() {
    let back = [
        write(1, 0, 10, 1, 2, 1),
        write(1, 20, 30, 2, 3, 2),
        read(2, 31, 32, false, 2, 2, 3),
        read(2, 40, 50, false, 1, 1, 2),
    ];
    bad(&back, &ends(2, 2, 3), "a session sees its own order");
    let own = [write(1, 0, 10, 1, 2, 1), read(1, 20, 30, false, 0, 0, 1)];
    bad(&own, &ends(1, 1, 2), "a session sees its own order");
}

#[test]
fn conditional_writes_are_held_to_their_version() {
    let wrong = [write(1, 0, 10, 1, 2, 1), conditional(20, 0, Answer::Written { zxid: 3, version: 2 })];
    bad(&wrong, &ends(920, 2, 3), "a conditional write meets its version");
    let refused =
        [write(1, 0, 10, 1, 2, 1), conditional(20, 1, Answer::Refused { zxid: 3 }), write(1, 30, 40, 2, 4, 2)];
    bad(&refused, &ends(2, 2, 4), "a refused write met another version");
}

#[test]
fn two_writes_with_one_zxid_are_found() {
    bad(&[write(1, 0, 10, 1, 2, 1), write(2, 0, 10, 2, 2, 1)], &ends(1, 1, 2), "one write has one zxid");
}

#[test]
fn additions_must_stay_in_their_order() {
    let last = |added: &[(Value, u64)]| Final { nodes: vec![(0, 0, 1)], added: added.to_vec() };
    let history = [add(0, 10, 2, 0), add(10, 11, 3, 1)];
    good(&history, &last(&[(10, 0), (11, 1)]));
    bad(&history, &last(&[(10, 0)]), "no acknowledged addition is lost");
    bad(&history, &last(&[(10, 0), (11, 1), (99, 2)]), "reads see what was written");
    bad(&history, &last(&[(10, 0), (11, 1), (11, 2)]), "an addition happens once");
    bad(&[add(0, 10, 2, 1), add(10, 11, 3, 0)], &last(&[(10, 1), (11, 0)]), "numbers follow the zxids");
}
