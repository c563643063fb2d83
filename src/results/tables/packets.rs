//! What `decode --format csv` writes.

use super::table;
use crate::results::Text;
use crate::time::Timestamp;
use std::net::IpAddr;

table! {
    /// One MQTT control packet, or one gap in the byte stream. With several files a column
    /// `file` stands before these ([`RowWriter::with_leading`](crate::results::RowWriter)).
    pub struct PacketRow<'a> in "packets.csv" {
        /// The number, within its file and from 1, of the frame that completed the packet.
        pub frame: u64,
        /// That frame's time.
        pub time_ns: Timestamp,
        /// The number of the connection.
        pub connection: u64,
        /// The sender's address.
        pub src_addr: IpAddr,
        /// The sender's TCP port.
        pub src_port: u16,
        /// The receiver's address.
        pub dst_addr: IpAddr,
        /// The receiver's TCP port.
        pub dst_port: u16,
        /// `to_broker` or `to_client`.
        pub direction: &'static str,
        /// `CONNECT` to `AUTH`, `RESERVED`, or `GAP`.
        pub packet_type: &'static str,
        /// The QoS (PUBLISH).
        pub qos: Option<u8>,
        /// The DUP flag (PUBLISH).
        pub dup: Option<bool>,
        /// The RETAIN flag (PUBLISH).
        pub retain: Option<bool>,
        /// The packet identifier.
        pub packet_id: Option<u16>,
        /// The topic name, or the topic filters joined by spaces.
        pub topic: Option<Text<'a>>,
        /// The remaining length of the fixed header, in bytes.
        pub remaining_length: Option<u32>,
        /// The length of the payload of a PUBLISH, in bytes.
        pub payload_length: Option<u32>,
        /// The protocol level: 3, 4 or 5.
        pub protocol_level: Option<u8>,
        /// The client identifier (CONNECT).
        pub client_id: Option<Text<'a>>,
        /// The return code or reason code.
        pub reason_code: Option<u8>,
        /// What else there is to say: `malformed: …`, `violation: …`, `level assumed`.
        pub note: Option<Text<'a>>,
    }
}
