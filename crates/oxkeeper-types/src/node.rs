//! What a znode carries beside its data: stat, owner, and the ways to create one.

use crate::id::{SessionId, Zxid};

/// The stat of a znode as a client sees it: 68 bytes on the wire (reference `Stat`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stat {
    pub czxid: Zxid,
    pub mzxid: Zxid,
    /// Wall clock of the leader, milliseconds since 1970.
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    /// Creates plus deletes of children, which is 2 x the stored counter - the children there are.
    pub cversion: i32,
    pub aversion: i32,
    /// The owning session of an ephemeral node; 0 for every other kind, also containers and TTL nodes.
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: Zxid,
}

/// The stat of a znode as it is kept in snapshots: 60 bytes (reference `StatPersisted`).
/// Its `cversion` counts creates only; `ephemeral_owner` is the raw value of [`Owner`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatPersisted {
    pub czxid: Zxid,
    pub mzxid: Zxid,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub pzxid: Zxid,
}

/// Who keeps a znode alive, packed into the 64-bit `ephemeralOwner` field (reference `EphemeralType`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// Nobody: a persistent node.
    None,
    Session(SessionId),
    /// Reaped once it had children and has none any more.
    Container,
    /// Reaped when it has no children and was not modified for this many milliseconds.
    Ttl {
        ttl_ms: i64,
    },
}

/// The raw owner of a container: the lowest 64-bit number.
pub const CONTAINER_OWNER: i64 = i64::MIN;
/// The top byte that marks a TTL owner when extended types are on.
const TTL_MARK: u64 = 0xff00_0000_0000_0000;
const TTL_RESERVED_BITS: u64 = 0x00ff_ff00_0000_0000;
/// The greatest TTL: 40 bits of milliseconds, about 34 years.
pub const TTL_MS_MAX: i64 = 0xff_ffff_ffff;
/// How raw owners are read: which extended kinds of node this server knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OwnerRules {
    /// `extendedTypesEnabled`: the top byte 0xff marks a TTL node.
    pub extended_types: bool,
    /// `emulate353TTLNodes`: a set top bit marks a TTL node of release 3.5.3.
    pub emulate_353_ttl: bool,
}

/// A raw owner whose reserved bits are set: neither a session nor a known kind of extended node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownOwner(pub i64);

impl Owner {
    /// Reads a raw owner; the order of the tests is the reference's (`EphemeralType.get`).
    pub fn from_raw(raw: i64, rules: OwnerRules) -> Result<Owner, UnknownOwner> {
        let bits = raw as u64;
        if rules.extended_types {
            if rules.emulate_353_ttl && raw < 0 && raw != CONTAINER_OWNER {
                return Ok(Owner::Ttl { ttl_ms: (bits & TTL_MS_MAX as u64) as i64 });
            }
            if bits & TTL_MARK == TTL_MARK {
                if bits & TTL_RESERVED_BITS != 0 {
                    return Err(UnknownOwner(raw));
                }
                return Ok(Owner::Ttl { ttl_ms: (bits & TTL_MS_MAX as u64) as i64 });
            }
        }
        Ok(match raw {
            0 => Owner::None,
            CONTAINER_OWNER => Owner::Container,
            session => Owner::Session(SessionId(session)),
        })
    }

    pub fn raw(self) -> i64 {
        match self {
            Owner::None => 0,
            Owner::Session(session) => session.0,
            Owner::Container => CONTAINER_OWNER,
            Owner::Ttl { ttl_ms } => {
                assert!((1..=TTL_MS_MAX).contains(&ttl_ms), "TTL {ttl_ms} ms out of 1..={TTL_MS_MAX}");
                (TTL_MARK | ttl_ms as u64) as i64
            }
        }
    }
}

/// The flag of a create request (reference `CreateMode`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(i32)]
pub enum CreateMode {
    Persistent = 0,
    Ephemeral = 1,
    PersistentSequential = 2,
    EphemeralSequential = 3,
    Container = 4,
    PersistentWithTtl = 5,
    PersistentSequentialWithTtl = 6,
}

impl CreateMode {
    pub const fn from_flag(flag: i32) -> Option<CreateMode> {
        Some(match flag {
            0 => CreateMode::Persistent,
            1 => CreateMode::Ephemeral,
            2 => CreateMode::PersistentSequential,
            3 => CreateMode::EphemeralSequential,
            4 => CreateMode::Container,
            5 => CreateMode::PersistentWithTtl,
            6 => CreateMode::PersistentSequentialWithTtl,
            _ => return None,
        })
    }
    pub const fn flag(self) -> i32 {
        self as i32
    }
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, CreateMode::Ephemeral | CreateMode::EphemeralSequential)
    }
    pub const fn is_sequential(self) -> bool {
        matches!(
            self,
            CreateMode::PersistentSequential
                | CreateMode::EphemeralSequential
                | CreateMode::PersistentSequentialWithTtl
        )
    }
    pub const fn is_ttl(self) -> bool {
        matches!(self, CreateMode::PersistentWithTtl | CreateMode::PersistentSequentialWithTtl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const EXTENDED: OwnerRules = OwnerRules { extended_types: true, emulate_353_ttl: false };

    #[test]
    fn owners_survive_the_raw_form() {
        for owner in [Owner::None, Owner::Session(SessionId(0x1_0000)), Owner::Container, Owner::Ttl { ttl_ms: 1 }] {
            assert_eq!(Owner::from_raw(owner.raw(), EXTENDED), Ok(owner));
        }
        assert_eq!(Owner::Ttl { ttl_ms: TTL_MS_MAX }.raw() as u64, 0xff00_00ff_ffff_ffff);
        assert_eq!(Owner::Container.raw() as u64, 0x8000_0000_0000_0000);
    }

    #[test]
    fn without_extended_types_a_ttl_mark_is_a_session() {
        let raw = Owner::Ttl { ttl_ms: 5 }.raw();
        assert_eq!(Owner::from_raw(raw, OwnerRules::default()), Ok(Owner::Session(SessionId(raw))));
    }

    #[test]
    fn nodes_of_release_353_are_read_where_that_is_asked_for() {
        let raw = 0x8000_0000_0000_0005_u64 as i64;
        let emulating = OwnerRules { emulate_353_ttl: true, ..EXTENDED };
        assert_eq!(Owner::from_raw(raw, emulating), Ok(Owner::Ttl { ttl_ms: 5 }));
        assert_eq!(Owner::from_raw(Owner::Ttl { ttl_ms: 5 }.raw(), emulating), Ok(Owner::Ttl { ttl_ms: 5 }));
        assert_eq!(Owner::from_raw(CONTAINER_OWNER, emulating), Ok(Owner::Container));
        assert_eq!(Owner::from_raw(raw, EXTENDED), Ok(Owner::Session(SessionId(raw))));
    }

    #[test]
    fn reserved_bits_are_refused() {
        let raw = 0xff00_0100_0000_0001_u64 as i64;
        assert_eq!(Owner::from_raw(raw, EXTENDED), Err(UnknownOwner(raw)));
    }
}
