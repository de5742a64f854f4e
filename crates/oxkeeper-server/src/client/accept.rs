//! The listener of the client port.

use crate::options::EdgeOptions;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// The listen backlog where none is configured. The reference has 50 there: a burst of clients that come back after an outage
/// then overflows it, and each of those waits a second for its next SYN. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens the client port. An unspecified IPv6 address takes IPv4 clients too, as Java's wildcard does.
pub fn listen(address: SocketAddr, options: &EdgeOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(if options.listen_backlog > 0 { options.listen_backlog } else { BACKLOG })?;
    Ok(TcpListener::from_std(socket.into()))
}
