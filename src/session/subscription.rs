//! Subscriptions of a connection: asked for, granted, ended.

use std::collections::BTreeMap;

use crate::mqtt::{Subscribe, Unsubscribe};
use crate::time::Timestamp;

use super::PacketTimes;
use super::record::SubscriptionRecord;

/// Filters and bytes of filters kept per connection; more are counted, not kept.
const KEPT_FILTERS: usize = 65_536;
const KEPT_BYTES: usize = 4 << 20;
/// SUBSCRIBE and UNSUBSCRIBE packets that may await their answer.
const KEPT_REQUESTS: usize = 65_536;

#[derive(Debug)]
pub(super) struct Subscription {
    filter: Box<[u8]>,
    requested_qos: u8,
    answer: Option<(u8, Timestamp)>,
    subscribe: Timestamp,
}

/// A SUBSCRIBE or UNSUBSCRIBE that awaits its answer.
#[derive(Debug, Clone, Copy)]
struct Request {
    first: Timestamp,
    /// Sequence number of its first filter among all that were asked for.
    from: u64,
    count: u64,
}

/// All subscriptions of one connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By sequence number, so that a SUBACK finds the filters of its SUBSCRIBE.
    active: BTreeMap<u64, Subscription>,
    /// Sequence number of the active subscription to a filter.
    by_filter: BTreeMap<Box<[u8]>, u64>,
    subscribing: BTreeMap<u16, Request>,
    unsubscribing: BTreeMap<u16, Request>,
    next: u64,
    bytes: usize,
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

impl Subscription {
    pub(super) fn record<'a>(
        &'a self,
        subscriber: Subscriber<'a>,
        unsubscribe: Option<Timestamp>,
    ) -> SubscriptionRecord<'a> {
        SubscriptionRecord {
            connection: subscriber.connection,
            tap: subscriber.tap,
            client_id: subscriber.client_id,
            filter: &self.filter,
            requested_qos: self.requested_qos,
            granted_qos: self.answer.map(|(code, _)| code).filter(|&code| code <= 2),
            reason_code: self.answer.map(|(code, _)| code),
            subscribe: self.subscribe,
            suback: self.answer.map(|(_, time)| time),
            unsubscribe,
        }
    }
}

impl Subscriptions {
    /// Takes a SUBSCRIBE; hands out the subscriptions that it replaces.
    pub(super) fn subscribe(
        &mut self,
        packet: &Subscribe<'_>,
        times: PacketTimes,
        mut ended: impl FnMut(&Subscription, Timestamp),
    ) {
        let from = self.next;
        for subscription in packet.subscriptions {
            let sequence = self.next;
            self.next = self.next.saturating_add(1);
            let length = subscription.filter.len();
            if let Some(old) = self.by_filter.remove(subscription.filter)
                && let Some(old) = self.active.remove(&old)
            {
                // [MQTT-3.8.4-3]: an identical filter replaces the subscription.
                self.bytes = self.bytes.saturating_sub(old.filter.len());
                ended(&old, times.first);
            }
            if self.active.len() >= KEPT_FILTERS || self.bytes.saturating_add(length) > KEPT_BYTES {
                self.dropped = self.dropped.saturating_add(1);
                continue;
            }
            self.bytes = self.bytes.saturating_add(length);
            self.by_filter.insert(subscription.filter.into(), sequence);
            self.active.insert(
                sequence,
                Subscription {
                    filter: subscription.filter.into(),
                    requested_qos: subscription.qos(),
                    answer: None,
                    subscribe: times.first,
                },
            );
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
            }
        }
        Some((request.first, request.count))
    }

    /// Takes an UNSUBSCRIBE; hands out the subscriptions that it ends.
    pub(super) fn unsubscribe(
        &mut self,
        packet: &Unsubscribe<'_>,
        times: PacketTimes,
        mut ended: impl FnMut(&Subscription, Timestamp),
    ) {
        let mut count = 0_u64;
        for filter in packet.filters {
            count = count.saturating_add(1);
            if let Some(sequence) = self.by_filter.remove(filter)
                && let Some(old) = self.active.remove(&sequence)
            {
                self.bytes = self.bytes.saturating_sub(old.filter.len());
                ended(&old, times.first);
            }
        }
        if let Some(packet_id) = packet.packet_id
            && self.unsubscribing.len() < KEPT_REQUESTS
        {
            let request = Request {
                first: times.first,
                from: 0,
                count,
            };
            self.unsubscribing.insert(packet_id, request);
        }
    }

    /// Takes an UNSUBACK: how many filters its UNSUBSCRIBE had, if it was seen.
    pub(super) fn unsubscribed(&mut self, packet_id: Option<u16>) -> Option<u64> {
        Some(self.unsubscribing.remove(&packet_id?)?.count)
    }

    pub(super) fn remaining(&self) -> impl Iterator<Item = &Subscription> {
        self.active.values()
    }
}
