//! [`Disk`] over the file system of the operating system.
//!
//! Owns system calls on files. Must not know formats or what the files are for.

use crate::disk::{DirEntry, Disk, DiskFile, is_whole_blocks};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The file system of the machine. Has no state: copies are the same disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        boxed(OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path))
    }
    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let direct = open_direct(path).ok();
        Ok(Box::new(RealFile {
            file,
            direct,
            direct_refused: AtomicBool::new(false),
            unsynced: AtomicBool::new(false),
        }))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        boxed(OpenOptions::new().read(true).write(true).open(path))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        boxed(File::open(path))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A file may go between the listing and the look at it (purge, another tool): then it was never there.
            let Ok(meta) = fs::metadata(entry.path()) else { continue };
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                entries.push(DirEntry { name, length: meta.len() });
            }
        }
        entries.sort();
        Ok(entries)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }
    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }
    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Only Unix lets a directory be opened and synced; elsewhere the rename itself is what there is.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }
}

struct RealFile {
    file: File,
    /// The same file, opened `O_DIRECT | O_DSYNC`: a write goes from our memory to the disk, and returns when it is durable.
    direct: Option<File>,
    /// The file system took the flags and then refused a write.
    direct_refused: AtomicBool,
    /// Written through `file` since the last sync: a direct write alone need not make that durable.
    unsynced: AtomicBool,
}

fn boxed(file: io::Result<File>) -> io::Result<Box<dyn DiskFile>> {
    let (direct_refused, unsynced) = Default::default();
    Ok(Box::new(RealFile { file: file?, direct: None, direct_refused, unsynced }))
}

impl RealFile {
    /// Where this write can go past the page cache.
    fn direct_for(&self, offset: u64, bytes: &[u8]) -> Option<&File> {
        self.direct.as_ref().filter(|_| is_whole_blocks(offset, bytes) && !self.direct_refused.load(Relaxed))
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match read_once(&self.file, &mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.unsynced.store(true, Relaxed);
        write_all(&self.file, bytes, offset)
    }
    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(direct) = self.direct_for(offset, bytes) {
            match write_all(direct, bytes, offset) {
                // Blocks larger than ours, or a file system that changed its mind: the page cache takes everything.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct_refused.store(true, Relaxed),
                Ok(()) if self.unsynced.load(Relaxed) => return self.sync_data(),
                other => return other,
            }
        }
        self.write_at(offset, bytes)?;
        self.sync_data()
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.unsynced.store(false, Relaxed);
        Ok(())
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        allocate(&self.file, length)
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

#[cfg(unix)]
fn read_once(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, offset)
}
#[cfg(unix)]
fn write_all(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}
#[cfg(windows)]
fn read_once(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, offset)
}
#[cfg(windows)]
fn write_all(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        done += std::os::windows::fs::FileExt::seek_write(file, &bytes[done..], offset + done as u64)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::DIRECT | OFlags::DSYNC;
    OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path)
}
#[cfg(not(target_os = "linux"))]
fn open_direct(_: &Path) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, length: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        // File systems that cannot reserve (NFS, some FUSE) still extend with zeros.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(length),
        other => Ok(other?),
    }
}
#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, length: u64) -> io::Result<()> {
    file.set_len(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = crate::disk::BLOCK_BYTES as usize;

    #[test]
    fn files_do_what_the_contract_says() {
        let dir = std::env::temp_dir().join(format!("oxkeeper-real-disk-{}", std::process::id()));
        let (a, b) = (dir.join("sub/a"), dir.join("sub/b"));
        RealDisk.create_dir_all(&dir.join("sub")).unwrap();
        let file = RealDisk.create(&a).unwrap();
        file.write_at(3, b"xyz").unwrap();
        file.allocate(1 << 20).unwrap();
        file.sync_data().unwrap();
        let mut bytes = [1; 8];
        assert_eq!(RealDisk.open_read(&a).unwrap().read_at(0, &mut bytes).unwrap(), 8);
        assert_eq!((&bytes, file.length().unwrap()), (b"\0\0\0xyz\0\0", 1 << 20));
        file.set_length(5).unwrap();
        assert_eq!(file.read_at(3, &mut bytes).unwrap(), 2);
        RealDisk.rename(&a, &b).unwrap();
        RealDisk.sync_dir(&dir.join("sub")).unwrap();
        assert_eq!(RealDisk.list(&dir.join("sub")).unwrap(), [DirEntry { name: "b".into(), length: 5 }]);
        assert!(RealDisk.list(&dir).unwrap().is_empty(), "directories are not listed");
        assert_eq!(RealDisk.open(&a).err().unwrap().kind(), io::ErrorKind::NotFound);
        assert_eq!(RealDisk.create(&b).unwrap().length().unwrap(), 0, "made empty");
        RealDisk.remove(&b).unwrap();
        assert!(!RealDisk.exists(&b) && RealDisk.is_dir(&dir));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn durable_writes_of_blocks_and_of_anything_else_are_one_file() {
        let path = std::env::temp_dir().join(format!("oxkeeper-real-disk-direct-{}", std::process::id()));
        let file = RealDisk.create_direct(&path).unwrap();
        file.allocate(1 << 20).unwrap();
        let memory = vec![7; 4 * BLOCK];
        let start = memory.as_ptr().align_offset(BLOCK);
        let mut wanted = vec![0; 6 * BLOCK];
        for (offset, bytes) in [
            (0, &memory[start..start + 2 * BLOCK]),
            (100, b"in the page cache".as_slice()),
            (BLOCK, &memory[start..start + BLOCK]),
            (5 * BLOCK - 3, b"across blocks"),
        ] {
            file.write_durable_at(offset as u64, bytes).unwrap();
            wanted[offset..offset + bytes.len()].copy_from_slice(bytes);
            file.write_at(3 * BLOCK as u64, b"not durable by itself").unwrap();
        }
        wanted[3 * BLOCK..3 * BLOCK + 21].copy_from_slice(b"not durable by itself");
        let mut found = vec![1; wanted.len()];
        RealDisk.open_read(&path).unwrap().read_at(0, &mut found).unwrap();
        assert!(found == wanted, "the file is not what was written");
        assert_eq!(file.length().unwrap(), 1 << 20);
        RealDisk.remove(&path).unwrap();
    }
}
