//! Naming: programs find each other by names that stay while addresses change. Its page: docs/guide/naming.md.
//!
//! ```text
//! cargo run --release -p oxkeeper-recipes --example naming [SERVERS [SECONDS BETWEEN STEPS]]
//! ```

mod stage;

use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode, retry};
use stage::Stage;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    stage::play("naming", story).await
}

async fn story(stage: Stage) -> Result<(), ClientError> {
    let client = Client::connect(&stage.servers).await?.at(&stage.dir)?;
    client.create("/names", "", CreateMode::Persistent).await?;

    register(&client, "database", "10.0.0.5:5432").await?;
    register(&client, "mail", "10.0.0.9:25").await?;
    stage.pause().await;

    // A name is given once, whoever asks for it and wherever.
    register(&client, "database", "10.0.0.66:5432").await?;
    look_up(&client, "database").await?;
    look_up(&client, "printer").await?;
    stage.pause().await;

    // The address changes, the name stays.
    let stat = client.set("/names/database", "10.0.0.6:5432", -1).await?;
    println!("database has moved (version {})", stat.version);
    look_up(&client, "database").await?;
    stage.pause().await;

    // Another name for the same address: at no moment are there both, or neither.
    let (address, stat) = retry(|| client.get("/names/mail")).await?;
    let rename =
        client.transaction().delete("/names/mail", stat.version).create("/names/post", address, CreateMode::Persistent);
    rename.commit().await?;
    let (mut names, _) = retry(|| client.children("/names")).await?;
    names.sort();
    println!("mail is called post now; all names: {}", names.join(", "));
    stage.pause().await;

    unique_names(&client).await?;
    client.close().await
}

/// Gives the name to this address, unless it is taken.
async fn register(client: &Client, name: &str, address: &str) -> Result<(), ClientError> {
    match client.create(&format!("/names/{name}"), address, CreateMode::Persistent).await {
        Ok(_) => println!("{name} is the name of {address}"),
        Err(error) if error.is(ErrorCode::NodeExists) => println!("{name} is taken: {address} needs another name"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Says who is called so.
async fn look_up(client: &Client, name: &str) -> Result<(), ClientError> {
    match retry(|| client.get(&format!("/names/{name}"))).await {
        Ok((address, _)) => println!("{name}? {}", String::from_utf8_lossy(&address)),
        Err(error) if error.is(ErrorCode::NoNode) => println!("{name}? nobody is called so"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Names that nobody has to choose: the servers count, and give no number twice.
async fn unique_names(client: &Client) -> Result<(), ClientError> {
    client.create("/orders", "", CreateMode::Persistent).await?;
    // All three are on their way before the first is answered, and stay in this order.
    let creating = ["tea", "coffee", "cake"].map(|what| {
        let order = client.create("/orders/order-", what, CreateMode::PersistentSequential);
        (what, order)
    });
    for (what, order) in creating {
        let (path, _) = order.await?;
        println!("the order of {what} is {path}");
    }
    Ok(())
}
