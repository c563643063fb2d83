//! Captures from elsewhere against the lists of the packets that are in them, made by two other
//! decoders: `NAME.ref.tsv` by one written for the purpose, `NAME.msgs.tsv` by tshark.
//!
//! Every packet has to be there, in order, with every field that the lists have; what differs is
//! named below, with the reason.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::shared;
use crate::tool::{Row, decode_csv, decode_jsonl, file_name, key_log_option};
use mqttscope::mqtt::PropertyId;
use serde_json::Value;

/// Captures that neither list is compared for here.
const ELSEWHERE: [(&str, &str); 1] = [(
    "derived__midstream_v5_props_alias.pcap",
    "the lists take it for 3.1.1: see the_level_of_a_connection_in_mid_stream_is_inferred",
)];

/// The lists of this capture were made of a copy without WebSocket: one packet per frame, on the
/// usual port instead of this one.
const UNWRAPPED: (&str, &str) = ("gen__websocket.pcap", ":9001");

/// Captures with a list of tshark's that is wrong as a whole.
const TSHARK_LOSES_STEP: [&str; 2] = [
    "gen__split_segments.pcap",
    "derived__outoforder_split_segments.pcap",
];

/// Captures that need an option.
const OPTIONS: [(&str, &[&str]); 1] = [("alivcor__mqtt.pcap", &["--port", "1337"])];

/// Captures from which segments were cut out, with the number of places.
const GAPS: [(&str, usize); 2] = [
    ("suricata__mqtt-events-invalid-qos.pcap", 1),
    ("suricata__mqtt-events-unintroduced.pcap", 2),
];

/// A packet that a list has otherwise than we: its fields there, and ours, if we have it at all.
struct Exception {
    capture: &'static str,
    theirs: &'static str,
    ours: Option<&'static str>,
    why: &'static str,
}

const fn malformed(
    theirs: &'static str,
    ours: Option<&'static str>,
    why: &'static str,
) -> Exception {
    Exception {
        capture: "gen__malformed.pcap",
        theirs,
        ours,
        why,
    }
}

const TLS_HELLO: &str = "a TLS ClientHello on port 1883 is not MQTT, though it can be read as it";

/// frame|type|qos|dup|retain|packet id|topic|remaining length|payload length
const EXCEPTIONS: [Exception; 8] = [
    malformed(
        "19|BADLEN|||||||",
        Some("19|PUBLISH|||||||"),
        "a remaining length of five bytes: the type is known",
    ),
    malformed(
        r"40|PUBLISH|0|0|0||a\0b|6|1",
        Some(r"40|PUBLISH|0|0|0||a\x00b|6|1"),
        "another escape for the same topic",
    ),
    malformed(
        "108|PUBLISH|0|0|0||<unknown alias 5>|7|1",
        Some("108|PUBLISH|0|0|0|||7|1"),
        "an alias that was never bound: no topic is known",
    ),
    malformed(
        "120|PUBLISH|0|0|0||<overrun>|5|0",
        Some("120|PUBLISH|0|0|0|||5|"),
        "the topic runs past the packet: neither it nor the payload's length is known",
    ),
    malformed(
        "131|PUBLISH|0|0|0||t|7|0",
        Some("131|PUBLISH|0|0|0||t|7|"),
        "the properties run past the packet: the payload's length is not known",
    ),
    malformed(
        "472|CONNECT|||||<err index out of range>|3|",
        None,
        TLS_HELLO,
    ),
    malformed("472|RESERVED||||||0|", None, TLS_HELLO),
    malformed("472|RESERVED||||||1|", None, TLS_HELLO),
];

/// The same, then |level|client id|CONNACK code|requested QoS|SUBACK codes|properties|alias
const TSHARK_EXCEPTIONS: [Exception; 7] = [
    malformed(
        "40|PUBLISH|0|0|0||a|6|1|||||||",
        Some(r"40|PUBLISH|0|0|0||a\x00b|6|1|||||||"),
        "tshark ends a string at U+0000",
    ),
    malformed(
        "51|PUBLISH|0|0|0||a\u{fffd}\u{fffd}b|7|1|||||||",
        Some(r"51|PUBLISH|0|0|0||a\xff\xfeb|7|1|||||||"),
        "tshark replaces bytes that are not UTF-8",
    ),
    malformed(
        "131|PUBLISH|0|0|0||t|7|||||||0x78|",
        Some("131|PUBLISH|0|0|0||t|7||||||||"),
        "the property length runs past the packet, so there is no property to be read",
    ),
    malformed(
        "143|PUBLISH|0|0|0||t|7|1||||||0x7f|",
        Some("143|PUBLISH|0|0|0||t|7|1|||||||"),
        "no property has the identifier 0x7f; it stands in the note",
    ),
    malformed("472|CONNECT||||||3||||||||", None, TLS_HELLO),
    malformed("472|RESERVED||||||0||||||||", None, TLS_HELLO),
    malformed("472|RESERVED||||||1||||||||", None, TLS_HELLO),
];

/// A packet that tshark does not show at all: its remaining length has five bytes.
const NOT_SHOWN: (&str, &str) = ("gen__malformed.pcap", "19|PUBLISH||||||||||||||");

/// A packet: its fields, and when and between whom it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    fields: String,
    circumstances: String,
}

/// Tells of the first lines that differ.
fn differences(capture: &str, ours: &[Line], theirs: &[Line]) -> String {
    let mut message = String::new();
    if ours == theirs {
        return message;
    }
    let _ = writeln!(
        message,
        "{capture}: {} packets, not {}",
        ours.len(),
        theirs.len()
    );
    let missing = theirs.iter().filter(|line| !ours.contains(line));
    let extra = ours.iter().filter(|line| !theirs.contains(line));
    for (sign, line) in missing
        .map(|line| ('-', line))
        .chain(extra.map(|line| ('+', line)))
        .take(30)
    {
        let _ = writeln!(message, "{sign} {}   {}", line.fields, line.circumstances);
    }
    message
}

/// Puts our answer where the list has another; every exception of the capture must apply once.
fn with_exceptions(capture: &str, mut lines: Vec<Line>, exceptions: &[Exception]) -> Vec<Line> {
    for exception in exceptions.iter().filter(|e| e.capture == capture) {
        let Some(at) = lines.iter().position(|l| l.fields == exception.theirs) else {
            panic!("{capture}: no {:?} ({})", exception.theirs, exception.why);
        };
        match exception.ours {
            Some(ours) => lines[at].fields = ours.to_owned(),
            None => _ = lines.remove(at),
        }
    }
    lines
}

fn captures_with(list: &str) -> Vec<(PathBuf, Vec<Row>)> {
    let Some(directory) = shared::captures() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = file_name(&path).to_owned();
        let list = directory.join(format!("truth/{name}.{list}.tsv"));
        if list.exists() && !ELSEWHERE.iter().any(|(capture, _)| *capture == name) {
            found.push((path, truth(&list)));
        }
    }
    assert!(found.len() >= 50, "only {} captures", found.len());
    found.sort();
    found
}

fn truth(path: &Path) -> Vec<Row> {
    // A topic that is not UTF-8 is in one list as it is.
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines().map(|line| line.split('\t'));
    let names: Vec<&str> = lines.next().unwrap().collect();
    lines
        .map(|cells| {
            // Empty cells at a line's end are left out.
            let cells = cells.chain(std::iter::repeat(""));
            let row = names.iter().zip(cells);
            row.map(|(name, cell)| ((*name).to_owned(), cell.to_owned()))
                .collect()
        })
        .collect()
}

fn options(path: &Path) -> Vec<String> {
    let mut options = key_log_option(path);
    for (capture, more) in OPTIONS {
        if capture == file_name(path) {
            options.extend(more.iter().map(|option| (*option).to_owned()));
        }
    }
    options
}

/// As the packets would be in the capture that the lists were made of.
fn unwrapped(name: &str, lines: &mut [Line]) {
    let (capture, port) = UNWRAPPED;
    if name != capture {
        return;
    }
    for (number, line) in (1..).zip(lines) {
        let (_, fields) = line.fields.split_once('|').unwrap();
        line.fields = format!("{number}|{fields}");
        assert!(line.circumstances.contains(port), "{line:?}");
        line.circumstances = line.circumstances.replace(port, ":1883");
    }
}

fn has_filters(packet_type: &str) -> bool {
    matches!(packet_type, "SUBSCRIBE" | "UNSUBSCRIBE")
}

/// A row of the lists; `topic`: whether the list has a subscription's filters.
fn their_line(row: &Row) -> Line {
    let cell = |name: &str| row[name].as_str();
    let packet_type = match cell("msgname") {
        "RESERVED0" => "RESERVED",
        name => name,
    };
    Line {
        fields: [
            cell("frame"),
            packet_type,
            cell("qos"),
            cell("dup"),
            cell("retain"),
            cell("msgid"),
            cell("topic"),
            cell("remaining_len"),
            cell("payload_len"),
        ]
        .join("|"),
        circumstances: format!(
            "{} {}:{} > {}:{}",
            cell("time_epoch").replace('.', ""),
            cell("src"),
            cell("sport"),
            cell("dst"),
            cell("dport")
        ),
    }
}

fn our_line(row: &Row, topic: &str) -> Line {
    let cell = |name: &str| row[name].as_str();
    Line {
        fields: [
            cell("frame"),
            cell("packet_type"),
            cell("qos"),
            cell("dup"),
            cell("retain"),
            cell("packet_id"),
            topic,
            cell("remaining_length"),
            cell("payload_length"),
        ]
        .join("|"),
        circumstances: format!(
            "{} {}:{} > {}:{}",
            cell("time_ns"),
            cell("src_addr"),
            cell("src_port"),
            cell("dst_addr"),
            cell("dst_port")
        ),
    }
}

#[test]
fn every_packet_is_as_the_second_decoder_lists_it() {
    let (mut compared, mut different) = (0, String::new());
    let captures = captures_with("ref");
    for (path, list) in &captures {
        let name = file_name(path);
        let decoded = decode_csv(path, &options(path));
        let gaps = decoded.iter().filter(|r| r["packet_type"] == "GAP").count();
        let expected = GAPS.iter().find(|(capture, _)| *capture == name);
        if gaps != expected.map_or(0, |(_, gaps)| *gaps) {
            let _ = writeln!(different, "{name}: {gaps} gaps");
        }
        let mut ours: Vec<Line> = decoded
            .iter()
            .filter(|row| row["packet_type"] != "GAP")
            .map(|row| {
                // This list does not have the filters; the other one does.
                let filters = has_filters(&row["packet_type"]);
                our_line(row, if filters { "" } else { &row["topic"] })
            })
            .collect();
        unwrapped(name, &mut ours);
        let theirs = with_exceptions(name, list.iter().map(their_line).collect(), &EXCEPTIONS);
        different += &differences(name, &ours, &theirs);
        compared += ours.len();
    }
    assert!(different.is_empty(), "{different}");
    eprintln!(
        "{compared} packets of {} captures are as listed",
        captures.len()
    );
}

#[test]
fn every_field_is_as_tshark_lists_it() {
    let (mut compared, mut different) = (0, String::new());
    let mut captures = captures_with("msgs");
    captures.retain(|(path, _)| !TSHARK_LOSES_STEP.contains(&file_name(path)));
    for (path, list) in &captures {
        let name = file_name(path);
        let table = decode_csv(path, &options(path));
        let objects = decode_jsonl(path, &options(path));
        assert_eq!(table.len(), objects.len());
        let mut ours: Vec<Line> = table
            .iter()
            .zip(&objects)
            .filter(|(row, _)| row["packet_type"] != "GAP")
            .map(|(row, object)| our_details(row, object))
            .collect();
        unwrapped(name, &mut ours);
        if name == NOT_SHOWN.0 {
            let at = ours.iter().position(|line| line.fields == NOT_SHOWN.1);
            ours.remove(at.unwrap());
        }
        let theirs: Vec<Line> = list.iter().map(their_details).collect();
        let theirs = with_exceptions(name, theirs, &TSHARK_EXCEPTIONS);
        different += &differences(name, &ours, &theirs);
        compared += ours.len();
    }
    assert!(different.is_empty(), "{different}");
    eprintln!(
        "{compared} packets of {} captures are as tshark says",
        captures.len()
    );
}

const DETAILS: [&str; 7] = [
    "connect_ver",
    "clientid",
    "connack_code",
    "sub_qos",
    "suback_code",
    "v5_property_ids",
    "v5_topic_alias",
];

fn their_details(row: &Row) -> Line {
    let mut line = their_line(row);
    for name in DETAILS {
        let _ = write!(line.fields, "|{}", row[name].replace('|', " "));
    }
    line
}

/// `a b` of a list of numbers.
fn joined<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    let texts: Vec<String> = values.map(Value::to_string).collect();
    texts.join(" ")
}

fn items<'v>(object: &'v Value, name: &str) -> std::slice::Iter<'v, Value> {
    object[name]
        .as_array()
        .map_or([].iter(), |list| list.iter())
}

fn our_details(row: &Row, object: &Value) -> Line {
    let packet_type = row["packet_type"].as_str();
    let mut row = row.clone();
    if packet_type != "PUBLISH" {
        // In 3.1 other packets have a QoS and a DUP flag too, which tshark shows.
        let flags = object["flags"].as_u64();
        if object["protocol_level"] == 3
            && matches!(packet_type, "SUBSCRIBE" | "UNSUBSCRIBE" | "PUBREL")
        {
            let flags = flags.unwrap();
            row.insert("qos".into(), (flags >> 1 & 3).to_string());
            row.insert("dup".into(), (flags >> 3 & 1).to_string());
        }
    }
    let topic = if has_filters(packet_type) {
        let filters = items(object, "topic").map(|filter| filter.as_str().unwrap());
        filters.collect::<Vec<_>>().join("|")
    } else {
        row["topic"].clone()
    };
    let mut line = our_line(&row, &topic);
    let only = |wanted: &str, value: &Value| match (packet_type == wanted, value) {
        (true, Value::String(text)) => text.clone(),
        (true, Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let properties: Vec<&Value> = items(object, "properties")
        .chain(items(&object["will"], "properties"))
        .collect();
    let alias = properties.iter().find(|p| p["name"] == "Topic Alias");
    let details = [
        only("CONNECT", &object["protocol_level"]),
        only("CONNECT", &object["client_id"]),
        only("CONNACK", &object["reason_code"]),
        joined(items(object, "subscriptions").map(|s| &s["qos"])),
        match packet_type {
            "SUBACK" => joined(items(object, "reason_codes")),
            _ => String::new(),
        },
        properties
            .iter()
            .map(|property| format!("{:#04x}", identifier(property)))
            .collect::<Vec<_>>()
            .join(" "),
        alias.map_or(String::new(), |p| p["value"].to_string()),
    ];
    for detail in details {
        let _ = write!(line.fields, "|{detail}");
    }
    line
}

/// The identifier of a property that is given by name.
fn identifier(property: &Value) -> u8 {
    PropertyId::ALL
        .iter()
        .find(|id| property["name"] == id.name())
        .unwrap()
        .number()
}

/// What the rows of gen__malformed say about what is wrong.
#[test]
fn damage_is_named() {
    let Some(directory) = shared::captures() else {
        return;
    };
    let rows = decode_csv(&directory.join("gen__malformed.pcap"), &[""; 0]);
    for (frame, words) in [
        ("8", "violation: "),
        ("19", "malformed: the remaining length has more than four"),
        ("28", "violation: "),
        ("40", "violation: A string contains the null character"),
        ("51", "violation: A string is not well-formed UTF-8"),
        ("62", "violation: "),
        ("73", "violation: "),
        ("84", "violation: "),
        ("96", "violation: "),
        ("108", "violation: The topic alias was not set before"),
        ("120", "malformed: topic name at offset 2 needs 65535 bytes"),
        (
            "131",
            "malformed: properties at offset 6 needs 2097151 bytes",
        ),
        ("143", "malformed: unknown property identifier 127"),
        ("155", "violation: "),
        ("166", "violation: "),
        ("177", "violation: "),
        ("188", "violation: "),
        ("199", "violation: "),
        ("210", "violation: "),
        ("217", "violation: "),
        ("227", "violation: "),
        ("238", "violation: "),
        ("249", "violation: "),
        ("260", "violation: "),
        ("272", "violation: "),
        ("280", "violation: "),
        ("288", "violation: "),
        ("308", "violation: "),
        ("318", "violation: "),
        ("326", "violation: "),
        ("334", "violation: "),
        ("447", "violation: "),
    ] {
        let row = rows.iter().find(|row| row["frame"] == frame).unwrap();
        assert!(row["note"].contains(words), "frame {frame}: {row:?}");
    }
}

/// The same capture with and without its first 46 frames: without them nothing names the level,
/// and no alias is known that was bound in them. The packets have to be the same but for those
/// topics.
#[test]
fn the_level_of_a_connection_in_mid_stream_is_inferred() {
    const CUT: u64 = 46;
    let Some(directory) = shared::captures() else {
        return;
    };
    let list = |name: &str| truth(&directory.join("truth").join(name));
    let whole = list("gen__v5_props_alias.pcap.msgs.tsv");
    // The list that takes the cut capture for 3.1.1 shows the topics as they are on the wire.
    let cut = list("derived__midstream_v5_props_alias.pcap.ref.tsv");
    let after = whole
        .iter()
        .filter(|row| row["frame"].parse::<u64>().unwrap() > CUT);
    let mut aliases = HashMap::new();
    let mut theirs = Vec::new();
    for (row, cut) in after.zip(&cut) {
        let mut row = row.clone();
        let frame = row["frame"].parse::<u64>().unwrap() - CUT;
        assert_eq!(frame.to_string(), cut["frame"]);
        row.insert("frame".into(), frame.to_string());
        if row["msgname"] != "PUBLISH" {
            // In 3.1 tshark shows more flags; and the filters are compared elsewhere.
            for name in ["qos", "dup", "topic"] {
                row.insert(name.into(), String::new());
            }
        } else if !row["v5_topic_alias"].is_empty() {
            let key = (
                row["src"].clone(),
                row["sport"].clone(),
                row["v5_topic_alias"].clone(),
            );
            if !cut["topic"].is_empty() {
                aliases.insert(key.clone(), cut["topic"].clone());
            }
            let known = aliases.get(&key).cloned().unwrap_or_default();
            row.insert("topic".into(), known);
        }
        theirs.push(their_line(&row));
    }
    let name = "derived__midstream_v5_props_alias.pcap";
    let decoded = decode_csv(&directory.join(name), &[""; 0]);
    let ours: Vec<Line> = decoded
        .iter()
        .map(|row| {
            let filters = has_filters(&row["packet_type"]);
            our_line(row, if filters { "" } else { &row["topic"] })
        })
        .collect();
    assert_eq!(cut.len(), theirs.len());
    let different = differences(name, &ours, &theirs);
    assert!(different.is_empty(), "{different}");
    eprintln!(
        "{} packets in mid-stream are as with their beginning",
        ours.len()
    );
}
