//! TCP segments to ordered byte streams with explicit gaps.
//!
//! [`FlowTable::push`] takes one segment and lends out what it made available, as [`Event`]s:
//! connections that began and ended, chunks of bytes in stream order, and gaps, each named for
//! what it is. Bytes of a segment in order are lent straight from the frame. The layer knows
//! nothing of what the streams carry.
//!
//! Everything is bounded: connections, bytes that wait behind a hole, and the time they wait.
//! What had to be dropped is counted in [`TableStatistics`].
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod connection;
mod delivery;
mod quick;
mod sequence;
mod stream;
mod table;
#[cfg(test)]
mod tests;

use crate::time::{TimeDelta, Timestamp};

pub use crate::wire::Endpoint;
pub use connection::{Connection, EndReason};
pub use delivery::Delivery;
pub use quick::Quick;
pub use sequence::SequenceNumber;
pub use table::{FlowHash, FlowTable, TableStatistics};

/// Which way bytes go on a connection: [`Connection::endpoints`] says who is who.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the initiator (the sender of the SYN); without a handshake in the capture, from the
    /// sender of the first segment.
    Forward,
    /// The other way.
    Reverse,
}

impl Direction {
    /// The opposite direction.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// Why bytes of a stream are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The receiver acknowledged them, so the network delivered them and the capture missed them.
    MissingFromCapture,
    /// Never acknowledged and never sent again while the connection lived: lost on the network.
    Lost,
    /// The other direction is not in the capture, so nobody can say whether they arrived.
    OneSided,
    /// The snap length of the capture cut the segment that carried them.
    SnapLength,
    /// The capture ended before they came.
    CaptureEnded,
    /// More waited behind the hole than the reassembly keeps.
    LimitReached,
}

impl GapReason {
    /// In words, for a reader of the table.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::MissingFromCapture => "missing from the capture but acknowledged by the receiver",
            Self::Lost => "lost: never acknowledged and not sent again",
            Self::OneSided => "missing; the other direction is not in the capture",
            Self::SnapLength => "cut off by the snap length",
            Self::CaptureEnded => "not seen before the capture ended",
            Self::LimitReached => "given up: too much waited behind it",
        }
    }
}

/// Bytes of one stream, in order.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// Which way they went.
    pub direction: Direction,
    /// The bytes; never empty.
    pub bytes: &'a [u8],
    /// Position of the first byte in the stream, gaps included.
    pub offset: u64,
    /// When these bytes were first seen.
    pub first_seen: Timestamp,
    /// When the stream became whole up to the end of these bytes, as seen from the tap. Behind a
    /// gap that was given up: when they were seen.
    pub whole: Timestamp,
    /// File of the frame that made the stream whole.
    pub file: u32,
    /// Number of that frame within its file.
    pub frame: u64,
    /// File and number of the frame that carried these bytes: an earlier one than `frame` where
    /// they waited behind a hole.
    pub seen_in: (u32, u64),
    /// The bytes begin where a segment's payload begins.
    pub segment_start: bool,
    /// The bytes end where a segment's payload ends.
    pub segment_end: bool,
    /// The segment had the PSH flag: its sender wrote up to its end.
    pub pushed: bool,
}

/// Bytes of a stream that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which way they would have gone.
    pub direction: Direction,
    /// How many are missing.
    pub bytes: u64,
    /// Position of the first missing byte in the stream.
    pub offset: u64,
    /// Why.
    pub reason: GapReason,
    /// Time of the frame at which the gap was given up.
    pub time: Timestamp,
    /// When bytes behind it were first seen, so the missing ones were on the way before; the
    /// time at which it was given up where none were.
    pub before: Timestamp,
    /// File of that frame.
    pub file: u32,
    /// Number of that frame within its file.
    pub frame: u64,
}

/// What [`Delivery::next`] hands out.
#[derive(Debug)]
pub enum Event<'a> {
    /// A connection is seen for the first time.
    Opened(&'a Connection),
    /// Bytes in order.
    Data(&'a Connection, Chunk<'a>),
    /// Bytes that were seen before came again: direction, position of the first in the stream,
    /// and how many.
    Repeated(&'a Connection, Direction, u64, u32),
    /// Bytes that are missing.
    Gap(&'a Connection, Gap),
    /// The connection is over; its slot will be used again.
    Closed(&'a Connection, EndReason),
}

/// Counters of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStatistics {
    /// Segments with payload.
    pub segments: u64,
    /// Bytes handed on.
    pub bytes: u64,
    /// Segments that repeated bytes seen before.
    pub retransmitted_segments: u64,
    /// Segments first seen after later bytes of the stream: reordered, or lost before the tap
    /// and sent again.
    pub out_of_order_segments: u64,
    /// Probes that repeat the last byte to keep an idle connection open.
    pub keep_alive_probes: u64,
    /// Segments that announced a full receive buffer.
    pub zero_windows: u64,
    /// Gaps handed on.
    pub gaps: u64,
    /// Bytes missing in them.
    pub gap_bytes: u64,
    /// Bytes missing although the receiver acknowledged them; part of `gap_bytes`.
    pub missed_bytes: u64,
    /// Segments that the snap length cut; each is one of `gaps`.
    pub snapped_segments: u64,
    /// Bytes missing because the snap length cut segments; part of `gap_bytes`.
    pub snapped_bytes: u64,
    /// Segments outside any plausible window, not used.
    pub discarded_segments: u64,
}

/// Bounds of the reassembly. The defaults suit captures of a busy broker on a small machine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections followed at once; beyond it, the one idle longest among some is evicted.
    pub connections: usize,
    /// Bytes that may wait behind a hole, per direction.
    pub backlog_bytes: u64,
    /// Segments that may wait behind a hole, per direction.
    pub backlog_segments: usize,
    /// Memory in bytes that may wait behind holes in all connections together, with what it takes
    /// to keep it.
    pub total_backlog_bytes: u64,
    /// A segment further ahead than this is discarded (the largest TCP window is 1 GiB).
    pub window_bytes: u64,
    /// How long bytes that the receiver acknowledged may still turn up, in frames captured out
    /// of order.
    pub acknowledged_patience: TimeDelta,
    /// So many segments of the connection must have passed too: a slow connection's frames can
    /// be swapped as well.
    pub acknowledged_patience_segments: u32,
    /// How long a hole that nobody acknowledged may be filled by a retransmission.
    pub lost_patience: TimeDelta,
    /// The same where the capture shows one direction only.
    pub one_sided_patience: TimeDelta,
    /// A connection without a segment for this long is over.
    pub idle: TimeDelta,
    /// The same for one whose handshake never finished.
    pub half_open: TimeDelta,
    /// How long a closed connection is remembered, for stray segments.
    pub linger: TimeDelta,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 500_000,
            backlog_bytes: 4 << 20,
            backlog_segments: 4096,
            total_backlog_bytes: 256 << 20,
            window_bytes: 1 << 30,
            acknowledged_patience: TimeDelta::from_millis(50),
            acknowledged_patience_segments: 8,
            lost_patience: TimeDelta::from_secs(120),
            one_sided_patience: TimeDelta::from_secs(10),
            // The longest keep-alive of MQTT is 18.2 hours; a device that sleeps longer than a
            // day without a segment is not told from one that is gone.
            idle: TimeDelta::from_secs(86_400),
            half_open: TimeDelta::from_secs(60),
            linger: TimeDelta::from_secs(5),
        }
    }
}
