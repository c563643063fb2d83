//! What the cells of an experiment have to hold: `response_qos1.p99>50ms`,
//! `service_qos2.median>20ms`, `loss.qos1>0.1%`.
//!
//! A threshold is held against each condition by itself, since nobody can say what a quantile over
//! payloads of 16 bytes and of a megabyte together means. The value of a condition is that of the
//! printed table: the median of its valid cells' values, and of losses the share over all of them.

use super::grammar::{Comparison, compact, comparison, duration, parts, share, wrong};
use super::{ThresholdError, nearest};
use crate::results::{CellRow, percent};
use crate::stats::{Proportion, at_rank};
use crate::time::TimeDelta;
use std::collections::BTreeMap;

type OfCell = fn(&CellRow) -> Option<TimeDelta>;

/// A statistic of a delay, as a column of cells.csv has it.
struct Column {
    delay: &'static str,
    statistic: &'static str,
    of: OfCell,
}

const fn column(delay: &'static str, statistic: &'static str, of: OfCell) -> Column {
    Column {
        delay,
        statistic,
        of,
    }
}

/// Delays that every QoS has; `_qos` and its number follow the name.
const OF_EACH_QOS: [Column; 8] = [
    column("response", "mean", |row| row.delay_mean_ns),
    column("response", "median", |row| row.delay_median_ns),
    column("response", "p95", |row| row.delay_p95_ns),
    column("response", "p99", |row| row.delay_p99_ns),
    column("response", "max", |row| row.delay_max_ns),
    column("service", "median", |row| row.service_median_ns),
    column("send_lag", "median", |row| row.send_lag_median_ns),
    column("send_lag", "p99", |row| row.send_lag_p99_ns),
];
/// Legs of the handshake, with the QoS that has them.
const LEGS: [(u8, Column); 5] = [
    (1, column("puback", "median", |row| row.puback_median_ns)),
    (2, column("pubrec", "median", |row| row.pubrec_median_ns)),
    (2, column("pubrel", "median", |row| row.pubrel_median_ns)),
    (2, column("pubcomp", "median", |row| row.pubcomp_median_ns)),
    (
        2,
        column("qos2_total", "median", |row| row.qos2_total_median_ns),
    ),
];

/// What is lost of what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// Late or never.
    ByDeadline,
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Quantity {
    Delay(OfCell),
    Loss(Lost),
}

/// One `--fail-on` of an experiment.
#[derive(Clone, Debug)]
pub struct CellThreshold {
    text: String,
    /// As it is written, without the comparison.
    name: String,
    quantity: Quantity,
    /// The publishers' QoS of the cells that it is about; `None`: of all.
    qos: Option<u8>,
    comparison: Comparison,
    limit: f64,
}

impl CellThreshold {
    /// Understands an expression.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the names that are known.
    pub fn parse(text: &str) -> Result<Self, ThresholdError> {
        let compact = compact(text);
        let (name, operator, value) = parts(&compact).ok_or_else(|| {
            let like = "'response_qos1.p99>50ms' or 'loss.qos1>0.1%'";
            wrong(
                text,
                &format!("it has no comparison; write one like {like}"),
            )
        })?;
        let (quantity, qos) = quantity(name).ok_or_else(|| unknown(text, name))?;
        Ok(Self {
            text: text.to_owned(),
            name: name.to_owned(),
            quantity,
            qos,
            comparison: comparison(text, operator)?,
            limit: match quantity {
                Quantity::Delay(_) => duration(text, value)?,
                Quantity::Loss(_) => share(text, value)?,
            },
        })
    }

    /// A line for each condition that breaks this, and one where no cell has what it is about: a
    /// value that does not exist breaks it.
    #[must_use]
    pub fn broken(&self, cells: &[CellRow]) -> Vec<String> {
        let mut conditions: BTreeMap<u32, Vec<&CellRow>> = BTreeMap::new();
        let of_qos = |row: &&CellRow| self.qos.is_none_or(|qos| row.qos == qos);
        for row in cells.iter().filter(of_qos) {
            conditions.entry(row.condition).or_default().push(row);
        }
        let said = |detail: String| format!("{}: {detail}", self.text);
        if conditions.is_empty() {
            return vec![said(format!("no cell has {}", self.name))];
        }
        let broken = conditions.values().filter_map(|rows| {
            let detail = self.of_condition(rows)?;
            let name = rows.first().map(|row| row.condition_name());
            Some(said(format!("with {}, {detail}", name.unwrap_or_default())))
        });
        broken.collect()
    }

    fn of_condition(&self, rows: &[&CellRow]) -> Option<String> {
        let valid: Vec<&CellRow> = rows.iter().copied().filter(|row| row.valid).collect();
        if valid.is_empty() {
            return Some("there is no valid cell to measure it".to_owned());
        }
        let of_cells = match valid.len() {
            1 => String::new(),
            count => format!(" over {count} cells"),
        };
        match self.quantity {
            Quantity::Delay(of) => self.delay(&valid, of, &of_cells),
            Quantity::Loss(lost) => self.loss(&valid, lost, &of_cells),
        }
    }

    fn delay(&self, valid: &[&CellRow], of: OfCell, of_cells: &str) -> Option<String> {
        let mut values: Vec<TimeDelta> = valid.iter().filter_map(|row| of(row)).collect();
        values.sort_unstable();
        let Some(value) = at_rank(&values, 0.5) else {
            return Some(format!(
                "{} does not exist: there were too few messages for it",
                self.name
            ));
        };
        let nanos = value.as_nanos();
        let holds = self.comparison.holds(nanos as f64, self.limit);
        holds.then(|| match of_cells {
            "" => format!("it is {value} ({nanos} ns)"),
            _ => format!("it is {value} ({nanos} ns) at the median{of_cells}"),
        })
    }

    fn loss(&self, valid: &[&CellRow], lost: Lost, of_cells: &str) -> Option<String> {
        let sum = |of: fn(&CellRow) -> u64| valid.iter().map(|row| of(row)).sum::<u64>();
        let count = match lost {
            Lost::ByDeadline => sum(|row| row.lost) + sum(|row| row.late),
            Lost::Never => sum(|row| row.lost),
        };
        let of = sum(|row| row.sent);
        let Some(ratio) = Proportion::new(count, of).ratio else {
            return Some("nothing was sent that could be lost".to_owned());
        };
        let holds = self.comparison.holds(ratio, self.limit);
        holds.then(|| format!("it is {} % ({count} of n = {of}{of_cells})", percent(ratio)))
    }
}

/// What a name means, and of which QoS.
fn quantity(name: &str) -> Option<(Quantity, Option<u8>)> {
    let (name, statistic) = name.split_once('.')?;
    let lost = match name {
        "loss" => Some(Lost::ByDeadline),
        "never_arrived" => Some(Lost::Never),
        _ => None,
    };
    if let Some(lost) = lost {
        let qos = match statistic {
            "message" => None,
            _ => Some(qos_of(statistic.strip_prefix("qos")?)?),
        };
        return Some((Quantity::Loss(lost), qos));
    }
    // The 50th percentile has two names.
    let statistic = if statistic == "p50" {
        "median"
    } else {
        statistic
    };
    let is = |column: &Column, name| column.delay == name && column.statistic == statistic;
    if let Some((qos, leg)) = LEGS.iter().find(|(_, leg)| is(leg, name)) {
        return Some((Quantity::Delay(leg.of), Some(*qos)));
    }
    let (name, qos) = name.rsplit_once("_qos")?;
    let column = OF_EACH_QOS.iter().find(|column| is(column, name))?;
    Some((Quantity::Delay(column.of), Some(qos_of(qos)?)))
}

fn qos_of(text: &str) -> Option<u8> {
    ["0", "1", "2"]
        .into_iter()
        .zip(0..)
        .find_map(|(known, qos)| (known == text).then_some(qos))
}

/// Every name that is understood.
fn names() -> Vec<String> {
    let each = |column: &Column| {
        let (delay, statistic) = (column.delay, column.statistic);
        (0..3).map(move |qos| format!("{delay}_qos{qos}.{statistic}"))
    };
    let legs = LEGS.iter().map(|(_, leg)| leg);
    let losses = ["loss", "never_arrived"]
        .into_iter()
        .flat_map(|name| ["message", "qos0", "qos1", "qos2"].map(|kind| format!("{name}.{kind}")));
    (OF_EACH_QOS.iter().flat_map(each))
        .chain(legs.map(|leg| format!("{}.{}", leg.delay, leg.statistic)))
        .chain(losses)
        .collect()
}

fn unknown(text: &str, name: &str) -> ThresholdError {
    let names = names();
    let like = nearest(name, names.iter().map(String::as_str));
    let hint = like.map_or_else(String::new, |name| format!(" (the nearest is {name})"));
    wrong(
        text,
        &format!(
            "'{name}' is nothing that cells have{hint}. Known: response_qosN.STATISTIC with \
             STATISTIC one of mean, median, p95, p99, max; service_qosN.median; \
             send_lag_qosN.median and .p99; puback, pubrec, pubrel, pubcomp and qos2_total with \
             .median; loss and never_arrived with .qosN or .message"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn cell(condition: u32, qos: u8, median: i64, lost: u64) -> CellRow {
        CellRow {
            condition,
            qos,
            qos_subscribed: qos,
            payload_bytes: 16 << condition,
            sent: 1_000,
            lost,
            late: 1,
            delay_median_ns: Some(TimeDelta::from_nanos(median)),
            puback_median_ns: (qos == 1).then_some(TimeDelta::from_nanos(median / 2)),
            valid: true,
            ..CellRow::default()
        }
    }

    fn broken(text: &str, cells: &[CellRow]) -> Vec<String> {
        CellThreshold::parse(text).unwrap().broken(cells)
    }

    /// The middle one of a condition's cells counts, and every condition by itself.
    #[test]
    fn each_condition_is_held_to_it() {
        let cells = [
            cell(1, 1, 20 * MS, 0),
            cell(1, 1, 70 * MS, 0),
            cell(1, 1, 30 * MS, 0),
            cell(2, 1, 60 * MS, 0),
            cell(3, 0, 90 * MS, 0),
        ];
        assert_eq!(
            broken("response_qos1.median > 50ms", &cells),
            ["response_qos1.median > 50ms: with QoS 1 and 64 B, it is 60.0 ms (60000000 ns)"]
        );
        assert_eq!(
            broken("response_qos1.p50>=30ms", &cells)[0],
            "response_qos1.p50>=30ms: with QoS 1 and 32 B, it is 30.0 ms (30000000 ns) at the \
             median over 3 cells"
        );
        assert_eq!(broken("response_qos1.median>60ms", &cells).len(), 0);
        assert_eq!(broken("puback.median>29ms", &cells).len(), 1);
    }

    #[test]
    fn losses_are_of_all_cells_of_a_condition() {
        let cells = [cell(1, 1, MS, 3), cell(1, 1, MS, 0), cell(2, 2, MS, 0)];
        assert_eq!(
            broken("loss.qos1>0.1%", &cells),
            ["loss.qos1>0.1%: with QoS 1 and 32 B, it is 0.25 % (5 of n = 2000 over 2 cells)"]
        );
        assert_eq!(broken("never_arrived.message>0", &cells).len(), 1);
        assert_eq!(broken("loss.message>0.25%", &cells).len(), 0);
    }

    #[test]
    fn what_does_not_exist_breaks_it() {
        let mut invalid = cell(1, 1, MS, 0);
        invalid.valid = false;
        for (text, cells, said) in [
            (
                "response_qos2.median>1s",
                &[cell(1, 1, MS, 0)],
                "no cell has",
            ),
            (
                "response_qos1.p99>1s",
                &[cell(1, 1, MS, 0)],
                "too few messages",
            ),
            (
                "response_qos1.median>1s",
                &[invalid.clone()],
                "no valid cell",
            ),
            ("loss.qos1>1%", &[invalid], "no valid cell"),
        ] {
            let lines = broken(text, cells);
            assert!(lines.len() == 1 && lines[0].contains(said), "{lines:?}");
        }
    }

    #[test]
    fn every_name_is_understood_and_no_other() {
        for name in names() {
            let limit = if name.contains("loss") || name.contains("never") {
                "1%"
            } else {
                "1ms"
            };
            assert!(
                CellThreshold::parse(&format!("{name}>{limit}")).is_ok(),
                "{name}"
            );
        }
        for (text, said) in [
            ("response_qos1.p98>1ms", "response_qos1.p9"),
            ("response_qos3.p99>1ms", "nothing that cells have"),
            ("loss.qos1", "no comparison"),
            ("loss.qos1>1ms", "no share"),
            ("puback.median>1", "no duration"),
            ("puback.median=1ms", "no comparison"),
            ("finding>=warning", "nothing that cells have"),
        ] {
            let error = CellThreshold::parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
