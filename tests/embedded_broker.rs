//! The embedded broker on real sockets: other people's clients talk through it, and the passive
//! analysis finds nothing wrong with what it says.
#![allow(
    clippy::print_stderr,
    reason = "what was skipped belongs on the terminal"
)]

#[path = "common/client.rs"]
mod client;
#[path = "common/tool.rs"]
mod tool;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::process::{Command, Stdio};

use client::Client;
use mqttscope::broker::{Broker, Config, Fault, Faults, Qos2Forwarding};
use mqttscope::mqtt::{PacketType, ProtocolLevel, write};
use serde_json::Value;
use tool::{may_skip, mqttscope};

fn start(config: Config) -> Broker {
    Broker::start("127.0.0.1:0".parse().unwrap(), config).unwrap()
}

/// Runs one of mosquitto's clients and gives what it printed; `None` where it is not installed.
fn mosquitto(program: &str, broker: &Broker, arguments: &[&str]) -> Option<String> {
    let port = broker.address().port().to_string();
    let mut command = Command::new(program);
    command
        .args(["-h", "127.0.0.1", "-p", &port])
        .args(arguments);
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {errors}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            may_skip(program);
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// A session is made, messages come while it is away, and it fetches them: no race with anything.
fn mosquitto_through(broker: &Broker, version: &str, qos: &str) -> Option<()> {
    let session = format!("keeps-{version}-{qos}");
    let version = ["-V", version, "-q", qos];
    let expiry = if version[1] == "mqttv5" {
        &["-x", "100"][..]
    } else {
        &[]
    };
    let subscribe = [
        &version[..],
        &["-c", "-i", &session, "-t", "house/+/t"],
        expiry,
    ]
    .concat();
    mosquitto("mosquitto_sub", broker, &[&subscribe[..], &["-E"]].concat())?;
    for payload in ["one", "two", "three"] {
        let publish = [&version[..], &["-t", "house/a/t", "-m", payload]].concat();
        mosquitto("mosquitto_pub", broker, &publish)?;
    }
    let fetch = [&subscribe[..], &["-C", "3", "-W", "30"]].concat();
    let lines = mosquitto("mosquitto_sub", broker, &fetch)?;
    assert_eq!(lines, "one\ntwo\nthree\n", "{version:?}");
    Some(())
}

#[test]
fn mosquittos_clients_talk_through_it() {
    for qos2 in [Qos2Forwarding::AtPublish, Qos2Forwarding::AtPubrel] {
        let broker = start(Config {
            qos2,
            ..Config::default()
        });
        for version in ["mqttv311", "mqttv5"] {
            for qos in ["1", "2"] {
                if mosquitto_through(&broker, version, qos).is_none() {
                    return;
                }
            }
        }
        let retained = ["-q", "2", "-t", "kept", "-m", "still here", "-r"];
        mosquitto("mosquitto_pub", &broker, &retained);
        let fetch = ["-t", "kept", "-C", "1", "-W", "30", "-F", "%r %p"];
        let kept = mosquitto("mosquitto_sub", &broker, &fetch);
        assert_eq!(kept.as_deref(), Some("1 still here\n"));
        let version = ["-t", "$SYS/broker/version", "-C", "1", "-W", "30"];
        let version = mosquitto("mosquitto_sub", &broker, &version).unwrap();
        assert!(
            version.starts_with("mqttscope embedded broker "),
            "{version}"
        );
        broker.stop();
    }
}

/// Both versions, each QoS, a will, a property; every step waits for what must come.
const PAHO: &str = r#"
import queue, sys
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port = int(sys.argv[1])

def client(name, version, will=False):
    made = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, protocol=version)
    events = queue.Queue()
    made.on_connect = lambda c, u, f, reason, p: events.put(("connected", str(reason)))
    made.on_subscribe = lambda c, u, mid, codes, p: events.put(("subscribed", [code.value for code in codes]))
    made.on_publish = lambda c, u, mid, reason, p: events.put(("published", mid))
    made.on_message = lambda c, u, m: events.put((m.qos, m.topic, m.payload))
    if will:
        made.will_set("will/" + name, b"gone", qos=1)
    made.connect("127.0.0.1", port)
    made.loop_start()
    assert events.get(timeout=30) == ("connected", "Success")
    return made, events

for version in (mqtt.MQTTv311, mqtt.MQTTv5):
    subscriber, heard = client(f"s{version}", version)
    subscriber.subscribe([("a/#", 2), ("will/+", 1)])
    assert heard.get(timeout=30) == ("subscribed", [2, 1])
    publisher, done = client(f"p{version}", version, will=True)
    for qos in (0, 1, 2):
        for size in (0, 1, 1400, 100_000):
            payload = bytes([qos]) * size
            message = publisher.publish("a/b", payload, qos=qos)
            message.wait_for_publish(30)
            assert heard.get(timeout=30) == (qos, "a/b", payload)
    if version == mqtt.MQTTv5:
        seen = queue.Queue()
        subscriber.on_message = lambda c, u, m: seen.put(m.properties.UserProperty)
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = ("key", "value")
        publisher.publish("a/b", b"x", qos=1, properties=properties)
        assert seen.get(timeout=30) == [("key", "value")]
        subscriber.on_message = lambda c, u, m: heard.put((m.qos, m.topic, m.payload))
    # Without DISCONNECT: the will is published.
    publisher.loop_stop()
    publisher.socket().close()
    assert heard.get(timeout=30) == (1, f"will/p{version}", b"gone")
    subscriber.disconnect()
    subscriber.loop_stop()
print("done")
"#;

#[test]
fn paho_talks_through_it() {
    let Some(python) = std::env::var_os("MQTTSCOPE_PYTHON") else {
        return may_skip("MQTTSCOPE_PYTHON (./x test sets it), with the package paho-mqtt");
    };
    let broker = start(Config::default());
    let port = broker.address().port().to_string();
    let output = Command::new(python)
        .args(["-c", PAHO, &port])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "done\n",
        "{errors}"
    );
}

#[test]
fn the_analysis_of_its_traffic_finds_nothing_wrong() {
    let broker = start(Config::default());
    let directory = tempfile::tempdir().unwrap();
    let capture = directory.path().join("broker.pcap");
    let filter = format!("tcp port {}", broker.address().port());
    let mut command = Command::new("tcpdump");
    command
        .args([
            "-i",
            "lo",
            "-U",
            "--immediate-mode",
            "-B",
            "16384",
            "-s",
            "4096",
            "-w",
        ])
        .arg(&capture)
        .arg(&filter);
    let tcpdump = command.stderr(Stdio::piped()).spawn();
    let Ok(mut tcpdump) = tcpdump else {
        return may_skip("tcpdump");
    };
    let mut words = BufReader::new(tcpdump.stderr.take().unwrap());
    let mut line = String::new();
    words.read_line(&mut line).unwrap();
    if !line.contains("listening on") {
        tcpdump.wait().unwrap();
        return may_skip("the right to run tcpdump");
    }
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["1", "2"] {
            if mosquitto_through(&broker, version, qos).is_none() {
                tcpdump.kill().unwrap();
                tcpdump.wait().unwrap();
                return;
            }
        }
    }
    broker.stop();
    let pid = i32::try_from(tcpdump.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGINT).unwrap();
    tcpdump.wait().unwrap();
    let mut rest = String::new();
    words.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\n0 packets dropped by kernel"), "{rest}");

    let output = directory.path().join("analysis");
    let arguments = ["analyze", "--only", "tables", "-o"].map(std::ffi::OsStr::new);
    mqttscope(
        arguments
            .into_iter()
            .chain([output.as_os_str(), capture.as_os_str()]),
    );
    let summary = std::fs::read_to_string(output.join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["mqtt"]["malformed"], 0);
    for (direction, qos1, qos2) in [("to_broker", 6, 6), ("to_client", 6, 6)] {
        assert_eq!(summary["publishes"][direction]["qos1"], qos1);
        assert_eq!(summary["publishes"][direction]["qos2"], qos2);
    }
    let wrong = tool::table(&output.join("findings.csv")).into_iter();
    let wrong: Vec<_> = wrong
        .filter(|finding| finding["severity"] == "error" || finding["code"].contains("violation"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let exchanges = tool::table(&output.join("exchanges.csv"));
    // mosquitto_sub has its messages before it acknowledges them at QoS 1, and leaves then.
    let open = exchanges
        .iter()
        .filter(|exchange| exchange["outcome"] != "complete")
        .map(|open| [&open["direction"], &open["qos"], &open["outcome"]]);
    for open in open {
        assert_eq!(open, ["to_client", "1", "interrupted"]);
    }
}

#[test]
fn a_reset_is_one_and_the_end_is_told() {
    let faults = Faults::default().message(1, Fault::Reset);
    let broker = start(Config {
        faults,
        ..Config::default()
    });
    let mut client = Client::connect(broker.address(), ProtocolLevel::V5, b"c");
    client.publish(1, 1, b"t", b"x");
    let error = client.stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let mut client = Client::connect(broker.address(), ProtocolLevel::V5, b"c");
    broker.stop();
    assert_eq!(client.packet().0, PacketType::Disconnect.number() << 4);
    assert_eq!(client.body, [0x8b]);
    assert_eq!(client.stream.read(&mut [0; 16]).unwrap(), 0);
}

/// More than sockets and buffers hold, to a client that reads late: nothing is lost, and nobody
/// else waits for it.
#[test]
fn who_reads_late_gets_everything() {
    const MESSAGES: u16 = 200;
    let broker = start(Config::default());
    let mut late = Client::connect(broker.address(), ProtocolLevel::V3_1_1, b"late");
    late.subscribe(b"large", 1);
    let mut publisher = Client::connect(broker.address(), ProtocolLevel::V3_1_1, b"p");
    let payload = vec![7; 256 << 10];
    for id in 1..=MESSAGES {
        publisher.publish(1, id, b"large", &payload);
        assert_eq!(publisher.packet().0, 0x40);
    }
    for id in 1..=MESSAGES {
        let (first_byte, length) = late.packet();
        assert_eq!((first_byte, length), (0x32, 2 + 5 + 2 + payload.len()));
        assert_eq!(late.body[7..9], id.to_be_bytes());
        late.send(|out| {
            write::acknowledgment(out, ProtocolLevel::V3_1_1, PacketType::Puback, id, 0, &[])
        });
    }
}

/// Each of two hundred clients is subscriber and publisher.
#[test]
fn many_clients_at_once() {
    let broker = start(Config::default());
    let mut clients: Vec<Client> = (0..200)
        .map(|number: u16| {
            let name = number.to_string();
            let mut client = Client::connect(broker.address(), ProtocolLevel::V5, name.as_bytes());
            client.subscribe(b"all", 0);
            client
        })
        .collect();
    let count = clients.len();
    for (number, client) in (0u8..).zip(&mut clients) {
        client.publish(0, 0, b"all", &[number]);
    }
    for client in &mut clients {
        let mut got: Vec<u8> = (0..count)
            .map(|_| {
                assert_eq!(client.packet().0, 0x30);
                *client.body.last().unwrap()
            })
            .collect();
        got.sort_unstable();
        let sent: Vec<u8> = (0u8..).take(count).collect();
        assert_eq!(got, sent);
    }
    clients[0].stream.write_all(b"\xc0\0").unwrap();
    assert_eq!(clients[0].packet().0, 0xd0);
}
