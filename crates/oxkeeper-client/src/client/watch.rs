//! Watches as values: one event, or a stream of them.

use super::mailbox::Mailbox;
use super::registry::{NewWatch, OneShotKind, StreamKind, Watched};
use super::request::Request;
use super::{Client, local, rewatch};
use crate::ClientError;
use crate::core::call::{self, Call};
use crate::core::session::WatchEvent;
use futures_core::Stream;
use oxkeeper_types::ErrorCode;
use std::future::{Future, IntoFuture, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{oneshot, watch};

/// A watch that fires once: awaiting it gives the event. It outlives reconnects. `Err` is the end of the session.
///
/// Cancel safe by reference: `(&mut watch).await` may be dropped and done again. Dropping the watch itself forgets it; the
/// server keeps it until it fires.
#[derive(Debug)]
pub struct OneShotWatch {
    fired: oneshot::Receiver<WatchEvent>,
    chroot: Arc<str>,
    client: Client,
}

impl Future for OneShotWatch {
    type Output = Result<WatchEvent, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<Self::Output> {
        Pin::new(&mut self.fired).poll(cx).map(|fired| match fired {
            Ok(event) => Ok(localised(&self.chroot, event)),
            Err(_) => Err(self.client.end_reason()),
        })
    }
}

/// A read that leaves a watch: gives both.
#[must_use = "nothing is known of the watch before this is awaited"]
pub struct WatchRequest<T> {
    request: Request<T>,
    watch: Option<OneShotWatch>,
}

impl<T> Unpin for WatchRequest<T> {}

impl<T> WatchRequest<T> {
    pub(super) fn new(client: &Client, call: Call<T>, kind: OneShotKind) -> WatchRequest<T> {
        let (fire, fired) = oneshot::channel();
        let request = client.submit(call, Some(NewWatch::OneShot(kind, fire)), |_, value| value);
        let watch = OneShotWatch { fired, chroot: client.chroot.clone(), client: client.clone() };
        WatchRequest { request, watch: Some(watch) }
    }
    pub(super) fn refused(error: ClientError) -> WatchRequest<T> {
        WatchRequest { request: Request::refused(error), watch: None }
    }
}

impl<T> Future for WatchRequest<T> {
    type Output = Result<(T, OneShotWatch), ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<Self::Output> {
        Pin::new(&mut self.request).poll(cx).map(|result| {
            result.map(|value| (value, self.watch.take().expect("a future is not polled once it is done")))
        })
    }
}

/// What to be told of; awaiting it sets the watch and gives the [`WatchStream`]. Made by [`Client::watch`].
#[must_use = "nothing is watched before this is awaited"]
#[derive(Debug)]
pub struct Watch {
    client: Client,
    path: String,
    kind: StreamKind,
}

impl Watch {
    pub(super) fn new(client: &Client, path: &str) -> Watch {
        Watch { client: client.clone(), path: path.to_string(), kind: StreamKind::Node }
    }
    /// Also that children come and go ([`NodeChildrenChanged`](crate::EventType::NodeChildrenChanged)).
    pub fn children(mut self) -> Watch {
        self.kind = StreamKind::Children;
        self
    }
    /// Everything below as well: each node that is created, changed or deleted, by its own path.
    pub fn recursive(mut self) -> Watch {
        self.kind = StreamKind::Recursive;
        self
    }

    async fn start(self) -> Result<WatchStream, ClientError> {
        let Watch { client, path, kind } = self;
        let mailbox = Mailbox::default();
        let full = client.checked(&path)?;
        let mut stream = WatchStream { client, path: full, kind, mailbox, fed: None };
        let call = call::add_watch(&stream.path, kind.is_recursive());
        let new = NewWatch::Stream(kind, stream.mailbox.clone());
        stream.client.shared().lock().registry.want(&stream.path, kind);
        match stream.client.submit(call, Some(new), |_, ()| ()).await {
            Ok(()) => Ok(stream),
            Err(error) if error.is(ErrorCode::Unimplemented) => {
                // Older than 3.6: it knows watches that fire once, and has ended the connection over the question.
                stream.fed = Some(rewatch::start(&stream.client, &stream.path, kind, &stream.mailbox).await?);
                Ok(stream)
            }
            Err(error) => Err(error),
        }
    }
}

impl IntoFuture for Watch {
    type Output = Result<WatchStream, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

/// Events of a watch that stays. Ends with the session, never with a connection; dropping it removes the watch.
///
/// [`WatchStream::next`] is cancel safe. The stream keeps the client alive.
///
/// ```no_run
/// # use oxkeeper_client::{Client, Watched};
/// # async fn example(client: Client) -> Result<(), oxkeeper_client::ClientError> {
/// let mut changes = client.watch("/config").recursive().await?;
/// while let Some(change) = changes.next().await {
///     match change {
///         Watched::Event(event) => println!("{:?} {}", event.kind, event.path),
///         Watched::Gap => println!("something may have been missed: read all of it again"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WatchStream {
    client: Client,
    /// As the server knows it.
    path: String,
    kind: StreamKind,
    mailbox: Mailbox<Watched>,
    /// What feeds it where the server has no persistent watch for it.
    fed: Option<watch::Sender<()>>,
}

impl WatchStream {
    /// The next event; `None` once the session has ended.
    pub async fn next(&mut self) -> Option<Watched> {
        poll_fn(|cx| self.poll_watched(cx)).await
    }

    fn poll_watched(&mut self, cx: &mut Context) -> Poll<Option<Watched>> {
        self.mailbox.poll(cx).map(|watched| match watched? {
            Watched::Event(event) => Some(Watched::Event(localised(&self.client.chroot, event))),
            Watched::Gap => Some(Watched::Gap),
        })
    }
}

impl Stream for WatchStream {
    type Item = Watched;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<Option<Watched>> {
        self.poll_watched(cx)
    }
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        let is_last = self.client.shared().lock().registry.forget(&self.path, self.kind, &self.mailbox);
        if is_last && self.fed.is_none() {
            let watcher_type = if self.kind.is_recursive() { 5 } else { 4 };
            self.client.shared().submit_silently(call::remove_watches(&self.path, watcher_type).request);
        }
    }
}

fn localised(chroot: &str, event: WatchEvent) -> WatchEvent {
    WatchEvent { path: local(chroot, event.path), ..event }
}
