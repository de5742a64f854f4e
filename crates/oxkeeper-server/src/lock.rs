//! How a mutex is locked on a server.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A poisoned lock is taken as it is. The program never meets one: a panic ends its process before the stack unwinds
/// ([`crate::panics`]). Tests that run a server in their own process may.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
