//! correlations.csv.

use super::record;
use std::sync::Arc;

record! {
    /// How two quantities go together, within one stratum.
    pub struct CorrelationRow in "correlations.csv" {
        /// One quantity: a column of cells.csv, or `lost` (message by message).
        pub x: Arc<str>,
        /// The other.
        pub y: Arc<str>,
        /// What it was taken within: `all`, `qos=1`, `qos=1 link=wireless`, …
        pub stratum: Arc<str>,
        /// `spearman`, `kendall_tau_b`, `pearson`, `point_biserial`, `partial_spearman`.
        pub method: Arc<str>,
        /// Observations: cells, or messages for `point_biserial`.
        pub n: u64,
        /// From −1 to 1; missing where it is not defined, and the note says why.
        pub coefficient: Option<f64>,
        /// Lower end of the 95 % interval (bootstrap over blocks).
        pub ci_low: Option<f64>,
        /// Upper end.
        pub ci_high: Option<f64>,
        /// By permutation within blocks, two-sided.
        pub p_value: Option<f64>,
        /// The same after Holm, over all pairs of the family.
        pub p_adjusted: Option<f64>,
        /// Why it is undefined, or what to keep in mind: `mechanically coupled`, …
        pub note: Option<Arc<str>>,
    }
}
