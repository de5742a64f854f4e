//! Replies as text that two servers can be compared by. What may differ gets a neutral name: wall clock times, session
//! ids (numbered in the order of their creation) and the order of lists that the protocol leaves open. Everything else
//! stays, byte for byte: the text of a body tells its bytes, and bytes behind a record are shown too.

use crate::requests::Request;
use oxkeeper_proto::client::{EventType, PASSWORD_BYTES};
use oxkeeper_proto::jute::{DecodeError, Reader};
use oxkeeper_types::{OpCode, SessionId};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds: a znode time this near to the present counts as right.
const TIME_SLACK_MS: i64 = 600_000;

/// Names for the session ids of one server.
#[derive(Clone, Debug, Default)]
pub struct Names {
    sessions: HashMap<i64, String>,
}

impl Names {
    /// The name of a session; a new one gets the next number.
    pub fn session(&mut self, id: SessionId) -> String {
        let next = self.sessions.len() + 1;
        self.sessions.entry(id.0).or_insert_with(|| format!("S{next}")).clone()
    }
    fn owner(&self, raw: i64) -> String {
        match self.sessions.get(&raw) {
            Some(name) => name.clone(),
            None if raw == 0 => "0".to_string(),
            None => format!("{raw:#x}"),
        }
    }

    /// The body of a connect response.
    pub fn connect_response(&mut self, body: &[u8]) -> String {
        self.record(body, |names, r, out| {
            let (version, timeout, id) = (r.int()?, r.int()?, SessionId(r.long()?));
            let session = if id.0 == 0 { "0".to_string() } else { names.session(id) };
            let password = r.buffer()?;
            let password = match password {
                Some(bytes) if bytes == password_of(id) => "derived from the session".to_string(),
                other => show_bytes(other),
            };
            write_to(out, format_args!("version={version} timeout={timeout} session={session} password={password}"));
            if !r.is_empty() {
                write_to(out, format_args!(" readOnly={}", r.take(1)?[0]));
            }
            Ok(())
        })
    }

    /// A whole reply frame to `request`: header and body.
    pub fn reply(&self, request: &Request, frame: &[u8]) -> String {
        self.clone().record(frame, |names, r, out| {
            let (xid, zxid, error) = (r.int()?, r.long()?, r.int()?);
            write_to(out, format_args!("xid={xid} zxid={zxid:#x} err={error}"));
            if !r.is_empty() {
                out.push(' ');
                names.body(OpCode::from_number(request.number()), r, out)?;
            }
            Ok(())
        })
    }

    /// A watch event frame.
    pub fn event(&self, frame: &[u8]) -> String {
        self.clone().record(frame, |_, r, out| {
            let (_, zxid, error) = (r.int()?, r.long()?, r.int()?);
            let (kind, state) = (r.int()?, r.int()?);
            let kind = EventType::from_number(kind).map_or(format!("type {kind}"), |kind| format!("{kind:?}"));
            let path = show_bytes(r.buffer()?);
            write_to(out, format_args!("{kind} {path} state={state} zxid={zxid:#x} err={error}"));
            Ok(())
        })
    }

    /// Runs a reader over `bytes`; what it leaves, and what it chokes on, is shown in hex.
    fn record(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Names, &mut Reader, &mut String) -> Result<(), DecodeError>,
    ) -> String {
        let mut out = String::new();
        let mut r = Reader::unbounded(bytes);
        if let Err(error) = read(self, &mut r, &mut out) {
            return format!("{out} UNDECODABLE ({error}): {}", hex(bytes));
        }
        if !r.is_empty() {
            write_to(&mut out, format_args!(" AND {}", hex(r.remaining())));
        }
        out
    }

    fn body(&self, op: Option<OpCode>, r: &mut Reader, out: &mut String) -> Result<(), DecodeError> {
        use OpCode::*;
        match op {
            Some(Create | Sync) => out.push_str(&show_bytes(r.buffer()?)),
            Some(Create2 | CreateContainer | CreateTtl) => {
                out.push_str(&show_bytes(r.buffer()?));
                self.stat(r, out)?;
            }
            Some(Exists | SetData | SetAcl) => self.stat(r, out)?,
            Some(GetData | Reconfig) => {
                out.push_str(&show_bytes(r.buffer()?));
                self.stat(r, out)?;
            }
            Some(GetAcl) => {
                acl_list(r, out)?;
                self.stat(r, out)?;
            }
            Some(GetChildren | GetEphemerals) => sorted_list(r, out)?,
            Some(GetChildren2) => {
                sorted_list(r, out)?;
                self.stat(r, out)?;
            }
            Some(Multi | MultiRead) => self.multi(r, out)?,
            Some(GetAllChildrenNumber | AddWatch) => write_to(out, format_args!("{}", r.int()?)),
            Some(WhoAmI) => identities(r, out)?,
            Some(Sasl) => out.push_str(&show_bytes(r.buffer()?)),
            // Other operations have no body: all there is will be shown in hex.
            _ => {}
        }
        Ok(())
    }

    fn multi(&self, r: &mut Reader, out: &mut String) -> Result<(), DecodeError> {
        loop {
            let (number, done, error) = (r.int()?, r.take(1)?[0], r.int()?);
            write_to(out, format_args!("{{{number} {done} {error}"));
            if done != 0 {
                out.push('}');
                return Ok(());
            }
            out.push(' ');
            match OpCode::from_number(number) {
                Some(OpCode::Error) => write_to(out, format_args!("{}", r.int()?)),
                Some(OpCode::Delete | OpCode::Check) => {}
                Some(op) => self.body(Some(op), r, out)?,
                None => return Err(DecodeError::Unknown { at: r.position(), what: "result", value: number.into() }),
            }
            out.push_str("} ");
        }
    }

    fn stat(&self, r: &mut Reader, out: &mut String) -> Result<(), DecodeError> {
        let (czxid, mzxid) = (r.long()?, r.long()?);
        let (ctime, mtime) = (time(r.long()?), time(r.long()?));
        let (version, cversion, aversion) = (r.int()?, r.int()?, r.int()?);
        let owner = self.owner(r.long()?);
        let (length, children, pzxid) = (r.int()?, r.int()?, r.long()?);
        write_to(
            out,
            format_args!(
                " stat(c={czxid:#x} m={mzxid:#x} p={pzxid:#x} ctime={ctime} mtime={mtime} v={version} cv={cversion} \
                 av={aversion} owner={owner} len={length} children={children})"
            ),
        );
        Ok(())
    }
}

/// The 16 bytes that the reference gives out with a session: `java.util.Random` seeded with the id (CW039).
pub fn password_of(id: SessionId) -> [u8; PASSWORD_BYTES] {
    const MASK: u64 = (1 << 48) - 1;
    let mut seed = ((id.0 as u64 ^ 0xb341_5c00) ^ 0x5_deec_e66d) & MASK;
    let mut password = [0; PASSWORD_BYTES];
    for word in password.chunks_exact_mut(4) {
        seed = (seed.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb)) & MASK;
        word.copy_from_slice(&((seed >> 16) as u32).to_le_bytes());
    }
    password
}

/// A time of about now shows as `now`; anything else as it is.
fn time(ms: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    if (ms - now).abs() < TIME_SLACK_MS { "now".to_string() } else { ms.to_string() }
}

/// The order of children is not part of the protocol (CW107); their number and names are.
fn sorted_list(r: &mut Reader, out: &mut String) -> Result<(), DecodeError> {
    let Some(n) = r.count()? else {
        out.push_str("null");
        return Ok(());
    };
    let mut names = r.items(n, |r| r.buffer().map(show_bytes))?;
    names.sort();
    write_to(out, format_args!("{n}[{}]", names.join(",")));
    Ok(())
}

/// An ACL in its order, but entries in a row that grant the same are sorted: one `auth` entry becomes one for each
/// identity of the caller, in an order that a hash decides (reference `PrepRequestProcessor.fixupACL`).
fn acl_list(r: &mut Reader, out: &mut String) -> Result<(), DecodeError> {
    let Some(n) = r.count()? else {
        out.push_str("null");
        return Ok(());
    };
    let mut entries = r.items(n, |r| Ok((r.int()?, show_bytes(r.buffer()?), show_bytes(r.buffer()?))))?;
    for run in entries.chunk_by_mut(|a, b| a.0 == b.0) {
        run.sort();
    }
    let shown: Vec<String> = entries.iter().map(|(perms, scheme, id)| format!("{scheme}:{id}:{perms:#x}")).collect();
    write_to(out, format_args!("{n}[{}]", shown.join(",")));
    Ok(())
}

/// Identities come out of a set: their order is open.
fn identities(r: &mut Reader, out: &mut String) -> Result<(), DecodeError> {
    let n = r.count()?.unwrap_or(0);
    let mut all = r.items(n, |r| Ok(format!("{}:{}", show_bytes(r.buffer()?), show_bytes(r.buffer()?))))?;
    all.sort();
    write_to(out, format_args!("{n}[{}]", all.join(",")));
    Ok(())
}

/// A buffer as text that tells its bytes; long ones by length and checksum.
fn show_bytes(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_string(),
        Some(bytes) if bytes.len() > 400 => format!("<{} bytes, fnv {:#018x}>", bytes.len(), fnv(bytes)),
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write_to(&mut out, format_args!("{byte:02x}"));
    }
    out
}

fn write_to(out: &mut String, text: std::fmt::Arguments) {
    out.write_fmt(text).expect("writing to a string can not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_a_record_are_shown() {
        let mut frame = vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7];
        let request = Request::Path { op: OpCode::GetAllChildrenNumber, path: None };
        assert_eq!(Names::default().reply(&request, &frame), "xid=1 zxid=0x2 err=0 7");
        frame.push(0xab);
        assert_eq!(Names::default().reply(&request, &frame), "xid=1 zxid=0x2 err=0 7 AND ab");
        let short = Names::default().reply(&request, &frame[..18]);
        assert!(short.starts_with("xid=1 zxid=0x2 err=0  UNDECODABLE"), "{short}");
    }

    #[test]
    fn sessions_are_named_in_order() {
        let mut names = Names::default();
        assert_eq!(names.session(SessionId(77)), "S1");
        assert_eq!(names.session(SessionId(5)), "S2");
        assert_eq!(names.owner(77), "S1");
        assert_eq!(names.owner(6), "0x6");
    }
}
