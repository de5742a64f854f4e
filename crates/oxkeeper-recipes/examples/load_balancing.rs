//! Load balancing: each request goes to the server that has had the fewest. Its page: docs/guide/load_balancing.md.
//!
//! ```text
//! cargo run --release -p oxkeeper-recipes --example load_balancing [SERVERS [SECONDS BETWEEN STEPS]]
//! ```

mod stage;

use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode, ReadAnswer, Stat, retry};
use stage::Stage;
use std::error::Error;
use std::process::ExitCode;
use tokio::task::JoinSet;

/// A node for each server, with the number of its requests.
const SERVERS: &str = "/servers";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    stage::play("load_balancing", story).await
}

async fn story(stage: Stage) -> Result<(), Failure> {
    let client = Client::connect(&stage.servers).await?.at(&stage.dir)?;
    client.create(SERVERS, "", CreateMode::Persistent).await?;

    let alpha = start_server(&stage, "alpha").await?;
    let beta = start_server(&stage, "beta").await?;
    let gamma = start_server(&stage, "gamma").await?;
    send(&client, 1..=4).await?;
    stage.pause().await;

    // The next requests are its, until it has as many as the others.
    let delta = start_server(&stage, "delta").await?;
    send(&client, 5..=6).await?;
    stage.pause().await;

    println!("alpha goes");
    alpha.close().await?;
    send(&client, 7..=8).await?;
    stage.pause().await;

    println!("three clients send three requests each, all at once");
    let mut sending = JoinSet::new();
    for _ in 0..3 {
        let client = Client::connect(&stage.servers).await?.at(&stage.dir)?;
        client.sync("/").await?;
        sending.spawn(async move {
            for _ in 0..3 {
                least_loaded(&client).await?;
            }
            Ok::<_, Failure>(client.close().await?)
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    client.sync("/").await?;
    println!("  {}", shown(&loads(&client).await?));

    for session in [beta, gamma, delta, client] {
        session.close().await?;
    }
    Ok(())
}

/// A server that has had no request yet. It is chosen for as long as its session lives, which is what this returns.
async fn start_server(stage: &Stage, name: &str) -> Result<Client, ClientError> {
    let client = Client::connect(&stage.servers).await?.at(&stage.dir)?;
    client.create(&format!("{SERVERS}/{name}"), "0", CreateMode::Ephemeral).await?;
    println!("{name} comes");
    Ok(client)
}

/// Sends these requests one after the other.
async fn send(client: &Client, requests: impl Iterator<Item = u32>) -> Result<(), Failure> {
    client.sync("/").await?;
    for request in requests {
        let server = least_loaded(client).await?;
        println!("request {request} goes to {server}: {}", shown(&loads(client).await?));
    }
    Ok(())
}

/// The server with the fewest requests, with one more by now.
async fn least_loaded(client: &Client) -> Result<String, Failure> {
    loop {
        let servers = loads(client).await?;
        let Some((count, name, stat)) = servers.iter().min_by_key(|(count, name, _)| (*count, name)) else {
            return Err("no server is there".into());
        };
        // Only if the number is still the one that was read. So the choice is right, however many choose at once.
        match client.set(&format!("{SERVERS}/{name}"), (count + 1).to_string(), stat.version).await {
            Ok(_) => return Ok(name.clone()),
            // Another client was faster, or the server has gone.
            Err(error) if error.is(ErrorCode::BadVersion) || error.is(ErrorCode::NoNode) => {}
            // It may have been counted, and then is once more: that does no harm here.
            Err(ClientError::ConnectionLost { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// All servers with their numbers of requests, by name.
async fn loads(client: &Client) -> Result<Vec<(u64, String, Stat)>, ClientError> {
    let (mut names, _) = retry(|| client.children(SERVERS)).await?;
    names.sort();
    let read_all =
        || names.iter().fold(client.multi_read(), |reads, name| reads.get(&format!("{SERVERS}/{name}"))).fetch();
    let answers = retry(read_all).await?;
    let load = |(name, answer): (&String, ReadAnswer)| match answer {
        ReadAnswer::Data(count, stat) => Some((String::from_utf8_lossy(&count).parse().ok()?, name.clone(), stat)),
        // It has gone since.
        _ => None,
    };
    Ok(names.iter().zip(answers).filter_map(load).collect())
}

fn shown(loads: &[(u64, String, Stat)]) -> String {
    loads.iter().map(|(count, name, _)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
