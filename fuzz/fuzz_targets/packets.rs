//! Any bytes on the quorum and election ports, and as the body of a transaction.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use oxkeeper_proto::election::{Greeting, Notification};
use oxkeeper_proto::quorum::{self, PacketRead};
use oxkeeper_proto::txn::TxnEntry;

fuzz_target!(|data: &[u8]| {
    let _ = Greeting::read(data);
    let _ = Notification::read(data);
    let mut stream = Bytes::copy_from_slice(data);
    while let Ok(PacketRead::Whole { packet, consumed }) = quorum::read(&stream, 1 << 20) {
        if !matches!(&packet, quorum::Packet::FollowerInfo { info, .. } | quorum::Packet::ObserverInfo { info, .. } if info.server.is_none())
        {
            let mut out = Vec::new();
            packet.write(&mut out);
            let again = quorum::read(&Bytes::from(out), usize::MAX).expect("what we write can be read");
            assert!(matches!(again, PacketRead::Whole { .. }));
        }
        stream = stream.slice(consumed..);
    }
    if let Ok(entry) = TxnEntry::read(&Bytes::copy_from_slice(data)) {
        let mut out = Vec::new();
        entry.write(&mut out);
        // Characters beyond the basic plane are written as two surrogates, which no reader takes for the character (BG052).
        let has_surrogates = out.windows(2).any(|two| two[0] == 0xed && two[1] >= 0xa0);
        let second = TxnEntry::read(&Bytes::from(out)).expect("what we write can be read");
        assert!(second == entry || has_surrogates, "{second:?}\nis not\n{entry:?}");
    }
});
