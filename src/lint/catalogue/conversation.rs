//! Rules that a packet breaks by where it stands in the conversation.

use crate::results::{FindingDoc, Severity};
use crate::session::SessionViolation;

macro_rules! violations {
    ($( $name:ident, $clause:literal, $why:literal, $what_to_do:literal; )*) => {
        /// In the order of [`SessionViolation`]'s declaration.
        pub(super) const CONVERSATION: &[FindingDoc] = &[$(
            FindingDoc {
                code: SessionViolation::$name.code(),
                severity: Severity::Error,
                title: SessionViolation::$name.text(),
                why: $why,
                what_to_do: $what_to_do,
                clause: $clause,
            },
        )*];
    };
}

violations! {
    NotIntroduced, "MQTT-3.1.0-1",
        "The broker knows neither the client nor its version, and has to close the connection.",
        "Send CONNECT first. A device that goes on after its connection broke looks so, and so does a scanner.";
    SecondConnect, "MQTT-3.1.0-2",
        "A broker has to disconnect the client.",
        "Open a new TCP connection to connect again.";
    OnlyFromBroker, "section 2.1.2, table 2-1; 3.1.1: section 2.2.1, table 2.1",
        "A client has nothing to grant; the broker closes the connection.",
        "Mend the client, or look who of the two it really is.";
    OnlyFromClient, "section 2.1.2, table 2-1; 3.1.1: section 2.2.1, table 2.1",
        "A broker does not ask; the client closes the connection.",
        "Mend the broker, or look who of the two it really is.";
    AfterDisconnect, "MQTT-3.14.4-1; 3.1.1: MQTT-3.14.4-2",
        "What follows a DISCONNECT is lost.",
        "Send everything, and wait for what is to be acknowledged, before DISCONNECT.";
    UnknownPacketIdentifier, "MQTT-2.2.1-5 and MQTT-2.2.1-6; 3.1.1: MQTT-2.3.1-6 and MQTT-2.3.1-7",
        "The acknowledgment is for nothing: a sender's and a receiver's books disagree, and a message may be lost or doubled.",
        "Look at the packets with this identifier before it; one side acknowledges twice, or answers another message.";
    PacketIdentifierInUse, "MQTT-2.2.1-3 and MQTT-2.2.1-4; 3.1.1: MQTT-2.3.1-2",
        "Two messages share one identifier, so an acknowledgment fits both and one of them can be lost unseen.",
        "Take an identifier again only after its exchange is complete.";
    DupMissing, "MQTT-3.3.1-1",
        "The receiver cannot tell the repetition from a new message.",
        "Set DUP when a PUBLISH is sent again.";
    UnknownTopicAlias, "section 3.3.2.3.4",
        "The receiver does not know the topic, and has to close the connection.",
        "Send topic and alias together first; aliases end with the connection.";
    TopicAliasTooLarge, "MQTT-3.3.2-9 and MQTT-3.3.2-11",
        "The receiver said how many aliases it keeps; a larger one is a protocol error.",
        "Stay within the Topic Alias Maximum of the CONNACK (clients) or CONNECT (brokers).";
    ReceiveMaximumExceeded, "MQTT-3.3.4-7 and MQTT-3.3.4-9",
        "The receiver said how many messages it takes at once, and may disconnect with code 0x93.",
        "Wait for acknowledgments before sending more.";
    MaximumPacketSizeExceeded, "MQTT-3.1.2-24 and MQTT-3.2.2-15",
        "The receiver said how much it takes, and may disconnect with code 0x95.",
        "Send smaller messages, or raise the limit at the receiver.";
    MaximumQosExceeded, "MQTT-3.2.2-11",
        "The broker said that it does not support this QoS, and disconnects with code 0x9B.",
        "Publish at the Maximum QoS of the CONNACK at most.";
    RetainNotAvailable, "MQTT-3.2.2-14",
        "The broker said that it keeps no messages, and disconnects with code 0x9A.",
        "Publish without RETAIN there.";
    ReasonCodeCount, "MQTT-3.8.4-6; 3.1.1: MQTT-3.8.4-5",
        "The client cannot know which code belongs to which filter.",
        "Mend the broker: one code for each filter, in their order.";
    WrongAcknowledgment, "MQTT-3.3.4-1",
        "QoS 1 ends with PUBACK and QoS 2 begins with PUBREC: one side works at the wrong QoS, and the handshake never ends.",
        "Mend the receiver.";
    ConnackNotFirst, "MQTT-3.2.0-1 and MQTT-3.14.0-1; 3.1.1: MQTT-3.2.0-1",
        "The client does not know yet whether it is accepted, and takes the packet for an error.",
        "Mend the broker, or look who of the two it really is.";
    SecondConnack, "MQTT-3.2.0-2; 3.1.1: section 3.2",
        "The client is connected already; it may close the connection.",
        "Mend the broker, or what stands before it.";
    AfterRefusal, "MQTT-3.2.2-7; 3.1.1: MQTT-3.2.2-5",
        "Client and broker disagree on whether they are connected.",
        "Mend the broker: it has to close the connection after a refusal.";
    SessionPresentUnasked, "MQTT-3.2.2-2; 3.1.1: MQTT-3.2.2-1",
        "The client threw its state away: it may get messages of subscriptions that it does not know, and has to close the connection.",
        "Mend the broker: clean start ends the session that was there.";
    AssignedIdentifierMissing, "MQTT-3.2.2-16",
        "The client does not learn its identifier, so it can never come back to its session.",
        "Mend the broker, or give the client an identifier.";
    WillBeyondLimits, "MQTT-3.2.2-12 and MQTT-3.2.2-13",
        "The broker should have refused the connection; the will is not published as the client asked for.",
        "Choose a will within the broker's Maximum QoS and Retain Available.";
    UnwantedInformation, "MQTT-3.1.2-28 and MQTT-3.1.2-29",
        "A small client that declined it may have no memory for it.",
        "Mend the broker: it has to heed Request Problem Information and Request Response Information.";
    WildcardNotAvailable, "section 3.2.2.3.11",
        "The broker said so in its CONNACK, and disconnects with code 0xA2.",
        "Subscribe to each topic by its name there.";
    SubscriptionIdentifierNotAvailable, "section 3.2.2.3.12",
        "The broker said so in its CONNACK, and disconnects with code 0xA1.",
        "Subscribe without subscription identifiers there.";
    SharedNotAvailable, "section 3.2.2.3.13",
        "The broker said so in its CONNACK, and disconnects with code 0x9E.",
        "Subscribe without $share there.";
    SubscriptionIdentifierFromClient, "MQTT-3.3.4-6",
        "Subscription identifiers are what a broker adds for a subscriber; from a client they are a protocol error.",
        "Do not copy the properties of a received message into one that is sent.";
    SubscriptionIdentifierMissing, "MQTT-3.3.4-3 to MQTT-3.3.4-5",
        "A client that tells its messages apart by the identifier hands this one to nobody.",
        "Mend the broker: it has to add the identifiers of all subscriptions that a message comes of.";
    SessionExpiryNotAllowed, "MQTT-3.14.2-2 and section 3.14.2.2.2",
        "Only a client whose session is kept may change how long; the broker takes it for a protocol error.",
        "Name the session expiry interval in the CONNECT.";
    OtherSidesReasonCode, "sections 3.14.2.1 and 3.15.2.1",
        "The receiver cannot know what is meant.",
        "Mend the sender.";
    AuthenticationMethodUnknown, "MQTT-4.12.0-5 to MQTT-4.12.0-7",
        "Both sides must speak the same method all the time; anything else is a protocol error.",
        "Name the method in the CONNECT, and the same in every AUTH and in the CONNACK.";
    DuringAuthentication, "MQTT-3.1.2-30",
        "The broker does not know yet who it is, and takes the packet for a protocol error.",
        "Wait for the CONNACK.";
    AcknowledgmentOrder, "MQTT-4.6.0-2 to MQTT-4.6.0-4",
        "Brokers rely on the order to keep that of the messages; some close the connection.",
        "Acknowledge in the order of arrival, also where messages are handled side by side.";
    PublishAfterPubrel, "MQTT-4.3.3-6; 3.1.1: MQTT-4.3.3-1",
        "The receiver takes it for a new message: it is delivered twice in spite of QoS 2.",
        "Send PUBREL again, never the PUBLISH.";
}
