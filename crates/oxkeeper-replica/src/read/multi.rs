//! multiRead: several getData and getChildren in one request. Each has an error of its own; watch flags are ignored.

use super::{Reading, Refusal};
use crate::state::WatchAccess;
use oxkeeper_proto::client::{MultiOp, MultiResult, read_multi, write_multi_results};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::path::utf16_length;
use oxkeeper_types::{ErrorCode, Perms};

impl<W: WatchAccess> Reading<'_, W> {
    pub(super) fn multi_read(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let ops = read_multi(r)?;
        if ops.iter().any(|op| !op.is_read()) {
            return Err(Refusal::WritesInMultiRead);
        }
        let results: Vec<MultiResult> =
            ops.iter().map(|op| self.read_one(op).unwrap_or_else(|code| MultiResult::Error(code.number()))).collect();
        write_multi_results(&results, w);
        Ok(())
    }

    fn read_one(&self, op: &MultiOp) -> Result<MultiResult, ErrorCode> {
        let node = self.node_with(op.path(), Perms::READ)?;
        Ok(match op {
            MultiOp::GetData(_) => {
                self.count(op.path(), node.data().map_or(0, <[u8]>::len));
                MultiResult::GetData { data: node.data().map(<[u8]>::to_vec), stat: node.stat() }
            }
            MultiOp::GetChildren(_) => {
                self.count(op.path(), node.children().map(utf16_length).sum());
                MultiResult::GetChildren { names: node.children().map(str::to_owned).collect() }
            }
            op => unreachable!("{:?} was sorted out above", op.op()),
        })
    }
}
