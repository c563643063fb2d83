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
    UnknownPacketIdentifier, "section 2.2.1; 3.1.1: section 2.3.1",
        "The acknowledgment is for nothing: a sender's and a receiver's books disagree, and a message may be lost or doubled.",
        "Look at the packets with this identifier before it; one side acknowledges twice, or answers another message.";
    PacketIdentifierInUse, "MQTT-2.2.1-3; 3.1.1: MQTT-2.3.1-2",
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
    WrongAcknowledgment, "section 4.3",
        "QoS 1 ends with PUBACK and QoS 2 begins with PUBREC: one side works at the wrong QoS, and the handshake never ends.",
        "Mend the receiver.";
}
