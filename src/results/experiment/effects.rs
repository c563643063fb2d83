//! effects.csv.

use super::record;
use std::sync::Arc;

record! {
    /// How one condition differs from another in one quantity, block by block.
    pub struct EffectRow in "effects.csv" {
        /// What differs: a column of cells.csv.
        pub quantity: Arc<str>,
        /// The condition that is compared.
        pub condition_a: Arc<str>,
        /// The condition that it is compared with.
        pub condition_b: Arc<str>,
        /// `ratio` (a / b) or `difference` (a − b, in the quantity's unit).
        pub measure: Arc<str>,
        /// The ratio's geometric mean over blocks, or the middle of the differences; missing where
        /// it is not defined, and the note says why.
        pub value: Option<f64>,
        /// Lower end of the 95 % interval (bootstrap over blocks).
        pub ci_low: Option<f64>,
        /// Upper end.
        pub ci_high: Option<f64>,
        /// Blocks that have both conditions.
        pub blocks: u64,
        /// What to keep in mind.
        pub note: Option<Arc<str>>,
    }
}
