//! A request whose path is null. The reference reads it, and fails where it first looks at the path: which code that gives,
//! and what is judged before, differs by operation. In a multi the whole fails, as what cannot be read does.

use super::create::create_mode;
use super::{Context, malformed};
use oxkeeper_proto::jute::{DecodeError, Reader, read_acl_list};
use oxkeeper_types::{ErrorCode, OpCode};

/// The verdict over a request with a null path; `None` where there is a path, or the operation has none.
pub(super) fn refusal(cx: &Context<'_>) -> Option<ErrorCode> {
    let mut r = Reader::unbounded(cx.request.body);
    let has_path = !matches!(
        cx.request.op,
        OpCode::Multi | OpCode::Reconfig | OpCode::CreateSession | OpCode::CloseSession | OpCode::DeleteContainer
    );
    if !has_path || !matches!(r.string(), Ok(None)) {
        return None;
    }
    let judged = read_rest(cx.request.op, &mut r).map_err(malformed).and_then(|create| judge(cx, create));
    Some(judged.unwrap_or_else(|code| code))
}

/// Flags and ttl of a create.
type CreateNumbers = Option<(i32, Option<i64>)>;

fn read_rest(op: OpCode, r: &mut Reader<'_>) -> Result<CreateNumbers, DecodeError> {
    match op {
        OpCode::Delete => r.int().map(|_| None),
        OpCode::SetData => {
            r.buffer()?;
            r.int().map(|_| None)
        }
        OpCode::SetAcl => {
            read_acl_list(r)?;
            r.int().map(|_| None)
        }
        _ => {
            r.buffer()?;
            read_acl_list(r)?;
            let flags = r.int()?;
            let ttl_ms = if op == OpCode::CreateTtl { Some(r.long()?) } else { None };
            Ok(Some((flags, ttl_ms)))
        }
    }
}

/// What comes before the path in the order of checks, and then the path.
fn judge(cx: &Context<'_>, create: CreateNumbers) -> Result<ErrorCode, ErrorCode> {
    if let Some((flags, ttl_ms)) = create {
        create_mode(cx, flags, ttl_ms)?;
    }
    cx.request.session_check?;
    match cx.request.op {
        OpCode::SetData | OpCode::SetAcl => Ok(ErrorCode::BadArguments),
        _ => Ok(ErrorCode::MarshallingError),
    }
}
