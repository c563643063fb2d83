//! The curve that ComBench published, measured again: messages missing at QoS 0 by packet loss on
//! the subscriber's link.

use super::Experiment;
use crate::results::{CellRow, Outcome, SampleRow};
use crate::stats::{block_interval, mean};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The part's name in cells.csv.
pub(in crate::report) const PART: &str = "combench";

/// What was published, 20 runs a step: share of packets lost, share of messages missing at the end.
pub(in crate::report) const PUBLISHED: [(f64, f64); 9] = [
    (0.05, 0.000_8),
    (0.10, 0.020),
    (0.15, 0.054),
    (0.20, 0.20),
    (0.25, 0.20),
    (0.30, 0.35),
    (0.40, 0.60),
    (0.50, 0.71),
    (0.60, 0.81),
];

/// How long after the last message it is counted, in nanoseconds: at once, and when TCP has had
/// its time.
pub(in crate::report) const WAITS: [i64; 2] = [0, 60_000_000_000];

/// What one receiver got in one cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals {
    last_sent: Option<Timestamp>,
    sent: u64,
    received: Vec<Timestamp>,
}

/// By cell and receiver, which has a connection and so a run of its own.
pub(super) type Runs = BTreeMap<(u32, Arc<str>), Arrivals>;

impl Arrivals {
    pub(super) fn add(&mut self, sample: &SampleRow) {
        if sample.outcome == Outcome::NotWritten {
            return;
        }
        self.sent += 1;
        self.last_sent = self
            .last_sent
            .max(sample.written_ns.or(Some(sample.planned_ns)));
        self.received.extend(sample.received_ns);
    }

    /// The share of messages that had not come so long after the last was sent.
    fn missing(&self, wait: i64) -> Option<f64> {
        let until = self.last_sent?.as_nanos().saturating_add(wait);
        let came = self.received.iter().filter(|time| time.as_nanos() <= until);
        Some(1.0 - came.count() as f64 / self.sent as f64)
    }
}

/// One step of the curve.
#[derive(Clone, Debug)]
pub(in crate::report) struct Step {
    /// Share of packets lost, as set.
    pub(in crate::report) packet_loss: f64,
    pub(in crate::report) runs: u64,
    pub(in crate::report) messages: u64,
    /// For each of [`WAITS`]: the mean of the runs' shares of missing messages with its interval.
    pub(in crate::report) missing: [(f64, Option<(f64, f64)>); 2],
    /// Seconds that were waited after the last message, the shortest of its cells.
    pub(in crate::report) waited_s: f64,
}

impl Step {
    /// What was published for this packet loss.
    pub(in crate::report) fn published(&self) -> Option<f64> {
        let step = PUBLISHED
            .iter()
            .find(|(loss, _)| (loss - self.packet_loss).abs() < 1e-9);
        step.map(|(_, missing)| *missing)
    }
}

/// The curve, by packet loss; empty where the part was not measured.
pub(in crate::report) fn curve(experiment: &Experiment) -> Vec<Step> {
    let cells = experiment
        .cells
        .iter()
        .filter(|cell| &*cell.part == PART && cell.valid);
    let mut by_loss: BTreeMap<u64, Vec<&CellRow>> = BTreeMap::new();
    for cell in cells {
        if let Some(loss) = cell.packet_loss_ratio {
            by_loss
                .entry((loss * 1e6).round() as u64)
                .or_default()
                .push(cell);
        }
    }
    by_loss
        .into_values()
        .filter_map(|cells| step(experiment, &cells))
        .collect()
}

fn step(experiment: &Experiment, cells: &[&CellRow]) -> Option<Step> {
    let mut runs: Vec<&Arrivals> = Vec::new();
    let mut waited_s = f64::INFINITY;
    for cell in cells {
        let from = (cell.cell, Arc::from(""));
        let of_cell = experiment
            .combench
            .range(from..)
            .take_while(|(key, _)| key.0 == cell.cell);
        for (_, arrivals) in of_cell {
            if let Some((end, last)) = cell.end_ns.zip(arrivals.last_sent) {
                waited_s = waited_s.min((end - last).as_nanos() as f64 / 1e9);
            }
            runs.push(arrivals);
        }
    }
    let missing = WAITS.map(|wait| {
        let shares: Vec<Vec<f64>> = (runs.iter())
            .filter_map(|run| run.missing(wait).map(|share| vec![share]))
            .collect();
        let interval = block_interval(&shares, experiment.manifest.seed, mean);
        let interval = interval.map(|interval| (interval.low, interval.high));
        mean(&shares.concat()).map(|value| (value, interval))
    });
    let [Some(at_once), Some(later)] = missing else {
        return None;
    };
    Some(Step {
        packet_loss: cells.first()?.packet_loss_ratio?,
        runs: runs.len() as u64,
        messages: runs.iter().map(|run| run.sent).sum(),
        missing: [at_once, later],
        waited_s: if waited_s.is_finite() {
            waited_s.max(0.0)
        } else {
            0.0
        },
    })
}

/// Whether the curve nowhere falls by more than its intervals allow, counted so long after the last
/// message.
pub(in crate::report) fn never_falls(curve: &[Step], wait: usize) -> bool {
    curve.windows(2).all(|pair| {
        let [low, high] = [&pair[0], &pair[1]].map(|step| step.missing[wait]);
        let lowest_before = low.1.map_or(low.0, |interval| interval.0);
        let highest_after = high.1.map_or(high.0, |interval| interval.1);
        highest_after >= lowest_before
    })
}
