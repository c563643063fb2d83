//! Values over time in a fixed number of slices, so that a day and a second take the same room.

use crate::stats::HIGHEST_TRACKED;
use hdrhistogram::Histogram;

/// How many equal slices of time a figure has.
pub(in crate::report) const SLICES: usize = 240;
/// A figure with no more observations shows each.
const MOST_POINTS: usize = 1_500;

/// The slices of the time of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::report) struct Slices {
    /// When the first begins, nanoseconds since the Unix epoch.
    pub(in crate::report) from: i64,
    /// How long all of them are, in nanoseconds, at least 1.
    pub(in crate::report) length: i64,
}

impl Slices {
    pub(super) fn over(range: Option<(i64, i64)>) -> Self {
        let (from, to) = range.unwrap_or_default();
        Self {
            from,
            length: to.saturating_sub(from).max(1),
        }
    }

    /// The slice of a time; what lies outside counts to the first or the last.
    pub(super) fn index(self, time: i64) -> usize {
        let since = time.saturating_sub(self.from).clamp(0, self.length);
        let index = i128::from(since) * SLICES as i128 / i128::from(self.length);
        usize::try_from(index).unwrap_or(0).min(SLICES - 1)
    }

    /// Seconds from the beginning to the middle of a slice.
    pub(in crate::report) fn middle(self, index: usize) -> f64 {
        (index as f64 + 0.5) * self.slice_seconds()
    }

    /// Seconds of one slice.
    pub(in crate::report) fn slice_seconds(self) -> f64 {
        self.seconds() / SLICES as f64
    }

    /// Seconds of all.
    pub(in crate::report) fn seconds(self) -> f64 {
        self.length as f64 / 1e9
    }

    /// Seconds from the beginning to a time.
    pub(in crate::report) fn since(self, time: i64) -> f64 {
        time.saturating_sub(self.from) as f64 / 1e9
    }
}

/// One delay over time: each observation while they are few, quantiles of each slice afterwards.
#[derive(Clone, Debug)]
pub(in crate::report) struct DelaySeries {
    slices: Slices,
    /// Observations, without negative ones.
    pub(in crate::report) count: u64,
    points: Vec<(i64, i64)>,
    histograms: Vec<Option<Box<Histogram<u32>>>>,
}

/// What a slice of time holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct SliceQuantiles {
    /// Seconds from the beginning to the slice's middle.
    pub(in crate::report) at: f64,
    /// Median, 99th percentile (nearest rank, the maximum in a slice of few) and maximum, in ns.
    pub(in crate::report) median: f64,
    pub(in crate::report) high: f64,
}

impl DelaySeries {
    pub(super) fn new(slices: Slices) -> Self {
        Self {
            slices,
            count: 0,
            points: Vec::new(),
            histograms: vec![None; SLICES],
        }
    }

    /// Adds a delay that began at `time`.
    pub(super) fn record(&mut self, time: i64, delay: i64) {
        let Ok(value) = u64::try_from(delay) else {
            return;
        };
        self.count += 1;
        if self.points.len() < MOST_POINTS {
            self.points.push((time, delay));
        }
        if let Some(slot) = self.histograms.get_mut(self.slices.index(time)) {
            let histogram = slot.get_or_insert_with(|| {
                Box::new(Histogram::new(2).expect("two significant digits are allowed"))
            });
            let longest = HIGHEST_TRACKED.as_nanos().unsigned_abs();
            let recorded = histogram.record(value.clamp(1, longest));
            debug_assert!(recorded.is_ok(), "it grows by itself");
        }
    }

    /// Every observation (seconds from the beginning, nanoseconds), where they are few.
    pub(in crate::report) fn points(&self) -> Option<Vec<(f64, f64)>> {
        (self.count <= MOST_POINTS as u64).then(|| {
            let place = |(time, delay): &(i64, i64)| (self.slices.since(*time), *delay as f64);
            self.points.iter().map(place).collect()
        })
    }

    /// Quantiles of each slice that has an observation.
    pub(in crate::report) fn quantiles(&self) -> Vec<SliceQuantiles> {
        let slices = self.histograms.iter().enumerate();
        slices
            .filter_map(|(index, histogram)| {
                let histogram = histogram.as_ref()?;
                Some(SliceQuantiles {
                    at: self.slices.middle(index),
                    median: histogram.value_at_quantile(0.5) as f64,
                    high: histogram.value_at_quantile(0.99) as f64,
                })
            })
            .collect()
    }

    /// Shortest and longest delay, about.
    pub(in crate::report) fn extremes(&self) -> Option<(f64, f64)> {
        let histograms = || self.histograms.iter().flatten();
        let low = histograms().map(|histogram| histogram.min()).min()?;
        let high = histograms().map(|histogram| histogram.max()).max()?;
        Some((low as f64, high as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_hold_all_times() {
        let slices = Slices::over(Some((1_000, 2_000)));
        assert_eq!(slices.index(i64::MIN), 0);
        assert_eq!(slices.index(1_500), SLICES / 2);
        assert_eq!(slices.index(i64::MAX), SLICES - 1);
        let all = Slices::over(Some((i64::MIN, i64::MAX)));
        assert!(all.index(0) < SLICES);
        assert_eq!(Slices::over(None).index(5), SLICES - 1);
    }

    #[test]
    fn many_observations_become_quantiles() {
        let mut series = DelaySeries::new(Slices::over(Some((0, 240_000))));
        for n in 0..240_000 {
            series.record(n, 1_000 + n % 1_000);
        }
        assert!(series.points().is_none());
        let quantiles = series.quantiles();
        assert_eq!(quantiles.len(), SLICES);
        assert!((quantiles[3].median - 1_500.0).abs() < 20.0);
        assert!((quantiles[3].high - 1_990.0).abs() < 20.0);
    }
}
