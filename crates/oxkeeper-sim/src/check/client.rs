//! What a client may be told: answers against the list of transactions and the model, in the order of its session, and in real
//! time for writes and for reads behind a sync.

use super::Checks;
use crate::workload::{Asked, Pending};
use oxkeeper_client::core::call::Reply;
use oxkeeper_proto::client::{MultiResult, read_multi_results};
use oxkeeper_proto::jute::{Reader, read_acl_list, read_stat};
use oxkeeper_proto::txn::{Txn, TxnEntry};
use oxkeeper_types::{ErrorCode, SessionId, Stat, Zxid};
use std::fmt;

/// Put into words only where a rule was broken.
struct Who<'a> {
    client: usize,
    session: SessionId,
    asked: &'a Asked,
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} (session {}), {:?}", self.client + 1, self.session, self.asked)
    }
}

impl Checks {
    /// An answer. `seen` is the latest zxid that this session has seen before.
    pub fn on_reply(&mut self, client: usize, session: SessionId, seen: Zxid, pending: &Pending, reply: &Reply) {
        let Reply { zxid, error, .. } = *reply;
        let who = Who { client, session, asked: &pending.asked };
        if error == ErrorCode::SessionExpired.number() || error == ErrorCode::SessionMoved.number() {
            return;
        }
        if zxid < seen {
            self.fail("SessionOrder", format!("{who} is answered at {zxid} after {seen}"));
        }
        if pending.asked.is_write() {
            self.on_write(&who, session, pending, reply);
        } else if matches!(pending.asked, Asked::Sync { .. }) {
            self.counts.syncs_checked += 1;
            if zxid < pending.acked_before {
                let text =
                    format!("{who} is answered at {zxid}; {} was acknowledged before it began", pending.acked_before);
                self.fail("LinearizableSync", text);
            }
        } else {
            if zxid < pending.synced_before {
                let text = format!("{who} reads at {zxid} behind a sync that began after {}", pending.synced_before);
                self.fail("LinearizableRead", text);
            }
            self.on_read(&who, pending, reply);
        }
    }

    fn on_write(&mut self, who: &Who, session: SessionId, pending: &Pending, reply: &Reply) {
        let Reply { zxid, error, .. } = *reply;
        self.counts.writes_acked += 1;
        let Some(entry) = self.committed.get(&zxid) else {
            return self.fail("Durability", format!("{who} is acknowledged at {zxid}, which no server has delivered"));
        };
        if entry.header.session != session || !fits(&pending.asked, entry, error) {
            let text = format!("{who} is acknowledged at {zxid} with {error}, where {entry:?} stands");
            return self.fail("Integrity", text);
        }
        if zxid <= pending.acked_before {
            let text = format!("{who} stands at {zxid}, but {} was acknowledged before it began", pending.acked_before);
            return self.fail("LinearizableWrite", text);
        }
        self.acked_max = self.acked_max.max(zxid);
        if error == 0
            && let Asked::Set { path, .. } = &pending.asked
        {
            let told = read_stat(&mut Reader::unbounded(&reply.body)).ok();
            let right = self.model.stat(path, zxid);
            if told != right {
                self.fail("WriteResult", format!("{who} at {zxid} is told {told:?}, the model has {right:?}"));
            }
        }
    }

    fn on_read(&mut self, who: &Who, pending: &Pending, reply: &Reply) {
        let Reply { zxid, error, .. } = *reply;
        if zxid > self.model.last {
            return self.fail("ReadUncommitted", format!("{who} reads at {zxid}; nothing is delivered there"));
        }
        let mut r = Reader::unbounded(&reply.body);
        let no_node = ErrorCode::NoNode.number();
        let (told, right): (String, String) = match &pending.asked {
            Asked::Get { path, .. } => {
                let right = self.model.node(path, zxid).map(|n| (n.data.clone(), self.model.stat(path, zxid)));
                let told =
                    (error == 0).then(|| (r.buffer().ok().flatten().map(<[u8]>::to_vec), read_stat(&mut r).ok()));
                (shown(error, no_node, &told), shown(error, no_node, &right))
            }
            Asked::Exists { path, .. } => {
                let told: Option<Stat> = if error == 0 { read_stat(&mut r).ok() } else { None };
                (shown(error, no_node, &told), shown(error, no_node, &self.model.stat(path, zxid)))
            }
            Asked::Children { path, .. } => {
                let told = (error == 0).then(|| {
                    let mut names: Vec<String> =
                        r.strings().map(|l| l.into_iter().map(|n| n.into_owned()).collect()).unwrap_or_default();
                    names.sort();
                    (names, read_stat(&mut r).ok())
                });
                let right = self.model.stat(path, zxid).map(|stat| (self.model.children(path, zxid), Some(stat)));
                (shown(error, no_node, &told), shown(error, no_node, &right))
            }
            asked => match self.rare_read(who.session, asked, reply) {
                Some(both) => both,
                None => return,
            },
        };
        self.counts.reads_checked += 1;
        if told != right {
            self.fail("Read", format!("{who} at {zxid} is told {told}, the model has {right}"));
        }
    }
}

impl Checks {
    /// What an answer says and what is right, in words.
    fn rare_read(&self, session: SessionId, asked: &Asked, reply: &Reply) -> Option<(String, String)> {
        let (zxid, error, no_node) = (reply.zxid, reply.error, ErrorCode::NoNode.number());
        let mut r = Reader::unbounded(&reply.body);
        Some(match asked {
            Asked::GetAcl { path } => {
                let told = (error == 0).then(|| (read_acl_list(&mut r).ok().flatten(), read_stat(&mut r).ok()));
                let right = self.model.node(path, zxid).map(|n| (Some(n.acl.clone()), self.model.stat(path, zxid)));
                (shown(error, no_node, &told), shown(error, no_node, &right))
            }
            Asked::Count { path } => {
                let told = (error == 0).then(|| r.int().ok());
                let right = self.model.node(path, zxid).map(|_| Some(self.model.descendants(path, zxid)));
                (shown(error, no_node, &told), shown(error, no_node, &right))
            }
            Asked::Ephemerals { prefix } => {
                let mut told: Vec<String> =
                    r.strings().map(|l| l.into_iter().map(|n| n.into_owned()).collect()).unwrap_or_default();
                told.sort();
                let mut right = self.model.ephemerals_at(session, zxid);
                right.retain(|path| path.starts_with(prefix.as_str()));
                (format!("{error} {told:?}"), format!("0 {right:?}"))
            }
            Asked::MultiRead { parts } => {
                let told = read_multi_results(&mut r).unwrap_or_default().into_iter().map(|result| match result {
                    MultiResult::GetChildren { mut names } => {
                        names.sort();
                        MultiResult::GetChildren { names }
                    }
                    other => other,
                });
                let right: Vec<MultiResult> = parts.iter().map(|(data, path)| self.part(*data, path, zxid)).collect();
                (format!("{error} {:?}", told.collect::<Vec<_>>()), format!("0 {right:?}"))
            }
            _ => return None,
        })
    }

    fn part(&self, data: bool, path: &str, at: Zxid) -> MultiResult {
        match (self.model.node(path, at), self.model.stat(path, at)) {
            (Some(node), Some(stat)) if data => MultiResult::GetData { data: node.data.clone(), stat },
            (Some(_), _) => MultiResult::GetChildren { names: self.model.children(path, at) },
            _ => MultiResult::Error(ErrorCode::NoNode.number()),
        }
    }
}

/// Both sides of a comparison in the same words; an unexpected code shows.
fn shown<T: std::fmt::Debug>(error: i32, no_node: i32, value: &Option<T>) -> String {
    let code = if error == 0 || error == no_node { 0 } else { error };
    format!("{code} {value:?}")
}

/// Whether the transaction is what the client asked for, and the code what came of it.
fn fits(asked: &Asked, entry: &TxnEntry, error: i32) -> bool {
    if let Txn::Error { code } = entry.txn {
        return code == error;
    }
    match (asked, &entry.txn) {
        (
            Asked::Create { path, data, sequential },
            Txn::Create { path: made, data: with, .. }
            | Txn::CreateContainer { path: made, data: with, .. }
            | Txn::CreateTtl { path: made, data: with, .. },
        ) => {
            let named =
                if *sequential { made.starts_with(path) && made.len() == path.len() + 10 } else { made == path };
            error == 0 && named && with.as_deref() == Some(data)
        }
        (Asked::Set { path, data }, Txn::SetData { path: set, data: with, .. }) => {
            error == 0 && path == set && with.as_deref() == Some(data)
        }
        (Asked::Delete { path }, Txn::Delete { path: deleted, .. }) => error == 0 && path == deleted,
        (Asked::SetAcl { path, list }, Txn::SetAcl { path: set, acl, .. }) => error == 0 && path == set && list == acl,
        (Asked::Multi { parts }, Txn::Multi(txns)) => txns.len() == *parts,
        (Asked::Close, Txn::CloseSession { .. }) => error == 0,
        _ => false,
    }
}
