//! Carries out what the replica asks of the other servers. Lives in the core thread.

use super::shared::{PeerShared, Stage};
use super::{history_reader, learner_dial};
use crate::clock::Clock;
use crate::core_queue::CoreEvent;
use crate::lock::lock;
use crate::metrics::bump;
use crate::rate_log::RateLog;
use crate::seed::{self, Dice};
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::Input;
use oxkeeper_replica::output::PeerOutput;
use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::{Millis, ServerId, Zxid};
use oxkeeper_zab::{LinkId, Notice, RoleChange};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

pub struct Peers {
    shared: Arc<PeerShared>,
    /// Frames for the election port, the newest for each member.
    frames: BTreeMap<ServerId, Vec<u8>>,
    /// Links with something to be flushed.
    touched: Vec<LinkId>,
    /// Since when there is no leader.
    looking_since: Instant,
    looking: bool,
    /// A leader was followed before.
    dialled_before: bool,
    dice: Dice,
    clock: Clock,
    passed_over_log: RateLog,
}

/// A refused write that comes again and again under one zxid is told of this often.
const PASSED_OVER_LOG_INTERVAL: Millis = Millis(10_000);

impl Peers {
    pub fn new(shared: Arc<PeerShared>, clock: Clock) -> Peers {
        Peers {
            shared,
            frames: BTreeMap::new(),
            touched: Vec::new(),
            looking_since: Instant::now(),
            looking: true,
            dialled_before: false,
            dice: Dice(seed::from_system()),
            clock,
            passed_over_log: RateLog::new(PASSED_OVER_LOG_INTERVAL),
        }
    }

    /// These members count from here on.
    pub fn keep(&self, members: Ensemble) {
        if let Some(file) = &self.shared.options.members_file {
            file.begin(members);
        }
    }

    /// In order; what goes to one link goes out at once at the end, and to the `last` ones after all others.
    pub fn carry_out(&mut self, outputs: &mut Vec<PeerOutput>, last: &[LinkId]) {
        for output in outputs.drain(..) {
            match output {
                PeerOutput::Notify { to, notification } => {
                    let mut frame = Vec::new();
                    notification.write_frame(&mut frame);
                    self.frames.insert(to, frame);
                }
                PeerOutput::DialLeader { leader } => self.dial(leader),
                PeerOutput::Send { link, packet } => {
                    self.count(&packet);
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
                    Some(open) => open.put_image(image, self.shared.server.history.generation()),
                    None => self.shared.core.put_one(CoreEvent::Input(Input::ImageSent { image })),
                },
                PeerOutput::ReadHistory { link, after } => history_reader::begin(&self.shared, link, after),
                PeerOutput::Role { role, epoch_began } => {
                    let began = epoch_began.unwrap_or(Zxid::ZERO);
                    self.shared.metrics.peers.epoch_began.store(began.0, Relaxed);
                    self.enter(role);
                }
                PeerOutput::Tell(notice) => self.tell(notice),
            }
        }
        self.flush(last);
    }

    fn tell(&mut self, notice: Notice) {
        match notice {
            Notice::DiskAnswers => tracing::info!("the disk answers again: looking for a leader"),
            Notice::DiskSilent => tracing::error!(
                "the disk of the transaction log has answered nothing for syncLimit ticks, so this server neither leads nor \
                 follows until it does. Look after the disk; nothing that was acknowledged is lost"
            ),
            Notice::PassedOver { zxid } => {
                let text = format!(
                    "the leader proposed a refused write under {zxid}, which it had given out before, as releases 3.9.0 to 3.9.5 do \
                     with requests that they cannot read: it was passed over here. Such a leader may commit nothing more: where writes \
                     wait, restart it; and look for the client that sends what cannot be read"
                );
                self.passed_over_log.log(text, self.clock.monotonic(), |line| tracing::warn!("{line}"));
            }
        }
    }

    fn count(&self, packet: &Packet) {
        let metrics = &self.shared.metrics.peers;
        match packet {
            Packet::Proposal { .. } => bump(&metrics.proposals, 1),
            Packet::Commit { .. } => bump(&metrics.commits, 1),
            Packet::Diff { .. } => bump(&metrics.diffs, 1),
            Packet::Snap { .. } => bump(&metrics.snapshots, 1),
            _ => {}
        }
    }

    fn flush(&mut self, last: &[LinkId]) {
        if !self.touched.is_empty() {
            self.touched.sort_unstable_by_key(|link| (last.contains(link), *link));
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
        // A random part of it, so that not all observers dial at one moment (reference `Observer.waitForReconnectDelay`).
        let pause = if again { options.observer_reconnect_delay.mul_f64(self.dice.throw()) } else { Duration::ZERO };
        learner_dial::begin(&self.shared, leader, pause);
    }

    fn enter(&mut self, role: RoleChange) {
        self.shared.tell(|inbox| inbox.stage = Some(Stage::of(role)));
        let (took, metrics) = (self.looking_since.elapsed().as_millis(), &self.shared.metrics.peers);
        if std::mem::replace(&mut self.looking, role == RoleChange::Looking) && role != RoleChange::Looking {
            metrics.election_ms.add(took as u64);
        }
        match role {
            RoleChange::Looking => {
                learner_dial::give_up(&self.shared);
                self.looking_since = Instant::now();
                bump(&metrics.looking, 1);
                tracing::info!("PeerState set to LOOKING");
            }
            RoleChange::Preparing { epoch: None } => {
                learner_dial::give_up(&self.shared);
                tracing::info!("PeerState set to LEADING");
                tracing::info!("LEADING - LEADER ELECTION TOOK - {took} MS");
            }
            RoleChange::Preparing { epoch: Some(epoch) } => tracing::info!("a quorum has accepted epoch {}", epoch.0),
            RoleChange::Leading { epoch } => {
                metrics.leading_since.store(self.clock.monotonic().0, Relaxed);
                tracing::info!("leading in epoch {}: a quorum is in sync", epoch.0);
            }
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
