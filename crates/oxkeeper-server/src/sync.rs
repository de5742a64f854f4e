//! The locks and atomics that [`crate::handover`] is built from. The model check of the hand-over compiles that file
//! against loom's versions of the same names, so nothing else may be used there.

pub use std::sync::atomic::{AtomicBool, Ordering};
pub use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
