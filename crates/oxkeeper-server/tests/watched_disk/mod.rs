//! A disk in memory that a test looks over the shoulder of: it may hold a call back, or fail.
#![allow(dead_code)]

use oxkeeper_storage::disk::{DirEntry, Disk, DiskFile};
use oxkeeper_storage::fault_disk::FaultDisk;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

/// What is about to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Create,
    Sync,
}

type Before = Arc<dyn Fn(Call) + Send + Sync>;

pub struct WatchedDisk {
    disk: FaultDisk,
    before: Before,
}

struct WatchedFile {
    file: Box<dyn DiskFile>,
    before: Before,
}

impl WatchedDisk {
    pub fn new(before: impl Fn(Call) + Send + Sync + 'static) -> WatchedDisk {
        WatchedDisk { disk: FaultDisk::new(), before: Arc::new(before) }
    }
    fn watched(&self, file: io::Result<Box<dyn DiskFile>>) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(WatchedFile { file: file?, before: self.before.clone() }))
    }
}

impl Disk for WatchedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        (self.before)(Call::Create);
        self.watched(self.disk.create(path))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.watched(self.disk.open(path))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open_read(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.disk.is_dir(path)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl DiskFile for WatchedFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        (self.before)(Call::Sync);
        self.file.sync_data()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
}

/// Syncs wait here while it is shut. Dropped, it is open.
#[derive(Clone, Default)]
pub struct Gate {
    shut: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    pub fn disk(&self) -> WatchedDisk {
        let gate = self.clone();
        WatchedDisk::new(move |call| {
            if call == Call::Sync {
                gate.pass();
            }
        })
    }
    pub fn shut(&self) -> Shut<'_> {
        self.set(true);
        Shut(self)
    }
    fn set(&self, shut: bool) {
        *self.shut.0.lock().unwrap() = shut;
        self.shut.1.notify_all();
    }
    fn pass(&self) {
        let mut shut = self.shut.0.lock().unwrap();
        while *shut {
            shut = self.shut.1.wait(shut).unwrap();
        }
    }
}

/// As long as this is there.
pub struct Shut<'a>(&'a Gate);

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
