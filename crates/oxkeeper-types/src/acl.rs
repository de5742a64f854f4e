//! Access control lists as data: who ([`Id`]) may do what ([`Perms`]). Deciding is the replica's part.

use std::sync::Arc;

/// Permission bits of an ACL entry (reference `ZooDefs.Perms`). Unknown bits are kept as given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Perms(pub i32);

impl Perms {
    pub const READ: Perms = Perms(1);
    pub const WRITE: Perms = Perms(2);
    pub const CREATE: Perms = Perms(4);
    pub const DELETE: Perms = Perms(8);
    pub const ADMIN: Perms = Perms(16);
    pub const ALL: Perms = Perms(31);

    /// Whether any bit of `wanted` is granted: the reference asks for `READ | ADMIN` in one go that way.
    pub const fn grants_any(self, wanted: Perms) -> bool {
        self.0 & wanted.0 != 0
    }
}

/// An identity: of a caller, or in an ACL entry. Both parts as given by the client (`None` is a null string).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Id {
    pub scheme: String,
    pub id: String,
}

impl Id {
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Id {
        Id { scheme: scheme.into(), id: id.into() }
    }
    pub fn anyone() -> Id {
        Id::new("world", "anyone")
    }
}

/// One entry of an ACL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Acl {
    pub perms: Perms,
    pub id: Id,
}

impl Acl {
    pub fn new(perms: Perms, id: Id) -> Acl {
        Acl { perms, id }
    }
}

/// A shared, immutable ACL: the same list is stored once however many nodes carry it.
pub type AclList = Arc<[Acl]>;

/// `world:anyone` with all permissions, the reference's `OPEN_ACL_UNSAFE`.
pub fn open_acl() -> Vec<Acl> {
    vec![Acl::new(Perms::ALL, Id::anyone())]
}

/// Whether `acl` is exactly [`open_acl`], which files store as the id -1.
pub fn is_open_acl(acl: &[Acl]) -> bool {
    matches!(acl, [a] if a.perms == Perms::ALL && a.id.scheme == "world" && a.id.id == "anyone")
}
