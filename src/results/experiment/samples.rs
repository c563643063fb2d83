//! samples.csv.

use super::{Field, Texts, record};
use crate::results::{Cell, Formulas, Hash64};
use crate::time::{TimeDelta, Timestamp};
use std::sync::Arc;

/// How a message ended for one receiver: the first that applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It never left: no connection, no room in the window, or the end of the cell came first.
    #[default]
    NotWritten,
    /// The broker refused it with a reason code of 128 or more.
    Refused,
    /// Received within the deadline.
    Delivered,
    /// Received after the deadline, before the end of the cell's drain.
    Late,
    /// QoS 1 and 2: not received, and the broker never said that it had it.
    LostUnacknowledged,
    /// QoS 1 and 2: not received, although the broker said that it had it.
    LostAcknowledged,
    /// QoS 0: not received; nobody was asked to say more.
    LostUnconfirmed,
}

impl Outcome {
    /// All, in the order in which they are tried.
    pub const ALL: [Self; 7] = [
        Self::NotWritten,
        Self::Refused,
        Self::Delivered,
        Self::Late,
        Self::LostUnacknowledged,
        Self::LostAcknowledged,
        Self::LostUnconfirmed,
    ];

    /// Its place in [`Outcome::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }

    /// How many of some counts, in the order of [`Outcome::ALL`], ended so.
    #[must_use]
    pub const fn of(self, counts: &[u64; 7]) -> u64 {
        counts[self.place()]
    }

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotWritten => "not_written",
            Self::Refused => "refused",
            Self::Delivered => "delivered",
            Self::Late => "late",
            Self::LostUnacknowledged => "lost_unacknowledged",
            Self::LostAcknowledged => "lost_acknowledged",
            Self::LostUnconfirmed => "lost_unconfirmed",
        }
    }

    /// Whether the receiver got it, in time or not.
    #[must_use]
    pub const fn arrived(self) -> bool {
        matches!(self, Self::Delivered | Self::Late)
    }

    /// Whether it was written, not refused, and never came.
    #[must_use]
    pub const fn lost(self) -> bool {
        matches!(
            self,
            Self::LostUnacknowledged | Self::LostAcknowledged | Self::LostUnconfirmed
        )
    }
}

impl Cell for Outcome {
    fn write_to(&self, out: &mut Vec<u8>, formulas: Formulas) {
        self.name().write_to(out, formulas);
    }
}

impl Field for Outcome {
    fn from_cell(cell: &[u8], _: &mut Texts) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.name().as_bytes() == cell)
    }
}

record! {
    /// One message and one receiver; messages of the warm-up are left out.
    ///
    /// Times are readings of one monotonic clock plus one offset to the Unix epoch, taken at the
    /// start and never stepped.
    pub struct SampleRow in "samples.csv" {
        /// The number of the cell, as in cells.csv.
        pub cell: u32,
        /// The block that the cell is of, from 1.
        pub block: u32,
        /// The how manyth time the condition was measured, from 1.
        pub repetition: u32,
        /// The number of the message of its publisher and cell, from 0.
        pub sequence: u64,
        /// Client identifier of the publisher.
        pub publisher: Arc<str>,
        /// Client identifier of the receiver.
        pub subscriber: Arc<str>,
        /// The topic.
        pub topic: Arc<str>,
        /// QoS of the PUBLISH to the broker.
        pub qos: u8,
        /// QoS that the receiver asked for.
        pub qos_subscribed: u8,
        /// Length of the payload.
        pub payload_bytes: u64,
        /// XXH3-64 of the payload.
        pub payload_hash: Option<Hash64>,
        /// The publisher's link, where links are a factor.
        pub link: Option<Arc<str>>,
        /// When the schedule wanted it sent.
        pub planned_ns: Timestamp,
        /// Just before the first byte was written.
        pub sent_ns: Option<Timestamp>,
        /// After the last byte was written.
        pub written_ns: Option<Timestamp>,
        /// PUBACK read.
        pub puback_ns: Option<Timestamp>,
        /// PUBREC read.
        pub pubrec_ns: Option<Timestamp>,
        /// PUBREL written.
        pub pubrel_ns: Option<Timestamp>,
        /// PUBCOMP read.
        pub pubcomp_ns: Option<Timestamp>,
        /// The receiver had read all of it.
        pub received_ns: Option<Timestamp>,
        /// The receiver had written its PUBACK or PUBREC.
        pub subscriber_ack_ns: Option<Timestamp>,
        /// How it ended.
        pub outcome: Outcome,
        /// Further copies that the receiver got.
        pub duplicates: u32,
        /// received − planned.
        pub response_ns: Option<TimeDelta>,
        /// received − sent.
        pub service_ns: Option<TimeDelta>,
        /// sent − planned.
        pub send_lag_ns: Option<TimeDelta>,
        /// QoS 2: the receiver read the broker's PUBREL.
        pub subscriber_pubrel_ns: Option<Timestamp>,
        /// QoS 2: the receiver had written its PUBCOMP.
        pub subscriber_pubcomp_ns: Option<Timestamp>,
        /// QoS with which it came to the receiver.
        pub qos_received: Option<u8>,
        /// How often the publisher sent it again, with DUP.
        pub resent: u32,
        /// Copies on the wire that QoS 2 kept from the receiver's application.
        pub suppressed: u32,
        /// It came after one that was sent later (RFC 4737).
        pub reordered: bool,
    }
}
