//! The format of a script. Strict: a field that is not here is an error.

use serde::Deserialize;

use super::instant::Instant;
use super::packet::PacketSpec;
use super::shorthand::Join;

/// One conversation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// What it shows, in a sentence.
    pub(crate) about: String,
    /// The clauses of the specification, and of the reference, that it stands on.
    #[serde(default)]
    #[allow(dead_code, reason = "for the reader")]
    pub(crate) clauses: Vec<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) expect: Expected,
}

/// One thing that happens. Exactly one of the actions is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) at: Instant,
    /// The TCP connection, by a name of the script's choice.
    #[serde(default = "first_connection")]
    pub(crate) on: String,

    /// Action: the client sends a control packet.
    pub(crate) to_broker: Option<PacketSpec>,
    /// Action: the broker sends a control packet.
    pub(crate) to_client: Option<PacketSpec>,
    /// Action: TCP's handshake. A connection without one began before the capture.
    #[serde(default)]
    pub(crate) open: bool,
    /// Action: the connection is closed or reset...
    pub(crate) close: Option<Close>,
    /// ...by this peer.
    pub(crate) by: Option<Peer>,
    /// Action: the segments of the step with this name are sent again.
    pub(crate) retransmit: Option<String>,
    /// Action: `open`, CONNECT, CONNACK and, where there are filters, SUBSCRIBE and SUBACK, each
    /// 100 µs after the one before.
    pub(crate) join: Option<Join>,

    /// What `retransmit` calls this step.
    pub(crate) name: Option<String>,
    /// The packet was received, and acknowledged by TCP, but is not in the capture.
    #[serde(default)]
    pub(crate) lost: bool,
    /// The packet is split over these segments; without it, it is sent in one.
    #[serde(default)]
    pub(crate) segments: Vec<SegmentSpec>,
    /// The protocol level, where it is not that of the connection's CONNECT.
    pub(crate) level: Option<u8>,
    /// The PUBLISH is acknowledged, step by step, 100 µs after each other.
    #[serde(default)]
    pub(crate) acknowledged: bool,
    /// The last byte of the broker's address; the first step of a connection says it.
    pub(crate) broker: Option<u8>,
    /// The only tap that sees it; all do without it.
    pub(crate) tap: Option<u16>,
}

fn first_connection() -> String {
    "a".to_owned()
}

/// A piece of a packet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentSpec {
    pub(crate) at: Instant,
    /// Bytes of the packet; without it, what is left.
    pub(crate) bytes: Option<usize>,
    #[serde(default)]
    pub(crate) lost: bool,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Close {
    Fin,
    Rst,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Peer {
    Client,
    Broker,
}

/// What the analysis has to tell, all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) connections: Vec<ConnectionRow>,
    #[serde(default)]
    pub(crate) sessions: Vec<SessionRow>,
    #[serde(default)]
    pub(crate) exchanges: Vec<ExchangeRow>,
    #[serde(default)]
    pub(crate) subscriptions: Vec<SubscriptionRow>,
    #[serde(default)]
    pub(crate) violations: Vec<ViolationRow>,
    #[serde(default)]
    pub(crate) delays: Vec<DelayRow>,
    /// Every control packet; compared only where given.
    pub(crate) packets: Option<Vec<PacketRow>>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionRow {
    pub(crate) on: String,
    #[serde(default)]
    pub(crate) midstream: bool,
    pub(crate) level: u8,
    pub(crate) basis: String,
    pub(crate) client_id: Option<String>,
    pub(crate) clean_start: Option<bool>,
    /// The one that holds.
    pub(crate) keep_alive: Option<u16>,
    #[serde(default)]
    pub(crate) keep_alive_violations: u64,
    pub(crate) connack: Option<u8>,
    pub(crate) session_present: Option<bool>,
    pub(crate) end: String,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionRow {
    pub(crate) client_id: String,
    pub(crate) connections: u32,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    #[serde(default)]
    pub(crate) resumed: u32,
    #[serde(default)]
    pub(crate) taken_over: u32,
    #[serde(default)]
    pub(crate) subscriptions: u64,
    #[serde(default)]
    pub(crate) sent: u64,
    #[serde(default)]
    pub(crate) received: u64,
    #[serde(default)]
    pub(crate) keep_alive_violations: u64,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExchangeRow {
    #[serde(default = "first_connection")]
    pub(crate) on: String,
    pub(crate) direction: String,
    pub(crate) packet_id: u16,
    pub(crate) qos: u8,
    #[serde(default)]
    pub(crate) topic: String,
    pub(crate) transmissions: u32,
    pub(crate) publish: Option<Instant>,
    pub(crate) puback: Option<Instant>,
    pub(crate) pubrec: Option<Instant>,
    pub(crate) pubrel: Option<Instant>,
    pub(crate) pubcomp: Option<Instant>,
    pub(crate) total: Option<Instant>,
    pub(crate) outcome: String,
    pub(crate) reason: Option<u8>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionRow {
    #[serde(default = "first_connection")]
    pub(crate) on: String,
    pub(crate) client_id: Option<String>,
    pub(crate) filter: String,
    pub(crate) requested: u8,
    pub(crate) granted: Option<u8>,
    pub(crate) reason: Option<u8>,
    pub(crate) subscribe: Option<Instant>,
    pub(crate) suback: Option<Instant>,
    pub(crate) unsubscribe: Option<Instant>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViolationRow {
    #[serde(default = "first_connection")]
    pub(crate) on: String,
    /// When the packet was whole.
    pub(crate) at: Option<Instant>,
    pub(crate) packet: String,
    pub(crate) code: String,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct DelayRow {
    pub(crate) kind: String,
    pub(crate) direction: String,
    pub(crate) delay: Option<Instant>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct PacketRow {
    #[serde(default = "first_connection")]
    pub(crate) on: String,
    pub(crate) direction: String,
    pub(crate) packet: String,
    pub(crate) first: Option<Instant>,
    pub(crate) last: Option<Instant>,
    /// Of a PUBLISH, with its alias resolved.
    pub(crate) topic: Option<String>,
}
