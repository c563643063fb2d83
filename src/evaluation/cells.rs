//! The numbers of a cell, from its messages.

use super::CellMessages;
use crate::results::{CellRow, Outcome};
use crate::stats::{Proportion, quantile};
use crate::time::TimeDelta;

/// Counts a cell's messages again: every column of `row` that follows from samples is written
/// anew. The conditions, what was read from packets, and whether the cell is valid stay.
pub fn recount(row: &mut CellRow, messages: &CellMessages) {
    let count = |outcome| messages.count(outcome);
    row.planned = messages.outcomes.iter().sum();
    row.not_written = count(Outcome::NotWritten);
    row.sent = row.planned - row.not_written;
    row.delivered = count(Outcome::Delivered);
    row.late = count(Outcome::Late);
    row.refused = count(Outcome::Refused);
    row.lost_unacknowledged = count(Outcome::LostUnacknowledged);
    row.lost_acknowledged = count(Outcome::LostAcknowledged);
    row.lost_unconfirmed = count(Outcome::LostUnconfirmed);
    row.lost = row.lost_unacknowledged + row.lost_acknowledged + row.lost_unconfirmed;
    row.duplicates = messages.duplicates;
    row.reordered = messages.reordered();
    let loss = Proportion::new(row.late + row.lost, row.sent);
    (row.loss_ratio, row.loss_ci_low, row.loss_ci_high) = (loss.ratio, loss.ci_low, loss.ci_high);
    let never = Proportion::new(row.lost, row.sent);
    row.never_arrived_ratio = never.ratio;
    row.never_arrived_ci_low = never.ci_low;
    row.never_arrived_ci_high = never.ci_high;
    delays(row, messages);
}

fn delays(row: &mut CellRow, messages: &CellMessages) {
    let at = |sorted: &[i64], q| quantile(sorted, q).map(TimeDelta::from_nanos);
    let response = messages.delays();
    row.delay_mean_ns = mean(response).map(TimeDelta::from_nanos);
    row.delay_median_ns = at(response, 0.5);
    row.delay_p95_ns = at(response, 0.95);
    row.delay_p99_ns = at(response, 0.99);
    row.delay_max_ns = response.last().copied().map(TimeDelta::from_nanos);
    row.delay_negative = response.partition_point(|delay| *delay < 0) as u64;
    row.service_median_ns = at(&messages.service, 0.5);
    row.send_lag_median_ns = at(&messages.send_lag, 0.5);
    row.send_lag_p99_ns = at(&messages.send_lag, 0.99);
    row.puback_median_ns = at(&messages.puback, 0.5);
    row.pubrec_median_ns = at(&messages.pubrec, 0.5);
    row.pubrel_median_ns = at(&messages.pubrel, 0.5);
    row.pubcomp_median_ns = at(&messages.pubcomp, 0.5);
    row.qos2_total_median_ns = at(&messages.qos2_total, 0.5);
}

/// The mean, rounded down.
fn mean(values: &[i64]) -> Option<i64> {
    let count = i128::try_from(values.len())
        .ok()
        .filter(|count| *count > 0)?;
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    i64::try_from(sum.div_euclid(count)).ok()
}
