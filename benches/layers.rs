//! Each layer by itself, and all of them together, over traffic made in memory: no file, no
//! network. `cargo bench` runs it; README.md says how to read it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

#[allow(dead_code, reason = "the other benchmark uses the rest")]
mod traffic;

use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

use mqttscope::capture::Batch;
use mqttscope::mqtt::stream::{Input, Output, PacketStream, StreamLimits};
use mqttscope::mqtt::{HeaderResult, Property, parse, parse_fixed_header, write};
use mqttscope::results::{Formulas, Hash64, MessageRow, RowWriter, Text};
use mqttscope::tcp::{Delivery, FlowTable, Limits, Quick};
use mqttscope::wire::{Dissector, Segment, WireLimits};
use mqttscope::{Capture, Item, Options, PacketType, Pipeline, ProtocolLevel, Timestamp};

use traffic::{Ip, PAYLOAD, TOPIC, Traffic};

/// Short by default, so that all of it takes well under two minutes; the command line overrules.
fn main() {
    divan::Divan::default()
        .sample_count(30)
        .max_time(Duration::from_secs(2))
        .config_with_args()
        .main();
}

/// Frames that are handed on together, as the reader of captures does.
const BATCH: usize = 32;

/// What all benchmarks over frames share, made once: some 200,000 frames of either kind.
fn clients(connections: usize) -> &'static Traffic {
    static THOUSAND: LazyLock<Traffic> = LazyLock::new(|| Traffic::new(Ip::V4, 1_000, 60));
    static MANY: LazyLock<Traffic> = LazyLock::new(|| Traffic::new(Ip::V4, 20_000, 2));
    match connections {
        1_000 => &THOUSAND,
        20_000 => &MANY,
        _ => unreachable!("no traffic for {connections} connections"),
    }
}

mod capture {
    use super::*;

    #[divan::bench]
    fn pcap(bencher: Bencher<'_, '_>) {
        read(bencher, clients(1_000).pcap());
    }

    #[divan::bench]
    fn pcapng(bencher: Bencher<'_, '_>) {
        read(bencher, clients(1_000).pcapng());
    }

    /// Reads a file as `analyze` does.
    fn read(bencher: Bencher<'_, '_>, file: Vec<u8>) {
        // A reader must own what it reads. Two files are left over in the end.
        let file: &'static [u8] = file.leak();
        let frames = clients(1_000).len();
        bencher
            .counter(ItemsCount::new(frames))
            .counter(BytesCount::new(file.len()))
            .with_inputs(|| Capture::from_reader("traffic", Box::new(file)).unwrap())
            .bench_local_refs(|capture| {
                let mut batch = Batch::default();
                let mut seen = 0;
                while capture.next_batch(&mut batch) {
                    for item in capture.lend(&batch) {
                        if let Item::Frame(frame) = item {
                            seen += 1;
                            black_box(frame.bytes);
                        }
                    }
                }
                assert_eq!(seen, frames);
            });
    }
}

mod wire {
    use super::*;

    #[divan::bench]
    fn ethernet_ipv4_tcp(bencher: Bencher<'_, '_>) {
        dissect(bencher, clients(1_000));
    }

    #[divan::bench]
    fn ethernet_ipv6_tcp(bencher: Bencher<'_, '_>) {
        dissect(bencher, &Traffic::new(Ip::V6, 1_000, 60));
    }

    fn dissect(bencher: Bencher<'_, '_>, traffic: &Traffic) {
        bencher
            .counter(ItemsCount::new(traffic.len()))
            .counter(BytesCount::new(traffic.size()))
            .with_inputs(|| Dissector::new(WireLimits::default()))
            .bench_local_refs(|dissector| {
                for frame in traffic.frames() {
                    black_box(dissector.dissect(&frame));
                }
                assert_eq!(dissector.statistics().segments, traffic.len() as u64);
            });
    }
}

mod tcp {
    use super::*;

    /// The general way, one segment at a time.
    #[divan::bench(args = [1_000, 20_000])]
    fn in_order(bencher: Bencher<'_, '_>, connections: usize) {
        each_segment(bencher, connections, |table, segments| {
            for segment in segments {
                drain(table.push(segment));
            }
        });
    }

    /// As the pipeline does it: the connections of a batch are looked up before the first of its
    /// segments is taken.
    #[divan::bench(args = [1_000, 20_000])]
    fn in_order_batches(bencher: Bencher<'_, '_>, connections: usize) {
        each_segment(bencher, connections, |table, segments| {
            let mut flows = Vec::with_capacity(BATCH);
            for batch in segments.chunks(BATCH) {
                flows.extend(batch.iter().map(|segment| table.hash(segment)));
                flows.iter_mut().for_each(|flow| table.guess(flow));
                for flow in &flows {
                    black_box(table.touch(flow));
                }
                for (segment, flow) in batch.iter().zip(flows.drain(..)) {
                    match table.push_quick(segment, &flow) {
                        Quick::General => drain(table.push_hashed(segment, &flow)),
                        quick => {
                            black_box(quick);
                        }
                    }
                }
            }
        });
    }

    fn drain(mut delivery: Delivery<'_, '_>) {
        while let Some(event) = delivery.next() {
            black_box(event);
        }
    }

    fn each_segment(
        bencher: Bencher<'_, '_>,
        connections: usize,
        push_all: impl Fn(&mut FlowTable, &[Segment<'_>]),
    ) {
        let traffic = clients(connections);
        let mut dissector = Dissector::new(WireLimits::default());
        let segments: Vec<_> = traffic
            .frames()
            .filter_map(|frame| {
                let mut segment = Segment::EMPTY;
                let taken = dissector.dissect_usual(&frame, &mut segment)?;
                taken.ok().map(|()| segment)
            })
            .collect();
        assert_eq!(segments.len(), traffic.len());
        bencher
            .counter(ItemsCount::new(segments.len()))
            .with_inputs(|| FlowTable::new(Limits::default()))
            .bench_local_refs(|table| {
                push_all(table, &segments);
                assert_eq!(table.statistics().connections, connections as u64);
            });
    }
}

mod mqtt {
    use super::*;

    const V3: ProtocolLevel = ProtocolLevel::V3_1_1;
    const V5: ProtocolLevel = ProtocolLevel::V5;

    #[derive(Clone, Copy, Debug)]
    enum Example {
        PublishQos0,
        PublishQos1,
        PublishQos0V5Properties,
        PublishQos1V5Properties,
        Puback,
        PubackV5Reason,
    }

    impl Example {
        const ALL: [Self; 6] = [
            Self::PublishQos0,
            Self::PublishQos1,
            Self::PublishQos0V5Properties,
            Self::PublishQos1V5Properties,
            Self::Puback,
            Self::PubackV5Reason,
        ];

        fn write(self) -> (ProtocolLevel, Vec<u8>) {
            let mut packet = Vec::new();
            let level = match self {
                Self::PublishQos0 => publish(&mut packet, V3, 0),
                Self::PublishQos1 => publish(&mut packet, V3, 1),
                Self::PublishQos0V5Properties => publish(&mut packet, V5, 0),
                Self::PublishQos1V5Properties => publish(&mut packet, V5, 1),
                Self::Puback => puback(&mut packet, V3, 0),
                // No matching subscribers.
                Self::PubackV5Reason => puback(&mut packet, V5, 0x10),
            };
            (level, packet)
        }
    }

    fn publish(out: &mut Vec<u8>, level: ProtocolLevel, qos: u8) -> ProtocolLevel {
        let packet = write::Publish {
            dup: false,
            qos,
            retain: false,
            topic: TOPIC,
            packet_id: 4_711,
            properties: &[
                Property::PayloadFormatIndicator(1),
                Property::MessageExpiryInterval(3_600),
                Property::ContentType(b"application/json"),
                Property::UserProperty((b"site", b"north")),
            ],
            payload: PAYLOAD,
        };
        write::publish(out, level, &packet).unwrap();
        level
    }

    fn puback(out: &mut Vec<u8>, level: ProtocolLevel, reason: u8) -> ProtocolLevel {
        write::acknowledgment(out, level, PacketType::Puback, 4_711, reason, &[]).unwrap();
        level
    }

    /// Fixed header and contents of one packet.
    #[divan::bench(args = Example::ALL)]
    fn parse_packet(bencher: Bencher<'_, '_>, example: Example) {
        let (level, packet) = example.write();
        bencher
            .counter(ItemsCount::new(1_usize))
            .counter(BytesCount::of_slice(&packet))
            .bench_local(|| {
                let packet = black_box(packet.as_slice());
                let HeaderResult::Complete(header) = parse_fixed_header(packet) else {
                    unreachable!("the packet is whole");
                };
                let body = &packet[usize::from(header.header_length)..];
                let parsed = parse(header.first_byte, body, level);
                assert!(parsed.malformed.is_none());
                black_box(parsed);
            });
    }

    /// 10,000 packets, joined and cut where a sender's maximum segment size cuts them; or all in
    /// one piece.
    #[divan::bench(args = [1_448, usize::MAX])]
    fn packet_stream(bencher: Bencher<'_, '_>, segment: usize) {
        const PACKETS: usize = 10_000;
        let mut bytes = Vec::new();
        for packet in 0..PACKETS {
            match packet % 3 {
                0 => publish(&mut bytes, V3, 0),
                1 => publish(&mut bytes, V3, 1),
                _ => puback(&mut bytes, V3, 0),
            };
        }
        let limits = StreamLimits::default();
        bencher
            .counter(ItemsCount::new(PACKETS))
            .counter(BytesCount::of_slice(&bytes))
            .bench_local(|| {
                let mut stream = PacketStream::new(true);
                let mut seen = 0;
                for (mark, chunk) in bytes.chunks(segment).enumerate() {
                    let mut input = Input {
                        bytes: black_box(chunk),
                        mark,
                        segment_start: true,
                        segment_end: true,
                    };
                    while let Some(output) = stream.next(&mut input, V3, &limits) {
                        seen += usize::from(matches!(output, Output::Packet(_)));
                        black_box(output);
                    }
                }
                assert_eq!(seen, PACKETS);
            });
    }
}

mod stream {
    use super::*;
    use mqttscope::stream::tls::{KeyLog, Keys, Tls, TlsLimits};
    use mqttscope::stream::websocket::WebSocket;
    use mqttscope::stream::{Mark, Passed, Piece, Scratch, Side};
    use ring::aead::{
        AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
    };
    use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

    /// About as much as is sent in one sample.
    const SENT: usize = 8 << 20;
    const SEGMENT: usize = 1_448;
    const SECRET: [u8; 32] = [3; 32];

    #[derive(Clone, Copy, Debug)]
    struct Place;

    impl Mark for Place {
        fn spanning(self, _: Self, last: Self) -> Self {
            last
        }
    }

    struct Length(usize);

    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }

    /// HKDF-Expand-Label of RFC 8446, section 7.1.
    fn expand(label: &str, out: &mut [u8]) {
        let label = format!("tls13 {label}");
        let lengths = [0, out.len() as u8, label.len() as u8];
        let info = [&lengths[..], label.as_bytes(), &[0]];
        let secret = Prk::new_less_safe(HKDF_SHA256, &SECRET);
        let length = Length(out.len());
        secret.expand(&info, length).unwrap().fill(out).unwrap();
    }

    /// Records of TLS 1.3, one after the other, from the first number on.
    fn records(cipher: &'static Algorithm, content: usize) -> Vec<u8> {
        let (mut key, mut vector) = (vec![0; cipher.key_len()], [0; 12]);
        expand("key", &mut key);
        expand("iv", &mut vector);
        let key = LessSafeKey::new(UnboundKey::new(cipher, &key).unwrap());
        let mut stream = Vec::new();
        for number in 0..SENT / content {
            let mut nonce = vector;
            let counted = nonce[4..].iter_mut().zip((number as u64).to_be_bytes());
            counted.for_each(|(place, byte)| *place ^= byte);
            let mut record = vec![0x5a; content];
            record.push(23);
            let header = [23, 3, 3, ((content + 17) >> 8) as u8, (content + 17) as u8];
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, Aad::from(header), &mut record)
                .unwrap();
            stream.extend(header);
            stream.extend(record);
        }
        stream
    }

    fn hello(kind: u8, suite: u16) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        match kind {
            1 => body.extend([0, 2, 0x13, 1, 1, 0, 0, 0]),
            _ => {
                body.extend(suite.to_be_bytes());
                body.extend([0, 0, 6, 0, 43, 0, 2, 3, 4]);
            }
        }
        let length = body.len() as u8;
        [&[22, 3, 3, 0, length + 4, kind, 0, 0, length], &body[..]].concat()
    }

    /// Through the layer; how many bytes came out.
    fn read(
        tls: &mut Tls<Place>,
        log: &KeyLog,
        side: Side,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> usize {
        let keys = Keys {
            log,
            more: false,
            limits: TlsLimits::default(),
        };
        let mut count = 0;
        for bytes in bytes.chunks(SEGMENT) {
            let piece = Piece {
                bytes,
                mark: Place,
                starts: true,
                ends: true,
            };
            tls.push(side, piece, keys, scratch, &mut |_, passed| {
                if let Passed::Bytes(piece) = passed {
                    count += black_box(piece).bytes.len();
                }
            });
        }
        count
    }

    /// The records of TLS 1.3 in segments of the usual size, decrypted: nothing of the handshake.
    fn decrypt(bencher: Bencher<'_, '_>, cipher: &'static Algorithm, suite: u16, content: usize) {
        let stream = records(cipher, content);
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut log = KeyLog::new();
        for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
            log.push(format!("{label} {} {}\n", hex(&[7; 32]), hex(&SECRET)).as_bytes());
        }
        let sent = SENT / content * content;
        let mut scratch = Scratch::default();
        bencher
            .counter(BytesCount::new(sent))
            .with_inputs(|| {
                let mut tls = Tls::new();
                for (side, kind) in [(Side::Client, 1), (Side::Server, 2)] {
                    read(
                        &mut tls,
                        &log,
                        side,
                        &hello(kind, suite),
                        &mut Scratch::default(),
                    );
                }
                tls
            })
            .bench_local_refs(|tls| {
                assert_eq!(read(tls, &log, Side::Client, &stream, &mut scratch), sent);
            });
    }

    /// Bytes of content in each record: a small message, a larger one, a full record.
    #[divan::bench(args = [64, 1_024, 16_384])]
    fn tls_1_3_aes_128_gcm(bencher: Bencher<'_, '_>, content: usize) {
        decrypt(bencher, &AES_128_GCM, 0x1301, content);
    }

    #[divan::bench(args = [64, 1_024, 16_384])]
    fn tls_1_3_chacha20_poly1305(bencher: Bencher<'_, '_>, content: usize) {
        decrypt(bencher, &CHACHA20_POLY1305, 0x1303, content);
    }

    /// A client's frames in segments of the usual size, unmasked.
    #[divan::bench(args = [64, 1_024, 16_384])]
    fn web_socket_unmasking(bencher: Bencher<'_, '_>, payload: usize) {
        let mut frame = vec![0x82];
        match payload {
            0..126 => frame.push(0x80 | payload as u8),
            _ => {
                frame.push(0x80 | 126);
                frame.extend((payload as u16).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.resize(frame.len() + payload, 0x5a);
        let stream = frame.repeat(SENT / payload);
        let mut scratch = Scratch::default();
        bencher
            .counter(BytesCount::new(SENT / payload * payload))
            .with_inputs(|| {
                let mut socket = WebSocket::<Place>::new();
                let request: &[u8] = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
                let piece = Piece {
                    bytes: request,
                    mark: Place,
                    starts: true,
                    ends: true,
                };
                socket.push(Side::Client, piece, &mut Scratch::default(), &mut |_, _| {});
                socket
            })
            .bench_local_refs(|socket| {
                let mut count = 0;
                for bytes in stream.chunks(SEGMENT) {
                    let piece = Piece {
                        bytes,
                        mark: Place,
                        starts: true,
                        ends: true,
                    };
                    socket.push(Side::Client, piece, &mut scratch, &mut |_, passed| {
                        if let Passed::Bytes(piece) = passed {
                            count += black_box(piece).bytes.len();
                        }
                    });
                }
                assert_eq!(count, SENT / payload * payload);
            });
    }
}

mod results {
    use super::*;

    /// Rows of messages.csv, thrown away.
    #[divan::bench]
    fn message_rows(bencher: Bencher<'_, '_>) {
        const ROWS: u64 = 10_000;
        let time = |nanos| Timestamp::from_nanos(1_700_000_000_000_000_000 + nanos);
        bencher
            .counter(ItemsCount::new(ROWS))
            .with_inputs(|| RowWriter::new::<MessageRow<'_>>(io::sink(), Formulas::Guard).unwrap())
            .bench_local_refs(|writer| {
                for message in 1..=ROWS {
                    let row = MessageRow {
                        message,
                        connection: message % 1_000,
                        direction: "to_broker",
                        file: Text(b"captures/traffic.pcap"),
                        frame: 3 * message,
                        first_ns: time(7_001 * message as i64),
                        last_ns: time(7_001 * message as i64),
                        packet_id: Some(message as u16),
                        qos: 1,
                        dup: false,
                        retain: false,
                        topic: Some(Text(TOPIC)),
                        payload_bytes: Some(PAYLOAD.len() as u32),
                        payload_kind: Some("json"),
                        payload_hash: Some(Hash64(message.wrapping_mul(0x9e37_79b9_7f4a_7c15))),
                        retransmitted: false,
                        tap: 0,
                    };
                    writer.write(black_box(&row)).unwrap();
                }
            });
    }
}

mod pipeline {
    use mqttscope::analysis::{BadLengthEvent, ConnectionEvent, GapEvent, Observer, PacketEvent};
    use mqttscope::delivery::{DeliveryOutcome, DeliveryRecord};
    use mqttscope::session::{
        self, DelayKind, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards,
    };
    use mqttscope::time::TimeDelta;

    use super::*;

    /// Counts what it must see, and does nothing with it.
    #[derive(Default)]
    struct Counts {
        exchanges: usize,
        connections: usize,
        delivered: usize,
    }

    impl session::Observer for Counts {
        fn exchange(&mut self, _: &ExchangeRecord<'_>) {
            self.exchanges += 1;
        }
        fn subscription(&mut self, _: &SubscriptionRecord<'_>) {}
        fn session(&mut self, _: &SessionRecord<'_>) {}
        fn delay(&mut self, _: DelayKind, _: Towards, _: TimeDelta) {}
    }

    impl Observer for Counts {
        fn packet(&mut self, event: &PacketEvent<'_>) {
            black_box(event);
        }
        fn bad_length(&mut self, _: &BadLengthEvent<'_>) {}
        fn gap(&mut self, _: &GapEvent<'_>) {}
        fn repeated(&mut self, _: usize, _: Towards, _: (u64, u64)) {}
        fn connection(&mut self, _: &ConnectionEvent<'_>) {
            self.connections += 1;
        }
        fn delivery(&mut self, record: &DeliveryRecord<'_>) {
            self.delivered += usize::from(record.outcome == DeliveryOutcome::Delivered);
        }
        fn tick(&mut self, _: Timestamp) {}
    }

    /// One publisher: subscribers, and equal messages in a row before the first is passed on.
    #[divan::bench(args = [(1_000, 1), (10_000, 1), (1, 10_000), (1, 100_000)])]
    fn fan_out(bencher: Bencher<'_, '_>, (subscribers, messages): (usize, usize)) {
        let traffic = Traffic::fan_out(Ip::V4, subscribers, messages);
        bencher
            .counter(ItemsCount::new(subscribers * messages))
            .with_inputs(|| Pipeline::new(Options::default()))
            .bench_local_refs(|pipeline| {
                let mut counts = Counts::default();
                pipeline.push_all(traffic.frames(), &mut counts);
                pipeline.finish(&mut counts);
                assert_eq!(counts.delivered, subscribers * messages);
            });
    }

    /// Frames in memory to observations: all layers but the reading and the writing.
    #[divan::bench(args = [1_000, 20_000])]
    fn all_layers(bencher: Bencher<'_, '_>, connections: usize) {
        let traffic = clients(connections);
        bencher
            .counter(ItemsCount::new(traffic.len()))
            .counter(BytesCount::new(traffic.size()))
            .with_inputs(|| Pipeline::new(Options::default()))
            .bench_local_refs(|pipeline| {
                let mut counts = Counts::default();
                let mut frames = traffic.frames();
                for _ in 0..traffic.len().div_ceil(BATCH) {
                    pipeline.push_all(frames.by_ref().take(BATCH), &mut counts);
                }
                pipeline.finish(&mut counts);
                assert_eq!(counts.connections, connections);
                assert!(counts.exchanges >= connections);
            });
    }
}
