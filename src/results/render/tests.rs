use super::*;
use crate::results::{
    CaptureSummary, DelaySummary, DeliveryCounts, FindingDoc, MessageLoss, OtherPort,
    PublishCounts, Severity, TapSummary, Throughput,
};
use crate::stats::{Delays, Proportion};
use crate::time::TimeDelta;
use std::collections::BTreeMap;

fn counts(entries: &[(&str, u64)]) -> BTreeMap<String, u64> {
    entries
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn delay(count: u64, step_ns: i64) -> DelaySummary {
    let mut delays = Delays::new();
    for index in 0..count {
        delays.record(TimeDelta::from_nanos(step_ns * (index as i64 + 1)));
    }
    DelaySummary::from(&delays)
}

/// A quiet office network, nothing wrong.
fn healthy() -> Summary {
    let mut summary = Summary {
        tool_version: "0.1.0".to_owned(),
        frames: 20_418,
        connections: 12,
        sessions: 9,
        ..Summary::default()
    };
    summary.captures.push(CaptureSummary {
        path: "office.pcapng".to_owned(),
        format: "pcapng".to_owned(),
        link_types: vec!["Ethernet".to_owned()],
        frames: 20_418,
        bytes: 2_914_311,
        first_ns: Some(1_714_564_800_123_456_789),
        last_ns: Some(1_714_564_860_000_000_000),
        ..CaptureSummary::default()
    });
    summary.mqtt.packets = 4_828;
    summary.mqtt.bytes = 411_223;
    summary.mqtt.by_type = counts(&[
        ("CONNECT", 12),
        ("CONNACK", 12),
        ("PUBLISH", 2_404),
        ("PUBACK", 1_200),
        ("PUBREC", 400),
        ("PUBREL", 400),
        ("PUBCOMP", 400),
    ]);
    summary.publishes.to_broker = PublishCounts {
        qos0: 402,
        qos1: 600,
        qos2: 200,
    };
    summary.publishes.to_client = summary.publishes.to_broker;
    summary.exchanges.qos1 = counts(&[("complete", 1_200)]);
    summary.exchanges.qos2 = counts(&[("complete", 400), ("unknown", 0)]);
    summary.loss.exchange = Some(Proportion::new(0, 1_600));
    summary.loss.segment = Some(Proportion::new(3, 12_000));
    summary.delays = [
        ("connect", delay(12, 1_200_000)),
        ("puback.to_broker", delay(600, 3_100)),
        ("qos2_total.to_client", delay(200, 41_000)),
        ("subscribe", delay(0, 1)),
    ]
    .map(|(name, delay)| (name.to_owned(), delay))
    .into();
    summary.throughput = Some(Throughput::new(0.05, 20_418, 2_914_311));
    summary
}

/// Everything that can be wrong at once, and names that are meant to do harm.
fn troubled() -> Summary {
    let mut summary = healthy();
    summary.captures[0].truncated = true;
    for number in 2..=11 {
        summary.captures.push(CaptureSummary {
            path: format!("{}/evil\x1b[2J-{number}.pcap", "deep".repeat(30)),
            format: "pcap, gzip".to_owned(),
            link_types: vec!["Linux cooked v2".to_owned(), "link type 147".to_owned()],
            frames: 1,
            bytes: 24,
            warnings: vec!["3 × time runs backwards, first at byte 4096".to_owned()],
            ..CaptureSummary::default()
        });
    }
    summary.taps = (0..2)
        .map(|tap| TapSummary {
            tap,
            interface: Some(format!("eth{tap}")),
            ..TapSummary::default()
        })
        .collect();
    summary.exchanges.qos1 = counts(&[
        ("awaiting_pubrec", 0),
        ("complete", 1_180),
        ("interrupted", 3),
        ("rejected", 2),
        ("resumed", 1),
        ("unacknowledged", 14),
        ("unknown", 7),
    ]);
    summary.deliveries = Some(DeliveryCounts {
        qos0: counts(&[("delivered", 390), ("lost", 12)]),
        qos1: counts(&[("delivered", 598), ("duplicate", 4), ("late", 2)]),
        qos2: BTreeMap::new(),
    });
    summary.loss.message = Some(MessageLoss {
        all: Proportion::new(12, 1_002),
        qos0: Some(Proportion::new(12, 402)),
        qos1: Some(Proportion::new(0, 600)),
        qos2: None,
    });
    summary.loss.exchange = Some(Proportion::new(17, 1_597));
    summary.loss.capture = Some(Proportion::new(2_920, 411_223_000));
    summary.tcp.capture_gaps = 2;
    summary.tcp.gap_bytes = 2_920;
    summary.mqtt.malformed = 1;
    summary.delays.insert("ping".to_owned(), delay(40, -300));
    summary.capture_drops = Some(77);
    summary.skipped = counts(&[("link type 147", 3), ("not TCP", 1_204)]);
    summary.findings = counts(&[("late", 1_200), ("lost", 2), ("unheard-of", 1)]);
    summary.dropped = counts(&[("connections", 5)]);
    summary
}

const fn finding(code: &'static str, severity: Severity, title: &'static str) -> FindingDoc {
    FindingDoc {
        code,
        severity,
        title,
        why: "",
        what_to_do: "",
        clause: "",
    }
}

const FINDINGS: [FindingDoc; 2] = [
    finding(
        "late",
        Severity::Note,
        "A message came so late that the sentence about it does not fit into one line.",
    ),
    finding("lost", Severity::Error, "A message was lost."),
];

/// Compares with a kept text, line by line so that a difference can be read.
fn assert_text(text: &str, kept: &str) {
    let (given, kept): (Vec<_>, Vec<_>) = (text.lines().collect(), kept.lines().collect());
    assert_eq!(given, kept, "\n{text}");
}

#[test]
fn a_healthy_run() {
    assert_text(
        &render_summary(&healthy(), [], false),
        include_str!("healthy.txt"),
    );
}

#[test]
fn a_troubled_run() {
    assert_text(
        &render_summary(&troubled(), &FINDINGS, false),
        include_str!("troubled.txt"),
    );
}

#[test]
fn a_run_without_mqtt() {
    let mut summary = Summary {
        frames: 1_000,
        ..Summary::default()
    };
    summary.other_ports = vec![
        OtherPort {
            port: 1884,
            connections: 3,
            bytes: 41_000,
        },
        OtherPort {
            port: 443,
            connections: 1,
            bytes: 90,
        },
    ];
    assert_eq!(
        render_summary(&summary, [], false),
        "No MQTT found in 1,000 frames.\n\
         \n\
         Worth knowing\n  \
         TCP ports without MQTT: 1884 (3 connections, 41.0 kB), 443 (1 connection, 90 B); name one \
         with\n  --port if it should be MQTT\n"
    );
}

#[test]
fn no_line_is_too_long_and_none_drives_the_terminal() {
    for summary in [healthy(), troubled(), Summary::default()] {
        let text = render_summary(&summary, [], false);
        for line in text.lines() {
            assert!(width(line) <= WIDTH, "{line}");
            assert!(!line.chars().any(is_unsafe), "{line:?}");
        }
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"));
    }
}

#[test]
fn color_adds_only_color() {
    let colored = render_summary(&troubled(), [], true);
    assert!(colored.contains("\x1b[1mCaptures\x1b[0m\n"));
    let plain = ["\x1b[1m", "\x1b[33m", "\x1b[0m"]
        .iter()
        .fold(colored.clone(), |text, code| text.replace(code, ""));
    assert_eq!(plain, render_summary(&troubled(), [], false));
}
