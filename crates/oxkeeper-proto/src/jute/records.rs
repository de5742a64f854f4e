//! Small records that many messages share: ACL lists, ids, stats.

use super::{DecodeError, Reader};
use oxkeeper_types::{Acl, Id, Perms, Stat, StatPersisted, Zxid};

fn read_id(r: &mut Reader) -> Result<Id, DecodeError> {
    // A null scheme or id is kept as text that no rule accepts: the reference stores null there and finds no provider.
    let scheme = r.string()?.unwrap_or_default().into_owned();
    let id = r.string()?.unwrap_or_default().into_owned();
    Ok(Id { scheme, id })
}

/// A list of ACL entries, `None` where it is null.
pub fn read_acl_list(r: &mut Reader) -> Result<Option<Vec<Acl>>, DecodeError> {
    let Some(n) = r.count()? else { return Ok(None) };
    r.items(n, |r| Ok(Acl { perms: Perms(r.int()?), id: read_id(r)? })).map(Some)
}

/// A list of ids, empty where it is null (`authinfo` of a quorum packet).
pub fn read_id_list(r: &mut Reader) -> Result<Vec<Id>, DecodeError> {
    let n = r.count()?.unwrap_or(0);
    r.items(n, read_id)
}

pub fn read_stat(r: &mut Reader) -> Result<Stat, DecodeError> {
    Ok(Stat {
        czxid: Zxid(r.long()?),
        mzxid: Zxid(r.long()?),
        ctime: r.long()?,
        mtime: r.long()?,
        version: r.int()?,
        cversion: r.int()?,
        aversion: r.int()?,
        ephemeral_owner: r.long()?,
        data_length: r.int()?,
        num_children: r.int()?,
        pzxid: Zxid(r.long()?),
    })
}

pub fn read_stat_persisted(r: &mut Reader) -> Result<StatPersisted, DecodeError> {
    Ok(StatPersisted {
        czxid: Zxid(r.long()?),
        mzxid: Zxid(r.long()?),
        ctime: r.long()?,
        mtime: r.long()?,
        version: r.int()?,
        cversion: r.int()?,
        aversion: r.int()?,
        ephemeral_owner: r.long()?,
        pzxid: Zxid(r.long()?),
    })
}
