//! What is made of an experiment's tables when its cells are finished.

use std::collections::{BTreeMap, BTreeSet};

use crate::evaluation::{self, Messages};
use crate::report::{self, TableSource};
use crate::results::{CellRow, EffectRow, Formulas, Row, RowWriter, SampleRow, read_table};
use crate::stats::Delays;
use crate::time::{TimeDelta, Timestamp};

use super::error::Failure;
use super::output::OutputDirectory;
use super::rendering;

/// What was read of samples.csv.
pub(super) struct Samples {
    messages: Messages,
    /// Delays and legs of the handshake by name, over the messages of valid cells.
    delays: BTreeMap<String, Delays>,
}

impl Samples {
    /// Reads the table that was begun in the directory.
    pub(super) fn read(output: &OutputDirectory, cells: &[CellRow]) -> Result<Self, Failure> {
        let path = output.path().join("samples.csv");
        let unreadable = |detail: String| Failure::Unreadable {
            path: path.clone(),
            detail,
        };
        let valid: BTreeSet<u32> = (cells.iter().filter(|row| row.valid))
            .map(|row| row.cell)
            .collect();
        let mut samples = Self {
            messages: Messages::new(),
            delays: BTreeMap::new(),
        };
        let table = output.open("samples.csv");
        if let Some(table) = table.map_err(|error| unreadable(error.to_string()))? {
            // A message has a row for each receiver, and one handshake with its publisher.
            let mut receiver = None;
            read_table::<SampleRow>(table, |row| {
                samples.messages.push(&row);
                if valid.contains(&row.cell) {
                    let of = (row.cell, row.publisher.clone());
                    let first =
                        receiver.get_or_insert_with(|| (of.clone(), row.subscriber.clone()));
                    if first.0 != of {
                        *first = (of, row.subscriber.clone());
                    }
                    record(&mut samples.delays, &row, first.1 == row.subscriber);
                }
            })
            .map_err(|error| unreadable(error.to_string()))?;
        }
        samples.messages.sort();
        Ok(samples)
    }

    /// Writes `histograms/`.
    pub(super) fn histograms(
        &self,
        output: &mut OutputDirectory,
        cells: &[CellRow],
    ) -> Result<(), Failure> {
        let histograms = rendering::histograms(&self.delays);
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

    /// Writes effects.csv.
    pub(super) fn effects(
        &self,
        output: &mut OutputDirectory,
        cells: &[CellRow],
        seed: u64,
    ) -> Result<Vec<EffectRow>, Failure> {
        let effects = evaluation::effects(cells, &self.messages, seed);
        write_table(output, &effects)?;
        Ok(effects)
    }

    /// Writes correlations.csv.
    pub(super) fn correlations(
        &self,
        output: &mut OutputDirectory,
        cells: &[CellRow],
        seed: u64,
    ) -> Result<(), Failure> {
        let correlations = evaluation::correlations(cells, &self.messages, seed);
        write_table(output, &correlations)
    }
}

/// Bytes of a row of samples.csv, about.
pub(super) const SAMPLE_BYTES: u64 = 400;

/// Writes a whole table.
pub(super) fn write_table<'r, R: Row + 'r>(
    output: &mut OutputDirectory,
    rows: impl IntoIterator<Item = &'r R>,
) -> Result<(), Failure> {
    let file = output.create(R::FILE)?;
    let written = RowWriter::new::<R>(file, Formulas::Guard).and_then(|mut writer| {
        rows.into_iter().try_for_each(|row| writer.write(row))?;
        writer.finish()
    });
    let path = output.path().join(R::FILE);
    written
        .map(drop)
        .map_err(|source| Failure::Write { path, source })
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
