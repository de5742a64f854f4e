//! Hosts and ports of other servers, and what they mean at the moment: names are looked up anew for every dial (OP015).

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::HostPort;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};
use std::path::PathBuf;

/// A host, by name or by address, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub host: String,
    pub port: u16,
}

/// Names that were looked up for the dial to a member's election port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolved {
    pub server: ServerId,
    /// The dial that asked.
    pub dial: u64,
    /// What was found; the reason where nothing was.
    pub found: Result<Vec<SocketAddr>, String>,
}

impl Place {
    /// `host:port` of a greeting; `None` where it is no such thing.
    pub fn parse(text: &str) -> Option<Place> {
        let (host, port) = text.trim().rsplit_once(':')?;
        let place = HostPort::new(host, port.parse().ok()?).ok()?;
        Some(Place { host: place.host().to_owned(), port: place.port() })
    }

    /// The address, where the host is not a name.
    pub fn literal(&self) -> Option<SocketAddr> {
        if let Ok(v4) = self.host.parse::<Ipv4Addr>() {
            return Some(SocketAddr::new(IpAddr::V4(v4), self.port));
        }
        let (host, scope) = match self.host.split_once('%') {
            Some((host, scope)) => (host, scope_number(scope)?),
            None => (self.host.as_str(), 0),
        };
        Some(SocketAddr::V6(SocketAddrV6::new(host.parse::<Ipv6Addr>().ok()?, self.port, 0, scope)))
    }

    /// Whether it stands for all local addresses: then nobody can be reached there.
    pub fn is_wildcard(&self) -> bool {
        self.literal().is_some_and(|address| address.ip().is_unspecified())
    }

    /// All addresses that the host has now. May take as long as the resolver does.
    pub fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        if let Some(address) = self.literal() {
            return Ok(vec![address]);
        }
        let found: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        if found.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "no address")) } else { Ok(found) }
    }
}

/// The scope of an IPv6 address: the number of an interface, or its name. The resolver takes a name for link-local addresses only.
fn scope_number(scope: &str) -> Option<u32> {
    if let Ok(number) = scope.parse() {
        return Some(number);
    }
    let is_name = scope.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@'));
    let file = PathBuf::from("/sys/class/net").join(scope).join("ifindex");
    let text = std::fs::read_to_string(file).ok().filter(|_| is_name && !scope.starts_with('.'))?;
    text.trim().parse().ok()
}

/// Where the listener of a port is to be: at this one of our addresses, or at all addresses of the machine.
pub fn listen_address(place: &Place, all: bool) -> io::Result<SocketAddr> {
    if all || place.is_wildcard() {
        let v6 = std::path::Path::new("/proc/net/if_inet6").exists();
        let ip = if v6 { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) };
        return Ok(SocketAddr::new(ip, place.port));
    }
    let found = place.look_up().map_err(|e| io::Error::new(e.kind(), format!("{place}: cannot be resolved: {e}")))?;
    // As Java, which is what the others may be: of a name with both, the IPv4 address.
    Ok(*found.iter().find(|address| address.is_ipv4()).unwrap_or(&found[0]))
}

/// An IPv6 address in brackets.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Whether a dial has met itself: the system gave it the very port that it dials, where nobody listened. To others that port
/// would be taken from then on.
pub fn is_loop(local: io::Result<SocketAddr>, peer: SocketAddr) -> bool {
    local.is_ok_and(|local| local == peer)
}

/// For messages.
pub fn list(places: &[Place]) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_of_an_address_is_an_interface_by_number_or_by_name() {
        let place = |host: &str| Place { host: host.into(), port: 7 };
        let scope = |host: &str| match place(host).literal() {
            Some(SocketAddr::V6(address)) => Some(address.scope_id()),
            _ => None,
        };
        let lo: u32 = std::fs::read_to_string("/sys/class/net/lo/ifindex").unwrap().trim().parse().unwrap();
        assert_eq!((scope("0:0:0:0:0:0:0:1%lo"), scope("::1%3"), scope("::1")), (Some(lo), Some(3), Some(0)));
        for unknown in ["::1%no-such-interface", "::1%", "::1%../lo", "::1%.."] {
            assert_eq!(place(unknown).literal(), None, "{unknown}");
        }
    }

    #[test]
    fn addresses_of_greetings_are_read_in_every_spelling() {
        let place = |text| Place::parse(text).unwrap();
        assert_eq!(place("127.0.0.1:3888").literal(), Some("127.0.0.1:3888".parse().unwrap()));
        assert_eq!(place("[0:0:0:0:0:0:0:1]:3888").literal(), Some("[::1]:3888".parse().unwrap()));
        assert_eq!(place("[::1]:5").to_string(), "[0:0:0:0:0:0:0:1]:5");
        assert_eq!((place("zoo1.example:3888").literal(), place("zoo1:1").to_string()), (None, "zoo1:1".into()));
        assert!(place("0.0.0.0:1").is_wildcard() && place("[::]:1").is_wildcard());
        for text in ["", "host", "host:", "host:99999", "a b:1", ":1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error() {
        assert!(Place { host: "no-such-host.invalid".into(), port: 1 }.look_up().is_err());
    }
}
