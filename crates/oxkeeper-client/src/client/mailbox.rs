//! A queue with one reader: how events get from the connection's task to a stream. Bounded by what the owner says is to happen
//! when it is full; never waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub struct Mailbox<T> {
    inner: Arc<Mutex<Inner<T>>>,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    reader: Option<Waker>,
    closed: bool,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        Mailbox { inner: self.inner.clone() }
    }
}

impl<T> Default for Mailbox<T> {
    fn default() -> Mailbox<T> {
        Mailbox { inner: Arc::new(Mutex::new(Inner { items: VecDeque::new(), reader: None, closed: false })) }
    }
}

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `item` at the end, or where `max` are waiting changes the last of them.
    pub fn put(&self, item: T, max: usize, full: impl FnOnce(&mut T)) {
        let mut inner = self.lock();
        if inner.items.len() < max {
            inner.items.push_back(item);
        } else if let Some(last) = inner.items.back_mut() {
            full(last);
        }
        let reader = inner.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Whether both are the same queue.
    pub fn is(&self, other: &Mailbox<T>) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Nothing more will come.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let reader = inner.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The next item; `None` once it is closed and empty.
    pub fn poll(&self, cx: &mut Context) -> Poll<Option<T>> {
        let mut inner = self.lock();
        match inner.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if inner.closed => Poll::Ready(None),
            None => {
                inner.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
