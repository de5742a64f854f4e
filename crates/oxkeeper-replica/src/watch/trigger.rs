//! Changes of the tree to events on connections. Must not know how a watch got there, or what the tree looks like.
//!
//! A change wakes the watches of its own path, then recursive ones further up, nearest first (reference
//! `WatchManager.triggerWatch`). Who may not read what has changed hears nothing, but its one-shot watch is gone all the
//! same. Events of one connection come in the order of the changes; among connections, who registered first is told first.

use super::MayRead;
use super::kinds::{Effect, Modes};
use super::paths::PathId;
use super::table::{Conn, WatchTable, open_conn};
use super::watchers::Word;
use crate::auth;
use crate::options::Options;
use crate::output::{Delivery, Outputs};
use oxkeeper_proto::client::{EventType, ReplyHeader, WatcherEvent, XID_EVENT};
use oxkeeper_proto::frame;
use oxkeeper_proto::jute::Writer;
use oxkeeper_tree::{Change, ChangeKind};
use oxkeeper_types::{Acl, Id, Perms, Zxid, path};
use std::ops::{AddAssign, Range};

/// How many watchers changes of one kind have woken, those included that were not told: the reference's summaries
/// `node_created_watch_count` and so on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Woken {
    /// Changes that woke anybody. A deletion counts once for each manager in which it did.
    pub times: u64,
    /// All watchers together.
    pub watchers: u64,
    /// At one time; 0 before the first.
    pub watchers_max: u64,
    pub watchers_min: u64,
}

/// What was fired, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fired {
    pub created: Woken,
    pub deleted: Woken,
    pub data_changed: Woken,
    pub children_changed: Woken,
    /// Delivered, each to one connection.
    pub events: u64,
    /// Of the delivered events, without the length words (reference `watch_bytes`).
    pub bytes: u64,
}

impl Woken {
    fn count(watchers: u64) -> Woken {
        if watchers == 0 {
            return Woken::default();
        }
        Woken { times: 1, watchers, watchers_max: watchers, watchers_min: watchers }
    }
}
impl AddAssign for Woken {
    fn add_assign(&mut self, other: Woken) {
        self.watchers_min = match (self.times, other.times) {
            (0, _) => other.watchers_min,
            (_, 0) => self.watchers_min,
            _ => self.watchers_min.min(other.watchers_min),
        };
        self.times += other.times;
        self.watchers += other.watchers;
        self.watchers_max = self.watchers_max.max(other.watchers_max);
    }
}
impl AddAssign for Fired {
    fn add_assign(&mut self, other: Fired) {
        self.created += other.created;
        self.deleted += other.deleted;
        self.data_changed += other.data_changed;
        self.children_changed += other.children_changed;
        self.events += other.events;
        self.bytes += other.bytes;
    }
}

/// Appends an event as a frame. Returns how many bytes it has behind its length word.
pub(super) fn write_event(event: EventType, path: &str, zxid: Zxid, frames: &mut Vec<u8>) -> usize {
    let start = frames.len();
    frame::append(frames, |out| {
        let w = &mut Writer::new(out);
        ReplyHeader { xid: XID_EVENT, zxid, error: 0 }.write(w);
        WatcherEvent::write(event, path, w);
    });
    frames.len() - start - 4
}

impl WatchTable {
    /// Tells everybody whom these changes wake and who may read what has changed. `changes` in the tree's order.
    pub fn trigger(&mut self, options: &Options, changes: &[Change], out: &mut Outputs) -> Fired {
        let may_read = |acl: Option<&[Acl]>, ids: &[Id]| auth::allowed(options, acl, Perms::READ, ids);
        self.trigger_with(&may_read, changes, out)
    }

    pub(super) fn trigger_with(&mut self, may_read: MayRead, changes: &[Change], out: &mut Outputs) -> Fired {
        let mut fired = Fired::default();
        if self.paths.len() == 0 {
            return fired;
        }
        for change in changes {
            self.fire(may_read, change, out, &mut fired);
        }
        fired
    }

    fn fire(&mut self, may_read: MayRead, change: &Change, out: &mut Outputs, fired: &mut Fired) {
        let effect = Effect::of(change.kind);
        let found = self.paths.find(self.paths.hash(&change.path), &change.path);
        let climbs = effect.climbs && !self.recursive.is_empty();
        if found.is_none() && !climbs {
            return;
        }
        self.round += 2;
        let mut event = Event::new(may_read, change, effect, self.round, out);
        if let Some(path) = found {
            self.fire_at(path, &mut event);
        }
        if climbs {
            let WatchTable { conns, paths, recursive, .. } = self;
            let mut at: &str = &change.path;
            while let Some(up) = path::parent(at) {
                for word in recursive.at(paths, up).into_iter().flat_map(|watchers| watchers.iter()) {
                    event.wake_above(open_conn(conns, word.slot()));
                }
                at = up;
            }
        }
        event.count(change.kind, fired);
    }

    /// Wakes those who watch the very path of the change.
    fn fire_at(&mut self, path: PathId, event: &mut Event) {
        let had_data = self.has_data(path);
        let effect = event.effect;
        let word = self.paths.word(path);
        let WatchTable { conns, paths, lists, counts, .. } = self;
        let has_data = match word.as_list() {
            None => {
                if !word.modes().any(effect.wakes) {
                    return;
                }
                let conn = open_conn(conns, word.slot());
                event.wake(conn, word.modes());
                let left = word.modes().without(effect.removes);
                if left == word.modes() {
                    return;
                }
                conn.settle(path, word.modes(), left, counts);
                match left {
                    Modes::NONE => paths.remove(path),
                    left => paths.set_word(path, Word::new(word.slot(), left)),
                }
                left.any(Modes::DATA)
            }
            Some(number) => {
                let list = &mut lists[number as usize];
                if !list.has(effect.wakes) {
                    return;
                }
                list.sweep(effect.wakes, effect.removes, |word, left| {
                    let conn = open_conn(conns, word.slot());
                    event.wake(conn, word.modes());
                    if left != word.modes() {
                        conn.settle(path, word.modes(), left, counts);
                    }
                });
                let has_data = list.has(Modes::DATA);
                self.fold_list(path, number);
                has_data
            }
        };
        self.counts.data_paths += has_data as usize;
        self.counts.data_paths -= had_data as usize;
    }
}

/// The event of one change on its way to its watchers. Encoded once, and only if anybody may have it.
struct Event<'a> {
    may_read: MayRead<'a>,
    change: &'a Change,
    effect: Effect,
    round: u64,
    out: &'a mut Outputs,
    frame: Option<Range<usize>>,
    /// The last verdict: many connections share their list of ids.
    verdict: Option<(*const [Id], bool)>,
    data_watchers: u64,
    child_watchers: u64,
    delivered: u64,
}

impl<'a> Event<'a> {
    fn new(may_read: MayRead<'a>, change: &'a Change, effect: Effect, round: u64, out: &'a mut Outputs) -> Event<'a> {
        let (frame, verdict) = (None, None);
        Event {
            may_read,
            change,
            effect,
            round,
            out,
            frame,
            verdict,
            data_watchers: 0,
            child_watchers: 0,
            delivered: 0,
        }
    }

    /// Somebody who watches the path itself: the first time that this event comes to it.
    fn wake(&mut self, conn: &mut Conn, modes: Modes) {
        let wakes = self.effect.wakes;
        let by_data = modes.any(Modes::DATA) && wakes.any(Modes::DATA);
        let by_child = modes.any(Modes::CHILD) && wakes.any(Modes::CHILD);
        self.data_watchers += by_data as u64;
        self.child_watchers += by_child as u64;
        conn.seen = self.round + by_data as u64;
        self.deliver(conn);
    }

    /// Somebody with a recursive watch further up, who may have the event already.
    fn wake_above(&mut self, conn: &mut Conn) {
        let has_it = conn.seen >= self.round;
        self.data_watchers += (conn.seen != self.round + 1) as u64;
        conn.seen = self.round + 1;
        if !has_it {
            self.deliver(conn);
        }
    }

    fn deliver(&mut self, conn: &Conn) {
        let ids: *const [Id] = &*conn.auth;
        let may_read = match self.verdict {
            Some((same, verdict)) if std::ptr::eq(same, ids) => verdict,
            _ => {
                let verdict = (self.may_read)(self.change.acl.as_deref(), &conn.auth);
                self.verdict = Some((ids, verdict));
                verdict
            }
        };
        if !may_read {
            return;
        }
        let Event { change, effect, out, .. } = self;
        let range = self.frame.get_or_insert_with(|| {
            let start = out.frames.len();
            write_event(effect.event, &change.path, change.zxid, &mut out.frames);
            start..out.frames.len()
        });
        self.out.deliveries.push(Delivery { conn: conn.id, range: range.clone(), is_reply: false });
        self.delivered += 1;
    }

    fn count(self, kind: ChangeKind, fired: &mut Fired) {
        let woken = match kind {
            ChangeKind::Created => &mut fired.created,
            ChangeKind::Deleted => &mut fired.deleted,
            ChangeKind::DataChanged => &mut fired.data_changed,
            ChangeKind::ChildrenChanged => &mut fired.children_changed,
        };
        *woken += Woken::count(self.data_watchers);
        *woken += Woken::count(self.child_watchers);
        fired.events += self.delivered;
        fired.bytes += self.delivered * self.frame.map_or(0, |frame| frame.len() as u64 - 4);
    }
}
