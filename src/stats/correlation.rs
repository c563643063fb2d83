//! How two quantities go together.

use super::rank::ranks;
use std::fmt;

/// Fewer pairs than this have no coefficient: two always lie on a line.
pub const FEWEST_PAIRS: usize = 3;

/// Why a statistic does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undefined {
    /// Fewer than [`FEWEST_PAIRS`] observations, or no more than there are quantities held.
    TooFew,
    /// The first quantity has one value only.
    FirstConstant,
    /// The second quantity has one value only.
    SecondConstant,
    /// Both have.
    BothConstant,
    /// What is held explains all of the first quantity, or all of the second.
    Explained,
    /// The two do not have equally many values, or one is no number.
    Mismatched,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooFew => "too few observations",
            Self::FirstConstant => "no variance in x",
            Self::SecondConstant => "no variance in y",
            Self::BothConstant => "no variance in x and y",
            Self::Explained => "explained by what is held",
            Self::Mismatched => "values missing",
        })
    }
}

/// Which coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Of ranks, ties with the mean of theirs.
    Spearman,
    /// Of the order of pairs, corrected for ties on both sides.
    KendallTauB,
    /// Of the values.
    Pearson,
    /// [`Method::Pearson`] where one quantity is 0 or 1.
    PointBiserial,
}

impl Method {
    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spearman => "spearman",
            Self::KendallTauB => "kendall_tau_b",
            Self::Pearson => "pearson",
            Self::PointBiserial => "point_biserial",
        }
    }

    /// The coefficient of `x` and `y`, from −1 to 1.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn of(self, x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
        match self {
            Self::Spearman => spearman(x, y),
            Self::KendallTauB => kendall_tau_b(x, y),
            Self::Pearson | Self::PointBiserial => pearson(x, y),
        }
    }
}

/// Says what is missing of two quantities to have a coefficient.
pub(super) fn check(x: &[f64], y: &[f64]) -> Result<(), Undefined> {
    if x.len() != y.len() || x.iter().chain(y).any(|value| !value.is_finite()) {
        return Err(Undefined::Mismatched);
    }
    if x.len() < FEWEST_PAIRS {
        return Err(Undefined::TooFew);
    }
    let constant = |values: &[f64]| values.iter().all(|value| *value == values[0]);
    match (constant(x), constant(y)) {
        (true, true) => Err(Undefined::BothConstant),
        (true, false) => Err(Undefined::FirstConstant),
        (false, true) => Err(Undefined::SecondConstant),
        (false, false) => Ok(()),
    }
}

/// The correlation of Pearson.
///
/// # Errors
///
/// Why there is none.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    let (x, y) = (centred(x), centred(y));
    let product = dot(&x, &y) / (dot(&x, &x).sqrt() * dot(&y, &y).sqrt());
    // Values so close that their squares vanish have no variance either.
    if product.is_finite() {
        Ok(product.clamp(-1.0, 1.0))
    } else {
        Err(Undefined::BothConstant)
    }
}

/// The rank correlation of Spearman.
///
/// # Errors
///
/// Why there is none.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    pearson(&ranks(x), &ranks(y))
}

/// The rank correlation of Kendall, τ-b: of few tied levels, such as QoS, it makes the best.
///
/// W. R. Knight, "A computer method for calculating Kendall's tau with ungrouped data", Journal
/// of the American Statistical Association 61 (1966), 436–439: n·log n steps.
///
/// # Errors
///
/// Why there is none.
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    let counts = PairCounts::of(x, y);
    let untied_x = counts.pairs - counts.tied_x;
    let untied_y = counts.pairs - counts.tied_y;
    let tau = counts.score() as f64 / (untied_x as f64).sqrt() / (untied_y as f64).sqrt();
    Ok(tau.clamp(-1.0, 1.0))
}

/// What the pairs of pairs say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PairCounts {
    pub(super) pairs: i64,
    pub(super) tied_x: i64,
    pub(super) tied_y: i64,
    tied_both: i64,
    discordant: i64,
}

impl PairCounts {
    pub(super) fn of(x: &[f64], y: &[f64]) -> Self {
        // The two zeros are one value.
        let mut points: Vec<(f64, f64)> =
            x.iter().zip(y).map(|(x, y)| (x + 0.0, y + 0.0)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let n = points.len() as i64;
        let tied_x = tied(&points, |a, b| a.0 == b.0);
        let tied_both = tied(&points, |a, b| a == b);
        let mut y: Vec<f64> = points.into_iter().map(|(_, y)| y).collect();
        let discordant = inversions(&mut y);
        Self {
            pairs: n * (n - 1) / 2,
            tied_x,
            tied_y: tied(&y, |a, b| a == b),
            tied_both,
            discordant,
        }
    }

    /// Concordant minus discordant pairs.
    pub(super) const fn score(&self) -> i64 {
        self.pairs - self.tied_x - self.tied_y + self.tied_both - 2 * self.discordant
    }
}

/// Lengths of the runs of what is equal.
pub(super) fn run_lengths<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> Vec<i64> {
    sorted
        .chunk_by(|a, b| equal(a, b))
        .map(|run| run.len() as i64)
        .collect()
}

fn tied<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> i64 {
    let runs = run_lengths(sorted, equal);
    runs.into_iter().map(|run| run * (run - 1) / 2).sum()
}

/// Sorts, and counts the pairs that stood the wrong way round.
pub(super) fn inversions<T: PartialOrd + Copy>(values: &mut [T]) -> i64 {
    let mut count = 0;
    let mut merged = values.to_vec();
    let mut width = 1;
    while width < values.len() {
        for start in (0..values.len()).step_by(2 * width) {
            let middle = (start + width).min(values.len());
            let end = (start + 2 * width).min(values.len());
            let (mut left, mut right) = (start, middle);
            for slot in &mut merged[start..end] {
                let take_left = left < middle && (right >= end || values[left] <= values[right]);
                if take_left {
                    *slot = values[left];
                    left += 1;
                } else {
                    *slot = values[right];
                    right += 1;
                    count += (middle - left) as i64;
                }
            }
        }
        values.copy_from_slice(&merged);
        width *= 2;
    }
    count
}

/// Spearman's correlation of what is left of `x` and `y` when `held` are taken out: the
/// correlation of the residuals of their ranks, after least squares on the ranks of each held
/// quantity.
///
/// # Errors
///
/// Why there is none.
pub fn partial_spearman(x: &[f64], y: &[f64], held: &[&[f64]]) -> Result<f64, Undefined> {
    check(x, y)?;
    if held.iter().any(|values| values.len() != x.len()) {
        return Err(Undefined::Mismatched);
    }
    if x.len() < FEWEST_PAIRS + held.len() {
        return Err(Undefined::TooFew);
    }
    let basis = orthonormal(held);
    let [x, y] = [x, y].map(|values| {
        let whole = centred(&ranks(values));
        let rest = without(&whole, &basis);
        // What is left of rounding alone is nothing.
        (dot(&rest, &rest) > 1e-18 * dot(&whole, &whole)).then_some(rest)
    });
    match (x, y) {
        (Some(x), Some(y)) => {
            let product = dot(&x, &y) / (dot(&x, &x).sqrt() * dot(&y, &y).sqrt());
            Ok(product.clamp(-1.0, 1.0))
        }
        _ => Err(Undefined::Explained),
    }
}

/// Gram and Schmidt, twice for the digits; what depends on those before it adds nothing.
fn orthonormal(held: &[&[f64]]) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for values in held {
        let whole = centred(&ranks(values));
        let rest = without(&without(&whole, &basis), &basis);
        let length = dot(&rest, &rest).sqrt();
        if length > 1e-9 * dot(&whole, &whole).sqrt() {
            basis.push(rest.iter().map(|value| value / length).collect());
        }
    }
    basis
}

fn without(values: &[f64], basis: &[Vec<f64>]) -> Vec<f64> {
    let mut rest = values.to_vec();
    for direction in basis {
        let share = dot(&rest, direction);
        for (value, along) in rest.iter_mut().zip(direction) {
            *value -= share * along;
        }
    }
    rest
}

/// Without the mean. Far from zero (points in time) the mean itself has lost digits: the
/// differences from the first value have not.
pub(super) fn centred(values: &[f64]) -> Vec<f64> {
    let Some(&first) = values.first() else {
        return Vec::new();
    };
    let near: Vec<f64> = values.iter().map(|value| value - first).collect();
    let mean = near.iter().sum::<f64>() / near.len() as f64;
    near.into_iter().map(|value| value - mean).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A line through points by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Change of y with one unit of x.
    pub slope: f64,
    /// y where x is 0.
    pub intercept: f64,
}

/// The line of least squares through (`x`, `y`).
///
/// # Errors
///
/// Why there is none.
pub fn line(x: &[f64], y: &[f64]) -> Result<Line, Undefined> {
    match check(x, y) {
        Ok(()) | Err(Undefined::SecondConstant) => {}
        Err(reason) => return Err(reason),
    }
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (x, y) = (centred(x), centred(y));
    let slope = dot(&x, &y) / dot(&x, &x);
    if !slope.is_finite() {
        return Err(Undefined::FirstConstant);
    }
    Ok(Line {
        slope,
        intercept: mean_y - slope * mean_x,
    })
}
