//! What a server does with its disk: when it fails, the server ends, and acknowledges nothing more. The server of each such
//! case runs in a process of its own, which is this test once more.

mod common;

use common::*;
use oxkeeper_storage::Disk;
use oxkeeper_storage::fault_disk::{Fault, FaultDisk};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The call of the disk that fails, counted from the first after the server has served.
const NTH_CALL: &str = "OXKEEPER_TEST_FAILING_CALL";
const ACKNOWLEDGED: &str = "acknowledged after the failure";

/// Runs until the server ends the process.
fn serve_until_the_disk_fails(nth: u64) -> ! {
    let disk = FaultDisk::new();
    let server = TestServer::start_on(Arc::new(disk.clone()), "");
    let mut client = server.client();
    assert_eq!(client.call(&create(1, "/a", b"", 0)).error, 0);
    let before = disk.calls();
    disk.fail_call(nth, Fault::Once(ErrorKind::Other));
    for xid in 2..100 {
        client.send(&create(xid, &format!("/n{xid}"), b"", 0));
        // No answer, but the end of the process, is what ought to come.
        let answered = client.receive();
        if disk.calls() >= before + nth {
            println!("{ACKNOWLEDGED}: {answered:?}");
        }
    }
    panic!("the disk has not failed");
}

#[test]
fn a_failed_write_or_sync_ends_the_server_before_it_acknowledges() {
    if let Ok(nth) = std::env::var(NTH_CALL) {
        serve_until_the_disk_fails(nth.parse().unwrap());
    }
    for nth in 1..=6 {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_failed_write_or_sync_ends_the_server_before_it_acknowledges", "--nocapture"]);
        let output = command.env(NTH_CALL, nth.to_string()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // A test that fails leaves with 101.
        assert_eq!(output.status.code(), Some(1), "call {nth}: {said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains(ACKNOWLEDGED), "call {nth}: {said}");
    }
}

#[test]
fn a_server_that_trusts_a_log_without_a_snapshot_writes_one_at_once() {
    let disk = FaultDisk::new();
    let server = TestServer::start_on(Arc::new(disk.clone()), "");
    assert_eq!(server.client().call(&create(1, "/a", b"", 0)).error, 0);
    server.stop();
    let dir = Path::new("/data/version-2");
    disk.remove(&dir.join("snapshot.0")).unwrap();
    let snapshots = || disk.list(dir).unwrap().iter().filter(|entry| entry.name.starts_with("snapshot.")).count();
    assert_eq!(snapshots(), 0);
    let server = TestServer::start_on(Arc::new(disk.clone()), "snapshot.trust.empty=true");
    assert_eq!(server.client().call(&get(1, "/a", false)).error, 0);
    eventually("a snapshot", || snapshots() == 1);
    server.stop();
}
