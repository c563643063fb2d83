//! Coefficients of pairs whose values are levels: 0 for the smallest value, 1 for the next, and so
//! on. What is drawn or permuted thousands of times is turned into levels once, and has its ranks
//! without being sorted again.

use super::correlation::{FEWEST_PAIRS, Method, check, inversions};
use super::random::Random;
use super::resampling::{Interval, PERMUTATIONS, Point, block_interval};

/// A pair of levels.
type Pair = (u32, u32);

/// The two-sided p-value of a coefficient of pairs under permutation of the second quantity inside
/// each block: blocks differ by drift, and what is permuted must be exchangeable. The share of
/// [`PERMUTATIONS`] whose coefficient is at least as far from 0 as the observed one, the observed
/// one counted among them, so never 0 (B. Phipson, G. K. Smyth, "Permutation p-values should never
/// be zero", 2010).
///
/// `None` where the coefficient is undefined, or where no block has two points to exchange.
#[must_use]
pub fn permutation_p_of(method: Method, blocks: &[Vec<Point>], seed: u64) -> Option<f64> {
    if blocks.iter().all(|block| block.len() < 2) {
        return None;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = blocks.iter().flatten().copied().unzip();
    check(&x, &y).ok()?;
    match method {
        Method::Spearman => {
            let (x, y) = (levels(&x), levels(&y));
            let (x, mut y) = (centred_ranks(&x), centred_ranks(&y));
            share_as_far(blocks, seed, &mut y, |y| dot(&x, y).abs())
        }
        Method::Pearson | Method::PointBiserial => {
            let (x, mut y) = (centred(&x), centred(&y));
            share_as_far(blocks, seed, &mut y, |y| dot(&x, y).abs())
        }
        Method::KendallTauB => {
            let (x, mut y) = (levels(&x), levels(&y));
            let mut keys = Vec::with_capacity(x.len());
            // What is tied does not change, so the score says as much as the coefficient.
            share_as_far(blocks, seed, &mut y, |y| {
                let pairs = x.iter().copied().zip(y.iter().copied());
                Scored::of(pairs, &mut keys).score().unsigned_abs() as f64
            })
        }
    }
}

/// The interval of a coefficient when whole blocks are drawn again, as
/// [`block_interval`](super::block_interval) gives it.
#[must_use]
pub fn block_interval_of(method: Method, blocks: &[Vec<Point>], seed: u64) -> Option<Interval> {
    if matches!(method, Method::Pearson | Method::PointBiserial) {
        return block_interval(blocks, seed, |drawn| {
            let (x, y): (Vec<f64>, Vec<f64>) = drawn.iter().copied().unzip();
            method.of(&x, &y).ok()
        });
    }
    let (x, y): (Vec<f64>, Vec<f64>) = blocks.iter().flatten().copied().unzip();
    if x.iter().chain(&y).any(|value| !value.is_finite()) {
        return None;
    }
    let mut pairs = levels(&x).into_iter().zip(levels(&y));
    let blocks: Vec<Vec<Pair>> = (blocks.iter())
        .map(|block| pairs.by_ref().take(block.len()).collect())
        .collect();
    block_interval(&blocks, seed, |drawn| match method {
        Method::KendallTauB => kendall(drawn),
        _ => spearman(drawn),
    })
}

/// How many permutations have a statistic at least as large as what was observed, which counts as
/// one of them.
fn share_as_far<T: Copy>(
    blocks: &[Vec<Point>],
    seed: u64,
    y: &mut [T],
    mut statistic: impl FnMut(&[T]) -> f64,
) -> Option<f64> {
    // Equal but for the order of additions is equal.
    let observed = statistic(y) * (1.0 - 1e-10);
    if !observed.is_finite() {
        return None;
    }
    let mut random = Random::new(seed);
    let mut as_far = 0_usize;
    for _ in 0..PERMUTATIONS {
        let mut rest = &mut *y;
        for block in blocks {
            let (of_block, after) = rest.split_at_mut(block.len());
            random.shuffle(of_block);
            rest = after;
        }
        as_far += usize::from(statistic(y) >= observed);
    }
    Some((as_far + 1) as f64 / (PERMUTATIONS + 1) as f64)
}

/// The level of each value; the two zeros are one value.
fn levels(values: &[f64]) -> Vec<u32> {
    let mut sorted: Vec<f64> = values.iter().map(|value| value + 0.0).collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    let level = |value: &f64| sorted.partition_point(|other| *other < *value) as u32;
    values.iter().map(level).collect()
}

/// Twice each rank less the mean: whole numbers, so that sums of them are exact.
fn centred_ranks(levels: &[u32]) -> Vec<f64> {
    let of_level = ranks_of_levels(levels.iter().copied());
    levels
        .iter()
        .map(|level| of_level[*level as usize])
        .collect()
}

/// The same for each level that there is.
fn ranks_of_levels(levels: impl Iterator<Item = u32>) -> Vec<f64> {
    let mut counts: Vec<u32> = Vec::new();
    let mut n = 0_i64;
    for level in levels {
        let level = level as usize;
        if counts.len() <= level {
            counts.resize(level + 1, 0);
        }
        counts[level] += 1;
        n += 1;
    }
    let mut below = 0_i64;
    let rank = |count: &u32| {
        let count = i64::from(*count);
        // Twice the mean of the ranks below + 1 to below + count, less n + 1.
        let twice = 2 * below + count + 1;
        below += count;
        (twice - (n + 1)) as f64
    };
    counts.iter().map(rank).collect()
}

fn spearman(drawn: &[Pair]) -> Option<f64> {
    if drawn.len() < FEWEST_PAIRS {
        return None;
    }
    let of_x = ranks_of_levels(drawn.iter().map(|pair| pair.0));
    let of_y = ranks_of_levels(drawn.iter().map(|pair| pair.1));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for &(x, y) in drawn {
        let (x, y) = (of_x[x as usize], of_y[y as usize]);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    (xx > 0.0 && yy > 0.0).then(|| (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

fn kendall(drawn: &[Pair]) -> Option<f64> {
    if drawn.len() < FEWEST_PAIRS {
        return None;
    }
    let mut keys = Vec::with_capacity(drawn.len());
    let scored = Scored::of(drawn.iter().copied(), &mut keys);
    let untied_x = scored.pairs - scored.tied_x;
    let untied_y = scored.pairs - scored.tied_y;
    (untied_x > 0 && untied_y > 0).then(|| {
        let tau = scored.score() as f64 / (untied_x as f64).sqrt() / (untied_y as f64).sqrt();
        tau.clamp(-1.0, 1.0)
    })
}

/// What the pairs of pairs say.
struct Scored {
    pairs: i64,
    tied_x: i64,
    tied_y: i64,
    tied_both: i64,
    discordant: i64,
}

impl Scored {
    /// `keys` is only memory.
    fn of(pairs: impl Iterator<Item = Pair>, keys: &mut Vec<u64>) -> Self {
        keys.clear();
        keys.extend(pairs.map(|(x, y)| u64::from(x) << 32 | u64::from(y)));
        keys.sort_unstable();
        let n = keys.len() as i64;
        let tied_x = tied(keys, |a, b| a >> 32 == b >> 32);
        let tied_both = tied(keys, |a, b| a == b);
        for key in keys.iter_mut() {
            *key &= u64::from(u32::MAX);
        }
        let discordant = inversions(keys);
        Self {
            pairs: n * (n - 1) / 2,
            tied_x,
            tied_y: tied(keys, |a, b| a == b),
            tied_both,
            discordant,
        }
    }

    const fn score(&self) -> i64 {
        self.pairs - self.tied_x - self.tied_y + self.tied_both - 2 * self.discordant
    }
}

/// Pairs within runs of what is equal.
fn tied(sorted: &[u64], equal: impl Fn(u64, u64) -> bool) -> i64 {
    let runs = sorted.chunk_by(|a, b| equal(*a, *b));
    runs.map(|run| {
        let length = run.len() as i64;
        length * (length - 1) / 2
    })
    .sum()
}

fn centred(values: &[f64]) -> Vec<f64> {
    super::correlation::centred(values)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::tests::permutation_p;

    /// Blocks of few tied levels on one side and many values on the other.
    fn blocks(seed: u64) -> Vec<Vec<Point>> {
        let mut random = Random::new(seed);
        let mut block = || -> Vec<Point> {
            let pair = |_| {
                let x = random.below(3) as f64;
                (x, x * 0.3 + random.below(20) as f64)
            };
            (0..14).map(pair).collect()
        };
        vec![block(), block(), block(), block()]
    }

    #[test]
    fn levels_say_what_values_say() {
        for seed in 0..4 {
            let blocks = blocks(seed);
            for method in [Method::Spearman, Method::KendallTauB, Method::Pearson] {
                let slow = permutation_p(&blocks, seed, |x, y| method.of(x, y).ok());
                assert_eq!(permutation_p_of(method, &blocks, seed), slow, "{method:?}");
                let slow = block_interval(&blocks, seed, |drawn| {
                    let (x, y): (Vec<f64>, Vec<f64>) = drawn.iter().copied().unzip();
                    method.of(&x, &y).ok()
                });
                let fast = block_interval_of(method, &blocks, seed);
                let (slow, fast) = (slow.expect("an interval"), fast.expect("an interval"));
                assert!((slow.low - fast.low).abs() < 1e-12, "{method:?}");
                assert!((slow.high - fast.high).abs() < 1e-12, "{method:?}");
            }
        }
    }

    #[test]
    fn what_is_undefined_has_neither() {
        let constant = vec![vec![(1.0, 2.0), (1.0, 3.0), (1.0, 5.0)]; 3];
        for method in [Method::Spearman, Method::KendallTauB, Method::Pearson] {
            assert_eq!(permutation_p_of(method, &constant, 1), None);
            assert_eq!(block_interval_of(method, &constant, 1), None);
            assert_eq!(permutation_p_of(method, &[vec![(1.0, 2.0)]], 1), None);
        }
    }
}
