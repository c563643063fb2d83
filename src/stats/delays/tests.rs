use super::*;
use proptest::prelude::*;

fn delays(nanos: impl IntoIterator<Item = i64>) -> Delays {
    let mut delays = Delays::new();
    for nanos in nanos {
        delays.record(TimeDelta::from_nanos(nanos));
    }
    delays
}

/// The generator of the numbers that NumPy was asked about.
fn pseudo_random(n: usize) -> impl Iterator<Item = i64> {
    let mut state: u64 = 1;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as i64
    })
    .take(n)
}

/// numpy 2.4.6: `numpy.quantile(x % 2000, q, method="inverted_cdf")`, which is nearest rank. The
/// histogram tells these values apart, so they are the same to the last digit.
#[test]
fn quantiles_equal_numpy() {
    let delays = delays(pseudo_random(10_000).map(|x| x % 2000));
    for (q, expected) in [(0.5, 997), (0.9, 1803), (0.99, 1980), (0.999, 1998)] {
        assert_eq!(delays.quantile(q), Some(expected), "{q}");
    }
    assert_eq!(delays.mean(), Some(997));
    assert_eq!((delays.min(), delays.max()), (Some(0), Some(1999)));
}

/// The same from milliseconds to minutes: at most 0.1 % above NumPy's.
#[test]
fn wide_quantiles_are_within_three_digits_of_numpy() {
    let delays =
        delays(pseudo_random(10_000).map(|x| (x % 1000 + 1) * (1 + x % 7919) * (1 + x % 104_729)));
    for (q, expected) in [
        (0.5, 57_087_906_480_i64),
        (0.9, 274_828_921_653),
        (0.99, 532_356_319_880),
        (0.999, 676_288_640_916),
    ] {
        let value = delays.quantile(q).expect("enough beyond");
        assert!(
            (expected..=expected + expected / 1000).contains(&value),
            "{q}: {value}"
        );
    }
    assert_eq!(delays.mean(), Some(103_401_675_772));
    assert_eq!(delays.max(), Some(753_651_019_092));
}

#[test]
fn a_quantile_needs_ten_observations_beyond() {
    assert_eq!(
        delays(1..=19).quantile(0.5),
        None,
        "rank 10 of 19: 9 beyond"
    );
    assert_eq!(
        delays(1..=20).quantile(0.5),
        Some(10),
        "rank 10 of 20: 10 beyond"
    );
    assert_eq!(delays(1..=999).quantile(0.99), None);
    assert_eq!(delays(1..=1000).quantile(0.99), Some(990));
    assert_eq!(delays(1..=10_000).quantile(1.0), None);
    assert_eq!(delays(1..=11).quantile(0.0), Some(1));
    assert_eq!(delays([]).quantile(0.5), None);
}

/// Negative ones are beyond nothing: they have no rank.
#[test]
fn negative_delays_are_kept_and_counted_but_have_no_rank() {
    let delays = delays((1..=19).chain([-5, -1_000]));
    assert_eq!((delays.count(), delays.negative()), (21, 2));
    assert_eq!((delays.min(), delays.max()), (Some(-1_000), Some(19)));
    // (190 − 1005) / 21 = −38.8, rounded down.
    assert_eq!(delays.mean(), Some(-39));
    assert_eq!(delays.quantile(0.5), None);
    assert_eq!(
        delays.histogram().map(|histogram| histogram.len()),
        Some(19)
    );
}

#[test]
fn only_negative_delays_make_no_histogram() {
    let delays = delays([-3; 50]);
    assert!(delays.histogram().is_none());
    assert_eq!(delays.quantile(0.5), None);
    assert_eq!((delays.min(), delays.max()), (Some(-3), Some(-3)));
}

#[test]
fn above_an_hour_the_extremes_stay_exact() {
    let hour = HIGHEST_TRACKED.as_nanos();
    let delays = delays(std::iter::repeat_n(i64::MAX, 40).chain([hour + 1]));
    assert_eq!(
        (delays.min(), delays.max()),
        (Some(hour + 1), Some(i64::MAX))
    );
    let median = delays.quantile(0.5).expect("20 beyond");
    assert!((hour..=hour + hour / 1000).contains(&median), "{median}");
}

#[test]
fn an_empty_one_costs_nothing_and_milliseconds_cost_little() {
    assert!(size_of::<Delays>() <= 80);
    assert!(delays([]).histogram().is_none());
    let milliseconds = delays([5_000_000]);
    let buckets: usize = milliseconds.rows.iter().map(|row| row.len()).sum();
    assert_eq!(buckets, HALF as usize);
}

#[test]
fn a_product_that_misses_an_integer_by_rounding_is_that_integer() {
    assert_eq!(nearest_rank(0.07, 100), 7);
    assert_eq!(nearest_rank(0.999, 10_000_000), 9_990_000);
    assert_eq!(nearest_rank(0.5, 3), 2);
    assert_eq!(nearest_rank(0.0, 3), 1);
    assert_eq!(nearest_rank(1.0, 3), 3);
}

fn numbers(delays: &Delays) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (delays.count(), delays.negative(), delays.mean()),
        (delays.min(), delays.max()),
        [0.0, 0.1, 0.5, 0.9].map(|q| delays.quantile(q)),
    )
}

fn any_delay() -> impl Strategy<Value = i64> {
    prop_oneof![-1_000_i64..3_000, 0_i64..10_000_000_000_000, any::<i64>()]
}

proptest! {
    /// The results of two disjoint sets merge into those of both.
    #[test]
    fn merging_is_recording_both(
        left in prop::collection::vec(any_delay(), 0..60),
        right in prop::collection::vec(any_delay(), 0..60),
    ) {
        let mut merged = delays(left.iter().copied());
        merged.merge(&delays(right.iter().copied()));
        prop_assert_eq!(numbers(&merged), numbers(&delays(left.into_iter().chain(right))));
    }

    /// The buckets are HdrHistogram's.
    #[test]
    fn it_is_an_hdr_histogram(values in prop::collection::vec(any_delay(), 1..60)) {
        let mut theirs = Histogram::<u64>::new(SIGNIFICANT_DIGITS).expect("allowed");
        let tracked = 0..=HIGHEST_TRACKED.as_nanos();
        let values: Vec<i64> = values.into_iter().filter(|value| tracked.contains(value)).collect();
        for value in &values {
            theirs.record(value.unsigned_abs()).expect("it grows by itself");
            let (low, high) = extent_of(bucket_of(value.unsigned_abs()));
            prop_assert_eq!(low, theirs.lowest_equivalent(value.unsigned_abs()));
            prop_assert_eq!(high, theirs.highest_equivalent(value.unsigned_abs()));
        }
        prop_assert!(delays(values).histogram().is_none_or(|ours| ours == theirs));
    }

    /// Against the sorted list.
    #[test]
    fn quantiles_are_nearest_rank(
        mut values in prop::collection::vec(0_i64..HIGHEST_TRACKED.as_nanos(), 0..100),
        q in 0.0_f64..=1.0,
    ) {
        let delays = delays(values.iter().copied());
        values.sort_unstable();
        let rank = ((q * values.len() as f64).ceil() as usize).max(1_usize);
        if values.len() < rank + 10 {
            prop_assert_eq!(delays.quantile(q), None);
        } else {
            let exact = values[rank - 1];
            let given = delays.quantile(q).expect("ten beyond");
            prop_assert!((exact..=exact + exact / 1000).contains(&given), "{given} for {exact}");
        }
    }
}
