//! The way of a request through a server. At each stage it is another type, so that what is not committed cannot be applied.
//!
//! | stage | takes | gives | where |
//! |---|---|---|---|
//! | route | op number | read, submit, auth, or refusal | [`route`], called by the edge |
//! | order | requests of one connection | the next runnable one | the edge (`oxkeeper-server::order`) |
//! | prep | [`crate::Submitted`] | [`prep::Prepared`] with its zxid; a refused write becomes an error transaction | [`prep`] |
//! | log | `Persist::Append` | `Persisted` | storage |
//! | agree | `Persisted` | committed, in zxid order; on a standalone server what is on disk is committed | [`flight`] |
//! | apply | committed entry | `Applied` and `Change`s | `oxkeeper_tree::Tree::apply` |
//! | notify | changes | watch events | [`crate::watch`] |
//! | reply | applied result | frame for the connection | [`reply`] |

pub mod flight;
pub mod prep;
pub mod reply;
pub mod route;
pub mod snapshot_policy;
