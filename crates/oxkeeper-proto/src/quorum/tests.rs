//! Every packet survives the stream, whole and in pieces.

use super::*;
use oxkeeper_types::{SessionId, Xid};

fn all_packets() -> Vec<Packet> {
    let (zxid, epoch) = (Zxid(0x3_0000_0005), Epoch(3));
    let info = LearnerInfo { server: Some(ServerId(2)), protocol_version: LEARNER_PROTOCOL, config_version: Zxid(9) };
    let txn = Bytes::from_static(b"header and record");
    let session = SessionId(0x200_0000);
    let body = Bytes::from_static(b"body");
    vec![
        Packet::Request {
            request: Forwarded { session, xid: Xid(4), op: 1, body },
            auth: [Id::new("ip", "10.0.0.1")].into(),
        },
        Packet::Proposal { zxid, txn: txn.clone() },
        Packet::Ack { zxid },
        Packet::Commit { zxid },
        Packet::Ping { zxid, touched: None },
        Packet::Ping { zxid, touched: Some(vec![]) },
        Packet::Ping { zxid, touched: Some(vec![SessionTouch { session, timeout_ms: 4000 }]) },
        Packet::Revalidate(Revalidate::Ask { session, timeout_ms: 4000 }),
        Packet::Revalidate(Revalidate::Answer { session, valid: true }),
        Packet::Sync { zxid },
        Packet::Inform { zxid, txn: txn.clone() },
        Packet::CommitAndActivate { zxid, leader: ServerId(1) },
        Packet::NewLeader { epoch, config: Some("version=0".into()) },
        Packet::FollowerInfo { accepted_epoch: epoch, info },
        Packet::UpToDate { zxid: Zxid::NONE },
        Packet::Diff { zxid },
        Packet::Trunc { zxid },
        Packet::Snap { zxid },
        Packet::ObserverInfo { accepted_epoch: epoch, info },
        Packet::LeaderInfo { epoch, protocol_version: LEARNER_PROTOCOL },
        Packet::AckEpoch(AckEpoch { current_epoch: Some(epoch), last_zxid: zxid, kept: None }),
        Packet::AckEpoch(AckEpoch { current_epoch: None, last_zxid: zxid, kept: None }),
        Packet::AckEpoch(AckEpoch { current_epoch: Some(epoch), last_zxid: Zxid::NONE, kept: Some(zxid) }),
        Packet::InformAndActivate { zxid, leader: ServerId(1), txn },
    ]
}

#[test]
fn packets_survive_the_stream() {
    let mut stream = Vec::new();
    for packet in all_packets() {
        packet.write(&mut stream);
    }
    let mut rest = Bytes::from(stream);
    for expected in all_packets() {
        let Ok(PacketRead::Whole { packet, consumed }) = read(&rest, 1 << 20) else { panic!("{expected:?}") };
        assert_eq!(packet, expected);
        rest = rest.slice(consumed..);
    }
    assert_eq!(read(&rest, 1 << 20), Ok(PacketRead::Partial));
}

#[test]
fn a_list_of_no_sessions_is_not_the_same_as_none() {
    let bytes = |touched| {
        let mut bytes = Vec::new();
        Packet::Ping { zxid: Zxid(7), touched }.write(&mut bytes);
        bytes[12..16].to_vec()
    };
    assert_eq!(bytes(None), (-1_i32).to_be_bytes(), "the question of a leader");
    assert_eq!(bytes(Some(vec![])), 0_i32.to_be_bytes(), "the answer of a learner");
}

#[test]
fn a_cut_packet_waits_for_the_rest() {
    for packet in all_packets() {
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        for cut in 0..bytes.len() {
            let piece = Bytes::copy_from_slice(&bytes[..cut]);
            assert_eq!(read(&piece, 1 << 20), Ok(PacketRead::Partial), "{packet:?} cut at {cut}");
        }
    }
}

#[test]
fn short_data_inside_a_whole_packet_is_a_fault() {
    let mut bytes = Vec::new();
    write_packet(&mut Writer::new(&mut bytes), LEADERINFO, Zxid(0), Some(&[0, 1]), None);
    assert!(read(&bytes.into(), 1 << 20).is_err());
    let mut bytes = Vec::new();
    write_packet(&mut Writer::new(&mut bytes), 77, Zxid(0), None, None);
    assert!(read(&bytes.into(), 1 << 20).is_err());
}
