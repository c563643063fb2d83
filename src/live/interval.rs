//! The figures of an interval.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::results::DelaySummary;

/// What happened between two times. Counts are of the interval alone, where nothing else is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// When it began, in nanoseconds since 1970 on the clock of the capture.
    pub start_ns: i64,
    /// When it ended.
    pub end_ns: i64,
    /// Frames, whatever is in them.
    pub frames: u64,
    /// Their bytes, as they were on the wire.
    pub bytes: u64,
    /// Frames per second.
    pub frames_per_s: f64,
    /// Bytes per second.
    pub bytes_per_s: f64,
    /// Control packets of MQTT.
    pub packets: u64,
    /// PUBLISH packets.
    pub publishes: PublishFigures,
    /// Connections whose end was seen, and that carried MQTT or were on a named port.
    pub connections_ended: u64,
    /// Delays by name, as in the summary (`delivery_qos0`, …, `puback`, `qos2_total`); only those
    /// of which there was one.
    pub delays: BTreeMap<&'static str, DelaySummary>,
    /// What was not finished at its end.
    pub outstanding: Outstanding,
    /// What was lost, each kind by itself.
    pub loss: LossFigures,
    /// Findings.
    pub findings: u64,
    /// The latest finding of the capture.
    pub newest_finding: Option<NewestFinding>,
    /// Frames that are missing from the capture.
    pub capture_drops: Drops,
}

/// PUBLISH packets by QoS 0, 1, 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PublishFigures {
    /// On their way to a broker.
    pub to_broker: [u64; 3],
    /// On their way to a client.
    pub to_client: [u64; 3],
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outstanding {
    /// QoS 1 and 2 exchanges without an end.
    pub exchanges: u64,
    /// Messages on their way to receivers, counted for each receiver.
    pub deliveries: u64,
}

/// What was lost: four different things, never added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LossFigures {
    /// Messages that were decided in the interval, by expected QoS.
    pub messages: [MessageLossFigures; 3],
    /// Segments of which bytes came again.
    pub segments_sent_again: u64,
    /// Bytes of MQTT's streams that are not in the capture.
    pub capture_bytes: u64,
    /// Exchanges that ended before they were completed.
    pub exchanges: u64,
}

/// Messages at their receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MessageLossFigures {
    /// Not there after twice the deadline.
    pub lost: u64,
    /// There after the deadline.
    pub late: u64,
    /// Decided: lost, late or delivered.
    pub decided: u64,
}

/// A finding in brief.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewestFinding {
    /// `error`, `warning`, `note`, …
    pub severity: String,
    /// Its code.
    pub code: String,
    /// The connection.
    pub connection: Option<u64>,
    /// The topic, control characters escaped.
    pub topic: Option<String>,
    /// More of it, escaped.
    pub detail: String,
}

/// Frames that are missing from the capture, by who dropped them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// The system, whose buffer was full.
    pub by_system: u64,
    /// The interface or its driver.
    pub by_interface: u64,
    /// The queue between the threads, which was full.
    pub by_queue: u64,
    /// All of these since the capture began.
    pub total: u64,
}

impl Drops {
    /// All of the interval.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.by_system
            .saturating_add(self.by_interface)
            .saturating_add(self.by_queue)
    }
}
