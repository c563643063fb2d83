//! Reason codes (MQTT 5 section 2.4 and the tables of each packet) and the return codes of 3.1.1
//! (sections 3.2.2.3 and 3.9.3), in words.

use super::{PacketType, ProtocolLevel};

/// The words for a reason or return code; `None` where the packet has no code of this value at
/// this level. A CONNACK's codes 1 to 5 are answered at level 5 too, because servers that do not
/// know MQTT 5 refuse its CONNECT with them.
#[must_use]
pub const fn reason_text(
    packet_type: PacketType,
    code: u8,
    level: ProtocolLevel,
) -> Option<&'static str> {
    match packet_type {
        PacketType::Connack if !level.is_v5() || matches!(code, 1..=5) => return_text(code),
        PacketType::Suback if !level.is_v5() => match code {
            0x80 => Some("Failure"),
            0..=2 => shared_text(packet_type, code),
            _ => None,
        },
        _ if level.is_v5() && is_defined(packet_type, code) => shared_text(packet_type, code),
        _ => None,
    }
}

/// Whether the code is one of those defined for this packet at this level.
pub(super) const fn is_known(packet_type: PacketType, code: u8, level: ProtocolLevel) -> bool {
    if level.is_v5() {
        is_defined(packet_type, code)
    } else {
        reason_text(packet_type, code, level).is_some()
    }
}

/// Return codes of a CONNACK of 3.1 and 3.1.1 (table 3.1 of 3.1.1).
const fn return_text(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "Connection Accepted",
        1 => "Connection Refused, unacceptable protocol version",
        2 => "Connection Refused, identifier rejected",
        3 => "Connection Refused, Server unavailable",
        4 => "Connection Refused, bad user name or password",
        5 => "Connection Refused, not authorized",
        _ => return None,
    })
}

/// Whether MQTT 5 defines the code for this packet (table 2-6).
#[inline]
const fn is_defined(packet_type: PacketType, code: u8) -> bool {
    match packet_type {
        PacketType::Connack => matches!(
            code,
            0x00 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99..=0x9d | 0x9f
        ),
        PacketType::Puback | PacketType::Pubrec => matches!(
            code,
            0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99
        ),
        PacketType::Pubrel | PacketType::Pubcomp => matches!(code, 0x00 | 0x92),
        PacketType::Suback => matches!(
            code,
            0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2
        ),
        PacketType::Unsuback => {
            matches!(code, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91)
        }
        PacketType::Disconnect => matches!(
            code,
            0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b..=0x90 | 0x93..=0xa2
        ),
        PacketType::Auth => matches!(code, 0x00 | 0x18 | 0x19),
        _ => false,
    }
}

const fn shared_text(packet_type: PacketType, code: u8) -> Option<&'static str> {
    Some(match code {
        0x00 => match packet_type {
            PacketType::Disconnect => "Normal disconnection",
            PacketType::Suback => "Granted QoS 0",
            _ => "Success",
        },
        0x01 => "Granted QoS 1",
        0x02 => "Granted QoS 2",
        0x04 => "Disconnect with Will Message",
        0x10 => "No matching subscribers",
        0x11 => "No subscription existed",
        0x18 => "Continue authentication",
        0x19 => "Re-authenticate",
        0x80 => "Unspecified error",
        0x81 => "Malformed Packet",
        0x82 => "Protocol Error",
        0x83 => "Implementation specific error",
        0x84 => "Unsupported Protocol Version",
        0x85 => "Client Identifier not valid",
        0x86 => "Bad User Name or Password",
        0x87 => "Not authorized",
        0x88 => "Server unavailable",
        0x89 => "Server busy",
        0x8a => "Banned",
        0x8b => "Server shutting down",
        0x8c => "Bad authentication method",
        0x8d => "Keep Alive timeout",
        0x8e => "Session taken over",
        0x8f => "Topic Filter invalid",
        0x90 => "Topic Name invalid",
        0x91 => "Packet Identifier in use",
        0x92 => "Packet Identifier not found",
        0x93 => "Receive Maximum exceeded",
        0x94 => "Topic Alias invalid",
        0x95 => "Packet too large",
        0x96 => "Message rate too high",
        0x97 => "Quota exceeded",
        0x98 => "Administrative action",
        0x99 => "Payload format invalid",
        0x9a => "Retain not supported",
        0x9b => "QoS not supported",
        0x9c => "Use another server",
        0x9d => "Server moved",
        0x9e => "Shared Subscriptions not supported",
        0x9f => "Connection rate exceeded",
        0xa0 => "Maximum connect time",
        0xa1 => "Subscription Identifiers not supported",
        0xa2 => "Wildcard Subscriptions not supported",
        _ => return None,
    })
}
