//! Finding the beginning of a packet in a stream joined in the middle.
//!
//! A packet may begin where a TCP segment begins. That is believed only if from there on one
//! strictly valid packet follows the other up to the end of a segment, or if [`CHAIN`] of them
//! follow each other. Payload that by chance looks like the beginning of a packet does not pass.

use super::super::{
    FixedHeader, HeaderResult, PacketType, Parsed, Prefix, ProtocolLevel, Violation, Violations,
    parse_fixed_header, parse_prefix,
};
use super::{Framed, Input, Output};

/// So many valid packets in a row are believed wherever a segment ends.
const CHAIN: u32 = 4;
/// Most bytes and segments kept while nothing is decided.
const KEPT_BYTES: usize = 256 << 10;
const KEPT_SEGMENTS: usize = 64;
/// A control packet other than PUBLISH of more than this is not believed without its beginning.
const CONTROL_BYTES: u32 = 64 << 10;

/// What is known about a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A packet begins there.
    Accepted,
    /// None does.
    Rejected,
    /// More bytes are needed.
    Undecided,
}

/// Bytes in which no packet was verified yet.
#[derive(Debug)]
pub(super) struct Search<M> {
    bytes: Vec<u8>,
    /// Where each chunk begins in `bytes`, its mark, and whether it begins and ends a segment.
    chunks: Vec<Chunk<M>>,
    /// Read position of the replay.
    position: usize,
}

#[derive(Clone, Copy, Debug)]
struct Chunk<M> {
    start: usize,
    mark: M,
    segment_start: bool,
    segment_end: bool,
}

/// Decides from one chunk alone.
pub(super) fn verify_chunk<M>(input: &Input<'_, M>) -> Verdict {
    if !input.segment_start {
        return Verdict::Rejected;
    }
    verify(input.bytes, |end| {
        end == input.bytes.len() && input.segment_end
    })
}

/// Follows packets from the start of `bytes`; `ends_segment` tells whether a position is the end
/// of a segment.
fn verify(bytes: &[u8], ends_segment: impl Fn(usize) -> bool) -> Verdict {
    let (mut position, mut packets) = (0_usize, 0_u32);
    while let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) {
        let header = match parse_fixed_header(rest) {
            HeaderResult::Complete(header) => header,
            HeaderResult::Incomplete => return undecided(plausible_first_byte(rest)),
            HeaderResult::Malformed => return Verdict::Rejected,
        };
        let body = rest
            .get(usize::from(header.header_length)..)
            .unwrap_or_default();
        let whole = body.get(..header.remaining_length as usize);
        if !is_strictly_valid(&header, whole.unwrap_or(body)) {
            return Verdict::Rejected;
        }
        if whole.is_none() {
            return Verdict::Undecided;
        }
        position = position.saturating_add(header.packet_length() as usize);
        packets = packets.saturating_add(1);
        if packets >= CHAIN {
            return Verdict::Accepted;
        }
    }
    if packets > 0 && ends_segment(position) {
        Verdict::Accepted
    } else {
        undecided(packets > 0)
    }
}

fn undecided(plausible: bool) -> Verdict {
    if plausible {
        Verdict::Undecided
    } else {
        Verdict::Rejected
    }
}

fn plausible_first_byte(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&first| {
        let packet_type = PacketType::from_first_byte(first);
        packet_type != PacketType::Reserved
            && packet_type
                .required_flags()
                .is_none_or(|flags| first & 0x0f == flags)
    })
}

/// Whether the bytes are a packet at some level, with no rule broken, not even a discouraged
/// character. Of an unfinished packet, whether they can still become one.
fn is_strictly_valid(header: &FixedHeader, body: &[u8]) -> bool {
    if header.overlong
        || (header.packet_type() != PacketType::Publish && header.remaining_length > CONTROL_BYTES)
    {
        return false;
    }
    let whole = body.len() as u64 == u64::from(header.remaining_length);
    [ProtocolLevel::V3_1_1, ProtocolLevel::V5]
        .into_iter()
        .any(|level| {
            let clean = |parsed: &Parsed<'_>| {
                parsed.malformed.is_none() && without_habits(parsed.violations).is_empty()
            };
            match parse_prefix(header.first_byte, body, header.remaining_length, level) {
                Prefix::Parsed(parsed) => clean(&parsed),
                Prefix::NeedMore(parsed) => !whole && clean(&parsed),
            }
        })
}

/// Leaves out what real clients do all the time although the specification advises against it.
fn without_habits(violations: Violations) -> Violations {
    let mut strict = Violations::default();
    for violation in violations.iter() {
        let habit = matches!(
            violation,
            Violation::ClientIdentifierLength | Violation::BridgeLevel | Violation::OlderConnack
        );
        strict.insert_if(!habit, violation);
    }
    strict
}

impl<M: Copy> Search<M> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            chunks: Vec::new(),
            position: 0,
        }
    }

    pub(super) fn buffered(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    pub(super) fn first_mark(&self) -> Option<M> {
        self.chunks.first().map(|chunk| chunk.mark)
    }

    /// Adds a chunk; returns how many bytes were given up to make room for it.
    pub(super) fn add(&mut self, input: &Input<'_, M>) -> u64 {
        let mut dropped = 0;
        if self.bytes.len().saturating_add(input.bytes.len()) > KEPT_BYTES
            || self.chunks.len() >= KEPT_SEGMENTS
        {
            dropped = self.bytes.len() as u64;
            self.bytes.clear();
            self.chunks.clear();
        }
        self.chunks.push(Chunk {
            start: self.bytes.len(),
            mark: input.mark,
            segment_start: input.segment_start,
            segment_end: input.segment_end,
        });
        self.bytes.extend_from_slice(input.bytes);
        dropped
    }

    /// Tries one beginning of a segment after the other; returns how many bytes before the one
    /// that stands were given up.
    pub(super) fn verify(&mut self) -> (Verdict, u64) {
        for index in 0..self.chunks.len() {
            let Some(chunk) = self.chunks.get(index).filter(|chunk| chunk.segment_start) else {
                continue;
            };
            let start = chunk.start;
            let verdict = verify(self.bytes.get(start..).unwrap_or_default(), |end| {
                self.ends_segment(start.saturating_add(end))
            });
            if verdict != Verdict::Rejected {
                self.forget(index, start);
                return (verdict, start as u64);
            }
        }
        (Verdict::Rejected, self.bytes.len() as u64)
    }

    fn ends_segment(&self, position: usize) -> bool {
        if position == self.bytes.len() {
            return self.chunks.last().is_some_and(|chunk| chunk.segment_end);
        }
        self.chunks
            .iter()
            .zip(self.chunks.iter().skip(1))
            .any(|(chunk, next)| next.start == position && chunk.segment_end && next.segment_start)
    }

    fn forget(&mut self, chunks: usize, bytes: usize) {
        self.chunks.drain(..chunks);
        self.bytes.drain(..bytes);
        for chunk in &mut self.chunks {
            chunk.start = chunk.start.saturating_sub(bytes);
        }
    }

    fn mark_at(&self, position: usize) -> Option<M> {
        let index = self.chunks.partition_point(|chunk| chunk.start <= position);
        self.chunks
            .get(index.checked_sub(1)?)
            .map(|chunk| chunk.mark)
    }

    fn peek(&self) -> Option<FixedHeader> {
        let rest = self.bytes.get(self.position..)?;
        match parse_fixed_header(rest) {
            HeaderResult::Complete(header) if header.packet_length() as usize <= rest.len() => {
                Some(header)
            }
            _ => None,
        }
    }

    pub(super) fn holds_packet(&self) -> bool {
        self.peek().is_some()
    }

    /// The next of the verified packets.
    pub(super) fn replay(&mut self) -> Option<Output<'_, M>> {
        let header = self.peek()?;
        let start = self.position;
        let end = start.checked_add(header.packet_length() as usize)?;
        self.position = end;
        Some(Output::Packet(Framed {
            header,
            body: self
                .bytes
                .get(start.checked_add(usize::from(header.header_length))?..end)?,
            first: self.mark_at(start)?,
            last: self.mark_at(end.saturating_sub(1))?,
            missing: 0,
            payload_hash: None,
        }))
    }

    /// What is left behind the last verified packet, chunk by chunk.
    pub(super) fn tail(&self) -> impl Iterator<Item = Input<'_, M>> {
        let ends = self
            .chunks
            .iter()
            .skip(1)
            .map(|chunk| chunk.start)
            .chain([self.bytes.len()]);
        self.chunks.iter().zip(ends).filter_map(|(chunk, end)| {
            let bytes = self.bytes.get(chunk.start.max(self.position)..end)?;
            (!bytes.is_empty()).then_some(Input {
                bytes,
                mark: chunk.mark,
                segment_start: chunk.segment_start,
                segment_end: chunk.segment_end,
            })
        })
    }
}
