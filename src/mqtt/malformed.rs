//! Where a packet stops making sense.

use core::fmt;

use super::{PacketType, ProtocolLevel};

/// Why a packet cannot be parsed further. What was read before stays valid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Malformed {
    /// The kind of damage.
    pub reason: MalformedReason,
    /// The field in which it was met.
    pub field: Field,
    /// Where that field begins: bytes after the fixed header.
    pub offset: u32,
    /// Bytes that the field needs from `offset` (or from the end of its length prefix), or for an
    /// unknown property its identifier.
    pub needed: u32,
    /// Bytes that are left there in the packet, or in the property block.
    pub available: u32,
}

/// Kinds of damage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MalformedReason {
    /// A field runs past the end of the packet.
    PastPacket,
    /// A property runs past the end of its property block.
    PastProperties,
    /// A variable byte integer asks for a fifth byte.
    VariableByteInteger,
    /// A property identifier that the specification does not define; its length is unknown, so
    /// nothing after it can be read.
    UnknownProperty,
}

impl MalformedReason {
    /// A stable identifier.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PastPacket => "past-packet",
            Self::PastProperties => "past-properties",
            Self::VariableByteInteger => "variable-byte-integer",
            Self::UnknownProperty => "unknown-property",
        }
    }
}

/// The fields that can be cut short.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs, reason = "each variant is the field of that name")]
pub enum Field {
    ProtocolName,
    ProtocolLevel,
    ConnectFlags,
    KeepAlive,
    ClientIdentifier,
    WillTopic,
    WillPayload,
    UserName,
    Password,
    ConnackFlags,
    ReasonCode,
    TopicName,
    PacketIdentifier,
    TopicFilter,
    SubscriptionOptions,
    PropertyLength,
    Properties,
    PropertyIdentifier,
    PropertyValue,
}

impl Field {
    /// The field's name as the specification has it, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProtocolName => "protocol name",
            Self::ProtocolLevel => "protocol level",
            Self::ConnectFlags => "connect flags",
            Self::KeepAlive => "keep alive",
            Self::ClientIdentifier => "client identifier",
            Self::WillTopic => "will topic",
            Self::WillPayload => "will payload",
            Self::UserName => "user name",
            Self::Password => "password",
            Self::ConnackFlags => "connect acknowledge flags",
            Self::ReasonCode => "reason code",
            Self::TopicName => "topic name",
            Self::PacketIdentifier => "packet identifier",
            Self::TopicFilter => "topic filter",
            Self::SubscriptionOptions => "subscription options",
            Self::PropertyLength => "property length",
            Self::Properties => "properties",
            Self::PropertyIdentifier => "property identifier",
            Self::PropertyValue => "property value",
        }
    }
}

impl Malformed {
    /// The clause or section of the specification that the bytes break: a numbered statement
    /// (`MQTT-…`) where there is one, else the section's number.
    #[must_use]
    pub const fn clause(&self, packet_type: PacketType, level: ProtocolLevel) -> &'static str {
        let v5 = level.is_v5();
        match self.reason {
            MalformedReason::VariableByteInteger => "1.5.5",
            MalformedReason::UnknownProperty => "2.2.2.2",
            MalformedReason::PastProperties => "2.2.2.1",
            MalformedReason::PastPacket => match self.field {
                Field::Properties | Field::PropertyLength if v5 => "2.2.2.1",
                Field::PacketIdentifier if v5 => "2.2.1",
                Field::PacketIdentifier => "2.3.1",
                Field::TopicName => "MQTT-3.3.2-1",
                Field::ClientIdentifier => "MQTT-3.1.3-3",
                Field::WillTopic | Field::WillPayload => "MQTT-3.1.2-9",
                Field::UserName => "MQTT-3.1.2-19",
                Field::Password => "MQTT-3.1.2-21",
                _ => packet_section(packet_type),
            },
        }
    }
}

/// The section that describes a packet; the numbers agree between 3.1.1 and 5.
const fn packet_section(packet_type: PacketType) -> &'static str {
    match packet_type {
        PacketType::Reserved => "2.1.2",
        PacketType::Connect => "3.1",
        PacketType::Connack => "3.2",
        PacketType::Publish => "3.3",
        PacketType::Puback => "3.4",
        PacketType::Pubrec => "3.5",
        PacketType::Pubrel => "3.6",
        PacketType::Pubcomp => "3.7",
        PacketType::Subscribe => "3.8",
        PacketType::Suback => "3.9",
        PacketType::Unsubscribe => "3.10",
        PacketType::Unsuback => "3.11",
        PacketType::Pingreq => "3.12",
        PacketType::Pingresp => "3.13",
        PacketType::Disconnect => "3.14",
        PacketType::Auth => "3.15",
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, offset) = (self.field.name(), self.offset);
        match self.reason {
            MalformedReason::PastPacket => write!(
                f,
                "{field} at offset {offset} needs {} bytes, the packet has {}",
                self.needed, self.available
            ),
            MalformedReason::PastProperties => write!(
                f,
                "{field} at offset {offset} needs {} bytes, the property block has {}",
                self.needed, self.available
            ),
            MalformedReason::VariableByteInteger => write!(
                f,
                "{field} at offset {offset} is a variable byte integer of more than four bytes"
            ),
            MalformedReason::UnknownProperty => {
                write!(
                    f,
                    "unknown property identifier {} at offset {offset}",
                    self.needed
                )
            }
        }
    }
}

impl core::error::Error for Malformed {}
