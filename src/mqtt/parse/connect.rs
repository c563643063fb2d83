//! CONNECT (section 3.1).

use super::super::property::{self, PropertyOwner};
use super::super::reader::{Reader, Stop};
use super::super::{
    Connect, Field, PacketType, ProtocolLevel, Secret, Violation, Violations, Will, text,
};
use super::at_end;
use super::publish::{check_payload_format, check_topic_name};

pub(super) fn read<'a>(
    connect: &mut Connect<'a>,
    first_byte: u8,
    reader: &mut Reader<'a>,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let name = reader.prefixed(Field::ProtocolName)?;
    connect.protocol_name = Some(name);
    let level_byte = reader.byte(Field::ProtocolLevel)?;
    connect.level_byte = Some(level_byte);
    let level = check_level(connect, name, violations);
    // The flags of the fixed header are "not used" in 3.1.
    violations.insert_if(
        level != ProtocolLevel::V3_1 && first_byte & 0x0f != 0,
        Violation::ReservedFlags,
    );

    let flags = reader.byte(Field::ConnectFlags)?;
    connect.flags = Some(flags);
    check_flags(connect, flags, level, violations);
    connect.keep_alive = Some(reader.two_bytes(Field::KeepAlive)?);
    if level.is_v5() {
        property::parse(
            reader,
            PropertyOwner::Packet(PacketType::Connect),
            &mut connect.properties,
            violations,
        )?;
    }
    read_payload(connect, reader, level, violations)?;
    at_end(reader, violations)
}

/// The level by which the rest is read: an unknown one is read like 3.1.1, the form that all
/// later levels grew from.
fn check_level(connect: &Connect<'_>, name: &[u8], violations: &mut Violations) -> ProtocolLevel {
    violations.insert_if(connect.is_bridge(), Violation::BridgeLevel);
    let known = connect.level();
    violations.insert_if(known.is_none(), Violation::UnknownProtocolLevel);
    let expected: &[u8] = match known {
        Some(ProtocolLevel::V3_1) => b"MQIsdp",
        _ => b"MQTT",
    };
    // [MQTT-3.1.2-1] "The protocol name MUST be the UTF-8 String "MQTT"."
    violations.insert_if(name != expected, Violation::ProtocolName);
    known.unwrap_or(ProtocolLevel::V3_1_1)
}

fn check_flags(
    connect: &Connect<'_>,
    flags: u8,
    level: ProtocolLevel,
    violations: &mut Violations,
) {
    let will = flags & 0x04 != 0;
    let will_qos = flags >> 3 & 0x03;
    // [MQTT-3.1.2-3] "The Server MUST validate that the reserved flag in the CONNECT packet is set
    // to 0." The bit is "not used" in 3.1.
    violations.insert_if(
        level != ProtocolLevel::V3_1 && connect.reserved_flag() == Some(true),
        Violation::ConnectReservedFlag,
    );
    violations.insert_if(!will && will_qos != 0, Violation::WillQosWithoutWill);
    violations.insert_if(!will && flags & 0x20 != 0, Violation::WillRetainWithoutWill);
    // [MQTT-3.1.2-14] of 3.1.1: "It MUST NOT be 3 (0x03)."
    violations.insert_if(will_qos == 3, Violation::WillQos3);
    // [MQTT-3.1.2-22] of 3.1.1: "If the User Name Flag is set to 0, the Password Flag MUST be set
    // to 0." MQTT 5 section 3.1.2.9 allows it.
    violations.insert_if(
        !level.is_v5() && flags & 0xc0 == 0x40,
        Violation::PasswordWithoutUserName,
    );
}

/// [MQTT-3.1.3-1] "These fields, if present, MUST appear in the order Client Identifier, Will
/// Topic, Will Message, User Name, Password."
fn read_payload<'a>(
    connect: &mut Connect<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let client_id = reader.prefixed(Field::ClientIdentifier)?;
    connect.client_id = Some(client_id);
    check_client_id(client_id, connect.clean_start(), level, violations);
    if connect.will_flag() == Some(true) {
        let will = connect.will.insert(Will::default());
        read_will(will, reader, level, violations)?;
    }
    if connect.user_name_flag() == Some(true) && !absent_in_3_1(reader, level) {
        let user_name = reader.prefixed(Field::UserName)?;
        connect.user_name = Some(user_name);
        *violations = violations.union(text::scan(user_name).violations);
    }
    if connect.password_flag() == Some(true) && !absent_in_3_1(reader, level) {
        connect.password = Some(Secret::new(reader.prefixed(Field::Password)?));
    }
    Ok(())
}

/// MQTT 3.1, CONNECT, user name flag: "the Remaining Length field from the fixed header takes
/// precedence over the User Name flag. Server implementations must allow for the possibility that
/// the User Name flag is set, but the User Name string is missing." The password likewise.
fn absent_in_3_1(reader: &Reader<'_>, level: ProtocolLevel) -> bool {
    level == ProtocolLevel::V3_1 && reader.remaining() == 0
}

fn check_client_id(
    client_id: &[u8],
    clean_start: Option<bool>,
    level: ProtocolLevel,
    violations: &mut Violations,
) {
    *violations = violations.union(text::scan(client_id).violations);
    match level {
        // 3.1: "The first UTF-encoded string. The Client Identifier (Client ID) is between 1 and
        // 23 characters long". Widely ignored.
        ProtocolLevel::V3_1 => violations.insert_if(
            !matches!(client_id.len(), 1..=23),
            Violation::ClientIdentifierLength,
        ),
        // [MQTT-3.1.3-7] "If the Client supplies a zero-byte ClientId, the Client MUST also set
        // CleanSession to 1."
        ProtocolLevel::V3_1_1 => violations.insert_if(
            client_id.is_empty() && clean_start == Some(false),
            Violation::EmptyClientIdentifier,
        ),
        ProtocolLevel::V5 => {}
    }
}

fn read_will<'a>(
    will: &mut Will<'a>,
    reader: &mut Reader<'a>,
    level: ProtocolLevel,
    violations: &mut Violations,
) -> Result<(), Stop> {
    if level.is_v5() {
        property::parse(
            reader,
            PropertyOwner::Will,
            &mut will.properties,
            violations,
        )?;
    }
    let topic = reader.prefixed(Field::WillTopic)?;
    will.topic = Some(topic);
    check_topic_name(topic, violations);
    // [MQTT-4.7.3-1] "All Topic Names and Topic Filters MUST be at least one character long."
    violations.insert_if(topic.is_empty(), Violation::EmptyTopic);
    let payload = reader.prefixed(Field::WillPayload)?;
    will.payload = Some(payload);
    check_payload_format(&will.properties, payload, violations);
    Ok(())
}
