//! Layouts that clients depend on, and the multi rules of the inventory (CW193-CW196).

use super::*;
use crate::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::{OpCode, SessionId, Zxid, acl::open_acl};

fn written(f: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Vec::new();
    f(&mut Writer::new(&mut out));
    out
}

#[test]
fn connect_request_has_44_or_45_bytes() {
    let mut request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(7),
        timeout_ms: 30000,
        session: SessionId(0x1234),
        password: vec![1; 16],
        read_only: None,
    };
    for (flag, length) in [(None, 44), (Some(true), 45)] {
        request.read_only = flag;
        let bytes = written(|w| request.write(w));
        assert_eq!(bytes.len(), length);
        assert_eq!(ConnectRequest::read(&mut Reader::unbounded(&bytes)), Ok(request.clone()));
    }
}

#[test]
fn refused_connect_is_all_zero() {
    let bytes = written(|w| ConnectResponse::refused(None).write(w));
    assert_eq!(bytes.len(), 36);
    assert!(bytes[..16].iter().all(|b| *b == 0) && bytes[20..].iter().all(|b| *b == 0));
}

fn create(op: OpCode, flags: i32) -> MultiOp<'static> {
    MultiOp::Create { op, request: CreateRequest { path: "/a".into(), data: Some(b"x"), acl: Some(open_acl()), flags } }
}

#[test]
fn multi_survives_the_wire() {
    let ops = vec![
        create(OpCode::Create2, 2),
        MultiOp::Delete(DeleteRequest { path: "/a".into(), version: 3 }),
        MultiOp::Check(CheckVersionRequest { path: "/b".into(), version: -1 }),
        MultiOp::SetData(SetDataRequest { path: "/c".into(), data: None, version: 0 }),
    ];
    let bytes = written(|w| write_multi(&ops, w));
    assert_eq!(bytes[..9], [0, 0, 0, 15, 0, 0xff, 0xff, 0xff, 0xff], "a header stands before each part");
    assert_eq!(bytes[bytes.len() - 9..], [0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff], "the end mark");
    assert_eq!(read_multi(&mut Reader::unbounded(&bytes)), Ok(ops));
}

#[test]
fn a_container_flag_makes_a_create_in_multi_a_container() {
    let bytes = written(|w| write_multi(&[create(OpCode::Create, 4)], w));
    assert_eq!(read_multi(&mut Reader::unbounded(&bytes)).unwrap()[0].op(), OpCode::CreateContainer);
}

#[test]
fn faults_of_one_operation_fail_the_whole_multi() {
    for flags in [5, 7, -1] {
        let bytes = written(|w| write_multi(&[create(OpCode::Create, flags)], w));
        assert!(matches!(read_multi(&mut Reader::unbounded(&bytes)), Err(DecodeError::Unknown { .. })), "{flags}");
    }
    let read = MultiOp::GetData(PathWatchRequest { path: "/a".into(), watch: false });
    let bytes = written(|w| write_multi(&[create(OpCode::Create, 0), read], w));
    assert!(matches!(read_multi(&mut Reader::unbounded(&bytes)), Err(DecodeError::MixedMulti { .. })));
}

#[test]
fn multi_results_survive_the_wire() {
    let results = vec![
        MultiResult::Create { path: "/a".into() },
        MultiResult::Create2 { path: "/a".into(), stat: Default::default() },
        MultiResult::Error(-101),
        MultiResult::GetChildren { names: vec!["x".into()] },
        MultiResult::GetData { data: None, stat: Default::default() },
    ];
    let error = written(|w| write_multi_results(&results[2..3], w));
    let code = (-101i32).to_be_bytes();
    let end = [0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff];
    assert_eq!(error, [&[0xff, 0xff, 0xff, 0xff, 0][..], &code, &code, &end].concat());
    let bytes = written(|w| write_multi_results(&results, w));
    assert_eq!(read_multi_results(&mut Reader::unbounded(&bytes)), Ok(results));
}

#[test]
fn watch_event_layout() {
    let bytes = written(|w| WatcherEvent::write(EventType::NodeDeleted, "/a", w));
    assert_eq!(bytes, [0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'a']);
}
