//! The listener of the client port.

use crate::options::EdgeOptions;
use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// The listen backlog of the reference where none is configured.
const BACKLOG: i32 = 50;

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
