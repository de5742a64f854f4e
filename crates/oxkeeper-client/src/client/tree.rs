//! What takes more than one request: asking again over a lost connection, and deleting what has children.

use super::Client;
use crate::{ClientError, ErrorCode};
use std::future::Future;

/// Asks until the answer is no lost connection. For what may be done twice: reads, and writes that come to the same when they are
/// repeated. Whether to repeat any other write is for the caller to decide ([`ClientError::may_have_happened`]), so no call of a
/// [`Client`] repeats anything by itself.
///
/// Errors: whatever `ask` answers but [`ClientError::ConnectionLost`]. Where no server is reachable that is
/// [`ClientError::Timeout`], after the request's time. Cancel safe as far as `ask` is.
///
/// ```no_run
/// use oxkeeper_client::retry;
///
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let (data, _) = retry(|| client.get("/config")).await?;
/// # drop(data);
/// # Ok(())
/// # }
/// ```
pub async fn retry<T, F>(mut ask: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    loop {
        match ask().await {
            Err(ClientError::ConnectionLost { .. }) => {}
            result => return result,
        }
    }
}

impl Client {
    /// Deletes a node with everything below it, the deepest first: one request for each node, and what others create there meanwhile
    /// is deleted as well. Where there is no such node, nothing is to be done.
    ///
    /// Errors: the first that a deletion is answered with, what was deleted before it is gone; a lost connection is none, as a deletion
    /// may be repeated. The root of the server is refused by it (`BadArguments`). Cancel safe: what is left can be deleted later.
    ///
    /// ```no_run
    /// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
    /// client.delete_all("/jobs/yesterday").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete_all(&self, path: &str) -> Result<(), ClientError> {
        let mut open = vec![path.to_string()];
        while let Some(node) = open.last() {
            match retry(|| self.delete(node, -1)).await {
                Err(error) if error.is(ErrorCode::NotEmpty) => {
                    let below = if node == "/" { "" } else { node };
                    let children: Vec<String> = match retry(|| self.children(node)).await {
                        Ok((names, _)) => names.iter().map(|name| format!("{below}/{name}")).collect(),
                        Err(error) if error.is(ErrorCode::NoNode) => Vec::new(),
                        Err(error) => return Err(error),
                    };
                    open.extend(children);
                }
                Err(error) if !error.is(ErrorCode::NoNode) => return Err(error),
                _ => drop(open.pop()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_types::OpCode;

    #[tokio::test]
    async fn only_a_lost_connection_makes_it_ask_again() {
        let (op, path) = (OpCode::GetData, "/a".to_string());
        let lost = ClientError::ConnectionLost { op, path: path.clone(), host: "h:1".into() };
        let late = ClientError::Timeout { op, path, after_ms: 1, sent: true };
        for (answers, due) in [
            (vec![Ok(1), Ok(2)], Ok(1)),
            (vec![Err(lost.clone()), Err(lost.clone()), Ok(3)], Ok(3)),
            (vec![Err(lost), Err(late.clone()), Ok(4)], Err(late)),
        ] {
            let mut answers = answers.into_iter();
            let asked = retry(|| std::future::ready(answers.next().expect("it stops at the first answer")));
            assert_eq!(asked.await, due);
        }
    }
}
