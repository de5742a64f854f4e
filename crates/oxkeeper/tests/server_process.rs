//! The binary as an operator meets it: how it starts, how it ends, and what status it leaves.

mod processes;

use oxkeeper_client::CreateMode;
use processes::*;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The status and everything it said, of one that is to end by itself.
fn end(mut command: Command) -> (ExitStatus, String) {
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
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
fn a_file_in_the_place_of_the_data_directory_leaves_with_3() {
    let scratch = Scratch::new("file-as-dir");
    let file = scratch.0.join("data");
    std::fs::write(&file, "no directory").unwrap();
    let config = scratch.config(&format!("# the last one counts\ndataDir={}", file.display()));
    let (status, said) = end(server(&[config.to_str().unwrap()]));
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

/// A private view of the file system, in which a directory is read-only, for root, too.
fn with_read_only(dir: &Path, config: &Path) -> Command {
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$2\" server \"$3\"";
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.args([dir, Path::new(env!("CARGO_BIN_EXE_oxkeeper")), config]);
    as_server(command)
}

#[test]
fn a_data_directory_that_is_read_only_leaves_with_3() {
    let scratch = Scratch::new("read-only-dir");
    let config = scratch.config("");
    let data = scratch.0.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let (status, said) = end(with_read_only(&data, &config));
    if said.lines().any(|line| line.starts_with("unshare: ") || line.starts_with("mount: ")) {
        return println!("not tried: no private mounts here: {said}");
    }
    assert_eq!(status.code(), Some(3), "{said}");
    assert!(said.contains(data.to_str().unwrap()), "{said}");
}

#[test]
fn a_node_longer_than_the_limit_in_a_snapshot_is_served_and_warned_of() {
    let scratch = Scratch::new("too-long");
    let server = Single::start(&scratch.config("snapCount=4"));
    let client = server.client();
    client.create("/long", [b'x'; 5000], CreateMode::Persistent).unwrap();
    let (_, stat) = client.get("/long", false).unwrap();
    let has_snapshot = || {
        let names =
            std::fs::read_dir(scratch.0.join("data/version-2")).unwrap().flatten().map(|entry| entry.file_name());
        let zxids = names.filter_map(|name| i64::from_str_radix(name.to_str()?.strip_prefix("snapshot.")?, 16).ok());
        zxids.max() >= Some(stat.czxid.0)
    };
    eventually("a snapshot holds it", || {
        client.set("/zookeeper/quota", b"", -1).unwrap();
        has_snapshot()
    });
    server.stop();
    let server = Single::start(&scratch.config("jute.maxbuffer=1000"));
    let client = server.client();
    assert_eq!(client.get("/long", false).unwrap().0.map(|data| data.len()), Some(5000));
    drop(client);
    let said = server.stop();
    let expected = "node /long of the snapshot has 5000 bytes, more than jute.maxbuffer and its extra size allow";
    assert!(said.iter().any(|line| line.contains(" WARN ") && line.contains(expected)), "{said:?}");
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
        let server = Single::start(&scratch.config(""));
        let answer = ask(server.port, "srvr");
        assert!(answer.contains("Mode: standalone"), "{answer}");
        // Held open: it must not keep the server.
        let _idle = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        signal(&server.child, number);
        let (status, said) = server.end();
        assert_eq!(status.code(), Some(0));
        assert!(said.last().unwrap().contains("stopped"), "{said:?}");
    }
}

#[test]
fn the_short_form_of_the_arguments_works() {
    let scratch = Scratch::new("short-form");
    let data = scratch.0.join("data");
    let arguments = ["-Dzookeeper.4lw.commands.whitelist=conf", "0", data.to_str().unwrap(), "1234", "5"];
    let server = Single::of(server(&arguments));
    let answer = ask(server.port, "conf");
    assert!(answer.contains("tickTime=1234\n") && answer.contains("maxClientCnxns=5\n"), "{answer}");
    server.stop();
}

#[test]
fn a_write_beyond_a_soft_quota_is_done_and_warned_of() {
    let scratch = Scratch::new("soft-quota");
    let server = Single::start(&scratch.config("enforceQuota=true"));
    let client = server.client();
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
    let said = server.stop();
    let warnings: Vec<&str> =
        said.iter().filter_map(|line| line.split_once("Quota exceeded: ").map(|(_, w)| w)).collect();
    assert_eq!(warnings, ["/q [current count=3, softCountLimit=2]", "/q [current bytes=4, softByteLimit=3]"]);
}

#[test]
fn a_log_that_cannot_be_written_stops_the_server_and_nothing_acknowledged_is_lost() {
    let scratch = Scratch::new("full-disk");
    let config = scratch.config("");
    let server = Single::of(with_small_files(&config, 1024));
    let client = server.client();
    let mut written = 0;
    while client.create(&format!("/n{written}"), vec![b'x'; 50_000], CreateMode::Persistent).is_ok() {
        written += 1;
        assert!(written < 1000, "the limit has no effect");
    }
    assert!(written > 0, "it did not serve before");
    drop(client);
    let (status, said) = server.end();
    assert_eq!(status.code(), Some(1), "{said:?}");
    let said = said.join("\n");
    for word in ["the transaction log cannot be written, so the server stops", "Make room or mend the disk", "log."] {
        assert!(said.contains(word), "{word}: {said}");
    }

    let server = Single::start(&config);
    let client = server.client();
    // The last one may have reached the log as a whole; nobody was told.
    let there = client.children("/", false).unwrap().0.len() - 1;
    assert!(there == written || there == written + 1, "{written} were acknowledged, {there} are there");
    (0..written).for_each(|n| assert_eq!(client.get(&format!("/n{n}"), false).unwrap().0.unwrap().len(), 50_000));
    server.stop();
}
