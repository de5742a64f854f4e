//! Any bytes on a fresh client connection: cut into frames, decoded as handshake and requests. What decodes is written and
//! read again, and must come out the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxkeeper_proto::client::*;
use oxkeeper_proto::frame::{self, FourLetterWord, Frame};
use oxkeeper_proto::jute::{Reader, Writer};

const LENGTH_MAX: usize = 1 << 20;

macro_rules! again {
    ($kind:ident, $body:expr) => {
        if let Ok(record) = $kind::read(&mut Reader::new($body, LENGTH_MAX)) {
            let mut out = Vec::new();
            record.write(&mut Writer::new(&mut out));
            let second = $kind::read(&mut Reader::unbounded(&out)).expect("what we write can be read");
            assert!(second == record || has_surrogates(&out), "{second:?}\nis not\n{record:?}");
        }
    };
}

/// Characters beyond the basic plane are written as two surrogates, which no reader takes for the character (BG052).
fn has_surrogates(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two[0] == 0xed && two[1] >= 0xa0)
}

fuzz_target!(|data: &[u8]| {
    if let Some(word) = data.first_chunk::<4>() {
        let _ = FourLetterWord::from_bytes(word);
    }
    let mut rest = data;
    while let Frame::Whole { body, consumed } = frame::next(rest, LENGTH_MAX) {
        rest = &rest[consumed..];
        again!(ConnectRequest, body);
        again!(RequestHeader, body);
        let Some(body) = body.get(8..) else { continue };
        again!(CreateRequest, body);
        again!(CreateTtlRequest, body);
        again!(DeleteRequest, body);
        again!(SetDataRequest, body);
        again!(SetAclRequest, body);
        again!(CheckVersionRequest, body);
        again!(PathWatchRequest, body);
        again!(SyncRequest, body);
        again!(GetEphemeralsRequest, body);
        again!(WatchesRequest, body);
        again!(AddWatchRequest, body);
        again!(SetWatchesRequest, body);
        again!(SetWatches2Request, body);
        again!(AuthRequest, body);
        again!(ReconfigRequest, body);
        again!(SaslRequest, body);
        if let Ok(ops) = read_multi(&mut Reader::new(body, LENGTH_MAX)) {
            let mut out = Vec::new();
            write_multi(&ops, &mut Writer::new(&mut out));
            let second = read_multi(&mut Reader::unbounded(&out)).expect("what we write can be read");
            assert!(second == ops || has_surrogates(&out), "{second:?}\nis not\n{ops:?}");
        }
        let _ = read_multi_results(&mut Reader::new(body, LENGTH_MAX));
        let _ = ConnectResponse::read(&mut Reader::new(body, LENGTH_MAX));
    }
});
