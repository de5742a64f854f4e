//! The list of members, kept beside the configuration file: `<zoo.cfg>.dynamic.<version>`, and the pointer to it in zoo.cfg
//! (reference `QuorumPeer.setQuorumVerifier`). Only where `reconfigEnabled` allows it.
//!
//! Must not decide which list counts.

use oxkeeper_config::rewrite;
use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::Ensemble;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
pub struct MembersFile {
    config_file: PathBuf,
    me: ServerId,
    /// One at a time.
    writing: Mutex<()>,
}

impl MembersFile {
    pub fn new(config_file: PathBuf, me: ServerId) -> MembersFile {
        MembersFile { config_file, me, writing: Mutex::default() }
    }

    /// Writes the list, in a thread of its own. As in the reference the server goes on where that fails.
    pub fn begin(self: &Arc<MembersFile>, members: Ensemble) {
        let this = self.clone();
        let work = move || match this.write(&members) {
            Ok(file) => tracing::info!("the list of members is in {file}"),
            Err(error) => {
                let (file, version) = (this.config_file.display(), members.version());
                tracing::error!(
                    "the list of members of version {version} cannot be written beside {file}, so the next start begins with \
                     the one before: {error}"
                );
            }
        };
        if let Err(error) = std::thread::Builder::new().name("members-file".into()).spawn(work) {
            tracing::error!("no thread to write the list of members: {error}");
        }
    }

    /// The list first, then the pointer to it: after a crash between the two the next start begins with the list before.
    fn write(&self, members: &Ensemble) -> io::Result<String> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let dynamic = rewrite::dynamic_file_name(&self.config_file.to_string_lossy(), members);
        replace(Path::new(&dynamic), &rewrite::dynamic_file(members, false))?;
        let me = members.member(self.me);
        let client_address_is_listed = me.is_some_and(|me| me.client.is_some() && !me.client_from_static);
        let text = fs::read_to_string(&self.config_file)?;
        let text = rewrite::static_file(&text, &dynamic, client_address_is_listed)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("line {}: malformed \\u", error.line)))?;
        replace(&self.config_file, &text)?;
        Ok(dynamic)
    }
}

/// Holds the old text or the new one after a crash.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let new = PathBuf::from(name);
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}
