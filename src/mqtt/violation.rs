//! Rules that a packet can break although it can be parsed.

use super::{PacketType, ProtocolLevel};

macro_rules! violations {
    ($( $(#[$doc:meta])* $name:ident, $code:literal, $text:literal; )*) => {
        /// A rule that one packet alone shows to be broken.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Violation { $( $(#[$doc])* #[doc = $text] $name, )* }

        impl Violation {
            /// Every violation there is, in order.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// A stable identifier in kebab case.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $( Self::$name => $code, )* }
            }

            /// What is wrong, as one English sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

violations! {
    OverlongInteger, "overlong-integer", "A variable byte integer uses more bytes than it needs.";
    ReservedFlags, "reserved-flags", "The flags of the fixed header are not those reserved for this packet type.";
    ReservedPacketType, "reserved-packet-type", "Packet type 0 is forbidden.";
    PacketTypeNotInLevel, "packet-type-not-in-level", "Packet type 15 is forbidden before MQTT 5.";
    BodyNotAllowed, "body-not-allowed", "This packet must have a remaining length of 0.";
    TrailingBytes, "trailing-bytes", "Bytes follow the end of the packet's content.";
    InvalidUtf8, "invalid-utf8", "A string is not well-formed UTF-8.";
    NullCharacter, "null-character", "A string contains the null character U+0000.";
    DiscouragedCharacter, "discouraged-character", "A string contains a control character or a Unicode non-character.";
    PacketIdentifierZero, "packet-identifier-zero", "The packet identifier is 0.";
    ProtocolName, "protocol-name", "The protocol name is not the one of this protocol level.";
    UnknownProtocolLevel, "unknown-protocol-level", "The protocol level is none of 3, 4 and 5.";
    BridgeLevel, "bridge-level", "The protocol level has bit 7 set, by which bridges of some brokers name themselves.";
    ConnectReservedFlag, "connect-reserved-flag", "The reserved bit of the connect flags is set.";
    WillQosWithoutWill, "will-qos-without-will", "The will QoS is not 0 although there is no will.";
    WillRetainWithoutWill, "will-retain-without-will", "Will retain is set although there is no will.";
    WillQos3, "will-qos-3", "The will QoS is 3.";
    PasswordWithoutUserName, "password-without-user-name", "There is a password but no user name.";
    EmptyClientIdentifier, "empty-client-identifier", "The client identifier is empty although the session shall be kept.";
    ClientIdentifierLength, "client-identifier-length", "The client identifier is not 1 to 23 characters long.";
    ConnackReservedFlags, "connack-reserved-flags", "Reserved bits of the connect acknowledge flags are set.";
    SessionPresentWithError, "session-present-with-error", "Session present is set although the connection is refused.";
    OlderConnack, "older-connack", "A CONNACK without properties answers at level 5: the server speaks an older level.";
    UnknownReasonCode, "unknown-reason-code", "The reason code is not one of those defined for this packet.";
    NoReasonCodes, "no-reason-codes", "The acknowledgment carries no reason code.";
    Qos3, "qos-3", "Both QoS bits of a PUBLISH are set.";
    DupWithQos0, "dup-with-qos-0", "DUP is set on a PUBLISH of QoS 0.";
    EmptyTopic, "empty-topic", "The topic name is empty.";
    WildcardInTopic, "wildcard-in-topic", "The topic name contains a wildcard character.";
    NameTooLong, "name-too-long", "A topic name or filter is longer than 65,535 bytes.";
    EmptyFilter, "empty-filter", "A topic filter is empty.";
    MultiLevelWildcard, "multi-level-wildcard", "In a topic filter # does not stand alone in the last level.";
    SingleLevelWildcard, "single-level-wildcard", "In a topic filter + does not occupy an entire level.";
    SharedFilterForm, "shared-filter-form", "A shared subscription is not of the form $share/name/filter.";
    NoLocalOnShared, "no-local-on-shared", "No Local is set on a shared subscription.";
    NoFilters, "no-filters", "The packet contains no topic filter.";
    RequestedQos3, "requested-qos-3", "The requested QoS is 3.";
    ReservedOptionBits, "reserved-option-bits", "Reserved bits of the subscription options are set.";
    RetainHandling3, "retain-handling-3", "Retain handling is 3.";
    PropertyNotAllowed, "property-not-allowed", "A property does not belong to this packet.";
    PropertyRepeated, "property-repeated", "A property that may appear once appears again.";
    PropertyValue, "property-value", "A property has a value outside its range.";
    SubscriptionIdentifierZero, "subscription-identifier-zero", "The subscription identifier is 0.";
    ReceiveMaximumZero, "receive-maximum-zero", "The receive maximum is 0.";
    MaximumPacketSizeZero, "maximum-packet-size-zero", "The maximum packet size is 0.";
    TopicAliasZero, "topic-alias-zero", "The topic alias is 0.";
    PayloadNotUtf8, "payload-not-utf8", "The payload format indicator says UTF-8, the payload is not.";
    ResponseTopicWildcard, "response-topic-wildcard", "The response topic contains a wildcard character.";
    AuthenticationDataWithoutMethod, "authentication-data-without-method", "There is authentication data but no authentication method.";
    AuthenticationMethodMissing, "authentication-method-missing", "An AUTH packet names no authentication method.";
}

/// How much a violation weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Unusual, and allowed or outside the standard.
    Note,
    /// A SHOULD of the specification is not kept.
    Warning,
    /// A MUST is broken: the receiver has to close the connection.
    Error,
}

impl Violation {
    /// How much it weighs.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::BridgeLevel | Self::OlderConnack | Self::ClientIdentifierLength => Severity::Note,
            Self::DiscouragedCharacter => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// Whether a MUST is broken.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self.severity(), Severity::Error)
    }

    /// The clause of the specification of `level` that a packet of `packet_type` breaks: the
    /// number of the statement, `MQTT-3.3.1-4`, where it has one, else the number of the section.
    /// MQTT 3.1 has no numbered statements and is answered for with those of 3.1.1.
    #[must_use]
    pub const fn clause(self, packet_type: PacketType, level: ProtocolLevel) -> &'static str {
        if level.is_v5() {
            self.clause_5(packet_type)
        } else {
            self.clause_3_1_1(packet_type)
        }
    }

    const fn clause_3_1_1(self, packet_type: PacketType) -> &'static str {
        match self {
            Self::OverlongInteger => "2.2.3",
            Self::ReservedFlags => match packet_type {
                PacketType::Pubrel => "MQTT-3.6.1-1",
                PacketType::Subscribe => "MQTT-3.8.1-1",
                PacketType::Unsubscribe => "MQTT-3.10.1-1",
                PacketType::Disconnect => "MQTT-3.14.1-1",
                _ => "MQTT-2.2.2-1",
            },
            Self::ReservedPacketType | Self::PacketTypeNotInLevel => "2.2.1",
            Self::BodyNotAllowed => match packet_type {
                PacketType::Pingreq => "3.12.1",
                PacketType::Pingresp => "3.13.1",
                _ => "3.14.1",
            },
            Self::TrailingBytes => "2.2.3",
            Self::InvalidUtf8 => "MQTT-1.5.3-1",
            Self::NullCharacter => "MQTT-1.5.3-2",
            Self::DiscouragedCharacter => "1.5.3",
            Self::PacketIdentifierZero => match packet_type {
                PacketType::Puback
                | PacketType::Pubrec
                | PacketType::Pubrel
                | PacketType::Pubcomp => "MQTT-2.3.1-6",
                PacketType::Suback | PacketType::Unsuback => "MQTT-2.3.1-7",
                _ => "MQTT-2.3.1-1",
            },
            Self::ProtocolName => "MQTT-3.1.2-1",
            Self::UnknownProtocolLevel | Self::BridgeLevel => "MQTT-3.1.2-2",
            Self::ConnectReservedFlag => "MQTT-3.1.2-3",
            Self::WillQosWithoutWill => "MQTT-3.1.2-13",
            Self::WillRetainWithoutWill => "MQTT-3.1.2-15",
            Self::WillQos3 => "MQTT-3.1.2-14",
            Self::PasswordWithoutUserName => "MQTT-3.1.2-22",
            Self::EmptyClientIdentifier => "MQTT-3.1.3-7",
            Self::ClientIdentifierLength => "MQTT-3.1.3-5",
            Self::ConnackReservedFlags => "3.2.2.1",
            Self::SessionPresentWithError => "MQTT-3.2.2-4",
            Self::UnknownReasonCode => match packet_type {
                PacketType::Suback => "MQTT-3.9.3-2",
                _ => "3.2.2.3",
            },
            Self::NoReasonCodes => "MQTT-3.8.4-5",
            Self::Qos3 => "MQTT-3.3.1-4",
            Self::DupWithQos0 => "MQTT-3.3.1-2",
            Self::EmptyTopic | Self::EmptyFilter => "MQTT-4.7.3-1",
            Self::WildcardInTopic => match packet_type {
                PacketType::Publish => "MQTT-3.3.2-2",
                _ => "MQTT-4.7.1-1",
            },
            Self::NameTooLong => "MQTT-4.7.3-3",
            Self::MultiLevelWildcard => "MQTT-4.7.1-2",
            Self::SingleLevelWildcard => "MQTT-4.7.1-3",
            Self::NoFilters => match packet_type {
                PacketType::Unsubscribe => "MQTT-3.10.3-2",
                _ => "MQTT-3.8.3-3",
            },
            Self::RequestedQos3 | Self::ReservedOptionBits => "MQTT-3.8.3-4",
            // The rest is of MQTT 5 alone.
            _ => self.clause_5(packet_type),
        }
    }

    const fn clause_5(self, packet_type: PacketType) -> &'static str {
        match self {
            Self::OverlongInteger => "MQTT-1.5.5-1",
            Self::ReservedFlags => match packet_type {
                PacketType::Pubrel => "MQTT-3.6.1-1",
                PacketType::Subscribe => "MQTT-3.8.1-1",
                PacketType::Unsubscribe => "MQTT-3.10.1-1",
                PacketType::Disconnect => "MQTT-3.14.1-1",
                PacketType::Auth => "MQTT-3.15.1-1",
                _ => "MQTT-2.1.3-1",
            },
            Self::ReservedPacketType | Self::PacketTypeNotInLevel => "2.1.2",
            Self::BodyNotAllowed => match packet_type {
                PacketType::Pingreq => "3.12.1",
                PacketType::Pingresp => "3.13.1",
                _ => "3.14.1",
            },
            Self::TrailingBytes => "2.1.4",
            Self::InvalidUtf8 => "MQTT-1.5.4-1",
            Self::NullCharacter => "MQTT-1.5.4-2",
            Self::DiscouragedCharacter => "1.5.4",
            Self::PacketIdentifierZero => match packet_type {
                PacketType::Puback
                | PacketType::Pubrec
                | PacketType::Pubrel
                | PacketType::Pubcomp => "MQTT-2.2.1-5",
                PacketType::Suback | PacketType::Unsuback => "MQTT-2.2.1-6",
                _ => "MQTT-2.2.1-3",
            },
            Self::ProtocolName => "MQTT-3.1.2-1",
            Self::UnknownProtocolLevel | Self::BridgeLevel | Self::OlderConnack => "MQTT-3.1.2-2",
            Self::ConnectReservedFlag => "MQTT-3.1.2-3",
            Self::WillQosWithoutWill => "MQTT-3.1.2-11",
            Self::WillRetainWithoutWill => "MQTT-3.1.2-13",
            // MQTT 5 kept the list of values and dropped the words "It MUST NOT be 3".
            Self::WillQos3 => "3.1.2.6",
            // Allowed in MQTT 5; the section says so.
            Self::PasswordWithoutUserName => "3.1.2.9",
            Self::EmptyClientIdentifier => "MQTT-3.1.3-6",
            Self::ClientIdentifierLength => "MQTT-3.1.3-5",
            Self::ConnackReservedFlags => "MQTT-3.2.2-1",
            Self::SessionPresentWithError => "MQTT-3.2.2-6",
            Self::UnknownReasonCode => match packet_type {
                PacketType::Puback => "MQTT-3.4.2-1",
                PacketType::Pubrec => "MQTT-3.5.2-1",
                PacketType::Pubrel => "MQTT-3.6.2-1",
                PacketType::Pubcomp => "MQTT-3.7.2-1",
                PacketType::Suback => "MQTT-3.9.3-2",
                PacketType::Unsuback => "MQTT-3.11.3-2",
                PacketType::Disconnect => "MQTT-3.14.2-1",
                PacketType::Auth => "MQTT-3.15.2-1",
                _ => "MQTT-3.2.2-8",
            },
            Self::NoReasonCodes => match packet_type {
                PacketType::Unsuback => "3.11.3",
                _ => "MQTT-3.8.4-6",
            },
            Self::Qos3 => "MQTT-3.3.1-4",
            Self::DupWithQos0 => "MQTT-3.3.1-2",
            Self::EmptyTopic | Self::EmptyFilter => "MQTT-4.7.3-1",
            Self::WildcardInTopic => match packet_type {
                PacketType::Publish => "MQTT-3.3.2-2",
                _ => "MQTT-4.7.0-1",
            },
            Self::NameTooLong => "MQTT-4.7.3-3",
            Self::MultiLevelWildcard => "MQTT-4.7.1-1",
            Self::SingleLevelWildcard => "MQTT-4.7.1-2",
            Self::SharedFilterForm => "MQTT-4.8.2-2",
            Self::NoLocalOnShared => "MQTT-3.8.3-4",
            Self::NoFilters => match packet_type {
                PacketType::Unsubscribe => "MQTT-3.10.3-2",
                _ => "MQTT-3.8.3-2",
            },
            Self::RequestedQos3 | Self::RetainHandling3 => "3.8.3.1",
            Self::ReservedOptionBits => "MQTT-3.8.3-5",
            Self::PropertyNotAllowed => "2.2.2.2",
            Self::PropertyRepeated | Self::PropertyValue => properties_section(packet_type),
            Self::SubscriptionIdentifierZero => match packet_type {
                PacketType::Subscribe => "3.8.2.1.2",
                _ => "3.3.2.3.8",
            },
            Self::ReceiveMaximumZero => match packet_type {
                PacketType::Connack => "3.2.2.3.3",
                _ => "3.1.2.11.3",
            },
            Self::MaximumPacketSizeZero => match packet_type {
                PacketType::Connack => "3.2.2.3.6",
                _ => "3.1.2.11.4",
            },
            Self::TopicAliasZero => "MQTT-3.3.2-8",
            Self::PayloadNotUtf8 => match packet_type {
                PacketType::Connect => "3.1.3.2.3",
                _ => "3.3.2.3.2",
            },
            Self::ResponseTopicWildcard => "MQTT-3.3.2-14",
            Self::AuthenticationDataWithoutMethod => match packet_type {
                PacketType::Connect => "3.1.2.11.10",
                PacketType::Connack => "3.2.2.3.18",
                _ => "3.15.2.2.3",
            },
            Self::AuthenticationMethodMissing => "3.15.2.2.2",
        }
    }
}

/// The section of MQTT 5 that lists the properties of a packet.
const fn properties_section(packet_type: PacketType) -> &'static str {
    match packet_type {
        PacketType::Connect => "3.1.2.11",
        PacketType::Connack => "3.2.2.3",
        PacketType::Publish => "3.3.2.3",
        PacketType::Puback => "3.4.2.2",
        PacketType::Pubrec => "3.5.2.2",
        PacketType::Pubrel => "3.6.2.2",
        PacketType::Pubcomp => "3.7.2.2",
        PacketType::Subscribe => "3.8.2.1",
        PacketType::Suback => "3.9.2.1",
        PacketType::Unsubscribe => "3.10.2.1",
        PacketType::Unsuback => "3.11.2.1",
        PacketType::Disconnect => "3.14.2.2",
        PacketType::Auth => "3.15.2.2",
        _ => "2.2.2",
    }
}

/// A set of violations: one word, no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Violations(u64);

const _: () = assert!(Violation::ALL.len() <= 64);

impl Violations {
    /// No violation.
    pub const NONE: Self = Self(0);

    /// The set of one.
    #[must_use]
    #[inline]
    pub const fn of(violation: Violation) -> Self {
        Self(1 << violation as u8)
    }

    /// Adds one; adding it again changes nothing.
    #[inline]
    pub const fn insert(&mut self, violation: Violation) {
        self.0 |= Self::of(violation).0;
    }

    /// Adds one where `broken`.
    #[inline]
    pub const fn insert_if(&mut self, broken: bool, violation: Violation) {
        self.0 |= (broken as u64) << violation as u8;
    }

    /// Both sets together.
    #[must_use]
    #[inline]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set holds this one.
    #[must_use]
    #[inline]
    pub const fn contains(self, violation: Violation) -> bool {
        self.0 & Self::of(violation).0 != 0
    }

    /// Whether nothing is broken.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether one of them breaks a MUST.
    #[must_use]
    pub fn has_error(self) -> bool {
        self.iter().any(Violation::is_error)
    }

    /// In the order of [`Violation::ALL`].
    #[must_use]
    pub const fn iter(self) -> ViolationIter {
        ViolationIter(self.0)
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = ViolationIter;
    fn into_iter(self) -> ViolationIter {
        self.iter()
    }
}

impl FromIterator<Violation> for Violations {
    fn from_iter<I: IntoIterator<Item = Violation>>(violations: I) -> Self {
        violations
            .into_iter()
            .fold(Self::NONE, |set, violation| set.union(Self::of(violation)))
    }
}

impl core::fmt::Debug for Violations {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Iterates over [`Violations`].
#[derive(Clone, Debug)]
pub struct ViolationIter(u64);

impl Iterator for ViolationIter {
    type Item = Violation;
    fn next(&mut self) -> Option<Violation> {
        let index = usize::try_from(self.0.trailing_zeros()).ok()?;
        self.0 &= self.0.wrapping_sub(1);
        Violation::ALL.get(index).copied()
    }
}
