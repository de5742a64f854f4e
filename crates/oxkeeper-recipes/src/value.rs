//! Values that several change: each change is made on the version it was computed from.

use crate::parents;
use oxkeeper_client::{Client, ClientError, CreateMode, ErrorCode};

/// A value of bytes with a version: Curator's `SharedValue`.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let motto = oxkeeper_recipes::SharedValue::new(&client, "/motto", b"");
/// let (_, version) = motto.get().await?;
/// let mine_is_new = motto.set_if(b"festina lente", version).await?.is_some();
/// # drop(mine_is_new);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedValue {
    client: Client,
    path: String,
    seed: Vec<u8>,
}

impl SharedValue {
    /// `seed` is the value where there is none yet.
    pub fn new(client: &Client, path: &str, seed: &[u8]) -> SharedValue {
        SharedValue { client: client.clone(), path: path.to_string(), seed: seed.to_vec() }
    }

    /// The value, and its version. Creates the node where it is missing.
    pub async fn get(&self) -> Result<(Vec<u8>, i32), ClientError> {
        loop {
            match self.client.get(&self.path).await {
                Ok((data, stat)) => return Ok((data, stat.version)),
                Err(error) if error.is(ErrorCode::NoNode) => self.create().await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn create(&self) -> Result<(), ClientError> {
        loop {
            match self.client.create(&self.path, &self.seed, CreateMode::Persistent).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is(ErrorCode::NodeExists) => return Ok(()),
                Err(error) if error.is(ErrorCode::NoNode) => {
                    let parent = self.path.rsplit_once('/').map_or("", |(parent, _)| parent);
                    parents::create(&self.client, parent).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sets it if nobody has since `version`: the new version then, `None` otherwise. After an error of which
    /// [`ClientError::may_have_happened`] says so, read it before trying again.
    pub async fn set_if(&self, value: &[u8], version: i32) -> Result<Option<i32>, ClientError> {
        match self.client.set(&self.path, value, version).await {
            Ok(stat) => Ok(Some(stat.version)),
            Err(error) if error.is(ErrorCode::BadVersion) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Changes it until nobody comes between. `change` may be called several times; what it answers `None` to is left as it is.
    /// Gives the value before and the one that is there now.
    pub async fn update(
        &self,
        mut change: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<(Vec<u8>, Vec<u8>), ClientError> {
        loop {
            let (before, version) = self.get().await?;
            let Some(after) = change(&before) else { return Ok((before.clone(), before)) };
            if self.set_if(&after, version).await?.is_some() {
                return Ok((before, after));
            }
        }
    }
}

/// A number of 64 bits that several add to: Curator's `DistributedAtomicLong`, eight bytes, the largest first.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let orders = oxkeeper_recipes::AtomicLong::new(&client, "/counters/orders");
/// let number = orders.add(1).await?;
/// # drop(number);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AtomicLong {
    value: SharedValue,
}

impl AtomicLong {
    /// 0 where there is nothing yet.
    pub fn new(client: &Client, path: &str) -> AtomicLong {
        AtomicLong { value: SharedValue::new(client, path, &0i64.to_be_bytes()) }
    }
    pub async fn get(&self) -> Result<i64, ClientError> {
        Ok(number(&self.value.get().await?.0))
    }
    /// Adds, wrapping around at the ends; gives the sum. Never adds twice: where it is not known whether it was done, the error says so.
    pub async fn add(&self, amount: i64) -> Result<i64, ClientError> {
        let sum = |bytes: &[u8]| Some(number(bytes).wrapping_add(amount).to_be_bytes().to_vec());
        Ok(number(&self.value.update(sum).await?.1))
    }
    /// Sets it to `new` if it is `expected`; tells whether it was.
    pub async fn compare_and_set(&self, expected: i64, new: i64) -> Result<bool, ClientError> {
        let mut was = false;
        let set = |bytes: &[u8]| {
            was = number(bytes) == expected;
            was.then(|| new.to_be_bytes().to_vec())
        };
        self.value.update(set).await?;
        Ok(was)
    }
}

/// What is not eight bytes counts as nothing, as an empty node does in Curator.
fn number(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_be_bytes)
}

/// A number of 32 bits with a version: Curator's `SharedCount`, four bytes, the largest first.
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let workers = oxkeeper_recipes::SharedCount::new(&client, "/workers", 4);
/// let (count, version) = workers.get().await?;
/// workers.set_if(count + 1, version).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SharedCount {
    value: SharedValue,
}

impl SharedCount {
    /// `seed` is the number where there is none yet.
    pub fn new(client: &Client, path: &str, seed: i32) -> SharedCount {
        SharedCount { value: SharedValue::new(client, path, &seed.to_be_bytes()) }
    }
    pub async fn get(&self) -> Result<(i32, i32), ClientError> {
        let (bytes, version) = self.value.get().await?;
        Ok((bytes.as_slice().try_into().map_or(0, i32::from_be_bytes), version))
    }
    /// As [`SharedValue::set_if`].
    pub async fn set_if(&self, count: i32, version: i32) -> Result<Option<i32>, ClientError> {
        self.value.set_if(&count.to_be_bytes(), version).await
    }
}
