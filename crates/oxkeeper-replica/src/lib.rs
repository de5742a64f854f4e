//! One whole server as one value, without a clock, a socket, a file, a thread or a random number.
//!
//! Two values make a server. [`State`] is what readers see: the tree, as of the last applied transaction. [`Replica`] is
//! what only the core touches: sessions, requests under way, what is prepared and not yet applied. Beside them stands the
//! [`WatchTable`], which readers add to and the core empties.
//!
//! The edge drives them in three ways, and decides nothing:
//! 1. [`Replica::step`] takes an [`Input`] with a shared view of the state, and fills [`Outputs`].
//! 2. [`Replica::apply_committed`] takes the state exclusively and applies what has been committed. Replies and watch
//!    events of those transactions come out together; the edge puts them into the outboxes of their connections
//!    *before* it gives the exclusive side back. That is what makes a client see an event before the new data.
//! 3. [`State::read`] answers a read with the shared side, on whatever thread the bytes arrived.
//!
//! Reading order: [`input`], [`output`], [`pipeline`].

pub mod auth;
mod eager;
mod ensemble;
mod forward;
mod handshake;
pub mod input;
pub mod namespaces;
pub mod options;
pub mod output;
pub mod pipeline;
pub mod read;
mod reaper;
pub mod replica;
pub mod report;
pub mod session;
pub mod state;
pub mod watch;

pub use input::{Input, Now, Submitted};
pub use options::Options;
pub use output::{CloseReason, Control, Mode, Outputs, PeerOutput};
pub use replica::Replica;
pub use state::State;
pub use watch::WatchTable;
