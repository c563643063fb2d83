//! Histograms and intervals: plain numbers in, plain numbers out.
//!
//! Everything here merges: what two disjoint sets of observations gave can be put together into
//! what one pass over both would have given.

mod bootstrap;
mod delays;
mod proportion;

pub use bootstrap::{Ratio, quantile_ratio};
pub use delays::{Delays, HIGHEST_TRACKED, OBSERVATIONS_BEYOND};
pub use proportion::{Proportion, Z_95, wilson};
