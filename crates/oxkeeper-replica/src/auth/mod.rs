//! Who a caller is, and what it may do: authentication schemes, the rules of ACLs, session passwords.
//!
//! Pure decisions over [`Id`]s. Must not know sockets, TLS or SASL exchanges: the edge carries those out and comes here
//! with a subject name or an authorization id. Facts: reference `ProviderRegistry` and its providers,
//! `ZooKeeperServer.checkACL`, `PrepRequestProcessor.fixupACL`, inventory CW233-CW255.

mod acl;
mod digest;
mod ip;
pub mod password;
mod scheme;

pub use acl::{allowed, fixup_acl, masked_acl};
pub use digest::digest_id;
pub use ip::ip_id;
pub use scheme::Scheme;

use crate::options::AuthOptions;
use oxkeeper_types::Id;
use std::net::IpAddr;

/// The scheme of an id that passes every ACL.
const SUPER: &str = "super";

/// What becomes of a connection after an auth packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthVerdict {
    /// Answer with 0; the ids were added.
    Accepted,
    /// Answer with -115, then close.
    Failed,
    /// Close at once: an answer would make the client give up instead of trying another server
    /// (reference `EnsembleAuthenticationProvider`).
    CloseWithoutReply,
}

/// Decides an auth packet (xid -4) and adds what it proves to `ids`, the ids of that connection. A null scheme or null
/// auth data is `None`.
pub fn authenticate(
    options: &AuthOptions,
    scheme: Option<&str>,
    auth: Option<&[u8]>,
    peer: IpAddr,
    ids: &mut Vec<Id>,
) -> AuthVerdict {
    let Some(scheme) = scheme.and_then(|name| Scheme::known(options, name)) else { return AuthVerdict::Failed };
    match scheme {
        Scheme::Digest => {
            // The reference fails inside the provider on null data, which counts as a failure.
            let Some(auth) = auth else { return AuthVerdict::Failed };
            let id = digest_id(options.digest_algorithm, &String::from_utf8_lossy(auth));
            if options.super_digest.as_ref() == Some(&id) {
                add_id(ids, Id::new(SUPER, ""));
            }
            add_id(ids, Id::new("digest", id));
            AuthVerdict::Accepted
        }
        Scheme::Ip => {
            add_id(ids, ip_id(peer));
            AuthVerdict::Accepted
        }
        // The certificate was checked in the TLS handshake, and its id was added then; without one there is none.
        Scheme::X509 if ids.iter().any(|id| id.scheme == "x509") => AuthVerdict::Accepted,
        // SASL has a request type of its own.
        Scheme::X509 | Scheme::Sasl => AuthVerdict::Failed,
        Scheme::Ensemble => match auth {
            None | Some([]) => AuthVerdict::Accepted,
            Some(name) => {
                let name = String::from_utf8_lossy(name);
                let names = &options.ensemble_names;
                if names.is_empty() || names.iter().any(|n| *n == name) {
                    AuthVerdict::Accepted
                } else {
                    AuthVerdict::CloseWithoutReply
                }
            }
        },
    }
}

/// Adds an id that a connection does not have yet (reference `ServerCnxn.addAuthInfo`: a set).
pub fn add_id(ids: &mut Vec<Id>, id: Id) {
    if !ids.contains(&id) {
        ids.push(id);
    }
}

/// Adds what a client certificate with this subject (RFC 2253 text) proves.
pub fn add_x509_ids(options: &AuthOptions, subject: &str, ids: &mut Vec<Id>) {
    if options.x509_super_user.as_deref() == Some(subject) {
        add_id(ids, Id::new(SUPER, subject));
    }
    add_id(ids, Id::new("x509", subject));
}

/// Adds what a completed SASL exchange proves.
pub fn add_sasl_ids(options: &AuthOptions, authorization_id: &str, ids: &mut Vec<Id>) {
    add_id(ids, Id::new("sasl", authorization_id));
    if options.sasl_super_users.iter().any(|name| name == authorization_id) {
        add_id(ids, Id::new(SUPER, ""));
    }
}

/// Whether a connection may send anything but auth packets: with `enforce.auth.enabled`, it must have an id of one of
/// the named schemes (reference `AuthenticationHelper`). Otherwise the answer is -124, then close.
pub fn meets_enforcement(options: &AuthOptions, ids: &[Id]) -> bool {
    options.enforced_schemes.is_empty() || ids.iter().any(|id| options.enforced_schemes.contains(&id.scheme))
}

/// The answer to whoAmI: scheme and user name of each id. The name is empty where the scheme has no provider, as for
/// `super` (reference `AuthUtil.getClientInfos`).
pub fn user_names<'a>(options: &AuthOptions, ids: &'a [Id]) -> Vec<(&'a str, &'a str)> {
    ids.iter()
        .map(|id| {
            (id.scheme.as_str(), Scheme::known(options, &id.scheme).map_or("", |scheme| scheme.user_name(&id.id)))
        })
        .collect()
}

/// The user names of a connection in one text, as the audit log has them; `None` where there are none (reference
/// `AuthUtil.getUsers`).
pub fn joined_user_names(options: &AuthOptions, ids: &[Id]) -> Option<String> {
    let names: Vec<&str> = ids
        .iter()
        .filter_map(|id| Scheme::known(options, &id.scheme).map(|scheme| scheme.user_name(&id.id)))
        .filter(|name| !name.trim().is_empty())
        .collect();
    if names.is_empty() { None } else { Some(names.join(",")) }
}

#[cfg(test)]
mod tests;
