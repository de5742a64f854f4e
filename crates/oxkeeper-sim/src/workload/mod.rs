//! Clients: the production session core over simulated connections, asking for what the seed draws.

mod ask;
mod client;

pub use ask::Asked;
pub use client::{Client, Pending};
