//! Project tasks. `cargo xtask tidy` checks the rules of the code base; it runs in the tests.

mod compat;
mod shown;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    match task.as_str() {
        "tidy" => {
            let root = root();
            let mut findings = tidy::check(&root);
            findings.extend(compat::check(&root));
            for finding in &findings {
                println!("tidy: {finding}");
            }
            println!("tidy: {} findings", findings.len());
            if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        other => {
            eprintln!("xtask: unknown task '{other}'; tasks: tidy");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository, from where this crate was built.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lives in the repository").to_path_buf()
}
