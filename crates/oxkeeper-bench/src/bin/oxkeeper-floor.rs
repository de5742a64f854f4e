//! `oxkeeper-floor PORT`: answers every frame at once with a canned reply, keeps nothing, writes nothing. What it costs is
//! what sockets and epoll cost on this machine: no server can do with less.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use oxkeeper_proto::frame::{self, Frame};
use std::io::{self, ErrorKind, Read, Write};

const LISTENER: Token = Token(0);
const DATA_BYTES: usize = 1024;
const STAT_BYTES: usize = 68;
const FRAME_BYTES_MAX: usize = 1 << 20;

struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
    unsent: Vec<u8>,
    greeted: bool,
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|p| p.parse().ok());
    let Some(port) = port else { return Err(io::Error::other("usage: oxkeeper-floor PORT")) };
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut clients: Vec<Option<Client>> = vec![None];
    let mut events = Events::with_capacity(1024);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    socket.set_nodelay(true)?;
                    poll.registry().register(&mut socket, Token(clients.len()), Interest::READABLE)?;
                    let buffer = vec![0; 64 << 10];
                    clients.push(Some(Client { socket, buffer, filled: 0, unsent: Vec::new(), greeted: false }));
                }
            } else if let Some(client) = &mut clients[event.token().0]
                && client.serve().is_err()
            {
                clients[event.token().0] = None;
            }
        }
    }
}

impl Client {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(2 * self.filled, 0);
            }
            match self.socket.read(&mut self.buffer[self.filled..]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.filled += n;
                    if self.filled < self.buffer.len() {
                        break;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        let mut at = 0;
        while let Frame::Whole { body, consumed } = frame::next(&self.buffer[at..self.filled], FRAME_BYTES_MAX) {
            at += consumed;
            answer(&mut self.greeted, body, &mut self.unsent);
        }
        self.buffer.copy_within(at..self.filled, 0);
        self.filled -= at;
        let sent = if self.unsent.is_empty() { 0 } else { self.socket.write(&self.unsent)? };
        self.unsent.drain(..sent);
        Ok(())
    }
}

fn answer(greeted: &mut bool, request: &[u8], out: &mut Vec<u8>) {
    frame::append(out, |out| {
        if !std::mem::replace(greeted, true) {
            out.extend_from_slice(&0i32.to_be_bytes());
            out.extend_from_slice(&30_000i32.to_be_bytes());
            out.extend_from_slice(&1i64.to_be_bytes());
            out.extend_from_slice(&16i32.to_be_bytes());
            out.extend_from_slice(&[0; 17]);
            return;
        }
        out.extend_from_slice(&request[..4]);
        out.extend_from_slice(&1i64.to_be_bytes());
        out.extend_from_slice(&0i32.to_be_bytes());
        if request[4..8] == 4i32.to_be_bytes() {
            out.extend_from_slice(&(DATA_BYTES as i32).to_be_bytes());
            out.resize(out.len() + DATA_BYTES, b'v');
        }
        out.resize(out.len() + STAT_BYTES, 0);
    });
}
