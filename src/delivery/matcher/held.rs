//! Messages that may be the will of a client whose connection is still open.
//!
//! A broker that gives a client up publishes its will first and closes the connection after it,
//! or only then sees it closed. So what is like the will of somebody connected waits a moment: is
//! the connection closed by then, it was the will.

use crate::time::{TimeDelta, Timestamp};

use super::super::wills::WillKey;
use super::super::{Basis, DeliveryOutcome, DeliveryRecord, Observer};
use super::outbound::missing;
use super::{Deliveries, To};

/// How long it waits, at most.
const PATIENCE: TimeDelta = TimeDelta::from_secs(1);
/// How many wait, and the longest topic of one; others are told of at once.
const MOST: usize = 4_096;
const LONGEST_TOPIC: usize = 1_024;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Held {
    key: WillKey,
    subscriber: Box<[u8]>,
    topic: Box<[u8]>,
    number: Option<u64>,
    qos: u8,
    received: Timestamp,
    payload_hash: Option<u64>,
    connection: u64,
    tap: u16,
}

impl Deliveries {
    /// Keeps what came for a while if it is like the will of a client that is connected; `false`
    /// if it is not, or there is no room.
    pub(super) fn hold(&mut self, to: To<'_>, key: WillKey) -> bool {
        let seen = to.seen;
        let topic = seen.topic.unwrap_or_default();
        if self.held.len() >= MOST || topic.len() > LONGEST_TOPIC || !self.wills.is_open(key) {
            return false;
        }
        self.held.push_back(Held {
            key,
            subscriber: self.parties.name(to.party).into(),
            topic: topic.into(),
            number: seen.number,
            qos: seen.publish.qos,
            received: seen.times.last,
            payload_hash: seen.payload_hash,
            connection: seen.state.facts.number,
            tap: seen.state.facts.tap,
        });
        true
    }

    /// Tells of what waited long enough; `all`: of everything.
    pub(super) fn tell_held<O: Observer>(&mut self, all: bool, observer: &mut O) {
        let patience = PATIENCE.min(self.twice);
        while let Some(held) = self.held.front()
            && (all || self.now - held.received >= patience)
            && let Some(held) = self.held.pop_front()
        {
            let will = self
                .wills
                .find(held.key, held.received, held.received + patience);
            let will_of = will
                .as_ref()
                .filter(|will| !will.seen)
                .and_then(|will| will.session);
            let publisher = will.map(|will| {
                will.seen = true;
                &*will.name
            });
            observer.delivery(&DeliveryRecord {
                publisher,
                will_of,
                delivered_message: held.number,
                topic: Some(&held.topic),
                qos_delivered: Some(held.qos),
                qos: held.qos,
                received: Some(held.received),
                outcome: DeliveryOutcome::Delivered,
                basis: Basis::Observed,
                payload_hash: held.payload_hash,
                connection: Some(held.connection),
                ..missing(&held.subscriber, held.tap)
            });
        }
    }
}
