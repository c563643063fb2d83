//! How long before a moment to wake up so as not to miss it: no system ends a sleep on time.

/// So shortly before a moment, in nanoseconds, looking at sockets once more may take too long: only
/// the clock is looked at.
pub const CLOCK_ONLY_NS: i64 = 10_000;

/// How a [`Margin`] learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// In the beginning, in nanoseconds.
    pub first_ns: i64,
    /// Never shorter: no system is better.
    pub least_ns: i64,
    /// Never longer: where sleeps end later than that, a processor is not there to be had.
    pub most_ns: i64,
    /// It is longer than nearly the latest sleep by that one's length divided by this.
    pub reserve: i64,
    /// With each sleep that ended earlier it loses the difference divided by this.
    pub memory: i64,
}

/// By how much to sleep too short, and to look at the clock again and again from then on. It
/// follows how much too late the sleeps end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margin {
    nanos: i64,
    habits: Habits,
}

impl Default for Margin {
    /// From 20 to 400 µs, a quarter longer than nearly the latest of the last few hundred sleeps.
    fn default() -> Self {
        Self::new(Habits {
            first_ns: 80_000,
            least_ns: 20_000,
            most_ns: 400_000,
            reserve: 4,
            memory: 256,
        })
    }
}

impl Margin {
    /// Nothing is learned yet.
    #[must_use]
    pub const fn new(habits: Habits) -> Self {
        Self {
            nanos: habits.first_ns,
            habits,
        }
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.nanos
    }

    /// A sleep ended `late` nanoseconds after it should have.
    pub fn learn(&mut self, late: i64) {
        let habits = self.habits;
        let wanted = late.saturating_add(late / habits.reserve);
        let next = if wanted > self.nanos {
            wanted
        } else {
            self.nanos - (self.nanos - wanted.max(0)) / habits.memory
        };
        self.nanos = next.clamp(habits.least_ns, habits.most_ns);
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
            assert_eq!(margin.nanos(), 400_000);
        }
        for _ in 0..5_000 {
            margin.learn(-10);
        }
        assert_eq!(margin.nanos(), 20_000);
    }
}
