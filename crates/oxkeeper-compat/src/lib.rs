//! The oracle: random programs of requests run in lockstep on the reference server and on a candidate, and every byte
//! that comes back is compared (after what may differ, times and session ids, has been given neutral names).
//!
//! A [`step::Program`] is drawn ([`program`]) from a seed; [`lockstep`] plays it on two [`servers`]; [`normalise`] turns replies
//! into comparable text; [`shrink`] makes a failing program small; [`report`] shows it. [`departures`] lists where
//! Oxkeeper differs on purpose: programs stay away from those, and each has its own check. [`four_letter`] compares the
//! shape of the administrative words. [`golden`] records bytes of the reference for tests that need no Java.
//!
//! [`files`] has each of the two open what the other left when it was killed: [`writers`] load the first, [`ledger`]
//! holds what it acknowledged, [`dump`] reads back what the second makes of the directory. [`stories`] are directories that
//! single releases leave, read by both.
//!
//! [`ensemble`] runs members of both kinds together: side by side, replaced one by one, and under faults, with
//! [`history`] to judge what clients saw.
//! Must not know anything of a server's insides: all it has is sockets and running processes.

pub mod departures;
pub mod dump;
pub mod ensemble;
pub mod files;
pub mod four_letter;
pub mod golden;

pub mod history;
pub mod ledger;
pub mod lockstep;
pub mod malformed;
pub mod normalise;
pub mod player;
pub mod program;
pub mod report;
pub mod requests;
pub mod rng;
pub mod servers;
pub mod shrink;
pub mod step;
pub mod stories;
pub mod universe;
pub mod wire;
pub mod writers;
