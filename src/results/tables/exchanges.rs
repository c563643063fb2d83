//! exchanges.csv.

use super::table;
use crate::results::Text;
use crate::time::{TimeDelta, Timestamp};

table! {
    /// One exchange of QoS 1 (PUBLISH, PUBACK) or QoS 2 (PUBLISH, PUBREC, PUBREL, PUBCOMP).
    pub struct ExchangeRow<'a> in "exchanges.csv" {
        /// The number of the exchange, from 1.
        pub exchange: u64,
        /// The number of its connection.
        pub connection: u64,
        /// The way of its PUBLISH: `to_broker` or `to_client`.
        pub direction: &'static str,
        /// The packet identifier.
        pub packet_id: u16,
        /// 1 or 2.
        pub qos: u8,
        /// The topic name; missing where the PUBLISH or its topic was never seen.
        pub topic: Option<Text<'a>>,
        /// How many times the PUBLISH was sent.
        pub transmissions: u32,
        /// The first byte of the first PUBLISH.
        pub publish_ns: Option<Timestamp>,
        /// When PUBACK was whole.
        pub puback_ns: Option<Timestamp>,
        /// When PUBREC was whole.
        pub pubrec_ns: Option<Timestamp>,
        /// When PUBREL was whole.
        pub pubrel_ns: Option<Timestamp>,
        /// When PUBCOMP was whole.
        pub pubcomp_ns: Option<Timestamp>,
        /// From the first PUBLISH to PUBACK or PUBCOMP.
        pub total_ns: Option<TimeDelta>,
        /// How it ended: `complete`, `rejected`, `unacknowledged`, …
        pub outcome: &'static str,
        /// The reason code of the last acknowledgment that had one.
        pub reason_code: Option<u8>,
        /// The tap.
        pub tap: u16,
        /// The capture lost frames between its begin and its end.
        pub uncertain: bool,
    }
}
