//! The lab with real namespaces, real kernels' TCP and a real broker. Needs Linux and root.
#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    reason = "a process of a test tells another one where it is"
)]

#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "lab/study.rs"]
mod study;
#[path = "common/tool.rs"]
mod tool;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mqttscope::capture::{Capture, Item};
use mqttscope::lab::{
    CalibrationSettings, DeviceKind, Direction, Host, Impairment, LabError, Link, LinkCounters,
    Loss, MosquittoSettings, Profile, Profiles, Rights, Testbed, TestbedSettings,
    mosquitto_version,
};

/// Long enough for anything, never reached.
const PATIENCE: Duration = Duration::from_secs(20);

/// A lab, or a notice why there is none.
fn testbed(device: Option<DeviceKind>) -> Option<Testbed> {
    let built = Rights::acquire().and_then(|_| {
        Testbed::new(&TestbedSettings {
            device,
            epoch_offset_ns: 1_700_000_000_000_000_000,
        })
    });
    match built {
        Ok(testbed) => Some(testbed),
        Err(error) => {
            tool::may_skip(&format!("a lab ({error})"));
            None
        }
    }
}

fn have_mosquitto() -> bool {
    let have = mosquitto_version().is_some();
    if !have {
        tool::may_skip("mosquitto");
    }
    have
}

fn lossy_and_slow(percent: f64, delay_ms: f64) -> Profile {
    let settings = Impairment {
        delay_ms,
        loss: Some(Loss::Independent { percent }),
        ..Impairment::default()
    };
    Profile::symmetric("test", settings)
}

/// Every packet at each tap: time by the number that its UDP payload begins with; copies are
/// listed too.
type Seen = BTreeMap<(u16, u32), Vec<i64>>;

fn numbers_at_taps(path: &Path) -> Seen {
    let mut capture = Capture::open(&[path]).unwrap();
    let mut seen = Seen::new();
    while let Some(item) = capture.next_item() {
        let Item::Frame(frame) = item else { continue };
        let payload: [u8; 4] = frame.bytes[28..32].try_into().unwrap();
        let number = u32::from_be_bytes(payload);
        let times = seen.entry((frame.tap, number)).or_default();
        times.push(frame.time.as_nanos());
    }
    seen
}

fn exchange_numbers(a: &UdpSocket, b: &UdpSocket, count: u32) {
    for number in 0..count {
        // From a even numbers, from b odd ones, so that a number tells its direction.
        a.send(&(2 * number).to_be_bytes()).unwrap();
        b.send(&(2 * number + 1).to_be_bytes()).unwrap();
        if number % 50 == 49 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Sends `count` packets each way over the publisher's link; what the taps saw and what the
/// emulator counted.
fn run(testbed: &mut Testbed, count: u32) -> (Seen, LinkCounters) {
    let file = testbed.directory().join("taps.pcapng");
    testbed
        .set_link(Link::Publisher, &lossy_and_slow(5.0, 3.0), 11)
        .unwrap();
    let a = testbed.udp_socket(Host::Publisher, 0).unwrap();
    let b = testbed.udp_socket(Host::Broker, 0).unwrap();
    a.connect(b.local_addr().unwrap()).unwrap();
    b.connect(a.local_addr().unwrap()).unwrap();
    testbed.start_taps(&file, 0).unwrap();
    exchange_numbers(&a, &b, count);
    settle(testbed, u64::from(count));
    let taps = testbed.stop_taps().unwrap().unwrap();
    assert_eq!(taps.not_recorded, [0, 0, 0]);
    let counters = testbed.counters().unwrap();
    assert_eq!(counters.lost_outside(), 0, "{counters:?}");
    (numbers_at_taps(&file), counters)
}

/// Waits until the emulator has taken so many packets in each direction of the publisher's link,
/// and let all of them go.
fn settle(testbed: &Testbed, count: u64) {
    for _ in 0..2_000 {
        let counters = testbed.counters().unwrap();
        if Direction::ALL[..2]
            .iter()
            .all(|d| counters.of(*d).received == count)
        {
            assert!(testbed.drain(PATIENCE));
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("packets are missing: {:?}", testbed.counters());
}

/// The numbers of one parity at a tap.
fn at_tap(seen: &Seen, tap: Host, parity: u32) -> BTreeSet<u32> {
    let tap = tap.index() as u16;
    seen.keys()
        .filter(|(at, number)| *at == tap && number % 2 == parity)
        .map(|(_, number)| *number)
        .collect()
}

#[test]
fn what_the_taps_miss_is_what_the_emulator_dropped_and_nothing_comes_early() {
    const COUNT: u32 = 2_000;
    let mut lost_by_device = Vec::new();
    for device in [DeviceKind::Tun, DeviceKind::Veth] {
        let Some(mut testbed) = testbed(Some(device)) else {
            return;
        };
        assert_eq!(testbed.device(), device);
        let (seen, counters) = run(&mut testbed, COUNT);
        let mut lost = Vec::new();
        for direction in &Direction::ALL[..2] {
            let parity = u32::from(direction.from() == Host::Broker);
            let sent = at_tap(&seen, direction.from(), parity);
            let arrived = at_tap(&seen, direction.to(), parity);
            let counts = counters.of(*direction);
            assert_eq!(sent.len(), COUNT as usize);
            assert_eq!(counts.received, u64::from(COUNT));
            assert!(arrived.is_subset(&sent));
            let missing: Vec<u32> = sent.difference(&arrived).copied().collect();
            assert_eq!(counts.dropped_loss, missing.len() as u64);
            assert_eq!(counts.dropped(), counts.dropped_loss);
            assert!(!missing.is_empty());
            for number in &arrived {
                let before = seen[&(direction.from().index() as u16, *number)][0];
                let after = seen[&(direction.to().index() as u16, *number)][0];
                assert!(after - before >= 3_000_000, "{number}: {}", after - before);
            }
            lost.push(missing);
        }
        assert_ne!(
            lost[0],
            lost[1].iter().map(|n| n - 1).collect::<Vec<_>>(),
            "each direction has chances of its own"
        );
        lost_by_device.push(lost);
    }
    // The same seed loses the same packets, whatever carries them.
    assert_eq!(lost_by_device[0], lost_by_device[1]);
}

#[test]
fn a_calibration_counts_as_the_emulator_does_and_sees_no_delay_below_the_setting() {
    let Some(testbed) = testbed(None) else { return };
    let settings = CalibrationSettings {
        packets: 500,
        ..CalibrationSettings::default()
    };
    let profile = lossy_and_slow(10.0, 20.0);
    let measured = testbed
        .measure_link(Link::Subscriber, &profile, 3, &settings)
        .unwrap();
    for direction in &measured.directions {
        assert_eq!(direction.sent, 500);
        assert_eq!(direction.loss.count, direction.counters.dropped_loss);
        assert_eq!(direction.received, direction.counters.sent);
        assert!(direction.delay_min_ns.unwrap() >= 20_000_000);
        assert_eq!(direction.delay_set_ns, 20_000_000);
    }
}

/// What a link would have to be to be refused: here one whose loss is not what it says.
#[test]
fn a_link_that_misses_its_setting_says_by_how_much() {
    let Some(testbed) = testbed(None) else { return };
    let settings = CalibrationSettings {
        packets: 400,
        packet_bytes: 1_500,
        interval: Duration::from_micros(100),
        ..CalibrationSettings::default()
    };
    // 400 packets in 40 ms need 1.2 s at this rate: the queue is full, all others wait.
    let slow = Impairment {
        rate: Some(mqttscope::lab::Rate {
            mbit_per_s: 4.0,
            queue_packets: 50,
        }),
        ..Impairment::default()
    };
    let profile = Profile::symmetric("slow", slow);
    let measured = testbed
        .measure_link(Link::Publisher, &profile, 3, &settings)
        .unwrap();
    assert!(!measured.is_valid());
    let trouble: Vec<String> = measured.trouble().collect();
    assert!(
        trouble
            .iter()
            .any(|line| line.starts_with("slow, publisher to broker: the median delay is")),
        "{trouble:?}"
    );
    let text = serde_json::to_string(&measured).unwrap();
    let read: mqttscope::lab::LinkMeasurement = serde_json::from_str(&text).unwrap();
    assert_eq!(read.directions[0].counters, measured.directions[0].counters);
}

/// A bare MQTT 3.1.1 client: CONNECT without anything, CONNACK.
fn mqtt_client(testbed: &Testbed, host: Host, name: u8) -> TcpStream {
    let address = testbed.broker_address();
    let mut stream = testbed.connect(host, address, PATIENCE).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01";
    stream.write_all(&[&connect[..], &[name]].concat()).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

#[test]
fn mqtt_crosses_a_lossy_link_and_the_captures_tell_of_it() {
    const MESSAGES: u32 = 200;
    let (true, Some(mut testbed)) = (have_mosquitto(), testbed(None)) else {
        return;
    };
    let profiles = Profiles::shipped();
    let lossy = profiles.get("lossy:10%").unwrap();
    testbed.set_link(Link::Publisher, &lossy, 5).unwrap();
    let wired = profiles.get("wired").unwrap();
    testbed.set_link(Link::Subscriber, &wired, 6).unwrap();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("cell.pcapng");
    let mut broker = testbed
        .start_mosquitto(&MosquittoSettings::default())
        .unwrap();
    // Whole packets: what is sent again is put together to longer ones.
    testbed.start_taps(&file, 0).unwrap();

    let mut subscriber = mqtt_client(&testbed, Host::Subscriber, b's');
    subscriber
        .write_all(b"\x82\x06\x00\x01\x00\x01t\x00")
        .unwrap();
    let mut suback = [0; 5];
    subscriber.read_exact(&mut suback).unwrap();
    let mut publisher = mqtt_client(&testbed, Host::Publisher, b'p');
    for number in 0..MESSAGES {
        publisher
            .write_all(&[&b"\x30\x07\x00\x01t"[..], &number.to_be_bytes()].concat())
            .unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    for number in 0..MESSAGES {
        let mut packet = [0; 9];
        subscriber.read_exact(&mut packet).unwrap();
        assert_eq!(packet[5..], number.to_be_bytes());
    }
    for stream in [&mut publisher, &mut subscriber] {
        stream.write_all(b"\xe0\x00").unwrap();
    }
    // The broker closes the connection: nothing is outstanding then.
    let mut rest = Vec::new();
    publisher.read_to_end(&mut rest).unwrap();
    subscriber.read_to_end(&mut rest).unwrap();
    assert!(testbed.drain(PATIENCE));
    broker.check().unwrap();
    testbed.stop_taps().unwrap().unwrap();
    let counters = testbed.counters().unwrap();
    assert_eq!(counters.lost_outside(), 0);

    let results = out.path().join("results");
    let (file, results) = (file.to_str().unwrap(), results.to_str().unwrap());
    tool::mqttscope(["analyze", file, "-o", results, "--only", "tables"]);
    let rows = tool::table(&Path::new(results).join("connections.csv"));
    let row = |tap: &str, client: &str| {
        let host = Host::ALL.iter().find(|host| host.name() == tap).unwrap();
        let number = host.index().to_string();
        rows.iter()
            .find(|row| row["tap"] == number && row["client_id"] == client)
            .unwrap_or_else(|| panic!("no {client} at {tap}: {rows:#?}"))
    };
    let to_broker = counters.of(Direction::ALL[0]);
    assert!(to_broker.dropped_loss > 0);
    // What was lost was sent again, by the publisher, on its own side of the link ...
    let number = |tap: &str, client: &str, column: &str| -> u64 {
        row(tap, client)[column].parse().unwrap()
    };
    assert!(number("publisher", "p", "retransmitted_segments") > 0);
    // ... and nothing on the lossless link.
    assert_eq!(number("subscriber", "s", "retransmitted_segments"), 0);
    for (tap, client, column) in [
        ("publisher", "p", "publishes_to_broker"),
        ("broker", "p", "publishes_to_broker"),
        ("broker", "s", "publishes_to_client"),
        ("subscriber", "s", "publishes_to_client"),
    ] {
        assert_eq!(number(tap, client, column), u64::from(MESSAGES), "{tap}");
        assert_eq!(number(tap, client, "capture_gaps"), 0, "{tap}");
    }
    let vantage = |tap: &str, client: &str| row(tap, client)["vantage"].clone();
    assert_eq!(vantage("publisher", "p"), "client");
    assert_eq!(vantage("broker", "p"), "broker");
}

#[test]
fn a_broker_that_does_not_start_shows_its_log() {
    let (true, Some(testbed)) = (have_mosquitto(), testbed(None)) else {
        return;
    };
    let settings = MosquittoSettings {
        extra: vec!["no_such_setting 5".to_owned()],
        ..MosquittoSettings::default()
    };
    let error = testbed.start_mosquitto(&settings).unwrap_err();
    assert!(matches!(error, LabError::Program { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    let missing = testbed
        .start_broker(Command::new("no-such-broker"), testbed.broker_address())
        .unwrap_err();
    assert_eq!(missing.to_string(), "no-such-broker is not installed");
}

#[test]
fn a_listener_of_ours_can_be_the_broker() {
    let Some(testbed) = testbed(None) else { return };
    let listener = testbed.listener(Host::Broker, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let connect = testbed.connector();
    let client = std::thread::spawn(move || connect(Host::Subscriber, address, PATIENCE).unwrap());
    let (_, from) = listener.accept().unwrap();
    assert_eq!(from.ip(), Host::Subscriber.address());
    drop(client.join().unwrap());
    // From this machine's own network there is no way there.
    assert!(TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_err());
}

/// Whether a process lives; one that ended and waits for its parent does not.
fn is_alive(process: &Path) -> bool {
    std::fs::read_to_string(process.join("stat"))
        .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

/// Not a test of its own: the process that `a_killed_run_leaves_nothing` kills.
#[test]
#[ignore = "runs as a process of another test"]
fn a_run_to_be_killed() {
    let testbed = testbed(None).unwrap();
    let broker = testbed
        .start_mosquitto(&MosquittoSettings::default())
        .unwrap();
    println!();
    println!("started {} {}", broker.id(), testbed.directory().display());
    std::thread::sleep(PATIENCE * 3);
}

#[test]
fn a_killed_run_leaves_nothing() {
    let (true, Some(first)) = (have_mosquitto(), testbed(None)) else {
        return;
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_run_to_be_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let line = output
        .lines()
        .map(Result::unwrap)
        .find(|line| line.starts_with("started "))
        .unwrap();
    let mut words = line.split(' ').skip(1);
    let broker = Path::new("/proc").join(words.next().unwrap());
    let directory = Path::new(words.next().unwrap());
    assert!(is_alive(&broker) && directory.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // Its broker goes with it ...
    for _ in 0..1_000 {
        if !is_alive(&broker) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!is_alive(&broker), "the broker outlived its run");
    // ... its files with the next run, and those of runs that live stay.
    let next = testbed(None).unwrap();
    assert!(!directory.exists());
    assert!(first.directory().exists() && next.directory().exists());
}

#[test]
fn a_recording_that_cannot_be_written_fails_before_it_begins() {
    let Some(mut testbed) = testbed(None) else {
        return;
    };
    let error = testbed
        .start_taps(Path::new("/nonexistent/x.pcapng"), 0)
        .unwrap_err();
    assert!(
        error.to_string().starts_with("/nonexistent/x.pcapng.part:"),
        "{error}"
    );
}
