//! Command line of the capture: writes the reference's bytes into the test directories of the crates that need them.

use oxkeeper_compat::golden::{Target, capture};
use oxkeeper_compat::servers::workspace_root;
use std::process::ExitCode;

const USAGE: &str = "\
oxkeeper-golden [VERSION ...]: captures records, transaction logs and snapshots of the reference (3.9.5 unless named)

Writes crates/oxkeeper-proto/tests/golden/VERSION and crates/oxkeeper-storage/tests/golden/VERSION anew. Needs a JDK and
the script that starts the reference: tests/reference/zookeeper, or the one that OXKEEPER_REFERENCE names.";

fn main() -> ExitCode {
    let mut versions: Vec<String> = std::env::args().skip(1).collect();
    if versions.iter().any(|arg| arg.starts_with('-')) {
        println!("{USAGE}");
        return ExitCode::from(2);
    }
    if versions.is_empty() {
        versions.push("3.9.5".to_string());
    }
    for version in versions {
        let golden = |name: &str| workspace_root().join("crates").join(name).join("tests/golden").join(&version);
        let target = Target { records: golden("oxkeeper-proto"), storage: golden("oxkeeper-storage") };
        if let Err(message) = capture(&version, &target) {
            eprintln!("oxkeeper-golden: {version}: {message}");
            return ExitCode::FAILURE;
        }
        println!("{version}: {} and {}", target.records.display(), target.storage.display());
    }
    ExitCode::SUCCESS
}
