//! Other clients: rumqttc under test, and strangers that publish and subscribe beside the probe.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use mqttscope::ProtocolLevel;
use mqttscope::probe::{self, CellPlan, Extent};
use mqttscope::results::Outcome;

use super::tool::{may_skip, table};
use super::{broker, dialect, direct, directory, failure, measure, number};

/// The same experiment through rumqttc: every message arrives, with the stamps that it can give
/// and no others.
#[test]
fn rumqttc_is_measured_like_any_client() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().unwrap();
    measure(&[
        &broker.url(),
        "--client",
        "rumqttc",
        "--publishers",
        "2",
        "--subscribers",
        "2",
        "--payload",
        "16,20k",
        "--rate",
        "300",
        "--count",
        "60",
        "--warm-up",
        "5",
        "-o",
        directory(dir.path()),
    ]);
    let samples = table(&dir.path().join("samples.csv"));
    assert_eq!(samples.len(), 3 * 2 * 2 * 2 * 60);
    for row in &samples {
        assert_eq!(row["outcome"], "delivered", "{row:?}");
        let stamps = match row["qos"].as_str() {
            "0" => "planned_ns sent_ns written_ns",
            "1" => "planned_ns sent_ns written_ns puback_ns",
            _ => "planned_ns sent_ns written_ns pubrec_ns pubcomp_ns",
        };
        let stamps: Vec<i64> = stamps
            .split(' ')
            .map(|column| number(row, column))
            .collect();
        assert!(stamps.is_sorted(), "{row:?}");
        for column in [
            "pubrel_ns",
            "subscriber_ack_ns",
            "subscriber_pubrel_ns",
            "subscriber_pubcomp_ns",
        ] {
            assert_eq!(row[column], "", "{row:?}");
        }
        assert_eq!(row["qos_received"], row["qos"]);
        assert!(number(row, "received_ns") > number(row, "sent_ns"));
    }
    for cell in table(&dir.path().join("cells.csv")) {
        assert_eq!(cell["client"], "rumqttc");
        assert_eq!(number(&cell, "delivered"), 2 * 2 * 60);
        assert_eq!((number(&cell, "lost"), number(&cell, "duplicates")), (0, 0));
        assert_eq!(cell["pubrel_median_ns"], "");
    }
    let manifest = std::fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    assert!(manifest.contains("it never sets DUP"), "{manifest}");
}

/// Connections that are cut again and again: rumqttc comes back with its session, and every message
/// has an outcome.
#[test]
fn rumqttc_comes_back() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().unwrap();
    measure(&[
        &broker.url(),
        "--client",
        "rumqttc",
        "--qos",
        "1",
        "--reset",
        "every 400ms",
        "--rate",
        "100",
        "--count",
        "150",
        "--warm-up",
        "0",
        "--deadline",
        "2s",
        "-o",
        directory(dir.path()),
    ]);
    let samples = table(&dir.path().join("samples.csv"));
    assert_eq!(samples.len(), 150);
    let delivered = samples.iter().filter(|row| row["outcome"] == "delivered");
    assert!(delivered.count() > 75, "{samples:?}");
    let manifest = std::fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    assert!(manifest.contains(" reconnections, "), "{manifest}");
}

#[test]
fn what_rumqttc_cannot_do_is_said_before() {
    let error = failure(&["--embedded", "--client", "rumqttc", "--mqtt", "5"], 2);
    assert!(error.contains("speaks MQTT 3.1.1"), "{error}");
    let arguments = ["mqtts://localhost", "--client", "rumqttc", "--delay", "1ms"];
    let error = failure(&arguments, 2);
    assert!(error.contains("leave the faults out"), "{error}");
}

/// mosquitto_sub gets what we publish, payloads of the size that was asked for; and we get what
/// mosquitto_pub publishes, and do not take it for ours.
#[test]
fn other_programs_and_the_probe_understand_each_other() {
    let Some(broker) = broker() else { return };
    let plan = CellPlan {
        run: 77,
        qos: 1,
        subscriber_qos: 1,
        payload_bytes: 100,
        rate: Some(200.0),
        extent: Extent::Count(50),
        ..CellPlan::default()
    };
    let port = broker.port.to_string();
    let listener = Command::new("mosquitto_sub")
        .args([
            "-p",
            &port,
            "-q",
            "1",
            "-t",
            "mqttscope/#",
            "-t",
            "$SYS/broker/uptime",
            "-F",
            "%t %l %q",
        ])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut listener) = listener else {
        return may_skip("mosquitto_sub");
    };
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    // The retained uptime says that the subscription stands.
    assert!(lines.next().unwrap().unwrap().starts_with("$SYS"));
    let topic = plan.topic(0);
    let mut published = false;
    let mut watch = |_| {
        if !published {
            published = true;
            for _ in 0..3 {
                let status = Command::new("mosquitto_pub")
                    .args([
                        "-p",
                        &port,
                        "-q",
                        "1",
                        "-t",
                        &topic,
                        "-m",
                        "a stranger's message",
                    ])
                    .status();
                assert!(status.unwrap().success());
            }
        }
        true
    };
    let result = probe::run_cell(
        &plan,
        &dialect(ProtocolLevel::V5),
        &direct(broker.port),
        &mut watch,
    );
    let result = result.unwrap();
    assert!(
        result
            .samples()
            .all(|sample| sample.outcome == Outcome::Delivered)
    );
    assert_eq!(result.subscribers[0].foreign, 3);
    let ours = format!("{topic} 100 1");
    let got = lines
        .map_while(Result::ok)
        .filter(|line| !line.starts_with("$SYS"))
        .take(53)
        .filter(|line| *line == ours)
        .count();
    assert_eq!(got, 50);
    listener.kill().unwrap();
    listener.wait().unwrap();
}

/// Subscribes to everything, tells what comes, and publishes at every QoS when the first message is
/// there.
const PAHO: &str = r#"
import sys
import paho.mqtt.client as mqtt

port, topic, wanted = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "paho", protocol=mqtt.MQTTv5)
got = []
asked = []

def on_subscribe(client, *_):
    print("subscribed", flush=True)

def on_message(client, _, message):
    if message.payload == b"a stranger's message":
        return
    got.append(message)
    print(message.topic, len(message.payload), message.qos, flush=True)
    if not asked:
        asked.extend(client.publish(topic, b"a stranger's message", qos) for qos in (0, 1, 2))
    if len(got) == wanted:
        client.disconnect()

client.on_subscribe, client.on_message = on_subscribe, on_message
client.connect("127.0.0.1", port)
client.subscribe("mqttscope/#", 2)
client.loop_forever()
"#;

/// paho-mqtt gets what we publish, payloads of the size that was asked for; and we get what it
/// publishes at every QoS, and do not take it for ours.
#[test]
fn paho_and_the_probe_understand_each_other() {
    let Some(broker) = broker() else { return };
    let Some(python) = std::env::var_os("MQTTSCOPE_PYTHON") else {
        return may_skip("MQTTSCOPE_PYTHON (./x test sets it), with the package paho-mqtt");
    };
    let plan = CellPlan {
        run: 78,
        qos: 2,
        subscriber_qos: 2,
        payload_bytes: 100,
        extent: Extent::Count(150),
        ..CellPlan::default()
    };
    let topic = plan.topic(0);
    let mut paho = Command::new(python)
        .args(["-c", PAHO, &broker.port.to_string(), &topic, "150"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(paho.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "subscribed");
    let (dialect, connector) = (dialect(ProtocolLevel::V5), direct(broker.port));
    let result = probe::run_cell(&plan, &dialect, &connector, &mut |_| true).unwrap();
    assert!(
        result
            .samples()
            .all(|sample| sample.outcome == Outcome::Delivered)
    );
    assert_eq!(result.subscribers[0].foreign, 3);
    let ours = format!("{topic} 100 2");
    let got: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(got.iter().filter(|line| **line == ours).count(), 150);
    assert!(paho.wait().unwrap().success());
}
