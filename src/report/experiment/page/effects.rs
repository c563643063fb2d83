//! Effects as ratios and differences, with their intervals.

use super::{drawn, not_enough};
use crate::report::experiment::words::{Contrast, condition, delay_estimate, quantity};
use crate::report::experiment::{Experiment, estimate};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, cut, table};
use crate::results::{EffectRow, percent};
use maud::{Markup, html};

/// Most rows that the page shows.
const MOST_ROWS: usize = 500;

pub(super) fn section(experiment: &Experiment, figures: &[Figure]) -> Markup {
    let effects = &experiment.effects;
    html! {
        p.lead {
            "How one condition differs from another, compared within blocks, so that a drift of the "
            "machine between them does not count."
        }
        @if effects.is_empty() {
            (not_enough("there are no two conditions with valid cells in one block"))
        } @else {
            (drawn(figures, "effects", Some(all(effects))))
            @if figures.iter().all(|figure| figure.name != "effects") { (all(effects)) }
        }
    }
}

fn all(effects: &[EffectRow]) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Text("compared"),
        Text("under"),
        Word("quantity"),
        Word("measure"),
        Number("value [95 %]"),
        Number("blocks"),
        Text("note"),
    ];
    let rows = effects.iter().take(MOST_ROWS).map(|row| {
        let contrast = Contrast::of(row);
        let ratio = &*row.measure == "ratio";
        let (names, held) = match &contrast {
            Some(contrast) => (
                contrast.names(if ratio { "/" } else { "−" }),
                match contrast.held(&[]) {
                    held if held.is_empty() => "all together".to_owned(),
                    held => held,
                },
            ),
            None => (
                format!(
                    "{} / {}",
                    condition(&row.condition_a),
                    condition(&row.condition_b)
                ),
                String::new(),
            ),
        };
        vec![
            Cell::text(&names),
            Cell::text(&held),
            Cell::text(quantity(&row.quantity)),
            Cell::text(&row.measure),
            value(row),
            Cell::count(row.blocks),
            Cell::text(row.note.as_deref().unwrap_or("")),
        ]
    });
    html! {
        (table("", &columns, rows))
        (cut(effects.len().min(MOST_ROWS), effects.len() as u64, "first", "effects.csv"))
    }
}

/// The value in its quantity's unit.
fn value(row: &EffectRow) -> Cell {
    let Some(value) = row.value else {
        return Cell::missing();
    };
    let interval = row.ci_low.zip(row.ci_high);
    let text = match (&*row.measure, row.quantity.ends_with("_ns")) {
        ("ratio", _) => format!("× {}", estimate(value, interval)),
        (_, true) => delay_estimate(value, interval),
        (_, false) => points(value, interval),
    };
    Cell::sorted(text, value)
}

/// A difference of shares, in percentage points.
fn points(value: f64, interval: Option<(f64, f64)>) -> String {
    let text = |value: f64| {
        let sign = if value < 0.0 { "−" } else { "" };
        format!("{sign}{}", percent(value.abs()))
    };
    match interval {
        Some((low, high)) => format!("{} [{}, {}] points", text(value), text(low), text(high)),
        None => format!("{} points", text(value)),
    }
}
