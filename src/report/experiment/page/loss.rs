//! Loss: who lost what, with intervals.

use super::{drawn, not_enough, ratio};
use crate::report::experiment::Experiment;
use crate::report::experiment::condition::late_or_lost;
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, table};
use crate::results::{CellRow, grouped, percent};
use crate::stats::Proportion;
use crate::time::TimeDelta;
use maud::{Markup, html};

pub(super) fn section(experiment: &Experiment, figures: &[Figure]) -> Markup {
    let deadline = TimeDelta::from_nanos(experiment.manifest.deadline_ns);
    html! {
        p.lead {
            "Lost: written, and never received although the tester waited behind the last message "
            "until nothing more could come. Late: received more than " (deadline) " after it was due. "
            "TCP repairs lost packets, so a message is lost only with its connection, a queue or a broker."
        }
        @if experiment.cells.iter().all(|cell| cell.sent == 0) {
            (not_enough("nothing was written"))
        } @else {
            (drawn(figures, "loss-by-payload", None))
            (drawn(figures, "loss", Some(conditions(experiment))))
            @if figures.iter().all(|figure| figure.name != "loss") { (conditions(experiment)) }
        }
    }
}

fn conditions(experiment: &Experiment) -> Markup {
    use Column::{Number, Text, Word};
    let parts = experiment.parts();
    let mut columns = vec![
        Text("condition"),
        Number("written"),
        Number("never arrived"),
        Number("share [95 %]"),
        Number("late"),
        Number("late or lost"),
        Number("lost unacknowledged"),
        Number("lost though acknowledged"),
        Number("duplicates"),
        Number("reordered"),
        Number("not written"),
        Number("refused"),
        Number("TCP segments sent again"),
    ];
    if parts.len() > 1 {
        columns.insert(0, Word("part"));
    }
    let mut rows = Vec::new();
    for part in &parts {
        for condition in experiment.conditions(part) {
            let cells = &condition.cells;
            let sum = |of: fn(&CellRow) -> u64| cells.iter().map(|cell| of(cell)).sum::<u64>();
            let share = condition.never_arrived();
            let segments: Vec<f64> = (cells.iter())
                .filter_map(|c| c.segment_loss_ratio)
                .collect();
            let mut row = vec![
                Cell::text(&condition.label()),
                Cell::count(share.of),
                Cell::trouble(share.count),
                interval(&share),
                Cell::trouble(sum(|cell| cell.late)),
                ratio(late_or_lost(cells).ratio),
                Cell::trouble(sum(|cell| cell.lost_unacknowledged)),
                Cell::trouble(sum(|cell| cell.lost_acknowledged)),
                Cell::trouble(sum(|cell| cell.duplicates)),
                Cell::trouble(sum(|cell| cell.reordered)),
                Cell::trouble(sum(|cell| cell.not_written)),
                Cell::trouble(sum(|cell| cell.refused)),
                ratio(crate::stats::middle(&segments)),
            ];
            if parts.len() > 1 {
                row.insert(0, Cell::text(&part.replace('_', " ")));
            }
            rows.push(row);
        }
    }
    let all: u64 = experiment.cells.iter().map(|cell| cell.sent).sum();
    html! {
        (table("", &columns, rows))
        p.small {
            "Valid cells only, of " (grouped(all)) " messages × receivers written in all. Shares with "
            "Wilson's interval; where nothing was lost it ends at 3 / n. Losses of one cell are not "
            "independent: the true uncertainty is larger."
        }
    }
}

fn interval(share: &Proportion) -> Cell {
    let (Some(value), Some(low), Some(high)) = (share.ratio, share.ci_low, share.ci_high) else {
        return Cell::missing();
    };
    let text = format!("{} % [{}, {}]", percent(value), percent(low), percent(high));
    Cell::sorted(text, value)
}
