//! Bodies that no client library sends: cut off, with fields missing, with null where a value belongs, with lengths that
//! cannot be, with bytes left over. Made from the proper body of any operation, by the form of its record.

use crate::requests::{Data, Request};
use crate::rng::Rng;
use oxkeeper_types::OpCode;
use std::ops::Range;

/// A field of a request's record, as far as its length is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    /// Text or bytes behind a length; null is -1.
    Counted,
    Acl,
    Strings,
    Bytes(usize),
}

const FLAG: Field = Field::Bytes(1);
const INT: Field = Field::Bytes(4);
const LONG: Field = Field::Bytes(8);

/// The fields of an operation's body. Those of a multi follow from its headers: see [`multi`].
fn form(op: OpCode) -> &'static [Field] {
    use Field::{Acl, Counted, Strings};
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => &[Counted, Counted, Acl, INT],
        OpCode::CreateTtl => &[Counted, Counted, Acl, INT, LONG],
        OpCode::Delete | OpCode::Check | OpCode::CheckWatches | OpCode::RemoveWatches | OpCode::AddWatch => {
            &[Counted, INT]
        }
        OpCode::SetData => &[Counted, Counted, INT],
        OpCode::SetAcl => &[Counted, Acl, INT],
        OpCode::Exists | OpCode::GetData | OpCode::GetChildren | OpCode::GetChildren2 => &[Counted, FLAG],
        OpCode::GetAcl | OpCode::GetAllChildrenNumber | OpCode::GetEphemerals | OpCode::Sync | OpCode::Sasl => {
            &[Counted]
        }
        OpCode::Reconfig => &[Counted, Counted, Counted, LONG],
        OpCode::SetWatches => &[LONG, Strings, Strings, Strings],
        OpCode::SetWatches2 => &[LONG, Strings, Strings, Strings, Strings, Strings],
        OpCode::Auth => &[INT, Counted, Counted],
        _ => &[],
    }
}

/// Where each field stands; `None` where the body ends too soon or a length cannot be.
fn spans(op: OpCode, body: &[u8]) -> Option<Vec<(Field, Range<usize>)>> {
    let mut at = 0;
    let mut spans = Vec::new();
    for field in form(op) {
        let start = at;
        skip(*field, body, &mut at)?;
        spans.push((*field, start..at));
    }
    Some(spans)
}

fn skip(field: Field, body: &[u8], at: &mut usize) -> Option<()> {
    match field {
        Field::Bytes(n) => take(n, body, at).map(|_| ()),
        Field::Counted => match int(body, at)? {
            -1 => Some(()),
            length => take(usize::try_from(length).ok()?, body, at).map(|_| ()),
        },
        Field::Strings => (0..int(body, at)?).try_for_each(|_| skip(Field::Counted, body, at)),
        Field::Acl => (0..int(body, at)?).try_for_each(|_| {
            int(body, at)?;
            skip(Field::Counted, body, at)?;
            skip(Field::Counted, body, at)
        }),
    }
}

fn int(body: &[u8], at: &mut usize) -> Option<i32> {
    take(4, body, at).map(|bytes| i32::from_be_bytes(bytes.try_into().expect("four bytes")))
}

fn take<'a>(n: usize, body: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let taken = body.get(*at..at.checked_add(n)?)?;
    *at += n;
    Some(taken)
}

/// Whether the reference answers this with the zxid of the transaction before it: a write that it cannot read. A multi gets
/// one of its own even so, by a special case of release 3.9.4.
pub fn takes_no_zxid(request: &Request) -> bool {
    let Request::Raw { op, body } = request else { return false };
    let Some(op) = OpCode::from_number(*op) else { return false };
    let has_form =
        !matches!(op, OpCode::Multi | OpCode::CloseSession | OpCode::CreateSession | OpCode::DeleteContainer);
    op.is_write() && has_form && spans(op, body.0.as_deref().unwrap_or_default()).is_none()
}

/// Adds one to the zxid in the header of a reply.
pub fn count_zxid(frame: &mut [u8]) {
    if let Some(zxid) = frame.get_mut(4..12) {
        let next = i64::from_be_bytes((&*zxid).try_into().expect("eight bytes")) + 1;
        zxid.copy_from_slice(&next.to_be_bytes());
    }
}

/// Something wrong with the proper body of `op`.
pub fn body(op: OpCode, proper: Vec<u8>, rng: &mut Rng) -> Data {
    let mut body = proper;
    if matches!(op, OpCode::Multi | OpCode::MultiRead) {
        multi(&mut body, rng);
        return Data(Some(body));
    }
    let spans = spans(op, &body).expect("a proper body has all its fields");
    let mut counted: Vec<usize> =
        spans.iter().filter(|(f, _)| !matches!(f, Field::Bytes(_))).map(|(_, s)| s.start).collect();
    if matches!(op, OpCode::SetWatches | OpCode::SetWatches2) {
        // The reference has registered the lists before the one that it stumbles over.
        counted.clear();
    }
    match rng.weighted(&[1, 3, 3, 4, 3, 3, 2]) {
        0 => body.clear(),
        1 => body.truncate(rng.below(body.len().max(1))),
        2 => body.truncate(spans[rng.below(spans.len())].1.start),
        // addWatch is the one that takes a null path: the reference fails on it at every later event.
        3 | 4 if op != OpCode::AddWatch && !counted.is_empty() => {
            let field = if rng.chance(50) { 0 } else { rng.below(counted.len()) };
            null(&mut body, counted[field], &spans);
        }
        5 if !counted.is_empty() => {
            let at = counted[rng.below(counted.len())];
            let length: i32 = *rng.pick(&[-2, -1000, i32::MIN, i32::MAX, 0x10_0000, 0x7fff]);
            body[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        _ => body.extend((0..1 + rng.below(12)).map(|i| i as u8)),
    }
    Data(Some(body))
}

/// Puts null in the place of a field.
fn null(body: &mut Vec<u8>, start: usize, spans: &[(Field, Range<usize>)]) {
    let (_, span) = spans.iter().find(|(_, span)| span.start == start).expect("it is one of them");
    body.splice(span.clone(), (-1_i32).to_be_bytes());
}

/// A multi that ends too soon, or whose first path is null or too long.
fn multi(body: &mut Vec<u8>, rng: &mut Rng) {
    /// Type, whether it is the last, error code.
    const HEADER_BYTES: usize = 9;
    let has_part = body.len() > HEADER_BYTES;
    match rng.below(4) {
        0 => body.truncate(rng.below(body.len().max(1))),
        1 if has_part => {
            let mut end = HEADER_BYTES;
            if skip(Field::Counted, body, &mut end).is_some() {
                body.splice(HEADER_BYTES..end, (-1_i32).to_be_bytes());
            }
        }
        2 if has_part => {
            let length: i32 = *rng.pick(&[-2, i32::MIN, i32::MAX, 0x10_0000]);
            body[HEADER_BYTES..HEADER_BYTES + 4].copy_from_slice(&length.to_be_bytes());
        }
        _ => body.extend([0, 1, 2, 3, 4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::AclArg;
    use oxkeeper_types::Zxid;
    use oxkeeper_types::acl::open_acl;

    fn create() -> Request {
        let (path, data, acl) = ("/a".to_string(), Data::text("x"), AclArg(Some(open_acl())));
        Request::Create { op: OpCode::Create, path, data, acl, flags: 0 }
    }

    #[test]
    fn what_is_cut_off_takes_no_zxid_and_what_is_null_or_too_long_does() {
        let proper = create().body(Zxid(0));
        let raw = |body: &[u8]| Request::Raw { op: OpCode::Create.number(), body: Data(Some(body.to_vec())) };
        assert!(!takes_no_zxid(&raw(&proper)));
        for cut in 0..proper.len() {
            assert!(takes_no_zxid(&raw(&proper[..cut])), "{cut}");
        }
        let longer = [&proper[..], &[1]].concat();
        assert!(!takes_no_zxid(&raw(&longer)));
        let without_path = [&[0xff; 4], &proper[6..]].concat();
        assert!(!takes_no_zxid(&raw(&without_path)));
        let negative = [&[0xff, 0xff, 0xff, 0xfe], &proper[4..]].concat();
        assert!(takes_no_zxid(&raw(&negative)));
        for op in [OpCode::Multi, OpCode::GetData, OpCode::CloseSession] {
            assert!(!takes_no_zxid(&Request::Raw { op: op.number(), body: Data(None) }), "{op:?}");
        }
    }

    #[test]
    fn every_kind_of_fault_is_drawn() {
        let mut rng = Rng::new(1);
        let proper = create().body(Zxid(0));
        let bodies: Vec<Vec<u8>> =
            (0..400).map(|_| body(OpCode::Create, proper.clone(), &mut rng).0.expect("a body")).collect();
        assert!(bodies.iter().any(Vec::is_empty));
        assert!(bodies.iter().any(|b| b.len() > proper.len()));
        assert!(bodies.iter().any(|b| b.starts_with(&[0xff; 4])), "a null path");
        assert!(bodies.iter().any(|b| b.starts_with(&[0x80, 0, 0, 0])), "a negative length");
        assert!(bodies.iter().any(|b| b.starts_with(&[0, 0, 0, 2]) && b.len() < proper.len()), "a field is missing");
        assert!(bodies.iter().all(|b| *b != proper));
    }
}
