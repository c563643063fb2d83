//! The cells of a run as a table for people, and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::results::{CellRow, Formulas, Manifest, Row, RowWriter, bytes, delay, grouped, percent};
use crate::stats::{Proportion, at_rank};

const COLUMNS: [&str; 11] = [
    "",
    "payload",
    "sent",
    "lost",
    "late",
    "loss (95 % interval)",
    "median",
    "p95",
    "p99",
    "max",
    "",
];

/// One line for each condition, over its valid cells; over all where none is valid.
pub(super) fn render(cells: &[CellRow]) -> String {
    let mut conditions: BTreeMap<u32, Vec<&CellRow>> = BTreeMap::new();
    for row in cells {
        conditions.entry(row.condition).or_default().push(row);
    }
    let mut lines = vec![COLUMNS.map(str::to_owned)];
    for rows in conditions.values() {
        lines.extend(line(rows));
    }
    let mut text = aligned(&lines);
    let repeated = conditions.values().any(|rows| rows.len() > 1);
    text.push_str(
        "\nDelays are from when a message was due until it was read (response time), late ones \
         included.\n",
    );
    if repeated {
        text.push_str(
            "Of repeated cells the median of their values is given, and the highest maximum.\n",
        );
    }
    let invalid: Vec<&CellRow> = cells.iter().filter(|row| !row.valid).collect();
    if !invalid.is_empty() {
        let count = invalid.len();
        let noun = if count == 1 { "cell is" } else { "cells are" };
        let _ = writeln!(
            text,
            "\n{count} {noun} invalid, so the numbers say little of the broker:"
        );
    }
    for row in invalid {
        let reason = row.invalid_reason.as_deref().unwrap_or_default();
        let size = grouped(row.payload_bytes);
        let _ = writeln!(
            text,
            "  cell {} ({}, {size} B): {reason}",
            row.cell,
            row.qos_name()
        );
    }
    text
}

fn line(rows: &[&CellRow]) -> Option<[String; 11]> {
    let first = rows.first()?;
    let mut valid: Vec<&&CellRow> = rows.iter().filter(|row| row.valid).collect();
    let mark = match (valid.len(), rows.len()) {
        (0, _) => {
            valid = rows.iter().collect();
            "invalid".to_owned()
        }
        (some, all) if some < all => format!("{some} of {all} cells"),
        _ => String::new(),
    };
    let sum = |of: fn(&CellRow) -> u64| valid.iter().map(|row| of(row)).sum::<u64>();
    let (sent, lost, late) = (sum(|r| r.sent), sum(|r| r.lost), sum(|r| r.late));
    let middle = |of: fn(&CellRow) -> Option<i64>| {
        let mut values: Vec<i64> = valid.iter().filter_map(|row| of(row)).collect();
        values.sort_unstable();
        delay(at_rank(&values, 0.5))
    };
    let max = valid.iter().filter_map(|r| r.delay_max_ns).max();
    Some([
        first.qos_name(),
        bytes(first.payload_bytes as f64),
        grouped(sent),
        grouped(lost),
        grouped(late),
        loss(Proportion::new((lost + late).min(sent), sent)),
        middle(|r| r.delay_median_ns.map(|d| d.as_nanos())),
        middle(|r| r.delay_p95_ns.map(|d| d.as_nanos())),
        middle(|r| r.delay_p99_ns.map(|d| d.as_nanos())),
        delay(max.map(|d| d.as_nanos())),
        mark,
    ])
}

fn loss(loss: Proportion) -> String {
    match (loss.ratio, loss.ci_low, loss.ci_high) {
        (Some(ratio), Some(low), Some(high)) => {
            let [ratio, low, high] = [ratio, low, high].map(percent);
            format!("{ratio} % ({low} to {high} %)")
        }
        _ => "–".to_owned(),
    }
}

/// Columns under each other: the first to the left, the others to the right.
fn aligned(lines: &[[String; 11]]) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    for line in lines {
        let mut row = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Writes to a string do not fail.
            let _ = match column {
                0 => write!(row, "{cell:width$}"),
                _ => write!(row, "  {cell:>width$}"),
            };
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// Columns of cells.csv that hold 0 or 1 for no or yes.
const TRUTHS: [&str; 2] = ["saturated", "valid"];

/// `{"manifest": …, "cells": […]}`, with the columns of cells.csv as names.
pub(super) fn json(manifest: &Manifest, cells: &[CellRow]) -> Result<String, serde_json::Error> {
    let rows: Vec<Value> = cells.iter().map(object).collect();
    let mut whole = Map::new();
    whole.insert("manifest".into(), serde_json::to_value(manifest)?);
    whole.insert("cells".into(), Value::Array(rows));
    serde_json::to_string_pretty(&Value::Object(whole)).map(|text| text + "\n")
}

/// A row as JSON: what is empty is null, what is a number is one.
fn object(row: &CellRow) -> Value {
    let mut written = Vec::new();
    // Writing to memory does not fail.
    if let Ok(mut writer) = RowWriter::new::<CellRow>(&mut written, Formulas::Keep) {
        let _ = writer.write(row);
        let _ = writer.finish();
    }
    let mut reader = csv::Reader::from_reader(written.as_slice());
    let record = reader.records().next().and_then(Result::ok);
    let cells = record.unwrap_or_default();
    let pairs = CellRow::COLUMNS.iter().zip(&cells).map(|(name, cell)| {
        let value = match serde_json::from_str(cell) {
            _ if cell.is_empty() => Value::Null,
            _ if TRUTHS.contains(name) => Value::Bool(cell == "1"),
            Ok(Value::Number(number)) => Value::Number(number),
            _ => Value::String(cell.to_owned()),
        };
        ((*name).to_owned(), value)
    });
    Value::Object(pairs.collect())
}
