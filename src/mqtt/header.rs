//! The fixed header: first byte and remaining length (MQTT 5 section 2.1, 3.1.1 section 2.2).

use super::{PacketType, Violation, Violations};

/// The largest remaining length that four bytes can carry (section 2.1.4 of MQTT 5).
pub const MAXIMUM_REMAINING_LENGTH: u32 = 268_435_455;

/// A packet's fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FixedHeader {
    /// Packet type in the high four bits, flags in the low four.
    pub first_byte: u8,
    /// Bytes that follow the fixed header, 0 to [`MAXIMUM_REMAINING_LENGTH`].
    pub remaining_length: u32,
    /// Bytes of the fixed header itself, 2 to 5.
    pub header_length: u8,
    /// The remaining length uses more bytes than it needs, such as `83 80 00` for 3.
    pub overlong: bool,
}

impl FixedHeader {
    /// The control packet type.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        PacketType::from_first_byte(self.first_byte)
    }

    /// Bytes of the whole packet, header included.
    #[must_use]
    pub const fn packet_length(&self) -> u32 {
        // At most 5 + 268,435,455.
        self.remaining_length
            .saturating_add(self.header_length as u32)
    }

    /// What the header itself breaks. [`parse`](super::parse) never sees the remaining length's
    /// encoding, so its caller adds these.
    #[must_use]
    pub const fn violations(&self) -> Violations {
        if self.overlong {
            Violations::of(Violation::OverlongInteger)
        } else {
            Violations::NONE
        }
    }
}

/// What the bytes at the start of a packet say.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HeaderResult {
    /// The header is complete.
    Complete(FixedHeader),
    /// More bytes are needed.
    Incomplete,
    /// The fourth byte of the remaining length asks for a fifth (MQTT 5 section 1.5.5, 3.1.1
    /// section 2.2.3: "the maximum number of bytes in the Remaining Length field is four").
    Malformed,
}

/// Reads the fixed header at the start of `bytes`.
#[must_use]
#[inline]
pub fn parse_fixed_header(bytes: &[u8]) -> HeaderResult {
    // Nearly every packet is shorter than 128 bytes.
    if let [first_byte, length @ 0..=0x7f, ..] = *bytes {
        return HeaderResult::Complete(FixedHeader {
            first_byte,
            remaining_length: u32::from(length),
            header_length: 2,
            overlong: false,
        });
    }
    let Some((&first_byte, rest)) = bytes.split_first() else {
        return HeaderResult::Incomplete;
    };
    match variable_byte_integer(rest) {
        Integer::Complete {
            value,
            length,
            overlong,
        } => HeaderResult::Complete(FixedHeader {
            first_byte,
            remaining_length: value,
            header_length: length.saturating_add(1),
            overlong,
        }),
        Integer::Incomplete => HeaderResult::Incomplete,
        Integer::Malformed => HeaderResult::Malformed,
    }
}

/// A variable byte integer read from the start of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Integer {
    Complete {
        value: u32,
        length: u8,
        overlong: bool,
    },
    Incomplete,
    Malformed,
}

/// Reads a variable byte integer (MQTT 5 section 1.5.5).
#[inline]
pub(super) fn variable_byte_integer(bytes: &[u8]) -> Integer {
    let mut value = 0u32;
    let mut length = 0u8;
    for &byte in bytes.iter().take(4) {
        // Shifts of 0, 7, 14 and 21 bits; seven bits each stay below 2^28.
        value |= u32::from(byte & 0x7f) << length.saturating_mul(7);
        length = length.saturating_add(1);
        if byte & 0x80 == 0 {
            return Integer::Complete {
                value,
                length,
                // [MQTT-1.5.5-1] "The encoded value MUST use the minimum number of bytes".
                overlong: length > 1 && byte == 0,
            };
        }
    }
    if length == 4 {
        Integer::Malformed
    } else {
        Integer::Incomplete
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
