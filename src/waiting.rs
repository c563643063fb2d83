//! How long before a moment to wake up so as not to miss it: no system ends a sleep on time.

/// Never shorter: no system is better.
const LEAST_NS: i64 = 20_000;
/// Never longer: where sleeps end later than that, a processor is not there to be had.
const MOST_NS: i64 = 400_000;

/// So shortly before a moment, in nanoseconds, looking at sockets once more may take too long: only
/// the clock is looked at.
pub const CLOCK_ONLY_NS: i64 = 10_000;

/// By how much to sleep too short, and to look at the clock again and again from then on. It
/// follows how much too late the sleeps end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    nanos: i64,
}

impl Default for Margin {
    fn default() -> Self {
        Self {
            nanos: 4 * LEAST_NS,
        }
    }
}

impl Margin {
    /// In nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// A sleep ended `late` nanoseconds after it should have. The margin is a quarter longer than
    /// nearly the latest of the last few hundred.
    pub fn learn(&mut self, late: i64) {
        let wanted = late.saturating_add(late / 4);
        let next = if wanted > self.nanos {
            wanted
        } else {
            self.nanos - (self.nanos - wanted.max(0)) / 256
        };
        self.nanos = next.clamp(LEAST_NS, MOST_NS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_latest_and_forgets_slowly() {
        let mut margin = Margin::default();
        margin.learn(120_000);
        assert_eq!(margin.nanos(), 150_000);
        for _ in 0..100 {
            margin.learn(30_000);
        }
        assert!((100_000..130_000).contains(&margin.nanos()), "{margin:?}");
        for _ in 0..5_000 {
            margin.learn(30_000);
        }
        assert!((37_500..38_000).contains(&margin.nanos()), "{margin:?}");
    }

    #[test]
    fn it_has_bounds() {
        let mut margin = Margin::default();
        for late in [i64::MAX, 5_000_000] {
            margin.learn(late);
            assert_eq!(margin.nanos(), MOST_NS);
        }
        for _ in 0..5_000 {
            margin.learn(-10);
        }
        assert_eq!(margin.nanos(), LEAST_NS);
    }
}
