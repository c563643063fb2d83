//! What a study found, for people: a line for each condition of interest, over its valid cells.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::results::{CellRow, delay, grouped, percent};
use crate::stats::at_rank;

/// One line for each part, link, disturbance and QoS, over all payloads.
pub(super) fn render(cells: &[CellRow], directory: &Path) -> String {
    let mut groups: BTreeMap<(usize, String, u8), Vec<&CellRow>> = BTreeMap::new();
    for row in cells {
        groups
            .entry((place(row), condition(row), row.qos))
            .or_default()
            .push(row);
    }
    let mut text = String::from(
        "part, condition                             QoS   cells    sent   lost  late    median\n",
    );
    for ((_, condition, qos), rows) in &groups {
        let valid: Vec<&&CellRow> = rows.iter().filter(|row| row.valid).collect();
        let sum = |of: fn(&CellRow) -> u64| valid.iter().map(|row| of(row)).sum::<u64>();
        let (sent, lost, late) = (sum(|r| r.sent), sum(|r| r.lost), sum(|r| r.late));
        let share = |count: u64| match sent {
            0 => "–".to_owned(),
            sent => percent(count as f64 / sent as f64) + " %",
        };
        let mut medians: Vec<i64> = (valid.iter())
            .filter_map(|row| Some(row.delay_median_ns?.as_nanos()))
            .collect();
        medians.sort_unstable();
        let _ = writeln!(
            text,
            "{condition:<44}{qos:>3}{:>8}{:>8}{:>7}{:>6}{:>10}",
            format!("{}/{}", valid.len(), rows.len()),
            grouped(sent),
            share(lost),
            share(late),
            delay(at_rank(&medians, 0.5)),
        );
    }
    let _ = writeln!(
        text,
        "\nCells are valid ones of all; the median is that of the valid cells' medians, over all \
         payloads. Tables are in {}.",
        directory.display()
    );
    text
}

/// The order of the parts.
fn place(row: &CellRow) -> usize {
    let parts = ["main", "packet_loss", "outage", "combench"];
    parts
        .iter()
        .position(|part| *part == &*row.part)
        .unwrap_or(parts.len())
}

fn condition(row: &CellRow) -> String {
    let mut text = format!("{}, {}", row.part, row.link.as_deref().unwrap_or("none"));
    if let Some(loss) = row.packet_loss_ratio {
        // Leading blanks so that text sorts as numbers do.
        let _ = write!(
            text,
            ", {:>3} % of packets lost",
            (loss * 1e4).round() / 1e2
        );
    }
    if let Some(fault) = &row.fault {
        let _ = write!(text, ", {fault}");
    }
    text
}
