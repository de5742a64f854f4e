//! What a server does with its disk: when it fails, the server ends, and acknowledges nothing more; when a thread of it fails, it
//! ends as well. The server of each such case runs in a process of its own, which is this test once more.

mod common;
mod watched_disk;

use common::*;
use oxkeeper_server::panics;
use oxkeeper_storage::Disk;
use oxkeeper_storage::fault_disk::{Fault, FaultDisk};
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use watched_disk::{Call, WatchedDisk};

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

/// Set for the process whose thread is to fail.
const FAILING_THREAD: &str = "OXKEEPER_TEST_FAILING_THREAD";

/// Runs until the fault ends the process, which would otherwise hold its port open and answer nobody.
fn serve_until_a_thread_fails() -> ! {
    panics::end_the_process();
    let armed = Arc::new(AtomicBool::new(false));
    let fails = armed.clone();
    let disk = Arc::new(WatchedDisk::new(move |call| {
        assert!(call != Call::Create || !fails.load(Relaxed), "a fault of the program");
    }));
    TestServer::start_on(disk.clone(), "").stop();
    armed.store(true, Relaxed);
    // The first transaction behind a start begins a file of the log.
    let server = TestServer::start_on(disk, "");
    let mut client = server.socket();
    io::Write::write_all(&mut client, &connect_request(10_000, 0, &[0; 16])).unwrap();
    // Nothing is answered; whoever waits here finds out that the process goes on.
    let _ = io::Read::read(&mut client, &mut [0; 1]);
    println!("{ACKNOWLEDGED}: the process goes on");
    std::process::exit(0);
}

#[test]
fn a_thread_that_fails_takes_the_process_along_also_where_panics_unwind() {
    if std::env::var(FAILING_THREAD).is_ok() {
        serve_until_a_thread_fails();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "a_thread_that_fails_takes_the_process_along_also_where_panics_unwind";
    let output = command.args(["--exact", name, "--nocapture"]).env(FAILING_THREAD, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(6), "{said}{}", String::from_utf8_lossy(&output.stdout));
    assert!(said.contains("thread disk has failed by a fault of this program"), "{said}");
}
