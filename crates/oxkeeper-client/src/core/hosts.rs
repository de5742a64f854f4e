//! The servers that a client may connect to, in the order it tries them. Must not know sockets or names' addresses.

use crate::ClientError;
use oxkeeper_types::path;
use std::str::FromStr;

/// The port of a server that is named without one.
pub const DEFAULT_PORT: u16 = 2181;

/// `host:port,host:port/chroot`, taken apart (reference `ConnectStringParser`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectString {
    pub hosts: Vec<(String, u16)>,
    /// Put in front of every path; empty for none, never ends with a slash.
    pub chroot: String,
}

impl ConnectString {
    pub fn parse(text: &str) -> Result<ConnectString, ClientError> {
        let wrong = |reason: String| ClientError::ConnectString { text: text.to_string(), reason };
        let (servers, chroot) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        let chroot = if chroot == "/" { "" } else { chroot };
        if !chroot.is_empty() {
            path::validate(chroot, false).map_err(|e| wrong(format!("chroot: {e}")))?;
        }
        let mut hosts = Vec::new();
        for part in servers.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            hosts.push(parse_host(part).map_err(wrong)?);
        }
        if hosts.is_empty() {
            return Err(wrong("names no server".to_string()));
        }
        Ok(ConnectString { hosts, chroot: chroot.to_string() })
    }
}

impl FromStr for ConnectString {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<ConnectString, ClientError> {
        ConnectString::parse(text)
    }
}

/// `host`, `host:port`, `[v6]:port`, or a bare IPv6 address.
fn parse_host(part: &str) -> Result<(String, u16), String> {
    let port = |text: &str| text.parse::<u16>().map_err(|_| format!("'{text}' in '{part}' is not a port"));
    if let Some(rest) = part.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| format!("'{part}' has no closing bracket"))?;
        return match after.strip_prefix(':') {
            Some(text) => Ok((host.to_string(), port(text)?)),
            None if after.is_empty() => Ok((host.to_string(), DEFAULT_PORT)),
            None => Err(format!("'{after}' behind the bracket of '{part}'")),
        };
    }
    match part.rsplit_once(':') {
        Some((host, _)) if host.contains(':') => Ok((part.to_string(), DEFAULT_PORT)),
        Some((host, text)) => Ok((host.to_string(), port(text)?)),
        None => Ok((part.to_string(), DEFAULT_PORT)),
    }
}

/// Hands out servers round robin, from an order that the seed decides, so that many clients spread.
#[derive(Clone, Debug)]
pub struct Hosts {
    order: Vec<(String, u16)>,
    /// Index of the server to try next.
    next: usize,
    /// Attempts since the last success: after each full round the driver pauses.
    failed: usize,
}

impl Hosts {
    /// Tries them in the order given.
    pub fn in_order(order: Vec<(String, u16)>) -> Hosts {
        assert!(!order.is_empty(), "a client needs at least one server");
        Hosts { order, next: 0, failed: 0 }
    }

    pub fn shuffled(mut order: Vec<(String, u16)>, seed: u64) -> Hosts {
        let mut state = seed;
        for i in (1..order.len()).rev() {
            // Knuth's linear congruential generator; its high bits are good enough for a shuffle.
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            order.swap(i, (state >> 33) as usize % (i + 1));
        }
        Hosts::in_order(order)
    }

    /// The server to try now, and how many milliseconds to wait first.
    pub fn next_server(&mut self) -> ((String, u16), i64) {
        let host = self.order[self.next % self.order.len()].clone();
        self.next += 1;
        // No pause within a round; between rounds 20 ms that double up to a second.
        let rounds = self.failed / self.order.len();
        let pause = if self.failed == 0 || !self.failed.is_multiple_of(self.order.len()) {
            0
        } else {
            (10i64 << rounds.min(7)).min(1000)
        };
        self.failed += 1;
        (host, pause)
    }

    /// The last server handed out works.
    pub fn connected(&mut self) {
        self.failed = 0;
    }

    /// Tries this one next.
    pub fn prefer(&mut self, server: &(String, u16)) {
        self.next = self.order.iter().position(|other| other == server).unwrap_or(self.next);
        self.failed = 0;
    }

    pub fn all(&self) -> &[(String, u16)] {
        &self.order
    }
}
