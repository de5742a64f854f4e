//! The rules of ACLs: who passes one, how a client's list becomes the stored one, and what others get to see of it.

use super::{SUPER, Scheme};
use crate::options::{AuthOptions, Options};
use oxkeeper_types::acl::is_open_acl;
use oxkeeper_types::{Acl, ErrorCode, Id, Perms};

fn is_anyone(id: &Id) -> bool {
    id.scheme == "world" && id.id == "anyone"
}

/// Whether `caller` may do any of `perms` where `acl` guards (reference `ZooKeeperServer.checkACL`). No list, and an
/// empty one, let everybody pass.
pub fn allowed(options: &Options, acl: Option<&[Acl]>, perms: Perms, caller: &[Id]) -> bool {
    let Some(acl) = acl else { return true };
    if options.skip_acl || acl.is_empty() {
        return true;
    }
    // The usual case first: it needs no look at the caller.
    if acl.iter().any(|entry| entry.perms.grants_any(perms) && is_anyone(&entry.id)) {
        return true;
    }
    caller.iter().any(|id| id.scheme == SUPER)
        || acl.iter().any(|entry| entry.perms.grants_any(perms) && is_meant(&options.auth, &entry.id, caller))
}

fn is_meant(options: &AuthOptions, wanted: &Id, caller: &[Id]) -> bool {
    let Some(scheme) = Scheme::known(options, &wanted.scheme) else { return false };
    caller.iter().any(|id| id.scheme == wanted.scheme && scheme.matches(options, &id.id, &wanted.id))
}

/// The list that is stored for the one a client sent: without duplicates, with `auth` replaced by the ids that the caller
/// has proved. Null, empty, an unknown scheme or a malformed id are refused with -114.
pub fn fixup_acl(options: &Options, caller: &[Id], acl: Option<Vec<Acl>>) -> Result<Vec<Acl>, ErrorCode> {
    let acl = acl.filter(|acl| !acl.is_empty()).ok_or(ErrorCode::InvalidAcl)?;
    if is_open_acl(&acl) {
        return Ok(acl);
    }
    let mut fixed = Vec::with_capacity(acl.len());
    for (at, entry) in acl.iter().enumerate() {
        if acl[..at].contains(entry) {
            continue;
        }
        if is_anyone(&entry.id) {
            fixed.push(entry.clone());
        } else if entry.id.scheme == "auth" {
            expand_auth(&options.auth, caller, entry.perms, &mut fixed)?;
        } else {
            let scheme = Scheme::known(&options.auth, &entry.id.scheme).ok_or(ErrorCode::InvalidAcl)?;
            if !scheme.is_valid(&entry.id.id) {
                return Err(ErrorCode::InvalidAcl);
            }
            fixed.push(entry.clone());
        }
    }
    Ok(fixed)
}

fn expand_auth(options: &AuthOptions, caller: &[Id], perms: Perms, out: &mut Vec<Acl>) -> Result<(), ErrorCode> {
    let before = out.len();
    let is_proved = |id: &&Id| Scheme::known(options, &id.scheme).is_some_and(Scheme::is_authenticated);
    out.extend(caller.iter().filter(is_proved).map(|id| Acl::new(perms, id.clone())));
    if out.len() == before { Err(ErrorCode::InvalidAcl) } else { Ok(()) }
}

/// What getACL shows to a caller without ADMIN: password hashes of digest ids become `x` (CW111).
pub fn masked_acl(acl: &[Acl]) -> Vec<Acl> {
    let mask = |entry: &Acl| match entry.id.id.split_once(':') {
        Some((user, _)) if entry.id.scheme == "digest" => Acl::new(entry.perms, Id::new("digest", format!("{user}:x"))),
        _ => entry.clone(),
    };
    acl.iter().map(mask).collect()
}
