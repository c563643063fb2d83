//! deliveries.csv.

use super::table;
use crate::results::{Hash64, Text};
use crate::time::{TimeDelta, Timestamp};

table! {
    /// One message and one of its receivers, expected or seen.
    pub struct DeliveryRow<'a> in "deliveries.csv" {
        /// The number of the PUBLISH to the broker, as in messages.csv; missing where it was not
        /// seen.
        pub message: Option<u64>,
        /// Who published it: client identifier, or address and port.
        pub publisher: Option<Text<'a>>,
        /// The receiver: client identifier, address and port, or `$share/group/filter`.
        pub subscriber: Text<'a>,
        /// The number of the PUBLISH to the receiver.
        pub delivered_message: Option<u64>,
        /// The topic name; missing where an alias was never seen bound.
        pub topic: Option<Text<'a>>,
        /// QoS of the PUBLISH to the broker.
        pub qos_published: Option<u8>,
        /// QoS of the PUBLISH to the receiver.
        pub qos_delivered: Option<u8>,
        /// The first byte of the PUBLISH to the broker.
        pub publish_ns: Option<Timestamp>,
        /// When the PUBLISH to the receiver was whole.
        pub received_ns: Option<Timestamp>,
        /// From the one to the other.
        pub delay_ns: Option<TimeDelta>,
        /// The broker's own share, where the tap stands beside it.
        pub residence_ns: Option<TimeDelta>,
        /// From the last byte in to the first byte out.
        pub turnaround_ns: Option<TimeDelta>,
        /// `delivered`, `late`, `lost`, `duplicate` or `undetermined`.
        pub outcome: &'static str,
        /// `subscribed`, `inferred`, `queued` or `observed`.
        pub basis: &'static str,
        /// XXH3-64 of the payload; missing where not all of it was seen.
        pub payload_hash: Option<Hash64>,
        /// The tap.
        pub tap: u16,
        /// How many messages, equal in topic and payload, the PUBLISH to the receiver could have
        /// been; 9 is nine or more.
        pub candidates: Option<u8>,
        /// QoS that was expected, by which deliveries are counted: the lower of published and
        /// granted, and the one delivered where nothing is known of it.
        pub qos_expected: u8,
        /// The capture lost frames between publication and receipt.
        pub uncertain: bool,
    }
}
