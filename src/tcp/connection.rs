//! One connection: its two streams, who opened it, and the round trips seen from the tap.

use crate::time::{TimeDelta, Timestamp};
use crate::wire::{Endpoint, Segment};

use super::sequence::SequenceNumber;
use super::stream::HalfStream;
use super::table::FlowKey;
use super::{Direction, StreamStatistics};

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Closed in order: a FIN was seen.
    Fin,
    /// Reset.
    Reset,
    /// The same addresses and ports began a new connection.
    Replaced,
    /// Nothing was heard for too long.
    Idle,
    /// Dropped to stay within the limit of connections.
    Evicted,
    /// The capture ended first.
    CaptureEnded,
}

impl EndReason {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "rst",
            Self::Replaced => "replaced",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::CaptureEnded => "capture_end",
        }
    }
}

/// How far the opening handshake was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// No SYN: the capture began later.
    None,
    /// SYN, at this time, sent once.
    Syn(Timestamp),
    /// SYN sent more than once: the answer has no certain question (Karn's rule).
    SynAgain,
    /// SYN-ACK, at this time.
    SynAck(Timestamp),
    /// Answered.
    Done,
}

/// A TCP connection as the table knows it. What every segment touches comes first, about four
/// cache lines: with many connections, fetching them is what a segment costs most.
#[derive(Debug)]
#[repr(C)]
pub struct Connection {
    pub(super) halves: [HalfStream; 2],
    pub(super) key: FlowKey,
    /// Time of the latest segment.
    pub last: Timestamp,
    /// Shortest times seen from a segment to its answer, by the direction of the segment;
    /// `TimeDelta::MAX` where none was.
    shortest: [TimeDelta; 2],
    /// The latest frame, as file and number within it.
    pub last_frame: (u32, u64),
    pub(super) slot: u32,
    pub(super) seen: [bool; 2],
    /// The forward direction goes from the key's lower endpoint to the higher one.
    forward_from_low: bool,
    pub(super) closed: Option<EndReason>,
    /// Which way the first FIN or accepted RST went: its sender ended the connection.
    pub ended_by: Option<Direction>,
    /// The opening handshake has begun and is not finished.
    pub(super) handshaking: bool,
    pub(super) handshake: Handshake,
    /// 1-based, in order of first frame over the whole capture.
    pub number: u64,
    /// The tap that saw it.
    pub tap: u16,
    /// File of the first frame.
    pub file: u32,
    /// Sender and receiver of the forward direction.
    pub endpoints: [Endpoint; 2],
    /// The handshake was seen, so `endpoints[0]` is certainly the initiator.
    pub initiator_known: bool,
    /// Time of the first segment.
    pub first: Timestamp,
    /// From SYN to the first ACK of the initiator.
    pub handshake_time: Option<TimeDelta>,
    pub(super) syn_time: Option<Timestamp>,
}

impl Connection {
    pub(super) fn new(
        number: u64,
        slot: u32,
        key: FlowKey,
        from_low: bool,
        segment: &Segment<'_>,
    ) -> Self {
        let reversed = segment.flags.syn() && segment.flags.ack();
        let endpoints = if reversed {
            [segment.destination, segment.source]
        } else {
            [segment.source, segment.destination]
        };
        Self {
            key,
            forward_from_low: from_low != reversed,
            last_frame: (segment.file, segment.frame),
            number,
            tap: segment.tap,
            file: segment.file,
            endpoints,
            initiator_known: segment.flags.syn(),
            first: segment.time,
            last: segment.time,
            shortest: [TimeDelta::MAX; 2],
            handshake_time: None,
            slot,
            halves: [HalfStream::default(), HalfStream::default()],
            handshake: Handshake::None,
            handshaking: false,
            syn_time: None,
            closed: None,
            ended_by: None,
            seen: [false; 2],
        }
    }

    /// Index of the connection in the table; used again after [`super::Event::Closed`]. Small
    /// and dense, so that others can keep state beside it in a vector.
    #[must_use]
    pub const fn slot(&self) -> usize {
        self.slot as usize
    }

    /// The handshake is not in the capture.
    #[must_use]
    pub const fn midstream(&self) -> bool {
        !self.initiator_known
    }

    /// Whether segments of this direction are in the capture.
    #[must_use]
    pub const fn saw(&self, direction: Direction) -> bool {
        let [forward, reverse] = self.seen;
        match direction {
            Direction::Forward => forward,
            Direction::Reverse => reverse,
        }
    }

    /// Counters of one direction.
    #[must_use]
    pub fn statistics(&self, direction: Direction) -> StreamStatistics {
        self.half(direction).statistics()
    }

    /// Position up to which the receiver acknowledged the stream, if it did.
    #[must_use]
    pub fn acknowledged_offset(&self, direction: Direction) -> Option<u64> {
        let half = self.half(direction);
        let distance = half.acknowledged?.distance_from(half.next?);
        half.offset.checked_add_signed(i64::from(distance))
    }

    /// Bytes of this direction are missing so far: later ones wait behind them, or the receiver
    /// acknowledged them already. They turn up, or become a gap.
    #[must_use]
    pub fn has_hole(&self, direction: Direction) -> bool {
        let half = self.half(direction);
        if half.backlog.is_some() {
            return true;
        }
        let (Some(acknowledged), Some(next)) = (half.acknowledged, half.next) else {
            return false;
        };
        // A FIN takes a sequence number and no byte.
        acknowledged.distance_from(next) > i32::from(half.fin.is_some())
    }

    pub(super) const fn half(&self, direction: Direction) -> &HalfStream {
        let [forward, reverse] = &self.halves;
        match direction {
            Direction::Forward => forward,
            Direction::Reverse => reverse,
        }
    }

    pub(super) const fn half_mut(&mut self, direction: Direction) -> &mut HalfStream {
        let [forward, reverse] = &mut self.halves;
        match direction {
            Direction::Forward => forward,
            Direction::Reverse => reverse,
        }
    }

    pub(super) const fn direction(&self, from_low: bool) -> Direction {
        if from_low == self.forward_from_low {
            Direction::Forward
        } else {
            Direction::Reverse
        }
    }

    /// A SYN with another initial sequence number is a new connection on the same ports.
    pub(super) fn replaced_by(&self, segment: &Segment<'_>, direction: Direction) -> bool {
        if !segment.flags.syn() {
            return false;
        }
        let half = self.half(direction);
        match half.next {
            // An opening SYN repeated has the same number; so has a SYN-ACK.
            Some(next) if half.anchored && half.offset == 0 => {
                SequenceNumber(segment.sequence).advance(1) != next
            }
            Some(next) => {
                let before = next.distance_from(SequenceNumber(segment.sequence).advance(1));
                i64::from(before) != i64::try_from(half.offset).unwrap_or(i64::MAX)
            }
            None => self.half(direction.opposite()).offset > 0 && !segment.flags.ack(),
        }
    }

    /// A reset counts only where its number fits the stream (RFC 5961, section 3.2): a forged or
    /// stray one does not end what goes on.
    pub(super) fn accepts_reset(&self, segment: &Segment<'_>, direction: Direction) -> bool {
        let Some(next) = self.half(direction).next else {
            return true;
        };
        let distance = SequenceNumber(segment.sequence).distance_from(next);
        distance.unsigned_abs() <= 1 << 20 || segment.sequence == 0
    }

    /// Follows SYN, SYN-ACK and ACK, and the round trips of data after them.
    pub(super) fn time_round_trips(&mut self, segment: &Segment<'_>, direction: Direction) {
        let now = segment.time;
        match (self.handshake, segment.flags.syn(), segment.flags.ack()) {
            (Handshake::None, true, false) if self.syn_time.is_none() => {
                self.handshake = Handshake::Syn(now);
                self.syn_time = Some(now);
            }
            (Handshake::Syn(_), true, false) => self.handshake = Handshake::SynAgain,
            (Handshake::Syn(at), true, true) => {
                self.sample(Direction::Forward, now - at);
                self.handshake = Handshake::SynAck(now);
            }
            (Handshake::SynAgain | Handshake::None, true, true) => {
                self.handshake = Handshake::SynAck(now);
            }
            (Handshake::SynAck(_), true, true) => self.handshake = Handshake::Done,
            (Handshake::SynAck(at), false, true) if direction == Direction::Forward => {
                self.sample(Direction::Reverse, now - at);
                self.handshake_time = self.syn_time.map(|began| now - began);
                self.handshake = Handshake::Done;
            }
            _ => {}
        }
        self.handshaking = !matches!(self.handshake, Handshake::Done | Handshake::None);
    }

    pub(super) fn sample(&mut self, direction: Direction, time: TimeDelta) {
        if time < TimeDelta::ZERO {
            return;
        }
        let [forward, reverse] = &mut self.shortest;
        let best = match direction {
            Direction::Forward => forward,
            Direction::Reverse => reverse,
        };
        *best = time.min(*best);
    }

    /// Shortest time seen from a segment of the forward sender to its answer: the part of the
    /// round trip between the tap and `endpoints[1]`.
    #[must_use]
    pub fn round_trip_beyond(&self) -> Option<TimeDelta> {
        let [forward, _] = self.shortest;
        (forward != TimeDelta::MAX).then_some(forward)
    }

    /// The same towards `endpoints[0]`.
    #[must_use]
    pub fn round_trip_before(&self) -> Option<TimeDelta> {
        let [_, reverse] = self.shortest;
        (reverse != TimeDelta::MAX).then_some(reverse)
    }

    /// Both sides sent their FIN, and everything before it was handed on.
    pub(super) const fn finished(&self) -> bool {
        let [forward, reverse] = &self.halves;
        forward.fin_delivered && reverse.fin_delivered
    }

    pub(super) const fn half_open(&self) -> bool {
        let [forward, reverse] = &self.halves;
        self.initiator_known
            && forward.offset == 0
            && reverse.offset == 0
            && !matches!(self.handshake, Handshake::Done)
    }

    pub(super) const fn any_fin(&self) -> bool {
        let [forward, reverse] = &self.halves;
        forward.fin.is_some() || reverse.fin.is_some()
    }
}
