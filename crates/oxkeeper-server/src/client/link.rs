//! What the core and the other threads know of a connection: its outbox, and figures for `cons`.

use crate::handover::Outbox;
use oxkeeper_replica::CloseReason;
use oxkeeper_types::{ConnId, Millis, SessionId};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What happens to a connection beside bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    Established {
        session: SessionId,
        timeout: Millis,
    },
    /// Send what is there, then close.
    Close(CloseReason),
    /// Send what is there, then close, without a line in the log: a four-letter word was answered.
    Done,
}

/// One connection, as everybody but its own thread sees it.
#[derive(Debug)]
pub struct Link {
    pub conn: ConnId,
    /// The I/O thread that owns it.
    pub thread: usize,
    pub peer: SocketAddr,
    pub outbox: Outbox<Notice>,
    pub figures: Figures,
}

/// Written by the owning thread only (of the core's answers, zxid and error by the core), read by four-letter words. Relaxed: each figure stands for itself.
#[derive(Debug)]
pub struct Figures {
    pub established: AtomicI64,
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// Requests that wait for an answer.
    pub outstanding: AtomicU32,
    pub session: AtomicI64,
    pub timeout_ms: AtomicI32,
    pub last_op: AtomicI32,
    /// Whether the core's last answer was an error.
    pub refused: AtomicBool,
    pub last_xid: AtomicI64,
    pub last_zxid: AtomicI64,
    /// Wall clock of the last answer, and how long it took.
    pub last_response: AtomicI64,
    pub last_latency: AtomicI64,
    pub latency_min: AtomicI64,
    pub latency_max: AtomicI64,
    pub latency_sum: AtomicI64,
    pub latency_count: AtomicI64,
}

impl Figures {
    pub fn new(established: Millis) -> Figures {
        Figures {
            established: AtomicI64::new(established.0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            outstanding: AtomicU32::new(0),
            session: AtomicI64::new(0),
            timeout_ms: AtomicI32::new(0),
            last_op: AtomicI32::new(0),
            refused: AtomicBool::new(false),
            last_xid: AtomicI64::new(-1),
            last_zxid: AtomicI64::new(-1),
            last_response: AtomicI64::new(0),
            last_latency: AtomicI64::new(0),
            latency_min: AtomicI64::new(i64::MAX),
            latency_max: AtomicI64::new(0),
            latency_sum: AtomicI64::new(0),
            latency_count: AtomicI64::new(0),
        }
    }

    /// The core has answered a request.
    pub fn answered(&self, op: i32, xid: i32, latency: i64, wall: Millis) {
        self.answers(op, xid);
        self.answered_many(1, latency, wall);
    }
    /// Xids below 0 stand for something else than a request; the reference does not show them.
    pub fn answers(&self, op: i32, xid: i32) {
        self.last_op.store(op, Relaxed);
        if xid >= 0 {
            self.last_xid.store(i64::from(xid), Relaxed);
        }
    }
    /// So many requests were answered at once, each after this many milliseconds.
    pub fn answered_many(&self, count: u64, latency: i64, wall: Millis) {
        self.last_response.store(wall.0, Relaxed);
        self.last_latency.store(latency, Relaxed);
        self.latency_count.store(self.latency_count.load(Relaxed) + count as i64, Relaxed);
        self.latency_sum.store(self.latency_sum.load(Relaxed) + latency * count as i64, Relaxed);
        if latency < self.latency_min.load(Relaxed) {
            self.latency_min.store(latency, Relaxed);
        }
        if latency > self.latency_max.load(Relaxed) {
            self.latency_max.store(latency, Relaxed);
        }
    }

    /// `crst`: counts from here on. The reference resets the same figures (`ServerCnxn.resetStats`).
    pub fn reset(&self) {
        for counter in [&self.received, &self.sent] {
            counter.store(0, Relaxed);
        }
        self.latency_min.store(i64::MAX, Relaxed);
        for figure in
            [&self.latency_max, &self.latency_sum, &self.latency_count, &self.last_response, &self.last_latency]
        {
            figure.store(0, Relaxed);
        }
        self.last_op.store(0, Relaxed);
        self.last_xid.store(-1, Relaxed);
        self.last_zxid.store(-1, Relaxed);
    }
}
