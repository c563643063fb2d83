//! What one packet says about the protocol level of a connection whose CONNECT was not seen.

use super::reader::length_of;
use super::{Packet, PacketType, Parsed, Prefix, ProtocolLevel, Violation, parse, parse_prefix};

/// What the bytes of one packet decide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Evidence {
    /// The packet is one of MQTT 5 and cannot be one of 3.1 or 3.1.1.
    V5,
    /// The packet is one of 3.1 or 3.1.1 and cannot be one of MQTT 5.
    NotV5,
    /// It could be either, or is neither.
    None,
}

/// What a whole packet decides about the level of its connection.
///
/// Only what decides counts; a packet that breaks rules at both levels says nothing.
///
/// | packet | MQTT 5 | before |
/// | --- | --- | --- |
/// | CONNECT | its level is 5 | its level is 3 or 4 |
/// | CONNACK | longer than 2 bytes and valid as 5 | 2 bytes with code 0 (a server that refuses a CONNECT of MQTT 5 in the old form looks the same, but never accepts it so) |
/// | PUBACK, PUBREC, PUBREL, PUBCOMP | longer than 2 bytes and valid as 5 | – (2 bytes are right at every level) |
/// | SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK | valid as 5 only | valid as 3.1.1 only |
/// | PUBLISH | see below | see below |
/// | PINGREQ, PINGRESP | – | – |
/// | DISCONNECT | has a body, valid as 5 | – |
/// | AUTH | valid as 5 | – |
///
/// A PUBLISH carries any bytes as payload, so that a property block can only be ruled out or be
/// likely. It is of MQTT 5 if its topic is empty and a topic alias follows, or if topic and packet
/// identifier are followed by a property block of 3 bytes or more that is valid and holds only
/// what a PUBLISH may have: an application's payload that begins like that by chance is accepted
/// as a risk. A property length of 0 decides nothing (binary payloads begin with 0 often). It is
/// from before MQTT 5 if it is valid as 3.1.1 and what follows the topic and packet identifier
/// cannot be parsed as a property block of a PUBLISH.
#[must_use]
pub fn level_evidence(first_byte: u8, body: &[u8]) -> Evidence {
    level_evidence_prefix(first_byte, body, length_of(body))
}

/// [`level_evidence`] from the first bytes of a packet of `remaining_length` bytes: decides a
/// PUBLISH whose payload is still to come, and nothing else that is not whole.
#[must_use]
pub fn level_evidence_prefix(first_byte: u8, body: &[u8], remaining_length: u32) -> Evidence {
    let packet_type = PacketType::from_first_byte(first_byte);
    if packet_type == PacketType::Publish {
        return publish_evidence(first_byte, body, remaining_length);
    }
    if length_of(body) < remaining_length {
        return Evidence::None;
    }
    let as_v5 = || parse(first_byte, body, ProtocolLevel::V5);
    match packet_type {
        PacketType::Connect => match as_v5().packet {
            Packet::Connect(connect) => match connect.level() {
                Some(ProtocolLevel::V5) => Evidence::V5,
                Some(_) => Evidence::NotV5,
                None => Evidence::None,
            },
            _ => Evidence::None,
        },
        PacketType::Connack => match *body {
            [0 | 1, 0] => Evidence::NotV5,
            [_, _, _, ..] => v5_if(as_v5().is_valid()),
            _ => Evidence::None,
        },
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
            v5_if(remaining_length > 2 && as_v5().is_valid())
        }
        PacketType::Subscribe
        | PacketType::Suback
        | PacketType::Unsubscribe
        | PacketType::Unsuback => exactly_one(
            as_v5().is_valid(),
            parse(first_byte, body, ProtocolLevel::V3_1_1).is_valid(),
        ),
        PacketType::Disconnect => v5_if(remaining_length > 0 && as_v5().is_valid()),
        PacketType::Auth => v5_if(as_v5().is_valid()),
        _ => Evidence::None,
    }
}

fn v5_if(decided: bool) -> Evidence {
    if decided {
        Evidence::V5
    } else {
        Evidence::None
    }
}

fn exactly_one(v5: bool, older: bool) -> Evidence {
    match (v5, older) {
        (true, false) => Evidence::V5,
        (false, true) => Evidence::NotV5,
        _ => Evidence::None,
    }
}

fn publish_evidence(first_byte: u8, body: &[u8], remaining_length: u32) -> Evidence {
    let parsed = |level| match parse_prefix(first_byte, body, remaining_length, level) {
        Prefix::Parsed(parsed) => Some(parsed),
        Prefix::NeedMore(_) => None,
    };
    let Some(older) = parsed(ProtocolLevel::V3_1_1) else {
        return Evidence::None;
    };
    let Some(v5) = parsed(ProtocolLevel::V5) else {
        return Evidence::None;
    };
    let Packet::Publish(publish) = v5.packet else {
        return Evidence::None;
    };
    if v5.is_valid() {
        // With an empty topic the block holds a topic alias, which is 3 bytes.
        return v5_if(publish.properties.as_bytes().len() >= 3);
    }
    if older.is_valid() && cannot_be_v5(&v5) {
        return Evidence::NotV5;
    }
    Evidence::None
}

/// The bytes cannot be taken apart as properties, or not as properties of a PUBLISH. Repeated
/// properties or bad values do not count: a careless MQTT 5 sender could have sent those.
fn cannot_be_v5(parsed: &Parsed<'_>) -> bool {
    parsed.malformed.is_some() || parsed.violations.contains(Violation::PropertyNotAllowed)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
