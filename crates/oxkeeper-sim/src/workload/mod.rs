//! Clients: the production session core over simulated connections, asking for what the seed draws.

mod ask;
mod burst;
mod client;

pub use ask::Asked;
pub use burst::Burst;
pub use client::{Client, Pending};
