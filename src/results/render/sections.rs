//! The parts of the page, each a function from the summary to lines.

use super::number::{bytes, counted, date, delay, grouped, large, proportion, span};
use super::{Page, Style, fitting};
use crate::results::summary::{CaptureSummary, ExchangeCounts, PublishCounts, Summary, Throughput};
use crate::results::{FindingDoc, Severity};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// How many files, ports and the like are listed one by one.
const MOST_LISTED: usize = 8;

/// What one would tell a colleague.
pub(super) fn headline(summary: &Summary) -> String {
    let encrypted: u64 = ["tls", "wss"]
        .iter()
        .filter_map(|name| summary.transports.get(*name))
        .sum();
    if summary.mqtt.packets == 0 && encrypted > 0 {
        return format!(
            "No MQTT can be read in {}: {} encrypted, and the keys are not known.",
            counted(summary.frames, "frame"),
            match encrypted {
                1 => "1 connection is".to_owned(),
                many => format!("{} connections are", grouped(many)),
            }
        );
    }
    if summary.mqtt.packets == 0 {
        return format!("No MQTT found in {}.", counted(summary.frames, "frame"));
    }
    let mut text = format!(
        "{} on {}",
        counted(summary.mqtt.packets, "MQTT packet"),
        counted(summary.connections, "connection")
    );
    if let Some(duration) = duration(&summary.captures) {
        text += &format!(" in {duration}");
    }
    let published = summary.publishes.to_broker.total();
    let received = summary.publishes.to_client.total();
    text += &format!(
        ": {} published, {} sent to subscribers",
        counted(published, "message"),
        grouped(received)
    );
    if let Some(exchange) = summary.loss.exchange {
        text += &match exchange.count {
            _ if exchange.of == 0 => String::new(),
            0 => format!(
                "; all {} were completed",
                counted(exchange.of, "QoS 1 and 2 exchange")
            ),
            count => format!(
                "; {} of {} not completed",
                grouped(count),
                counted(exchange.of, "QoS 1 and 2 exchange")
            ),
        };
    }
    text + "."
}

/// From the first frame of all files to the last.
fn duration(captures: &[CaptureSummary]) -> Option<String> {
    let first = captures.iter().filter_map(|c| c.first_ns).min()?;
    let last = captures.iter().filter_map(|c| c.last_ns).max()?;
    Some(span(
        Timestamp::from_nanos(last) - Timestamp::from_nanos(first),
    ))
}

pub(super) fn captures(page: &mut Page, summary: &Summary) {
    if summary.captures.is_empty() {
        return;
    }
    page.heading("Captures");
    for capture in summary.captures.iter().take(MOST_LISTED) {
        page.line(Style::Plain, &format!("  {}", fitting(&capture.path, 96)));
        let mut about = vec![capture.format.clone()];
        about.extend(capture.link_types.iter().cloned());
        about.push(counted(capture.frames, "frame"));
        about.push(bytes(capture.bytes as f64));
        page.paragraph(Style::Plain, "    ", &about.join(", "));
        if let (Some(first), Some(last)) = (capture.first_ns, capture.last_ns) {
            let took = span(Timestamp::from_nanos(last) - Timestamp::from_nanos(first));
            page.line(
                Style::Plain,
                &format!("    {} to {} UTC ({took})", date(first), date(last)),
            );
        }
    }
    if let Some(more) = summary.captures.len().checked_sub(MOST_LISTED + 1) {
        let more = counted(more as u64 + 1, "more file");
        let last = summary.captures.last().map_or("", |last| &last.path);
        page.line(
            Style::Plain,
            &format!("  and {more}, the last {}", fitting(last, 60)),
        );
    }
    let names = summary
        .taps
        .iter()
        .filter_map(|tap| tap.interface.as_deref());
    let names: Vec<_> = names.take(MOST_LISTED).collect();
    if summary.taps.len() > 1 {
        let taps = grouped(summary.taps.len() as u64);
        let named = if names.is_empty() { "" } else { ": " };
        let text = format!(
            "{taps} taps, each analysed by itself{named}{}",
            names.join(", ")
        );
        page.paragraph(Style::Plain, "  ", &text);
    }
}

pub(super) fn mqtt(page: &mut Page, summary: &Summary) {
    if summary.mqtt.packets == 0 {
        return;
    }
    page.heading("MQTT");
    let sessions = counted(summary.sessions, "session");
    page.line(
        Style::Plain,
        &format!(
            "  {}, {sessions}, {} ({})",
            counted(summary.connections, "connection"),
            counted(summary.mqtt.packets, "control packet"),
            bytes(summary.mqtt.bytes as f64)
        ),
    );
    page.paragraph(Style::Plain, "  ", &list(&summary.mqtt.by_type, " "));
    let row = |name: &str, counts: &PublishCounts| {
        let counts = [counts.qos0, counts.qos1, counts.qos2, counts.total()];
        std::iter::once(name.to_owned())
            .chain(counts.map(grouped))
            .collect()
    };
    page.text.push('\n');
    page.table(&[
        ["PUBLISH", "QoS 0", "QoS 1", "QoS 2", "all"]
            .map(str::to_owned)
            .to_vec(),
        row("to the broker", &summary.publishes.to_broker),
        row("to clients", &summary.publishes.to_client),
    ]);
}

/// Connections whose content is not, or not all, in what the page says.
pub(super) fn unread(page: &mut Page, summary: &Summary) {
    if summary.unread.is_empty() {
        return;
    }
    page.heading("Not read");
    for (reason, connections) in summary.unread.iter().take(MOST_LISTED) {
        let text = format!("{}: {reason}", counted(*connections, "connection"));
        page.paragraph(Style::Plain, "  ", &text);
    }
}

pub(super) fn exchanges(page: &mut Page, summary: &Summary) {
    let ExchangeCounts { qos1, qos2 } = &summary.exchanges;
    outcomes(page, "Exchanges", &[("QoS 1", qos1), ("QoS 2", qos2)]);
}

pub(super) fn deliveries(page: &mut Page, summary: &Summary) {
    if let Some(counts) = &summary.deliveries {
        let rows = [
            ("QoS 0", &counts.qos0),
            ("QoS 1", &counts.qos1),
            ("QoS 2", &counts.qos2),
        ];
        outcomes(page, "Deliveries", &rows);
    }
}

fn outcomes(page: &mut Page, heading: &str, rows: &[(&str, &BTreeMap<String, u64>)]) {
    if rows
        .iter()
        .all(|(_, counts)| counts.values().all(|n| *n == 0))
    {
        return;
    }
    page.heading(heading);
    for (name, counts) in rows {
        let total: u64 = counts.values().sum();
        if total > 0 {
            let text = match counts.values().filter(|count| **count > 0).count() {
                1 => format!("all {}", list(counts, " ")),
                _ => format!("{}: {}", grouped(total), list(counts, " ")),
            };
            page.paragraph(Style::Plain, &format!("  {name}  "), &text);
        }
    }
}

pub(super) fn delays(page: &mut Page, summary: &Summary) {
    let header = ["", "n", "p50", "p90", "p99", "max"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut missing = false;
    for (name, delays) in &summary.delays {
        if delays.count == 0 {
            continue;
        }
        let quantiles = [delays.p50_ns, delays.p90_ns, delays.p99_ns];
        missing |= quantiles.contains(&None);
        let values = quantiles.into_iter().chain([delays.max_ns]).map(delay);
        let cells = [fitting(name, 40), grouped(delays.count)].into_iter();
        rows.push(cells.chain(values).collect());
    }
    if rows.len() == 1 {
        return;
    }
    page.heading("Delays");
    page.table(&rows);
    if missing {
        page.line(Style::Plain, "  – fewer than ten observations beyond it");
    }
}

pub(super) fn loss(page: &mut Page, summary: &Summary) {
    let loss = &summary.loss;
    let message = loss.message.as_ref();
    let rows = [
        ("messages", message.map(|message| message.all)),
        ("  QoS 0", message.and_then(|message| message.qos0)),
        ("  QoS 1", message.and_then(|message| message.qos1)),
        ("  QoS 2", message.and_then(|message| message.qos2)),
        ("exchanges not completed", loss.exchange),
        ("TCP segments sent again", loss.segment),
        ("bytes not in the capture", loss.capture),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(name, share)| share.filter(|share| share.of > 0).map(|s| (name, s)))
        .collect();
    if rows.is_empty() {
        return;
    }
    page.heading("Loss (with 95 % confidence interval)");
    for (name, share) in rows {
        page.line(
            Style::Plain,
            &format!("  {name:<24}  {}", proportion(&share)),
        );
    }
}

/// How many codes are listed one by one.
const MOST_CODES: usize = 16;

/// What was found, the worst first, of the same severity the most frequent.
pub(super) fn findings<'d>(
    page: &mut Page,
    summary: &Summary,
    docs: impl IntoIterator<Item = &'d FindingDoc>,
) {
    let docs: Vec<&FindingDoc> = docs.into_iter().collect();
    let mut found: Vec<_> = summary
        .findings
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(code, count)| (docs.iter().find(|doc| doc.code == code), code, *count))
        .collect();
    let severity = |doc: Option<&&FindingDoc>| doc.map(|doc| doc.severity);
    found.sort_by(|(a, _, m), (b, _, n)| severity(*b).cmp(&severity(*a)).then(n.cmp(m)));
    if found.is_empty() {
        return;
    }
    page.heading("Findings");
    for (doc, code, count) in found.iter().take(MOST_CODES) {
        let name = doc.map_or("", |doc| doc.severity.name());
        let title = doc.map_or("", |doc| doc.title);
        let style = match doc.map(|doc| doc.severity) {
            Some(Severity::Error | Severity::Warning) => Style::Warning,
            _ => Style::Plain,
        };
        let text = format!("{} × {code}: {title}", grouped(*count));
        page.paragraph(style, &format!("  {name:<7}  "), &text);
    }
    if let Some(more) = found.len().checked_sub(MOST_CODES).filter(|more| *more > 0) {
        let more = counted(more as u64, "more kind");
        page.line(Style::Plain, &format!("  and {more} of findings"));
    }
}

/// What a person should know before relying on the rest: named plainly, or not at all.
pub(super) fn attention(page: &mut Page, summary: &Summary) {
    let mut lines = about_files(&summary.captures);
    lines.extend(about_counts(summary));
    for (what, counts) in [
        ("not followed to TCP (frames)", &summary.skipped),
        ("dropped to stay within limits", &summary.dropped),
    ] {
        if counts.values().any(|count| *count > 0) {
            lines.push(format!("{what}: {}", list(counts, " × ")));
        }
    }
    lines.extend(other_ports(summary));
    if lines.is_empty() {
        return;
    }
    page.heading("Worth knowing");
    for line in lines {
        page.paragraph(Style::Warning, "  ", &line);
    }
}

fn about_files(captures: &[CaptureSummary]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut unlisted: u64 = 0;
    for capture in captures {
        let path = fitting(&capture.path, 60);
        let cut = capture
            .truncated
            .then_some("cut off, all that is whole in it was read");
        let warnings = capture.warnings.iter().map(String::as_str);
        for warning in cut.into_iter().chain(warnings) {
            if lines.len() < MOST_LISTED {
                lines.push(format!("{path}: {warning}"));
            } else {
                unlisted += 1;
            }
        }
    }
    if unlisted > 0 {
        lines.push(format!(
            "and {} about files",
            counted(unlisted, "more warning")
        ));
    }
    lines
}

/// What the drops of the capture made uncertain.
fn uncertain_text(summary: &Summary) -> String {
    let count = |name: &str| summary.uncertain.get(name).copied().unwrap_or(0);
    let (deliveries, exchanges) = (count("deliveries"), count("exchanges"));
    format!(
        "{deliveries} deliveries and {exchanges} exchanges were under way meanwhile: their delays \
         are uncertain, and none of them is called lost"
    )
}

fn about_counts(summary: &Summary) -> Vec<String> {
    let negative: u64 = summary.delays.values().map(|delay| delay.negative).sum();
    let gaps = counted(summary.tcp.capture_gaps, "gap");
    let bytes = counted(summary.tcp.gap_bytes, "byte");
    let drops = summary.capture_drops.unwrap_or(0);
    let dropped = counted(drops, "packet");
    let malformed = summary.mqtt.malformed;
    let uncertain: u64 = summary.uncertain.values().sum();
    [
        (drops, format!("{dropped} dropped by the capturing system")),
        (uncertain, uncertain_text(summary)),
        (
            summary.tcp.capture_gaps,
            format!("{gaps} in TCP streams: the capture lacks {bytes}"),
        ),
        (malformed, counted(malformed, "malformed MQTT packet")),
        (
            negative,
            format!(
                "{}: the clock ran backwards, or frames are out of order",
                counted(negative, "negative delay")
            ),
        ),
    ]
    .into_iter()
    .filter_map(|(count, line)| (count > 0).then_some(line))
    .collect()
}

/// Only where no MQTT was found: then the port may be the reason.
fn other_ports(summary: &Summary) -> Option<String> {
    if summary.mqtt.packets > 0 || summary.other_ports.is_empty() {
        return None;
    }
    let ports = summary.other_ports.iter().take(MOST_LISTED).map(|port| {
        format!(
            "{} ({}, {})",
            port.port,
            counted(port.connections, "connection"),
            bytes(port.bytes as f64)
        )
    });
    let ports: Vec<_> = ports.collect();
    Some(format!(
        "TCP ports without MQTT: {}; name one with --port if it should be MQTT",
        ports.join(", ")
    ))
}

pub(super) fn throughput(page: &mut Page, summary: &Summary) {
    let Some(Throughput {
        wall_s,
        frames_per_s: Some(frames),
        bytes_per_s: Some(rate),
    }) = summary.throughput
    else {
        return;
    };
    page.text.push('\n');
    page.line(
        Style::Plain,
        &format!(
            "Analysed in {wall_s:.2} s: {} frames and {} per second.",
            large(frames),
            bytes(rate)
        ),
    );
}

/// Counts and what was counted, the most frequent first, joined by `times` and commas.
fn list(counts: &BTreeMap<String, u64>, times: &str) -> String {
    let mut entries: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    entries.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let entries: Vec<_> = entries
        .into_iter()
        .map(|(name, count)| format!("{}{times}{name}", grouped(*count)))
        .collect();
    entries.join(", ")
}
