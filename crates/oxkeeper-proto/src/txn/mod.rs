//! Transactions: what is proposed, logged and replayed. `TxnHeader`, then the record, then an optional digest
//! (reference `SerializeUtils.deserializeTxn`, inventory §2.7).

use crate::jute::{DecodeError, Reader, Writer, read_acl_list};
use bytes::Bytes;
use oxkeeper_types::{Acl, OpCode, SessionId, Zxid};

/// The digest algorithm of the reference since 3.6; other versions are not compared.
pub const DIGEST_VERSION: i32 = 2;

/// 32 bytes in front of every transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnHeader {
    pub session: SessionId,
    /// The client's xid; the reference calls it cxid here.
    pub cxid: i32,
    pub zxid: Zxid,
    /// Wall clock of the leader in milliseconds since 1970: becomes ctime and mtime.
    pub time: i64,
}

/// The body of a transaction. Where two request kinds leave the same record (create and create2, setData and reconfig)
/// the type in the header still tells them apart, so it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Txn {
    /// `op` is create or create2.
    Create {
        op: OpCode,
        path: String,
        data: Option<Bytes>,
        acl: Vec<Acl>,
        ephemeral: bool,
        parent_cversion: i32,
    },
    CreateContainer {
        path: String,
        data: Option<Bytes>,
        acl: Vec<Acl>,
        parent_cversion: i32,
    },
    CreateTtl {
        path: String,
        data: Option<Bytes>,
        acl: Vec<Acl>,
        parent_cversion: i32,
        ttl_ms: i64,
    },
    /// `op` is delete or deleteContainer.
    Delete {
        op: OpCode,
        path: String,
    },
    /// `op` is setData or reconfig. `version` is the version that results.
    SetData {
        op: OpCode,
        path: String,
        data: Option<Bytes>,
        version: i32,
    },
    SetAcl {
        path: String,
        acl: Vec<Acl>,
        version: i32,
    },
    Check {
        path: String,
        version: i32,
    },
    /// All succeed, or every one is an [`Txn::Error`].
    Multi(Vec<Txn>),
    CreateSession {
        timeout_ms: i32,
    },
    /// The ephemerals to delete; `None` in logs from before 3.6: then they are looked up.
    CloseSession {
        paths: Option<Vec<String>>,
    },
    /// A refused write: it takes a zxid and changes nothing.
    Error {
        code: i32,
    },
}

impl Txn {
    /// The type that stands in the header (or in front of the record inside a multi).
    pub fn op(&self) -> OpCode {
        match self {
            Txn::Create { op, .. } | Txn::Delete { op, .. } | Txn::SetData { op, .. } => *op,
            Txn::CreateContainer { .. } => OpCode::CreateContainer,
            Txn::CreateTtl { .. } => OpCode::CreateTtl,
            Txn::SetAcl { .. } => OpCode::SetAcl,
            Txn::Check { .. } => OpCode::Check,
            Txn::Multi(_) => OpCode::Multi,
            Txn::CreateSession { .. } => OpCode::CreateSession,
            Txn::CloseSession { .. } => OpCode::CloseSession,
            Txn::Error { .. } => OpCode::Error,
        }
    }

    fn write(&self, w: &mut Writer) {
        match self {
            Txn::Create { path, data, acl, ephemeral, parent_cversion, .. } => {
                write_create(w, path, data, acl);
                w.boolean(*ephemeral);
                w.int(*parent_cversion);
            }
            Txn::CreateContainer { path, data, acl, parent_cversion } => {
                write_create(w, path, data, acl);
                w.int(*parent_cversion);
            }
            Txn::CreateTtl { path, data, acl, parent_cversion, ttl_ms } => {
                write_create(w, path, data, acl);
                w.int(*parent_cversion);
                w.long(*ttl_ms);
            }
            Txn::Delete { path, .. } => w.string(path),
            Txn::SetData { path, data, version, .. } => {
                w.string(path);
                w.buffer(data.as_deref());
                w.int(*version);
            }
            Txn::SetAcl { path, acl, version } => {
                w.string(path);
                w.acl_list(acl);
                w.int(*version);
            }
            Txn::Check { path, version } => {
                w.string(path);
                w.int(*version);
            }
            Txn::Multi(txns) => write_multi(w, txns),
            Txn::CreateSession { timeout_ms } => w.int(*timeout_ms),
            Txn::CloseSession { paths: Some(paths) } => w.strings(paths),
            Txn::CloseSession { paths: None } => {}
            Txn::Error { code } => w.int(*code),
        }
    }
}

fn write_create(w: &mut Writer, path: &str, data: &Option<Bytes>, acl: &[Acl]) {
    w.string(path);
    w.buffer(data.as_deref());
    w.acl_list(acl);
}

/// `vec<{int type, buf record}>`: each record is serialized on its own first.
fn write_multi(w: &mut Writer, txns: &[Txn]) {
    w.count(txns.len());
    for txn in txns {
        w.int(txn.op().number());
        let start = w.out.len();
        w.int(0);
        txn.write(w);
        let length = i32::try_from(w.out.len() - start - 4).expect("a record is shorter than 2 GiB");
        w.out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// The digest of the tree after a transaction, as the leader computed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TxnDigest {
    pub version: i32,
    pub tree_digest: u64,
}

/// A whole transaction as it stands in a log record or a proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxnEntry {
    pub header: TxnHeader,
    pub txn: Txn,
    /// `None` where the writer had digests switched off, or was older than 3.6.
    pub digest: Option<TxnDigest>,
}

impl TxnEntry {
    pub fn write(&self, out: &mut Vec<u8>) {
        write_txn(&self.header, &self.txn, self.digest, out);
    }

    /// Reads an entry; data slices share `bytes` and keep it alive.
    pub fn read(bytes: &Bytes) -> Result<TxnEntry, DecodeError> {
        let mut r = Reader::unbounded(bytes);
        let session = SessionId(r.long()?);
        let cxid = r.int()?;
        let zxid = Zxid(r.long()?);
        let time = r.long()?;
        let at = r.position();
        let number = r.int()?;
        let unknown = DecodeError::Unknown { at, what: "transaction type", value: number as i64 };
        let op = OpCode::from_number(number).ok_or(unknown)?;
        let txn = read_record(op, &mut r, bytes, unknown)?;
        // A digest that is cut short reads as none, as in the reference.
        let digest = match (r.int(), r.long()) {
            (Ok(version), Ok(digest)) => Some(TxnDigest { version, tree_digest: digest as u64 }),
            _ => None,
        };
        Ok(TxnEntry { header: TxnHeader { session, cxid, zxid, time }, txn, digest })
    }
}

/// Whether an encoded transaction is a refused write, which changes nothing ([`Txn::Error`]).
pub fn is_refusal(bytes: &[u8]) -> bool {
    bytes.get(28..32) == Some(&OpCode::Error.number().to_be_bytes())
}

/// Appends a transaction in the form of log records and proposals.
pub fn write_txn(header: &TxnHeader, txn: &Txn, digest: Option<TxnDigest>, out: &mut Vec<u8>) {
    let mut w = Writer::new(out);
    w.long(header.session.0);
    w.int(header.cxid);
    w.long(header.zxid.0);
    w.long(header.time);
    w.int(txn.op().number());
    txn.write(&mut w);
    if let Some(digest) = digest {
        w.int(digest.version);
        w.long(digest.tree_digest as i64);
    }
}

fn read_record(op: OpCode, r: &mut Reader, bytes: &Bytes, unknown: DecodeError) -> Result<Txn, DecodeError> {
    let data = |r: &mut Reader| r.buffer().map(|b| b.map(|b| bytes.slice_ref(b)));
    let path = |r: &mut Reader| r.required_string().map(|p| p.into_owned());
    Ok(match op {
        OpCode::Create | OpCode::Create2 => {
            let (path, data, acl, ephemeral) =
                (path(r)?, data(r)?, read_acl_list(r)?.unwrap_or_default(), r.boolean()?);
            // Logs from before 3.4 end here; -1 makes the tree count the parent's version itself (`CreateTxnV0`).
            let parent_cversion = if r.is_empty() && op == OpCode::Create { -1 } else { r.int()? };
            Txn::Create { op, path, data, acl, ephemeral, parent_cversion }
        }
        OpCode::CreateContainer => Txn::CreateContainer {
            path: path(r)?,
            data: data(r)?,
            acl: read_acl_list(r)?.unwrap_or_default(),
            parent_cversion: r.int()?,
        },
        OpCode::CreateTtl => Txn::CreateTtl {
            path: path(r)?,
            data: data(r)?,
            acl: read_acl_list(r)?.unwrap_or_default(),
            parent_cversion: r.int()?,
            ttl_ms: r.long()?,
        },
        OpCode::Delete | OpCode::DeleteContainer => Txn::Delete { op, path: path(r)? },
        OpCode::SetData | OpCode::Reconfig => Txn::SetData { op, path: path(r)?, data: data(r)?, version: r.int()? },
        OpCode::SetAcl => Txn::SetAcl { path: path(r)?, acl: read_acl_list(r)?.unwrap_or_default(), version: r.int()? },
        OpCode::Check => Txn::Check { path: path(r)?, version: r.int()? },
        OpCode::Multi => Txn::Multi(read_multi(r, bytes)?),
        OpCode::CreateSession => Txn::CreateSession { timeout_ms: r.int()? },
        OpCode::CloseSession => Txn::CloseSession { paths: read_close_session(r)? },
        OpCode::Error => Txn::Error { code: r.int()? },
        _ => return Err(unknown),
    })
}

/// A closeSession record may be absent altogether, with or without a digest behind it: writers before 3.6, and those
/// with `closeSessionTxn.enabled=false`, leave it out. 12 bytes are a digest and nothing else, since a list of paths
/// with the digest's version in its count would need more.
fn read_close_session(r: &mut Reader) -> Result<Option<Vec<String>>, DecodeError> {
    let left = r.remaining();
    let digest_only = left.len() == 12 && left[..4] == DIGEST_VERSION.to_be_bytes();
    if left.is_empty() || digest_only {
        return Ok(None);
    }
    let at = r.position();
    let paths: Vec<String> = r.strings()?.into_iter().map(|p| p.into_owned()).collect();
    if paths.iter().any(String::is_empty) {
        return Err(DecodeError::Unknown { at, what: "path of a deleted ephemeral, its length", value: 0 });
    }
    Ok(Some(paths))
}

fn read_multi(r: &mut Reader, bytes: &Bytes) -> Result<Vec<Txn>, DecodeError> {
    let at = r.position();
    let n = r.count()?.ok_or(DecodeError::Null { at })?;
    r.items(n, |r| {
        let at = r.position();
        let number = r.int()?;
        let unknown = DecodeError::Unknown { at, what: "transaction type in multi", value: number as i64 };
        let op = OpCode::from_number(number).filter(|op| *op != OpCode::Multi).ok_or(unknown)?;
        let record = r.buffer()?.ok_or(DecodeError::Null { at })?;
        read_record(op, &mut Reader::unbounded(record), bytes, unknown)
    })
}

#[cfg(test)]
mod tests;
