//! What every example does around its story: reads the arguments, makes a directory of its own for this run and takes it away at
//! the end, and tells by the exit code how it went. Nothing of this is needed to use the client.

use oxkeeper_client::{Client, ClientError, CreateMode};
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

/// The servers of `cargo run --release -- quickstart`.
const QUICK_START: &str = "127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183";

/// Where a story is told.
#[derive(Clone)]
pub struct Stage {
    /// A connect string: the first argument.
    pub servers: String,
    /// The directory of this run, so that several can run beside each other.
    pub dir: String,
    pause: Duration,
}

impl Stage {
    /// Time to read, to look at the nodes and to stop a server: the second argument, in seconds.
    pub async fn pause(&self) {
        tokio::time::sleep(self.pause).await;
    }
}

/// Tells the story called `name`, with exit code 1 where it comes to an error.
pub async fn play<E: Display + From<ClientError>>(
    name: &str,
    story: impl AsyncFnOnce(Stage) -> Result<(), E>,
) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let servers = arguments.next().unwrap_or_else(|| QUICK_START.to_string());
    let seconds = arguments.next().unwrap_or_else(|| "1".to_string());
    let Some(pause) = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) else {
        eprintln!("{name}: '{seconds}' is no number of seconds to pause between steps");
        return ExitCode::FAILURE;
    };
    end(name, on_stage(name, servers, pause, story).await)
}

async fn on_stage<E: From<ClientError>>(
    name: &str,
    servers: String,
    pause: Duration,
    story: impl AsyncFnOnce(Stage) -> Result<(), E>,
) -> Result<(), E> {
    eprintln!("{name}: connecting to {servers}");
    let client = Client::connect(&servers).await?;
    let (dir, _) = client.create(&format!("/{name}-"), "", CreateMode::PersistentSequential).await?;
    eprintln!("{name}: the nodes of this run are below {dir}");
    let told = story(Stage { servers, dir: dir.clone(), pause }).await;
    let tidied = client.delete_all(&dir).await;
    client.close().await?;
    told.and(Ok(tidied?))
}

/// The exit code, and on stderr what went wrong.
pub fn end<E: Display>(name: &str, result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
