//! `oxkeeper quickstart` as a process.

mod processes;

use oxkeeper_client::CreateMode;
use oxkeeper_client::blocking::{Client, Options};
use processes::*;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn quickstart(dir: &Path, servers: u16, base: u16) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxkeeper"));
    command.args(["quickstart", "--servers", &servers.to_string(), "--base-port", &base.to_string(), "--dir"]).arg(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).env_remove("SERVER_JVMFLAGS").env_remove("JVMFLAGS");
    command.spawn().unwrap()
}

/// Where clients connect; the ports between servers stand 700 and 1700 above.
fn base(servers: u16) -> u16 {
    free_base(&(0..servers).flat_map(|n| [n, 700 + n, 1700 + n]).collect::<Vec<_>>())
}

/// Reads its output on, up to a line with `text`.
fn read_until(lines: &mut impl Iterator<Item = String>, text: &str) -> Vec<String> {
    let mut read = Vec::new();
    for line in lines {
        let found = line.contains(text);
        read.push(line);
        if found {
            return read;
        }
    }
    panic!("it ended without {text:?}: {read:?}");
}

fn output(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok)
}

#[test]
fn it_starts_three_servers_says_how_to_go_on_and_keeps_the_data() {
    let (scratch, base) = (Scratch::new("quickstart"), base(3));
    let connect = format!("127.0.0.1:{base},127.0.0.1:{},127.0.0.1:{}", base + 1, base + 2);
    let mut child = quickstart(&scratch.0, 3, base);
    let mut lines = output(&mut child);
    let welcome = read_until(&mut lines, "Ctrl-C").join("\n");
    assert!(welcome.contains(&connect) && welcome.contains("leader       server "), "{welcome}");
    assert!(welcome.contains(scratch.0.to_str().unwrap()) && welcome.contains("kill -9"), "{welcome}");
    let client = Client::connect(&connect, Options::default()).unwrap();
    client.create("/kept", b"yes", CreateMode::Persistent).unwrap();
    client.close().unwrap();
    // One ends: that is said, and it is not started again.
    let victim = victim_of(&child);
    assert!(Command::new("kill").args(["-9", &victim]).status().unwrap().success());
    read_until(&mut lines, "was ended (signal: 9");
    signal(&child, 15);
    read_until(&mut lines, "stopped; the data is in");
    assert!(wait(&mut child).success());
    assert!((0..3).all(|n| TcpListener::bind(("127.0.0.1", base + n)).is_ok()), "no server is left");

    let mut child = quickstart(&scratch.0, 3, base);
    let mut lines = output(&mut child);
    read_until(&mut lines, "Ctrl-C");
    let client = Client::connect(&connect, Options::default()).unwrap();
    assert_eq!(client.get("/kept", false).unwrap().0.as_deref(), Some(&b"yes"[..]));
    drop(client);
    signal(&child, 2);
    read_until(&mut lines, "stopped");
    assert!(wait(&mut child).success());
}

/// The process of one of its servers.
fn victim_of(parent: &Child) -> String {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    std::fs::read_to_string(path).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn one_server_runs_on_its_own() {
    let (scratch, base) = (Scratch::new("quickstart-one"), base(1));
    let mut child = quickstart(&scratch.0, 1, base);
    let mut lines = output(&mut child);
    let welcome = read_until(&mut lines, "Ctrl-C").join("\n");
    assert!(welcome.contains("standalone"), "{welcome}");
    assert!(ask(base, "srvr").contains("Mode: standalone"));
    signal(&child, 15);
    assert!(wait(&mut child).success());
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left_behind() {
    let (scratch, base) = (Scratch::new("quickstart-port"), base(3));
    let _taken = TcpListener::bind(("127.0.0.1", base + 1)).unwrap();
    let child = quickstart(&scratch.0, 3, base);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains(&format!("port {} is in use", base + 1)), "{said}");
    assert!(said.contains("--base-port") && !scratch.0.join("server1").exists(), "{said}");
}

#[test]
fn another_size_in_the_same_directory_is_refused() {
    let (scratch, base) = (Scratch::new("quickstart-size"), base(3));
    let mut child = quickstart(&scratch.0, 1, base);
    read_until(&mut output(&mut child), "Ctrl-C");
    // As when the terminal is closed.
    signal(&child, 1);
    assert!(wait(&mut child).success());
    let ended = quickstart(&scratch.0, 3, base).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains("another number of servers"), "{said}");
}
