//! What programs do with ZooKeeper: locks, leaders, counters. Nodes and bytes are Apache Curator's, so that programs with either
//! library take part in one and the same.
//!
//! Nobody holds or leads while its session may have ended: [`Seat::is_held`] turns false, and [`Seat::lost`] returns, as soon as no server
//! has answered for two thirds of the session's time, which is before anybody else can be next. What must not come late all the
//! same, as a write to another system, carries [`Seat::fence`].
//!
//! ```no_run
//! use oxkeeper_client::Client;
//! use oxkeeper_recipes::Lock;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), oxkeeper_client::ClientError> {
//!     let client = Client::connect("127.0.0.1:2181").await?;
//!     let lock = Lock::new(&client, "/locks/report");
//!     let guard = lock.acquire().await?;
//!     println!("mine, with fence {}", guard.fence());
//!     guard.release().await
//! }
//! ```
//!
//! Not there yet: caches, persistent nodes, barriers, queues, groups, service discovery.

mod contenders;
mod leader;
mod lock;
mod parents;
mod seat;
mod value;

pub use leader::{LeaderElection, Leadership, Participant};
pub use lock::{Lock, LockGuard, ReadWriteLock, Semaphore};
pub use seat::Seat;
pub use value::{AtomicLong, SharedCount, SharedValue};
