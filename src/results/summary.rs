//! summary.json: the run as a whole.
//!
//! Fields are written in this order, a missing value as `null`. Text from a capture (paths, names
//! of interfaces) is escaped ([`escape`](super::escape)) when it is put in here.

use crate::stats::{Delays, Proportion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of this format. It changes when a reader of the older one would be misled.
pub const SCHEMA: &str = "mqttscope.analysis/1";

/// The content of summary.json. Times are nanoseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of mqttscope that wrote it.
    pub tool_version: String,
    /// Every file, in the order read.
    pub captures: Vec<CaptureSummary>,
    /// Every tap, by its number.
    pub taps: Vec<TapSummary>,
    /// Frames read.
    pub frames: u64,
    /// Frames that were not followed to TCP, by reason; those of link types that are not decoded
    /// by the type's number.
    pub skipped: BTreeMap<String, u64>,
    /// TCP.
    pub tcp: TcpSummary,
    /// MQTT control packets.
    pub mqtt: MqttSummary,
    /// TCP connections that spoke MQTT, or that were on a named port.
    pub connections: u64,
    /// The same by transport: `tcp`, `tls`, `ws`, `wss`.
    #[serde(default)]
    pub transports: BTreeMap<String, u64>,
    /// Connections whose MQTT could not be read, or not to their end, by the reason.
    #[serde(default)]
    pub unread: BTreeMap<String, u64>,
    /// MQTT sessions.
    pub sessions: u64,
    /// PUBLISH packets on the wire.
    pub publishes: Publishes,
    /// QoS 1 and 2 exchanges.
    pub exchanges: ExchangeCounts,
    /// Deliveries; missing where they were not analysed.
    pub deliveries: Option<DeliveryCounts>,
    /// What was lost, of what.
    pub loss: Loss,
    /// Each delay by its name (`puback.to_broker`, …).
    pub delays: BTreeMap<String, DelaySummary>,
    /// Findings: code → count.
    pub findings: BTreeMap<String, u64>,
    /// Violations of the specification: code → packets.
    pub violations: BTreeMap<String, u64>,
    /// Bounded tables: what each had to drop. A table that dropped nothing is not listed.
    pub dropped: BTreeMap<String, u64>,
    /// Packets that the capturing system says it dropped; missing where it does not say.
    pub capture_drops: Option<u64>,
    /// What happened while the capture dropped packets: `exchanges`, `deliveries` → count. Only
    /// those of which there are any.
    #[serde(default)]
    pub uncertain: BTreeMap<String, u64>,
    /// TCP ports without MQTT, those with the most bytes first.
    pub other_ports: Vec<OtherPort>,
    /// How fast the analysis was; missing where nobody looked at a clock.
    pub throughput: Option<Throughput>,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptureSummary {
    /// As named on the command line; `-` is standard input.
    pub path: String,
    /// `pcap` or `pcapng`, and how it is packed (`pcap, gzip`).
    pub format: String,
    /// The link types in it.
    pub link_types: Vec<String>,
    /// Frames in it.
    pub frames: u64,
    /// Bytes in it, unpacked.
    pub bytes: u64,
    /// The earliest time of a frame.
    pub first_ns: Option<i64>,
    /// The latest time of a frame.
    pub last_ns: Option<i64>,
    /// It ends in the middle of a record, or could not be read to its end.
    pub truncated: bool,
    /// What else was wrong with it.
    pub warnings: Vec<String>,
}

/// One interface of one capture, or of a series of rotated files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TapSummary {
    /// Its number, which the tables have in their column `tap`.
    pub tap: u16,
    /// The paths of its files.
    pub paths: Vec<String>,
    /// The interface's name, if the capture has it.
    pub interface: Option<String>,
    /// What its frames begin with.
    pub link_type: String,
}

/// Counts of TCP segments, over all connections that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TcpSummary {
    /// Segments.
    pub segments: u64,
    /// Connections, with and without MQTT.
    pub connections: u64,
    /// Segments that were sent again.
    pub retransmitted_segments: u64,
    /// Segments that came before an earlier one.
    pub out_of_order_segments: u64,
    /// Places of a stream that the capture does not have.
    pub capture_gaps: u64,
    /// Bytes that are missing there.
    pub gap_bytes: u64,
}

/// Counts of MQTT control packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MqttSummary {
    /// Packets, malformed ones included.
    pub packets: u64,
    /// Packets by type (`CONNECT`, …).
    pub by_type: BTreeMap<String, u64>,
    /// Packets that could not be parsed.
    pub malformed: u64,
    /// Bytes of all packets.
    pub bytes: u64,
}

/// PUBLISH packets by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Publishes {
    /// From publishers to the broker.
    pub to_broker: PublishCounts,
    /// From the broker to subscribers.
    pub to_client: PublishCounts,
}

/// PUBLISH packets by QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishCounts {
    /// At most once.
    pub qos0: u64,
    /// At least once.
    pub qos1: u64,
    /// Exactly once.
    pub qos2: u64,
}

impl PublishCounts {
    /// All three.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.qos0 + self.qos1 + self.qos2
    }
}

/// Exchanges: outcome → count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExchangeCounts {
    /// PUBLISH and PUBACK.
    pub qos1: BTreeMap<String, u64>,
    /// PUBLISH, PUBREC, PUBREL and PUBCOMP.
    pub qos2: BTreeMap<String, u64>,
}

/// Deliveries by expected QoS: outcome → count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryCounts {
    /// At most once.
    pub qos0: BTreeMap<String, u64>,
    /// At least once.
    pub qos1: BTreeMap<String, u64>,
    /// Exactly once.
    pub qos2: BTreeMap<String, u64>,
}

/// What was lost; missing where it was not analysed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Messages that an expected receiver did not get, of those that can be decided.
    pub message: Option<MessageLoss>,
    /// TCP segments that were sent again, of all with data.
    pub segment: Option<Proportion>,
    /// Bytes that the capture does not have, of all bytes of the streams.
    pub capture: Option<Proportion>,
    /// Exchanges that were not completed, of those that can be decided.
    pub exchange: Option<Proportion>,
}

/// Message loss, all together and by QoS.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageLoss {
    /// All together: `count`, `of`, … beside the three below.
    #[serde(flatten)]
    pub all: Proportion,
    /// At most once.
    pub qos0: Option<Proportion>,
    /// At least once.
    pub qos1: Option<Proportion>,
    /// Exactly once.
    pub qos2: Option<Proportion>,
}

/// The distribution of one delay, in nanoseconds. A quantile with fewer than ten observations
/// beyond it is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelaySummary {
    /// Observations, negative ones included.
    pub count: u64,
    /// Negative ones.
    pub negative: u64,
    /// The smallest, negative ones included.
    pub min_ns: Option<i64>,
    /// The mean, negative ones included.
    pub mean_ns: Option<i64>,
    /// The median of those that are not negative.
    pub p50_ns: Option<i64>,
    /// The 90th percentile of those that are not negative.
    pub p90_ns: Option<i64>,
    /// The 99th percentile of those that are not negative.
    pub p99_ns: Option<i64>,
    /// The 99.9th percentile of those that are not negative.
    pub p999_ns: Option<i64>,
    /// The largest.
    pub max_ns: Option<i64>,
}

impl From<&Delays> for DelaySummary {
    fn from(delays: &Delays) -> Self {
        Self {
            count: delays.count(),
            negative: delays.negative(),
            min_ns: delays.min(),
            mean_ns: delays.mean(),
            p50_ns: delays.quantile(0.5),
            p90_ns: delays.quantile(0.9),
            p99_ns: delays.quantile(0.99),
            p999_ns: delays.quantile(0.999),
            max_ns: delays.max(),
        }
    }
}

/// A TCP port on which no MQTT was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPort {
    /// The port that connections were made to.
    pub port: u16,
    /// How many connections.
    pub connections: u64,
    /// Bytes of their streams, both directions.
    pub bytes: u64,
}

/// How fast the analysis was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Seconds from start to end.
    pub wall_s: f64,
    /// Frames per second; missing where no time passed.
    pub frames_per_s: Option<f64>,
    /// Bytes of the captures, unpacked, per second; missing where no time passed.
    pub bytes_per_s: Option<f64>,
}

impl Throughput {
    /// `frames` and `bytes` in `wall_s` seconds.
    #[must_use]
    pub fn new(wall_s: f64, frames: u64, bytes: u64) -> Self {
        let per_second = |count: u64| (wall_s > 0.0).then(|| count as f64 / wall_s);
        Self {
            wall_s,
            frames_per_s: per_second(frames),
            bytes_per_s: per_second(bytes),
        }
    }
}

impl Default for Summary {
    /// Of nothing at all, by this version.
    fn default() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            captures: Vec::new(),
            taps: Vec::new(),
            frames: 0,
            skipped: BTreeMap::new(),
            tcp: TcpSummary::default(),
            mqtt: MqttSummary::default(),
            connections: 0,
            transports: BTreeMap::new(),
            unread: BTreeMap::new(),
            sessions: 0,
            publishes: Publishes::default(),
            exchanges: ExchangeCounts::default(),
            deliveries: None,
            loss: Loss::default(),
            delays: BTreeMap::new(),
            findings: BTreeMap::new(),
            violations: BTreeMap::new(),
            dropped: BTreeMap::new(),
            capture_drops: None,
            uncertain: BTreeMap::new(),
            other_ports: Vec::new(),
            throughput: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::TimeDelta;
    use serde_json::{Value, json};

    fn keys(value: &Value) -> Vec<&str> {
        let object = value.as_object().expect("an object");
        object.keys().map(String::as_str).collect()
    }

    /// What scripts are written against.
    #[test]
    fn the_names_are_those_of_the_reference() {
        let summary = serde_json::to_value(Summary::default()).expect("JSON");
        for name in [
            "schema",
            "tool_version",
            "captures",
            "taps",
            "frames",
            "tcp",
            "mqtt",
            "connections",
            "sessions",
            "publishes",
            "exchanges",
            "deliveries",
            "loss",
            "delays",
            "findings",
            "dropped",
            "capture_drops",
            "uncertain",
            "throughput",
        ] {
            assert!(keys(&summary).contains(&name), "{name}");
        }
        assert_eq!(summary["schema"], "mqttscope.analysis/1");
        assert_eq!(
            summary["publishes"]["to_client"],
            json!({"qos0": 0, "qos1": 0, "qos2": 0})
        );
        assert_eq!(
            summary["loss"],
            json!({"message": null, "segment": null, "capture": null, "exchange": null})
        );
        assert_eq!(
            summary["tcp"],
            json!({"segments": 0, "connections": 0, "retransmitted_segments": 0,
                   "out_of_order_segments": 0, "capture_gaps": 0, "gap_bytes": 0})
        );
        let nulls = ["deliveries", "capture_drops", "throughput"];
        assert!(nulls.iter().all(|name| summary[name].is_null()));
    }

    #[test]
    fn what_does_not_exist_is_null() {
        let mut delays = Delays::new();
        let empty = serde_json::to_value(DelaySummary::from(&delays)).expect("JSON");
        assert_eq!(
            empty,
            json!({"count": 0, "negative": 0, "min_ns": null, "mean_ns": null, "p50_ns": null,
                   "p90_ns": null, "p99_ns": null, "p999_ns": null, "max_ns": null})
        );
        (1..=100).for_each(|nanos| delays.record(TimeDelta::from_nanos(nanos)));
        delays.record(TimeDelta::from_nanos(-1));
        let some = serde_json::to_value(DelaySummary::from(&delays)).expect("JSON");
        assert_eq!(
            some,
            json!({"count": 101, "negative": 1, "min_ns": -1, "mean_ns": 49, "p50_ns": 50,
                   "p90_ns": 90, "p99_ns": null, "p999_ns": null, "max_ns": 100})
        );
    }

    #[test]
    fn message_loss_is_given_together_and_by_qos() {
        let loss = MessageLoss {
            all: Proportion::new(0, 4),
            qos0: None,
            qos1: Some(Proportion::new(0, 4)),
            qos2: Some(Proportion::new(0, 0)),
        };
        let one = json!({"count": 0, "of": 4, "ratio": 0.0, "ci_low": 0.0, "ci_high": 0.75});
        let value = serde_json::to_value(loss).expect("JSON");
        assert_eq!(value["qos1"], one);
        assert_eq!(value["count"], 0);
        assert_eq!(value["ci_high"], 0.75);
        assert_eq!(value["qos0"], Value::Null);
        assert_eq!(value["qos2"]["ratio"], Value::Null);
    }

    #[test]
    fn it_is_read_back() {
        let mut summary = Summary::default();
        summary.captures.push(CaptureSummary {
            path: super::super::escape(b"caf\xe9\n.pcap").into_owned(),
            last_ns: Some(-1),
            ..CaptureSummary::default()
        });
        summary.taps.push(TapSummary::default());
        summary.mqtt.by_type.insert("PUBLISH".to_owned(), u64::MAX);
        summary.deliveries = Some(DeliveryCounts::default());
        summary.loss.message = Some(MessageLoss {
            all: Proportion::new(1, 4),
            qos0: None,
            qos1: Some(Proportion::new(0, 0)),
            qos2: None,
        });
        let delays = DelaySummary {
            count: 3,
            max_ns: Some(i64::MAX),
            ..DelaySummary::default()
        };
        summary.delays.insert("ping".to_owned(), delays);
        summary.other_ports.push(OtherPort::default());
        summary.throughput = Some(Throughput::new(0.5, 100, 1_000));
        let json = serde_json::to_string_pretty(&summary).expect("JSON");
        assert!(json.contains(r#""caf\\xe9\\x0a.pcap""#), "{json}");
        let read: Summary = serde_json::from_str(&json).expect("our own JSON");
        assert_eq!(read, summary);
    }
}
