use proptest::prelude::*;

use super::super::{self as mqtt, HeaderResult, Packet, Parsed, PropertyId, parse_fixed_header};
use super::*;

const LEVELS: [ProtocolLevel; 3] = [
    ProtocolLevel::V3_1,
    ProtocolLevel::V3_1_1,
    ProtocolLevel::V5,
];

/// Parses the one packet that was written.
fn read_back(bytes: &[u8], level: ProtocolLevel) -> Parsed<'_> {
    let HeaderResult::Complete(header) = parse_fixed_header(bytes) else {
        panic!("no header: {bytes:x?}");
    };
    assert!(!header.overlong);
    assert_eq!(
        usize::try_from(header.packet_length()).unwrap(),
        bytes.len()
    );
    let body = &bytes[usize::from(header.header_length)..];
    let parsed = mqtt::parse(header.first_byte, body, level);
    assert_eq!(parsed.malformed, None, "{bytes:x?}");
    parsed
}

fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), WriteError>) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    out
}

/// The examples of figures 3.6 (CONNECT) and 3.23 (SUBSCRIBE) of 3.1.1 and their neighbours.
#[test]
fn exact_bytes() {
    let v4 = ProtocolLevel::V3_1_1;
    let v5 = ProtocolLevel::V5;
    let connect_packet = |level| Connect {
        level,
        clean_start: true,
        keep_alive: 10,
        properties: &[Property::SessionExpiryInterval(10)],
        client_id: b"a",
        will: Some(Will {
            qos: 1,
            retain: false,
            properties: &[],
            topic: b"w",
            payload: b"p",
        }),
        user_name: Some(b"u"),
        password: Some(Secret::new(b"s")),
    };
    assert_eq!(
        written(|out| connect(out, &connect_packet(v4))),
        b"\x10\x19\x00\x04MQTT\x04\xce\x00\x0a\x00\x01a\x00\x01w\x00\x01p\x00\x01u\x00\x01s"
    );
    assert_eq!(
        written(|out| connect(out, &connect_packet(ProtocolLevel::V3_1))),
        b"\x10\x1b\x00\x06MQIsdp\x03\xce\x00\x0a\x00\x01a\x00\x01w\x00\x01p\x00\x01u\x00\x01s"
    );
    assert_eq!(
        written(|out| connect(out, &connect_packet(v5))),
        b"\x10\x20\x00\x04MQTT\x05\xce\x00\x0a\x05\x11\x00\x00\x00\x0a\x00\x01a\
          \x00\x00\x01w\x00\x01p\x00\x01u\x00\x01s"
    );
    assert_eq!(
        written(|out| connack(out, v4, true, 0, &[])),
        b"\x20\x02\x01\x00"
    );
    assert_eq!(
        written(|out| connack(out, v5, false, 0x87, &[])),
        b"\x20\x03\x00\x87\x00"
    );
    let subscriptions = [
        Subscription {
            filter: b"a/b",
            options: 1,
        },
        Subscription {
            filter: b"c/d",
            options: 2,
        },
    ];
    assert_eq!(
        written(|out| subscribe(out, v4, 10, &[], &subscriptions)),
        b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/d\x02"
    );
    assert_eq!(
        written(|out| unsubscribe(out, v5, 10, &[], &[b"a/b", b"c/d"])),
        b"\xa2\x0d\x00\x0a\x00\x00\x03a/b\x00\x03c/d"
    );
    let packet = Publish {
        dup: false,
        qos: 1,
        retain: true,
        topic: b"a/b",
        packet_id: 10,
        properties: &[Property::TopicAlias(7)],
        payload: b"!",
    };
    assert_eq!(
        written(|out| publish(out, v4, &packet)),
        b"\x33\x08\x00\x03a/b\x00\x0a!"
    );
    assert_eq!(
        written(|out| publish(out, v5, &packet)),
        b"\x33\x0c\x00\x03a/b\x00\x0a\x03\x23\x00\x07!"
    );
    assert_eq!(
        written(|out| {
            pingreq(out);
            pingresp(out);
            Ok(())
        }),
        b"\xc0\x00\xd0\x00"
    );
}

/// 3.4.2.1: "The Reason Code and Property Length can be omitted if the Reason Code is 0x00
/// (Success) and there are no Properties."
#[test]
fn shortest_forms() {
    let v5 = ProtocolLevel::V5;
    let reason = [Property::ReasonString(b"x")];
    let ack = |code, properties: &[Property<'_>]| {
        written(|out| acknowledgment(out, v5, PacketType::Pubrel, 1, code, properties))
    };
    assert_eq!(ack(0, &[]), b"\x62\x02\x00\x01");
    assert_eq!(ack(0x92, &[]), b"\x62\x03\x00\x01\x92");
    assert_eq!(ack(0, &reason), b"\x62\x08\x00\x01\x00\x04\x1f\x00\x01x");
    assert_eq!(written(|out| disconnect(out, v5, 0, &[])), b"\xe0\x00");
    assert_eq!(written(|out| disconnect(out, v5, 4, &[])), b"\xe0\x01\x04");
    assert_eq!(
        written(|out| disconnect(out, ProtocolLevel::V3_1_1, 4, &[])),
        b"\xe0\x00"
    );
    assert_eq!(written(|out| auth(out, 0, &[])), b"\xf0\x00");
    assert_eq!(written(|out| auth(out, 0x19, &[])), b"\xf0\x02\x19\x00");
}

#[test]
fn errors_leave_the_buffer_alone() {
    let mut out = vec![1, 2];
    let long = vec![b'a'; 65_536];
    let v5 = ProtocolLevel::V5;
    let packet = Publish {
        dup: false,
        qos: 0,
        retain: false,
        topic: &long,
        packet_id: 0,
        properties: &[],
        payload: b"",
    };
    assert_eq!(
        publish(&mut out, v5, &packet),
        Err(WriteError::FieldTooLong { length: 65_536 })
    );
    let huge = vec![0; 268_435_455];
    let packet = Publish {
        topic: b"a",
        payload: &huge,
        ..packet
    };
    assert_eq!(
        publish(&mut out, v5, &packet),
        Err(WriteError::PacketTooLong {
            length: 268_435_459
        })
    );
    let value = 268_435_456;
    assert_eq!(
        subscribe(
            &mut out,
            v5,
            1,
            &[Property::SubscriptionIdentifier(value)],
            &[]
        ),
        Err(WriteError::IntegerTooLarge { value })
    );
    assert_eq!(
        acknowledgment(&mut out, v5, PacketType::Suback, 1, 0, &[]),
        Err(WriteError::NotAnAcknowledgment {
            packet_type: PacketType::Suback
        })
    );
    assert_eq!(out, [1, 2]);
}

/// Values from which any property can be made.
#[derive(Debug, Clone)]
struct Seed {
    id: usize,
    number: u32,
    text: Vec<u8>,
}

fn seed() -> impl Strategy<Value = Seed> {
    (0..PropertyId::ALL.len(), 1u32..60_000, "[a-z/é]{1,9}").prop_map(|(id, number, text)| Seed {
        id,
        number,
        text: text.into_bytes(),
    })
}

fn property(seed: &Seed) -> Property<'_> {
    let (number, text) = (seed.number, &seed.text[..]);
    let bit = u8::from(number % 2 == 1);
    let two = u16::try_from(number).unwrap();
    match PropertyId::ALL[seed.id] {
        PropertyId::PayloadFormatIndicator => Property::PayloadFormatIndicator(0),
        PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(number),
        PropertyId::ContentType => Property::ContentType(text),
        PropertyId::ResponseTopic => Property::ResponseTopic(text),
        PropertyId::CorrelationData => Property::CorrelationData(text),
        PropertyId::SubscriptionIdentifier => Property::SubscriptionIdentifier(number),
        PropertyId::SessionExpiryInterval => Property::SessionExpiryInterval(number),
        PropertyId::AssignedClientIdentifier => Property::AssignedClientIdentifier(text),
        PropertyId::ServerKeepAlive => Property::ServerKeepAlive(two),
        PropertyId::AuthenticationMethod => Property::AuthenticationMethod(text),
        PropertyId::AuthenticationData => Property::AuthenticationData(Secret::new(text)),
        PropertyId::RequestProblemInformation => Property::RequestProblemInformation(bit),
        PropertyId::WillDelayInterval => Property::WillDelayInterval(number),
        PropertyId::RequestResponseInformation => Property::RequestResponseInformation(bit),
        PropertyId::ResponseInformation => Property::ResponseInformation(text),
        PropertyId::ServerReference => Property::ServerReference(text),
        PropertyId::ReasonString => Property::ReasonString(text),
        PropertyId::ReceiveMaximum => Property::ReceiveMaximum(two),
        PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(two),
        PropertyId::TopicAlias => Property::TopicAlias(two),
        PropertyId::MaximumQos => Property::MaximumQos(bit),
        PropertyId::RetainAvailable => Property::RetainAvailable(bit),
        PropertyId::UserProperty => Property::UserProperty((text, text)),
        PropertyId::MaximumPacketSize => Property::MaximumPacketSize(number),
        PropertyId::WildcardSubscriptionAvailable => Property::WildcardSubscriptionAvailable(bit),
        PropertyId::SubscriptionIdentifierAvailable => {
            Property::SubscriptionIdentifierAvailable(bit)
        }
        PropertyId::SharedSubscriptionAvailable => Property::SharedSubscriptionAvailable(bit),
    }
}

/// Those of the seeds' properties that this packet may have, each once.
fn properties(seeds: &[Seed], owner: mqtt::PropertyOwner) -> Vec<Property<'_>> {
    let mut list: Vec<Property<'_>> = Vec::new();
    for property in seeds.iter().map(property) {
        let id = property.id();
        let known = |id| list.iter().any(|other| other.id() == id);
        let method_missing =
            id == PropertyId::AuthenticationData && !known(PropertyId::AuthenticationMethod);
        if id.is_allowed_in(owner) && !known(id) && !method_missing {
            list.push(property);
        }
    }
    list
}

fn level() -> impl Strategy<Value = ProtocolLevel> {
    prop::sample::select(&LEVELS[..])
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    "[a-z0-9/é]{1,23}".prop_map(String::into_bytes)
}

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec(seed(), 0..40)
}

/// What the parser must give back at this level.
fn expected<'a>(level: ProtocolLevel, properties: &[Property<'a>]) -> Vec<Property<'a>> {
    if level.is_v5() {
        properties.to_vec()
    } else {
        Vec::new()
    }
}

proptest! {
    #[test]
    fn connect_round_trip(
        level in level(), seeds in seeds(), clean_start: bool, keep_alive: u16,
        client_id in "[a-z]{1,23}", will in prop::option::of((0u8..3, any::<bool>(), text(), any::<[u8; 5]>())),
        user_name in prop::option::of(text()), password in prop::option::of(any::<[u8; 9]>()),
    ) {
        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Connect));
        let will_list = properties(&seeds, mqtt::PropertyOwner::Will);
        let password = password.filter(|_| user_name.is_some());
        let bytes = written(|out| connect(out, &Connect {
            level, clean_start, keep_alive,
            properties: &list,
            client_id: client_id.as_bytes(),
            will: will.as_ref().map(|(qos, retain, topic, payload)| Will {
                qos: *qos, retain: *retain, properties: &will_list, topic, payload,
            }),
            user_name: user_name.as_deref(),
            password: password.as_ref().map(|bytes| Secret::new(bytes)),
        }));
        // The level argument does not matter for a CONNECT.
        for argument in LEVELS {
            let parsed = read_back(&bytes, argument);
            prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
            let Packet::Connect(packet) = parsed.packet else { panic!() };
            prop_assert_eq!(packet.level(), Some(level));
            prop_assert_eq!(packet.clean_start(), Some(clean_start));
            prop_assert_eq!(packet.keep_alive, Some(keep_alive));
            prop_assert_eq!(packet.client_id, Some(client_id.as_bytes()));
            prop_assert_eq!(packet.user_name, user_name.as_deref());
            prop_assert_eq!(packet.password.map(Secret::expose), password.as_ref().map(|p| &p[..]));
            prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));
            prop_assert_eq!(packet.will.is_some(), will.is_some());
            if let (Some(read), Some((qos, retain, topic, payload))) = (packet.will, &will) {
                prop_assert_eq!(packet.will_qos(), Some(*qos));
                prop_assert_eq!(packet.will_retain(), Some(*retain));
                prop_assert_eq!(read.topic, Some(&topic[..]));
                prop_assert_eq!(read.payload, Some(&payload[..]));
                prop_assert_eq!(read.properties.iter().collect::<Vec<_>>(), expected(level, &will_list));
            }
        }
    }

    #[test]
    fn publish_round_trip(
        level in level(), seeds in seeds(), qos in 0u8..3, dup: bool, retain: bool,
        packet_id in 1u16.., topic in text(), payload in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let dup = dup && qos > 0;
        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Publish));
        let bytes = written(|out| publish(out, level, &Publish {
            dup, qos, retain, topic: &topic, packet_id, properties: &list, payload: &payload,
        }));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Publish(packet) = parsed.packet else { panic!() };
        prop_assert_eq!((packet.dup, packet.qos, packet.retain), (dup, qos, retain));
        prop_assert_eq!(packet.topic, Some(&topic[..]));
        prop_assert_eq!(packet.packet_id, (qos > 0).then_some(packet_id));
        prop_assert_eq!(packet.payload, &payload[..]);
        prop_assert_eq!(packet.payload_length, u32::try_from(payload.len()).ok());
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));
        for property in expected(level, &list) {
            prop_assert_eq!(packet.properties.get(property.id()), Some(property));
        }
    }

    #[test]
    fn small_packets_round_trip(
        level in level(), seeds in seeds(), packet_id in 1u16..,
        kind in prop::sample::select(&[PacketType::Puback, PacketType::Pubrec, PacketType::Pubrel, PacketType::Pubcomp][..]),
        failed: bool, session_present: bool,
    ) {
        let code = |failure| if failed { failure } else { 0 };
        let list = properties(&seeds, mqtt::PropertyOwner::Packet(kind));
        let reason = code(if matches!(kind, PacketType::Puback | PacketType::Pubrec) { 0x97 } else { 0x92 });
        let bytes = written(|out| acknowledgment(out, level, kind, packet_id, reason, &list));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Acknowledgment(packet) = parsed.packet else { panic!() };
        prop_assert_eq!((packet.kind, packet.packet_id), (kind, Some(packet_id)));
        prop_assert_eq!(packet.reason_code.unwrap_or(0), if level.is_v5() { reason } else { 0 });
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));

        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Connack));
        let session_present = session_present && !failed && level != ProtocolLevel::V3_1;
        let refused = code(if level.is_v5() { 0x8a } else { 5 });
        let bytes = written(|out| connack(out, level, session_present, refused, &list));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Connack(packet) = parsed.packet else { panic!() };
        prop_assert_eq!((packet.session_present(), packet.reason_code), (Some(session_present), Some(refused)));
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));

        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Disconnect));
        let bytes = written(|out| disconnect(out, level, code(0x8e), &list));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Disconnect(packet) = parsed.packet else { panic!() };
        prop_assert_eq!(packet.reason_code.unwrap_or(0), if level.is_v5() { code(0x8e) } else { 0 });
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));

        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Auth));
        let bytes = written(|out| auth(out, code(0x18), &list));
        let Packet::Auth(packet) = read_back(&bytes, ProtocolLevel::V5).packet else { panic!() };
        prop_assert_eq!(packet.reason_code.unwrap_or(0), code(0x18));
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), list);
    }

    #[test]
    fn subscriptions_round_trip(
        level in level(), seeds in seeds(), packet_id in 1u16..,
        filters in prop::collection::vec((text(), 0u8..3, 0u8..3), 1..6),
    ) {
        let flags = |handling: u8| if level.is_v5() { handling << 4 | 0x0c } else { 0 };
        let wanted: Vec<Subscription<'_>> = filters.iter()
            .map(|(filter, qos, handling)| Subscription { filter, options: qos | flags(*handling) })
            .collect();
        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Subscribe));
        let bytes = written(|out| subscribe(out, level, packet_id, &list, &wanted));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Subscribe(packet) = parsed.packet else { panic!() };
        prop_assert_eq!(packet.packet_id, Some(packet_id));
        prop_assert_eq!(packet.subscriptions.collect::<Vec<_>>(), wanted);
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));

        let names: Vec<&[u8]> = filters.iter().map(|(filter, ..)| &filter[..]).collect();
        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Unsubscribe));
        let bytes = written(|out| unsubscribe(out, level, packet_id, &list, &names));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Unsubscribe(packet) = parsed.packet else { panic!() };
        prop_assert_eq!(packet.filters.collect::<Vec<_>>(), names);
        prop_assert_eq!(packet.properties.iter().collect::<Vec<_>>(), expected(level, &list));

        let codes: Vec<u8> = filters.iter().map(|(_, qos, _)| if *qos == 2 { 0x80 } else { *qos }).collect();
        let list = properties(&seeds, mqtt::PropertyOwner::Packet(PacketType::Suback));
        let bytes = written(|out| suback(out, level, packet_id, &list, &codes));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Suback(packet) = parsed.packet else { panic!() };
        prop_assert_eq!(packet.reason_codes, &codes[..]);

        let codes = vec![0x11; codes.len()];
        let bytes = written(|out| unsuback(out, level, packet_id, &list, &codes));
        let parsed = read_back(&bytes, level);
        prop_assert!(parsed.violations.is_empty(), "{:?}", parsed);
        let Packet::Unsuback(packet) = parsed.packet else { panic!() };
        prop_assert_eq!(packet.packet_id, Some(packet_id));
        prop_assert_eq!(packet.reason_codes, if level.is_v5() { &codes[..] } else { &[] });
    }
}
