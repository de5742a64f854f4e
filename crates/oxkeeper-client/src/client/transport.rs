//! How a client reaches a server: TCP, unless the program brings something of its own, such as TLS.

use std::future::Future;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection: anything that reads and writes bytes.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// What [`Transport::connect`] answers.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Connection>>> + Send + 'a>>;

/// Opens connections. The client gives up on its own when one takes too long, by dropping the future.
///
/// ```
/// use oxkeeper_client::{Connecting, Connection, Transport};
///
/// /// Everything goes through one tunnel.
/// struct Tunnel;
/// impl Transport for Tunnel {
///     fn connect<'a>(&'a self, _host: &'a str, _port: u16) -> Connecting<'a> {
///         Box::pin(async {
///             let stream = tokio::net::TcpStream::connect("127.0.0.1:9999").await?;
///             Ok(Box::new(stream) as Box<dyn Connection>)
///         })
///     }
/// }
/// let builder = oxkeeper_client::Client::builder().transport(Tunnel);
/// # drop(builder);
/// ```
pub trait Transport: Send + Sync + 'static {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a>;
}

/// Plain TCP, without Nagle's delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> Connecting<'a> {
        Box::pin(async move {
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}
