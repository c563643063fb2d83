//! Two runs side by side.

use super::digest::Digest;
use super::figure::loss_kinds;
use super::layout::{Cell, Column, document, safe, table};
use crate::results::{FindingDoc, Severity, finding_doc, grouped, percent};
use crate::stats::{OBSERVATIONS_BEYOND, Proportion, Ratio, quantile_ratio};
use maud::{Markup, html};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What two runs have in common and what not: the first, and the one that it is held against.
#[derive(Clone, Debug)]
pub struct Comparison {
    names: [String; 2],
    delays: Vec<DelayRow>,
    loss: Vec<LossRow>,
    findings: Vec<FindingRow>,
}

#[derive(Clone, Debug)]
struct DelayRow {
    name: String,
    counts: [u64; 2],
    median: Quantile,
    p99: Quantile,
}

/// A quantile of both runs in nanoseconds, and the first's by the second's.
#[derive(Clone, Copy, Debug)]
struct Quantile {
    values: [Option<i64>; 2],
    ratio: Option<Ratio>,
}

#[derive(Clone, Debug)]
struct LossRow {
    kind: &'static str,
    shares: [Option<Proportion>; 2],
}

#[derive(Clone, Debug)]
struct FindingRow {
    code: String,
    title: String,
    severity: &'static str,
    counts: [u64; 2],
}

/// Compares two runs; `names` are how to call them, the first's first.
#[must_use]
pub fn compare(
    first: &Digest,
    second: &Digest,
    names: [String; 2],
    catalogue: &[FindingDoc],
) -> Comparison {
    Comparison {
        names: names.map(|name| safe(&name)),
        delays: delays(first, second),
        loss: loss(first, second),
        findings: findings(first, second, catalogue),
    }
}

fn delays(first: &Digest, second: &Digest) -> Vec<DelayRow> {
    let both = [&first.summary.delays, &second.summary.delays];
    let names: BTreeSet<&String> = both.iter().flat_map(|delays| delays.keys()).collect();
    let rows = names.into_iter().map(|name| {
        let summaries = both.map(|delays| delays.get(name));
        let histograms = [first, second].map(|digest| digest.histograms.get(name));
        let quantile = |q: f64, values: [Option<i64>; 2]| {
            let enough = values.iter().all(Option::is_some);
            let ratio = match histograms {
                [Some(a), Some(b)] if enough && enough_beyond(a.len().min(b.len()), q) => {
                    quantile_ratio(a, b, q)
                }
                _ => None,
            };
            Quantile { values, ratio }
        };
        DelayRow {
            name: name.clone(),
            counts: summaries.map(|summary| summary.map_or(0, |summary| summary.count)),
            median: quantile(0.5, summaries.map(|summary| summary.and_then(|s| s.p50_ns))),
            p99: quantile(
                0.99,
                summaries.map(|summary| summary.and_then(|s| s.p99_ns)),
            ),
        }
    });
    rows.filter(|row| row.counts != [0, 0]).collect()
}

/// The rule for quantiles, for the smaller run.
fn enough_beyond(n: u64, q: f64) -> bool {
    let rank = (q * n as f64).ceil() as u64;
    n.saturating_sub(rank) >= OBSERVATIONS_BEYOND
}

fn loss(first: &Digest, second: &Digest) -> Vec<LossRow> {
    let both = [loss_kinds(first), loss_kinds(second)];
    let mut kinds: Vec<&'static str> = Vec::new();
    for (kind, _) in both.iter().flatten() {
        if !kinds.contains(kind) {
            kinds.push(kind);
        }
    }
    let share = |kind: &str, run: &[(&str, Proportion)]| {
        let found = run.iter().find(|(name, _)| *name == kind);
        found.map(|(_, share)| *share)
    };
    let rows = kinds.into_iter().map(|kind| LossRow {
        kind,
        shares: [share(kind, &both[0]), share(kind, &both[1])],
    });
    rows.collect()
}

fn findings(first: &Digest, second: &Digest, catalogue: &[FindingDoc]) -> Vec<FindingRow> {
    let both = [&first.summary.findings, &second.summary.findings];
    let codes: BTreeSet<&String> = both.iter().flat_map(|findings| findings.keys()).collect();
    let rows = codes.into_iter().map(|code| FindingRow {
        code: safe(code),
        title: finding_doc(catalogue, code).map_or_else(String::new, |doc| doc.title.to_owned()),
        severity: [first, second]
            .map(|run| run.severity(code, catalogue))
            .into_iter()
            .min()
            .map_or("", Severity::name),
        counts: both.map(|findings| findings.get(code).copied().unwrap_or(0)),
    });
    let mut rows: Vec<FindingRow> = rows.filter(|row| row.counts != [0, 0]).collect();
    // New ones first, then those gone, then what both have.
    rows.sort_by_key(|row| match row.counts {
        [_, 0] => 0,
        [0, _] => 1,
        _ => 2,
    });
    rows
}

fn change(counts: [u64; 2]) -> &'static str {
    match counts {
        [_, 0] => "new",
        [0, _] => "gone",
        _ => "in both",
    }
}

fn delay(nanos: Option<i64>) -> String {
    crate::results::delay(nanos)
}

fn ratio(ratio: Option<Ratio>) -> String {
    ratio.map_or_else(
        || "–".to_owned(),
        |ratio| {
            format!(
                "{} ({} to {})",
                digits(ratio.ratio),
                digits(ratio.low),
                digits(ratio.high)
            )
        },
    )
}

/// Three significant digits.
fn digits(value: f64) -> String {
    let decimals = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// What a ratio says, where it says anything.
fn word(ratio: Option<Ratio>) -> &'static str {
    match ratio.filter(Ratio::differs) {
        Some(ratio) if ratio.ratio > 1.0 => "slower",
        Some(_) => "faster",
        None => "",
    }
}

fn share(share: Option<Proportion>) -> String {
    match share.and_then(|share| Some((share, share.ratio?))) {
        Some((share, ratio)) => format!(
            "{} % ({} of {})",
            percent(ratio),
            grouped(share.count),
            grouped(share.of)
        ),
        None => "–".to_owned(),
    }
}

/// Whether two intervals have nothing in common.
fn apart(shares: [Option<Proportion>; 2]) -> &'static str {
    let [Some(a), Some(b)] = shares else {
        return "";
    };
    match (a.ci_low, a.ci_high, b.ci_low, b.ci_high) {
        (Some(low), _, _, Some(other)) if low > other => "more",
        (_, Some(high), Some(other), _) if high < other => "less",
        _ => "",
    }
}

const METHOD: &str = "Ratio: the first by the second, with its 95 % bootstrap interval; slower or \
                      faster where that is all on one side of 1. Loss is more or less where the \
                      two 95 % intervals have nothing in common.";

impl Comparison {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let [first, second] = &self.names;
        // Writes to a string do not fail.
        _ = write!(out, "first   {first}\nsecond  {second}\n\nDelays\n");
        let mut rows = vec![
            ["", "n", "", "p50", "", "ratio", "", "p99", "", "ratio", ""]
                .map(str::to_owned)
                .to_vec(),
        ];
        for row in &self.delays {
            let mut cells = vec![row.name.clone()];
            cells.extend(row.counts.map(grouped));
            for quantile in [row.median, row.p99] {
                cells.extend(quantile.values.map(delay));
                cells.push(ratio(quantile.ratio));
                cells.push(word(quantile.ratio).to_owned());
            }
            rows.push(cells);
        }
        aligned(&mut out, &rows);
        out.push_str("\nLoss\n");
        let rows = self.loss.iter().map(|row| {
            let [first, second] = row.shares.map(share);
            let kind = row.kind.to_owned();
            vec![kind, first, second, apart(row.shares).to_owned()]
        });
        aligned(&mut out, &rows.collect::<Vec<_>>());
        out.push_str("\nFindings\n");
        let rows = self.findings.iter().map(|row| {
            let [first, second] = row.counts.map(grouped);
            let words = [change(row.counts), row.severity, &row.code];
            words
                .map(str::to_owned)
                .into_iter()
                .chain([first, second])
                .collect()
        });
        aligned(&mut out, &rows.collect::<Vec<_>>());
        if self.findings.is_empty() {
            out.push_str("  none in either\n");
        }
        _ = write!(out, "\n{METHOD}\n");
        out
    }

    /// As one HTML document that needs nothing else.
    #[must_use]
    pub fn page(&self) -> String {
        let [first, second] = &self.names;
        let body = html! {
            header {
                p.kicker { "mqttscope comparison" }
                h1 { (first) " and " (second) }
                p.lead { (METHOD) }
            }
            main {
                section #delays { h2 { "Delays" } (self.delay_table()) }
                section #loss { h2 { "Loss" } (self.loss_table()) }
                section #findings {
                    h2 { "Findings" }
                    @if self.findings.is_empty() { p { "None in either." } } @else { (self.finding_table()) }
                }
            }
            footer { "Intervals take observations as independent; delays of a queue and losses in bursts are not." }
        };
        document(&format!("{first} and {second} – mqttscope"), &body)
    }

    fn delay_table(&self) -> Markup {
        use Column::{Number, Word};
        let columns = [
            Word("delay"),
            Number("n, first"),
            Number("n, second"),
            Number("p50, first"),
            Number("p50, second"),
            Number("ratio"),
            Word(""),
            Number("p99, first"),
            Number("p99, second"),
            Number("ratio"),
            Word(""),
        ];
        table(
            "",
            &columns,
            self.delays.iter().map(|row| {
                let mut cells = vec![Cell::text(&row.name)];
                cells.extend(row.counts.map(Cell::count));
                for quantile in [row.median, row.p99] {
                    cells.extend(quantile.values.map(Cell::delay));
                    cells.push(match quantile.ratio {
                        Some(known) => Cell::sorted(ratio(quantile.ratio), known.ratio),
                        None => Cell::missing(),
                    });
                    cells.push(Cell::text(word(quantile.ratio)));
                }
                cells
            }),
        )
    }

    fn loss_table(&self) -> Markup {
        use Column::{Number, Word};
        let columns = [Word("kind"), Number("first"), Number("second"), Word("")];
        table(
            "",
            &columns,
            self.loss.iter().map(|row| {
                let mut cells = vec![Cell::text(row.kind)];
                cells.extend(
                    row.shares
                        .map(|known| match known.and_then(|known| known.ratio) {
                            Some(ratio) => Cell::sorted(share(known), ratio),
                            None => Cell::missing(),
                        }),
                );
                cells.push(Cell::text(apart(row.shares)));
                cells
            }),
        )
    }

    fn finding_table(&self) -> Markup {
        use Column::{Number, Text, Word};
        let columns = [
            Word("change"),
            Word("severity"),
            Word("code"),
            Text("what"),
            Number("first"),
            Number("second"),
        ];
        table(
            "",
            &columns,
            self.findings.iter().map(|row| {
                let mut cells = vec![
                    Cell::text(change(row.counts)),
                    Cell::markup(
                        html! { span class={ "badge " (row.severity) } { (row.severity) } },
                    ),
                    Cell::text(&row.code),
                    Cell::text(&row.title),
                ];
                cells.extend(row.counts.map(Cell::count));
                cells
            }),
        )
    }
}

/// Rows of cells, the first column to the left and the others to the right.
fn aligned(out: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            _ = match column {
                0 => write!(line, "  {cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
