//! What a connection does with its bytes: four-letter words, the handshake, and each kind of request.

use super::connection::{Connection, Phase};
use super::io_thread::{SUBMITTED_BYTES_MAX, Scratch};
use super::order::{Class, InCore};
use super::port::{ClientPort, Command};
use crate::core_queue::CoreEvent;
use crate::handover::Handover;
use crate::lock::lock;
use crate::metrics::bump;
use crate::serving::LockedWatches;
use bytes::Bytes;
use oxkeeper_proto::client::{AuthRequest, ConnectRequest, ReplyHeader, RequestHeader, SaslRequest};
use oxkeeper_proto::frame::{self, FourLetterWord, Frame, TELNET_CLOSE};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_replica::auth::{self, AuthVerdict};
use oxkeeper_replica::namespaces::Namespaces;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::pipeline::route::{Route, route};
use oxkeeper_replica::state::Caller;
use oxkeeper_replica::{Input, State, Submitted};
use oxkeeper_types::limits::OUTBOX_BYTES_HIGH;
use oxkeeper_types::{ErrorCode, Millis, OpCode, Xid, Zxid};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{MutexGuard, RwLockReadGuard};

/// Why a connection takes no more requests. What stands in its buffer is still sent.
#[derive(Debug)]
pub enum End {
    /// Nothing a person would want to know.
    Quiet,
    Because(String),
}

/// How much of the input was made use of. The rest waits.
pub struct Taken {
    pub consumed: usize,
}

/// What the reads of one buffer share, taken with the first of them.
#[derive(Default)]
struct Reading<'s> {
    state: Option<RwLockReadGuard<'s, State>>,
    figures: Option<MutexGuard<'s, Namespaces>>,
    reads: u64,
}

impl Reading<'_> {
    /// Whoever holds the shared side must not ask for it again: the core may wait for the exclusive one between the two.
    fn last_processed(&self, handover: &Handover<State>) -> Zxid {
        match &self.state {
            Some(state) => state.tree.last_processed(),
            None => handover.shared().tree.last_processed(),
        }
    }
}

/// Memory for the answer to `stmk`: eight bytes behind the word.
const STMK_MASK_BYTES: usize = 8;

/// One request, its header read.
struct Request<'b> {
    xid: Xid,
    op: OpCode,
    body: &'b [u8],
    /// Of the whole frame behind its length.
    frame_bytes: usize,
}

impl Connection {
    /// Takes whole requests off the front of `bytes`, as far as that is possible now.
    pub(super) fn take_requests(
        &mut self,
        port: &ClientPort,
        scratch: &mut Scratch,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Taken, End> {
        let mut at = 0;
        if self.phase == Phase::Fresh && self.take_word(port, bytes)? {
            return Ok(Taken { consumed: bytes.len() });
        }
        let now = port.serving.clock.monotonic();
        let mut reading = Reading::default();
        let mut taken = 0;
        let result = loop {
            if !matches!(self.phase, Phase::Fresh | Phase::Established) {
                break Ok(());
            }
            if out.len() > OUTBOX_BYTES_HIGH {
                self.interrupted = true;
                break Ok(());
            }
            let body = match frame::next(&bytes[at..], port.options.frame_bytes_max) {
                Frame::Partial { .. } => break Ok(()),
                Frame::BadLength(length) => {
                    let max = port.options.frame_bytes_max;
                    break Err(End::Because(format!(
                        "Len error {length}: a frame has 0 to {max} bytes (jute.maxbuffer)"
                    )));
                }
                Frame::Whole { body, .. } => body,
            };
            let done = if self.phase == Phase::Fresh {
                self.take_handshake(port, scratch, body, now).map(|()| true)
            } else {
                self.take_request(port, scratch, body, now, &mut reading, out)
            };
            match done {
                Ok(true) => {
                    at += 4 + body.len();
                    taken += 1;
                }
                Ok(false) => break Ok(()),
                Err(end) => break Err(end),
            }
        };
        let reads = reading.reads;
        drop(reading);
        self.count(port, taken, reads, at, now);
        result.map(|()| Taken { consumed: at })
    }

    /// True when the connection asked a four-letter word: then there is nothing else to take.
    fn take_word(&mut self, port: &ClientPort, bytes: &[u8]) -> Result<bool, End> {
        let Some(word) = bytes.first_chunk::<4>() else { return Ok(false) };
        if *word == TELNET_CLOSE {
            return Err(End::Quiet);
        }
        let Some(word) = FourLetterWord::from_bytes(word) else { return Ok(false) };
        port.metrics.io[self.link.thread].received(4);
        bump(&self.link.figures.received, 1);
        self.phase = Phase::Command;
        let mask = bytes.get(4..4 + STMK_MASK_BYTES).and_then(|b| b.try_into().ok()).map(i64::from_be_bytes);
        port.admin.send(Command { link: self.link.clone(), word, mask }).map_err(|_| End::Quiet)?;
        Ok(true)
    }

    fn take_handshake(
        &mut self,
        port: &ClientPort,
        scratch: &mut Scratch,
        body: &[u8],
        now: Millis,
    ) -> Result<(), End> {
        let metrics = &port.metrics.io[self.link.thread];
        bump(&metrics.connect_requests, 1);
        let request = ConnectRequest::read(&mut Reader::new(body, port.options.frame_bytes_max))
            .map_err(|error| End::Because(format!("its first frame is no connect request: {error}")))?;
        if port.options.throttle.tokens > 0 && !lock(&port.throttle).admit(&request, now) {
            bump(&metrics.connections_rejected, 1);
            return Err(End::Because("too many connect requests at once (connection_throttle_tokens)".into()));
        }
        self.phase = Phase::Handshaking;
        self.known_to_core = true;
        let op = OpCode::CreateSession.number();
        self.submitted(port, InCore { xid: Xid(0), op, since: now, large_bytes: 0 });
        scratch.submitted.push(CoreEvent::Opened(self.link.clone(), request));
        Ok(())
    }

    /// One request after the handshake. False when it has to wait.
    fn take_request<'s>(
        &mut self,
        port: &'s ClientPort,
        scratch: &mut Scratch,
        frame: &[u8],
        now: Millis,
        reading: &mut Reading<'s>,
        out: &mut Vec<u8>,
    ) -> Result<bool, End> {
        let mut r = Reader::new(frame, port.options.frame_bytes_max);
        let header = RequestHeader::read(&mut r)
            .map_err(|_| End::Because(format!("a request of {} bytes has no header", frame.len())))?;
        let way = route(header.op);
        let class = if matches!(way, Route::Submit(_)) { Class::Core } else { Class::Here };
        if !self.may_take(port, class) {
            return Ok(false);
        }
        if !self.touched {
            self.touched = true;
            scratch.touched.push(self.session);
        }
        let body = r.remaining();
        if !matches!(way, Route::Auth | Route::Sasl) && !auth::meets_enforcement(&port.serving.options.auth, &self.auth)
        {
            write_error(header.xid, Zxid::ZERO, ErrorCode::SessionClosedRequireSaslAuth, out);
            return Err(End::Because("it has not authenticated as enforce.auth.schemes demands".into()));
        }
        let request = |op| Request { xid: header.xid, op, body, frame_bytes: frame.len() };
        match way {
            Route::Read(op) => return self.read(port, request(op), reading, out),
            Route::Submit(op) => {
                let eager = port.serving.options.eager_acl_check && self.may_take(port, Class::Here);
                if eager && !self.look(port, reading, out)? {
                    return Ok(false);
                }
                if eager && self.refuse_eagerly(port, request(op), reading, out) {
                    return Ok(true);
                }
                return self.submit(port, scratch, request(op), now, reading, out);
            }
            Route::Auth => self.authenticate(port, header.xid, body, out)?,
            Route::Sasl => answer_sasl(header.xid, body, out)?,
            Route::Refuse => {
                write_error(header.xid, Zxid::NONE, ErrorCode::Unimplemented, out);
                return Err(End::Because(format!("request type {} is unknown, or not for clients", header.op)));
            }
        }
        Ok(true)
    }

    /// Whether all is applied that was committed and had arrived here before the next read. If not, the read waits as behind a
    /// write of its own connection, and the core tells when it may go on.
    fn is_abreast(&mut self, port: &ClientPort) -> bool {
        let rounds = &port.core.rounds;
        self.waits_for = match (self.waits_for, port.serving.mode.get()) {
            (None, Mode::Standalone) => None,
            (None, mode) => {
                if matches!(mode, Mode::Follower | Mode::Observer) {
                    port.core.take_arrived();
                }
                rounds.outstanding().filter(|round| rounds.wait(*round, (self.link.thread, self.link.conn)))
            }
            // What has arrived since then is not waited for: others may write without end.
            (Some(round), _) => (!rounds.is_over(round)).then_some(round),
        };
        self.waits_for.is_none()
    }

    /// Takes the shared side, with everything that is due to this connection sent first. False when that has to wait.
    fn look<'s>(&mut self, port: &'s ClientPort, reading: &mut Reading<'s>, out: &mut Vec<u8>) -> Result<bool, End> {
        if reading.state.is_none() {
            if !self.is_abreast(port) {
                return Ok(false);
            }
            let (guard, drained) = port.serving.handover.read_after_drain(&self.link.outbox, out);
            reading.state = Some(guard);
            self.absorb(port, drained)?;
        }
        Ok(true)
    }

    /// A write that its client may not do is answered here, with no zxid (`enableEagerACLCheck`). Behind a write that is not
    /// answered it goes the way of all writes and is refused in its place: the answers keep their order, where the
    /// reference's do not.
    fn refuse_eagerly(&self, port: &ClientPort, request: Request, reading: &mut Reading, out: &mut Vec<u8>) -> bool {
        let state = reading.state.as_ref().expect("the caller has looked");
        let Some(code) = state.refuses_eagerly(&port.serving.options, &self.auth, request.op, request.body) else {
            return false;
        };
        write_error(request.xid, Zxid::ZERO, code, out);
        self.link.figures.answers(request.op.number(), request.xid.0);
        reading.reads += 1;
        true
    }

    /// Answered here, from the tree as it is. False when it has to wait.
    #[inline]
    fn read<'s>(
        &mut self,
        port: &'s ClientPort,
        request: Request,
        reading: &mut Reading<'s>,
        out: &mut Vec<u8>,
    ) -> Result<bool, End> {
        let Request { xid, op, body, .. } = request;
        if !self.look(port, reading, out)? {
            return Ok(false);
        }
        let tree_state = reading.state.as_ref().expect("taken above");
        let metrics = &port.metrics.io[self.link.thread];
        let figures = reading.figures.get_or_insert_with(|| lock(&metrics.reads));
        let caller = Caller { conn: self.link.conn, session: self.session, auth: &self.auth };
        let watches = LockedWatches(&port.serving.watches);
        let start = out.len();
        let done = tree_state.read(&port.serving.options, &caller, &watches, figures, xid, op, body, out);
        if let Some(why) = done.malformed {
            tracing::info!("session {}: {} cannot be decoded: {why}", self.session, op.name());
        }
        let zxid = tree_state.tree.last_processed();
        self.link.figures.last_zxid.store(zxid.0, Relaxed);
        reading.reads += 1;
        metrics.responded(out.len() - start);
        self.link.figures.answers(op.number(), xid.0);
        Ok(true)
    }

    /// Goes to the core, unless the limits of the server are against it. False when it has to wait.
    #[inline]
    fn submit(
        &mut self,
        port: &ClientPort,
        scratch: &mut Scratch,
        request: Request,
        now: Millis,
        reading: &Reading,
        out: &mut Vec<u8>,
    ) -> Result<bool, End> {
        let Request { xid, op, body, frame_bytes } = request;
        let metrics = &port.metrics.io[self.link.thread];
        let stale = self.is_stale(port, op, now);
        if let Some(why) = stale.filter(|_| port.options.drop_stale && port.options.requests_max > 0) {
            bump(&metrics.stale_requests_dropped, 1);
            return Err(End::Because(format!("its waiting request is stale: {why} (request_throttle_drop_stale)")));
        }
        if scratch.submitted_bytes > SUBMITTED_BYTES_MAX {
            self.interrupted = true;
            return Ok(false);
        }
        if self.is_stalled(port, op, now) {
            return Ok(false);
        }
        if stale.is_some() {
            bump(&metrics.stale_requests, 1);
        }
        if self.is_throttled(port, op, now) {
            if !self.may_take(port, Class::Here) {
                return Ok(false);
            }
            self.stalled_since = None;
            bump(&metrics.throttled_ops, 1);
            write_error(xid, reading.last_processed(&port.serving.handover), ErrorCode::ThrottledOp, out);
            return Ok(true);
        }
        self.stalled_since = None;
        let large_bytes = self.admit_large(port, frame_bytes)?;
        self.submitted(port, InCore { xid, op: op.number(), since: now, large_bytes });
        scratch.submitted_bytes += frame_bytes;
        scratch.submitted.push(CoreEvent::Input(Input::Submit(Submitted {
            conn: self.link.conn,
            session: self.session,
            xid,
            op,
            body: Bytes::copy_from_slice(body),
            auth: self.auth.clone(),
        })));
        Ok(true)
    }

    /// With `request_throttle_max_requests` under way, a request waits where it is (reference `RequestThrottler`); and with as much
    /// waiting for the disk as may.
    fn is_stalled(&mut self, port: &ClientPort, op: OpCode, now: Millis) -> bool {
        let max = port.options.requests_max;
        if port.serving.history.backlog.is_full() {
            self.stalled_since.get_or_insert(now);
            return true;
        }
        if max == 0 || port.outstanding.load(Relaxed) < max || self.is_throttled(port, op, now) {
            return false;
        }
        bump(&port.metrics.io[self.link.thread].throttle_waits, 1);
        self.stalled_since.get_or_insert(now);
        true
    }

    /// Why nobody waits for the answer any more, where the request had to wait (reference `Request.isStale`).
    fn is_stale(&self, port: &ClientPort, op: OpCode, now: Millis) -> Option<&'static str> {
        let waited = now - self.stalled_since.filter(|_| op != OpCode::CloseSession)?;
        let timeout = Millis(i64::from(self.link.figures.timeout_ms.load(Relaxed)));
        if port.options.stale_by_connection && self.peer_closed {
            Some("the client has gone")
        } else if port.options.stale_by_latency && waited > timeout {
            Some("it has waited longer than the session's timeout")
        } else {
            None
        }
    }

    /// It has waited longer than `throttled_op_wait_time`: the answer is an error.
    fn is_throttled(&self, port: &ClientPort, op: OpCode, now: Millis) -> bool {
        let waited = self.stalled_since.map_or(Millis(0), |since| now - since);
        op != OpCode::CloseSession && port.options.throttled_op_wait.is_some_and(|max| waited > max)
    }

    /// Requests above `largeRequestThreshold` share a budget; one that does not fit ends its connection.
    fn admit_large(&self, port: &ClientPort, bytes: usize) -> Result<u32, End> {
        if port.options.large_request_bytes.is_none_or(|threshold| bytes <= threshold) {
            return Ok(0);
        }
        let before = port.large_bytes.fetch_add(bytes, Relaxed);
        if before + bytes > port.options.large_requests_bytes_max {
            port.large_bytes.fetch_sub(bytes, Relaxed);
            bump(&port.metrics.io[self.link.thread].large_requests_rejected, 1);
            return Err(End::Because(format!(
                "a request of {bytes} bytes, with {before} bytes of large requests under way (largeRequestMaxBytes)"
            )));
        }
        Ok(u32::try_from(bytes).expect("frames are below 2 GiB"))
    }

    fn authenticate(&mut self, port: &ClientPort, xid: Xid, body: &[u8], out: &mut Vec<u8>) -> Result<(), End> {
        let request = AuthRequest::read(&mut Reader::unbounded(body))
            .map_err(|error| End::Because(format!("an auth packet that cannot be decoded: {error}")))?;
        let mut ids = self.auth.to_vec();
        let scheme = request.scheme.as_deref();
        match auth::authenticate(&port.serving.options.auth, scheme, request.auth, self.link.peer.ip(), &mut ids) {
            AuthVerdict::Accepted => {
                self.auth = ids.into();
                lock(&port.serving.watches).set_auth(self.link.conn, self.auth.clone());
                write_error(xid, Zxid::ZERO, ErrorCode::Ok, out);
                Ok(())
            }
            AuthVerdict::Failed => {
                bump(&port.metrics.io[self.link.thread].auth_failed, 1);
                write_error(xid, Zxid::ZERO, ErrorCode::AuthFailed, out);
                Err(End::Because(format!("authentication failed for scheme {}", scheme.unwrap_or("null"))))
            }
            AuthVerdict::CloseWithoutReply => Err(End::Because("it means another ensemble".into())),
        }
    }

    /// `taken` requests came in `bytes`, of which `reads` were answered on the spot.
    fn count(&self, port: &ClientPort, taken: u64, reads: u64, bytes: usize, since: Millis) {
        if taken == 0 {
            return;
        }
        let (metrics, figures) = (&port.metrics.io[self.link.thread], &self.link.figures);
        bump(&metrics.packets_received, taken);
        bump(&metrics.bytes_received, bytes as u64);
        bump(&figures.received, taken);
        if reads > 0 {
            let now = port.serving.clock.now();
            let latency = (now.monotonic - since).0.max(0);
            bump(&metrics.packets_sent, reads);
            bump(&figures.sent, reads);
            metrics.read_latency.add_many(latency as u64, reads);
            figures.answered_many(reads, latency, now.wall);
        }
    }
}

fn write_error(xid: Xid, zxid: Zxid, code: ErrorCode, out: &mut Vec<u8>) {
    frame::append(out, |b| ReplyHeader { xid, zxid, error: code.number() }.write(&mut Writer::new(b)));
}

/// No SASL server is configured: the reference answers any token with success and a null one, whether SASL is demanded or
/// not, and closes on a token that is null itself.
fn answer_sasl(xid: Xid, body: &[u8], out: &mut Vec<u8>) -> Result<(), End> {
    let request = SaslRequest::read(&mut Reader::unbounded(body))
        .map_err(|error| End::Because(format!("a SASL token that cannot be decoded: {error}")))?;
    if request.token.is_none() {
        return Err(End::Because("a SASL token that is null".into()));
    }
    frame::append(out, |b| {
        let mut w = Writer::new(b);
        ReplyHeader { xid, zxid: Zxid::ZERO, error: 0 }.write(&mut w);
        w.buffer(None);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_tree::{Tree, TreeOptions};
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// A throttled write is answered while the shared side is held where its client's rights were looked up before
    /// (`enableEagerACLCheck`).
    #[test]
    fn who_holds_the_shared_side_answers_though_the_core_waits_for_the_exclusive_one() {
        let handover = Arc::new(Handover::new(State { tree: Tree::new(TreeOptions::default()) }));
        let (held, wait_held) = channel();
        let (answered, wait_answered) = channel();
        let reader = handover.clone();
        std::thread::spawn(move || {
            let reading = Reading { state: Some(reader.shared()), ..Reading::default() };
            held.send(()).unwrap();
            // By then the core waits, most likely; if not, this shows nothing, and does no harm.
            std::thread::sleep(Duration::from_millis(100));
            answered.send(reading.last_processed(&reader)).unwrap();
        });
        wait_held.recv().unwrap();
        let core = std::thread::spawn(move || drop(handover.exclusive()));
        assert_eq!(wait_answered.recv_timeout(Duration::from_secs(60)), Ok(Zxid::ZERO), "they wait for each other");
        core.join().unwrap();
    }
}
