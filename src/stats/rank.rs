//! Ranks and quantiles of plain numbers.

use super::OBSERVATIONS_BEYOND;
use super::delays::nearest_rank;

/// The ranks of `values` from 1, ties sharing the mean of theirs. Values that are no numbers come
/// last.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // The two zeros are one value.
    order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    while from < order.len() {
        let tied = order[from..]
            .iter()
            .take_while(|&&index| values[index] == values[order[from]])
            .count()
            .max(1);
        let mean = from as f64 + (tied as f64 + 1.0) / 2.0;
        for &index in &order[from..from + tied] {
            ranks[index] = mean;
        }
        from += tied;
    }
    ranks
}

/// The quantile `q` (0 to 1) by nearest rank of values in ascending order: the one with rank
/// ⌈q·n⌉. `None` where fewer than [`OBSERVATIONS_BEYOND`] have a higher rank.
#[must_use]
pub fn quantile<T: Copy>(sorted: &[T], q: f64) -> Option<T> {
    let n = sorted.len() as u64;
    if n.saturating_sub(nearest_rank(q, n)) < OBSERVATIONS_BEYOND {
        return None;
    }
    at_rank(sorted, q)
}

/// The value with rank ⌈q·n⌉ of values in ascending order, however few there are: for a verdict, or
/// of values that are quantiles themselves. `None` where there are none.
#[must_use]
pub fn at_rank<T: Copy>(sorted: &[T], q: f64) -> Option<T> {
    let rank = nearest_rank(q, sorted.len() as u64);
    sorted.get(usize::try_from(rank).ok()? - 1).copied()
}

/// The mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The mean of whole numbers, rounded down; `None` of nothing.
#[must_use]
pub fn mean_rounded_down(values: &[i64]) -> Option<i64> {
    let count = i128::try_from(values.len()).ok().filter(|n| *n > 0)?;
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    i64::try_from(sum.div_euclid(count)).ok()
}

/// The median of some numbers, the mean of the two in the middle where their number is even: of
/// few values, such as one for each block, where nearest rank would prefer one side.
#[must_use]
pub fn middle(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert_eq!(ranks(&[]), [0.0; 0]);
        assert_eq!(ranks(&[0.0, 0.0, -0.0, 0.0]), [2.5; 4]);
    }

    #[test]
    fn a_quantile_has_ten_beyond_it() {
        let values: Vec<i64> = (1..=20).collect();
        assert_eq!(quantile(&values, 0.5), Some(10));
        assert_eq!(quantile(&values[..19], 0.5), None);
        assert_eq!(quantile(&values, 0.95), None);
        assert_eq!(quantile::<i64>(&[], 0.5), None);
        let many: Vec<i64> = (1..=1_000).collect();
        assert_eq!(quantile(&many, 0.99), Some(990));
        assert_eq!(quantile(&many, 0.991), None);
    }

    #[test]
    fn a_rank_is_given_of_few_too() {
        assert_eq!(at_rank(&[1, 2, 3, 4], 0.5), Some(2));
        assert_eq!(at_rank(&[1, 2, 3], 0.5), Some(2));
        assert_eq!(at_rank(&[7], 0.99), Some(7));
        assert_eq!(at_rank::<i64>(&[], 0.5), None);
    }

    #[test]
    fn means_are_of_something() {
        assert_eq!((mean(&[1.0, 2.0]), mean(&[])), (Some(1.5), None));
        assert_eq!(mean_rounded_down(&[-1, 0]), Some(-1));
        assert_eq!(mean_rounded_down(&[i64::MAX, i64::MAX]), Some(i64::MAX));
        assert_eq!(mean_rounded_down(&[]), None);
    }

    #[test]
    fn the_middle_of_few() {
        assert_eq!(middle(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle(&[4.0, 1.0]), Some(2.5));
        assert_eq!(middle(&[]), None);
    }
}
