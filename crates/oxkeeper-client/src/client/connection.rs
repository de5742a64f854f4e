//! The task of a client: connects, moves bytes, keeps time. One per client; ends with the session.

use super::shared::Shared;
use super::transport::{Connection, Transport};
use crate::core::hosts::Hosts;
use crate::core::session::SessionState;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// What one read may take.
const READ_BYTES: usize = 128 << 10;
/// Between two looks at the clock, at most.
const TICK_MS_MAX: i64 = 100;
/// Before a client of a read-only server first looks for another, and at most between two looks (reference: the same bounds).
const SEARCH_PAUSE_MIN: Duration = Duration::from_millis(100);
const SEARCH_PAUSE_MAX: Duration = Duration::from_secs(60);

type Server = (String, u16);

/// How the use of one connection ended.
struct Served {
    why: String,
    /// It got as far as a session.
    had_session: bool,
    /// A server with a quorum was found while this one had none.
    better: Option<Server>,
}

/// Until the session ends.
pub async fn run(shared: Arc<Shared>, mut hosts: Hosts, transport: Arc<dyn Transport>) {
    loop {
        let (server, pause_ms) = hosts.next_server();
        if pause_ms > 0 && shared.lock().session.is_closing() {
            // No server is there to be told of the end.
            return shared.abandon();
        }
        if attend(&shared, sleep(jitter(pause_ms))).await.is_none() {
            return;
        }
        let name = format!("{}:{}", server.0, server.1);
        // A third of the session's time for each server that does not answer.
        let limit = Duration::from_millis((shared.lock().session.silence_ms_max() / 2).max(50) as u64);
        let connecting = timeout(limit, transport.connect(&server.0, server.1));
        let Some(connected) = attend(&shared, connecting).await else { return };
        let failure = match connected {
            Ok(Ok(connection)) => {
                let served = serve(&shared, connection, &name, &hosts, &transport).await;
                if served.had_session {
                    hosts.connected();
                }
                if let Some(better) = served.better {
                    hosts.prefer(&better);
                }
                served.why
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} ms", limit.as_millis()),
        };
        shared.lock().last_failure = format!("{name}: {failure}");
        shared.step(|session, _| session.on_disconnected());
        if shared.lock().session.state().is_final() {
            return;
        }
    }
}

/// Between half of it and all of it, so that clients that lost the same server do not come back at once.
fn jitter(pause_ms: i64) -> Duration {
    let random = RandomState::new().hash_one(pause_ms) % 512;
    Duration::from_millis(pause_ms as u64 * (512 + random) / 1024)
}

/// Does this while there is no connection, and ends what has waited for too long meanwhile. `None` where the session ends first.
async fn attend<T>(shared: &Shared, what: impl Future<Output = T>) -> Option<T> {
    tokio::pin!(what);
    let mut tick = interval(Duration::from_millis(TICK_MS_MAX as u64));
    while !shared.lock().session.state().is_final() {
        tokio::select! {
            done = &mut what => return Some(done),
            _ = tick.tick() => shared.expire(),
            () = shared.wake.notified() => {}
        }
    }
    None
}

async fn serve(
    shared: &Shared,
    connection: Box<dyn Connection>,
    name: &str,
    hosts: &Hosts,
    transport: &Arc<dyn Transport>,
) -> Served {
    let (mut reader, mut writer) = tokio::io::split(connection);
    shared.step(|session, now| session.on_connected(name, now));
    let mut input = vec![0; READ_BYTES];
    let (mut output, mut at) = (Vec::new(), 0);
    let mut tick =
        interval(Duration::from_millis(shared.lock().session.ping_ms().clamp(4, TICK_MS_MAX) as u64 / 4 + 1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut served = Served { why: String::new(), had_session: false, better: None };
    let search = search(shared, hosts, transport);
    tokio::pin!(search);
    loop {
        if at == output.len() {
            output.clear();
            at = 0;
            shared.lock().session.swap_output(&mut output);
        }
        let sending = at < output.len();
        let result = tokio::select! {
            read = reader.read(&mut input) => match read {
                Ok(0) => Err("the server closed the connection".to_string()),
                Ok(n) => shared
                    .step(|session, now| session.on_bytes(&input[..n], now))
                    .map_err(|misbehaved| format!("not what a ZooKeeper server sends: {misbehaved}")),
                Err(error) => Err(error.to_string()),
            },
            written = writer.write(&output[at..]), if sending => match written {
                Ok(0) => Err("the connection takes no more bytes".to_string()),
                Ok(n) => {
                    at += n;
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            },
            () = shared.wake.notified(), if !sending => Ok(()),
            _ = tick.tick() => match shared.step(|session, now| session.on_tick(now)) {
                false => {
                    shared.expire();
                    Ok(())
                }
                true => Err("the server is silent".to_string()),
            },
            better = &mut search => {
                served.better = Some(better);
                Err("a server with a quorum is there".to_string())
            }
        };
        let state = shared.lock().session.state();
        served.had_session |= state.is_connected();
        if let Err(why) = result {
            served.why = why;
            return served;
        }
        if state.is_final() {
            // What was sent last, a closeSession, has been answered; or nobody cares.
            served.why = "the session has ended".to_string();
            return served;
        }
    }
}

/// While the session stands on a read-only server: looks for one with a quorum, more and more rarely.
async fn search(shared: &Shared, hosts: &Hosts, transport: &Arc<dyn Transport>) -> Server {
    let mut pause = SEARCH_PAUSE_MIN;
    let mut candidates = hosts.all().iter().cycle();
    loop {
        sleep(pause).await;
        if shared.lock().session.state() != SessionState::ConnectedReadOnly {
            continue;
        }
        for server in candidates.by_ref().take(hosts.all().len()) {
            if let Ok(true) = timeout(Duration::from_secs(1), is_writable(server, transport)).await {
                return server.clone();
            }
        }
        pause = (pause * 2).min(SEARCH_PAUSE_MAX);
    }
}

async fn is_writable(server: &Server, transport: &Arc<dyn Transport>) -> bool {
    let Ok(mut connection) = transport.connect(&server.0, server.1).await else { return false };
    let mut answer = [0; 2];
    connection.write_all(b"isro").await.is_ok() && connection.read_exact(&mut answer).await.is_ok() && answer == *b"rw"
}

/// Waits for a session, or says why there will be none.
pub async fn wait_connected(shared: &Shared, patience: Duration) -> Result<(), crate::ClientError> {
    let states = shared.states();
    let result = timeout(patience, async {
        loop {
            let state = std::future::poll_fn(|cx| states.poll(cx)).await;
            match state {
                Some(state) if state.is_connected() => return Ok(()),
                Some(state) if !state.is_final() => {}
                _ => return Err(shared.lock().session.end_reason()),
            }
        }
    })
    .await;
    shared.forget_states(&states);
    result.unwrap_or_else(|_| {
        Err(crate::ClientError::Unreachable {
            hosts: shared.hosts.clone(),
            after_ms: patience.as_millis() as i64,
            last: shared.lock().last_failure.clone(),
        })
    })
}
