//! Where values come from, and which of them wins: zoo.cfg, then `-D` on the command line, then JVMFLAGS, then SERVER_JVMFLAGS.
//!
//! Owns the merging. Must not know what a value means. Pure: the caller hands in texts, and a closure that reads a file.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::options::{OptionDef, Place};
use crate::properties::{self, Entry};
use crate::report::{At, ConfigError};

/// What the server was started with.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    pub main: MainSource,
    /// `-Dkey=value` of the command line, without the `-D`: key and value, in order.
    pub properties: Vec<(String, String)>,
    /// Environment variable SERVER_JVMFLAGS; `-D` words in it are system properties.
    pub server_jvmflags: String,
    /// Environment variable JVMFLAGS; it comes after SERVER_JVMFLAGS on Java's command line, so it wins.
    pub jvmflags: String,
}

/// What stands in place of zoo.cfg.
#[derive(Clone, Debug, Default)]
pub enum MainSource {
    /// No file: client port 2181, data in `./oxkeeper-data`.
    #[default]
    Defaults,
    /// A configuration file.
    File {
        /// Its path, as messages show it; `dynamicConfigFile` of the next start is found beside it.
        path: String,
        text: String,
    },
    /// `port dataDir [tickTime] [maxClientCnxns]`, the reference's short form for a server on its own.
    Arguments(Vec<String>),
}

/// Reads a file to the end; `Ok(None)` if there is none.
pub type ReadFile<'a> = dyn FnMut(&Path) -> io::Result<Option<String>> + 'a;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub at: At,
    /// As written there: `tickTime`, `-Dzookeeper.snapCount`.
    pub key: String,
    pub value: String,
}

/// All values, ready to be asked for.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// What messages call the main source.
    pub main_name: String,
    pub entries: Vec<Entry>,
    /// System properties: value and where it was set.
    pub properties: BTreeMap<String, (String, At)>,
}

impl Sources {
    pub fn new(inputs: &Inputs) -> Result<Sources, ConfigError> {
        let (main_name, entries) = match &inputs.main {
            MainSource::Defaults => (
                "built-in defaults".to_string(),
                vec![entry("clientPort", "2181"), entry("dataDir", "./oxkeeper-data")],
            ),
            MainSource::File { path, text } => {
                let entries = properties::parse(text)
                    .map_err(|e| ConfigError::Escape { at: At { source: path.clone(), line: Some(e.line) } })?;
                (path.clone(), entries)
            }
            MainSource::Arguments(arguments) => ("command line".to_string(), of_arguments(arguments)?),
        };
        let mut properties = BTreeMap::new();
        for (source, flags) in [("SERVER_JVMFLAGS", &inputs.server_jvmflags), ("JVMFLAGS", &inputs.jvmflags)] {
            for (key, value) in flags.split_whitespace().filter_map(flag) {
                properties.insert(key, (value, At { source: source.to_string(), line: None }));
            }
        }
        for (key, value) in &inputs.properties {
            let at = At { source: "command line".to_string(), line: None };
            properties.insert(key.clone(), (value.clone(), at));
        }
        Ok(Sources { main_name, entries, properties })
    }

    pub fn entry(&self, key: &str) -> Option<Found> {
        self.entries.iter().find(|e| e.key == key).map(|e| self.found(e))
    }

    pub fn found(&self, entry: &Entry) -> Found {
        Found { at: self.at(entry), key: entry.key.clone(), value: entry.value.clone() }
    }

    pub fn at(&self, entry: &Entry) -> At {
        At { source: self.main_name.clone(), line: Some(entry.line).filter(|line| *line > 0) }
    }

    pub fn property(&self, name: &str) -> Option<Found> {
        let (value, at) = self.properties.get(name)?;
        Some(Found { at: at.clone(), key: format!("-D{name}"), value: value.trim().to_string() })
    }

    /// The value that counts for a row: the file's, else the first property that is set.
    pub fn find(&self, row: &OptionDef) -> Option<Found> {
        self.entry(row.name).or_else(|| row.properties().iter().find_map(|name| self.property(name)))
    }

    /// All members of a family, by what stands in place of the star; zoo.cfg wins over properties.
    pub fn family(&self, row: &OptionDef) -> BTreeMap<String, Found> {
        let prefix = row.name.trim_end_matches('*');
        let mut family = BTreeMap::new();
        if row.place == Place::Generic {
            let prefix = format!("zookeeper.{prefix}");
            for name in self.properties.keys() {
                if let (Some(end), Some(found)) = (name.strip_prefix(&prefix), self.property(name)) {
                    family.insert(end.to_string(), found);
                }
            }
        }
        for entry in self.entries.iter().filter(|e| row.covers(&e.key)) {
            family.insert(entry.key[prefix.len()..].to_string(), self.found(entry));
        }
        family
    }
}

fn entry(key: &str, value: &str) -> Entry {
    Entry { key: key.to_string(), value: value.to_string(), line: 0, line_last: 0 }
}

/// `-Dkey=value`, or `-Dkey` for an empty value.
fn flag(word: &str) -> Option<(String, String)> {
    let word = word.strip_prefix("-D").filter(|word| !word.is_empty())?;
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    Some((key.to_string(), value.to_string()))
}

/// Reference `ServerConfig.parse(String[])`.
fn of_arguments(arguments: &[String]) -> Result<Vec<Entry>, ConfigError> {
    if !(2..=4).contains(&arguments.len()) {
        let text = format!(
            "{} arguments; expected a configuration file, or: port dataDir [tickTime] [maxClientCnxns]",
            arguments.len()
        );
        return Err(ConfigError::Arguments { text });
    }
    let keys = ["clientPort", "dataDir", "tickTime", "maxClientCnxns"];
    Ok(keys.into_iter().zip(arguments).map(|(key, value)| entry(key, value.trim())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_flags_win_and_other_words_are_left_alone() {
        let sources = Sources::new(&Inputs {
            server_jvmflags: "-Xmx1g -Dzookeeper.a=1 -Db=2 -D -Dc".to_string(),
            jvmflags: " -Db=3\t-Dd=x=y ".to_string(),
            properties: vec![("d".to_string(), "4".to_string())],
            ..Inputs::default()
        })
        .unwrap();
        let all: Vec<_> = sources.properties.iter().map(|(k, (v, at))| format!("{k}={v} {at}")).collect();
        assert_eq!(all, ["b=3 JVMFLAGS", "c= SERVER_JVMFLAGS", "d=4 command line", "zookeeper.a=1 SERVER_JVMFLAGS"]);
    }
}
