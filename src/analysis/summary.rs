//! What a pipeline counted, as the summary of the run.

use std::collections::BTreeMap;

use crate::mqtt::PacketType;
use crate::results::{
    DelaySummary, DeliveryCounts, ExchangeCounts, Loss, MessageLoss, MqttSummary, OtherPort,
    PublishCounts, Publishes, SCHEMA, Summary, TcpSummary,
};
use crate::session::{DelayKind, ExchangeOutcome, Towards};
use crate::stats::{Delays, Proportion};
use crate::wire::WireStatistics;

use super::Pipeline;
use super::totals::{self, Totals};

/// Most other ports that the summary names.
const OTHER_PORTS: usize = 20;

/// The summary of all that the pipeline took. Captures, taps and throughput are the caller's.
#[must_use]
pub fn summary(pipeline: &Pipeline, tool_version: &str) -> Summary {
    let totals = pipeline.totals();
    let tcp = pipeline.tcp();
    Summary {
        schema: SCHEMA.to_owned(),
        tool_version: tool_version.to_owned(),
        frames: pipeline.frames(),
        skipped: skipped(pipeline.wire()),
        tcp: TcpSummary {
            segments: tcp.segments,
            connections: tcp.connections,
            retransmitted_segments: totals.retransmitted_segments,
            out_of_order_segments: totals.out_of_order_segments,
            capture_gaps: totals.capture_gaps,
            gap_bytes: totals.gap_bytes,
        },
        mqtt: MqttSummary {
            packets: totals.packets(),
            by_type: by_type(totals),
            malformed: totals.malformed,
            bytes: totals.bytes,
        },
        connections: totals.connections,
        transports: totals
            .transports
            .iter()
            .map(|(&name, &n)| (name.to_owned(), n))
            .collect(),
        unread: totals.unread.clone(),
        sessions: pipeline.sessions(),
        publishes: Publishes {
            to_broker: publish_counts(totals.publishes.to_broker),
            to_client: publish_counts(totals.publishes.to_client),
        },
        exchanges: exchange_counts(totals),
        deliveries: pipeline.matches().then(|| delivery_counts(totals)),
        loss: loss(pipeline),
        delays: delays(pipeline)
            .iter()
            .map(|(name, delays)| (name.clone(), DelaySummary::from(delays)))
            .collect(),
        violations: totals
            .violations
            .iter()
            .map(|(&code, &n)| (code.to_owned(), n))
            .collect(),
        dropped: dropped(pipeline),
        uncertain: present([
            ("exchanges", totals.uncertain_exchanges),
            ("deliveries", totals.uncertain_deliveries),
        ]),
        other_ports: pipeline
            .other()
            .busiest()
            .into_iter()
            .take(OTHER_PORTS)
            .map(|(port, connections, bytes)| OtherPort {
                port,
                connections,
                bytes,
            })
            .collect(),
        ..Summary::default()
    }
}

/// Counts that are not 0, by name.
fn present<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts
        .into_iter()
        .filter(|&(_, n)| n > 0)
        .map(|(name, n)| (name.to_owned(), n))
        .collect()
}

fn skipped(wire: &WireStatistics) -> BTreeMap<String, u64> {
    let mut skipped = present([
        ("not_ip", wire.non_ip),
        ("not_tcp", wire.non_tcp),
        ("truncated", wire.truncated),
        ("malformed", wire.malformed),
        ("nested_too_deep", wire.nested_too_deep),
        ("mirrored", wire.mirrored_frames),
        ("fragments_dropped", wire.fragments_dropped),
        ("link_type_other", wire.unsupported_link_types.others),
    ]);
    for (link_type, count) in &wire.unsupported_link_types.counted {
        skipped.insert(format!("link_type_{}", link_type.0), *count);
    }
    skipped
}

fn dropped(pipeline: &Pipeline) -> BTreeMap<String, u64> {
    let (tcp, session, wire) = (pipeline.tcp(), pipeline.dropped(), pipeline.wire());
    let deliveries = pipeline.dropped_deliveries();
    present([
        ("connections", tcp.evicted_connections),
        ("stream_backlogs", tcp.limited_backlogs),
        ("unfinished_packets", pipeline.limited_streams()),
        ("sessions", session.sessions),
        ("exchanges", session.exchanges),
        ("parked_exchanges", session.parked),
        ("subscriptions", session.subscriptions),
        ("topic_aliases", session.aliases),
        ("messages_awaited", deliveries.messages),
        ("messages_not_followed", deliveries.not_followed),
        ("delivery_filters", deliveries.filters),
        ("wills", deliveries.wills),
        ("fragmented_datagrams", wire.datagrams_evicted),
    ])
}

fn by_type(totals: &Totals) -> BTreeMap<String, u64> {
    let names = (0..16_u8).map(|number| PacketType::from_first_byte(number << 4).name());
    names
        .zip(totals.by_type)
        .filter(|&(_, count)| count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
}

const fn publish_counts([qos0, qos1, qos2]: totals::PublishCounts) -> PublishCounts {
    PublishCounts { qos0, qos1, qos2 }
}

fn exchange_counts(totals: &Totals) -> ExchangeCounts {
    let named = |counts: &totals::ExchangeCounts| {
        counts
            .iter()
            .map(|(outcome, &count)| (outcome.name().to_owned(), count))
            .collect()
    };
    let [qos1, qos2] = &totals.exchanges;
    ExchangeCounts {
        qos1: named(qos1),
        qos2: named(qos2),
    }
}

fn delivery_counts(totals: &Totals) -> DeliveryCounts {
    let named = |counts: &totals::DeliveryCounts| {
        let observed = (counts.observed > 0).then(|| ("observed".to_owned(), counts.observed));
        counts
            .outcomes
            .iter()
            .map(|(outcome, &count)| (outcome.name().to_owned(), count))
            .chain(observed)
            .collect()
    };
    let [qos0, qos1, qos2] = &totals.deliveries;
    DeliveryCounts {
        qos0: named(qos0),
        qos1: named(qos1),
        qos2: named(qos2),
    }
}

fn message_loss(pipeline: &Pipeline) -> Option<MessageLoss> {
    let totals = pipeline.totals();
    let proportion = |counts: &totals::DeliveryCounts| {
        (counts.decided > 0).then(|| Proportion::new(counts.lost, counts.decided))
    };
    let sum = |value: fn(&totals::DeliveryCounts) -> u64| totals.deliveries.iter().map(value).sum();
    let (lost, decided): (u64, u64) = (sum(|counts| counts.lost), sum(|counts| counts.decided));
    let [qos0, qos1, qos2] = &totals.deliveries;
    pipeline.matches().then(|| MessageLoss {
        all: Proportion::new(lost, decided),
        qos0: proportion(qos0),
        qos1: proportion(qos1),
        qos2: proportion(qos2),
    })
}

/// Four different things, never added up. Messages need both legs, which only the matching of
/// deliveries sees.
fn loss(pipeline: &Pipeline) -> Loss {
    let totals = pipeline.totals();
    let proportion = |count, of| (of > 0).then(|| Proportion::new(count, of));
    let ended = totals.exchanges.iter().flatten().filter(|&(&outcome, _)| {
        // A resumed exchange has a row of its own where it goes on, and of an unknown one
        // nobody can say how it ended.
        !matches!(outcome, ExchangeOutcome::Resumed | ExchangeOutcome::Unknown)
    });
    let (mut unfinished, mut exchanges) = (0_u64, 0_u64);
    for (outcome, count) in ended {
        exchanges = exchanges.saturating_add(*count);
        if !matches!(
            outcome,
            ExchangeOutcome::Complete | ExchangeOutcome::Rejected
        ) {
            unfinished = unfinished.saturating_add(*count);
        }
    }
    Loss {
        message: message_loss(pipeline),
        segment: proportion(
            totals.retransmitted_segments.min(totals.data_segments),
            totals.data_segments,
        ),
        capture: proportion(totals.missed_bytes, totals.stream_bytes),
        exchange: proportion(unfinished, exchanges),
    }
}

/// Each delay by its name, and the legs of handshakes also by the way of the message.
#[must_use]
pub fn delays(pipeline: &Pipeline) -> BTreeMap<String, Delays> {
    let totals = pipeline.totals();
    let mut named: BTreeMap<String, Delays> = BTreeMap::new();
    for (kind, towards, delays) in totals.delays() {
        let name = delay_name(kind);
        if is_leg(kind) {
            let suffix = match towards {
                Towards::Broker => "to_broker",
                Towards::Client => "to_client",
            };
            named
                .entry(format!("{name}.{suffix}"))
                .or_default()
                .merge(delays);
        }
        named.entry(name.to_owned()).or_default().merge(delays);
    }
    for (name, by_qos) in [
        ("delivery", &totals.delivery),
        ("turnaround", &totals.turnaround),
        ("residence", &totals.residence),
    ] {
        for (qos, delays) in by_qos.iter().enumerate() {
            if delays.count() > 0 {
                named
                    .entry(format!("{name}_qos{qos}"))
                    .or_default()
                    .merge(delays);
            }
        }
    }
    if totals.tcp_handshake.count() > 0 {
        named
            .entry("tcp_handshake".to_owned())
            .or_default()
            .merge(&totals.tcp_handshake);
    }
    named
}

const fn delay_name(kind: DelayKind) -> &'static str {
    match kind {
        DelayKind::Puback => "puback",
        DelayKind::Pubrec => "pubrec",
        DelayKind::Pubrel => "pubrel",
        DelayKind::Pubcomp => "pubcomp",
        DelayKind::Qos2Total => "qos2_total",
        DelayKind::Connect => "connect",
        DelayKind::Subscribe => "subscribe",
        DelayKind::Ping => "ping",
    }
}

const fn is_leg(kind: DelayKind) -> bool {
    !matches!(
        kind,
        DelayKind::Connect | DelayKind::Subscribe | DelayKind::Ping
    )
}
