use proptest::prelude::*;

use super::super::{
    HeaderResult, MalformedReason, Properties, Property, PropertyId, Secret, Severity,
    Subscription, parse_fixed_header, reason_text,
};
use super::*;

const V3: ProtocolLevel = ProtocolLevel::V3_1;
const V4: ProtocolLevel = ProtocolLevel::V3_1_1;
const V5: ProtocolLevel = ProtocolLevel::V5;

/// Takes the fixed header off and parses.
fn packet(bytes: &[u8], level: ProtocolLevel) -> Parsed<'_> {
    let HeaderResult::Complete(header) = parse_fixed_header(bytes) else {
        panic!("no header: {bytes:x?}");
    };
    let body = &bytes[usize::from(header.header_length)..];
    assert_eq!(
        usize::try_from(header.remaining_length).unwrap(),
        body.len(),
        "wrong length in the test: {bytes:x?}"
    );
    parse(header.first_byte, body, level)
}

/// As a packet with its remaining length.
fn with_header(first_byte: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[first_byte, u8::try_from(body.len()).unwrap()], body].concat()
}

fn clean(bytes: &[u8], level: ProtocolLevel) -> Packet<'_> {
    let parsed = packet(bytes, level);
    assert!(parsed.violations.is_empty(), "{parsed:?}");
    assert_eq!(parsed.malformed, None);
    parsed.packet
}

/// Figure 3.6 of 3.1.1: all flags, keep alive 10.
#[test]
fn connect_3_1_1() {
    let bytes =
        b"\x10\x19\x00\x04MQTT\x04\xce\x00\x0a\x00\x01a\x00\x01w\x00\x01p\x00\x01u\x00\x01s";
    let Packet::Connect(connect) = clean(bytes, V4) else {
        panic!()
    };
    assert_eq!(connect.protocol_name, Some(&b"MQTT"[..]));
    assert_eq!(connect.level(), Some(V4));
    assert!(!connect.is_bridge());
    assert_eq!(connect.clean_start(), Some(true));
    assert_eq!(connect.will_flag(), Some(true));
    assert_eq!(connect.will_qos(), Some(1));
    assert_eq!(connect.will_retain(), Some(false));
    assert_eq!(connect.user_name_flag(), Some(true));
    assert_eq!(connect.password_flag(), Some(true));
    assert_eq!(connect.keep_alive, Some(10));
    assert_eq!(connect.client_id, Some(&b"a"[..]));
    let will = connect.will.unwrap();
    assert_eq!(
        (will.topic, will.payload),
        (Some(&b"w"[..]), Some(&b"p"[..]))
    );
    assert_eq!(connect.user_name, Some(&b"u"[..]));
    assert_eq!(connect.password_length(), Some(1));
}

/// Figure 3-6 of MQTT 5: Session Expiry Interval 10.
#[test]
fn connect_5() {
    let bytes = b"\x10\x13\x00\x04MQTT\x05\x02\x00\x0a\x05\x11\x00\x00\x00\x0a\x00\x01a";
    let Packet::Connect(connect) = clean(bytes, V4) else {
        panic!()
    };
    assert_eq!(connect.level(), Some(V5));
    let properties: Vec<_> = connect.properties.iter().collect();
    assert_eq!(properties, [Property::SessionExpiryInterval(10)]);
}

#[test]
fn passwords_are_not_in_debug_output() {
    let bytes =
        b"\x10\x17\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01a\x00\x01u\x00\x05\x01\x02\x03\x04\x05";
    let shown = format!("{:?}", packet(bytes, V4));
    assert!(shown.contains("password: Some(<5 bytes>)"), "{shown}");
    assert!(!shown.contains("1, 2, 3"), "{shown}");
    let data = Property::AuthenticationData(Secret::new(b"\x01\x02\x03"));
    assert_eq!(format!("{data:?}"), "AuthenticationData(<3 bytes>)");
}

/// MQTT 3.1: "Server implementations must allow for the possibility that the User Name flag is set,
/// but the User Name string is missing. This is valid, and connections should be allowed to
/// continue."
#[test]
fn user_name_may_be_missing_in_3_1() {
    let Packet::Connect(connect) = clean(b"\x10\x0f\x00\x06MQIsdp\x03\xc2\x00\x0a\x00\x01a", V4)
    else {
        panic!()
    };
    assert_eq!((connect.user_name, connect.password), (None, None));
    let parsed = packet(b"\x10\x0d\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01a", V4);
    assert_eq!(parsed.malformed.unwrap().field, Field::UserName);
}

/// Bridges of mosquitto and RSMB set bit 7 of the level.
#[test]
fn bridge_level() {
    let parsed = packet(b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x0a\x00\x01a", V4);
    let Packet::Connect(connect) = parsed.packet else {
        panic!()
    };
    assert!(connect.is_bridge());
    assert_eq!(connect.level_byte, Some(0x84));
    assert_eq!(connect.level(), Some(V4));
    assert_eq!(parsed.violations, Violations::of(Violation::BridgeLevel));
    assert!(parsed.is_valid());
}

/// Figure 3.11 of 3.1.1 and figure 3-9 of MQTT 5: topic a/b, packet identifier 10, no properties.
#[test]
fn publish() {
    let Packet::Publish(publish) = clean(b"\x32\x0a\x00\x03a/b\x00\x0a{ }", V4) else {
        panic!()
    };
    assert_eq!(
        (publish.dup, publish.qos, publish.retain),
        (false, 1, false)
    );
    assert_eq!(publish.topic, Some(&b"a/b"[..]));
    assert_eq!(publish.packet_id, Some(10));
    assert_eq!(
        (publish.payload, publish.payload_length),
        (&b"{ }"[..], Some(3))
    );

    let Packet::Publish(publish) = clean(b"\x3d\x08\x00\x03a/b\x00\x0a\x00", V5) else {
        panic!()
    };
    assert_eq!((publish.dup, publish.qos, publish.retain), (true, 2, true));
    assert!(publish.properties.is_empty());
    assert_eq!(
        (publish.payload, publish.payload_length),
        (&b""[..], Some(0))
    );
}

/// 3.3.2.1 of MQTT 5: the topic may be empty where a topic alias stands for it. User properties
/// and a server's subscription identifiers may repeat.
#[test]
fn publish_properties() {
    let bytes = b"\x30\x1c\x00\x00\x18\x23\x00\x07\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w\
                  \x0b\x80\x01\x0b\x02\x01\x01!";
    let Packet::Publish(publish) = clean(bytes, V5) else {
        panic!()
    };
    assert_eq!(publish.topic, Some(&b""[..]));
    assert_eq!(publish.properties.topic_alias(), Some(7));
    assert_eq!(
        publish.properties.get(PropertyId::SubscriptionIdentifier),
        Some(Property::SubscriptionIdentifier(128))
    );
    assert_eq!(publish.properties.get(PropertyId::ContentType), None);
    let users: Vec<_> = publish.properties.user_properties().collect();
    assert_eq!(users, [(&b"k"[..], &b"v"[..]), (b"k", b"w")]);
    assert_eq!(publish.properties.iter().count(), 6);
    assert_eq!(publish.payload, b"!");
}

#[test]
fn acknowledgments() {
    for (first_byte, kind) in [
        (0x40, PacketType::Puback),
        (0x50, PacketType::Pubrec),
        (0x62, PacketType::Pubrel),
        (0x70, PacketType::Pubcomp),
    ] {
        for level in [V3, V4, V5] {
            let bytes = [first_byte, 2, 0x12, 0x34];
            let Packet::Acknowledgment(ack) = clean(&bytes, level) else {
                panic!()
            };
            assert_eq!(ack.kind, kind);
            assert_eq!(ack.packet_id, Some(0x1234));
            assert_eq!(ack.reason_code, None);
        }
        let bytes = with_header(first_byte, b"\x00\x01\x00\x04\x1f\x00\x01x");
        let Packet::Acknowledgment(ack) = clean(&bytes, V5) else {
            panic!()
        };
        assert_eq!(ack.reason_code, Some(0));
        let properties: Vec<_> = ack.properties.iter().collect();
        assert_eq!(properties, [Property::ReasonString(b"x")]);
    }
}

/// Figure 3.23 (SUBSCRIBE), 3.26 (SUBACK) and 3.30 (UNSUBSCRIBE) of 3.1.1.
#[test]
fn subscribe_and_unsubscribe() {
    let bytes = b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02";
    let Packet::Subscribe(subscribe) = clean(bytes, V4) else {
        panic!()
    };
    assert_eq!(subscribe.packet_id, Some(10));
    let subscriptions: Vec<_> = subscribe.subscriptions.collect();
    assert_eq!(
        subscriptions,
        [
            Subscription {
                filter: b"a/b",
                options: 1
            },
            Subscription {
                filter: b"c/d",
                options: 2
            }
        ]
    );

    let Packet::Subscribe(subscribe) = clean(b"\x82\x07\x00\x0a\x00\x00\x01#\x2e", V5) else {
        panic!()
    };
    let subscription = subscribe.subscriptions.into_iter().next().unwrap();
    assert_eq!(subscription.qos(), 2);
    assert!(subscription.no_local() && subscription.retain_as_published());
    assert_eq!(subscription.retain_handling(), 2);

    let Packet::Suback(suback) = clean(b"\x90\x05\x00\x0a\x00\x02\x80", V4) else {
        panic!()
    };
    assert_eq!(suback.reason_codes, [0, 2, 0x80]);
    let Packet::Suback(suback) = clean(b"\x90\x05\x00\x0a\x00\x02\x9e", V5) else {
        panic!()
    };
    assert_eq!(suback.reason_codes, [2, 0x9e]);

    let Packet::Unsubscribe(unsubscribe) = clean(b"\xa2\x0c\x00\x0a\x00\x03a/b\x00\x03c/d", V4)
    else {
        panic!()
    };
    assert_eq!(unsubscribe.filters.collect::<Vec<_>>(), [b"a/b", b"c/d"]);
    let Packet::Unsuback(unsuback) = clean(b"\xb0\x02\x00\x0a", V4) else {
        panic!()
    };
    assert_eq!(
        (unsuback.packet_id, unsuback.reason_codes),
        (Some(10), &[][..])
    );
    let Packet::Unsuback(unsuback) = clean(b"\xb0\x05\x00\x0a\x00\x00\x11", V5) else {
        panic!()
    };
    assert_eq!(unsuback.reason_codes, [0, 0x11]);
}

#[test]
fn packets_without_a_variable_header() {
    for level in [V3, V4, V5] {
        assert_eq!(clean(b"\xc0\x00", level), Packet::Pingreq);
        assert_eq!(clean(b"\xd0\x00", level), Packet::Pingresp);
        assert_eq!(
            clean(b"\xe0\x00", level),
            Packet::Disconnect(Disconnect::default())
        );
    }
    assert_eq!(clean(b"\xf0\x00", V5), Packet::Auth(Auth::default()));
    let Packet::Auth(auth) = clean(b"\xf0\x06\x18\x04\x15\x00\x01m", V5) else {
        panic!()
    };
    assert_eq!(auth.reason_code, Some(0x18));
    let Packet::Disconnect(disconnect) = clean(b"\xe0\x01\x04", V5) else {
        panic!()
    };
    assert_eq!(disconnect.reason_code, Some(4));
}

/// In 3.1 the packets that are sent at QoS 1 may carry DUP, and the flags of the others are unused.
#[test]
fn flags_in_3_1() {
    clean(b"\x6a\x02\x00\x01", V3);
    clean(b"\x8a\x06\x00\x01\x00\x01a\x00", V3);
    clean(b"\x42\x02\x00\x01", V3);
    let parsed = packet(b"\x60\x02\x00\x01", V3);
    assert!(parsed.violations.contains(Violation::ReservedFlags));
}

/// Each: the packet, the level, what is broken and its clause, with the specification's sentence.
#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn violations() {
    use Violation as V;
    let mut seen = Violations::NONE;
    let mut check = |bytes: &[u8], level, expected: V, clause: &str| {
        let parsed = packet(bytes, level);
        let kind = parsed.packet.packet_type();
        assert_eq!(parsed.malformed, None, "{expected:?} {bytes:x?}");
        assert_eq!(parsed.violations, Violations::of(expected), "{bytes:x?}");
        assert_eq!(expected.clause(kind, level), clause, "{expected:?}");
        seen.insert(expected);
    };
    // "Where a flag bit is marked as “Reserved” it is reserved for future use and MUST be set to
    // the value listed"; for 3.1.1 "If invalid flags are received, the receiver MUST close the
    // Network Connection".
    check(b"\x41\x02\x00\x01", V5, V::ReservedFlags, "MQTT-2.1.3-1");
    check(b"\x41\x02\x00\x01", V4, V::ReservedFlags, "MQTT-2.2.2-1");
    check(
        b"\x11\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01a",
        V4,
        V::ReservedFlags,
        "MQTT-2.2.2-1",
    );
    // "Bits 3,2,1 and 0 of the Fixed Header … are reserved and MUST be set to 0,0,1 and 0
    // respectively."
    check(b"\x60\x02\x00\x01", V4, V::ReservedFlags, "MQTT-3.6.1-1");
    check(
        b"\x80\x06\x00\x01\x00\x01a\x00",
        V4,
        V::ReservedFlags,
        "MQTT-3.8.1-1",
    );
    check(
        b"\xa0\x05\x00\x01\x00\x01a",
        V4,
        V::ReservedFlags,
        "MQTT-3.10.1-1",
    );
    check(b"\xe1\x00", V5, V::ReservedFlags, "MQTT-3.14.1-1");
    check(b"\xf2\x00", V5, V::ReservedFlags, "MQTT-3.15.1-1");
    // Table 2.1: types 0 and (before MQTT 5) 15 are "Forbidden".
    check(b"\x00\x00", V4, V::ReservedPacketType, "2.2.1");
    check(b"\x00\x00", V5, V::ReservedPacketType, "2.1.2");
    check(b"\xf0\x02\x18\x00", V4, V::PacketTypeNotInLevel, "2.2.1");
    // Figures 3.33, 3.34, 3.35: the remaining length is 0.
    check(b"\xc0\x01\x00", V5, V::BodyNotAllowed, "3.12.1");
    check(b"\xd0\x01\x00", V4, V::BodyNotAllowed, "3.13.1");
    check(b"\xe0\x01\x04", V4, V::BodyNotAllowed, "3.14.1");
    // "The Remaining Length is … the number of bytes remaining within the current Control Packet,
    // including data in the variable header and the payload."
    check(b"\x40\x03\x00\x01\x00", V4, V::TrailingBytes, "2.2.3");
    check(
        b"\x40\x05\x00\x01\x00\x00\x00",
        V5,
        V::TrailingBytes,
        "2.1.4",
    );
    // "The encoded value MUST use the minimum number of bytes necessary to represent the value."
    check(
        b"\x40\x05\x00\x01\x00\x80\x00",
        V5,
        V::OverlongInteger,
        "MQTT-1.5.5-1",
    );
    // "The character data in a UTF-8 Encoded String MUST be well-formed UTF-8"
    check(b"\x30\x04\x00\x02a\xff", V4, V::InvalidUtf8, "MQTT-1.5.3-1");
    check(
        b"\x30\x05\x00\x02a\xff\x00",
        V5,
        V::InvalidUtf8,
        "MQTT-1.5.4-1",
    );
    // "In particular, the character data MUST NOT include encodings of code points between U+D800
    // and U+DFFF."
    check(
        b"\x30\x05\x00\x03\xed\xa0\x80",
        V4,
        V::InvalidUtf8,
        "MQTT-1.5.3-1",
    );
    // "A UTF-8 Encoded String MUST NOT include an encoding of the null character U+0000."
    check(
        b"\x30\x05\x00\x03a\x00b",
        V4,
        V::NullCharacter,
        "MQTT-1.5.3-2",
    );
    check(
        b"\x30\x06\x00\x03a\x00b\x00",
        V5,
        V::NullCharacter,
        "MQTT-1.5.4-2",
    );
    // "The data SHOULD NOT include encodings of the Unicode code points listed below."
    check(
        b"\x30\x04\x00\x02a\x1f",
        V4,
        V::DiscouragedCharacter,
        "1.5.3",
    );
    check(
        b"\x30\x05\x00\x03\xef\xbf\xbf",
        V4,
        V::DiscouragedCharacter,
        "1.5.3",
    );
    // "SUBSCRIBE, UNSUBSCRIBE, and PUBLISH (in cases where QoS > 0) Control Packets MUST contain a
    // non-zero 16-bit Packet Identifier."
    check(
        b"\x32\x05\x00\x01a\x00\x00",
        V4,
        V::PacketIdentifierZero,
        "MQTT-2.3.1-1",
    );
    check(
        b"\x82\x07\x00\x00\x00\x00\x01a\x00",
        V5,
        V::PacketIdentifierZero,
        "MQTT-2.2.1-3",
    );
    check(
        b"\x40\x02\x00\x00",
        V5,
        V::PacketIdentifierZero,
        "MQTT-2.2.1-5",
    );
    check(
        b"\xb0\x02\x00\x00",
        V4,
        V::PacketIdentifierZero,
        "MQTT-2.3.1-7",
    );
    // "The protocol name MUST be the UTF-8 String "MQTT"."
    check(
        b"\x10\x0d\x00\x04MQTX\x04\x02\x00\x0a\x00\x01a",
        V4,
        V::ProtocolName,
        "MQTT-3.1.2-1",
    );
    // "The Server MUST respond to the CONNECT Packet with a CONNACK return code 0x01 (unacceptable
    // protocol level) and then disconnect the Client if the Protocol Level is not supported"
    check(
        b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x0a\x00\x01a",
        V4,
        V::UnknownProtocolLevel,
        "MQTT-3.1.2-2",
    );
    check(
        b"\x10\x0f\x00\x06MQIsdp\x83\x02\x00\x0a\x00\x01a",
        V4,
        V::BridgeLevel,
        "MQTT-3.1.2-2",
    );
    // "The Server MUST validate that the reserved flag in the CONNECT packet is set to 0."
    check(
        b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x0a\x00\x01a",
        V4,
        V::ConnectReservedFlag,
        "MQTT-3.1.2-3",
    );
    // "If the Will Flag is set to 0, then the Will QoS MUST be set to 0 (0x00)."
    check(
        b"\x10\x0d\x00\x04MQTT\x04\x0a\x00\x0a\x00\x01a",
        V4,
        V::WillQosWithoutWill,
        "MQTT-3.1.2-13",
    );
    // "If the Will Flag is set to 0, then Will Retain MUST be set to 0."
    check(
        b"\x10\x0d\x00\x04MQTT\x04\x22\x00\x0a\x00\x01a",
        V4,
        V::WillRetainWithoutWill,
        "MQTT-3.1.2-15",
    );
    // "If the Will Flag is set to 1, the value of Will QoS can be 0 (0x00), 1 (0x01), or 2 (0x02).
    // It MUST NOT be 3 (0x03)."
    check(
        b"\x10\x12\x00\x04MQTT\x04\x1e\x00\x0a\x00\x01a\x00\x01w\x00\x00",
        V4,
        V::WillQos3,
        "MQTT-3.1.2-14",
    );
    // "If the User Name Flag is set to 0, the Password Flag MUST be set to 0."
    check(
        b"\x10\x10\x00\x04MQTT\x04\x42\x00\x0a\x00\x01a\x00\x01s",
        V4,
        V::PasswordWithoutUserName,
        "MQTT-3.1.2-22",
    );
    // "If the Client supplies a zero-byte ClientId, the Client MUST also set CleanSession to 1."
    check(
        b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x0a\x00\x00",
        V4,
        V::EmptyClientIdentifier,
        "MQTT-3.1.3-7",
    );
    // 3.1: "The Client Identifier (Client ID) is between 1 and 23 characters long"
    check(
        b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x0a\x00\x00",
        V3,
        V::ClientIdentifierLength,
        "MQTT-3.1.3-5",
    );
    // "Bits 7-1 are reserved and MUST be set to 0."
    check(b"\x20\x02\x02\x00", V4, V::ConnackReservedFlags, "3.2.2.1");
    check(
        b"\x20\x03\x80\x00\x00",
        V5,
        V::ConnackReservedFlags,
        "MQTT-3.2.2-1",
    );
    // "If a Server sends a CONNACK packet containing a non-zero Reason Code it MUST set Session
    // Present to 0."
    check(
        b"\x20\x02\x01\x05",
        V4,
        V::SessionPresentWithError,
        "MQTT-3.2.2-4",
    );
    check(
        b"\x20\x03\x01\x87\x00",
        V5,
        V::SessionPresentWithError,
        "MQTT-3.2.2-6",
    );
    check(b"\x20\x02\x00\x01", V5, V::OlderConnack, "MQTT-3.1.2-2");
    // "The Server MUST use one of the Reason Code values in Table 3-1", and so for each packet.
    check(b"\x20\x02\x00\x06", V4, V::UnknownReasonCode, "3.2.2.3");
    check(
        b"\x20\x03\x00\x93\x00",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.2.2-8",
    );
    check(
        b"\x40\x03\x00\x01\x92",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.4.2-1",
    );
    check(
        b"\x50\x03\x00\x01\x92",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.5.2-1",
    );
    check(
        b"\x62\x03\x00\x01\x10",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.6.2-1",
    );
    check(
        b"\x70\x03\x00\x01\x10",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.7.2-1",
    );
    check(
        b"\x90\x04\x00\x01\x00\x03",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.9.3-2",
    );
    check(
        b"\x90\x03\x00\x01\x03",
        V4,
        V::UnknownReasonCode,
        "MQTT-3.9.3-2",
    );
    check(
        b"\xb0\x04\x00\x01\x00\x01",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.11.3-2",
    );
    check(b"\xe0\x01\x01", V5, V::UnknownReasonCode, "MQTT-3.14.2-1");
    check(
        b"\xf0\x06\x17\x04\x15\x00\x01m",
        V5,
        V::UnknownReasonCode,
        "MQTT-3.15.2-1",
    );
    // "The SUBACK packet sent by the Server to the Client MUST contain a Reason Code for each Topic
    // Filter/Subscription Option pair."
    check(b"\x90\x02\x00\x01", V4, V::NoReasonCodes, "MQTT-3.8.4-5");
    check(
        b"\x90\x03\x00\x01\x00",
        V5,
        V::NoReasonCodes,
        "MQTT-3.8.4-6",
    );
    check(b"\xb0\x03\x00\x01\x00", V5, V::NoReasonCodes, "3.11.3");
    // "A PUBLISH Packet MUST NOT have both QoS bits set to 1."
    check(b"\x36\x05\x00\x01a\x00\x01", V4, V::Qos3, "MQTT-3.3.1-4");
    // "The DUP flag MUST be set to 0 for all QoS 0 messages."
    check(b"\x38\x03\x00\x01a", V4, V::DupWithQos0, "MQTT-3.3.1-2");
    // "All Topic Names and Topic Filters MUST be at least one character long."
    check(b"\x30\x02\x00\x00", V4, V::EmptyTopic, "MQTT-4.7.3-1");
    check(b"\x30\x03\x00\x00\x00", V5, V::EmptyTopic, "MQTT-4.7.3-1");
    check(
        b"\x82\x05\x00\x01\x00\x00\x00",
        V4,
        V::EmptyFilter,
        "MQTT-4.7.3-1",
    );
    check(
        b"\xa2\x04\x00\x01\x00\x00",
        V4,
        V::EmptyFilter,
        "MQTT-4.7.3-1",
    );
    // "The Topic Name in the PUBLISH packet MUST NOT contain wildcard characters."
    check(
        b"\x30\x05\x00\x03a/+",
        V4,
        V::WildcardInTopic,
        "MQTT-3.3.2-2",
    );
    // "The wildcard characters can be used in Topic Filters, but MUST NOT be used within a Topic
    // Name": here a will's.
    check(
        b"\x10\x12\x00\x04MQTT\x04\x06\x00\x0a\x00\x01a\x00\x01#\x00\x00",
        V4,
        V::WildcardInTopic,
        "MQTT-4.7.1-1",
    );
    check(
        b"\x10\x14\x00\x04MQTT\x05\x06\x00\x0a\x00\x00\x01a\x00\x00\x01#\x00\x00",
        V5,
        V::WildcardInTopic,
        "MQTT-4.7.0-1",
    );
    // "The multi-level wildcard character MUST be specified either on its own or following a topic
    // level separator."
    check(
        b"\x82\x07\x00\x01\x00\x02a#\x00",
        V4,
        V::MultiLevelWildcard,
        "MQTT-4.7.1-2",
    );
    check(
        b"\x82\x08\x00\x01\x00\x00\x02a#\x00",
        V5,
        V::MultiLevelWildcard,
        "MQTT-4.7.1-1",
    );
    // "Where it is used, it MUST occupy an entire level of the filter."
    check(
        b"\x82\x07\x00\x01\x00\x02a+\x00",
        V4,
        V::SingleLevelWildcard,
        "MQTT-4.7.1-3",
    );
    check(
        b"\x82\x08\x00\x01\x00\x00\x02a+\x00",
        V5,
        V::SingleLevelWildcard,
        "MQTT-4.7.1-2",
    );
    // "The ShareName … MUST be followed by a "/" character. This "/" character MUST be followed by a
    // Topic Filter."
    check(
        b"\x82\x0e\x00\x01\x00\x00\x08$share/g\x00",
        V5,
        V::SharedFilterForm,
        "MQTT-4.8.2-2",
    );
    // "It is a Protocol Error to set the No Local bit to 1 on a Shared Subscription."
    check(
        b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04",
        V5,
        V::NoLocalOnShared,
        "MQTT-3.8.3-4",
    );
    // "The Payload MUST contain at least one Topic Filter"
    check(b"\x82\x02\x00\x01", V4, V::NoFilters, "MQTT-3.8.3-3");
    check(b"\x82\x03\x00\x01\x00", V5, V::NoFilters, "MQTT-3.8.3-2");
    check(b"\xa2\x02\x00\x01", V4, V::NoFilters, "MQTT-3.10.3-2");
    // "The Server MUST treat a SUBSCRIBE packet as malformed and close the Network Connection if any
    // of Reserved bits in the payload are non-zero, or QoS is not 0,1 or 2."
    check(
        b"\x82\x06\x00\x01\x00\x01a\x03",
        V4,
        V::RequestedQos3,
        "MQTT-3.8.3-4",
    );
    check(
        b"\x82\x07\x00\x01\x00\x00\x01a\x03",
        V5,
        V::RequestedQos3,
        "3.8.3.1",
    );
    check(
        b"\x82\x06\x00\x01\x00\x01a\x04",
        V4,
        V::ReservedOptionBits,
        "MQTT-3.8.3-4",
    );
    check(
        b"\x82\x07\x00\x01\x00\x00\x01a\x40",
        V5,
        V::ReservedOptionBits,
        "MQTT-3.8.3-5",
    );
    // "It is a Protocol Error to send a Retain Handling value of 3."
    check(
        b"\x82\x07\x00\x01\x00\x00\x01a\x30",
        V5,
        V::RetainHandling3,
        "3.8.3.1",
    );
    // "A Control Packet which contains an Identifier which is not valid for its packet type, or
    // contains a value not of the specified data type, is a Malformed Packet."
    check(
        b"\x30\x07\x00\x01a\x03\x21\x00\x01",
        V5,
        V::PropertyNotAllowed,
        "2.2.2.2",
    );
    // "It is a Protocol Error to include the Topic Alias value more than once."
    check(
        b"\x30\x0a\x00\x01a\x06\x23\x00\x01\x23\x00\x02",
        V5,
        V::PropertyRepeated,
        "3.3.2.3",
    );
    // "It is a Protocol Error … to have a value other than 0 or 1."
    check(
        b"\x10\x10\x00\x04MQTT\x05\x02\x00\x0a\x02\x17\x02\x00\x01a",
        V5,
        V::PropertyValue,
        "3.1.2.11",
    );
    check(
        b"\x20\x05\x00\x00\x02\x24\x02",
        V5,
        V::PropertyValue,
        "3.2.2.3",
    );
    // "It is a Protocol Error if the Subscription Identifier has a value of 0."
    check(
        b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00",
        V5,
        V::SubscriptionIdentifierZero,
        "3.8.2.1.2",
    );
    check(
        b"\x30\x06\x00\x01a\x02\x0b\x00",
        V5,
        V::SubscriptionIdentifierZero,
        "3.3.2.3.8",
    );
    // "It is a Protocol Error to include the Receive Maximum value more than once or for it to have
    // the value 0."
    check(
        b"\x20\x06\x00\x00\x03\x21\x00\x00",
        V5,
        V::ReceiveMaximumZero,
        "3.2.2.3.3",
    );
    check(
        b"\x10\x11\x00\x04MQTT\x05\x02\x00\x0a\x03\x21\x00\x00\x00\x01a",
        V5,
        V::ReceiveMaximumZero,
        "3.1.2.11.3",
    );
    // "It is a Protocol Error to include the Maximum Packet Size more than once, or for the value to
    // be set to zero."
    check(
        b"\x20\x08\x00\x00\x05\x27\x00\x00\x00\x00",
        V5,
        V::MaximumPacketSizeZero,
        "3.2.2.3.6",
    );
    check(
        b"\x10\x13\x00\x04MQTT\x05\x02\x00\x0a\x05\x27\x00\x00\x00\x00\x00\x01a",
        V5,
        V::MaximumPacketSizeZero,
        "3.1.2.11.4",
    );
    // "A sender MUST NOT send a PUBLISH packet containing a Topic Alias which has the value 0."
    check(
        b"\x30\x07\x00\x01a\x03\x23\x00\x00",
        V5,
        V::TopicAliasZero,
        "MQTT-3.3.2-8",
    );
    // "The UTF-8 data in the Payload MUST be well-formed UTF-8"
    check(
        b"\x30\x07\x00\x01a\x02\x01\x01\xff",
        V5,
        V::PayloadNotUtf8,
        "3.3.2.3.2",
    );
    check(
        b"\x10\x17\x00\x04MQTT\x05\x06\x00\x0a\x00\x00\x01a\x02\x01\x01\x00\x01w\x00\x01\xff",
        V5,
        V::PayloadNotUtf8,
        "3.1.3.2.3",
    );
    // "The Response Topic MUST NOT contain wildcard characters."
    check(
        b"\x30\x08\x00\x01a\x04\x08\x00\x01#",
        V5,
        V::ResponseTopicWildcard,
        "MQTT-3.3.2-14",
    );
    // "It is a Protocol Error to include Authentication Data if there is no Authentication Method."
    check(
        b"\x20\x07\x00\x00\x04\x16\x00\x01d",
        V5,
        V::AuthenticationDataWithoutMethod,
        "3.2.2.3.18",
    );
    check(
        b"\x10\x12\x00\x04MQTT\x05\x02\x00\x0a\x04\x16\x00\x01d\x00\x01a",
        V5,
        V::AuthenticationDataWithoutMethod,
        "3.1.2.11.10",
    );
    // "It is a Protocol Error to omit the Authentication Method"
    check(
        b"\xf0\x02\x18\x00",
        V5,
        V::AuthenticationMethodMissing,
        "3.15.2.2.2",
    );

    // NameTooLong cannot stand behind two bytes of length; the topic module has its test.
    for &violation in V::ALL {
        assert!(
            seen.contains(violation) || violation == V::NameTooLong,
            "no test for {violation:?}"
        );
    }
}

/// MQTT 5 section 3.1.2.9: "This version of the protocol allows the sending of a Password with no
/// User Name, where MQTT v3.1.1 did not." And an empty client identifier without Clean Start.
#[test]
fn allowed_in_5_only() {
    clean(
        b"\x10\x11\x00\x04MQTT\x05\x42\x00\x0a\x00\x00\x01a\x00\x01s",
        V5,
    );
    clean(b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x0a\x00\x00\x00", V5);
}

#[test]
fn violations_describe_themselves() {
    let mut codes = std::collections::BTreeSet::new();
    for &violation in Violation::ALL {
        assert!(codes.insert(violation.code()));
        assert!(violation.text().ends_with('.'));
        for kind in PacketType::ALL {
            for level in [V3, V4, V5] {
                let clause = violation.clause(kind, level);
                let number = clause.strip_prefix("MQTT-").unwrap_or(clause);
                assert!(
                    number
                        .chars()
                        .all(|c| c.is_ascii_digit() || ".-".contains(c))
                );
            }
        }
    }
    assert_eq!(
        Violation::DiscouragedCharacter.severity(),
        Severity::Warning
    );
    assert!(!Violation::BridgeLevel.is_error());
    let set: Violations = [Violation::Qos3, Violation::OverlongInteger]
        .into_iter()
        .collect();
    assert_eq!(set.len(), 2);
    assert_eq!(format!("{set:?}"), "{OverlongInteger, Qos3}");
}

/// A packet of QoS 3 still shows its packet identifier, topic and payload.
#[test]
fn qos_3_is_read_like_qos_1() {
    let Packet::Publish(publish) = packet(b"\x36\x06\x00\x01a\x00\x01x", V4).packet else {
        panic!()
    };
    assert_eq!((publish.qos, publish.packet_id), (3, Some(1)));
    assert_eq!(
        (publish.topic, publish.payload),
        (Some(&b"a"[..]), &b"x"[..])
    );
}

#[test]
fn malformed_packets() {
    use MalformedReason as R;
    for (bytes, level, reason, field, offset, needed, available, clause) in [
        (
            &b"\x30\x05\x00\xffabc"[..],
            V4,
            R::PastPacket,
            Field::TopicName,
            2,
            255,
            3,
            "MQTT-3.3.2-1",
        ),
        (
            b"\x30\x01\x00",
            V4,
            R::PastPacket,
            Field::TopicName,
            0,
            2,
            1,
            "MQTT-3.3.2-1",
        ),
        (
            b"\x32\x04\x00\x01a\x00",
            V4,
            R::PastPacket,
            Field::PacketIdentifier,
            3,
            2,
            1,
            "2.3.1",
        ),
        (
            b"\x32\x04\x00\x01a\x00",
            V5,
            R::PastPacket,
            Field::PacketIdentifier,
            3,
            2,
            1,
            "2.2.1",
        ),
        // [MQTT-2.2.2-1] "If there are no properties, this MUST be indicated by including a
        // Property Length of zero."
        (
            b"\x30\x03\x00\x01a",
            V5,
            R::PastPacket,
            Field::PropertyLength,
            3,
            1,
            0,
            "2.2.2.1",
        ),
        (
            b"\x30\x06\x00\x01a\x09\x23\x00",
            V5,
            R::PastPacket,
            Field::Properties,
            4,
            9,
            2,
            "2.2.2.1",
        ),
        (
            b"\x30\x06\x00\x01a\x02\x23\x00",
            V5,
            R::PastProperties,
            Field::PropertyValue,
            5,
            2,
            1,
            "2.2.2.1",
        ),
        (
            b"\x30\x06\x00\x01a\x02\x7f\x00",
            V5,
            R::UnknownProperty,
            Field::PropertyIdentifier,
            4,
            127,
            1,
            "2.2.2.2",
        ),
        (
            b"\x30\x08\x00\x01a\xff\xff\xff\xff\x01",
            V5,
            R::VariableByteInteger,
            Field::PropertyLength,
            3,
            5,
            4,
            "1.5.5",
        ),
        (
            b"\x10\x07\x00\x04MQTT\x04",
            V4,
            R::PastPacket,
            Field::ConnectFlags,
            7,
            1,
            0,
            "3.1",
        ),
        (
            b"\x10\x0a\x00\x04MQTT\x04\x02\x00\x0a",
            V4,
            R::PastPacket,
            Field::ClientIdentifier,
            10,
            2,
            0,
            "MQTT-3.1.3-3",
        ),
        // "If the Will Flag is set to 1, … the Will Topic and Will Message fields MUST be present in
        // the Payload."
        (
            b"\x10\x0d\x00\x04MQTT\x04\x06\x00\x0a\x00\x01a",
            V4,
            R::PastPacket,
            Field::WillTopic,
            13,
            2,
            0,
            "MQTT-3.1.2-9",
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x82\x00\x0a\x00\x01a",
            V4,
            R::PastPacket,
            Field::UserName,
            13,
            2,
            0,
            "MQTT-3.1.2-19",
        ),
        (
            b"\x10\x10\x00\x04MQTT\x04\xc2\x00\x0a\x00\x01a\x00\x01u",
            V4,
            R::PastPacket,
            Field::Password,
            16,
            2,
            0,
            "MQTT-3.1.2-21",
        ),
        (
            b"\x20\x01\x00",
            V4,
            R::PastPacket,
            Field::ReasonCode,
            1,
            1,
            0,
            "3.2",
        ),
        (
            b"\x40\x01\x00",
            V4,
            R::PastPacket,
            Field::PacketIdentifier,
            0,
            2,
            1,
            "2.3.1",
        ),
        (
            b"\x82\x09\x00\x01\x00\x01a\x00\x00\x05b",
            V4,
            R::PastPacket,
            Field::TopicFilter,
            8,
            5,
            1,
            "3.8",
        ),
        (
            b"\x82\x05\x00\x01\x00\x01a",
            V4,
            R::PastPacket,
            Field::SubscriptionOptions,
            5,
            1,
            0,
            "3.8",
        ),
    ] {
        let parsed = packet(bytes, level);
        let malformed = parsed
            .malformed
            .unwrap_or_else(|| panic!("{bytes:x?} {parsed:?}"));
        assert_eq!(
            malformed,
            Malformed {
                reason,
                field,
                offset,
                needed,
                available
            },
            "{bytes:x?}"
        );
        assert_eq!(
            malformed.clause(parsed.packet.packet_type(), level),
            clause,
            "{bytes:x?}"
        );
    }
}

#[test]
fn malformed_says_where() {
    let malformed = packet(b"\x30\x05\x00\xffabc", V4).malformed.unwrap();
    assert_eq!(
        malformed.to_string(),
        "topic name at offset 2 needs 255 bytes, the packet has 3"
    );
    let malformed = packet(b"\x30\x06\x00\x01a\x02\x7f\x00", V5)
        .malformed
        .unwrap();
    assert_eq!(
        malformed.to_string(),
        "unknown property identifier 127 at offset 4"
    );
}

/// What was read before the damage is given.
#[test]
fn partial_packets() {
    let Packet::Publish(publish) = packet(b"\x3b\x05\x00\xffabc", V4).packet else {
        panic!()
    };
    assert_eq!((publish.dup, publish.qos, publish.retain), (true, 1, true));
    assert_eq!(publish.topic, None);
    let Packet::Subscribe(subscribe) = packet(b"\x82\x09\x00\x01\x00\x01a\x00\x00\x05b", V4).packet
    else {
        panic!()
    };
    assert_eq!(
        subscribe
            .subscriptions
            .map(|s| s.filter)
            .collect::<Vec<_>>(),
        [b"a"]
    );
    // A property block that breaks off after its first property.
    let bytes = b"\x30\x09\x00\x01a\x05\x23\x00\x07\x7f\x00";
    let Packet::Publish(publish) = packet(bytes, V5).packet else {
        panic!()
    };
    assert_eq!(publish.properties.topic_alias(), Some(7));
    assert_eq!(publish.properties.iter().count(), 1);
}

#[test]
fn reason_words() {
    assert_eq!(
        reason_text(PacketType::Connack, 5, V4),
        Some("Connection Refused, not authorized")
    );
    assert_eq!(reason_text(PacketType::Connack, 0, V5), Some("Success"));
    // A server of an older level answers a CONNECT of MQTT 5.
    assert_eq!(
        reason_text(PacketType::Connack, 1, V5),
        Some("Connection Refused, unacceptable protocol version")
    );
    assert_eq!(reason_text(PacketType::Connack, 0x87, V4), None);
    assert_eq!(reason_text(PacketType::Suback, 0x80, V4), Some("Failure"));
    assert_eq!(
        reason_text(PacketType::Suback, 0x80, V5),
        Some("Unspecified error")
    );
    assert_eq!(
        reason_text(PacketType::Suback, 2, V5),
        Some("Granted QoS 2")
    );
    assert_eq!(
        reason_text(PacketType::Disconnect, 0, V5),
        Some("Normal disconnection")
    );
    assert_eq!(
        reason_text(PacketType::Disconnect, 0x8e, V5),
        Some("Session taken over")
    );
    assert_eq!(reason_text(PacketType::Disconnect, 0x91, V5), None);
    assert_eq!(reason_text(PacketType::Puback, 0, V4), None);
    // Every code that is defined has words.
    for kind in PacketType::ALL {
        for code in 0..=255 {
            assert_eq!(
                reason::is_known(kind, code, V5),
                reason_text(kind, code, V5).is_some()
                    && !(kind == PacketType::Connack && matches!(code, 1..=5)),
                "{kind:?} {code:#x}"
            );
        }
    }
}

/// Packets of every type for the tests that cut and change them.
fn samples() -> Vec<(Vec<u8>, ProtocolLevel)> {
    let packets: [(&[u8], ProtocolLevel); 18] = [
        (b"\x10\x19\x00\x04MQTT\x04\xce\x00\x0a\x00\x01a\x00\x01w\x00\x01p\x00\x01u\x00\x01s", V4),
        (b"\x10\x20\x00\x04MQTT\x05\xce\x00\x0a\x05\x11\x00\x00\x00\x0a\x00\x01a\x00\x00\x01w\x00\x01p\x00\x01u\x00\x01s", V5),
        (b"\x20\x02\x01\x00", V4),
        (b"\x20\x06\x00\x00\x03\x21\x00\x09", V5),
        (b"\x32\x0a\x00\x03a/b\x00\x0a{ }", V4),
        (b"\x34\x0f\x00\x03a/b\x00\x0a\x03\x23\x00\x07{ }!", V5),
        (b"\x40\x02\x00\x01", V4),
        (b"\x50\x08\x00\x01\x00\x04\x1f\x00\x01x", V5),
        (b"\x62\x03\x00\x01\x92", V5),
        (b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02", V4),
        (b"\x82\x09\x00\x01\x02\x0b\x07\x00\x01a\x00", V5),
        (b"\x90\x05\x00\x0a\x00\x02\x80", V4),
        (b"\x90\x05\x00\x0a\x00\x02\x9e", V5),
        (b"\xa2\x0c\x00\x0a\x00\x03a/b\x00\x03c/d", V4),
        (b"\xb0\x05\x00\x0a\x00\x00\x11", V5),
        (b"\xe0\x06\x98\x04\x1f\x00\x01x", V5),
        (b"\xf0\x06\x18\x04\x15\x00\x01m", V5),
        (b"\xc0\x00", V4),
    ];
    packets
        .map(|(bytes, level)| (bytes.to_vec(), level))
        .to_vec()
}

/// A prefix is complete when it is the whole packet, or a PUBLISH up to its payload; and then it
/// says what the whole packet says.
#[test]
fn prefixes_are_never_complete_early() {
    for (bytes, level) in samples() {
        let whole = packet(&bytes, level);
        assert_eq!(whole.malformed, None);
        let body = &bytes[2..];
        let remaining_length = u32::from(bytes[1]);
        let head = match whole.packet {
            Packet::Publish(publish) => body.len() - publish.payload.len(),
            _ => body.len(),
        };
        for cut in 0..=body.len() {
            match parse_prefix(bytes[0], &body[..cut], remaining_length, level) {
                Prefix::NeedMore(_) => assert!(cut < head, "{bytes:x?} {cut}"),
                Prefix::Parsed(parsed) => {
                    assert!(cut >= head, "{bytes:x?} {cut}");
                    assert_eq!(without_payload(parsed), without_payload(whole));
                    if let Packet::Publish(publish) = parsed.packet {
                        assert_eq!(publish.payload, &body[head..cut]);
                    }
                }
            }
        }
    }
}

/// Regression: a property that cannot be read, in a block whose length is good, hid the payload
/// (its length was given as 0).
#[test]
fn a_bad_property_does_not_hide_the_payload() {
    // Property 0x7f does not exist; then a user property that runs past the block.
    for bytes in [
        &b"\x30\x08\x00\x01t\x02\x7f\x01ab"[..],
        b"\x30\x0a\x00\x01t\x04\x26\x00\x09kab",
    ] {
        let parsed = packet(bytes, V5);
        assert!(parsed.malformed.is_some());
        let Packet::Publish(publish) = parsed.packet else {
            panic!()
        };
        let payload = (publish.payload, publish.payload_length);
        assert_eq!(payload, (&b"ab"[..], Some(2)), "{bytes:x?}");
    }
}

/// Regression: a payload whose beginning cannot be known was given the length 0.
#[test]
fn a_payload_that_was_not_reached_has_no_length() {
    for (bytes, level) in [
        // A topic, then a property block, that run past the packet; a property length of five
        // bytes; no packet identifier.
        (&b"\x30\x05\x00\x09abc"[..], V4),
        (b"\x30\x07\x00\x01t\x09\x01\x00x", V5),
        (b"\x30\x08\x00\x01t\xff\xff\xff\xff\x01", V5),
        (b"\x32\x03\x00\x01t", V4),
    ] {
        let parsed = packet(bytes, level);
        assert!(parsed.malformed.is_some());
        let Packet::Publish(publish) = parsed.packet else {
            panic!()
        };
        let payload = (publish.payload, publish.payload_length);
        assert_eq!(payload, (&b""[..], None), "{bytes:x?}");
    }
    let Prefix::NeedMore(parsed) = parse_prefix(0x32, b"\x00\x03a/b\x00", 500, V4) else {
        panic!()
    };
    let Packet::Publish(publish) = parsed.packet else {
        panic!()
    };
    assert_eq!(publish.payload_length, None);
}

/// A frame cut by the snap length still shows the fields before the cut.
#[test]
fn prefix_gives_what_is_there() {
    let Prefix::NeedMore(parsed) = parse_prefix(0x32, b"\x00\x03a/b\x00", 500, V4) else {
        panic!()
    };
    let Packet::Publish(publish) = parsed.packet else {
        panic!()
    };
    assert_eq!(publish.topic, Some(&b"a/b"[..]));
    assert_eq!(publish.packet_id, None);
    // 256 MiB declared, ten bytes sent.
    let Prefix::Parsed(parsed) = parse_prefix(0x30, b"\x00\x03a/b12345", 268_435_455, V4) else {
        panic!()
    };
    let Packet::Publish(publish) = parsed.packet else {
        panic!()
    };
    assert_eq!(
        (publish.payload, publish.payload_length),
        (&b"12345"[..], Some(268_435_450))
    );
    // A topic that cannot fit is malformed at once, however little has come.
    let Prefix::Parsed(parsed) = parse_prefix(0x30, b"\x01\x00", 20, V4) else {
        panic!()
    };
    assert_eq!(parsed.malformed.unwrap().needed, 256);
}

fn without_payload(mut parsed: Parsed<'_>) -> Parsed<'_> {
    if let Packet::Publish(publish) = &mut parsed.packet {
        publish.payload = &[];
    }
    parsed
}

/// Walks everything that is parsed lazily.
fn walk(parsed: &Parsed<'_>) -> usize {
    let properties = |properties: &Properties<'_>| {
        assert_eq!(
            properties
                .iter()
                .map(|property| property.id())
                .filter(|&id| !properties.contains(id))
                .count(),
            0
        );
        properties.iter().count() + properties.user_properties().count()
    };
    let own = match parsed.packet {
        Packet::Subscribe(subscribe) => subscribe.subscriptions.count(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.count(),
        Packet::Connect(connect) => connect.will.map_or(0, |will| properties(&will.properties)),
        _ => 0,
    };
    let clauses = parsed
        .violations
        .iter()
        .map(|violation| violation.clause(parsed.packet.packet_type(), V5).len())
        .sum::<usize>();
    own + clauses + properties(&parsed.packet.properties()) + format!("{parsed:?}").len()
}

fn level() -> impl Strategy<Value = ProtocolLevel> {
    prop::sample::select(&[V3, V4, V5][..])
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        first_byte: u8, level in level(),
        body in prop::collection::vec(any::<u8>(), 0..80), more in 0u32..50,
    ) {
        let parsed = parse(first_byte, &body, level);
        walk(&parsed);
        prop_assert_eq!(parsed.packet.packet_type(), PacketType::from_first_byte(first_byte));
        if let Some(malformed) = parsed.malformed {
            prop_assert!(usize::try_from(malformed.offset).unwrap() <= body.len());
        }
        let declared = u32::try_from(body.len()).unwrap().saturating_add(more);
        match parse_prefix(first_byte, &body, declared, level) {
            Prefix::Parsed(parsed) | Prefix::NeedMore(parsed) => walk(&parsed),
        };
        let _ = super::super::level_evidence(first_byte, &body);
        let _ = super::super::level_evidence_prefix(first_byte, &body, declared);
        let _ = parse_fixed_header(&body);
    }

    /// Valid packets with a few changed bytes reach deeper than noise. Whatever a prefix says for
    /// good, the whole packet says too.
    #[test]
    fn changed_packets_are_consistent(
        sample in prop::sample::select(samples()), level in prop::option::of(level()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let (mut bytes, own_level) = sample;
        let level = level.unwrap_or(own_level);
        for (index, value) in changes {
            let index = index.index(bytes.len());
            if index != 1 {
                bytes[index] = value;
            }
        }
        let body = &bytes[2..];
        let whole = parse(bytes[0], body, level);
        walk(&whole);
        for cut in 0..=body.len() {
            let declared = u32::try_from(body.len()).unwrap();
            if let Prefix::Parsed(parsed) = parse_prefix(bytes[0], &body[..cut], declared, level) {
                let mut whole = without_payload(whole);
                if cut < body.len() && !parsed.violations.contains(Violation::PayloadNotUtf8) {
                    let all = whole.violations.iter();
                    whole.violations = all.filter(|&v| v != Violation::PayloadNotUtf8).collect();
                }
                prop_assert_eq!(without_payload(parsed), whole);
            }
        }
    }
}
