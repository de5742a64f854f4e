//! The vocabulary of Oxkeeper: small value types that every other crate uses.
//!
//! Owns the meaning of numbers (ids, versions, codes) and of validated values (paths, ACLs).
//! Must not know bytes on a wire (that is `oxkeeper-proto`), files, sockets or clocks.
//!
//! Start with [`id`]: all numbers with a meaning have a newtype there.

pub mod acl;
pub mod address;
pub mod ensemble;
pub mod error;
pub mod id;
pub mod limits;
pub mod node;
pub mod op;
pub mod path;
pub mod persist;

pub use acl::{Acl, AclList, Id, Perms};
pub use error::ErrorCode;
pub use id::{ConnId, Epoch, Millis, ServerId, SessionId, Xid, Zxid};
pub use node::{CreateMode, Owner, Stat, StatPersisted};
pub use op::OpCode;
pub use path::PathError;
