//! [`Client`] on tokio: a clone for everybody who needs one, requests as futures, watches as values and streams.

mod builder;
mod connection;
mod mailbox;
mod registry;
mod request;
mod rewatch;
mod shared;
mod state;
mod transaction;
mod transport;
mod tree;
mod watch;

pub use builder::Builder;
pub use registry::Watched;
pub use request::Request;
pub use state::StateStream;
pub use transaction::{Committing, MultiRead, ReadAnswer, Transaction};
pub use transport::{Connecting, Connection, Tcp, Transport};
pub use tree::retry;
pub use watch::{OneShotWatch, Watch, WatchRequest, WatchStream};

use crate::ClientError;
use crate::core::call::{self, Call};
use crate::core::session::SessionState;
use oxkeeper_proto::client::Password;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{Acl, CreateMode, Id, SessionId, Stat, Zxid, path as paths};
use registry::{NewWatch, OneShotKind};
use shared::Shared;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A session with a ZooKeeper ensemble.
///
/// Cheap to clone; all clones share the session, and [`Client::at`] gives one whose paths begin further down. It reconnects by
/// itself, moving between servers, until the session expires: then [`Client::state`] ends, and a new client is needed. When the
/// last clone (and stream) is dropped, the session is closed in the background; [`Client::close`] waits for it.
///
/// ```no_run
/// use oxkeeper_client::{Client, CreateMode};
///
/// # async fn example() -> Result<(), oxkeeper_client::ClientError> {
/// let client = Client::connect("127.0.0.1:2181,127.0.0.1:2182/app").await?;
/// client.create("/greeting", "hello", CreateMode::Persistent).await?;
/// let (data, stat) = client.get("/greeting").await?;
/// println!("{} in version {}", String::from_utf8_lossy(&data), stat.version);
/// client.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    /// In front of every path; empty for none.
    chroot: Arc<str>,
}

/// Dropped with the last clone.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.submit_silently(call::close_session().request);
    }
}

/// How a node is created: its mode, who may do what with it (everybody, unless said), and for some modes how long it lives without
/// children and changes.
///
/// ```
/// use oxkeeper_client::{CreateMode, NodeOptions};
/// use std::time::Duration;
/// let plain: NodeOptions = CreateMode::Ephemeral.into();
/// let short = NodeOptions::with_ttl(CreateMode::PersistentWithTtl, Duration::from_secs(60));
/// # drop((plain, short));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeOptions {
    pub mode: CreateMode,
    pub acl: Vec<Acl>,
    pub ttl: Option<Duration>,
}

impl From<CreateMode> for NodeOptions {
    fn from(mode: CreateMode) -> NodeOptions {
        NodeOptions { mode, acl: open_acl(), ttl: None }
    }
}

impl NodeOptions {
    /// `mode` is one of the two with a TTL.
    pub fn with_ttl(mode: CreateMode, ttl: Duration) -> NodeOptions {
        NodeOptions { ttl: Some(ttl), ..mode.into() }
    }
    pub fn acl(mut self, acl: Vec<Acl>) -> NodeOptions {
        self.acl = acl;
        self
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Client({}{})", self.shared().hosts, self.chroot)
    }
}

/// Connecting, and what is known of the session.
impl Client {
    /// Connects to `host:port[,host:port...][/chroot]` with the defaults of the [`Builder`], and waits for the session.
    pub async fn connect(servers: &str) -> Result<Client, ClientError> {
        Client::builder().connect(servers).await
    }
    /// For everything that [`Client::connect`] takes for granted.
    pub fn builder() -> Builder {
        Builder::default()
    }
    /// The same session, with `path` in front of every path of this view; `path` itself is below the one of `self`.
    ///
    /// ```no_run
    /// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
    /// let app = client.at("/app")?;
    /// app.set("/config", "x", -1).await?; // the server's /app/config
    /// # Ok(())
    /// # }
    /// ```
    pub fn at(&self, path: &str) -> Result<Client, ClientError> {
        let full = self.checked(path)?;
        let chroot = if full == "/" { "" } else { &full[..] };
        Ok(Client { handle: self.handle.clone(), chroot: chroot.into() })
    }
    /// The same session without any chroot.
    pub fn root(&self) -> Client {
        Client { handle: self.handle.clone(), chroot: "".into() }
    }
    /// What stands in front of every path; empty for nothing.
    pub fn chroot(&self) -> &str {
        &self.chroot
    }

    /// The state now, and then each that follows.
    pub fn state(&self) -> StateStream {
        StateStream::new(self)
    }
    pub fn current_state(&self) -> SessionState {
        self.shared().lock().session.state()
    }
    /// Returns once there is a connection with a server; `Err` where the session has ended. Cancel safe.
    pub async fn connected(&self) -> Result<(), ClientError> {
        let mut states = self.state();
        while let Some(state) = states.next().await {
            if state.is_connected() {
                return Ok(());
            }
        }
        Err(self.end_reason())
    }
    /// Returns when the session has ended, with the reason: the error that every request is answered with from then on. Cancel safe.
    ///
    /// ```no_run
    /// # async fn example(client: oxkeeper_client::Client) {
    /// tokio::select! {
    ///     () = work() => {}
    ///     reason = client.ended() => eprintln!("what this session held is gone: {reason}"),
    /// }
    /// # }
    /// # async fn work() {}
    /// ```
    pub async fn ended(&self) -> ClientError {
        let mut states = self.state();
        while states.next().await.is_some() {}
        self.end_reason()
    }
    /// Until when the session lives for certain, whatever the network does; `None` before the first connection and after the end.
    /// Moves on with every answer of a server. Who holds something by an ephemeral node must not act on it any later.
    pub fn lives_until(&self) -> Option<Instant> {
        let millis = self.shared().lock().session.lives_until();
        (millis.0 >= 0).then(|| self.shared().instant(millis))
    }
    pub fn session(&self) -> SessionId {
        self.shared().lock().session.id()
    }
    /// What [`Builder::resume`] of another client needs, with [`Client::session`].
    pub fn password(&self) -> Password {
        self.shared().lock().session.password()
    }
    /// As the server granted it.
    pub fn session_timeout(&self) -> Duration {
        Duration::from_millis(self.shared().lock().session.timeout_ms() as u64)
    }
    /// The last transaction that this client has seen the effect of.
    pub fn last_zxid(&self) -> Zxid {
        self.shared().lock().session.last_zxid()
    }
    /// Closes the session, for all clones: its ephemeral nodes are gone when this returns.
    pub async fn close(&self) -> Result<(), ClientError> {
        match self.submit(call::close_session(), None, |_, ()| ()).await {
            Err(ClientError::Closed) => Ok(()),
            result => result,
        }
    }

    fn end_reason(&self) -> ClientError {
        self.shared().lock().session.end_reason()
    }
    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// Requests. Each is in line from the call on.
impl Client {
    /// Creates a node. Answers with its path, which has a number at its end in the sequential modes, and its stat.
    pub fn create(
        &self,
        path: &str,
        data: impl AsRef<[u8]>,
        options: impl Into<NodeOptions>,
    ) -> Request<(String, Stat)> {
        let NodeOptions { mode, acl, ttl } = options.into();
        let full = match self.checked_for(path, mode.is_sequential()) {
            Ok(full) => full,
            Err(error) => return Request::refused(error),
        };
        let data = Some(data.as_ref());
        let call = match ttl {
            Some(ttl) => call::create_ttl(&full, data, &acl, mode, ttl.as_millis() as i64),
            None => call::create2(&full, data, &acl, mode),
        };
        self.submit(call, None, |chroot, (path, stat)| (local(chroot, path), stat))
    }
    /// `version` -1 matches any.
    pub fn delete(&self, path: &str, version: i32) -> Request<()> {
        self.on(path, |path| call::delete(path, version))
    }
    /// `None` where there is no such node.
    pub fn exists(&self, path: &str) -> Request<Option<Stat>> {
        self.on(path, |path| call::exists(path, false))
    }
    /// As [`Client::exists`], with a watch for the next change of the node, or for its creation.
    pub fn exists_and_watch(&self, path: &str) -> WatchRequest<Option<Stat>> {
        self.watching(path, OneShotKind::Node, |path| call::exists(path, true))
    }
    /// Data and stat. A node without data has none, as one with no bytes.
    pub fn get(&self, path: &str) -> Request<(Vec<u8>, Stat)> {
        self.on(path, |path| call::get(path, false))
    }
    /// As [`Client::get`], with a watch for the next change of the node.
    pub fn get_and_watch(&self, path: &str) -> WatchRequest<(Vec<u8>, Stat)> {
        self.watching(path, OneShotKind::Node, |path| call::get(path, true))
    }
    /// `version` -1 matches any.
    pub fn set(&self, path: &str, data: impl AsRef<[u8]>, version: i32) -> Request<Stat> {
        self.on(path, |path| call::set_data(path, Some(data.as_ref()), version))
    }
    /// Names of the children, in no order that means anything, and the stat of the node.
    pub fn children(&self, path: &str) -> Request<(Vec<String>, Stat)> {
        self.on(path, |path| call::get_children2(path, false))
    }
    /// As [`Client::children`], with a watch for the next child that comes or goes.
    pub fn children_and_watch(&self, path: &str) -> WatchRequest<(Vec<String>, Stat)> {
        self.watching(path, OneShotKind::Children, |path| call::get_children2(path, true))
    }
    pub fn get_acl(&self, path: &str) -> Request<(Vec<Acl>, Stat)> {
        self.on(path, call::get_acl)
    }
    /// `version` is that of the ACL (`aversion`); -1 matches any.
    pub fn set_acl(&self, path: &str, acl: &[Acl], version: i32) -> Request<Stat> {
        self.on(path, |path| call::set_acl(path, acl, version))
    }
    /// Returns once this client's server has applied all that was committed before.
    pub fn sync(&self, path: &str) -> Request<()> {
        self.on(path, |path| call::sync(path).decoded(|_| Ok(())))
    }
    /// Writes that are done together or not at all.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self)
    }
    /// Several reads in one request.
    pub fn multi_read(&self) -> MultiRead {
        MultiRead::new(self)
    }
    /// Events that go on coming: see [`WatchStream`].
    pub fn watch(&self, path: &str) -> Watch {
        Watch::new(self, path)
    }
    /// The ephemeral nodes of this session whose path starts with `prefix`.
    pub fn ephemerals(&self, prefix: &str) -> Request<Vec<String>> {
        self.localised(prefix, call::get_ephemerals, |chroot, paths| {
            paths.into_iter().map(|path| local(chroot, path)).collect()
        })
    }
    /// How many nodes there are below `path`, at any depth.
    pub fn count_below(&self, path: &str) -> Request<i32> {
        self.on(path, call::get_all_children_number)
    }
    /// The identities of this connection, as the server names them.
    pub fn who_am_i(&self) -> Request<Vec<Id>> {
        self.submit(call::who_am_i(), None, |_, ids| ids)
    }
    /// Adds an identity to the session; it is given again after each reconnect. A refusal ends the session.
    pub fn auth(&self, scheme: &str, data: &[u8]) -> Request<()> {
        self.submit(call::auth(scheme, data), None, |_, ()| ())
    }
    /// The configuration of the ensemble: a `server.N=` line for each member, and a version.
    pub fn config(&self) -> Request<(Vec<u8>, Stat)> {
        self.submit(call::get(paths::CONFIG, false), None, |_, value| value)
    }
    /// Changes the ensemble by members that join and leave (`server.N=` lines and numbers, separated by commas), if its configuration
    /// is in `version`; -1 takes any. Answers with the new one.
    pub fn reconfig(&self, joining: Option<&str>, leaving: Option<&str>, version: i64) -> Request<(Vec<u8>, Stat)> {
        self.submit(call::reconfig(joining, leaving, None, version).decoded(call::data), None, |_, value| value)
    }
    /// As [`Client::reconfig`], with the list of all members.
    pub fn reconfig_to(&self, members: &str, version: i64) -> Request<(Vec<u8>, Stat)> {
        self.submit(call::reconfig(None, None, Some(members), version).decoded(call::data), None, |_, value| value)
    }
    /// Any call of [`crate::call`]. Its paths are the server's: no chroot is added.
    pub fn call<T>(&self, call: Call<T>) -> Request<T> {
        self.submit(call, None, |_, value| value)
    }

    fn on<T>(&self, path: &str, call: impl FnOnce(&str) -> Call<T>) -> Request<T> {
        self.localised(path, call, |_, value| value)
    }
    fn localised<T>(&self, path: &str, call: impl FnOnce(&str) -> Call<T>, localise: fn(&str, T) -> T) -> Request<T> {
        match self.checked(path) {
            Ok(full) => self.submit(call(&full), None, localise),
            Err(error) => Request::refused(error),
        }
    }
    fn watching<T>(&self, path: &str, kind: OneShotKind, call: impl FnOnce(&str) -> Call<T>) -> WatchRequest<T> {
        match self.checked(path) {
            Ok(full) => WatchRequest::new(self, call(&full), kind),
            Err(error) => WatchRequest::refused(error),
        }
    }
    fn submit<T>(&self, call: Call<T>, watch: Option<NewWatch>, localise: fn(&str, T) -> T) -> Request<T> {
        let reader = call.reader();
        match self.shared().submit(call.request, watch) {
            Ok(sent) => Request::sent(self.shared(), sent, reader, &self.chroot, localise),
            Err(error) => Request::refused(error),
        }
    }

    /// `path` as the server knows it.
    fn checked(&self, path: &str) -> Result<String, ClientError> {
        self.checked_for(path, false)
    }
    fn checked_for(&self, path: &str, sequential: bool) -> Result<String, ClientError> {
        paths::validate(path, sequential).map_err(|error| ClientError::Path { path: path.to_string(), error })?;
        Ok(match path {
            "/" if !self.chroot.is_empty() && !sequential => self.chroot.to_string(),
            _ => format!("{}{path}", self.chroot),
        })
    }
}

/// A server's path as a view with this chroot shows it.
fn local(chroot: &str, path: String) -> String {
    match path.strip_prefix(chroot) {
        Some("") => "/".to_string(),
        Some(rest) if rest.starts_with('/') => rest.to_string(),
        _ => path,
    }
}
