//! Several operations in one request: writes that are done all or not at all, and reads that are each answered.

use super::request::Request;
use super::{Client, NodeOptions, local};
use crate::ClientError;
use crate::core::call;
use oxkeeper_proto::client::{
    CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest, MultiOp, MultiResult, PathWatchRequest,
    SetDataRequest, read_multi_results,
};
use oxkeeper_types::{OpCode, Stat};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// One write, with a path as the server knows it.
#[derive(Clone, Debug)]
enum Write {
    Create { path: String, data: Vec<u8>, options: NodeOptions },
    Set { path: String, data: Vec<u8>, version: i32 },
    Delete { path: String, version: i32 },
    Check { path: String, version: i32 },
}

impl Write {
    fn to_op(&self) -> MultiOp<'_> {
        match self {
            Write::Create { path, data, options: NodeOptions { mode, acl, ttl } } => {
                let (path, data, acl) = (path.as_str().into(), Some(&data[..]), Some(acl.clone()));
                match ttl {
                    Some(ttl) => MultiOp::CreateTtl(CreateTtlRequest {
                        path,
                        data,
                        acl,
                        flags: mode.flag(),
                        ttl_ms: ttl.as_millis() as i64,
                    }),
                    None => MultiOp::Create {
                        op: call::create_op(*mode),
                        request: CreateRequest { path, data, acl, flags: mode.flag() },
                    },
                }
            }
            Write::Set { path, data, version } => {
                MultiOp::SetData(SetDataRequest { path: path.into(), data: Some(data), version: *version })
            }
            Write::Delete { path, version } => MultiOp::Delete(DeleteRequest { path: path.into(), version: *version }),
            Write::Check { path, version } => {
                MultiOp::Check(CheckVersionRequest { path: path.into(), version: *version })
            }
        }
    }
}

/// Writes that are done together or not at all. Made by [`Client::transaction`].
///
/// ```no_run
/// # use oxkeeper_client::{Client, CreateMode};
/// # async fn example(client: Client) -> Result<(), oxkeeper_client::ClientError> {
/// client
///     .transaction()
///     .check("/leader", 3)
///     .set("/config", "new", -1)
///     .create("/log/entry-", "changed", CreateMode::PersistentSequential)
///     .commit()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is done before `commit`"]
#[derive(Debug)]
pub struct Transaction {
    client: Client,
    writes: Vec<Write>,
    /// The first path that cannot be one.
    wrong: Option<ClientError>,
}

impl Transaction {
    pub(super) fn new(client: &Client) -> Transaction {
        Transaction { client: client.clone(), writes: Vec::new(), wrong: None }
    }

    fn with(mut self, path: &str, sequential: bool, write: impl FnOnce(String) -> Write) -> Transaction {
        match self.client.checked_for(path, sequential) {
            Ok(path) => self.writes.push(write(path)),
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }

    /// As [`Client::create`].
    pub fn create(self, path: &str, data: impl AsRef<[u8]>, options: impl Into<NodeOptions>) -> Transaction {
        let (data, options) = (data.as_ref().to_vec(), options.into());
        self.with(path, options.mode.is_sequential(), |path| Write::Create { path, data, options })
    }
    /// As [`Client::set`].
    pub fn set(self, path: &str, data: impl AsRef<[u8]>, version: i32) -> Transaction {
        let data = data.as_ref().to_vec();
        self.with(path, false, |path| Write::Set { path, data, version })
    }
    /// As [`Client::delete`].
    pub fn delete(self, path: &str, version: i32) -> Transaction {
        self.with(path, false, |path| Write::Delete { path, version })
    }
    /// Goes on only if the node is there in this version; -1 takes any.
    pub fn check(self, path: &str, version: i32) -> Transaction {
        self.with(path, false, |path| Write::Check { path, version })
    }

    /// Sends it. Answers with a result for each write; [`ClientError::Refused`] names the one that stopped all.
    pub fn commit(self) -> Committing {
        let Transaction { client, writes, wrong } = self;
        let operations: Vec<MultiOp> = writes.iter().map(Write::to_op).collect();
        let named = operations.iter().map(|op| (op.op(), op.path().to_string())).collect();
        let request = match wrong {
            Some(error) => Request::refused(error),
            None => client.submit(call::multi(&operations), None, |chroot, results| {
                results.into_iter().map(|result| localised(chroot, result)).collect()
            }),
        };
        Committing { request, named }
    }
}

/// A transaction that is under way. In line from the call that made it, like [`Request`].
#[must_use = "whether it was done is known only to who awaits this"]
pub struct Committing {
    request: Request<Vec<MultiResult>>,
    /// For messages.
    named: Vec<(OpCode, String)>,
}

impl Future for Committing {
    type Output = Result<Vec<MultiResult>, ClientError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<Self::Output> {
        let results = std::task::ready!(Pin::new(&mut self.request).poll(cx))?;
        let Some((at, code)) = call::multi_failure(&results) else { return Poll::Ready(Ok(results)) };
        let (op, path) = self.named.get(at).cloned().unwrap_or((OpCode::Multi, String::new()));
        Poll::Ready(Err(ClientError::Refused { at, code: code.number(), op, path }))
    }
}

fn localised(chroot: &str, result: MultiResult) -> MultiResult {
    match result {
        MultiResult::Create { path } => MultiResult::Create { path: local(chroot, path) },
        MultiResult::Create2 { path, stat } => MultiResult::Create2 { path: local(chroot, path), stat },
        other => other,
    }
}

/// Reads in one request, each answered on its own. Made by [`Client::multi_read`].
///
/// ```no_run
/// # async fn example(client: oxkeeper_client::Client) -> Result<(), oxkeeper_client::ClientError> {
/// let answers = client.multi_read().get("/a").get("/b").children("/").fetch().await?;
/// assert_eq!(answers.len(), 3);
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is read before `fetch`"]
#[derive(Debug)]
pub struct MultiRead {
    client: Client,
    /// Paths, and whether the children are wanted.
    reads: Vec<(String, bool)>,
    wrong: Option<ClientError>,
}

/// The answer to one read of a [`MultiRead`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadAnswer {
    Data(Vec<u8>, Stat),
    Children(Vec<String>),
    /// The server's error code, such as [`NoNode`](oxkeeper_types::ErrorCode::NoNode)'s.
    Error(i32),
}

impl MultiRead {
    pub(super) fn new(client: &Client) -> MultiRead {
        MultiRead { client: client.clone(), reads: Vec::new(), wrong: None }
    }
    fn with(mut self, path: &str, children: bool) -> MultiRead {
        match self.client.checked(path) {
            Ok(path) => self.reads.push((path, children)),
            Err(error) => self.wrong = self.wrong.or(Some(error)),
        }
        self
    }
    /// Data and stat of a node.
    pub fn get(self, path: &str) -> MultiRead {
        self.with(path, false)
    }
    /// Names of the children of a node.
    pub fn children(self, path: &str) -> MultiRead {
        self.with(path, true)
    }
    /// Sends it.
    pub fn fetch(self) -> Request<Vec<ReadAnswer>> {
        let MultiRead { client, reads, wrong } = self;
        if let Some(error) = wrong {
            return Request::refused(error);
        }
        let request = |path: &str| PathWatchRequest { path: path.to_string().into(), watch: false };
        let operations: Vec<MultiOp> = reads
            .iter()
            .map(|(path, children)| match children {
                true => MultiOp::GetChildren(request(path)),
                false => MultiOp::GetData(request(path)),
            })
            .collect();
        let call = call::multi_read(&operations).decoded(|r| Ok(read_answers(read_multi_results(r)?)));
        client.submit(call, None, |_, answers| answers)
    }
}

fn read_answers(results: Vec<MultiResult>) -> Vec<ReadAnswer> {
    let answer = |result| match result {
        MultiResult::GetData { data, stat } => ReadAnswer::Data(data.unwrap_or_default(), stat),
        MultiResult::GetChildren { names } => ReadAnswer::Children(names),
        MultiResult::Error(code) => ReadAnswer::Error(code),
        // A server that answers a read with a write makes no sense.
        _ => ReadAnswer::Error(oxkeeper_types::ErrorCode::MarshallingError.number()),
    };
    results.into_iter().map(answer).collect()
}
