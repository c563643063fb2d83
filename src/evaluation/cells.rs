//! The numbers of a cell, from its messages.

use super::CellMessages;
use crate::results::{CellCounts, CellRow};

/// Counts a cell's messages again: every column of `row` that follows from samples is written
/// anew. The conditions, what was read from packets, and whether the cell is valid stay.
pub fn recount(row: &mut CellRow, messages: &CellMessages) {
    row.fill(&CellCounts {
        outcomes: messages.outcomes,
        duplicates: messages.duplicates,
        reordered: messages.reordered(),
        response: messages.delays(),
        service: &messages.service,
        send_lag: &messages.send_lag,
        puback: &messages.puback,
        pubrec: &messages.pubrec,
        pubrel: &messages.pubrel,
        pubcomp: &messages.pubcomp,
        qos2_total: &messages.qos2_total,
    });
}
