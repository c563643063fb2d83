//! How a broker shall behave, and how much it may hold.

use crate::time::TimeDelta;

use super::fault::Faults;

/// When a message published at QoS 2 goes on to subscribers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Qos2Forwarding {
    /// When its PUBLISH came (method A of figure 4.3): the handshake runs beside the delivery.
    AtPublish,
    /// When its PUBREL came (method B), as mosquitto does: a delivery takes a round trip more.
    #[default]
    AtPubrel,
}

/// The one user that is let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user_name: Vec<u8>,
    /// Password.
    pub password: Vec<u8>,
}

impl std::fmt::Debug for Credentials {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials { .. }")
    }
}

/// A broker's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// When messages of QoS 2 are forwarded.
    pub qos2: Qos2Forwarding,
    /// How much it may hold.
    pub limits: Limits,
    /// Who may connect; `None` for everyone.
    pub credentials: Option<Credentials>,
    /// How often changed counters go to those who subscribe to `$SYS/#`; `None` for at
    /// subscription only.
    pub sys_interval: Option<TimeDelta>,
    /// What shall go wrong.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            qos2: Qos2Forwarding::default(),
            limits: Limits::default(),
            credentials: None,
            sys_interval: Some(TimeDelta::from_secs(10)),
            faults: Faults::default(),
        }
    }
}

/// Upper bounds. The defaults are wide, since this broker is there to lose nothing by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections at once; more are closed as they come.
    pub connections: usize,
    /// Sessions, connected or kept; a CONNECT beyond is refused (3 Server unavailable, 0x97).
    pub sessions: usize,
    /// Subscriptions of all sessions together; more are refused (0x80, 0x97).
    pub subscriptions: usize,
    /// Filters of one SUBSCRIBE or UNSUBSCRIBE; more end the connection.
    pub filters: usize,
    /// Retained messages; another topic's is passed on, but not kept.
    pub retained: usize,
    /// Bytes of a packet, fixed header included; a longer one ends the connection (0x95).
    pub packet_bytes: u32,
    /// Messages of QoS 2 that a client may have in flight towards the broker; also its
    /// Receive Maximum. More end the connection (0x93).
    pub receive_maximum: u16,
    /// Messages of QoS 1 and 2 in flight towards one client, besides the client's own
    /// Receive Maximum. More wait in the queue.
    pub inflight: u16,
    /// Messages of QoS 1 and 2 that wait for one session; the newest beyond is dropped.
    pub queued: usize,
    /// Bytes of messages held in all queues, handshakes and retained ones together, and again of
    /// packets that arrived in part; what does not fit is refused (0x97) or dropped.
    pub stored_bytes: usize,
    /// Bytes waiting to be written to one connection. Beyond, messages of QoS 0 are dropped,
    /// those of QoS 1 and 2 wait, and nothing more is read from that client.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            sessions: 10_000,
            subscriptions: 10_000,
            filters: 1_000,
            retained: 10_000,
            packet_bytes: 16 << 20,
            receive_maximum: u16::MAX,
            inflight: 32_768,
            queued: 100_000,
            stored_bytes: 512 << 20,
            output_bytes: 8 << 20,
        }
    }
}
