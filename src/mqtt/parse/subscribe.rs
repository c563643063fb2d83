//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (sections 3.8 to 3.11).

use super::super::property::{self, PropertyOwner};
use super::super::reader::{Reader, Stop, length_of};
use super::super::{
    Field, Filters, Packet, PacketType, Properties, ProtocolLevel, Suback, Subscribe,
    Subscriptions, Unsuback, Unsubscribe, Violation, Violations, topic,
};
use super::{at_end, check_reason, packet_id, whole};

/// Packet identifier and properties, which all four packets begin with, as far as they could be
/// read.
#[derive(Default)]
struct Head<'a> {
    packet_id: Option<u16>,
    properties: Properties<'a>,
}

impl<'a> Head<'a> {
    fn read(
        packet_type: PacketType,
        reader: &mut Reader<'a>,
        level: ProtocolLevel,
        violations: &mut Violations,
    ) -> (Self, Result<(), Stop>) {
        let mut head = Self::default();
        let end = head.fill(packet_type, reader, level, violations);
        (head, end)
    }

    fn fill(
        &mut self,
        packet_type: PacketType,
        reader: &mut Reader<'a>,
        level: ProtocolLevel,
        violations: &mut Violations,
    ) -> Result<(), Stop> {
        self.packet_id = Some(packet_id(reader, violations)?);
        if level.is_v5() {
            let owner = PropertyOwner::Packet(packet_type);
            property::parse(reader, owner, &mut self.properties, violations)?;
        }
        Ok(())
    }
}

pub(super) fn subscribe<'a>(
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> (Packet<'a>, Result<(), Stop>) {
    let (head, mut end) = Head::read(PacketType::Subscribe, reader, level, violations);
    let mut packet = Subscribe {
        packet_id: head.packet_id,
        properties: head.properties,
        ..Subscribe::default()
    };
    if end.is_ok() {
        let list;
        (list, end) = read_filters(reader, violations, |reader, violations| {
            let filter = reader.prefixed(Field::TopicFilter)?;
            let options = reader.byte(Field::SubscriptionOptions)?;
            let shared = check_filter(filter, level, violations);
            check_options(options, shared, level, violations);
            Ok(())
        });
        packet.subscriptions = Subscriptions::new(list);
    }
    (Packet::Subscribe(packet), end)
}

pub(super) fn unsubscribe<'a>(
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> (Packet<'a>, Result<(), Stop>) {
    let (head, mut end) = Head::read(PacketType::Unsubscribe, reader, level, violations);
    let mut packet = Unsubscribe {
        packet_id: head.packet_id,
        properties: head.properties,
        ..Unsubscribe::default()
    };
    if end.is_ok() {
        let list;
        (list, end) = read_filters(reader, violations, |reader, violations| {
            let filter = reader.prefixed(Field::TopicFilter)?;
            check_filter(filter, level, violations);
            Ok(())
        });
        packet.filters = Filters::new(list);
    }
    (Packet::Unsubscribe(packet), end)
}

/// Reads items up to the packet's end; gives the bytes of those that are whole.
fn read_filters<'a>(
    reader: &mut Reader<'a>,
    violations: &mut Violations,
    mut read_one: impl FnMut(&mut Reader<'a>, &mut Violations) -> Result<(), Stop>,
) -> (&'a [u8], Result<(), Stop>) {
    let list = reader.rest();
    let mut good = 0;
    // [MQTT-3.8.3-2] "The Payload MUST contain at least one Topic Filter and Subscription Options
    // pair." [MQTT-3.8.3-3] in 3.1.1; [MQTT-3.10.3-2] for UNSUBSCRIBE.
    violations.insert_if(reader.remaining() == 0, Violation::NoFilters);
    let end = loop {
        if reader.remaining() == 0 {
            break Ok(());
        }
        if let Err(stop) = read_one(reader, violations) {
            break Err(stop);
        }
        good = list.len().saturating_sub(reader.rest().len());
    };
    (list.get(..good).unwrap_or_default(), end)
}

/// Whether it is a shared subscription's filter.
fn check_filter(filter: &[u8], level: ProtocolLevel, violations: &mut Violations) -> bool {
    *violations = violations.union(topic::filter_violations(filter, level));
    level.is_v5() && filter.starts_with(topic::SHARE_PREFIX)
}

fn check_options(options: u8, shared: bool, level: ProtocolLevel, violations: &mut Violations) {
    // [MQTT-3.8.3-4] of 3.1.1: "The Server MUST treat a SUBSCRIBE packet as malformed and close the
    // Network Connection if any of Reserved bits in the payload are non-zero, or QoS is not 0,1 or
    // 2." MQTT 5 has it as [MQTT-3.8.3-5] with fewer reserved bits.
    let reserved = if level.is_v5() { 0xc0 } else { 0xfc };
    violations.insert_if(options & reserved != 0, Violation::ReservedOptionBits);
    violations.insert_if(options & 0x03 == 3, Violation::RequestedQos3);
    if level.is_v5() {
        // 3.8.3.1: "It is a Protocol Error to send a Retain Handling value of 3."
        violations.insert_if(options & 0x30 == 0x30, Violation::RetainHandling3);
        // [MQTT-3.8.3-4] "It is a Protocol Error to set the No Local bit to 1 on a Shared
        // Subscription."
        violations.insert_if(shared && options & 0x04 != 0, Violation::NoLocalOnShared);
    }
}

pub(super) fn suback<'a>(
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> (Packet<'a>, Result<(), Stop>) {
    let (head, mut end) = Head::read(PacketType::Suback, reader, level, violations);
    let mut packet = Suback {
        packet_id: head.packet_id,
        properties: head.properties,
        ..Suback::default()
    };
    if end.is_ok() {
        (packet.reason_codes, end) = read_codes(PacketType::Suback, reader, level, violations);
    }
    (Packet::Suback(packet), end)
}

pub(super) fn unsuback<'a>(
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> (Packet<'a>, Result<(), Stop>) {
    let (head, mut end) = Head::read(PacketType::Unsuback, reader, level, violations);
    let mut packet = Unsuback {
        packet_id: head.packet_id,
        properties: head.properties,
        ..Unsuback::default()
    };
    if end.is_ok() {
        // 3.11.3 of 3.1.1: "The UNSUBACK Packet has no payload."
        if level.is_v5() {
            (packet.reason_codes, end) =
                read_codes(PacketType::Unsuback, reader, level, violations);
        } else {
            end = at_end(reader, violations);
        }
    }
    (Packet::Unsuback(packet), end)
}

/// One code for each filter, up to the packet's end.
fn read_codes<'a>(
    packet_type: PacketType,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> (&'a [u8], Result<(), Stop>) {
    let codes = reader.rest();
    violations.insert_if(reader.remaining() == 0, Violation::NoReasonCodes);
    for &code in codes {
        check_reason(packet_type, code, level, violations);
    }
    let end = whole(reader);
    debug_assert!(end.is_err() || length_of(codes) == reader.remaining());
    (codes, end)
}
