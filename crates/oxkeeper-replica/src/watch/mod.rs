//! Watches: who wants to hear of which path, and telling them. Comes after the tree has applied a transaction and before
//! its reply goes out.
//!
//! Owns the registrations of all open connections. Must not know how events reach a socket, or what is in a node beyond
//! what [`restore`] has to compare. A registration belongs to a connection, not to a session: it is lost with it, and the
//! client restores it on the next one.
//!
//! - [`table`]: registering, removing, closing;
//! - [`kinds`]: which change wakes which kind;
//! - [`trigger`]: changes to events;
//! - [`restore`](mod@restore): what a client missed while it was away;
//! - [`summary`]: for the operator;
//! - `paths`, `watchers`, `recursive`: how the table stays small.

mod kinds;
mod paths;
mod recursive;
mod restore;
mod summary;
mod table;
mod trigger;
mod watchers;

pub use kinds::{WatchKind, WatcherType};
pub use restore::restore;
pub use summary::Summary;
pub use table::WatchTable;
pub use trigger::{Fired, Woken};

use oxkeeper_types::{Acl, Id};

/// Whether somebody with these ids may read what this ACL guards; `None` guards nothing.
pub type MayRead<'a> = &'a dyn Fn(Option<&[Acl]>, &[Id]) -> bool;

#[cfg(test)]
mod tests;
