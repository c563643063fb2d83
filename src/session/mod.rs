//! Control packets to connections, sessions and exchanges.
//!
//! [`Sessions::packet`] takes one packet after the other with its times and keeps, per TCP
//! connection, a [`ConnectionState`]: the protocol level, what CONNECT and CONNACK agreed, topic
//! aliases, subscriptions, and the QoS 1 and QoS 2 exchanges in flight. What is finished goes to
//! an [`Observer`] as records; nothing finished is kept.
//!
//! Sessions go beyond connections (MQTT 5 section 4.1): the table inside [`Sessions`] knows each
//! client identifier across its connections, and keeps the exchanges of a persistent session
//! until a later connection goes on with them.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod alias;
mod connection;
mod exchange;
mod handshake;
mod mostly_one;
mod order;
mod packet;
mod record;
mod rules;
mod small_map;
mod store;
mod subscription;
#[cfg(test)]
mod tests;
mod violation;

use crate::mqtt::{FixedHeader, Parsed};
use crate::time::Timestamp;

pub use connection::{
    ConnackFacts, ConnectFacts, ConnectionFacts, ConnectionState, LevelBasis, SpareMemory,
    WillFacts,
};
pub use exchange::ExchangeOutcome;
pub(crate) use mostly_one::MostlyOne;
pub use record::{DelayKind, ExchangeRecord, Grant, Observer, SessionRecord, SubscriptionRecord};
pub use small_map::SmallMap;
pub use store::{DroppedState, SessionLimits, Sessions};
pub use violation::{SessionViolation, SessionViolations};

/// Which way a control packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Towards {
    /// From a client to the broker.
    Broker,
    /// From the broker to a client.
    Client,
}

impl Towards {
    /// The opposite way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Broker => Self::Client,
            Self::Client => Self::Broker,
        }
    }

    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broker => "to_broker",
            Self::Client => "to_client",
        }
    }
}

/// One value for each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerWay<T> {
    /// Of what goes to the broker.
    pub to_broker: T,
    /// Of what goes to the client.
    pub to_client: T,
}

impl<T> PerWay<T> {
    /// The value of one way.
    pub const fn get(&self, towards: Towards) -> &T {
        match towards {
            Towards::Broker => &self.to_broker,
            Towards::Client => &self.to_client,
        }
    }

    /// The value of one way, to be changed.
    pub const fn get_mut(&mut self, towards: Towards) -> &mut T {
        match towards {
            Towards::Broker => &mut self.to_broker,
            Towards::Client => &mut self.to_client,
        }
    }
}

/// When and where a packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketTimes {
    /// When its first byte was first seen.
    pub first: Timestamp,
    /// When the stream was whole up to its last byte.
    pub last: Timestamp,
}

/// A packet of a connection, parsed.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Which way it goes.
    pub towards: Towards,
    /// When it was seen.
    pub times: PacketTimes,
    /// Its fixed header.
    pub header: FixedHeader,
    /// What its bytes say.
    pub parsed: &'a Parsed<'a>,
    /// XXH3-64 of a PUBLISH's payload, if all of it was there.
    pub payload_hash: Option<u64>,
}

/// What a caller attaches to an exchange, and gets back with each of its later packets, also on a
/// connection that resumes it. This layer does not look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Number of a message.
    pub message: u64,
    /// When a packet was seen.
    pub times: PacketTimes,
    /// A place in some table.
    pub place: u32,
    /// Tells whether the place still holds what it held.
    pub serial: u32,
    /// A QoS.
    pub qos: u8,
}

/// What [`Sessions::packet`] made of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// The rules that it breaks.
    pub violations: SessionViolations,
    /// A PUBLISH that is one more transmission of an exchange in flight.
    pub repeated: bool,
    /// How often that PUBLISH was sent by now, if all of its exchange was on this connection;
    /// else 0.
    pub transmissions: u32,
    /// The tag of the exchange to which it belongs.
    pub tag: Option<Tag>,
}
