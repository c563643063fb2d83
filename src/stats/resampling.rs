//! How sure one can be: permutations, resampled blocks, and families of tests.

use super::Random;
use super::rank::middle;

/// How often values are permuted.
pub const PERMUTATIONS: usize = 4_999;
/// How often blocks are drawn again.
pub const REPLICATES: usize = 2_000;
/// Fewer blocks than this say nothing of how blocks differ.
pub const FEWEST_BLOCKS: usize = 3;
/// An interval needs the statistic of at least this share of the resamples: where it is often
/// undefined, what is left is a selection.
const SHARE_DEFINED: f64 = 0.9;

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// A point of two quantities.
pub type Point = (f64, f64);

/// The percentile interval of a statistic when whole blocks are drawn again: what is measured in
/// one block belongs together, and the block is the unit (A. C. Davison, D. V. Hinkley, "Bootstrap
/// Methods and their Application", 1997, section 3.8).
///
/// `None` below [`FEWEST_BLOCKS`], and where a tenth of the resamples have no statistic.
pub fn block_interval<T: Clone>(
    blocks: &[Vec<T>],
    seed: u64,
    statistic: impl Fn(&[T]) -> Option<f64>,
) -> Option<Interval> {
    if blocks.len() < FEWEST_BLOCKS {
        return None;
    }
    let mut random = Random::new(seed);
    let mut drawn: Vec<T> = Vec::new();
    let values = (0..REPLICATES).filter_map(|_| {
        drawn.clear();
        for _ in 0..blocks.len() {
            drawn.extend_from_slice(&blocks[random.below(blocks.len())]);
        }
        statistic(&drawn)
    });
    percentiles(values.collect())
}

/// The middle 95 % of what resamples gave.
pub(super) fn percentiles(mut values: Vec<f64>) -> Option<Interval> {
    values.retain(|value| value.is_finite());
    if (values.len() as f64) < SHARE_DEFINED * REPLICATES as f64 {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    let at = |share: f64| values[((share * values.len() as f64) as usize).min(last)];
    Some(Interval {
        low: at(0.025),
        high: at(0.975),
    })
}

/// What two conditions gave in one block: the delays of their messages, in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair {
    /// Of the condition that is compared.
    pub a: Vec<f64>,
    /// Of the condition that it is compared with.
    pub b: Vec<f64>,
}

/// How the median of one condition differs from that of another, over blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contrast {
    /// The ratio a / b (geometric mean over pairs), or the difference a − b (middle over pairs).
    pub value: f64,
    /// Its interval, where there are blocks enough.
    pub interval: Option<Interval>,
}

/// The ratio of medians a / b: the geometric mean over all pairs. `blocks` holds the pairs of each
/// block. The interval draws blocks again, and within each pair the messages (their median's place
/// has a beta distribution, whatever that of the delays). `None` where a median is not positive,
/// or there is no pair.
#[must_use]
pub fn median_ratio(blocks: &[Vec<Pair>], seed: u64) -> Option<Contrast> {
    contrast(blocks, seed, |medians| {
        let logs = medians.iter().map(|(a, b)| (a / b).ln());
        let mean = logs.sum::<f64>() / medians.len() as f64;
        Some(mean.exp()).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
    })
}

/// The difference of medians a − b: the middle over all pairs. See [`median_ratio`].
#[must_use]
pub fn median_difference(blocks: &[Vec<Pair>], seed: u64) -> Option<Contrast> {
    contrast(blocks, seed, |medians| {
        let differences: Vec<f64> = medians.iter().map(|(a, b)| a - b).collect();
        middle(&differences)
    })
}

fn contrast(
    blocks: &[Vec<Pair>],
    seed: u64,
    over: impl Fn(&[Point]) -> Option<f64>,
) -> Option<Contrast> {
    let whole = |pair: &Pair| Some((median(&pair.a)?, median(&pair.b)?));
    let observed: Vec<Point> = blocks.iter().flatten().map(whole).collect::<Option<_>>()?;
    let value = over(&observed)?;
    let mut random = Random::new(seed);
    let interval = (blocks.len() >= FEWEST_BLOCKS).then(|| {
        let mut drawn: Vec<Point> = Vec::new();
        let values = (0..REPLICATES).filter_map(|_| {
            drawn.clear();
            for _ in 0..blocks.len() {
                for pair in &blocks[random.below(blocks.len())] {
                    let point = (
                        drawn_median(&pair.a, &mut random)?,
                        drawn_median(&pair.b, &mut random)?,
                    );
                    drawn.push(point);
                }
            }
            over(&drawn)
        });
        percentiles(values.collect())
    });
    Some(Contrast {
        value,
        interval: interval.flatten(),
    })
}

/// The value of rank ⌈n/2⌉.
fn median(sorted: &[f64]) -> Option<f64> {
    sorted
        .get(sorted.len().div_ceil(2).checked_sub(1)?)
        .copied()
}

/// The median of a resample: the value of rank ⌈n/2⌉ of n drawn again stands at a place of the
/// sample with the distribution Beta(⌈n/2⌉, n − ⌈n/2⌉ + 1).
fn drawn_median(sorted: &[f64], random: &mut Random) -> Option<f64> {
    let n = sorted.len() as f64;
    let rank = sorted.len().div_ceil(2) as f64;
    if rank < 1.0 {
        return None;
    }
    let place = random.beta(rank, n - rank + 1.0);
    sorted
        .get(((place * n) as usize).min(sorted.len() - 1))
        .copied()
}

/// The p-values of a family after Holm: each times the number of those at least as large, made
/// not to decrease, at most 1 (S. Holm, "A simple sequentially rejective multiple test
/// procedure", 1979). In the order in which they came.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut highest = 0.0_f64;
    for (before, &index) in order.iter().enumerate() {
        let left = (p_values.len() - before) as f64;
        highest = highest.max((p_values[index] * left).min(1.0));
        adjusted[index] = highest;
    }
    adjusted
}
