//! The door of consensus.
use oxkeeper_types::{Millis, ServerId, Zxid};

use crate::input::{Input, LinkId};
use crate::options::{Durable, ZabOptions};
use crate::output::Output;
use crate::report::ZabReport;

#[derive(Debug)]
pub struct Zab {}

#[allow(unused_variables)]
impl Zab {
    pub fn new(options: ZabOptions, durable: Durable, now: Millis) -> Zab {
        Zab {}
    }
    /// Begins to look for a leader. Once, before any step.
    pub fn start(&mut self, now: Millis, out: &mut Vec<Output>) {
        unimplemented!()
    }
    pub fn step(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        unimplemented!()
    }
    pub fn next_deadline(&self) -> Millis {
        unimplemented!()
    }
    pub fn next_zxid(&self) -> Option<Zxid> {
        unimplemented!()
    }
    pub fn last_logged(&self) -> Zxid {
        unimplemented!()
    }
    pub fn confirm_number(&self) -> u64 {
        unimplemented!()
    }
    pub fn learner_of(&self, link: LinkId) -> Option<ServerId> {
        unimplemented!()
    }
    pub fn leader_link(&self) -> Option<LinkId> {
        unimplemented!()
    }
    pub fn report(&self) -> ZabReport {
        unimplemented!()
    }
    /// The active configuration.
    pub fn ensemble(&self) -> &oxkeeper_types::ensemble::Ensemble {
        todo!()
    }
    pub fn invariants(&self) {}
}
