//! One I/O thread: an epoll loop over the connections that it owns, and in the first thread the listener.

use super::connection::{Connection, Turn};
use super::port::ClientPort;
use crate::core_queue::CoreEvent;
use crate::lock::lock;
use crate::metrics::bump;
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use oxkeeper_replica::Input;
use oxkeeper_types::address::socket_text;
use oxkeeper_types::limits::TOUCH_DELAY_MS_MAX;
use oxkeeper_types::{ConnId, Millis, SessionId};
use slab::Slab;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub const WAKER: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);
/// Low bits of a [`ConnId`]: the place in the thread's table. Above them: a number that is never used again.
const PLACE_BITS: u32 = 24;
/// How often connections are looked over for handshakes that do not come.
const SWEEP: Millis = Millis(1000);
/// Before the next accept after one that failed for want of descriptors.
const ACCEPT_PAUSE_MS: u64 = 100;
/// What one read(2) may take; larger frames are gathered in the connection.
pub const READ_BYTES: usize = 128 << 10;

/// Of requests that are handed to the core at once. More has to wait for the next wake-up: by then it shows whether the disk keeps up.
pub const SUBMITTED_BYTES_MAX: usize = 4 << 20;

/// Memory that connections use while it is their turn.
pub struct Scratch {
    pub read: Vec<u8>,
    pub write: Vec<u8>,
    /// For the core, handed over once per wake-up.
    pub submitted: Vec<CoreEvent>,
    /// Bytes of the requests in it.
    pub submitted_bytes: usize,
    /// Sessions heard from since they were last reported.
    pub touched: Vec<SessionId>,
}

pub struct IoThread {
    port: Arc<ClientPort>,
    index: usize,
    poll: Poll,
    listener: Option<TcpListener>,
    connections: Slab<Connection>,
    /// Connections made so far: the high bits of the next id.
    made: u64,
    next_thread: usize,
    /// The last accept failed: no event will come for what still waits in the backlog.
    accept_failed: bool,
    /// Connections that had more to do than fits into a turn.
    again: Vec<ConnId>,
    /// Connections whose next request waits for the load to fall.
    stalled: Vec<ConnId>,
    scratch: Scratch,
    last_touch: Millis,
    last_sweep: Millis,
}

impl IoThread {
    pub fn new(port: Arc<ClientPort>, index: usize, poll: Poll, listener: Option<TcpListener>) -> io::Result<IoThread> {
        let mut listener = listener;
        if let Some(listener) = &mut listener {
            poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let scratch = Scratch {
            read: vec![0; READ_BYTES],
            write: Vec::with_capacity(READ_BYTES),
            submitted: Vec::new(),
            submitted_bytes: 0,
            touched: Vec::new(),
        };
        let (now, connections) = (port.serving.clock.monotonic(), Slab::new());
        Ok(IoThread {
            port,
            index,
            poll,
            listener,
            connections,
            made: 0,
            next_thread: 0,
            accept_failed: false,
            again: Vec::new(),
            stalled: Vec::new(),
            scratch,
            last_touch: now,
            last_sweep: now,
        })
    }

    /// How long to wait for events.
    fn patience(&self) -> Duration {
        let millis = match () {
            () if !self.again.is_empty() => 0,
            () if !self.stalled.is_empty() => self.port.options.stall_time.0.clamp(1, 500) as u64,
            () if self.accept_failed => ACCEPT_PAUSE_MS,
            () if !self.scratch.touched.is_empty() => TOUCH_DELAY_MS_MAX as u64 / 2,
            () => 500,
        };
        Duration::from_millis(millis)
    }

    /// Until the server stops.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.port.serving.is_stopping() {
            match self.poll.poll(&mut events, Some(self.patience())) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("epoll failed: {error}"),
                Ok(()) => {}
            }
            let again = std::mem::take(&mut self.again);
            for event in &events {
                match event.token() {
                    WAKER => {}
                    LISTENER => self.accept(),
                    Token(place) => self.on_event(place, event),
                }
            }
            self.take_inbox();
            self.serve_again(again);
            let stalled = std::mem::take(&mut self.stalled);
            self.serve_again(stalled);
            if self.accept_failed {
                self.accept();
            }
            let now = self.port.serving.clock.monotonic();
            self.report_touched(now);
            if now - self.last_sweep >= SWEEP {
                self.sweep(now);
            }
            self.port.core.put(&mut self.scratch.submitted);
            self.scratch.submitted_bytes = 0;
        }
        let ids: Vec<usize> = self.connections.iter().map(|(place, _)| place).collect();
        for place in ids {
            self.close(place);
        }
    }

    fn on_event(&mut self, place: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        connection.on_event(event.is_readable(), event.is_read_closed() || event.is_error());
        self.serve(place);
    }

    fn serve(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        match connection.take_turn(&self.port, &mut self.scratch) {
            Turn::Open => {}
            Turn::Again => self.again.push(connection.id()),
            Turn::Stalled => self.stalled.push(connection.id()),
            Turn::Closed => self.close(place),
        }
    }

    /// The connection's place, where it is still that connection's.
    fn place_of(&self, conn: ConnId) -> Option<usize> {
        let place = (conn.0 & ((1 << PLACE_BITS) - 1)) as usize;
        self.connections.get(place).filter(|connection| connection.id() == conn).map(|_| place)
    }

    fn serve_again(&mut self, conns: Vec<ConnId>) {
        for conn in conns {
            if let Some(place) = self.place_of(conn) {
                self.serve(place);
            }
        }
    }

    /// Connections given by the listener, and those with something in their outboxes.
    fn take_inbox(&mut self) {
        let (accepted, dirty) = {
            let mut inbox = lock(&self.port.io[self.index].inbox);
            (std::mem::take(&mut inbox.accepted), std::mem::take(&mut inbox.dirty))
        };
        for (socket, peer) in accepted {
            self.adopt(socket, peer);
        }
        self.serve_again(dirty);
    }

    fn accept(&mut self) {
        let failed_before = std::mem::take(&mut self.accept_failed);
        loop {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => {
                    // An IPv4 client of a listener for both families is known by its IPv4 address.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let (total, each) =
                        (self.port.options.connections_max, self.port.options.connections_per_address_max);
                    if let Err(why) = lock(&self.port.admission).enter(peer.ip(), total, each) {
                        tracing::warn!("Too many connections from /{} - {why}", socket_text(peer));
                        bump(&self.port.metrics.io[self.index].connections_rejected, 1);
                        continue;
                    }
                    let socket = TcpStream::from(socket);
                    self.next_thread = (self.next_thread + 1) % self.port.io.len();
                    if self.next_thread == self.index {
                        self.adopt(socket, peer);
                    } else {
                        self.port.io[self.next_thread].give(socket, peer);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // A peer that was gone before we looked.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    if !failed_before {
                        tracing::warn!("cannot accept connections: {error}; check the limit of open files (ulimit -n)");
                    }
                    self.accept_failed = true;
                    return;
                }
            }
        }
    }

    fn adopt(&mut self, socket: TcpStream, peer: SocketAddr) {
        let entry = self.connections.vacant_entry();
        let place = entry.key();
        assert!(place < 1 << PLACE_BITS, "{place} connections in one thread");
        self.made += 1;
        let threads = self.port.io.len() as u64;
        let id = ConnId((self.made * threads + self.index as u64) << PLACE_BITS | place as u64);
        match Connection::new(&self.port, self.index, id, (socket, peer), self.poll.registry(), Token(place)) {
            Ok(connection) => {
                entry.insert(connection);
            }
            Err(error) => {
                lock(&self.port.admission).left(peer.ip());
                tracing::info!("the connection of /{} ended before it began: {error}", socket_text(peer));
            }
        }
    }

    fn close(&mut self, place: usize) {
        let mut connection = self.connections.remove(place);
        if connection.has_session() && !connection.is_closing() {
            bump(&self.port.metrics.io[self.index].connections_dropped, 1);
        }
        connection.end(&self.port, self.poll.registry(), &mut self.scratch);
    }

    fn report_touched(&mut self, now: Millis) {
        if self.scratch.touched.is_empty() || now - self.last_touch < Millis(TOUCH_DELAY_MS_MAX / 2) {
            return;
        }
        self.last_touch = now;
        let touched = std::mem::take(&mut self.scratch.touched);
        self.scratch.submitted.push(CoreEvent::Input(Input::Touched(touched)));
        for (_, connection) in &mut self.connections {
            connection.touched = false;
        }
    }

    /// Ends connections that have not sent their handshake in time, or do not take what they are sent before the end.
    fn sweep(&mut self, now: Millis) {
        self.last_sweep = now;
        let timeout = self.port.options.handshake_timeout;
        let late: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, c)| c.is_waited_for_since().is_some_and(|since| now - since > timeout))
            .map(|(place, _)| place)
            .collect();
        for place in late {
            if !self.connections[place].is_closing() {
                bump(&self.port.metrics.io[self.index].handshakes_expired, 1);
                self.connections[place].log_close("no connect request in time");
            }
            self.close(place);
        }
    }
}
