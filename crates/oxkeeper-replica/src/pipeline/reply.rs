//! The answer to an applied transaction.

use oxkeeper_proto::client::{MultiResult, ReplyHeader, write_multi_results};
use oxkeeper_proto::jute::Writer;
use oxkeeper_tree::Applied;
use oxkeeper_types::{ErrorCode, OpCode, Stat, Xid, Zxid};

/// Writes reply header and body of a request whose transaction was applied. `refused` is prep's verdict; for a multi
/// the verdict stands in the results instead, and the header says success.
pub fn write_reply(xid: Xid, zxid: Zxid, applied: &Applied, refused: Option<ErrorCode>, out: &mut Vec<u8>) {
    let mut w = Writer::new(out);
    // A failed multi succeeds as a request: its results say which part failed. One that could not be decoded became an
    // error transaction.
    let error = if applied.op == OpCode::Multi { ErrorCode::Ok } else { refused.unwrap_or(applied.error) };
    ReplyHeader { xid, zxid, error: error.number() }.write(&mut w);
    if error != ErrorCode::Ok {
        return;
    }
    match applied.op {
        OpCode::Create => w.string(path(applied)),
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            w.string(path(applied));
            w.stat(&stat(applied));
        }
        OpCode::SetData | OpCode::SetAcl => w.stat(&stat(applied)),
        OpCode::Delete | OpCode::DeleteContainer | OpCode::CloseSession => {}
        OpCode::Multi => write_multi_results(&applied.multi.iter().map(multi_result).collect::<Vec<_>>(), &mut w),
        op => unreachable!("{op:?} has no reply of its own"),
    }
}

fn path(applied: &Applied) -> &str {
    applied.path.as_deref().unwrap_or_else(|| panic!("{:?} applied at {} without a path", applied.op, applied.zxid))
}

fn stat(applied: &Applied) -> Stat {
    applied.stat.unwrap_or_else(|| panic!("{:?} applied at {} without a stat", applied.op, applied.zxid))
}

fn multi_result(part: &Applied) -> MultiResult {
    match part.op {
        // Over the fuzzy span of a leader's snapshot a learner's tree may be ahead of a transaction.
        _ if part.is_refused() => MultiResult::Error(part.error.number()),
        OpCode::Create => MultiResult::Create { path: path(part).to_owned() },
        OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            MultiResult::Create2 { path: path(part).to_owned(), stat: stat(part) }
        }
        OpCode::Delete | OpCode::DeleteContainer => MultiResult::Delete,
        OpCode::SetData => MultiResult::SetData { stat: stat(part) },
        OpCode::Check => MultiResult::Check,
        OpCode::Error => MultiResult::Error(part.error.number()),
        op => unreachable!("{op:?} inside a multi at {}", part.zxid),
    }
}
