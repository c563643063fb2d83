//! Rules that a packet breaks by where it stands in the conversation. What it breaks by itself
//! the codec tells.

use crate::mqtt::ProtocolLevel;

/// A rule of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SessionViolation {
    /// The client's first packet is no CONNECT.
    NotIntroduced,
    /// A second CONNECT on the connection.
    SecondConnect,
    /// A client sent a packet that only a broker may send.
    OnlyFromBroker,
    /// A broker sent a packet that only a client may send.
    OnlyFromClient,
    /// A packet followed the client's DISCONNECT.
    AfterDisconnect,
    /// An acknowledgment for a packet identifier that is not in use.
    UnknownPacketIdentifier,
    /// A new packet with an identifier that is still in use.
    PacketIdentifierInUse,
    /// A PUBLISH was sent again without DUP.
    DupMissing,
    /// A topic alias that was not set before.
    UnknownTopicAlias,
    /// A topic alias above the maximum that the receiver announced.
    TopicAliasTooLarge,
    /// More QoS 1 and 2 messages in flight than the receiver announced to take.
    ReceiveMaximumExceeded,
    /// A packet larger than the receiver announced to take.
    MaximumPacketSizeExceeded,
    /// A QoS above the maximum that the broker announced.
    MaximumQosExceeded,
    /// A retained message although the broker announced not to keep any.
    RetainNotAvailable,
    /// SUBACK or UNSUBACK with another number of reason codes than filters were asked for.
    ReasonCodeCount,
    /// QoS 1 was answered with PUBREC or QoS 2 with PUBACK.
    WrongAcknowledgment,
}

use SessionViolation as V;

impl SessionViolation {
    /// Every one there is, in order.
    pub const ALL: [Self; 16] = [
        V::NotIntroduced,
        V::SecondConnect,
        V::OnlyFromBroker,
        V::OnlyFromClient,
        V::AfterDisconnect,
        V::UnknownPacketIdentifier,
        V::PacketIdentifierInUse,
        V::DupMissing,
        V::UnknownTopicAlias,
        V::TopicAliasTooLarge,
        V::ReceiveMaximumExceeded,
        V::MaximumPacketSizeExceeded,
        V::MaximumQosExceeded,
        V::RetainNotAvailable,
        V::ReasonCodeCount,
        V::WrongAcknowledgment,
    ];

    /// A stable identifier.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            V::NotIntroduced => "not-introduced",
            V::SecondConnect => "second-connect",
            V::OnlyFromBroker => "only-from-broker",
            V::OnlyFromClient => "only-from-client",
            V::AfterDisconnect => "after-disconnect",
            V::UnknownPacketIdentifier => "unknown-packet-identifier",
            V::PacketIdentifierInUse => "packet-identifier-in-use",
            V::DupMissing => "dup-missing",
            V::UnknownTopicAlias => "unknown-topic-alias",
            V::TopicAliasTooLarge => "topic-alias-too-large",
            V::ReceiveMaximumExceeded => "receive-maximum-exceeded",
            V::MaximumPacketSizeExceeded => "maximum-packet-size-exceeded",
            V::MaximumQosExceeded => "maximum-qos-exceeded",
            V::RetainNotAvailable => "retain-not-available",
            V::ReasonCodeCount => "reason-code-count",
            V::WrongAcknowledgment => "wrong-acknowledgment",
        }
    }

    /// In a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            V::NotIntroduced => "The first packet from a client must be a CONNECT.",
            V::SecondConnect => "A client may send CONNECT only once on a connection.",
            V::OnlyFromBroker => "A client must not send this packet type.",
            V::OnlyFromClient => "A broker must not send this packet type.",
            V::AfterDisconnect => "No packet may follow the DISCONNECT.",
            V::UnknownPacketIdentifier => {
                "No packet with this packet identifier awaits this answer."
            }
            V::PacketIdentifierInUse => "The packet identifier is still in use.",
            V::DupMissing => "A PUBLISH that is sent again must have DUP set.",
            V::UnknownTopicAlias => "The topic alias was not set before.",
            V::TopicAliasTooLarge => "The topic alias is above the receiver's maximum.",
            V::ReceiveMaximumExceeded => {
                "More messages are in flight than the receiver's maximum allows."
            }
            V::MaximumPacketSizeExceeded => "The packet is larger than the receiver's maximum.",
            V::MaximumQosExceeded => "The QoS is above the broker's maximum.",
            V::RetainNotAvailable => "The broker does not support retained messages.",
            V::ReasonCodeCount => "There must be one reason code for each topic filter.",
            V::WrongAcknowledgment => "The acknowledgment is not the one of the message's QoS.",
        }
    }

    /// The statement of the specification that is broken.
    #[must_use]
    pub const fn clause(self, level: ProtocolLevel) -> &'static str {
        let v5 = level.is_v5();
        match self {
            V::NotIntroduced => "MQTT-3.1.0-1",
            V::SecondConnect => "MQTT-3.1.0-2",
            V::OnlyFromBroker | V::OnlyFromClient => "section 2.2.1, table 2.1",
            V::AfterDisconnect if v5 => "MQTT-3.14.4-1",
            V::AfterDisconnect => "MQTT-3.14.4-2",
            V::UnknownPacketIdentifier if v5 => "section 2.2.1",
            V::UnknownPacketIdentifier => "section 2.3.1",
            V::PacketIdentifierInUse if v5 => "MQTT-2.2.1-3",
            V::PacketIdentifierInUse => "MQTT-2.3.1-2",
            V::DupMissing => "MQTT-3.3.1-1",
            V::UnknownTopicAlias => "section 3.3.2.3.4",
            V::TopicAliasTooLarge => "section 3.3.2.3.4",
            V::ReceiveMaximumExceeded => "section 4.9",
            V::MaximumPacketSizeExceeded => "section 3.1.2.11.4",
            V::MaximumQosExceeded => "MQTT-3.2.2-11",
            V::RetainNotAvailable => "MQTT-3.2.2-14",
            V::ReasonCodeCount if v5 => "MQTT-3.8.4-6",
            V::ReasonCodeCount => "MQTT-3.8.4-5",
            V::WrongAcknowledgment => "section 4.3",
        }
    }
}

/// A set of [`SessionViolation`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionViolations(u32);

impl SessionViolations {
    /// Adds one.
    pub const fn insert(&mut self, violation: SessionViolation) {
        self.0 |= 1 << violation as u8;
    }

    /// Adds one where `broken`.
    pub const fn insert_if(&mut self, broken: bool, violation: SessionViolation) {
        if broken {
            self.insert(violation);
        }
    }

    /// Whether one is in the set.
    #[must_use]
    pub const fn contains(self, violation: SessionViolation) -> bool {
        self.0 & (1 << violation as u8) != 0
    }

    /// No rule is broken.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// All that are in the set.
    pub fn iter(self) -> impl Iterator<Item = SessionViolation> {
        SessionViolation::ALL
            .into_iter()
            .filter(move |violation| self.contains(*violation))
    }
}
