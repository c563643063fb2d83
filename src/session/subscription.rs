//! Subscriptions of a connection: asked for, granted, ended.

use std::collections::BTreeMap;

use crate::memory::prefetch;
use crate::mqtt::topic::{self, SharedFilter};
use crate::mqtt::{Properties, Property, PropertyId, Subscribe, Unsubscribe};
use crate::time::Timestamp;

use super::PacketTimes;
use super::mostly_one::MostlyOne;
use super::record::{Grant, SubscriptionRecord};
use super::small_map::SmallMap;

/// Filters and bytes of filters kept per connection; more are counted, not kept.
const KEPT_FILTERS: usize = 65_536;
const KEPT_BYTES: usize = 4 << 20;
/// SUBSCRIBE and UNSUBSCRIBE packets that may await their answer.
const KEPT_REQUESTS: usize = 65_536;
/// So many subscriptions are looked at one by one.
const FEW: usize = 8;

#[derive(Debug)]
pub(super) struct Subscription {
    filter: Box<[u8]>,
    /// As asked for: QoS in the two lowest bits, and the options of MQTT 5.
    options: u8,
    /// Subscription Identifier of MQTT 5; 0 for none.
    identifier: u32,
    answer: Option<(u8, Timestamp)>,
    subscribe: Timestamp,
    /// First byte of an UNSUBSCRIBE that was not answered yet.
    unsubscribe: Option<Timestamp>,
}

/// A SUBSCRIBE or UNSUBSCRIBE that awaits its answer.
#[derive(Debug, Clone, Copy)]
struct Request {
    first: Timestamp,
    /// Sequence number of its first filter among all that were asked for.
    from: u64,
    count: u64,
}

/// An UNSUBSCRIBE that awaits its answer.
#[derive(Debug, Default)]
struct Removal {
    count: u64,
    /// Of the filters that are subscribed: place in the packet, and sequence number. No
    /// subscription is in two of them, so that all together are bounded.
    filters: Vec<(u64, u64)>,
}

/// All subscriptions of one connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By sequence number, so that a SUBACK finds the filters of its SUBSCRIBE.
    active: SmallMap<u64, Subscription>,
    /// Sequence number of the active subscription to a filter, once there are too many to look at
    /// one by one.
    by_filter: Option<BTreeMap<Box<[u8]>, u64>>,
    subscribing: MostlyOne<u16, Request>,
    unsubscribing: SmallMap<u16, Removal>,
    next: u64,
    bytes: usize,
    /// One of them has a Subscription Identifier.
    identified: bool,
    /// One was replaced or is to end: messages of before may still be on their way.
    changed: bool,
    pub(super) granted: u64,
    pub(super) dropped: u64,
}

/// What identifies the subscriber in a record.
#[derive(Clone, Copy)]
pub(super) struct Subscriber<'a> {
    pub(super) connection: u64,
    pub(super) tap: u16,
    pub(super) client_id: Option<&'a [u8]>,
}

/// What became of a filter that an UNSUBSCRIBE named.
pub(super) enum Ending<'a> {
    /// The subscription ended.
    Ended(&'a Subscription),
    /// The broker refused, and it stays.
    Kept(Grant<'a>),
}

impl Subscription {
    /// Nobody asked to end it.
    const fn is_active(&self) -> bool {
        self.unsubscribe.is_none()
    }

    /// What the broker granted.
    fn grant(&self) -> Option<Grant<'_>> {
        let (code, _) = self.answer?;
        (code <= 2).then_some(Grant {
            filter: &self.filter,
            options: self.options,
            qos: code,
        })
    }

    pub(super) fn record<'a>(
        &'a self,
        subscriber: Subscriber<'a>,
        replaced: Option<Timestamp>,
    ) -> SubscriptionRecord<'a> {
        SubscriptionRecord {
            connection: subscriber.connection,
            tap: subscriber.tap,
            client_id: subscriber.client_id,
            filter: &self.filter,
            requested_qos: self.options & 0x03,
            granted_qos: self.answer.map(|(code, _)| code).filter(|&code| code <= 2),
            reason_code: self.answer.map(|(code, _)| code),
            subscribe: self.subscribe,
            suback: self.answer.map(|(_, time)| time),
            unsubscribe: self.unsubscribe.or(replaced),
        }
    }
}

impl Subscriptions {
    /// None any more, in the same memory.
    pub(super) fn clear(&mut self) {
        let Self {
            active,
            by_filter,
            subscribing,
            unsubscribing,
            next,
            bytes,
            identified,
            changed,
            granted,
            dropped,
        } = self;
        active.clear();
        unsubscribing.clear();
        *by_filter = None;
        *subscribing = MostlyOne::default();
        (*next, *bytes) = (0, 0);
        (*identified, *changed) = (false, false);
        (*granted, *dropped) = (0, 0);
    }

    /// Asks for the first ones.
    #[inline]
    pub(super) fn touch(&self) {
        if let Some(first) = self.active.few().first() {
            prefetch(first);
        }
    }

    /// Sequence number of the active subscription to a filter.
    fn of_filter(&self, filter: &[u8]) -> Option<u64> {
        if let Some(by_filter) = &self.by_filter {
            return by_filter.get(filter).copied();
        }
        let is_it = |of: &Subscription| of.is_active() && *of.filter == *filter;
        let found = self.active.iter().filter(|(_, of)| is_it(of));
        found.map(|(&sequence, _)| sequence).last()
    }

    /// This is the active subscription to its filter from now on.
    fn activate(&mut self, sequence: u64, filter: &[u8]) {
        if let Some(by_filter) = &mut self.by_filter {
            by_filter.insert(filter.into(), sequence);
        } else if self.active.len() > FEW {
            let active = self.active.iter().filter(|(_, of)| of.is_active());
            let by_filter = active.map(|(&sequence, of)| (of.filter.clone(), sequence));
            self.by_filter = Some(by_filter.collect());
        }
    }

    /// There is no active subscription to this filter any more.
    fn deactivate(&mut self, filter: &[u8]) {
        if let Some(by_filter) = &mut self.by_filter {
            by_filter.remove(filter);
        }
    }

    /// One of them has a Subscription Identifier.
    pub(super) const fn has_identifiers(&self) -> bool {
        self.identified
    }

    /// Whether all subscriptions that a message can come of have an identifier, and the message has
    /// none of these. Of many subscriptions or changed ones nothing is said.
    pub(super) fn lacks_identifier(&self, topic: &[u8], properties: &Properties<'_>) -> bool {
        if self.by_filter.is_some() || self.changed || self.dropped > 0 {
            return false;
        }
        let matches = |filter: &[u8]| {
            let shared = SharedFilter::parse(filter);
            topic::matches(shared.map_or(filter, |shared| shared.filter), topic)
        };
        let granted = self.active.values().filter(|of| of.grant().is_some());
        let mut sources = granted.filter(|of| matches(&of.filter)).peekable();
        let is_among = |identifier: u32| {
            let given = |property| property == Property::SubscriptionIdentifier(identifier);
            properties.iter().any(given)
        };
        sources.peek().is_some() && sources.all(|of| of.identifier != 0 && !is_among(of.identifier))
    }

    /// Takes a SUBSCRIBE; hands out the subscriptions that it replaces.
    pub(super) fn subscribe(
        &mut self,
        packet: &Subscribe<'_>,
        times: PacketTimes,
        mut ended: impl FnMut(&Subscription, Timestamp),
    ) {
        let from = self.next;
        let identifier = match packet.properties.get(PropertyId::SubscriptionIdentifier) {
            Some(Property::SubscriptionIdentifier(identifier)) => identifier,
            _ => 0,
        };
        self.identified |= identifier != 0;
        for subscription in packet.subscriptions {
            let sequence = self.next;
            self.next = self.next.saturating_add(1);
            let length = subscription.filter.len();
            if let Some(old) = self.of_filter(subscription.filter)
                && let Some(old) = self.active.remove(&old)
            {
                self.deactivate(subscription.filter);
                self.changed = true;
                // [MQTT-3.8.4-3]: an identical filter replaces the subscription.
                self.bytes = self.bytes.saturating_sub(old.filter.len());
                ended(&old, times.first);
            }
            if self.active.len() >= KEPT_FILTERS || self.bytes.saturating_add(length) > KEPT_BYTES {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            self.bytes = self.bytes.saturating_add(length);
            self.active.insert(
                sequence,
                Subscription {
                    filter: subscription.filter.into(),
                    options: subscription.options,
                    identifier,
                    answer: None,
                    subscribe: times.first,
                    unsubscribe: None,
                },
            );
            self.activate(sequence, subscription.filter);
        }
        let request = Request {
            first: times.first,
            from,
            count: self.next.saturating_sub(from),
        };
        if let Some(packet_id) = packet.packet_id
            && self.subscribing.len() < KEPT_REQUESTS
        {
            self.subscribing.insert(packet_id, request);
        }
    }

    /// Takes a SUBACK: when the SUBSCRIBE was sent and how many filters it had, if it was seen.
    pub(super) fn acknowledge(
        &mut self,
        packet_id: Option<u16>,
        codes: &[u8],
        times: PacketTimes,
        mut granted: impl FnMut(Grant<'_>),
    ) -> Option<(Timestamp, u64)> {
        let request = self.subscribing.remove(&packet_id?)?;
        for (sequence, &code) in (request.from..)
            .zip(codes)
            .take(usize::try_from(request.count).ok()?)
        {
            if let Some(subscription) = self.active.get_mut(&sequence) {
                subscription.answer = Some((code, times.last));
                if code < 0x80 {
                    self.granted = self.granted.saturating_add(1);
                }
                if let Some(grant) = subscription.grant().filter(|_| subscription.is_active()) {
                    granted(grant);
                }
            }
        }
        Some((request.first, request.count))
    }

    /// Takes an UNSUBSCRIBE.
    pub(super) fn unsubscribe(&mut self, packet: &Unsubscribe<'_>, times: PacketTimes) {
        self.changed = true;
        let room = self.unsubscribing.len() < KEPT_REQUESTS;
        let mut removal = Removal::default();
        for filter in packet.filters {
            let place = removal.count;
            removal.count = place.saturating_add(1);
            if let Some(sequence) = self.of_filter(filter)
                && let Some(ending) = self.active.get_mut(&sequence)
            {
                ending.unsubscribe = Some(times.first);
                removal.filters.push((place, sequence));
                self.deactivate(filter);
            }
        }
        if let (Some(packet_id), true) = (packet.packet_id, room) {
            self.unsubscribing.insert(packet_id, removal);
        }
    }

    /// Takes an UNSUBACK: how many filters its UNSUBSCRIBE had, if it was seen. Hands out the
    /// subscriptions that ended; a reason code of 128 or more leaves one as it was.
    pub(super) fn unsubscribed(
        &mut self,
        packet_id: Option<u16>,
        codes: &[u8],
        mut ended: impl FnMut(Ending<'_>),
    ) -> Option<u64> {
        let removal = self.unsubscribing.remove(&packet_id?)?;
        for (place, sequence) in removal.filters {
            let code = usize::try_from(place).ok().and_then(|at| codes.get(at));
            if code.is_some_and(|&code| code >= 0x80) {
                if let Some(kept) = self.active.get_mut(&sequence) {
                    kept.unsubscribe = None;
                    if let Some(by_filter) = &mut self.by_filter
                        && !by_filter.contains_key(&kept.filter)
                    {
                        by_filter.insert(kept.filter.clone(), sequence);
                    }
                    if let Some(grant) = kept.grant() {
                        ended(Ending::Kept(grant));
                    }
                }
            } else if let Some(old) = self.active.remove(&sequence) {
                self.bytes = self.bytes.saturating_sub(old.filter.len());
                ended(Ending::Ended(&old));
            }
        }
        Some(removal.count)
    }

    /// SUBSCRIBE and UNSUBSCRIBE packets that await their answer.
    pub(super) fn requests(&self) -> u32 {
        let count = self
            .subscribing
            .len()
            .saturating_add(self.unsubscribing.len());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// When the SUBSCRIBE was sent that waits longest for its answer.
    pub(super) fn waits_since(&self) -> Option<Timestamp> {
        let mut since: Option<Timestamp> = None;
        self.subscribing.for_each(|_, request| {
            since = Some(since.map_or(request.first, |since| since.min(request.first)));
        });
        since
    }

    /// Whether a SUBSCRIBE or UNSUBSCRIBE with this identifier awaits its answer.
    pub(super) fn awaits(&self, packet_id: u16) -> bool {
        self.subscribing.contains_key(&packet_id) || self.unsubscribing.contains_key(&packet_id)
    }

    pub(super) fn remaining(&self) -> impl Iterator<Item = &Subscription> {
        self.active.values()
    }
}
