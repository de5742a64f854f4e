//! The binary as an operator meets it: how it starts, how it ends, and what status it leaves.

use oxkeeper_client::{Client, CreateMode, Options};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is gone when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("oxkeeper-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }
    fn config(&self, lines: &str) -> PathBuf {
        let path = self.0.join("zoo.cfg");
        let data = self.0.join("data");
        let text = format!(
            "clientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\ndataDir={}\n{lines}\n",
            data.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}
impl Drop for Scratch {
    fn drop(&mut self) {
        // The directory may be gone; there is nothing to be done about it here.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn server(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxkeeper"));
    command.arg("server").args(arguments).stderr(Stdio::piped()).stdout(Stdio::null());
    command.env_remove("SERVER_JVMFLAGS").env_remove("JVMFLAGS").env_remove("OXKEEPER_LOG");
    command.spawn().unwrap()
}

/// The status and everything it said.
fn end(mut child: Child) -> (ExitStatus, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

/// Starts on a configuration and waits for its port.
#[allow(clippy::zombie_processes)] // it is handed to the caller, or has ended by itself
fn serving(config: &Path) -> (Child, BufReader<std::process::ChildStderr>, u16) {
    let mut child = server(&[config.to_str().unwrap()]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    loop {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it had a port");
        if let Some((_, port)) = line.trim().rsplit_once("127.0.0.1:") {
            return (child, said, port.parse().unwrap());
        }
    }
}

fn signal(child: &Child, signal: i32) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

fn wait(child: &mut Child) -> ExitStatus {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > give_up {
            child.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_bad_configuration_leaves_with_2_and_says_where() {
    let scratch = Scratch::new("bad-config");
    let config = scratch.config("tickTime=soon");
    let (status, said) = end(server(&[config.to_str().unwrap()]));
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("Invalid config, exiting abnormally") && said.contains("tickTime"), "{said}");
}

#[test]
fn a_missing_configuration_leaves_with_2() {
    let (status, said) = end(server(&["/does/not/exist/zoo.cfg"]));
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("/does/not/exist/zoo.cfg"), "{said}");
}

#[test]
fn a_data_directory_that_may_not_be_made_leaves_with_3() {
    let scratch = Scratch::new("bad-dir");
    let dir = scratch.0.join("missing");
    let (status, said) = end(server(&["-Dzookeeper.datadir.autocreate=false", "0", dir.to_str().unwrap()]));
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains(dir.to_str().unwrap()), "{said}");
}

#[test]
fn a_port_that_is_taken_leaves_with_1() {
    let scratch = Scratch::new("bad-port");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = scratch.config(&format!("# the last one counts\nclientPort={port}"));
    let (status, said) = end(server(&[config.to_str().unwrap()]));
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&port.to_string()), "{said}");
}

#[test]
fn it_serves_and_ends_in_order_on_a_signal() {
    for number in [15, 2] {
        let scratch = Scratch::new(&format!("signal-{number}"));
        let (mut child, said, port) = serving(&scratch.config(""));
        // Read on, so that the pipe never fills.
        let reader = std::thread::spawn(move || said.lines().map_while(Result::ok).collect::<Vec<_>>());
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.write_all(b"srvr").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("Mode: standalone"), "{answer}");
        // Held open: it must not keep the server.
        let _idle = TcpStream::connect(("127.0.0.1", port)).unwrap();
        signal(&child, number);
        let status = wait(&mut child);
        assert_eq!(status.code(), Some(0));
        assert!(reader.join().unwrap().last().unwrap().contains("stopped"));
    }
}

#[test]
fn the_short_form_of_the_arguments_works() {
    let scratch = Scratch::new("short-form");
    let data = scratch.0.join("data");
    let mut child = server(&["-Dzookeeper.4lw.commands.whitelist=conf", "0", data.to_str().unwrap(), "1234", "5"]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    let port: u16 = loop {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended before it had a port");
        if line.contains("binding to port") {
            break line.trim().rsplit_once(':').unwrap().1.parse().unwrap();
        }
    };
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(b"conf").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("tickTime=1234\n") && answer.contains("maxClientCnxns=5\n"), "{answer}");
    signal(&child, 15);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_write_beyond_a_soft_quota_is_done_and_warned_of() {
    let scratch = Scratch::new("soft-quota");
    let (mut child, said, port) = serving(&scratch.config("enforceQuota=true"));
    let reader = std::thread::spawn(move || said.lines().map_while(Result::ok).collect::<Vec<_>>());
    let client = Client::connect(&format!("127.0.0.1:{port}"), Options::default()).unwrap();
    for (path, data) in [
        ("/q", ""),
        ("/zookeeper/quota/q", ""),
        ("/zookeeper/quota/q/zookeeper_limits", "count=2,bytes=3"),
        ("/zookeeper/quota/q/zookeeper_stats", "count=0,bytes=0"),
        ("/q/1", "123"),
        ("/q/2", "4"),
    ] {
        client.create(path, data.as_bytes(), CreateMode::Persistent).unwrap();
    }
    client.close().unwrap();
    signal(&child, 15);
    assert_eq!(wait(&mut child).code(), Some(0));
    let said = reader.join().unwrap();
    let warnings: Vec<&str> =
        said.iter().filter_map(|line| line.split_once("Quota exceeded: ").map(|(_, w)| w)).collect();
    assert_eq!(warnings, ["/q [current count=3, softCountLimit=2]", "/q [current bytes=4, softByteLimit=3]"]);
}
