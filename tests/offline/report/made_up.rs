//! Directories of experiments that never were: messages from a seed, with delays and losses that a
//! formula gives, and tables made of them as probe and study make theirs.

use std::fs::{self, File};
use std::path::Path;

use mqttscope::evaluation::{self, Messages};
use mqttscope::results::{
    CellRow, CellSys, Formulas, LinkRecord, Manifest, Outcome, PROBE_SCHEMA, PublishCount, Row,
    RowWriter, STUDY_SCHEMA, SampleRow, SysRecord,
};
use mqttscope::stats::Random;
use mqttscope::{TimeDelta, Timestamp};

const START_NS: i64 = 1_790_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;
const SEED: u64 = 42;

/// What a network may have put into names; none of it may be more than text.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\u{202e}\u{0}\"'&";

/// One condition.
#[derive(Clone, Debug, Default)]
struct Condition {
    part: &'static str,
    qos: u8,
    payload_bytes: u64,
    link: Option<&'static str>,
    packet_loss: Option<f64>,
    fault: Option<&'static str>,
    /// Each has a connection of its own.
    subscribers: u32,
}

impl Condition {
    /// The one-way delay of the publisher's link.
    fn link_ns(&self) -> f64 {
        let base = match self.link {
            Some("wireless") => 3e6,
            Some(_) => 5e5,
            None => 4e4,
        };
        base * (1.0 + self.payload_bytes as f64 / 20_000.0)
    }

    /// How long a message takes without noise.
    fn delay_ns(&self) -> f64 {
        let round_trips = if self.qos == 2 { 3.0 } else { 1.0 };
        let recovery = self.packet_loss.unwrap_or(0.0) * 8e7;
        self.link_ns() * round_trips + 9e5 * f64::from(u8::from(self.link.is_some())) + recovery
    }

    /// The chance that a message never arrives.
    fn loss(&self) -> f64 {
        let packets = self.packet_loss.unwrap_or(0.0);
        let of_packets = if packets > 0.15 { packets - 0.15 } else { 0.0 };
        let of_fault = if self.fault.is_some() && self.qos == 0 {
            0.18
        } else {
            0.0
        };
        of_packets + of_fault
    }
}

/// The rows of an experiment, as they grow.
struct Tables {
    samples: Vec<SampleRow>,
    cells: Vec<CellRow>,
    random: Random,
}

impl Tables {
    fn measure(&mut self, conditions: &[Condition], blocks: u32, messages: u64) {
        let before = self
            .cells
            .iter()
            .map(|cell| cell.condition)
            .max()
            .unwrap_or(0);
        for block in 1..=blocks {
            for (number, condition) in (before + 1..).zip(conditions) {
                self.cell(condition, number, block, messages);
            }
        }
    }

    fn cell(&mut self, condition: &Condition, number: u32, block: u32, messages: u64) {
        let cell = u32::try_from(self.cells.len()).unwrap() + 1;
        let start = START_NS + i64::from(cell) * 10 * SECOND_NS;
        // Blocks differ for reasons of their own.
        let drift = 0.9 + 0.2 * self.random.uniform();
        let mut samples = Vec::new();
        for subscriber in 1..=condition.subscribers.max(1) {
            for sequence in 0..messages {
                let mut sample = self.sample(condition, (cell, block), (start, drift), sequence);
                if subscriber > 1 {
                    sample.subscriber = format!("sub-{subscriber}").into();
                }
                samples.push(sample);
            }
        }
        let mut kept = Messages::new();
        samples.iter().for_each(|sample| kept.push(sample));
        kept.sort();
        let mut row = CellRow {
            cell,
            block,
            repetition: 1,
            condition: number,
            part: condition.part.into(),
            qos: condition.qos,
            qos_subscribed: condition.qos,
            payload_bytes: condition.payload_bytes,
            link: condition.link.map(Into::into),
            packet_loss_ratio: condition.packet_loss,
            fault: condition.fault.map(Into::into),
            schedule: "poisson".into(),
            rate_per_s: 200.0,
            publishers: 1,
            subscribers: condition.subscribers.max(1),
            window: Some(20),
            client: "measuring".into(),
            start_ns: Some(Timestamp::from_nanos(start)),
            end_ns: Some(Timestamp::from_nanos(start + 70 * SECOND_NS)),
            valid: true,
            ..CellRow::default()
        };
        evaluation::recount(&mut row, kept.of(cell).unwrap());
        if condition.link.is_some() {
            Self::packets(&mut row, condition);
        }
        self.cells.push(row);
        self.samples.extend(samples);
    }

    /// What the packets at the taps would say.
    fn packets(row: &mut CellRow, condition: &Condition) {
        let nanos = |value: f64| Some(TimeDelta::from_nanos(value as i64));
        row.segment_loss_ratio = Some(condition.packet_loss.unwrap_or(0.0) * 0.9);
        row.wire_delay_median_ns =
            (row.service_median_ns).map(|delay| TimeDelta::from_nanos(delay.as_nanos() - 21_000));
        row.wire_difference_ns = Some(TimeDelta::from_nanos(21_000));
        let round_trips = if condition.qos == 2 { 3.0 } else { 1.0 };
        row.publisher_link_ns = nanos(condition.link_ns() * round_trips);
        row.broker_ns = nanos(1e5);
        row.subscriber_link_ns = nanos(8e5);
        row.tcp_recovery_ns = nanos(condition.packet_loss.unwrap_or(0.0) * 8e7);
    }

    fn sample(
        &mut self,
        condition: &Condition,
        (cell, block): (u32, u32),
        (start, drift): (i64, f64),
        sequence: u64,
    ) -> SampleRow {
        let mut exponential = |mean: f64| -(1.0 - self.random.uniform()).ln() * mean;
        let planned = start + sequence as i64 * 5_000_000;
        let lag = exponential(12e3) as i64 + 4_000;
        let typical = condition.delay_ns() * drift;
        let delay = (typical + exponential(typical * 0.2)) as i64;
        let leg = (condition.link_ns() * 2.0 * drift) as i64;
        let lost = self.random.uniform() < condition.loss();
        let at = |nanos: i64| Some(Timestamp::from_nanos(nanos));
        let sent = planned + lag;
        let acknowledged = |qos: u8| condition.qos == qos && !lost;
        let received = sent + delay;
        let outcome = match (lost, condition.qos) {
            (false, _) => Outcome::Delivered,
            (true, 0) => Outcome::LostUnconfirmed,
            (true, _) => Outcome::LostUnacknowledged,
        };
        let [response, service] = [received - planned, received - sent]
            .map(|nanos| (!lost).then(|| TimeDelta::from_nanos(nanos)));
        SampleRow {
            cell,
            block,
            repetition: 1,
            sequence,
            publisher: "pub-1".into(),
            subscriber: HOSTILE.into(),
            topic: HOSTILE.into(),
            qos: condition.qos,
            qos_subscribed: condition.qos,
            payload_bytes: condition.payload_bytes,
            link: condition.link.map(Into::into),
            planned_ns: Timestamp::from_nanos(planned),
            sent_ns: at(sent),
            written_ns: at(sent + 2_000),
            puback_ns: acknowledged(1).then(|| at(sent + leg)).flatten(),
            pubrec_ns: acknowledged(2).then(|| at(sent + leg)).flatten(),
            pubrel_ns: acknowledged(2).then(|| at(sent + leg + 9_000)).flatten(),
            pubcomp_ns: acknowledged(2)
                .then(|| at(sent + 2 * leg + 9_000))
                .flatten(),
            received_ns: (!lost).then(|| at(received)).flatten(),
            outcome,
            response_ns: response,
            service_ns: service,
            send_lag_ns: Some(TimeDelta::from_nanos(lag)),
            ..SampleRow::default()
        }
    }
}

fn write<R: Row>(directory: &Path, rows: &[R]) {
    let file = File::create(directory.join(R::FILE)).unwrap();
    let mut writer = RowWriter::new::<R>(file, Formulas::Guard).unwrap();
    rows.iter().for_each(|row| writer.write(row).unwrap());
    writer.finish().unwrap();
}

/// Writes the tables and what is evaluated of them.
fn finish(directory: &Path, tables: &Tables, mut manifest: Manifest) {
    fs::create_dir_all(directory).unwrap();
    let mut messages = Messages::new();
    tables.samples.iter().for_each(|row| messages.push(row));
    messages.sort();
    write(directory, &tables.samples);
    write(directory, &tables.cells);
    write(
        directory,
        &evaluation::effects(&tables.cells, &messages, SEED),
    );
    if manifest.schema == STUDY_SCHEMA {
        write(
            directory,
            &evaluation::correlations(&tables.cells, &messages, SEED),
        );
    }
    let number = u32::try_from(tables.cells.len()).unwrap();
    (manifest.cells_planned, manifest.cells_finished) = (number, number);
    let json = serde_json::to_vec_pretty(&manifest).unwrap();
    fs::write(directory.join("manifest.json"), json).unwrap();
}

fn manifest(schema: &str, blocks: u32) -> Manifest {
    let mut manifest = Manifest {
        schema: schema.into(),
        tool_version: "0.1.0".into(),
        seed: SEED,
        started_ns: START_NS,
        ended_ns: Some(START_NS + 700 * SECOND_NS),
        deadline_ns: 10 * SECOND_NS,
        warmup: 20,
        blocks,
        notes: vec![format!("cell 3: {HOSTILE}")],
        plan: serde_json::json!({ "seed": SEED, "name": HOSTILE }),
        ..Manifest::default()
    };
    manifest.host.os = "linux".into();
    manifest.host.kernel = "6.1.0".into();
    manifest.host.cpus = 2;
    manifest.clock.source = "CLOCK_MONOTONIC".into();
    manifest.broker.version = Some(format!("mosquitto version 2.0.11 {HOSTILE}"));
    manifest.broker.qos2_forwarded_at = Some("PUBREL".into());
    manifest
        .options
        .insert("qos".into(), serde_json::json!([0, 1, 2]));
    manifest
        .options
        .insert("drain-ns".into(), serde_json::json!(20 * SECOND_NS));
    manifest
}

/// A study with all its parts: so many payloads in the main part, so many blocks, so many messages a
/// cell.
pub(crate) fn study(directory: &Path, payloads: &[u64], blocks: u32, messages: u64) {
    let mut tables = Tables {
        samples: Vec::new(),
        cells: Vec::new(),
        random: Random::new(SEED),
    };
    let of_each_qos = |make: &dyn Fn(u8) -> Vec<Condition>| -> Vec<Condition> {
        [0, 1, 2].into_iter().flat_map(make).collect()
    };
    let main = of_each_qos(&|qos| {
        let links = ["wired", "wireless"].into_iter();
        let pairs = links.flat_map(|link| payloads.iter().map(move |bytes| (link, *bytes)));
        let conditions = pairs.map(|(link, payload_bytes)| Condition {
            part: "main",
            qos,
            payload_bytes,
            link: Some(link),
            ..Condition::default()
        });
        conditions.collect()
    });
    let packet_loss = of_each_qos(&|qos| {
        let steps = [
            ("wired", 0.0),
            ("lossy:10%", 0.1),
            ("lossy:20%", 0.2),
            ("lossy:40%", 0.4),
        ];
        let conditions = steps.map(|(link, loss)| Condition {
            part: "packet_loss",
            qos,
            payload_bytes: 128,
            link: Some(link),
            packet_loss: Some(loss),
            ..Condition::default()
        });
        conditions.to_vec()
    });
    let outage = of_each_qos(&|qos| {
        let conditions = ["outage of 1 s", "outage of 3 s"].map(|fault| Condition {
            part: "outage",
            qos,
            payload_bytes: 128,
            link: Some("wired"),
            fault: Some(fault),
            ..Condition::default()
        });
        conditions.to_vec()
    });
    let combench: Vec<Condition> = [0.05, 0.2, 0.4, 0.6]
        .map(|loss| Condition {
            part: "combench",
            payload_bytes: 100,
            link: Some("wired"),
            packet_loss: Some(loss),
            subscribers: 5,
            ..Condition::default()
        })
        .to_vec();
    for part in [&main, &packet_loss, &outage] {
        tables.measure(part, blocks, messages);
    }
    tables.measure(&combench, 1, messages);
    let mut manifest = manifest(STUDY_SCHEMA, blocks);
    for (profile, side, delay) in [
        ("wired", "publisher", 500_000),
        ("wireless", "publisher", 3_000_000),
        ("wired", "subscriber", 500_000),
    ] {
        for direction in ["publisher to broker", "broker to publisher"] {
            manifest.links.push(link(profile, side, direction, delay));
        }
    }
    finish(directory, &tables, manifest);
}

fn link(profile: &str, side: &str, direction: &str, delay: i64) -> LinkRecord {
    let mut link = LinkRecord {
        profile: profile.into(),
        source: format!("measured somewhere {HOSTILE}"),
        delay_ns: Some(delay),
        measured_delay_ns: Some(delay + 20_000),
        loss_ratio: Some(0.0),
        measured_loss_ratio: Some(0.0),
        measured_loss_ci_low: Some(0.0),
        measured_loss_ci_high: Some(0.003),
        rate_bits_per_s: Some(2e7),
        measured_rate_bits_per_s: Some(1.99e7),
        met: true,
        ..LinkRecord::default()
    };
    let direction = direction.replace("publisher", side);
    link.settings.insert("link".into(), side.into());
    link.settings.insert("direction".into(), direction.into());
    link
}

/// A probe of three QoS levels and two payloads, one of its cells invalid.
pub(crate) fn probe(directory: &Path) {
    let mut tables = Tables {
        samples: Vec::new(),
        cells: Vec::new(),
        random: Random::new(SEED),
    };
    let conditions: Vec<Condition> = [0, 1, 2]
        .into_iter()
        .flat_map(|qos| {
            [16, 1_024].map(|payload_bytes| Condition {
                part: "probe",
                qos,
                payload_bytes,
                ..Condition::default()
            })
        })
        .collect();
    tables.measure(&conditions, 3, 60);
    tables.cells[4].valid = false;
    tables.cells[4].invalid_reason = Some(format!("the prober sent late {HOSTILE}").into());
    let mut manifest = manifest(PROBE_SCHEMA, 3);
    manifest.baseline = Some(serde_json::json!([
        { "qos": 0, "messages": 300, "payload_bytes": 16, "rate_per_s": 500.0,
          "delay_median_ns": 62_000, "delay_p95_ns": 91_000, "send_lag_p95_ns": 21_000,
          "invalid_reason": null }
    ]));
    let record = |published: u64| SysRecord {
        publish_received: Some(published),
        publish_sent: Some(published + 1),
        retained: Some(0),
        ..SysRecord::default()
    };
    manifest.sys.push(CellSys {
        cell: 1,
        before: Some(record(100)),
        after: Some(record(183)),
        ours: PublishCount {
            sent: 81,
            received: 82,
        },
    });
    finish(directory, &tables, manifest);
}
