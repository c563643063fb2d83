//! Histograms, intervals and correlations: plain numbers in, plain numbers out.
//!
//! Histograms and counts merge: what two disjoint sets of observations gave can be put together
//! into what one pass over both would have given. Whatever is random takes a seed, and gives the
//! same numbers for it on every machine.

mod bootstrap;
mod correlation;
mod delays;
mod levels;
mod proportion;
mod random;
mod rank;
mod resampling;
mod trend;

pub use bootstrap::{Ratio, quantile_ratio};
pub use correlation::{
    FEWEST_PAIRS, Line, Method, Undefined, kendall_tau_b, line, partial_spearman, pearson, spearman,
};
pub use delays::{Delays, HIGHEST_TRACKED, OBSERVATIONS_BEYOND};
pub use levels::{block_interval_of, permutation_p_of};
pub use proportion::{Proportion, Z_95, wilson};
pub use random::Random;
pub use rank::{at_rank, mean, mean_rounded_down, middle, quantile, ranks};
pub use resampling::{
    Contrast, FEWEST_BLOCKS, Interval, PERMUTATIONS, Pair, Point, REPLICATES, block_interval, holm,
    median_difference, median_ratio,
};
pub use trend::{Trend, trend, two_sided};

#[cfg(test)]
mod tests;
