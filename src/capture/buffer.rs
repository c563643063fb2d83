//! The window on a byte stream that frames borrow from.

use std::io::{self, Read};

/// How much is read at a time when few files are open: large enough that the cost of a read call
/// vanishes, small enough to stay in a second-level cache.
pub(crate) const BUFFER: usize = 256 << 10;

/// The same when many files are merged.
pub(crate) const SMALL_BUFFER: usize = 64 << 10;

/// A refilled buffer: the unread bytes are `bytes[start..end]`. What was consumed stays in place
/// until the next [`fill`](Self::fill) that has to read, so that a frame can be lent from it.
pub(crate) struct Buffer {
    source: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    size: usize,
    position: u64,
    ended: bool,
    failure: Option<io::Error>,
}

impl Buffer {
    pub(crate) fn new(source: Box<dyn Read + Send>, size: usize) -> Self {
        Self {
            source,
            bytes: vec![0; size],
            start: 0,
            end: 0,
            size,
            position: 0,
            ended: false,
            failure: None,
        }
    }

    /// Makes at least `need` bytes available, reading only if they are not: a live pipe's frame
    /// is handed out as soon as it is complete. False if the source ends or fails before.
    #[inline]
    pub(crate) fn fill(&mut self, need: usize) -> bool {
        self.end.saturating_sub(self.start) >= need || self.refill(need)
    }

    #[cold]
    fn refill(&mut self, need: usize) -> bool {
        self.compact(need);
        while self.end < need {
            if self.ended {
                return false;
            }
            if self.end >= self.bytes.len() {
                // Doubling only when full: a declared length costs nothing until its bytes come.
                self.bytes.resize(self.bytes.len().saturating_mul(2), 0);
            }
            let free = self.bytes.get_mut(self.end..).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end = self.end.saturating_add(read).min(self.bytes.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    self.failure = Some(error);
                }
            }
        }
        true
    }

    /// Moves the unread bytes to the front and gives back the memory of a past long record.
    fn compact(&mut self, need: usize) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end = self.end.saturating_sub(self.start);
        self.start = 0;
        if self.bytes.len() > self.size && need.max(self.end) <= self.size {
            self.bytes.truncate(self.size);
            self.bytes.shrink_to_fit();
        }
    }

    /// The unread bytes.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Where the unread bytes begin, for [`lent`](Self::lent).
    #[inline]
    pub(crate) const fn unread_from(&self) -> usize {
        self.start
    }

    /// The first `N` unread bytes; zeros where there are fewer (callers fill first).
    #[inline]
    pub(crate) fn head<const N: usize>(&self) -> [u8; N] {
        self.unread().first_chunk().copied().unwrap_or([0; N])
    }

    /// The first `length` unread bytes, or fewer if there are fewer.
    pub(crate) fn first(&self, length: usize) -> &[u8] {
        let unread = self.unread();
        unread.get(..length).unwrap_or(unread)
    }

    /// Consumes `length` bytes and returns where the byte at `offset` of them lies, for
    /// [`lent`](Self::lent).
    #[inline]
    pub(crate) fn consume(&mut self, length: usize, offset: usize) -> usize {
        let at = self.start.saturating_add(offset);
        self.start = self.start.saturating_add(length).min(self.end);
        self.position = self.position.saturating_add(length as u64);
        at
    }

    /// Bytes of a consumed record; valid until the next call that fills.
    #[inline]
    pub(crate) fn lent(&self, at: usize, length: usize) -> &[u8] {
        self.bytes
            .get(at..at.saturating_add(length))
            .unwrap_or_default()
    }

    /// Reads past `length` bytes without keeping them; false if the source ends before.
    pub(crate) fn skip(&mut self, mut length: usize) -> bool {
        loop {
            let step = self.unread().len().min(length);
            self.consume(step, 0);
            length = length.saturating_sub(step);
            if length == 0 {
                return true;
            }
            if !self.fill(1) {
                return false;
            }
        }
    }

    /// Offset of the next unread byte in the (unpacked) stream.
    #[inline]
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The error that ended the stream, if one did.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// The stream from its next unread byte on.
    pub(crate) fn into_reader(self) -> impl Read + Send + 'static {
        let unread = self.unread().to_vec();
        io::Cursor::new(unread).chain(self.source)
    }
}
