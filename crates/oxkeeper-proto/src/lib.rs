//! Bytes to typed values and back; holds no state.
//!
//! Owns every byte layout that crosses a socket or reaches a log: [`jute`] primitives, [`frame`]s, [`client`] records
//! and [`txn`] records. A wire number stands here once, beside the name it belongs to.
//! Must not know what a request means or who is asked (that is `oxkeeper-replica`), nor files.

pub mod client;
pub mod election;
pub mod frame;
pub mod jute;
pub mod quorum;
pub mod txn;
