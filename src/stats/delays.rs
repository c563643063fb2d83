//! The distribution of a delay.

use crate::time::TimeDelta;
use hdrhistogram::Histogram;

/// The longest delay that the histogram tells apart: one hour. Longer ones stand in its last
/// bucket; their exact values are still in the mean and the extremes.
pub const HIGHEST_TRACKED: TimeDelta = TimeDelta::from_secs(3600);

/// A quantile is given only where at least so many observations lie beyond it.
pub const OBSERVATIONS_BEYOND: u64 = 10;

const SIGNIFICANT_DIGITS: u8 = 3;

/// Each power of two from 2048 ns on is divided into so many buckets; below, each nanosecond has
/// one: HdrHistogram's layout for three significant digits.
const HALF: u64 = 1024;

/// A histogram of delays in nanoseconds, with three significant digits from 1 ns to
/// [`HIGHEST_TRACKED`], beside an exact count, mean, minimum and maximum.
///
/// Negative delays (a clock that ran backwards, or frames stored out of order) are observations:
/// they count, and are in the mean, the minimum and the maximum. They are in neither the
/// histogram nor the quantiles, and [`Delays::negative`] says how many there are.
///
/// An empty one owns no memory; one with observations takes 8 KiB for each power of two in which
/// there are any, up to about 260 KiB for all from a nanosecond to an hour.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// Counts of what is not negative, by [`bucket_of`], [`HALF`] in a row, and no row where there
    /// is nothing to count: bare arrays, since two or three of these are written to for every
    /// handshake.
    rows: Vec<Box<[u64]>>,
    negative: u64,
    /// Exact: 2⁶⁴ observations of 64 bits do not overflow it.
    sum: i128,
    extremes: Option<Extremes>,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Extremes {
    min: i64,
    max: i64,
}

impl Delays {
    /// Without an observation, and without memory of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one observation.
    #[inline]
    pub fn record(&mut self, delay: TimeDelta) {
        let nanos = delay.as_nanos();
        self.count += 1;
        self.sum += i128::from(nanos);
        self.widen(Extremes {
            min: nanos,
            max: nanos,
        });
        match u64::try_from(nanos) {
            Err(_) => self.negative += 1,
            Ok(nanos) => {
                let bucket = bucket_of(nanos.min(HIGHEST_TRACKED.as_nanos().unsigned_abs()));
                let row = self.rows.get_mut(bucket / HALF as usize);
                match row.and_then(|row| row.get_mut(bucket % HALF as usize)) {
                    Some(count) => *count += 1,
                    None => self.row(bucket / HALF as usize)[bucket % HALF as usize] += 1,
                }
            }
        }
    }

    /// A row, made where there is none.
    #[cold]
    fn row(&mut self, index: usize) -> &mut [u64] {
        if self.rows.len() <= index {
            self.rows.resize_with(index + 1, Box::default);
        }
        let row = &mut self.rows[index];
        if row.is_empty() {
            *row = vec![0; HALF as usize].into();
        }
        row
    }

    /// Buckets that counted something, in ascending order, with their counts.
    fn buckets(&self) -> impl Iterator<Item = (usize, u64)> {
        let rows = self.rows.iter().zip((0..).step_by(HALF as usize));
        rows.flat_map(|(row, first)| (first..).zip(row.iter().copied()))
            .filter(|&(_, count)| count > 0)
    }

    /// Adds all observations of `other`: the result is that of recording both here.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.negative += other.negative;
        self.sum += other.sum;
        if let Some(extremes) = other.extremes {
            self.widen(extremes);
        }
        for (index, theirs) in other.rows.iter().enumerate() {
            if !theirs.is_empty() {
                let ours = self.row(index).iter_mut();
                ours.zip(theirs).for_each(|(ours, theirs)| *ours += theirs);
            }
        }
    }

    fn widen(&mut self, by: Extremes) {
        self.extremes = Some(self.extremes.map_or(by, |old| Extremes {
            min: old.min.min(by.min),
            max: old.max.max(by.max),
        }));
    }

    /// The number of observations, negative ones included.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The number of negative observations.
    #[must_use]
    pub const fn negative(&self) -> u64 {
        self.negative
    }

    /// Whether there is no observation.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The smallest observation in nanoseconds, exact, negative ones included.
    #[must_use]
    pub fn min(&self) -> Option<i64> {
        self.extremes.map(|extremes| extremes.min)
    }

    /// The largest observation in nanoseconds, exact, also beyond [`HIGHEST_TRACKED`].
    #[must_use]
    pub fn max(&self) -> Option<i64> {
        self.extremes.map(|extremes| extremes.max)
    }

    /// The mean of all observations, negative ones included, rounded down to nanoseconds.
    #[must_use]
    pub fn mean(&self) -> Option<i64> {
        if self.count == 0 {
            return None;
        }
        i64::try_from(self.sum.div_euclid(i128::from(self.count))).ok()
    }

    /// The quantile `q` (0 to 1) by nearest rank, in nanoseconds: of the `n` observations that
    /// are not negative, in ascending order, the one with rank ⌈q·n⌉, at least the first. `None`
    /// where fewer than [`OBSERVATIONS_BEYOND`] have a higher rank: the median of 19
    /// observations has rank 10 and 9 beyond it, and is not given.
    ///
    /// The value is the upper end of the histogram's bucket, so at most 0.1 % above the
    /// observation itself, and never above [`Delays::max`]. Ranks that fall on delays above
    /// [`HIGHEST_TRACKED`] give about that.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<i64> {
        let recorded = self.count - self.negative;
        let rank = nearest_rank(q, recorded);
        if recorded.saturating_sub(rank) < OBSERVATIONS_BEYOND {
            return None;
        }
        let mut below = 0;
        let (bucket, _) = self.buckets().find(|&(_, count)| {
            below += count;
            below >= rank
        })?;
        let value = i64::try_from(extent_of(bucket).1).ok()?;
        Some(value.min(self.max()?))
    }

    /// The histogram of what is not negative, for those who write it out; `None` where there is
    /// no such observation.
    #[must_use]
    pub fn histogram(&self) -> Option<Histogram<u64>> {
        if self.rows.is_empty() {
            return None;
        }
        let mut histogram =
            Histogram::new(SIGNIFICANT_DIGITS).expect("three significant digits are allowed");
        for (bucket, count) in self.buckets() {
            let recorded = histogram.record_n(extent_of(bucket).0, count);
            debug_assert!(recorded.is_ok(), "it grows by itself");
        }
        Some(histogram)
    }
}

/// The bucket that counts a value.
fn bucket_of(nanos: u64) -> usize {
    // How many powers of two it is beyond the range where each nanosecond has a bucket.
    let power = u64::from(53 - (nanos | (2 * HALF - 1)).leading_zeros());
    (power * HALF + (nanos >> power)) as usize
}

/// The lowest and the highest value that a bucket counts.
fn extent_of(bucket: usize) -> (u64, u64) {
    let bucket = bucket as u64;
    let power = (bucket / HALF).saturating_sub(1);
    let lowest = (bucket - power * HALF) << power;
    (lowest, lowest + ((1 << power) - 1))
}

/// ⌈q·n⌉, from 1 to n. A product that misses an integer by a rounding error only is that integer:
/// 0.07 × 100 is 7.000000000000001 in floating point, and its rank is 7.
pub(super) fn nearest_rank(q: f64, n: u64) -> u64 {
    let product = q.clamp(0.0, 1.0) * n as f64;
    let integer = product.round();
    let rank = if (product - integer).abs() <= product * 1e-14 {
        integer
    } else {
        product.ceil()
    };
    (rank as u64).clamp(1, n.max(1))
}

#[cfg(test)]
mod tests;
