//! Events as rows of the tables.

use std::io::Write;

use crate::delivery::DeliveryRecord;
use crate::mqtt::{Packet, PacketType, ProtocolLevel, reason_text};
use crate::results::{
    ConnectionRow, DeliveryRow, ExchangeRow, Hash64, PacketRow, SessionRow, SubscriptionRow, Text,
};
use crate::session::{
    ConnectionState, ExchangeRecord, LevelBasis, SessionRecord, SubscriptionRecord, Towards,
};
use crate::tcp::{Direction, Endpoint, GapReason};

use super::{BadLengthEvent, ConnectionEvent, GapEvent, PacketEvent};

/// Sender and receiver of what goes one way.
#[must_use]
pub fn endpoints(state: &ConnectionState, towards: Towards) -> (Endpoint, Endpoint) {
    match towards {
        Towards::Broker => (state.facts.client, state.facts.broker),
        Towards::Client => (state.facts.broker, state.facts.client),
    }
}

/// What stands in a text column for a packet: a PUBLISH's topic, or the filters of a SUBSCRIBE
/// or UNSUBSCRIBE joined by a space. `scratch` holds the joined ones.
#[must_use]
pub fn topic_column<'a>(event: &PacketEvent<'a>, scratch: &'a mut Vec<u8>) -> Option<Text<'a>> {
    scratch.clear();
    let mut join = |filter: &[u8]| {
        if !scratch.is_empty() {
            scratch.push(b' ');
        }
        scratch.extend_from_slice(filter);
    };
    match &event.parsed.packet {
        Packet::Publish(_) => return event.topic.map(Text),
        Packet::Subscribe(packet) => packet.subscriptions.for_each(|s| join(s.filter)),
        Packet::Unsubscribe(packet) => packet.filters.for_each(join),
        _ => return None,
    }
    Some(Text(scratch))
}

/// What is remarkable about a packet: `malformed: …`, `violation: …`, missing bytes, and a level
/// that is only assumed, joined by `; `.
pub fn note(event: &PacketEvent<'_>, out: &mut Vec<u8>) {
    out.clear();
    let packet_type = event.header.packet_type();
    let level = match &event.parsed.packet {
        Packet::Connect(connect) => connect.level().unwrap_or(event.state.level),
        _ => event.state.level,
    };
    let mut add = |text: std::fmt::Arguments<'_>| {
        let separator = if out.is_empty() { "" } else { "; " };
        // Writing to memory cannot fail.
        let _ = write!(out, "{separator}{text}");
    };
    if event.missing > 0 {
        add(format_args!(
            "{} bytes missing from the capture",
            event.missing
        ));
    }
    match &event.parsed.malformed {
        Some(malformed) if event.missing == 0 => {
            add(format_args!(
                "malformed: {malformed} [{}]",
                malformed.clause(packet_type, level)
            ));
        }
        _ => {}
    }
    for violation in event.parsed.violations.iter() {
        let kind = if violation.is_error() {
            "violation"
        } else {
            "advice"
        };
        let clause = violation.clause(packet_type, level);
        add(format_args!("{kind}: {} [{clause}]", violation.text()));
    }
    for violation in event.violations.iter() {
        add(format_args!(
            "violation: {} [{}]",
            violation.text(),
            violation.clause(level, event.towards, packet_type)
        ));
    }
    if event.state.basis == LevelBasis::Assumed {
        add(format_args!("level assumed"));
    }
}

/// The row of a packet; `topic` and `note` come from [`topic_column`] and [`note`].
#[must_use]
pub fn packet_row<'a>(
    event: &PacketEvent<'a>,
    topic: Option<Text<'a>>,
    note: &'a [u8],
) -> PacketRow<'a> {
    let (source, destination) = endpoints(event.state, event.towards);
    let packet = &event.parsed.packet;
    let publish = match packet {
        Packet::Publish(publish) => Some(publish),
        _ => None,
    };
    PacketRow {
        frame: event.frame,
        time_ns: event.times.last,
        connection: event.state.facts.number,
        src_addr: source.address,
        src_port: source.port,
        dst_addr: destination.address,
        dst_port: destination.port,
        direction: event.towards.name(),
        packet_type: event.header.packet_type().name(),
        qos: publish.map(|publish| publish.qos),
        dup: publish.map(|publish| publish.dup),
        retain: publish.map(|publish| publish.retain),
        packet_id: packet.packet_id(),
        topic,
        remaining_length: Some(event.header.remaining_length),
        payload_length: publish.and_then(|publish| publish.payload_length),
        protocol_level: Some(level_number(event)),
        client_id: event.state.client_id().map(Text),
        reason_code: packet.reason_code(),
        note: (!note.is_empty()).then_some(Text(note)),
    }
}

/// The level as the CONNECT itself has it, whatever number that is; else the connection's.
fn level_number(event: &PacketEvent<'_>) -> u8 {
    match &event.parsed.packet {
        Packet::Connect(connect) => connect.level_byte,
        _ => None,
    }
    .unwrap_or(event.state.level.number())
}

/// The row of a gap.
#[must_use]
pub fn gap_row<'a>(event: &GapEvent<'a>, note: &'a [u8]) -> PacketRow<'a> {
    let times = crate::session::PacketTimes {
        first: event.gap.time,
        last: event.gap.time,
    };
    let place = (event.gap.frame, times);
    bare_row(event.state, event.towards, place, "GAP", note)
}

/// What a gap's row says: how many bytes, and why.
pub fn gap_note(bytes: u64, reason: GapReason, out: &mut Vec<u8>) {
    out.clear();
    let _ = write!(out, "{bytes} bytes {}", reason.text());
}

/// The row of a packet whose end cannot be known.
#[must_use]
pub fn bad_length_row<'a>(event: &BadLengthEvent<'a>, note: &'a [u8]) -> PacketRow<'a> {
    let packet_type = PacketType::from_first_byte(event.first_byte).name();
    bare_row(
        event.state,
        event.towards,
        (event.frame, event.times),
        packet_type,
        note,
    )
}

/// What the row of a malformed remaining length says.
pub const BAD_LENGTH_NOTE: &str = "malformed: the remaining length has more than four bytes, \
     so nothing after it can be read [MQTT-1.5.5-1; 3.1.1: section 2.2.3]";

fn bare_row<'a>(
    state: &'a ConnectionState,
    towards: Towards,
    (frame, times): (u64, crate::session::PacketTimes),
    packet_type: &'static str,
    note: &'a [u8],
) -> PacketRow<'a> {
    let (source, destination) = endpoints(state, towards);
    PacketRow {
        frame,
        time_ns: times.last,
        connection: state.facts.number,
        src_addr: source.address,
        src_port: source.port,
        dst_addr: destination.address,
        dst_port: destination.port,
        direction: towards.name(),
        packet_type,
        qos: None,
        dup: None,
        retain: None,
        packet_id: None,
        topic: None,
        remaining_length: None,
        payload_length: None,
        protocol_level: Some(state.level.number()),
        client_id: state.client_id().map(Text),
        reason_code: None,
        note: Some(Text(note)),
    }
}

/// Texts of a connection's row that have to be put together.
#[derive(Clone, Debug, Default)]
pub struct ConnectionTexts {
    alpn: Vec<u8>,
    alerts: String,
    unread: String,
}

impl ConnectionTexts {
    /// Those of a connection.
    #[must_use]
    pub fn new(event: &ConnectionEvent<'_>) -> Self {
        let mut texts = Self::default();
        if let Some(tls) = event.tls {
            texts.alpn = match tls.protocol() {
                Some(protocol) => protocol.to_vec(),
                // What was agreed on is encrypted; this is what the client offered.
                None if tls.decrypted() == 0 && !tls.offered_protocols().is_empty() => {
                    [b"(", tls.offered_protocols().join(&b' ').as_slice(), b")"].concat()
                }
                None => Vec::new(),
            };
            texts.alerts = tls.alerts().collect::<Vec<_>>().join(" ");
        }
        if let Some(stop) = event.stop {
            texts.unread = stop.to_string();
        }
        texts
    }
}

/// The row of a connection; `file` is the path of the file with its first frame.
#[must_use]
pub fn connection_row<'a>(
    event: &ConnectionEvent<'a>,
    file: &'a [u8],
    texts: &'a ConnectionTexts,
) -> ConnectionRow<'a> {
    let text = |text: &'a [u8]| (!text.is_empty()).then_some(Text(text));
    let state = event.state;
    let connect = state.connect.as_deref();
    let connack = state.connack.as_deref();
    let spoke = state.packets.to_broker > 0 || state.packets.to_client > 0;
    let will = connect.and_then(|connect| connect.will.as_ref());
    let [forward, reverse] =
        [Direction::Forward, Direction::Reverse].map(|direction| event.tcp.statistics(direction));
    ConnectionRow {
        connection: state.facts.number,
        file: Text(file),
        client_addr: state.facts.client.address,
        client_port: state.facts.client.port,
        broker_addr: state.facts.broker.address,
        broker_port: state.facts.broker.port,
        transport: event.transport.name(),
        start_ns: event.tcp.first,
        end_ns: event.tcp.last,
        end_reason: event.end.name(),
        midstream: event.tcp.midstream(),
        protocol_level: spoke.then_some(state.level.number()),
        protocol_level_basis: spoke.then_some(state.basis.name()),
        client_id: state.client_id().map(Text),
        clean_start: connect.and_then(|connect| connect.clean_start),
        keep_alive_s: connect.and_then(|connect| connect.keep_alive),
        will_topic: will.map(|will| Text(&will.topic)),
        will_qos: will.map(|will| will.qos),
        will_retain: will.map(|will| will.retain),
        connack_code: connack.map(|connack| connack.reason_code),
        connack_reason: connack
            .and_then(|connack| reason_text(PacketType::Connack, connack.reason_code, state.level))
            .map(|words| Text(words.as_bytes())),
        // The byte is reserved in MQTT 3.1.
        session_present: connack
            .filter(|_| state.level != ProtocolLevel::V3_1)
            .map(|connack| connack.session_present),
        packets_to_broker: state.packets.to_broker,
        packets_to_client: state.packets.to_client,
        bytes_to_broker: event.bytes.to_broker,
        bytes_to_client: event.bytes.to_client,
        publishes_to_broker: state.publishes.to_broker,
        publishes_to_client: state.publishes.to_client,
        rtt_client_side_ns: event.round_trip_client,
        rtt_broker_side_ns: event.round_trip_broker,
        vantage: event.vantage.name(),
        retransmitted_segments: forward
            .retransmitted_segments
            .saturating_add(reverse.retransmitted_segments),
        out_of_order_segments: forward
            .out_of_order_segments
            .saturating_add(reverse.out_of_order_segments),
        capture_gaps: forward.gaps.saturating_add(reverse.gaps),
        malformed: event.malformed,
        tls_version: event
            .tls
            .and_then(|tls| tls.version())
            .map(|name| Text(name.as_bytes())),
        tls_suite: event
            .tls
            .and_then(|tls| tls.suite())
            .map(|name| Text(name.as_bytes())),
        sni: event.tls.and_then(|tls| tls.server_name()).map(Text),
        alpn: text(&texts.alpn),
        tls_handshake_ns: event.tls.and_then(|tls| tls.handshake_time()),
        tls_records_to_broker: event.tls.map(|tls| tls.records().0),
        tls_records_to_client: event.tls.map(|tls| tls.records().1),
        tls_alerts: text(texts.alerts.as_bytes()),
        unread: text(texts.unread.as_bytes()),
        ended_by: event.ended_by.map(|towards| match towards {
            Towards::Broker => "client",
            Towards::Client => "broker",
        }),
        tls_bytes_to_broker: event.tls.map(|tls| tls.bytes().0),
        tls_bytes_to_client: event.tls.map(|tls| tls.bytes().1),
        tls_largest_record_to_broker_bytes: event.tls.map(|tls| tls.largest().0),
        tls_largest_record_to_client_bytes: event.tls.map(|tls| tls.largest().1),
        tls_client_silence_ns: event.tls.and_then(|tls| tls.client_silence()),
        tap: state.facts.tap,
    }
}

/// The row of an exchange.
#[must_use]
pub fn exchange_row<'a>(record: &ExchangeRecord<'a>, exchange: u64) -> ExchangeRow<'a> {
    ExchangeRow {
        exchange,
        connection: record.connection,
        direction: record.towards.name(),
        packet_id: record.packet_id,
        qos: record.qos,
        topic: (!record.topic.is_empty()).then_some(Text(record.topic)),
        transmissions: record.transmissions,
        publish_ns: record.publish,
        puback_ns: record.puback,
        pubrec_ns: record.pubrec,
        pubrel_ns: record.pubrel,
        pubcomp_ns: record.pubcomp,
        total_ns: record.total(),
        outcome: record.outcome.name(),
        reason_code: record.reason_code,
        tap: record.tap,
        uncertain: record.uncertain,
    }
}

/// The row of a delivery.
#[must_use]
pub fn delivery_row<'a>(record: &DeliveryRecord<'a>) -> DeliveryRow<'a> {
    DeliveryRow {
        message: record.message,
        publisher: record.publisher.map(Text),
        subscriber: Text(record.subscriber),
        delivered_message: record.delivered_message,
        topic: record.topic.map(Text),
        qos_published: record.qos_published,
        qos_delivered: record.qos_delivered,
        publish_ns: record.publish,
        received_ns: record.received,
        delay_ns: record.delay,
        residence_ns: record.residence,
        turnaround_ns: record.turnaround,
        outcome: record.outcome.name(),
        basis: record.basis.name(),
        payload_hash: record.payload_hash.map(Hash64),
        tap: record.tap,
        candidates: record.candidates,
        qos_expected: record.qos,
        uncertain: record.uncertain,
    }
}

/// The row of a subscription.
#[must_use]
pub fn subscription_row<'a>(record: &SubscriptionRecord<'a>) -> SubscriptionRow<'a> {
    SubscriptionRow {
        connection: record.connection,
        client_id: record.client_id.map(Text),
        filter: Text(record.filter),
        requested_qos: record.requested_qos,
        granted_qos: record.granted_qos,
        reason_code: record.reason_code,
        subscribe_ns: record.subscribe,
        suback_ns: record.suback,
        unsubscribe_ns: record.unsubscribe,
        tap: record.tap,
    }
}

/// The row of a session.
#[must_use]
pub fn session_row<'a>(record: &SessionRecord<'a>) -> SessionRow<'a> {
    SessionRow {
        session: record.session,
        client_id: Some(Text(record.client_id)),
        broker: (record.broker.address, record.broker.port).into(),
        connections: u64::from(record.connections),
        first_ns: record.first,
        last_ns: record.last,
        resumed: u64::from(record.resumed),
        taken_over: u64::from(record.taken_over),
        will_published: Some(record.will_published),
        subscriptions: record.subscriptions,
        publishes_sent: record.publishes_sent,
        publishes_received: record.publishes_received,
        keep_alive_violations: record.keep_alive_violations,
        tap: record.tap,
    }
}
