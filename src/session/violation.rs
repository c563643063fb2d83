//! Rules that a packet breaks by where it stands in the conversation. What it breaks by itself
//! the codec tells.

use crate::mqtt::{PacketType, ProtocolLevel};

use super::Towards;

macro_rules! violations {
    ($( $(#[doc = $doc:literal])* $name:ident, $code:literal, $text:literal; )*) => {
        /// A rule of the conversation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum SessionViolation { $( $(#[doc = $doc])* $name, )* }

        impl SessionViolation {
            /// Every one there is, in order.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// A stable identifier.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $( Self::$name => $code, )* }
            }

            /// In a sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

violations! {
    /// The client's first packet is no CONNECT.
    NotIntroduced, "not-introduced", "The first packet from a client must be a CONNECT.";
    /// A second CONNECT on the connection.
    SecondConnect, "second-connect", "A client may send CONNECT only once on a connection.";
    /// A client sent a packet that only a broker may send.
    OnlyFromBroker, "only-from-broker", "A client must not send this packet type.";
    /// A broker sent a packet that only a client may send.
    OnlyFromClient, "only-from-client", "A broker must not send this packet type.";
    /// A packet followed the DISCONNECT of its sender.
    AfterDisconnect, "after-disconnect", "No packet may follow the DISCONNECT.";
    /// An acknowledgment for a packet identifier that is not in use.
    UnknownPacketIdentifier, "unknown-packet-identifier",
        "No packet with this packet identifier awaits this answer.";
    /// A new packet with an identifier that is still in use.
    PacketIdentifierInUse, "packet-identifier-in-use", "The packet identifier is still in use.";
    /// A PUBLISH was sent again without DUP.
    DupMissing, "dup-missing", "A PUBLISH that is sent again must have DUP set.";
    /// A topic alias that was not set before.
    UnknownTopicAlias, "unknown-topic-alias", "The topic alias was not set before.";
    /// A topic alias above the maximum that the receiver announced.
    TopicAliasTooLarge, "topic-alias-too-large",
        "The topic alias is above the receiver's maximum.";
    /// More QoS 1 and 2 messages in flight than the receiver announced to take.
    ReceiveMaximumExceeded, "receive-maximum-exceeded",
        "More messages are in flight than the receiver's maximum allows.";
    /// A packet larger than the receiver announced to take.
    MaximumPacketSizeExceeded, "maximum-packet-size-exceeded",
        "The packet is larger than the receiver's maximum.";
    /// A QoS above the maximum that the broker announced.
    MaximumQosExceeded, "maximum-qos-exceeded", "The QoS is above the broker's maximum.";
    /// A retained message although the broker announced not to keep any.
    RetainNotAvailable, "retain-not-available", "The broker does not support retained messages.";
    /// SUBACK or UNSUBACK with another number of reason codes than filters were asked for.
    ReasonCodeCount, "reason-code-count",
        "There must be one reason code for each topic filter.";
    /// QoS 1 was answered with PUBREC or QoS 2 with PUBACK.
    WrongAcknowledgment, "wrong-acknowledgment",
        "The acknowledgment is not the one of the message's QoS.";
    /// A broker's packet came before its CONNACK.
    ConnackNotFirst, "connack-not-first", "A broker must answer with CONNACK before anything else.";
    /// A second CONNACK on the connection.
    SecondConnack, "second-connack", "A broker may send CONNACK only once on a connection.";
    /// A broker's packet came after a CONNACK that refuses.
    AfterRefusal, "after-refusal",
        "A broker that refuses a connection must close it and send nothing more.";
    /// A session is present although the client asked for a new one.
    SessionPresentUnasked, "session-present-unasked",
        "A session is present although the client asked for a new one.";
    /// The broker took a client without an identifier and assigned none.
    AssignedIdentifierMissing, "assigned-identifier-missing",
        "The broker accepts an empty client identifier and assigns none.";
    /// The broker took a will with a QoS or RETAIN that it announces not to support.
    WillBeyondLimits, "will-beyond-limits",
        "The broker accepts a will that is beyond the limits it announces.";
    /// Response information, reason string or user properties that the client did not want.
    UnwantedInformation, "unwanted-information",
        "The broker sends information that the client's CONNECT declined.";
    /// A wildcard in a filter although the broker announced not to support any.
    WildcardNotAvailable, "wildcard-not-available",
        "The broker does not support wildcard subscriptions.";
    /// A subscription identifier although the broker announced not to support any.
    SubscriptionIdentifierNotAvailable, "subscription-identifier-not-available",
        "The broker does not support subscription identifiers.";
    /// A shared subscription although the broker announced not to support any.
    SharedNotAvailable, "shared-not-available",
        "The broker does not support shared subscriptions.";
    /// A client's PUBLISH with a subscription identifier.
    SubscriptionIdentifierFromClient, "subscription-identifier-from-client",
        "A client must not publish with a subscription identifier.";
    /// A message without the identifier of the subscription that it comes of.
    SubscriptionIdentifierMissing, "subscription-identifier-missing",
        "The message comes without the identifier of its subscription.";
    /// A session expiry in a DISCONNECT that may not have one.
    SessionExpiryNotAllowed, "session-expiry-not-allowed",
        "This DISCONNECT must not set a session expiry interval.";
    /// A reason code that only the other side may send.
    OtherSidesReasonCode, "other-sides-reason-code",
        "Only the other side may send this reason code.";
    /// AUTH, or an authentication method, where the CONNECT named none or another one.
    AuthenticationMethodUnknown, "authentication-method-unknown",
        "The authentication method is not the one of the CONNECT.";
    /// A packet other than AUTH and DISCONNECT before authentication was over.
    DuringAuthentication, "during-authentication",
        "Before the CONNACK a client that authenticates may send only AUTH and DISCONNECT.";
    /// PUBACK, PUBREC or PUBREL in another order than what they answer.
    AcknowledgmentOrder, "acknowledgment-order",
        "A client must acknowledge messages in the order in which they came.";
    /// A PUBLISH was sent again after its PUBREL.
    PublishAfterPubrel, "publish-after-pubrel",
        "A PUBLISH must not be sent again once its PUBREL was sent.";
}

use SessionViolation as V;

impl SessionViolation {
    /// The statement of the specification of `level` that a packet of this type breaks on its
    /// way `towards` one side.
    #[must_use]
    pub const fn clause(
        self,
        level: ProtocolLevel,
        towards: Towards,
        packet_type: PacketType,
    ) -> &'static str {
        if level.is_v5() {
            self.clause_5(towards, packet_type)
        } else {
            self.clause_3_1_1(packet_type)
        }
    }

    const fn clause_3_1_1(self, packet_type: PacketType) -> &'static str {
        match self {
            V::OnlyFromBroker | V::OnlyFromClient => "section 2.2.1, table 2.1",
            V::AfterDisconnect => "MQTT-3.14.4-2",
            V::UnknownPacketIdentifier => match packet_type {
                PacketType::Suback | PacketType::Unsuback => "MQTT-2.3.1-7",
                _ => "MQTT-2.3.1-6",
            },
            V::PacketIdentifierInUse => "MQTT-2.3.1-2",
            V::ReasonCodeCount => "MQTT-3.8.4-5",
            V::SecondConnack => "section 3.2",
            V::AfterRefusal => "MQTT-3.2.2-5",
            V::SessionPresentUnasked => "MQTT-3.2.2-1",
            V::PublishAfterPubrel => "MQTT-4.3.3-1",
            // The others have the same number at both levels, or are of MQTT 5 alone.
            _ => self.clause_5(Towards::Broker, packet_type),
        }
    }

    const fn clause_5(self, towards: Towards, packet_type: PacketType) -> &'static str {
        use PacketType as T;
        match (self, towards) {
            (V::NotIntroduced, _) => "MQTT-3.1.0-1",
            (V::SecondConnect, _) => "MQTT-3.1.0-2",
            (V::OnlyFromBroker | V::OnlyFromClient, _) => "section 2.1.2, table 2-1",
            (V::AfterDisconnect, _) => "MQTT-3.14.4-1",
            (V::UnknownPacketIdentifier, _) => match packet_type {
                T::Suback | T::Unsuback => "MQTT-2.2.1-6",
                _ => "MQTT-2.2.1-5",
            },
            (V::PacketIdentifierInUse, Towards::Broker) => "MQTT-2.2.1-3",
            (V::PacketIdentifierInUse, Towards::Client) => "MQTT-2.2.1-4",
            (V::DupMissing, _) => "MQTT-3.3.1-1",
            (V::UnknownTopicAlias, _) => "section 3.3.2.3.4",
            (V::TopicAliasTooLarge, Towards::Broker) => "MQTT-3.3.2-9",
            (V::TopicAliasTooLarge, Towards::Client) => "MQTT-3.3.2-11",
            (V::ReceiveMaximumExceeded, Towards::Broker) => "MQTT-3.3.4-7",
            (V::ReceiveMaximumExceeded, Towards::Client) => "MQTT-3.3.4-9",
            (V::MaximumPacketSizeExceeded, Towards::Broker) => "MQTT-3.2.2-15",
            (V::MaximumPacketSizeExceeded, Towards::Client) => "MQTT-3.1.2-24",
            (V::MaximumQosExceeded, _) => "MQTT-3.2.2-11",
            (V::RetainNotAvailable, _) => "MQTT-3.2.2-14",
            (V::ReasonCodeCount, _) => match packet_type {
                T::Unsuback => "section 3.11.3",
                _ => "MQTT-3.8.4-6",
            },
            (V::WrongAcknowledgment, _) => "MQTT-3.3.4-1",
            (V::ConnackNotFirst, _) => match packet_type {
                T::Disconnect => "MQTT-3.14.0-1",
                _ => "MQTT-3.2.0-1",
            },
            (V::SecondConnack, _) => "MQTT-3.2.0-2",
            (V::AfterRefusal, _) => "MQTT-3.2.2-7",
            (V::SessionPresentUnasked, _) => "MQTT-3.2.2-2",
            (V::AssignedIdentifierMissing, _) => "MQTT-3.2.2-16",
            (V::WillBeyondLimits, _) => "MQTT-3.2.2-12 and MQTT-3.2.2-13",
            (V::UnwantedInformation, _) => match packet_type {
                T::Connack => "MQTT-3.1.2-28",
                _ => "MQTT-3.1.2-29",
            },
            (V::WildcardNotAvailable, _) => "section 3.2.2.3.11",
            (V::SubscriptionIdentifierNotAvailable, _) => "section 3.2.2.3.12",
            (V::SharedNotAvailable, _) => "section 3.2.2.3.13",
            (V::SubscriptionIdentifierFromClient, _) => "MQTT-3.3.4-6",
            (V::SubscriptionIdentifierMissing, _) => "MQTT-3.3.4-3",
            (V::SessionExpiryNotAllowed, Towards::Broker) => "section 3.14.2.2.2",
            (V::SessionExpiryNotAllowed, Towards::Client) => "MQTT-3.14.2-2",
            (V::OtherSidesReasonCode, _) => match packet_type {
                T::Auth => "section 3.15.2.1",
                _ => "section 3.14.2.1",
            },
            (V::AuthenticationMethodUnknown, Towards::Broker) => "MQTT-4.12.0-5 and MQTT-4.12.0-7",
            (V::AuthenticationMethodUnknown, Towards::Client) => "MQTT-4.12.0-5 and MQTT-4.12.0-6",
            (V::DuringAuthentication, _) => "MQTT-3.1.2-30",
            (V::AcknowledgmentOrder, _) => match packet_type {
                T::Pubrec => "MQTT-4.6.0-3",
                T::Pubrel => "MQTT-4.6.0-4",
                _ => "MQTT-4.6.0-2",
            },
            (V::PublishAfterPubrel, _) => "MQTT-4.3.3-6",
        }
    }
}

/// A set of [`SessionViolation`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionViolations(u64);

const _: () = assert!(SessionViolation::ALL.len() <= 64);

impl SessionViolations {
    /// Adds one.
    pub const fn insert(&mut self, violation: SessionViolation) {
        self.0 |= 1 << violation as u8;
    }

    /// Adds one where `broken`.
    pub const fn insert_if(&mut self, broken: bool, violation: SessionViolation) {
        // Without a branch: several of these stand in the way of every packet.
        self.0 |= (broken as u64) << violation as u8;
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
            .iter()
            .copied()
            .filter(move |violation| self.contains(*violation))
    }
}
