//! multi: all parts together become one transaction, or none of them has an effect.

use super::{Context, Prep, malformed};
use oxkeeper_proto::client::{CreateRequest, CreateTtlRequest, MultiOp, read_multi};
use oxkeeper_proto::jute::Reader;
use oxkeeper_proto::txn::Txn;
use oxkeeper_types::{CreateMode, ErrorCode, OpCode};

impl Prep {
    /// Later parts see what earlier ones do. The first failure undoes them: from there on the transaction holds errors, its
    /// own code and then -2. The parts before it stay in the record, as in the reference; whoever applies it sees the
    /// error and answers 0 for them (CW188).
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
                // Not a verdict over a part: the reference stumbles over it, and with it over the whole.
                Err(ErrorCode::MarshallingError) => {
                    self.overlay.roll_back();
                    self.content_crcs.clear();
                    return Err(ErrorCode::MarshallingError);
                }
                Err(code) => {
                    self.overlay.roll_back();
                    self.content_crcs.clear();
                    txns.push(Txn::Error { code: code.number() });
                    txns.resize(count, Txn::Error { code: ErrorCode::RuntimeInconsistency.number() });
                    return Ok((Txn::Multi(txns), Some(code)));
                }
            }
        }
        let multi = Txn::Multi(txns);
        if let Err(code) = cx.check_multi_fits(&multi) {
            self.overlay.roll_back();
            self.content_crcs.clear();
            return Err(code);
        }
        self.overlay.keep();
        Ok((multi, None))
    }

    fn part(&mut self, cx: &Context<'_>, op: MultiOp<'_>) -> Result<Txn, ErrorCode> {
        match op {
            MultiOp::Create { op, request } => self.create(cx, op, request),
            MultiOp::CreateTtl(request) => self.create_ttl_or_other(cx, request),
            MultiOp::Delete(request) => self.delete(cx, request),
            MultiOp::SetData(request) => self.set_data(cx, request),
            MultiOp::Check(request) => self.check(cx, request),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => {
                unreachable!("{:?}: a multi with reads is refused as a whole", OpCode::Multi)
            }
        }
    }
}

impl Prep {
    /// Inside a multi the kind of a create follows from its flag, also for createTTL: with another flag than the two TTL
    /// ones it is a create or a createContainer, and its ttl is of no interest (reference `Op.create`).
    fn create_ttl_or_other(&mut self, cx: &Context<'_>, r: CreateTtlRequest<'_>) -> Result<Txn, ErrorCode> {
        let mode = CreateMode::from_flag(r.flags);
        if mode.is_some_and(CreateMode::is_ttl) {
            return self.create_ttl(cx, r);
        }
        let op = if mode == Some(CreateMode::Container) { OpCode::CreateContainer } else { OpCode::Create };
        self.create(cx, op, CreateRequest { path: r.path, data: r.data, acl: r.acl, flags: r.flags })
    }
}
