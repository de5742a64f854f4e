//! The listener of the client port.

use crate::listener;
use crate::options::EdgeOptions;
use mio::net::TcpListener;
use std::io;
use std::net::{SocketAddr, TcpStream};

/// The listen backlog where none is configured. The reference has 50 there: a burst of clients that come back after an outage
/// then overflows it, and each of those waits a second for its next SYN.
const BACKLOG: i32 = 4096;

/// Opens the client port.
pub fn listen(address: SocketAddr, options: &EdgeOptions) -> io::Result<TcpListener> {
    listener::listen(address, if options.listen_backlog > 0 { options.listen_backlog } else { BACKLOG })
}

/// Options of a connection that was accepted; what happens to unsent bytes at its end is left to the system.
pub fn set_options(socket: &TcpStream, options: &EdgeOptions) -> io::Result<()> {
    socket.set_nodelay(true)?;
    if options.tcp_keep_alive {
        socket2::SockRef::from(socket).set_keepalive(true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    #[test]
    fn answers_are_never_delayed_and_connections_kept_alive_only_where_configured() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for tcp_keep_alive in [false, true] {
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, _) = listener.accept().unwrap();
            set_options(&socket, &EdgeOptions { tcp_keep_alive, ..EdgeOptions::default() }).unwrap();
            assert!(socket.nodelay().unwrap());
            assert_eq!(SockRef::from(&socket).keepalive().unwrap(), tcp_keep_alive);
            assert_eq!(SockRef::from(&socket).linger().unwrap(), None);
        }
    }
}
