//! Control packets: the parser on whole and cut packets, the writer on what the parser read, and
//! the framing of a stream, in one piece against any other pieces.
//!
//! Input: level, seed of the pieces, the stream.

use mqttscope::mqtt::stream::{Input, Output, PacketStream, StreamLimits};
use mqttscope::mqtt::{
    HeaderResult, Packet, Parsed, Prefix, Property, ProtocolLevel, Subscription, Violation,
    level_evidence, level_evidence_prefix, parse, parse_fixed_header, parse_prefix, write,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::input::{Bytes, Random};

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0",
    b"\x10\x0d\0\x04MQTT\x05\x02\0\x3c\0\0\0",
    b"\0\x06MQIsdp\x03",
    b"\x20\x02\0\0",
    b"\x20\x03\0\0\0",
    b"\x30\x05\0\x01ax",
    b"\x32\x07\0\x01a\0\x01xy",
    b"\x34\x07\0\x01a\0\x02xy",
    b"\x3a\x07\0\x01a\0\x01xy",
    b"\x40\x02\0\x01",
    b"\x50\x02\0\x02",
    b"\x62\x02\0\x02",
    b"\x70\x02\0\x02",
    b"\x82\x06\0\x03\0\x01#\x01",
    b"\x90\x03\0\x03\x01",
    b"\xa2\x05\0\x04\0\x01#",
    b"\xb0\x02\0\x04",
    b"\xc0\0",
    b"\xd0\0",
    b"\xe0\0",
    b"\xe0\x02\x8e\0",
    b"\xf0\x02\x18\0",
    b"\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff",
    b"\x80\0",
    b"\x23\0\x01",
    b"\x01\x01",
    b"\x26\0\x01k\0\x01v",
    b"\x11\0\0\0\x05",
];

const LEVELS: [ProtocolLevel; 3] = [
    ProtocolLevel::V3_1,
    ProtocolLevel::V3_1_1,
    ProtocolLevel::V5,
];

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let options = input.byte();
    let level = LEVELS[usize::from(options) % LEVELS.len()];
    let seed = u64::from(input.byte());
    let stream = input.0;
    packets(stream);
    let limits = if options & 0x80 != 0 {
        StreamLimits {
            publish_bytes: 8,
            control_bytes: 24,
        }
    } else {
        StreamLimits::default()
    };
    let mut random = Random::new(seed);
    pieces_agree(stream, level, &limits, &mut random);
    damaged(stream, level, &limits, &mut random);
}

/// The packets that the input holds, and its bytes taken for one packet.
fn packets(stream: &[u8]) {
    if let Some((&first_byte, body)) = stream.split_first() {
        packet(first_byte, body);
    }
    let mut rest = stream;
    while let HeaderResult::Complete(header) = parse_fixed_header(rest) {
        let start = usize::from(header.header_length);
        let end = header.packet_length() as usize;
        assert_eq!(end - start, header.remaining_length as usize);
        let Some(body) = rest.get(start..end) else {
            break;
        };
        packet(header.first_byte, body);
        rest = &rest[end..];
    }
}

fn packet(first_byte: u8, body: &[u8]) {
    let length = body.len() as u32;
    assert_eq!(
        level_evidence(first_byte, body),
        level_evidence_prefix(first_byte, body, length)
    );
    for level in LEVELS {
        let whole = parse(first_byte, body, level);
        read_all(&whole);
        let prefix = parse_prefix(first_byte, body, length, level);
        assert_eq!(prefix, Prefix::Parsed(whole), "whole packet at {level:?}");
        let mut cuts = Random::new(u64::from(first_byte));
        for cut in 0..body.len() {
            // Every cut of a short packet, some of a long one.
            if body.len() < 64 || cuts.below(body.len()) < 64 {
                cut_packet(first_byte, &body[..cut], length, level, &whole);
            }
        }
        if whole.malformed.is_none() && whole.violations.is_empty() {
            rewrite(&whole, level);
        }
    }
}

/// What the first bytes say must hold for the whole packet.
fn cut_packet(first_byte: u8, cut: &[u8], length: u32, level: ProtocolLevel, whole: &Parsed<'_>) {
    match parse_prefix(first_byte, cut, length, level) {
        Prefix::Parsed(parsed) => {
            assert_eq!(parsed.malformed, whole.malformed);
            let late = Violation::PayloadNotUtf8;
            let early = whole.violations.iter().filter(|&one| one != late);
            assert!(parsed.violations.iter().eq(early), "violations of a prefix");
            match (parsed.packet, whole.packet) {
                (Packet::Publish(begun), Packet::Publish(mut publish)) => {
                    assert!(publish.payload.starts_with(begun.payload));
                    publish.payload = begun.payload;
                    assert_eq!(begun, publish);
                }
                (begun, packet) => assert_eq!(begun, packet),
            }
        }
        Prefix::NeedMore(parsed) => {
            assert!(parsed.malformed.is_none());
            assert_eq!(parsed.packet.packet_type(), whole.packet.packet_type());
            for violation in parsed.violations.iter() {
                assert!(
                    whole.violations.contains(violation),
                    "{violation:?} was seen in a prefix only"
                );
            }
        }
    }
}

/// Everything that can be asked of a packet is asked.
fn read_all(parsed: &Parsed<'_>) {
    let packet = &parsed.packet;
    let properties = packet.properties();
    for property in properties.iter() {
        assert!(properties.contains(property.id()));
        assert!(!property.name().is_empty());
    }
    let _ = properties.topic_alias();
    assert!(properties.user_properties().count() <= properties.as_bytes().len());
    match packet {
        Packet::Subscribe(subscribe) => {
            for subscription in subscribe.subscriptions {
                let _ = (subscription.qos(), subscription.retain_handling());
            }
        }
        Packet::Unsubscribe(unsubscribe) => drop(unsubscribe.filters.count()),
        Packet::Publish(publish) => {
            assert!(
                publish
                    .payload_length
                    .is_none_or(|length| publish.payload.len() <= length as usize)
            )
        }
        _ => {}
    }
    let _ = format!("{parsed:?}");
}

/// A packet that breaks no rule can be written, and read again it says the same.
fn rewrite(parsed: &Parsed<'_>, level: ProtocolLevel) {
    let mut bytes = Vec::new();
    if !write_packet(&parsed.packet, level, &mut bytes) {
        return;
    }
    let HeaderResult::Complete(header) = parse_fixed_header(&bytes) else {
        panic!("no fixed header was written");
    };
    let body = &bytes[usize::from(header.header_length)..];
    assert_eq!(body.len(), header.remaining_length as usize);
    let again = parse(header.first_byte, body, level);
    assert_eq!(again.malformed, None);
    assert!(again.violations.is_empty(), "{:?}", again.violations);
    // The writer leaves out a reason code of 0 where it may.
    match (parsed.packet, again.packet) {
        (Packet::Acknowledgment(mut first), Packet::Acknowledgment(mut second)) => {
            first.reason_code.get_or_insert(0);
            second.reason_code.get_or_insert(0);
            assert_eq!(first, second);
        }
        (Packet::Disconnect(mut first), Packet::Disconnect(mut second)) => {
            first.reason_code.get_or_insert(0);
            second.reason_code.get_or_insert(0);
            assert_eq!(first, second);
        }
        (Packet::Auth(mut first), Packet::Auth(mut second)) => {
            first.reason_code.get_or_insert(0);
            second.reason_code.get_or_insert(0);
            assert_eq!(first, second);
        }
        // 3.1 leaves seven bits of the flags open, and the writer sets none.
        (Packet::Connack(mut first), Packet::Connack(second)) => {
            first.flags = first.flags.map(|flags| flags & 1);
            assert_eq!(first, second);
        }
        (first, second) => assert_eq!(first, second),
    }
}

/// `false` where the packet has no form that the writer knows.
fn write_packet(packet: &Packet<'_>, level: ProtocolLevel, out: &mut Vec<u8>) -> bool {
    let properties: Vec<Property<'_>> = packet.properties().iter().collect();
    let written = match packet {
        Packet::Connect(connect) => return write_connect(connect, out),
        Packet::Connack(connack) => write::connack(
            out,
            level,
            connack.session_present() == Some(true),
            connack.reason_code.unwrap_or(0),
            &properties,
        ),
        Packet::Publish(publish) => write::publish(
            out,
            level,
            &write::Publish {
                dup: publish.dup,
                qos: publish.qos,
                retain: publish.retain,
                topic: publish.topic.unwrap_or_default(),
                packet_id: publish.packet_id.unwrap_or(0),
                properties: &properties,
                payload: publish.payload,
            },
        ),
        Packet::Acknowledgment(packet) => write::acknowledgment(
            out,
            level,
            packet.kind,
            packet.packet_id.unwrap_or(0),
            packet.reason_code.unwrap_or(0),
            &properties,
        ),
        Packet::Subscribe(subscribe) => {
            let subscriptions: Vec<Subscription<'_>> = subscribe.subscriptions.collect();
            let id = subscribe.packet_id.unwrap_or(0);
            write::subscribe(out, level, id, &properties, &subscriptions)
        }
        Packet::Suback(suback) => {
            let id = suback.packet_id.unwrap_or(0);
            write::suback(out, level, id, &properties, suback.reason_codes)
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: Vec<&[u8]> = unsubscribe.filters.collect();
            let id = unsubscribe.packet_id.unwrap_or(0);
            write::unsubscribe(out, level, id, &properties, &filters)
        }
        Packet::Unsuback(unsuback) => {
            let id = unsuback.packet_id.unwrap_or(0);
            write::unsuback(out, level, id, &properties, unsuback.reason_codes)
        }
        Packet::Pingreq => {
            write::pingreq(out);
            Ok(())
        }
        Packet::Pingresp => {
            write::pingresp(out);
            Ok(())
        }
        Packet::Disconnect(packet) => {
            write::disconnect(out, level, packet.reason_code.unwrap_or(0), &properties)
        }
        Packet::Auth(packet) => write::auth(out, packet.reason_code.unwrap_or(0), &properties),
        Packet::Reserved => return false,
    };
    written.expect("what was read from a packet fits into one");
    true
}

fn write_connect(connect: &mqttscope::mqtt::Connect<'_>, out: &mut Vec<u8>) -> bool {
    let Some(level) = connect.level() else {
        return false;
    };
    let properties: Vec<Property<'_>> = connect.properties.iter().collect();
    let will_properties: Vec<Property<'_>> = connect
        .will
        .iter()
        .flat_map(|will| will.properties.iter())
        .collect();
    write::connect(
        out,
        &write::Connect {
            level,
            clean_start: connect.clean_start() == Some(true),
            keep_alive: connect.keep_alive.unwrap_or(0),
            properties: &properties,
            client_id: connect.client_id.unwrap_or_default(),
            will: connect.will.as_ref().map(|will| write::Will {
                qos: connect.will_qos().unwrap_or(0),
                retain: connect.will_retain() == Some(true),
                properties: &will_properties,
                topic: will.topic.unwrap_or_default(),
                payload: will.payload.unwrap_or_default(),
            }),
            user_name: connect.user_name,
            password: connect.password,
        },
    )
    .expect("what was read from a packet fits into one");
    true
}

/// A packet as a stream gave it; the payload of a PUBLISH by its hash.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    /// First byte, remaining length, missing bytes, topic and payload hash of a PUBLISH or the
    /// body of another packet.
    Packet(u8, u32, u32, Option<u64>, Vec<u8>),
    /// A malformed length.
    BadLength(u8),
}

/// What stays the same of a packet, however it was cut and however little of it was kept.
pub fn given(output: &Output<'_, u64>, level: ProtocolLevel, limits: &StreamLimits) -> Given {
    let framed = match output {
        Output::Packet(framed) => framed,
        Output::BadLength { first_byte, .. } => return Given::BadLength(*first_byte),
    };
    let header = framed.header;
    let length = header.remaining_length;
    assert!(framed.body.len() as u64 + u64::from(framed.missing) <= u64::from(length));
    let prefix = parse_prefix(header.first_byte, framed.body, length, level);
    let whole = framed.body.len() == length as usize;
    if let Prefix::Parsed(Parsed {
        packet: Packet::Publish(publish),
        malformed: None,
        ..
    }) = prefix
    {
        let hash = if whole {
            assert!(framed.payload_hash.is_none());
            Some(xxh3_64(publish.payload))
        } else {
            framed.payload_hash
        };
        let topic = publish.topic.unwrap_or_default().to_vec();
        return Given::Packet(header.first_byte, length, framed.missing, hash, topic);
    }
    // Of another packet a piece as long as the limit is always kept.
    let kept = (limits.control_bytes as usize).min(framed.body.len());
    let body = framed.body[..kept].to_vec();
    Given::Packet(header.first_byte, length, framed.missing, None, body)
}

/// A stream that is whole gives the same packets in one piece and in any pieces.
fn pieces_agree(stream: &[u8], level: ProtocolLevel, limits: &StreamLimits, random: &mut Random) {
    let one = frame(stream, level, limits, stream.len().max(1), None);
    let other = frame(stream, level, limits, 0, Some(random));
    // A PUBLISH whose properties exceed what is kept has no hash where it came in pieces.
    let without_hash = |given: &Given| matches!(given, Given::Packet(.., None, _));
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(&other) {
        if without_hash(other)
            && let (Given::Packet(first, length, ..), Given::Packet(again, same, ..)) = (one, other)
        {
            assert_eq!((first, length), (again, same));
        } else {
            assert_eq!(one, other);
        }
    }
}

fn frame(
    stream: &[u8],
    level: ProtocolLevel,
    limits: &StreamLimits,
    size: usize,
    mut random: Option<&mut Random>,
) -> Vec<Given> {
    let mut packets = PacketStream::new(true);
    let mut all = Vec::new();
    let mut position = 0;
    while position < stream.len() {
        let size = match &mut random {
            Some(random) => 1 + random.below(12),
            None => size,
        };
        let end = (position + size).min(stream.len());
        let mut input = Input {
            bytes: &stream[position..end],
            mark: position as u64,
            segment_start: true,
            segment_end: true,
        };
        while let Some(output) = packets.next(&mut input, level, limits) {
            if let Output::Packet(framed) = &output {
                assert!(framed.first <= framed.last && framed.last == position as u64);
            }
            all.push(given(&output, level, limits));
        }
        assert!(input.bytes.is_empty(), "bytes were left");
        position = end;
    }
    all
}

/// A stream joined in the middle, with gaps: nothing is invented. Packets do not overlap and
/// what is kept stays within bounds.
fn damaged(stream: &[u8], level: ProtocolLevel, limits: &StreamLimits, random: &mut Random) {
    let mut packets = PacketStream::new(random.below(2) == 0);
    let (mut position, mut taken, mut passed) = (0, 0_u64, 0_u64);
    while position < stream.len() {
        let end = (position + 1 + random.below(40)).min(stream.len());
        let mark = position as u64;
        if random.below(8) == 0 {
            let bytes = (end - position) as u64;
            if let Some(Output::Packet(framed)) = packets.gap(bytes, mark) {
                assert!(framed.missing > 0);
                assert!(
                    framed.body.len() as u64 + u64::from(framed.missing)
                        <= u64::from(framed.header.remaining_length)
                );
                taken += u64::from(framed.header.packet_length());
            }
        } else {
            let mut input = Input {
                bytes: &stream[position..end],
                mark,
                segment_start: random.below(4) > 0,
                segment_end: random.below(4) > 0,
            };
            while let Some(output) = packets.next(&mut input, level, limits) {
                if let Output::Packet(framed) = &output {
                    assert!(framed.first <= framed.last);
                    taken += u64::from(framed.header.packet_length());
                }
            }
            assert!(input.bytes.is_empty());
        }
        if random.below(32) == 0 {
            packets.stop_buffering();
        }
        passed += (end - position) as u64;
        position = end;
        assert!(packets.buffered() <= stream.len());
        assert!(
            taken + packets.skipped() <= passed,
            "{taken} bytes of packets and {} skipped of {passed}",
            packets.skipped()
        );
    }
}
