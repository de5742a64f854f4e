//! The pure part of the client: no socket, clock, thread or randomness. Time comes in as a value, bytes go in and out.
//!
//! [`session`] is the state machine; [`call`] makes requests and reads their answers; [`watches`] is what must be
//! registered again after a reconnect; [`hosts`] is where to connect next.

pub mod call;
pub mod hosts;
pub mod session;
pub mod watches;

#[cfg(test)]
mod tests;
