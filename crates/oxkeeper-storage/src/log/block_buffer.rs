//! Records on their way to a log file, in memory that a disk can read without a copy.
//!
//! Owns the alignment: the first byte belongs at a file offset that is a multiple of [`BLOCK_BYTES`], and stands at a memory
//! address that is one too. So the whole content, padded with zeros to whole blocks, can be written past the page cache.
//! What does not fill a block stays behind after a write and is written again, unchanged, with what follows it.
//! Must not know files, nor what a record is.

use crate::disk::BLOCK_BYTES;

/// Bytes of a log file from a block's first byte on.
#[derive(Default)]
pub struct BlockBuffer {
    /// A few bytes of filling, then the content.
    memory: Vec<u8>,
    /// Where the content begins, so that it is aligned.
    start: usize,
    /// Offset in the file of the first byte.
    offset: u64,
}

impl BlockBuffer {
    /// Offset in the file of the first byte; a multiple of [`BLOCK_BYTES`].
    pub fn offset(&self) -> u64 {
        self.offset
    }
    /// Offset in the file behind the last byte.
    pub fn end(&self) -> u64 {
        self.offset + self.content().len() as u64
    }
    pub fn content(&self) -> &[u8] {
        &self.memory[self.start..]
    }

    /// Lets `write` append at most `bytes` bytes.
    pub fn append(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.reserve(bytes);
        let capacity = self.memory.capacity();
        write(&mut self.memory);
        assert_eq!(self.memory.capacity(), capacity, "more was written than {bytes} bytes");
    }
    /// Appends zeros up to this offset in the file.
    pub fn pad_to(&mut self, end: u64) {
        let bytes = (end - self.end()) as usize;
        self.append(bytes, |memory| memory.resize(memory.len() + bytes, 0));
    }

    /// Everything before `end` is written: what is behind it goes, and the block that holds it stays. Memory beyond
    /// `kept_bytes_max` is given back.
    pub fn written_to(&mut self, end: u64, kept_bytes_max: usize) {
        assert!(self.offset <= end && end <= self.end(), "{end} is not in {}..{}", self.offset, self.end());
        let whole = (end / BLOCK_BYTES * BLOCK_BYTES - self.offset) as usize;
        let tail = (end % BLOCK_BYTES) as usize;
        self.memory.copy_within(self.start + whole..self.start + whole + tail, self.start);
        self.memory.truncate(self.start + tail);
        self.offset += whole as u64;
        if self.memory.capacity() > kept_bytes_max {
            self.move_to(Vec::with_capacity(kept_bytes_max));
        }
    }
    /// Forgets the content: a new file begins.
    pub fn clear(&mut self) {
        self.memory.truncate(self.start);
        self.offset = 0;
    }

    fn reserve(&mut self, bytes: usize) {
        let needed = self.memory.len() + bytes;
        if needed > self.memory.capacity() {
            // The allocator may not keep the alignment when it moves a vector, so moving is done here.
            let capacity = needed.next_power_of_two() + BLOCK_BYTES as usize;
            self.move_to(Vec::with_capacity(capacity));
        }
    }
    fn move_to(&mut self, mut memory: Vec<u8>) {
        let start = memory.as_ptr().align_offset(BLOCK_BYTES as usize);
        memory.resize(start, 0);
        memory.extend_from_slice(self.content());
        (self.memory, self.start) = (memory, start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = BLOCK_BYTES as usize;

    fn append(buffer: &mut BlockBuffer, bytes: &[u8]) {
        buffer.append(bytes.len(), |memory| memory.extend_from_slice(bytes));
        assert!(buffer.content().as_ptr().addr().is_multiple_of(BLOCK), "not aligned");
    }

    #[test]
    fn the_block_that_is_not_full_stays_and_the_content_stays_aligned() {
        let mut buffer = BlockBuffer::default();
        let mut file = Vec::new();
        for round in 1..200 {
            for n in 0..round % 7 {
                let piece = vec![(round + n) as u8 + 1; (round * 37 + n * 1013) % 5000];
                append(&mut buffer, &piece);
                file.extend_from_slice(&piece);
            }
            let end = buffer.end();
            assert_eq!(end, file.len() as u64);
            assert_eq!(buffer.content(), &file[buffer.offset() as usize..]);
            buffer.pad_to(end.next_multiple_of(BLOCK_BYTES));
            assert!(buffer.content().len().is_multiple_of(BLOCK));
            buffer.written_to(end, 16 * BLOCK);
            assert_eq!(buffer.content().len(), file.len() % BLOCK);
            assert!(buffer.offset().is_multiple_of(BLOCK_BYTES));
        }
        buffer.clear();
        assert_eq!((buffer.offset(), buffer.end()), (0, 0));
    }

    #[test]
    fn memory_of_a_huge_batch_is_given_back() {
        let mut buffer = BlockBuffer::default();
        append(&mut buffer, &vec![1; 100 * BLOCK + 5]);
        buffer.written_to(buffer.end(), 2 * BLOCK);
        assert_eq!(buffer.content(), [1; 5]);
        assert!(buffer.memory.capacity() <= 3 * BLOCK, "{} bytes are kept", buffer.memory.capacity());
    }
}
