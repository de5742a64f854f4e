//! The client port. An [`io_thread`] owns its [`connection`]s; each keeps its requests in [`order`].

pub mod accept;
pub mod admission;
pub mod connection;
pub mod io_thread;
pub mod link;
pub mod order;
pub mod port;
mod requests;
pub mod throttle;
