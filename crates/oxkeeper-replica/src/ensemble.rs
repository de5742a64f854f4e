//! A server among others: what consensus asks for is carried out on the line of transactions, the tree and the sessions.
//!
//! Owns the part that this server plays ([`RoleChange`]) and what follows from each change of it. Who leads, what is logged
//! and what is committed is for `oxkeeper-zab` to say; requests between servers are in [`crate::forward`].

use crate::forward::Forwarding;
use crate::input::Now;
use crate::options::Options;
use crate::output::{CloseReason, Control, Mode, Outputs, PeerOutput};
use crate::pipeline::flight::{Flight, Origin, Proposed};
use crate::pipeline::prep::Prepared;
use crate::reaper::Reaper;
use crate::replica::Replica;
use crate::session::Tracker;
use crate::state::State;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_proto::txn::{Txn, TxnEntry};
use oxkeeper_tree::{ImageId, Tree};
use oxkeeper_types::persist::TxnBytes;
use oxkeeper_types::{Millis, SessionId, Zxid};
use oxkeeper_zab::{Durable, Input, LinkEnd, LinkId, Output, RoleChange, Zab, ZabOptions};
use std::collections::{BTreeMap, VecDeque};

/// Milliseconds: the least time without a leader before a server serves read-only clients (reference
/// `QuorumPeer`: the longer of this and a tick).
const READ_ONLY_GRACE_MS: i64 = 2000;

/// What a member of an ensemble has beside every server.
#[derive(Debug)]
pub(crate) struct Ensemble {
    pub(crate) zab: Zab,
    role: RoleChange,
    /// Monotonic: since when the role is looking.
    looking_since: Millis,
    /// Requests of our clients that the leader has.
    pub(crate) forwarded: Forwarding,
    /// Sessions that were active here since the last answer to a PING, with their timeouts.
    touched: BTreeMap<SessionId, Millis>,
    /// Transactions that the leader has proposed, read where they came in, until consensus puts them in line.
    proposals: VecDeque<TxnEntry>,
    /// A tree that takes the place of ours with the next exclusive hold.
    replacement: Option<Box<Tree>>,
    /// Learners that wait for an image of the tree.
    freezes: Vec<LinkId>,
    /// Images on their way to learners.
    images: BTreeMap<ImageId, LinkId>,
    /// `/zookeeper/config` is to be written with the next exclusive hold.
    config_due: bool,
    /// The version of the configuration that was told last, or found at the start.
    config_told: Zxid,
    /// Reused by every step of consensus.
    outputs: Vec<Output>,
}

impl Ensemble {
    fn new(zab: Zab, now: Millis) -> Ensemble {
        let config_told = zab.ensemble().version();
        Ensemble {
            zab,
            role: RoleChange::Looking,
            looking_since: now,
            forwarded: Forwarding::default(),
            touched: BTreeMap::new(),
            proposals: VecDeque::new(),
            replacement: None,
            freezes: Vec::new(),
            images: BTreeMap::new(),
            config_due: true,
            config_told,
            outputs: Vec::new(),
        }
    }
    pub(crate) fn is_leading(&self) -> bool {
        matches!(self.role, RoleChange::Leading { .. })
    }
    pub(crate) fn is_learning(&self) -> bool {
        matches!(self.role, RoleChange::Following { .. } | RoleChange::Observing { .. })
    }
    /// Whether the tree holds nothing but what was committed.
    pub(crate) fn is_settled(&self) -> bool {
        match self.role {
            RoleChange::Looking | RoleChange::Preparing { .. } => false,
            RoleChange::Leading { .. } => true,
            RoleChange::Following { serving, .. } | RoleChange::Observing { serving, .. } => serving,
        }
    }
    /// Whether something waits for the next exclusive hold.
    pub(crate) fn needs_state(&self) -> bool {
        self.replacement.is_some() || !self.freezes.is_empty() || self.config_due
    }
    pub(crate) fn next_deadline(&self, options: &Options, mode: Mode) -> Millis {
        let zab = self.zab.next_deadline();
        match self.read_only_at(options).filter(|_| mode == Mode::Looking) {
            Some(read_only) => zab.min(read_only),
            None => zab,
        }
    }
    /// A session of ours was heard from: the leader hears of it with the next PING.
    pub(crate) fn touched(&mut self, session: SessionId, timeout: Millis) {
        if self.is_learning() {
            self.touched.insert(session, timeout);
        }
    }
    pub(crate) fn take_touched(&mut self) -> BTreeMap<SessionId, Millis> {
        std::mem::take(&mut self.touched)
    }
    /// When clients that only read are served, should no leader be found before.
    fn read_only_at(&self, options: &Options) -> Option<Millis> {
        let may = options.read_only_enabled && self.role == RoleChange::Looking;
        may.then(|| self.looking_since + Millis(READ_ONLY_GRACE_MS).max(options.tick))
    }
}

impl Replica {
    /// A member of an ensemble on a recovered state, with everything that its log holds applied. It serves nobody until
    /// there is a leader. `replayed` as for [`Replica::new`].
    pub fn of_ensemble(
        options: Options,
        zab: ZabOptions,
        durable: Durable,
        state: &State,
        replayed: u64,
        snapshot_wanted: bool,
        now: Now,
    ) -> Replica {
        assert_eq!(options.server, zab.me, "one server has one id");
        let mut replica = Replica::new(options, state, replayed, snapshot_wanted, now);
        replica.tracker = Tracker::new(replica.options.tick, std::iter::empty(), now.monotonic);
        replica.mode = Mode::Looking;
        replica.ensemble = Some(Ensemble::new(Zab::new(zab, durable, now.monotonic), now.monotonic));
        replica
    }

    /// A member of an ensemble begins to look for a leader. Once, before any step.
    pub fn start(&mut self, state: &State, now: Now, out: &mut Outputs) {
        self.drive_zab(state, now, out, |zab, out| zab.start(now.monotonic, out));
    }

    pub(crate) fn tick_peers(&mut self, state: &State, now: Now, out: &mut Outputs) {
        if self.ensemble.is_none() {
            return;
        }
        self.on_zab(state, now, Input::Tick, out);
        let at = self.ensemble.as_ref().and_then(|ensemble| ensemble.read_only_at(&self.options));
        if at.is_some_and(|at| now.monotonic >= at) && self.mode == Mode::Looking {
            self.serve(Mode::ReadOnly, out);
        }
    }

    pub(crate) fn on_zab(&mut self, state: &State, now: Now, input: Input, out: &mut Outputs) {
        self.drive_zab(state, now, out, |zab, out| zab.step(now.monotonic, input, out));
    }

    fn drive_zab(
        &mut self,
        state: &State,
        now: Now,
        out: &mut Outputs,
        drive: impl FnOnce(&mut Zab, &mut Vec<Output>),
    ) {
        let ensemble = self.ensemble.as_mut().expect("a standalone server has no peers");
        let mut outputs = std::mem::take(&mut ensemble.outputs);
        drive(&mut ensemble.zab, &mut outputs);
        for output in outputs.drain(..) {
            self.carry_out(state, now, output, out);
        }
        self.ensemble.as_mut().expect("it was there").outputs = outputs;
    }

    fn carry_out(&mut self, state: &State, now: Now, output: Output, out: &mut Outputs) {
        match output {
            Output::Notify { to, notification } => out.peers.push(PeerOutput::Notify { to, notification }),
            Output::DialLeader { leader } => out.peers.push(PeerOutput::DialLeader { leader }),
            Output::Send { link, packet } => {
                self.send_syncs_before(&packet, out);
                out.send_packet(link, packet);
            }
            Output::CloseLink { link, why } => self.close_link(link, why, out),
            Output::Persist(request) => out.persist.push(request),
            Output::Proposed { zxid, txn } => self.on_proposed(zxid, &txn, out),
            Output::Commit { through } => {
                self.flight.asked_by(through).for_each(|link| out.hears_last(link));
                self.flight.release(through);
                self.send_syncs(through, out);
            }
            Output::FreezeImage { link } => self.peers().freezes.push(link),
            Output::ReadHistory { link, after } => out.peers.push(PeerOutput::ReadHistory { link, after }),
            Output::Tell(notice) => out.peers.push(PeerOutput::Tell(notice)),
            Output::LeadershipConfirmed { number } => {
                self.flight.confirm(number);
                self.send_syncs(self.flight.released(), out);
            }
            Output::Role(role) => self.enter(state, now, role, out),
        }
    }

    pub(crate) fn peers(&mut self) -> &mut Ensemble {
        self.ensemble.as_mut().expect("a standalone server has no peers")
    }

    fn close_link(&mut self, link: LinkId, why: LinkEnd, out: &mut Outputs) {
        self.peers().freezes.retain(|waiting| *waiting != link);
        out.peers.push(PeerOutput::CloseLink { link, why });
    }

    /// Reads a transaction that the leader proposes, before anything comes of it: what cannot be read costs the link.
    pub(crate) fn read_proposal(&mut self, packet: &Packet) -> Result<(), String> {
        let (zxid, txn) = match packet {
            Packet::Proposal { zxid, txn }
            | Packet::Inform { zxid, txn }
            | Packet::InformAndActivate { zxid, txn, .. } => (*zxid, txn),
            _ => return Ok(()),
        };
        let entry = TxnEntry::read(txn).map_err(|fault| {
            format!(
                "transaction {zxid} cannot be read ({fault}): if the leader is of a newer release, upgrade this server; if not, \
                 its bytes are damaged"
            )
        })?;
        if entry.header.zxid != zxid {
            return Err(format!(
                "expected transaction {zxid} in the proposal of it, got transaction {}",
                entry.header.zxid
            ));
        }
        if let Txn::CreateSession { .. } = entry.txn {
            self.next_session.pass(entry.header.session);
        }
        self.peers().proposals.push_back(entry);
        Ok(())
    }

    /// A transaction of the leader comes next in the log, and in line. What came before it and did not was in a snapshot already.
    fn on_proposed(&mut self, zxid: Zxid, txn: &TxnBytes, out: &mut Outputs) {
        let proposals = &mut self.peers().proposals;
        let entry = loop {
            let entry = proposals.pop_front().unwrap_or_else(|| panic!("{zxid} comes in line and was not proposed"));
            if entry.header.zxid == zxid {
                break entry;
            }
        };
        self.flight.push(Proposed { prepared: Prepared::of_leader(entry), origin: Origin::Elsewhere });
        self.logged(txn.len(), out);
    }

    /// This server plays another part from here on.
    fn enter(&mut self, state: &State, now: Now, role: RoleChange, out: &mut Outputs) {
        let ensemble = self.peers();
        ensemble.role = role;
        let epoch_began = ensemble.zab.epoch_began();
        out.peers.push(PeerOutput::Role { role, epoch_began });
        if self.mode == Mode::ReadOnly {
            self.leave_clients(out);
        }
        let ensemble = self.peers();
        match role {
            RoleChange::Looking => {
                ensemble.looking_since = now.monotonic;
                ensemble.freezes.clear();
                ensemble.proposals.clear();
                self.leave_clients(out);
                self.flight.give_up();
                self.prep.clear();
            }
            RoleChange::Preparing { .. } => {}
            RoleChange::Leading { .. } => {
                assert!(self.flight.is_empty(), "{} transactions are in line of a new leader", self.flight.len());
                self.tracker = Tracker::new(self.options.tick, state.tree.sessions().iter(), now.monotonic);
                self.reaper = Reaper::new(&self.options, now.monotonic);
                self.peers().config_due = true;
                // With `leaderServes=no` nobody is let in; what operators are told stays.
                self.mode = Mode::Leader;
                let mode = if self.options.leader_serves { Mode::Leader } else { Mode::Looking };
                out.controls.push(Control::Serve { mode });
            }
            RoleChange::Following { serving, .. } | RoleChange::Observing { serving, .. } => {
                if serving {
                    self.peers().config_due = true;
                    let follows = matches!(role, RoleChange::Following { .. });
                    self.serve(if follows { Mode::Follower } else { Mode::Observer }, out);
                }
            }
        }
    }

    fn serve(&mut self, mode: Mode, out: &mut Outputs) {
        self.mode = mode;
        out.controls.push(Control::Serve { mode });
    }

    /// No client is served any more: all connections are closed, and what they wait for is forgotten.
    fn leave_clients(&mut self, out: &mut Outputs) {
        if self.mode == Mode::Looking {
            return;
        }
        let forwarded = std::mem::take(&mut self.peers().forwarded);
        let mut conns: Vec<_> = self.sessions.drain().map(|(conn, _)| conn).chain(forwarded.handshakes()).collect();
        conns.sort_unstable();
        conns.dedup();
        let reason = CloseReason::NotServing;
        out.controls.extend(conns.into_iter().map(|conn| Control::Close { conn, reason }));
        self.peers().touched.clear();
        self.tracker = Tracker::new(self.options.tick, std::iter::empty(), Millis(0));
        self.serve(Mode::Looking, out);
    }

    pub(crate) fn on_state_replaced(&mut self, tree: Box<Tree>) {
        assert!(self.mode != Mode::Leader, "the tree of a leader was replaced");
        self.peers().replacement = Some(tree);
    }

    /// With the exclusive hold: puts a replacement in the tree's place, and writes the configuration's node.
    pub(crate) fn replace_state(&mut self, state: &mut State, now: Now, out: &mut Outputs) {
        let Some(ensemble) = &mut self.ensemble else { return };
        if let Some(mut tree) = ensemble.replacement.take() {
            tree.succeed(&state.tree);
            state.tree = *tree;
            state.tree.sessions().iter().for_each(|(session, _)| self.next_session.pass(session));
            let last = state.tree.last_processed();
            self.flight = Flight::new(last);
            self.peers().config_due = true;
            self.on_zab(state, now, Input::StateReplaced { last }, out);
        }
        let ensemble = self.peers();
        if std::mem::take(&mut ensemble.config_due) {
            let config = ensemble.zab.ensemble();
            if config.version() > ensemble.config_told {
                ensemble.config_told = config.version();
                out.members = Some(Box::new(config.clone()));
            }
            state.tree.write_config(&config.to_string(), config.version(), now.wall);
        }
    }

    /// With the exclusive hold, behind what was applied: images for learners. Only when everything that is committed is applied:
    /// what stands behind an image is sent from memory, which holds the last `commitLogCount` transactions and no more.
    pub(crate) fn freeze_for_learners(&mut self, state: &mut State, now: Now, out: &mut Outputs) {
        if self.flight.has_due() {
            return;
        }
        let Some(ensemble) = &mut self.ensemble else { return };
        for link in std::mem::take(&mut ensemble.freezes) {
            let (image, zxid) = (state.tree.freeze(), state.tree.last_processed());
            // Where the learner is gone meanwhile, packet and stream are for nobody, and the image comes back as sent.
            out.send_packet(link, Packet::Snap { zxid });
            out.peers.push(PeerOutput::SendImage { link, image });
            self.peers().images.insert(image, link);
            self.on_zab(state, now, Input::ImageFrozen { link, zxid }, out);
        }
    }

    /// All of it has gone out, or the learner is gone.
    pub(crate) fn on_image_sent(&mut self, state: &State, now: Now, image: ImageId, out: &mut Outputs) {
        if let Some(link) = self.ensemble.as_mut().and_then(|ensemble| ensemble.images.remove(&image)) {
            self.on_zab(state, now, Input::ImageSent { link }, out);
        }
    }

    /// The zxid of the next transaction; `None` where the epoch has none left.
    pub(crate) fn next_zxid(&self) -> Option<Zxid> {
        match &self.ensemble {
            None => Some(self.flight.next_zxid()),
            Some(ensemble) => ensemble.zab.next_zxid(),
        }
    }

    /// The number under which leadership will have been confirmed after this moment; 0 where nobody else could lead.
    pub(crate) fn confirm_leadership(&mut self, state: &State, now: Now, out: &mut Outputs) -> u64 {
        if self.ensemble.is_none() {
            return 0;
        }
        self.on_zab(state, now, Input::ConfirmLeadership, out);
        self.peers().zab.confirm_number()
    }

    /// The epoch has no zxid left: the leader steps down, and the next epoch goes on.
    pub(crate) fn step_down(&mut self, state: &State, now: Now, out: &mut Outputs) {
        self.on_zab(state, now, Input::Tick, out);
    }
}
