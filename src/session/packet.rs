//! One packet after the other: what it changes in its connection, and which rules it breaks.

use std::hint::cold_path;

use crate::mqtt::{
    Acknowledgment, Connack, Connect, Evidence, Packet, PacketType, PropertyId, ProtocolLevel,
    Publish, Suback, Unsuback, level_evidence_prefix,
};
use crate::time::{TimeDelta, Timestamp};

use super::alias::Aliases;
use super::connection::{ConnectionState, LevelBasis, Welcome};
use super::exchange::{Exchange, Place};
use super::handshake::{connack_facts, connect_facts, disconnect_expiry};
use super::record::{DelayKind, Observer};
use super::rules;
use super::store::Sessions;
use super::subscription::Ending;
use super::{PacketTimes, Received, SessionViolation, SessionViolations, Tag, Taken, Towards};

/// The exchange of which a PUBLISH is one more transmission.
#[derive(Clone, Copy)]
struct Earlier {
    tag: Option<Tag>,
    /// See [`Taken::transmissions`].
    transmissions: u32,
}

impl ConnectionState {
    /// Learns the level from a packet's bytes where no CONNECT told it. Call it before the
    /// packet is parsed; `body` may be its beginning.
    pub fn infer_level(&mut self, first_byte: u8, body: &[u8], remaining_length: u32) {
        // The first CONNECT names the level itself.
        let is_connect = PacketType::from_first_byte(first_byte) == PacketType::Connect;
        if self.basis != LevelBasis::Assumed || (is_connect && !self.introduced) {
            return;
        }
        self.level = match level_evidence_prefix(first_byte, body, remaining_length) {
            Evidence::V5 => ProtocolLevel::V5,
            Evidence::NotV5 => ProtocolLevel::V3_1_1,
            Evidence::None => return,
        };
        self.basis = LevelBasis::Inferred;
    }

    /// Takes note of bytes missing from the stream, after which packets may be missing too.
    pub fn lost_packets(&mut self, towards: Towards) {
        self.gaps = self.gaps.saturating_add(1);
        self.ping = None;
        self.last_from_client = None;
        if let Some(aliases) = self.aliases.get_mut(towards) {
            aliases.clear();
        }
    }

    /// Takes note of when the connection ended: a silence that no packet ended counts too.
    pub fn silent_until(&mut self, end: Timestamp) {
        if let (Some(before), false) = (self.last_from_client, self.disconnected) {
            self.check_silence(before, end);
        }
    }

    fn check_silence(&mut self, before: Timestamp, now: Timestamp) {
        let Some(seconds) = self.keep_alive() else {
            return;
        };
        let allowed = TimeDelta::from_millis(i64::from(seconds).saturating_mul(1500));
        if now - before > allowed {
            cold_path();
            self.keep_alive_violations = self.keep_alive_violations.saturating_add(1);
        }
    }

    /// Tells whether bytes of the other direction are missing at this time: what a packet
    /// answers, or what answers it, may be among them.
    pub const fn set_hole(&mut self, hole: bool) {
        self.hole = hole;
    }

    /// Gaps so far; a hole counts already, as it may become one.
    pub(super) fn gap_count(&self) -> u32 {
        self.gaps.saturating_add(u32::from(self.hole))
    }

    /// A message comes without the identifier of any of the subscriptions that it can come of,
    /// although each has one [MQTT-3.3.4-3 to MQTT-3.3.4-5].
    #[cold]
    fn lacks_identifier(&self, publish: &Publish<'_>) -> bool {
        let is_certain =
            self.complete() && self.session_is_new() && self.requests == 0 && !publish.dup;
        is_certain
            && self.topic(Towards::Client, publish).is_some_and(|topic| {
                self.subscriptions
                    .lacks_identifier(topic, &publish.properties)
            })
    }

    /// All of it so far is in the capture: it has its beginning and no gap.
    #[must_use]
    pub fn complete(&self) -> bool {
        !self.facts.midstream && self.gap_count() == 0
    }
}

impl Sessions {
    /// Takes one packet; tells which rules of the conversation it breaks, and to which exchange
    /// it belongs.
    #[inline(always)]
    pub fn packet<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        received: &Received<'_>,
        observer: &mut O,
    ) -> Taken {
        let mut violations = SessionViolations::default();
        let (mut repeated, mut tag, mut transmissions) = (false, None, 0);
        let (towards, times) = (received.towards, received.times);
        let packet_type = received.header.packet_type();
        rules::check_order(state, towards, packet_type, &mut violations);
        rules::check_size(state, received, &mut violations);
        if state.level.is_v5() {
            rules::check_properties(state, received, &mut violations);
        }
        *state.packets.get_mut(towards) = state.packets.get(towards).saturating_add(1);
        state.last_packet = state.last_packet.max(Some(times.last));
        if towards == Towards::Broker {
            watch_keep_alive(state, times);
        }
        match &received.parsed.packet {
            Packet::Publish(publish) => {
                let earlier = self.publish(state, received, publish, &mut violations, observer);
                repeated = earlier.is_some();
                if let Some(earlier) = earlier {
                    cold_path();
                    (tag, transmissions) = (earlier.tag, earlier.transmissions);
                }
            }
            Packet::Acknowledgment(packet) => {
                tag = self.acknowledgment(state, towards, times, packet, &mut violations, observer);
            }
            Packet::Connect(packet) if towards == Towards::Broker => {
                if !state.introduced {
                    self.identify(state, packet.client_id.unwrap_or_default());
                }
                connect(state, packet, times);
                state.takes_over |= self.is_connected(state);
            }
            Packet::Connack(packet) if towards == Towards::Client => {
                self.connack(state, packet, times, &mut violations, observer);
            }
            Packet::Subscribe(_) | Packet::Unsubscribe(_) if towards == Towards::Broker => {
                rules::check_request(state, received, &mut violations);
                subscribe(state, received, observer);
            }
            Packet::Suback(packet) if towards == Towards::Client => {
                suback(state, packet, times, &mut violations, observer);
            }
            Packet::Unsuback(packet) if towards == Towards::Client => {
                unsuback(state, packet, &mut violations, observer);
            }
            Packet::Pingreq if towards == Towards::Broker => {
                state.ping.get_or_insert(times.first);
            }
            Packet::Pingresp if towards == Towards::Client => {
                if let Some(asked) = state.ping.take() {
                    observer.delay(DelayKind::Ping, Towards::Broker, times.last - asked);
                }
            }
            Packet::Disconnect(_) if towards == Towards::Client => state.dismissed = true,
            Packet::Disconnect(packet) => {
                state.disconnected = true;
                if state.level.is_v5() && disconnect_expiry(&packet.properties) == Some(0) {
                    state.session_ended = true;
                }
            }
            _ => {}
        }
        Taken {
            violations,
            repeated,
            transmissions,
            tag,
        }
    }

    fn connack<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        packet: &Connack<'_>,
        times: PacketTimes,
        violations: &mut SessionViolations,
        observer: &mut O,
    ) {
        if state.connack.is_some() {
            return;
        }
        let facts = connack_facts(packet);
        if let Some(assigned) = &facts.assigned_client_id {
            self.identify(state, assigned);
        }
        state.welcome = if facts.reason_code == 0 {
            Welcome::Accepted
        } else {
            Welcome::Refused
        };
        state.connack = Some(Box::new(facts));
        state.agree();
        rules::check_connack(state, violations);
        if let Some(connect) = state.connect_times {
            observer.delay(
                DelayKind::Connect,
                Towards::Broker,
                times.last - connect.first,
            );
        }
        if state.introduced && !state.refused() {
            self.attach(state, observer);
        }
    }

    /// Tells the tag of the exchange of which this is one more transmission.
    fn publish<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        received: &Received<'_>,
        publish: &Publish<'_>,
        violations: &mut SessionViolations,
        observer: &mut O,
    ) -> Option<Earlier> {
        let towards = received.towards;
        *state.publishes.get_mut(towards) = state.publishes.get(towards).saturating_add(1);
        if state.level.is_v5() {
            self.bind_alias(state, towards, publish, violations);
        }
        if towards == Towards::Broker {
            let above = publish.qos <= 2 && publish.qos > state.terms.maximum_qos;
            violations.insert_if(above, SessionViolation::MaximumQosExceeded);
            let refused = publish.retain && !state.terms.retain_available;
            violations.insert_if(refused, SessionViolation::RetainNotAvailable);
            let marked = publish
                .properties
                .contains(PropertyId::SubscriptionIdentifier);
            violations.insert_if(marked, SessionViolation::SubscriptionIdentifierFromClient);
        }
        if towards == Towards::Client && state.subscriptions.has_identifiers() {
            cold_path();
            let missing = state.lacks_identifier(publish);
            violations.insert_if(missing, SessionViolation::SubscriptionIdentifierMissing);
        }
        if let (1 | 2, Some(packet_id @ 1..)) = (publish.qos, publish.packet_id) {
            return self.transmission(state, received, publish, packet_id, violations, observer);
        }
        None
    }

    fn bind_alias(
        &mut self,
        state: &mut ConnectionState,
        towards: Towards,
        publish: &Publish<'_>,
        violations: &mut SessionViolations,
    ) {
        let Some(alias) = publish.properties.topic_alias() else {
            return;
        };
        let too_large = alias > *state.terms.topic_alias_maximum.get(towards);
        violations.insert_if(too_large, SessionViolation::TopicAliasTooLarge);
        let complete = state.complete();
        let aliases = state
            .aliases
            .get_mut(towards)
            .get_or_insert_with(Box::<Aliases>::default);
        match publish.topic {
            Some(topic) if !topic.is_empty() => {
                if !aliases.set(alias, topic) {
                    self.dropped.aliases = self.dropped.aliases.saturating_add(1);
                }
            }
            _ => {
                let unknown = complete && aliases.get(alias).is_none();
                violations.insert_if(unknown, SessionViolation::UnknownTopicAlias);
            }
        }
    }

    /// A PUBLISH of QoS 1 or 2: the beginning of an exchange, or a transmission of one more.
    fn transmission<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        received: &Received<'_>,
        publish: &Publish<'_>,
        packet_id: u16,
        violations: &mut SessionViolations,
        observer: &mut O,
    ) -> Option<Earlier> {
        let towards = received.towards;
        let payload = (publish.payload_length, received.payload_hash);
        let mut known = state.exchanges.get(towards).find(packet_id);
        if known.is_none()
            && let Some(exchange) = self.resume(state, towards, packet_id, observer)
        {
            known = Some(self.begin(state, towards, packet_id, exchange));
        }
        let topic = state.topic(towards, publish);
        if let Some(index) = known
            && let Some(open) = self.exchanges.get_mut(index)
        {
            // In a gap the acknowledgment may have freed the identifier.
            let surely_open = open.gaps >= state.gap_count();
            let same = surely_open
                && open.qos == publish.qos
                && open.payload == payload
                && topic.is_none_or(|topic| topic == open.topic || open.topic.is_empty());
            if same || publish.dup {
                let carried = open.carried_from.is_some();
                violations.insert_if(!publish.dup && !carried, SessionViolation::DupMissing);
                let released = surely_open && open.pubrel.is_some();
                violations.insert_if(released, SessionViolation::PublishAfterPubrel);
                open.repeated = true;
                open.transmissions = open.transmissions.saturating_add(1);
                return Some(Earlier {
                    tag: open.tag,
                    transmissions: if carried { 0 } else { open.transmissions },
                });
            }
            violations.insert_if(surely_open, SessionViolation::PacketIdentifierInUse);
            self.finish_exchange(state, towards, packet_id, observer);
        }
        let requested = towards == Towards::Broker
            && state.level != ProtocolLevel::V3_1
            && state.complete()
            && state.requests > 0
            && state.subscriptions.awaits(packet_id);
        violations.insert_if(requested, SessionViolation::PacketIdentifierInUse);
        let topic = state.topic(towards, publish).unwrap_or_default();
        if self.in_flight >= self.limits.exchanges
            || self.pool.lent().saturating_add(topic.len()) > self.limits.topic_bytes
        {
            self.dropped.exchanges = self.dropped.exchanges.saturating_add(1);
            return None;
        }
        let topic = self.pool.take(topic);
        let mut exchange = Exchange::new(publish.qos, topic, payload, state.gap_count());
        exchange.publish = Some(received.times.first);
        exchange.transmissions = 1;
        // A repetition whose first transmission was not seen: before the capture, in a gap, or
        // on an earlier connection of the session that was not seen.
        exchange.headless = publish.dup && !(state.complete() && state.session_is_new());
        if towards == Towards::Client {
            exchange.order = state.order.came();
        }
        self.begin(state, towards, packet_id, exchange);
        let exceeded = state.level.is_v5()
            && state.exchanges.get(towards).len()
                > usize::from(*state.terms.receive_maximum.get(towards));
        violations.insert_if(exceeded, SessionViolation::ReceiveMaximumExceeded);
        None
    }

    /// PUBACK, PUBREC, PUBREL or PUBCOMP; tells the tag of its exchange.
    fn acknowledgment<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        towards: Towards,
        times: PacketTimes,
        packet: &Acknowledgment<'_>,
        violations: &mut SessionViolations,
        observer: &mut O,
    ) -> Option<Tag> {
        let Some(packet_id @ 1..) = packet.packet_id else {
            return None;
        };
        // 3.4.2.1: left out in MQTT 5, the reason code is 0x00.
        let implied = state.level.is_v5().then_some(0);
        let reason_code = packet.reason_code.or(implied);
        // PUBREL goes the way of the message, the others come back.
        let way = match packet.kind {
            PacketType::Pubrel => towards,
            _ => towards.opposite(),
        };
        let mut known = state.exchanges.get(way).find(packet_id);
        if known.is_none() {
            let exchange = match self.resume(state, way, packet_id, observer) {
                Some(exchange) => exchange,
                None if state.complete() && state.session_is_new() => {
                    let owed = state.owed.take(way, packet_id);
                    violations.insert_if(!owed, SessionViolation::UnknownPacketIdentifier);
                    if packet.kind == PacketType::Pubrel {
                        // [MQTT-4.3.3-11] even so it is answered with PUBCOMP.
                        state.owed.add(way, packet_id, 1);
                    }
                    return None;
                }
                None => {
                    let qos = if packet.kind == PacketType::Puback {
                        1
                    } else {
                        2
                    };
                    let mut exchange =
                        Exchange::new(qos, Vec::new(), (None, None), state.gap_count());
                    exchange.headless = true;
                    exchange
                }
            };
            if self.in_flight >= self.limits.exchanges {
                self.dropped.exchanges = self.dropped.exchanges.saturating_add(1);
                return None;
            }
            known = Some(self.begin(state, way, packet_id, exchange));
        }
        let exchange = known.and_then(|index| self.exchanges.get_mut(index))?;
        let tag = exchange.tag;
        let wrong = (exchange.qos == 1) != (packet.kind == PacketType::Puback);
        violations.insert_if(wrong, SessionViolation::WrongAcknowledgment);
        if wrong {
            return None;
        }
        exchange.reason_code = reason_code;
        violations.insert_if(
            !state.order.follows(exchange, packet.kind, way),
            SessionViolation::AcknowledgmentOrder,
        );
        let done = advance(exchange, packet.kind, times, |kind, delay| {
            observer.delay(kind, way, delay);
        });
        let refused = reason_code.is_some_and(|code| code >= 0x80);
        if done || refused {
            self.finish_exchange(state, way, packet_id, observer);
        }
        tag
    }

    /// Attaches something to an exchange in flight; its later packets bring it back
    /// ([`super::Taken::tag`]).
    pub fn tag(&mut self, state: &ConnectionState, towards: Towards, packet_id: u16, tag: Tag) {
        let index = state.exchanges.get(towards).find(packet_id);
        if let Some(exchange) = index.and_then(|index| self.exchanges.get_mut(index)) {
            exchange.tag = Some(tag);
        }
    }

    /// Takes note of an exchange with an identifier that is not in use; tells where it stands.
    fn begin(
        &mut self,
        state: &mut ConnectionState,
        towards: Towards,
        packet_id: u16,
        exchange: Exchange,
    ) -> u32 {
        self.in_flight = self.in_flight.saturating_add(1);
        let index = self.exchanges.insert(exchange);
        state.exchanges.get_mut(towards).insert(packet_id, index);
        index
    }

    /// Reports an exchange and forgets it.
    fn finish_exchange<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        towards: Towards,
        packet_id: u16,
        observer: &mut O,
    ) {
        let Some(index) = state.exchanges.get_mut(towards).remove(packet_id) else {
            return;
        };
        let Some(exchange) = self.exchanges.get(index) else {
            return;
        };
        if exchange.repeated {
            // Each repetition is answered by itself.
            let most = match exchange.qos {
                1 => exchange.transmissions.saturating_sub(1),
                _ => exchange.transmissions.saturating_mul(2),
            };
            state.owed.add(towards, packet_id, most);
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        let (connection, tap) = (state.facts.number, state.facts.tap);
        let place = Place {
            connection,
            tap,
            towards,
            packet_id,
        };
        // The connection goes on, so it is not what ended the exchange.
        let outcome = exchange.outcome(state.gap_count(), false);
        observer.exchange(&exchange.record(place, outcome));
        self.pool.give(self.exchanges.release(index));
    }

    /// Ends a connection. `ended`: it was closed; else the capture ended while it was open.
    pub fn close<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        ended: bool,
        observer: &mut O,
    ) {
        // A capture of one side only never shows the CONNACK. A client that went on after its
        // CONNECT was most likely accepted; one that did not was turned away without an answer.
        let went_on = state.connack.is_some() || state.packets.to_broker > 1;
        if state.introduced && went_on && !state.refused() {
            self.attach(state, observer);
        }
        for subscription in state.subscriptions.remaining() {
            observer.subscription(&subscription.record(state.subscriber(), None));
        }
        self.detach(state, ended, observer);
    }
}

/// Moves an exchange on by one acknowledgment; tells whether that was its end. A repeated
/// acknowledgment changes nothing: the first one counts.
fn advance(
    exchange: &mut Exchange,
    kind: PacketType,
    times: PacketTimes,
    mut delay: impl FnMut(DelayKind, TimeDelta),
) -> bool {
    let measurable = !exchange.headless;
    let mut measure = |which, from: Option<Timestamp>| {
        if let (true, Some(from)) = (measurable, from) {
            delay(which, times.last - from);
        }
    };
    match kind {
        PacketType::Puback => {
            measure(DelayKind::Puback, exchange.publish);
            exchange.puback = Some(times.last);
            true
        }
        PacketType::Pubrec if exchange.pubrec.is_none() => {
            measure(DelayKind::Pubrec, exchange.publish);
            exchange.pubrec = Some(times);
            false
        }
        PacketType::Pubrel if exchange.pubrel.is_none() => {
            measure(DelayKind::Pubrel, exchange.pubrec.map(|times| times.first));
            exchange.pubrel = Some(times);
            false
        }
        PacketType::Pubrec | PacketType::Pubrel => {
            exchange.repeated = true;
            false
        }
        PacketType::Pubcomp => {
            measure(DelayKind::Pubcomp, exchange.pubrel.map(|times| times.first));
            measure(DelayKind::Qos2Total, exchange.publish);
            exchange.pubcomp = Some(times.last);
            true
        }
        _ => false,
    }
}

fn connect(state: &mut ConnectionState, packet: &Connect<'_>, times: PacketTimes) {
    if state.introduced {
        return;
    }
    state.introduced = true;
    state.connect = Some(Box::new(connect_facts(packet)));
    state.agree();
    state.connect_times = Some(times);
    if let Some(level) = packet.level() {
        state.level = level;
        state.basis = LevelBasis::Connect;
    }
}

fn subscribe<O: Observer>(state: &mut ConnectionState, received: &Received<'_>, observer: &mut O) {
    let mut subscriptions = std::mem::take(&mut state.subscriptions);
    match &received.parsed.packet {
        Packet::Subscribe(packet) => {
            let subscriber = state.subscriber();
            subscriptions.subscribe(packet, received.times, |old, at| {
                observer.subscription(&old.record(subscriber, Some(at)));
            });
        }
        Packet::Unsubscribe(packet) => {
            subscriptions.unsubscribe(packet, received.times);
            packet
                .filters
                .for_each(|filter| observer.withdrawn(state, filter));
        }
        _ => {}
    }
    state.requests = subscriptions.requests();
    state.subscriptions = subscriptions;
}

fn suback<O: Observer>(
    state: &mut ConnectionState,
    packet: &Suback<'_>,
    times: PacketTimes,
    violations: &mut SessionViolations,
    observer: &mut O,
) {
    let complete = state.complete();
    let mut subscriptions = std::mem::take(&mut state.subscriptions);
    let answer = subscriptions.acknowledge(packet.packet_id, packet.reason_codes, times, |grant| {
        observer.granted(state, &grant);
    });
    state.requests = subscriptions.requests();
    state.subscriptions = subscriptions;
    match answer {
        Some((asked, filters)) => {
            observer.delay(DelayKind::Subscribe, Towards::Broker, times.last - asked);
            let fits = filters == packet.reason_codes.len() as u64;
            violations.insert_if(!fits, SessionViolation::ReasonCodeCount);
        }
        None => violations.insert_if(complete, SessionViolation::UnknownPacketIdentifier),
    }
}

fn unsuback<O: Observer>(
    state: &mut ConnectionState,
    packet: &Unsuback<'_>,
    violations: &mut SessionViolations,
    observer: &mut O,
) {
    let complete = state.complete();
    let mut subscriptions = std::mem::take(&mut state.subscriptions);
    let subscriber = state.subscriber();
    let answer =
        subscriptions.unsubscribed(packet.packet_id, packet.reason_codes, |old| match old {
            Ending::Ended(old) => observer.subscription(&old.record(subscriber, None)),
            Ending::Kept(grant) => observer.granted(state, &grant),
        });
    state.requests = subscriptions.requests();
    state.subscriptions = subscriptions;
    match answer {
        Some(filters) => {
            let fits = !state.level.is_v5() || filters == packet.reason_codes.len() as u64;
            violations.insert_if(!fits, SessionViolation::ReasonCodeCount);
        }
        None => violations.insert_if(complete, SessionViolation::UnknownPacketIdentifier),
    }
}

/// A silence of more than one and a half times the keep-alive: the broker should have closed the
/// connection [MQTT-3.1.2-24, MQTT 5: MQTT-3.1.2-22].
fn watch_keep_alive(state: &mut ConnectionState, times: PacketTimes) {
    let before = state.last_from_client.replace(times.last);
    if let Some(before) = before {
        state.check_silence(before, times.first);
    }
}

impl ConnectionState {
    /// The broker said that it kept nothing of an earlier connection, or nothing can be kept.
    fn session_is_new(&self) -> bool {
        self.connack
            .as_ref()
            .is_some_and(|facts| !facts.session_present)
            || self
                .connect
                .as_ref()
                .is_some_and(|facts| facts.clean_start == Some(true))
    }
}
