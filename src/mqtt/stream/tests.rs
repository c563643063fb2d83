//! Framing against a model: the same packets in any segmentation, with and without gaps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::*;

/// A packet as it came out: first byte, body as far as kept, first and last mark, bytes missing.
type Seen = (u8, Vec<u8>, usize, usize, u32);

fn drain(
    stream: &mut PacketStream<usize>,
    bytes: &[u8],
    mark: usize,
    limits: &StreamLimits,
    seen: &mut Vec<Seen>,
) {
    let mut input = Input {
        bytes,
        mark,
        segment_start: true,
        segment_end: true,
    };
    while let Some(output) = stream.next(&mut input, ProtocolLevel::V3_1_1, limits) {
        push(output, seen);
    }
    assert!(input.bytes.is_empty(), "everything is taken");
}

fn push(output: Output<'_, usize>, seen: &mut Vec<Seen>) {
    match output {
        Output::Packet(f) => {
            seen.push((
                f.header.first_byte,
                f.body.to_vec(),
                f.first,
                f.last,
                f.missing,
            ));
        }
        Output::BadLength {
            first_byte,
            first,
            last,
        } => {
            seen.push((first_byte, b"bad length".to_vec(), first, last, 0));
        }
    }
}

fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    body.extend_from_slice(payload);
    packet(0x30, &body)
}

fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    let mut length = body.len();
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn a_gap_within_a_payload_keeps_the_stream_in_step() {
    let mut stream = PacketStream::new(true);
    let mut seen = Vec::new();
    let limits = StreamLimits::default();
    let bytes = publish("a/b", &[9; 300]);
    drain(&mut stream, &bytes[..100], 1, &limits, &mut seen);
    assert!(stream.gap(200, 2).is_none());
    drain(&mut stream, &bytes[300..], 3, &limits, &mut seen);
    drain(&mut stream, &packet(0xc0, b""), 4, &limits, &mut seen);
    assert_eq!(seen.len(), 2);
    assert_eq!((seen[0].2, seen[0].3, seen[0].4), (1, 3, 200));
    assert_eq!(seen[0].1, &bytes[3..100]);
    assert_eq!(seen[1].0, 0xc0);
}

#[test]
fn a_gap_beyond_the_packet_gives_the_packet_and_then_searches() {
    let mut stream = PacketStream::new(true);
    let mut seen = Vec::new();
    let limits = StreamLimits::default();
    let bytes = publish("a/b", &[0x30; 50]);
    drain(&mut stream, &bytes[..20], 1, &limits, &mut seen);
    push(
        stream.gap(60, 2).expect("its end was in the gap"),
        &mut seen,
    );
    assert_eq!((seen[0].3, seen[0].4), (2, bytes.len() as u32 - 20));
    // The rest of an unknown packet that looks like the beginning of one, but leads nowhere.
    drain(
        &mut stream,
        b"\x30\x07\x00\x03a/bzzzz",
        3,
        &limits,
        &mut seen,
    );
    assert_eq!(seen.len(), 1);
    drain(
        &mut stream,
        &publish("a/b", b"again"),
        4,
        &limits,
        &mut seen,
    );
    assert_eq!((seen.len(), seen[1].2), (2, 4));
}

#[test]
fn a_stream_joined_between_packets_begins_at_once() {
    for bytes in [packet(0xc0, b""), packet(0x40, &[0, 7]), publish("a", b"x")] {
        let mut seen = Vec::new();
        drain(
            &mut PacketStream::new(false),
            &bytes,
            1,
            &StreamLimits::default(),
            &mut seen,
        );
        assert_eq!(seen.len(), 1);
    }
}

#[test]
fn text_in_the_middle_of_a_payload_is_not_taken_for_packets() {
    let mut stream = PacketStream::new(false);
    let mut seen = Vec::new();
    for text in [
        "0123456789",
        "{\"temperature\": 21.5}",
        "@\u{2}a",
        "0\u{3}\0\u{1}#",
    ] {
        drain(
            &mut stream,
            text.as_bytes(),
            1,
            &StreamLimits::default(),
            &mut seen,
        );
    }
    assert_eq!(seen, []);
    assert!(stream.skipped() > 0);
}

#[test]
fn a_large_publish_joined_at_its_start_is_held_until_it_is_certain() {
    let bytes = publish("plant/line", &[7; 5000]);
    let mut stream = PacketStream::new(false);
    let mut seen = Vec::new();
    for (mark, part) in bytes.chunks(1448).enumerate() {
        assert_eq!(seen, []);
        drain(&mut stream, part, mark, &StreamLimits::default(), &mut seen);
    }
    assert_eq!((seen.len(), seen[0].2, seen[0].3), (1, 0, 3));
    assert_eq!(seen[0].1.len(), 5012);
}

#[test]
fn a_fifth_length_byte_breaks_the_stream_for_good() {
    let mut stream = PacketStream::new(true);
    let mut seen = Vec::new();
    drain(
        &mut stream,
        b"\x30\x80\x80\x80\x80\x01abc",
        1,
        &StreamLimits::default(),
        &mut seen,
    );
    drain(
        &mut stream,
        &packet(0xc0, b""),
        2,
        &StreamLimits::default(),
        &mut seen,
    );
    assert_eq!(seen, [(0x30, b"bad length".to_vec(), 1, 1, 0)]);
}

#[test]
fn memory_is_bounded_whatever_length_is_declared() {
    let limits = StreamLimits {
        publish_bytes: 1000,
        control_bytes: 1000,
    };
    for first_byte in [0x30, 0x82] {
        let mut stream = PacketStream::new(true);
        let mut seen = Vec::new();
        drain(
            &mut stream,
            &[first_byte, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a'],
            1,
            &limits,
            &mut seen,
        );
        for mark in 0..1000 {
            drain(&mut stream, &[0; 1400], mark, &limits, &mut seen);
            assert!(stream.buffered() < 2000);
        }
        assert_eq!(seen, []);
        assert_eq!(
            stream.unfinished().map(|header| header.remaining_length),
            Some(268_435_455)
        );
    }
}

#[test]
fn bytes_that_look_like_packets_forever_do_not_cost_quadratic_work() {
    let mut stream = PacketStream::new(false);
    let mut seen = Vec::new();
    // Each segment is the plausible beginning of a packet of 60,000 bytes.
    for mark in 0..20_000 {
        drain(
            &mut stream,
            b"\x30\xe0\xd4\x03\x00\x01a",
            mark,
            &StreamLimits::default(),
            &mut seen,
        );
    }
    assert!(stream.buffered() <= 512 << 10);
}

#[test]
fn the_hash_of_a_payload_that_is_not_kept_is_that_of_the_whole() {
    let payload: Vec<u8> = (0..50_000_u32).map(|i| (i % 251) as u8).collect();
    let bytes = publish("big", &payload);
    let mut stream = PacketStream::new(true);
    let limits = StreamLimits {
        publish_bytes: 100,
        control_bytes: 100,
    };
    let mut hash = None;
    for part in bytes.chunks(777) {
        let mut input = Input {
            bytes: part,
            mark: 0,
            segment_start: true,
            segment_end: true,
        };
        while let Some(Output::Packet(f)) = stream.next(&mut input, ProtocolLevel::V3_1_1, &limits)
        {
            hash = f.payload_hash;
            assert!(f.body.len() <= 105);
        }
    }
    assert_eq!(hash, Some(xxh3_64(&payload)));
}

fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = prop_oneof![
        ("[a-z/]{1,12}", prop::collection::vec(any::<u8>(), 0..400))
            .prop_map(|(topic, payload)| publish(&topic, &payload)),
        (1_u16..).prop_map(|id| packet(0x40, &id.to_be_bytes())),
        Just(packet(0xc0, b"")),
        Just(packet(0xd0, b"")),
    ];
    prop::collection::vec(one, 1..30)
}

proptest! {
    /// The same stream in any segmentation gives the same packets.
    #[test]
    fn segmentation_does_not_matter(packets in packets(), cuts in prop::collection::vec(1_usize..200, 1..100), small: bool) {
        let bytes = packets.concat();
        let limits = if small { StreamLimits { publish_bytes: 5, control_bytes: 5 } } else { StreamLimits::default() };
        let mut stream = PacketStream::new(true);
        let (mut seen, mut position) = (Vec::new(), 0);
        for (mark, cut) in cuts.iter().cycle().enumerate() {
            let end = (position + cut).min(bytes.len());
            drain(&mut stream, &bytes[position..end], mark, &limits, &mut seen);
            position = end;
            if position == bytes.len() {
                break;
            }
        }
        prop_assert!(stream.at_boundary());
        prop_assert_eq!(seen.len(), packets.len());
        for (seen, packet) in seen.iter().zip(&packets) {
            prop_assert_eq!(seen.0, packet[0]);
            let header = if packet.len() > 129 { 3 } else { 2 };
            if small {
                prop_assert!(packet[header..].starts_with(&seen.1));
            } else {
                prop_assert_eq!(&packet[header..], &seen.1[..]);
            }
            prop_assert!(seen.2 <= seen.3);
        }
    }

    /// Whatever is missing, every packet that comes out was sent, whole, and in order.
    #[test]
    fn nothing_is_invented_after_gaps(packets in packets(), size in 20_usize..600, lost in prop::collection::vec(prop::bool::weighted(0.2), 60), joined: bool) {
        let bytes = packets.concat();
        let mut stream = PacketStream::new(!joined);
        let mut seen = Vec::new();
        for (mark, part) in bytes.chunks(size).enumerate() {
            if lost[mark % lost.len()] {
                if let Some(output) = stream.gap(part.len() as u64, mark) {
                    push(output, &mut seen);
                }
            } else {
                drain(&mut stream, part, mark, &StreamLimits::default(), &mut seen);
            }
        }
        let mut sent = packets.iter();
        for (first_byte, body, ..) in &seen {
            prop_assert!(sent.any(|packet| packet[0] == *first_byte && {
                let header = if packet.len() > 129 { 3 } else { 2 };
                packet[header..].starts_with(body)
            }), "{first_byte:#x} {body:?} was not sent");
        }
    }

    /// Garbage neither panics nor grows.
    #[test]
    fn arbitrary_bytes_are_survived(parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 1..60), any::<bool>(), 0_u64..100), 0..100), joined: bool) {
        let mut stream = PacketStream::new(!joined);
        let limits = StreamLimits { publish_bytes: 64, control_bytes: 64 };
        let mut seen = Vec::new();
        for (mark, (bytes, gap, missing)) in parts.iter().enumerate() {
            if *gap {
                if let Some(output) = stream.gap(*missing, mark) {
                    push(output, &mut seen);
                }
            } else {
                drain(&mut stream, bytes, mark, &limits, &mut seen);
            }
            prop_assert!(stream.buffered() < 1 << 20);
        }
    }
}
