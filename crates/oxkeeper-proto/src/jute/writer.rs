//! Appends jute values to a byte vector.

use oxkeeper_types::{Acl, Id, Stat, StatPersisted};

/// Writes jute values onto the end of a buffer that the caller owns.
#[derive(Debug)]
pub struct Writer<'a> {
    pub out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { out }
    }
    pub fn int(&mut self, v: i32) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }
    pub fn long(&mut self, v: i64) {
        self.out.extend_from_slice(&v.to_be_bytes());
    }
    pub fn boolean(&mut self, v: bool) {
        self.out.push(v as u8);
    }
    pub fn buffer(&mut self, v: Option<&[u8]>) {
        match v {
            None => self.int(-1),
            Some(bytes) => {
                self.int(length(bytes.len()));
                self.out.extend_from_slice(bytes);
            }
        }
    }
    /// A string as the reference writes it: UTF-8, but characters beyond the basic plane as two three-byte
    /// surrogates (it encodes UTF-16 units one by one, `BinaryOutputArchive.stringToByteBuffer`).
    pub fn string(&mut self, v: &str) {
        if v.bytes().all(|b| b < 0xf0) {
            self.buffer(Some(v.as_bytes()));
            return;
        }
        let start = self.out.len();
        self.int(0);
        for c in v.chars() {
            let mut utf8 = [0; 4];
            if (c as u32) < 0x1_0000 {
                self.out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    self.out.extend_from_slice(&[
                        0xe0 | (*unit >> 12) as u8,
                        0x80 | ((*unit >> 6) & 0x3f) as u8,
                        0x80 | (*unit & 0x3f) as u8,
                    ]);
                }
            }
        }
        let written = length(self.out.len() - start - 4);
        self.out[start..start + 4].copy_from_slice(&written.to_be_bytes());
    }
    pub fn optional_string(&mut self, v: Option<&str>) {
        match v {
            None => self.int(-1),
            Some(text) => self.string(text),
        }
    }
    /// The count in front of a vector's items.
    pub fn count(&mut self, n: usize) {
        self.int(length(n));
    }
    pub fn strings<S: AsRef<str>>(&mut self, items: &[S]) {
        self.count(items.len());
        for item in items {
            self.string(item.as_ref());
        }
    }
    pub fn id(&mut self, id: &Id) {
        self.string(&id.scheme);
        self.string(&id.id);
    }
    pub fn acl_list(&mut self, acl: &[Acl]) {
        self.count(acl.len());
        for entry in acl {
            self.int(entry.perms.0);
            self.id(&entry.id);
        }
    }
    /// 68 bytes.
    pub fn stat(&mut self, s: &Stat) {
        let mut b = [0; 68];
        b[0..8].copy_from_slice(&s.czxid.0.to_be_bytes());
        b[8..16].copy_from_slice(&s.mzxid.0.to_be_bytes());
        b[16..24].copy_from_slice(&s.ctime.to_be_bytes());
        b[24..32].copy_from_slice(&s.mtime.to_be_bytes());
        b[32..36].copy_from_slice(&s.version.to_be_bytes());
        b[36..40].copy_from_slice(&s.cversion.to_be_bytes());
        b[40..44].copy_from_slice(&s.aversion.to_be_bytes());
        b[44..52].copy_from_slice(&s.ephemeral_owner.to_be_bytes());
        b[52..56].copy_from_slice(&s.data_length.to_be_bytes());
        b[56..60].copy_from_slice(&s.num_children.to_be_bytes());
        b[60..68].copy_from_slice(&s.pzxid.0.to_be_bytes());
        self.out.extend_from_slice(&b);
    }
    /// 60 bytes.
    pub fn stat_persisted(&mut self, s: &StatPersisted) {
        self.long(s.czxid.0);
        self.long(s.mzxid.0);
        self.long(s.ctime);
        self.long(s.mtime);
        self.int(s.version);
        self.int(s.cversion);
        self.int(s.aversion);
        self.long(s.ephemeral_owner);
        self.long(s.pzxid.0);
    }
}

/// Lengths are 31 bits on the wire; nothing that long ever gets here, since input is bounded.
fn length(n: usize) -> i32 {
    i32::try_from(n).unwrap_or_else(|_| panic!("{n} bytes or items in one jute field"))
}
