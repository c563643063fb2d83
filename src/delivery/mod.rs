//! Which message reached whom, how late, and where one was lost.
//!
//! [`Deliveries`] is told of every PUBLISH on its way to a broker and of every one that left it,
//! and of who subscribed to what. It expects each message at each of its receivers, pairs it with
//! the PUBLISH that brings it there, and gives up after twice the deadline. Two packets are the
//! same message where topic, payload length and the hash of the payload are equal; of several
//! equal messages their order and the times decide, and a record says how many it could have
//! been.
//!
//! A message is kept while a receiver is awaited: until it was delivered to all of them, or for
//! twice the deadline, of which only the time counts that the receiver is connected.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod broker;
mod filters;
mod matcher;
mod message;
mod party;
mod queue;
mod slab;
mod topic;
mod wills;

use crate::mqtt::{Altered, Forwarded, Publish};
use crate::session::{ConnectionState, PacketTimes, Tag, Towards};
use crate::time::{TimeDelta, Timestamp};

pub use matcher::{Deliveries, TopicHint};

/// What became of a message at one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryOutcome {
    /// Came within the deadline.
    Delivered,
    /// Came after the deadline, within twice of it.
    Late,
    /// Did not come within twice the deadline, although the receiver was connected.
    Lost,
    /// Came once more: a copy of what this receiver was already sent, in the same exchange.
    Duplicate,
    /// The capture, the connection or a gap ended the wait before it could be decided.
    Undetermined,
}

impl DeliveryOutcome {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Late => "late",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
            Self::Undetermined => "undetermined",
        }
    }
}

/// Why a message was expected at a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basis {
    /// Its SUBSCRIBE was seen and granted, on this connection or an earlier one of its session.
    Subscribed,
    /// It got messages of the topic before and after, or got this one; its SUBSCRIBE was not seen.
    Inferred,
    /// The broker kept it for a receiver that was away.
    Queued,
    /// It came, and nobody was seen to publish it.
    Observed,
}

impl Basis {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Inferred => "inferred",
            Self::Queued => "queued",
            Self::Observed => "observed",
        }
    }
}

/// A message and one of its receivers, decided.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryRecord<'a> {
    /// Number of the PUBLISH to the broker; none where it was not seen.
    pub message: Option<u64>,
    /// Who published it: client identifier, or address and port.
    pub publisher: Option<&'a [u8]>,
    /// The receiver: client identifier, address and port, or `$share/group/filter`.
    pub subscriber: &'a [u8],
    /// Number of the PUBLISH to the receiver.
    pub delivered_message: Option<u64>,
    /// The topic; none where an alias was never seen bound.
    pub topic: Option<&'a [u8]>,
    /// QoS of the PUBLISH to the broker.
    pub qos_published: Option<u8>,
    /// QoS of the PUBLISH to the receiver.
    pub qos_delivered: Option<u8>,
    /// QoS that was expected: the lower of published and granted; where nothing was granted that
    /// is known, the one delivered.
    pub qos: u8,
    /// First byte of the PUBLISH to the broker.
    pub publish: Option<Timestamp>,
    /// Last byte of the PUBLISH to the receiver.
    pub received: Option<Timestamp>,
    /// From the one to the other.
    pub delay: Option<TimeDelta>,
    /// The broker's own share, where the tap stands beside it.
    pub residence: Option<TimeDelta>,
    /// From the last byte in to the first byte out.
    pub turnaround: Option<TimeDelta>,
    /// What became of it.
    pub outcome: DeliveryOutcome,
    /// Why it was expected.
    pub basis: Basis,
    /// XXH3-64 of the payload, where all of it was seen.
    pub payload_hash: Option<u64>,
    /// How many messages, equal in topic and payload, the PUBLISH to the receiver could have
    /// been; counted up to [`Deliveries::MOST_CANDIDATES`].
    pub candidates: Option<u8>,
    /// A further copy, for a receiver with several filters that match.
    pub further_copy: bool,
    /// How many copies may come: as many as filters of the receiver match.
    pub copies: u8,
    /// The dead client's place in the table of sessions, where this is the first copy seen of its
    /// will.
    pub will_of: Option<u32>,
    /// The capture lost frames between its begin and its end.
    pub uncertain: bool,
    /// Properties of the PUBLISH to the broker that are missing in the one to the receiver, or say
    /// something else there (MQTT 5), where it can have been no other message.
    pub altered: Altered,
    /// Number of the receiver's connection; none where the message did not come.
    pub connection: Option<u64>,
    /// The tap.
    pub tap: u16,
}

impl DeliveryRecord<'_> {
    /// Whether its delays belong to the statistics: those of messages that were waiting for
    /// nobody, once each.
    #[must_use]
    pub fn measures(&self) -> bool {
        matches!(
            self.outcome,
            DeliveryOutcome::Delivered | DeliveryOutcome::Late
        ) && matches!(self.basis, Basis::Subscribed | Basis::Inferred)
    }
}

/// Takes what is decided.
pub trait Observer {
    /// A message at a receiver.
    fn delivery(&mut self, record: &DeliveryRecord<'_>);
}

/// A PUBLISH as the layers below see it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its connection, after it took the packet.
    pub state: &'a ConnectionState,
    /// Which way it goes.
    pub towards: Towards,
    /// When it was seen.
    pub times: PacketTimes,
    /// What it says.
    pub publish: &'a Publish<'a>,
    /// Its topic, with an alias resolved.
    pub topic: Option<&'a [u8]>,
    /// [`name_hash`](crate::mqtt::topic::name_hash) of the topic.
    pub topic_hash: u64,
    /// XXH3-64 of its payload, if all of it was there.
    pub payload_hash: Option<u64>,
    /// Its number in the tables, if it has one.
    pub number: Option<u64>,
    /// It is one more transmission of an exchange in flight.
    pub repeated: bool,
    /// What was attached to that exchange.
    pub tag: Option<Tag>,
    /// The tap stands beside the broker.
    pub at_broker: bool,
}

impl Seen<'_> {
    /// Properties that a broker has to pass on as they are.
    fn forwarded(&self) -> Forwarded {
        let properties = &self.publish.properties;
        if properties.is_empty() {
            Forwarded::default()
        } else {
            Forwarded::of(properties)
        }
    }
}

/// Bounds of the matching.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryLimits {
    /// Messages kept at once; beyond it the oldest is given up as undetermined.
    pub messages: usize,
    /// Receivers awaited at once, over all messages; beyond it new messages are not followed.
    pub expectations: usize,
    /// Topics kept at once; beyond it messages on new topics are not followed.
    pub topics: usize,
    /// Bytes of those topics.
    pub topic_bytes: usize,
    /// Publishers and receivers known at once; beyond it new ones are not followed.
    pub parties: usize,
    /// Topic filters and their levels kept; beyond it new ones are not followed.
    pub filters: usize,
    /// Wills remembered.
    pub wills: usize,
}

impl Default for DeliveryLimits {
    fn default() -> Self {
        Self {
            messages: 1_000_000,
            expectations: 4_000_000,
            topics: 200_000,
            topic_bytes: 64 << 20,
            parties: 1_000_000,
            filters: 1_000_000,
            wills: 100_000,
        }
    }
}

/// What had to be dropped to stay within [`DeliveryLimits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedDeliveries {
    /// Messages given up early.
    pub messages: u64,
    /// Messages that were not followed.
    pub not_followed: u64,
    /// Topic filters that were not followed.
    pub filters: u64,
    /// Wills that were not remembered.
    pub wills: u64,
}
