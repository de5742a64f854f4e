//! What a configuration file leads to: values, warnings and errors, word for word.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use oxkeeper_types::ensemble::Role;
use oxkeeper_types::{ServerId, Zxid};
use proptest::prelude::*;

use crate::options::{self, Kind, OptionDef, Status};
use crate::*;

mod any_text;
mod keys;
mod members;
mod one_server;
mod values;

/// Files beside the configuration, by path.
type Files<'a> = &'a [(&'a str, &'a str)];

fn inputs(text: &str) -> Inputs {
    Inputs { main: MainSource::File { path: "zoo.cfg".to_string(), text: text.to_string() }, ..Inputs::default() }
}

fn reading<'a>(files: Files<'a>) -> impl FnMut(&Path) -> io::Result<Option<String>> + 'a {
    move |path| Ok(files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| text.to_string()))
}

fn load_with(text: &str, files: Files) -> Result<Config, ConfigError> {
    Config::load(&inputs(text), &mut reading(files))
}

/// A configuration that is fine but for `text`, without other files.
fn load(text: &str) -> Config {
    load_with(&base(text), &[]).unwrap()
}

fn base(text: &str) -> String {
    let mut all = text.to_string();
    for (key, line) in [("dataDir", "dataDir=/data"), ("clientPort", "clientPort=2181")] {
        if !text.lines().any(|l| l.trim_start().starts_with(key)) {
            all.push('\n');
            all.push_str(line);
        }
    }
    all
}

fn refused(text: &str) -> String {
    load_with(&base(text), &[]).expect_err(text).to_string()
}

fn warnings(config: &Config) -> Vec<String> {
    config.warnings.iter().map(Warning::to_string).collect()
}

fn with_property(text: &str, key: &str, value: &str) -> Config {
    let mut inputs = inputs(&base(text));
    inputs.properties.push((key.to_string(), value.to_string()));
    Config::load(&inputs, &mut reading(&[])).unwrap()
}

const THREE: &str =
    "initLimit=10\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer\nserver.4=d:1:2\n";
const MYID: Files = &[("/data/myid", "1\n")];

fn ensemble(text: &str) -> Config {
    load_with(&base(&format!("{THREE}{text}")), MYID).unwrap()
}

fn ensemble_refused(text: &str, files: Files) -> String {
    load_with(&base(text), files).expect_err(text).to_string()
}
