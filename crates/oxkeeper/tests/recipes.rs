//! Locks, leaders and values against a real server: never two owners, everybody's turn, and what an outage means to who holds.

mod processes;

use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode, SessionState};
use oxkeeper_recipes::{
    AtomicLong, LeaderElection, Lock, Participant, ReadWriteLock, Semaphore, SharedCount, SharedValue,
};
use processes::gate::*;
use processes::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Tasks that want the same, and how often each.
const TASKS: usize = 8;
const TURNS: usize = 10;

async fn clients(server: &Single, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(connect(&format!("127.0.0.1:{}", server.port)).await);
    }
    clients
}

/// Each task takes and leaves what `take` gives; there are never more than `max` at once.
async fn contend<G: Send + 'static, F>(
    clients: Vec<Client>,
    max: usize,
    take: impl Fn(Client) -> F + Copy + Send + 'static,
) where
    F: Future<Output = Result<G, ClientError>> + Send,
{
    let (inside, turns) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for client in clients {
        let (inside, turns) = (inside.clone(), turns.clone());
        tasks.spawn(async move {
            for _ in 0..TURNS {
                let guard = take(client.clone()).await.unwrap();
                let beside = inside.fetch_add(1, SeqCst);
                assert!(beside < max, "{beside} were inside already");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, SeqCst);
                turns.fetch_add(1, SeqCst);
                drop(guard);
            }
        });
    }
    while let Some(done) = soon("turn", tasks.join_next()).await {
        done.unwrap();
    }
    assert_eq!(turns.load(SeqCst), TASKS * TURNS);
}

#[tokio::test]
async fn a_lock_has_one_owner_at_a_time_and_fences_that_grow() {
    let (_scratch, server) = single("recipes-lock", "");
    let clients = clients(&server, TASKS).await;
    let observer = clients[0].clone();
    let largest = Arc::new(AtomicI64::new(0));
    let mut tasks = JoinSet::new();
    for client in clients.clone() {
        let largest = largest.clone();
        tasks.spawn(async move {
            let lock = Lock::new(&client, "/locks/one").data("me");
            for _ in 0..TURNS {
                let guard = lock.acquire().await.unwrap();
                assert!(guard.is_held());
                let before = largest.swap(guard.fence(), SeqCst);
                assert!(before < guard.fence(), "{before} came before {}", guard.fence());
                guard.release().await.unwrap();
            }
        });
    }
    while let Some(done) = soon("turn", tasks.join_next()).await {
        done.unwrap();
    }
    contend(clients, 1, |client| async move { Lock::new(&client, "/locks/two").acquire().await }).await;
    assert_eq!(observer.children("/locks/one").await.unwrap().0, [""; 0], "nothing is left behind");
}

#[tokio::test]
async fn semaphores_and_read_write_locks_let_in_whom_they_say() {
    let (_scratch, server) = single("recipes-many", "");
    let all = clients(&server, TASKS).await;
    contend(all.clone(), 3, |client| async move { Semaphore::new(&client, "/semaphore", 3).acquire().await }).await;
    contend(all.clone(), 1, |client| async move { ReadWriteLock::new(&client, "/rw").write().await }).await;
    let lock = |n: usize| ReadWriteLock::new(&all[n], "/rw");
    let (first, second) = (lock(0).read().await.unwrap(), lock(1).read().await.unwrap());
    let writer = tokio::spawn({
        let lock = lock(2);
        async move { lock.write().await.unwrap() }
    });
    let waiting = async || all[0].children("/rw").await.unwrap().0.len();
    while waiting().await < 3 {
        tokio::task::yield_now().await;
    }
    let late = tokio::spawn({
        let lock = lock(3);
        async move { lock.read().await.unwrap() }
    });
    while waiting().await < 4 {
        tokio::task::yield_now().await;
    }
    first.release().await.unwrap();
    assert!(!writer.is_finished() && !late.is_finished());
    second.release().await.unwrap();
    let writing = soon("writer", writer).await.unwrap();
    assert!(!late.is_finished(), "a reader behind a writer waits for it");
    writing.release().await.unwrap();
    soon("reader", late).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_the_line() {
    let (_scratch, server) = single("recipes-patience", "");
    let clients = clients(&server, 2).await;
    let guard = Lock::new(&clients[0], "/lock").acquire().await.unwrap();
    let second = Lock::new(&clients[1], "/lock");
    assert!(second.try_acquire(Duration::from_millis(50)).await.unwrap().is_none());
    let gone = async || clients[0].children("/lock").await.unwrap().0.len() == 1;
    soon("leaving", async {
        while !gone().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // So does who begins to let go and does not wait for it.
    tokio::select! {
        biased;
        _ = guard.release() => panic!("no answer can be there yet"),
        () = std::future::ready(()) => {}
    }
    assert!(soon("turn", second.try_acquire(PATIENCE)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_owner_that_is_cut_off_knows_before_another_owns() {
    let (_scratch, server) = single("recipes-lost", "tickTime=200");
    let gate = Gate::to(server.port);
    let builder = Client::builder().session_timeout(Duration::from_secs(1)).request_timeout(PATIENCE);
    let cut_off = builder.connect(&gate.address()).await.unwrap();
    let other = connect(&format!("127.0.0.1:{}", server.port)).await;
    let guard = Lock::new(&cut_off, "/lock").acquire().await.unwrap();
    let next = tokio::spawn(async move {
        let guard = Lock::new(&other, "/lock").acquire().await.unwrap();
        (guard, Instant::now())
    });
    let mut states = cut_off.state();
    gate.cut();
    until(&mut states, SessionState::Disconnected).await;
    let known_until = cut_off.lives_until().unwrap();
    soon("loss", guard.lost()).await;
    assert!(!guard.is_held());
    let (later, owned_since) = soon("owner", next).await.unwrap();
    assert!(known_until <= owned_since, "the first counted on its lock when another owned it");
    assert!(later.fence() > guard.fence() && later.is_held() && !guard.is_held());
    gate.mend();
    assert!(
        soon("end", guard.transaction().set("/lock", "late", -1).commit()).await.is_err(),
        "a late write is refused"
    );
}

#[tokio::test]
async fn an_owner_whose_node_is_taken_away_is_told() {
    let (_scratch, server) = single("recipes-taken", "");
    let clients = clients(&server, 2).await;
    let guard = Lock::new(&clients[0], "/lock").acquire().await.unwrap();
    clients[1].delete(guard.node(), -1).await.unwrap();
    soon("loss", guard.lost()).await;
    assert!(!guard.is_held());
    let refused = guard.transaction().set("/lock", "late", -1).commit().await.unwrap_err();
    assert!(refused.is(ErrorCode::NoNode), "{refused}");
}

#[tokio::test]
async fn a_short_outage_leaves_a_lock_with_its_owner_and_no_second_node() {
    let (_scratch, server) = single("recipes-outage", "");
    let gate = Gate::to(server.port);
    let client = connect(&gate.address()).await;
    let other = connect(&format!("127.0.0.1:{}", server.port)).await;
    let lock = Lock::new(&client, "/lock");
    for _ in 0..10 {
        let acquiring = tokio::spawn({
            let lock = lock.clone();
            async move { lock.acquire().await.unwrap() }
        });
        tokio::task::yield_now().await;
        gate.cut();
        gate.mend();
        let guard = soon("owner", acquiring).await.unwrap();
        assert!(guard.is_held());
        guard.release().await.unwrap();
        assert_eq!(other.children("/lock").await.unwrap().0, [""; 0]);
    }
}

#[tokio::test]
async fn one_leads_and_the_next_follows_when_it_resigns_or_ends() {
    let (_scratch, server) = single("recipes-leader", "");
    let clients = clients(&server, 3).await;
    let election = |n: usize| LeaderElection::latch(&clients[n], "/leader", &format!("host-{n}"));
    let first = election(0).lead().await.unwrap();
    let mut others = Vec::new();
    for n in [1, 2] {
        let election = election(n);
        others.push(tokio::spawn(async move { election.lead().await.unwrap() }));
        while election_len(&clients[0]).await < n + 1 {
            tokio::task::yield_now().await;
        }
    }
    let named = |id: &str, leads| Participant { id: id.into(), leads };
    let line = election(0).participants().await.unwrap();
    assert_eq!(line, [named("host-0", true), named("host-1", false), named("host-2", false)]);
    first.release().await.unwrap();
    let second = soon("leader", others.remove(0)).await.unwrap();
    assert!(second.is_held());
    clients[1].close().await.unwrap();
    soon("loss", second.lost()).await;
    let third = soon("leader", others.remove(0)).await.unwrap();
    assert!(third.fence() > second.fence());
    assert_eq!(election(0).participants().await.unwrap(), [named("host-2", true)]);
}

async fn election_len(client: &Client) -> usize {
    client.children("/leader").await.unwrap().0.len()
}

#[tokio::test]
async fn values_take_every_change_once() {
    let (_scratch, server) = single("recipes-values", "");
    let clients = clients(&server, TASKS).await;
    let mut tasks = JoinSet::new();
    for client in clients.clone() {
        tasks.spawn(async move {
            let counter = AtomicLong::new(&client, "/deep/down/counter");
            let mut seen = Vec::new();
            for _ in 0..TURNS {
                seen.push(counter.add(1).await.unwrap());
            }
            seen
        });
    }
    let mut seen = Vec::new();
    while let Some(done) = soon("turn", tasks.join_next()).await {
        seen.extend(done.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=(TASKS * TURNS) as i64).collect::<Vec<_>>());
    let client = &clients[0];
    assert_eq!(client.get("/deep/down/counter").await.unwrap().0, ((TASKS * TURNS) as i64).to_be_bytes());
    let counter = AtomicLong::new(client, "/deep/down/counter");
    assert!(!counter.compare_and_set(1, 2).await.unwrap());
    assert!(counter.compare_and_set(80, -1).await.unwrap());
    assert_eq!(counter.get().await.unwrap(), -1);

    let count = SharedCount::new(client, "/count", 7);
    assert_eq!(count.get().await.unwrap(), (7, 0));
    assert_eq!(count.set_if(8, 0).await.unwrap(), Some(1));
    assert_eq!(count.set_if(9, 0).await.unwrap(), None, "somebody was faster");
    assert_eq!(client.get("/count").await.unwrap().0, [0, 0, 0, 8]);

    client.create("/odd", "xyz", CreateMode::Persistent).await.unwrap();
    let value = SharedValue::new(client, "/odd", b"");
    let (before, after) = value.update(|bytes| Some([bytes, b"!"].concat())).await.unwrap();
    assert_eq!((before.as_slice(), after.as_slice()), (&b"xyz"[..], &b"xyz!"[..]));
}
