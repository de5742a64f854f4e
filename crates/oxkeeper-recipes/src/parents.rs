//! The directories that recipes work in.

use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode};

/// Creates `path` and what is missing above it, as containers: the server removes them when they have been empty for a while. Plain
/// nodes where the server does not know containers (before 3.5).
pub async fn create(client: &Client, path: &str) -> Result<(), ClientError> {
    let mut mode = CreateMode::Container;
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
    for end in ends {
        loop {
            match client.create(&path[..end], "", mode).await {
                Ok(_) => break,
                Err(error) if error.is(ErrorCode::NodeExists) => break,
                Err(error) if error.is(ErrorCode::Unimplemented) && mode == CreateMode::Container => {
                    mode = CreateMode::Persistent;
                }
                // It may be there already; if so, the next try says so.
                Err(ClientError::ConnectionLost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
