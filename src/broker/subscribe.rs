//! SUBSCRIBE and UNSUBSCRIBE.

use crate::mqtt::{
    Property, PropertyId, ProtocolLevel, Subscribe, Subscription, Unsubscribe, topic, write,
};

use super::connection::ConnectionId;
use super::core::{Core, reason};
use super::deliver::How;
use super::subscriptions::{Options, is_wild};

impl Core {
    pub(super) fn subscribe(&mut self, id: ConnectionId, session: u32, subscribe: &Subscribe<'_>) {
        let level = self.level_of(id);
        let limit = self.config.limits.filters;
        if subscribe
            .subscriptions
            .take(limit.saturating_add(1))
            .count()
            > limit
        {
            self.fail(id, reason::QUOTA_EXCEEDED);
            return;
        }
        let identifier = match subscribe.properties.get(PropertyId::SubscriptionIdentifier) {
            Some(Property::SubscriptionIdentifier(identifier)) => Some(identifier),
            _ => None,
        };
        let mut codes = Vec::new();
        let mut granted = Vec::new();
        for subscription in subscribe.subscriptions {
            match self.add_subscription(session, level, &subscription, identifier) {
                Ok(is_new) => {
                    codes.push(subscription.qos());
                    granted.push((subscription, is_new));
                }
                Err(code) => codes.push(if level.is_v5() { code } else { 0x80 }),
            }
        }
        let packet_id = subscribe.packet_id.unwrap_or(0);
        self.connections.send(id, |out| {
            u64::from(write::suback(out, level, packet_id, &[], &codes).is_ok())
        });
        for (subscription, is_new) in granted {
            let options = Options::new(&subscription, identifier);
            // 3.8.3.1: 0 always, 1 for a new subscription, 2 never.
            match subscription.retain_handling() {
                0 => self.send_retained(session, subscription.filter, options),
                1 if is_new => self.send_retained(session, subscription.filter, options),
                _ => {}
            }
        }
    }

    /// Says whether it is new, or with which code it is refused.
    fn add_subscription(
        &mut self,
        index: u32,
        level: ProtocolLevel,
        subscription: &Subscription<'_>,
        identifier: Option<u32>,
    ) -> Result<bool, u8> {
        if level.is_v5() && subscription.filter.starts_with(topic::SHARE_PREFIX) {
            return Err(reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        let is_full = self.subscriptions.len() >= self.config.limits.subscriptions;
        let Some(session) = self.sessions.get_mut(index) else {
            return Err(reason::PROTOCOL_ERROR);
        };
        if is_full && !session.filters.contains(subscription.filter) {
            return Err(reason::QUOTA_EXCEEDED);
        }
        session.filters.insert(subscription.filter.into());
        let options = Options::new(subscription, identifier);
        Ok(self.subscriptions.add(index, subscription.filter, options))
    }

    /// Retained messages of a new subscription, with RETAIN [MQTT-3.3.1-8].
    fn send_retained(&mut self, index: u32, filter: &[u8], options: Options) {
        let identifiers = options.identifier.map(|identifier| [identifier][..].into());
        let mut found: Vec<_> = if is_wild(filter) {
            let retained = self.retained.iter();
            let matching = retained.filter(|(name, _)| topic::matches(filter, name));
            matching.map(|(_, message)| message.clone()).collect()
        } else {
            self.retained.get(filter).cloned().into_iter().collect()
        };
        found.sort_unstable_by(|a, b| a.view().topic.cmp(b.view().topic));
        for message in found {
            let view = message.view();
            let how = How {
                qos: view.qos.min(options.qos),
                retain: true,
                repeat: false,
                identifiers: identifiers.as_ref(),
            };
            self.deliver(index, &view, &mut Some(message.clone()), &how);
        }
        self.send_counters(index, filter, options.qos, identifiers.as_ref());
    }

    pub(super) fn unsubscribe(
        &mut self,
        id: ConnectionId,
        index: u32,
        unsubscribe: &Unsubscribe<'_>,
    ) {
        let level = self.level_of(id);
        let limit = self.config.limits.filters;
        if unsubscribe.filters.take(limit.saturating_add(1)).count() > limit {
            self.fail(id, reason::QUOTA_EXCEEDED);
            return;
        }
        let mut codes = Vec::new();
        for filter in unsubscribe.filters {
            let session = self.sessions.get_mut(index);
            let existed = session.is_some_and(|session| session.filters.remove(filter));
            if existed {
                self.subscriptions.remove(index, filter);
            }
            codes.push(if existed {
                reason::SUCCESS
            } else {
                reason::NO_SUBSCRIPTION_EXISTED
            });
        }
        let packet_id = unsubscribe.packet_id.unwrap_or(0);
        self.connections.send(id, |out| {
            u64::from(write::unsuback(out, level, packet_id, &[], &codes).is_ok())
        });
    }
}
