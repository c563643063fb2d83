//! findings.csv and topics.csv.

use super::table;
use crate::results::{Rate, Text, Verbatim};
use crate::time::Timestamp;

table! {
    /// One thing that deserves attention.
    pub struct FindingRow<'a> in "findings.csv" {
        /// `info`, `note`, `warning` or `error`.
        pub severity: &'static str,
        /// The code.
        pub code: &'static str,
        /// The number of its connection.
        pub connection: Option<u64>,
        /// The path of the capture.
        pub file: Option<Text<'a>>,
        /// The frame that showed it.
        pub frame: Option<u64>,
        /// When it was seen.
        pub time_ns: Option<Timestamp>,
        /// The topic or topic filter.
        pub topic: Option<Text<'a>>,
        /// What exactly.
        pub detail: Option<Text<'a>>,
        /// Shows the frames concerned in Wireshark.
        pub wireshark_filter: Option<Verbatim<'a>>,
        /// The tap.
        pub tap: Option<u16>,
    }
}

table! {
    /// One topic.
    pub struct TopicRow<'a> in "topics.csv" {
        /// The topic name.
        pub topic: Text<'a>,
        /// PUBLISH packets to the broker; where the capture has none, to clients.
        pub messages: u64,
        /// Bytes of their payloads.
        pub bytes: u64,
        /// Clients that published to it.
        pub publishers: u64,
        /// Clients that it was sent to.
        pub subscribers: u64,
        /// Of the messages, those of QoS 0.
        pub qos0: u64,
        /// Those of QoS 1.
        pub qos1: u64,
        /// Those of QoS 2.
        pub qos2: u64,
        /// Those with RETAIN.
        pub retained: u64,
        /// What the payloads are, or `mixed`.
        pub payload_kind: Option<&'static str>,
        /// Messages per second, from the first to the last.
        pub rate_per_s: Option<Rate>,
        /// When the first was seen.
        pub first_ns: Timestamp,
        /// When the last was seen.
        pub last_ns: Timestamp,
        /// Codes of what was found about it, joined by spaces.
        pub findings: Option<Text<'a>>,
        /// The tap.
        pub tap: u16,
        /// Keys of a JSON payload, joined by spaces.
        pub payload_keys: Option<Text<'a>>,
    }
}
