//! One direction of a connection: segments in any order become an ordered stream of chunks and
//! explicit gaps.
//!
//! The usual segment continues the stream and is lent on as it is. Only what arrives ahead of a
//! hole is copied, into a bounded store, until the hole is filled or given up.

use std::collections::BTreeMap;
use std::hint::cold_path;

use crate::time::{TimeDelta, Timestamp};
use crate::wire::Segment;

use super::sequence::SequenceNumber;
use super::{GapReason, Limits, StreamStatistics};

/// A segment that is ahead of a hole, kept until its turn comes.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) bytes: Box<[u8]>,
    /// Length on the wire; more than `bytes.len()` where the snap length cut the segment.
    pub(super) length: u32,
    pub(super) time: Timestamp,
    pub(super) file: u32,
    pub(super) frame: u64,
    pub(super) pushed: bool,
}

/// The hole in front of what waits, and how long it has been there.
#[derive(Debug)]
pub(super) struct Backlog {
    /// By stream offset of the first byte and order of arrival. Segments may overlap; the one
    /// that starts first wins, then the one that came first.
    pub(super) segments: BTreeMap<(u64, u32), Waiting>,
    pub(super) bytes: u64,
    arrivals: u32,
    /// One past the highest byte that waits.
    highest: u64,
    opened: Timestamp,
    /// When the receiver was first seen to have the bytes of the hole, and how many segments of
    /// the connection have passed since.
    acknowledged: Option<(Timestamp, u32)>,
}

/// What it takes to keep one waiting segment besides its bytes: its entry in the tree, and what
/// the allocator adds.
const SEGMENT_OVERHEAD: u64 = 128;

impl Backlog {
    /// Memory that it takes. Segments of one byte, or of none because the snap length cut them,
    /// would else cost nothing.
    pub(super) fn footprint(&self) -> u64 {
        let segments = self.segments.len() as u64;
        self.bytes
            .saturating_add(segments.saturating_mul(SEGMENT_OVERHEAD))
    }
}

/// What a segment's payload was to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// No payload.
    Empty,
    /// Continues the stream; `skip` bytes of it were there already.
    InOrder { skip: u32 },
    /// Every byte was there already, or is of no use.
    Old,
    /// Every byte was there already: a retransmission of what begins at this offset.
    Repeated { offset: u64 },
    /// Waits behind a hole.
    Ahead,
}

/// The state of one direction. What every segment touches lies within 64 bytes or a little more:
/// with many connections, reaching it costs more than what is done with it.
#[derive(Debug, Default)]
pub(super) struct HalfStream {
    /// The next byte that the stream needs, once anything was seen of this side.
    pub(super) next: Option<SequenceNumber>,
    /// The highest acknowledgment that the other side sent for this stream.
    pub(super) acknowledged: Option<SequenceNumber>,
    /// Bytes of the stream before `next`, gaps included.
    pub(super) offset: u64,
    /// Segments with payload.
    pub(super) segments: u64,
    /// The end of a data segment whose acknowledgment ends a round-trip sample.
    pub(super) sample_end: Option<SequenceNumber>,
    /// When that segment was seen.
    pub(super) sample_time: Timestamp,
    pub(super) backlog: Option<Box<Backlog>>,
    /// Sequence number of this side's FIN.
    pub(super) fin: Option<SequenceNumber>,
    pub(super) fin_delivered: bool,
    /// The SYN was seen, so `next` is exact from the first byte on.
    pub(super) anchored: bool,
    /// Counters of what is rare; those above are left 0 in it.
    pub(super) rare: Option<Box<StreamStatistics>>,
}

impl HalfStream {
    /// The counters of what does not happen with every segment.
    pub(super) fn rare(&mut self) -> &mut StreamStatistics {
        cold_path();
        self.rare.get_or_insert_default()
    }

    /// All counters.
    pub(super) fn statistics(&self) -> StreamStatistics {
        let rare = self.rare.as_deref().copied().unwrap_or_default();
        StreamStatistics {
            segments: self.segments,
            bytes: self.offset.saturating_sub(rare.gap_bytes),
            ..rare
        }
    }

    /// Where the stream begins, from the first segment of this side.
    pub(super) fn anchor(&mut self, segment: &Segment<'_>) {
        let sequence = SequenceNumber(segment.sequence);
        if segment.flags.syn() {
            if !self.anchored {
                self.next = Some(sequence.advance(1));
                self.anchored = true;
            }
        } else if self.next.is_none()
            || (!self.anchored && self.offset == 0 && segment.payload_length > 0)
        {
            cold_path();
            // Mid-stream: nothing was delivered yet, so the first data seen is the beginning
            // (what stood here could have been a keep-alive probe's number, one too low).
            self.next = Some(sequence);
        }
    }

    /// Takes the acknowledgment of the other side for this stream.
    pub(super) fn acknowledge(&mut self, number: SequenceNumber) -> bool {
        match self.acknowledged {
            Some(seen) if number.distance_from(seen) <= 0 => false,
            _ => {
                self.acknowledged = Some(number);
                true
            }
        }
    }

    /// Classifies a segment's payload, counts it, and stores it where it has to wait.
    pub(super) fn arrive(&mut self, segment: &Segment<'_>, limits: &Limits) -> Arrival {
        let Some(next) = self.next else {
            return Arrival::Empty;
        };
        let first = if segment.flags.syn() { 1 } else { 0 };
        let start = SequenceNumber(segment.sequence).advance(first);
        let length = segment.payload_length;
        if length == 0 {
            return Arrival::Empty;
        }
        self.segments = self.segments.saturating_add(1);
        let ahead = i64::from(start.distance_from(next));
        let end = ahead.saturating_add(i64::from(length));
        if ahead > 0 {
            return self.hold(segment, ahead.unsigned_abs(), limits);
        }
        if end <= 0 {
            return self.count_old(segment, ahead);
        }
        if self.backlog.is_some() {
            add(&mut self.rare().out_of_order_segments);
        }
        let skip = u32::try_from(ahead.unsigned_abs()).unwrap_or(u32::MAX);
        if skip > 0 {
            add(&mut self.rare().retransmitted_segments);
            self.sample_end = None;
        }
        Arrival::InOrder { skip }
    }

    /// A segment without a new byte is a keep-alive probe (RFC 9293, section 3.8.4) when it
    /// repeats one byte just below the stream's end or none at all, else a retransmission.
    fn count_old(&mut self, segment: &Segment<'_>, ahead: i64) -> Arrival {
        if segment.payload_length <= 1 && ahead == -1 && self.fully_acknowledged() {
            add(&mut self.rare().keep_alive_probes);
            return Arrival::Old;
        }
        add(&mut self.rare().retransmitted_segments);
        // Which of the two transmissions an acknowledgment answers cannot be told (Karn).
        self.sample_end = None;
        Arrival::Repeated {
            offset: self.offset.saturating_add_signed(ahead),
        }
    }

    fn fully_acknowledged(&self) -> bool {
        match (self.acknowledged, self.next) {
            (Some(acknowledged), Some(next)) => acknowledged.distance_from(next) >= 0,
            _ => false,
        }
    }

    fn hold(&mut self, segment: &Segment<'_>, ahead: u64, limits: &Limits) -> Arrival {
        let start = self.offset.saturating_add(ahead);
        let end = start.saturating_add(u64::from(segment.payload_length));
        let backlog = self.backlog.get_or_insert_with(|| {
            Box::new(Backlog {
                segments: BTreeMap::new(),
                bytes: 0,
                arrivals: 0,
                highest: 0,
                opened: segment.time,
                acknowledged: None,
            })
        });
        let covered = backlog
            .segments
            .range(..=(start, u32::MAX))
            .next_back()
            .is_some_and(|(&(from, _), kept)| from.saturating_add(u64::from(kept.length)) >= end);
        let late = start < backlog.highest;
        let empty = backlog.segments.is_empty();
        if covered {
            add(&mut self.rare().retransmitted_segments);
            self.sample_end = None;
            return Arrival::Repeated { offset: start };
        }
        if ahead > limits.window_bytes {
            // No receiver's window reaches so far: a stray or forged segment.
            add(&mut self.rare().discarded_segments);
            if empty {
                self.backlog = None;
            }
            return Arrival::Old;
        }
        if late {
            add(&mut self.rare().out_of_order_segments);
        }
        let Some(backlog) = self.backlog.as_mut() else {
            return Arrival::Old;
        };
        backlog.arrivals = backlog.arrivals.saturating_add(1);
        backlog.highest = backlog.highest.max(end);
        backlog.bytes = backlog.bytes.saturating_add(segment.payload.len() as u64);
        backlog.segments.insert(
            (start, backlog.arrivals),
            Waiting {
                bytes: segment.payload.into(),
                length: segment.payload_length,
                time: segment.time,
                file: segment.file,
                frame: segment.frame,
                pushed: segment.flags.psh(),
            },
        );
        Arrival::Ahead
    }

    /// Memory that what waits takes.
    pub(super) fn held(&self) -> u64 {
        self.backlog.as_ref().map_or(0, |backlog| {
            cold_path();
            backlog.footprint()
        })
    }

    /// Moves the stream on by `length` bytes.
    pub(super) fn consume(&mut self, length: u32) {
        self.offset = self.offset.saturating_add(u64::from(length));
        self.next = self.next.map(|next| next.advance(length));
    }

    /// When the first segment that waits was seen.
    pub(super) fn first_waiting(&self) -> Option<Timestamp> {
        let backlog = self.backlog.as_ref()?;
        Some(backlog.segments.first_key_value()?.1.time)
    }

    /// Bytes between the stream's end and the first that waits; `None` if nothing waits.
    pub(super) fn hole(&self) -> Option<u64> {
        let backlog = self.backlog.as_ref()?;
        let (&(start, _), _) = backlog.segments.first_key_value()?;
        Some(start.saturating_sub(self.offset))
    }

    /// Bytes that the stream is known to lack at its end, and whether the receiver has them.
    pub(super) fn missing(&self) -> Option<(u64, bool)> {
        let next = self.next?;
        let reached = |bytes: u64| {
            self.acknowledged.is_some_and(|number| {
                u64::try_from(number.distance_from(next)).is_ok_and(|ahead| ahead >= bytes)
            })
        };
        if let Some(hole) = self.hole() {
            return Some((hole, reached(hole)));
        }
        if let Some(fin) = self.fin {
            let bytes = u64::try_from(fin.distance_from(next))
                .ok()
                .filter(|&bytes| bytes > 0)?;
            return Some((bytes, reached(bytes)));
        }
        let ahead = self.acknowledged?.distance_from(next);
        // One byte more than was seen can be the number of a FIN that the capture missed.
        let bytes = u64::try_from(ahead).ok().filter(|&bytes| bytes > 1)?;
        Some((bytes, true))
    }

    /// Takes the first waiting segment that begins at or before the stream's end; `skip` bytes
    /// of it are there already. Segments that bring nothing new are dropped on the way.
    pub(super) fn take_waiting(&mut self) -> Option<(Waiting, u32)> {
        loop {
            let offset = self.offset;
            let backlog = self.backlog.as_mut()?;
            let entry = backlog.segments.first_entry()?;
            let start = entry.key().0;
            if start > offset {
                return None;
            }
            let waiting = entry.remove();
            backlog.bytes = backlog.bytes.saturating_sub(waiting.bytes.len() as u64);
            if backlog.segments.is_empty() {
                self.backlog = None;
            } else {
                // What is left waits behind a hole of its own, with a patience of its own.
                backlog.acknowledged = None;
                backlog.opened = waiting.time;
            }
            let skip = offset.saturating_sub(start);
            if skip < u64::from(waiting.length) {
                let skip = u32::try_from(skip).unwrap_or(u32::MAX);
                return Some((waiting, skip));
            }
        }
    }

    /// Whether the hole in front of the backlog is to be given up now, and why.
    pub(super) fn give_up(
        &mut self,
        now: Timestamp,
        both_sides: bool,
        limits: &Limits,
    ) -> Option<GapReason> {
        let hole = self.hole()?;
        let next = self.next?;
        let acknowledged = self.acknowledged;
        let backlog = self.backlog.as_mut()?;
        let reached = acknowledged
            .is_some_and(|number| i64::from(number.distance_from(next)).unsigned_abs() >= hole)
            && acknowledged.is_some_and(|number| number.distance_from(next) > 0);
        if reached {
            // Frames of both directions can be captured in swapped order, so the bytes get a
            // moment to turn up.
            let (since, segments) = backlog.acknowledged.get_or_insert((now, 0));
            *segments = segments.saturating_add(1);
            if now - *since >= limits.acknowledged_patience
                && *segments > limits.acknowledged_patience_segments
            {
                return Some(GapReason::MissingFromCapture);
            }
        }
        if backlog.bytes > limits.backlog_bytes || backlog.segments.len() > limits.backlog_segments
        {
            return Some(if reached {
                GapReason::MissingFromCapture
            } else {
                GapReason::LimitReached
            });
        }
        let patience = if both_sides {
            limits.lost_patience
        } else {
            limits.one_sided_patience
        };
        if now - backlog.opened >= patience {
            return Some(if both_sides {
                GapReason::Lost
            } else {
                GapReason::OneSided
            });
        }
        None
    }

    /// A round-trip sample begins with a data segment, unless one is under way.
    pub(super) fn begin_sample(&mut self, end: SequenceNumber, now: Timestamp) {
        if self.sample_end.is_none() {
            self.sample_end = Some(end);
            self.sample_time = now;
        }
    }

    /// The time from a data segment to the acknowledgment that covers it.
    pub(super) fn end_sample(
        &mut self,
        number: SequenceNumber,
        now: Timestamp,
    ) -> Option<TimeDelta> {
        if number.distance_from(self.sample_end?) < 0 {
            return None;
        }
        self.sample_end = None;
        Some(now - self.sample_time)
    }
}

/// Counts one.
pub(super) fn add(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
