//! The one place of this crate that touches the disk: reads a small text file.

use std::io;
use std::path::Path;

/// Bytes: a configuration file that is longer is no configuration file.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The file's text, `None` if there is no such file. Text that is not UTF-8 is read as ISO 8859-1, which the reference takes
/// every properties file for.
pub fn read_text(path: &Path) -> io::Result<Option<String>> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX => {
            let text = format!("{} bytes; a configuration file has at most {FILE_BYTES_MAX}", meta.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        // A file in the place of its directory is for whoever needs the directory to tell.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        _ => {}
    }
    let bytes = std::fs::read(path)?;
    Ok(Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.as_bytes().iter().map(|&byte| char::from(byte)).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_none_and_old_encodings_are_read() {
        let dir = std::env::temp_dir().join(format!("oxkeeper-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("zoo.cfg");
        assert_eq!(read_text(&path).unwrap(), None);
        std::fs::write(&path, b"dataDir=/d\xe9").unwrap();
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("dataDir=/d\u{e9}"));
        std::fs::write(&path, "dataDir=/d\u{e9}").unwrap();
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("dataDir=/d\u{e9}"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
