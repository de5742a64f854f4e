//! Znode paths: the validity rules and the pieces of a valid path (reference `PathUtils`).

use std::fmt;

/// The node that Oxkeeper itself owns; quota and config live below it.
pub const SYSTEM: &str = "/zookeeper";
pub const QUOTA: &str = "/zookeeper/quota";
pub const CONFIG: &str = "/zookeeper/config";
pub const QUOTA_LIMITS_NODE: &str = "zookeeper_limits";
pub const QUOTA_STATS_NODE: &str = "zookeeper_stats";

/// Why a path is refused. The texts name the same facts as the reference's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    Empty,
    /// Does not start with `/`.
    NotAbsolute,
    TrailingSlash,
    /// `//` at this byte offset.
    EmptyName(usize),
    /// A `.` or `..` name that ends at this byte offset.
    RelativeName(usize),
    /// A character outside the allowed ranges at this byte offset.
    ForbiddenCharacter(char, usize),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathError::Empty => write!(f, "path is empty"),
            PathError::NotAbsolute => write!(f, "path does not start with /"),
            PathError::TrailingSlash => write!(f, "path ends with /"),
            PathError::EmptyName(at) => write!(f, "empty node name at byte {at}"),
            PathError::RelativeName(at) => write!(f, "relative name (. or ..) at byte {at}"),
            PathError::ForbiddenCharacter(c, at) => {
                write!(f, "character U+{:04X} at byte {at} is not allowed", *c as u32)
            }
        }
    }
}
impl std::error::Error for PathError {}

/// Whether a node name may contain `c`. Everything beyond the basic plane is a surrogate pair for the
/// reference and therefore refused.
fn is_allowed(c: char) -> bool {
    !matches!(c as u32, 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0x10_ffff)
}

/// Checks a path as the reference does. `sequential` is for a create request whose name gets a number
/// appended: it is checked with a digit at its end, so that `/dir/` is fine there.
pub fn validate(path: &str, sequential: bool) -> Result<(), PathError> {
    if path.is_empty() && !sequential {
        return Err(PathError::Empty);
    }
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    if bytes.len() == 1 {
        return Ok(());
    }
    if bytes[bytes.len() - 1] == b'/' && !sequential {
        return Err(PathError::TrailingSlash);
    }
    let mut name_start = 1;
    for (at, c) in path.char_indices().skip(1) {
        if c == '/' {
            check_name(&path[name_start..at], at)?;
            name_start = at + 1;
        } else if !is_allowed(c) {
            return Err(PathError::ForbiddenCharacter(c, at));
        }
    }
    let last = &path[name_start..];
    if sequential { Ok(()) } else { check_name(last, path.len()) }
}

fn check_name(name: &str, end: usize) -> Result<(), PathError> {
    match name {
        "" => Err(PathError::EmptyName(end)),
        "." | ".." => Err(PathError::RelativeName(end)),
        _ => Ok(()),
    }
}

/// The path of the parent: `/` for a first-level node. `None` for the root and for text without a slash.
pub fn parent(path: &str) -> Option<&str> {
    let slash = path.rfind('/')?;
    if path.len() == 1 {
        return None;
    }
    Some(if slash == 0 { "/" } else { &path[..slash] })
}

/// The last component of a path; empty for the root.
pub fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |slash| &path[slash + 1..])
}

/// `parent` and `name` joined by one slash.
pub fn join(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

/// The first component, which metrics group by: `/zookeeper` and the root stay what they are.
pub fn top_namespace(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split('/').next().filter(|n| !n.is_empty())
}

/// The length of a text as Java counts it, in units of UTF-16.
pub fn utf16_length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

/// Nodes that nobody can delete (reference `DataTree.isSpecialPath`).
pub fn is_special(path: &str) -> bool {
    matches!(path, "/" | SYSTEM | QUOTA | CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<(), PathError>) {
        assert_eq!(validate(path, false), expected, "{path:?}");
    }

    #[test]
    fn valid_paths() {
        for path in ["/", "/a", "/a/b.c", "/..x", "/.h", "/a b", "/ü", "/a/...", "/-", "/\u{a0}"] {
            check(path, Ok(()));
        }
    }

    #[test]
    fn refused_paths() {
        check("", Err(PathError::Empty));
        check("a", Err(PathError::NotAbsolute));
        check("/a/", Err(PathError::TrailingSlash));
        check("//a", Err(PathError::EmptyName(1)));
        check("/a/../b", Err(PathError::RelativeName(5)));
        check("/.", Err(PathError::RelativeName(2)));
        check("/a\0", Err(PathError::ForbiddenCharacter('\0', 2)));
        check("/\u{1f600}", Err(PathError::ForbiddenCharacter('\u{1f600}', 1)));
        check("/\u{fffd}", Err(PathError::ForbiddenCharacter('\u{fffd}', 1)));
        check("/\u{7f}", Err(PathError::ForbiddenCharacter('\u{7f}', 1)));
    }

    #[test]
    fn sequential_paths_may_end_with_a_slash() {
        assert_eq!(validate("/dir/", true), Ok(()));
        assert_eq!(validate("/dir/.", true), Ok(()));
        assert_eq!(validate("//", true), Err(PathError::EmptyName(1)));
    }

    #[test]
    fn pieces() {
        assert_eq!((parent("/a"), parent("/a/b"), parent("/")), (Some("/"), Some("/a"), None));
        assert_eq!((name("/a/b"), name("/")), ("b", ""));
        assert_eq!((join("/", "a"), join("/a", "b")), ("/a".into(), "/a/b".into()));
        assert_eq!((top_namespace("/a/b"), top_namespace("/")), (Some("a"), None));
        assert_eq!((utf16_length("/a"), utf16_length("/\u{fc}\u{1f600}")), (2, 4));
    }
}
