//! `oxkeeper server`: reads the configuration, starts the server, waits for a signal.

use crate::huge_pages;
use clap::Args;
use oxkeeper_config::{Config, Inputs, MainSource, read_text, usage};
use oxkeeper_server::run::{lock_directory, start};
use oxkeeper_server::settings::Settings;
use oxkeeper_server::{seed, storage::RealDisk};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Level;

/// Exit code of a configuration that cannot be used (reference `ExitCode.INVALID_INVOCATION`).
const EXIT_CONFIG: u8 = 2;

#[derive(Args)]
pub struct ServerArguments {
    /// A system property as the Java server takes it: -Dzookeeper.snapCount=1000
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// The path of a zoo.cfg; or client port, data directory, and perhaps tick time and connection limit. Without any:
    /// port 2181, data in ./oxkeeper-data
    #[arg(value_name = "ZOO_CFG", num_args = 0..=4)]
    words: Vec<String>,
}

pub fn run(arguments: &ServerArguments) -> ExitCode {
    log_to_stderr(arguments);
    let config = match configuration(arguments) {
        Ok(config) => config,
        Err(text) => {
            tracing::error!("Invalid config, exiting abnormally: {text}");
            eprintln!("{}", usage("oxkeeper server"));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if config.admin.enabled {
        tracing::info!("commands over HTTP (admin.enableServer) are not built yet; the four-letter words answer");
    }
    if let Some(ensemble) = &config.ensemble {
        tracing::info!("Starting quorum peer, myid={}", ensemble.my_id.0);
    }
    serve(&config)
}

fn serve(config: &Config) -> ExitCode {
    // A second signal ends the process where it stands; the first one only sets the flag that arms that.
    let stopping = Arc::new(AtomicBool::new(false));
    let armed = [SIGTERM, SIGINT].iter().try_for_each(|signal| {
        signal_hook::flag::register_conditional_shutdown(*signal, 130, stopping.clone())?;
        signal_hook::flag::register(*signal, stopping.clone()).map(drop)
    });
    let signals = armed.and_then(|()| signal_hook::iterator::Signals::new([SIGTERM, SIGINT]));
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot handle signals: {error}"), 1),
    };
    let settings = match Settings::from_config(config, seed::from_system()) {
        Ok(settings) => settings,
        Err(error) => return failed(&error.to_string(), EXIT_CONFIG),
    };
    let started = lock_directory(&settings.files).and_then(|lock| Ok((start(settings, Arc::new(RealDisk))?, lock)));
    let (running, _lock) = match started {
        Ok(started) => started,
        Err(error) => return failed(&error.to_string(), u8::try_from(error.exit_code()).unwrap_or(1)),
    };
    huge_pages::start();
    if let Some(signal) = signals.forever().next() {
        tracing::info!("signal {signal}: stopping; once more ends it at once");
    }
    debug_assert!(stopping.load(Ordering::Relaxed), "the flag is set with the signal");
    running.stop();
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

fn failed(text: &str, code: u8) -> ExitCode {
    tracing::error!("{text}");
    ExitCode::from(code)
}

/// The file, the short form, or the defaults; with the properties of the command line and of the environment.
fn configuration(arguments: &ServerArguments) -> Result<Config, String> {
    let main = match arguments.words.as_slice() {
        [] => MainSource::Defaults,
        [path] => {
            let text = read_text(Path::new(path)).map_err(|error| format!("{path}: {error}"))?;
            MainSource::File { path: path.clone(), text: text.ok_or_else(|| format!("{path}: there is no such file"))? }
        }
        words => MainSource::Arguments(words.to_vec()),
    };
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let mut properties: Vec<(String, String)> = arguments.properties.iter().map(|word| property(word)).collect();
    if !variable("ZOO_DATADIR_AUTOCREATE_DISABLE").is_empty() {
        properties.push(("zookeeper.datadir.autocreate".into(), "false".into()));
    }
    let inputs =
        Inputs { main, properties, server_jvmflags: variable("SERVER_JVMFLAGS"), jvmflags: variable("JVMFLAGS") };
    Config::load(&inputs, &mut |path| read_text(path)).map_err(|error| error.to_string())
}

/// `key=value`; a key alone is empty, as on Java's command line.
fn property(word: &str) -> (String, String) {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    (key.to_owned(), value.to_owned())
}

/// `-Dzookeeper.log.level=warn` or the variable OXKEEPER_LOG set how much is said; info by default.
fn log_to_stderr(arguments: &ServerArguments) {
    let mut properties = arguments.properties.iter().rev().map(|word| property(word));
    let asked = properties.find(|(key, _)| key == "zookeeper.log.level").map(|(_, value)| value);
    let asked = asked.or_else(|| std::env::var("OXKEEPER_LOG").ok());
    let level = asked.and_then(|level| level.to_lowercase().parse().ok()).unwrap_or(Level::INFO);
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .with_max_level(level)
        .with_target(false)
        .init();
}
