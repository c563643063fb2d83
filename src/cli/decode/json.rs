//! One JSON object per packet, with every field.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::analysis::PacketEvent;
use crate::mqtt::{Packet, Properties, Property, reason_text};
use crate::payload::PayloadKind;
use crate::results::{PacketRow, escape};

use super::Line;
use super::payload::message;
use super::text::{Shown, base64};
use crate::cli::args::PayloadFormat;

pub(super) struct JsonPrinter<W: Write> {
    out: W,
    shown: Shown,
}

/// Text as it is where it is UTF-8; anything else as `{"hex": "…"}`.
fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn optional(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, text)
}

impl<W: Write> JsonPrinter<W> {
    pub(super) fn new(out: W, shown: Shown) -> Self {
        Self { out, shown }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn print(
        &mut self,
        row: &PacketRow<'_>,
        file: u32,
        line: &Line<'_>,
    ) -> io::Result<()> {
        let mut object = Map::new();
        if let Some(path) = self.shown.files.get(file as usize) {
            object.insert("file".into(), text(path));
        }
        common(&mut object, row);
        if let Line::Packet(event) = line {
            object.insert(
                "protocol_level_basis".into(),
                event.state.basis.name().into(),
            );
            object.insert("first_ns".into(), event.times.first.as_nanos().into());
            object.insert("flags".into(), (event.header.first_byte & 0x0f).into());
            packet(&mut object, event, &self.shown);
            if event.missing > 0 {
                object.insert("missing_bytes".into(), event.missing.into());
            }
            rules(&mut object, event);
        }
        serde_json::to_writer(&mut self.out, &Value::Object(object))?;
        self.out.write_all(b"\n")
    }
}

/// The columns of the CSV, under the same names.
fn common(object: &mut Map<String, Value>, row: &PacketRow<'_>) {
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    put("frame", row.frame.into());
    put("time_ns", row.time_ns.as_nanos().into());
    put("connection", row.connection.into());
    put("src_addr", row.src_addr.to_string().into());
    put("src_port", row.src_port.into());
    put("dst_addr", row.dst_addr.to_string().into());
    put("dst_port", row.dst_port.into());
    put("direction", row.direction.into());
    put("packet_type", row.packet_type.into());
    put("qos", row.qos.into());
    put("dup", row.dup.into());
    put("retain", row.retain.into());
    put("packet_id", row.packet_id.into());
    put(
        "topic",
        row.topic
            .as_ref()
            .map_or(Value::Null, |topic| text(topic.0)),
    );
    put("remaining_length", row.remaining_length.into());
    put("payload_length", row.payload_length.into());
    put("protocol_level", row.protocol_level.into());
    put(
        "client_id",
        row.client_id.as_ref().map_or(Value::Null, |id| text(id.0)),
    );
    put("reason_code", row.reason_code.into());
    put(
        "note",
        row.note
            .as_ref()
            .map_or(Value::Null, |note| escape(note.0).into()),
    );
}

/// What only this packet type has.
fn packet(object: &mut Map<String, Value>, event: &PacketEvent<'_>, shown: &Shown) {
    let packet = &event.parsed.packet;
    let mut put = |name: &str, value: Value| {
        object.insert(name.to_owned(), value);
    };
    match packet {
        Packet::Connect(connect) => {
            put("protocol_name", optional(connect.protocol_name));
            put("connect_flags", connect.flags.into());
            put("clean_start", connect.clean_start().into());
            put("keep_alive_s", connect.keep_alive.into());
            put("bridge", connect.is_bridge().into());
            if let Some(will) = &connect.will {
                put(
                    "will",
                    json!({
                        "topic": optional(will.topic),
                        "qos": connect.will_qos(),
                        "retain": connect.will_retain(),
                        "payload_length": will.payload.map(<[u8]>::len),
                        "payload": will.payload.and_then(|bytes| payload(bytes, shown)),
                        "properties": properties(&will.properties),
                    }),
                );
            }
            if shown.credentials {
                put("user_name", optional(connect.user_name));
            }
            put("has_user_name", connect.user_name_flag().into());
            put("has_password", connect.password_flag().into());
        }
        Packet::Connack(connack) => put("session_present", connack.session_present().into()),
        Packet::Publish(publish) => {
            put("topic_on_wire", optional(publish.topic));
            if let Some(hash) = event.payload_hash {
                put("payload_hash", format!("{hash:016x}").into());
            }
            if let Some(payload) = payload(publish.payload, shown) {
                put("payload", payload);
                let kind = shown.schemas.kind(event.topic, publish);
                put("payload_kind", kind.map(PayloadKind::name).into());
            }
            if shown.payload == PayloadFormat::Text
                && let Some(message) = message(event.topic, publish, &shown.schemas)
            {
                put("payload_message", message);
            }
        }
        Packet::Subscribe(packet) => {
            let filters: Vec<Value> = packet
                .subscriptions
                .map(|s| {
                    json!({
                        "filter": text(s.filter),
                        "qos": s.qos(),
                        "no_local": s.no_local(),
                        "retain_as_published": s.retain_as_published(),
                        "retain_handling": s.retain_handling(),
                    })
                })
                .collect();
            put(
                "topic",
                packet.subscriptions.map(|s| text(s.filter)).collect(),
            );
            put("subscriptions", filters.into());
        }
        Packet::Unsubscribe(packet) => put("topic", packet.filters.map(text).collect()),
        Packet::Suback(packet) => put("reason_codes", packet.reason_codes.into()),
        Packet::Unsuback(packet) => put("reason_codes", packet.reason_codes.into()),
        _ => {}
    }
    if let Some(code) = packet.reason_code() {
        let words = reason_text(event.header.packet_type(), code, event.state.level);
        put("reason", words.into());
    }
    if event.state.level.is_v5() && !packet.properties().is_empty() {
        put("properties", properties(&packet.properties()));
    }
}

fn payload(bytes: &[u8], shown: &Shown) -> Option<Value> {
    match shown.payload {
        PayloadFormat::None => None,
        PayloadFormat::Text => Some(text(bytes)),
        PayloadFormat::Base64 => Some(base64(bytes).into()),
    }
}

/// Properties in the order of the packet; each with its name and value.
fn properties(properties: &Properties<'_>) -> Value {
    properties
        .iter()
        .map(|property| json!({ "name": property.name(), "value": property_value(property) }))
        .collect()
}

fn property_value(property: Property<'_>) -> Value {
    use Property as P;
    match property {
        P::PayloadFormatIndicator(value)
        | P::RequestProblemInformation(value)
        | P::RequestResponseInformation(value)
        | P::MaximumQos(value)
        | P::RetainAvailable(value)
        | P::WildcardSubscriptionAvailable(value)
        | P::SubscriptionIdentifierAvailable(value)
        | P::SharedSubscriptionAvailable(value) => value.into(),
        P::ServerKeepAlive(value)
        | P::ReceiveMaximum(value)
        | P::TopicAliasMaximum(value)
        | P::TopicAlias(value) => value.into(),
        P::MessageExpiryInterval(value)
        | P::SessionExpiryInterval(value)
        | P::WillDelayInterval(value)
        | P::MaximumPacketSize(value)
        | P::SubscriptionIdentifier(value) => value.into(),
        P::ContentType(value)
        | P::ResponseTopic(value)
        | P::AssignedClientIdentifier(value)
        | P::AuthenticationMethod(value)
        | P::ResponseInformation(value)
        | P::ServerReference(value)
        | P::ReasonString(value) => text(value),
        P::CorrelationData(value) => hex(value).into(),
        // Authentication data can be a password.
        P::AuthenticationData(secret) => json!({ "hidden_bytes": secret.len() }),
        P::UserProperty((name, value)) => json!([text(name), text(value)]),
    }
}

/// What the packet breaks, for programs: codes with their clauses.
fn rules(object: &mut Map<String, Value>, event: &PacketEvent<'_>) {
    let packet_type = event.header.packet_type();
    let level = event.state.level;
    let own = event.parsed.violations.iter().map(
        |v| json!({ "code": v.code(), "clause": v.clause(packet_type, level), "text": v.text() }),
    );
    let session = event
        .violations
        .iter()
        .map(|v| json!({ "code": v.code(), "clause": v.clause(level, event.towards, packet_type), "text": v.text() }));
    let all: Vec<Value> = own.chain(session).collect();
    if !all.is_empty() {
        object.insert("violations".into(), all.into());
    }
}
