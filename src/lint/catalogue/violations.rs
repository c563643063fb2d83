//! Rules of the specification that a packet breaks by itself.

use crate::mqtt::{self, Violation};
use crate::results::{FindingDoc, Severity};

const fn severity(severity: mqtt::Severity) -> Severity {
    match severity {
        mqtt::Severity::Note => Severity::Note,
        mqtt::Severity::Warning => Severity::Warning,
        mqtt::Severity::Error => Severity::Error,
    }
}

macro_rules! violations {
    ($( $name:ident, $clause:literal, $why:literal, $what_to_do:literal; )*) => {
        /// In the order of [`Violation::ALL`].
        pub(super) const VIOLATIONS: &[FindingDoc] = &[$(
            FindingDoc {
                code: Violation::$name.code(),
                severity: severity(Violation::$name.severity()),
                title: Violation::$name.text(),
                why: $why,
                what_to_do: $what_to_do,
                clause: $clause,
            },
        )*];
    };
}

violations! {
    OverlongInteger, "MQTT-1.5.5-1; 3.1.1: section 2.2.3",
        "Strict receivers take the packet for malformed and close the connection.",
        "Mend the sender's encoder: the fewest bytes that hold the value.";
    ReservedFlags, "MQTT-2.1.3-1; 3.1.1: MQTT-2.2.2-1",
        "A receiver has to close the connection; a PUBREL or SUBSCRIBE without flags 2 is the usual case.",
        "Mend the sender's encoder: the flags of this packet type are fixed.";
    ReservedPacketType, "section 2.1.2; 3.1.1: section 2.2.1",
        "No such packet exists: the sender is broken, or it is not MQTT.",
        "Look at the bytes before it; a wrong length there makes the rest unreadable.";
    PacketTypeNotInLevel, "section 2.1.2; 3.1.1: section 2.2.1",
        "AUTH came with MQTT 5; an older receiver closes the connection.",
        "Connect at level 5, or leave AUTH out.";
    BodyNotAllowed, "sections 3.12.1, 3.13.1 and 3.14.1",
        "A receiver may take the surplus for a malformed packet.",
        "Mend the sender: these packets are two bytes long.";
    TrailingBytes, "section 2.1.4; 3.1.1: section 2.2.3",
        "The length and the content disagree, so one of them is wrong; strict receivers close the connection.",
        "Mend how the sender computes the remaining length.";
    InvalidUtf8, "MQTT-1.5.4-1; 3.1.1: MQTT-1.5.3-1",
        "A receiver has to close the connection; one that does not may show or match the name differently.",
        "Encode names as UTF-8, also where the device works in another character set.";
    NullCharacter, "MQTT-1.5.4-2; 3.1.1: MQTT-1.5.3-2",
        "Receivers may close the connection; programs in C see a shorter name than others.",
        "Send the length without the NUL that ends the string in memory.";
    DiscouragedCharacter, "section 1.5.4; 3.1.1: section 1.5.3",
        "Receivers may refuse it, and in a log or on a terminal it is invisible or does harm.",
        "Use printable characters in topics, identifiers and names.";
    PacketIdentifierZero, "MQTT-2.2.1-3; 3.1.1: MQTT-2.3.1-1",
        "0 means none, so the message cannot be acknowledged.",
        "Count packet identifiers from 1, and skip 0 when they wrap.";
    ProtocolName, "MQTT-3.1.2-1",
        "A broker refuses the connection, or takes it for another protocol.",
        "Send MQTT for 3.1.1 and 5, MQIsdp for 3.1.";
    UnknownProtocolLevel, "MQTT-3.1.2-2",
        "A broker refuses it with the code for an unacceptable version.",
        "Connect at level 3, 4 or 5.";
    BridgeLevel, "MQTT-3.1.2-2",
        "Mosquitto's bridges say so that they are bridges; another broker may refuse the level.",
        "Nothing between brokers that know it; else switch try_private off at the bridge.";
    ConnectReservedFlag, "MQTT-3.1.2-3",
        "A broker has to close the connection.",
        "Mend the client's encoder.";
    WillQosWithoutWill, "MQTT-3.1.2-13; 5: MQTT-3.1.2-11",
        "A broker may take the CONNECT for malformed.",
        "Set the will's QoS only together with a will.";
    WillRetainWithoutWill, "MQTT-3.1.2-15; 5: MQTT-3.1.2-13",
        "A broker may take the CONNECT for malformed.",
        "Set will retain only together with a will.";
    WillQos3, "section 3.1.2.6; 3.1.1: MQTT-3.1.2-14",
        "There is no QoS 3; a broker closes the connection.",
        "Choose 0, 1 or 2.";
    PasswordWithoutUserName, "3.1.1: MQTT-3.1.2-22",
        "A 3.1.1 broker closes the connection; only MQTT 5 allows it.",
        "Send a user name too, or connect at level 5.";
    EmptyClientIdentifier, "MQTT-3.1.3-7; 5: MQTT-3.1.3-6",
        "Nobody could find the session again, so a broker has to refuse it.",
        "Give the client a fixed, unique identifier, or ask for a clean session.";
    ClientIdentifierLength, "MQTT-3.1.3-5",
        "A broker need not take more than 23 characters; an MQTT 3.1 broker refuses them.",
        "Nothing where the broker takes it; else shorten the identifier.";
    ConnackReservedFlags, "MQTT-3.2.2-1",
        "A client may take the CONNACK for malformed.",
        "Mend the broker, or what stands before it.";
    SessionPresentWithError, "MQTT-3.2.2-6; 3.1.1: MQTT-3.2.2-4",
        "It contradicts itself: a refused client has no session.",
        "Mend the broker.";
    OlderConnack, "MQTT-3.1.2-2",
        "The broker does not know MQTT 5 and answers in the older form.",
        "Connect at level 4, or update the broker.";
    UnknownReasonCode, "sections 2.4 and 3.2.2.2; 3.1.1: section 3.2.2.3",
        "The receiver cannot know what is meant.",
        "Mend the sender, or look up its private codes.";
    NoReasonCodes, "MQTT-3.8.4-6; 3.1.1: MQTT-3.8.4-5",
        "The client cannot know which of its subscriptions hold.",
        "Mend the broker: one code for each filter.";
    Qos3, "MQTT-3.3.1-4",
        "There is no QoS 3; a receiver has to close the connection.",
        "Mend the sender's encoder.";
    DupWithQos0, "MQTT-3.3.1-2",
        "A QoS 0 message is never sent again, so the flag says something untrue.",
        "Set DUP on repetitions of QoS 1 and 2 alone.";
    EmptyTopic, "MQTT-4.7.3-1",
        "A message without a topic has no receiver; a broker closes the connection.",
        "Name a topic of at least one character (MQTT 5: or a topic alias).";
    WildcardInTopic, "MQTT-3.3.2-2",
        "Wildcards belong into subscriptions; a broker has to refuse the message.",
        "Publish to one topic; leave + and # out of names, also where they come from data.";
    NameTooLong, "MQTT-4.7.3-3",
        "A length field holds at most 65,535.",
        "Shorten the name.";
    EmptyFilter, "MQTT-4.7.3-1",
        "It matches nothing; a broker closes the connection.",
        "Name a filter of at least one character.";
    MultiLevelWildcard, "MQTT-4.7.1-1; 3.1.1: MQTT-4.7.1-2",
        "The filter is invalid: the subscription is refused, or never matches.",
        "Put # alone into the last level.";
    SingleLevelWildcard, "MQTT-4.7.1-2; 3.1.1: MQTT-4.7.1-3",
        "The filter is invalid: the subscription is refused, or never matches.",
        "Let + fill a whole level.";
    SharedFilterForm, "MQTT-4.8.2-1 and MQTT-4.8.2-2",
        "The broker takes it for malformed, or for an ordinary filter that nothing matches.",
        "Write $share/group/filter; no wildcard in the group.";
    NoLocalOnShared, "MQTT-3.8.3-4",
        "A broker has to close the connection.",
        "Leave No Local out of shared subscriptions.";
    NoFilters, "MQTT-3.8.3-2; 3.1.1: MQTT-3.8.3-3",
        "There is nothing to do, so the packet is a protocol violation.",
        "Send it with at least one filter, or not at all.";
    RequestedQos3, "section 3.8.3.1; 3.1.1: MQTT-3.8.3-4",
        "There is no QoS 3; a broker has to close the connection.",
        "Ask for 0, 1 or 2.";
    ReservedOptionBits, "MQTT-3.8.3-5; 3.1.1: MQTT-3.8.3-4",
        "A broker has to close the connection; subscription options of MQTT 5 sent at an older level look so.",
        "Send only the options of the connection's level.";
    RetainHandling3, "section 3.8.3.1",
        "The value is not defined.",
        "Use 0, 1 or 2.";
    PropertyNotAllowed, "section 2.2.2.2",
        "A receiver takes the packet for malformed.",
        "Send only the properties of this packet type.";
    PropertyRepeated, "section 2.2.2 and those of the packets",
        "A receiver takes it for a protocol error, since it cannot know which one counts.",
        "Send it once.";
    PropertyValue, "sections of the properties",
        "A receiver takes it for a protocol error.",
        "Send a value of the range that the specification names.";
    SubscriptionIdentifierZero, "sections 3.8.2.1.2 and 3.3.2.3.8",
        "0 is a protocol error.",
        "Count subscription identifiers from 1.";
    ReceiveMaximumZero, "sections 3.1.2.11.3 and 3.2.2.3.3",
        "Nothing could ever be sent; it is a protocol error.",
        "Leave it out for 65,535, or name at least 1.";
    MaximumPacketSizeZero, "sections 3.1.2.11.4 and 3.2.2.3.6",
        "Nothing could ever be sent; it is a protocol error.",
        "Leave it out for no limit.";
    TopicAliasZero, "MQTT-3.3.2-8",
        "0 is no alias; a receiver closes the connection.",
        "Count aliases from 1 to the maximum that the receiver named.";
    PayloadNotUtf8, "section 3.3.2.3.2",
        "The publisher promises text; a receiver that trusts it fails, or refuses the message with code 0x99.",
        "Send UTF-8, or leave the payload format indicator out.";
    ResponseTopicWildcard, "MQTT-3.3.2-14",
        "A response cannot be published to a filter.",
        "Name one topic.";
    AuthenticationDataWithoutMethod, "section 3.1.2.11.10",
        "The receiver cannot know what the data is; it is a protocol error.",
        "Name the authentication method.";
    AuthenticationMethodMissing, "section 3.15.2.2.2",
        "An AUTH without a method is a protocol error.",
        "Name the method of the CONNECT in every AUTH.";
}
