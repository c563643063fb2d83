//! Every cell, and why some do not count.

use super::{delay, ratio};
use crate::report::experiment::Experiment;
use crate::report::experiment::condition::label;
use crate::report::layout::{Cell, Column, cut, table};
use crate::results::{CellRow, counted};
use maud::{Markup, html};

/// Most rows that the page shows.
const MOST_ROWS: usize = 1_000;

pub(super) fn section(experiment: &Experiment) -> Markup {
    let cells = &experiment.cells;
    let invalid: Vec<&CellRow> = cells.iter().filter(|cell| !cell.valid).collect();
    html! {
        p.lead { "A cell is one condition, measured once. Each block holds every condition, in random order." }
        @if cells.is_empty() {
            (super::not_enough("no cell was finished"))
        } @else {
            @if !invalid.is_empty() {
                h3 { (counted(invalid.len() as u64, "invalid cell")) }
                p { "They are kept in the tables, marked, and out of all statistics and figures but that of the send lag." }
                (table("", &[Column::Number("cell"), Column::Text("condition"), Column::Text("why")],
                    invalid.iter().take(MOST_ROWS).map(|cell| vec![
                        Cell::count(u64::from(cell.cell)),
                        Cell::text(&label(cell)),
                        Cell::text(cell.invalid_reason.as_deref().unwrap_or("not said")),
                    ])))
            }
            details {
                summary { "All cells" }
                (all(cells))
                (cut(cells.len().min(MOST_ROWS), cells.len() as u64, "first", "cells.csv"))
            }
        }
    }
}

fn all(cells: &[CellRow]) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Number("cell"),
        Number("block"),
        Word("part"),
        Text("condition"),
        Word("counts"),
        Number("written"),
        Number("delivered"),
        Number("late"),
        Number("lost"),
        Number("never arrived"),
        Number("median"),
        Number("p95"),
        Number("p99"),
        Number("longest"),
        Number("send lag, p99"),
    ];
    let rows = cells.iter().take(MOST_ROWS).map(|cell| {
        vec![
            Cell::count(u64::from(cell.cell)),
            Cell::count(u64::from(cell.block)),
            Cell::text(&cell.part.replace('_', " ")),
            Cell::text(&label(cell)),
            Cell::text(match (cell.valid, cell.saturated) {
                (_, true) => "saturated",
                (true, _) => "yes",
                (false, _) => "invalid",
            }),
            Cell::count(cell.sent),
            Cell::count(cell.delivered),
            Cell::trouble(cell.late),
            Cell::trouble(cell.lost),
            ratio(cell.never_arrived_ratio),
            delay(cell.delay_median_ns),
            delay(cell.delay_p95_ns),
            delay(cell.delay_p99_ns),
            delay(cell.delay_max_ns),
            delay(cell.send_lag_p99_ns),
        ]
    });
    table("", &columns, rows)
}
