//! What was captured, and what one should know before relying on the rest.

use super::moment_cell;
use crate::report::digest::Digest;
use crate::report::layout::{Cell, Column, safe, table};
use crate::results::{bytes, counted, grouped};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Most files that are listed.
const MOST_FILES: usize = 200;

pub(super) fn section(digest: &Digest) -> Markup {
    let summary = &digest.summary;
    html! {
        section #captures {
            h2 { "Captures" }
            (files(digest))
            @if summary.captures.len() > MOST_FILES {
                p.small { "The first " (MOST_FILES) " of " (grouped(summary.captures.len() as u64)) "; all are in " code { "summary.json" } "." }
            }
            (taps(digest))
            (warnings(digest))
            h3 { "TCP" }
            p {
                (counted(summary.tcp.segments, "segment")) " in " (counted(summary.tcp.connections, "connection"))
                "; of those with MQTT " (counted(summary.tcp.retransmitted_segments, "segment")) " sent again, "
                (counted(summary.tcp.out_of_order_segments, "segment")) " out of order, "
                (counted(summary.tcp.capture_gaps, "gap")) " with "
                (counted(summary.tcp.gap_bytes, "byte")) " missing."
            }
            (counts("Control packets by type", &summary.mqtt.by_type, "type", "packets"))
            (counts("Frames that were not followed to TCP", &summary.skipped, "reason", "frames"))
            (counts("Dropped to stay within limits", &summary.dropped, "table", "dropped"))
        }
    }
}

fn files(digest: &Digest) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Text("file"),
        Text("format"),
        Number("frames"),
        Number("size"),
        Word("first frame (UTC)"),
        Word("last frame (UTC)"),
    ];
    let files = digest.summary.captures.iter().take(MOST_FILES);
    table(
        "",
        &columns,
        files.map(|capture| {
            let format = format!("{}, {}", capture.format, capture.link_types.join(", "));
            vec![
                Cell::text(&capture.path),
                Cell::text(&format),
                Cell::count(capture.frames),
                Cell::sorted(bytes(capture.bytes as f64), capture.bytes as f64),
                moment_cell(capture.first_ns),
                moment_cell(capture.last_ns),
            ]
        }),
    )
}

fn taps(digest: &Digest) -> Markup {
    use Column::{Number, Text, Word};
    let taps = &digest.summary.taps;
    html! {
        @if taps.len() > 1 {
            h3 { "Taps" }
            p.small { "Each is analysed by itself: a connection seen at two taps is two connections." }
            (table("", &[Number("tap"), Word("interface"), Word("link type"), Text("files")],
                taps.iter().take(MOST_FILES).map(|tap| vec![
                    Cell::count(u64::from(tap.tap)),
                    Cell::text(tap.interface.as_deref().unwrap_or("–")),
                    Cell::text(&tap.link_type),
                    Cell::text(&tap.paths.join(", ")),
                ])))
        }
    }
}

fn warnings(digest: &Digest) -> Markup {
    let summary = &digest.summary;
    let mut lines: Vec<String> = Vec::new();
    for capture in summary.captures.iter().take(MOST_FILES) {
        if capture.truncated {
            lines.push(format!(
                "{}: cut off; all that is whole in it was read",
                capture.path
            ));
        }
        let warnings = capture.warnings.iter();
        lines.extend(warnings.map(|warning| format!("{}: {warning}", capture.path)));
    }
    if let Some(drops) = summary.capture_drops.filter(|drops| *drops > 0) {
        lines.push(format!(
            "{} dropped by the capturing system",
            counted(drops, "packet")
        ));
    }
    if !summary.uncertain.is_empty() {
        let count = |name: &str| summary.uncertain.get(name).copied().unwrap_or(0);
        lines.push(format!(
            "{} deliveries and {} exchanges were under way meanwhile: their delays are uncertain, \
             and none of them is called lost",
            count("deliveries"),
            count("exchanges")
        ));
    }
    if summary.tcp.capture_gaps > 0 {
        lines.push(format!(
            "{} in TCP streams: the capture lacks {}",
            counted(summary.tcp.capture_gaps, "gap"),
            counted(summary.tcp.gap_bytes, "byte")
        ));
    }
    if summary.mqtt.malformed > 0 {
        lines.push(counted(summary.mqtt.malformed, "malformed MQTT packet"));
    }
    let negative: u64 = summary.delays.values().map(|delay| delay.negative).sum();
    if negative > 0 {
        lines.push(format!(
            "{}: the clock ran backwards, or frames are out of order",
            counted(negative, "negative delay")
        ));
    }
    html! {
        @if !lines.is_empty() {
            h3 { "Warnings" }
            ul { @for line in &lines { li { (safe(line)) } } }
        }
    }
}

fn counts(
    heading: &str,
    counts: &BTreeMap<String, u64>,
    what: &'static str,
    of: &'static str,
) -> Markup {
    html! {
        @if counts.values().any(|count| *count > 0) {
            details {
                summary { (heading) }
                (table("", &[Column::Word(what), Column::Number(of)],
                    counts.iter().filter(|(_, count)| **count > 0).map(|(name, count)| {
                        vec![Cell::text(name), Cell::count(*count)]
                    })))
            }
        }
    }
}
