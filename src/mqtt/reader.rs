//! A cursor over a packet that knows how long the packet says it is, even when fewer bytes are
//! there: so one parser serves whole packets, packets still arriving and packets that were cut.

use super::header::{Integer, variable_byte_integer};
use super::{Field, Malformed, MalformedReason, Violation, Violations};

/// Why reading ended before the packet did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// The packet goes on, but its bytes are not there.
    NeedMore,
    Malformed(Malformed),
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Bytes after the fixed header.
    position: u32,
    /// Where the packet, or the property block, ends.
    end: u32,
    past_end: MalformedReason,
}

impl<'a> Reader<'a> {
    /// `bytes` are the first of a packet of `remaining_length` bytes.
    pub(super) fn new(bytes: &'a [u8], remaining_length: u32) -> Self {
        let limit = usize::try_from(remaining_length).unwrap_or(usize::MAX);
        Self {
            rest: bytes.get(..limit).unwrap_or(bytes),
            position: 0,
            end: remaining_length,
            past_end: MalformedReason::PastPacket,
        }
    }

    /// A reader of bytes that are all there is.
    #[inline]
    pub(super) fn whole(bytes: &'a [u8]) -> Self {
        Self::new(bytes, length_of(bytes))
    }

    /// A reader of a property block that is wholly there and begins at `position`.
    pub(super) fn of_properties(bytes: &'a [u8], position: u32) -> Self {
        Self {
            rest: bytes,
            position,
            end: position.saturating_add(length_of(bytes)),
            past_end: MalformedReason::PastProperties,
        }
    }

    /// Bytes of the packet that were not read yet, there or not.
    #[inline]
    pub(super) fn remaining(&self) -> u32 {
        self.end.saturating_sub(self.position)
    }

    #[inline]
    pub(super) fn position(&self) -> u32 {
        self.position
    }

    /// The bytes that are there and were not read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all bytes up to the packet's end are there.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        length_of(self.rest) == self.remaining()
    }

    #[cold]
    fn stop(&self, field: Field, needed: u32) -> Stop {
        if needed <= self.remaining() {
            return Stop::NeedMore;
        }
        Stop::Malformed(Malformed {
            reason: self.past_end,
            field,
            offset: self.position,
            needed,
            available: self.remaining(),
        })
    }

    #[inline]
    pub(super) fn take(&mut self, length: u32, field: Field) -> Result<&'a [u8], Stop> {
        let count = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.stop(field, length));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(length);
        Ok(taken)
    }

    #[inline]
    pub(super) fn byte(&mut self, field: Field) -> Result<u8, Stop> {
        let Some((&byte, rest)) = self.rest.split_first() else {
            return Err(self.stop(field, 1));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(1);
        Ok(byte)
    }

    #[inline]
    pub(super) fn two_bytes(&mut self, field: Field) -> Result<u16, Stop> {
        let Some((&bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.stop(field, 2));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(2);
        Ok(u16::from_be_bytes(bytes))
    }

    #[inline]
    pub(super) fn four_bytes(&mut self, field: Field) -> Result<u32, Stop> {
        let Some((&bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.stop(field, 4));
        };
        self.rest = rest;
        self.position = self.position.saturating_add(4);
        Ok(u32::from_be_bytes(bytes))
    }

    /// A string or binary data: two bytes of length, then so many bytes.
    #[inline]
    pub(super) fn prefixed(&mut self, field: Field) -> Result<&'a [u8], Stop> {
        let length = self.two_bytes(field)?;
        self.take(u32::from(length), field)
    }

    /// A variable byte integer; one longer than needed is read and noted.
    #[inline]
    pub(super) fn integer(
        &mut self,
        field: Field,
        violations: &mut Violations,
    ) -> Result<u32, Stop> {
        match variable_byte_integer(self.rest) {
            Integer::Complete {
                value,
                length,
                overlong,
            } => {
                self.take(u32::from(length), field)?;
                if overlong {
                    violations.insert(Violation::OverlongInteger);
                }
                Ok(value)
            }
            Integer::Incomplete => Err(self.stop(field, length_of(self.rest).saturating_add(1))),
            Integer::Malformed => Err(Stop::Malformed(Malformed {
                reason: MalformedReason::VariableByteInteger,
                field,
                offset: self.position,
                needed: 5,
                available: 4,
            })),
        }
    }
}

/// A slice's length; no packet is longer than 2^28 bytes.
#[inline]
pub(super) fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
