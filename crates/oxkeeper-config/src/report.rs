//! What configuration says to the operator: errors that stop the start, warnings that do not.
//!
//! Owns the texts, which tests compare word for word. Must not decide what is wrong.

use std::fmt;

use oxkeeper_types::ensemble::EnsembleError;
use thiserror::Error;

/// Where a value was written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct At {
    /// File, variable or "command line".
    pub source: String,
    /// Line in a file, from 1.
    pub line: Option<usize>,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

/// Something odd that does not stop the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// `None`: about the configuration as a whole.
    pub at: Option<At>,
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Why the server cannot start with this configuration.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ConfigError {
    /// Not a properties file.
    #[error("{at}: \\u is not followed by four hexadecimal digits; write a backslash as \\\\")]
    Escape { at: At },
    /// A value that its key does not allow. `key` is shown as it was written, `value` hidden if it is a secret.
    #[error("{at}: {key}={value}: expected {allowed}")]
    Value { at: At, key: String, value: String, allowed: String },
    /// A key that has to be there.
    #[error("{file}: {key} is not set; {advice}")]
    Missing { file: String, key: &'static str, advice: &'static str },
    /// Keys that do not go together.
    #[error("{at}: {text}")]
    Conflict { at: At, text: String },
    /// The list of members.
    #[error("{at}: {error}")]
    Ensemble { at: At, error: EnsembleError },
    /// A file that cannot be read.
    #[error("{path}: cannot be read ({reason}); {advice}")]
    File { path: String, reason: String, advice: String },
    /// The number of arguments or an argument in the short form of the command line.
    #[error("command line: {text}")]
    Arguments { text: String },
}
