//! messages.csv.

use super::table;
use crate::results::{Hash64, Text};
use crate::time::Timestamp;

table! {
    /// One PUBLISH packet on the wire.
    pub struct MessageRow<'a> in "messages.csv" {
        /// The number of the message, from 1.
        pub message: u64,
        /// The number of its connection.
        pub connection: u64,
        /// `to_broker` or `to_client`.
        pub direction: &'static str,
        /// The path of the capture.
        pub file: Text<'a>,
        /// The number, within its file and from 1, of the frame that completed the packet.
        pub frame: u64,
        /// When its first byte was first seen.
        pub first_ns: Timestamp,
        /// When the byte stream became whole up to its last byte.
        pub last_ns: Timestamp,
        /// The packet identifier (QoS 1 and 2).
        pub packet_id: Option<u16>,
        /// The QoS.
        pub qos: u8,
        /// The DUP flag.
        pub dup: bool,
        /// The RETAIN flag.
        pub retain: bool,
        /// The topic name; missing where it is an alias that was never seen bound.
        pub topic: Option<Text<'a>>,
        /// The length of the payload; missing where it is not known where the payload begins.
        pub payload_bytes: Option<u32>,
        /// What the payload is.
        pub payload_kind: Option<&'static str>,
        /// XXH3-64 of the whole payload; missing where the capture does not have all of it.
        pub payload_hash: Option<Hash64>,
        /// Some of its bytes came in a TCP segment that was sent again.
        pub retransmitted: bool,
        /// The tap.
        pub tap: u16,
    }
}
