//! A request that is under way, as a future.

use super::shared::{Answer, Shared};
use crate::ClientError;
use crate::core::call::ReplyReader;
use crate::core::session::Ticket;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A request that was put in line by the call that made this; awaiting it gives the answer.
///
/// Requests of one client leave in the order of those calls, whatever order the futures are polled in, and whether they are
/// polled at all. Dropping one does not take the request back: it is carried out, and nobody hears of the answer.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let first = client.set("/a", "1", -1); // nothing is awaited yet,
/// let second = client.set("/a", "2", -1); // and yet this comes second
/// second.await?;
/// first.await?;
/// assert_eq!(client.get("/a").await?.0, b"2");
/// # Ok(())
/// # }
/// ```
#[must_use = "the request is sent, but whether it succeeded is known only to who awaits this"]
pub struct Request<T> {
    stage: Stage<T>,
}

enum Stage<T> {
    /// Refused before it left; `None` once that is told.
    Refused(Option<ClientError>),
    Sent(Sent<T>),
}

struct Sent<T> {
    shared: Arc<Shared>,
    ticket: Ticket,
    answer: Answer,
    reader: ReplyReader<T>,
    /// Takes the chroot off what the server says.
    localise: fn(&str, T) -> T,
    chroot: Arc<str>,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
}

/// The fields of a future that are pinned are boxed.
impl<T> Unpin for Request<T> {}

impl<T> Request<T> {
    pub(super) fn refused(error: ClientError) -> Request<T> {
        Request { stage: Stage::Refused(Some(error)) }
    }

    pub(super) fn sent(
        shared: &Arc<Shared>,
        (ticket, answer): (Ticket, Answer),
        reader: ReplyReader<T>,
        chroot: &Arc<str>,
        localise: fn(&str, T) -> T,
    ) -> Request<T> {
        let (shared, chroot) = (shared.clone(), chroot.clone());
        Request { stage: Stage::Sent(Sent { shared, ticket, answer, reader, localise, chroot, deadline: None }) }
    }

    /// Waits at most this long from now on, in the place of what the builder says. A request that has not left by then, as there is no
    /// connection, never will; [`ClientError::Timeout`] tells.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
    /// let (data, _) = client.get("/config").timeout(Duration::from_millis(200)).await?;
    /// # drop(data);
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeout(mut self, patience: Duration) -> Request<T> {
        if let Stage::Sent(sent) = &mut self.stage {
            sent.deadline = Some((Box::pin(sleep(patience)), patience));
        }
        self
    }
}

impl<T> Future for Request<T> {
    type Output = Result<T, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<Self::Output> {
        let sent = match &mut self.stage {
            Stage::Refused(error) => {
                return Poll::Ready(Err(error.take().expect("a future is not polled once it is done")));
            }
            Stage::Sent(sent) => sent,
        };
        if let Poll::Ready(reply) = Pin::new(&mut sent.answer).poll(cx) {
            // The sender is lost only with the task, when its runtime is shut down.
            let reply = reply.unwrap_or(Err(ClientError::Closed))?;
            let value = sent.reader.read(&reply, &sent.shared.hosts)?;
            return Poll::Ready(Ok((sent.localise)(&sent.chroot, value)));
        }
        let Some((deadline, patience)) = &mut sent.deadline else { return Poll::Pending };
        ready!(deadline.as_mut().poll(cx));
        match sent.shared.give_up(sent.ticket, *patience) {
            Some(error) => Poll::Ready(Err(error)),
            // It came in this moment.
            None => {
                cx.waker().wake_by_ref();
                sent.deadline = None;
                Poll::Pending
            }
        }
    }
}
