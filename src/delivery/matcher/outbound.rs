//! Messages to receivers: which message they are.

use crate::mqtt::Altered;
use crate::mqtt::topic::name_hash_within;
use crate::session::{PacketTimes, Tag};
use crate::time::{TimeDelta, Timestamp};

use super::super::message::{Expectation, Message, Origin, Stage, prefix};
use super::super::party::{Parties, Party};
use super::super::queue::Equal;
use super::super::slab::{NONE, Slab};
use super::super::topic::{Stream, Topic};
use super::super::wills::WillKey;
use super::super::{Basis, DeliveryOutcome, DeliveryRecord, Observer, Seen};
use super::choose::choose;
use super::{Deliveries, Fit, Found, Slot, TELLING_PAYLOAD, TOPICLESS, To, recent_place};

impl Deliveries {
    pub(super) fn outbound<O: Observer>(
        &mut self,
        seen: &Seen<'_>,
        observer: &mut O,
    ) -> Option<Tag> {
        let index = self.enter(seen.state);
        let place = self.party(index, seen.state);
        if place == NONE {
            self.dropped.not_followed += 1;
            return None;
        }
        let slot = self.slot(index);
        let to = To {
            party: place,
            unknown: slot.unknown,
            seen,
            visible: prefix(seen.publish.payload),
        };
        if seen.repeated {
            if let Some(tag) = &seen.tag {
                self.duplicate(to, tag, observer);
            }
            return None;
        }
        let length = seen.publish.payload_length?;
        let serial = self.brokers.serial(slot.broker);
        let Some(name) = seen.topic else {
            let found = self.find_by_payload(to, length);
            return self.pair_or_observe(to, found, None, observer);
        };
        let hash = name_hash_within(serial, seen.topic_hash);
        if seen.publish.retain && !self.may_be_retained_copy(slot, place, name, seen) {
            // [MQTT-3.3.1-8, -9; 3.1.1] a retained message, sent because of a new subscription.
            return None;
        }
        let key = self.key(hash, length, seen.payload_hash);
        if let Some(found) = self.find(to, key) {
            return Some(self.pair(to, found, observer));
        }
        if seen.publish.retain {
            return None;
        }
        if let Some(tag) = self.pair_recent(to, key, hash, observer) {
            return Some(tag);
        }
        if let Some(found) = self.find_topicless(to, length) {
            return Some(self.pair(to, found, observer));
        }
        let will = seen.payload_hash.map(|payload_hash| WillKey {
            topic_hash: hash,
            payload_length: length,
            payload_hash,
        });
        self.pair_or_observe(to, None, will, observer)
    }

    /// A PUBLISH with RETAIN is a message that passes through only where the subscription says
    /// Retain As Published.
    fn may_be_retained_copy(
        &mut self,
        slot: Slot,
        place: u32,
        name: &[u8],
        seen: &Seen<'_>,
    ) -> bool {
        if !seen.state.level.is_v5() {
            return false;
        }
        let topic = self.topic(slot.broker, name, seen.topic_hash);
        let Some(topic) = topic.and_then(|topic| self.topics.slab.get(topic)) else {
            return false;
        };
        let known = |party: u32| {
            let found = topic
                .receivers
                .binary_search_by_key(&party, |receiver| receiver.party);
            found.ok().and_then(|index| topic.receivers.get(index))
        };
        let groups = self
            .parties
            .get(place)
            .map_or(&[][..], |party| &party.groups);
        let mut own = std::iter::once(place).chain(groups.iter().copied());
        let mut any = false;
        let keeps = own.any(|party| {
            known(party).is_some_and(|receiver| {
                any = true;
                receiver.retain_as_published
            })
        });
        keeps || (!any && slot.unknown)
    }

    fn fit(
        messages: &Slab<Message>,
        parties: &Parties,
        twice: TimeDelta,
        to: To<'_>,
        place: u32,
    ) -> Fit {
        let Some(message) = messages.get(place) else {
            return Fit::No;
        };
        let at = to.seen.times.last;
        if !message.has_payload(to.seen.payload_hash, to.visible) {
            return Fit::Other;
        }
        let in_time = |expectation: &Expectation| {
            parties
                .get(expectation.party)
                .is_some_and(|party| party.clock(at) - expectation.clock() <= twice)
        };
        let own = message.expectation(to.party);
        if let Some(expectation) = own {
            if expectation.takes() && in_time(expectation) {
                return Fit::Expected(to.party);
            }
            if expectation.stage == Stage::OVER {
                return Fit::No;
            }
        }
        let groups = parties.get(to.party).map_or(&[][..], |party| &party.groups);
        for &group in groups {
            if let Some(expectation) = message.expectation(group)
                && expectation.takes()
                && in_time(expectation)
            {
                return Fit::Expected(group);
            }
        }
        let live = !to.seen.publish.retain && at - message.publish <= twice;
        if own.is_none() && live {
            Fit::Unexpected
        } else {
            Fit::No
        }
    }

    /// The message that a packet is.
    fn find(&mut self, to: To<'_>, key: u64) -> Option<Found> {
        let Self {
            by_key,
            messages,
            parties,
            twice,
            ..
        } = self;
        let fit = |place| Self::fit(messages, parties, *twice, to, place);
        match by_key.get_mut(key)? {
            Equal::One(place) => {
                let party = match fit(place) {
                    Fit::No | Fit::Other => return None,
                    Fit::Unexpected => NONE,
                    Fit::Expected(party) => party,
                };
                Some(Found {
                    place,
                    party,
                    candidates: 1,
                })
            }
            Equal::Many(queue) => {
                let usual = parties.get(to.party).and_then(Party::usual);
                let age = |place: u32| {
                    messages
                        .get(place)
                        .map_or(TimeDelta::ZERO, |m| to.seen.times.last - m.publish)
                };
                // What a broker has to pass on tells equal messages apart.
                let forwarded = to.seen.forwarded();
                let is_same = |place| {
                    let message: Option<&Message> = messages.get(place);
                    message.is_some_and(|message| message.forwarded() == forwarded)
                };
                let fit_exactly = |place| match fit(place) {
                    Fit::Expected(_) | Fit::Unexpected if !is_same(place) => Fit::Other,
                    fit => fit,
                };
                let exact = (!forwarded.is_empty())
                    .then(|| choose(queue, to.party, usual, fit_exactly, age))
                    .flatten();
                exact.or_else(|| choose(queue, to.party, usual, fit, age))
            }
        }
    }

    /// Without a topic a message is known by its payload alone, if that is long and unique.
    fn find_by_payload(&self, to: To<'_>, length: u32) -> Option<Found> {
        if length < TELLING_PAYLOAD || to.seen.payload_hash.is_none() {
            return None;
        }
        let fitting = |&young: &(u32, u32)| {
            let place = young.0;
            let message = self.young(young)?;
            let same =
                message.payload_length == length && message.payload_hash() == to.seen.payload_hash;
            match Self::fit(&self.messages, &self.parties, self.twice, to, place) {
                _ if !same => None,
                Fit::No | Fit::Other => None,
                Fit::Unexpected => Some((place, NONE)),
                Fit::Expected(party) => Some((place, party)),
            }
        };
        let mut found = self.young.iter().rev().take(TOPICLESS).filter_map(fitting);
        let (place, party) = found.next()?;
        found.next().is_none().then_some(Found {
            place,
            party,
            candidates: 1,
        })
    }

    /// A message to the broker whose topic is not known.
    fn find_topicless(&self, to: To<'_>, length: u32) -> Option<Found> {
        if self.topicless.is_empty() || length < TELLING_PAYLOAD {
            return None;
        }
        let mut fitting = self.topicless.iter().filter_map(|&(place, id)| {
            let message = self.messages.get(place)?;
            let same = message.id == id
                && message.payload_length == length
                && message.payload_hash().is_some()
                && message.payload_hash() == to.seen.payload_hash;
            let fit = Self::fit(&self.messages, &self.parties, self.twice, to, place);
            (same && !matches!(fit, Fit::No | Fit::Other)).then_some(place)
        });
        let place = fitting.next()?;
        fitting.next().is_none().then_some(Found {
            place,
            party: NONE,
            candidates: 1,
        })
    }

    fn pair_or_observe<O: Observer>(
        &mut self,
        to: To<'_>,
        found: Option<Found>,
        will: Option<WillKey>,
        observer: &mut O,
    ) -> Option<Tag> {
        if let Some(found) = found {
            return Some(self.pair(to, found, observer));
        }
        let now = self.now;
        if let Some(key) = will
            && self.wills.find(key, now, now).is_none()
            && self.hold(to, key)
        {
            return Some(UNMATCHED);
        }
        let will = will.and_then(|key| self.wills.find(key, now, now));
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
            basis: Basis::Observed,
            will_of,
            ..came(to, self.parties.name(to.party))
        });
        Some(UNMATCHED)
    }

    /// A copy of what the receiver was sent before.
    fn duplicate<O: Observer>(&mut self, to: To<'_>, tag: &Tag, observer: &mut O) {
        let matched = tag.qos != u8::MAX;
        let publisher = self
            .parties
            .get(tag.place)
            .filter(|party| matched && party.serial == tag.serial)
            .map(|party| &*party.name);
        let published = matched.then_some(tag.times);
        observer.delivery(&DeliveryRecord {
            message: Some(tag.message).filter(|&number| number > 0),
            publisher,
            qos_published: matched.then_some(tag.qos),
            publish: published.map(|times| times.first),
            delay: published.map(|times| to.seen.times.last - times.first),
            turnaround: published.map(|times| to.seen.times.first - times.last),
            outcome: DeliveryOutcome::Duplicate,
            basis: if matched {
                Basis::Subscribed
            } else {
                Basis::Observed
            },
            ..came(to, self.parties.name(to.party))
        });
    }

    /// A message that nobody was expected to get: its packet and somebody's SUBSCRIBE crossed.
    fn pair_recent<O: Observer>(
        &mut self,
        to: To<'_>,
        key: u64,
        topic_hash: u64,
        observer: &mut O,
    ) -> Option<Tag> {
        // A payload that was cut says too little here.
        let hash = to.seen.payload_hash?;
        let recent = self.recent.get_mut(recent_place(hash))?.as_mut()?;
        let delay = to.seen.times.last - recent.publish;
        if recent.key != key || recent.taken_by == to.party || delay > self.twice {
            return None;
        }
        recent.taken_by = to.party;
        let recent = *recent;
        let publisher = self
            .parties
            .get(recent.publisher)
            .filter(|party| party.serial == recent.publisher_serial)
            .map(|party| &*party.name);
        let turnaround = to.seen.times.first - recent.whole;
        let at_broker = recent.at_broker && to.seen.at_broker;
        observer.delivery(&DeliveryRecord {
            message: recent.number,
            publisher,
            qos_published: Some(recent.qos),
            publish: Some(recent.publish),
            delay: Some(delay),
            turnaround: Some(turnaround),
            residence: at_broker.then_some(turnaround),
            outcome: self.punctuality(delay),
            basis: if to.unknown {
                Basis::Inferred
            } else {
                Basis::Subscribed
            },
            candidates: Some(1),
            ..came(to, self.parties.name(to.party))
        });
        if to.unknown
            && let Some(topic) = self.topics.find(topic_hash)
        {
            self.follow(to, topic, NONE, recent.id, observer);
        }
        Some(Tag {
            message: recent.number.unwrap_or(0),
            times: PacketTimes {
                first: recent.publish,
                last: recent.whole,
            },
            place: recent.publisher,
            serial: recent.publisher_serial,
            qos: recent.qos,
        })
    }

    pub(super) fn punctuality(&self, elapsed: TimeDelta) -> DeliveryOutcome {
        if elapsed <= self.deadline {
            DeliveryOutcome::Delivered
        } else {
            DeliveryOutcome::Late
        }
    }

    fn pair<O: Observer>(&mut self, to: To<'_>, found: Found, observer: &mut O) -> Tag {
        let at = to.seen.times.last;
        let mut tag = UNMATCHED;
        let Some(message) = self.messages.get_mut(found.place) else {
            return tag;
        };
        let delay = at - message.publish;
        let mut elapsed = delay;
        let (mut basis, mut further) = (Basis::Subscribed, false);
        let (mut qos, mut copies) = (to.seen.publish.qos, 1);
        let group = self.parties.get(found.party);
        if let (Some(expectation), Some(party)) = (message.expectation_mut(found.party), group) {
            elapsed = party.clock(at) - expectation.clock();
            let left = expectation.origin() == Origin::Away || expectation.epoch != party.epoch;
            basis = match (left, expectation.origin() == Origin::Inferred) {
                (true, _) => Basis::Queued,
                (false, true) => Basis::Inferred,
                (false, false) => Basis::Subscribed,
            };
            (qos, copies) = (expectation.qos(), expectation.copies);
            further = expectation.stage.times() > 0;
            expectation.stage = expectation.stage.again();
            if !further {
                message.open = message.open.saturating_sub(1);
                self.awaited = self.awaited.saturating_sub(1);
            }
        } else {
            if to.unknown {
                basis = Basis::Inferred;
            }
            let since = (to.party, 0, TimeDelta::ZERO);
            let mut expectation = Expectation::new(since, qos, 1, Origin::Inferred);
            expectation.stage = Stage::CAME;
            message.add(expectation);
            self.parties.hold(to.party);
            self.expectations += 1;
        }
        let (message_id, topic, done) = (
            message.id,
            message.topic,
            message.open == 0 && !message.keep,
        );
        let outcome = self.punctuality(elapsed);
        let Some(message) = self.messages.get(found.place) else {
            return tag;
        };
        let turnaround = to.seen.times.first - message.whole;
        let since = message.since(to.seen.times.first);
        let at_broker = message.at_broker() && to.seen.at_broker;
        let publisher = self.parties.get(message.publisher);
        tag = Tag {
            message: message.number().unwrap_or(0),
            times: PacketTimes {
                first: message.publish,
                last: message.whole,
            },
            place: message.publisher,
            serial: publisher.map_or(0, |party| party.serial),
            qos: message.qos,
        };
        observer.delivery(&DeliveryRecord {
            message: message.number(),
            publisher: publisher.map(|party| &*party.name),
            qos_published: Some(message.qos),
            qos,
            publish: Some(message.publish),
            delay: Some(delay),
            residence: at_broker.then(|| to.seen.times.first - since),
            turnaround: Some(turnaround),
            outcome,
            basis,
            candidates: Some(found.candidates),
            further_copy: further,
            copies,
            altered: match message.forwarded() {
                published if published.is_empty() => Altered::NONE,
                published if found.candidates == 1 && to.seen.state.level.is_v5() => {
                    published.altered(&to.seen.forwarded())
                }
                _ => Altered::NONE,
            },
            topic: to.seen.topic.or_else(|| {
                let topic = self.topics.slab.get(message.topic);
                topic.map(Topic::name)
            }),
            ..came(to, self.parties.name(to.party))
        });
        if found.candidates == 1
            && basis != Basis::Queued
            && let Some(party) = self.parties.get_mut(to.party)
        {
            party.learn(delay);
        }
        if to.unknown && topic != NONE {
            self.follow(to, topic, found.place, message_id, observer);
        }
        if done {
            self.free(found.place);
        }
        tag
    }

    /// A receiver of whose subscriptions nothing is known got a message: whatever was published
    /// on the topic since the one that it got before was meant for it too.
    fn follow<O: Observer>(
        &mut self,
        to: To<'_>,
        topic_place: u32,
        place: u32,
        id: u64,
        observer: &mut O,
    ) {
        let Some(topic) = self.topics.slab.get_mut(topic_place) else {
            return;
        };
        let told = topic.told();
        let Some(stream) = told.streams.get_mut(&to.party) else {
            let stream = Stream {
                latest: id,
                undecided: Vec::new(),
            };
            told.streams.insert(to.party, stream);
            if let Some(party) = self.parties.get_mut(to.party) {
                party.topics.push(topic_place);
            }
            return;
        };
        let latest = stream.latest;
        if id <= latest {
            return;
        }
        stream.latest = id;
        let undecided = std::mem::take(&mut stream.undecided);
        let name = self.parties.name(to.party);
        let receiver = self.parties.get(to.party);
        let lacks = |publish| receiver.is_some_and(|party| party.lacks(publish));
        for lost in undecided.iter().filter(|lost| lost.id < id) {
            let certain = lost.certain && !lacks(lost.publish);
            observer.delivery(&DeliveryRecord {
                message: lost.number,
                publisher: Some(&lost.publisher),
                qos_published: Some(lost.qos),
                qos: lost.qos,
                publish: Some(lost.publish),
                payload_hash: lost.payload_hash,
                topic: Some(topic.name()),
                outcome: if certain {
                    DeliveryOutcome::Lost
                } else {
                    DeliveryOutcome::Undetermined
                },
                basis: Basis::Inferred,
                ..missing(name, to.seen.state.facts.tap)
            });
        }
        let party = self.parties.get(to.party);
        let (epoch, clock) = party.map_or((0, TimeDelta::ZERO), |party| {
            (party.epoch, party.clock(self.now))
        });
        let mut before = self.messages.get(place).map_or((NONE, 0), Message::before);
        while before.1 > latest {
            let Some(message) = self.messages.get_mut(before.0) else {
                break;
            };
            if message.id != before.1 {
                break;
            }
            before = message.before();
            if message.refused || message.expectation(to.party).is_some() {
                continue;
            }
            let waited = self.now - message.publish;
            message.open = message.open.saturating_add(1);
            self.awaited = self.awaited.saturating_add(1);
            let clock = clock.as_nanos().saturating_sub(waited.as_nanos());
            let qos = message.qos.min(to.seen.publish.qos);
            let since = (to.party, epoch, TimeDelta::from_nanos(clock));
            message.add(Expectation::new(since, qos, 1, Origin::Inferred));
            self.parties.hold(to.party);
            self.expectations += 1;
        }
    }
}

/// The tag of what nobody was seen to publish.
const UNMATCHED: Tag = Tag {
    message: 0,
    times: PacketTimes {
        first: Timestamp::from_nanos(0),
        last: Timestamp::from_nanos(0),
    },
    place: NONE,
    serial: 0,
    qos: u8::MAX,
};

/// A record of what came, to be completed.
fn came<'a>(to: To<'a>, name: &'a [u8]) -> DeliveryRecord<'a> {
    let seen = to.seen;
    DeliveryRecord {
        delivered_message: seen.number,
        topic: seen.topic,
        qos_delivered: Some(seen.publish.qos),
        qos: seen.publish.qos,
        received: Some(seen.times.last),
        outcome: DeliveryOutcome::Delivered,
        payload_hash: seen.payload_hash,
        connection: Some(seen.state.facts.number),
        ..missing(name, seen.state.facts.tap)
    }
}

/// A record of what did not come, to be completed.
pub(super) const fn missing(subscriber: &[u8], tap: u16) -> DeliveryRecord<'_> {
    DeliveryRecord {
        message: None,
        publisher: None,
        subscriber,
        delivered_message: None,
        topic: None,
        qos_published: None,
        qos_delivered: None,
        qos: 0,
        publish: None,
        received: None,
        delay: None,
        residence: None,
        turnaround: None,
        outcome: DeliveryOutcome::Undetermined,
        basis: Basis::Subscribed,
        payload_hash: None,
        candidates: None,
        uncertain: false,
        further_copy: false,
        copies: 1,
        will_of: None,
        altered: Altered::NONE,
        connection: None,
        tap,
    }
}
