//! An application message: borrowed from the packet that brought it, or kept.

use std::cell::Cell;
use std::rc::Rc;

use crate::mqtt::{
    HeaderResult, Packet, Properties, Property, PropertyId, ProtocolLevel, parse,
    parse_fixed_header, write,
};
use crate::time::Timestamp;

/// A message while it is on its way through the broker.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) topic: &'a [u8],
    pub(super) payload: &'a [u8],
    pub(super) properties: Properties<'a>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// Serial number of the publishing session, for No Local.
    pub(super) publisher: u64,
    /// When the broker got it: its expiry counts from there.
    pub(super) received: Timestamp,
}

impl View<'_> {
    /// Seconds until it expires, as its PUBLISH said.
    pub(super) fn expiry_s(&self) -> Option<u32> {
        match self.properties.get(PropertyId::MessageExpiryInterval) {
            Some(Property::MessageExpiryInterval(seconds)) => Some(seconds),
            _ => None,
        }
    }
}

/// Bytes held in messages, of a budget.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    used: Rc<Cell<usize>>,
    limit: usize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            used: Rc::default(),
            limit,
        }
    }

    pub(super) fn used(&self) -> usize {
        self.used.get()
    }
}

/// What a message costs besides its bytes, about.
const OVERHEAD: usize = 128;

/// A message that is kept: its PUBLISH as MQTT 5 writes it, without alias and subscription
/// identifiers, in one allocation.
#[derive(Debug)]
pub(super) struct Message {
    bytes: Vec<u8>,
    header: usize,
    payload: usize,
    topic_bytes: usize,
    has_properties: bool,
    qos: u8,
    retain: bool,
    publisher: u64,
    received: Timestamp,
    budget: Budget,
}

impl Message {
    /// Keeps a message; `None` when the budget does not allow it.
    pub(super) fn keep(view: &View<'_>, budget: &Budget) -> Option<Rc<Self>> {
        let kept: Vec<Property<'_>> = if view.properties.is_empty() {
            Vec::new()
        } else {
            view.properties.iter().filter(is_of_message).collect()
        };
        let cost = view.topic.len() + view.payload.len() + view.properties.as_bytes().len();
        if budget.used.get().saturating_add(cost + OVERHEAD) > budget.limit {
            return None;
        }
        let mut bytes = Vec::new();
        let packet = write::Publish {
            dup: false,
            qos: 0,
            retain: false,
            topic: view.topic,
            packet_id: 0,
            properties: &kept,
            payload: view.payload,
        };
        write::publish(&mut bytes, ProtocolLevel::V5, &packet).ok()?;
        let HeaderResult::Complete(header) = parse_fixed_header(&bytes) else {
            return None;
        };
        let budget = budget.clone();
        budget.used.set(budget.used.get() + bytes.len() + OVERHEAD);
        Some(Rc::new(Self {
            header: usize::from(header.header_length),
            payload: bytes.len() - view.payload.len(),
            topic_bytes: view.topic.len(),
            has_properties: !kept.is_empty(),
            qos: view.qos,
            retain: view.retain,
            publisher: view.publisher,
            received: view.received,
            bytes,
            budget,
        }))
    }

    pub(super) fn view(&self) -> View<'_> {
        let body = self.bytes.get(self.header..).unwrap_or_default();
        let topic = body.get(2..2 + self.topic_bytes).unwrap_or_default();
        let mut properties = Properties::default();
        if self.has_properties
            && let Packet::Publish(publish) = parse(0x30, body, ProtocolLevel::V5).packet
        {
            properties = publish.properties;
        }
        View {
            topic,
            payload: self.bytes.get(self.payload..).unwrap_or_default(),
            properties,
            qos: self.qos,
            retain: self.retain,
            publisher: self.publisher,
            received: self.received,
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let cost = self.bytes.len() + OVERHEAD;
        let used = &self.budget.used;
        used.set(used.get().saturating_sub(cost));
    }
}

/// Properties that go on with a message; a topic alias belongs to one connection, a subscription
/// identifier to one subscription, a will's delay to the will.
fn is_of_message(property: &Property<'_>) -> bool {
    !matches!(
        property.id(),
        PropertyId::TopicAlias | PropertyId::SubscriptionIdentifier | PropertyId::WillDelayInterval
    )
}

/// How a message goes to one subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending<'a> {
    pub(super) level: ProtocolLevel,
    pub(super) dup: bool,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) packet_id: u16,
    pub(super) identifiers: &'a [u32],
    pub(super) now: Timestamp,
}

/// Appends the PUBLISH; `false` when there is nothing to send, because the message expired or
/// cannot be written.
pub(super) fn write_publish(out: &mut Vec<u8>, view: &View<'_>, how: &Sending<'_>) -> bool {
    let plain = !how.level.is_v5() || view.properties.is_empty() && how.identifiers.is_empty();
    let mut properties = Vec::new();
    if !plain && !collect_properties(&mut properties, view, how) {
        return false;
    }
    let packet = write::Publish {
        dup: how.dup,
        qos: how.qos,
        retain: how.retain,
        topic: view.topic,
        packet_id: how.packet_id,
        properties: &properties,
        payload: view.payload,
    };
    write::publish(out, how.level, &packet).is_ok()
}

/// `false` when the message expired.
fn collect_properties<'a>(
    properties: &mut Vec<Property<'a>>,
    view: &View<'a>,
    how: &Sending<'_>,
) -> bool {
    for property in view.properties.iter().filter(is_of_message) {
        properties.push(match property {
            // [MQTT-3.3.2-6] "The PUBLISH packet sent to a Client by the Server MUST contain a
            // Message Expiry Interval set to the received value minus the time that the
            // Application Message has been waiting in the Server."
            Property::MessageExpiryInterval(seconds) => {
                match remaining(seconds, view.received, how.now) {
                    Some(left) => Property::MessageExpiryInterval(left),
                    None => return false,
                }
            }
            other => other,
        });
    }
    let identifiers = how.identifiers.iter();
    properties.extend(identifiers.map(|&id| Property::SubscriptionIdentifier(id)));
    true
}

/// Whether a kept message is too old to be sent.
pub(super) fn is_expired(view: &View<'_>, now: Timestamp) -> bool {
    !view.properties.is_empty()
        && view
            .expiry_s()
            .is_some_and(|seconds| remaining(seconds, view.received, now).is_none())
}

/// Seconds that are left; `None` when the message expired.
fn remaining(seconds: u32, received: Timestamp, now: Timestamp) -> Option<u32> {
    let waited = (now - received).as_nanos().max(0) / 1_000_000_000;
    match seconds.checked_sub(u32::try_from(waited).unwrap_or(u32::MAX)) {
        // 0 seconds left: it expires now, unless it never waited.
        Some(0) if waited > 0 => None,
        left => left,
    }
}
