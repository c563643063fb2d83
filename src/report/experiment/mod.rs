//! What a report of an experiment, a probe or a study, is made of: its tables and its manifest.
//!
//! What is kept is bounded by the conditions and cells of cells.csv, whatever samples.csv holds.

mod answer;
pub(super) mod combench;
mod condition;
mod links;
mod page;
mod verdict;
mod words;

use super::TableSource;
use crate::results::{
    CellRow, CorrelationRow, EffectRow, Manifest, Record, RecordError, Row, STUDY_SCHEMA,
    SampleRow, read_table,
};
use crate::stats::OBSERVATIONS_BEYOND;
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

pub(super) use condition::{Condition, Level, counts, nanos, setting};
pub(super) use links::link_lines;
pub use page::page;
pub(super) use words::{Contrast, estimate};

type Delays = Histogram<u64>;

/// What a report of an experiment is made of.
#[derive(Debug)]
pub struct Experiment {
    pub(super) manifest: Manifest,
    pub(super) cells: Vec<CellRow>,
    pub(super) effects: Vec<EffectRow>,
    pub(super) correlations: Vec<CorrelationRow>,
    /// Delays (received − planned) of what arrived in valid cells, by condition.
    pub(super) delays: BTreeMap<u32, Delays>,
    /// Sent − planned of all messages, by QoS.
    pub(super) send_lag: BTreeMap<u8, Delays>,
    /// When messages came, of the part that measures ComBench's curve again.
    combench: combench::Runs,
    /// Whether samples.csv was there.
    pub(super) has_samples: bool,
}

/// Why an experiment's tables cannot be read.
#[derive(Debug)]
pub enum ExperimentError {
    /// A table cannot be opened.
    Open {
        /// The table's file name.
        table: &'static str,
        /// What was said.
        source: io::Error,
    },
    /// It is not there, and nothing can be said without it.
    Missing(&'static str),
    /// It can be opened, but not read.
    Record(RecordError),
}

impl std::fmt::Display for ExperimentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { table, source } => write!(f, "cannot read {table}: {source}"),
            Self::Missing(table) => write!(f, "{table} is missing"),
            Self::Record(error) => write!(f, "cannot read {error}"),
        }
    }
}

impl std::error::Error for ExperimentError {}

impl Experiment {
    /// Reads the tables; cells.csv must be there.
    ///
    /// # Errors
    ///
    /// Where cells.csv is missing, or a table that is there cannot be read.
    pub fn read(manifest: Manifest, source: &dyn TableSource) -> Result<Self, ExperimentError> {
        let cells: Vec<CellRow> = rows(source)?.ok_or(ExperimentError::Missing(CellRow::FILE))?;
        let mut experiment = Self {
            manifest,
            cells,
            effects: rows(source)?.unwrap_or_default(),
            correlations: rows(source)?.unwrap_or_default(),
            delays: BTreeMap::new(),
            send_lag: BTreeMap::new(),
            combench: BTreeMap::new(),
            has_samples: false,
        };
        if let Some(table) = open(source, SampleRow::FILE)? {
            experiment.has_samples = true;
            let cells: BTreeMap<u32, Of> = (experiment.cells.iter())
                .map(|cell| (cell.cell, Of::cell(cell)))
                .collect();
            read_table(table, |sample| experiment.add(&sample, &cells))
                .map_err(ExperimentError::Record)?;
        }
        Ok(experiment)
    }

    fn add(&mut self, sample: &SampleRow, cells: &BTreeMap<u32, Of>) {
        let Some(of) = cells.get(&sample.cell) else {
            return;
        };
        if let Some(lag) = sample.send_lag_ns.filter(|_| sample.qos <= 2) {
            record(self.send_lag.entry(sample.qos), lag.as_nanos());
        }
        if let Some(delay) = sample.response_ns.filter(|_| of.counts) {
            record(self.delays.entry(of.condition), delay.as_nanos());
        }
        if of.is_combench {
            let run = (sample.cell, Arc::clone(&sample.subscriber));
            self.combench.entry(run).or_default().add(sample);
        }
    }

    /// Whether links, packets and correlations are part of it.
    pub(super) fn is_study(&self) -> bool {
        self.manifest.schema == STUDY_SCHEMA
    }

    /// The parts that cells are of, in their order.
    pub(super) fn parts(&self) -> Vec<Arc<str>> {
        let mut seen = BTreeSet::new();
        let parts = self.cells.iter().map(|cell| &cell.part);
        parts
            .filter(|part| seen.insert(Arc::clone(part)))
            .cloned()
            .collect()
    }

    /// The part that is about payloads and links: the first that is no extension.
    pub(super) fn main_part(&self) -> Option<Arc<str>> {
        let parts = self.parts();
        let main = parts.iter().find(|part| &***part == "main");
        main.or(parts.first()).cloned()
    }

    /// The conditions of a part, in their order.
    pub(super) fn conditions(&self, part: &str) -> Vec<Condition<'_>> {
        condition::of(self.cells.iter().filter(|cell| &*cell.part == part))
    }

    /// The QoS levels of a part: of the publisher, and of the subscription where that is another.
    pub(super) fn levels(&self, part: &str) -> Vec<Level> {
        condition::levels(self.cells.iter().filter(|cell| &*cell.part == part))
    }

    /// Links of a part, in their order; one `None` where links are no factor.
    pub(super) fn links(&self, part: &str) -> Vec<Option<Arc<str>>> {
        let mut links: Vec<Option<Arc<str>>> = Vec::new();
        for cell in self.cells.iter().filter(|cell| &*cell.part == part) {
            if !links.contains(&cell.link) {
                links.push(cell.link.clone());
            }
        }
        links
    }

    /// Payload lengths of a part, in ascending order.
    pub(super) fn payloads(&self, part: &str) -> Vec<u64> {
        let of_part = self.cells.iter().filter(|cell| &*cell.part == part);
        let payloads: BTreeSet<u64> = of_part.map(|cell| cell.payload_bytes).collect();
        payloads.into_iter().collect()
    }
}

/// What a sample needs to know of its cell.
struct Of {
    condition: u32,
    counts: bool,
    is_combench: bool,
}

impl Of {
    fn cell(cell: &CellRow) -> Self {
        Self {
            condition: cell.condition,
            counts: counts(cell),
            is_combench: &*cell.part == combench::PART,
        }
    }
}

/// Negative delays are counted in cells.csv, and in no histogram.
fn record<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Delays>, nanos: i64) {
    let histogram =
        entry.or_insert_with(|| Delays::new(3).expect("three significant digits are allowed"));
    if let Ok(nanos) = u64::try_from(nanos) {
        let recorded = histogram.record(nanos);
        debug_assert!(recorded.is_ok(), "it grows by itself");
    }
}

/// The headline correlations that are defined, in one line each; empty where there are none.
pub(super) fn coefficient_of(experiment: &Experiment) -> String {
    let rows = experiment.correlations.iter().filter(|row| {
        &*row.x == "never_arrived_ratio"
            && &*row.y == "delay_median_ns"
            && &*row.method == "spearman"
            && row.stratum.contains("qos=")
            && !row.stratum.contains("link=")
    });
    let lines: Vec<String> = rows
        .filter_map(|row| {
            let value = words::coefficient(row.coefficient?, row.ci_low.zip(row.ci_high));
            Some(format!("{}: ρ = {value}", words::condition(&row.stratum)))
        })
        .collect();
    match lines.as_slice() {
        [] => String::new(),
        lines => format!("Spearman: {}.", lines.join("; ")),
    }
}

/// A quantile of a distribution; `None` where fewer than ten observations lie beyond it.
fn quantile(histogram: &Delays, q: f64) -> Option<i64> {
    let n = histogram.len();
    let beyond = n - ((q * n as f64).ceil() as u64).min(n);
    let value = i64::try_from(histogram.value_at_quantile(q)).ok()?;
    (beyond >= OBSERVATIONS_BEYOND).then_some(value)
}

fn open<'s>(
    source: &'s dyn TableSource,
    table: &'static str,
) -> Result<Option<Box<dyn io::Read + 's>>, ExperimentError> {
    source
        .open(table)
        .map_err(|source| ExperimentError::Open { table, source })
}

fn rows<R: Record>(source: &dyn TableSource) -> Result<Option<Vec<R>>, ExperimentError> {
    let Some(table) = open(source, R::FILE)? else {
        return Ok(None);
    };
    let mut rows = Vec::new();
    read_table(table, |row| rows.push(row)).map_err(ExperimentError::Record)?;
    Ok(Some(rows))
}
