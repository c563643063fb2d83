//! Delays and handshakes of each condition.

use super::{drawn, not_enough};
use crate::report::experiment::condition::{Condition, over_blocks};
use crate::report::experiment::words::delay_estimate;
use crate::report::experiment::{Experiment, quantile};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, table};
use crate::results::CellRow;
use crate::time::TimeDelta;
use maud::{Markup, html};

/// A delay of a cell.
type Delay = fn(&CellRow) -> Option<TimeDelta>;

pub(super) fn section(experiment: &Experiment, figures: &[Figure]) -> Markup {
    html! {
        p.lead {
            "Response time: from when the schedule wanted a message sent until its receiver had read "
            "all of it. Late messages count, lost ones have no delay."
        }
        (conditions(experiment))
        (drawn(figures, "delay-by-payload", None))
        @if !experiment.has_samples {
            p.none { code { "samples.csv" } " is not in this directory, so distributions are not drawn." }
        } @else if experiment.delays.is_empty() {
            (not_enough("no valid cell has a message that arrived"))
        }
        (drawn(figures, "delay-percentiles", Some(quantiles(experiment))))
        (drawn(figures, "delay-ecdf", None))
    }
}

/// Every condition, all blocks together.
fn conditions(experiment: &Experiment) -> Markup {
    use Column::{Number, Text, Word};
    let parts = experiment.parts();
    let mut columns = vec![Text("condition"), Number("valid cells"), Number("messages")];
    if parts.len() > 1 {
        columns.insert(0, Word("part"));
    }
    columns.extend([
        Number("median [95 % over blocks]"),
        Number("p95"),
        Number("p99"),
        Number("longest"),
        Number("service, median"),
        Number("negative"),
    ]);
    let mut rows = Vec::new();
    for part in &parts {
        for condition in experiment.conditions(part) {
            let mut row = Vec::new();
            if parts.len() > 1 {
                row.push(Cell::text(&part.replace('_', " ")));
            }
            let sent: u64 = condition.cells.iter().map(|cell| cell.sent).sum();
            let negative: u64 = condition.cells.iter().map(|cell| cell.delay_negative).sum();
            row.extend([
                Cell::text(&condition.label()),
                Cell::count(condition.cells.len() as u64),
                Cell::count(sent),
                estimated(&condition, experiment.manifest.seed, |cell| {
                    cell.delay_median_ns
                }),
                middle(&condition, |cell| cell.delay_p95_ns),
                middle(&condition, |cell| cell.delay_p99_ns),
                longest(&condition),
                middle(&condition, |cell| cell.service_median_ns),
                Cell::trouble(negative),
            ]);
            rows.push(row);
        }
    }
    html! {
        (table("", &columns, rows))
        p.small {
            "Each column is the middle of the cells' values, one cell for each block; the longest is "
            "that of all. Quantiles are nearest rank, and a cell has none (–) where fewer than ten "
            "messages lie beyond it. Invalid and saturated cells are left out. The interval is the "
            "bootstrap over blocks; under three blocks there is none."
        }
    }
}

fn estimated(
    condition: &Condition<'_>,
    seed: u64,
    of: impl Fn(&CellRow) -> Option<TimeDelta>,
) -> Cell {
    match over_blocks(&condition.cells, seed, of) {
        Some((value, interval)) => Cell::sorted(delay_estimate(value, interval), value),
        None => Cell::missing(),
    }
}

/// The middle of the cells' values.
pub(super) fn middle(
    condition: &Condition<'_>,
    of: impl Fn(&CellRow) -> Option<TimeDelta>,
) -> Cell {
    Cell::delay(condition.middle(of).map(|nanos| nanos.round() as i64))
}

fn longest(condition: &Condition<'_>) -> Cell {
    let longest = condition.spread(|cell| cell.delay_max_ns);
    Cell::delay(longest.map(|spread| spread.high.round() as i64))
}

/// Quantiles of all messages of a condition.
fn quantiles(experiment: &Experiment) -> Markup {
    use Column::{Number, Text};
    const QUANTILES: [f64; 6] = [0.05, 0.25, 0.5, 0.9, 0.99, 0.999];
    let columns = [
        Text("condition"),
        Number("n"),
        Number("p5"),
        Number("p25"),
        Number("p50"),
        Number("p90"),
        Number("p99"),
        Number("p99.9"),
        Number("max"),
    ];
    let Some(part) = experiment.main_part() else {
        return html! {};
    };
    let conditions = experiment.conditions(&part);
    let rows = conditions.iter().filter_map(|condition| {
        let histogram = experiment.delays.get(&condition.number)?;
        let mut row = vec![Cell::text(&condition.label()), Cell::count(histogram.len())];
        row.extend(QUANTILES.map(|q| Cell::delay(quantile(histogram, q))));
        row.push(Cell::delay(i64::try_from(histogram.max()).ok()));
        Some(row)
    });
    table("All messages of a condition together", &columns, rows)
}

/// The publisher's handshakes.
pub(super) fn handshakes(experiment: &Experiment, figures: &[Figure]) -> Markup {
    use Column::{Number, Text};
    let legs: [(&'static str, Delay); 5] = [
        ("PUBLISH to PUBACK", |cell| cell.puback_median_ns),
        ("PUBLISH to PUBREC", |cell| cell.pubrec_median_ns),
        ("PUBREC to PUBREL", |cell| cell.pubrel_median_ns),
        ("PUBREL to PUBCOMP", |cell| cell.pubcomp_median_ns),
        ("whole, QoS 2", |cell| cell.qos2_total_median_ns),
    ];
    let mut columns = vec![Text("condition")];
    columns.extend(legs.map(|(name, _)| Number(name)));
    let mut rows = Vec::new();
    for part in experiment.parts() {
        for condition in experiment.conditions(&part) {
            if condition.first.qos > 0 && !condition.cells.is_empty() {
                let mut row = vec![Cell::text(&condition.label())];
                row.extend(legs.map(|(_, of)| middle(&condition, of)));
                rows.push(row);
            }
        }
    }
    html! {
        @if let Some(at) = &experiment.manifest.broker.qos2_forwarded_at {
            p {
                "This broker forwards a QoS 2 message at " (crate::report::layout::safe(at))
                @if at == "PUBREL" {
                    ": a receiver waits for one more round trip between publisher and broker than at QoS 0 and 1."
                } @else {
                    ": a receiver waits no longer than at QoS 0 and 1 for the handshake itself."
                }
            }
        }
        @if rows.is_empty() {
            (not_enough("no valid cell of QoS 1 or 2"))
        } @else {
            (drawn(figures, "handshake-legs", Some(table("Medians", &columns, rows))))
        }
    }
}
