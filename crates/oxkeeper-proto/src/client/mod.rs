//! Records of the client port: connect, request header and bodies, replies, watch events.

mod connect;
mod multi;
mod reply;
mod request;

pub use connect::{ConnectRequest, ConnectResponse, PASSWORD_BYTES, Password};
pub use multi::{MultiOp, MultiOps, MultiResult, read_multi, read_multi_results, write_multi, write_multi_results};
pub use reply::{EventState, EventType, ReplyHeader, WatcherEvent};
pub use request::*;

use oxkeeper_types::Xid;

/// Header xid of a watch event.
pub const XID_EVENT: Xid = Xid(-1);
/// Header xid of a ping and its answer.
pub const XID_PING: Xid = Xid(-2);
/// Header xid of an auth request and its answer.
pub const XID_AUTH: Xid = Xid(-4);
/// Header xid of setWatches as clients send it after a reconnect.
pub const XID_SET_WATCHES: Xid = Xid(-8);

#[cfg(test)]
mod tests;
