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

/// Type, zxid, data and identities, as `QuorumPacket` of the reference has them.
#[test]
fn packets_have_the_numbers_and_the_data_of_the_reference() {
    let (z, epoch, none) = (0x3_0000_0005_i64.to_be_bytes(), 0x3_0000_0000_i64.to_be_bytes(), (-1_i64).to_be_bytes());
    let (session, timeout) = (0x200_0000_i64.to_be_bytes(), 4000_i32.to_be_bytes());
    let txn = b"header and record";
    let info = [&2_i64.to_be_bytes()[..], &0x1_0000_i32.to_be_bytes(), &9_i64.to_be_bytes()].concat();
    let number = |n: i32| n.to_be_bytes().to_vec();
    let request = [&session[..], &number(4), &number(1), b"body"].concat();
    let ask = [&session[..], &timeout].concat();
    let answer = [&session[..], &[1]].concat();
    let expected: [(i32, [u8; 8], Option<Vec<u8>>); 21] = [
        (1, none, Some(request)),
        (2, z, Some(txn.to_vec())),
        (3, z, None),
        (4, z, None),
        (5, z, None),
        (5, z, Some(vec![])),
        (5, z, Some(ask.clone())),
        (6, none, Some(ask)),
        (6, none, Some(answer)),
        (7, z, None),
        (8, z, Some(txn.to_vec())),
        (10, epoch, Some(b"version=0".to_vec())),
        (11, epoch, Some(info.clone())),
        (12, none, None),
        (13, z, None),
        (14, z, None),
        (15, z, None),
        (16, epoch, Some(info)),
        (17, epoch, Some(number(0x1_0000))),
        (18, z, Some(number(3))),
        (18, z, Some(number(-1))),
    ];
    // Those of reconfiguration, and one that only servers of ours send, are no part of this.
    let is_other = |packet: &Packet| match packet {
        Packet::CommitAndActivate { .. } | Packet::InformAndActivate { .. } => true,
        Packet::AckEpoch(ack) => ack.kept.is_some(),
        _ => false,
    };
    let packets: Vec<Packet> = all_packets().into_iter().filter(|packet| !is_other(packet)).collect();
    assert_eq!(packets.len(), expected.len());
    for (packet, (kind, zxid, data)) in packets.iter().zip(expected) {
        let mut bytes = Vec::new();
        packet.write(&mut bytes);
        let length = data.as_ref().map_or(-1, |data| data.len() as i32);
        let auth = match packet {
            Packet::Request { .. } => [&number(1)[..], &number(2), b"ip", &number(8), b"10.0.0.1"].concat(),
            _ => number(-1),
        };
        let whole = [&number(kind)[..], &zxid, &number(length), &data.unwrap_or_default(), &auth].concat();
        assert_eq!(bytes, whole, "{packet:?}");
    }
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
