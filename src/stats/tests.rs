//! Our statistics against those of SciPy, statsmodels and NumPy, as recorded by
//! `tests/support/statistics.py`; the record names the versions.

use super::*;
use serde::Deserialize;

/// [`permutation_p_of`] as it is defined, of any statistic: what the quick way is held to.
pub(super) fn permutation_p(
    blocks: &[Vec<Point>],
    seed: u64,
    statistic: impl Fn(&[f64], &[f64]) -> Option<f64>,
) -> Option<f64> {
    if blocks.iter().all(|block| block.len() < 2) {
        return None;
    }
    let (x, mut y): (Vec<f64>, Vec<f64>) = blocks.iter().flatten().copied().unzip();
    // Equal but for the order of additions is equal.
    let observed = statistic(&x, &y)?.abs() * (1.0 - 1e-10);
    let mut random = Random::new(seed);
    let mut as_far = 0_usize;
    for _ in 0..PERMUTATIONS {
        let mut rest = y.as_mut_slice();
        for block in blocks {
            let (of_block, after) = rest.split_at_mut(block.len());
            random.shuffle(of_block);
            rest = after;
        }
        as_far += usize::from(statistic(&x, &y).is_none_or(|value| value.abs() >= observed));
    }
    Some((as_far + 1) as f64 / (PERMUTATIONS + 1) as f64)
}

#[derive(Deserialize)]
struct Recorded {
    pairs: Vec<Pairs>,
    partial: Vec<Partial>,
    permutation: Permutation,
    resamples: Resamples,
    ratio: RatioOfMedians,
    holm: HolmCase,
    two_sided: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Pairs {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
    pearson: f64,
    spearman: f64,
    kendall_tau_b: f64,
    slope: f64,
    intercept: f64,
    trend_tau: f64,
    trend_p: f64,
}

#[derive(Deserialize)]
struct Partial {
    x: Vec<f64>,
    y: Vec<f64>,
    held: Vec<Vec<f64>>,
    partial: f64,
}

#[derive(Deserialize)]
struct Permutation {
    blocks: Vec<Vec<Point>>,
    p: f64,
}

#[derive(Deserialize)]
struct Resamples {
    blocks: Vec<Vec<f64>>,
    low: (f64, f64),
    high: (f64, f64),
}

#[derive(Deserialize)]
struct RatioOfMedians {
    blocks: Vec<(Vec<f64>, Vec<f64>)>,
    ratio: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct HolmCase {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

fn recorded() -> Recorded {
    let json = include_str!("../../tests/support/statistics.json");
    serde_json::from_str(json).expect("the record is JSON")
}

fn assert_near(given: f64, expected: f64, what: &str) {
    let error = (given - expected).abs();
    assert!(
        error <= 1e-9 * expected.abs().max(1e-3),
        "{what}: {given} for {expected}"
    );
}

#[test]
fn coefficients_and_lines_are_scipys() {
    for case in recorded().pairs {
        let Pairs { name, x, y, .. } = &case;
        for (method, expected) in [
            (Method::Pearson, case.pearson),
            (Method::PointBiserial, case.pearson),
            (Method::Spearman, case.spearman),
            (Method::KendallTauB, case.kendall_tau_b),
        ] {
            let given = method.of(x, y).expect("defined");
            assert_near(given, expected, &format!("{name}: {}", method.name()));
            // Both ways round.
            assert_near(method.of(y, x).expect("defined"), expected, name);
        }
        let fit = line(x, y).expect("defined");
        // Far from zero, the intercept has lost the digits that its distance took.
        let scale = case.intercept.abs().max(1e-3);
        assert!(
            (fit.slope - case.slope).abs() <= 1e-6 * case.slope.abs(),
            "{name}"
        );
        assert!(
            (fit.intercept - case.intercept).abs() <= 1e-6 * scale,
            "{name}"
        );
    }
}

#[test]
fn trends_are_scipys() {
    for case in recorded().pairs.iter().filter(|case| case.y.len() >= 16) {
        let trend = trend(&case.y).expect("a trend");
        assert_near(trend.tau, case.trend_tau, &case.name);
        let error = (trend.p_value - case.trend_p).abs();
        assert!(error <= 1e-9 * case.trend_p, "{}: {trend:?}", case.name);
    }
    let growing: Vec<f64> = (1..=16).map(f64::from).collect();
    assert_eq!(
        trend(&growing).and_then(|trend| trend.growth),
        Some(14.5 / 2.5)
    );
    assert_eq!(trend(&growing[..15]), None);
    assert_eq!(trend(&[4.0; 20]), None);
}

#[test]
fn tails_of_the_normal_distribution_are_scipys() {
    for (z, expected) in recorded().two_sided {
        let given = two_sided(z);
        assert!(
            (given - expected).abs() <= 1e-12 * expected,
            "{z}: {given} for {expected}"
        );
        assert_eq!(two_sided(-z), given);
    }
}

#[test]
fn partial_correlations_are_those_of_numpys_residuals() {
    for case in recorded().partial {
        let held: Vec<&[f64]> = case.held.iter().map(Vec::as_slice).collect();
        let given = partial_spearman(&case.x, &case.y, &held).expect("defined");
        assert_near(given, case.partial, "partial");
        // Held twice is held once.
        let twice = [held.clone(), held].concat();
        let given = partial_spearman(&case.x, &case.y, &twice).expect("defined");
        assert_near(given, case.partial, "held twice");
    }
}

#[test]
fn permutations_inside_blocks_give_the_p_of_all_of_them() {
    let Permutation { blocks, p } = recorded().permutation;
    let given = permutation_p(&blocks, 1, |x, y| spearman(x, y).ok()).expect("a p-value");
    let error = (p * (1.0 - p) / PERMUTATIONS as f64).sqrt();
    assert!((given - p).abs() < 4.0 * error + 1e-3, "{given} for {p}");
    let again = permutation_p(&blocks, 1, |x, y| spearman(x, y).ok());
    assert_eq!(again, Some(given), "the same seed");
    // One block of all points forgets that blocks differ: another question, another answer.
    assert_eq!(
        permutation_p(&[vec![(1.0, 2.0)]], 1, |x, y| spearman(x, y).ok()),
        None
    );
}

#[test]
fn intervals_over_blocks_are_those_of_all_resamples() {
    let Resamples { blocks, low, high } = recorded().resamples;
    let mean = |drawn: &[f64]| Some(drawn.iter().sum::<f64>() / drawn.len() as f64);
    let given = block_interval(&blocks, 3, mean).expect("an interval");
    assert!(
        low.0 <= given.low && given.low <= low.1,
        "{given:?}, {low:?}"
    );
    assert!(
        high.0 <= given.high && given.high <= high.1,
        "{given:?}, {high:?}"
    );
    assert_eq!(
        block_interval(&blocks[..2], 3, mean),
        None,
        "two blocks are too few"
    );
    assert_eq!(block_interval(&blocks, 3, |_| None), None);
}

#[test]
fn a_ratio_of_medians_is_that_of_drawing_each_message() {
    let RatioOfMedians {
        blocks,
        ratio,
        low,
        high,
    } = recorded().ratio;
    let pairs = blocks.into_iter().map(|(a, b)| vec![Pair { a, b }]);
    let pairs: Vec<Vec<Pair>> = pairs.collect();
    let given = median_ratio(&pairs, 9).expect("a ratio");
    assert_near(given.value, ratio, "ratio");
    let interval = given.interval.expect("an interval");
    assert!(
        (interval.low / low - 1.0).abs() < 0.03,
        "{interval:?} for {low} to {high}"
    );
    assert!(
        (interval.high / high - 1.0).abs() < 0.03,
        "{interval:?} for {low} to {high}"
    );
    let few = median_ratio(&pairs[..2], 9).expect("a ratio");
    assert_eq!(few.interval, None);
    assert_eq!(
        median_ratio(&[vec![Pair::default()]], 9),
        None,
        "no message"
    );
}

#[test]
fn a_difference_of_medians_keeps_its_sign() {
    let block = |a: f64| {
        vec![Pair {
            a: vec![a; 30],
            b: vec![5.0; 30],
        }]
    };
    let given = median_difference(&[block(3.0), block(3.0), block(3.5)], 2).expect("a difference");
    assert_eq!(given.value, -2.0);
    let interval = given.interval.expect("an interval");
    assert_eq!((interval.low, interval.high), (-2.0, -1.5));
}

#[test]
fn holm_is_that_of_statsmodels() {
    let HolmCase { p, adjusted } = recorded().holm;
    for (given, expected) in holm(&p).into_iter().zip(adjusted) {
        assert_near(given, expected, "holm");
    }
    assert_eq!(holm(&[]), [0.0; 0]);
}

#[test]
fn what_is_undefined_says_why() {
    let rising = [1.0, 2.0, 3.0, 4.0];
    for method in [Method::Pearson, Method::Spearman, Method::KendallTauB] {
        for (x, y, reason) in [
            (&rising[..], &[0.0; 4][..], Undefined::SecondConstant),
            (&[0.0; 4][..], &rising[..], Undefined::FirstConstant),
            (&[0.0; 4][..], &[7.0; 4][..], Undefined::BothConstant),
            (&rising[..2], &rising[..2], Undefined::TooFew),
            (&rising[..], &rising[..3], Undefined::Mismatched),
            (
                &[1.0, f64::NAN, 3.0][..],
                &rising[..3],
                Undefined::Mismatched,
            ),
        ] {
            assert_eq!(method.of(x, y), Err(reason));
        }
    }
    let noise = [2.0, 1.0, 4.0, 3.0];
    assert_eq!(
        partial_spearman(&rising, &noise, &[&rising]),
        Err(Undefined::Explained)
    );
    assert_eq!(
        partial_spearman(&rising, &noise, &[&rising, &noise]),
        Err(Undefined::TooFew)
    );
    assert_eq!(
        line(&rising, &[5.0; 4]),
        Ok(Line {
            slope: 0.0,
            intercept: 5.0
        })
    );
}
