//! The project's own recordings, decoded by tshark and by us: every field that both have.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::tool::{decode_jsonl, file_name, key_log_option, may_skip, recording_paths, recordings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mqttscope::mqtt::{HeaderResult, PacketType, PropertyId, parse_fixed_header};
use serde_json::Value;

/// Recordings on which tshark cannot be asked.
const SHORTCOMINGS: [(&str, &str); 4] = [
    (
        "websocket.pcap",
        "tshark shows no MQTT within WebSocket: see tshark_unwraps_the_same",
    ),
    (
        "wss.pcap",
        "tshark shows no MQTT within WebSocket: see tshark_unwraps_the_same",
    ),
    (
        "snaplen-96.pcap",
        "tshark does not reassemble what was cut: it gives up such packets and what follows them",
    ),
    (
        "two-taps.pcapng",
        "tshark makes one connection of both taps, and takes the second tap for retransmissions",
    ),
];

/// A field that tshark gives another name than we expect: recording, frame, the two names.
///
/// The broker refuses the level 6 with a CONNACK of 3.1.1; tshark reads on as at level 5.
const RENAMED: [(&str, u64, &str, &str); 1] = [(
    "return-codes.pcap",
    6,
    "mqtt.connack.reason_code",
    "mqtt.conack.val",
)];

/// A packet: tshark's fields by name, each with its values in order. Numbers as tshark shows
/// them, text in hexadecimal.
type Fields = BTreeMap<&'static str, Vec<String>>;

const NUMBERS: [&str; 28] = [
    "mqtt.hdrflags",
    "mqtt.len",
    "mqtt.dupflag",
    "mqtt.qos",
    "mqtt.retain",
    "mqtt.msgid",
    "mqtt.ver",
    "mqtt.conflags",
    "mqtt.conflag.qos",
    "mqtt.conflag.retain",
    "mqtt.conflag.cleansess",
    "mqtt.kalive",
    "mqtt.conack.flags.sp",
    "mqtt.conack.val",
    "mqtt.connack.reason_code",
    "mqtt.puback.reason_code",
    "mqtt.pubrec.reason_code",
    "mqtt.pubrel.reason_code",
    "mqtt.pubcomp.reason_code",
    "mqtt.suback.reason_code",
    "mqtt.unsuback.reason_code",
    "mqtt.disconnect.reason_code",
    "mqtt.sub.qos",
    "mqtt.suback.qos",
    "mqtt.subscription_options_qos",
    "mqtt.subscription_options_nl",
    "mqtt.subscription_options_rap",
    "mqtt.subscription_options_retain",
];

const TEXTS: [&str; 6] = [
    "mqtt.protoname",
    "mqtt.clientid",
    "mqtt.willtopic",
    "mqtt.willmsg",
    "mqtt.topic",
    "mqtt.msg",
];

/// The parts of a property, after its `mqtt.property_id`.
const PROPERTY_NUMBERS: [&str; 3] = [
    "mqtt.prop_number",
    "mqtt.property.max_qos",
    "mqtt.property.topic_alias",
];
const PROPERTY_TEXTS: [&str; 4] = [
    "mqtt.prop_string",
    "mqtt.prop_key",
    "mqtt.prop_value",
    "mqtt.property.content_type",
];

/// What an attribute of a PDML element says.
fn attribute<'l>(line: &'l str, name: &str) -> &'l str {
    let Some((_, rest)) = line.split_once(&format!(" {name}=\"")) else {
        return "";
    };
    rest.split_once('"').unwrap().0
}

/// tshark on a recording, with its secrets and with what is spoken on its ports.
fn tshark_command(path: &Path, settings: &Path) -> Command {
    let mut command = Command::new("tshark");
    command
        .env("WIRESHARK_CONFIG_DIR", settings)
        .args(["-n", "-o", "tcp.desegment_tcp_streams:TRUE"])
        .args(["-o", "tcp.reassemble_out_of_order:TRUE"])
        .args(["-d", "tcp.port==8883,tls", "-d", "tcp.port==9443,tls"])
        .args(["-d", "tcp.port==9001,http", "-d", "tls.port==9443,http"]);
    let key_log = path.with_extension("keylog");
    if key_log.exists() {
        let preference = format!("tls.keylog_file:{}", key_log.display());
        command.args(["-o", &preference]);
    }
    command.arg("-r").arg(path);
    command
}

/// All packets that tshark finds, each with the number of its frame. `None` without a tshark.
fn tshark(path: &Path) -> Option<Vec<(u64, Fields)>> {
    // Nobody's settings but these.
    let settings = tempfile::tempdir().unwrap();
    let output = tshark_command(path, settings.path())
        .args(["-Y", "mqtt", "-T", "pdml", "-J", "mqtt"])
        .output()
        .ok()?;
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut packets: Vec<(u64, Fields)> = Vec::new();
    let mut frame = 0;
    for line in text.lines() {
        let (name, value) = (attribute(line, "name"), attribute(line, "value"));
        let line_trimmed = line.trim_start();
        if name == "num" {
            frame = attribute(line, "show").parse().unwrap();
        } else if line_trimmed.starts_with("<proto name=\"mqtt\"") {
            packets.push((frame, Fields::new()));
        } else if let Some((_, fields)) = packets.last_mut() {
            add_field(fields, name, attribute(line, "show"), value);
        }
    }
    Some(packets)
}

fn add_field(fields: &mut Fields, name: &str, show: &str, value: &str) {
    if name == "mqtt.property_id" {
        fields
            .entry("properties")
            .or_default()
            .push(show.to_owned());
        return;
    }
    let part = if PROPERTY_NUMBERS.contains(&name) {
        Some(show)
    } else if PROPERTY_TEXTS.contains(&name) {
        Some(value)
    } else {
        None
    };
    if let Some(part) = part {
        let property = fields.get_mut("properties").unwrap().last_mut().unwrap();
        *property += &format!(" {part}");
    } else if let Some(&name) = NUMBERS.iter().find(|number| **number == name) {
        fields.entry(name).or_default().push(show.to_owned());
    } else if let Some(&name) = TEXTS.iter().find(|text| **text == name) {
        fields.entry(name).or_default().push(value.to_owned());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text of ours in hexadecimal.
fn text(value: &Value) -> String {
    hex(value.as_str().unwrap().as_bytes())
}

fn payload(value: &Value) -> String {
    hex(&BASE64.decode(value.as_str().unwrap()).unwrap())
}

/// A number, or a truth value as a number.
fn number(value: &Value) -> String {
    match value {
        Value::Bool(value) => u8::from(*value).to_string(),
        value => value.to_string(),
    }
}

/// The fields that tshark ought to have for a packet of ours.
fn expected(packet: &Value) -> Fields {
    let mut fields = Fields::new();
    let packet_type = packet["packet_type"].as_str().unwrap();
    let (v31, v5) = (packet["protocol_level"] == 3, packet["protocol_level"] == 5);
    let type_number = (0..=15_u8)
        .find(|number| PacketType::from_first_byte(number << 4).name() == packet_type)
        .unwrap();
    let first_byte = u64::from(type_number << 4) | packet["flags"].as_u64().unwrap();
    let mut put = |name, value: String| fields.entry(name).or_default().push(value);
    put("mqtt.hdrflags", format!("{first_byte:#04x}"));
    put("mqtt.len", number(&packet["remaining_length"]));
    if !packet["packet_id"].is_null() {
        put("mqtt.msgid", number(&packet["packet_id"]));
    }
    match packet_type {
        "CONNECT" => connect(packet, &mut put),
        // In 3.1 that flag is a reserved one.
        "CONNACK" if !v31 => put("mqtt.conack.flags.sp", number(&packet["session_present"])),
        "PUBLISH" => publish(packet, &mut put),
        "SUBSCRIBE" => subscribe(packet, v5, &mut put),
        "UNSUBSCRIBE" => {
            for filter in packet["topic"].as_array().unwrap() {
                put("mqtt.topic", text(filter));
            }
        }
        _ => {}
    }
    if v31 && matches!(packet_type, "SUBSCRIBE" | "UNSUBSCRIBE" | "PUBREL") {
        // In 3.1 these have a QoS and a DUP flag.
        put("mqtt.qos", (first_byte >> 1 & 3).to_string());
        put("mqtt.dupflag", (first_byte >> 3 & 1).to_string());
    }
    let code = match (packet_type, v5) {
        ("CONNACK", false) => Some("mqtt.conack.val"),
        ("SUBACK", false) => Some("mqtt.suback.qos"),
        ("CONNACK", true) => Some("mqtt.connack.reason_code"),
        ("PUBACK", true) => Some("mqtt.puback.reason_code"),
        ("PUBREC", true) => Some("mqtt.pubrec.reason_code"),
        ("PUBREL", true) => Some("mqtt.pubrel.reason_code"),
        ("PUBCOMP", true) => Some("mqtt.pubcomp.reason_code"),
        ("SUBACK", true) => Some("mqtt.suback.reason_code"),
        ("UNSUBACK", true) => Some("mqtt.unsuback.reason_code"),
        ("DISCONNECT", true) => Some("mqtt.disconnect.reason_code"),
        _ => None,
    };
    if let Some(name) = code {
        if !packet["reason_code"].is_null() {
            put(name, number(&packet["reason_code"]));
        }
        for code in packet["reason_codes"].as_array().into_iter().flatten() {
            put(name, number(code));
        }
    }
    let own = packet["properties"].as_array();
    let wills = packet["will"]["properties"].as_array();
    for property in own.into_iter().chain(wills).flatten() {
        put("properties", property_text(property));
    }
    fields
}

fn connect(packet: &Value, put: &mut impl FnMut(&'static str, String)) {
    let flags = packet["connect_flags"].as_u64().unwrap();
    put("mqtt.protoname", text(&packet["protocol_name"]));
    put("mqtt.ver", number(&packet["protocol_level"]));
    put("mqtt.conflags", format!("{flags:#04x}"));
    put("mqtt.conflag.cleansess", number(&packet["clean_start"]));
    put("mqtt.kalive", number(&packet["keep_alive_s"]));
    put("mqtt.clientid", text(&packet["client_id"]));
    let will = &packet["will"];
    if will.is_null() {
        put("mqtt.conflag.qos", "0".into());
        put("mqtt.conflag.retain", "0".into());
    } else {
        put("mqtt.conflag.qos", number(&will["qos"]));
        put("mqtt.conflag.retain", number(&will["retain"]));
        put("mqtt.willtopic", text(&will["topic"]));
        put("mqtt.willmsg", payload(&will["payload"]));
    }
}

fn publish(packet: &Value, put: &mut impl FnMut(&'static str, String)) {
    put("mqtt.qos", number(&packet["qos"]));
    put("mqtt.dupflag", number(&packet["dup"]));
    put("mqtt.retain", number(&packet["retain"]));
    put("mqtt.topic", text(&packet["topic_on_wire"]));
    let bytes = payload(&packet["payload"]);
    let length = packet["payload_length"].as_u64().unwrap();
    assert_eq!(bytes.len() as u64, 2 * length, "{packet}");
    put("mqtt.msg", bytes);
}

fn subscribe(packet: &Value, v5: bool, put: &mut impl FnMut(&'static str, String)) {
    for subscription in packet["subscriptions"].as_array().unwrap() {
        put("mqtt.topic", text(&subscription["filter"]));
        if v5 {
            put(
                "mqtt.subscription_options_qos",
                number(&subscription["qos"]),
            );
            put(
                "mqtt.subscription_options_nl",
                number(&subscription["no_local"]),
            );
            let kept = number(&subscription["retain_as_published"]);
            put("mqtt.subscription_options_rap", kept);
            let handling = number(&subscription["retain_handling"]);
            put("mqtt.subscription_options_retain", handling);
        } else {
            put("mqtt.sub.qos", number(&subscription["qos"]));
        }
    }
}

/// `0x26 6b6579 76616c7565`: identifier, then the value's parts.
fn property_text(property: &Value) -> String {
    let name = property["name"].as_str().unwrap();
    let id = PropertyId::ALL.iter().find(|id| id.name() == name).unwrap();
    let value = match &property["value"] {
        Value::Array(pair) => format!("{} {}", text(&pair[0]), text(&pair[1])),
        // Correlation data is hexadecimal already.
        Value::String(hex) if *id == PropertyId::CorrelationData => hex.clone(),
        // tshark's value has the length in front.
        Value::String(kind) if *id == PropertyId::ContentType => {
            format!("{:04x}{}", kind.len(), text(&property["value"]))
        }
        Value::String(_) => text(&property["value"]),
        value => number(value),
    };
    format!("{:#04x} {value}", id.number())
}

#[test]
fn tshark_reads_the_same() {
    let (mut packets, mut values, mut captures) = (0, 0, 0);
    let mut different = String::new();
    for path in recording_paths() {
        let name = file_name(&path);
        if let Some((_, why)) = SHORTCOMINGS.iter().find(|(capture, _)| *capture == name) {
            eprintln!("{name} is not compared: {why}");
            continue;
        }
        let Some(mut theirs) = tshark(&path) else {
            return may_skip("tshark");
        };
        for (_, frame, from, to) in RENAMED.iter().filter(|(capture, ..)| *capture == name) {
            let packet = theirs.iter_mut().find(|(number, _)| number == frame);
            let fields = &mut packet.unwrap().1;
            let values = fields.remove(from).unwrap();
            fields.insert(to, values);
        }
        let mut options = key_log_option(&path);
        options.extend(["--payload".to_owned(), "base64".to_owned()]);
        let ours: Vec<(u64, Fields)> = decode_jsonl(&path, &options)
            .iter()
            .map(|packet| (packet["frame"].as_u64().unwrap(), expected(packet)))
            .collect();
        assert!(!ours.is_empty(), "{name}");
        if ours.len() != theirs.len() {
            different += &format!("{name}: {} packets, not {}\n", ours.len(), theirs.len());
        }
        for ((frame, ours), (their_frame, theirs)) in ours.iter().zip(&theirs) {
            if frame != their_frame || ours != theirs {
                different += &format!("{name}\n  {frame} {ours:?}\n  {their_frame} {theirs:?}\n");
            }
            packets += 1;
            values += ours.values().map(Vec::len).sum::<usize>();
        }
        captures += 1;
    }
    assert!(different.is_empty(), "{different}");
    eprintln!("{values} fields of {packets} packets in {captures} recordings: tshark agrees");
}

/// tshark takes WebSocket frames apart, though it does not look for MQTT in them. Our broker and
/// clients write one packet per WebSocket frame.
#[test]
fn tshark_unwraps_the_same() {
    let settings = tempfile::tempdir().unwrap();
    for (name, at_least) in [("websocket.pcap", 30), ("wss.pcap", 30)] {
        let path = recordings().join(name);
        let output = tshark_command(&path, settings.path())
            .args(["-Y", "websocket.opcode == 2", "-T", "fields"])
            .args(["-e", "frame.number", "-e", "data.data"])
            .output();
        let Ok(output) = output else {
            return may_skip("tshark");
        };
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<(u64, &str)> = text
            .lines()
            .map(|line| line.split_once('\t').unwrap())
            .map(|(frame, bytes)| (frame.parse().unwrap(), bytes))
            .collect();
        let mut options = key_log_option(&path);
        options.extend(["--payload".to_owned(), "base64".to_owned()]);
        let ours = decode_jsonl(&path, &options);
        assert!(ours.len() >= at_least, "{name}: {}", ours.len());
        assert_eq!(ours.len(), theirs.len(), "{name}");
        for (packet, (frame, bytes)) in ours.iter().zip(theirs) {
            assert_eq!(packet["frame"], frame, "{name}");
            let start: Vec<u8> = (0..bytes.len().min(10))
                .step_by(2)
                .map(|at| u8::from_str_radix(&bytes[at..at + 2], 16).unwrap())
                .collect();
            let HeaderResult::Complete(header) = parse_fixed_header(&start) else {
                panic!("{name}, frame {frame}: {bytes}");
            };
            assert_eq!(header.packet_type().name(), packet["packet_type"]);
            assert_eq!(packet["remaining_length"], header.remaining_length);
            assert_eq!(bytes.len() as u64, 2 * u64::from(header.packet_length()));
            if packet["packet_type"] == "PUBLISH" {
                assert!(
                    bytes.ends_with(&payload(&packet["payload"])),
                    "{name}, frame {frame}"
                );
            }
        }
    }
}
