//! The whole tree as a client sees it, and where two such trees differ. Must not know who wrote it.

use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{Acl, ClientError, ErrorCode, SessionId, Stat};
use oxkeeper_proto::client::Password;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// What a server fills from its own configuration.
const CONFIG_PATH: &str = "/zookeeper/config";
/// Differences shown; more say no more.
const DIFFERENCES_MAX: usize = 12;

/// All that a client can read of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    pub data: Option<Vec<u8>>,
    pub acl: Vec<Acl>,
    pub stat: Stat,
    /// Only names: their order means nothing.
    pub children: BTreeSet<String>,
}

pub type Tree = BTreeMap<String, Node>;

fn options() -> Options {
    Options {
        session_timeout: Duration::from_secs(120),
        connect_timeout: Duration::from_secs(60),
        auth: vec![("digest".into(), b"super:secret".to_vec())],
        ..Options::default()
    }
}

/// Every node but the one of the configuration, as of now: a member of an ensemble catches up first.
pub fn tree(address: SocketAddr) -> Result<Tree, ClientError> {
    let client = Client::connect(&address.to_string(), options())?;
    client.sync("/")?;
    let mut tree = Tree::new();
    let mut open = vec!["/".to_string()];
    while let Some(path) = open.pop() {
        let (names, _) = client.children(&path, false)?;
        let (data, stat) = client.get(&path, false)?;
        let (acl, _) = client.get_acl(&path)?;
        let below = |name: &String| format!("{}/{name}", path.trim_end_matches('/'));
        open.extend(names.iter().map(below).filter(|child| child != CONFIG_PATH));
        tree.insert(path, Node { data, acl, stat, children: names.into_iter().collect() });
    }
    client.close()?;
    Ok(tree)
}

/// Takes an earlier session up again: its ephemeral nodes as the server lists them, `None` where it is refused.
pub fn resume(
    address: SocketAddr,
    session: SessionId,
    password: Password,
) -> Result<Option<BTreeSet<String>>, ClientError> {
    let client = match Client::connect(
        &address.to_string(),
        Options { resume: Some((session, password)), session_timeout: Duration::from_secs(120), ..Options::default() },
    ) {
        Ok(client) => client,
        Err(e) if e.is(ErrorCode::SessionExpired) => return Ok(None),
        Err(e) => return Err(e),
    };
    let paths = client.ephemerals("/")?;
    Ok((client.session() == session).then(|| paths.into_iter().collect()))
}

/// Where `left` and `right` part, a line each; the first few.
pub fn differences(left: (&str, &Tree), right: (&str, &Tree)) -> Vec<String> {
    let mut lines = Vec::new();
    let paths: BTreeSet<&String> = left.1.keys().chain(right.1.keys()).collect();
    for path in paths {
        match (left.1.get(path), right.1.get(path)) {
            (Some(l), Some(r)) if l == r => {}
            (Some(l), Some(r)) => lines.push(format!("{path}: {} {}; {} {}", left.0, show(l), right.0, show(r))),
            (l, r) => lines.push(format!(
                "{path}: {} {}; {} {}",
                left.0,
                l.map_or("has no such node".into(), show),
                right.0,
                r.map_or("has no such node".into(), show)
            )),
        }
    }
    let more = lines.len().saturating_sub(DIFFERENCES_MAX);
    lines.truncate(DIFFERENCES_MAX);
    if more > 0 {
        lines.push(format!("and {more} nodes more"));
    }
    lines
}

fn show(node: &Node) -> String {
    let data = node.data.as_ref().map(|data| String::from_utf8_lossy(&data[..data.len().min(40)]).into_owned());
    format!("data={data:?} acl={:?} children={} {:?}", node.acl, node.children.len(), node.stat)
}
