//! A whole cluster in one thread, from one seed: the production replica, storage and client core over simulated links, disks
//! and clocks, with faults, and with checkers that look at every step. How to use it: `docs/SIMULATION.md`.
//!
//! Reading order: [`run`] (the phases of a run), [`world`] (the queue of events), [`host`], `dispatch` and `edge` (a server),
//! [`workload`] (clients), [`fault`], [`check`].

pub mod check;
pub mod clock;
mod dispatch;
mod edge;
pub mod fault;
pub mod host;
pub mod members;
pub mod model;
pub mod museum;
pub mod network;
pub mod old_learner;
pub mod points;
mod port;
pub mod random;
pub mod run;
pub mod shrink;
pub mod swarm;
pub mod transcript;
pub mod workload;
pub mod world;

pub use run::{Outcome, run};
pub use swarm::RunOptions;
