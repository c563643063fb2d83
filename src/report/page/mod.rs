//! report.html: one file that says what a capture showed, findings first.

mod captures;
mod connections;
mod delays;
mod deliveries;
mod findings;
mod topics;
mod verdict;

use super::digest::Digest;
use super::figure::Figure;
use super::layout::{Cell, document, safe};
use crate::results::{FindingDoc, bytes, counted, date, grouped, span};
use crate::time::{TimeDelta, Timestamp};
use maud::{Markup, html};

/// The page, as one HTML document that needs nothing else. `figures` are those of this digest,
/// `catalogue` documents the codes of findings.
#[must_use]
pub fn page(digest: &Digest, figures: &[Figure], catalogue: &[FindingDoc]) -> String {
    let verdict = verdict::of(digest, catalogue);
    let title = title(digest);
    let body = html! {
        header {
            p.kicker { "mqttscope report" }
            h1 { (safe(&title)) }
            p.lead { (lead(digest)) }
            div class={ "verdict " (verdict.class) } {
                @for sentence in &verdict.sentences { p { (sentence) } }
            }
            (tiles(digest))
        }
        nav aria-label="Sections" { ul {
            @for (id, name) in SECTIONS { li { a href={ "#" (id) } { (name) } } }
        } }
        main {
            (findings::section(digest, catalogue))
            (delays::section(digest, figures))
            (deliveries::section(digest, figures))
            (deliveries::loss(digest, figures))
            (connections::sessions(digest))
            (connections::section(digest, figures))
            (topics::section(digest, figures))
            (captures::section(digest))
        }
        footer {
            "mqttscope " (digest.summary.tool_version) ". Times are UTC and the capture's own clock. "
            "The tables beside this file have every row."
        }
    };
    document(&format!("{title} – mqttscope"), &body)
}

const SECTIONS: [(&str, &str); 8] = [
    ("findings", "Findings"),
    ("delays", "Delays"),
    ("deliveries", "Deliveries"),
    ("loss", "Loss"),
    ("sessions", "Sessions"),
    ("connections", "Connections"),
    ("topics", "Topics"),
    ("captures", "Captures"),
];

/// The capture's file name, or how many there are.
fn title(digest: &Digest) -> String {
    match digest.summary.captures.as_slice() {
        [] => "Analysis".to_owned(),
        [capture] => {
            let name = capture.path.rsplit('/').next();
            match name.unwrap_or(&capture.path) {
                "-" => "Standard input".to_owned(),
                name => name.to_owned(),
            }
        }
        many => counted(many.len() as u64, "capture"),
    }
}

/// When and how much.
fn lead(digest: &Digest) -> Markup {
    let summary = &digest.summary;
    let first = summary.captures.iter().filter_map(|c| c.first_ns).min();
    let last = summary.captures.iter().filter_map(|c| c.last_ns).max();
    html! {
        @if let (Some(first), Some(last)) = (first, last) {
            (date(first)) " to " (date(last)) " UTC, "
            (span(Timestamp::from_nanos(last) - Timestamp::from_nanos(first))) "; "
        }
        (counted(summary.frames, "frame"))
        @if summary.taps.len() > 1 {
            ", " (counted(summary.taps.len() as u64, "tap"))
        }
        @let warnings = warnings(digest);
        @if warnings > 0 {
            "; " a href="#captures" { (counted(warnings, "warning")) " about the captures" }
        }
        "."
    }
}

/// How many things are wrong with the captures.
fn warnings(digest: &Digest) -> u64 {
    let of_files = digest
        .summary
        .captures
        .iter()
        .map(|capture| u64::from(capture.truncated) + capture.warnings.len() as u64);
    of_files.sum::<u64>()
        + u64::from(digest.summary.capture_drops.is_some_and(|drops| drops > 0))
        + u64::from(digest.summary.tcp.capture_gaps > 0)
}

fn tiles(digest: &Digest) -> Markup {
    let summary = &digest.summary;
    let tile = |value: String, what: &str| html! { li { b { (value) } span { (what) } } };
    let published = summary.publishes.to_broker.total();
    let received = summary.publishes.to_client.total();
    html! {
        ul.tiles {
            (tile(grouped(summary.connections), "connections"))
            (tile(grouped(summary.sessions), "sessions"))
            (tile(grouped(summary.mqtt.packets), "control packets"))
            (tile(grouped(published), "PUBLISH to the broker"))
            (tile(grouped(received), "PUBLISH to clients"))
            (tile(bytes(summary.mqtt.bytes as f64), "of MQTT"))
        }
    }
}

/// `2026-01-31 08:00:00.123`, UTC.
fn moment(nanos: i64) -> String {
    let millis = nanos.rem_euclid(1_000_000_000) / 1_000_000;
    format!("{}.{millis:03}", date(nanos))
}

/// A point in time as a cell of a wide table: without the day where all of it was on one.
fn time_cell(digest: &Digest, nanos: Option<i64>) -> Cell {
    const DAY: i64 = 86_400_000_000_000;
    let from = digest.slices.from;
    let to = from.saturating_add(digest.slices.length);
    match nanos.filter(|_| from.div_euclid(DAY) == to.div_euclid(DAY)) {
        Some(known) => {
            let shown = moment(known);
            let time = shown.split_once(' ').map_or("", |(_, time)| time);
            Cell::sorted(time.to_owned(), known as f64)
        }
        None => moment_cell(nanos),
    }
}

/// A point in time as a cell.
fn moment_cell(nanos: Option<i64>) -> Cell {
    nanos.map_or_else(Cell::missing, |nanos| {
        Cell::sorted(moment(nanos), nanos as f64)
    })
}

/// How long something took, as a cell.
fn span_cell(nanos: Option<i64>) -> Cell {
    nanos.map_or_else(Cell::missing, |nanos| {
        Cell::sorted(span(TimeDelta::from_nanos(nanos)), nanos as f64)
    })
}

/// The figure of this name.
fn named<'f>(figures: &'f [Figure], name: &str) -> Option<&'f Figure> {
    figures.iter().find(|figure| figure.name == name)
}

/// Whether rows tell taps apart.
fn many_taps(digest: &Digest) -> bool {
    digest.summary.taps.len() > 1
}
