//! Carrying out what a replica asks for: the twin of the server's core loop, without a decision. Between any two outputs the
//! process may end ([`World::point`]).

use crate::check::Asked;
use crate::host::{Running, Work};
use crate::museum::Bug;
use crate::network::Message;
use crate::old_learner::Sent;
use crate::points;
use crate::transcript::Who;
use crate::world::{Crash, ServerEvent, World};
use oxkeeper_proto::quorum::{AckEpoch, Packet};
use oxkeeper_replica::output::PeerOutput;
use oxkeeper_replica::{CloseReason, Control, Input, Outputs};
use oxkeeper_storage::fault_disk::Loss;
use oxkeeper_types::Zxid;
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_zab::{LinkId, RoleChange};

impl World {
    /// One step of a server.
    pub(crate) fn input(&mut self, h: usize, input: Input) {
        let host = &mut self.hosts[h];
        let Some(Running { replica, state, out, .. }) = &mut host.running else { return };
        self.trace.note(self.now, Who::Server(h), "step", &[], || points::input_text(&input));
        let asked = Asked::of(&input);
        replica.step(state, host.clock.now(self.now), input, out);
        // A leader without zxids takes nothing more: it ends its links as soon as what it has proposed is committed.
        let counter_max = self.options.counter_max().filter(|_| asked.is_some());
        let is_used_up = counter_max.is_some_and(|max| {
            let report = replica.report();
            let epoch = report.zab.and_then(|zab| zab.epoch);
            epoch.is_some_and(|epoch| report.last_prepared == Zxid::new(epoch, max))
        });
        if let Some(asked) = asked.filter(|_| !is_used_up)
            && let Some((key, _)) = host.running.as_ref().and_then(|running| running.links.get(&asked.link()))
        {
            let out = &host.running.as_ref().expect("it runs").out;
            self.check.on_request(*key, &asked, out);
        }
        self.carry_out(h);
    }

    /// A server that has just started begins to look for a leader.
    pub(crate) fn begin(&mut self, h: usize) {
        let host = &mut self.hosts[h];
        let Some(Running { replica, state, out, .. }) = &mut host.running else { return };
        crate::host::begin(replica, state, host.clock.now(self.now), out);
        self.carry_out(h);
        self.observe(h);
    }

    /// One exclusive hold.
    pub(crate) fn apply(&mut self, h: usize) {
        if self.point(h, "before an apply") {
            return;
        }
        let host = &mut self.hosts[h];
        let Some(Running { replica, state, watches, out, apply_scheduled, ports, to_pump, .. }) = &mut host.running
        else {
            return;
        };
        *apply_scheduled = false;
        to_pump.extend(ports.iter().filter(|(_, port)| port.waits).map(|(conn, _)| *conn));
        if !replica.has_committed() {
            return;
        }
        replica.apply_committed(state, &mut watches.borrow_mut(), host.clock.now(self.now), out);
        let (last, digest) = (state.tree.last_processed(), state.tree.digest());
        self.trace.note(self.now, Who::Server(h), "apply", &[last.0, digest as i64], || format!("through {last}"));
        self.observe(h);
        self.carry_out(h);
        self.point(h, "after an apply");
    }

    /// What every event ends with.
    pub(crate) fn settle(&mut self, h: usize) {
        let Some(running) = &mut self.hosts[h].running else { return };
        let mut conns = std::mem::take(&mut running.to_pump);
        while !conns.is_empty() {
            for conn in conns {
                self.pump(h, conn);
            }
            conns =
                self.hosts[h].running.as_mut().map(|running| std::mem::take(&mut running.to_pump)).unwrap_or_default();
        }
        self.observe(h);
        self.send_held_syncs(h);
        self.schedule_apply(h);
        self.schedule_wake(h);
    }

    /// A planted bug: everything committed is applied, and the SYNCs that were held back leave.
    fn send_held_syncs(&mut self, h: usize) {
        let Some(running) = &mut self.hosts[h].running else { return };
        if !running.replica.has_committed() {
            for (link, packet) in std::mem::take(&mut running.held_syncs) {
                self.send_packet(h, link, packet);
            }
        }
    }

    fn observe(&mut self, h: usize) {
        if let Some(running) = &mut self.hosts[h].running {
            self.check.observe(h, running);
        }
    }

    /// Requests to the disk, deliveries, controls, peers: each list in order.
    fn carry_out(&mut self, h: usize) {
        let Some(running) = &mut self.hosts[h].running else { return };
        let mut out = std::mem::take(&mut running.out);
        if out.is_empty() {
            running.out = out;
            return;
        }
        if self.carry_out_lists(h, &mut out)
            && let Some(running) = &mut self.hosts[h].running
        {
            out.clear();
            running.out = out;
            self.start_disk(h);
        }
    }

    /// False where the process ended on the way.
    fn carry_out_lists(&mut self, h: usize, out: &mut Outputs) -> bool {
        for request in out.persist.drain(..) {
            let (before, after) = points::of_persist(&request);
            if self.point(h, before) {
                return false;
            }
            self.persist(h, request);
            if self.point(h, after) {
                return false;
            }
        }
        if self.options.planted == Some(Bug::WatchAfterReply) {
            out.deliveries.sort_by_key(|delivery| !delivery.is_reply);
        }
        if self.options.planted == Some(Bug::SyncOvertaken) {
            let is_sync = |output: &PeerOutput| matches!(output, PeerOutput::Send { packet: Packet::Sync { .. }, .. });
            out.peers.sort_by_key(is_sync);
        }
        let mut before = None;
        for delivery in &out.deliveries {
            if self.point(h, "before a delivery") {
                return false;
            }
            let running = self.hosts[h].running.as_mut().expect("still running");
            let Some(port) = running.ports.get_mut(&delivery.conn) else { continue };
            if delivery.is_reply {
                port.in_core = port.in_core.saturating_sub(1);
                running.to_pump.push(delivery.conn);
            }
            let bytes = out.frames[delivery.range.clone()].to_vec();
            let key = port.key;
            // Behind the length and the number stands the zxid of what has happened.
            let this = (!delivery.is_reply).then(|| (key, bytes[8..16].to_vec()));
            let of_same_txn = this.is_some() && before.replace(this.clone()) == Some(this);
            let lost = of_same_txn && self.options.planted == Some(Bug::MultiEventLost);
            let copies = if lost { 0 } else { self.copies(delivery.is_reply) };
            self.trace.note(self.now, Who::Server(h), "deliver", &[delivery.conn.0 as i64, bytes.len() as i64], || {
                format!("{} bytes to connection {}", bytes.len(), delivery.conn.0)
            });
            for _ in 0..copies {
                self.net.send(self.now, key, 1, Message::Bytes(bytes.clone()));
            }
        }
        for control in out.controls.drain(..) {
            let (before, after) = points::of_control(&control);
            if self.point(h, before) {
                return false;
            }
            self.control(h, control);
            if self.point(h, after) {
                return false;
            }
        }
        for output in out.peers.drain(..) {
            let (before, after) = points::of_peer(&output);
            if self.point(h, before) {
                return false;
            }
            self.peer(h, output);
            if self.point(h, after) {
                return false;
            }
        }
        if let Some(members) = out.members.take() {
            self.hosts[h].kept = Some(*members);
        }
        self.check.end_of_step(h);
        true
    }

    fn persist(&mut self, h: usize, request: Persist) {
        self.trace.note(self.now, Who::Server(h), "persist", &[], || points::persist_text(&request));
        let running = self.hosts[h].running.as_mut().expect("still running");
        match &request {
            Persist::Append { zxid, txn } => {
                self.check.on_append(h, running, *zxid, txn);
                running.shadow.zxids.push(*zxid);
            }
            Persist::TruncateLog { zxid } => running.shadow.truncate(*zxid),
            _ => {}
        }
        let work = match request {
            Persist::InstallSnapshot { zxid } => {
                let received = running.received.take().expect("a snapshot is installed after it was received");
                assert_eq!(received.zxid, zxid, "the snapshot that was received is another one");
                Work::Install(received)
            }
            request => Work::Persist(request),
        };
        running.work.push_back(work);
    }

    fn control(&mut self, h: usize, control: Control) {
        self.trace.note(self.now, Who::Server(h), "control", &[], || format!("{control:?}"));
        let running = self.hosts[h].running.as_mut().expect("still running");
        match control {
            Control::Established { conn, session, .. } => {
                if let Some(port) = running.ports.get_mut(&conn) {
                    port.establish(session);
                    running.watches.borrow_mut().open(conn, session, port.auth.clone());
                    running.to_pump.push(conn);
                }
            }
            Control::Close { reason: CloseReason::NotServing, .. }
                if self.options.planted == Some(Bug::ServesWhileLooking) => {}
            Control::Close { conn, .. } => self.close_port(h, conn),
            Control::Serve { mode } => running.mode = mode,
            Control::Snapshot { image, zxid } => {
                running.snapshot = Some((image, zxid));
                self.write_snapshot_later(h);
            }
        }
    }

    fn peer(&mut self, h: usize, output: PeerOutput) {
        self.trace.note(self.now, Who::Server(h), "peer", &[], || points::peer_text(&output));
        let running = self.hosts[h].running.as_mut().expect("still running");
        match output {
            PeerOutput::Notify { to, mut notification } => {
                if self.options.planted == Some(Bug::VoteWithoutZxid) {
                    notification.zxid = Zxid::ZERO;
                }
                let peer = running.election.entry(to).or_default();
                peer.last = Some(notification.clone());
                match peer.conn {
                    Some((key, side)) => self.net.send(self.now, key, side, Message::Notification(notification)),
                    None => self.dial_election(h, to),
                }
            }
            PeerOutput::DialLeader { leader } => self.dial_leader(h, leader),
            PeerOutput::Send { link, packet: packet @ Packet::Sync { .. } }
                if self.options.planted == Some(Bug::SyncAtApply) =>
            {
                running.held_syncs.push((link, packet));
            }
            PeerOutput::Send { link, packet } => self.send_packet(h, link, packet),
            PeerOutput::CloseLink { link, .. } => {
                if let Some((key, side)) = running.forget_link(link) {
                    self.net.close(self.now, key, side);
                }
            }
            PeerOutput::SendImage { link, image } => {
                let (bytes, end) = (self.hosts[h].read_image(image), self.end_of(h, link));
                if let Some((key, side)) = end.filter(|_| self.options.planted != Some(Bug::DiffForSnapshot)) {
                    self.net.send(self.now, key, side, Message::Image(bytes));
                }
                self.image_sent_later(h, image);
            }
            PeerOutput::ReadHistory { link, after } => self.read_history_later(h, link, after),
            PeerOutput::Tell(_) => {}
            PeerOutput::Role { role, .. } => {
                if role == RoleChange::Looking {
                    self.check.on_role_over(h);
                }
                running.dial = None;
                running.listening = self.options.always_listens
                    || matches!(role, RoleChange::Preparing { .. } | RoleChange::Leading { .. });
                self.check.on_role(h, running, role);
            }
        }
    }

    fn end_of(&self, h: usize, link: LinkId) -> Option<(crate::network::ConnKey, crate::network::Side)> {
        self.hosts[h].running.as_ref()?.links.get(&link).copied()
    }

    /// How often something for a client leaves: once, but for planted bugs.
    fn copies(&mut self, is_reply: bool) -> usize {
        let (every, copies) = match self.options.planted {
            Some(Bug::EventLost) if !is_reply => (20, 0),
            Some(Bug::EventTwice) if !is_reply => (20, 2),
            Some(Bug::ReplyLost) if is_reply => (50, 0),
            _ => return 1,
        };
        if self.random.below(every) == 0 { copies } else { 1 }
    }

    /// What becomes of a packet: itself, but for planted bugs.
    fn spoiled(&mut self, packet: Packet) -> Option<Packet> {
        let lost = match (&packet, self.options.planted) {
            (Packet::Proposal { .. }, Some(Bug::ProposalLost)) => self.random.below(50) == 0,
            (Packet::Commit { .. }, Some(Bug::CommitLost)) => self.random.below(50) == 0,
            (Packet::Proposal { zxid, txn }, Some(Bug::CloseAltered)) => {
                return Some(Packet::Proposal { zxid: *zxid, txn: Bug::alter_close(txn) });
            }
            (Packet::Commit { .. }, Some(Bug::CommitWithProposal)) => true,
            (Packet::Snap { zxid }, Some(Bug::DiffForSnapshot)) => return Some(Packet::Diff { zxid: *zxid }),
            (Packet::AckEpoch(ack), Some(Bug::PromiseNotCounted)) => {
                return Some(Packet::AckEpoch(AckEpoch { kept: None, ..*ack }));
            }
            (Packet::Ack { zxid }, Some(Bug::AckTooFar)) if zxid.counter() > 0 => {
                return Some(Packet::Ack { zxid: Zxid(zxid.0 + 1) });
            }
            (Packet::NewLeader { epoch, .. }, Some(Bug::UpToDateEarly)) => {
                return Some(Packet::UpToDate { zxid: Zxid::new(*epoch, 0) });
            }
            _ => false,
        };
        (!lost).then_some(packet)
    }

    fn send_packet(&mut self, h: usize, link: LinkId, packet: Packet) {
        let old = self.hosts[h].running.as_mut().and_then(|running| running.old_learner.as_mut());
        let sent = match old.filter(|(of, _)| *of == link) {
            Some((_, old)) => old.sends(packet),
            None => Sent::All(vec![packet]),
        };
        match sent {
            Sent::All(packets) => packets.into_iter().for_each(|packet| self.send_packet_now(h, link, packet)),
            Sent::UpToDateNow => self.server_after(1, h, ServerEvent::OldUpToDate { link }),
        }
    }

    fn send_packet_now(&mut self, h: usize, link: LinkId, packet: Packet) {
        let Some(packet) = self.spoiled(packet) else { return };
        if let Some(running) = &self.hosts[h].running {
            self.check.on_send(h, running, &packet);
        }
        let Some((key, side)) = self.end_of(h, link) else { return };
        self.check.on_answer_to_learner(h, key, &packet);
        let zxid = match &packet {
            Packet::Proposal { zxid, .. } => Some(*zxid),
            _ => None,
        };
        self.net.send(self.now, key, side, Message::Packet(packet));
        if let (Some(zxid), Some(Bug::CommitWithProposal)) = (zxid, self.options.planted) {
            self.net.send(self.now, key, side, Message::Packet(Packet::Commit { zxid }));
        }
    }

    /// The disk has answered: from now on these promises may be made.
    pub(crate) fn note_durable(&mut self, h: usize, input: &Input) {
        let Some(running) = &mut self.hosts[h].running else { return };
        match input {
            Input::Persisted(Persisted::Log { through }) => running.durable.log = *through,
            Input::Persisted(Persisted::AcceptedEpoch(epoch)) => running.durable.accepted = *epoch,
            Input::Persisted(Persisted::CurrentEpoch(epoch)) => running.durable.current = *epoch,
            Input::StateReplaced { tree } => running.history_is(tree.last_processed()),
            Input::Persisted(Persisted::CannotTruncate { last }) => {
                running.history_is(*last);
                self.check.counts.cuts_of_two += u64::from(self.died);
            }
            _ => {}
        }
    }

    /// Passes a point of a server's work. True where the process ends here, because a fault was set on it.
    pub(crate) fn point(&mut self, h: usize, name: &'static str) -> bool {
        self.points.entry(name.as_ptr() as usize).or_insert((name, 0)).1 += 1;
        let Some((armed, left)) = &mut self.hosts[h].armed else { return false };
        if *armed != name {
            return false;
        }
        *left -= 1;
        if *left > 0 {
            return false;
        }
        let crash = match self.disk_random.below(4) {
            0 => Crash::Power(Loss::Everything),
            1 | 2 => Crash::Power(Loss::Random(self.disk_random.draw())),
            _ => Crash::Killed,
        };
        self.trace.note(self.now, Who::Server(h), "failpoint", &[], || name.to_string());
        self.crash(h, crash);
        let us = self.random.between(20_000, 4_000_000);
        self.restart_after(h, us);
        true
    }
}
