//! A captured frame, as the capture layer hands it on.

use std::fmt;

use crate::time::Timestamp;

/// The link-layer type of a frame, as numbered by the tcpdump group's registry
/// (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in the capturing host's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet II or 802.3.
    pub const ETHERNET: Self = Self(1);
    /// Raw IP, as some systems number it (DLT_RAW of most BSDs).
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP, as OpenBSD numbers it.
    pub const RAW_OPENBSD: Self = Self(14);
    /// Raw IP; the version comes from the first nibble.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture v1, from `tcpdump -i any`.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture v2.
    pub const LINUX_SLL2: Self = Self(276);
}

impl fmt::Display for LinkType {
    /// Its name, or its number where it is not one of those decoded here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::NULL => "NULL",
            Self::ETHERNET => "EN10MB",
            Self::RAW_BSD | Self::RAW_OPENBSD | Self::RAW => "RAW",
            Self::LOOP => "LOOP",
            Self::LINUX_SLL => "LINUX_SLL",
            Self::IPV4 => "IPV4",
            Self::IPV6 => "IPV6",
            Self::LINUX_SLL2 => "LINUX_SLL2",
            Self(number) => return number.fmt(f),
        })
    }
}

/// One captured frame. The bytes are borrowed from the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When the frame was captured.
    pub time: Timestamp,
    /// What the bytes begin with.
    pub link_type: LinkType,
    /// The frame's length on the wire in bytes; more than `bytes.len()` where a snap length cut it.
    pub wire_length: u32,
    /// The captured bytes.
    pub bytes: &'a [u8],
    /// 0-based number of the tap (one interface of one capture) that saw the frame.
    pub tap: u16,
    /// 0-based index of the file in the order in which they were named.
    pub file: u32,
    /// 1-based number of the frame within its file, as Wireshark counts.
    pub number: u64,
}
