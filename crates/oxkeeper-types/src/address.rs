//! Addresses as text in Java's form: scripts look for them in four-letter words, ids and the log. The one place that knows it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// IPv6 as eight groups without compression, and IPv4 in IPv6 as plain IPv4 (Java `InetAddress.getHostAddress`).
pub fn host_text(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => groups(v6),
    }
}

/// The same with a port, and brackets where there are colons (Java `InetSocketAddress.toString`, without the slash).
pub fn socket_text(address: SocketAddr) -> String {
    let host = host_text(address.ip());
    let scope = match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("%{}", v6.scope_id()),
        _ => String::new(),
    };
    let port = address.port();
    if host.contains(':') { format!("[{host}{scope}]:{port}") } else { format!("{host}:{port}") }
}

fn groups(address: Ipv6Addr) -> String {
    address.segments().map(|group| format!("{group:x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_javas() {
        for (address, host, socket) in [
            ("127.0.0.1:5", "127.0.0.1", "127.0.0.1:5"),
            ("[::1]:5", "0:0:0:0:0:0:0:1", "[0:0:0:0:0:0:0:1]:5"),
            ("[2001:db8::ff:0]:2181", "2001:db8:0:0:0:0:ff:0", "[2001:db8:0:0:0:0:ff:0]:2181"),
            ("[::ffff:10.0.0.1]:7", "10.0.0.1", "10.0.0.1:7"),
            ("[fe80::1%3]:7", "fe80:0:0:0:0:0:0:1", "[fe80:0:0:0:0:0:0:1%3]:7"),
        ] {
            let address: SocketAddr = address.parse().expect("a good address");
            assert_eq!((host_text(address.ip()).as_str(), socket_text(address).as_str()), (host, socket));
        }
    }
}
