//! Byte layout of a snapshot around its body: header, seals, trailers (DK034, DK043-DK048).
//!
//! ```text
//! header   int "ZKSN"  int 2  long dbid=-1
//! body     sessions, ACL lists, nodes, "/"
//! seal     long adler32(everything so far)  string "/"
//! digest   long zxid  int version  long digest, then a seal          if digest.enabled when written
//! zxid     long last processed zxid, then a seal                     if serializeLastProcessedZxid.enabled
//! ```
//!
//! The checksum runs on over seals. Nothing in the file says which trailers there are. The reference trusts its own present
//! switches and fails to start once they change (BG037); the bytes that are left tell just as well.

use oxkeeper_types::Zxid;

pub const MAGIC: [u8; 4] = *b"ZKSN";
pub const VERSION: i32 = 2;
pub const HEADER_BYTES: usize = 16;
pub const SEAL_BYTES: usize = 13;
const DIGEST_BYTES: usize = 20;
const ZXID_BYTES: usize = 8;
/// The most that can follow a body.
pub const TAIL_BYTES_MAX: usize = 3 * SEAL_BYTES + DIGEST_BYTES + ZXID_BYTES;
/// How a plain snapshot ends: a string of one byte, "/".
pub const LAST_BYTES: [u8; 5] = [0, 0, 0, 1, b'/'];

/// The digest of the tree at some transaction. In a fuzzy snapshot that is at or after the zxid in the file's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotDigest {
    /// 0 where the writer had applied nothing yet: then the digest means nothing.
    pub zxid: Zxid,
    pub version: i32,
    pub digest: u64,
}

/// What stands behind the body, each part where its switch was on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trailers {
    pub digest: Option<SnapshotDigest>,
    pub last_processed: Option<Zxid>,
}

/// What is wrong with the end of a snapshot: where in the tail, what was expected and what is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadTail {
    pub at: usize,
    pub expected: String,
    pub got: String,
}

/// The checksum of a stream.
#[derive(Clone, Default)]
pub struct Checksum(simd_adler32::Adler32);

impl Checksum {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }
    pub fn value(&self) -> u32 {
        self.0.finish()
    }
}

pub fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0xff; HEADER_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
    bytes
}

/// Everything that follows a body whose checksum, header included, is `checksum`.
pub fn write_tail(mut checksum: Checksum, trailers: &Trailers) -> Vec<u8> {
    let mut out = Vec::with_capacity(TAIL_BYTES_MAX);
    seal(&mut out, &mut checksum, 0);
    if let Some(digest) = trailers.digest {
        let start = out.len();
        out.extend_from_slice(&digest.zxid.0.to_be_bytes());
        out.extend_from_slice(&digest.version.to_be_bytes());
        out.extend_from_slice(&digest.digest.to_be_bytes());
        seal(&mut out, &mut checksum, start);
    }
    if let Some(zxid) = trailers.last_processed {
        let start = out.len();
        out.extend_from_slice(&zxid.0.to_be_bytes());
        seal(&mut out, &mut checksum, start);
    }
    out
}

/// Appends a seal over everything, `out[start..]` being what the checksum has not seen yet.
fn seal(out: &mut Vec<u8>, checksum: &mut Checksum, start: usize) {
    checksum.update(&out[start..]);
    let sealed = out.len();
    out.extend_from_slice(&u64::from(checksum.value()).to_be_bytes());
    out.extend_from_slice(&LAST_BYTES);
    checksum.update(&out[sealed..]);
}

/// Reads and verifies what follows a body. Which trailers there are is told by the number of bytes (DK048).
pub fn read_tail(mut checksum: Checksum, tail: &[u8]) -> Result<Trailers, BadTail> {
    let (with_digest, with_zxid) = match tail.len().checked_sub(SEAL_BYTES) {
        Some(0) => (false, false),
        Some(21) => (false, true),
        Some(33) => (true, false),
        Some(54) => (true, true),
        _ => {
            let expected = "a seal and 0, 21, 33 or 54 bytes of trailers after the last node".to_string();
            return Err(BadTail { at: 0, expected, got: format!("{} bytes", tail.len()) });
        }
    };
    let mut at = check_seal(&mut checksum, tail, 0, 0)?;
    let mut trailers = Trailers::default();
    if with_digest {
        trailers.digest = Some(SnapshotDigest {
            zxid: Zxid(long(tail, at)),
            version: i32::from_be_bytes(tail[at + 8..at + 12].try_into().expect("4 bytes")),
            digest: long(tail, at + 12) as u64,
        });
        at = check_seal(&mut checksum, tail, at, at + DIGEST_BYTES)?;
    }
    if with_zxid {
        trailers.last_processed = Some(Zxid(long(tail, at)));
        check_seal(&mut checksum, tail, at, at + ZXID_BYTES)?;
    }
    Ok(trailers)
}

/// Verifies the seal at `at`; `tail[from..at]` is what the checksum has not seen yet. Gives the end of the seal.
fn check_seal(checksum: &mut Checksum, tail: &[u8], from: usize, at: usize) -> Result<usize, BadTail> {
    checksum.update(&tail[from..at]);
    let (stored, actual) = (long(tail, at), i64::from(checksum.value()));
    if stored != actual {
        return Err(BadTail { at, expected: format!("checksum 0x{stored:x}"), got: format!("0x{actual:x}") });
    }
    checksum.update(&tail[at..at + SEAL_BYTES]);
    Ok(at + SEAL_BYTES)
}

fn long(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
