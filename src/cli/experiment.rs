//! What is made of an experiment's tables when its cells are finished.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::{self, TableSource};
use crate::results::{CellRow, SampleRow, read_table};
use crate::stats::Delays;
use crate::time::{TimeDelta, Timestamp};

use super::error::Failure;
use super::output::OutputDirectory;
use super::rendering;

/// Writes `histograms/`: of each QoS the delays and the legs of the handshake, over the messages
/// of valid cells.
pub(super) fn histograms(output: &mut OutputDirectory, cells: &[CellRow]) -> Result<(), Failure> {
    let path = output.path().join("samples.csv");
    let unreadable = |detail: String| Failure::Unreadable {
        path: path.clone(),
        detail,
    };
    let valid: BTreeSet<u32> = (cells.iter().filter(|row| row.valid))
        .map(|row| row.cell)
        .collect();
    let mut delays: BTreeMap<String, Delays> = BTreeMap::new();
    let table = output.open("samples.csv");
    if let Some(table) = table.map_err(|error| unreadable(error.to_string()))? {
        // A message has a row for each receiver, and one handshake with its publisher.
        let mut receiver = None;
        read_table::<SampleRow>(table, |row| {
            if valid.contains(&row.cell) {
                let of = (row.cell, row.publisher.clone());
                let first = receiver.get_or_insert_with(|| (of.clone(), row.subscriber.clone()));
                if first.0 != of {
                    *first = (of, row.subscriber.clone());
                }
                let is_first = first.1 == row.subscriber;
                record(&mut delays, &row, is_first);
            }
        })
        .map_err(|error| unreadable(error.to_string()))?;
    }
    let histograms = rendering::histograms(&delays);
    let named: Vec<report::Named<'_>> = histograms
        .iter()
        .map(|(name, histogram)| (name.as_str(), histogram))
        .collect();
    let start = cells.iter().filter_map(|row| row.start_ns).min();
    let end = cells.iter().filter_map(|row| row.end_ns).max();
    let [start, end] = [start, end].map(|time| time.map_or(0, Timestamp::as_nanos));
    let log = report::interval_log(&named, start, end.saturating_sub(start));
    rendering::write_histograms(output, &histograms, &log)
}

/// Counts a row; what belongs to the publisher only once for each message.
fn record(delays: &mut BTreeMap<String, Delays>, row: &SampleRow, first_receiver: bool) {
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| Some(to? - from?);
    let mut count = |name: String, delay: Option<TimeDelta>| {
        if let Some(delay) = delay {
            delays.entry(name).or_default().record(delay);
        }
    };
    let qos = row.qos;
    count(format!("response_qos{qos}"), row.response_ns);
    count(format!("service_qos{qos}"), row.service_ns);
    if !first_receiver {
        return;
    }
    count(format!("send_lag_qos{qos}"), row.send_lag_ns);
    count("puback".into(), between(row.sent_ns, row.puback_ns));
    count("pubrec".into(), between(row.sent_ns, row.pubrec_ns));
    count("pubrel".into(), between(row.pubrec_ns, row.pubrel_ns));
    count("pubcomp".into(), between(row.pubrel_ns, row.pubcomp_ns));
    count("qos2_total".into(), between(row.sent_ns, row.pubcomp_ns));
}
