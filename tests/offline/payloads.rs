//! Payloads on the command line: shown as what they are, by the user's Protobuf schema where
//! there is one, with errors that name the place.

use std::fs;
use std::process::{Command, Output};

use crate::recording::{From, Recording, connect, publish};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The message of many a first attempt with Protobuf.
const TUTORIAL: &str = "syntax = \"proto2\";\npackage tutorial;\n\nmessage payload {\n  \
    required string payload = 1;\n  required int32 id = 2;\n}\n";
const BINDING: [&str; 2] = ["--protobuf", "plant/+/message=tutorial.payload"];

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        let capture = Recording::new(1883)
            .open()
            .send(From::Client, &connect(b"sensor", b"user", b"secret", b"w"))
            .send(From::Broker, &[0x20, 2, 0, 0])
            .send(
                From::Client,
                &publish(b"plant/1/message", None, b"\x0a\x05h\xc3\xa4llo\x10\x2a"),
            )
            .send(
                From::Client,
                &publish(b"plant/1/message", None, b"\x0a\x04h\xc3\xa4l\x10\x2a"),
            )
            .send(From::Client, &publish(b"plant/2/message", None, b"on\0"))
            .send(
                From::Client,
                &publish(b"plant/1/state", None, b"{ \"on\" : true }"),
            )
            .send(From::Client, &[0xe0, 0])
            .close()
            .finish();
        place.write("capture.pcap", &capture);
        place.write("tutorial.proto", TUTORIAL.as_bytes());
        place
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
        let command = command.current_dir(self.0.path()).args(arguments);
        command.arg("capture.pcap").output().unwrap()
    }

    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn fails(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        errors
    }
}

#[test]
fn text_shows_what_a_payload_is() {
    let place = Place::new();
    let decode = ["decode", "--payload", "text"];
    let with_schema = [&decode[..], &BINDING, &["--proto", "tutorial.proto"]].concat();
    let text = place.prints(&with_schema);
    let payloads: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" bytes  ").map(|(_, payload)| payload))
        .collect();
    assert_eq!(
        payloads,
        [
            "hex:0a0568c3a46c6c6f102a",
            "tutorial.payload {\"id\":42,\"payload\":\"häl\"}",
            "on\\x00 (ends with NUL)",
            "{\"on\":true}",
        ]
    );
    let without = place.prints(&decode);
    assert!(without.contains(" hex:0a0468c3a46c102a\n"), "{without}");
}

#[test]
fn programs_get_fields_and_kinds() {
    let place = Place::new();
    let arguments = ["decode", "--format", "jsonl", "--payload", "text"];
    let arguments = [&arguments[..], &BINDING, &["--proto", "tutorial.proto"]].concat();
    let text = place.prints(&arguments);
    let published: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|packet: &Value| packet["packet_type"] == "PUBLISH")
        .collect();
    let kinds: Vec<&str> = published
        .iter()
        .map(|packet| packet["payload_kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["binary", "protobuf", "text_nul", "json"]);
    let message = json!({
        "type": "tutorial.payload",
        "fields": {"payload": "häl", "id": 42},
        "unknown_fields": [],
    });
    assert_eq!(published[1]["payload_message"], message);
    assert_eq!(published[0].get("payload_message"), None);
    assert_eq!(published[3]["payload"], "{ \"on\" : true }");
}

#[test]
fn messages_have_their_kind() {
    let place = Place::new();
    let arguments = ["analyze", "-o", "out", "--proto", "tutorial.proto"];
    place.prints(&[&arguments[..], &BINDING].concat());
    let messages = fs::read(place.0.path().join("out/messages.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(messages.as_slice());
    let column = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == "payload_kind")
        .unwrap();
    let kinds: Vec<String> = reader
        .records()
        .map(|row| row.unwrap()[column].to_owned())
        .collect();
    assert_eq!(kinds, ["binary", "protobuf", "text_nul", "json"]);
}

#[test]
fn imports_are_found_beside_the_file_and_below_named_directories() {
    let place = Place::new();
    place.write(
        "proto/site/plant.proto",
        b"syntax = \"proto3\"; package plant; import \"site/unit.proto\"; \
          import \"google/protobuf/timestamp.proto\"; \
          message M { site.Unit unit = 1; google.protobuf.Timestamp at = 2; }",
    );
    place.write(
        "proto/site/unit.proto",
        b"syntax = \"proto3\"; package site; enum Unit { NONE = 0; }",
    );
    let arguments = ["decode", "--protobuf", "a=plant.M", "--proto"];
    let file = "proto/site/plant.proto";
    place.prints(&[&arguments[..], &[file, "--proto-path", "proto"]].concat());
    let errors = place.fails(&[&arguments[..], &[file]].concat(), 1);
    assert!(
        errors.contains("plant.proto:1:") && errors.contains("'site/unit.proto' not found"),
        "{errors}"
    );
}

#[test]
fn errors_name_file_and_line() {
    let place = Place::new();
    place.write(
        "bad.proto",
        b"syntax = \"proto2\";\nmessage M {\n  required strin payload = 1;\n}\n",
    );
    let schema = |binding, file| ["decode", "--protobuf", binding, "--proto", file];
    let errors = place.fails(&schema("a=M", "bad.proto"), 1);
    assert!(errors.contains("--proto: bad.proto:3:12: "), "{errors}");
    let errors = place.fails(&schema("a=M", "none.proto"), 1);
    assert!(
        errors.contains("cannot read --proto none.proto"),
        "{errors}"
    );
    let errors = place.fails(&schema("a=tutorial.Payload", "tutorial.proto"), 2);
    assert!(
        errors.contains("\"tutorial.Payload\"") && errors.contains("tutorial.payload"),
        "{errors}"
    );
    let errors = place.fails(&schema("a#=tutorial.payload", "tutorial.proto"), 2);
    assert!(errors.contains("TOPIC/FILTER=package.Message"), "{errors}");
    let errors = place.fails(&["decode", "--protobuf", "a=M"], 2);
    assert!(errors.contains("--proto"), "{errors}");
}
