//! The record layer (RFC 8446 section 5.1, RFC 5246 section 6.2), and the handshake messages in
//! its records.

use super::super::{Mark, Piece, Scratch};

/// Bytes of a record's header.
pub(super) const HEADER: usize = 5;

/// The longest content of a record: 2^14 bytes and what encryption may add in TLS 1.2.
const MAX_CONTENT: usize = (1 << 14) + 2048;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// A record, with its header.
#[derive(Debug)]
pub(super) struct Record<M> {
    /// Header and content.
    pub(super) bytes: Vec<u8>,
    pub(super) first: M,
    pub(super) last: M,
    /// Where it came in several chunks: one past the last byte of each, and its mark.
    pub(super) chunks: Vec<(usize, M)>,
    /// Bytes that are missing from the capture; `bytes` is not what was sent then.
    pub(super) missing: usize,
}

impl<M> Record<M> {
    pub(super) fn content_type(&self) -> u8 {
        self.bytes.first().copied().unwrap_or_default()
    }

    pub(super) fn content(&self) -> &[u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }

    /// Memory that keeping it takes.
    pub(super) fn cost(&self) -> usize {
        let chunks = self.chunks.len().saturating_mul(size_of::<(usize, M)>());
        self.bytes
            .len()
            .saturating_add(chunks)
            .saturating_add(size_of::<Self>())
    }
}

/// The length of the record that begins here: `None` while its header is not whole, `Err` where it
/// is none.
pub(super) fn record_length(bytes: &[u8]) -> Result<Option<usize>, NotTls> {
    // What there is of the header is looked at as soon as it is there, so that a stream of
    // something else stops at once.
    let wrong_type = bytes
        .first()
        .is_some_and(|first| !(CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(first));
    let wrong_version = bytes.get(1).is_some_and(|&major| major != 3)
        || bytes.get(2).is_some_and(|&minor| minor > 4);
    if wrong_type || wrong_version {
        return Err(NotTls);
    }
    let Some(&[_, _, _, high, low]) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let content = usize::from(u16::from_be_bytes([high, low]));
    if content > MAX_CONTENT {
        return Err(NotTls);
    }
    Ok(Some(HEADER.saturating_add(content)))
}

/// The bytes are no TLS records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotTls;

/// A record that is not whole yet.
#[derive(Debug)]
pub(super) struct Assembly<M> {
    bytes: Vec<u8>,
    chunks: Vec<(usize, M)>,
    last: Option<M>,
    missing: usize,
}

/// Most chunks of a record whose marks are told apart; a full one of usual segments has twelve.
const MAX_CHUNKS: usize = 64;

impl<M> Default for Assembly<M> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            chunks: Vec::new(),
            last: None,
            missing: 0,
        }
    }
}

impl<M: Mark> Assembly<M> {
    pub(super) fn buffered(&self) -> usize {
        let chunks = self.chunks.len().saturating_mul(size_of::<(usize, M)>());
        self.bytes.len().saturating_add(chunks)
    }

    /// The chunk in which the unfinished record began.
    pub(super) fn first(&self) -> Option<M> {
        self.chunks.first().map(|&(_, mark)| mark)
    }

    /// Takes bytes from the front of the piece until a record is whole.
    pub(super) fn next(
        &mut self,
        piece: &mut Piece<'_, M>,
        scratch: &mut Scratch,
    ) -> Result<Option<Record<M>>, NotTls> {
        if self.bytes.is_empty()
            && let Some(length) = record_length(piece.bytes)?
            && let Some((record, rest)) = piece.bytes.split_at_checked(length)
        {
            // The usual case: the whole record lies in the chunk.
            piece.bytes = rest;
            let mut bytes = scratch.take();
            bytes.extend_from_slice(record);
            return Ok(Some(Record {
                bytes,
                first: piece.mark,
                last: piece.mark,
                chunks: Vec::new(),
                missing: 0,
            }));
        }
        self.gather(piece, scratch)
    }

    fn gather(
        &mut self,
        piece: &mut Piece<'_, M>,
        scratch: &mut Scratch,
    ) -> Result<Option<Record<M>>, NotTls> {
        if self.bytes.is_empty() {
            self.bytes = scratch.take();
        }
        let mut again = false;
        loop {
            let length = record_length(&self.bytes)?;
            let have = self.bytes.len().saturating_add(self.missing);
            let wanted = length.unwrap_or(HEADER).saturating_sub(have);
            if wanted == 0 {
                return Ok(self.complete());
            }
            let count = wanted.min(piece.bytes.len());
            if count == 0 {
                return Ok(None);
            }
            let (taken, rest) = piece.bytes.split_at_checked(count).unwrap_or_default();
            piece.bytes = rest;
            self.bytes.extend_from_slice(taken);
            let end = have.saturating_add(count);
            let full = self.chunks.len() >= MAX_CHUNKS;
            self.last = Some(piece.mark);
            match self.chunks.last_mut() {
                // Header and content of one chunk.
                Some((last, _)) if again || full => *last = end,
                _ => self.chunks.push((end, piece.mark)),
            }
            again = true;
        }
    }

    fn complete(&mut self) -> Option<Record<M>> {
        let Self {
            bytes,
            chunks,
            last,
            missing,
        } = std::mem::take(self);
        let &(_, first) = chunks.first()?;
        Some(Record {
            bytes,
            first,
            last: last?,
            chunks,
            missing,
        })
    }

    /// Bytes are missing. `Some` with the record's end, where they lie within the record that is
    /// being put together; then it may be complete. `None`: where the next one begins is not known.
    pub(super) fn gap(&mut self, bytes: u64, mark: M) -> Option<Option<Record<M>>> {
        let length = record_length(&self.bytes).ok().flatten()?;
        let have = self.bytes.len().saturating_add(self.missing);
        let left = length.checked_sub(have)?;
        let bytes = usize::try_from(bytes).ok().filter(|&bytes| bytes <= left)?;
        self.missing = self.missing.saturating_add(bytes);
        self.last = Some(mark);
        Some(if bytes == left { self.complete() } else { None })
    }

    /// Goes on from here without content.
    pub(super) fn skim(&mut self) -> Skim {
        let have = self.bytes.len().saturating_add(self.missing);
        let mut skim = Skim::default();
        match record_length(&self.bytes) {
            Ok(Some(length)) => skim.left = length.saturating_sub(have) as u64,
            // Only its header's first bytes are there.
            _ => {
                let begun = skim.header.iter_mut().zip(&self.bytes);
                begun.for_each(|(place, byte)| *place = *byte);
                skim.have = self.bytes.len().min(HEADER.saturating_sub(1));
            }
        }
        self.clear();
        skim
    }

    /// Forgets what it has.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Client- and ServerHello, the first part of what is read of a handshake.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const END_OF_EARLY_DATA: u8 = 5;
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;

/// The longest message whose body is kept.
const MAX_MESSAGE: usize = 64 << 10;

/// Handshake messages, split over records and joined in records in any way (RFC 8446 section
/// 5.1). Of most only the type matters, and their bodies are passed over.
#[derive(Debug, Default)]
pub(super) struct Messages {
    header: Vec<u8>,
    body: Vec<u8>,
    /// Bytes of the body that are still to come.
    left: usize,
}

impl Messages {
    pub(super) fn buffered(&self) -> usize {
        self.body.len()
    }

    /// Takes content of handshake records until a message is whole: its type, and its body where
    /// that matters. `None` when the content is used up.
    pub(super) fn next(&mut self, content: &mut &[u8]) -> Option<(u8, Vec<u8>)> {
        while self.header.len() < 4 {
            let (&byte, rest) = content.split_first()?;
            *content = rest;
            self.header.push(byte);
            if let &[_, a, b, c] = self.header.as_slice() {
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
            }
        }
        let message = self.header.first().copied()?;
        let count = self.left.min(content.len());
        let (taken, rest) = content.split_at_checked(count)?;
        *content = rest;
        self.left = self.left.saturating_sub(count);
        let matters = matches!(message, CLIENT_HELLO | SERVER_HELLO | ENCRYPTED_EXTENSIONS);
        if matters && self.body.len().saturating_add(count) <= MAX_MESSAGE {
            self.body.extend_from_slice(taken);
        }
        if self.left > 0 {
            return None;
        }
        self.header.clear();
        Some((message, std::mem::take(&mut self.body)))
    }
}

/// Whether bytes begin with the header of an encrypted record, which a gap may have ended before.
pub(super) fn begins_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(&[APPLICATION_DATA, 3, 3]) && matches!(record_length(bytes), Ok(Some(22..)))
}

/// Goes from record to record without their content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skim {
    header: [u8; HEADER],
    have: usize,
    left: u64,
    /// A gap took the next header: nothing more can be counted.
    lost: bool,
}

impl Skim {
    /// Passes over bytes; `record` is told of every record, by its type and length, when its
    /// header is there.
    pub(super) fn pass(
        &mut self,
        mut bytes: &[u8],
        mut record: impl FnMut(u8, usize),
    ) -> Result<(), NotTls> {
        while !bytes.is_empty() && !self.lost {
            let count = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            bytes = bytes.get(count..).unwrap_or_default();
            self.left = self.left.saturating_sub(count as u64);
            let Some((&byte, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            if let Some(place) = self.header.get_mut(self.have) {
                *place = byte;
            }
            self.have = self.have.saturating_add(1);
            let header = self.header.get(..self.have).unwrap_or_default();
            if let Some(length) = record_length(header)? {
                record(header.first().copied().unwrap_or_default(), length);
                self.left = length.saturating_sub(HEADER) as u64;
                self.have = 0;
            }
        }
        Ok(())
    }

    pub(super) fn gap(&mut self, bytes: u64) {
        if self.have > 0 || bytes > self.left {
            self.lost = true;
        }
        self.left = self.left.saturating_sub(bytes);
    }
}
