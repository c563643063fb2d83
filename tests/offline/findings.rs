//! Findings: the catalogue as documentation, what real and made captures show, and hostile text
//! through the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::recording::{From, Recording, connect, packet, publish, string, subscribe};
use crate::shared;
use crate::tool::{Row, mqttscope, table};
use mqttscope::lint::{self, Thresholds};
use serde_json::Value;

/// `docs/findings.md` says what the catalogue says.
#[test]
fn the_catalogue_is_documented() {
    let mut page = String::from(
        "# Findings\n\n\
         What `mqttscope analyze` looks for, why it matters, and what to do. This page is written \
         from the\nprogram's own catalogue.\n\n\
         findings.csv has a row for each, the first 1,000 of a code; summary.json has the counts. \
         `--ignore CODE`\nswitches a code off, `--threshold NAME=VALUE` says from where on \
         something counts.\n\n\
         **error**: a rule is broken, or data is lost. **warning**: something works badly, or soon \
         may.\n**note**: allowed, and not what experience advises. **info**: good to know.\n\n\
         ## Thresholds\n\n| name | default | meaning |\n| --- | --- | --- |\n",
    );
    for doc in Thresholds::DOCS {
        page += &format!("| `{}` | {} | {} |\n", doc.name, doc.default, doc.text);
    }
    page += &lint::markdown();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/findings.md is not up to date; write it with UPDATE_SNAPSHOTS=1"
    );
}

/// The tables and the summary of a capture.
struct Analysis {
    findings: Vec<Row>,
    topics: Vec<Row>,
    summary: Value,
}

impl Analysis {
    fn of(path: &Path, options: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("out");
        let paths = [out.to_str().unwrap(), path.to_str().unwrap()];
        mqttscope(
            [
                &["analyze", "--raw-csv", "--only", "tables", "-o"],
                &paths[..],
                options,
            ]
            .concat(),
        );
        let summary = fs::read_to_string(out.join("summary.json")).unwrap();
        let this = Self {
            findings: table(&out.join("findings.csv")),
            topics: table(&out.join("topics.csv")),
            summary: serde_json::from_str(&summary).unwrap(),
        };
        this.check();
        this
    }

    fn made(recording: Recording, options: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made.pcap");
        fs::write(&path, recording.finish()).unwrap();
        Self::of(&path, options)
    }

    /// What holds of every analysis: counts are those of the rows, and topics name the codes.
    fn check(&self) {
        let told = self.summary["dropped"]["findings"].as_u64().unwrap_or(0);
        let counted: u64 = self.counts().values().sum();
        assert_eq!(counted, self.findings.len() as u64 + told);
        let about = |row: &Row| (row["topic"].clone(), row["code"].clone());
        let about_topics: BTreeSet<(String, String)> = self
            .findings
            .iter()
            .map(about)
            .filter(|(_, code)| lint::Code::named(code).unwrap().counted_by() == "topic")
            .collect();
        let named: BTreeSet<(String, String)> = self
            .topics
            .iter()
            .flat_map(|row| {
                let codes = row["findings"].split_whitespace();
                codes.map(|code| (row["topic"].clone(), code.to_owned()))
            })
            .collect();
        if told == 0 {
            assert_eq!(about_topics, named);
        }
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.summary["findings"].clone()).unwrap()
    }

    fn count(&self, code: &str) -> u64 {
        assert!(lint::Code::named(code).is_some(), "{code}");
        self.counts().get(code).copied().unwrap_or(0)
    }

    fn the(&self, code: &str) -> &Row {
        let mut rows = self.findings.iter().filter(|row| row["code"] == code);
        let row = rows.next().unwrap_or_else(|| panic!("no {code}"));
        assert!(rows.next().is_none(), "one {code}");
        row
    }

    fn topic(&self, name: &str) -> &Row {
        let found = self.topics.iter().find(|row| row["topic"] == name);
        found.unwrap_or_else(|| panic!("no topic {name}"))
    }
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const SECOND: i64 = 1_000_000_000;

fn hello(client: &[u8]) -> Vec<u8> {
    let mut body = string(b"MQTT");
    body.extend_from_slice(&[4, 2, 0, 60]);
    body.extend_from_slice(&string(client));
    packet(0x10, &body)
}

fn session(client: &[u8]) -> Recording {
    Recording::new(1883)
        .open()
        .send(From::Client, &hello(client))
        .send(From::Broker, &CONNACK)
}

#[test]
fn devices_are_judged_by_what_they_do() {
    let mut recording = Recording::new(1883);
    for _ in 0..5 {
        recording = recording
            .open()
            .send(
                From::Client,
                &connect(b"pump", b"operator", b"s3cret", b"w"),
            )
            .send(From::Broker, &[0x20, 2, 0, 5])
            .close()
            .wait(SECOND);
    }
    let analysis = Analysis::made(recording, &[]);
    assert_eq!(analysis.count("connect-refused"), 5);
    assert_eq!(analysis.count("clear-text-credentials"), 5);
    let storm = analysis.the("reconnect-storm");
    assert_eq!(storm["detail"], "client pump: 5 connections within 4.00 s");
    assert_eq!(storm["wireshark_filter"], "mqtt.clientid == \"pump\"");
    let refused = analysis
        .findings
        .iter()
        .find(|row| row["code"] == "connect-refused");
    assert_eq!(
        refused.unwrap()["detail"],
        "5 (Connection Refused, not authorized), client pump"
    );
    // Neither was refused for want of a DISCONNECT.
    assert_eq!(analysis.count("disconnect-missing"), 0);
    for row in &analysis.findings {
        assert!(!row["detail"].contains("s3cret") && !row["detail"].contains("operator"));
    }
}

/// A client cannot say goodbye once the broker closed the connection.
#[test]
fn who_ended_a_connection_is_told() {
    let broker = Analysis::made(session(b"pump").close_from(From::Broker), &[]);
    assert_eq!(broker.count("disconnect-missing"), 0);
    assert_eq!(
        broker.the("closed-by-broker")["detail"],
        "client pump, ended by fin"
    );
    let client = Analysis::made(session(b"pump").close(), &[]);
    assert_eq!(client.count("closed-by-broker"), 0);
    assert_eq!(client.count("disconnect-missing"), 1);
    let goodbye = session(b"pump").send(From::Client, &[0xe0, 0]);
    let goodbye = Analysis::made(goodbye.close_from(From::Broker), &[]);
    assert_eq!(goodbye.count("closed-by-broker"), 0);
}

#[test]
fn what_a_broker_leaves_unanswered_is_told() {
    let hello = || {
        Recording::new(1883)
            .open()
            .send(From::Client, &hello(b"pump"))
    };
    let closed = Analysis::made(hello().close_from(From::Broker), &[]);
    let detail = &closed.the("connect-unanswered")["detail"];
    assert!(
        detail.starts_with("client pump: closed by the broker after "),
        "{detail}"
    );
    // It may still come, or the answer is not in the capture.
    assert_eq!(Analysis::made(hello(), &[]).count("connect-unanswered"), 0);
    let asked = |packet: &[u8], answer: &[u8]| {
        let recording = session(b"pump")
            .send(From::Client, packet)
            .send(From::Broker, answer)
            .wait(20 * SECOND)
            .send(From::Client, &[0xe0, 0])
            .close();
        Analysis::made(recording, &[])
    };
    let pinged = asked(&[0xc0, 0], b"");
    let detail = &pinged.the("request-unanswered")["detail"];
    assert!(
        detail.starts_with("PINGREQ of client pump: no answer within 20.0"),
        "{detail}"
    );
    assert_eq!(asked(&[0xc0, 0], &[0xd0, 0]).count("request-unanswered"), 0);
    let subscribed = asked(&subscribe(b"t"), b"");
    let detail = &subscribed.the("request-unanswered")["detail"];
    assert!(detail.starts_with("SUBSCRIBE of client pump"), "{detail}");
}

#[test]
fn a_packet_that_was_never_finished_is_told() {
    let recording = session(b"pump")
        .send(From::Client, b"\x30\xff\xff\xff\x7f\x00\x01t123456")
        .close();
    let analysis = Analysis::made(recording, &[]);
    assert_eq!(
        analysis.the("packet-unfinished")["detail"],
        "PUBLISH to_broker: 9 of 268435455 bytes came"
    );
}

#[test]
fn filters_are_measured_as_topics_are() {
    let deep = session(b"pump").send(From::Client, &subscribe(&vec![b'/'; 65_000]));
    let analysis = Analysis::made(deep, &[]);
    assert_eq!(
        analysis.the("filter-too-large")["detail"],
        "client pump: 65000 bytes, 65001 levels"
    );
    let usual = session(b"pump").send(From::Client, &subscribe(b"a/b/#"));
    assert_eq!(Analysis::made(usual, &[]).count("filter-too-large"), 0);
}

/// Each connection of the capture breaks one rule; no other error is found than the one it is
/// there for. Two are none: a CONNECT with 2,000 user properties, and a DISCONNECT with a reason.
#[test]
fn each_broken_rule_of_the_malformed_capture_is_found_and_no_other() {
    const EXPECTED: &str = "1 qos-3
        2 malformed-remaining-length
        3 overlong-integer
        4 null-character
        5 invalid-utf8
        6 wildcard-in-topic
        7 empty-topic
        8 empty-topic
        9 topic-alias-zero
        10 unknown-topic-alias
        11 malformed-past-packet
        12 malformed-past-packet
        13 malformed-unknown-property
        14 property-repeated
        15 packet-identifier-zero
        16 reserved-flags
        17 no-filters
        18 requested-qos-3
        19 second-connect
        20 not-introduced
        21 reserved-packet-type
        22 packet-type-not-in-level
        23 only-from-broker
        24 unknown-packet-identifier
        25 unknown-packet-identifier
        26 protocol-name
        27 unknown-protocol-level
        28 bridge-level
        29 empty-client-identifier
        30 connect-reserved-flag
        31 password-without-user-name
        32 will-qos-3
        34 filter-too-large
        35 packet-unfinished
        36 body-not-allowed
        38 websocket-unread
        39 tls-decryption-ended";
    let Some(captures) = shared::captures() else {
        return;
    };
    let analysis = Analysis::of(&captures.join("gen__malformed.pcap"), &[]);
    let wanted: BTreeSet<&str> = EXPECTED.lines().map(str::trim).collect();
    let found: Vec<String> = analysis
        .findings
        .iter()
        .map(|row| format!("{} {}", row["connection"], row["code"]))
        .collect();
    for wanted in &wanted {
        assert!(found.iter().any(|found| found == wanted), "{wanted}");
    }
    let errors = analysis.findings.iter().zip(&found);
    for (_, found) in errors.filter(|(row, _)| row["severity"] == "error") {
        assert!(wanted.contains(found.as_str()), "{found}");
    }
    // Every violation that the summary counts is a finding, as often.
    let violations: BTreeMap<String, u64> =
        serde_json::from_value(analysis.summary["violations"].clone()).unwrap();
    for (code, count) in violations {
        assert_eq!(analysis.count(&code), count, "{code}");
    }
    for row in &analysis.findings {
        assert!(!row["wireshark_filter"].is_empty(), "{row:?}");
    }
}

/// The wills of a client that was taken over, and of one that fell silent, are published before
/// the broker closes their connections.
#[test]
fn wills_are_booked_to_who_left_them() {
    let Some(captures) = shared::captures() else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let capture = captures.join("gen__sessions.pcap");
    mqttscope([
        "analyze",
        "--only",
        "tables",
        "-o",
        out.to_str().unwrap(),
        capture.to_str().unwrap(),
    ]);
    let published: BTreeSet<String> = table(&out.join("sessions.csv"))
        .iter()
        .filter(|row| row["will_published"] != "0")
        .map(|row| format!("{} {}", row["client_id"], row["will_published"]))
        .collect();
    let expected = ["dupid 1", "silent 1"].map(str::to_owned);
    assert_eq!(published, BTreeSet::from(expected));
    let publishers: BTreeSet<(String, String)> = table(&out.join("deliveries.csv"))
        .iter()
        .filter(|row| row["basis"] == "observed")
        .map(|row| (row["topic"].clone(), row["publisher"].clone()))
        .collect();
    let expected = [("will/dupid", "dupid"), ("will/silent", "silent")];
    let expected = expected.map(|(topic, client)| (topic.to_owned(), client.to_owned()));
    assert_eq!(publishers, BTreeSet::from(expected));
}

#[test]
fn user_names_are_told_only_if_asked_for() {
    let recording = || {
        Recording::new(1883)
            .open()
            .send(
                From::Client,
                &connect(b"pump", b"operator", b"s3cret", b"w"),
            )
            .send(From::Broker, &CONNACK)
            .close()
    };
    let detail = |options: &[&str]| {
        let analysis = Analysis::made(recording(), options);
        analysis.the("clear-text-credentials")["detail"].clone()
    };
    assert_eq!(detail(&[]), "user name and password, client pump");
    assert_eq!(
        detail(&["--show-credentials"]),
        "user name and password, client pump, user operator"
    );
    let missing = Analysis::made(recording(), &[]);
    let missing = missing.the("disconnect-missing");
    assert_eq!(
        missing["detail"],
        "client pump, ended by fin; its will is published to w"
    );
}

#[test]
fn silence_is_told_with_what_the_broker_did() {
    let early = session(b"a").wait(95 * SECOND).close();
    let analysis = Analysis::made(early, &[]);
    assert_eq!(analysis.count("keep-alive-exceeded"), 1);
    assert_eq!(analysis.count("keep-alive-not-enforced"), 0);
    assert_eq!(analysis.count("disconnect-missing"), 0);
    let late = session(b"a")
        .wait(200 * SECOND)
        .send(From::Client, &[0xc0, 0])
        .send(From::Client, &[0xe0, 0])
        .close();
    let analysis = Analysis::made(late, &[]);
    assert_eq!(analysis.count("keep-alive-exceeded"), 1);
    assert_eq!(analysis.count("keep-alive-not-enforced"), 1);
}

#[test]
fn topics_are_judged_once_and_counted_by_way() {
    let mut recording = session(b"pump-7").send(From::Client, &subscribe(b"#"));
    for number in 0..40_u16 {
        let payload = format!("{{\"t\":{number},\"unit\":\"C\"}}");
        let mut retained = publish(b"/plant//pump-7 a/\xc3\xa4/", None, payload.as_bytes());
        retained[0] |= 1;
        recording = recording.send(From::Client, &retained);
    }
    recording = recording
        .send(From::Client, &publish(b"$own/x", None, b"on\0"))
        .send(From::Client, &publish(b"big", None, &vec![b'x'; 2000]))
        .send(From::Broker, &publish(b"from/elsewhere", None, b""))
        .send(From::Client, &[0xe0, 0])
        .close();
    let options = [
        "--threshold",
        "payload-bytes=1000",
        "--threshold",
        "topic-levels=5",
    ];
    let analysis = Analysis::made(recording, &options);
    let plant = analysis.topic("/plant//pump-7 a/ä/");
    assert_eq!(
        plant["findings"],
        "topic-leading-slash topic-trailing-slash topic-empty-level topic-space topic-non-ascii \
         topic-too-deep retained-volatile"
    );
    assert_eq!(plant["messages"], "40");
    assert_eq!(plant["retained"], "40");
    assert_eq!(plant["publishers"], "1");
    assert_eq!(plant["payload_kind"], "json");
    assert_eq!(plant["payload_keys"], "t unit");
    assert_eq!(analysis.topics[0]["topic"], plant["topic"]);
    assert_eq!(
        analysis.topic("$own/x")["findings"],
        "topic-reserved payload-trailing-nul"
    );
    assert_eq!(
        analysis.topic("big")["findings"],
        "topic-without-sender payload-large"
    );
    let elsewhere = analysis.topic("from/elsewhere");
    assert_eq!(elsewhere["publishers"], "0");
    assert_eq!(elsewhere["subscribers"], "1");
    assert_eq!(elsewhere["payload_kind"], "empty");
    assert_eq!(analysis.the("subscription-to-everything")["topic"], "#");
    let nul = analysis.the("payload-trailing-nul");
    assert_eq!(nul["wireshark_filter"], "mqtt.topic == \"$own/x\"");
}

#[test]
fn codes_can_be_switched_off() {
    let recording = || {
        session(b"a")
            .send(From::Client, &publish(b"/b", None, b"1"))
            .close()
    };
    let analysis = Analysis::made(recording(), &["--ignore", "topic-leading-slash"]);
    assert_eq!(analysis.count("topic-leading-slash"), 0);
    assert_eq!(analysis.topic("/b")["findings"], "topic-without-sender");
    assert!(analysis.count("disconnect-missing") > 0);
}

#[test]
fn a_message_sent_again_on_its_connection_is_told() {
    let message = publish(b"a/pump", Some(7), b"21.5");
    let mut again = message.clone();
    again[0] |= 8;
    let recording = session(b"pump")
        .send(From::Client, &message)
        .send(From::Client, &again)
        .send(From::Broker, &[0x40, 2, 0, 7])
        .send(From::Client, &[0xe0, 0])
        .close();
    let analysis = Analysis::made(recording, &[]);
    let resent = analysis.the("resent-without-need");
    assert_eq!(
        resent["detail"],
        "packet identifier 7, sent 2 times on this connection"
    );
    assert!(resent["wireshark_filter"].starts_with("mqtt.msgid == 7 && ip.addr == 10.0.0.1 && "));
}

#[test]
fn hostile_text_stays_text() {
    let longest = [b"/".repeat(65_000), vec![b'a'; 535]].concat();
    let topics: [&[u8]; 7] = [
        b"\x1b[31mred",
        b"<script>alert(1)</script>",
        b"=HYPERLINK(\"http://x\")",
        b"nul\0here",
        b"\xff\xfe",
        "\u{202e}cod.exe".as_bytes(),
        &longest,
    ];
    let mut recording = session(b"\" || frame || \"\xe2\x80\xae");
    for topic in topics {
        recording = recording.send(From::Client, &publish(topic, None, topic));
    }
    let analysis = Analysis::made(recording.close(), &[]);
    assert_eq!(analysis.topics.len(), topics.len());
    for row in &analysis.findings {
        for cell in row.values() {
            assert!(
                !cell.chars().any(|c| c.is_control() || c == '\u{202e}'),
                "{cell:?}"
            );
        }
        let filter = &row["wireshark_filter"];
        assert!(filter.len() < 1000);
        let quotes = filter
            .replace("\\\\", "")
            .replace("\\\"", "")
            .matches('"')
            .count();
        assert!(quotes % 2 == 0, "{filter}");
    }
    assert_eq!(analysis.count("null-character"), 1);
    assert_eq!(analysis.count("invalid-utf8"), 1);
}

/// A thousand rows of a code are told, and all are counted.
#[test]
fn rows_of_a_code_are_bounded() {
    let mut recording = session(b"pump");
    for number in 0..1200 {
        let topic = format!("/pump/{number}");
        recording = recording.send(From::Client, &publish(topic.as_bytes(), None, b"1"));
    }
    let analysis = Analysis::made(recording.send(From::Client, &[0xe0, 0]).close(), &[]);
    assert_eq!(analysis.count("topic-leading-slash"), 1200);
    let rows = analysis.findings.iter();
    let rows = rows.filter(|row| row["code"] == "topic-leading-slash");
    assert_eq!(rows.count(), 1000);
    assert_eq!(analysis.summary["dropped"]["findings"], 200);
}

/// Filters are what Wireshark understands, and show the frame that the row names.
#[test]
fn wireshark_takes_the_filters() {
    let tshark = std::process::Command::new("tshark");
    if { tshark }.arg("--version").output().is_err() {
        crate::tool::may_skip("tshark");
        return;
    }
    for name in ["subscriptions.pcap", "keep-alive.pcap"] {
        let path = crate::tool::recordings().join(name);
        let analysis = Analysis::of(&path, &[]);
        assert!(!analysis.findings.is_empty());
        // One row of each code: they are alike.
        let rows = analysis.findings.iter().map(|row| (&row["code"], row));
        for row in rows.collect::<BTreeMap<_, _>>().into_values() {
            let filter = &row["wireshark_filter"];
            let mut command = std::process::Command::new("tshark");
            let command = command.args(["-T", "fields", "-e", "frame.number", "-r"]);
            let output = command.arg(&path).args(["-Y", filter]).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{filter}: {errors}");
            let frames = String::from_utf8(output.stdout).unwrap();
            let mut frames = frames.lines();
            match row["frame"].as_str() {
                "" => assert!(frames.next().is_some(), "{name}: {filter}"),
                frame => assert!(frames.any(|line| line == frame), "{name} {frame}: {filter}"),
            }
        }
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mqttscope"));
        let output = command.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&["analyze", "--threshold", "depth=3", "x.pcap"]);
    assert!(said.contains("topic-levels"), "{said}");
    let said = run(&["analyze", "--ignore", "topic-leading-slsh", "x.pcap"]);
    assert!(
        said.contains("the nearest is topic-leading-slash"),
        "{said}"
    );
    let said = run(&["analyze", "--fail-on", "finding=message-los", "x.pcap"]);
    assert!(said.contains("the nearest is message-lost"), "{said}");
    let said = run(&["analyze", "--ignore", "nothing like any", "x.pcap"]);
    assert!(!said.contains("nearest"), "{said}");
}
