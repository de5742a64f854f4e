//! The locks and atomics that [`crate::handover`] and [`crate::rounds`] are built from. Their model checks compile those files
//! against loom's versions of the same names, so nothing else may be used there.

pub use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
pub use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
