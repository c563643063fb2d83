//! A share of a whole, and how sure one can be of it.

use serde::{Deserialize, Serialize};

/// The standard normal quantile of a two-sided 95 % interval.
pub const Z_95: f64 = 1.959_963_984_540_054;

/// `count` of `of`, as a ratio with a 95 % confidence interval.
///
/// The interval is Wilson's score interval. Where nothing was counted it is from 0 to 3/`of`,
/// at most 1 (the "rule of three", the usual upper bound for an event that was never seen). Where
/// there was nothing to count (`of` = 0) ratio and interval do not exist.
///
/// The interval takes observations as independent. Losses often come in bursts; the true
/// uncertainty is then larger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// How many had the property.
    pub count: u64,
    /// How many there were.
    pub of: u64,
    /// `count / of`, from 0 to 1.
    pub ratio: Option<f64>,
    /// The lower end of the interval, from 0 to 1.
    pub ci_low: Option<f64>,
    /// The upper end of the interval, from 0 to 1.
    pub ci_high: Option<f64>,
}

impl Proportion {
    /// The proportion with its interval. A `count` above `of` is taken as `of`.
    #[must_use]
    pub fn new(count: u64, of: u64) -> Self {
        debug_assert!(count <= of, "{count} of {of}");
        let count = count.min(of);
        let interval = match (count, of) {
            (_, 0) => None,
            (0, of) => Some((0.0, (3.0 / of as f64).min(1.0))),
            _ => Some(wilson(count, of, Z_95)),
        };
        Self {
            count,
            of,
            ratio: (of > 0).then(|| count as f64 / of as f64),
            ci_low: interval.map(|(low, _)| low),
            ci_high: interval.map(|(_, high)| high),
        }
    }
}

/// Wilson's score interval (low, high) for `successes` of `n` at the normal quantile `z`; the
/// whole range from 0 to 1 where `n` is 0.
///
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal
/// of the American Statistical Association 22 (1927), 209–212.
#[must_use]
pub fn wilson(successes: u64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    let n_float = n as f64;
    let p = (successes.min(n)) as f64 / n_float;
    let z2_over_n = z * z / n_float;
    let centre = (p + z2_over_n / 2.0) / (1.0 + z2_over_n);
    let half_width =
        z / (1.0 + z2_over_n) * (p * (1.0 - p) / n_float + z2_over_n / (4.0 * n_float)).sqrt();
    // At the ends it is exact, which subtraction would miss by a rounding error.
    let low = if successes == 0 {
        0.0
    } else {
        (centre - half_width).max(0.0)
    };
    let high = if successes >= n {
        1.0
    } else {
        (centre + half_width).min(1.0)
    };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// statsmodels 0.15.0 `proportion_confint(c, n, method="wilson")`, equal to SciPy 1.17.1
    /// `binomtest(c, n).proportion_ci(method="wilson")`.
    #[test]
    fn wilson_equals_statsmodels_and_scipy() {
        for (count, of, low, high) in [
            (1, 10, 0.017_876_213_095_072_9, 0.404_150_026_795_239),
            (5, 10, 0.236_593_090_512_564, 0.763_406_909_487_436),
            (10, 10, 0.722_467_200_137_111, 1.0),
            (3, 1_000, 0.001_020_783_881_138_62, 0.008_783_014_053_503_18),
            (81, 263, 0.255_288_519_878_274, 0.366_209_576_982_8),
            (
                1,
                1_000_000,
                1.765_245_767_453_72e-7,
                5.664_911_804_311_45e-6,
            ),
            (
                999_999,
                1_000_000,
                0.999_994_335_088_196,
                0.999_999_823_475_423,
            ),
        ] {
            let given = wilson(count, of, Z_95);
            for (given, expected) in [(given.0, low), (given.1, high)] {
                assert!(
                    (given - expected).abs() <= 1e-12 * expected,
                    "{count} of {of}: {given} for {expected}"
                );
            }
        }
    }

    #[test]
    fn nothing_seen_is_bounded_by_the_rule_of_three() {
        let none = Proportion::new(0, 1_000);
        assert_eq!(
            (none.ratio, none.ci_low, none.ci_high),
            (Some(0.0), Some(0.0), Some(0.003))
        );
        assert_eq!(Proportion::new(0, 2).ci_high, Some(1.0));
    }

    #[test]
    fn of_nothing_there_is_no_ratio() {
        let missing = Proportion::new(0, 0);
        assert_eq!(
            (missing.ratio, missing.ci_low, missing.ci_high),
            (None, None, None)
        );
        assert_eq!(wilson(0, 0, Z_95), (0.0, 1.0));
    }
}
