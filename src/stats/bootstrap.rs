//! How sure one can be of the ratio of two quantiles.

use super::random::Random;
use hdrhistogram::Histogram;

/// How often both samples are drawn again.
const REPLICATES: usize = 4_000;
/// The random numbers are the same every time, so the same data have the same interval.
const SEED: u64 = 0x6d71_7474_7363_6f70;

/// A ratio with a 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio of what was observed.
    pub ratio: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Ratio {
    /// Whether the interval is all on one side of 1.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// The ratio of the quantile `q` (0 to 1) of `a` to that of `b`, with the percentile interval of
/// the bootstrap (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
///
/// No sample is really drawn again: the value of rank ⌈q·n⌉ of a resample of n is the sample's
/// quantile at a random place with the distribution Beta(⌈q·n⌉, n − ⌈q·n⌉ + 1), whatever the
/// sample's distribution is. So the effort does not grow with n. `None` where one is empty, or
/// where the quantile of `b` is 0.
///
/// The interval takes observations as independent. Delays of a queue are not: one is then less
/// sure than it says.
#[must_use]
pub fn quantile_ratio(a: &Histogram<u64>, b: &Histogram<u64>, q: f64) -> Option<Ratio> {
    let (a, b) = (Cumulative::of(a)?, Cumulative::of(b)?);
    let [(rank_a, value_a), (rank_b, value_b)] = [&a, &b].map(|sample| {
        let rank = (q.clamp(0.0, 1.0) * sample.total as f64).ceil().max(1.0);
        (rank, sample.at_rank(rank as u64))
    });
    if value_b <= 0.0 {
        return None;
    }
    let mut random = Random::new(SEED);
    let mut ratios: Vec<f64> = (0..REPLICATES)
        .map(|_| {
            let [x, y] = [(&a, rank_a), (&b, rank_b)].map(|(sample, rank)| {
                let n = sample.total as f64;
                let place = random.beta(rank, n - rank + 1.0);
                sample.at_rank((place * n).ceil().max(1.0) as u64)
            });
            x / y.max(1.0)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((share * REPLICATES as f64) as usize).min(REPLICATES - 1)];
    Some(Ratio {
        ratio: value_a / value_b,
        low: at(0.025),
        high: at(0.975),
    })
}

/// Counts up to each value.
struct Cumulative {
    total: u64,
    steps: Vec<(u64, f64)>,
}

impl Cumulative {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let mut total = 0;
        let buckets = histogram.iter_recorded();
        let steps: Vec<(u64, f64)> = buckets
            .map(|bucket| {
                total += bucket.count_at_value();
                (total, bucket.value_iterated_to() as f64)
            })
            .collect();
        (total > 0).then_some(Self { total, steps })
    }

    fn at_rank(&self, rank: u64) -> f64 {
        let index = self.steps.partition_point(|(count, _)| *count < rank);
        let step = self.steps.get(index).or(self.steps.last());
        step.map_or(0.0, |(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(n: u64, scale: f64, seed: u64) -> Histogram<u64> {
        let mut random = Random::new(seed);
        let mut histogram = Histogram::new(3).unwrap();
        for _ in 0..n {
            let delay = -random.uniform().ln() * scale;
            histogram.record(delay as u64 + 1).unwrap();
        }
        histogram
    }

    /// 95 % of intervals hold the true ratio, here 2, about.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut held = 0;
        for seed in 0..100 {
            let a = sample(400, 2e6, seed * 2 + 1);
            let b = sample(300, 1e6, seed * 2 + 2);
            let ratio = quantile_ratio(&a, &b, 0.5).unwrap();
            held += u32::from(ratio.low <= 2.0 && 2.0 <= ratio.high);
        }
        assert!((88..=100).contains(&held), "{held} of 100");
    }

    #[test]
    fn the_same_is_no_different() {
        let a = sample(1_000, 1e6, 7);
        let ratio = quantile_ratio(&a, &a, 0.99).unwrap();
        assert_eq!(ratio.ratio, 1.0);
        assert!(ratio.low < 1.0 && ratio.high > 1.0 && !ratio.differs());
        let empty = Histogram::new(3).unwrap();
        assert!(quantile_ratio(&a, &empty, 0.5).is_none());
    }
}
