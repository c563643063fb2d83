//! What the reference says of deliveries, as conversations: each file of `tests/deliveries/` is
//! written to a capture, `mqttscope analyze` reads it, and every row of deliveries.csv is compared
//! with what the file expects. See `tests/deliveries/README.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Command;

use crate::conversation::instant::Instant;
use crate::conversation::script::Step;
use crate::conversation::wire::TimedFrame;
use crate::conversation::{shorthand, wire};
use crate::scripts;
use crate::tool::{Row, table};
use mqttscope::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One conversation, and the deliveries in it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    /// What it shows, in a sentence.
    about: String,
    /// Options of `mqttscope analyze`.
    #[serde(default)]
    options: Vec<String>,
    /// Bytes that the capture keeps of each frame; without it, all.
    snap_length: Option<usize>,
    /// How many taps there are; each sees all steps that name no other.
    #[serde(default = "one")]
    taps: u16,
    steps: Vec<Step>,
    expect: Expected,
}

const fn one() -> u16 {
    1
}

/// What the analysis has to tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Every row; or, where it is open which message is which, `outcomes`.
    deliveries: Option<Vec<Delivery>>,
    /// Rows by outcome.
    outcomes: Option<BTreeMap<String, usize>>,
    /// Observations of each delay, where it matters which are in the statistics.
    delays: Option<BTreeMap<String, u64>>,
    /// Messages lost, by the summary.
    lost: Option<u64>,
    /// Code and detail of the errors that are found.
    errors: Option<Vec<String>>,
}

/// A row. Times stand for the packets: each step has its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    /// When the message's first transmission went to the broker.
    publish: Option<Instant>,
    /// When its copy went to the subscriber.
    received: Option<Instant>,
    #[serde(default)]
    publisher: String,
    subscriber: String,
    #[serde(default = "topic")]
    topic: String,
    qos_published: Option<u8>,
    qos_delivered: Option<u8>,
    outcome: String,
    /// Empty: nobody asks.
    #[serde(default)]
    basis: String,
    /// Where it is not the time between the two packets, as it is if neither is split.
    turnaround: Option<Instant>,
    #[serde(default)]
    tap: u16,
}

impl Delivery {
    fn delay(&self) -> Option<Instant> {
        let (start, end) = self.publish.zip(self.received)?;
        Some(Instant(end.0 - start.0))
    }

    /// Of a duplicate it is open: the broker's second attempt says nothing of how fast it is.
    fn turnaround(&self) -> Option<Instant> {
        let duplicate = self.outcome == "duplicate";
        self.turnaround.or(self.delay()).filter(|_| !duplicate)
    }
}

fn topic() -> String {
    "t".to_owned()
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<Instant>| time.map_or_else(|| "–".to_owned(), |t| t.to_string());
        let qos = |qos: Option<u8>| qos.map_or_else(|| "–".to_owned(), |qos| qos.to_string());
        write!(
            f,
            "{:?} → {:?} {:?}, published {} received {}, QoS {} {}, {} {}",
            self.publisher,
            self.subscriber,
            self.topic,
            time(self.publish),
            time(self.received),
            qos(self.qos_published),
            qos(self.qos_delivered),
            self.outcome,
            self.basis,
        )?;
        if self.turnaround() != self.delay() && self.outcome != "duplicate" {
            write!(f, ", turnaround {}", time(self.turnaround()))?;
        }
        if self.tap > 0 {
            write!(f, ", tap {}", self.tap)?;
        }
        Ok(())
    }
}

fn instant(cell: &str) -> Option<Instant> {
    let nanos: i64 = cell.parse().ok()?;
    Some(Timestamp::from_nanos(nanos).into())
}

/// A row as a script has it; and what is wrong with its other cells.
fn read(row: &Row) -> (Delivery, Vec<String>) {
    let cell = |name: &str| row[name].as_str();
    let delivery = Delivery {
        publish: instant(cell("publish_ns")),
        received: instant(cell("received_ns")),
        publisher: cell("publisher").to_owned(),
        subscriber: cell("subscriber").to_owned(),
        topic: cell("topic").to_owned(),
        qos_published: cell("qos_published").parse().ok(),
        qos_delivered: cell("qos_delivered").parse().ok(),
        outcome: cell("outcome").to_owned(),
        basis: cell("basis").to_owned(),
        turnaround: cell("turnaround_ns").parse().ok().map(Instant),
        tap: cell("tap").parse().unwrap(),
    };
    let delay = delivery.delay().map(|delay| delay.0.to_string());
    let mut wrong = Vec::new();
    if cell("delay_ns") != delay.unwrap_or_default() {
        wrong.push(format!("{delivery}: delay_ns {:?}", cell("delay_ns")));
    }
    if cell("turnaround_ns").is_empty() && delivery.turnaround().is_some() {
        wrong.push(format!("{delivery}: no turnaround_ns"));
    }
    for (name, time) in [
        ("message", delivery.publish),
        ("delivered_message", delivery.received),
    ] {
        if cell(name).is_empty() != time.is_none() {
            wrong.push(format!("{delivery}: {name} {:?}", cell(name)));
        }
    }
    (delivery, wrong)
}

/// A pcapng block.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let length = u32::try_from(12 + body.len() + padding).unwrap();
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(body);
    bytes.extend(vec![0; padding]);
    bytes.extend(length.to_le_bytes());
    bytes
}

/// A pcapng file with an interface for each tap.
fn capture(frames: &[TimedFrame], taps: u16, snap_length: Option<usize>) -> Vec<u8> {
    let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|w| w.to_le_bytes()).collect() };
    // Byte-order magic, version 1.0, section of unknown length.
    let mut file = block(0x0a0d_0d0a, &words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]));
    for _ in 0..taps {
        let snap = snap_length.unwrap_or(262_144);
        // Ethernet; option if_tsresol: nanoseconds.
        let interface = [1, u32::try_from(snap).unwrap(), 0x0001_0009, 9, 0];
        file.extend(block(1, &words(&interface)));
    }
    for frame in frames {
        let kept = frame.bytes.len().min(snap_length.unwrap_or(usize::MAX));
        let time = frame.time.timestamp().as_nanos().cast_unsigned();
        for tap in (0..taps).filter(|tap| frame.tap.is_none_or(|only| only == *tap)) {
            let mut body = words(&[
                u32::from(tap),
                u32::try_from(time >> 32).unwrap(),
                (time & u64::from(u32::MAX)) as u32,
                u32::try_from(kept).unwrap(),
                u32::try_from(frame.bytes.len()).unwrap(),
            ]);
            body.extend(&frame.bytes[..kept]);
            file.extend(block(6, &body));
        }
    }
    file
}

/// Lines that only one of them has.
fn difference(expected: &[String], seen: &[String]) -> String {
    let mut surplus = seen.to_vec();
    let mut out = String::new();
    for line in expected {
        match surplus.iter().position(|other| other == line) {
            Some(at) => drop(surplus.remove(at)),
            None => out += &format!("    - {line}\n"),
        }
    }
    for line in surplus {
        out += &format!("    + {line}\n");
    }
    out
}

/// Runs the analysis, and tells what is not as the script has it.
fn compare(script: &Script) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let (file, target) = (scratch.path().join("a.pcapng"), scratch.path().join("out"));
    let frames = wire::frames(&shorthand::spelled_out(&script.steps));
    fs::write(&file, capture(&frames, script.taps, script.snap_length)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command
        .args(["analyze", "--raw-csv", "--only", "tables", "-o"])
        .arg(&target);
    let run = command.args(&script.options).arg(&file).output().unwrap();
    if !run.status.success() {
        return format!("    {}\n", String::from_utf8_lossy(&run.stderr).trim());
    }
    let path = target.join("deliveries.csv");
    if !path.exists() {
        return "    no deliveries.csv\n".to_owned();
    }
    let rows = table(&path);
    let expect = &script.expect;
    let (mut seen, mut out) = (Vec::new(), String::new());
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for row in &rows {
        let (delivery, wrong) = read(row);
        *outcomes.entry(delivery.outcome.clone()).or_default() += 1;
        out.extend(wrong.iter().map(|line| format!("    {line}\n")));
        seen.push(delivery);
    }
    if let Some(expected) = &expect.deliveries {
        // A basis that nobody asks for is not compared.
        for row in &mut seen {
            let open = expected.iter().any(|other| {
                other.basis.is_empty()
                    && (other.publish, other.received) == (row.publish, row.received)
            });
            if open {
                row.basis.clear();
            }
        }
        let lines = |rows: &[Delivery]| rows.iter().map(Delivery::to_string).collect::<Vec<_>>();
        out += &difference(&lines(expected), &lines(&seen));
    }
    if let Some(expected) = &expect.outcomes
        && outcomes != *expected
    {
        out += &format!("    outcomes {outcomes:?}, not {expected:?}\n");
    }
    if let Some(expected) = &expect.errors {
        let findings = table(&target.join("findings.csv"));
        let errors = findings.iter().filter(|row| row["severity"] == "error");
        let seen: Vec<_> = errors
            .map(|row| format!("{}: {}", row["code"], row["detail"]))
            .collect();
        out += &difference(expected, &seen);
    }
    let summary = fs::read_to_string(target.join("summary.json")).unwrap();
    out + &compare_summary(expect, &serde_json::from_str(&summary).unwrap())
}

fn compare_summary(expect: &Expected, summary: &Value) -> String {
    let mut out = String::new();
    for (name, expected) in expect.delays.iter().flatten() {
        let count = summary["delays"][name]["count"].as_u64().unwrap_or(0);
        if count != *expected {
            out += &format!("    delay {name} has {count} observations, not {expected}\n");
        }
    }
    if let Some(expected) = expect.lost {
        // Where nothing could be decided, there is no loss to speak of.
        let count = summary["loss"]["message"]["count"].as_u64().unwrap_or(0);
        if count != expected {
            out += &format!("    {count} messages lost by the summary, not {expected}\n");
        }
    }
    out
}

/// `DELIVERY=name` runs only the scripts whose name contains it.
#[test]
fn every_delivery_is_understood() {
    scripts::all_hold("deliveries", "DELIVERY", |name, script: Script| {
        assert!(
            script.expect.deliveries.is_some() || script.expect.outcomes.is_some(),
            "{name} expects nothing"
        );
        let difference = compare(&script);
        (script.about, difference)
    });
}
