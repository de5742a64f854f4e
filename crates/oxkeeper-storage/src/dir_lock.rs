//! One server per data directory: a lock that the system drops with the process, however it ends.
//!
//! Recovery cuts and removes files, so a second server on the same directory would damage the first one's. The Java server
//! takes no lock; running one beside us on one directory is as harmful as two of it.

use crate::error::{StorageError, StorageResult};
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Name of the locked file in the data directory. It stays there and holds nothing.
pub const LOCK_FILE: &str = "oxkeeper.lock";

/// Held as long as the server runs.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Locks `dir`, which must exist.
    pub fn take(dir: &Path) -> StorageResult<DirLock> {
        let path = dir.join(LOCK_FILE);
        let file = File::create(&path).map_err(|e| StorageError::io("create", &path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(TryLockError::Error(error)) => Err(StorageError::io("lock", &path, error)),
            Err(TryLockError::WouldBlock) => {
                let text = "another server uses this data directory; stop it, or give this one a dataDir of its own";
                Err(StorageError::io("lock", &path, io::Error::new(io::ErrorKind::ResourceBusy, text)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_serves_one_server_at_a_time() {
        let dir = std::env::temp_dir().join(format!("oxkeeper-lock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let first = DirLock::take(&dir).unwrap();
        let refused = DirLock::take(&dir).unwrap_err().to_string();
        assert!(refused.contains("another server uses this data directory"), "{refused}");
        drop(first);
        DirLock::take(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
