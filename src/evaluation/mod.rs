//! From samples to cells, and from cells to correlations and effects: rows in, rows out.
//!
//! What holds for all of it: the cell (one condition, measured once) is the statistical unit, not
//! the message, since messages of one run are alike for reasons that have nothing to do with the
//! condition. Cells that are invalid or saturated take part in nothing. What is undefined is a row
//! with the reason, and no number. Whatever is random follows from the seed.

mod cells;
mod correlations;
mod effects;
mod factor;
mod messages;

pub use cells::recount;
pub use correlations::correlations;
pub use effects::effects;
pub use factor::{Factor, factors};
pub use messages::{CellMessages, Messages};

use crate::results::CellRow;

/// Whether a cell takes part in statistics.
#[must_use]
pub fn counts(cell: &CellRow) -> bool {
    cell.valid && !cell.saturated && cell.sent > 0
}

#[cfg(test)]
mod tests;
