//! The two lengths of a layer, and the state of one walk through a frame.

use std::net::IpAddr;

use super::fragment::Fragment;
use super::segment::Segment;
use super::skip::{Layer, Skip};
use crate::frame::Frame;
use crate::time::{TimeDelta, Timestamp};

/// How many tunnels within each other are followed. Overlay networks in use have one or two.
const MAX_TUNNELS: u8 = 4;

/// The rest of a layer: the captured bytes, and the length it has on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    /// What was captured; never longer than `length`.
    pub(super) bytes: &'a [u8],
    /// The length on the wire in bytes.
    pub(super) length: usize,
}

impl<'a> Cursor<'a> {
    /// A frame as captured. Some writers leave the wire length below the captured one; what
    /// was captured was on the wire, so it counts at least that.
    pub(super) fn of_frame(frame: &Frame<'a>) -> Self {
        let declared = usize::try_from(frame.wire_length).unwrap_or(usize::MAX);
        Self {
            bytes: frame.bytes,
            length: declared.max(frame.bytes.len()),
        }
    }

    /// Why the first `needed` bytes of `layer` are not there: the layer around it is shorter
    /// than that, or only the capture is.
    #[cold]
    pub(super) fn shortage(self, needed: usize, layer: Layer) -> Skip {
        if self.length < needed {
            Skip::Malformed(layer)
        } else {
            Skip::Truncated(layer)
        }
    }

    /// What follows the first `count` bytes, which need not be captured.
    pub(super) fn after(self, count: usize, layer: Layer) -> Result<Self, Skip> {
        match self.length.checked_sub(count) {
            Some(length) => Ok(Self {
                bytes: self.bytes.get(count..).unwrap_or_default(),
                length,
            }),
            None => Err(Skip::Malformed(layer)),
        }
    }

    /// The first `N` bytes, and what follows them.
    pub(super) fn take<const N: usize>(self, layer: Layer) -> Result<(&'a [u8; N], Self), Skip> {
        match self.bytes.split_first_chunk::<N>() {
            Some((head, bytes)) => Ok((
                head,
                Self {
                    bytes,
                    length: self.length.saturating_sub(N),
                },
            )),
            None => Err(self.shortage(N, layer)),
        }
    }

    /// Only the first `length` bytes, or all where there are fewer.
    pub(super) fn limit(self, length: usize) -> Self {
        let length = length.min(self.length);
        Self {
            bytes: self.bytes.get(..length).unwrap_or(self.bytes),
            length,
        }
    }
}

/// Whether two points in time are at most `window` apart, in either order.
pub(super) fn within(one: Timestamp, other: Timestamp, window: TimeDelta) -> bool {
    let apart = one.as_nanos().abs_diff(other.as_nanos());
    u64::try_from(window.as_nanos()).is_ok_and(|window| apart <= window)
}

/// What the network layer tells about a segment or a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) identification: u32,
    pub(super) hop_limit: u8,
}

/// What lies at the end of a walk, if it is not a [`Skip`].
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A segment, and the captured bytes from the start of its TCP header.
    Segment(Segment<'a>, &'a [u8]),
    /// A part of a datagram.
    Fragment(Fragment<'a>),
}

pub(super) type Outcome<'a> = Result<Found<'a>, Skip>;

/// Where a walk comes from and what it met on the way. The walk itself changes nothing else, so
/// it can be repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) time: Timestamp,
    pub(super) tap: u16,
    pub(super) file: u32,
    pub(super) frame: u64,
    /// Tunnels entered.
    pub(super) tunnels: u8,
    /// An IP length that reached beyond the layer around it was clamped.
    pub(super) clamped: bool,
}

impl Walk {
    pub(super) fn new(frame: &Frame<'_>) -> Self {
        Self {
            time: frame.time,
            tap: frame.tap,
            file: frame.file,
            frame: frame.number,
            tunnels: 0,
            clamped: false,
        }
    }

    /// Goes one tunnel deeper; this bounds the recursion of the walk.
    pub(super) fn enter_tunnel(&mut self) -> Result<(), Skip> {
        if self.tunnels >= MAX_TUNNELS {
            return Err(Skip::NestedTooDeep);
        }
        self.tunnels = self.tunnels.saturating_add(1);
        Ok(())
    }
}
