//! A disk in memory that fails on purpose, for crash tests and the simulator.
//!
//! Which faults it may inject, and why each may happen on a real machine:
//!
//! - **Unsynced bytes are lost, kept, or kept in part.** A write reaches the page cache; pages go to the device whenever the
//!   kernel likes. After a crash of the process all of them are there; after a loss of power any beginning of what was written
//!   since the last sync may be ([`Loss::Random`] cuts at any byte, which is finer than hardware does), or, since pages of
//!   one write go out in any order, any subset of 512-byte sectors. A sector itself is written whole or not at all. Direct
//!   writes lose the same way until they return: here they are a write and a sync, and a crash may come between the two.
//! - **Unsynced names are in their old or new state**, in the order in which they were changed: directories are
//!   journaled, so a later change never survives an earlier one of the same file system that was lost.
//! - **A call fails**: a write in part, a sync with everything since the last one forgotten (Linux marks the pages clean after
//!   a failed write-back, so that a second sync succeeds and means nothing), a full disk, any other call without effect.
//! - **The process stops** between two calls, or in the middle of a write.
//!
//! Which it must not inject: bytes that were synced stay as they are, and a name that was synced stays. Rot of stored
//! bytes is another matter: it is detected, not survived, and tests damage files through [`FaultDisk::damage`].

use crate::disk::{DirEntry, Disk, DiskFile, is_whole_blocks};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

const SECTOR_BYTES: usize = 512;

/// A disk in memory; clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
}

/// What a crash does to that which was not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The process stops, the machine goes on: all is kept, and what was not synced still is not.
    Nothing,
    /// Power goes before anything was written back.
    Everything,
    /// Drawn from a seed, file by file: nothing, everything, a beginning cut at any byte, or a subset of sectors.
    Random(u64),
}

/// How a call fails that was chosen to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The call fails without effect, but a write is done in half, and a sync forgets what it should have kept.
    Once(io::ErrorKind),
    /// The process stops: this call and all later ones fail until [`FaultDisk::crash`].
    Stop,
}

#[derive(Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since they were last synced, oldest first.
    pending_names: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    /// Calls that change something, syncs among them.
    calls: u64,
    /// Fail at this count of calls.
    planned: Option<(u64, Fault)>,
    stopped: bool,
    /// Bytes that all files may have together.
    capacity: Option<u64>,
    /// Durable writes that a real disk could take past the page cache, and others.
    durable_writes: (u64, u64),
}

#[derive(Default)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, oldest first.
    pending: Vec<Change>,
    /// A sync failed: `durable` is more than `pending` behind.
    diverged: bool,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, u64),
    Remove(PathBuf),
}

impl FaultDisk {
    pub fn new() -> FaultDisk {
        FaultDisk::default()
    }
    /// Calls so far that change something.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }
    /// Durable writes so far: of whole blocks in aligned memory, which may go past the page cache of a real disk, and others.
    pub fn durable_writes(&self) -> (u64, u64) {
        self.lock().durable_writes
    }
    /// Lets the `nth` such call from now on fail, counted from 1.
    pub fn fail_call(&self, nth: u64, fault: Fault) {
        let mut state = self.lock();
        state.planned = Some((state.calls + nth, fault));
    }
    /// Takes back a planned failure and ends a stop, without loss.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.planned = None;
        state.stopped = false;
        state.capacity = None;
    }
    /// The disk is full when all files together have this many bytes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// The process or the machine goes down and comes back. Files opened before must not be used any more.
    pub fn crash(&self, loss: Loss) {
        let mut random = Random(match loss {
            Loss::Random(seed) => seed,
            _ => 0,
        });
        let mut state = self.lock();
        state.stopped = false;
        state.planned = None;
        if loss == Loss::Nothing {
            return;
        }
        let kept_names = match loss {
            Loss::Random(_) => random.below(state.pending_names.len() + 1),
            _ => 0,
        };
        let kept: Vec<NameChange> = state.pending_names.drain(..).take(kept_names).collect();
        for change in kept {
            change.apply(&mut state.durable_names);
        }
        for inode in state.inodes.values_mut() {
            let content = match loss {
                Loss::Random(_) => inode.after_power_loss(&mut random),
                _ => inode.durable.clone(),
            };
            *inode = Inode { bytes: content.clone(), durable: content, ..Inode::default() };
        }
        state.names = state.durable_names.clone();
        let named: BTreeSet<u64> = state.names.values().copied().collect();
        state.inodes.retain(|id, _| named.contains(id));
    }

    /// Changes stored bytes behind everybody's back: rot.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let id = *state.names.get(path).unwrap_or_else(|| panic!("no file {}", path.display()));
        let inode = state.inodes.get_mut(&id).expect("named inodes exist");
        assert!(inode.pending.is_empty(), "{} has unsynced bytes", path.display());
        change(&mut inode.bytes);
        inode.durable = inode.bytes.clone();
    }

    /// A file as it is now.
    pub fn bytes_of(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        Some(state.inodes[state.names.get(path)?].bytes.clone())
    }

    /// All files as they are now, another disk without faults.
    pub fn copy(&self) -> FaultDisk {
        let state = self.lock();
        let content =
            |inode: &Inode| Inode { bytes: inode.bytes.clone(), durable: inode.bytes.clone(), ..Inode::default() };
        let copied = State {
            inodes: state.inodes.iter().map(|(id, inode)| (*id, content(inode))).collect(),
            next_inode: state.next_inode,
            names: state.names.clone(),
            durable_names: state.names.clone(),
            dirs: state.dirs.clone(),
            ..State::default()
        };
        FaultDisk { state: Arc::new(Mutex::new(copied)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the disk")
    }
}

impl State {
    /// Counts a call that changes something, and fails it if its time has come.
    fn count_call(&mut self) -> io::Result<()> {
        self.check_running()?;
        self.calls += 1;
        match self.planned {
            Some((at, fault)) if self.calls >= at => {
                self.planned = None;
                match fault {
                    Fault::Once(kind) => Err(io::Error::new(kind, "injected failure")),
                    Fault::Stop => {
                        self.stopped = true;
                        Err(stopped())
                    }
                }
            }
            _ => Ok(()),
        }
    }
    fn check_running(&self) -> io::Result<()> {
        if self.stopped { Err(stopped()) } else { Ok(()) }
    }
    fn inode_of(&self, path: &Path) -> io::Result<u64> {
        self.check_running()?;
        self.names.get(path).copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
    fn check_dir(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new(""));
        if self.dirs.contains(dir) { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotFound, "no such directory")) }
    }
    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }
    fn check_room(&self, id: u64, length: usize) -> io::Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let others: usize = self.inodes.iter().filter(|(other, _)| **other != id).map(|(_, i)| i.bytes.len()).sum();
        if (others + length) as u64 > capacity {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "injected: no space left"));
        }
        Ok(())
    }
    fn inode(&mut self, id: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&id).ok_or_else(|| io::Error::other("file handle of before the crash"))
    }
}

fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "injected: the process has stopped")
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameChange::Set(path, id) => {
                // A rename takes the inode's old name away in the same step.
                names.retain(|_, other| other != id);
                names.insert(path.clone(), *id);
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
        }
    }
    fn dir(&self) -> &Path {
        let (NameChange::Set(path, _) | NameChange::Remove(path)) = self;
        path.parent().unwrap_or(Path::new(""))
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        apply_write(&mut self.bytes, offset, bytes);
        self.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    /// Only what was changed is copied: files are long and syncs are many.
    fn sync(&mut self) {
        if std::mem::take(&mut self.diverged) {
            self.durable = self.bytes.clone();
        } else {
            self.pending.iter().for_each(|change| change.apply_part(&mut self.durable, change.weight()));
        }
        self.pending.clear();
    }

    fn after_power_loss(&self, random: &mut Random) -> Vec<u8> {
        let mut content = self.durable.clone();
        match random.below(4) {
            0 => {}
            1 => content = self.bytes.clone(),
            2 => {
                let total: usize = self.pending.iter().map(Change::weight).sum();
                let mut left = random.below(total + 1);
                for change in &self.pending {
                    let taken = left.min(change.weight());
                    change.apply_part(&mut content, taken);
                    left -= taken;
                }
            }
            _ => {
                let keep_percent = 1 + random.below(99);
                for change in &self.pending {
                    change.apply_sectors(&mut content, random, keep_percent);
                }
            }
        }
        content
    }
}

impl Change {
    /// In units at which a crash may cut: bytes of a write, 1 for a change of length.
    fn weight(&self) -> usize {
        match self {
            Change::Write { bytes, .. } => bytes.len(),
            Change::Length(_) => 1,
        }
    }
    fn apply_part(&self, content: &mut Vec<u8>, taken: usize) {
        match self {
            Change::Write { offset, bytes } if taken > 0 => apply_write(content, *offset, &bytes[..taken]),
            Change::Length(length) if taken > 0 => content.resize(*length, 0),
            _ => {}
        }
    }
    fn apply_sectors(&self, content: &mut Vec<u8>, random: &mut Random, keep_percent: usize) {
        match self {
            // Lengths are metadata, which is journaled in order.
            Change::Length(length) => content.resize(*length, 0),
            Change::Write { offset, bytes } => {
                if content.len() < offset + bytes.len() {
                    content.resize(offset + bytes.len(), 0);
                }
                let mut at = 0;
                while at < bytes.len() {
                    let end = (at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES).min(bytes.len());
                    if random.below(100) < keep_percent {
                        content[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

fn apply_write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Disk for FaultDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.count_call()?;
        state.check_dir(path)?;
        let id = match state.names.get(path) {
            Some(id) => {
                let id = *id;
                let inode = state.inode(id)?;
                inode.bytes.clear();
                inode.pending.push(Change::Length(0));
                id
            }
            None => {
                let id = state.next_inode;
                state.next_inode += 1;
                state.inodes.insert(id, Inode::default());
                state.change_name(NameChange::Set(path.to_path_buf(), id));
                id
            }
        };
        Ok(Box::new(FaultFile { disk: self.clone(), id }))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let id = self.lock().inode_of(path)?;
        Ok(Box::new(FaultFile { disk: self.clone(), id }))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.count_call()?;
        let id = state.inode_of(from)?;
        state.change_name(NameChange::Set(to.to_path_buf(), id));
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.count_call()?;
        state.inode_of(path)?;
        state.change_name(NameChange::Remove(path.to_path_buf()));
        Ok(())
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.lock();
        state.check_running()?;
        let inside = state.names.iter().filter(|(path, _)| path.parent() == Some(dir));
        let mut entries: Vec<DirEntry> = inside
            .map(|(path, id)| DirEntry {
                name: path.file_name().expect("names end in a name").to_string_lossy().into_owned(),
                length: state.inodes[id].bytes.len() as u64,
            })
            .collect();
        entries.sort();
        Ok(entries)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.count_call()?;
        for ancestor in dir.ancestors() {
            state.dirs.insert(ancestor.to_path_buf());
        }
        Ok(())
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.lock().dirs.contains(path)
    }
    fn exists(&self, path: &Path) -> bool {
        let state = self.lock();
        state.names.contains_key(path) || state.dirs.contains(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.count_call()?;
        // The journal is one: what was changed before the last change of this directory becomes durable with it.
        let through = state.pending_names.iter().rposition(|change| change.dir() == dir).map_or(0, |last| last + 1);
        let synced: Vec<NameChange> = state.pending_names.drain(..through).collect();
        for change in synced {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }
}

struct FaultFile {
    disk: FaultDisk,
    id: u64,
}

impl DiskFile for FaultFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock();
        state.check_running()?;
        let bytes = &state.inode(self.id)?.bytes;
        let start = (offset as usize).min(bytes.len());
        let n = into.len().min(bytes.len() - start);
        into[..n].copy_from_slice(&bytes[start..start + n]);
        Ok(n)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check_running()?;
        let counted = state.count_call();
        let length = state.inode(self.id)?.bytes.len().max(offset as usize + bytes.len());
        let result = counted.and_then(|()| state.check_room(self.id, length));
        let done = if result.is_ok() { bytes.len() } else { bytes.len() / 2 };
        state.inode(self.id)?.write(offset as usize, &bytes[..done]);
        result
    }
    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let (blocks, others) = &mut state.durable_writes;
        *(if is_whole_blocks(offset, bytes) { blocks } else { others }) += 1;
        drop(state);
        self.write_at(offset, bytes)?;
        self.sync_data()
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.check_running()?;
        let counted = state.count_call();
        let stopped = state.stopped;
        let inode = state.inode(self.id)?;
        match &counted {
            Ok(()) => inode.sync(),
            Err(_) if stopped => return counted,
            // The pages are clean now and were never written.
            Err(_) => {
                inode.pending.clear();
                inode.diverged = true;
            }
        }
        counted
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.count_call()?;
        state.check_room(self.id, length as usize)?;
        let inode = state.inode(self.id)?;
        inode.bytes.resize(length as usize, 0);
        inode.pending.push(Change::Length(length as usize));
        Ok(())
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        if length <= self.length()? { Ok(()) } else { self.set_length(length) }
    }
    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.check_running()?;
        Ok(state.inode(self.id)?.bytes.len() as u64)
    }
}

/// A small generator (splitmix64), so that a seed means the same crash everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// 0..n
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }
}
