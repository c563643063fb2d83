//! What the layer counted.

use crate::frame::LinkType;

/// Frames per unsupported link type. Captures have one or two; what exceeds the few kept here
/// goes into one sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkTypeCounts {
    /// Link type and frames, in the order of first sight.
    pub counted: Vec<(LinkType, u64)>,
    /// Frames of link types that found no place in `counted`.
    pub others: u64,
}

impl LinkTypeCounts {
    const KEPT: usize = 16;

    fn add(&mut self, link_type: LinkType, frames: u64) {
        let known = self
            .counted
            .iter_mut()
            .find(|(known, _)| *known == link_type);
        if let Some((_, count)) = known {
            *count = count.saturating_add(frames);
        } else if self.counted.len() < Self::KEPT {
            self.counted.push((link_type, frames));
        } else {
            self.others = self.others.saturating_add(frames);
        }
    }

    /// All frames of unsupported link types.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counted
            .iter()
            .fold(self.others, |sum, (_, frames)| sum.saturating_add(*frames))
    }
}

/// Counters of the wire layer. Unless said otherwise the unit is frames, and each frame is in
/// exactly one of `segments`, `non_ip`, `non_tcp`, `truncated`, `malformed`, `nested_too_deep`,
/// `mirrored_frames`, `fragments_held`, `fragments_duplicate`, `fragments_dropped` and
/// `unsupported_link_types`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireStatistics {
    /// All frames.
    pub frames: u64,
    /// Frames that gave a TCP segment.
    pub segments: u64,
    /// Frames that carry no IP.
    pub non_ip: u64,
    /// IP packets without TCP.
    pub non_tcp: u64,
    /// Frames that the snap length cut within a header.
    pub truncated: u64,
    /// Segments with less payload captured than was on the wire (a part of `segments`).
    pub truncated_payloads: u64,
    /// Frames with a header that contradicts itself or the layer around it.
    pub malformed: u64,
    /// Frames with more layers within each other than are followed.
    pub nested_too_deep: u64,
    /// IP lengths that reached beyond the end of the frame and were clamped to it. Such a frame
    /// is also counted by what it turned out to be.
    pub clamped_lengths: u64,
    /// Frames whose contents came through at least one tunnel. Such a frame is also counted by
    /// what it turned out to be.
    pub tunnelled: u64,
    /// Second and later sights of a frame on a mirror port.
    pub mirrored_frames: u64,
    /// Fragments kept to wait for the rest of their datagram.
    pub fragments_held: u64,
    /// Fragments that were there already.
    pub fragments_duplicate: u64,
    /// Fragments that could not be used: malformed, contradicting the others, or part of a
    /// datagram that had been given up.
    pub fragments_dropped: u64,
    /// Datagrams put together from fragments.
    pub datagrams_reassembled: u64,
    /// Datagrams given up because the rest did not come in time.
    pub datagrams_expired: u64,
    /// Datagrams given up to stay within the limits.
    pub datagrams_evicted: u64,
    /// Datagrams given up because their fragments contradict each other (overlaps in IPv6, two
    /// different ends) or are too many.
    pub datagrams_inconsistent: u64,
    /// Frames of link types that are not decoded.
    pub unsupported_link_types: LinkTypeCounts,
}

/// Counts one.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

impl WireStatistics {
    pub(super) fn count_unsupported(&mut self, link_type: LinkType) {
        self.unsupported_link_types.add(link_type, 1);
    }

    /// Adds the counters of another dissector.
    pub fn merge(&mut self, other: &Self) {
        for (sum, value) in [
            (&mut self.frames, other.frames),
            (&mut self.segments, other.segments),
            (&mut self.non_ip, other.non_ip),
            (&mut self.non_tcp, other.non_tcp),
            (&mut self.truncated, other.truncated),
            (&mut self.truncated_payloads, other.truncated_payloads),
            (&mut self.malformed, other.malformed),
            (&mut self.nested_too_deep, other.nested_too_deep),
            (&mut self.clamped_lengths, other.clamped_lengths),
            (&mut self.tunnelled, other.tunnelled),
            (&mut self.mirrored_frames, other.mirrored_frames),
            (&mut self.fragments_held, other.fragments_held),
            (&mut self.fragments_duplicate, other.fragments_duplicate),
            (&mut self.fragments_dropped, other.fragments_dropped),
            (&mut self.datagrams_reassembled, other.datagrams_reassembled),
            (&mut self.datagrams_expired, other.datagrams_expired),
            (&mut self.datagrams_evicted, other.datagrams_evicted),
            (
                &mut self.datagrams_inconsistent,
                other.datagrams_inconsistent,
            ),
        ] {
            *sum = sum.saturating_add(value);
        }
        for (link_type, frames) in &other.unsupported_link_types.counted {
            self.unsupported_link_types.add(*link_type, *frames);
        }
        let others = &mut self.unsupported_link_types.others;
        *others = others.saturating_add(other.unsupported_link_types.others);
    }
}
