//! [`Client`]: a method for each operation, that sends and waits. Adds and strips the chroot; holds no protocol state.

use crate::ClientError;
use crate::blocking::driver::{Driver, Options, Pending};
use crate::core::call::{self, Call};
use crate::core::hosts::ConnectString;
use crate::core::session::{Event, SessionState};
use oxkeeper_proto::client::{MultiOp, MultiResult, Password, SetWatches2Request};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{Acl, CreateMode, Id, SessionId, Stat, Zxid};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A session with a ZooKeeper ensemble. Shared freely between threads; reconnects by itself. Dropping it breaks the
/// connection without closing the session; [`Client::close`] closes it.
pub struct Client {
    driver: Arc<Driver>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    chroot: String,
}

impl Client {
    /// Connects to `host:port[,host:port...][/chroot]` and waits for the session.
    pub fn connect(servers: &str, options: Options) -> Result<Client, ClientError> {
        let client = Client::start(servers, options)?;
        client.driver.wait_connected()?;
        Ok(client)
    }

    /// Like [`Client::connect`], without waiting: calls wait for the connection instead.
    pub fn start(servers: &str, options: Options) -> Result<Client, ClientError> {
        let connect = ConnectString::parse(servers)?;
        let auth = options.auth.clone();
        let (driver, threads) = Driver::start(&connect, options);
        let client = Client { driver, threads: Mutex::new(threads), chroot: connect.chroot };
        for (scheme, data) in auth {
            drop(client.driver.send(call::auth(&scheme, &data))?);
        }
        Ok(client)
    }

    /// Sends a call of [`crate::call`] without waiting for its answer. Paths are the server's: no chroot is added.
    pub fn send<T>(&self, call: Call<T>) -> Result<Pending<T>, ClientError> {
        self.driver.send(call)
    }
    /// Sends and waits.
    pub fn call<T>(&self, call: Call<T>) -> Result<T, ClientError> {
        self.send(call)?.wait()
    }

    /// `path` as the server knows it.
    pub fn full(&self, path: &str) -> String {
        match path {
            "/" if !self.chroot.is_empty() => self.chroot.clone(),
            _ => format!("{}{path}", self.chroot),
        }
    }
    fn local(&self, path: String) -> String {
        match path.strip_prefix(&self.chroot) {
            Some("") => "/".to_string(),
            Some(rest) => rest.to_string(),
            None => path,
        }
    }

    /// Creates a node that anyone may use; answers with its path, which has a number in the sequential modes.
    pub fn create(&self, path: &str, data: impl AsRef<[u8]>, mode: CreateMode) -> Result<String, ClientError> {
        Ok(self.create_with(path, Some(data.as_ref()), &open_acl(), mode)?.0)
    }
    pub fn create_with(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        mode: CreateMode,
    ) -> Result<(String, Stat), ClientError> {
        let (path, stat) = self.call(call::create2(&self.full(path), data, acl, mode))?;
        Ok((self.local(path), stat))
    }
    pub fn create_ttl(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        mode: CreateMode,
        ttl_ms: i64,
    ) -> Result<(String, Stat), ClientError> {
        let (path, stat) = self.call(call::create_ttl(&self.full(path), data, acl, mode, ttl_ms))?;
        Ok((self.local(path), stat))
    }
    /// `version` -1 matches any.
    pub fn delete(&self, path: &str, version: i32) -> Result<(), ClientError> {
        self.call(call::delete(&self.full(path), version))
    }
    pub fn exists(&self, path: &str, watch: bool) -> Result<Option<Stat>, ClientError> {
        self.call(call::exists(&self.full(path), watch))
    }
    pub fn get(&self, path: &str, watch: bool) -> Result<(Option<Vec<u8>>, Stat), ClientError> {
        self.call(call::get_data(&self.full(path), watch))
    }
    /// `version` -1 matches any.
    pub fn set(&self, path: &str, data: impl AsRef<[u8]>, version: i32) -> Result<Stat, ClientError> {
        self.call(call::set_data(&self.full(path), Some(data.as_ref()), version))
    }
    pub fn get_acl(&self, path: &str) -> Result<(Vec<Acl>, Stat), ClientError> {
        self.call(call::get_acl(&self.full(path)))
    }
    pub fn set_acl(&self, path: &str, acl: &[Acl], version: i32) -> Result<Stat, ClientError> {
        self.call(call::set_acl(&self.full(path), acl, version))
    }
    /// Names, in no order that means anything.
    pub fn children(&self, path: &str, watch: bool) -> Result<(Vec<String>, Stat), ClientError> {
        self.call(call::get_children2(&self.full(path), watch))
    }
    /// Returns once this client's server has applied all that was committed before.
    pub fn sync(&self, path: &str) -> Result<String, ClientError> {
        Ok(self.local(self.call(call::sync(&self.full(path)))?))
    }
    /// Writes in one transaction; a refused one is an answer too, see [`call::multi_failure`]. Takes server paths.
    pub fn multi(&self, ops: &[MultiOp]) -> Result<Vec<MultiResult>, ClientError> {
        self.call(call::multi(ops))
    }
    /// Several reads in one request. Takes server paths.
    pub fn multi_read(&self, ops: &[MultiOp]) -> Result<Vec<MultiResult>, ClientError> {
        self.call(call::multi_read(ops))
    }
    pub fn add_watch(&self, path: &str, recursive: bool) -> Result<(), ClientError> {
        self.call(call::add_watch(&self.full(path), recursive))
    }
    /// `watcher_type`: 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
    pub fn check_watches(&self, path: &str, watcher_type: i32) -> Result<(), ClientError> {
        self.call(call::check_watches(&self.full(path), watcher_type))
    }
    pub fn remove_watches(&self, path: &str, watcher_type: i32) -> Result<(), ClientError> {
        self.call(call::remove_watches(&self.full(path), watcher_type))
    }
    /// A raw setWatches2: what a client sends when it comes back. Takes server paths.
    pub fn set_watches(&self, request: &SetWatches2Request) -> Result<(), ClientError> {
        self.call(call::set_watches(request))
    }
    /// This session's ephemeral nodes whose path starts with `prefix`.
    pub fn ephemerals(&self, prefix: &str) -> Result<Vec<String>, ClientError> {
        let paths = self.call(call::get_ephemerals(&self.full(prefix)))?;
        Ok(paths.into_iter().map(|path| self.local(path)).collect())
    }
    /// How many nodes there are below `path`, at any depth.
    pub fn all_children_number(&self, path: &str) -> Result<i32, ClientError> {
        self.call(call::get_all_children_number(&self.full(path)))
    }
    pub fn who_am_i(&self) -> Result<Vec<Id>, ClientError> {
        self.call(call::who_am_i())
    }
    /// Adds an identity to this client; it is given again after each reconnect. A refusal ends the client.
    pub fn auth(&self, scheme: &str, data: &[u8]) -> Result<(), ClientError> {
        self.call(call::auth(scheme, data))
    }
    pub fn sasl(&self, token: &[u8]) -> Result<Option<Vec<u8>>, ClientError> {
        self.call(call::sasl(token))
    }
    /// `config_version` -1 takes any.
    pub fn reconfig(
        &self,
        joining: Option<&str>,
        leaving: Option<&str>,
        new_members: Option<&str>,
        config_version: i64,
    ) -> Result<(Option<Vec<u8>>, Stat), ClientError> {
        self.call(call::reconfig(joining, leaving, new_members, config_version))
    }
    pub fn ping(&self) -> Result<(), ClientError> {
        self.call(call::ping())
    }

    /// The next watch event or change of state, in the order they came. `None` after `timeout`, or once all is over.
    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        let event = self.driver.next_event(timeout)?;
        Some(match event {
            Event::Watch(mut watch) => {
                watch.path = self.local(watch.path);
                Event::Watch(watch)
            }
            state => state,
        })
    }
    pub fn state(&self) -> SessionState {
        self.driver.look(|session| session.state())
    }
    pub fn session(&self) -> SessionId {
        self.driver.look(|session| session.id())
    }
    /// What [`Options::resume`] of another client needs, with [`Client::session`].
    pub fn password(&self) -> Password {
        self.driver.look(|session| session.password())
    }
    pub fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.driver.look(|session| session.timeout_ms()) as u64)
    }
    pub fn last_zxid(&self) -> Zxid {
        self.driver.look(|session| session.last_zxid())
    }
    /// Breaks the connection as a network fault would; the client connects again by itself.
    pub fn drop_connection(&self) {
        self.driver.drop_connection();
    }

    /// Closes the session: its ephemeral nodes are gone when this returns.
    pub fn close(&self) -> Result<(), ClientError> {
        let result = match self.driver.send(call::close_session()) {
            Ok(pending) => pending.wait(),
            Err(ClientError::Closed) => Ok(()),
            Err(e) => Err(e),
        };
        self.stop();
        result
    }

    fn stop(&self) {
        self.driver.abandon();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(|p| p.into_inner()));
        for thread in threads {
            // A panic there has been printed already; closing must not add another.
            let _ = thread.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop();
    }
}
