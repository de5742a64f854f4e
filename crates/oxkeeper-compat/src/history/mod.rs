//! What clients did on a few nodes and when, and whether any correct service could have answered so: [`Operation`] is one
//! call with the moments of its start and end, [`check`] judges a whole history. Must not know servers or sockets.
//!
//! ZooKeeper names the order of its writes: the zxid. So no search for an order is needed (as Wing and Gong's algorithm
//! does): the order by zxid must agree with real time, with each session's order, and with what reads saw.

mod check;
#[cfg(test)]
mod tests;

pub use check::{Violation, check};

/// A moment: nanoseconds since the history began.
pub type Moment = u64;

/// A node that the history is about.
pub type Key = usize;

/// Every write has data of its own, so that a read tells which write it saw.
pub type Value = u64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// setData; `expected` is the version that must be there, -1 for any.
    Write { key: Key, value: Value, expected: i32 },
    /// getData. `synced`: a sync on the same connection stood in front of it.
    Read { key: Key, synced: bool },
    /// A sequential create below a common parent, with this data.
    Add { value: Value },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// `version` is the node's after the write.
    Written {
        zxid: i64,
        version: i32,
    },
    /// Refused for its version, at this point of the order.
    Refused {
        zxid: i64,
    },
    /// `seen` is the transaction that the reply's header names: the last that the server had applied.
    Value {
        value: Value,
        version: i32,
        mzxid: i64,
        seen: i64,
    },
    Added {
        zxid: i64,
        number: u64,
    },
    /// No answer: it may have been carried out, or be yet to come.
    Unknown,
}

/// One call of one session. Sessions call one thing at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Which session; a client that had to open another has another number from then on.
    pub session: u64,
    pub call: Call,
    pub answer: Answer,
    pub start: Moment,
    /// Of an unknown answer: when the client gave up.
    pub end: Moment,
}

/// What is there after all is over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Final {
    /// By key: value, version, mzxid.
    pub nodes: Vec<(Value, i32, i64)>,
    /// Data and numbers below the common parent.
    pub added: Vec<(Value, u64)>,
}
