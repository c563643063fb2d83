//! Deliveries, message by message: the project's own recordings against what their clients wrote
//! down. Every message that an application received is one row, with its publisher, its QoS and
//! how it is known; every message that it missed is one row too; there are no others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::known_deliveries::{Deliveries, Delivery};
use crate::tool::{
    Row, apart, file_name, json_lines, key_log_option, may_skip, mqttscope, recording_paths,
    recordings, table,
};
use serde_json::Value;
use tempfile::TempDir;

/// One tap of a recording, analysed.
struct Analysis {
    name: String,
    directory: TempDir,
    tap: String,
    events: Vec<Value>,
    /// How many of the events came before the capture.
    unseen: usize,
    /// Client id as in the tables, by the client's name in the log.
    ids: BTreeMap<String, String>,
    connections: BTreeMap<String, Row>,
    messages: BTreeMap<String, Row>,
    deliveries: Vec<Row>,
}

/// A recording, once for each of its taps.
fn analyse(path: &Path, options: &[&str]) -> Vec<Analysis> {
    let name = file_name(path);
    let taps = if name == "two-taps.pcapng" { 2 } else { 1 };
    (0..taps)
        .map(|tap: u8| analyse_tap(path, options, &tap.to_string()))
        .collect()
}

fn analyse_tap(path: &Path, options: &[&str], tap: &str) -> Analysis {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("analysis");
    mqttscope(
        ["analyze", "--raw-csv", "--only", "tables", "-o"]
            .map(OsStr::new)
            .into_iter()
            .chain([target.as_os_str()])
            .chain(options.iter().map(OsStr::new))
            .chain(key_log_option(path).iter().map(OsStr::new))
            .chain([path.as_os_str()]),
    );
    let log = PathBuf::from(format!("{}.log.jsonl", path.display()));
    let events = json_lines(&std::fs::read_to_string(log).unwrap());
    let begin = events
        .iter()
        .position(|event| event["event"] == "recording_begins");
    let rows = |file: &str| {
        let mut rows = table(&target.join(file));
        rows.retain(|row| row["tap"] == tap);
        rows
    };
    let by = |file: &str, key: &str| -> BTreeMap<String, Row> {
        let rows = rows(file).into_iter();
        rows.map(|row| (row[key].clone(), row)).collect()
    };
    let connections = by("connections.csv", "connection");
    Analysis {
        name: format!("{}, tap {tap}", file_name(path)),
        ids: client_ids(&events, &connections),
        unseen: begin.map_or(0, |begin| begin + 1),
        messages: by("messages.csv", "message"),
        deliveries: rows("deliveries.csv"),
        tap: tap.to_owned(),
        connections,
        directory,
        events,
    }
}

/// The client id of a connection; its address where there is none.
fn identity(row: &Row) -> String {
    match row["client_id"].as_str() {
        "" if row["client_addr"].contains(':') => {
            format!("[{}]:{}", row["client_addr"], row["client_port"])
        }
        "" => format!("{}:{}", row["client_addr"], row["client_port"]),
        id => id.to_owned(),
    }
}

/// The clients of a log open their connections one after the other; where all of them are older
/// than the capture, the publisher is the one that publishes.
fn client_ids(events: &[Value], connections: &BTreeMap<String, Row>) -> BTreeMap<String, String> {
    let mut rows: Vec<&Row> = connections.values().collect();
    rows.sort_by_key(|row| row["connection"].parse::<u64>().unwrap());
    if events
        .iter()
        .any(|event| event["event"] == "recording_begins")
    {
        let name = |row: &Row| match row["publishes_to_broker"].as_str() {
            "0" => "subscriber".to_owned(),
            _ => "publisher".to_owned(),
        };
        return rows.iter().map(|row| (name(row), identity(row))).collect();
    }
    let openings = events
        .iter()
        .filter(|event| event["event"] == "connecting" || event["event"] == "raw_sent");
    let names = openings.map(|event| event["client"].as_str().unwrap().to_owned());
    names.zip(rows.into_iter().map(identity)).collect()
}

impl Analysis {
    fn known(&self, absent: &str) -> Deliveries {
        crate::known_deliveries::deliveries(&self.events, self.unseen, &self.ids, absent)
    }

    /// The rows of deliveries.csv, as far as a log can know them.
    fn told(&self) -> Vec<Delivery> {
        let cell = |row: &Row, name: &str| row[name].clone();
        let mut rows: Vec<Delivery> = self
            .deliveries
            .iter()
            .map(|row| Delivery {
                publisher: cell(row, "publisher"),
                subscriber: cell(row, "subscriber"),
                topic: cell(row, "topic"),
                payload_hash: cell(row, "payload_hash"),
                qos_published: cell(row, "qos_published"),
                qos_delivered: cell(row, "qos_delivered"),
                outcome: cell(row, "outcome"),
                basis: match (row["outcome"].as_str(), row["basis"].as_str()) {
                    ("duplicate", _) => String::new(),
                    // What never came was queued for nobody, or for who was away.
                    ("lost" | "undetermined", "queued") => "subscribed".to_owned(),
                    (_, basis) => basis.to_owned(),
                },
            })
            .collect();
        rows.sort();
        rows
    }

    fn compare(&self, absent: &str) -> usize {
        let (known, told) = (self.known(absent), self.told());
        let (missing, surplus) = apart(known.rows.clone(), told.clone());
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "{}: {} rows expected, {} found\nmissing: {missing:#?}\nnot in the log: {surplus:#?}",
            self.name,
            known.rows.len(),
            told.len(),
        );
        self.check_links();
        self.check_that_nothing_is_left(known.retained);
        self.check_order();
        told.len()
    }

    /// The packet of a row, which has to be what the row says of it.
    fn packet<'s>(&'s self, row: &Row, column: &str, direction: &str, client: &str) -> &'s Row {
        let context = || format!("{}: {row:?}", self.name);
        let message = self.messages.get(&row[column]);
        let message = message.unwrap_or_else(|| panic!("{}", context()));
        assert_eq!(message["direction"], direction, "{}", context());
        assert_eq!(message["topic"], row["topic"], "{}", context());
        assert_eq!(
            message["payload_hash"],
            row["payload_hash"],
            "{}",
            context()
        );
        let connection = &self.connections[&message["connection"]];
        assert_eq!(identity(connection), row[client], "{}", context());
        message
    }

    /// Each row names the two packets, and its times are theirs.
    fn check_links(&self) {
        let time = |row: &Row, name: &str| row[name].parse::<i64>().ok();
        for row in &self.deliveries {
            let context = format!("{}: {row:?}", self.name);
            let observed = row["basis"] == "observed";
            let gone = ["lost", "undetermined"].contains(&row["outcome"].as_str());
            let published =
                (!observed).then(|| self.packet(row, "message", "to_broker", "publisher"));
            let received =
                (!gone).then(|| self.packet(row, "delivered_message", "to_client", "subscriber"));
            if published.is_none() {
                assert_eq!(row["message"], "", "{context}");
            }
            if received.is_none() {
                assert_eq!(row["delivered_message"], "", "{context}");
            }
            let publish = published.map(|message| time(message, "first_ns").unwrap());
            let receive = received.map(|message| time(message, "last_ns").unwrap());
            assert_eq!(time(row, "publish_ns"), publish, "{context}");
            assert_eq!(time(row, "received_ns"), receive, "{context}");
            let delay = receive.zip(publish).map(|(end, start)| end - start);
            assert_eq!(time(row, "delay_ns"), delay, "{context}");
            let turnaround = received
                .zip(published)
                .map(|(out, into)| time(out, "first_ns").unwrap() - time(into, "last_ns").unwrap());
            if row["outcome"] != "duplicate" {
                assert_eq!(time(row, "turnaround_ns"), turnaround, "{context}");
            }
        }
    }

    /// Every message to a client has one row, but those sent because a subscription began.
    fn check_that_nothing_is_left(&self, retained: usize) {
        let mut used = BTreeSet::new();
        for row in &self.deliveries {
            let packet = &row["delivered_message"];
            assert!(
                packet.is_empty() || used.insert(packet),
                "{}: twice {row:?}",
                self.name
            );
        }
        let left: Vec<&Row> = self
            .messages
            .values()
            .filter(|row| row["direction"] == "to_client" && !used.contains(&row["message"]))
            .collect();
        assert!(
            left.iter().all(|row| row["retain"] == "1"),
            "{}: {left:?}",
            self.name
        );
        assert_eq!(left.len(), retained, "{}: {left:?}", self.name);
    }

    /// What was published first arrives first, also where all payloads are the same.
    fn check_order(&self) {
        let mut last: BTreeMap<[&str; 4], (i64, i64)> = BTreeMap::new();
        let mut rows: Vec<&Row> = self.deliveries.iter().collect();
        rows.retain(|row| row["outcome"] == "delivered" && row["basis"] != "observed");
        let time = |row: &Row, name: &str| row[name].parse::<i64>().unwrap();
        rows.sort_by_key(|row| (time(row, "publish_ns"), time(row, "received_ns")));
        for row in rows {
            let key = ["publisher", "subscriber", "topic", "payload_hash"];
            let times = (time(row, "publish_ns"), time(row, "received_ns"));
            let before = last.insert(key.map(|name| row[name].as_str()), times);
            assert!(
                before.is_none_or(|before| before.1 <= times.1),
                "{}: {row:?} overtakes {before:?}",
                self.name
            );
        }
    }

    fn table(&self, file: &str) -> Option<Vec<Row>> {
        let path = self.directory.path().join("analysis").join(file);
        let mut rows = path.exists().then(|| table(&path))?;
        rows.retain(|row| row["tap"] == self.tap);
        Some(rows)
    }

    /// Numbers of the connections that have this client id.
    fn connections_of(&self, id: &str) -> Vec<&str> {
        let rows = self.connections.values();
        rows.filter(|row| row["client_id"] == id)
            .map(|row| row["connection"].as_str())
            .collect()
    }
}

fn fleet() -> Analysis {
    analyse(&recordings().join("fleet.pcap"), &[]).remove(0)
}

/// Every message of `loss.pcap` is decided with a deadline of a second.
fn loss() -> Analysis {
    analyse(&recordings().join("loss.pcap"), &["--deadline", "1s"]).remove(0)
}

#[test]
fn the_fleet_delivers_what_its_log_says() {
    let rows = fleet().compare("undetermined");
    assert_eq!(rows, 118, "the log itself is another");
}

#[test]
fn every_loss_of_a_real_broker_is_found() {
    let analysis = loss();
    let rows = analysis.compare("lost");
    let lost: Vec<String> = analysis
        .told()
        .into_iter()
        .filter(|row| row.outcome == "lost")
        .map(|row| format!("{} {} {}", row.subscriber, row.topic, row.payload_hash))
        .collect();
    // QoS 0 is not expected while a session is away, whatever the application makes of it.
    let mut missed: Vec<String> = analysis
        .events
        .iter()
        .filter(|event| event["event"] == "missed")
        .filter(|event| event["client"] != "away" || event["qos"] != 0)
        .map(|event| {
            let names = ["client", "topic", "payload_xxh3"];
            names.map(|name| event[name].as_str().unwrap()).join(" ")
        })
        .collect();
    missed.sort();
    let mut lost_sorted = lost.clone();
    lost_sorted.sort();
    assert_eq!(lost_sorted, missed);
    eprintln!("{rows} deliveries, {} of them lost", lost.len());
    let path = analysis.directory.path().join("analysis/summary.json");
    let summary: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(summary["loss"]["message"]["count"], lost.len());
}

/// Of the same capture, with more patience than it lasts: nothing is lost yet.
#[test]
fn what_may_still_come_is_undetermined() {
    let path = recordings().join("loss.pcap");
    analyse(&path, &[]).remove(0).compare("undetermined");
}

/// All others. Two addresses of one broker, as in `many-clients.pcap`, are two brokers to whoever
/// only listens.
#[test]
fn every_recording_delivers_what_its_log_says() {
    let mut rows = 0;
    for path in recording_paths() {
        let name = file_name(&path);
        // Two have tests of their own. The third's payloads are cut, and so have no hash that a
        // log could know.
        if !["fleet.pcap", "loss.pcap", "snaplen-96.pcap"].contains(&name) {
            for analysis in analyse(&path, &[]) {
                rows += analysis.compare("undetermined");
            }
        }
    }
    eprintln!("{rows} deliveries are as the clients know them");
}

#[test]
fn only_the_will_of_who_died_is_published() {
    let analysis = fleet();
    let sessions = analysis.table("sessions.csv").unwrap();
    let published = |id: &str| {
        let row = sessions.iter().find(|row| row["client_id"] == id).unwrap();
        row["will_published"].clone()
    };
    assert_eq!(published("meter"), "1");
    assert_eq!(published("thermometer"), "0");
    let wills = analysis
        .told()
        .into_iter()
        .filter(|row| row.basis == "observed");
    let wills: Vec<String> = wills
        .map(|row| format!("{} → {}: {}", row.publisher, row.subscriber, row.topic))
        .collect();
    assert_eq!(
        wills,
        [
            "meter → archive: Zuhause/Status/meter",
            "meter → panel: Zuhause/Status/meter",
        ]
    );
}

/// Thirty-two times the same byte within a few milliseconds, and twice more to a session that is
/// away: the nth that was published is the nth that arrives.
#[test]
fn identical_payloads_are_told_apart_by_their_order() {
    let analysis = fleet();
    for (subscriber, count) in [("panel", 34), ("archive", 34)] {
        let packets = |name: &str, direction: &str| -> Vec<u64> {
            let rows = analysis.messages.values().filter(|row| {
                let connection = &analysis.connections[&row["connection"]];
                row["topic"] == "Zähler/Impuls"
                    && row["direction"] == direction
                    && connection["client_id"] == name
            });
            let mut numbers: Vec<u64> = rows.map(|row| row["message"].parse().unwrap()).collect();
            numbers.sort_unstable();
            numbers
        };
        let sent = packets("meter", "to_broker");
        let arrived = packets(subscriber, "to_client");
        assert_eq!((sent.len(), arrived.len()), (count, count));
        let mut pairs: Vec<(u64, u64)> = analysis
            .deliveries
            .iter()
            .filter(|row| row["topic"] == "Zähler/Impuls" && row["subscriber"] == subscriber)
            .map(|row| {
                let number = |name: &str| row[name].parse().unwrap();
                (number("message"), number("delivered_message"))
            })
            .collect();
        pairs.sort_unstable();
        let expected: Vec<(u64, u64)> = sent.into_iter().zip(arrived).collect();
        assert_eq!(pairs, expected, "{subscriber}");
    }
}

/// Publishers and messages of each topic, as the log has them.
#[test]
fn topics_are_those_of_the_log() {
    let analysis = fleet();
    let Some(topics) = analysis.table("topics.csv") else {
        return may_skip("topics.csv");
    };
    let mut known: BTreeMap<&str, (u64, [u64; 3], BTreeSet<&str>)> = BTreeMap::new();
    for event in analysis
        .events
        .iter()
        .filter(|e| e["event"] == "publishing")
    {
        let topic = known.entry(event["topic"].as_str().unwrap()).or_default();
        topic.0 += 1;
        topic.1[usize::try_from(event["qos"].as_u64().unwrap()).unwrap()] += 1;
        topic
            .2
            .insert(&analysis.ids[event["client"].as_str().unwrap()]);
    }
    let expected = known
        .iter()
        .map(|(topic, (messages, [qos0, qos1, qos2], publishers))| {
            let publishers = publishers.len();
            format!("{topic}: {messages} messages, {qos0} {qos1} {qos2}, publishers {publishers}")
        });
    let told = topics
        .iter()
        .filter(|row| known.contains_key(row["topic"].as_str()));
    let told = told.map(|row| {
        let [topic, messages, qos0, qos1, qos2, publishers] =
            ["topic", "messages", "qos0", "qos1", "qos2", "publishers"].map(|name| &row[name]);
        format!("{topic}: {messages} messages, {qos0} {qos1} {qos2}, publishers {publishers}")
    });
    let told: BTreeSet<String> = told.collect();
    assert_eq!(told, expected.collect());
    // The will has a topic of its own, that nobody published to.
    assert!(
        topics
            .iter()
            .any(|row| row["topic"] == "Zuhause/Status/meter")
    );
}

/// What went wrong in the recording is brought up: by connection, or by topic.
#[test]
fn findings_name_what_went_wrong() {
    let analysis = fleet();
    let Some(findings) = analysis.table("findings.csv") else {
        return may_skip("findings.csv");
    };
    for (why, id) in [
        ("a password in clear text", "meter"),
        ("a login that was refused", "wrong-password"),
        ("a login that was refused", "wrong-password-v5"),
        ("a client id that two devices use", "button"),
        ("a connection that ended without DISCONNECT", "meter"),
    ] {
        let connections = analysis.connections_of(id);
        assert!(
            findings
                .iter()
                .any(|row| connections.contains(&row["connection"].as_str())),
            "{why}: nothing on the connections of {id}: {findings:#?}"
        );
    }
    let flur = |row: &&Row| row["topic"] == "Taster/Flur";
    assert!(
        findings.iter().any(|row| flur(&row)),
        "a payload with a NUL in the end"
    );
    let loss = loss();
    let findings = loss.table("findings.csv").expect("findings.csv");
    assert!(!findings.is_empty(), "fifty lost messages are worth a word");
}

/// Neither the password nor the user name of a client is in any file.
#[test]
fn credentials_are_in_no_file() {
    let analysis = fleet();
    let mut directories = vec![analysis.directory.path().to_owned()];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in ["not-a-real-secret", "not-a-real-password", "meter-user"] {
                let found = bytes
                    .windows(secret.len())
                    .any(|at| at == secret.as_bytes());
                assert!(!found, "{}: {secret}", path.display());
            }
            files += 1;
        }
    }
    assert!(files > 5, "{files} files");
}
