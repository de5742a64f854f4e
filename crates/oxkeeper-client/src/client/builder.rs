//! What a client is made of: connect string, timeouts, credentials, and how it reaches servers.

use super::transport::{Tcp, Transport};
use super::{Client, Handle, connection, shared::Shared};
use crate::ClientError;
use crate::core::call;
use crate::core::hosts::{ConnectString, Hosts};
use crate::core::session::{REQUEST_BYTES_MAX, Session, SessionOptions};
use oxkeeper_proto::client::Password;
use oxkeeper_types::SessionId;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Makes a [`Client`].
///
/// ```no_run
/// use oxkeeper_client::Client;
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), oxkeeper_client::ClientError> {
/// let client = Client::builder()
///     .session_timeout(Duration::from_secs(10))
///     .auth("digest", b"user:secret")
///     .connect("zk1,zk2,zk3/app")
///     .await?;
/// # drop(client);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is connected before `connect` or `start`"]
#[derive(Clone)]
pub struct Builder {
    session_timeout: Duration,
    connect_timeout: Duration,
    request_timeout: Duration,
    read_only: bool,
    in_order: bool,
    request_bytes_max: usize,
    auth: Vec<(String, Vec<u8>)>,
    resume: Option<(SessionId, Password)>,
    transport: Arc<dyn Transport>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            session_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            read_only: false,
            in_order: false,
            request_bytes_max: REQUEST_BYTES_MAX,
            auth: Vec::new(),
            resume: None,
            transport: Arc::new(Tcp),
        }
    }
}

impl Builder {
    /// How long the session lives on without a word of this client: 30 s unless said. The server may grant another time.
    pub fn session_timeout(mut self, timeout: Duration) -> Builder {
        self.session_timeout = timeout;
        self
    }
    /// How long [`Builder::connect`] waits for a session, over all servers: 15 s unless said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.connect_timeout = timeout;
        self
    }
    /// How long each request waits for its answer, a missing connection included: 30 s unless said. Kept to within 100 ms; see
    /// [`Request::timeout`](super::Request::timeout) for one request.
    pub fn request_timeout(mut self, timeout: Duration) -> Builder {
        self.request_timeout = timeout;
        self
    }
    /// Takes a server that has no quorum as well, for reads; looks for a better one meanwhile, and moves to it.
    pub fn read_only(mut self) -> Builder {
        self.read_only = true;
        self
    }
    /// Tries the servers in the order of the connect string, not shuffled.
    pub fn in_order(mut self) -> Builder {
        self.in_order = true;
        self
    }
    /// Longer requests are refused before they are sent: `jute.maxbuffer` of the servers, 1,048,575 bytes unless said.
    pub fn request_bytes_max(mut self, bytes: usize) -> Builder {
        self.request_bytes_max = bytes;
        self
    }
    /// Credentials, given before everything else on each connection. May be called several times.
    pub fn auth(mut self, scheme: &str, data: &[u8]) -> Builder {
        self.auth.push((scheme.to_string(), data.to_vec()));
        self
    }
    /// Takes up an earlier client's session ([`Client::session`], [`Client::password`]) in the place of a new one.
    pub fn resume(mut self, session: SessionId, password: Password) -> Builder {
        self.resume = Some((session, password));
        self
    }
    /// How connections are made: TCP unless said.
    pub fn transport(mut self, transport: impl Transport) -> Builder {
        self.transport = Arc::new(transport);
        self
    }

    /// Connects to `host:port[,host:port...][/chroot]`, a [`ConnectString`] as text, and waits for the session.
    ///
    /// Must be called within a tokio runtime. Dropping the future gives the session up.
    pub async fn connect(self, servers: &str) -> Result<Client, ClientError> {
        let patience = self.connect_timeout;
        let client = self.start(&servers.parse()?)?;
        match connection::wait_connected(client.shared(), patience).await {
            Ok(()) => Ok(client),
            Err(error) => {
                client.shared().abandon();
                Err(error)
            }
        }
    }

    /// As [`Builder::connect`], without waiting: requests wait for the connection instead.
    pub fn start(self, servers: &ConnectString) -> Result<Client, ClientError> {
        let session = Session::new(SessionOptions {
            timeout_ms: i32::try_from(self.session_timeout.as_millis()).unwrap_or(i32::MAX),
            read_only: self.read_only,
            resume: self.resume,
            request_bytes_max: self.request_bytes_max,
        });
        let names: Vec<String> = servers.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let hosts = match self.in_order {
            true => Hosts::in_order(servers.hosts.clone()),
            false => Hosts::shuffled(servers.hosts.clone(), RandomState::new().hash_one(&names)),
        };
        let shared = Arc::new(Shared::new(session, names.join(","), self.request_timeout));
        for (scheme, data) in &self.auth {
            shared.submit_silently(call::auth(scheme, data).request);
        }
        tokio::spawn(connection::run(shared.clone(), hosts, self.transport));
        Ok(Client { handle: Arc::new(Handle { shared }), chroot: servers.chroot.as_str().into() })
    }
}
