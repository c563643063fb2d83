//! What a frame is taken apart into.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::time::Timestamp;

/// One end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The IP address. With a tunnel, the innermost one.
    pub address: IpAddr,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    const UNSPECIFIED: Self = Self {
        address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        port: 0,
    };
}

impl fmt::Display for Endpoint {
    /// As in a URL: `10.0.0.1:1883`, `[fe80::1]:1883`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

/// The control bits of a TCP header (RFC 9293, 3.1): its 14th byte as it stands, so ECE and CWR
/// are in it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push function.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number is significant.
    pub const ACK: Self = Self(0x10);

    /// Whether **all** bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether FIN is set.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// Whether SYN is set.
    #[must_use]
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// Whether RST is set.
    #[must_use]
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// Whether PSH is set.
    #[must_use]
    pub const fn psh(self) -> bool {
        self.contains(Self::PSH)
    }

    /// Whether ACK is set.
    #[must_use]
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }
}

impl std::ops::BitOr for TcpFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Segment<'_> {
    /// A place for a segment.
    pub const EMPTY: Self = Self {
        time: Timestamp::from_nanos(0),
        tap: 0,
        file: 0,
        frame: 0,
        source: Endpoint::UNSPECIFIED,
        destination: Endpoint::UNSPECIFIED,
        sequence: 0,
        acknowledgment: 0,
        flags: TcpFlags(0),
        window: 0,
        payload: &[],
        payload_length: 0,
        ip_identification: 0,
        hop_limit: 0,
        window_scale: None,
        maximum_segment_size: None,
    };
}

/// A TCP segment as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// When the frame was captured; of a fragmented datagram, the frame that completed it.
    pub time: Timestamp,
    /// The tap that saw it.
    pub tap: u16,
    /// The file it comes from.
    pub file: u32,
    /// The frame's 1-based number in its file; of a fragmented datagram, the frame that
    /// completed it.
    pub frame: u64,
    /// The sender.
    pub source: Endpoint,
    /// The receiver.
    pub destination: Endpoint,
    /// Sequence number of the first payload byte, or of the SYN where that is set.
    pub sequence: u32,
    /// Acknowledgment number; without meaning unless ACK is set.
    pub acknowledgment: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window as it stands in the header, not scaled.
    pub window: u16,
    /// The captured bytes of the payload.
    pub payload: &'a [u8],
    /// The payload's length on the wire in bytes; more than `payload.len()` where a snap length
    /// cut it.
    pub payload_length: u32,
    /// The identification of the IPv4 header, or of the IPv6 fragment header; IPv6 without
    /// fragments has none: 0.
    pub ip_identification: u32,
    /// Time to live (IPv4) or hop limit (IPv6).
    pub hop_limit: u8,
    /// The shift count of the window scale option (RFC 7323, 2.2); looked for only in a SYN.
    pub window_scale: Option<u8>,
    /// The maximum segment size option in bytes (RFC 9293, 3.7.1); looked for only in a SYN.
    pub maximum_segment_size: Option<u16>,
}
