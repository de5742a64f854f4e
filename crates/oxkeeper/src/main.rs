//! The `oxkeeper` binary: arguments, signals, exit codes. Each sub-command is a module.

mod huge_pages;
mod quickstart;
mod server;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Requests are allocated by one thread and freed by another, which the C library's allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "oxkeeper", version, about = "A coordination service that takes the place of Apache ZooKeeper")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a server in the foreground: `server [-Dkey=value ...] [ZOO_CFG]`, or `server CLIENT_PORT DATA_DIR [TICK_TIME [MAX_CNXNS]]`
    Server(server::ServerArguments),
    /// Runs an ensemble of servers on this machine to try things out: three of them, clients on ports 2181 to 2183
    Quickstart(quickstart::QuickstartArguments),
    /// Prints the version, and which release of Apache ZooKeeper it behaves as
    Version,
}

fn main() -> ExitCode {
    oxkeeper_server::panics::end_the_process();
    match Arguments::parse().command {
        Command::Server(arguments) => server::run(&arguments),
        Command::Quickstart(arguments) => quickstart::run(&arguments),
        Command::Version => {
            println!(
                "oxkeeper {}, behaves as Apache ZooKeeper {}",
                env!("CARGO_PKG_VERSION"),
                oxkeeper_server::COMPATIBLE_WITH
            );
            ExitCode::SUCCESS
        }
    }
}
