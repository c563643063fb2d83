//! What the probe says of brokers: `--check` where the answers are known, and `$SYS` beside cells.

#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "common/tool.rs"]
mod tool;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use mosquitto::Mosquitto;
use mqttscope::ProtocolLevel;
use mqttscope::broker::{Broker, Config, Faults, Limits, Qos2Forwarding};
use mqttscope::probe::{Credentials, Dialect, Direct, clear_retained};
use serde_json::{Value, json};
use tool::{may_skip, mqttscope};

/// Verdict by check.
fn verdicts(url: &str, options: &[&str]) -> BTreeMap<String, Value> {
    let arguments = [&["probe", "--check", "--json", url], options].concat();
    let report: Value = serde_json::from_str(&mqttscope(arguments)).unwrap();
    assert_eq!(report["schema"], "mqttscope.check/1");
    let verdicts = report["verdicts"].as_array().unwrap();
    let by_name = verdicts.iter().map(|verdict| {
        let name = verdict["check"].as_str().unwrap().to_owned();
        (name, verdict.clone())
    });
    let by_name: BTreeMap<_, _> = by_name.collect();
    assert_eq!(by_name.len(), verdicts.len(), "each check once");
    by_name
}

fn values(verdicts: &BTreeMap<String, Value>, names: &[&str]) -> Vec<Value> {
    let value = |name: &&str| verdicts[*name]["value"].clone();
    names.iter().map(value).collect()
}

/// What every broker here can do.
fn assert_usual(verdicts: &BTreeMap<String, Value>) {
    let names = [
        "mqtt_5",
        "mqtt_3_1_1",
        "mqtt_3_1",
        "granted_qos",
        "retained",
        "wildcards",
    ];
    let expected = [
        json!(true),
        json!(true),
        json!(true),
        json!(2),
        json!(true),
        json!(true),
    ];
    assert_eq!(values(verdicts, &names), expected);
    assert!(verdicts["sys"]["value"].as_u64().unwrap() > 5);
    // How fast this machine is decides nothing here.
    assert!(verdicts["nagle"]["value"].is_boolean());
}

#[test]
fn mosquitto_as_it_comes_loses_what_it_acknowledged() {
    let Some(broker) = Mosquitto::by_default() else {
        return may_skip("mosquitto");
    };
    let newer = verdicts(&broker.url(), &[]);
    assert_usual(&newer);
    let version = newer["version"]["value"].as_str().unwrap();
    assert!(version.starts_with("mosquitto version "), "{version}");
    let names = ["qos2_forwarding", "shared", "maximum_qos"];
    assert_eq!(
        values(&newer, &names),
        [json!("pubrel"), json!(true), json!(2)]
    );
    // Nothing says how much may be in flight before MQTT 5.
    let older = verdicts(&broker.url(), &["--mqtt", "3.1.1"]);
    assert_usual(&older);
    let loss = &older["loss_wide_window"];
    assert!(loss["value"].as_u64().unwrap() > 500, "{loss}");
    assert_eq!(loss["judgement"], "warning");
    assert!(
        loss["advice"]
            .as_str()
            .unwrap()
            .contains("max_queued_messages 0")
    );
    assert_eq!(older["limits"]["judgement"], "unknown");
}

#[test]
fn mosquitto_tuned_keeps_it() {
    let tuned = "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0";
    let Some(broker) = Mosquitto::start(|_| tuned.to_owned()) else {
        return may_skip("mosquitto");
    };
    let verdicts = verdicts(&broker.url(), &[]);
    assert_usual(&verdicts);
    let names = ["loss_wide_window", "receive_maximum"];
    assert_eq!(values(&verdicts, &names), [json!(0), json!(65_535)]);
}

#[test]
fn the_embedded_broker_is_as_it_was_set() {
    for (qos2, answer) in [
        (Qos2Forwarding::AtPublish, "publish"),
        (Qos2Forwarding::AtPubrel, "pubrel"),
    ] {
        let limits = Limits {
            receive_maximum: 7,
            packet_bytes: 70_000,
            ..Limits::default()
        };
        let config = Config {
            qos2,
            limits,
            ..Config::default()
        };
        let broker = Broker::start("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let verdicts = verdicts(&format!("mqtt://{}", broker.address()), &[]);
        assert_usual(&verdicts);
        let names = [
            "qos2_forwarding",
            "shared",
            "receive_maximum",
            "maximum_packet",
        ];
        let expected = [json!(answer), json!(false), json!(7), json!(70_000)];
        assert_eq!(values(&verdicts, &names), expected);
        let names = ["topic_alias_maximum", "loss_wide_window"];
        assert_eq!(values(&verdicts, &names), [json!(0), json!(0)]);
        assert_eq!(verdicts["receive_maximum"]["judgement"], "note");
    }
}

#[test]
fn the_table_is_for_people() {
    let broker = Broker::start("127.0.0.1:0".parse().unwrap(), Config::default()).unwrap();
    let text = mqttscope(["probe", "--check", &format!("mqtt://{}", broker.address())]);
    assert!(text.starts_with("ok    broker                    mqttscope embedded broker "));
    assert!(
        text.contains("\nnote  QoS 2 is forwarded        at PUBREL\n          "),
        "{text}"
    );
}

#[test]
fn who_lets_nobody_in_is_named() {
    let check = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
        let output = command.args(["probe", "--check", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let errors = check(&format!("mqtt://{nobody}"));
    assert!(errors.contains("nothing listens there"), "{errors}");
    let config = Config {
        faults: Faults::default().refuse_every_connect(0x87),
        ..Config::default()
    };
    let broker = Broker::start("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let errors = check(&format!("mqtt://{}", broker.address()));
    assert!(errors.contains("Not authorized (code 135)"), "{errors}");
    assert!(errors.contains("MQTTSCOPE_USERNAME"), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

/// `sys` of the manifest of a short run.
fn beside(broker: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("run");
    let run = [
        "probe",
        "--no-baseline",
        "--qos",
        "0,2",
        "--count",
        "50",
        "--rate",
        "500",
    ];
    // The machine may be too busy to measure, which is said with 3.
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    let finished = command
        .args(run)
        .args(broker)
        .arg("-o")
        .arg(&output)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&finished.stderr);
    assert!(matches!(finished.status.code(), Some(0 | 3)), "{errors}");
    let manifest = std::fs::read_to_string(output.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["sys"].as_array().unwrap().clone()
}

#[test]
fn what_the_broker_counts_stands_beside_each_cell() {
    let cells = beside(&["--embedded"]);
    assert_eq!(cells.len(), 2);
    for (number, cell) in (1..).zip(&cells) {
        assert_eq!(cell["cell"], number);
        let grown = |counter: &str| {
            let count = |when: &str| cell[when][counter].as_u64().unwrap();
            count("after") - count("before")
        };
        // Warm-up and sentinels are in it too.
        for counter in ["publish_received", "publish_sent"] {
            assert!(grown(counter) >= 50, "{cell}");
        }
        // What the readings themselves send is in the broker's count.
        let ours = |count: &str| cell["ours"][count].as_u64().unwrap();
        assert_eq!(grown("publish_received"), ours("sent"), "{cell}");
        assert!(grown("publish_sent") >= ours("received"), "{cell}");
        assert!(grown("bytes_received") > 50 * 16);
        assert_eq!(grown("publish_dropped"), 0);
        assert!(
            cell["after"]["version"]
                .as_str()
                .unwrap()
                .starts_with("mqttscope embedded")
        );
    }
    let Some(broker) = Mosquitto::anonymous() else {
        return may_skip("mosquitto");
    };
    let cells = beside(&[&broker.url()]);
    assert_eq!(cells.len(), 2);
    let version = cells[1]["after"]["version"].as_str().unwrap();
    assert!(version.starts_with("mosquitto version "), "{version}");
    assert!(cells[1]["after"]["uptime_s"].is_u64());
}

#[test]
fn a_broker_that_says_nothing_of_itself_is_measured_all_the_same() {
    let Some(broker) = Mosquitto::start(|_| "allow_anonymous true\nsys_interval 0".to_owned())
    else {
        return may_skip("mosquitto");
    };
    let cells = beside(&[&broker.url()]);
    let counted = cells
        .iter()
        .filter(|cell| !cell["after"]["uptime_s"].is_null());
    assert_eq!(counted.count(), 0, "{cells:?}");
}

/// Retained messages below a run's own topics are taken away, and no other.
#[test]
fn retained_messages_are_taken_away() {
    let Some(broker) = Mosquitto::anonymous() else {
        return may_skip("mosquitto");
    };
    let port = broker.port.to_string();
    for topic in ["mine/a", "mine/b/c", "yours/a"] {
        let mut publish = Command::new("mosquitto_pub");
        publish.args(["-p", &port, "-r", "-t", topic, "-m", "kept"]);
        let Ok(status) = publish.status() else {
            return may_skip("mosquitto_pub");
        };
        assert!(status.success());
    }
    let direct = Direct {
        host: "127.0.0.1".into(),
        port: broker.port,
        timeout: Duration::from_secs(5),
    };
    let dialect = Dialect {
        level: ProtocolLevel::V5,
        tls: None,
        credentials: Credentials::default(),
        timeout: Duration::from_secs(5),
    };
    let clear = |prefix| clear_retained(&direct, &dialect, prefix, 1);
    assert_eq!(clear("mine"), Ok(2));
    assert_eq!(clear("mine"), Ok(0));
    assert_eq!(clear("yours"), Ok(1));
}
