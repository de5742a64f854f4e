//! Servers come and go, and their clients follow. Its page: docs/guide/servers_come_and_go.md.
//!
//! ```text
//! cargo run --release -p oxkeeper-recipes --example servers_come_and_go [SERVERS [SECONDS BETWEEN STEPS]]
//! ```
//!
//! The servers of the story are clients of ZooKeeper, too: each of its servers and clients has a session of its own.

mod stage;

use oxkeeper_client::{Client, ClientError, CreateMode, ReadAnswer, retry};
use stage::Stage;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

const SERVERS: [&str; 3] = ["172.10.01.11", "172.10.01.12", "172.10.01.13"];
const CLIENTS: [&str; 3] = ["172.10.02.11", "172.10.02.12", "172.10.02.13"];

/// Where servers register. It stays when they go: ephemeral nodes have no children.
const ROOT: &str = "/server";

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    stage::play("servers_come_and_go", story).await
}

async fn story(stage: Stage) -> Result<(), Failure> {
    let root = connect(&stage).await?;
    root.create(ROOT, "server root znode", CreateMode::Persistent).await?;

    let mut servers = Vec::new();
    for host in SERVERS {
        servers.push(start_server(&stage, host).await?);
    }

    let (tell, mut told) = channel(CLIENTS.len());
    let mut clients = Vec::new();
    for host in CLIENTS {
        let client = connect(&stage).await?;
        let (followed, tell) = (client.clone(), tell.clone());
        tokio::spawn(async move {
            let ended = follow(followed, host, &tell).await;
            // Where the story is over, nobody listens any more.
            let _ = tell.send(ended).await;
        });
        clients.push(client);
    }
    all_have_the_list(&mut told).await?;
    stage.pause().await;

    println!("【server {}】server off line", SERVERS[0]);
    servers.remove(0).close().await?;
    all_have_the_list(&mut told).await?;
    stage.pause().await;

    servers.push(start_server(&stage, SERVERS[0]).await?);
    all_have_the_list(&mut told).await?;

    for session in clients.iter().chain(&servers).chain([&root]) {
        session.close().await?;
    }
    Ok(())
}

/// A session that knows, when this returns, all that others have written before.
async fn connect(stage: &Stage) -> Result<Client, ClientError> {
    let client = Client::builder().session_timeout(Duration::from_secs(5)).connect(&stage.servers).await?;
    client.sync("/").await?;
    client.at(&stage.dir)
}

/// Registers a server: its node is there for as long as its session, which is what this returns.
async fn start_server(stage: &Stage, host: &str) -> Result<Client, Failure> {
    let client = connect(stage).await?;
    match client.create(&format!("{ROOT}/server"), host, CreateMode::EphemeralSequential).await {
        Ok((path, _)) => println!("【server {host}】register server success, znode path: {path}"),
        Err(error) => return Err(format!("【server {host}】register server error: {error}").into()),
    }
    Ok(client)
}

/// What a client does: it reads the list of servers, and again after every change, until its session ends.
async fn follow(client: Client, host: &str, tell: &Sender<Result<(), Failure>>) -> Result<(), Failure> {
    let mut changes = client.watch(ROOT).children().await?;
    loop {
        match server_list(&client).await {
            Ok(servers) => println!("【client {host}】get server list success: [{}]", servers.join(" ")),
            Err(error) => return Err(format!("【client {host}】get server list error: {error}").into()),
        }
        let _ = tell.send(Ok(())).await;
        // A gap means that there may have been a change while there was no connection.
        if changes.next().await.is_none() {
            return Err(client.ended().await.into());
        }
        println!("【client {host}】server changed!");
    }
}

/// The addresses of the servers, in the order in which they came.
async fn server_list(client: &Client) -> Result<Vec<String>, ClientError> {
    let (mut names, _) = retry(|| client.children(ROOT)).await?;
    names.sort();
    let read_all =
        || names.iter().fold(client.multi_read(), |reads, name| reads.get(&format!("{ROOT}/{name}"))).fetch();
    let address = |answer| match answer {
        ReadAnswer::Data(host, _) => Some(String::from_utf8_lossy(&host).into_owned()),
        // It has gone since; the next event tells of that.
        _ => None,
    };
    Ok(retry(read_all).await?.into_iter().filter_map(address).collect())
}

async fn all_have_the_list(told: &mut Receiver<Result<(), Failure>>) -> Result<(), Failure> {
    for _ in CLIENTS {
        told.recv().await.expect("the story holds a sender itself")?;
    }
    Ok(())
}
