//! Every kind of transaction survives its bytes; old forms are read.

use super::*;
use oxkeeper_types::acl::open_acl;
use proptest::prelude::*;

fn entry(txn: Txn, digest: bool) -> TxnEntry {
    TxnEntry {
        header: TxnHeader { session: SessionId(0x100), cxid: 3, zxid: Zxid(0x2_0000_0001), time: 1_700_000_000_000 },
        txn,
        digest: digest.then_some(TxnDigest { version: DIGEST_VERSION, tree_digest: 0xfedc_ba98_7654_3210 }),
    }
}

fn bytes_of(e: &TxnEntry) -> Bytes {
    let mut out = Vec::new();
    e.write(&mut out);
    Bytes::from(out)
}

fn all_kinds() -> Vec<Txn> {
    let (path, data, acl) = ("/a/b".to_string(), Some(Bytes::from_static(b"data")), open_acl());
    vec![
        Txn::Create {
            op: OpCode::Create,
            path: path.clone(),
            data: data.clone(),
            acl: acl.clone(),
            ephemeral: true,
            parent_cversion: 7,
        },
        Txn::Create {
            op: OpCode::Create2,
            path: path.clone(),
            data: None,
            acl: acl.clone(),
            ephemeral: false,
            parent_cversion: -1,
        },
        Txn::CreateContainer { path: path.clone(), data: data.clone(), acl: acl.clone(), parent_cversion: 1 },
        Txn::CreateTtl { path: path.clone(), data: data.clone(), acl: acl.clone(), parent_cversion: 1, ttl_ms: 5000 },
        Txn::Delete { op: OpCode::Delete, path: path.clone() },
        Txn::Delete { op: OpCode::DeleteContainer, path: path.clone() },
        Txn::SetData { op: OpCode::SetData, path: path.clone(), data: Some(Bytes::new()), version: 2 },
        Txn::SetData { op: OpCode::Reconfig, path: path.clone(), data, version: -1 },
        Txn::SetAcl { path: path.clone(), acl, version: 3 },
        Txn::Check { path, version: 0 },
        Txn::CreateSession { timeout_ms: 30000 },
        Txn::CloseSession { paths: Some(vec!["/x".into(), "/y".into()]) },
        Txn::CloseSession { paths: Some(vec![]) },
        Txn::CloseSession { paths: None },
        Txn::Error { code: -101 },
    ]
}

#[test]
fn every_kind_survives_with_and_without_digest() {
    let mut kinds = all_kinds();
    kinds.push(Txn::Multi(vec![kinds[0].clone(), kinds[4].clone(), kinds[9].clone(), Txn::Error { code: 0 }]));
    for txn in kinds {
        for digest in [false, true] {
            let e = entry(txn.clone(), digest);
            assert_eq!(TxnEntry::read(&bytes_of(&e)), Ok(e));
        }
    }
}

#[test]
fn a_check_is_its_path_and_its_version() {
    let bytes = bytes_of(&entry(Txn::Check { path: "/a".into(), version: 3 }, false));
    assert_eq!((&bytes[28..32], &bytes[32..]), (&[0, 0, 0, 13][..], &[0, 0, 0, 2, b'/', b'a', 0, 0, 0, 3][..]));
}

#[test]
fn create_without_parent_cversion_is_read_as_the_old_form() {
    let e = entry(all_kinds().remove(0), false);
    let bytes = bytes_of(&e);
    let old = bytes.slice(..bytes.len() - 4);
    match TxnEntry::read(&old).unwrap().txn {
        Txn::Create { parent_cversion, ephemeral, .. } => assert_eq!((parent_cversion, ephemeral), (-1, true)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn header_has_32_bytes() {
    assert_eq!(bytes_of(&entry(Txn::CloseSession { paths: None }, false)).len(), 32);
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), op in -11i32..23) {
        let mut record = vec![0; 28];
        record.extend_from_slice(&op.to_be_bytes());
        record.extend_from_slice(&bytes);
        let _ = TxnEntry::read(&Bytes::from(record));
    }
}
