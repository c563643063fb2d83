//! Connections, sessions and subscriptions, as far as the matching needs them.

use std::hint::cold_path;

use crate::memory::prefetch;
use crate::mqtt::topic::{SharedFilter, name_hash, name_hash_within};
use crate::mqtt::{Packet, ProtocolLevel};
use crate::session::{ConnectionState, Grant, PacketTimes, Towards};
use crate::time::{TimeDelta, Timestamp};

use super::super::filters::{Granted, has_wildcards};
use super::super::party::FilterName;
use super::super::slab::NONE;
use super::super::wills::{Will, WillKey};
use super::{Deliveries, Slot};

/// What the topic of a message is asked for by, ahead.
#[derive(Clone, Copy, Debug)]
pub struct TopicHint {
    /// Within its broker.
    hash: u64,
    name_hash: u64,
    broker: u32,
}

/// So many filters of a connection are asked for before it ends.
const TOUCHED_FILTERS: usize = 4;

impl Deliveries {
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// The place of an open connection.
    pub(super) fn enter(&mut self, state: &ConnectionState) -> usize {
        let index = state.facts.slot;
        if let Some(slot) = self.slots.get(index)
            && slot.number == state.facts.number
        {
            return index;
        }
        if self.slots.len() <= index {
            cold_path();
            self.slots.resize(index.saturating_add(1), Slot::EMPTY);
        }
        let broker = self.brokers.enter((state.facts.tap, state.facts.broker));
        let unknown = state.facts.midstream || state.connect.is_none();
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot {
                number: state.facts.number,
                broker,
                unknown,
                ..Slot::EMPTY
            };
        }
        self.weigh(index, state);
        index
    }

    /// Asks for what is known of an open connection.
    #[inline]
    pub fn touch(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            prefetch(slot);
        }
    }

    /// Asks for what a message on an open connection needs beyond that; `topic` is the
    /// [hash](name_hash) of its topic. Gives what its topic is [touched](Self::touch_topic) by,
    /// later, when where to find it is there.
    #[inline]
    pub fn touch_message(&self, index: usize, towards: Towards, topic: u64) -> Option<TopicHint> {
        let slot = self.slots.get(index)?;
        self.parties.slab.touch(slot.party);
        let hash = name_hash_within(self.brokers.serial(slot.broker), topic);
        let is_needed = towards == Towards::Broker;
        is_needed.then(|| {
            self.topics.touch_index(hash);
            TopicHint {
                hash,
                name_hash: topic,
                broker: slot.broker,
            }
        })
    }

    /// Asks for what the end of a connection needs, in steps: each looks at what the one before
    /// asked for.
    #[inline]
    pub fn touch_closing(&self, index: usize, step: usize) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if step == 0 {
            self.parties.touch_closing(slot.party);
            return;
        }
        let party = self.parties.get(slot.party);
        let (Some(party), Some(broker)) = (party, self.brokers.slab.get(slot.broker)) else {
            return;
        };
        for (filter, _) in party.filters.few().iter().take(TOUCHED_FILTERS) {
            let FilterName::Exact(hash) = *filter else {
                continue;
            };
            let topic = name_hash_within(broker.serial, hash);
            if step == 1 {
                self.topics.touch_index(topic);
                broker.filters.touch_index(hash);
            } else {
                self.topics.touch(topic);
                broker.filters.touch(hash);
            }
        }
    }

    /// Asks for the topic of a message; where it is a new one, for what finding its receivers
    /// needs.
    #[inline]
    pub fn touch_topic(&self, topic: &TopicHint) {
        if !self.topics.touch(topic.hash)
            && let Some(broker) = self.brokers.slab.get(topic.broker)
        {
            broker.filters.touch_index(topic.name_hash);
        }
    }

    pub(super) fn slot(&self, index: usize) -> Slot {
        self.slots.get(index).copied().unwrap_or(Slot::EMPTY)
    }

    /// Brings the count of uncertain connections up to date.
    pub(super) fn weigh(&mut self, index: usize, state: &ConnectionState) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let uncertain = slot.unknown || state.open_requests() > 0;
        if uncertain != slot.uncertain
            && let Some(broker) = self.brokers.slab.get_mut(slot.broker)
        {
            slot.uncertain = uncertain;
            broker.uncertain = if uncertain {
                broker.uncertain.saturating_add(1)
            } else {
                broker.uncertain.saturating_sub(1)
            };
        }
    }

    /// The party of a connection; [`NONE`] where there is no room for more.
    pub(super) fn party(&mut self, index: usize, state: &ConnectionState) -> u32 {
        let slot = self.slot(index);
        if slot.party != NONE {
            return slot.party;
        }
        if self.parties.slab.len() >= self.limits.parties {
            return NONE;
        }
        let place = match state.client_id() {
            Some(id) if !id.is_empty() => self.parties.add(slot.broker, state.facts.tap, id, false),
            _ => {
                cold_path();
                let name = state.facts.client.to_string();
                self.parties
                    .add(slot.broker, state.facts.tap, name.as_bytes(), false)
            }
        };
        self.brokers.hold(slot.broker);
        let now = self.now;
        if let Some(party) = self.parties.get_mut(place) {
            party.connection = Some((index, state.facts.number));
            party.connect(now);
            if let Some(hash) = state.client_hash()
                && state.persistent()
                && let Some(broker) = self.brokers.slab.get_mut(slot.broker)
            {
                party.client_hash = Some(hash);
                broker.clients.insert(hash, place);
            }
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.party = place;
        }
        place
    }

    /// Takes a packet that is no PUBLISH and no acknowledgment.
    #[inline(always)]
    pub fn packet(&mut self, state: &ConnectionState, packet: &Packet<'_>, times: PacketTimes) {
        match packet {
            Packet::Connack(_) if state.connect.is_some() => {
                self.advance(times.last);
                self.connected(state);
            }
            Packet::Subscribe(_)
            | Packet::Suback(_)
            | Packet::Unsubscribe(_)
            | Packet::Unsuback(_) => {
                self.advance(times.last);
                let index = self.enter(state);
                self.weigh(index, state);
            }
            Packet::Disconnect(disconnect) => {
                // 0x04, Disconnect with Will Message: MQTT 5 section 3.14.2.1.
                let keeps_will = state.level.is_v5() && disconnect.reason_code == Some(0x04);
                let index = state.facts.slot;
                if !keeps_will
                    && let Some(slot) = self.slots.get_mut(index)
                    && slot.number == state.facts.number
                    && std::mem::take(&mut slot.will)
                    && let Some((key, _)) = self.open_wills.remove(&index)
                {
                    self.wills.remove(key, slot.number);
                }
            }
            _ => {}
        }
    }

    /// The broker accepted a client.
    fn connected(&mut self, state: &ConnectionState) {
        let accepted = state
            .connack
            .as_ref()
            .filter(|facts| facts.reason_code == 0);
        let (Some(connack), Some(connect)) = (accepted, state.connect.as_deref()) else {
            return;
        };
        let index = self.enter(state);
        let broker = self.slot(index).broker;
        if let Some(will) = &connect.will {
            let key = WillKey {
                topic_hash: name_hash_within(self.brokers.serial(broker), name_hash(&will.topic)),
                payload_length: will.payload_length,
                payload_hash: will.payload_hash,
            };
            let remembered = Will {
                name: state.client_id().unwrap_or_default().into(),
                connection: state.facts.number,
                session: state.session(),
                closed: None,
                until: None,
                seen: false,
            };
            if self.wills.add(key, remembered, self.limits.wills) {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.will = true;
                    self.open_wills.insert(index, (key, will.delay));
                }
            } else {
                self.dropped.wills += 1;
            }
        }
        let known = state.client_hash().and_then(|hash| {
            let broker = self.brokers.slab.get(broker)?;
            broker.clients.get(&hash).copied()
        });
        match known {
            Some(place) if place == self.slot(index).party => {}
            Some(place) if connack.session_present => self.resume(place, index, state),
            Some(place) => self.forget(place),
            None if connack.session_present => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.unknown = true;
                }
            }
            None => {}
        }
        self.weigh(index, state);
    }

    /// A client goes on with its session on another connection.
    fn resume(&mut self, place: u32, index: usize, state: &ConnectionState) {
        let now = self.now;
        let Some(party) = self.parties.get_mut(place) else {
            return;
        };
        let old = party.connection;
        if party.is_connected() {
            self.disconnect(place);
        }
        if let Some((old_index, old_number)) = old
            && let Some(old_slot) = self.slots.get_mut(old_index)
            && old_slot.number == old_number
        {
            old_slot.party = NONE;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.party = place;
        }
        let Some(party) = self.parties.get_mut(place) else {
            return;
        };
        party.connection = Some((index, state.facts.number));
        party.connect(now);
        let waiting = std::mem::take(&mut party.waiting);
        let groups = party.groups.clone();
        self.old
            .extend(waiting.into_iter().map(|(message, id)| (now, id, message)));
        for group in groups {
            self.join(group, now);
        }
    }

    /// One more member of a group is connected.
    fn join(&mut self, group: u32, now: Timestamp) {
        if let Some(group) = self.parties.get_mut(group) {
            group.members = group.members.saturating_add(1);
            if group.members == 1 {
                group.connect(now);
                let waiting = std::mem::take(&mut group.waiting);
                self.old
                    .extend(waiting.into_iter().map(|(message, id)| (now, id, message)));
            }
        }
    }

    /// One member less is connected.
    fn part(&mut self, group: u32, now: Timestamp) {
        if let Some(group) = self.parties.get_mut(group) {
            group.members = group.members.saturating_sub(1);
            if group.members == 0 {
                group.disconnect(now);
            }
        }
    }

    fn disconnect(&mut self, place: u32) {
        let now = self.now;
        let Some(party) = self.parties.get_mut(place) else {
            return;
        };
        party.disconnect(now);
        let groups = party.groups.clone();
        let topics = std::mem::take(&mut party.topics);
        for group in groups {
            self.part(group, now);
        }
        for topic in topics {
            let topic = self.topics.slab.get_mut(topic);
            if let Some(told) = topic.and_then(|topic| topic.told.as_mut()) {
                told.streams.remove(&place);
            }
        }
    }

    /// A session is over: its subscriptions go.
    fn forget(&mut self, place: u32) {
        let Some(party) = self.parties.get_mut(place) else {
            return;
        };
        party.persistent = false;
        party.waiting = Vec::new();
        let filters = std::mem::take(&mut party.filters);
        let (broker, connected) = (party.broker, party.is_connected());
        if let Some(hash) = party.client_hash.take()
            && let Some(broker) = self.brokers.slab.get_mut(broker)
            && broker.clients.get(&hash) == Some(&place)
        {
            broker.clients.remove(&hash);
        }
        filters.for_each(|filter, &group| {
            self.unsubscribe((broker, place), (filter, group), connected);
        });
        self.release(place);
    }

    /// A party has a filter no more.
    fn unsubscribe(
        &mut self,
        (broker, place): (u32, u32),
        (filter, group): (&FilterName, Option<u32>),
        connected: bool,
    ) {
        match (filter, group) {
            (FilterName::Named(filter), Some(group)) => {
                self.leave_group(place, group, filter, connected);
            }
            (filter, _) => self.remove_filter(broker, place, filter),
        }
    }

    fn remove_filter(&mut self, broker: u32, place: u32, filter: &FilterName) {
        let Some(broker) = self.brokers.slab.get_mut(broker) else {
            return;
        };
        match filter {
            FilterName::Exact(hash) => {
                broker.filters.remove_exact(*hash, place);
                self.topics.invalidate(broker.serial, *hash);
            }
            // Topics notice by themselves.
            FilterName::Named(filter) => broker.filters.remove(filter, place),
        }
    }

    fn leave_group(&mut self, place: u32, group_place: u32, filter: &[u8], connected: bool) {
        if let Some(party) = self.parties.get_mut(place) {
            party.groups.retain(|&group| group != group_place);
        }
        if connected {
            self.part(group_place, self.now);
        }
        let Some(group) = self.parties.get_mut(group_place) else {
            return;
        };
        group.joined = group.joined.saturating_sub(1);
        if group.joined > 0 {
            return;
        }
        let broker = group.broker;
        if let Some(shared) = SharedFilter::parse(filter) {
            self.remove_filter(broker, group_place, &FilterName::new(shared.filter));
        }
        if let Some(broker) = self.brokers.slab.get_mut(broker) {
            broker.groups.remove(filter);
        }
        self.release(group_place);
    }

    /// Forgets a party that nothing names any more.
    pub(super) fn release(&mut self, place: u32) {
        let unused = self.parties.get(place).is_some_and(|party| {
            let awaited = party.is_connected() || party.persistent || party.joined > 0;
            party.refs == 0 && !awaited
        });
        if unused && let Some(party) = self.parties.slab.remove(place) {
            self.brokers.leave(party.broker);
        }
    }

    /// The broker granted a filter.
    pub fn granted(&mut self, state: &ConnectionState, grant: &Grant<'_>) {
        let index = self.enter(state);
        let place = self.party(index, state);
        let broker_place = self.slot(index).broker;
        let v5 = state.level == ProtocolLevel::V5;
        let granted = Granted {
            qos: grant.qos,
            no_local: v5 && grant.options & 0x04 != 0,
            retain_as_published: v5 && grant.options & 0x08 != 0,
        };
        let Some(broker) = self.brokers.slab.get_mut(broker_place) else {
            return;
        };
        let has_room = broker.filters.size() < self.limits.filters && place != NONE;
        let followed = has_room
            && match SharedFilter::parse(grant.filter) {
                None => {
                    let name = FilterName::new(grant.filter);
                    let followed = match &name {
                        FilterName::Exact(hash) => {
                            self.topics.invalidate(broker.serial, *hash);
                            broker.filters.insert_exact(*hash, place, granted);
                            true
                        }
                        FilterName::Named(filter) => broker.filters.insert(filter, place, granted),
                    };
                    if followed && let Some(party) = self.parties.get_mut(place) {
                        party.filters.insert(name, None);
                    }
                    followed
                }
                Some(shared) => {
                    self.join_group(broker_place, place, grant.filter, shared.filter, granted)
                }
            };
        if !followed {
            self.dropped.filters += 1;
            if let Some(slot) = self.slots.get_mut(index) {
                slot.unknown = true;
            }
        }
        self.weigh(index, state);
    }

    fn join_group(
        &mut self,
        broker_place: u32,
        place: u32,
        name: &[u8],
        filter: &[u8],
        granted: Granted,
    ) -> bool {
        let now = self.now;
        let Some(broker) = self.brokers.slab.get_mut(broker_place) else {
            return false;
        };
        let known = broker.groups.get(name).copied();
        let tap = self.parties.get(place).map_or(0, |party| party.tap);
        let group = known.unwrap_or_else(|| self.parties.add(broker_place, tap, name, true));
        if !broker.filters.insert(filter, group, granted) {
            if known.is_none() {
                self.parties.slab.remove(group);
            }
            return false;
        }
        if !has_wildcards(filter) {
            self.topics.invalidate(broker.serial, name_hash(filter));
        }
        if known.is_none() {
            broker.groups.insert(name.into(), group);
            self.brokers.hold(broker_place);
        }
        let Some(party) = self.parties.get_mut(place) else {
            return false;
        };
        party
            .filters
            .insert(FilterName::Named(name.into()), Some(group));
        if !party.groups.contains(&group) {
            party.groups.push(group);
            let connected = party.is_connected();
            if let Some(group) = self.parties.get_mut(group) {
                group.joined = group.joined.saturating_add(1);
            }
            if connected {
                self.join(group, now);
            }
        }
        true
    }

    /// An UNSUBSCRIBE named a filter: from now on nothing is expected of it.
    pub fn withdrawn(&mut self, state: &ConnectionState, filter: &[u8]) {
        let index = self.enter(state);
        let slot = self.slot(index);
        let Some(party) = self.parties.get_mut(slot.party) else {
            return;
        };
        let connected = party.is_connected();
        let filter = FilterName::of_any(filter);
        if let Some(group) = party.filters.remove(&filter) {
            self.unsubscribe((slot.broker, slot.party), (&filter, group), connected);
        }
    }

    /// Bytes are missing from a stream, and with them perhaps packets, from before that time.
    pub fn gap(&mut self, state: &ConnectionState, towards: Towards, before: Timestamp) {
        self.advance(before);
        let index = self.enter(state);
        match towards {
            Towards::Broker => {
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.unknown = true;
                }
                self.weigh(index, state);
            }
            Towards::Client => {
                let place = self.slot(index).party;
                if let Some(party) = self.parties.get_mut(place) {
                    party.miss(before);
                }
            }
        }
    }

    /// Client and broker turned out to be the other way round.
    pub fn turned_around(&mut self, state: &ConnectionState) {
        self.leave(state.facts.slot, state.facts.number, false, None);
    }

    /// A connection is over. `ended`: it was closed; else the capture ended while it was open.
    pub fn closed(&mut self, state: &ConnectionState, at: Timestamp, ended: bool) {
        self.advance(at);
        let index = state.facts.slot;
        let slot = self.slot(index);
        if slot.number != state.facts.number {
            return;
        }
        if slot.will
            && let Some((key, delay)) = self.open_wills.remove(&index)
        {
            let wait = TimeDelta::from_nanos(
                i64::from(delay)
                    .saturating_mul(1_000_000_000)
                    .saturating_add(self.twice.as_nanos()),
            );
            if ended {
                let times = (self.now, self.now + wait);
                self.wills.close(key, slot.number, state.session(), times);
            } else {
                self.wills.remove(key, slot.number);
            }
        }
        let persistent = ended && state.persistent() && state.session().is_some();
        let expiry = session_expiry(state).map(|expiry| self.now + expiry);
        self.leave(index, state.facts.number, persistent, expiry);
    }

    fn leave(&mut self, index: usize, number: u64, persistent: bool, until: Option<Timestamp>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if slot.number != number {
            return;
        }
        let left = std::mem::replace(slot, Slot::EMPTY);
        if left.uncertain
            && let Some(broker) = self.brokers.slab.get_mut(left.broker)
        {
            broker.uncertain = broker.uncertain.saturating_sub(1);
        }
        if left.party != NONE {
            self.disconnect(left.party);
            match self.parties.get_mut(left.party) {
                Some(party) if persistent && party.client_hash.is_some() => {
                    party.persistent = true;
                    party.away_until = until;
                }
                _ => self.forget(left.party),
            }
        }
        self.brokers.leave(left.broker);
    }
}

/// How long a session is kept after its connection: `None` for ever, or not known.
fn session_expiry(state: &ConnectionState) -> Option<TimeDelta> {
    if !state.level.is_v5() {
        return None;
    }
    let imposed = state
        .connack
        .as_ref()
        .and_then(|facts| facts.session_expiry);
    let asked = state
        .connect
        .as_ref()
        .and_then(|facts| facts.session_expiry);
    let seconds = imposed.or(asked).filter(|&seconds| seconds != u32::MAX)?;
    Some(TimeDelta::from_secs(i64::from(seconds)))
}
