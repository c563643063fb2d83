//! Time of the capture clock.
//!
//! Everything in the core that knows a time knows it from the frames: there is no call to a
//! system clock here or in any layer of the core, so a file, a live interface and a test with a
//! made-up clock take the same path.

use std::fmt;
use std::ops::{Add, Sub};

/// A point in time on the capture clock: nanoseconds since the Unix epoch, signed, so that a
/// capture with a broken clock (before 1970) is still a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The signed difference of two [`Timestamp`]s in nanoseconds. Negative where the capture's
/// clock ran backwards; it is kept as it is and never clamped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeDelta(i64);

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the Unix epoch.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

impl TimeDelta {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// The longest there is.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds; saturates at the ends of the range.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From seconds; saturates at the ends of the range.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds, negative if the later event has the earlier time stamp.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }
}

impl Sub for Timestamp {
    type Output = TimeDelta;
    /// Saturates: two hostile time stamps can be further apart than an `i64` holds.
    fn sub(self, earlier: Self) -> TimeDelta {
        TimeDelta(self.0.saturating_sub(earlier.0))
    }
}

impl Add<TimeDelta> for Timestamp {
    type Output = Self;
    fn add(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_add(delta.0))
    }
}

impl Sub<TimeDelta> for Timestamp {
    type Output = Self;
    fn sub(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_sub(delta.0))
    }
}

impl Sub for TimeDelta {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for TimeDelta {
    /// For people: three significant digits and a unit (`1.23 ms`); exact values are
    /// [`TimeDelta::as_nanos`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (divisor, unit) = match magnitude {
            0..=999 => return write!(f, "{} ns", self.0),
            1_000..=999_999 => (1e3, "µs"),
            1_000_000..=999_999_999 => (1e6, "ms"),
            _ => (1e9, "s"),
        };
        let value = self.0 as f64 / divisor;
        let digits = match value.abs() {
            v if v >= 99.95 => 0,
            v if v >= 9.995 => 1,
            _ => 2,
        };
        write!(f, "{value:.digits$} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_signed_and_saturate() {
        let early = Timestamp::from_nanos(5);
        let late = Timestamp::from_nanos(12);
        assert_eq!((late - early).as_nanos(), 7);
        assert_eq!((early - late).as_nanos(), -7);
        let far = Timestamp::from_nanos(i64::MAX) - Timestamp::from_nanos(i64::MIN);
        assert_eq!(far.as_nanos(), i64::MAX);
    }

    #[test]
    fn durations_read_well() {
        for (nanos, text) in [
            (0, "0 ns"),
            (-450, "-450 ns"),
            (1_234, "1.23 µs"),
            (86_000, "86.0 µs"),
            (1_002_000, "1.00 ms"),
            (123_456_789, "123 ms"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(TimeDelta::from_nanos(nanos).to_string(), text);
        }
    }
}
