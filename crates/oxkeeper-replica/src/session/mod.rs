//! Sessions as the core knows them: who was heard from and when ([`tracker`]), and the handshake ([`connect`]).
//! Which sessions exist is replicated, and therefore in the tree; what stands here is not.

pub mod connect;
pub mod tracker;

pub use tracker::{Speaker, Tracker};
