//! Byte layout of a log file: header, records, padding (DK012-DK017, in this order).
//!
//! ```text
//! file    int "ZKLG"  int 2  long dbid=0
//! record  long adler32(body)  int length  body  0x42
//! end     zeros (a length of 0), or the end of the file
//! ```

use oxkeeper_types::Zxid;

pub const MAGIC: [u8; 4] = *b"ZKLG";
pub const VERSION: i32 = 2;
pub const HEADER_BYTES: usize = 16;
/// What stands before a body: checksum and length.
pub const RECORD_HEAD_BYTES: usize = 12;
/// The byte after every body (`EOR`).
pub const RECORD_END: u8 = 0x42;
/// The shortest body: a transaction header alone (closeSession without paths).
pub const BODY_BYTES_MIN: usize = 32;
/// The reference extends a file when fewer bytes than this are left (`FilePadding.calculateFileSizeWithPadding`).
const PADDING_MARGIN: u64 = 4096;

pub fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
    bytes
}

pub fn adler32(bytes: &[u8]) -> u32 {
    simd_adler32::adler32(&bytes)
}

/// Appends one record.
pub fn write_record(out: &mut Vec<u8>, body: &[u8]) {
    let length = i32::try_from(body.len()).expect("a transaction is shorter than 2 GiB");
    assert!(body.len() >= BODY_BYTES_MIN, "transaction of {} bytes: shorter than its header", body.len());
    out.reserve(record_bytes(body.len()));
    out.extend_from_slice(&u64::from(adler32(body)).to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    out.push(RECORD_END);
}

/// Bytes that a record takes in the file.
pub const fn record_bytes(body_bytes: usize) -> usize {
    RECORD_HEAD_BYTES + body_bytes + 1
}

/// The zxid in a body: after session (8 bytes) and cxid (4).
pub fn body_zxid(body: &[u8]) -> Zxid {
    Zxid(i64::from_be_bytes(body[12..20].try_into().expect("8 bytes")))
}

/// The size that a file is extended to before `end` is written up to; `allocated` where it is large enough already.
pub fn padded_size(end: u64, allocated: u64, step: u64) -> u64 {
    if step == 0 || end + PADDING_MARGIN < allocated {
        return allocated;
    }
    let missing = end + PADDING_MARGIN - allocated;
    allocated + (missing / step + 1) * step
}
