//! Axes: a scale, its ends, and ticks with their labels, in one type for all figures.

use crate::results::grouped;
use crate::time::TimeDelta;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
    /// Of quantiles: the logarithm of 1 / (1 − q), so that 0.9, 0.99 and 0.999 are equally far
    /// apart, as in HdrHistogram's plots.
    Tail,
}

/// One axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    ticks: Vec<(f64, String)>,
    /// Parts of the axis that have no values, at its beginning and its end.
    before: f64,
    after: f64,
}

impl Axis {
    const fn new(scale: Scale, from: f64, to: f64, ticks: Vec<(f64, String)>) -> Self {
        Self {
            scale,
            from,
            to,
            ticks,
            before: 0.0,
            after: 0.0,
        }
    }

    /// Delays in nanoseconds on a logarithmic scale, wide enough for all that is from `from` to
    /// `to`.
    pub(super) fn delays(from: f64, to: f64) -> Self {
        let (low, high) = decades(from.max(1.0), to.max(1.0));
        Self::decades(low, high, |exponent| {
            short_delay(10_f64.powi(exponent) as i64)
        })
    }

    /// Shares of a whole on a logarithmic scale, up to all of it.
    pub(super) fn shares(from: f64) -> Self {
        let low = from.clamp(1e-9, 0.1).log10().floor() as i32;
        Self::decades(low, 0, |exponent| {
            let text = format!("{:.9}", 10_f64.powi(exponent + 2));
            format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
        })
    }

    /// Powers of ten from `low` to `high`, and 2 and 5 between where there is room.
    fn decades(low: i32, high: i32, label: impl Fn(i32) -> String) -> Self {
        let step = 1 + (high - low) / 10;
        let exponents = (low..=high).filter(|exponent| (exponent - low) % step == 0);
        let ticks = exponents.map(|exponent| (10_f64.powi(exponent), label(exponent)));
        let (from, to) = (10_f64.powi(low), 10_f64.powi(high));
        Self::new(Scale::Logarithmic, from, to, ticks.collect())
    }

    /// Quantiles from 0 to the last that `count` observations have.
    pub(super) fn quantiles(count: u64) -> Self {
        let last = 1.0 - 1.0 / (count.max(10) as f64);
        let ticks: [(f64, &str); 9] = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.99999, "99.999 %"),
            (0.999_999, "99.9999 %"),
            (0.999_999_9, "99.99999 %"),
        ];
        let ticks = ticks
            .into_iter()
            .filter(|(quantile, _)| *quantile <= last)
            .map(|(quantile, label)| (quantile, label.to_owned()));
        Self::new(Scale::Tail, 0.0, last, ticks.collect())
    }

    /// Shares from none to all on a linear scale.
    pub(super) fn cumulative() -> Self {
        let ticks = (0..=4).map(|quarter| {
            let share = f64::from(quarter) / 4.0;
            (share, format!("{:.0} %", share * 100.0))
        });
        Self::new(Scale::Linear, 0.0, 1.0, ticks.collect())
    }

    /// Counts or rates from 0 to at least `to`.
    pub(super) fn amounts(to: f64, label: impl Fn(f64) -> String) -> Self {
        let (step, high) = steps(to.max(f64::MIN_POSITIVE), 5);
        let number = (high / step).round() as i32;
        let ticks = (0..=number).map(|index| {
            let value = f64::from(index) * step;
            (value, label(value))
        });
        Self::new(Scale::Linear, 0.0, high, ticks.collect())
    }

    /// Seconds since the beginning, up to `seconds`, in the unit that reads best.
    pub(super) fn elapsed(seconds: f64) -> (Self, &'static str) {
        let (unit, name) = match seconds {
            s if s < 1e-3 => (1e-6, "µs"),
            s if s < 1.0 => (1e-3, "ms"),
            s if s < 600.0 => (1.0, "s"),
            s if s < 36_000.0 => (60.0, "min"),
            s if s < 864_000.0 => (3_600.0, "h"),
            _ => (86_400.0, "d"),
        };
        let whole = (seconds / unit).max(f64::MIN_POSITIVE);
        let (step, _) = steps(whole, 8);
        let number = (whole / step * 1.000_001).floor() as i32;
        let ticks = (0..=number).map(|index| {
            let value = f64::from(index) * step;
            (value * unit, plain(value))
        });
        let to = seconds.max(1e-9);
        (Self::new(Scale::Linear, 0.0, to, ticks.collect()), name)
    }

    /// Delays in nanoseconds from none to at least `to` on a linear scale.
    pub(super) fn lengths(to: f64) -> Self {
        Self::amounts(to.max(1.0), |nanos| match nanos {
            n if n <= 0.0 => "0".to_owned(),
            n if n < 1e3 => format!("{} ns", plain(n)),
            n if n < 1e6 => format!("{} µs", plain(n / 1e3)),
            n if n < 1e9 => format!("{} ms", plain(n / 1e6)),
            n => format!("{} s", plain(n / 1e9)),
        })
    }

    /// Shares of a whole on a linear scale, from none to at least `to`.
    pub(super) fn portions(to: f64) -> Self {
        let mut axis = Self::amounts(to.clamp(1e-6, 1.0) * 100.0, |share| {
            format!("{} %", fine(share))
        });
        axis.to /= 100.0;
        for (value, _) in &mut axis.ticks {
            *value /= 100.0;
        }
        axis
    }

    /// Places of categories: the middle of the first at 0.5, of the second at 1.5.
    pub(super) fn places(labels: impl Iterator<Item = String>) -> Self {
        let ticks: Vec<(f64, String)> = (0..)
            .zip(labels)
            .map(|(index, label)| (f64::from(index) + 0.5, label))
            .collect();
        let to = ticks.len().max(1) as f64;
        Self::new(Scale::Linear, 0.0, to, ticks)
    }

    /// Ratios around 1 on a logarithmic scale.
    pub(super) fn ratios(low: f64, high: f64) -> Self {
        let round: Vec<f64> = (-5..=6)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
            .collect();
        let below = round.iter().rev().find(|tick| **tick <= low.min(0.5));
        let above = round.iter().find(|tick| **tick >= high.max(2.0));
        let (from, to) = (
            below.copied().unwrap_or(1e-5),
            above.copied().unwrap_or(5e6),
        );
        let decades = (to / from).log10();
        let ticks = round
            .into_iter()
            .filter(|tick| (from..=to).contains(tick))
            // Whole powers of ten, and 2 and 5 between them where there are few.
            .filter(|tick| decades < 4.0 || (tick.log10() - tick.log10().round()).abs() < 1e-6)
            .map(|tick| (tick, format!("× {}", fine(tick))))
            .collect();
        Self::new(Scale::Logarithmic, from, to, ticks)
    }

    /// Leaves out labels that would touch in so many pixels, and their lines.
    pub(super) fn thinned(mut self, width: i32) -> Self {
        let mut free = f64::NEG_INFINITY;
        let all = std::mem::take(&mut self.ticks);
        for (value, label) in all {
            let middle = self.place(value) * f64::from(width);
            let half = f64::from(super::font::width(&label, 12.0)) * 0.5 * 1.16;
            if middle - half >= free {
                free = middle + half + 8.0;
                self.ticks.push((value, label));
            }
        }
        self
    }

    /// Places of rows, the first on top; the rows' names are drawn by who has them.
    pub(super) fn rows(rows: usize) -> Self {
        Self::new(Scale::Linear, rows as f64, 0.0, Vec::new())
    }

    /// The lowest value.
    pub(super) const fn start(&self) -> f64 {
        self.from
    }

    /// The highest value.
    pub(super) const fn end(&self) -> f64 {
        self.to
    }

    /// Leaves room before the beginning and behind the end: parts of the whole.
    pub(super) fn widen(&mut self, before: f64, after: f64) {
        (self.before, self.after) = (before, after);
    }

    /// Each tick: its value and its label.
    pub(super) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// The widest label, to leave room for it.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        self.ticks.iter().map(|(_, label)| label.as_str())
    }

    /// From 0 at the beginning to 1 at the end.
    fn place(&self, value: f64) -> f64 {
        let on_scale = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(1e-300).log10(),
            Scale::Tail => -(1.0 - value).max(1e-15).log10(),
        };
        let (from, to) = (on_scale(self.from), on_scale(self.to));
        if to == from {
            return 0.0;
        }
        let place = ((on_scale(value) - from) / (to - from)).clamp(-0.001, 1.001);
        self.before + place * (1.0 - self.before - self.after)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (begin, end): (i32, i32)) -> i32 {
        begin + (f64::from(end - begin) * self.place(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(known, _)| known == value);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// A number of any size with the digits that it has, at most three.
fn fine(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() >= 1.0 {
        return plain(value);
    }
    let digits = (2.0 - value.abs().log10().floor()) as usize;
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Exponents of the powers of ten around both, at least one decade.
fn decades(from: f64, to: f64) -> (i32, i32) {
    let low = from.log10().floor() as i32;
    let high = (to.log10() - 1e-9).ceil() as i32;
    (low, high.max(low + 1))
}

/// A round step of which about `wanted` make `to`, and the first multiple that is not below it.
fn steps(to: f64, wanted: u32) -> (f64, f64) {
    let raw = to / f64::from(wanted);
    let power = 10_f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= raw * 0.999_999)
        .unwrap_or(10.0);
    let step = factor * power;
    (step, (to / step - 1e-9).ceil().max(1.0) * step)
}

/// `1 ms`, `100 µs`: powers of ten without the digits that [`TimeDelta`] adds.
fn short_delay(nanos: i64) -> String {
    match nanos {
        ..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} µs", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        1_000_000_000..10_000_000_000_000 => format!("{} s", nanos / 1_000_000_000),
        _ => TimeDelta::from_nanos(nanos).to_string(),
    }
}

/// A number of an axis: grouped, with the decimals that its steps need.
pub(super) fn plain(value: f64) -> String {
    if value >= 1_000.0 {
        return grouped(value.round() as u64);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_read_well() {
        let labels = |axis: &Axis| axis.labels().collect::<Vec<_>>().join(" ");
        assert_eq!(labels(&Axis::delays(131e3, 1.32e6)), "100 µs 1 ms 10 ms");
        assert_eq!(labels(&Axis::delays(0.0, 0.0)), "1 ns 10 ns");
        assert_eq!(labels(&Axis::quantiles(310)), "0 % 50 % 90 % 99 %");
        assert_eq!(labels(&Axis::amounts(7.0, plain)), "0 2 4 6 8");
        assert_eq!(labels(&Axis::shares(0.003)), "0.1 % 1 % 10 % 100 %");
        assert_eq!(
            labels(&Axis::lengths(2.3e6)),
            "0 500 µs 1 ms 1.5 ms 2 ms 2.5 ms"
        );
        assert_eq!(
            labels(&Axis::portions(0.004)),
            "0 % 0.1 % 0.2 % 0.3 % 0.4 %"
        );
        assert_eq!(
            labels(&Axis::portions(0.95)),
            "0 % 20 % 40 % 60 % 80 % 100 %"
        );
        assert_eq!(labels(&Axis::ratios(0.9, 3.4)), "× 0.5 × 1 × 2 × 5");
        let narrow = Axis::delays(1e3, 1e9).thinned(120);
        assert!(narrow.labels().count() < 4, "{}", labels(&narrow));
        let (axis, unit) = Axis::elapsed(90.0);
        assert_eq!((labels(&axis).as_str(), unit), ("0 20 40 60 80", "s"));
        let (axis, unit) = Axis::elapsed(0.0);
        assert!(axis.labels().count() < 20, "{unit}");
    }

    #[test]
    fn quantiles_are_spread_at_the_tail() {
        let axis = Axis::quantiles(10_000);
        let [ninety, ninety_nine, last] = [0.9, 0.99, 0.999].map(|q| axis.map(&q, (0, 4_000)));
        assert_eq!([ninety, ninety_nine, last], [1_000, 2_000, 3_000]);
    }
}
