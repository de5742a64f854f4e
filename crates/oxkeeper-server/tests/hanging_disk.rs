//! What a server does while its disk hangs: it takes no more than a bound, it neither leads nor follows for long, and it comes
//! back when the disk does.

mod common;
mod watched_disk;

use common::*;
use oxkeeper_types::limits::DISK_BYTES_MAX;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use watched_disk::Gate;

#[test]
fn while_the_disk_hangs_clients_wait_and_memory_is_bounded() {
    const REQUESTS: usize = 200;
    let gate = Gate::default();
    let server = TestServer::start_on(Arc::new(gate.disk()), "");
    let mut client = server.client();
    assert_eq!(client.call(&create(1, "/a", b"", 0)).error, 0);
    let outstanding = || server.figure("outstanding_requests").parse::<usize>().unwrap();
    let data = vec![b'x'; 900_000];
    let shut = gate.shut();
    let mut sending = client.socket.try_clone().unwrap();
    let bytes = data.clone();
    let sender = std::thread::spawn(move || {
        for xid in 0..REQUESTS {
            std::io::Write::write_all(&mut sending, &set(xid as i32 + 2, "/a", &bytes)).unwrap();
        }
    });
    // Until nothing moves any more.
    let (mut last, mut since, end) = (0, Instant::now(), Instant::now() + PATIENCE);
    while last * data.len() < DISK_BYTES_MAX || since.elapsed() < Duration::from_secs(1) {
        assert!(Instant::now() < end, "{last} requests wait");
        let now = outstanding();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(last < DISK_BYTES_MAX / data.len() + 40, "{last} requests of {REQUESTS} were taken");
    drop(shut);
    for xid in 0..REQUESTS {
        assert_eq!(client.receive().xid, xid as i32 + 2);
    }
    sender.join().unwrap();
}

/// Three servers in this process.
struct Trio {
    servers: Vec<TestServer>,
    gates: Vec<Gate>,
}

fn start() -> Trio {
    let ports: Vec<TcpListener> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let port = |n: usize| ports[n].local_addr().unwrap().port();
    let members: String =
        (0..3).map(|n| format!("server.{}=127.0.0.1:{}:{}\n", n + 1, port(2 * n), port(2 * n + 1))).collect();
    drop(ports);
    let lines = format!("{members}tickTime=500\ninitLimit=20\nsyncLimit=6\nmaxSessionTimeout=60000");
    let gates: Vec<Gate> = (0..3).map(|_| Gate::default()).collect();
    let member = |n: usize| TestServer::start_member(Arc::new(gates[n].disk()), &lines, n + 1);
    Trio { servers: (0..3).map(member).collect(), gates }
}

impl Trio {
    fn mode(&self, n: usize) -> Option<String> {
        let answer = self.servers[n].ask("srvr");
        answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(ToOwned::to_owned)
    }
    fn is(&self, n: usize, mode: &str) -> bool {
        self.mode(n).as_deref() == Some(mode)
    }
    fn leader(&self) -> usize {
        let mut found = None;
        eventually("a leader and two followers", || {
            found = (0..3).find(|n| self.is(*n, "leader"));
            found.is_some() && (0..3).filter(|n| self.is(*n, "follower")).count() == 2
        });
        found.unwrap()
    }
    /// Tries on one server until it is done.
    fn create(&self, n: usize, path: &str) {
        eventually(path, || {
            let Ok(socket) = TcpStream::connect(self.servers[n].address) else { return false };
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            // -110: it was made by a try whose answer was lost.
            let tried = std::panic::catch_unwind(|| Client::open(socket).call(&create(1, path, b"", 0)).error);
            matches!(tried, Ok(0 | -110))
        });
    }
}

#[test]
fn a_leader_whose_disk_hangs_gives_up_and_follows_when_the_disk_is_back() {
    let trio = start();
    let first = trio.leader();
    trio.create(first, "/before");
    let shut = trio.gates[first].shut();
    // The others are a quorum without its disk.
    trio.create((first + 1) % 3, "/meanwhile");
    eventually("somebody else leads", || (0..3).any(|n| n != first && trio.is(n, "leader")));
    assert_eq!(trio.mode(first), None, "it serves nobody");
    trio.create((first + 1) % 3, "/after");
    drop(shut);
    eventually("it follows", || trio.is(first, "follower"));
    trio.create(first, "/again");
    let mut client = trio.servers[first].client();
    for (xid, path) in ["/before", "/meanwhile", "/after", "/again"].iter().enumerate() {
        assert_eq!(client.call(&get(xid as i32, path, false)).error, 0, "{path}");
    }
}
