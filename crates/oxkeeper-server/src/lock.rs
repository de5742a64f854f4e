//! How a mutex is locked on a server.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A poisoned lock is taken as it is. A server never meets one where a panic ends its process at once (`panic = "abort"`).
/// Where it unwinds, as in tests, others may go on for as long as the thread takes to unwind.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
