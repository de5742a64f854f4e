//! What the threads of the client port share, and how others reach them.

use super::admission::Admission;
use super::link::{Link, Notice};
use super::throttle::Gate;
use crate::core_queue::CoreQueue;
use crate::lock::lock;
use crate::metrics::Metrics;
use crate::options::EdgeOptions;
use crate::serving::Serving;
use hashbrown::HashMap;
use oxkeeper_proto::frame::FourLetterWord;
use oxkeeper_types::ConnId;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

/// What reaches an I/O thread from outside of its sockets.
#[derive(Default)]
pub struct Inbox {
    /// Accepted by another thread, to be served by this one.
    pub accepted: Vec<(TcpStream, SocketAddr)>,
    /// Their outboxes were empty and are not any more.
    pub dirty: Vec<ConnId>,
}

/// One I/O thread, as the others see it.
pub struct IoHandle {
    pub inbox: Mutex<Inbox>,
    pub waker: mio::Waker,
}

impl IoHandle {
    /// Tells the thread which of its connections have something in their outboxes.
    pub fn tell(&self, dirty: &mut Vec<ConnId>) {
        if dirty.is_empty() {
            return;
        }
        self.put(|inbox| inbox.dirty.append(dirty));
    }
    pub fn give(&self, socket: TcpStream, peer: SocketAddr) {
        self.put(|inbox| inbox.accepted.push((socket, peer)));
    }
    /// Who finds something in the inbox leaves the waking to whoever put that in.
    fn put(&self, fill: impl FnOnce(&mut Inbox)) {
        let mut inbox = lock(&self.inbox);
        let first = inbox.dirty.is_empty() && inbox.accepted.is_empty();
        fill(&mut inbox);
        drop(inbox);
        if first {
            self.wake();
        }
    }
    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // The thread polls with a timeout too, so it comes round without it.
            tracing::warn!("cannot wake an I/O thread: {error}");
        }
    }
}

/// A four-letter word on a fresh connection, on its way to the thread that answers it.
pub struct Command {
    pub link: Arc<Link>,
    pub word: FourLetterWord,
    /// The eight bytes behind `stmk`.
    pub mask: Option<i64>,
}

/// The client port.
pub struct ClientPort {
    pub serving: Arc<Serving>,
    pub core: Arc<CoreQueue>,
    pub metrics: Arc<Metrics>,
    pub options: EdgeOptions,
    pub io: Vec<IoHandle>,
    pub admission: Mutex<Admission>,
    pub throttle: Mutex<Gate>,
    /// To the thread that answers four-letter words.
    pub admin: Sender<Command>,
    /// Every open connection, for `cons`.
    pub links: Mutex<HashMap<ConnId, Arc<Link>, foldhash::fast::FixedState>>,
    /// Requests that the core has and has not answered, over all connections.
    pub outstanding: AtomicUsize,
    /// Bytes of large requests under way.
    pub large_bytes: AtomicUsize,
}

impl ClientPort {
    pub fn new(
        serving: Arc<Serving>,
        core: Arc<CoreQueue>,
        metrics: Arc<Metrics>,
        options: EdgeOptions,
        io: Vec<IoHandle>,
        admin: Sender<Command>,
    ) -> ClientPort {
        let gate = Gate::new(options.throttle, serving.started, serving.options.seed);
        ClientPort {
            serving,
            core,
            metrics,
            options,
            io,
            admission: Mutex::default(),
            throttle: Mutex::new(gate),
            admin,
            links: Mutex::default(),
            outstanding: AtomicUsize::new(0),
            large_bytes: AtomicUsize::new(0),
        }
    }

    /// Sends the whole answer to a command, and closes the connection behind it.
    pub fn answer(&self, command: Command, text: &str) {
        let link = command.link;
        let newly = link.outbox.put(|waiting| {
            waiting.bytes.extend_from_slice(text.as_bytes());
            waiting.notices.push(Notice::Done);
        });
        if newly {
            self.io[link.thread].tell(&mut vec![link.conn]);
        }
    }
}
