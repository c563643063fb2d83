//! QoS 1 and QoS 2 exchanges in flight, keyed by who started them and the packet identifier.

use std::collections::HashMap;
use std::hint::cold_path;

use crate::memory::prefetch;
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
    /// One of its packets was sent again.
    pub(super) repeated: bool,
    /// See [`super::order::Order`]; 0 where it is not known.
    pub(super) order: u32,
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
            repeated: false,
            order: 0,
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
            uncertain: false,
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

/// The exchanges in flight of all connections, in one place: there are few at a time, so what is
/// known of them stays close at hand whatever the number of connections.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    exchanges: Vec<Exchange>,
    free: Vec<u32>,
}

impl InFlight {
    pub(super) fn insert(&mut self, exchange: Exchange) -> u32 {
        if let Some(index) = self.free.pop()
            && let Some(place) = self.exchanges.get_mut(index as usize)
        {
            *place = exchange;
            return index;
        }
        cold_path();
        self.exchanges.push(exchange);
        u32::try_from(self.exchanges.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Exchange> {
        self.exchanges.get(index as usize)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Exchange> {
        self.exchanges.get_mut(index as usize)
    }

    /// Frees a place; hands out the topic that stood there.
    pub(super) fn release(&mut self, index: u32) -> Vec<u8> {
        self.free.push(index);
        self.get_mut(index)
            .map(|exchange| std::mem::take(&mut exchange.topic))
            .unwrap_or_default()
    }

    pub(super) fn take(&mut self, index: u32) -> Option<Exchange> {
        let exchange = self.get(index)?.clone();
        self.release(index);
        Some(exchange)
    }
}

/// Exchanges of one side of a connection that are found without going elsewhere.
const FEW: usize = 4;

/// The exchanges that one side of a connection started: where they stand in [`InFlight`], by
/// packet identifier.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    /// 0, which is no packet identifier, for none.
    packet_ids: [u16; FEW],
    indexes: [u32; FEW],
    /// All of them, once they are more than a few.
    #[expect(clippy::box_collection)] // One word where there are few.
    many: Option<Box<HashMap<u16, u32, foldhash::fast::RandomState>>>,
}

impl Exchanges {
    #[inline]
    pub(super) fn find(&self, packet_id: u16) -> Option<u32> {
        if let Some(many) = &self.many {
            cold_path();
            return many.get(&packet_id).copied();
        }
        let known = self.packet_ids.iter().zip(&self.indexes);
        known
            .filter(|&(&known, _)| known == packet_id)
            .map(|(_, &index)| index)
            .next()
    }

    /// Asks for both ends.
    #[inline]
    pub(super) fn touch(&self) {
        prefetch(&self.packet_ids);
        prefetch(&self.many);
    }

    /// Adds one with an identifier that is not in use.
    #[inline]
    pub(super) fn insert(&mut self, packet_id: u16, index: u32) {
        let mut places = self.packet_ids.iter_mut().zip(&mut self.indexes);
        match (&mut self.many, places.find(|(known, _)| **known == 0)) {
            (None, Some((known, place))) => (*known, *place) = (packet_id, index),
            (Some(many), _) => {
                cold_path();
                many.insert(packet_id, index);
            }
            (None, None) => {
                cold_path();
                let mut many: Box<HashMap<_, _, _>> = Box::new(self.drain().collect());
                many.insert(packet_id, index);
                self.many = Some(many);
            }
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, packet_id: u16) -> Option<u32> {
        if let Some(many) = &mut self.many {
            cold_path();
            let index = many.remove(&packet_id);
            if many.is_empty() {
                self.many = None;
            }
            return index;
        }
        let mut places = self.packet_ids.iter_mut().zip(&self.indexes);
        let (known, &index) = places.find(|(known, _)| **known == packet_id)?;
        *known = 0;
        Some(index)
    }

    pub(super) fn len(&self) -> usize {
        match &self.many {
            Some(many) => many.len(),
            None => self.packet_ids.iter().filter(|&&known| known != 0).count(),
        }
    }

    /// Takes all of them.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u16, u32)> + use<> {
        let Self {
            packet_ids,
            indexes,
            many,
        } = std::mem::take(self);
        let few = packet_ids.into_iter().zip(indexes);
        few.filter(|&(known, _)| known != 0)
            .chain(many.into_iter().flat_map(|many| *many))
    }
}

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Few or many, it is a map.
        #[test]
        fn exchanges_are_a_map(
            steps in prop::collection::vec((any::<bool>(), 1_u16..12, any::<u32>()), 0..100),
        ) {
            let (mut exchanges, mut map) = (Exchanges::default(), BTreeMap::new());
            for (insert, packet_id, index) in steps {
                if insert && !map.contains_key(&packet_id) {
                    exchanges.insert(packet_id, index);
                    map.insert(packet_id, index);
                } else {
                    prop_assert_eq!(exchanges.remove(packet_id), map.remove(&packet_id));
                }
                prop_assert_eq!(exchanges.len(), map.len());
                for packet_id in 1..12 {
                    prop_assert_eq!(exchanges.find(packet_id), map.get(&packet_id).copied());
                }
            }
            prop_assert_eq!(exchanges.drain().collect::<BTreeMap<_, _>>(), map);
            prop_assert_eq!(exchanges.len(), 0);
        }
    }
}
