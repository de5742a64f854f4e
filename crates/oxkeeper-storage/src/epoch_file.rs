//! `acceptedEpoch` and `currentEpoch`: one decimal number each, replaced atomically and durably.
//!
//! Owns the two files (DK076, decimal text; DK077, written beside and renamed). When each may change is the business of `oxkeeper-zab`.

use crate::disk::{Disk, read_all};
use crate::error::{StorageError, StorageResult};
use crate::names::tmp_name;
use oxkeeper_types::Epoch;
use std::io;
use std::path::Path;

/// Writes `<name>.tmp`, syncs it, renames it over `<name>`, syncs the directory: after a crash the file holds the old
/// number or the new one.
pub fn write_epoch(disk: &dyn Disk, dir: &Path, name: &str, epoch: Epoch) -> StorageResult<()> {
    let (path, tmp) = (dir.join(name), dir.join(tmp_name(name)));
    let file = disk.create(&tmp).map_err(|e| StorageError::io("create", &tmp, e))?;
    file.write_at(0, epoch.0.to_string().as_bytes()).map_err(|e| StorageError::io("write", &tmp, e))?;
    file.sync_data().map_err(|e| StorageError::io("sync", &tmp, e))?;
    drop(file);
    disk.rename(&tmp, &path).map_err(|e| StorageError::io("rename to", &path, e))?;
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync directory", dir, e))
}

/// The number in the file; `None` where there is no file.
pub fn read_epoch(disk: &dyn Disk, dir: &Path, name: &str) -> StorageResult<Option<Epoch>> {
    let path = dir.join(name);
    let bytes = match read_all(disk, &path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StorageError::io("read", &path, e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    match text.lines().next().unwrap_or("").trim().parse() {
        Ok(number) => Ok(Some(Epoch(number))),
        Err(_) => Err(StorageError::BadEpochFile { path, got: text.chars().take(40).collect() }),
    }
}
