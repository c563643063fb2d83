//! PUBLISH (section 3.3).

use super::super::property::{self, PropertyOwner};
use super::super::reader::{Reader, Stop};
use super::super::{
    Field, PacketType, Properties, Property, PropertyId, ProtocolLevel, Publish, Violation,
    Violations, text,
};
use super::packet_id;

/// What the flags of the fixed header say.
#[inline]
pub(super) fn from_flags<'a>(first_byte: u8, violations: &mut Violations) -> Publish<'a> {
    let publish = Publish {
        dup: first_byte & 0x08 != 0,
        qos: first_byte >> 1 & 0x03,
        retain: first_byte & 0x01 != 0,
        ..Publish::default()
    };
    // [MQTT-3.3.1-4] "A PUBLISH Packet MUST NOT have both QoS bits set to 1."
    violations.insert_if(publish.qos == 3, Violation::Qos3);
    // [MQTT-3.3.1-2] "The DUP flag MUST be set to 0 for all QoS 0 messages."
    violations.insert_if(publish.dup && publish.qos == 0, Violation::DupWithQos0);
    publish
}

#[inline]
pub(super) fn read<'a>(
    publish: &mut Publish<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let topic = reader.prefixed(Field::TopicName)?;
    publish.topic = Some(topic);
    check_topic_name(topic, violations);
    if publish.qos > 0 {
        publish.packet_id = Some(packet_id(reader, violations)?);
    }
    let mut properties = Ok(());
    if level.is_v5() {
        properties = property::parse(
            reader,
            PropertyOwner::Packet(PacketType::Publish),
            &mut publish.properties,
            violations,
        );
        if let Err(stop) = properties
            && !is_within_block(stop)
        {
            return Err(stop);
        }
    }
    publish.payload = reader.rest();
    publish.payload_length = Some(reader.remaining());
    properties?;
    // 3.3.2.1 of MQTT 5: "It is a Protocol Error if the Topic Name is zero length and there is no
    // Topic Alias."
    violations.insert_if(
        topic.is_empty() && !publish.properties.contains(PropertyId::TopicAlias),
        Violation::EmptyTopic,
    );
    if reader.is_whole() {
        check_payload_format(&publish.properties, publish.payload, violations);
    }
    Ok(())
}

/// Whether a damaged property lies in a block whose own length is good: the payload then begins
/// after the block as ever.
#[cold]
const fn is_within_block(stop: Stop) -> bool {
    match stop {
        Stop::NeedMore => false,
        Stop::Malformed(malformed) => matches!(
            malformed.field,
            Field::PropertyIdentifier | Field::PropertyValue
        ),
    }
}

/// Characters of a topic name; whether it may be empty is for the caller to say.
#[inline]
pub(super) fn check_topic_name(topic: &[u8], violations: &mut Violations) {
    let scan = text::scan(topic);
    *violations = violations.union(scan.violations);
    // [MQTT-3.3.2-2] "The Topic Name in the PUBLISH packet MUST NOT contain wildcard characters."
    violations.insert_if(scan.wildcard, Violation::WildcardInTopic);
}

/// 3.3.2.3.2: with a Payload Format Indicator of 1, "the UTF-8 data in the Payload MUST be
/// well-formed UTF-8".
#[inline]
pub(super) fn check_payload_format(
    properties: &Properties<'_>,
    payload: &[u8],
    violations: &mut Violations,
) {
    if let Some(Property::PayloadFormatIndicator(1)) =
        properties.get(PropertyId::PayloadFormatIndicator)
    {
        violations.insert_if(
            core::str::from_utf8(payload).is_err(),
            Violation::PayloadNotUtf8,
        );
    }
}
