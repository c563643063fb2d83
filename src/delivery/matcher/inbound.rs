//! Messages to the broker: who shall get them.

use std::hash::BuildHasher;
use std::hint::cold_path;

use crate::mqtt::topic::name_hash_within;
use crate::session::{PacketTimes, Tag, Towards};
use crate::time::Timestamp;

use super::super::message::{Expectation, Message, Origin, Stage};
use super::super::slab::NONE;
use super::super::{Observer, Seen};
use super::{AHEAD, Deliveries, Recent, TELLING_PAYLOAD, TOPICLESS, recent_place};

/// So many messages that are gone may stand in the order of time however few are kept.
const YOUNG: usize = 4096;

impl Deliveries {
    /// Takes a PUBLISH, and tells what to attach to its exchange.
    pub fn publish<O: Observer>(&mut self, seen: &Seen<'_>, observer: &mut O) -> Option<Tag> {
        self.advance(seen.times.last);
        match seen.towards {
            Towards::Broker => self.inbound(seen, observer),
            Towards::Client => self.outbound(seen, observer),
        }
    }

    pub(super) fn key(&self, topic_hash: u64, length: u32, hash: Option<u64>) -> u64 {
        self.hasher.hash_one((topic_hash, length, hash))
    }

    fn inbound<O: Observer>(&mut self, seen: &Seen<'_>, observer: &mut O) -> Option<Tag> {
        let index = self.enter(seen.state);
        let slot = self.slot(index);
        let length = seen.publish.payload_length?;
        if seen.repeated {
            self.sent_again(index, slot.broker, seen, length);
            return None;
        }
        let Some(name) = seen.topic else {
            return self.inbound_without_topic(index, seen, length, observer);
        };
        let broker = self.brokers.slab.get(slot.broker)?;
        let uncertain = broker.uncertain > 0;
        let hash = name_hash_within(broker.serial, seen.topic_hash);
        let Some(topic_place) = self.topic(slot.broker, name, seen.topic_hash) else {
            cold_path();
            self.dropped.not_followed += 1;
            return None;
        };
        let key = self.key(hash, length, seen.payload_hash);
        let topic = self.topics.slab.get(topic_place)?;
        if topic.receivers.is_empty() && !uncertain {
            self.remember(index, seen, key);
            return None;
        }
        self.topics.keep_name(topic_place, name);
        let publisher = self.party(index, seen.state);
        let mut message = self.message(seen, key, publisher, slot.broker, length);
        message.keep = uncertain;
        message.topic = topic_place;
        self.expect(&mut message);
        if message.open == 0 && !uncertain {
            self.remember(index, seen, key);
            return None;
        }
        self.keep(message, observer)
    }

    /// The place of a topic with its present receivers; `None` where there is no room for it.
    pub(super) fn topic(&mut self, broker: u32, name: &[u8], name_hash: u64) -> Option<u32> {
        let broker = self.brokers.slab.get_mut(broker)?;
        let hash = name_hash_within(broker.serial, name_hash);
        let filters = &mut broker.filters;
        let bounds = (self.limits.topics, self.limits.topic_bytes);
        let place = self.topics.find_or_make(hash, name, filters, bounds)?;
        self.topics.renew(place, (name, name_hash), filters)?;
        Some(place)
    }

    fn message(
        &mut self,
        seen: &Seen<'_>,
        key: u64,
        publisher: u32,
        broker: u32,
        length: u32,
    ) -> Message {
        self.ids += 1;
        let mut message = Message::new(self.ids, key, seen, length);
        (message.broker, message.publisher) = (broker, publisher);
        message
    }

    /// Writes down who shall get a message.
    fn expect(&mut self, message: &mut Message) {
        let now = self.now;
        let Some(topic) = self.topics.slab.get(message.topic) else {
            return;
        };
        if self.expectations.saturating_add(topic.receivers.len()) > self.limits.expectations {
            self.dropped.not_followed += 1;
            return;
        }
        for (index, receiver) in topic.receivers.iter().enumerate() {
            if let Some(ahead) = topic.receivers.get(index.saturating_add(AHEAD)) {
                self.parties.slab.touch(ahead.party);
            }
            if receiver.no_local && receiver.party == message.publisher {
                continue;
            }
            let Some(party) = self.parties.get(receiver.party) else {
                continue;
            };
            let qos = message.qos.min(receiver.qos);
            let connected = party.is_connected();
            let stored = party.persistent || party.is_group;
            let expired = || party.away_until.is_some_and(|until| now > until);
            if !connected && (!stored || qos == 0 || expired()) {
                continue;
            }
            message.keep |= receiver.copies > 1;
            message.open = message.open.saturating_add(1);
            let origin = if connected {
                Origin::Connected
            } else {
                Origin::Away
            };
            let since = (receiver.party, party.epoch, party.clock(now));
            let expectation = Expectation::new(since, qos, receiver.copies, origin);
            let left = topic.receivers.len().saturating_sub(index);
            message.expect(expectation, left.saturating_sub(1));
        }
    }

    /// Takes a message among those that are kept.
    fn keep<O: Observer>(&mut self, message: Message, observer: &mut O) -> Option<Tag> {
        while self.messages.len() >= self.limits.messages {
            let Some(young) = self.young.pop_front() else {
                self.dropped.not_followed += 1;
                return None;
            };
            if self.young(young).is_some() {
                self.dropped.messages += 1;
                self.give_up(young.0, observer);
            }
        }
        for expectation in message.expectations() {
            self.parties.hold(expectation.party);
            self.expectations += 1;
        }
        self.parties.hold(message.publisher);
        self.brokers.hold(message.broker);
        let (id, key, topic) = (message.id, message.key, message.topic);
        let times = PacketTimes {
            first: message.publish,
            last: message.whole,
        };
        self.awaited = self.awaited.saturating_add(message.open as usize);
        let place = self.messages.insert(message);
        if let Some(topic) = self.topics.slab.get_mut(topic) {
            topic.refs = topic.refs.saturating_add(1);
            let told = topic.told();
            let before = (
                std::mem::replace(&mut told.latest_place, place),
                std::mem::replace(&mut told.latest, id),
            );
            if let Some(message) = self.messages.get_mut(place) {
                message.set_before(before);
            }
            let messages = &self.messages;
            let id_of = |place| messages.get(place).map_or(0, |message| message.id);
            self.by_key.push(key, (id, place), id_of);
        } else {
            if self.topicless.len() >= TOPICLESS {
                self.topicless.pop_front();
            }
            self.topicless.push_back((place, id));
        }
        let kept = self.messages.len().saturating_mul(4);
        if self.young.len() >= kept.saturating_add(YOUNG) {
            // Three of four at least are of messages that are gone.
            let messages = &self.messages;
            self.young
                .retain(|&young| Self::young_of(messages, young).is_some());
        }
        self.young.push_back((place, id as u32));
        Some(Tag {
            message: id,
            times,
            place,
            serial: 0,
            qos: 0,
        })
    }

    pub(super) fn holds(&self, place: u32, id: u64) -> bool {
        self.messages
            .get(place)
            .is_some_and(|message| message.id == id)
    }

    /// The alias of its topic was never seen bound.
    fn inbound_without_topic<O: Observer>(
        &mut self,
        index: usize,
        seen: &Seen<'_>,
        length: u32,
        observer: &mut O,
    ) -> Option<Tag> {
        if length < TELLING_PAYLOAD || seen.payload_hash.is_none() {
            return None;
        }
        let publisher = self.party(index, seen.state);
        let broker = self.slot(index).broker;
        let message = self.message(seen, 0, publisher, broker, length);
        self.keep(message, observer)
    }

    /// Sent again, it is the same message (section 4.4). At QoS 1 the broker may well pass on
    /// every copy (section 4.3.2), so one more may come to each receiver.
    fn sent_again(&mut self, index: usize, broker: u32, seen: &Seen<'_>, length: u32) {
        let held = seen.tag.and_then(|tag| {
            self.messages
                .get_mut(tag.place)
                .filter(|m| m.id == tag.message)
        });
        if let Some(message) = held {
            message.keep = true;
            for expectation in message.expectations_mut() {
                expectation.copies = expectation.copies.saturating_add(1);
            }
        } else if seen.topic.is_some() {
            let hash = name_hash_within(self.brokers.serial(broker), seen.topic_hash);
            let key = self.key(hash, length, seen.payload_hash);
            self.remember(index, seen, key);
        }
    }

    #[inline]
    fn remember(&mut self, index: usize, seen: &Seen<'_>, key: u64) {
        let publisher = self.party(index, seen.state);
        let serial = self.parties.get(publisher).map_or(0, |party| party.serial);
        self.ids += 1;
        let recent = Recent {
            key,
            id: self.ids,
            number: seen.number,
            publisher,
            publisher_serial: serial,
            // Of a message that was sent again, the first time counts.
            publish: seen.tag.map_or(seen.times.first, |tag| tag.times.first),
            whole: seen.times.last,
            qos: seen.publish.qos,
            at_broker: seen.at_broker,
            taken_by: NONE,
        };
        let Some(hash) = seen.payload_hash else {
            return;
        };
        if let Some(place) = self.recent.get_mut(recent_place(hash)) {
            *place = Some(recent);
        }
    }

    /// PUBREL of a message to the broker.
    pub fn released(&mut self, tag: &Tag, at: Timestamp) {
        if let Some(message) = self.messages.get_mut(tag.place)
            && message.id == tag.message
        {
            message.release(at);
        }
    }

    /// The broker refused a message with a reason code of 128 or more: nobody is expected to get
    /// it.
    pub fn refused(&mut self, tag: &Tag) {
        let Some(message) = self.messages.get_mut(tag.place) else {
            return;
        };
        if message.id != tag.message {
            return;
        }
        message.refused = true;
        self.awaited = self.awaited.saturating_sub(message.open as usize);
        message.open = 0;
        for expectation in message.expectations_mut() {
            if expectation.stage == Stage::OPEN {
                expectation.stage = Stage::OVER;
            }
        }
        if !message.keep {
            self.free(tag.place);
        }
    }
}
