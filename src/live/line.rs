//! An interval as text for people, and as a line of JSON.

use std::fmt::Write;

use serde::Serialize;

use crate::time::TimeDelta;

use super::Interval;

/// One line for people, without a line feed: rates, delays, what waits, what was lost, and the
/// newest finding. What there is none of is left out, but for the rates.
#[must_use]
pub fn text(interval: &Interval) -> String {
    let mut line = clock(interval.end_ns);
    let publishes = |counts: [u64; 3]| counts.iter().sum::<u64>();
    let seconds = interval.end_ns.saturating_sub(interval.start_ns) as f64 / 1e9;
    let rate = |count: u64| {
        if seconds > 0.0 {
            count as f64 / seconds
        } else {
            0.0
        }
    };
    put(
        &mut line,
        format_args!(
            "  {} frames/s {}B/s  PUBLISH {}/s in {}/s out",
            number(interval.frames_per_s),
            scaled(interval.bytes_per_s),
            number(rate(publishes(interval.publishes.to_broker))),
            number(rate(publishes(interval.publishes.to_client))),
        ),
    );
    for (name, delays) in &interval.delays {
        let name = match *name {
            "qos2_total" => "QoS 2 exchange".to_owned(),
            "puback" => "PUBACK".to_owned(),
            name => name.replace("delivery_qos", "delivery q"),
        };
        put(&mut line, format_args!("  {name}"));
        let quantiles = [
            ("p50", delays.p50_ns),
            ("p99", delays.p99_ns),
            ("max", delays.max_ns),
        ];
        for (label, value) in quantiles {
            if let Some(nanos) = value {
                put(
                    &mut line,
                    format_args!(" {label} {}", TimeDelta::from_nanos(nanos)),
                );
            }
        }
        put(&mut line, format_args!(" n {}", delays.count));
    }
    put(
        &mut line,
        format_args!(
            "  waiting: {} exchanges {} deliveries",
            interval.outstanding.exchanges, interval.outstanding.deliveries
        ),
    );
    losses(&mut line, interval);
    if let (Some(finding), true) = (&interval.newest_finding, interval.findings > 0) {
        put(
            &mut line,
            format_args!(
                "  +{} findings: {} {}",
                interval.findings, finding.severity, finding.code
            ),
        );
        if !finding.detail.is_empty() {
            put(&mut line, format_args!(" ({})", finding.detail));
        }
    }
    line
}

/// One line of JSON, without a line feed: `{"type":"interval",` and the interval's members.
///
/// # Errors
///
/// What serialisation says; there is no reason that it should.
pub fn json(interval: &Interval) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        r#type: &'static str,
        #[serde(flatten)]
        interval: &'a Interval,
    }
    serde_json::to_string(&Line {
        r#type: "interval",
        interval,
    })
}

fn losses(line: &mut String, interval: &Interval) {
    let loss = &interval.loss;
    let mut kinds: Vec<String> = Vec::new();
    for (qos, counts) in loss.messages.iter().enumerate() {
        if counts.lost > 0 {
            kinds.push(format!(
                "{} of {} q{qos} messages",
                counts.lost, counts.decided
            ));
        }
        if counts.late > 0 {
            kinds.push(format!("{} q{qos} messages late", counts.late));
        }
    }
    for (count, what) in [
        (loss.exchanges, "exchanges not completed"),
        (loss.segments_sent_again, "segments sent again"),
        (loss.capture_bytes, "bytes not captured"),
    ] {
        if count > 0 {
            kinds.push(format!("{count} {what}"));
        }
    }
    if !kinds.is_empty() {
        put(line, format_args!("  lost: {}", kinds.join(", ")));
    }
    let drops = &interval.capture_drops;
    if drops.sum() > 0 {
        put(
            line,
            format_args!(
                "  CAPTURE DROPPED {} frames ({} in all): what is near is uncertain",
                drops.sum(),
                drops.total
            ),
        );
    }
}

/// Writing to a string does not fail.
fn put(line: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = line.write_fmt(arguments);
}

/// Time of day, UTC.
fn clock(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000).rem_euclid(86_400);
    let tenths = nanos.rem_euclid(1_000_000_000) / 100_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{tenths}", seconds % 60)
}

/// A rate with three digits or more.
fn number(value: f64) -> String {
    match value {
        v if v >= 99.95 || v == 0.0 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// The same with `k`, `M` or `G`, and a blank before the unit.
fn scaled(value: f64) -> String {
    for (factor, prefix) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= factor {
            return format!("{} {prefix}", number(value / factor));
        }
    }
    format!("{} ", number(value))
}
