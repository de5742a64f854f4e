//! Many connections on one epoll loop.

use crate::conn::Conn;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a server may take to accept everybody or to answer what is in flight.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Swarm {
    poll: Poll,
    events: Events,
    pub conns: Vec<Conn>,
}

/// A connection failed: which one, and how.
fn failed(index: usize, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("connection {index}: {error}"))
}

impl Swarm {
    pub fn new() -> io::Result<Swarm> {
        Ok(Swarm { poll: Poll::new()?, events: Events::with_capacity(4096), conns: Vec::new() })
    }

    /// `count` connections, spread over the servers, each with its session.
    pub fn connect(addresses: &[SocketAddr], count: usize) -> io::Result<Swarm> {
        let mut swarm = Swarm::new()?;
        for i in 0..count {
            swarm.add(addresses[i % addresses.len()])?;
        }
        swarm.until(|s| s.conns.iter().all(|c| c.ready), "not every session was established")?;
        Ok(swarm)
    }

    pub fn add(&mut self, address: SocketAddr) -> io::Result<()> {
        let mut conn = Conn::open(address)?;
        let token = Token(self.conns.len());
        self.poll.registry().register(&mut conn.socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.conns.push(conn);
        Ok(())
    }

    /// Waits for something to happen, at most `timeout`; calls `answered` with connection, its index, error, due time.
    pub fn step(
        &mut self,
        timeout: Duration,
        mut answered: impl FnMut(&mut Conn, usize, i32, Instant),
    ) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(timeout))?;
        for event in &self.events {
            let i = event.token().0;
            let conn = &mut self.conns[i];
            if event.is_writable() {
                if !conn.connected {
                    conn.connected = true;
                    conn.socket.set_nodelay(true)?;
                }
                conn.flush().map_err(|e| failed(i, e))?;
            }
            if event.is_readable() || event.is_read_closed() {
                conn.pump(|conn, error, due| answered(conn, i, error, due)).map_err(|e| failed(i, e))?;
                conn.flush().map_err(|e| failed(i, e))?;
            }
        }
        Ok(())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        for (i, conn) in self.conns.iter_mut().enumerate() {
            conn.flush().map_err(|e| failed(i, e))?;
        }
        Ok(())
    }

    /// Sends what is queued and waits until everything is answered.
    pub fn drain(&mut self) -> io::Result<()> {
        self.flush()?;
        self.until(|s| s.conns.iter().all(|c| c.in_flight() == 0), "not every request was answered")
    }

    /// Steps until `done`, and fails with `complaint` when that takes too long.
    pub fn until(&mut self, done: impl Fn(&Swarm) -> bool, complaint: &str) -> io::Result<()> {
        let start = Instant::now();
        while !done(self) {
            self.step(Duration::from_millis(50), |_, _, _, _| {})?;
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{complaint} within {} s", PATIENCE.as_secs())));
            }
        }
        Ok(())
    }
}
