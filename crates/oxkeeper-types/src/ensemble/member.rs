//! One `server.N` line: addresses, role, client address; parsed and written as the reference's `QuorumServer` does.
//!
//! Owns the syntax of the line. Must not resolve names: a host is a name as given, or an address in the reference's spelling.

use crate::address::host_text;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::id::ServerId;

/// Whether a member votes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Role {
    #[default]
    Participant,
    Observer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Participant => "participant",
            Role::Observer => "observer",
        })
    }
}

/// A host and a port. The host is a name as the operator wrote it, or an address in Java's spelling (IPv6 without
/// shortening), since that is what ends up in the ensemble's text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// All local addresses, of both families.
    pub const ANY: &'static str = "0.0.0.0";

    /// Checks the characters of `host` and brings an address into Java's spelling.
    pub fn new(host: &str, port: u16) -> Result<HostPort, MemberError> {
        Ok(HostPort { host: normal_host(host)?, port })
    }
    pub fn any(port: u16) -> HostPort {
        HostPort { host: HostPort::ANY.to_string(), port }
    }
    pub fn host(&self) -> &str {
        &self.host
    }
    /// 0 means any free port.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// Whether it stands for all local addresses.
    pub fn is_any(&self) -> bool {
        self.host == HostPort::ANY || self.host == "0:0:0:0:0:0:0:0"
    }
    /// Whether the host is an address rather than a name.
    pub fn is_literal(&self) -> bool {
        self.host.contains(':') || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

/// `host:port`, with brackets around an IPv6 address.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", Bracketed(&self.host), self.port)
    }
}

/// One of the addresses at which the other servers reach a member.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberAddress {
    /// As in [`HostPort`].
    pub host: String,
    /// Where learners dial the leader.
    pub quorum_port: u16,
    /// Where servers dial each other to elect.
    pub election_port: u16,
}

/// One member of the ensemble.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub id: ServerId,
    /// At least one; sorted by host, as the text form lists them.
    pub addresses: Vec<MemberAddress>,
    pub role: Role,
    /// Where it serves clients, if known.
    pub client: Option<HostPort>,
    /// Where it serves clients over TLS (a part that only 3.10 writes).
    pub secure_client: Option<HostPort>,
    /// `client` comes from this server's own static file: it is used, but is no part of the ensemble's text.
    pub client_from_static: bool,
}

/// Settings that change which lines are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemberRules {
    /// `multiAddress.enabled`: several addresses, separated by `|`.
    pub multi_address: bool,
}

/// What is wrong with a member line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberError {
    Shape,
    Bracket,
    Host { host: String },
    Port { port: String },
    Role { role: String },
    Roles,
    SamePorts,
    ManyAddresses,
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemberError::Shape => f.write_str(
                "expected host:quorumPort:electionPort[:participant|:observer][;[clientAddress:]clientPort], \
                 an IPv6 address in brackets",
            ),
            MemberError::Bracket => f.write_str("'[' opens an IPv6 address; expected ']:port' after it"),
            MemberError::Host { host } => write!(f, "'{host}' is neither a host name nor an address"),
            MemberError::Port { port } => write!(f, "'{port}' is not a port; expected a number from 0 to 65535"),
            MemberError::Role { role } => write!(f, "'{role}' is not a role; expected participant or observer"),
            MemberError::Roles => f.write_str("the addresses of one server have different roles; give all the same"),
            MemberError::SamePorts => f.write_str("the quorum port and the election port must differ"),
            MemberError::ManyAddresses => {
                f.write_str("several addresses for one server; set multiAddress.enabled=true to allow that")
            }
        }
    }
}

impl std::error::Error for MemberError {}

impl Member {
    /// Reads the right-hand side of a `server.N` line (reference `QuorumServer.initializeWithAddressString`).
    pub fn parse(id: ServerId, text: &str, rules: MemberRules) -> Result<Member, MemberError> {
        let mut parts = text.trim().split(';').map(str::trim);
        let servers = parts.next().unwrap_or_default();
        let client = parts.next().filter(|part| !part.is_empty()).map(client_address).transpose()?;
        let secure_client = parts.next().filter(|part| !part.is_empty()).map(client_address).transpose()?;
        if parts.any(|part| !part.is_empty()) {
            return Err(MemberError::Shape);
        }
        let mut addresses = Vec::new();
        let mut role = None;
        for server in servers.split('|') {
            let (address, its_role) = member_address(server.trim())?;
            addresses.push(address);
            match (role, its_role) {
                (Some(before), Some(now)) if before != now => return Err(MemberError::Roles),
                (None, Some(_)) => role = its_role,
                _ => {}
            }
        }
        if addresses.len() > 1 && !rules.multi_address {
            return Err(MemberError::ManyAddresses);
        }
        addresses.sort();
        addresses.dedup();
        Ok(Member { id, addresses, role: role.unwrap_or_default(), client, secure_client, client_from_static: false })
    }

    /// The first address, by the order of the text form.
    pub fn address(&self) -> &MemberAddress {
        assert!(!self.addresses.is_empty(), "member {} without an address", self.id.0);
        &self.addresses[0]
    }
}

/// `host:quorum:election[|…]:role[;client][;secure client]`, the role always said.
impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.addresses.iter().enumerate() {
            let bar = if at == 0 { "" } else { "|" };
            let MemberAddress { host, quorum_port, election_port } = address;
            write!(f, "{bar}{}:{quorum_port}:{election_port}", Bracketed(host))?;
        }
        write!(f, ":{}", self.role)?;
        let shown = self.client.as_ref().filter(|_| !self.client_from_static);
        if let Some(client) = shown {
            write!(f, ";{client}")?;
        }
        if let Some(secure) = &self.secure_client {
            let gap = if shown.is_none() { ";" } else { "" };
            write!(f, "{gap};{secure}")?;
        }
        Ok(())
    }
}

/// `port` or `host:port`.
fn client_address(text: &str) -> Result<HostPort, MemberError> {
    match host_and_rest(text)?.as_slice() {
        [port] => HostPort::new(HostPort::ANY, parse_port(port)?),
        [host, port] => HostPort::new(host, parse_port(port)?),
        _ => Err(MemberError::Shape),
    }
}

/// `host:quorum:election` or `host:quorum:election:role`.
fn member_address(text: &str) -> Result<(MemberAddress, Option<Role>), MemberError> {
    let parts = host_and_rest(text)?;
    let (host, quorum, election, role) = match parts.as_slice() {
        [host, quorum, election] => (host, quorum, election, None),
        [host, quorum, election, role] => (host, quorum, election, Some(parse_role(role)?)),
        _ => return Err(MemberError::Shape),
    };
    let address = MemberAddress {
        host: normal_host(host)?,
        quorum_port: parse_port(quorum)?,
        election_port: parse_port(election)?,
    };
    if address.quorum_port == address.election_port {
        return Err(MemberError::SamePorts);
    }
    Ok((address, role))
}

/// Splits at colons, except inside the brackets of an IPv6 address (reference `ConfigUtils.getHostAndPort`).
fn host_and_rest(text: &str) -> Result<Vec<&str>, MemberError> {
    let Some(inner) = text.strip_prefix('[') else {
        return Ok(text.split(':').collect());
    };
    let (host, rest) = inner.split_once("]:").ok_or(MemberError::Bracket)?;
    if rest.is_empty() {
        return Err(MemberError::Bracket);
    }
    Ok(std::iter::once(host).chain(rest.split(':')).collect())
}

fn parse_port(text: &str) -> Result<u16, MemberError> {
    text.parse().map_err(|_| MemberError::Port { port: text.to_string() })
}

fn parse_role(text: &str) -> Result<Role, MemberError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "participant" => Ok(Role::Participant),
        "observer" => Ok(Role::Observer),
        _ => Err(MemberError::Role { role: text.trim().to_string() }),
    }
}

/// A name as given; an address as `InetSocketAddress.getHostString` shows it, that is, IPv6 in eight plain groups.
fn normal_host(host: &str) -> Result<String, MemberError> {
    let host = host.trim();
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let (address, scope) = match bare.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (bare, None),
    };
    if let Ok(v6) = address.parse::<Ipv6Addr>() {
        let scope = scope.filter(|_| v6.to_ipv4_mapped().is_none()).map(|scope| format!("%{scope}"));
        return Ok(host_text(v6.into()) + &scope.unwrap_or_default());
    }
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if bare.is_empty() || bare.starts_with('-') || !bare.chars().all(fine) {
        return Err(MemberError::Host { host: host.to_string() });
    }
    Ok(bare.to_string())
}

/// Brackets around what has colons in it.
struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { f.write_str(self.0) }
    }
}
