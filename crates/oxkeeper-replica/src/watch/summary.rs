//! What an operator sees of the watches (`wchs`, `wchc`, `wchp`, and `/commands/watches…`). Formats nothing.
//!
//! As in the reference, only what its data manager would hold: child watches are counted by [`WatchTable::count`] alone.

use super::kinds::Modes;
use super::paths::PathId;
use super::table::WatchTable;
use super::watchers::{Slot, Word};
use oxkeeper_types::SessionId;

/// The numbers of `wchs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Connections that have registered; those too whose watches have all fired.
    pub connections: usize,
    pub paths: usize,
    /// Pairs of connection and path.
    pub watches: usize,
}

impl WatchTable {
    /// In constant time.
    pub fn summary(&self) -> Summary {
        Summary { connections: self.counts.listed, paths: self.counts.data_paths, watches: self.counts.data }
    }

    /// The watched paths of each session, both in order. Expensive with many watches.
    pub fn by_session(&self) -> Vec<(SessionId, Vec<&str>)> {
        let listed = self.conns.iter().enumerate().filter_map(|(slot, conn)| Some((slot as u32, conn.as_ref()?)));
        let mut all: Vec<_> = listed
            .filter(|(_, conn)| conn.is_listed)
            .map(|(slot, conn)| {
                let is_data = |path: &PathId| {
                    let word = self.paths.word(*path);
                    let modes = match word.as_list() {
                        Some(list) => self.lists[list as usize].modes(Slot(slot)),
                        None => word.modes(),
                    };
                    modes.any(Modes::DATA)
                };
                let mut paths: Vec<_> =
                    conn.paths.iter().filter(|path| is_data(path)).map(|&path| self.paths.text(path)).collect();
                paths.sort_unstable();
                (conn.session, conn.id, paths)
            })
            .collect();
        all.sort_by_key(|(session, conn, _)| (*session, *conn));
        all.into_iter().map(|(session, _, paths)| (session, paths)).collect()
    }

    /// The sessions that watch each path, paths in order, sessions as they came. Expensive with many watches.
    pub fn by_path(&self) -> Vec<(&str, Vec<SessionId>)> {
        let session = |word: &Word| self.conns[word.slot().0 as usize].as_ref().map(|conn| conn.session);
        let mut all = Vec::new();
        for path in self.paths.ids() {
            let word = self.paths.word(path);
            let words: Vec<Word> = match word.as_list() {
                Some(list) => self.lists[list as usize].iter().collect(),
                None => vec![word],
            };
            let sessions: Vec<SessionId> =
                words.iter().filter(|word| word.modes().any(Modes::DATA)).filter_map(session).collect();
            if !sessions.is_empty() {
                all.push((self.paths.text(path), sessions));
            }
        }
        all.sort_unstable_by_key(|(path, _)| *path);
        all
    }
}
