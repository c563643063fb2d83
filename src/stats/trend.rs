//! Whether values grow with time.

use super::correlation::{PairCounts, run_lengths};

/// What time does to a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Kendall's τ-b of the values with their order, from −1 to 1.
    pub tau: f64,
    /// The two-sided p-value of no trend: normal approximation, corrected for ties. Observations
    /// are taken as independent, so a queue's delays look more certain than they are.
    pub p_value: f64,
    /// The median of the last quarter over that of the first.
    pub growth: Option<f64>,
}

/// Fewer values show no trend.
const FEWEST: usize = 16;

/// The test of Mann and Kendall on values in the order of time (H. B. Mann, "Nonparametric tests
/// against trend", 1945). `None` below 16 values, and where all are equal.
#[must_use]
pub fn trend(values: &[f64]) -> Option<Trend> {
    if values.len() < FEWEST || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let order: Vec<f64> = (0..values.len()).map(|index| index as f64).collect();
    let counts = PairCounts::of(&order, values);
    let untied = (counts.pairs - counts.tied_y) as f64;
    if untied <= 0.0 {
        return None;
    }
    let score = counts.score() as f64;
    let tau = score / (counts.pairs as f64).sqrt() / untied.sqrt();
    let z = score / variance(values).sqrt();
    Some(Trend {
        tau: tau.clamp(-1.0, 1.0),
        p_value: two_sided(z),
        growth: growth(values),
    })
}

/// Of the score when time has no ties (M. G. Kendall, "Rank Correlation Methods", 1970, chapter 4).
fn variance(values: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let ties = run_lengths(&sorted, |a, b| a == b);
    let tied: f64 = ties.into_iter().map(|run| term(run as f64)).sum();
    (term(values.len() as f64) - tied) / 18.0
}

fn growth(values: &[f64]) -> Option<f64> {
    let quarter = values.len() / 4;
    let [first, last] =
        [&values[..quarter], &values[values.len() - quarter..]].map(super::rank::middle);
    let (first, last) = (first?, last?);
    (first > 0.0).then(|| last / first)
}

/// The probability that a standard normal value is at least so far from 0.
#[must_use]
pub fn two_sided(z: f64) -> f64 {
    erfc(z.abs() / std::f64::consts::SQRT_2).clamp(0.0, 1.0)
}

/// The complementary error function for x ≥ 0: its series below 2, its continued fraction above.
fn erfc(x: f64) -> f64 {
    let scale = (-x * x).exp() / std::f64::consts::PI.sqrt();
    if x < 2.0 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return 1.0 - 2.0 * scale * sum;
    }
    // x + (1/2)/(x + (2/2)/(x + (3/2)/(x + …))), from far inside outwards.
    let fraction = (1..=200)
        .rev()
        .fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    scale / fraction
}
