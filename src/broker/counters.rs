//! What the broker counted.

/// Counts since the broker started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Control packets of any type from clients.
    pub messages_received: u64,
    /// Control packets of any type to clients.
    pub messages_sent: u64,
    /// PUBLISH packets from clients.
    pub publish_received: u64,
    /// PUBLISH packets to clients.
    pub publish_sent: u64,
    /// Messages that a limit kept from a subscriber, per subscriber.
    pub publish_dropped: u64,
    /// Bytes of MQTT from clients.
    pub bytes_received: u64,
    /// Bytes of MQTT to clients.
    pub bytes_sent: u64,
    /// Messages that met a fault of the script.
    pub faults: u64,
    /// Connections that were closed for what their client did.
    pub errors: u64,
}
