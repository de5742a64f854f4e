//! Packing of snapshot files: none, gzip, and the stream format of snappy-java (DK050, DK052, DK053).
//!
//! Owns the bytes between a file and the stream of the snapshot. Must not know what the stream means.
//!
//! ```text
//! snappy   82 "SNAPPY" 00  int version=1  int compatible=1, then blocks: int length, a raw snappy block
//! ```

use crate::disk::DiskFile;
use crate::names::Compression;
use std::io::{self, Read, Write};

pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
pub const SNAPPY_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const SNAPPY_HEADER_BYTES: usize = 16;
/// Bytes before packing: the block of snappy-java's output stream.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;
/// Bytes: blocks of snappy-java are at most 512 MiB; what a snapshot's writer uses is far less.
const SNAPPY_BLOCK_BYTES_MAX: usize = 64 << 20;
/// Bytes read from or written to the file at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes after which a long file is synced in between: a log that shares the disk must not wait for one huge write-back.
const SYNC_BYTES: u64 = 8 << 20;

/// A file written from its start.
pub struct FileSink {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    /// Bytes written before those in the buffer.
    written: u64,
    synced: u64,
}

impl FileSink {
    pub fn new(file: Box<dyn DiskFile>) -> FileSink {
        FileSink { file, buffer: Vec::with_capacity(BUFFER_BYTES), written: 0, synced: 0 }
    }
    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }
    /// Writes what is left and makes the file durable; gives its length.
    pub fn finish(mut self) -> io::Result<u64> {
        self.write_buffer()?;
        self.file.sync_data()?;
        Ok(self.written)
    }
}

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream into a packed file.
pub enum Packer {
    None(FileSink),
    Gzip(Box<flate2::write::GzEncoder<FileSink>>),
    Snappy(Box<SnappyWriter>),
}

impl Packer {
    pub fn new(sink: FileSink, compression: Compression) -> Packer {
        match compression {
            Compression::None => Packer::None(sink),
            Compression::Gzip => {
                let level = flate2::Compression::new(6);
                Packer::Gzip(Box::new(flate2::write::GzEncoder::new(sink, level)))
            }
            Compression::Snappy => Packer::Snappy(Box::new(SnappyWriter::new(sink))),
        }
    }
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Packer::None(sink) => sink.write_all(bytes),
            Packer::Gzip(encoder) => encoder.write_all(bytes),
            Packer::Snappy(writer) => writer.write(bytes),
        }
    }
    /// Ends the stream and makes the file durable; gives its length.
    pub fn finish(self) -> io::Result<u64> {
        match self {
            Packer::None(sink) => sink.finish(),
            Packer::Gzip(encoder) => encoder.finish()?.finish(),
            Packer::Snappy(writer) => writer.finish(),
        }
    }
}

pub struct SnappyWriter {
    sink: FileSink,
    block: Vec<u8>,
    packed: Vec<u8>,
    encoder: snap::raw::Encoder,
}

impl SnappyWriter {
    fn new(mut sink: FileSink) -> SnappyWriter {
        sink.buffer.extend_from_slice(&SNAPPY_MAGIC);
        sink.buffer.extend_from_slice(&1i32.to_be_bytes());
        sink.buffer.extend_from_slice(&1i32.to_be_bytes());
        let (block, packed) = (Vec::with_capacity(SNAPPY_BLOCK_BYTES), Vec::new());
        SnappyWriter { sink, block, packed, encoder: snap::raw::Encoder::new() }
    }
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = bytes.len().min(SNAPPY_BLOCK_BYTES - self.block.len());
            self.block.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.block.len() == SNAPPY_BLOCK_BYTES {
                self.write_block()?;
            }
        }
        Ok(())
    }
    fn write_block(&mut self) -> io::Result<()> {
        self.packed.resize(snap::raw::max_compress_len(self.block.len()), 0);
        let n = self.encoder.compress(&self.block, &mut self.packed).map_err(io::Error::other)?;
        let length = i32::try_from(n).expect("a block is small");
        self.sink.write_all(&length.to_be_bytes())?;
        self.sink.write_all(&self.packed[..n])?;
        self.block.clear();
        Ok(())
    }
    fn finish(mut self) -> io::Result<u64> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        self.sink.finish()
    }
}

/// A file read from its start.
pub struct FileSource {
    file: Box<dyn DiskFile>,
    offset: u64,
}

impl FileSource {
    pub fn new(file: Box<dyn DiskFile>) -> FileSource {
        FileSource { file, offset: 0 }
    }
}

impl Read for FileSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(self.offset, into)?;
        self.offset += n as u64;
        Ok(n)
    }
}

/// The stream that a file holds, by the packing in its name. Bytes that are not of that packing give `InvalidData` or
/// `UnexpectedEof`.
pub fn unpack(file: Box<dyn DiskFile>, compression: Compression) -> io::Result<Box<dyn Read>> {
    let source = FileSource::new(file);
    Ok(match compression {
        Compression::None => Box::new(source),
        Compression::Gzip => {
            let buffered = io::BufReader::with_capacity(BUFFER_BYTES, source);
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
        }
        Compression::Snappy => {
            Box::new(SnappyReader::new(Box::new(io::BufReader::with_capacity(BUFFER_BYTES, source)))?)
        }
    })
}

/// Unpacks a snappy-java stream.
pub struct SnappyReader {
    source: Box<dyn Read>,
    packed: Vec<u8>,
    block: Vec<u8>,
    at: usize,
    decoder: snap::raw::Decoder,
}

impl SnappyReader {
    pub fn new(mut source: Box<dyn Read>) -> io::Result<SnappyReader> {
        let mut header = [0; SNAPPY_HEADER_BYTES];
        source.read_exact(&mut header)?;
        let compatible = i32::from_be_bytes(header[12..].try_into().expect("4 bytes"));
        if header[..8] != SNAPPY_MAGIC || compatible > 1 {
            return Err(invalid(format!("expected a snappy stream of version 1, got {header:02x?}")));
        }
        let (packed, block) = (Vec::new(), Vec::new());
        Ok(SnappyReader { source, packed, block, at: 0, decoder: snap::raw::Decoder::new() })
    }

    /// The next block, empty at the end of the stream.
    fn next_block(&mut self) -> io::Result<()> {
        self.at = 0;
        self.block.clear();
        let mut head = [0; 4];
        loop {
            match read_full(&mut self.source, &mut head)? {
                0 => return Ok(()),
                4 => {}
                n => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("{n} of 4 bytes of a block length"),
                    ));
                }
            }
            if head != SNAPPY_MAGIC[..4] {
                break;
            }
            // Streams may be joined end to end: each begins with its header.
            self.source.read_exact(&mut [0; SNAPPY_HEADER_BYTES - 4])?;
        }
        let length = i32::from_be_bytes(head);
        if length <= 0 || length as usize > SNAPPY_BLOCK_BYTES_MAX {
            return Err(invalid(format!("a snappy block of {length} bytes")));
        }
        self.packed.clear();
        let got = (&mut self.source).take(length as u64).read_to_end(&mut self.packed)?;
        if got < length as usize {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{got} of {length} bytes of a block")));
        }
        let unpacked = snap::raw::decompress_len(&self.packed).map_err(|e| invalid(e.to_string()))?;
        if unpacked > SNAPPY_BLOCK_BYTES_MAX {
            return Err(invalid(format!("a snappy block that unpacks to {unpacked} bytes")));
        }
        self.block.resize(unpacked, 0);
        self.decoder.decompress(&self.packed, &mut self.block).map_err(|e| invalid(e.to_string()))?;
        Ok(())
    }
}

impl Read for SnappyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            self.next_block()?;
        }
        let n = into.len().min(self.block.len() - self.at);
        into[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Fills `into` as far as the stream goes.
pub fn read_full(source: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match source.read(&mut into[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}
