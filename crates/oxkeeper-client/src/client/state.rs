//! The states of a session as a stream.

use super::Client;
use super::mailbox::Mailbox;
use crate::core::session::SessionState;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The state of the session now, and then each that follows. Its last item is final (`Expired`, `AuthFailed` or `Closed`).
///
/// [`StateStream::next`] is cancel safe.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) {
/// let mut states = client.state();
/// while let Some(state) = states.next().await {
///     println!("{state:?}");
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct StateStream {
    client: Client,
    mailbox: Mailbox<SessionState>,
}

impl StateStream {
    pub(super) fn new(client: &Client) -> StateStream {
        StateStream { client: client.clone(), mailbox: client.shared().states() }
    }

    /// The next state; `None` behind a final one.
    pub async fn next(&mut self) -> Option<SessionState> {
        poll_fn(|cx| self.mailbox.poll(cx)).await
    }
}

impl Stream for StateStream {
    type Item = SessionState;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context) -> Poll<Option<SessionState>> {
        self.mailbox.poll(cx)
    }
}

impl Drop for StateStream {
    fn drop(&mut self) {
        self.client.shared().forget_states(&self.mailbox);
    }
}
