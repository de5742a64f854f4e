//! Carries out what the replica asks of the other servers. Lives in the core thread.

use super::learner_listener::Stage;
use super::{PeerShared, history_reader, learner_dial};
use crate::shared::{CoreEvent, lock};
use oxkeeper_replica::Input;
use oxkeeper_replica::output::PeerOutput;
use oxkeeper_types::ServerId;
use oxkeeper_zab::{LinkId, RoleChange};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Peers {
    shared: Arc<PeerShared>,
    /// Frames for the election port, the newest for each member.
    frames: BTreeMap<ServerId, Vec<u8>>,
    /// Links with something to be flushed.
    touched: Vec<LinkId>,
    /// Since when there is no leader.
    looking_since: Instant,
    /// A leader was followed before.
    dialled_before: bool,
}

impl Peers {
    pub fn new(shared: Arc<PeerShared>) -> Peers {
        let (frames, touched) = (BTreeMap::new(), Vec::new());
        Peers { shared, frames, touched, looking_since: Instant::now(), dialled_before: false }
    }

    /// In order; what goes to one link goes out at once at the end.
    pub fn carry_out(&mut self, outputs: &mut Vec<PeerOutput>) {
        for output in outputs.drain(..) {
            match output {
                PeerOutput::Notify { to, notification } => {
                    let mut frame = Vec::new();
                    notification.write_frame(&mut frame);
                    self.frames.insert(to, frame);
                }
                PeerOutput::DialLeader { leader } => self.dial(leader),
                PeerOutput::Send { link, packet } => {
                    if let Some(open) = lock(&self.shared.links).get(&link) {
                        open.put(&packet);
                    }
                    if self.touched.last() != Some(&link) {
                        self.touched.push(link);
                    }
                }
                PeerOutput::CloseLink { link, why } => {
                    if let Some(open) = lock(&self.shared.links).remove(&link) {
                        open.close(&why);
                    }
                }
                PeerOutput::SendImage { link, image } => match lock(&self.shared.links).get(&link) {
                    Some(open) => open.put_image(&self.shared, image),
                    None => self.shared.core.put_one(CoreEvent::Input(Input::ImageSent { image })),
                },
                PeerOutput::ReadHistory { link, after } => history_reader::begin(&self.shared, link, after),
                PeerOutput::Role(role) => self.enter(role),
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        if !self.touched.is_empty() {
            self.touched.sort_unstable();
            self.touched.dedup();
            let links = lock(&self.shared.links);
            for link in self.touched.drain(..).filter_map(|link| links.get(&link)) {
                link.flush();
            }
        }
        if !self.frames.is_empty() {
            let frames = std::mem::take(&mut self.frames);
            self.shared.tell(|inbox| inbox.frames.extend(frames));
        }
    }

    fn dial(&mut self, leader: ServerId) {
        let options = &self.shared.options;
        let again = options.is_observer && std::mem::replace(&mut self.dialled_before, true);
        let pause = if again { options.observer_reconnect_delay } else { Duration::ZERO };
        learner_dial::begin(&self.shared, leader, pause);
    }

    fn enter(&mut self, role: RoleChange) {
        self.shared.tell(|inbox| inbox.stage = Some(Stage::of(role)));
        let took = self.looking_since.elapsed().as_millis();
        match role {
            RoleChange::Looking => {
                learner_dial::give_up(&self.shared);
                self.looking_since = Instant::now();
                tracing::info!("PeerState set to LOOKING");
            }
            RoleChange::Preparing { epoch: None } => {
                learner_dial::give_up(&self.shared);
                tracing::info!("PeerState set to LEADING");
                tracing::info!("LEADING - LEADER ELECTION TOOK - {took} MS");
            }
            RoleChange::Preparing { epoch: Some(epoch) } => tracing::info!("a quorum has accepted epoch {}", epoch.0),
            RoleChange::Leading { epoch } => tracing::info!("leading in epoch {}: a quorum is in sync", epoch.0),
            RoleChange::Following { leader, serving: false } => {
                tracing::info!("PeerState set to FOLLOWING");
                tracing::info!("FOLLOWING - LEADER ELECTION TOOK - {took} MS, leader {}", leader.0);
            }
            RoleChange::Observing { leader, serving: false } => {
                tracing::info!("PeerState set to OBSERVING");
                tracing::info!("OBSERVING - LEADER ELECTION TOOK - {took} MS, leader {}", leader.0);
            }
            RoleChange::Following { leader, serving: true } | RoleChange::Observing { leader, serving: true } => {
                tracing::info!("in sync with leader {}; serving clients", leader.0);
            }
        }
    }
}
