//! TCP sequence numbers: arithmetic modulo 2³² as a type, so that nobody compares them with `<`.

use std::fmt;

/// A sequence or acknowledgment number (RFC 9293, section 3.4). It has no order of its own:
/// positions are compared by their signed distance, which is exact within 2³¹ bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SequenceNumber(pub u32);

impl SequenceNumber {
    /// The number `bytes` further on in the stream.
    #[must_use]
    pub const fn advance(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }

    /// How far `self` lies beyond `origin`: negative where it lies before it.
    #[must_use]
    pub const fn distance_from(self, origin: Self) -> i32 {
        self.0.wrapping_sub(origin.0) as i32
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seq {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_crosses_the_wrap() {
        let before = SequenceNumber(u32::MAX - 1);
        let after = before.advance(4);
        assert_eq!(after, SequenceNumber(2));
        assert_eq!(after.distance_from(before), 4);
        assert_eq!(before.distance_from(after), -4);
        assert_eq!(before.distance_from(before), 0);
    }
}
