//! The prober's clock: monotonic, never stepped. A [`Stamp`] is no [`Timestamp`]: the two do not
//! compare, and only an [`Epoch`] leads from one to the other.

use std::num::NonZeroI64;

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use crate::time::Timestamp;

/// A reading of the monotonic clock, in nanoseconds since a moment that is the system's affair.
/// `Option<Stamp>` takes no more room than a stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(NonZeroI64);

const ONE: NonZeroI64 = NonZeroI64::new(1).unwrap();

impl Stamp {
    /// The stamp of so many nanoseconds; 0 is taken as 1.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        match NonZeroI64::new(nanos) {
            Some(nanos) => Self(nanos),
            None => Self(ONE),
        }
    }

    /// Nanoseconds since the clock's own zero.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0.get()
    }

    /// Nanoseconds from `earlier` to this one; negative where it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// The stamp `nanos` later, or with a negative number earlier.
    #[must_use]
    pub const fn plus(self, nanos: i64) -> Self {
        Self::from_nanos(self.0.get().saturating_add(nanos))
    }
}

/// Reads the monotonic clock.
#[must_use]
pub fn now() -> Stamp {
    Stamp::from_nanos(read(ClockId::CLOCK_MONOTONIC))
}

/// What leads from the monotonic clock to the calendar's: read once, when a run begins, and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// What to add to a stamp, in nanoseconds.
    pub offset_ns: i64,
}

impl Epoch {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        // The middle of two readings of the one is at the time of the other.
        let before = read(ClockId::CLOCK_MONOTONIC);
        let calendar = read(ClockId::CLOCK_REALTIME);
        let after = read(ClockId::CLOCK_MONOTONIC);
        Self {
            offset_ns: calendar.saturating_sub(before.midpoint(after)),
        }
    }

    /// The calendar's time of a stamp.
    #[must_use]
    pub const fn timestamp(self, stamp: Stamp) -> Timestamp {
        Timestamp::from_nanos(stamp.as_nanos().saturating_add(self.offset_ns))
    }

    /// By how much the calendar's clock was set since this epoch was read, in nanoseconds:
    /// `later` is a reading `elapsed_ns` afterwards. Slewing, of which NTP allows 500 parts per
    /// million, is no step, nor is what two readings may differ by.
    #[must_use]
    pub fn step(self, later: Self, elapsed_ns: i64) -> Option<i64> {
        const READING_NS: i64 = 5_000_000;
        let moved = later.offset_ns.saturating_sub(self.offset_ns);
        let slewed = elapsed_ns.saturating_abs() / 2_000;
        (moved.saturating_abs() > slewed.saturating_add(READING_NS)).then_some(moved)
    }
}

fn read(clock: ClockId) -> i64 {
    // Both clocks exist wherever this crate builds.
    let time = clock_gettime(clock).unwrap_or_else(|_| TimeSpec::new(0, 0));
    time.tv_sec()
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign() {
        let (early, late) = (Stamp::from_nanos(5), Stamp::from_nanos(12));
        assert_eq!((late.since(early), early.since(late)), (7, -7));
        assert_eq!(early.plus(7), late);
        assert_eq!(Stamp::from_nanos(0).as_nanos(), 1);
        assert_eq!(size_of::<Option<Stamp>>(), 8);
    }

    #[test]
    fn a_step_is_told_from_slewing() {
        let epoch = Epoch { offset_ns: 1_000 };
        let hour = 3_600_000_000_000;
        let slewed = Epoch {
            offset_ns: 1_000 + hour / 2_500,
        };
        assert_eq!(epoch.step(slewed, hour), None);
        let set_back = Epoch {
            offset_ns: 1_000 - 60_000_000_000,
        };
        assert_eq!(epoch.step(set_back, hour), Some(-60_000_000_000));
    }
}
