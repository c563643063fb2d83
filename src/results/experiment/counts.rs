//! The numbers of a cell, from its messages: the same columns whether the messages were just
//! measured or read back.

use super::{CellRow, Outcome};
use crate::stats::{Proportion, mean_rounded_down, quantile};
use crate::time::TimeDelta;

/// A cell's messages, counted. Delays are in nanoseconds, ascending.
#[derive(Clone, Copy, Debug, Default)]
pub struct CellCounts<'m> {
    /// Messages × receivers by outcome, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; 7],
    /// Copies beyond the first that applications got.
    pub duplicates: u64,
    /// Reordered messages (RFC 4737).
    pub reordered: u64,
    /// Received − planned.
    pub response: &'m [i64],
    /// Received − sent.
    pub service: &'m [i64],
    /// Sent − planned.
    pub send_lag: &'m [i64],
    /// Sent to PUBACK.
    pub puback: &'m [i64],
    /// Sent to PUBREC.
    pub pubrec: &'m [i64],
    /// PUBREC to PUBREL.
    pub pubrel: &'m [i64],
    /// PUBREL to PUBCOMP.
    pub pubcomp: &'m [i64],
    /// Sent to PUBCOMP.
    pub qos2_total: &'m [i64],
}

impl CellCounts<'_> {
    /// Messages × receivers with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        outcome.of(&self.outcomes)
    }
}

impl CellRow {
    /// Writes every column that follows from messages. The conditions, what was read from packets,
    /// and whether the cell is valid stay.
    pub fn fill(&mut self, counts: &CellCounts<'_>) {
        let count = |outcome| counts.count(outcome);
        self.planned = counts.outcomes.iter().sum();
        self.not_written = count(Outcome::NotWritten);
        self.sent = self.planned - self.not_written;
        self.delivered = count(Outcome::Delivered);
        self.late = count(Outcome::Late);
        self.refused = count(Outcome::Refused);
        self.lost_unacknowledged = count(Outcome::LostUnacknowledged);
        self.lost_acknowledged = count(Outcome::LostAcknowledged);
        self.lost_unconfirmed = count(Outcome::LostUnconfirmed);
        self.lost = self.lost_unacknowledged + self.lost_acknowledged + self.lost_unconfirmed;
        self.duplicates = counts.duplicates;
        self.reordered = counts.reordered;
        let interval = |share: Proportion| (share.ratio, share.ci_low, share.ci_high);
        (self.loss_ratio, self.loss_ci_low, self.loss_ci_high) =
            interval(Proportion::new(self.late + self.lost, self.sent));
        (
            self.never_arrived_ratio,
            self.never_arrived_ci_low,
            self.never_arrived_ci_high,
        ) = interval(Proportion::new(self.lost, self.sent));
        self.fill_delays(counts);
    }

    fn fill_delays(&mut self, counts: &CellCounts<'_>) {
        let at = |sorted: &[i64], q| quantile(sorted, q).map(TimeDelta::from_nanos);
        let response = counts.response;
        self.delay_mean_ns = mean_rounded_down(response).map(TimeDelta::from_nanos);
        self.delay_median_ns = at(response, 0.5);
        self.delay_p95_ns = at(response, 0.95);
        self.delay_p99_ns = at(response, 0.99);
        self.delay_max_ns = response.last().copied().map(TimeDelta::from_nanos);
        self.delay_negative = response.partition_point(|delay| *delay < 0) as u64;
        self.service_median_ns = at(counts.service, 0.5);
        self.send_lag_median_ns = at(counts.send_lag, 0.5);
        self.send_lag_p99_ns = at(counts.send_lag, 0.99);
        self.puback_median_ns = at(counts.puback, 0.5);
        self.pubrec_median_ns = at(counts.pubrec, 0.5);
        self.pubrel_median_ns = at(counts.pubrel, 0.5);
        self.pubcomp_median_ns = at(counts.pubcomp, 0.5);
        self.qos2_total_median_ns = at(counts.qos2_total, 0.5);
    }
}
