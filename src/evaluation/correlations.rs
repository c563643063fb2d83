//! How quantities of cells go together.

use super::factor::{Factor, describe, factors, parts};
use super::{Messages, counts};
use crate::results::{CellRow, CorrelationRow};
use crate::stats::{
    FEWEST_BLOCKS, Method, Point, Undefined, block_interval, block_interval_of, holm,
    partial_spearman, permutation_p_of,
};
use crate::time::TimeDelta;
use std::collections::BTreeMap;

/// A column of cells.csv as a number.
#[derive(Clone, Copy, Debug)]
struct Quantity {
    name: &'static str,
    of: fn(&CellRow) -> Option<f64>,
}

const fn quantity(name: &'static str, of: fn(&CellRow) -> Option<f64>) -> Quantity {
    Quantity { name, of }
}

fn nanos(delta: Option<TimeDelta>) -> Option<f64> {
    delta.map(|delta| delta.as_nanos() as f64)
}

const NEVER_ARRIVED: Quantity = quantity("never_arrived_ratio", |c| c.never_arrived_ratio);
const LOSS: Quantity = quantity("loss_ratio", |c| c.loss_ratio);
const MEDIAN: Quantity = quantity("delay_median_ns", |c| nanos(c.delay_median_ns));

/// What is correlated with everything else, within each part.
const MATRIX: [Quantity; 8] = [
    quantity("qos", |c| Some(f64::from(c.qos))),
    quantity("payload_bytes", |c| Some(c.payload_bytes as f64)),
    quantity("packet_loss_ratio", |c| c.packet_loss_ratio),
    quantity("segment_loss_ratio", |c| c.segment_loss_ratio),
    MEDIAN,
    quantity("delay_p99_ns", |c| nanos(c.delay_p99_ns)),
    NEVER_ARRIVED,
    LOSS,
];

const COUPLED: &str = "mechanically coupled: a late message is counted as lost for its delay";

/// The correlations of a run: never-arrived loss with the median delay of what arrived, for all
/// cells and for each QoS and link, by every method; the same for loss by deadline, which goes
/// together with delay by construction and is marked so; loss and delay message by message; and
/// every pair of quantities within each part.
///
/// Adjusted p-values are Holm's over all rows of one method.
#[must_use]
pub fn correlations(cells: &[CellRow], messages: &Messages, seed: u64) -> Vec<CorrelationRow> {
    let parts = parts(cells);
    let mut rows = Vec::new();
    for part in &parts {
        let of_part: Vec<&CellRow> = cells
            .iter()
            .filter(|cell| &*cell.part == *part && counts(cell))
            .collect();
        let named = (parts.len() > 1).then_some(*part);
        if of_part.is_empty() {
            rows.extend(nothing_counts(cells, part, named));
            continue;
        }
        for (stratum, cells) in strata(named, &of_part) {
            let within = Within {
                stratum,
                cells,
                messages,
                seed,
            };
            for (x, y) in [(NEVER_ARRIVED, MEDIAN), (LOSS, MEDIAN)] {
                rows.extend(within.by_every_method(x, y));
            }
            rows.extend(within.message_by_message());
        }
        let within = Within {
            stratum: describe(named, &[]),
            cells: of_part,
            messages,
            seed,
        };
        rows.extend(within.matrix());
    }
    adjust(&mut rows);
    rows
}

/// Rows that say why a part has no numbers.
fn nothing_counts(cells: &[CellRow], part: &str, named: Option<&str>) -> Vec<CorrelationRow> {
    let of_part = cells.iter().filter(|cell| &*cell.part == part);
    let invalid = of_part.clone().filter(|cell| !cell.valid).count();
    let note = if invalid == of_part.count() {
        "undefined: every cell is invalid"
    } else {
        "undefined: every cell is invalid or saturated, or sent nothing"
    };
    [(NEVER_ARRIVED, MEDIAN), (LOSS, MEDIAN)]
        .into_iter()
        .flat_map(|(x, y)| {
            [Method::Spearman, Method::KendallTauB, Method::Pearson].map(|method| CorrelationRow {
                x: x.name.into(),
                y: y.name.into(),
                stratum: describe(named, &[]).into(),
                method: method.name().into(),
                note: Some(note.into()),
                ..CorrelationRow::default()
            })
        })
        .collect()
}

/// All cells of a part, those of each QoS, of each link, and of each of both.
fn strata<'a>(part: Option<&str>, cells: &[&'a CellRow]) -> Vec<(String, Vec<&'a CellRow>)> {
    let varying = factors(cells);
    let of = |wanted: &[Factor]| -> Vec<Factor> {
        let there = wanted
            .iter()
            .copied()
            .filter(|factor| varying.contains(factor));
        there.collect()
    };
    let mut strata: Vec<(String, Vec<&CellRow>)> = Vec::new();
    for held in [
        Vec::new(),
        of(&[Factor::Qos]),
        of(&[Factor::Link]),
        of(&[Factor::Qos, Factor::Link]),
    ] {
        for cell in cells {
            let levels: Vec<(Factor, String)> = held
                .iter()
                .map(|factor| (*factor, factor.level(cell)))
                .collect();
            let name = describe(part, &levels);
            if strata.iter().all(|(known, _)| *known != name) {
                let is_held =
                    |cell: &&&CellRow| levels.iter().all(|(f, level)| f.level(cell) == *level);
                strata.push((name, cells.iter().filter(is_held).copied().collect()));
            }
        }
    }
    strata
}

/// Cells of one stratum.
struct Within<'a> {
    stratum: String,
    cells: Vec<&'a CellRow>,
    messages: &'a Messages,
    seed: u64,
}

impl Within<'_> {
    fn by_every_method(&self, x: Quantity, y: Quantity) -> Vec<CorrelationRow> {
        let mut rows: Vec<CorrelationRow> =
            [Method::Spearman, Method::KendallTauB, Method::Pearson]
                .into_iter()
                .map(|method| self.of_cells(x, y, method))
                .collect();
        rows.extend(self.partial(x, y));
        rows
    }

    /// Every pair but those of [`Within::by_every_method`], by Spearman.
    fn matrix(&self) -> Vec<CorrelationRow> {
        let mut rows = Vec::new();
        for (index, &x) in MATRIX.iter().enumerate() {
            for &y in &MATRIX[index + 1..] {
                let done = y.name == NEVER_ARRIVED.name || y.name == LOSS.name;
                if x.name == MEDIAN.name && done {
                    continue;
                }
                let there =
                    |quantity: Quantity| self.cells.iter().any(|c| (quantity.of)(c).is_some());
                if there(x) && there(y) {
                    rows.push(self.of_cells(x, y, Method::Spearman));
                }
            }
        }
        rows
    }

    /// The cells that have both quantities, by block.
    fn blocks<T>(&self, of: impl Fn(&CellRow) -> Option<T>) -> Vec<Vec<T>> {
        let mut blocks: BTreeMap<u32, Vec<T>> = BTreeMap::new();
        for cell in &self.cells {
            if let Some(value) = of(cell) {
                blocks.entry(cell.block).or_default().push(value);
            }
        }
        blocks.into_values().collect()
    }

    fn row(&self, x: &str, y: &str, method: &str, n: usize) -> CorrelationRow {
        CorrelationRow {
            x: x.into(),
            y: y.into(),
            stratum: self.stratum.as_str().into(),
            method: method.into(),
            n: n as u64,
            ..CorrelationRow::default()
        }
    }

    fn of_cells(&self, x: Quantity, y: Quantity, method: Method) -> CorrelationRow {
        let blocks = self.blocks(|cell| Some(((x.of)(cell)?, (y.of)(cell)?)));
        let n = blocks.iter().map(Vec::len).sum();
        let mut row = self.row(x.name, y.name, method.name(), n);
        let mut notes = Vec::new();
        let points = blocks.concat();
        match coefficient(method, &points) {
            Err(reason) => notes.push(self.why(x, y, reason)),
            Ok(value) => {
                row.coefficient = Some(value);
                row.p_value = permutation_p_of(method, &blocks, self.seed);
                // Without blocks enough, each cell is drawn by itself.
                let units = if blocks.len() < FEWEST_BLOCKS {
                    notes.push("interval over cells, for there are too few blocks".to_owned());
                    points.iter().map(|point| vec![*point]).collect()
                } else {
                    blocks
                };
                let interval = block_interval_of(method, &units, self.seed);
                row.ci_low = interval.map(|interval| interval.low);
                row.ci_high = interval.map(|interval| interval.high);
            }
        }
        if [x.name, y.name].contains(&LOSS.name)
            && [x.name, y.name]
                .iter()
                .any(|name| name.starts_with("delay_"))
        {
            notes.push(COUPLED.to_owned());
        }
        let dropped = self.cells.len() - n;
        if dropped > 0 {
            notes.push(format!(
                "{dropped} of {} cells have no value",
                self.cells.len()
            ));
        }
        row.note = (!notes.is_empty()).then(|| notes.join("; ").into());
        row
    }

    /// With payload and link held, where they vary.
    fn partial(&self, x: Quantity, y: Quantity) -> Option<CorrelationRow> {
        let varying = factors(&self.cells);
        let held: Vec<Factor> = [Factor::PayloadBytes, Factor::Link]
            .into_iter()
            .filter(|factor| varying.contains(factor))
            .collect();
        if held.is_empty() {
            return None;
        }
        let columns = held_columns(&held, &self.cells);
        let place: BTreeMap<u32, usize> =
            (0..).zip(&self.cells).map(|(i, c)| (c.cell, i)).collect();
        let blocks = self.blocks(|cell| {
            let held: Vec<f64> = columns
                .iter()
                .map(|column| column[place[&cell.cell]])
                .collect();
            Some(((x.of)(cell)?, (y.of)(cell)?, held))
        });
        let all = blocks.concat();
        let mut row = self.row(x.name, y.name, "partial_spearman", all.len());
        let names: Vec<&str> = held.iter().map(|factor| factor.name()).collect();
        let mut notes = vec![format!("held: {}", names.join(" and "))];
        match partial_of(&all) {
            Err(reason) => notes.push(self.why(x, y, reason)),
            Ok(value) => {
                row.coefficient = Some(value);
                let statistic = |drawn: &[(f64, f64, Vec<f64>)]| partial_of(drawn).ok();
                let interval = block_interval(&blocks, self.seed, statistic);
                row.ci_low = interval.map(|interval| interval.low);
                row.ci_high = interval.map(|interval| interval.high);
            }
        }
        if x.name == LOSS.name {
            notes.push(COUPLED.to_owned());
        }
        row.note = Some(notes.join("; ").into());
        Some(row)
    }

    /// Lost or not, with the delay of the last message that arrived before.
    fn message_by_message(&self) -> Option<CorrelationRow> {
        let of_cell = |cell: &CellRow| Some(self.messages.of(cell.cell)?.lost_after_delay());
        let cells: Vec<Vec<Point>> = self.cells.iter().filter_map(|cell| of_cell(cell)).collect();
        let points = cells.concat();
        if points.is_empty() {
            return None;
        }
        let method = Method::PointBiserial;
        let mut row = self.row(
            "lost",
            "delay_of_last_arrived_ns",
            method.name(),
            points.len(),
        );
        match coefficient(method, &points) {
            Err(Undefined::FirstConstant | Undefined::BothConstant) => {
                let all = points[0].0 > 0.0;
                let text = if all {
                    "undefined: every message was lost"
                } else {
                    "undefined: no message was lost"
                };
                row.note = Some(text.into());
            }
            Err(reason) => row.note = Some(format!("undefined: {reason}").into()),
            Ok(value) => {
                row.coefficient = Some(value);
                let statistic = |drawn: &[Point]| coefficient(method, drawn).ok();
                let interval = block_interval(&cells, self.seed, statistic);
                row.ci_low = interval.map(|interval| interval.low);
                row.ci_high = interval.map(|interval| interval.high);
                row.note =
                    Some("interval over cells; messages of a cell are not independent".into());
            }
        }
        Some(row)
    }

    /// Why a coefficient is undefined, in words.
    fn why(&self, x: Quantity, y: Quantity, reason: Undefined) -> String {
        let of_pair = |cell: &&CellRow| (x.of)(cell).is_some() && (y.of)(cell).is_some();
        let constant = |quantity: Quantity| {
            let mut of_pairs = self.cells.iter().copied().filter(of_pair);
            let value = of_pairs.find_map(|cell| (quantity.of)(cell));
            let mut values = self.cells.iter().filter_map(|cell| (quantity.of)(cell));
            // A cell that lost nearly everything has no delay, and so no part in this.
            let cell = if values.all(|other| Some(other) == value) {
                "cell"
            } else {
                "cell that has both values"
            };
            let name = quantity.name;
            match value {
                Some(0.0) if name == NEVER_ARRIVED.name => {
                    format!("no message was lost in any {cell}")
                }
                Some(0.0) if name == LOSS.name => {
                    format!("no message was lost or late in any {cell}")
                }
                Some(value) => format!("{name} is {value} in every {cell}"),
                None => format!("{name} has no value"),
            }
        };
        let text = match reason {
            Undefined::FirstConstant => constant(x),
            Undefined::SecondConstant => constant(y),
            Undefined::BothConstant => format!("{}, {}", constant(x), constant(y)),
            other => other.to_string(),
        };
        format!("undefined: {text}")
    }
}

fn coefficient(method: Method, points: &[Point]) -> Result<f64, Undefined> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    method.of(&x, &y)
}

/// Numbers for what is held: the payload's length itself, and of every link but the first whether
/// it is that.
fn held_columns(held: &[Factor], cells: &[&CellRow]) -> Vec<Vec<f64>> {
    let mut columns = Vec::new();
    for factor in held {
        if *factor == Factor::PayloadBytes {
            columns.push(cells.iter().map(|cell| cell.payload_bytes as f64).collect());
            continue;
        }
        for level in factor.levels(cells).iter().skip(1) {
            let is_level = cells.iter().map(|cell| factor.level(cell) == *level);
            columns.push(is_level.map(|is| f64::from(u8::from(is))).collect());
        }
    }
    columns
}

fn partial_of(points: &[(f64, f64, Vec<f64>)]) -> Result<f64, Undefined> {
    let x: Vec<f64> = points.iter().map(|point| point.0).collect();
    let y: Vec<f64> = points.iter().map(|point| point.1).collect();
    let width = points.first().map_or(0, |point| point.2.len());
    let held: Vec<Vec<f64>> = (0..width)
        .map(|index| points.iter().map(|point| point.2[index]).collect())
        .collect();
    let held: Vec<&[f64]> = held.iter().map(Vec::as_slice).collect();
    partial_spearman(&x, &y, &held)
}

/// Holm over all rows of one method that have a p-value.
fn adjust(rows: &mut [CorrelationRow]) {
    let mut families: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        if row.p_value.is_some() {
            families
                .entry(row.method.to_string())
                .or_default()
                .push(index);
        }
    }
    for family in families.into_values() {
        let p_values: Vec<f64> = family
            .iter()
            .filter_map(|index| rows[*index].p_value)
            .collect();
        for (index, adjusted) in family.into_iter().zip(holm(&p_values)) {
            rows[index].p_adjusted = Some(adjusted);
        }
    }
}
