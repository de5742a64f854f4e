//! Rules of jute that clients and files rely on.

use super::*;

fn written(f: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Vec::new();
    f(&mut Writer::new(&mut out));
    out
}

#[test]
fn numbers_are_big_endian_and_any_byte_but_zero_is_true() {
    let bytes = written(|w| {
        w.int(0x0102_0304);
        w.long(-2);
        w.boolean(true);
    });
    assert_eq!(bytes, [1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 1]);
    let read = [0, 1, 2, 0xff].map(|byte| Reader::unbounded(&[byte]).boolean().unwrap());
    assert_eq!(read, [false, true, true, true]);
}

#[test]
fn null_and_empty_are_distinct() {
    assert_eq!(written(|w| w.buffer(None)), [0xff; 4]);
    assert_eq!(written(|w| w.buffer(Some(b""))), [0; 4]);
    assert_eq!(Reader::unbounded(&[0xff; 4]).buffer(), Ok(None));
    assert_eq!(Reader::unbounded(&[0; 4]).buffer(), Ok(Some(&b""[..])));
}

#[test]
fn characters_beyond_the_basic_plane_are_written_as_two_surrogates() {
    let bytes = written(|w| w.string("a\u{1f600}"));
    assert_eq!(bytes, [0, 0, 0, 7, b'a', 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    assert_eq!(Reader::unbounded(&bytes).string().unwrap().unwrap(), "a\u{fffd}\u{fffd}");
}

#[test]
fn malformed_utf8_is_replaced() {
    assert_eq!(Reader::unbounded(&[0, 0, 0, 2, b'x', 0xff]).string().unwrap().unwrap(), "x\u{fffd}");
}

#[test]
fn lengths_out_of_bounds_are_refused() {
    let negative = [0xff, 0xff, 0xff, 0xfe];
    assert_eq!(
        Reader::unbounded(&negative).buffer(),
        Err(DecodeError::UnreasonableLength { at: 0, length: -2, max: usize::MAX })
    );
    let long = [0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(Reader::new(&long, 8).buffer(), Err(DecodeError::UnreasonableLength { at: 0, length: 9, max: 8 }));
    assert_eq!(Reader::new(&long[..10], 16).buffer(), Err(DecodeError::Truncated { at: 10, wanted: 3 }));
}

#[test]
fn a_count_alone_allocates_nothing() {
    let huge = [0x7f, 0xff, 0xff, 0xff];
    assert!(matches!(Reader::unbounded(&huge).strings(), Err(DecodeError::Truncated { .. })));
}

#[test]
fn negative_counts_other_than_null_are_empty() {
    assert_eq!(Reader::unbounded(&(-5i32).to_be_bytes()).strings().unwrap().len(), 0);
    assert_eq!(Reader::unbounded(&(-1i32).to_be_bytes()).strings(), Err(DecodeError::Null { at: 0 }));
}

#[test]
fn malformed_text_is_replaced_as_java_does() {
    let decoded = |bytes: &[u8]| {
        let mut framed = (bytes.len() as i32).to_be_bytes().to_vec();
        framed.extend_from_slice(bytes);
        Reader::unbounded(&framed).string().unwrap().unwrap().into_owned()
    };
    for (bytes, expected) in [
        (&b"\xed\xa0\x80x"[..], "\u{fffd}x"),
        (b"\xed\xa0", "\u{fffd}"),
        (b"\xe2\x82", "\u{fffd}"),
        (b"a\xff\xfeb", "a\u{fffd}\u{fffd}b"),
        (b"\xe2\x82x\xed\xbf\xbf", "\u{fffd}x\u{fffd}"),
        (b"\xc3\xa9\x80", "\u{e9}\u{fffd}"),
    ] {
        assert_eq!(decoded(bytes), expected, "{bytes:x?}");
    }
}
