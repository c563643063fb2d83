//! MQTT within TLS and WebSocket, through the whole program: what is found with keys, without
//! them, with the wrong ones, with keys that come late, and behind gaps.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tool::{Row, decode_csv, key_log_option, mqttscope, recordings, table};
use mqttscope::capture::{Capture, Interface, Item, PcapngWriter, SecretsFormat};
use serde_json::Value;

const NO_OPTIONS: [&str; 0] = [];

/// connections.csv and summary.json of a capture.
fn analyze(path: &Path, options: &[&str]) -> (Vec<Row>, Value) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("analysis");
    let arguments = [
        "analyze",
        "--raw-csv",
        "--allow-empty",
        "--only",
        "tables",
        "-o",
    ];
    let arguments = arguments.iter().map(OsStr::new);
    let rest = [directory.as_os_str(), path.as_os_str()];
    mqttscope(arguments.chain(rest).chain(options.iter().map(OsStr::new)));
    let summary = fs::read_to_string(directory.join("summary.json")).unwrap();
    (
        table(&directory.join("connections.csv")),
        serde_json::from_str(&summary).unwrap(),
    )
}

fn recording(name: &str) -> PathBuf {
    recordings().join(name)
}

fn cells<'r>(row: &'r Row, names: &[&str]) -> Vec<&'r str> {
    names.iter().map(|name| row[*name].as_str()).collect()
}

#[test]
fn connections_say_what_carried_them() {
    let sni = "broker.mqttscope.test";
    for (name, transport, version, suite) in [
        ("tls13.pcap", "tls", "TLS 1.3", "TLS_AES_256_GCM_SHA384"),
        (
            "tls12-gcm.pcap",
            "tls",
            "TLS 1.2",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            "tls12-chacha20.pcap",
            "tls",
            "TLS 1.2",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
        ("wss.pcap", "wss", "TLS 1.3", "TLS_CHACHA20_POLY1305_SHA256"),
        ("websocket.pcap", "ws", "", ""),
    ] {
        let path = recording(name);
        let options = key_log_option(&path);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let (connections, summary) = analyze(&path, &options);
        let expected = if name == "tls12-gcm.pcap" { 3 } else { 2 };
        assert_eq!(connections.len(), expected, "{name}");
        assert_eq!(summary["transports"][transport], expected, "{name}");
        assert_eq!(summary["unread"], serde_json::json!({}), "{name}");
        for row in &connections {
            let facts = cells(row, &["transport", "tls_version", "tls_suite", "unread"]);
            assert_eq!(facts, [transport, version, suite, ""], "{name}");
            let secure = !version.is_empty();
            assert_eq!(row["sni"], if secure { sni } else { "" }, "{name}");
            assert_eq!(row["tls_handshake_ns"].is_empty(), !secure, "{name}");
            assert_ne!(row["packets_to_broker"], "0", "{name}");
        }
    }
}

#[test]
fn without_keys_there_is_what_a_bystander_sees() {
    let other = recording("tls12-gcm.keylog");
    let other = ["--keylog", other.to_str().unwrap()];
    for options in [&NO_OPTIONS[..], &other] {
        let (connections, summary) = analyze(&recording("tls13.pcap"), options);
        assert_eq!(summary["mqtt"]["packets"], 0);
        assert_eq!(summary["unread"]["encrypted, no keys"], 2);
        assert_eq!(connections.len(), 2);
        for row in &connections {
            let names = [
                "transport",
                "tls_version",
                "sni",
                "alpn",
                "unread",
                "packets_to_broker",
            ];
            let expected = [
                "tls",
                "TLS 1.3",
                "broker.mqttscope.test",
                "(mqtt)",
                "encrypted, no keys",
                "0",
            ];
            assert_eq!(cells(row, &names), expected);
            for name in [
                "tls_records_to_broker",
                "tls_records_to_client",
                "tls_handshake_ns",
                "tls_client_silence_ns",
            ] {
                assert!(row[name].parse::<u64>().unwrap() > 5, "{name}");
            }
            for way in ["to_broker", "to_client"] {
                let number = |name: String| row[&name].parse::<u64>().unwrap();
                let records = number(format!("tls_records_{way}"));
                let bytes = number(format!("tls_bytes_{way}"));
                let largest = number(format!("tls_largest_record_{way}_bytes"));
                assert!(5 * records < bytes && largest <= bytes, "{row:?}");
                assert!(largest * records >= bytes, "{row:?}");
            }
        }
    }
    let text = mqttscope([OsStr::new("analyze"), recording("tls13.pcap").as_os_str()]);
    assert!(text.contains("2 connections: encrypted, no keys"), "{text}");
}

/// The page shows what can be seen from outside, and says plainly that the rest cannot.
#[test]
fn the_page_has_a_part_for_encrypted_connections() {
    let scratch = tempfile::tempdir().unwrap();
    let path = recording("tls13.pcap");
    let page = |options: &[String]| {
        let out = scratch.path().join("out");
        let arguments = ["analyze", "--allow-empty", "--only", "report", "-o"];
        let arguments = arguments.iter().map(OsStr::new);
        let rest = [out.as_os_str(), path.as_os_str()];
        mqttscope(arguments.chain(rest).chain(options.iter().map(OsStr::new)));
        fs::read_to_string(out.join("report.html")).unwrap()
    };
    let without = page(&[]);
    for text in [
        "Encrypted connections",
        "encrypted, no keys",
        "broker.mqttscope.test",
        "TLS_AES_256_GCM_SHA384",
        "longest silence",
    ] {
        assert!(without.contains(text), "{text}");
    }
    let with = page(&key_log_option(&path));
    assert!(!with.contains("Encrypted connections"));
}

/// A secret that is not the connection's: nothing is decrypted with it, and that is found.
#[test]
fn a_wrong_secret_is_a_finding() {
    let scratch = tempfile::tempdir().unwrap();
    let path = recording("tls13.pcap");
    let text = fs::read_to_string(path.with_extension("keylog")).unwrap();
    // The first connection's secret for what its client says.
    let wrong: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix("CLIENT_TRAFFIC_SECRET_0 ") {
            Some(rest) => {
                let (random, secret) = rest.split_once(' ').unwrap();
                let secret: String = secret.chars().rev().collect();
                format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret}")
            }
            None => line.to_owned(),
        })
        .collect();
    let log = scratch.path().join("wrong.keylog");
    fs::write(&log, wrong.join("\n")).unwrap();
    let (connections, summary) = analyze(&path, &["--keylog", log.to_str().unwrap()]);
    assert_eq!(summary["findings"]["tls-decryption-ended"], 2);
    // Not that a DISCONNECT is missing: nobody knows.
    assert!(summary["findings"]["disconnect-missing"].is_null());
    for row in connections {
        assert!(
            row["unread"].starts_with("a record does not open"),
            "{row:?}"
        );
        assert_eq!(row["packets_to_broker"], "0");
    }
}

/// TLS on a port that nobody named is found by its key log, and WebSocket by its upgrade; without
/// a key log TLS on such a port is none of ours.
#[test]
fn other_ports_are_found_by_what_they_say() {
    let path = recording("wss.pcap");
    let with_keys = decode_csv(&path, &key_log_option(&path));
    assert!(with_keys.len() > 30);
    let command = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
        command
            .env_remove("SSLKEYLOGFILE")
            .arg("decode")
            .args(options)
            .arg(&path);
        command.output().unwrap()
    };
    let output = command(&[]);
    assert_eq!(output.status.code(), Some(1));
    let output = command(&["--port", "9443/wss"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("2 connections: encrypted, no keys"),
        "{errors}"
    );
    let output = command(&["--keylog", "no/such/file"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("cannot read the key log no/such/file"),
        "{errors}"
    );
    // SSLKEYLOGFILE names it as well.
    let log = path.with_extension("keylog");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    let output = command
        .env("SSLKEYLOGFILE", log)
        .arg("decode")
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success());
    let plain = decode_csv(&recording("websocket.pcap"), &["--no-detect"; 0]);
    assert!(plain.len() > 30);
}

/// A recording with the frames' bytes changed in their places.
fn changed(name: &str, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut capture = Capture::open(&[&recording(name)]).unwrap();
    let mut writer = PcapngWriter::new(Vec::new(), "test").unwrap();
    let mut interface = None;
    while let Some(item) = capture.next_item() {
        let Item::Frame(frame) = item else { continue };
        let number = *interface.get_or_insert_with(|| {
            let interface = Interface::new(frame.link_type);
            writer.add_interface(&interface).unwrap()
        });
        let mut bytes = frame.bytes.to_vec();
        change(&mut bytes);
        writer
            .write_frame(number, frame.time, frame.wire_length, &bytes, None)
            .unwrap();
    }
    writer.into_inner().unwrap()
}

/// [MQTT-6.0.0-1] binary frames, [MQTT-6.0.0-3] `mqtt` offered, [MQTT-6.0.0-4] and selected.
#[test]
fn what_mqtt_asks_of_websocket_is_checked() {
    let found = |bytes: &[u8]| -> Vec<String> {
        let scratch = tempfile::tempdir().unwrap();
        let (file, directory) = (scratch.path().join("a.pcapng"), scratch.path().join("out"));
        fs::write(&file, bytes).unwrap();
        let arguments = ["analyze", "--raw-csv", "--only", "tables", "-o"];
        let rest = [directory.as_os_str(), file.as_os_str()];
        mqttscope(arguments.iter().map(OsStr::new).chain(rest));
        let findings = table(&directory.join("findings.csv"));
        let of_websocket = findings
            .iter()
            .filter(|row| row["code"].starts_with("websocket"));
        of_websocket
            .map(|row| format!("{}: {}", row["code"], row["detail"]))
            .collect()
    };
    let replace = |bytes: &mut [u8], from: &[u8], to: &[u8]| {
        let end = b"\r\n\r\n";
        let is_head = bytes.windows(end.len()).any(|window| window == end);
        let place = bytes.windows(from.len()).position(|window| window == from);
        if let (true, Some(place)) = (is_head, place) {
            bytes[place..place + to.len()].copy_from_slice(to);
        }
    };
    assert_eq!(found(&changed("websocket.pcap", |_| {})), [""; 0]);
    let protocol = |from: &'static [u8], to: &'static [u8]| {
        found(&changed("websocket.pcap", |bytes| replace(bytes, from, to)))
    };
    // The client offers mqtt among others; the server selects it.
    let (offered, selected) = ("not offered by the client", "not selected by the server");
    let told = |what: &str| vec![format!("websocket-subprotocol: {what}"); 2];
    assert_eq!(
        protocol(b"rotocol: mqtt", b"rotocol: MQTT"),
        told(&format!("{offered}, {selected}"))
    );
    let switched = found(&changed("websocket.pcap", |bytes| {
        if bytes.windows(12).any(|window| window == b"HTTP/1.1 101") {
            replace(bytes, b"rotocol: mqtt", b"rotocol: chat");
        }
    }));
    assert_eq!(switched, told(selected));
    // Every frame's payload begins behind the TCP header; what begins like a binary frame is one.
    let text = found(&changed("websocket.pcap", |bytes| {
        let ip = usize::from(bytes[14] & 0x0f) * 4;
        let tcp = 14 + ip + usize::from(bytes[14 + ip + 12] >> 4) * 4;
        if let Some(first) = bytes.get_mut(tcp)
            && *first == 0x82
        {
            *first = 0x81;
        }
    }));
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(
        text.iter()
            .all(|line| line.starts_with("websocket-text-frame: "))
    );
}

/// The recording as pcapng, with its key log as Decryption Secrets Block before so many frames.
fn with_secrets(name: &str, before: usize, skip: impl Fn(u64) -> bool) -> Vec<u8> {
    let path = recording(name);
    let mut capture = Capture::open(&[&path]).unwrap();
    let mut writer = PcapngWriter::new(Vec::new(), "test").unwrap();
    let mut interface = None;
    let log = fs::read(path.with_extension("keylog")).unwrap();
    let mut frames = 0;
    while let Some(item) = capture.next_item() {
        let Item::Frame(frame) = item else { continue };
        let number = *interface.get_or_insert_with(|| {
            writer
                .add_interface(&Interface::new(frame.link_type))
                .unwrap()
        });
        if frames == before {
            writer
                .write_secrets(SecretsFormat::TLS_KEY_LOG, &log)
                .unwrap();
        }
        frames += 1;
        if !skip(frame.number) {
            writer
                .write_frame(number, frame.time, frame.wire_length, frame.bytes, None)
                .unwrap();
        }
    }
    if frames <= before {
        writer
            .write_secrets(SecretsFormat::TLS_KEY_LOG, &log)
            .unwrap();
    }
    writer.into_inner().unwrap()
}

/// A row without what depends on the file's form.
fn essence(rows: &[Row]) -> Vec<BTreeMap<String, String>> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row["frame"].parse::<u64>().unwrap());
    rows
}

#[test]
fn secrets_in_the_capture_may_stand_anywhere() {
    let scratch = tempfile::tempdir().unwrap();
    let path = recording("tls13.pcap");
    let expected = essence(&decode_csv(&path, &key_log_option(&path)));
    for before in [0, 20, usize::MAX] {
        let bytes = with_secrets("tls13.pcap", before, |_| false);
        let file = scratch.path().join("with-secrets.pcapng");
        fs::write(&file, &bytes).unwrap();
        // A file's secrets are read ahead: the order is the capture's.
        assert_eq!(
            decode_csv(&file, &NO_OPTIONS),
            decode_csv(&path, &key_log_option(&path))
        );
        if before == usize::MAX {
            // From a pipe they would come when the connections are over.
            continue;
        }
        // From a pipe, records wait for them.
        let mut child = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
            .args(["decode", "--format", "csv", "--raw-csv", "-"])
            .env_remove("SSLKEYLOGFILE")
            .stdin(fs::File::open(&file).unwrap())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut reader = csv::Reader::from_reader(child.stdout.take().unwrap());
        let rows: Vec<Row> = reader.deserialize().map(Result::unwrap).collect();
        assert!(child.wait().unwrap().success());
        assert_eq!(essence(&rows), expected, "secrets before frame {before}");
    }
}

/// Each frame in turn is missing: what is decoded was sent, the file is read to its end, and the
/// connection without the gap is whole.
#[test]
fn a_missing_frame_costs_its_connection_at_most() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["tls13.pcap", "tls12-chacha20.pcap", "wss.pcap"] {
        let path = recording(name);
        let whole = decode_csv(&path, &key_log_option(&path));
        let packet = |row: &Row| {
            let names = [
                "connection",
                "direction",
                "packet_type",
                "packet_id",
                "topic",
                "remaining_length",
            ];
            cells(row, &names).join("|")
        };
        let expected: Vec<String> = whole.iter().map(packet).collect();
        let frames: u64 = whole.last().unwrap()["frame"].parse().unwrap();
        let (mut resumed, mut tried) = (0, 0);
        for missing in (1..frames).step_by(3) {
            let bytes = with_secrets(name, 0, |number| number == missing);
            let file = scratch.path().join("gap.pcapng");
            fs::write(&file, bytes).unwrap();
            let output = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
                .args(["decode", "--format", "csv", "--raw-csv"])
                .arg(&file)
                .env_remove("SSLKEYLOGFILE")
                .output()
                .unwrap();
            let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
            let rows: Vec<Row> = reader.deserialize().map(Result::unwrap).collect();
            let missing_bytes = |row: &&Row| !row["note"].contains("missing");
            let found: Vec<String> = rows
                .iter()
                .filter(|row| row["packet_type"] != "GAP")
                .filter(missing_bytes)
                .map(packet)
                .collect();
            for line in &found {
                assert!(
                    expected.contains(line),
                    "{name} without frame {missing}: {line}"
                );
            }
            tried += 1;
            resumed += usize::from(found.len() * 4 > expected.len() * 3);
        }
        // Most losses cost little.
        assert!(resumed * 2 > tried, "{name}: {resumed} of {tried}");
    }
}

#[test]
fn frames_of_decrypted_packets_can_be_written() {
    let scratch = tempfile::tempdir().unwrap();
    for name in ["tls13.pcap", "wss.pcap", "websocket.pcap"] {
        let path = recording(name);
        let out = scratch.path().join("out.pcapng");
        let mut options = key_log_option(&path);
        options.extend(["-w".to_owned(), out.to_str().unwrap().to_owned()]);
        let rows = decode_csv(&path, &options);
        let mut capture = Capture::open(&[&out]).unwrap();
        let mut times = Vec::new();
        while let Some(item) = capture.next_item() {
            if let Item::Frame(frame) = item {
                times.push(frame.time.as_nanos());
            }
        }
        assert!(times.len() >= 30, "{name}: {}", times.len());
        for row in rows {
            let time: i64 = row["time_ns"].parse().unwrap();
            assert!(times.contains(&time), "{name}: {row:?}");
        }
    }
}

/// A key log of 100,000 sessions of others, garbage between them, and ours at the end.
#[test]
fn a_large_key_log_is_no_trouble() {
    let scratch = tempfile::tempdir().unwrap();
    let path = recording("tls13.pcap");
    let mut text = String::new();
    for number in 0..100_000_u64 {
        let (random, secret) = (format!("{number:064x}"), format!("{number:096x}"));
        text += &format!("CLIENT_TRAFFIC_SECRET_0 {random} {secret}\n");
        if number % 100 == 0 {
            text += "CLIENT_RANDOM nonsense\n\u{0}\u{1}\u{fffd}";
            text += &"x".repeat(5_000);
            text.push('\n');
        }
    }
    text += &fs::read_to_string(path.with_extension("keylog")).unwrap();
    let log = scratch.path().join("large.keylog");
    fs::write(&log, text).unwrap();
    let rows = decode_csv(&path, &["--keylog", log.to_str().unwrap()]);
    assert_eq!(rows, decode_csv(&path, &key_log_option(&path)));
}
