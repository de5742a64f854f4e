//! The shape of the watch table; its content is on its way.

use crate::options::Options;
use crate::output::Outputs;
use crate::state::Caller;
use oxkeeper_proto::client::SetWatches2Request;
use oxkeeper_tree::{Change, Tree};
use oxkeeper_types::{AclList, ConnId, Id, SessionId};
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchKind {
    Data,
    Child,
    Persistent,
    PersistentRecursive,
}
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatcherType {
    Any = 3,
}
impl WatcherType {
    pub fn from_number(_: i32) -> Option<WatcherType> {
        Some(WatcherType::Any)
    }
}
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fired;
impl std::ops::AddAssign for Fired {
    fn add_assign(&mut self, _: Fired) {}
}
#[derive(Debug, Default)]
pub struct WatchTable;
impl WatchTable {
    pub fn new() -> WatchTable {
        WatchTable
    }
    pub fn open(&mut self, _: ConnId, _: SessionId, _: Arc<[Id]>) {}
    pub fn set_auth(&mut self, _: ConnId, _: Arc<[Id]>) {}
    pub fn close(&mut self, _: ConnId) {}
    pub fn add(&mut self, _: ConnId, _: &str, _: WatchKind) {}
    pub fn contains(&self, _: ConnId, _: &str, _: WatcherType) -> bool {
        false
    }
    pub fn remove(&mut self, _: ConnId, _: &str, _: WatcherType) -> bool {
        false
    }
    pub fn trigger(&mut self, _: &Options, _: &[Change], _: &mut Outputs) -> Fired {
        Fired
    }
}
pub fn restore(
    _: &Tree,
    _: &mut WatchTable,
    _: &Caller,
    _: &SetWatches2Request,
    _: &dyn Fn(Option<&AclList>, &[Id]) -> bool,
    _: &mut Vec<u8>,
) {
}
