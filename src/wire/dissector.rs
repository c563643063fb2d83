//! The entrance: one frame in, one answer out.

use super::cursor::{Cursor, Found, Outcome, Walk};
use super::fragment::{DEFAULT_EXPIRY, Fragment, FragmentTable, Insertion};
use super::mirror::MirrorFilter;
use super::segment::Segment;
use super::skip::Skip;
use super::statistics::{WireStatistics, count};
use super::{ip, link, quick};
use crate::frame::Frame;
use crate::time::TimeDelta;

/// Bounds of what a [`Dissector`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLimits {
    /// Datagrams that may wait for fragments at once; 1024 by default.
    pub max_datagrams: usize,
    /// Bytes that waiting fragments may take, with their management; 16 MiB by default.
    pub max_fragment_bytes: usize,
    /// Pieces of one datagram; 128 by default, enough for the longest one at an MTU of 576.
    pub max_fragments: usize,
    /// How long, on the capture clock, a datagram waits for its fragments; 30 s by default.
    pub fragment_expiry: TimeDelta,
    /// Within which time the same frame on the same tap counts once, or `None` to count each;
    /// 2 ms by default.
    pub mirror_window: Option<TimeDelta>,
}

impl Default for WireLimits {
    fn default() -> Self {
        Self {
            max_datagrams: 1024,
            max_fragment_bytes: 16 << 20,
            max_fragments: 128,
            fragment_expiry: DEFAULT_EXPIRY,
            mirror_window: Some(TimeDelta::from_millis(2)),
        }
    }
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug)]
// Boxing the segment would allocate once per frame.
#[allow(clippy::large_enum_variant)]
pub enum Dissection<'a> {
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// Nothing for TCP, and why.
    Skipped(Skip),
}

/// Takes frames apart. Holds fragments that wait for others, the last sights of the mirror
/// filter, and counters.
///
/// ```
/// use mqttscope::frame::{Frame, LinkType};
/// use mqttscope::time::Timestamp;
/// use mqttscope::wire::{Dissection, Dissector, Skip, WireLimits};
///
/// let mut dissector = Dissector::new(WireLimits::default());
/// let frame = Frame {
///     time: Timestamp::from_nanos(0),
///     link_type: LinkType::ETHERNET,
///     wire_length: 60,
///     bytes: &[0; 6], // cut by a snap length of 6 bytes
///     tap: 0,
///     file: 0,
///     number: 1,
/// };
/// let Dissection::Skipped(Skip::Truncated(layer)) = dissector.dissect(&frame) else {
///     panic!("six bytes cannot hold a segment");
/// };
/// assert_eq!(layer.to_string(), "link-layer header");
/// assert_eq!(dissector.statistics().truncated, 1);
/// ```
#[derive(Debug)]
pub struct Dissector {
    pub(super) fragments: FragmentTable,
    mirror: Option<MirrorFilter>,
    statistics: WireStatistics,
    /// The datagram last put together: what the segment in it borrows.
    datagram: Vec<u8>,
}

impl Dissector {
    /// A dissector with nothing seen.
    #[must_use]
    pub fn new(limits: WireLimits) -> Self {
        Self {
            fragments: FragmentTable::new(limits),
            mirror: limits.mirror_window.map(MirrorFilter::new),
            statistics: WireStatistics::default(),
            datagram: Vec::new(),
        }
    }

    /// Takes one frame apart. The segment borrows the frame's bytes; one that came in fragments
    /// borrows a buffer of the dissector's, and carries the time and number of this frame,
    /// which completed it.
    #[inline]
    pub fn dissect<'a>(&'a mut self, frame: &Frame<'a>) -> Dissection<'a> {
        let mut segment = Segment::EMPTY;
        match self.dissect_usual(frame, &mut segment) {
            Some(Ok(())) => Dissection::Tcp(segment),
            Some(Err(skip)) => Dissection::Skipped(skip),
            None => self.dissect_any(frame),
        }
    }

    /// Takes a usual frame apart: one whose segment borrows nothing of the dissector's, so that
    /// several can be held at once. Its segment is written `into` a place of the caller's, unless
    /// the frame is skipped. `None` where it takes [`dissect`](Self::dissect); then nothing was
    /// counted.
    #[inline(always)]
    pub fn dissect_usual<'f>(
        &mut self,
        frame: &Frame<'f>,
        into: &mut Segment<'f>,
    ) -> Option<Result<(), Skip>> {
        let tcp = quick::segment(frame, into)?;
        count(&mut self.statistics.frames);
        let mirror = self.mirror.as_mut();
        if mirror.is_some_and(|mirror| mirror.is_copy(into, tcp)) {
            count(&mut self.statistics.mirrored_frames);
            return Some(Err(Skip::Mirrored));
        }
        count(&mut self.statistics.segments);
        Some(Ok(()))
    }

    /// The general way.
    pub(super) fn dissect_any<'a>(&'a mut self, frame: &Frame<'a>) -> Dissection<'a> {
        count(&mut self.statistics.frames);
        let mut walk = Walk::new(frame);
        match link::frame(&mut walk, frame.link_type, Cursor::of_frame(frame)) {
            Ok(Found::Fragment(fragment)) => self.reassemble(walk, &fragment),
            outcome => conclude(&mut self.statistics, self.mirror.as_mut(), &walk, outcome),
        }
    }

    /// Counters so far.
    #[must_use]
    pub fn statistics(&self) -> &WireStatistics {
        &self.statistics
    }

    /// Stores a fragment and, if its datagram is complete, walks on in that.
    fn reassemble<'a>(&'a mut self, mut walk: Walk, fragment: &Fragment<'_>) -> Dissection<'a> {
        let mut bytes = std::mem::take(&mut self.datagram);
        let mut insertion = self.insert(&walk, fragment, &mut bytes);
        // Inside a datagram can be a tunnel with a fragment in it. Each of these is a tunnel
        // deeper, so their number is bounded.
        while let Insertion::Complete(whole) = insertion {
            let before = walk;
            let cursor = Cursor {
                bytes: &bytes,
                length: whole.length,
            };
            let outcome = ip::payload(&mut walk, &whole.network, whole.protocol, cursor);
            if let Ok(Found::Fragment(inner)) = outcome {
                let mut inner_bytes = Vec::new();
                insertion = self.insert(&walk, &inner, &mut inner_bytes);
                bytes = inner_bytes;
                continue;
            }
            // Again, now from where the bytes can be lent to the caller; a walk changes nothing.
            self.datagram = bytes;
            walk = before;
            let cursor = Cursor {
                bytes: &self.datagram,
                length: whole.length,
            };
            let outcome = ip::payload(&mut walk, &whole.network, whole.protocol, cursor);
            return conclude(&mut self.statistics, self.mirror.as_mut(), &walk, outcome);
        }
        self.datagram = bytes;
        let skip = match insertion {
            Insertion::Duplicate => Skip::FragmentDuplicate,
            Insertion::Dropped => Skip::FragmentDropped,
            Insertion::Held | Insertion::Complete(_) => Skip::FragmentHeld,
        };
        conclude(&mut self.statistics, None, &walk, Err(skip))
    }

    fn insert(&mut self, walk: &Walk, fragment: &Fragment<'_>, into: &mut Vec<u8>) -> Insertion {
        self.fragments
            .insert(walk.time, walk.tap, fragment, into, &mut self.statistics)
    }
}

/// Counts what a frame turned out to be, and keeps back mirrored segments.
#[inline]
fn conclude<'a>(
    statistics: &mut WireStatistics,
    mirror: Option<&mut MirrorFilter>,
    walk: &Walk,
    outcome: Outcome<'a>,
) -> Dissection<'a> {
    if walk.tunnels > 0 {
        count(&mut statistics.tunnelled);
    }
    if walk.clamped {
        count(&mut statistics.clamped_lengths);
    }
    let skip = match outcome {
        Ok(Found::Segment(segment, tcp)) => {
            if !mirror.is_some_and(|mirror| mirror.is_copy(&segment, tcp)) {
                count(&mut statistics.segments);
                if (segment.payload.len() as u64) < u64::from(segment.payload_length) {
                    count(&mut statistics.truncated_payloads);
                }
                return Dissection::Tcp(segment);
            }
            Skip::Mirrored
        }
        // Fragments have been taken out before.
        Ok(Found::Fragment(_)) => Skip::FragmentHeld,
        Err(skip) => skip,
    };
    count_skip(statistics, skip);
    Dissection::Skipped(skip)
}

fn count_skip(statistics: &mut WireStatistics, skip: Skip) {
    count(match skip {
        Skip::NotIp => &mut statistics.non_ip,
        Skip::NotTcp { .. } => &mut statistics.non_tcp,
        Skip::FragmentHeld => &mut statistics.fragments_held,
        Skip::FragmentDuplicate => &mut statistics.fragments_duplicate,
        Skip::FragmentDropped => &mut statistics.fragments_dropped,
        Skip::Truncated(_) => &mut statistics.truncated,
        Skip::Malformed(_) => &mut statistics.malformed,
        Skip::NestedTooDeep => &mut statistics.nested_too_deep,
        Skip::Mirrored => &mut statistics.mirrored_frames,
        Skip::UnsupportedLinkType(link_type) => {
            return statistics.count_unsupported(link_type);
        }
    });
}
