//! Multi and multiRead: a list of operations framed by headers (reference `MultiOperationRecord`, `MultiResponse`).

use super::request::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, PathWatchRequest, SetDataRequest,
};
use crate::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::{CreateMode, OpCode, Stat};

/// One operation inside a multi, its type as the reference re-derives it from the create flag (`Op.Create.getOpcode`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiOp<'a> {
    /// `op` is create, create2 or createContainer; the flag is a known one.
    Create {
        op: OpCode,
        request: CreateRequest<'a>,
    },
    CreateTtl(CreateTtlRequest<'a>),
    Delete(DeleteRequest<'a>),
    SetData(SetDataRequest<'a>),
    Check(CheckVersionRequest<'a>),
    GetData(PathWatchRequest<'a>),
    GetChildren(PathWatchRequest<'a>),
}

impl MultiOp<'_> {
    pub fn op(&self) -> OpCode {
        match self {
            MultiOp::Create { op, .. } => *op,
            MultiOp::CreateTtl(_) => OpCode::CreateTtl,
            MultiOp::Delete(_) => OpCode::Delete,
            MultiOp::SetData(_) => OpCode::SetData,
            MultiOp::Check(_) => OpCode::Check,
            MultiOp::GetData(_) => OpCode::GetData,
            MultiOp::GetChildren(_) => OpCode::GetChildren,
        }
    }
    pub fn path(&self) -> &str {
        match self {
            MultiOp::Create { request, .. } => &request.path,
            MultiOp::CreateTtl(r) => &r.path,
            MultiOp::Delete(r) => &r.path,
            MultiOp::SetData(r) => &r.path,
            MultiOp::Check(r) => &r.path,
            MultiOp::GetData(r) | MultiOp::GetChildren(r) => &r.path,
        }
    }
    pub fn is_read(&self) -> bool {
        matches!(self, MultiOp::GetData(_) | MultiOp::GetChildren(_))
    }
}

/// The operations of one multi: all writes or all reads.
pub type MultiOps<'a> = Vec<MultiOp<'a>>;

struct MultiHeader {
    op: i32,
    done: bool,
}

impl MultiHeader {
    fn read(r: &mut Reader) -> Result<MultiHeader, DecodeError> {
        let header = MultiHeader { op: r.int()?, done: r.boolean()? };
        // The error code: always -1 in requests, and repeated in the body of an error result.
        r.int()?;
        Ok(header)
    }
    fn write(op: i32, done: bool, error: i32, w: &mut Writer) {
        w.int(op);
        w.boolean(done);
        w.int(error);
    }
}

/// Reads the operations of a multi or multiRead. Every fault that the reference finds while decoding (a bad flag,
/// a type that has no place here, reads mixed with writes) is an error for the request as a whole.
pub fn read_multi<'a>(r: &mut Reader<'a>) -> Result<MultiOps<'a>, DecodeError> {
    let mut ops: MultiOps<'a> = Vec::new();
    loop {
        let at = r.position();
        let header = MultiHeader::read(r)?;
        if header.done {
            return Ok(ops);
        }
        let op = read_one(r, header.op, at)?;
        if ops.first().is_some_and(|first| first.is_read() != op.is_read()) {
            return Err(DecodeError::MixedMulti { at });
        }
        ops.push(op);
    }
}

fn read_one<'a>(r: &mut Reader<'a>, number: i32, at: usize) -> Result<MultiOp<'a>, DecodeError> {
    let unknown = || DecodeError::Unknown { at, what: "operation in multi", value: number as i64 };
    Ok(match OpCode::from_number(number).ok_or_else(unknown)? {
        op @ (OpCode::Create | OpCode::Create2 | OpCode::CreateContainer) => {
            let request = CreateRequest::read(r)?;
            let flag = request.flags;
            let bad_flag = || DecodeError::Unknown { at, what: "create flag in multi", value: flag as i64 };
            let mode = CreateMode::from_flag(flag).filter(|m| !m.is_ttl()).ok_or_else(bad_flag)?;
            let op = if mode == CreateMode::Container { OpCode::CreateContainer } else { op };
            MultiOp::Create { op, request }
        }
        OpCode::CreateTtl => MultiOp::CreateTtl(CreateTtlRequest::read(r)?),
        OpCode::Delete => MultiOp::Delete(DeleteRequest::read(r)?),
        OpCode::SetData => MultiOp::SetData(SetDataRequest::read(r)?),
        OpCode::Check => MultiOp::Check(CheckVersionRequest::read(r)?),
        OpCode::GetData => MultiOp::GetData(PathWatchRequest::read(r)?),
        OpCode::GetChildren => MultiOp::GetChildren(PathWatchRequest::read(r)?),
        _ => return Err(unknown()),
    })
}

/// Writes operations as a client does.
pub fn write_multi(ops: &[MultiOp], w: &mut Writer) {
    for op in ops {
        MultiHeader::write(op.op().number(), false, -1, w);
        match op {
            MultiOp::Create { request, .. } => request.write(w),
            MultiOp::CreateTtl(request) => request.write(w),
            MultiOp::Delete(request) => request.write(w),
            MultiOp::SetData(request) => request.write(w),
            MultiOp::Check(request) => request.write(w),
            MultiOp::GetData(request) | MultiOp::GetChildren(request) => request.write(w),
        }
    }
    MultiHeader::write(-1, true, -1, w);
}

/// The result of one operation of a multi.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MultiResult {
    Create {
        path: String,
    },
    /// create2, createTTL and createContainer all answer as create2.
    Create2 {
        path: String,
        stat: Stat,
    },
    Delete,
    SetData {
        stat: Stat,
    },
    Check,
    GetData {
        data: Option<Vec<u8>>,
        stat: Stat,
    },
    GetChildren {
        names: Vec<String>,
    },
    /// 0 for the operations before the failing one, -2 for those after it.
    Error(i32),
}

pub fn write_multi_results(results: &[MultiResult], w: &mut Writer) {
    for result in results {
        let mut header = |op: OpCode| MultiHeader::write(op.number(), false, 0, w);
        match result {
            MultiResult::Create { path } => {
                header(OpCode::Create);
                w.string(path);
            }
            MultiResult::Create2 { path, stat } => {
                header(OpCode::Create2);
                w.string(path);
                w.stat(stat);
            }
            MultiResult::Delete => header(OpCode::Delete),
            MultiResult::SetData { stat } => {
                header(OpCode::SetData);
                w.stat(stat);
            }
            MultiResult::Check => header(OpCode::Check),
            MultiResult::GetData { data, stat } => {
                header(OpCode::GetData);
                w.buffer(data.as_deref());
                w.stat(stat);
            }
            MultiResult::GetChildren { names } => {
                header(OpCode::GetChildren);
                w.strings(names);
            }
            MultiResult::Error(code) => {
                MultiHeader::write(OpCode::Error.number(), false, *code, w);
                w.int(*code);
            }
        }
    }
    MultiHeader::write(-1, true, -1, w);
}

/// Reads results as a client does.
pub fn read_multi_results(r: &mut Reader) -> Result<Vec<MultiResult>, DecodeError> {
    let mut results = Vec::new();
    loop {
        let at = r.position();
        let header = MultiHeader::read(r)?;
        if header.done {
            return Ok(results);
        }
        results.push(match OpCode::from_number(header.op) {
            Some(OpCode::Create) => MultiResult::Create { path: r.required_string()?.into_owned() },
            Some(OpCode::Create2) => {
                let path = r.required_string()?.into_owned();
                MultiResult::Create2 { path, stat: crate::jute::read_stat(r)? }
            }
            Some(OpCode::Delete) => MultiResult::Delete,
            Some(OpCode::SetData) => MultiResult::SetData { stat: crate::jute::read_stat(r)? },
            Some(OpCode::Check) => MultiResult::Check,
            Some(OpCode::GetData) => {
                let data = r.buffer()?.map(<[u8]>::to_vec);
                MultiResult::GetData { data, stat: crate::jute::read_stat(r)? }
            }
            Some(OpCode::GetChildren) => {
                MultiResult::GetChildren { names: r.strings()?.into_iter().map(|s| s.into_owned()).collect() }
            }
            Some(OpCode::Error) => {
                let code = r.int()?;

                MultiResult::Error(code)
            }
            _ => return Err(DecodeError::Unknown { at, what: "result in multi", value: header.op as i64 }),
        });
    }
}
