//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (sections 3.8 to 3.11).

use super::super::property::{self, PropertyOwner};
use super::super::reader::{Reader, Stop, length_of};
use super::super::{
    Field, Filters, PacketType, Properties, ProtocolLevel, Suback, Subscribe, Subscriptions,
    Unsuback, Unsubscribe, Violation, Violations, topic,
};
use super::{at_end, check_reason, packet_id, whole};

/// Packet identifier and properties, which all four packets begin with.
fn head<'a>(
    packet_type: PacketType,
    (id, properties): (&mut Option<u16>, &mut Properties<'a>),
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    *id = Some(packet_id(reader, violations)?);
    if level.is_v5() {
        let owner = PropertyOwner::Packet(packet_type);
        property::parse(reader, owner, properties, violations)?;
    }
    Ok(())
}

pub(super) fn subscribe<'a>(
    subscribe: &mut Subscribe<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let fields = (&mut subscribe.packet_id, &mut subscribe.properties);
    head(PacketType::Subscribe, fields, reader, level, violations)?;
    let (list, end) = read_filters(reader, violations, |reader, violations| {
        let filter = reader.prefixed(Field::TopicFilter)?;
        let options = reader.byte(Field::SubscriptionOptions)?;
        let shared = check_filter(filter, level, violations);
        check_options(options, shared, level, violations);
        Ok(())
    });
    subscribe.subscriptions = Subscriptions::new(list);
    end
}

pub(super) fn unsubscribe<'a>(
    unsubscribe: &mut Unsubscribe<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let fields = (&mut unsubscribe.packet_id, &mut unsubscribe.properties);
    head(PacketType::Unsubscribe, fields, reader, level, violations)?;
    let (list, end) = read_filters(reader, violations, |reader, violations| {
        let filter = reader.prefixed(Field::TopicFilter)?;
        check_filter(filter, level, violations);
        Ok(())
    });
    unsubscribe.filters = Filters::new(list);
    end
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
    suback: &mut Suback<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let fields = (&mut suback.packet_id, &mut suback.properties);
    head(PacketType::Suback, fields, reader, level, violations)?;
    let codes = &mut suback.reason_codes;
    read_codes(codes, PacketType::Suback, reader, level, violations)
}

pub(super) fn unsuback<'a>(
    unsuback: &mut Unsuback<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let fields = (&mut unsuback.packet_id, &mut unsuback.properties);
    head(PacketType::Unsuback, fields, reader, level, violations)?;
    // 3.11.3 of 3.1.1: "The UNSUBACK Packet has no payload."
    if !level.is_v5() {
        return at_end(reader, violations);
    }
    let codes = &mut unsuback.reason_codes;
    read_codes(codes, PacketType::Unsuback, reader, level, violations)
}

/// One code for each filter, up to the packet's end.
fn read_codes<'a>(
    codes: &mut &'a [u8],
    packet_type: PacketType,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    *codes = reader.rest();
    violations.insert_if(reader.remaining() == 0, Violation::NoReasonCodes);
    for &code in *codes {
        check_reason(packet_type, code, level, violations);
    }
    let end = whole(reader);
    debug_assert!(end.is_err() || length_of(codes) == reader.remaining());
    end
}
