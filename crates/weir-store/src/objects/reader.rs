//! Random access to an object, for reading archives.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

/// The first read at a new place.
const FIRST_READ: u64 = 64 << 10;
/// Reads that follow one another grow up to this.
const LARGEST_READ: u64 = 4 << 20;

/// Reads an object at any place. Only for blocking tasks: on S3 a read waits for the network.
pub struct ObjectReader {
    size: u64,
    source: Source,
}

enum Source {
    File(BufReader<File>),
    Remote(Remote),
}

struct Remote {
    store: Arc<dyn ObjectStore>,
    path: Path,
    runtime: Handle,
    size: u64,
    position: u64,
    /// Bytes of the object from `buffer_at` on.
    buffer: Bytes,
    buffer_at: u64,
    next_read: u64,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader").field("size", &self.size).finish_non_exhaustive()
    }
}

impl ObjectReader {
    pub(super) fn file(file: File, size: u64) -> Self {
        Self { size, source: Source::File(BufReader::new(file)) }
    }

    pub(super) fn remote(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Self {
        Self { size, source: Source::Remote(Remote::new(store, path, size)) }
    }

    /// The object's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Remote {
    fn new(store: Arc<dyn ObjectStore>, path: Path, size: u64) -> Self {
        Self {
            store,
            path,
            runtime: Handle::current(),
            size,
            position: 0,
            buffer: Bytes::new(),
            buffer_at: 0,
            next_read: FIRST_READ,
        }
    }

    /// The buffered bytes at the position, read if there are none; empty only at the object's end.
    fn fill(&mut self) -> io::Result<&[u8]> {
        let buffer_end = self.buffer_at + self.buffer.len() as u64;
        if self.position < self.size && !(self.buffer_at..buffer_end).contains(&self.position) {
            let follows = self.position == buffer_end && buffer_end > 0;
            self.next_read = if follows { (self.next_read * 2).min(LARGEST_READ) } else { FIRST_READ };
            // Archives are read backwards from their end, so the last read takes the whole tail.
            let start = if follows {
                self.position
            } else {
                self.position.min(self.size.saturating_sub(self.next_read))
            };
            let end = (start + self.next_read).min(self.size);
            self.buffer = self
                .runtime
                .block_on(self.store.get_range(&self.path, start..end))
                .map_err(|error| io::Error::other(crate::error::sources(&error)))?;
            self.buffer_at = start;
        }
        let offset = usize::try_from(self.position - self.buffer_at).map_err(io::Error::other)?;
        Ok(self.buffer.get(offset..).unwrap_or_default())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for ObjectReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.source {
            Source::File(file) => file.fill_buf(),
            Source::Remote(remote) => remote.fill(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.source {
            Source::File(file) => file.consume(amount),
            Source::Remote(remote) => remote.position += amount as u64,
        }
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let remote = match &mut self.source {
            Source::File(file) => return file.seek(to),
            Source::Remote(remote) => remote,
        };
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::End(offset) => remote.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => remote.position.checked_add_signed(offset),
        };
        remote.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(remote.position)
    }
}
