//! Each layer by itself, and all of them together, over traffic made in memory: no file, no
//! network. `cargo bench` runs it; README.md says how to read it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

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
        fn tick(&mut self, _: Timestamp) {}
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
