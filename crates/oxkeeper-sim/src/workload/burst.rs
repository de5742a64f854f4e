//! Bursts: several sessions at one server ask for syncs and writes at the same moment, some close behind them, and everybody else writes
//! elsewhere. That is what a line of all sessions needs to come out of order (rule LearnerOrder), and what clients that ask on
//! their own do seldom.

use super::ask::{self, Asked};
use crate::random::Random;
use crate::world::{Event, World};
use oxkeeper_client::core::call::{self, Request};
use oxkeeper_types::OpCode;

/// Microseconds for the clients to come together.
const GATHER_US: u64 = 1_000_000;
/// Requests of one client at one moment, at most.
const REQUESTS_MAX: u64 = 6;

/// One burst, at a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burst {
    pub server: usize,
    /// What is drawn for it.
    pub seed: u64,
    /// So many times, shortly one after the other.
    pub waves: u64,
}

impl World {
    /// Most of the clients go to the server; then all ask.
    pub(crate) fn burst_gathers(&mut self, burst: Burst) {
        let r = &mut Random::new(burst.seed, "gather");
        for c in 0..self.clients.len() {
            let stays = self.clients[c].conn.is_none_or(|(_, server)| server == burst.server);
            if !stays && r.chance(70) {
                self.clients[c].next_is(burst.server, self.hosts.len());
                self.client_disconnects(c, true);
            }
        }
        for wave in 0..burst.waves {
            let us = GATHER_US + wave * r.below(4 * self.options.network_delay_us);
            let wave = Burst { seed: r.draw(), ..burst };
            self.after(us, Event::Burst(wave));
        }
    }

    pub(crate) fn burst(&mut self, burst: Burst) {
        let r = &mut Random::new(burst.seed, "burst");
        for c in 0..self.clients.len() {
            let client = &self.clients[c];
            let here = client.conn.is_some_and(|(_, server)| server == burst.server);
            if client.away || client.retired || !client.session.state().is_connected() {
                continue;
            }
            for _ in 0..r.between(1, REQUESTS_MAX) {
                let (asked, request) = draw(r, here, format!("{c}.burst.{}", r.clone().draw()).into_bytes());
                self.ask(c, asked, request);
            }
            if here && r.chance(15) {
                self.ask(c, Asked::Close, call::raw(OpCode::CloseSession, "", Vec::new()).request);
            }
            self.flush_client(c);
        }
    }
}

/// Syncs beside writes at the server of the burst, writes elsewhere.
fn draw(r: &mut Random, here: bool, data: Vec<u8>) -> (Asked, Request) {
    if here && r.chance(45) { ask::sync(r) } else { ask::write(r, data) }
}
