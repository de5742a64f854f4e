//! Bytes that the reference's own client and server exchanged, and logs that the server wrote: each is read and written
//! again to the same bytes. Captured by `oxkeeper-golden`; the directories are named after the release.

use bytes::Bytes;
use oxkeeper_proto::client::*;
use oxkeeper_proto::jute::{DecodeError, Reader, Writer, read_acl_list, read_id_list, read_stat};
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_types::OpCode;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const VERSIONS: [&str; 2] = ["3.8.0", "3.9.5"];

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).expect("hex digits")).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}; capture it with oxkeeper-golden", dir.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    all.sort();
    all
}

/// Reads with one function and writes with the other.
fn again<'a, T>(
    r: &mut Reader<'a>,
    w: &mut Writer,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    write: impl FnOnce(T, &mut Writer),
) -> Result<(), DecodeError> {
    let value = read(r)?;
    write(value, w);
    Ok(())
}

fn request(op: OpCode, r: &mut Reader, w: &mut Writer) -> Result<(), DecodeError> {
    use OpCode::*;
    match op {
        Create | Create2 | CreateContainer => again(r, w, CreateRequest::read, |v, w| v.write(w)),
        CreateTtl => again(r, w, CreateTtlRequest::read, |v, w| v.write(w)),
        Delete => again(r, w, DeleteRequest::read, |v, w| v.write(w)),
        SetData => again(r, w, SetDataRequest::read, |v, w| v.write(w)),
        SetAcl => again(r, w, SetAclRequest::read, |v, w| v.write(w)),
        Exists | GetData | GetChildren | GetChildren2 => again(r, w, PathWatchRequest::read, |v, w| v.write(w)),
        GetAcl | GetAllChildrenNumber => again(r, w, PathRequest::read, |v, w| v.write(w)),
        Sync => again(r, w, SyncRequest::read, |v, w| v.write(w)),
        GetEphemerals => again(r, w, GetEphemeralsRequest::read, |v, w| v.write(w)),
        Multi | MultiRead => again(r, w, read_multi, |v, w| write_multi(&v, w)),
        CheckWatches | RemoveWatches => again(r, w, WatchesRequest::read, |v, w| v.write(w)),
        AddWatch => again(r, w, AddWatchRequest::read, |v, w| v.write(w)),
        SetWatches => again(r, w, SetWatchesRequest::read, |v, w| v.write(w)),
        SetWatches2 => again(r, w, SetWatches2Request::read, |v, w| v.write(w)),
        Auth => again(r, w, AuthRequest::read, |v, w| v.write(w)),
        Reconfig => again(r, w, ReconfigRequest::read, |v, w| v.write(w)),
        WhoAmI | Ping | CloseSession => Ok(()),
        other => panic!("no record of {other:?} is captured"),
    }
}

fn reply(op: OpCode, r: &mut Reader, w: &mut Writer) -> Result<(), DecodeError> {
    use OpCode::*;
    let text =
        |r: &mut Reader, w: &mut Writer| again(r, w, |r| r.required_string().map(String::from), |v, w| w.string(&v));
    let texts = |r: &mut Reader, w: &mut Writer| {
        again(
            r,
            w,
            |r| r.strings().map(|list| list.into_iter().map(String::from).collect::<Vec<_>>()),
            |v, w| w.strings(&v),
        )
    };
    let stat = |r: &mut Reader, w: &mut Writer| again(r, w, read_stat, |v, w| w.stat(&v));
    match op {
        Create | Sync => text(r, w),
        Create2 | CreateContainer | CreateTtl => text(r, w).and_then(|()| stat(r, w)),
        Exists | SetData | SetAcl => stat(r, w),
        GetData => again(r, w, |r| r.buffer(), |v, w| w.buffer(v)).and_then(|()| stat(r, w)),
        GetAcl => {
            again(r, w, read_acl_list, |v, w| w.acl_list(&v.expect("a node has an ACL"))).and_then(|()| stat(r, w))
        }
        GetChildren | GetEphemerals => texts(r, w),
        GetChildren2 => texts(r, w).and_then(|()| stat(r, w)),
        Multi | MultiRead => again(r, w, read_multi_results, |v, w| write_multi_results(&v, w)),
        GetAllChildrenNumber | AddWatch => again(r, w, |r| r.int(), |v, w| w.int(v)),
        WhoAmI => again(r, w, read_id_list, |v, w| {
            w.count(v.len());
            v.iter().for_each(|id| w.id(id));
        }),
        _ => Ok(()),
    }
}

/// One record, read and written again.
fn round_trip(name: &str, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    let (mut r, mut w) = (Reader::unbounded(bytes), Writer::new(&mut out));
    let op = |text: &str| {
        OpCode::ALL.iter().copied().find(|op| op.name() == text).unwrap_or_else(|| panic!("no operation {text}"))
    };
    match name.split_once(' ').expect("a name has two words") {
        ("connect", "request") => ConnectRequest::read(&mut r)?.write(&mut w),
        ("connect", _) => ConnectResponse::read(&mut r)?.write(&mut w),
        ("watch", _) => {
            ReplyHeader::read(&mut r)?.write(&mut w);
            let event = WatcherEvent::read(&mut r)?;
            WatcherEvent::write(event.kind, &event.path, &mut w);
        }
        (operation, "request") => {
            RequestHeader::read(&mut r)?.write(&mut w);
            request(op(operation), &mut r, &mut w)?;
        }
        (operation, _) => {
            ReplyHeader::read(&mut r)?.write(&mut w);
            if !r.is_empty() {
                reply(op(operation), &mut r, &mut w)?;
            }
        }
    }
    assert!(r.is_empty(), "{name}: {} bytes are left", r.remaining().len());
    Ok(out)
}

#[test]
fn every_captured_record_survives() {
    for version in VERSIONS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
        let mut seen = BTreeSet::new();
        for path in files(&dir) {
            let text = fs::read_to_string(&path).expect("a text file");
            let lines: Vec<&str> = text.lines().collect();
            for record in lines.chunks(2) {
                let (name, bytes) = (record[0], unhex(record[1]));
                let written = round_trip(name, &bytes).unwrap_or_else(|e| panic!("{}: {name}: {e}", path.display()));
                assert_eq!(written, bytes, "{}: {name}", path.display());
                seen.insert(name.to_string());
            }
        }
        for kind in ["connect request", "watch event", "multi reply", "setWatches2 request", "ping reply"] {
            assert!(seen.contains(kind), "{version}: no {kind} among the captured records");
        }
        assert!(seen.len() > 50, "{version}: only {} kinds of records", seen.len());
    }
}

/// Log records are framed as checksum, length, body, end mark (inventory §4.2); zeros follow the last one.
fn log_bodies(path: &Path) -> Vec<Bytes> {
    let bytes = Bytes::from(fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    let (mut at, mut bodies) = (16, Vec::new());
    while at + 12 <= bytes.len() {
        let length = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().expect("four bytes")) as usize;
        if length == 0 {
            break;
        }
        bodies.push(bytes.slice(at + 12..at + 12 + length));
        assert_eq!(bytes[at + 12 + length], b'B', "the end mark of the record at {at}");
        at += 12 + length + 1;
    }
    bodies
}

#[test]
fn every_logged_transaction_survives() {
    for version in VERSIONS {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oxkeeper-storage/tests/golden").join(version);
        let mut seen = BTreeSet::new();
        for path in files(&dir).into_iter().chain(files(&dir.join("reconfig"))) {
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log.")) {
                continue;
            }
            for body in log_bodies(&path) {
                let entry = TxnEntry::read(&body).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                // A refused write changes nothing, and the reference leaves its digest out.
                assert_eq!(entry.digest.is_none(), entry.txn.op() == OpCode::Error, "{version}: {entry:?}");
                let mut written = Vec::new();
                entry.write(&mut written);
                assert_eq!(written, body, "{}: {entry:?}", path.display());
                seen.insert(entry.txn.op().number());
            }
        }
        // All there are but check, which only stands inside a multi.
        assert_eq!(Vec::from_iter(seen), [-11, -10, -1, 1, 2, 5, 7, 14, 15, 16, 19, 20, 21], "{version}");
    }
}
