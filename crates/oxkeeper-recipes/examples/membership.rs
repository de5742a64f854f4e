//! Membership: who is there, and who has gone, whether it said so or not. Its page: docs/guide/membership.md.
//!
//! ```text
//! cargo run --release -p oxkeeper-recipes --example membership [SERVERS [SECONDS BETWEEN STEPS]]
//! ```
//!
//! The members are processes: this program again, started with three arguments (servers, directory, name).

mod stage;

use oxkeeper_client::{Client, ClientError, CreateMode, WatchStream, retry};
use stage::Stage;
use std::collections::BTreeSet;
use std::error::Error;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// How long a member may be silent before it counts as gone.
const SESSION: Duration = Duration::from_secs(4);

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [servers, dir, name] => stage::end(name, member(servers, dir, name).await),
        _ => stage::play("membership", story).await,
    }
}

async fn story(stage: Stage) -> Result<(), Box<dyn Error>> {
    let mut cluster = Cluster::observe(&stage).await?;

    let mut alice = start(&stage, "alice")?;
    cluster.next_change().await?;
    let mut bob = start(&stage, "bob")?;
    cluster.next_change().await?;
    let mut carol = start(&stage, "carol")?;
    cluster.next_change().await?;
    stage.pause().await;

    println!("bob is asked to leave");
    drop(bob.stdin.take());
    cluster.next_change().await?;
    bob.wait().await?;
    stage.pause().await;

    println!("carol is killed, and says nothing");
    let killed = Instant::now();
    carol.kill().await?;
    cluster.next_change().await?;
    println!("that was noticed after {:.1} s", killed.elapsed().as_secs_f64());

    drop(alice.stdin.take());
    cluster.next_change().await?;
    alice.wait().await?;
    Ok(cluster.client.close().await?)
}

/// One member's process, which leaves when its input ends.
fn start(stage: &Stage, name: &str) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([&stage.servers, &stage.dir, name]).stdin(Stdio::piped()).kill_on_drop(true).spawn()
}

/// What a member does: says that it is there, works, and leaves.
async fn member(servers: &str, dir: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let client = Client::builder().session_timeout(SESSION).connect(servers).await?.at(dir)?;
    // The node lives as long as the session, and that as long as this process is heard of.
    client.create(&format!("/{name}"), std::process::id().to_string(), CreateMode::Ephemeral).await?;
    let work = async { tokio::io::stdin().read_to_end(&mut Vec::new()).await };
    tokio::select! {
        asked_to_leave = work => drop(asked_to_leave?),
        // The node has gone with the session, and others think that the member has.
        reason = client.ended() => return Err(reason.into()),
    }
    Ok(client.close().await?)
}

/// The members, as one who watches knows them.
struct Cluster {
    client: Client,
    changes: WatchStream,
    members: BTreeSet<String>,
}

impl Cluster {
    async fn observe(stage: &Stage) -> Result<Cluster, ClientError> {
        let client = Client::connect(&stage.servers).await?.at(&stage.dir)?;
        // What others have written before this is known by then, whichever server this session is with.
        client.sync("/").await?;
        let changes = client.watch("/").children().await?;
        Ok(Cluster { client, changes, members: BTreeSet::new() })
    }

    /// Waits until somebody has come or gone, and says who.
    async fn next_change(&mut self) -> Result<(), ClientError> {
        loop {
            let (names, _) = retry(|| self.client.children("/")).await?;
            let now: BTreeSet<String> = names.into_iter().collect();
            let before = std::mem::replace(&mut self.members, now);
            let all = self.members.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.members.difference(&before).for_each(|name| println!("+ {name} is there: [{all}]"));
            before.difference(&self.members).for_each(|name| println!("- {name} has gone: [{all}]"));
            if before != self.members {
                return Ok(());
            }
            // An event or a gap: both mean that the list is to be read again.
            self.changes.next().await;
        }
    }
}
