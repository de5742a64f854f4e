//! multi: all parts become one transaction, or none does and each part gets its code.

use super::{Context, Prep, malformed};
use oxkeeper_proto::client::{MultiOp, read_multi};
use oxkeeper_proto::jute::Reader;
use oxkeeper_proto::txn::Txn;
use oxkeeper_types::{ErrorCode, OpCode};

impl Prep {
    /// Later parts see what earlier ones do. After the first failure the results are: 0 for the parts before it, its own
    /// code, and -2 for the parts behind it (CW188).
    pub(super) fn multi(
        &mut self,
        cx: &Context<'_>,
        r: &mut Reader<'_>,
    ) -> Result<(Txn, Option<ErrorCode>), ErrorCode> {
        let ops = read_multi(r).map_err(malformed)?;
        // The records of a multiRead do not belong here: the reference fails on them without a code of its own.
        if ops.iter().any(MultiOp::is_read) {
            return Err(ErrorCode::MarshallingError);
        }
        let count = ops.len();
        let mut txns = Vec::with_capacity(count);
        self.overlay.begin(cx.tree);
        for op in ops {
            match self.part(cx, op) {
                Ok(txn) => txns.push(txn),
                Err(code) => {
                    self.overlay.roll_back();
                    self.content_crcs.clear();
                    return Ok((failed(txns.len(), count, code), Some(code)));
                }
            }
        }
        self.overlay.keep();
        Ok((Txn::Multi(txns), None))
    }

    fn part(&mut self, cx: &Context<'_>, op: MultiOp<'_>) -> Result<Txn, ErrorCode> {
        match op {
            MultiOp::Create { op, request } => self.create(cx, op, request),
            MultiOp::CreateTtl(request) => self.create_ttl(cx, request),
            MultiOp::Delete(request) => self.delete(cx, request),
            MultiOp::SetData(request) => self.set_data(cx, request),
            MultiOp::Check(request) => self.check(cx, request),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => {
                unreachable!("{:?}: a multi with reads is refused as a whole", OpCode::Multi)
            }
        }
    }
}

fn failed(before: usize, count: usize, code: ErrorCode) -> Txn {
    let part = |at: usize| match at.cmp(&before) {
        std::cmp::Ordering::Less => ErrorCode::Ok,
        std::cmp::Ordering::Equal => code,
        std::cmp::Ordering::Greater => ErrorCode::RuntimeInconsistency,
    };
    Txn::Multi((0..count).map(|at| Txn::Error { code: part(at).number() }).collect())
}
