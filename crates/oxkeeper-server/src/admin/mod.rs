//! Answers about the server, from what [`crate::report`] gathers. A thread of its own, so that a long answer delays no client.

pub mod four_letter;
mod mntr;
mod names;
mod text;

use crate::client::port::Command;
use crate::report::Reporter;
use oxkeeper_config::EnsembleConfig;
use oxkeeper_proto::frame::FourLetterWord;
use oxkeeper_types::ensemble::{MemberAddress, Role};
use oxkeeper_types::{Millis, ServerId};
use std::sync::mpsc::Receiver;

/// Answers commands until the server and its connections are gone.
pub fn run(reporter: Reporter, info: ServerInfo, commands: Receiver<Command>) {
    while let Ok(command) = commands.recv() {
        let answer = four_letter::answer(&reporter, &info, command.word, command.mask);
        reporter.answer(command, &answer);
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
    /// Those that are answered (`4lw.commands.whitelist`).
    pub four_letter_words: Vec<FourLetterWord>,
    pub tick: Millis,
    pub session_timeout_min: Millis,
    pub session_timeout_max: Millis,
    /// From one address; 0: any number.
    pub connections_per_address_max: usize,
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
