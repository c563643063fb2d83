//! QoS 1 and QoS 2 exchanges in flight, keyed by who started them and the packet identifier.

use std::collections::HashMap;

use crate::time::Timestamp;

use super::record::ExchangeRecord;
use super::{PacketTimes, Tag, Towards};

/// How an exchange ended, or where it stood when the connection or the capture ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExchangeOutcome {
    /// The capture began, or has a gap, within the exchange, so its course is not known.
    Unknown,
    /// Refused with a reason code of 128 or more.
    Rejected,
    /// Acknowledged to its end.
    Complete,
    /// Goes on in a later connection.
    Resumed,
    /// The connection ended first.
    Interrupted,
    /// QoS 1: no PUBACK was seen before the capture ended.
    Unacknowledged,
    /// QoS 2: no PUBREC was seen.
    AwaitingPubrec,
    /// QoS 2: PUBREC, but no PUBREL was seen.
    AwaitingPubrel,
    /// QoS 2: PUBREL, but no PUBCOMP was seen.
    AwaitingPubcomp,
}

impl ExchangeOutcome {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Complete => "complete",
            Self::Resumed => "resumed",
            Self::Interrupted => "interrupted",
            Self::Unacknowledged => "unacknowledged",
            Self::AwaitingPubrec => "awaiting_pubrec",
            Self::AwaitingPubrel => "awaiting_pubrel",
            Self::AwaitingPubcomp => "awaiting_pubcomp",
        }
    }
}

/// An exchange in flight.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) topic: Vec<u8>,
    pub(super) payload: (Option<u32>, Option<u64>),
    pub(super) qos: u8,
    pub(super) transmissions: u32,
    /// First byte of the first PUBLISH.
    pub(super) publish: Option<Timestamp>,
    pub(super) puback: Option<Timestamp>,
    pub(super) pubrec: Option<PacketTimes>,
    pub(super) pubrel: Option<PacketTimes>,
    pub(super) pubcomp: Option<Timestamp>,
    pub(super) reason_code: Option<u8>,
    /// The connection's count of gaps when it began.
    pub(super) gaps: u32,
    /// Its beginning was not seen.
    pub(super) headless: bool,
    /// The connection on which it stood when it was carried over to this one.
    pub(super) carried_from: Option<u64>,
    pub(super) tag: Option<Tag>,
}

impl Exchange {
    pub(super) const fn new(
        qos: u8,
        topic: Vec<u8>,
        payload: (Option<u32>, Option<u64>),
        gaps: u32,
    ) -> Self {
        Self {
            topic,
            payload,
            qos,
            transmissions: 0,
            publish: None,
            puback: None,
            pubrec: None,
            pubrel: None,
            pubcomp: None,
            reason_code: None,
            gaps,
            headless: false,
            carried_from: None,
            tag: None,
        }
    }

    /// Where it stands. `ended`: the connection is over; `gaps`: the connection's count now.
    pub(super) fn outcome(&self, gaps: u32, ended: bool) -> ExchangeOutcome {
        let finished = self.puback.is_some() || self.pubcomp.is_some();
        if self.headless || (!finished && gaps > self.gaps) {
            ExchangeOutcome::Unknown
        } else if self.reason_code.is_some_and(|code| code >= 0x80) {
            ExchangeOutcome::Rejected
        } else if finished {
            ExchangeOutcome::Complete
        } else if ended {
            ExchangeOutcome::Interrupted
        } else if self.qos == 1 {
            ExchangeOutcome::Unacknowledged
        } else if self.pubrel.is_some() {
            ExchangeOutcome::AwaitingPubcomp
        } else if self.pubrec.is_some() {
            ExchangeOutcome::AwaitingPubrel
        } else {
            ExchangeOutcome::AwaitingPubrec
        }
    }

    pub(super) fn record(&self, place: Place, outcome: ExchangeOutcome) -> ExchangeRecord<'_> {
        ExchangeRecord {
            connection: place.connection,
            tap: place.tap,
            towards: place.towards,
            packet_id: place.packet_id,
            qos: self.qos,
            topic: &self.topic,
            transmissions: self.transmissions,
            publish: self.publish,
            puback: self.puback,
            pubrec: self.pubrec.map(|times| times.last),
            pubrel: self.pubrel.map(|times| times.last),
            pubcomp: self.pubcomp,
            outcome,
            reason_code: self.reason_code,
        }
    }
}

/// Whose exchange it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) connection: u64,
    pub(super) tap: u16,
    pub(super) towards: Towards,
    pub(super) packet_id: u16,
}

/// The exchanges that one side of a connection started.
pub(super) type Exchanges = HashMap<u16, Exchange, foldhash::fast::RandomState>;

/// The topics of exchanges in flight: how many bytes they take, and spare memory of finished ones,
/// so that a message costs no allocation.
#[derive(Debug, Default)]
pub(super) struct TopicPool {
    spare: Vec<Vec<u8>>,
    /// Bytes of topics taken and not given back.
    lent: usize,
}

impl TopicPool {
    const KEPT: usize = 4096;
    const KEPT_CAPACITY: usize = 256;

    /// Bytes of topics of exchanges that are not finished.
    pub(super) const fn lent(&self) -> usize {
        self.lent
    }

    pub(super) fn take(&mut self, topic: &[u8]) -> Vec<u8> {
        self.lent = self.lent.saturating_add(topic.len());
        let mut spare = self.spare.pop().unwrap_or_default();
        spare.extend_from_slice(topic);
        spare
    }

    pub(super) fn give(&mut self, mut topic: Vec<u8>) {
        self.lent = self.lent.saturating_sub(topic.len());
        if self.spare.len() < Self::KEPT && topic.capacity() <= Self::KEPT_CAPACITY {
            topic.clear();
            self.spare.push(topic);
        }
    }
}
