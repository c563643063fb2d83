//! A byte stream to control packets: packets split over chunks and joined in chunks in any way,
//! with bytes missing.
//!
//! A packet that lies whole in one chunk is lent from it. Only what a chunk leaves unfinished is
//! copied, up to [`StreamLimits`]; the payload of a larger PUBLISH is hashed as it passes.
//!
//! Bytes that are missing within a packet whose length is known leave the stream in step. Where
//! the next packet's beginning is not known (the capture began in the middle, or a gap took it),
//! [`PacketStream`] searches for it: it never takes anything for a packet that it could not
//! verify, so it may lose some packets but invents none.

mod search;
#[cfg(test)]
mod tests;

use std::hint::cold_path;

use xxhash_rust::xxh3::Xxh3;

use super::{
    FixedHeader, HeaderResult, Packet, PacketType, Parsed, Prefix, ProtocolLevel,
    parse_fixed_header, parse_prefix,
};
use search::{Search, Verdict};

/// How much of unfinished packets is kept.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// Bytes of a PUBLISH that is split over chunks, beyond its topic; a longer one is hashed as
    /// it passes, and only its beginning is kept.
    pub publish_bytes: u32,
    /// Bytes of any other packet.
    pub control_bytes: u32,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            publish_bytes: 16 << 10,
            control_bytes: 1 << 20,
        }
    }
}

/// How much of an unfinished packet stays when memory is short: most fields of most packets, and
/// little in each of very many streams.
const BEGINNING: usize = 256;

/// How many times the bytes that came of a packet may be reserved for all of it: no more than a
/// growing vector takes.
const GROWTH: usize = 2;

/// Bytes to be framed, and where they come from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'i, M> {
    /// The bytes that are left; [`PacketStream::next`] takes from their front.
    pub bytes: &'i [u8],
    /// The caller's mark of this chunk (its times, its frame), given back with the packets.
    pub mark: M,
    /// The chunk begins where a TCP segment's payload begins.
    pub segment_start: bool,
    /// The chunk ends where a TCP segment's payload ends.
    pub segment_end: bool,
}

/// A control packet, framed.
#[derive(Clone, Copy, Debug)]
pub struct Framed<'o, M> {
    /// Its fixed header.
    pub header: FixedHeader,
    /// Its bytes after the fixed header: all of them, or the beginning where bytes are missing
    /// or the packet exceeds [`StreamLimits`].
    pub body: &'o [u8],
    /// The mark of the chunk with its first byte.
    pub first: M,
    /// The mark of the chunk with its last byte.
    pub last: M,
    /// Bytes of the packet that were lost in gaps.
    pub missing: u32,
    /// XXH3-64 of the whole payload, where that is longer than what `body` keeps.
    pub payload_hash: Option<u64>,
}

/// What [`PacketStream::next`] finds.
#[derive(Clone, Copy, Debug)]
pub enum Output<'o, M> {
    /// A control packet.
    Packet(Framed<'o, M>),
    /// A remaining length of more than four bytes: where the packet ends cannot be known, and
    /// nothing after it can be read. [MQTT-1.5.5-1 and 3.1.1 section 2.2.3]
    BadLength {
        /// The byte with the packet type.
        first_byte: u8,
        /// The mark of the chunk with the first byte.
        first: M,
        /// The mark of the chunk that showed the fifth length byte.
        last: M,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between packets, or within a fixed header.
    Header,
    /// Within the body of a packet.
    Body,
    /// Looking for the beginning of a packet.
    Searching,
    /// Handing out what a search verified.
    Replaying,
    /// A remaining length was malformed: the rest of the stream cannot be read.
    Broken,
}

/// Splits one direction of a connection into control packets. Between packets, where a stream is
/// nearly always, it is three words: with many connections, fetching it costs more than using it.
#[derive(Debug)]
pub struct PacketStream<M> {
    phase: Phase,
    header_length: u8,
    header_bytes: [u8; 5],
    /// What is unfinished; `None` from the beginning of the next packet on.
    rest: Option<Box<Unfinished<M>>>,
    skipped: u64,
}

/// A packet that is split over chunks, or bytes in which one is searched for.
#[derive(Debug)]
struct Unfinished<M> {
    /// Nothing more goes into `body`: bytes before it are missing, or it is full.
    sealed: bool,
    /// The beginning of an unfinished packet's body.
    body: Vec<u8>,
    header: FixedHeader,
    /// Bytes of the body that came or are known to be missing.
    passed: u32,
    missing: u32,
    hash: Option<Box<PayloadHash>>,
    search: Option<Box<Search<M>>>,
    first: Option<M>,
}

impl<M> Default for Unfinished<M> {
    fn default() -> Self {
        Self {
            sealed: false,
            body: Vec::new(),
            header: NO_HEADER,
            passed: 0,
            missing: 0,
            hash: None,
            search: None,
            first: None,
        }
    }
}

/// The running hash of a payload that is not kept.
struct PayloadHash(Xxh3);

impl std::fmt::Debug for PayloadHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PayloadHash({:016x})", self.0.digest())
    }
}

const NO_HEADER: FixedHeader = FixedHeader {
    first_byte: 0,
    remaining_length: 0,
    header_length: 0,
    overlong: false,
};

impl<M> Unfinished<M> {
    /// Bytes that the body still lacks.
    fn wanted(&self) -> u32 {
        self.header.remaining_length.saturating_sub(self.passed)
    }

    /// Takes bytes of the body: into memory, and beyond the limit into the payload's hash.
    fn keep(&mut self, bytes: &[u8], level: ProtocolLevel, limits: &StreamLimits) {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.passed = self.passed.saturating_add(count);
        if let Some(hash) = &mut self.hash {
            hash.0.update(bytes);
            return;
        }
        if self.sealed {
            return;
        }
        let limit = self.limit(bytes, limits) as usize;
        let room = limit.saturating_sub(self.body.len());
        let (kept, beyond) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        if self.body.capacity() == 0 {
            // Most packets are put together where they are; nobody gets much memory for declaring
            // a long one.
            let whole = self.header.remaining_length as usize;
            let begun = kept.len().saturating_mul(GROWTH).max(BEGINNING);
            self.body.reserve_exact(kept.len().max(whole.min(begun)));
        }
        self.body.extend_from_slice(kept);
        if beyond.is_empty() {
            return;
        }
        self.sealed = true;
        self.hash = self.begin_hash(level);
        if let Some(hash) = &mut self.hash {
            hash.0.update(beyond);
        }
    }

    /// How much of this packet's body is kept, when `bytes` are to be added.
    fn limit(&self, bytes: &[u8], limits: &StreamLimits) -> u32 {
        if self.header.packet_type() != PacketType::Publish {
            return limits.control_bytes;
        }
        let mut start = self.body.iter().chain(bytes);
        let topic = match (start.next(), start.next()) {
            (Some(&high), Some(&low)) => u16::from_be_bytes([high, low]),
            _ => u16::MAX,
        };
        limits.publish_bytes.saturating_add(u32::from(topic))
    }

    fn begin_hash(&self, level: ProtocolLevel) -> Option<Box<PayloadHash>> {
        let prefix = parse_prefix(
            self.header.first_byte,
            &self.body,
            self.header.remaining_length,
            level,
        );
        let Prefix::Parsed(Parsed {
            packet: Packet::Publish(publish),
            ..
        }) = prefix
        else {
            return None;
        };
        publish.payload_length?;
        let mut hash = Xxh3::new();
        hash.update(publish.payload);
        Some(Box::new(PayloadHash(hash)))
    }
}

impl<M: Copy> PacketStream<M> {
    /// A stream whose first byte begins a packet (`synchronised`), or one that was joined
    /// somewhere in the middle.
    #[must_use]
    pub fn new(synchronised: bool) -> Self {
        Self {
            phase: if synchronised {
                Phase::Header
            } else {
                Phase::Searching
            },
            header_length: 0,
            header_bytes: [0; 5],
            rest: None,
            skipped: 0,
        }
    }

    /// Bytes that this stream keeps in memory.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let Some(rest) = &self.rest else { return 0 };
        let search = rest.search.as_ref().map_or(0, |search| {
            cold_path();
            search.buffered()
        });
        rest.body.len().saturating_add(search)
    }

    /// Bytes passed over because no packet could be verified in them.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The stream is at the end of a packet, so nothing is unfinished.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.phase == Phase::Header && self.header_length == 0
    }

    /// The packet that is unfinished, if its fixed header is known.
    #[must_use]
    pub fn unfinished(&self) -> Option<FixedHeader> {
        let rest = self.rest.as_ref()?;
        (self.phase == Phase::Body).then_some(rest.header)
    }

    /// Bytes of the unfinished packet's body that passed or are known to be missing.
    #[must_use]
    pub fn passed(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.passed)
    }

    /// The mark of the earliest chunk that a later packet may still need; `None` where nothing
    /// is unfinished.
    #[must_use]
    pub fn begun(&self) -> Option<M> {
        match self.phase {
            Phase::Header if self.header_length == 0 => None,
            Phase::Header | Phase::Body => self.rest.as_ref()?.first,
            Phase::Searching | Phase::Replaying => {
                self.rest.as_ref()?.search.as_ref()?.first_mark()
            }
            Phase::Broken => None,
        }
    }

    /// Takes bytes from the front of `input` until a packet ends; `None` when they are used up.
    /// Call it again until then.
    pub fn next<'o, 'i: 'o>(
        &'o mut self,
        input: &mut Input<'i, M>,
        level: ProtocolLevel,
        limits: &StreamLimits,
    ) -> Option<Output<'o, M>> {
        // The usual case: a packet begins here and lies whole in the chunk.
        if let Some((header, body)) = self.next_whole(input) {
            return Some(Output::Packet(Framed {
                header,
                body,
                first: input.mark,
                last: input.mark,
                missing: 0,
                payload_hash: None,
            }));
        }
        self.next_split(input, level, limits)
    }

    /// Takes a packet that begins at the front of `input` and lies whole in it; `None` where it
    /// takes [`next`](Self::next).
    #[inline(always)]
    pub fn next_whole<'i>(&mut self, input: &mut Input<'i, M>) -> Option<(FixedHeader, &'i [u8])> {
        if self.phase != Phase::Header || self.header_length != 0 {
            return None;
        }
        if self.rest.is_some() {
            self.rest = None;
        }
        let HeaderResult::Complete(header) = parse_fixed_header(input.bytes) else {
            return None;
        };
        let length = header.packet_length() as usize;
        let (packet, rest) = input.bytes.split_at_checked(length)?;
        let body = packet.get(usize::from(header.header_length)..)?;
        input.bytes = rest;
        Some((header, body))
    }

    fn next_split<'o, 'i: 'o>(
        &'o mut self,
        input: &mut Input<'i, M>,
        level: ProtocolLevel,
        limits: &StreamLimits,
    ) -> Option<Output<'o, M>> {
        if self.phase == Phase::Searching {
            self.search(input);
        }
        if self.phase == Phase::Replaying {
            let search = self.rest.as_ref().and_then(|rest| rest.search.as_ref());
            if search.is_some_and(|search| search.holds_packet()) {
                return self.rest.as_mut()?.search.as_mut()?.replay();
            }
            self.end_replay(level, limits);
        }
        match self.phase {
            Phase::Header | Phase::Body => self.gather(input, level, limits),
            Phase::Searching | Phase::Replaying => None,
            Phase::Broken => {
                self.skipped = self.skipped.saturating_add(input.bytes.len() as u64);
                input.bytes = &[];
                None
            }
        }
    }

    /// Takes bytes of the fixed header, then of the body.
    fn gather<'o, 'i: 'o>(
        &'o mut self,
        input: &mut Input<'i, M>,
        level: ProtocolLevel,
        limits: &StreamLimits,
    ) -> Option<Output<'o, M>> {
        if self.phase == Phase::Header && !self.gather_header(input)? {
            return Some(Output::BadLength {
                first_byte: self.header_bytes.first().copied()?,
                first: self.rest.as_ref()?.first?,
                last: input.mark,
            });
        }
        let rest = self.rest.get_or_insert_default();
        let wanted = rest.wanted();
        let count = input.bytes.len().min(wanted as usize);
        let (bytes, others) = input.bytes.split_at_checked(count)?;
        input.bytes = others;
        rest.keep(bytes, level, limits);
        if rest.wanted() > 0 {
            return None;
        }
        Some(self.complete(input.mark, Phase::Header))
    }

    /// `None`: more bytes are needed. `Some(false)`: the length is malformed.
    fn gather_header(&mut self, input: &mut Input<'_, M>) -> Option<bool> {
        loop {
            let kept = self.header_bytes.get(..usize::from(self.header_length))?;
            match parse_fixed_header(kept) {
                HeaderResult::Complete(header) => {
                    self.begin_body(header);
                    return Some(true);
                }
                HeaderResult::Malformed => {
                    self.phase = Phase::Broken;
                    return Some(false);
                }
                HeaderResult::Incomplete => {
                    let (&byte, rest) = input.bytes.split_first()?;
                    input.bytes = rest;
                    if self.header_length == 0 {
                        self.rest.get_or_insert_default().first = Some(input.mark);
                    }
                    *self.header_bytes.get_mut(usize::from(self.header_length))? = byte;
                    self.header_length = self.header_length.saturating_add(1);
                }
            }
        }
    }

    fn begin_body(&mut self, header: FixedHeader) {
        self.header_length = 0;
        self.phase = Phase::Body;
        let rest = self.rest.get_or_insert_default();
        **rest = Unfinished {
            header,
            first: rest.first,
            search: rest.search.take(),
            ..Unfinished::default()
        };
    }

    /// Lends the packet that just ended; its memory goes when the next one begins.
    fn complete(&mut self, last: M, next: Phase) -> Output<'_, M> {
        self.phase = next;
        let rest = self.rest.get_or_insert_default();
        Output::Packet(Framed {
            header: rest.header,
            first: rest.first.take().unwrap_or(last),
            last,
            missing: rest.missing,
            payload_hash: rest.hash.take().map(|hash| hash.0.digest()),
            body: &rest.body,
        })
    }

    /// Takes note of `bytes` that are missing from the stream. Within a packet of known length
    /// they are counted, and where they reach its end it is given as far as it came; beyond it
    /// the next packet has to be searched for.
    pub fn gap(&mut self, bytes: u64, mark: M) -> Option<Output<'_, M>> {
        match self.phase {
            Phase::Header | Phase::Searching | Phase::Replaying => {
                self.lose();
                None
            }
            Phase::Broken => None,
            Phase::Body => {
                let rest = self.rest.get_or_insert_default();
                let left = rest.wanted();
                let within = u32::try_from(bytes).unwrap_or(u32::MAX).min(left);
                rest.passed = rest.passed.saturating_add(within);
                rest.missing = rest.missing.saturating_add(within);
                rest.sealed = true;
                rest.hash = None;
                if within < left {
                    return None;
                }
                let in_step = bytes == u64::from(within);
                Some(self.complete(
                    mark,
                    if in_step {
                        Phase::Header
                    } else {
                        Phase::Searching
                    },
                ))
            }
        }
    }

    /// Gives up what is unfinished, and searches from here on.
    fn lose(&mut self) {
        if let Some(search) = self.rest.take().and_then(|rest| rest.search) {
            self.skipped = self.skipped.saturating_add(search.buffered() as u64);
        }
        self.skipped = self.skipped.saturating_add(u64::from(self.header_length));
        self.header_length = 0;
        self.phase = Phase::Searching;
    }

    /// Frees memory to stay within a bound of the caller's: of an unfinished packet only its
    /// first 256 bytes stay, and nothing more is added.
    pub fn stop_buffering(&mut self) {
        match self.phase {
            Phase::Body => {
                let rest = self.rest.get_or_insert_default();
                rest.sealed = true;
                if rest.body.len() > BEGINNING {
                    rest.body.truncate(BEGINNING);
                    rest.body.shrink_to_fit();
                }
            }
            Phase::Searching => self.lose(),
            Phase::Header | Phase::Replaying | Phase::Broken => {}
        }
    }

    fn search(&mut self, input: &mut Input<'_, M>) {
        if self.rest.as_ref().is_none_or(|rest| rest.search.is_none()) {
            // Most often a capture joins between packets and the first chunk says so.
            match search::verify_chunk(input) {
                Verdict::Accepted => {
                    self.phase = Phase::Header;
                    return;
                }
                Verdict::Rejected => {
                    self.skipped = self.skipped.saturating_add(input.bytes.len() as u64);
                    input.bytes = &[];
                    return;
                }
                Verdict::Undecided => {}
            }
        }
        let rest = self.rest.get_or_insert_default();
        let search = rest.search.get_or_insert_with(|| Box::new(Search::new()));
        self.skipped = self.skipped.saturating_add(search.add(input));
        input.bytes = &[];
        match search.verify() {
            (Verdict::Accepted, dropped) => {
                self.skipped = self.skipped.saturating_add(dropped);
                self.phase = Phase::Replaying;
            }
            (Verdict::Undecided, dropped) => self.skipped = self.skipped.saturating_add(dropped),
            (Verdict::Rejected, dropped) => {
                self.skipped = self.skipped.saturating_add(dropped);
                rest.search = None;
            }
        }
    }

    /// What a search verified is handed out; its tail is the beginning of the next packet.
    fn end_replay(&mut self, level: ProtocolLevel, limits: &StreamLimits) {
        self.phase = Phase::Header;
        let Some(search) = self.rest.take().and_then(|rest| rest.search) else {
            return;
        };
        for mut input in search.tail() {
            // The tail holds no whole packet, so nothing comes out.
            let _ = self.gather(&mut input, level, limits);
        }
    }
}
