//! Delays: figures, and the table of all.

use super::named;
use crate::report::digest::{DelaySeries, Digest};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, figure, table};
use maud::{Markup, html};
use std::collections::BTreeMap;

pub(super) fn section(digest: &Digest, figures: &[Figure]) -> Markup {
    let groups = [
        "delivery",
        "residence",
        "turnaround",
        "handshake",
        "session",
    ];
    let series_of = |group: &str| match group {
        "delivery" => digest.deliveries.as_ref().map(|table| &table.series),
        "handshake" => digest.exchanges.as_ref().map(|table| &table.series),
        _ => None,
    };
    html! {
        section #delays {
            h2 { "Delays" }
            p.lead {
                "A delay runs from the first byte of what starts it to the last byte of what ends "
                "it, as seen at the tap: what lies between the tap and a host is part of it."
            }
            (all(digest))
            @if digest.histograms.is_empty() && !digest.summary.delays.is_empty() {
                p.none { code { "histograms/delays.hlog" } " is not in this directory, so distributions are not drawn." }
            }
            @for group in groups {
                @for kind in ["percentiles", "ecdf", "over-time"] {
                    @if let Some(drawn) = named(figures, &format!("{group}-{kind}")) {
                        @let behind = (kind == "over-time").then(|| series_of(group)).flatten();
                        (figure(drawn, behind.map(over_time)))
                    }
                }
            }
        }
    }
}

/// Every delay of the summary.
fn all(digest: &Digest) -> Markup {
    use Column::{Number, Word};
    let delays = digest
        .summary
        .delays
        .iter()
        .filter(|(_, delay)| delay.count > 0);
    let columns = [
        Word("delay"),
        Number("n"),
        Number("min"),
        Number("mean"),
        Number("p50"),
        Number("p90"),
        Number("p99"),
        Number("p99.9"),
        Number("max"),
        Number("negative"),
    ];
    html! {
        @if digest.summary.delays.values().all(|delay| delay.count == 0) {
            p.none { "Nothing was seen that has a delay." }
        } @else {
            (table("", &columns, delays.map(|(name, delay)| {
                let mut row = vec![Cell::text(name), Cell::count(delay.count)];
                row.extend([
                    delay.min_ns, delay.mean_ns, delay.p50_ns, delay.p90_ns, delay.p99_ns,
                    delay.p999_ns, delay.max_ns,
                ].map(Cell::delay));
                row.push(Cell::trouble(delay.negative));
                row
            })))
            p.small {
                "Quantiles are nearest rank and missing (–) where fewer than ten observations lie "
                "beyond them. Negative delays (a clock that ran backwards) count in min, mean and max only. "
                "The distributions are in " code { "histograms/" } " for HdrHistogram's tools."
            }
        }
    }
}

/// Quantiles of each slice of time.
fn over_time(series: &BTreeMap<&'static str, DelaySeries>) -> Markup {
    use Column::{Number, Word};
    let columns = [
        Word("delay"),
        Number("middle of the slice [s]"),
        Number("median"),
        Number("p99"),
    ];
    let rows = series.iter().flat_map(|(name, series)| {
        series.quantiles().into_iter().map(|slice| {
            let delay = |nanos: f64| Cell::delay(Some(nanos as i64));
            vec![
                Cell::text(name),
                Cell::sorted(format!("{:.3}", slice.at), slice.at),
                delay(slice.median),
                delay(slice.high),
            ]
        })
    });
    table("", &columns, rows)
}
