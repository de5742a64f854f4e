//! How a server is, from what it answers to `mntr`. Must not know processes.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// It has not answered yet.
    Starting,
    /// It answered before, and does not now.
    Silent,
    /// There is no leader.
    Electing,
    Serving(Figures),
    /// The process is gone; how.
    Ended(String),
}

/// What a server that serves says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Figures {
    pub mode: String,
    pub connections: u64,
    pub nodes: u64,
    pub average_latency: String,
    pub outstanding: u64,
    /// Of a leader.
    pub synced_followers: Option<u64>,
}

impl Health {
    pub fn is_serving(&self) -> bool {
        matches!(self, Health::Serving(_))
    }
    pub fn is_leading(&self) -> bool {
        matches!(self, Health::Serving(figures) if figures.mode == "leader")
    }
    /// What is worth a line where there is no terminal to keep up to date.
    pub fn summary(&self) -> String {
        match self {
            Health::Starting => "starting".into(),
            Health::Silent => "does not answer".into(),
            Health::Electing => "electing a leader".into(),
            Health::Serving(figures) => match figures.synced_followers {
                Some(followers) => format!("{}, {followers} followers in sync", figures.mode),
                None => figures.mode.clone(),
            },
            Health::Ended(how) => how.clone(),
        }
    }
    /// The whole story of this moment.
    pub fn line(&self) -> String {
        let Health::Serving(figures) = self else { return self.summary() };
        let Figures { connections, nodes, average_latency, outstanding, .. } = figures;
        format!(
            "{:<27} {connections} clients, {nodes} znodes, {average_latency} ms, {outstanding} waiting",
            self.summary()
        )
    }
}

/// Asks the server at this port. `before` tells a server that has not begun to answer from one that has stopped.
pub fn ask(port: u16, before: &Health) -> Health {
    match answer(port) {
        Ok(text) => match figures(&text) {
            Some(figures) => Health::Serving(figures),
            None => Health::Electing,
        },
        Err(_) if *before == Health::Starting => Health::Starting,
        Err(_) => Health::Silent,
    }
}

fn answer(port: u16) -> io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut socket = TcpStream::connect_timeout(&address, ASK_TIMEOUT)?;
    socket.set_read_timeout(Some(ASK_TIMEOUT))?;
    socket.write_all(b"mntr")?;
    let mut text = String::new();
    socket.read_to_string(&mut text)?;
    Ok(text)
}

/// `None` where the server serves nobody.
fn figures(text: &str) -> Option<Figures> {
    let all: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let number = |name: &str| all.get(name).and_then(|value| value.parse().ok());
    Some(Figures {
        mode: (*all.get("zk_server_state")?).to_owned(),
        // The one that asks is a connection, too.
        connections: number("zk_num_alive_connections").unwrap_or(1u64).saturating_sub(1),
        nodes: number("zk_znode_count").unwrap_or(0),
        average_latency: all.get("zk_avg_latency").map_or("0".to_owned(), |value| (*value).to_owned()),
        outstanding: number("zk_outstanding_requests").unwrap_or(0),
        synced_followers: number("zk_synced_followers"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_what_it_says_of_itself() {
        let text = "zk_server_state\tleader\nzk_num_alive_connections\t3\nzk_znode_count\t7\nzk_avg_latency\t0.5\n\
                    zk_outstanding_requests\t0\nzk_synced_followers\t2\n";
        let health = Health::Serving(figures(text).unwrap());
        assert!(health.is_leading() && health.is_serving());
        assert_eq!(health.summary(), "leader, 2 followers in sync");
        assert!(health.line().ends_with("2 clients, 7 znodes, 0.5 ms, 0 waiting"), "{}", health.line());
        assert_eq!(figures("This ZooKeeper instance is not currently serving requests\n"), None);
    }
}
