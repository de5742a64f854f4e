//! The authentication schemes: which are known here, which ids are well formed, and which caller an ACL entry means.

use super::{SUPER, ip};
use crate::options::AuthOptions;

/// A scheme with a provider in the reference. `world` and `auth` exist only in ACLs, `super` only among a caller's ids.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    Digest,
    Ip,
    X509,
    Sasl,
    /// Proves nothing: lets a client make sure which ensemble it talks to.
    Ensemble,
}

impl Scheme {
    /// The scheme of this name, where it is switched on.
    pub fn known(options: &AuthOptions, name: &str) -> Option<Scheme> {
        match name {
            "ip" => Some(Scheme::Ip),
            "digest" if options.digest_enabled => Some(Scheme::Digest),
            "x509" if options.x509_enabled => Some(Scheme::X509),
            "sasl" if options.sasl_enabled => Some(Scheme::Sasl),
            "ensemble" if options.ensemble_enabled => Some(Scheme::Ensemble),
            _ => None,
        }
    }

    /// Whether having such an id means that the caller proved who it is; `auth` in an ACL stands for those.
    pub const fn is_authenticated(self) -> bool {
        matches!(self, Scheme::Digest | Scheme::X509 | Scheme::Sasl)
    }

    /// Whether an ACL may name this id.
    pub fn is_valid(self, id: &str) -> bool {
        match self {
            Scheme::Digest => is_valid_digest(id),
            Scheme::Ip => ip::is_valid(id),
            Scheme::X509 => is_valid_distinguished_name(id),
            Scheme::Sasl => is_valid_principal(id),
            Scheme::Ensemble => false,
        }
    }

    /// Whether a caller with `caller` as its id of this scheme is meant by `wanted` in an ACL.
    pub fn matches(self, options: &AuthOptions, caller: &str, wanted: &str) -> bool {
        match self {
            Scheme::Digest => caller == wanted,
            Scheme::Ip => ip::matches(caller, wanted),
            Scheme::X509 => caller == wanted || options.x509_super_user.as_deref() == Some(caller),
            Scheme::Sasl => {
                caller == SUPER || caller == wanted || options.let_any_sasl_user_do_x.as_deref() == Some(wanted)
            }
            Scheme::Ensemble => false,
        }
    }

    /// The part of an id that names the user.
    pub fn user_name(self, id: &str) -> &str {
        match self {
            Scheme::Digest => id.split(':').next().unwrap_or(id),
            _ => id,
        }
    }
}

/// One colon, not counting those at the end: Java's `split` drops empty parts there.
fn is_valid_digest(id: &str) -> bool {
    id.trim_end_matches(':').bytes().filter(|b| *b == b':').count() == 1
}

/// A Kerberos name: `user`, `user/host`, either with `@REALM`. Without an `@` anything goes, else there is exactly one, behind
/// at most one slash, and no slash follows it (reference `KerberosName`).
fn is_valid_principal(id: &str) -> bool {
    match id.split_once('@') {
        None => true,
        Some((user, realm)) => !realm.contains(['@', '/']) && user.matches('/').count() <= 1,
    }
}

/// Attribute names that Java's `X500Principal` knows; others are given as object identifiers.
const DN_KEYWORDS: &[&str] = &[
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAIL",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];

/// A distinguished name as `X500Principal` takes it: `TYPE=value` parts between `,` `;` or `+`. Empty is a name too.
fn is_valid_distinguished_name(name: &str) -> bool {
    name.is_empty() || split_unquoted(name).is_some_and(|parts| parts.iter().all(|part| is_valid_attribute(part)))
}

/// Cuts at separators outside of quotes and escapes; `None` where a quote or an escape stays open.
fn split_unquoted(name: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in name.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' | '+' if !quoted => {
                parts.push(&name[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&name[start..]);
    (!quoted && !escaped).then_some(parts)
}

fn is_valid_attribute(part: &str) -> bool {
    let Some((kind, value)) = part.split_once('=') else { return false };
    is_valid_attribute_type(kind.trim()) && is_valid_attribute_value(value.trim())
}

fn is_valid_attribute_type(kind: &str) -> bool {
    if DN_KEYWORDS.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return true;
    }
    let oid = match kind.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("oid.") => &kind[4..],
        _ => kind,
    };
    oid.contains('.') && oid.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()))
}

fn is_valid_attribute_value(value: &str) -> bool {
    if let Some(hex) = value.strip_prefix('#') {
        return is_der_value(hex);
    }
    if let Some(rest) = value.strip_prefix('"') {
        // The quote that opens the value closes at its very end.
        return rest.len() == find_closing_quote(rest).map_or(usize::MAX, |at| at + 1);
    }
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c) if c.is_ascii_hexdigit() => {
                    if !chars.next().is_some_and(|c| c.is_ascii_hexdigit()) {
                        return false;
                    }
                }
                Some(c) if ",+<>;\"\\=# \n".contains(c) => {}
                _ => return false,
            },
            '<' | '>' | '"' | '\n' => return false,
            _ => {}
        }
    }
    true
}

/// Hex digits of one whole DER value: a tag, a length, and as many bytes as it says.
fn is_der_value(hex: &str) -> bool {
    if !hex.len().is_multiple_of(2) || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return false;
    }
    let byte = |at: usize| hex.get(2 * at..2 * at + 2).and_then(|b| usize::from_str_radix(b, 16).ok());
    let Some(first) = byte(1) else { return false };
    let (head, length) = if first < 0x80 {
        (2, Some(first))
    } else {
        let digits = first & 0x7f;
        let length = (2..2 + digits.min(4)).try_fold(0, |sum, at| Some((sum << 8) | byte(at)?));
        (2 + digits, length.filter(|_| (1..=4).contains(&digits)))
    };
    length == (hex.len() / 2).checked_sub(head)
}

fn find_closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| match c {
        _ if escaped => {
            escaped = false;
            None
        }
        '\\' => {
            escaped = true;
            None
        }
        '"' => Some(at),
        _ => None,
    })
}
