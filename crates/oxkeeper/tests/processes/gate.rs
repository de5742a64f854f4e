//! For tests of the client on tokio: a way between it and its server that can be cut, and waiting with a limit.

use super::{PATIENCE, Scratch, Single};
use oxkeeper_client::{Client, ErrorCode, SessionState, StateStream};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The operation addWatch, which servers before 3.6 do not know.
const ADD_WATCH: i32 = 106;

/// Between a client and its server: lets nothing through while it is cut.
pub struct Gate {
    port: u16,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    pub fn to(server: u16) -> Gate {
        Gate::with(server, pass)
    }
    /// A server that does not know addWatch: it answers that it is unimplemented, and ends the connection.
    pub fn to_older(server: u16) -> Gate {
        Gate::with(server, pass_but_add_watch)
    }
    fn with(server: u16, up: fn(TcpStream, TcpStream)) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let gate = Gate { port, cut: cut.clone(), open: open.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                // The lock makes `cut` see either the flag or the connection.
                let mut open = open.lock().unwrap();
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let [a, b, c, d] = [&client, &server, &client, &server].map(|stream| stream.try_clone().unwrap());
                open.extend([client, server]);
                std::thread::spawn(move || up(a, b));
                std::thread::spawn(move || pass(d, c));
            }
        });
        gate
    }
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            // Its other end may have closed it.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
    pub fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    // An error is the end of either side, and that of the other follows.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn pass_but_add_watch(mut from: TcpStream, mut to: TcpStream) {
    let mut length = [0; 4];
    while from.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; i32::from_be_bytes(length) as usize];
        if from.read_exact(&mut frame).is_err() {
            break;
        }
        // The first frame, the handshake, has its protocol version and a zxid there: both zero at first.
        if frame[4..8] == ADD_WATCH.to_be_bytes() {
            let unimplemented = ErrorCode::Unimplemented.number().to_be_bytes();
            let answer = [&16i32.to_be_bytes()[..], &frame[..4], &[0; 8], &unimplemented].concat();
            from.write_all(&answer).unwrap();
            break;
        }
        if to.write_all(&[&length[..], &frame].concat()).is_err() {
            break;
        }
    }
    // The client may have closed it already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

pub async fn connect(address: &str) -> Client {
    Client::builder().connect_timeout(PATIENCE).request_timeout(PATIENCE).connect(address).await.unwrap()
}

/// What comes next, or a failure after a time that no machine takes.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("no {what} in time"))
}

/// Passes over the states up to this one.
pub async fn until(states: &mut StateStream, state: SessionState) {
    while soon("state", states.next()).await != Some(state) {}
}

/// A server for itself that answers every four-letter word.
pub fn single(name: &str, lines: &str) -> (Scratch, Single) {
    let scratch = Scratch::new(name);
    let server = Single::start(&scratch.config(&format!("4lw.commands.whitelist=*\n{lines}")));
    (scratch, server)
}
