//! How TCP cuts a byte stream is nobody's business but TCP's: whatever the segments, the packets
//! are the same.
//!
//! The streams of the project's recordings are cut anew at random, put out of order, sent twice
//! and given to the pipeline.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::tool::recordings;
use etherparse::PacketBuilder;
use mqttscope::analysis::{
    BadLengthEvent, ConnectionEvent, GapEvent, Observer, Options, PacketEvent, Pipeline,
};
use mqttscope::capture::{Capture, Item};
use mqttscope::frame::{Frame, LinkType};
use mqttscope::session::{
    self, DelayKind, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards,
};
use mqttscope::stream::tls::KeyLog;
use mqttscope::time::{TimeDelta, Timestamp};
use mqttscope::wire::{Dissection, Dissector, WireLimits};
use proptest::prelude::*;

/// The brokers' ports of the recordings: plain, TLS, WebSocket, both.
const BROKER_PORTS: [u16; 4] = [1883, 8883, 9001, 9443];

/// The packets of each stream, by the client's port and direction.
type Packets = BTreeMap<(u16, &'static str), Vec<String>>;

#[derive(Default)]
struct Listing {
    packets: Packets,
}

impl session::Observer for Listing {
    fn exchange(&mut self, _: &ExchangeRecord<'_>) {}
    fn subscription(&mut self, _: &SubscriptionRecord<'_>) {}
    fn session(&mut self, _: &SessionRecord<'_>) {}
    fn delay(&mut self, _: DelayKind, _: Towards, _: TimeDelta) {}
}

impl Observer for Listing {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        let key = (event.state.facts.client.port, event.towards.name());
        let (parsed, header) = (event.parsed, event.header);
        let line = format!(
            "{header:?} {parsed:?} {:?} {:?}",
            event.topic, event.payload_hash
        );
        self.packets.entry(key).or_default().push(line);
        assert_eq!(event.missing, 0);
    }
    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        panic!("{event:?}");
    }
    fn gap(&mut self, event: &GapEvent<'_>) {
        panic!("{event:?}");
    }
    fn repeated(&mut self, _: usize, _: Towards, _: (u64, u64)) {}
    fn connection(&mut self, _: &ConnectionEvent<'_>) {}
    fn tick(&mut self, _: Timestamp) {}
}

/// Bytes that one side sends before the other one answers.
#[derive(Debug)]
struct Turn {
    client_port: u16,
    to_broker: bool,
    bytes: Vec<u8>,
}

/// What a recording's clients and brokers said to each other, and the packets in it.
struct Conversation {
    turns: Vec<Turn>,
    packets: Packets,
    broker_port: u16,
    options: Options,
}

/// The usual options, with the key log beside a recording.
fn options(path: &Path) -> Options {
    let mut keys = KeyLog::new();
    if let Ok(text) = std::fs::read(path.with_extension("keylog")) {
        keys.push(&text);
        keys.end();
    }
    let mut options = Options {
        key_log: Arc::new(keys),
        ..Options::default()
    };
    // Of a packet that is split, as much is kept as of one that is not.
    options.stream.publish_bytes = 1 << 20;
    options
}

fn conversation(path: &Path) -> Conversation {
    let mut capture = Capture::open(&[path]).unwrap();
    let mut dissector = Dissector::new(WireLimits::default());
    let options = options(path);
    let mut pipeline = Pipeline::new(options.clone());
    let mut broker_port = 0;
    let mut listing = Listing::default();
    let mut turns: Vec<Turn> = Vec::new();
    while let Some(item) = capture.next_item() {
        let Item::Frame(frame) = item else { continue };
        pipeline.push(&frame, &mut listing);
        let Dissection::Tcp(segment) = dissector.dissect(&frame) else {
            continue;
        };
        if segment.payload.is_empty() {
            continue;
        }
        let to_broker = BROKER_PORTS.contains(&segment.destination.port);
        let ports = (segment.source.port, segment.destination.port);
        broker_port = if to_broker { ports.1 } else { ports.0 };
        let client = if to_broker {
            segment.source
        } else {
            segment.destination
        };
        let bytes = segment.payload.to_vec();
        match turns
            .iter_mut()
            .rev()
            .find(|turn| turn.client_port == client.port)
        {
            Some(turn) if turn.to_broker == to_broker => turn.bytes.extend(bytes),
            _ => turns.push(Turn {
                client_port: client.port,
                to_broker,
                bytes,
            }),
        }
    }
    pipeline.finish(&mut listing);
    Conversation {
        turns,
        packets: listing.packets,
        broker_port,
        options,
    }
}

/// Writes frames, a microsecond apart, and gives them to a pipeline.
struct Sender {
    broker_port: u16,
    pipeline: Pipeline,
    listing: Listing,
    number: u64,
    /// Next sequence numbers of client and broker, by the client's port.
    sequences: BTreeMap<u16, (u32, u32)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Syn,
    SynAck,
    Data,
    Fin,
}

impl Sender {
    fn new(broker_port: u16, options: &Options) -> Self {
        Self {
            broker_port,
            pipeline: Pipeline::new(options.clone()),
            listing: Listing::default(),
            number: 0,
            sequences: BTreeMap::new(),
        }
    }

    fn frame(
        &mut self,
        (client_port, to_broker): (u16, bool),
        kind: Kind,
        (sequence, acknowledgment): (u32, u32),
        payload: &[u8],
    ) {
        const CLIENT: [u8; 4] = [192, 0, 2, 1];
        const BROKER: [u8; 4] = [192, 0, 2, 2];
        let (addresses, ports) = if to_broker {
            ((CLIENT, BROKER), (client_port, self.broker_port))
        } else {
            ((BROKER, CLIENT), (self.broker_port, client_port))
        };
        let tcp = PacketBuilder::ipv4(addresses.0, addresses.1, 64)
            .tcp(ports.0, ports.1, sequence, 65_000);
        let tcp = match kind {
            Kind::Syn => tcp.syn(),
            Kind::SynAck => tcp.syn().ack(acknowledgment),
            Kind::Data => tcp.ack(acknowledgment),
            Kind::Fin => tcp.fin().ack(acknowledgment),
        };
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).unwrap();
        self.number += 1;
        // A segment that is sent again has an identification of its own; a mirror port's copy
        // would have the same.
        bytes[4..6].copy_from_slice(&(self.number as u16).to_be_bytes());
        let frame = Frame {
            time: Timestamp::from_nanos(self.number as i64 * 1000),
            link_type: LinkType::RAW,
            wire_length: bytes.len() as u32,
            bytes: &bytes,
            tap: 0,
            file: 0,
            number: self.number,
        };
        self.pipeline.push(&frame, &mut self.listing);
    }

    /// The handshake, where there was none yet.
    fn open(&mut self, client_port: u16) -> (u32, u32) {
        if let Some(&sequences) = self.sequences.get(&client_port) {
            return sequences;
        }
        // Close to where sequence numbers begin again from 0.
        let (client, broker) = (u32::MAX - 40, 7_000);
        self.frame((client_port, true), Kind::Syn, (client, 0), b"");
        let (client, broker) = (client.wrapping_add(1), broker + 1);
        self.frame(
            (client_port, false),
            Kind::SynAck,
            (broker - 1, client),
            b"",
        );
        self.frame((client_port, true), Kind::Data, (client, broker), b"");
        self.sequences.insert(client_port, (client, broker));
        (client, broker)
    }

    /// Sends a turn in segments of these sizes, over and over; `disorder` says by how many places
    /// each segment is late, and whether it comes twice.
    fn turn(&mut self, turn: &Turn, sizes: &[usize], disorder: &[(usize, bool)]) {
        let (client, broker) = self.open(turn.client_port);
        let (mut next, acknowledgment) = if turn.to_broker {
            (client, broker)
        } else {
            (broker, client)
        };
        let mut segments = Vec::new();
        let (mut rest, mut sizes) = (turn.bytes.as_slice(), sizes.iter().cycle());
        let mut disorder = disorder.iter().cycle();
        while !rest.is_empty() {
            let size = (*sizes.next().unwrap()).min(rest.len());
            let (bytes, others) = rest.split_at(size);
            let (late, twice) = *disorder.next().unwrap();
            let place = segments.len();
            segments.push((place + late, next, bytes));
            if twice {
                segments.push((place + 2 * late + 1, next, bytes));
            }
            next = next.wrapping_add(size as u32);
            rest = others;
        }
        segments.sort_by_key(|(place, ..)| *place);
        let way = (turn.client_port, turn.to_broker);
        for (_, sequence, bytes) in segments {
            self.frame(way, Kind::Data, (sequence, acknowledgment), bytes);
        }
        let (client, broker) = self.sequences.get_mut(&turn.client_port).unwrap();
        *(if turn.to_broker { client } else { broker }) = next;
    }

    fn finish(mut self) -> Packets {
        for (port, (client, broker)) in self.sequences.clone() {
            self.frame((port, true), Kind::Fin, (client, broker), b"");
            self.frame(
                (port, false),
                Kind::Fin,
                (broker, client.wrapping_add(1)),
                b"",
            );
            let last = (client.wrapping_add(1), broker.wrapping_add(1));
            self.frame((port, true), Kind::Data, last, b"");
        }
        let Self {
            mut pipeline,
            mut listing,
            ..
        } = self;
        pipeline.finish(&mut listing);
        listing.packets
    }
}

fn send(
    conversation: &Conversation,
    turns: &[Turn],
    sizes: &[usize],
    disorder: &[(usize, bool)],
) -> Packets {
    let mut sender = Sender::new(conversation.broker_port, &conversation.options);
    for turn in turns {
        sender.turn(turn, sizes, disorder);
    }
    sender.finish()
}

const RECORDINGS: [&str; 8] = [
    "v5-properties-ipv6.pcap",
    "many-clients.pcap",
    "large-message.pcap",
    "qos2-v311-ipv4.pcap",
    "tls13.pcap",
    "tls12-gcm.pcap",
    "websocket.pcap",
    "wss.pcap",
];

fn conversations() -> Vec<Conversation> {
    let conversations: Vec<_> = RECORDINGS
        .iter()
        .map(|name| conversation(&recordings().join(name)))
        .collect();
    for conversation in &conversations {
        assert!(conversation.packets.values().map(Vec::len).sum::<usize>() > 10);
    }
    conversations
}

#[test]
fn each_byte_may_be_a_segment() {
    for conversation in conversations() {
        let packets = send(&conversation, &conversation.turns, &[1], &[(0, false)]);
        assert_eq!(packets, conversation.packets);
    }
}

/// Each side says all it has to say in one segment, or in segments as long as IPv4 allows: the
/// client has said everything before the server begins.
#[test]
fn everything_may_be_one_segment() {
    for conversation in conversations() {
        let mut all: BTreeMap<(u16, bool), Vec<u8>> = BTreeMap::new();
        for turn in &conversation.turns {
            let side = all.entry((turn.client_port, !turn.to_broker)).or_default();
            side.extend(&turn.bytes);
        }
        let turns: Vec<Turn> = all
            .into_iter()
            .map(|((client_port, to_client), bytes)| Turn {
                client_port,
                to_broker: !to_client,
                bytes,
            })
            .collect();
        let packets = send(&conversation, &turns, &[65_000], &[(0, false)]);
        let counts = |packets: &Packets| -> Vec<_> {
            packets
                .iter()
                .map(|(key, list)| (*key, list.len()))
                .collect()
        };
        let (broker_port, expected) = (conversation.broker_port, counts(&conversation.packets));
        assert_eq!(counts(&packets), expected, "port {broker_port}");
        assert_eq!(packets, conversation.packets);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn segments_may_come_in_any_size_out_of_order_and_twice(
        sizes in prop::collection::vec(1_usize..300, 1..12),
        disorder in prop::collection::vec((0_usize..8, any::<bool>()), 1..12),
    ) {
        for conversation in conversations() {
            let packets = send(&conversation, &conversation.turns, &sizes, &disorder);
            prop_assert_eq!(&packets, &conversation.packets);
        }
    }
}
