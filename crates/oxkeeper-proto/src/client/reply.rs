//! What the server sends: reply headers and watch events.

use crate::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::{Xid, Zxid};

/// In front of every answer but the handshake's. A body follows only where `error` is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyHeader {
    pub xid: Xid,
    /// For a write, its own zxid; otherwise the last one the server has applied.
    pub zxid: Zxid,
    /// An [`oxkeeper_types::ErrorCode`] number.
    pub error: i32,
}

impl ReplyHeader {
    pub fn read(r: &mut Reader) -> Result<ReplyHeader, DecodeError> {
        Ok(ReplyHeader { xid: Xid(r.int()?), zxid: Zxid(r.long()?), error: r.int()? })
    }
    pub fn write(&self, w: &mut Writer) {
        w.int(self.xid.0);
        w.long(self.zxid.0);
        w.int(self.error);
    }
}

/// What happened to a watched node (reference `Watcher.Event.EventType`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i32)]
pub enum EventType {
    NodeCreated = 1,
    NodeDeleted = 2,
    NodeDataChanged = 3,
    NodeChildrenChanged = 4,
}

impl EventType {
    pub const fn from_number(n: i32) -> Option<EventType> {
        Some(match n {
            1 => EventType::NodeCreated,
            2 => EventType::NodeDeleted,
            3 => EventType::NodeDataChanged,
            4 => EventType::NodeChildrenChanged,
            _ => return None,
        })
    }
}

/// State in a watch event: servers only ever send `SyncConnected`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub enum EventState {
    SyncConnected = 3,
}

/// The body of a notification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatcherEvent {
    pub kind: EventType,
    pub path: String,
}

impl WatcherEvent {
    pub fn read(r: &mut Reader) -> Result<WatcherEvent, DecodeError> {
        let at = r.position();
        let number = r.int()?;
        let kind = EventType::from_number(number).ok_or(DecodeError::Unknown {
            at,
            what: "event type",
            value: number as i64,
        })?;
        r.int()?;
        Ok(WatcherEvent { kind, path: r.required_string()?.into_owned() })
    }
    pub fn write(kind: EventType, path: &str, w: &mut Writer) {
        w.int(kind as i32);
        w.int(EventState::SyncConnected as i32);
        w.string(path);
    }
}
