//! One I/O thread: an epoll loop over the connections that it owns, and in the first thread the listener.

use super::connection::{Connection, Turn};
use crate::shared::{CoreEvent, Shared, lock};
use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use oxkeeper_replica::Input;
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
/// What one read(2) may take; larger frames are gathered in the connection.
pub const READ_BYTES: usize = 128 << 10;

/// Memory that connections use while it is their turn.
pub struct Scratch {
    pub read: Vec<u8>,
    pub write: Vec<u8>,
    /// For the core, handed over once per wake-up.
    pub submitted: Vec<CoreEvent>,
    /// Sessions heard from since they were last reported.
    pub touched: Vec<SessionId>,
}

pub struct IoThread {
    shared: Arc<Shared>,
    index: usize,
    poll: Poll,
    listener: Option<TcpListener>,
    connections: Slab<Connection>,
    /// Connections made so far: the high bits of the next id.
    made: u64,
    next_thread: usize,
    scratch: Scratch,
    last_touch: Millis,
    last_sweep: Millis,
}

impl IoThread {
    pub fn new(shared: Arc<Shared>, index: usize, poll: Poll, listener: Option<TcpListener>) -> io::Result<IoThread> {
        let mut listener = listener;
        if let Some(listener) = &mut listener {
            poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let scratch = Scratch {
            read: vec![0; READ_BYTES],
            write: Vec::with_capacity(READ_BYTES),
            submitted: Vec::new(),
            touched: Vec::new(),
        };
        let (now, connections) = (shared.clock.monotonic(), Slab::new());
        Ok(IoThread {
            shared,
            index,
            poll,
            listener,
            connections,
            made: 0,
            next_thread: 0,
            scratch,
            last_touch: now,
            last_sweep: now,
        })
    }

    /// Until the server stops.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.shared.is_stopping() {
            let wait = if self.scratch.touched.is_empty() { 500 } else { TOUCH_DELAY_MS_MAX as u64 / 2 };
            match self.poll.poll(&mut events, Some(Duration::from_millis(wait))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => panic!("epoll failed: {error}"),
                Ok(()) => {}
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    LISTENER => self.accept(),
                    Token(place) => self.serve(place, event),
                }
            }
            self.take_inbox();
            let now = self.shared.clock.monotonic();
            self.report_touched(now);
            if now - self.last_sweep >= SWEEP {
                self.sweep(now);
            }
            self.shared.core.put(&mut self.scratch.submitted);
        }
        let ids: Vec<usize> = self.connections.iter().map(|(place, _)| place).collect();
        for place in ids {
            self.close(place);
        }
    }

    fn serve(&mut self, place: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(place) else { return };
        let readable = event.is_readable() || event.is_read_closed() || event.is_error();
        if connection.take_turn(&self.shared, &mut self.scratch, readable) == Turn::Closed {
            self.close(place);
        }
    }

    /// Connections given by the listener, and those with something in their outboxes.
    fn take_inbox(&mut self) {
        let (accepted, dirty) = {
            let mut inbox = lock(&self.shared.io[self.index].inbox);
            (std::mem::take(&mut inbox.accepted), std::mem::take(&mut inbox.dirty))
        };
        for (socket, peer) in accepted {
            self.adopt(socket, peer);
        }
        for conn in dirty {
            let place = (conn.0 & ((1 << PLACE_BITS) - 1)) as usize;
            let Some(connection) = self.connections.get_mut(place).filter(|c| c.id() == conn) else { continue };
            if connection.take_turn(&self.shared, &mut self.scratch, false) == Turn::Closed {
                self.close(place);
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((socket, peer)) => {
                    // On a socket of both families, IPv4 clients come as IPv6 addresses.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let (total, each) =
                        (self.shared.edge.connections_max, self.shared.edge.connections_per_address_max);
                    if let Err(why) = lock(&self.shared.admission).enter(peer.ip(), total, each) {
                        tracing::warn!("Too many connections from {peer} - {why}");
                        super::link::bump(&self.shared.io[self.index].metrics.connections_rejected, 1);
                        continue;
                    }
                    let socket = TcpStream::from(socket);
                    self.next_thread = (self.next_thread + 1) % self.shared.io.len();
                    if self.next_thread == self.index {
                        self.adopt(socket, peer);
                    } else {
                        self.shared.io[self.next_thread].give(socket, peer);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Out of descriptors, or a peer that was gone before we looked: the listener itself is well.
                    tracing::warn!("cannot accept a connection: {error}");
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
        let threads = self.shared.io.len() as u64;
        let id = ConnId((self.made * threads + self.index as u64) << PLACE_BITS | place as u64);
        match Connection::new(&self.shared, self.index, id, (socket, peer), self.poll.registry(), Token(place)) {
            Ok(connection) => {
                entry.insert(connection);
            }
            Err(error) => {
                lock(&self.shared.admission).left(peer.ip());
                tracing::info!("the connection of {peer} ended before it began: {error}");
            }
        }
    }

    fn close(&mut self, place: usize) {
        let mut connection = self.connections.remove(place);
        connection.end(&self.shared, self.poll.registry(), &mut self.scratch);
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

    /// Ends connections that have not sent their handshake in time.
    fn sweep(&mut self, now: Millis) {
        self.last_sweep = now;
        let late: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, c)| {
                c.waits_for_handshake_since().is_some_and(|s| now - s > self.shared.edge.handshake_timeout)
            })
            .map(|(place, _)| place)
            .collect();
        for place in late {
            super::link::bump(&self.shared.io[self.index].metrics.handshakes_expired, 1);
            self.connections[place].log_close("no connect request in time");
            self.close(place);
        }
    }
}
