//! What the time decides.

use crate::time::{TimeDelta, Timestamp};

use super::super::message::{Expectation, Message, Origin, Stage};
use super::super::slab::Slab;
use super::super::topic::{Topic, Undecided};
use super::super::{Basis, DeliveryOutcome, DeliveryRecord, Observer};
use super::outbound::missing;
use super::{Deliveries, MOST_UNDECIDED};

impl Deliveries {
    /// Decides what the time has decided.
    pub fn tick<O: Observer>(&mut self, now: Timestamp, observer: &mut O) {
        self.advance(now);
        while let Some(&young) = self.young.front() {
            // What was delivered needs no place in the order of time any more.
            let message = self.young(young);
            if message.is_some_and(|message| message.publish + self.twice > self.now) {
                break;
            }
            let is_held = message.is_some();
            self.young.pop_front();
            if is_held {
                self.review(young.0, false, observer);
            }
        }
        while let Some(&(due, id, place)) = self.old.first() {
            if due > self.now {
                break;
            }
            self.old.pop_first();
            if self.holds(place, id) {
                self.review(place, false, observer);
            }
        }
        self.tell_held(false, observer);
        self.wills.forget_older(self.now);
    }

    /// A message in the order of time, unless it is gone.
    pub(super) fn young(&self, young: (u32, u32)) -> Option<&Message> {
        Self::young_of(&self.messages, young)
    }

    pub(super) fn young_of(messages: &Slab<Message>, (place, id): (u32, u32)) -> Option<&Message> {
        let message = messages.get(place)?;
        (message.id as u32 == id).then_some(message)
    }

    /// Decides what can be decided of a message; `last`: the capture is over.
    pub(super) fn review<O: Observer>(&mut self, place: u32, last: bool, observer: &mut O) {
        let Some(mut message) = self.messages.remove(place) else {
            return;
        };
        let (mut again, now) = (None::<TimeDelta>, self.now);
        let (id, publish) = (message.id, message.publish);
        let whole = message.payload_hash().is_some();
        let mut over = std::mem::take(&mut self.over);
        let mut open = 0_u32;
        for expectation in message.expectations_mut() {
            if expectation.stage != Stage::OPEN {
                continue;
            }
            let Some(party) = self.parties.get_mut(expectation.party) else {
                expectation.stage = Stage::OVER;
                continue;
            };
            let elapsed = party.clock(now) - expectation.clock();
            let outcome = if elapsed > self.twice || (elapsed == self.twice && !last) {
                let gap = party.lacks(publish);
                if gap || !whole {
                    DeliveryOutcome::Undetermined
                } else {
                    DeliveryOutcome::Lost
                }
            } else if !last && party.is_connected() {
                let left = self.twice - elapsed;
                again = Some(again.map_or(left, |other| other.min(left)));
                open = open.saturating_add(1);
                continue;
            } else if !last && (party.persistent || (party.is_group && party.joined > 0)) {
                if expectation.list(party.epoch) {
                    party.waiting.push((place, id));
                }
                open = open.saturating_add(1);
                continue;
            } else {
                DeliveryOutcome::Undetermined
            };
            expectation.stage = Stage::OVER;
            over.push((*expectation, outcome));
        }
        for (expectation, outcome) in over.drain(..) {
            self.report_over(&message, &expectation, outcome, observer);
        }
        self.over = over;
        self.awaited = self
            .awaited
            .saturating_sub(message.open as usize)
            .saturating_add(open as usize);
        message.open = open;
        message.keep = false;
        self.leave_undecided(&message);
        // Nothing else took the place meanwhile.
        let back = self.messages.insert(message);
        debug_assert_eq!(back, place, "a place is used again at once");
        if open == 0 {
            self.free(back);
        } else if let Some(left) = again {
            self.old
                .insert((now + left.max(TimeDelta::from_nanos(1)), id, back));
        }
    }

    pub(super) fn report_over<O: Observer>(
        &self,
        message: &Message,
        expectation: &Expectation,
        outcome: DeliveryOutcome,
        observer: &mut O,
    ) {
        let Some(party) = self.parties.get(expectation.party) else {
            return;
        };
        let basis = if expectation.origin() == Origin::Inferred {
            Basis::Inferred
        } else {
            Basis::Subscribed
        };
        let publisher = self.parties.get(message.publisher);
        observer.delivery(&DeliveryRecord {
            message: message.number(),
            publisher: publisher.map(|party| &*party.name),
            topic: self.topics.slab.get(message.topic).map(Topic::name),
            qos_published: Some(message.qos),
            qos: expectation.qos(),
            publish: Some(message.publish),
            payload_hash: message.payload_hash(),
            outcome,
            basis,
            ..missing(&party.name, party.tap)
        });
    }

    /// Remembers a message for receivers that may turn out to have been meant.
    fn leave_undecided(&mut self, message: &Message) {
        let topic = self.topics.slab.get_mut(message.topic);
        let Some(told) = topic.and_then(|topic| topic.told.as_mut()) else {
            return;
        };
        if told.streams.is_empty() || message.refused {
            return;
        }
        let publisher = self.parties.name(message.publisher);
        let parties: Vec<u32> = told.streams.iter().map(|(&party, _)| party).collect();
        for party in parties {
            if message.expectation(party).is_some() {
                continue;
            }
            if let Some(stream) = told.streams.get_mut(&party)
                && stream.latest < message.id
                && stream.undecided.len() < MOST_UNDECIDED
            {
                stream.undecided.push(Undecided {
                    id: message.id,
                    number: message.number(),
                    publisher: publisher.into(),
                    publish: message.publish,
                    qos: message.qos,
                    payload_hash: message.payload_hash(),
                    certain: message.payload_hash().is_some(),
                });
            }
        }
    }

    /// Gives a message up before its time.
    pub(super) fn give_up<O: Observer>(&mut self, place: u32, observer: &mut O) {
        if let Some(message) = self.messages.get(place) {
            let open = |expectation: &&Expectation| expectation.stage == Stage::OPEN;
            for expectation in message.expectations().filter(open) {
                self.report_over(
                    message,
                    expectation,
                    DeliveryOutcome::Undetermined,
                    observer,
                );
            }
        }
        self.free(place);
    }

    /// Forgets a message.
    pub(super) fn free(&mut self, place: u32) {
        let Some(message) = self.messages.remove(place) else {
            return;
        };
        self.awaited = self.awaited.saturating_sub(message.open as usize);
        if let Some(topic) = self.topics.slab.get_mut(message.topic) {
            topic.refs = topic.refs.saturating_sub(1);
            self.by_key.remove(message.key, (message.id, place));
        }
        let mut drop_ref = |party: u32| {
            if let Some(known) = self.parties.get_mut(party) {
                known.refs = known.refs.saturating_sub(1);
                if known.refs == 0 && !known.is_connected() {
                    self.release(party);
                }
            }
        };
        drop_ref(message.publisher);
        for expectation in message.expectations() {
            drop_ref(expectation.party);
        }
        let count = message.expectations().count();
        self.expectations = self.expectations.saturating_sub(count);
        self.brokers.leave(message.broker);
    }

    /// The capture is over.
    pub fn finish<O: Observer>(&mut self, observer: &mut O) {
        let mut left: Vec<(u64, u32)> = self
            .messages
            .iter()
            .map(|(place, message)| (message.id, place))
            .collect();
        left.sort_unstable();
        for (_, place) in left {
            self.review(place, true, observer);
        }
        self.young.clear();
        self.old.clear();
        self.tell_held(true, observer);
    }
}
