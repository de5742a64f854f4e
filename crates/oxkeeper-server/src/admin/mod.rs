//! Answers about the server. A thread of its own, so that a long answer delays no client.

pub mod four_letter;
mod mntr;
mod names;
mod text;
mod view;

use crate::client::link::{Link, Notice};
use crate::shared::Shared;
use oxkeeper_config::EnsembleConfig;
use oxkeeper_proto::frame::FourLetterWord;
use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{MemberAddress, Role};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// A four-letter word on a fresh connection.
pub struct Command {
    pub link: Arc<Link>,
    pub word: FourLetterWord,
    /// The eight bytes behind `stmk`.
    pub mask: Option<i64>,
}

/// Answers commands until the server and its connections are gone.
pub fn run(shared: Arc<Shared>, info: ServerInfo, commands: Receiver<Command>) {
    while let Ok(command) = commands.recv() {
        let answer = four_letter::answer(&shared, &info, command.word, command.mask);
        let link = command.link;
        let newly = link.outbox.put(|waiting| {
            waiting.bytes.extend_from_slice(answer.as_bytes());
            waiting.notices.push(Notice::Done);
        });
        if newly {
            shared.io[link.thread].tell(&mut vec![link.conn]);
        }
    }
}

/// What commands say of the configuration.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The port that clients connect to, also where 0 was configured; -1 where there is none.
    pub client_port: i32,
    pub secure_client_port: i32,
    /// The `version-2` directories.
    pub data_dir: std::path::PathBuf,
    pub data_log_dir: std::path::PathBuf,
    /// As configured; -1 stands for the system's own.
    pub listen_backlog: i32,
    /// `zookeeper.version` in the shape that scripts parse.
    pub version: String,
    /// `None` on a server of its own.
    pub ensemble: Option<EnsembleInfo>,
}

/// What `conf` adds in an ensemble (reference `QuorumZooKeeperServer.dumpConf`).
#[derive(Clone, Debug)]
pub struct EnsembleInfo {
    pub my_id: ServerId,
    pub init_limit: u32,
    pub sync_limit: u32,
    /// Of all our addresses, joined by `|`.
    pub election_ports: String,
    pub quorum_ports: String,
    /// 0 for a voter, 1 for an observer.
    pub peer_type: i32,
}

impl EnsembleInfo {
    pub fn new(of: &EnsembleConfig) -> EnsembleInfo {
        let own = of.members.member(of.my_id).expect("the configuration lists this server");
        let ports = |port: fn(&MemberAddress) -> u16| {
            let mut ports: Vec<u16> = own.addresses.iter().map(port).collect();
            ports.dedup();
            ports.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
        };
        EnsembleInfo {
            my_id: of.my_id,
            init_limit: of.init_limit_ticks,
            sync_limit: of.sync_limit_ticks,
            election_ports: ports(|address| address.election_port),
            quorum_ports: ports(|address| address.quorum_port),
            peer_type: i32::from(of.role == Role::Observer),
        }
    }
}
