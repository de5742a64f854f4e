//! Reads jute values from a slice that is already in memory. Never allocates more than the slice holds.

use super::DecodeError;
use std::borrow::Cow;

/// A cursor over one record. Buffers and strings longer than its budget are refused, as by
/// `jute.maxbuffer` + `jute.maxbuffer.extrasize` in the reference.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    length_max: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; no buffer in it may be longer than `length_max` bytes.
    pub fn new(bytes: &'a [u8], length_max: usize) -> Reader<'a> {
        Reader { bytes, at: 0, length_max }
    }
    /// For bytes whose size was already bounded: a buffer can be as long as the slice.
    pub fn unbounded(bytes: &'a [u8]) -> Reader<'a> {
        Reader::new(bytes, usize::MAX)
    }
    pub fn position(&self) -> usize {
        self.at
    }
    pub fn remaining(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `n` bytes as they are.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let left = self.bytes.len() - self.at;
        if n > left {
            return Err(DecodeError::Truncated { at: self.bytes.len(), wanted: n - left });
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returned N bytes"))
    }
    pub fn int(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }
    pub fn long(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }
    /// Any byte but 0 is true.
    pub fn boolean(&mut self) -> Result<bool, DecodeError> {
        Ok(self.take(1)?[0] != 0)
    }

    /// A counted buffer, `None` where it is null (length -1).
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let at = self.at;
        let length = self.int()?;
        if length == -1 {
            return Ok(None);
        }
        if length < 0 || length as usize > self.length_max {
            return Err(DecodeError::UnreasonableLength { at, length: length as i64, max: self.length_max });
        }
        self.take(length as usize).map(Some)
    }

    /// A string, `None` where it is null. Malformed UTF-8 becomes U+FFFD, never an error (reference `readString`).
    pub fn string(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer()?.map(text))
    }
    /// A string where null is an error of its own: the reference fails on those inside the request.
    pub fn required_string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.at;
        self.string()?.ok_or(DecodeError::Null { at })
    }

    /// The count of a vector: `None` where it is null; other negative counts read as empty.
    pub fn count(&mut self) -> Result<Option<usize>, DecodeError> {
        let n = self.int()?;
        Ok(if n == -1 { None } else { Some(n.max(0) as usize) })
    }
    /// A vector of strings; a null vector or null items fail like any bad record.
    pub fn strings(&mut self) -> Result<Strings<'a>, DecodeError> {
        let at = self.at;
        let n = self.count()?.ok_or(DecodeError::Null { at })?;
        self.items(n, |r| r.required_string())
    }
    /// `n` items; memory grows with what is really there, not with what the count claims.
    pub fn items<T>(
        &mut self,
        n: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut all = Vec::with_capacity(n.min(self.remaining().len() / 4 + 1).min(1024));
        for _ in 0..n {
            all.push(item(self)?);
        }
        Ok(all)
    }
}

/// Text as Java decodes it: malformed bytes become U+FFFD, as many as `String::from_utf8_lossy` puts there; but an encoded
/// surrogate (three bytes from ED A0 80 on), also one that is cut short, becomes a single one.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let Err(fault) = std::str::from_utf8(bytes) else { return String::from_utf8_lossy(bytes) };
    let mut decoded = String::with_capacity(bytes.len());
    let (mut rest, mut valid) = (bytes, fault.valid_up_to());
    loop {
        decoded.push_str(std::str::from_utf8(&rest[..valid]).expect("checked up to here"));
        rest = &rest[valid..];
        let Err(fault) = std::str::from_utf8(rest) else { break };
        valid = fault.valid_up_to();
        if valid > 0 {
            continue;
        }
        decoded.push(char::REPLACEMENT_CHARACTER);
        let malformed = match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
            [0xed, 0xa0..=0xbf] => 2,
            _ => fault.error_len().unwrap_or(rest.len()),
        };
        rest = &rest[malformed..];
    }
    decoded.push_str(std::str::from_utf8(rest).expect("the loop ends on valid text"));
    Cow::Owned(decoded)
}

/// The strings of a vector, borrowed from the record where they are valid UTF-8.
pub type Strings<'a> = Vec<Cow<'a, str>>;
