//! Cells of one condition, all blocks together.

use crate::results::{CellRow, grouped, percent};
use crate::stats::{Proportion, block_interval, middle};
use crate::time::TimeDelta;
use std::collections::BTreeMap;

/// The cells of one condition.
#[derive(Debug)]
pub(in crate::report) struct Condition<'e> {
    /// Its number in cells.csv.
    pub(in crate::report) number: u32,
    /// The first of its cells, whether it counts or not: for the condition's own columns.
    pub(in crate::report) first: &'e CellRow,
    /// Those that take part in statistics.
    pub(in crate::report) cells: Vec<&'e CellRow>,
}

/// A quantity over blocks: the middle, and from where to where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Spread {
    pub(in crate::report) middle: f64,
    pub(in crate::report) low: f64,
    pub(in crate::report) high: f64,
}

/// The QoS of the publisher, and that of the subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::report) struct Level {
    pub(in crate::report) qos: u8,
    pub(in crate::report) subscribed: u8,
    /// Which colour and marker it has.
    pub(in crate::report) number: usize,
}

impl Level {
    pub(in crate::report) fn label(self) -> String {
        if self.qos == self.subscribed {
            format!("QoS {}", self.qos)
        } else {
            format!("QoS {} → {}", self.qos, self.subscribed)
        }
    }

    pub(in crate::report) fn has(self, cell: &CellRow) -> bool {
        cell.qos == self.qos && cell.qos_subscribed == self.subscribed
    }
}

/// Whether a cell takes part in statistics.
pub(in crate::report) fn counts(cell: &CellRow) -> bool {
    cell.valid && !cell.saturated && cell.sent > 0
}

/// A delay of a cell in nanoseconds.
pub(in crate::report) fn nanos(delay: Option<TimeDelta>) -> Option<f64> {
    delay.map(|delay| delay.as_nanos() as f64)
}

impl Condition<'_> {
    /// A column of its cells, where it has one.
    pub(in crate::report) fn spread(
        &self,
        of: impl Fn(&CellRow) -> Option<TimeDelta>,
    ) -> Option<Spread> {
        let values: Vec<f64> = (self.cells.iter())
            .filter_map(|cell| nanos(of(cell)))
            .collect();
        Some(Spread {
            middle: middle(&values)?,
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// The middle of a column of its cells.
    pub(in crate::report) fn middle(
        &self,
        of: impl Fn(&CellRow) -> Option<TimeDelta>,
    ) -> Option<f64> {
        self.spread(of).map(|spread| spread.middle)
    }

    /// Messages that never arrived, of all that were written.
    pub(in crate::report) fn never_arrived(&self) -> Proportion {
        never_arrived(&self.cells)
    }

    /// `QoS 2, 1,024 B`, and what else distinguishes it.
    pub(in crate::report) fn label(&self) -> String {
        label(self.first)
    }
}

/// Messages of these cells that never arrived, of all that were written.
pub(in crate::report) fn never_arrived(cells: &[&CellRow]) -> Proportion {
    let sent: u64 = cells.iter().map(|cell| cell.sent).sum();
    let lost: u64 = cells.iter().map(|cell| cell.lost).sum();
    Proportion::new(lost.min(sent), sent)
}

/// Messages of these cells that never arrived or came after the deadline.
pub(in crate::report) fn late_or_lost(cells: &[&CellRow]) -> Proportion {
    let sent: u64 = cells.iter().map(|cell| cell.sent).sum();
    let lost: u64 = cells.iter().map(|cell| cell.lost + cell.late).sum();
    Proportion::new(lost.min(sent), sent)
}

/// The middle of a column of these cells with its 95 % interval: the bootstrap over blocks, none
/// where they are too few.
pub(in crate::report) fn over_blocks(
    cells: &[&CellRow],
    seed: u64,
    of: impl Fn(&CellRow) -> Option<TimeDelta>,
) -> Option<(f64, Option<(f64, f64)>)> {
    let mut blocks: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for cell in cells {
        if let Some(value) = nanos(of(cell)) {
            blocks.entry(cell.block).or_default().push(value);
        }
    }
    let blocks: Vec<Vec<f64>> = blocks.into_values().collect();
    let value = middle(&blocks.concat())?;
    let interval = block_interval(&blocks, seed, middle);
    Some((
        value,
        interval.map(|interval| (interval.low, interval.high)),
    ))
}

/// `QoS 2, 1,024 B, wireless`.
pub(in crate::report) fn label(cell: &CellRow) -> String {
    let level = Level {
        qos: cell.qos,
        subscribed: cell.qos_subscribed,
        number: 0,
    };
    let mut label = format!("{}, {} B", level.label(), grouped(cell.payload_bytes));
    if let Some(link) = &cell.link {
        label += &format!(", {link}");
    }
    if let Some(loss) = cell.packet_loss_ratio.filter(|loss| *loss > 0.0) {
        label += &format!(", {} % packet loss", percent(loss));
    }
    if let Some(fault) = &cell.fault {
        label += &format!(", {fault}");
    }
    label
}

/// What an extension sets of a cell: `5 %` of packets, `outage of 2 s`.
pub(in crate::report) fn setting(cell: &CellRow) -> String {
    match (&cell.fault, cell.packet_loss_ratio, &cell.link) {
        (Some(fault), _, _) => fault.to_string(),
        (None, Some(ratio), _) => {
            let text = percent(ratio);
            format!("{} %", text.trim_end_matches(".0"))
        }
        (None, None, Some(link)) => link.to_string(),
        (None, None, None) => "none".to_owned(),
    }
}

pub(super) fn of<'e>(cells: impl Iterator<Item = &'e CellRow>) -> Vec<Condition<'e>> {
    let mut conditions: BTreeMap<u32, Condition<'e>> = BTreeMap::new();
    for cell in cells {
        let condition = conditions
            .entry(cell.condition)
            .or_insert_with(|| Condition {
                number: cell.condition,
                first: cell,
                cells: Vec::new(),
            });
        if counts(cell) {
            condition.cells.push(cell);
        }
    }
    conditions.into_values().collect()
}

/// Where subscriptions have the publisher's QoS, that is the number too, so that a QoS has one
/// colour in all figures.
pub(super) fn levels<'e>(cells: impl Iterator<Item = &'e CellRow>) -> Vec<Level> {
    let mut pairs: Vec<(u8, u8)> = cells.map(|cell| (cell.qos, cell.qos_subscribed)).collect();
    pairs.sort_unstable();
    pairs.dedup();
    let same = pairs.iter().all(|(qos, subscribed)| qos == subscribed);
    let numbered = pairs.into_iter().enumerate();
    numbered
        .map(|(index, (qos, subscribed))| Level {
            qos,
            subscribed,
            number: if same { usize::from(qos) } else { index },
        })
        .collect()
}
