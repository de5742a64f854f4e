//! Puts load on servers that speak the ZooKeeper client protocol and measures them from outside: rates, latencies, and the
//! servers' CPU time and memory as the system counts them.
//!
//! One thread, one epoll loop ([`swarm`]), many connections ([`conn`]); what they send is a [`workload`].

pub mod conn;
pub mod process;
pub mod swarm;
pub mod workload;
