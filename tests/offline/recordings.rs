//! The project's own recordings against what their clients wrote down (`NAME.log.jsonl`, see
//! captures/README.md): connections, sessions, messages, exchanges, subscriptions.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::tool::{
    Row, apart, file_name, json_lines, key_log_option, mqttscope, recording_paths, recordings,
    table,
};
use serde_json::Value;

/// One recording: what the clients know, and the tables of one tap.
struct Recording {
    name: String,
    events: Vec<Value>,
    /// The log of what came before the capture began.
    before: Vec<Value>,
    connections: Vec<Row>,
    sessions: Vec<Row>,
    messages: Vec<Row>,
    exchanges: Vec<Row>,
    subscriptions: Vec<Row>,
    /// The name that the log has for the client of each connection, by number.
    clients: BTreeMap<String, String>,
}

/// Every recording, once for each of its taps.
fn all() -> Vec<Recording> {
    recording_paths()
        .iter()
        .flat_map(|path| read(path))
        .collect()
}

fn one(name: &str) -> Recording {
    read(&recordings().join(name)).remove(0)
}

fn read(path: &Path) -> Vec<Recording> {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("analysis");
    let key_log = key_log_option(path);
    let arguments = [
        OsStr::new("analyze"),
        OsStr::new("--raw-csv"),
        OsStr::new("--only"),
        OsStr::new("tables"),
        OsStr::new("-o"),
        directory.as_os_str(),
        path.as_os_str(),
    ];
    mqttscope(arguments.into_iter().chain(key_log.iter().map(OsStr::new)));
    let log = PathBuf::from(format!("{}.log.jsonl", path.display()));
    let mut events = json_lines(&std::fs::read_to_string(log).unwrap());
    let begin = events
        .iter()
        .position(|event| event["event"] == "recording_begins");
    let before = begin.map_or(Vec::new(), |begin| events.drain(..=begin).collect());
    let name = file_name(path).to_owned();
    let taps = if name == "two-taps.pcapng" { 2 } else { 1 };
    let rows = |file: &str| table(&directory.join(file));
    let mut recordings = Vec::new();
    for tap in (0..taps).map(|tap: u8| tap.to_string()) {
        let of_tap = |file: &str| {
            let mut rows = rows(file);
            rows.retain(|row| row["tap"] == tap);
            rows
        };
        let mut connections = of_tap("connections.csv");
        connections.sort_by_key(|row| row["connection"].parse::<u64>().unwrap());
        let mut recording = Recording {
            name: format!("{name}, tap {tap}"),
            events: events.clone(),
            before: before.clone(),
            clients: BTreeMap::new(),
            connections,
            sessions: of_tap("sessions.csv"),
            messages: of_tap("messages.csv"),
            exchanges: of_tap("exchanges.csv"),
            subscriptions: of_tap("subscriptions.csv"),
        };
        recording.name_clients();
        recordings.push(recording);
    }
    recordings
}

fn cell<'r>(row: &'r Row, name: &str) -> &'r str {
    row[name].as_str()
}

impl Recording {
    fn of<'s>(&'s self, kinds: &'s [&str]) -> impl Iterator<Item = &'s Value> {
        self.events
            .iter()
            .filter(|event| kinds.iter().any(|kind| event["event"] == *kind))
    }

    /// The events that stand for a connection, in the order in which they were opened: each was
    /// there before the next began.
    fn openings(&self) -> Vec<&Value> {
        self.of(&["connecting", "raw_sent"]).collect()
    }

    /// Client identifiers that connected again while they were connected, once for each time.
    fn taken_over(&self) -> Vec<&str> {
        let mut connected: Vec<(&str, &str)> = Vec::new();
        let mut found = Vec::new();
        for event in self.of(&["connecting", "disconnected", "vanishing"]) {
            let client = word(event, "client");
            if event["event"] == "connecting" {
                let id = identifier(event);
                found.extend(
                    connected
                        .iter()
                        .any(|(_, other)| *other == id)
                        .then_some(id),
                );
                connected.push((client, id));
            } else if let Some(first) = connected.iter().position(|(name, _)| *name == client) {
                connected.remove(first);
            }
        }
        found
    }

    fn name_clients(&mut self) {
        let names: Vec<String> = if self.before.is_empty() {
            let openings = self.openings().into_iter();
            openings
                .map(|event| word(event, "client").to_owned())
                .collect()
        } else {
            // The connections are older than the capture: who sends is the publisher.
            let publishes = |row: &Row| cell(row, "publishes_to_broker") != "0";
            let name = |row| {
                if publishes(row) {
                    "publisher"
                } else {
                    "subscriber"
                }
            };
            self.connections
                .iter()
                .map(|row| name(row).into())
                .collect()
        };
        assert_eq!(names.len(), self.connections.len(), "{}", self.name);
        let numbers = self.connections.iter().map(|row| row["connection"].clone());
        self.clients = numbers.zip(names).collect();
    }

    fn client(&self, row: &Row) -> &str {
        &self.clients[cell(row, "connection")]
    }
}

fn word<'e>(event: &'e Value, name: &str) -> &'e str {
    event[name].as_str().unwrap()
}

/// The client identifier of a `connecting`: the client's name, where it says no other.
fn identifier(opening: &Value) -> &str {
    opening["client_id"]
        .as_str()
        .unwrap_or_else(|| word(opening, "client"))
}

/// A field of the log as a cell has it: nothing where there is none.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Fails with what one side has and the other has not.
fn assert_same(name: &str, what: &str, ours: Vec<String>, logged: Vec<String>) -> usize {
    let count = ours.len();
    let (missing, extra) = apart(sorted(logged), sorted(ours));
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{name}: {what}\nnot found: {missing:#?}\nnot logged: {extra:#?}"
    );
    count
}

#[test]
fn every_message_is_found() {
    let mut messages = 0;
    for recording in all() {
        let cut = recording.name.starts_with("snaplen-96");
        // Of a payload that was cut there is no hash. From 100 bytes on the packet's own length
        // takes two bytes, which cuts the length of the properties too: where the payload begins
        // is not known then.
        let hash = |length: &str, hash: String| match length.parse::<u32>() {
            Ok(length) if cut && length > 0 => String::new(),
            _ => hash,
        };
        let logged = recording.of(&["publishing", "received"]).map(|event| {
            let received = event["event"] == "received";
            let mut length = plain(&event["payload_length"]);
            let hash = hash(&length, plain(&event["payload_xxh3"]));
            if cut && length.len() >= 3 {
                length.clear();
            }
            [
                word(event, "client").to_owned(),
                if received { "to_client" } else { "to_broker" }.to_owned(),
                word(event, "topic").to_owned(),
                plain(&event["qos"]),
                plain(&event["retain"]),
                if received {
                    plain(&event["dup"])
                } else {
                    "0".into()
                },
                plain(&event["packet_id"]),
                hash,
                length,
            ]
            .join(" ")
        });
        let logged = logged.collect();
        let ours = recording.messages.iter().map(|row| {
            [
                recording.client(row).to_owned(),
                row["direction"].clone(),
                row["topic"].clone(),
                row["qos"].clone(),
                row["retain"].clone(),
                row["dup"].clone(),
                row["packet_id"].clone(),
                hash(&row["payload_bytes"], row["payload_hash"].clone()),
                row["payload_bytes"].clone(),
            ]
            .join(" ")
        });
        messages += assert_same(&recording.name, "messages", ours.collect(), logged);
    }
    eprintln!("{messages} messages are as the clients sent and received them");
}

#[test]
fn every_connection_is_as_its_client_knows_it() {
    let mut connections = 0;
    for recording in all().iter().filter(|recording| recording.before.is_empty()) {
        let openings = recording.openings();
        let answers = |client: &str, kinds: &'static [&'static str]| {
            let found = recording.of(kinds).filter(move |e| e["client"] == client);
            found.collect::<Vec<_>>()
        };
        for (index, (row, opening)) in recording.connections.iter().zip(&openings).enumerate() {
            let client = word(opening, "client");
            let context = format!("{}, connection of {client}", recording.name);
            let earlier = openings[..index].iter().filter(|o| o["client"] == client);
            let nth = earlier.count();
            if opening["event"] == "raw_sent" {
                let answer = answers(client, &["raw_received"])[0];
                raw_connection(row, opening, answer, &context);
            } else {
                let answer = answers(client, &["connected"])[nth];
                connection(row, opening, answer, &context);
                let ending = answers(client, &["disconnected", "vanishing"])[nth];
                let reset = ending["event"] == "vanishing";
                let end = if reset { "rst" } else { "fin" };
                // Whoever closes TLS without having read the other's farewell answers it with a
                // reset.
                if reset || cell(row, "tls_version").is_empty() {
                    assert_eq!(cell(row, "end_reason"), end, "{context}");
                }
            }
            connections += 1;
        }
    }
    eprintln!("{connections} connections are as their clients know them");
}

fn connection(row: &Row, opening: &Value, answer: &Value, context: &str) {
    assert_eq!(row["midstream"], "0", "{context}");
    assert_eq!(row["protocol_level_basis"], "connect", "{context}");
    assert_eq!(row["protocol_level"], plain(&opening["level"]), "{context}");
    assert_eq!(row["clean_start"], plain(&opening["clean"]), "{context}");
    assert_eq!(row["broker_addr"], word(opening, "address"), "{context}");
    assert_eq!(
        row["keep_alive_s"],
        if word(opening, "client") == "pinging" {
            "1"
        } else {
            "60"
        }
    );
    let assigned = context.starts_with("v5-properties") && opening["client"] == "publisher";
    if assigned {
        assert!(row["client_id"].starts_with("auto-"), "{context}: {row:?}");
    } else {
        assert_eq!(row["client_id"], identifier(opening), "{context}");
    }
    // MQTT 3.1 reserves the byte.
    let present = match row["protocol_level"].as_str() {
        "3" => String::new(),
        _ => plain(&answer["session_present"]),
    };
    assert_eq!(row["session_present"], present, "{context}");
    match &answer["code"] {
        Value::Null => {
            let accepted = answer["accepted"] == 1;
            assert_eq!(row["connack_code"] == "0", accepted, "{context}");
        }
        code => assert_eq!(row["connack_code"], plain(code), "{context}"),
    }
}

/// A connection of a bare socket: the log has the bytes, the client identifier among them.
fn raw_connection(row: &Row, sent: &Value, answer: &Value, context: &str) {
    let id: String = row["client_id"]
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let length = format!("{:04x}", row["client_id"].len());
    assert!(word(sent, "bytes").contains(&(length + &id)), "{context}");
    // CONNACK: type, length, flags, code.
    let code = match word(answer, "bytes") {
        "" => String::new(),
        bytes => u8::from_str_radix(&bytes[6..8], 16).unwrap().to_string(),
    };
    assert_eq!(row["connack_code"], code, "{context}");
}

/// Regression: the comma in a reason of MQTT 3.1.1 began a column of its own.
#[test]
fn a_reason_with_a_comma_stays_in_its_cell() {
    let recording = one("return-codes.pcap");
    let reasons: Vec<&str> = recording
        .connections
        .iter()
        .map(|row| cell(row, "connack_reason"))
        .collect();
    assert_eq!(
        reasons,
        [
            "Connection Refused, unacceptable protocol version",
            "Connection Refused, identifier rejected",
            "Connection Refused, identifier rejected",
            "",
            "Bad authentication method",
            "Connection Refused, not authorized",
            "Connection Refused, not authorized",
            "Not authorized",
        ]
    );
}

#[test]
fn exchanges_end_as_the_clients_saw_it() {
    let mut exchanges = 0;
    // Exchanges that two connections share have their own test.
    let all = all();
    for recording in all
        .iter()
        .filter(|r| !r.name.starts_with("resumed-session"))
    {
        let line = |client: &str, direction: &str, event: &Value, end: &str| {
            let (id, qos) = (&event["packet_id"], &event["qos"]);
            format!(
                "{client} {direction} {id} {qos} {} {end}",
                word(event, "topic")
            )
        };
        let with_qos = |event: &&Value| event["qos"] != 0;
        let sent = recording.of(&["publishing"]).filter(with_qos).map(|event| {
            let client = word(event, "client");
            let answer = recording
                .of(&["written_or_acknowledged"])
                .find(|e| e["client"] == client && e["packet_id"] == event["packet_id"])
                .unwrap();
            let end = match answer["code"].as_u64().unwrap() {
                0 => "complete ".to_owned(),
                code @ 1..=127 => format!("complete {code}"),
                code => format!("rejected {code}"),
            };
            line(client, "to_broker", event, &end)
        });
        let received = recording
            .of(&["received"])
            .filter(with_qos)
            .map(|event| line(word(event, "client"), "to_client", event, "complete "));
        let logged = sent.chain(received).collect();
        let ours = recording.exchanges.iter().map(|row| {
            [
                recording.client(row),
                cell(row, "direction"),
                cell(row, "packet_id"),
                cell(row, "qos"),
                cell(row, "topic"),
                cell(row, "outcome"),
                // Success is 0, given or not.
                Some(cell(row, "reason_code"))
                    .filter(|code| *code != "0")
                    .unwrap_or_default(),
            ]
            .join(" ")
        });
        exchanges += assert_same(&recording.name, "exchanges", ours.collect(), logged);
    }
    eprintln!("{exchanges} exchanges end as the clients saw it");
}

/// The traveller gets two messages and acknowledges neither; the broker goes on with both on the
/// next connection: with the PUBLISH again at QoS 1, with the PUBREL at QoS 2.
#[test]
fn exchanges_go_on_in_a_resumed_session() {
    let recording = one("resumed-session.pcap");
    let ours: Vec<String> = recording
        .exchanges
        .iter()
        .filter(|row| recording.client(row) == "traveller")
        .map(|row| {
            let names = [
                "connection",
                "packet_id",
                "qos",
                "topic",
                "transmissions",
                "outcome",
            ];
            names.map(|name| cell(row, name)).join(" ")
        })
        .collect();
    assert_eq!(
        sorted(ours),
        [
            "1 1 2 post/1 1 complete",
            "3 2 1 post/3 1 resumed",
            "3 3 2 post/4 1 resumed",
            "4 2 1 post/3 2 complete",
            "4 3 2 post/4 1 complete",
        ]
    );
    let row = |connection: &str, id: &str| {
        let found = recording
            .exchanges
            .iter()
            .find(|row| row["connection"] == connection && row["packet_id"] == id);
        found.unwrap()
    };
    for (id, end) in [("2", "puback_ns"), ("3", "pubcomp_ns")] {
        let (first, second) = (row("3", id), row("4", id));
        assert_eq!(first["publish_ns"], second["publish_ns"]);
        assert_eq!((cell(first, end), cell(first, "total_ns")), ("", ""));
        let [publish, end, total] =
            ["publish_ns", end, "total_ns"].map(|name| second[name].parse::<u64>().unwrap());
        assert_eq!(end - publish, total);
    }
}

#[test]
fn sessions_are_resumed_where_the_broker_said_so() {
    for recording in all().iter().filter(|recording| recording.before.is_empty()) {
        let mut logged: BTreeMap<&str, (u32, u32, u32)> = BTreeMap::new();
        let mut identifiers: BTreeMap<&str, &str> = BTreeMap::new();
        for event in recording.of(&["connecting", "connected"]) {
            let client = word(event, "client");
            if event["event"] == "connecting" {
                identifiers.insert(client, identifier(event));
            } else if event["accepted"] == 1 || event["code"] == 0 {
                let session = logged.entry(identifiers[client]).or_default();
                session.0 += 1;
                session.1 += u32::from(event["session_present"] == 1);
            }
        }
        for taken_over in recording.taken_over() {
            logged.get_mut(taken_over).unwrap().2 += 1;
        }
        for event in recording.of(&["raw_received"]) {
            let bytes = word(event, "bytes");
            if bytes.len() >= 8 && bytes[6..8] == *"00" {
                logged.entry(word(event, "client")).or_default().0 += 1;
            }
        }
        let logged = logged
            .iter()
            .map(|(client, (connections, resumed, taken_over))| {
                format!("{client} {connections} {resumed} {taken_over}")
            });
        let ours = recording.sessions.iter().map(|row| {
            let id = cell(row, "client_id");
            let client = if id.starts_with("auto-") {
                "publisher"
            } else {
                id
            };
            let rest = ["connections", "resumed", "taken_over"].map(|name| cell(row, name));
            format!("{client} {}", rest.join(" "))
        });
        assert_same(
            &recording.name,
            "sessions",
            ours.collect(),
            logged.collect(),
        );
    }
}

#[test]
fn subscriptions_are_granted_and_refused_as_the_broker_said() {
    let mut subscriptions = 0;
    for recording in all() {
        let mut logged = Vec::new();
        let mut pending: BTreeMap<&str, &Value> = BTreeMap::new();
        let ended = |client: &str, filter: &Value| {
            recording.of(&["unsubscribing"]).any(|event| {
                let mut filters = event["filters"].as_array().unwrap().iter();
                event["client"] == client && filters.any(|ended| ended == filter)
            })
        };
        for event in recording.of(&["subscribing", "subscribed"]) {
            let client = word(event, "client");
            if event["event"] == "subscribing" {
                pending.insert(client, &event["filters"]);
                continue;
            }
            let filters = pending.remove(client).unwrap().as_array().unwrap();
            let codes = event["codes"].as_array().unwrap();
            assert_eq!(filters.len(), codes.len());
            for (filter, code) in filters.iter().zip(codes) {
                let granted = if code.as_u64().unwrap() < 128 {
                    plain(code)
                } else {
                    String::new()
                };
                let ended = u8::from(ended(client, &filter[0]));
                let name = word_of(&filter[0]);
                logged.push(format!(
                    "{client} {name} {} {granted} {code} {ended}",
                    filter[1]
                ));
            }
        }
        let ours = recording.subscriptions.iter().map(|row| {
            let ended = u8::from(!cell(row, "unsubscribe_ns").is_empty());
            let cells = ["filter", "requested_qos", "granted_qos", "reason_code"];
            let cells = cells.map(|name| cell(row, name)).join(" ");
            format!("{} {cells} {ended}", recording.client(row))
        });
        subscriptions += assert_same(&recording.name, "subscriptions", ours.collect(), logged);
    }
    eprintln!("{subscriptions} subscriptions are as the broker answered them");
}

fn word_of(value: &Value) -> &str {
    value.as_str().unwrap()
}
