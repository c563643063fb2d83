//! What a control packet says. Every field that was not reached in a damaged or cut packet is
//! `None` or empty; what was reached is there.

use super::reader::Reader;
use super::{Field, PacketType, Properties, ProtocolLevel};

/// One control packet; borrows from the packet's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// CONNECT, section 3.1.
    Connect(Connect<'a>),
    /// CONNACK, section 3.2.
    Connack(Connack<'a>),
    /// PUBLISH, section 3.3.
    Publish(Publish<'a>),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP, sections 3.4 to 3.7.
    Acknowledgment(Acknowledgment<'a>),
    /// SUBSCRIBE, section 3.8.
    Subscribe(Subscribe<'a>),
    /// SUBACK, section 3.9.
    Suback(Suback<'a>),
    /// UNSUBSCRIBE, section 3.10.
    Unsubscribe(Unsubscribe<'a>),
    /// UNSUBACK, section 3.11.
    Unsuback(Unsuback<'a>),
    /// PINGREQ, section 3.12.
    Pingreq,
    /// PINGRESP, section 3.13.
    Pingresp,
    /// DISCONNECT, section 3.14.
    Disconnect(Disconnect<'a>),
    /// AUTH, section 3.15; type 15 at any level.
    Auth(Auth<'a>),
    /// Type 0.
    Reserved,
}

impl<'a> Packet<'a> {
    /// The control packet type.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::Connack(_) => PacketType::Connack,
            Self::Publish(_) => PacketType::Publish,
            Self::Acknowledgment(acknowledgment) => acknowledgment.kind,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::Suback(_) => PacketType::Suback,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::Unsuback(_) => PacketType::Unsuback,
            Self::Pingreq => PacketType::Pingreq,
            Self::Pingresp => PacketType::Pingresp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
            Self::Reserved => PacketType::Reserved,
        }
    }

    /// The packet identifier, of the packets that have one.
    #[must_use]
    pub const fn packet_id(&self) -> Option<u16> {
        match self {
            Self::Publish(publish) => publish.packet_id,
            Self::Acknowledgment(acknowledgment) => acknowledgment.packet_id,
            Self::Subscribe(subscribe) => subscribe.packet_id,
            Self::Suback(suback) => suback.packet_id,
            Self::Unsubscribe(unsubscribe) => unsubscribe.packet_id,
            Self::Unsuback(unsuback) => unsuback.packet_id,
            _ => None,
        }
    }

    /// The one reason or return code on the wire; SUBACK and UNSUBACK have lists instead.
    #[must_use]
    pub const fn reason_code(&self) -> Option<u8> {
        match self {
            Self::Connack(connack) => connack.reason_code,
            Self::Acknowledgment(acknowledgment) => acknowledgment.reason_code,
            Self::Disconnect(disconnect) => disconnect.reason_code,
            Self::Auth(auth) => auth.reason_code,
            _ => None,
        }
    }

    /// The properties of the variable header; none where the packet or the level has none.
    #[must_use]
    pub fn properties(&self) -> Properties<'a> {
        match self {
            Self::Connect(connect) => connect.properties,
            Self::Connack(connack) => connack.properties,
            Self::Publish(publish) => publish.properties,
            Self::Acknowledgment(acknowledgment) => acknowledgment.properties,
            Self::Subscribe(subscribe) => subscribe.properties,
            Self::Suback(suback) => suback.properties,
            Self::Unsubscribe(unsubscribe) => unsubscribe.properties,
            Self::Unsuback(unsuback) => unsuback.properties,
            Self::Disconnect(disconnect) => disconnect.properties,
            Self::Auth(auth) => auth.properties,
            Self::Pingreq | Self::Pingresp | Self::Reserved => Properties::default(),
        }
    }
}

/// Bytes that must not show up in logs by accident: a password, authentication data. `Debug`
/// gives the length only.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Secret<'a>(&'a [u8]);

impl<'a> Secret<'a> {
    /// Wraps the bytes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The bytes themselves. Never write them anywhere.
    #[must_use]
    pub const fn expose(self) -> &'a [u8] {
        self.0
    }

    /// Length in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl core::fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Connect<'a> {
    /// `MQTT`, or `MQIsdp` in 3.1.
    pub protocol_name: Option<&'a [u8]>,
    /// The protocol level byte as it is, a bridge's bit 7 included.
    pub level_byte: Option<u8>,
    /// The connect flags byte; see the accessors.
    pub flags: Option<u8>,
    /// Keep alive in seconds; 0 switches it off.
    pub keep_alive: Option<u16>,
    /// CONNECT properties, MQTT 5.
    pub properties: Properties<'a>,
    /// Client identifier, possibly empty.
    pub client_id: Option<&'a [u8]>,
    /// The will, where the will flag is set and its topic was reached.
    pub will: Option<Will<'a>>,
    /// User name.
    pub user_name: Option<&'a [u8]>,
    /// Password.
    pub password: Option<Secret<'a>>,
}

impl Connect<'_> {
    /// The level that the packet names, a bridge's bit 7 left out; `None` for an unknown number.
    #[must_use]
    pub const fn level(&self) -> Option<ProtocolLevel> {
        match self.level_byte {
            Some(byte) => ProtocolLevel::from_number(byte & 0x7f),
            None => None,
        }
    }

    /// Whether bit 7 of the level is set, as mosquitto's bridges do (`0x83`, `0x84`).
    #[must_use]
    pub const fn is_bridge(&self) -> bool {
        matches!(self.level_byte, Some(0x80..))
    }

    const fn flag(&self, mask: u8) -> Option<bool> {
        match self.flags {
            Some(flags) => Some(flags & mask != 0),
            None => None,
        }
    }

    /// Clean Start (5), Clean Session (3.1.1): bit 1.
    #[must_use]
    pub const fn clean_start(&self) -> Option<bool> {
        self.flag(0x02)
    }

    /// Will flag: bit 2.
    #[must_use]
    pub const fn will_flag(&self) -> Option<bool> {
        self.flag(0x04)
    }

    /// Will QoS: bits 4 and 3, 0 to 3.
    #[must_use]
    pub const fn will_qos(&self) -> Option<u8> {
        match self.flags {
            Some(flags) => Some(flags >> 3 & 0x03),
            None => None,
        }
    }

    /// Will retain: bit 5.
    #[must_use]
    pub const fn will_retain(&self) -> Option<bool> {
        self.flag(0x20)
    }

    /// Password flag: bit 6.
    #[must_use]
    pub const fn password_flag(&self) -> Option<bool> {
        self.flag(0x40)
    }

    /// User name flag: bit 7.
    #[must_use]
    pub const fn user_name_flag(&self) -> Option<bool> {
        self.flag(0x80)
    }

    /// Reserved flag: bit 0.
    #[must_use]
    pub const fn reserved_flag(&self) -> Option<bool> {
        self.flag(0x01)
    }

    /// The password's length in bytes.
    #[must_use]
    pub fn password_length(&self) -> Option<usize> {
        self.password.map(Secret::len)
    }
}

/// The will of a CONNECT. QoS and retain are in the connect flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Will<'a> {
    /// Will properties, MQTT 5.
    pub properties: Properties<'a>,
    /// Will topic.
    pub topic: Option<&'a [u8]>,
    /// Will payload (will message in 3.1.1).
    pub payload: Option<&'a [u8]>,
}

/// CONNACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Connack<'a> {
    /// The connect acknowledge flags; bit 0 is Session Present from 3.1.1 on.
    pub flags: Option<u8>,
    /// Reason code (5) or return code (3.1, 3.1.1).
    pub reason_code: Option<u8>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
}

impl Connack<'_> {
    /// Session Present.
    #[must_use]
    pub const fn session_present(&self) -> Option<bool> {
        match self.flags {
            Some(flags) => Some(flags & 1 != 0),
            None => None,
        }
    }
}

/// PUBLISH.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Publish<'a> {
    /// DUP.
    pub dup: bool,
    /// The two QoS bits, 0 to 3; 3 is a violation.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Topic name as it is in the packet, perhaps empty (with a topic alias) or invalid UTF-8.
    pub topic: Option<&'a [u8]>,
    /// Packet identifier, where the QoS bits are not 0.
    pub packet_id: Option<u16>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
    /// The payload, or of a prefix the part that is there.
    pub payload: &'a [u8],
    /// The payload's length in bytes as the packet declares it; `None` where it is not known
    /// where the payload begins.
    pub payload_length: Option<u32>,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledgment<'a> {
    /// Which of the four.
    pub kind: PacketType,
    /// Packet identifier.
    pub packet_id: Option<u16>,
    /// Reason code, MQTT 5; left out on the wire it means 0, Success.
    pub reason_code: Option<u8>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
}

/// SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Subscribe<'a> {
    /// Packet identifier.
    pub packet_id: Option<u16>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
    /// The filters with their options.
    pub subscriptions: Subscriptions<'a>,
}

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Subscription<'a> {
    /// Topic filter, perhaps invalid UTF-8.
    pub filter: &'a [u8],
    /// Subscription options (5), requested QoS (3.1.1).
    pub options: u8,
}

impl Subscription<'_> {
    /// Requested maximum QoS: bits 1 and 0, 0 to 3.
    #[must_use]
    pub const fn qos(&self) -> u8 {
        self.options & 0x03
    }

    /// No Local: bit 2, MQTT 5.
    #[must_use]
    pub const fn no_local(&self) -> bool {
        self.options & 0x04 != 0
    }

    /// Retain As Published: bit 3, MQTT 5.
    #[must_use]
    pub const fn retain_as_published(&self) -> bool {
        self.options & 0x08 != 0
    }

    /// Retain Handling: bits 5 and 4, 0 to 3, MQTT 5.
    #[must_use]
    pub const fn retain_handling(&self) -> u8 {
        self.options >> 4 & 0x03
    }
}

/// SUBACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Suback<'a> {
    /// Packet identifier.
    pub packet_id: Option<u16>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
    /// Reason codes (5) or return codes (3.1.1), one for each filter, in their order.
    pub reason_codes: &'a [u8],
}

/// UNSUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unsubscribe<'a> {
    /// Packet identifier.
    pub packet_id: Option<u16>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
    /// The filters.
    pub filters: Filters<'a>,
}

/// UNSUBACK.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unsuback<'a> {
    /// Packet identifier.
    pub packet_id: Option<u16>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
    /// Reason codes, MQTT 5: one for each filter, in their order.
    pub reason_codes: &'a [u8],
}

/// DISCONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Disconnect<'a> {
    /// Reason code, MQTT 5; left out on the wire it means 0, Normal disconnection.
    pub reason_code: Option<u8>,
    /// Properties, MQTT 5.
    pub properties: Properties<'a>,
}

/// AUTH.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Auth<'a> {
    /// Reason code; left out on the wire it means 0, Success.
    pub reason_code: Option<u8>,
    /// Properties.
    pub properties: Properties<'a>,
}

/// What a packet's payload lists, read item by item.
macro_rules! list {
    ($(#[doc = $doc:literal])* $name:ident of $item:ty, $read:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name<'a> {
            bytes: &'a [u8],
        }

        impl<'a> $name<'a> {
            /// `bytes` hold whole items only.
            pub(super) const fn new(bytes: &'a [u8]) -> Self {
                Self { bytes }
            }
        }

        impl<'a> Iterator for $name<'a> {
            type Item = $item;
            fn next(&mut self) -> Option<$item> {
                let read: fn(&mut Reader<'a>) -> Option<$item> = $read;
                let mut reader = Reader::whole(self.bytes);
                let item = read(&mut reader)?;
                self.bytes = reader.rest();
                Some(item)
            }
        }

        impl core::fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_list().entries(*self).finish()
            }
        }
    };
}

list! {
    /// The subscriptions of a SUBSCRIBE; iterates over them.
    Subscriptions of Subscription<'a>, |reader| Some(Subscription {
        filter: reader.prefixed(Field::TopicFilter).ok()?,
        options: reader.byte(Field::SubscriptionOptions).ok()?,
    })
}
list! {
    /// The filters of an UNSUBSCRIBE; iterates over them.
    Filters of &'a [u8], |reader| reader.prefixed(Field::TopicFilter).ok()
}
