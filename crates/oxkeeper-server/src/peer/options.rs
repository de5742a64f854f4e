//! What an operator can set about the connections between servers.

use super::address::Place;
use super::members_file::MembersFile;
use oxkeeper_config::Config;
use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{Ensemble, MemberAddress, Role};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Checked settings of the election port and the quorum port.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    pub me: ServerId,
    /// This server does not vote.
    pub is_observer: bool,
    /// Where each member is reached.
    pub members: BTreeMap<ServerId, Vec<MemberAddress>>,
    /// The same by a list that is not active yet: their election ports are dialled, too.
    pub proposed: BTreeMap<ServerId, Vec<MemberAddress>>,
    /// `quorumListenOnAllIPs`
    pub listen_on_all: bool,
    /// `electionPortBindRetry`; `None`: for ever.
    pub bind_retries_max: Option<u32>,
    /// `cnxTimeout`: for a dial on the election port.
    pub election_connect_timeout: Duration,
    /// For the greeting of an election connection: `quorumCnxnTimeoutMs`, or `syncLimit` ticks.
    pub greeting_timeout: Duration,
    /// `tcpKeepAlive`
    pub keep_alive: bool,
    /// `multiAddress.enabled`: greetings name all addresses.
    pub multi_address: bool,
    /// `connectToLearnerMasterLimit`, or `initLimit`: for all tries to reach the leader.
    pub leader_connect_limit: Duration,
    /// How long the stream of a snapshot may stand still, on either side: `initLimit`.
    pub snapshot_pause_max: Duration,
    /// `leaderConnectDelayDuringRetryMs`
    pub leader_retry_delay: Duration,
    /// `observer.reconnectDelayMs`
    pub observer_reconnect_delay: Duration,
    /// `leader.nodelay`, `follower.nodelay`
    pub leader_no_delay: bool,
    pub learner_no_delay: bool,
    /// The longest data of a packet: `jute.maxbuffer` and its extra size.
    pub packet_bytes_max: usize,
    /// `snapshotSizeFactor`: how much of the log a learner may be sent, as a part of the newest snapshot.
    pub history_factor: f64,
    /// Where a newer list of members is kept; `None` without `reconfigEnabled`.
    pub members_file: Option<Arc<MembersFile>>,
}

impl PeerOptions {
    /// `None` for a server on its own.
    pub fn from_config(config: &Config) -> Option<PeerOptions> {
        let ensemble = config.ensemble.as_ref()?;
        let tick = u64::from(config.sessions.tick_time_ms);
        let ticks = |n: u32| Duration::from_millis(tick * u64::from(n));
        let election = &ensemble.election;
        Some(PeerOptions {
            me: ensemble.my_id,
            is_observer: ensemble.role == Role::Observer,
            members: addresses(&ensemble.members),
            proposed: ensemble.last_seen.as_ref().map(addresses).unwrap_or_default(),
            listen_on_all: ensemble.listen_on_all_ips,
            bind_retries_max: election.bind_retries_max,
            election_connect_timeout: Duration::from_millis(election.connect_timeout_ms),
            greeting_timeout: match election.read_timeout_ms {
                Some(ms) => Duration::from_millis(ms),
                None => ticks(ensemble.sync_limit_ticks),
            },
            keep_alive: election.tcp_keep_alive,
            multi_address: ensemble.multi_address,
            leader_connect_limit: ticks(ensemble.connect_to_learner_master_limit_ticks),
            snapshot_pause_max: ticks(ensemble.init_limit_ticks),
            leader_retry_delay: Duration::from_millis(ensemble.leader_connect_retry_delay_ms),
            observer_reconnect_delay: Duration::from_millis(ensemble.observer_reconnect_delay_ms),
            leader_no_delay: ensemble.leader_tcp_no_delay,
            learner_no_delay: ensemble.follower_tcp_no_delay,
            packet_bytes_max: packet_bytes_max(config),
            history_factor: config.storage.snapshot_size_factor.unwrap_or(0.0),
            members_file: config
                .config_file
                .clone()
                .filter(|_| config.reconfig_enabled)
                .map(|file| Arc::new(MembersFile::new(file, ensemble.my_id))),
        })
    }

    /// Our own addresses; a member is in its own list.
    pub fn own(&self) -> &[MemberAddress] {
        &self.members[&self.me]
    }
    /// Where we listen: the election port, or the quorum port.
    pub fn own_places(&self, election: bool) -> Vec<Place> {
        let port = |a: &MemberAddress| if election { a.election_port } else { a.quorum_port };
        self.own().iter().map(|a| Place { host: a.host.clone(), port: port(a) }).collect()
    }
    /// Whether it is in a list.
    pub fn is_member(&self, server: ServerId) -> bool {
        self.members.contains_key(&server) || self.proposed.contains_key(&server)
    }
    /// The addresses of a member's election port, by the active list and then by the proposed one where that has others (EL020,
    /// reference `QuorumCnxManager.connectOne`); none for a stranger.
    pub fn election_places(&self, server: ServerId) -> Vec<Place> {
        let mut places = Vec::new();
        for address in [&self.members, &self.proposed].into_iter().filter_map(|list| list.get(&server)).flatten() {
            let place = Place { host: address.host.clone(), port: address.election_port };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }
    /// The addresses of a member's quorum port; none for a stranger.
    pub fn quorum_places(&self, server: ServerId) -> Vec<Place> {
        let addresses = self.members.get(&server).map_or(&[][..], Vec::as_slice);
        addresses.iter().map(|a| Place { host: a.host.clone(), port: a.quorum_port }).collect()
    }
    /// What a greeting says of us: one address (EL002, the first form), unless several are allowed (EL003, the second).
    pub fn own_texts(&self) -> Vec<String> {
        let count = if self.multi_address { self.own().len() } else { 1 };
        self.own_places(true).iter().take(count).map(ToString::to_string).collect()
    }
}

fn addresses(ensemble: &Ensemble) -> BTreeMap<ServerId, Vec<MemberAddress>> {
    ensemble.members().values().map(|member| (member.id, member.addresses.clone())).collect()
}

/// A transaction is a request and its header, so it is longer than the longest request (QP004).
fn packet_bytes_max(config: &Config) -> usize {
    let requests = config.client.request_bytes_max as usize;
    requests + config.client.request_extra_bytes as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_config::{Inputs, MainSource};

    /// Server 1, by these lines of members and of a list that was proposed before the last stop.
    fn options(more: &str, members: &str, proposed: &str) -> PeerOptions {
        let text = format!("dataDir=/data\nclientPort=1\ninitLimit=5\nsyncLimit=5\ndynamicConfigFile=/c/list\n{more}");
        let main = MainSource::File { path: "zoo.cfg".into(), text };
        let config = Config::load(&Inputs { main, ..Inputs::default() }, &mut |path| {
            Ok(Some(match path.to_str() {
                Some("/c/list") => members.to_owned(),
                Some("zoo.cfg.dynamic.next") => proposed.to_owned(),
                _ => "1".to_owned(),
            }))
        });
        PeerOptions::from_config(&config.unwrap()).unwrap()
    }

    fn dialled(options: &PeerOptions, server: i64) -> Vec<String> {
        options.election_places(ServerId(server)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_member_is_dialled_by_the_active_list_and_where_a_proposed_one_has_it_elsewhere_there_too() {
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2";
        let proposed = "server.1=z:1:2\nserver.2=b:1:2\nserver.3=new:1:2\nserver.4=d:1:2\nversion=5";
        let both = options("reconfigEnabled=true\n", members, proposed);
        assert_eq!(dialled(&both, 2), ["b:2"], "no address twice");
        assert_eq!(dialled(&both, 3), ["c:2", "new:2"]);
        assert_eq!(dialled(&both, 4), ["d:2"]);
        assert!(dialled(&both, 5).is_empty() && both.is_member(ServerId(4)) && !both.is_member(ServerId(5)));
        assert_eq!((both.own()[0].host.as_str(), both.own_texts()), ("a", vec!["a:2".to_owned()]));
        // A leader is followed where the active list has it.
        assert_eq!(both.quorum_places(ServerId(3)).len(), 1);
        let files_only = options("", members, proposed);
        assert_eq!((dialled(&files_only, 3), files_only.is_member(ServerId(4))), (vec!["c:2".to_owned()], false));
    }

    #[test]
    fn several_addresses_of_its_own_are_told_where_that_is_enabled() {
        let members = "server.1=a:1:2|a2:3:4\nserver.2=b:1:2\nserver.3=c:1:2";
        assert_eq!(options("multiAddress.enabled=true\n", members, "").own_texts(), ["a:2", "a2:4"]);
    }
}
