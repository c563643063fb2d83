//! When each message is due: fixed before the first one is sent (an open loop), so that a slow
//! broker cannot slow down the questions it is asked.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// How arrivals are spread over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Exponential gaps: what many independent devices add up to.
    Poisson,
    /// Equal gaps.
    Fixed,
    /// So many at once, then a gap that keeps the mean rate.
    Burst(u32),
}

impl Arrivals {
    /// The word for it: `poisson`, `fixed`, `burst:N`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Poisson => "poisson".to_owned(),
            Self::Fixed => "fixed".to_owned(),
            Self::Burst(size) => format!("burst:{size}"),
        }
    }
}

/// How long messages are sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// So many messages.
    Count(u32),
    /// All that are due in so many nanoseconds, at most [`MOST_MESSAGES`].
    Duration(i64),
}

/// Most messages of one schedule.
pub const MOST_MESSAGES: u32 = 50_000_000;

/// When one publisher's messages are due, in nanoseconds after the start, ascending.
///
/// `rate` is in messages per second and positive. Of `publishers` with equal gaps, number
/// `publisher` begins that share of a gap later, so that they do not all send at once; with
/// exponential gaps the seed sees to that. The same arguments give the same schedule.
#[must_use]
pub fn offsets(
    arrivals: Arrivals,
    rate: f64,
    extent: Extent,
    (publisher, publishers): (u32, u32),
    seed: u64,
) -> Vec<i64> {
    let gap = 1e9 / rate;
    let (count, until) = match extent {
        Extent::Count(count) => (count.min(MOST_MESSAGES), i64::MAX),
        Extent::Duration(nanos) => (MOST_MESSAGES, nanos),
    };
    let phase = f64::from(publisher) / f64::from(publishers.max(1));
    let mut random = StdRng::seed_from_u64(seed);
    let mut reached = 0.0;
    let due = (0..count).map(|index| {
        let nanos = match arrivals {
            Arrivals::Poisson => {
                reached += exponential(&mut random) * gap;
                reached
            }
            Arrivals::Fixed => (f64::from(index) + phase) * gap,
            Arrivals::Burst(size) => {
                let size = size.max(1);
                (f64::from(index / size) + phase) * f64::from(size) * gap
            }
        };
        nanos.round() as i64
    });
    due.take_while(|&nanos| nanos < until).collect()
}

/// A variate of the exponential distribution with mean 1, by inversion.
fn exponential(random: &mut StdRng) -> f64 {
    // From 0 to below 1, so that the logarithm is finite.
    let uniform: f64 = random.random();
    -(1.0 - uniform).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn fixed_gaps_are_absolute_and_do_not_drift() {
        let due = offsets(Arrivals::Fixed, 3.0, Extent::Count(3_000_001), (0, 1), 1);
        assert_eq!(due[0], 0);
        assert_eq!(due[1], 333_333_333);
        assert_eq!(due[3_000_000], 1_000_000 * SECOND, "no rounding adds up");
    }

    #[test]
    fn publishers_take_turns() {
        let second = offsets(Arrivals::Fixed, 1.0, Extent::Count(2), (1, 4), 1);
        assert_eq!(second, [SECOND / 4, SECOND / 4 + SECOND]);
    }

    #[test]
    fn bursts_keep_the_mean_rate() {
        let due = offsets(Arrivals::Burst(5), 10.0, Extent::Count(11), (0, 1), 1);
        assert_eq!(due[..5], [0; 5]);
        assert_eq!(due[5..10], [SECOND / 2; 5]);
        assert_eq!(due[10], SECOND);
    }

    #[test]
    fn a_duration_ends_before_its_end() {
        let extent = Extent::Duration(SECOND);
        assert_eq!(offsets(Arrivals::Fixed, 10.0, extent, (0, 1), 1).len(), 10);
    }

    /// Mean and standard deviation of exponential gaps are equal, and half of what lies within
    /// one mean is below ln 2 of it.
    #[test]
    fn poisson_gaps_are_exponential_and_repeatable() {
        let make = |seed| {
            offsets(
                Arrivals::Poisson,
                1_000.0,
                Extent::Count(20_000),
                (0, 1),
                seed,
            )
        };
        let due = make(7);
        assert_eq!(due, make(7));
        assert_ne!(due, make(8));
        let gaps: Vec<f64> = due
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64)
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean / 1e6 - 1.0).abs() < 0.03, "{mean}");
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.04, "{variance}");
        let short = gaps.iter().filter(|gap| **gap < mean * 2_f64.ln()).count();
        assert!(
            (short as f64 / gaps.len() as f64 - 0.5).abs() < 0.02,
            "{short}"
        );
    }
}
