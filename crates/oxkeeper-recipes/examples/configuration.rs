//! Configuration: one node holds it, and whoever watches that node has each change at once. Its page: docs/guide/configuration.md.
//!
//! ```text
//! cargo run --release -p oxkeeper-recipes --example configuration [SERVERS [SECONDS BETWEEN STEPS]]
//! ```

mod stage;

use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode, retry};
use stage::Stage;
use std::process::ExitCode;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// Programs that live by the same configuration.
const APPLICATIONS: [&str; 3] = ["web", "worker", "mailer"];

/// What an application says when it uses a configuration, or has failed.
type Told = Result<(), ClientError>;

#[tokio::main]
async fn main() -> ExitCode {
    stage::play("configuration", story).await
}

async fn story(stage: Stage) -> Result<(), ClientError> {
    let operator = Client::connect(&stage.servers).await?.at(&stage.dir)?;
    let (_, first) = operator.create("/config", "workers=4", CreateMode::Persistent).await?;

    // Each would be a program of its own, and has a session of its own.
    let mut applications = JoinSet::new();
    let (tell, mut told) = channel(APPLICATIONS.len());
    for name in APPLICATIONS {
        let (stage, tell) = (stage.clone(), tell.clone());
        applications.spawn(async move {
            let ended = application(name, stage, &tell).await;
            // Where the story has ended early, nobody listens any more.
            let _ = tell.send(ended).await;
        });
    }
    all_have_said_so(&mut told).await?;
    stage.pause().await;

    println!("operator: sets workers=8");
    operator.set("/config", "workers=8", first.version).await?;
    all_have_said_so(&mut told).await?;
    stage.pause().await;

    // Who has not seen that change does not undo it by accident: a version may be named that the change is made for.
    match operator.set("/config", "workers=2", first.version).await {
        Err(error) if error.is(ErrorCode::BadVersion) => {
            println!("another operator: must not change what it has not read")
        }
        other => return other.map(drop),
    }
    let (text, newest) = retry(|| operator.get("/config")).await?;
    println!("another operator: reads {} and sets workers=9", String::from_utf8_lossy(&text));
    operator.set("/config", "workers=9", newest.version).await?;
    all_have_said_so(&mut told).await?;
    stage.pause().await;

    println!("operator: removes the configuration");
    operator.delete("/config", -1).await?;
    all_have_said_so(&mut told).await?;
    while applications.join_next().await.is_some() {}
    operator.close().await
}

/// Reads the configuration, and again whenever it has changed, until it is gone.
async fn application(name: &str, stage: Stage, tell: &Sender<Told>) -> Told {
    let client = Client::connect(&stage.servers).await?.at(&stage.dir)?;
    // What others have written before this is known by then, whichever server this session is with.
    client.sync("/").await?;
    // First the watch, then the first look: nothing happens unseen in between.
    let mut changes = client.watch("/config").await?;
    let mut used = None;
    loop {
        match retry(|| client.get("/config")).await {
            // The same again: what has been told of was there already at the last look.
            Ok((_, stat)) if used == Some(stat.version) => {}
            Ok((text, stat)) => {
                println!("{name}: uses {} (version {})", String::from_utf8_lossy(&text), stat.version);
                used = Some(stat.version);
                // Where the story has ended early, nobody listens any more.
                let _ = tell.send(Ok(())).await;
            }
            Err(error) if error.is(ErrorCode::NoNode) => {
                println!("{name}: ends, as there is no configuration");
                return client.close().await;
            }
            // Also where the session has ended.
            Err(error) => return Err(error),
        }
        // An event; or a gap, as something may have happened while there was no connection. Both mean: look at what is there now.
        changes.next().await;
    }
}

/// Waits for a word of each application.
async fn all_have_said_so(told: &mut Receiver<Told>) -> Told {
    for _ in APPLICATIONS {
        told.recv().await.expect("the story holds a sender itself")?;
    }
    Ok(())
}
