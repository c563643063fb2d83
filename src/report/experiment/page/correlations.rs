//! Correlations of loss and delay, with intervals and p-values; undefined ones with their reason.

use super::not_enough;
use crate::report::experiment::Experiment;
use crate::report::experiment::words::{coefficient, condition, p_value, quantity};
use crate::report::layout::{Cell, Column, cut, table};
use crate::results::CorrelationRow;
use maud::{Markup, html};

/// Most rows that the page shows of each kind.
const MOST_ROWS: usize = 500;

/// Every row of correlations.csv: loss with delay first, then each pair of quantities.
pub(super) fn tables(experiment: &Experiment) -> Markup {
    let correlations = &experiment.correlations;
    let (headline, others): (Vec<&CorrelationRow>, Vec<&CorrelationRow>) =
        correlations.iter().partition(|row| is_headline(row));
    html! {
        @if correlations.is_empty() {
            (not_enough("correlations.csv is missing or has no rows"))
        } @else {
            (rows("Loss and delay, by stratum and method", &headline))
            @if !others.is_empty() {
                details {
                    summary { "Every other pair of quantities" }
                    (rows("", &others))
                }
            }
            p.small {
                "Over cells, one for each condition and block. p by permutation within blocks, two-sided; "
                "adjusted by Holm over all rows of one method. " b { "Mechanically coupled" } ": loss by deadline "
                "counts a message as lost for its delay, so it goes together with delay by construction."
            }
        }
    }
}

/// Whether a row is about loss and delay themselves.
pub(super) fn is_headline(row: &CorrelationRow) -> bool {
    matches!(
        (&*row.x, &*row.y),
        ("never_arrived_ratio" | "loss_ratio", "delay_median_ns") | ("lost", _)
    )
}

fn rows(caption: &str, all: &[&CorrelationRow]) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Text("of"),
        Text("with"),
        Text("stratum"),
        Word("method"),
        Number("n"),
        Number("coefficient [95 %]"),
        Number("p"),
        Number("p adjusted"),
        Text("note"),
    ];
    let p = |p: Option<f64>| p.map_or_else(Cell::missing, |p| Cell::sorted(p_value(p), p));
    let rows = all.iter().take(MOST_ROWS).map(|row| {
        let value = row.coefficient.map_or_else(
            || Cell::markup(html! { em.dim { "undefined" } }),
            |value| Cell::sorted(coefficient(value, row.ci_low.zip(row.ci_high)), value),
        );
        vec![
            Cell::text(quantity(&row.x)),
            Cell::text(quantity(&row.y)),
            Cell::text(&condition(&row.stratum)),
            Cell::text(&row.method.replace('_', " ")),
            Cell::count(row.n),
            value,
            p(row.p_value),
            p(row.p_adjusted),
            Cell::text(row.note.as_deref().unwrap_or("")),
        ]
    });
    html! {
        (table(caption, &columns, rows))
        (cut(all.len().min(MOST_ROWS), all.len() as u64, "first", "correlations.csv"))
    }
}
