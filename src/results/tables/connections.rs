//! connections.csv and sessions.csv.

use super::table;
use crate::results::Text;
use crate::time::{TimeDelta, Timestamp};
use std::net::{IpAddr, SocketAddr};

table! {
    /// One TCP connection that spoke MQTT, or that was on a named port.
    pub struct ConnectionRow<'a> in "connections.csv" {
        /// The number of the connection at its tap, in order of first frame, from 1.
        pub connection: u64,
        /// The path of the capture in which it was first seen.
        pub file: Text<'a>,
        /// The client's address.
        pub client_addr: IpAddr,
        /// The client's TCP port.
        pub client_port: u16,
        /// The broker's address.
        pub broker_addr: IpAddr,
        /// The broker's TCP port.
        pub broker_port: u16,
        /// What carries MQTT: `tcp`, `tls`, `ws`, `wss`.
        pub transport: &'static str,
        /// The time of the first frame.
        pub start_ns: Timestamp,
        /// The time of the last frame.
        pub end_ns: Timestamp,
        /// How it ended.
        pub end_reason: &'static str,
        /// The capture began after the connection did: there was no SYN.
        pub midstream: bool,
        /// The protocol level of MQTT: 3 (3.1), 4 (3.1.1) or 5.
        pub protocol_level: Option<u8>,
        /// How the level is known: `connect`, `inferred` or `assumed`.
        pub protocol_level_basis: Option<&'static str>,
        /// The client identifier: of CONNECT, or the one that the broker assigned.
        pub client_id: Option<Text<'a>>,
        /// CONNECT's Clean Start (Clean Session before MQTT 5).
        pub clean_start: Option<bool>,
        /// CONNECT's keep-alive in seconds; 0 is none.
        pub keep_alive_s: Option<u16>,
        /// The will's topic.
        pub will_topic: Option<Text<'a>>,
        /// The will's QoS.
        pub will_qos: Option<u8>,
        /// Whether the will is to be retained.
        pub will_retain: Option<bool>,
        /// The return code or reason code of CONNACK.
        pub connack_code: Option<u8>,
        /// The specification's name of that code.
        pub connack_reason: Option<Text<'a>>,
        /// CONNACK's Session Present.
        pub session_present: Option<bool>,
        /// MQTT control packets from the client.
        pub packets_to_broker: u64,
        /// MQTT control packets to the client.
        pub packets_to_client: u64,
        /// Bytes of the control packets from the client.
        pub bytes_to_broker: u64,
        /// Bytes of the control packets to the client.
        pub bytes_to_client: u64,
        /// PUBLISH packets from the client.
        pub publishes_to_broker: u64,
        /// PUBLISH packets to the client.
        pub publishes_to_client: u64,
        /// The part of the round-trip time between the tap and the client.
        pub rtt_client_side_ns: Option<TimeDelta>,
        /// The part of the round-trip time between the tap and the broker.
        pub rtt_broker_side_ns: Option<TimeDelta>,
        /// Where the tap stands: `client`, `broker`, `between`, `unknown`.
        pub vantage: &'static str,
        /// Segments that were sent again, both directions.
        pub retransmitted_segments: u64,
        /// Segments that came before an earlier one, both directions.
        pub out_of_order_segments: u64,
        /// Places of the stream that the capture does not have, both directions.
        pub capture_gaps: u64,
        /// MQTT control packets that could not be parsed.
        pub malformed: u64,
        /// The TLS version.
        pub tls_version: Option<Text<'a>>,
        /// The TLS cipher suite.
        pub tls_suite: Option<Text<'a>>,
        /// The server name of the TLS ClientHello.
        pub sni: Option<Text<'a>>,
        /// The application protocol that TLS agreed on.
        pub alpn: Option<Text<'a>>,
        /// The tap.
        pub tap: u16,
        /// From the ClientHello's first byte to the end of the TLS handshake.
        pub tls_handshake_ns: Option<TimeDelta>,
        /// TLS records from the client.
        pub tls_records_to_broker: Option<u64>,
        /// TLS records to the client.
        pub tls_records_to_client: Option<u64>,
        /// TLS alerts that could be read, `close_notify` left out, joined by a space.
        pub tls_alerts: Option<Text<'a>>,
        /// Why the MQTT within TLS or WebSocket could not be read, or not to the end.
        pub unread: Option<Text<'a>>,
        /// Who ended it, with the first FIN or RST: `client` or `broker`.
        pub ended_by: Option<&'static str>,
        /// Bytes of the TLS records from the client, with their headers.
        pub tls_bytes_to_broker: Option<u64>,
        /// Bytes of the TLS records to the client, with their headers.
        pub tls_bytes_to_client: Option<u64>,
        /// The longest TLS record from the client.
        pub tls_largest_record_to_broker_bytes: Option<u64>,
        /// The longest TLS record to the client.
        pub tls_largest_record_to_client_bytes: Option<u64>,
        /// Within TLS, the client's longest silence: at most its keep-alive, if it keeps it.
        pub tls_client_silence_ns: Option<TimeDelta>,
    }
}

table! {
    /// One MQTT session: a client identifier at a broker, across its connections.
    pub struct SessionRow<'a> in "sessions.csv" {
        /// The number of the session, from 1.
        pub session: u64,
        /// The client identifier.
        pub client_id: Option<Text<'a>>,
        /// The broker's address and port.
        pub broker: SocketAddr,
        /// How many TCP connections it had.
        pub connections: u64,
        /// The time of its first frame.
        pub first_ns: Timestamp,
        /// The time of its last frame.
        pub last_ns: Timestamp,
        /// How often a connection went on with what an earlier one left (Session Present).
        pub resumed: u64,
        /// How often a newer connection with the same client identifier took it over.
        pub taken_over: u64,
        /// How often its will was seen published.
        pub will_published: Option<u64>,
        /// Topic filters subscribed to.
        pub subscriptions: u64,
        /// PUBLISH packets from the client.
        pub publishes_sent: u64,
        /// PUBLISH packets to the client.
        pub publishes_received: u64,
        /// How often the client was silent for longer than one and a half keep-alive intervals.
        pub keep_alive_violations: u64,
        /// The tap.
        pub tap: u16,
    }
}
