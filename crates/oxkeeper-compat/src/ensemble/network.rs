//! A network of its own for an ensemble on one machine: a namespace for each member, with one link to its peers and one to
//! its clients, so that either can be cut. Needs root and `ip`. Must not know what runs there.

use super::cleanup;
use std::net::Ipv4Addr;
use std::process::Command;

/// Two bridges, one for peers and one for clients, and two links of each member. Dropping it removes all.
#[derive(Debug)]
pub struct Network {
    members: usize,
    /// Third byte of the peers' addresses; the clients' is one more.
    subnet: u8,
}

fn ip(words: &str) -> Result<(), String> {
    run("ip", words)
}

fn run(program: &str, words: &str) -> Result<(), String> {
    let output =
        Command::new(program).args(words.split_whitespace()).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Network {
    /// Why a network can not be had here; `None` where it can.
    pub fn missing() -> Option<String> {
        Network::set_up(1).err()
    }

    pub fn set_up(members: usize) -> Result<Network, String> {
        // Processes that run at the same time shall not share addresses.
        let subnet = (std::process::id() % 120) as u8 * 2;
        let network = Network { members, subnet };
        for (bridge, third) in [(network.bridge('p'), subnet), (network.bridge('c'), subnet + 1)] {
            ip(&format!("link add {bridge} type bridge"))?;
            cleanup::add_command(&["ip", "link", "del", &bridge]);
            ip(&format!("link set {bridge} up"))?;
            ip(&format!("addr add 10.213.{third}.254/24 dev {bridge}"))?;
        }
        for n in 0..members {
            network.add_namespace(n)?;
        }
        Ok(network)
    }

    fn add_namespace(&self, n: usize) -> Result<(), String> {
        let namespace = self.namespace(n);
        ip(&format!("netns add {namespace}"))?;
        cleanup::add_command(&["ip", "netns", "del", &namespace]);
        ip(&format!("-n {namespace} link set lo up"))?;
        for (side, address) in [('p', self.peer_ip(n)), ('c', self.client_ip(n))] {
            let (outside, inside) = (self.link(side, n), format!("oxk{side}"));
            ip(&format!("link add {outside} type veth peer name {inside} netns {namespace}"))?;
            cleanup::add_command(&["ip", "link", "del", &outside]);
            ip(&format!("link set {outside} master {}", self.bridge(side)))?;
            ip(&format!("link set {outside} up"))?;
            ip(&format!("-n {namespace} addr add {address}/24 dev {inside}"))?;
            ip(&format!("-n {namespace} link set {inside} up"))?;
        }
        Ok(())
    }

    fn bridge(&self, side: char) -> String {
        format!("oxkb{side}{}", std::process::id())
    }
    fn link(&self, side: char, n: usize) -> String {
        format!("ox{side}{n}-{}", std::process::id())
    }
    pub fn namespace(&self, n: usize) -> String {
        format!("oxkeeper-{}-{n}", std::process::id())
    }
    pub fn peer_ip(&self, n: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.subnet, n as u8 + 1)
    }
    pub fn client_ip(&self, n: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.subnet + 1, n as u8 + 1)
    }

    /// Nobody among the peers reaches member `n` any more, and it reaches nobody; packets vanish.
    pub fn cut_from_peers(&self, n: usize) -> Result<(), String> {
        ip(&format!("link set {} down", self.link('p', n)))
    }
    pub fn cut_from_clients(&self, n: usize) -> Result<(), String> {
        ip(&format!("link set {} down", self.link('c', n)))
    }
    /// These two do not reach each other; all others reach both.
    pub fn cut_pair(&self, a: usize, b: usize) -> Result<(), String> {
        for n in [a, b] {
            run("bridge", &format!("link set dev {} isolated on", self.link('p', n)))?;
        }
        Ok(())
    }
    /// Undoes every cut.
    pub fn heal(&self) -> Result<(), String> {
        for n in 0..self.members {
            run("bridge", &format!("link set dev {} isolated off", self.link('p', n)))?;
            ip(&format!("link set {} up", self.link('p', n)))?;
            ip(&format!("link set {} up", self.link('c', n)))?;
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        cleanup::undo_commands();
    }
}
