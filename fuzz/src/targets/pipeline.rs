//! The whole pipeline on TCP connections that a small program describes.
//!
//! Input: options, initial sequence number, then operations; each begins with a byte whose low
//! half says what happens ([`Program::step`]) and whose high half says how. So the payload of
//! both directions comes from the input, and so do segmentation, loss, order and duplicates.
//!
//! Beside what holds for every input, a connection to which nothing bad happened (no byte is
//! missing in the capture) must give exactly the packets that its two streams hold.

use std::collections::HashMap;

use etherparse::PacketBuilder;
use mqttscope::analysis::{
    BadLengthEvent, ConnectionEvent, GapEvent, Observer, Options, PacketEvent, Pipeline,
};
use mqttscope::frame::{Frame, LinkType};
use mqttscope::mqtt::stream::{Input, Output, PacketStream, StreamLimits};
use mqttscope::mqtt::{Packet, ProtocolLevel};
use mqttscope::session::{
    self, DelayKind, ExchangeRecord, SessionLimits, SessionRecord, SubscriptionRecord, Towards,
};
use mqttscope::tcp::Endpoint;
use mqttscope::time::{TimeDelta, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::mqtt::TOKENS;
use super::wire_tcp::{tight_limits, time_step};
use crate::input::Bytes;

/// Frames after which a run stops.
const ENOUGH: u64 = 4096;

/// The first client port; each connection has one of its own.
const CLIENT_PORT: u16 = 40_000;

/// Bits of the first byte.
pub mod option {
    /// The capture begins in the middle of every connection.
    pub const MIDSTREAM: u8 = 1;
    /// IPv6 instead of IPv4.
    pub const IPV6: u8 = 2;
    /// Small bounds in all layers.
    pub const TIGHT: u8 = 4;
    /// The broker listens on port 5000, which no rule names.
    pub const OTHER_PORT: u8 = 8;
    /// The broker listens on port 8883.
    pub const TLS_PORT: u8 = 16;
    /// Connections on other ports are not looked at.
    pub const NO_DETECTION: u8 = 32;
    /// The capture holds the client's segments only.
    pub const ONE_SIDED: u8 = 64;
}

/// Operations, in the low half of a byte.
pub mod operation {
    /// The client sends: a length, so many bytes. How: bit 0, acknowledges all; bit 1, no PSH.
    pub const CLIENT: u8 = 0;
    /// The broker sends.
    pub const BROKER: u8 = 1;
    /// As above, but the frame is captured later.
    pub const CLIENT_HELD: u8 = 2;
    /// As above.
    pub const BROKER_HELD: u8 = 3;
    /// As above, but the frame is never captured.
    pub const CLIENT_LOST: u8 = 4;
    /// As above.
    pub const BROKER_LOST: u8 = 5;
    /// A frame that was held back is captured now. How: which.
    pub const RELEASE: u8 = 6;
    /// An earlier frame is captured again. How: which.
    pub const AGAIN: u8 = 7;
    /// An acknowledgment without payload. How: bit 0, by the broker; above it, how far ahead.
    pub const ACKNOWLEDGE: u8 = 8;
    /// Time goes on by a step that the next byte names.
    pub const TIME: u8 = 9;
    /// FIN. How: bit 0, by the broker; bit 1, held back.
    pub const FIN: u8 = 10;
    /// RST. How: bit 0, by the broker.
    pub const RST: u8 = 11;
    /// Another connection goes on or, where it is new, begins. How: which of four.
    pub const SWITCH: u8 = 12;
    /// The same ports are used for a new connection.
    pub const OPEN_AGAIN: u8 = 13;
    /// The client or the broker (bit 0) sends, and the snap length cuts the frame.
    pub const CUT: u8 = 14;
    /// A packet of the list of tokens, by the side that usually sends it.
    pub const TEMPLATE: u8 = 15;
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let options = input.byte();
    let sequence = input.byte();
    let mut program = Program::new(options, sequence);
    program.switch(0);
    while !input.is_empty() && program.number < ENOUGH {
        program.step(&mut input);
    }
    while !program.held.is_empty() {
        program.release(0);
    }
    program.finish();
}

/// One side's stream, as it was sent.
struct Side {
    sequence: u32,
    sent: Vec<u8>,
    acknowledged: u32,
    fin: bool,
}

impl Side {
    fn new(sequence: u32) -> Self {
        Self {
            sequence,
            sent: Vec::new(),
            acknowledged: 0,
            fin: false,
        }
    }

    fn next(&self) -> u32 {
        self.sequence
            .wrapping_add(1)
            .wrapping_add(self.sent.len() as u32)
            .wrapping_add(u32::from(self.fin))
    }
}

struct Connection {
    /// Client, broker.
    sides: [Side; 2],
    /// Something happened after which the capture need not give every packet.
    damaged: bool,
}

struct Program {
    options: u8,
    sequence: u32,
    pipeline: Pipeline,
    watch: Watch,
    connections: HashMap<u16, Connection>,
    current: u16,
    time: Timestamp,
    number: u64,
    identification: u16,
    held: Vec<Vec<u8>>,
    recent: Vec<(u16, Vec<u8>)>,
}

/// What a segment is.
#[derive(Clone, Copy, Default)]
struct Kind {
    syn: bool,
    fin: bool,
    rst: bool,
    ack: bool,
    psh: bool,
}

impl Program {
    fn new(options: u8, sequence: u8) -> Self {
        let mut settings = Options {
            detect: options & option::NO_DETECTION == 0,
            ..Options::default()
        };
        if options & option::TIGHT != 0 {
            settings.tcp = tight_limits();
            settings.stream = StreamLimits {
                publish_bytes: 16,
                control_bytes: 32,
            };
            settings.stream_bytes = 64;
            settings.session = SessionLimits {
                sessions: 2,
                id_bytes: 64,
                exchanges: 4,
                topic_bytes: 64,
                parked: 3,
            };
        }
        Self {
            options,
            // Close below the point where the numbers wrap round.
            sequence: 0_u32.wrapping_sub(u32::from(sequence) * 16),
            pipeline: Pipeline::new(settings),
            watch: Watch::default(),
            connections: HashMap::new(),
            current: CLIENT_PORT,
            time: Timestamp::from_nanos(1_700_000_000_000_000_000),
            number: 0,
            identification: 0,
            held: Vec::new(),
            recent: Vec::new(),
        }
    }

    fn step(&mut self, input: &mut Bytes<'_>) {
        use operation as op;
        let byte = input.byte();
        let how = byte >> 4;
        let operation = byte & 0x0f;
        match operation {
            op::CLIENT
            | op::BROKER
            | op::CLIENT_HELD
            | op::BROKER_HELD
            | op::CLIENT_LOST
            | op::BROKER_LOST => {
                let length = usize::from(input.byte());
                let payload = input.take(length);
                self.send(usize::from(operation & 1), payload, how, operation >> 1);
            }
            op::RELEASE => self.release(usize::from(how)),
            op::AGAIN => self.again(usize::from(how)),
            op::ACKNOWLEDGE => self.acknowledge(usize::from(how & 1), how >> 1),
            op::TIME => {
                let step = time_step(input.byte());
                self.time = self.time + step;
                if !(0..=16_000_000).contains(&step.as_nanos()) {
                    self.damage_all();
                }
            }
            op::FIN => self.fin(usize::from(how & 1), how & 2 != 0),
            op::RST => self.rst(usize::from(how & 1)),
            op::SWITCH => self.switch(u16::from(how & 3)),
            op::OPEN_AGAIN => {
                let mut sequence = self.sequence;
                if let Some(old) = self.connections.get(&self.current) {
                    sequence = old.sides[0].next().wrapping_add(1 << (how * 2));
                }
                self.open(sequence);
                self.damage();
            }
            op::CUT => {
                let length = usize::from(input.byte());
                let payload = input.take(length);
                self.send(usize::from(how & 1), payload, how, 3);
            }
            _ => {
                let token = TOKENS[usize::from(input.byte()) % TOKENS.len()];
                let from_broker = matches!(token[0] >> 4, 2 | 9 | 11 | 13) || how & 1 != 0;
                self.send(usize::from(from_broker), token, how | 1, 0);
            }
        }
    }

    fn switch(&mut self, which: u16) {
        self.current = CLIENT_PORT + which;
        if !self.connections.contains_key(&self.current) {
            self.open(self.sequence);
        }
    }

    fn open(&mut self, sequence: u32) {
        let midstream = self.options & option::MIDSTREAM != 0;
        let connection = Connection {
            sides: [Side::new(sequence), Side::new(!sequence)],
            damaged: midstream,
        };
        self.connections.insert(self.current, connection);
        if midstream {
            return;
        }
        let syn = Kind {
            syn: true,
            ..Kind::default()
        };
        let both = Kind { ack: true, ..syn };
        let ack = Kind {
            ack: true,
            ..Kind::default()
        };
        for (side, sequence, acknowledgment, kind) in [
            (0, sequence, 0, syn),
            (1, !sequence, sequence.wrapping_add(1), both),
            (
                0,
                sequence.wrapping_add(1),
                (!sequence).wrapping_add(1),
                ack,
            ),
        ] {
            let frame = self.frame(side, sequence, acknowledgment, kind, &[]);
            self.capture(frame);
        }
    }

    fn connection(&mut self) -> &mut Connection {
        self.connections
            .get_mut(&self.current)
            .expect("the current connection is there")
    }

    fn damage(&mut self) {
        self.connection().damaged = true;
    }

    fn damage_all(&mut self) {
        for connection in self.connections.values_mut() {
            connection.damaged = true;
        }
    }

    /// `fate`: 0 captured, 1 held back, 2 lost, 3 cut.
    fn send(&mut self, side: usize, payload: &[u8], how: u8, fate: u8) {
        let connection = self.connection();
        if payload.is_empty() || connection.sides[side].fin {
            return;
        }
        let sequence = connection.sides[side].next();
        let received = connection.sides[1 - side].next();
        let acknowledged = &mut connection.sides[1 - side].acknowledged;
        if how & 1 != 0 || *acknowledged == 0 {
            *acknowledged = received;
        }
        let acknowledgment = *acknowledged;
        connection.sides[side].sent.extend_from_slice(payload);
        let kind = Kind {
            ack: true,
            psh: how & 2 == 0,
            ..Kind::default()
        };
        let mut frame = self.frame(side, sequence, acknowledgment, kind, payload);
        match fate {
            0 => self.capture(frame),
            1 => self.held.push(frame),
            2 => self.damage(),
            _ => {
                self.damage();
                let cut = payload.len().min(1 + usize::from(how >> 1) * 4);
                frame.truncate(frame.len() - cut);
                self.push(&frame, cut as u32);
            }
        }
    }

    fn acknowledge(&mut self, side: usize, ahead: u8) {
        let connection = self.connection();
        let sequence = connection.sides[side].next();
        let ahead = u32::from(ahead) * 100;
        let acknowledgment = connection.sides[1 - side].next().wrapping_add(ahead);
        if ahead > 0 {
            connection.damaged = true;
        }
        let kind = Kind {
            ack: true,
            ..Kind::default()
        };
        let frame = self.frame(side, sequence, acknowledgment, kind, &[]);
        self.capture(frame);
    }

    fn fin(&mut self, side: usize, held: bool) {
        let connection = self.connection();
        if connection.sides[side].fin {
            return;
        }
        let sequence = connection.sides[side].next();
        let acknowledgment = connection.sides[1 - side].next();
        connection.sides[side].fin = true;
        let kind = Kind {
            fin: true,
            ack: true,
            ..Kind::default()
        };
        let frame = self.frame(side, sequence, acknowledgment, kind, &[]);
        if held {
            self.held.push(frame);
        } else {
            self.capture(frame);
        }
    }

    fn rst(&mut self, side: usize) {
        let connection = self.connection();
        connection.damaged = true;
        let sequence = connection.sides[side].next();
        let acknowledgment = connection.sides[1 - side].next();
        let kind = Kind {
            rst: true,
            ack: true,
            ..Kind::default()
        };
        let frame = self.frame(side, sequence, acknowledgment, kind, &[]);
        self.capture(frame);
    }

    fn release(&mut self, which: usize) {
        if self.held.is_empty() {
            return;
        }
        let frame = self.held.remove(which % self.held.len());
        self.capture(frame);
    }

    fn again(&mut self, which: usize) {
        let length = self.recent.len();
        if length == 0 {
            return;
        }
        let (port, frame) = self.recent[length - 1 - which % length].clone();
        // A frame of a connection that is over can look like the beginning of one.
        if let Some(connection) = self.connections.get_mut(&port)
            && connection.sides.iter().any(|side| side.fin)
        {
            connection.damaged = true;
        }
        self.push(&frame, 0);
    }

    fn capture(&mut self, frame: Vec<u8>) {
        self.push(&frame, 0);
        if self.recent.len() >= 16 {
            self.recent.remove(0);
        }
        let ports = if self.options & option::IPV6 != 0 {
            &frame[54..58]
        } else {
            &frame[34..38]
        };
        let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
        self.recent.push((port(0).max(port(2)), frame));
    }

    fn push(&mut self, bytes: &[u8], cut: u32) {
        self.number += 1;
        self.time = self.time + TimeDelta::from_nanos(100_000);
        let client_only = self.options & option::ONE_SIDED != 0;
        // The last byte of the source's hardware address tells the side.
        if client_only && bytes.get(11) == Some(&1) {
            self.damage_all();
            return;
        }
        let frame = Frame {
            time: self.time,
            link_type: LinkType::ETHERNET,
            wire_length: bytes.len() as u32 + cut,
            bytes,
            tap: 0,
            file: 0,
            number: self.number,
        };
        self.pipeline.push(&frame, &mut self.watch);
    }

    fn frame(
        &mut self,
        side: usize,
        sequence: u32,
        acknowledgment: u32,
        kind: Kind,
        payload: &[u8],
    ) -> Vec<u8> {
        let broker = if self.options & option::OTHER_PORT != 0 {
            5000
        } else if self.options & option::TLS_PORT != 0 {
            8883
        } else {
            1883
        };
        let ports = [self.current, broker];
        let ethernet =
            PacketBuilder::ethernet2([2, 0, 0, 0, 0, side as u8], [2, 0, 0, 0, 0, 1 - side as u8]);
        let network = if self.options & option::IPV6 != 0 {
            let address = |side: usize| {
                let mut address = [0; 16];
                address[0] = 0xfd;
                address[15] = side as u8 + 1;
                address
            };
            ethernet.ipv6(address(side), address(1 - side), 64)
        } else {
            ethernet.ipv4([10, 0, 0, side as u8 + 1], [10, 0, 0, 2 - side as u8], 64)
        };
        let mut builder = network.tcp(ports[side], ports[1 - side], sequence, 64_000);
        if kind.ack {
            builder = builder.ack(acknowledgment);
        }
        if kind.syn {
            builder = builder.syn();
        }
        if kind.fin {
            builder = builder.fin();
        }
        if kind.rst {
            builder = builder.rst();
        }
        if kind.psh {
            builder = builder.psh();
        }
        let mut bytes = Vec::with_capacity(builder.size(payload.len()));
        builder
            .write(&mut bytes, payload)
            .expect("a segment of some bytes can be written");
        if self.options & option::IPV6 == 0 {
            self.identification = self.identification.wrapping_add(1);
            bytes[18..20].copy_from_slice(&self.identification.to_be_bytes());
        }
        bytes
    }

    fn finish(mut self) {
        self.pipeline.finish(&mut self.watch);
        let (pipeline, watch) = (&self.pipeline, &self.watch);
        let totals = pipeline.totals();
        assert_eq!(totals.connections, watch.connections);
        assert_eq!(totals.packets(), watch.packets + watch.bad_lengths);
        let exchanges: u64 = totals
            .exchanges
            .iter()
            .flat_map(|counts| counts.values())
            .sum();
        assert_eq!(exchanges, watch.exchanges);
        let others: u64 = pipeline.other().busiest().iter().map(|other| other.1).sum();
        assert_eq!(pipeline.tcp().connections, watch.connections + others);
        assert_eq!(pipeline.sessions(), watch.sessions);
        assert!(
            watch.extents.is_empty(),
            "connections that were not reported"
        );
        let readable = option::OTHER_PORT | option::TLS_PORT | option::TIGHT;
        if self.options & readable != 0 {
            return;
        }
        for (&port, connection) in &self.connections {
            // What begins like TLS or HTTP is not read.
            let opaque = connection.sides.iter().any(|side| {
                let first = side.sent.first();
                first.is_some_and(|first| *first == 0x16 || first.is_ascii_uppercase())
            });
            let damaged = connection.damaged || watch.gaps.contains_key(&port) || opaque;
            if damaged {
                continue;
            }
            for (side, way) in [(0, Towards::Broker), (1, Towards::Client)] {
                let expected = packets_of(&connection.sides[side].sent);
                let empty = Vec::new();
                let seen = watch.seen.get(&(port, way)).unwrap_or(&empty);
                compare(&connection.sides[side].sent, &expected, seen);
            }
        }
    }
}

/// Where a packet of an undamaged stream lies, and its fixed header.
struct Expected {
    first_byte: u8,
    remaining_length: u32,
    end: usize,
}

/// The packets of a whole stream.
fn packets_of(stream: &[u8]) -> Vec<Expected> {
    let mut packets = PacketStream::new(true);
    let mut input = Input {
        bytes: stream,
        mark: (),
        segment_start: true,
        segment_end: true,
    };
    let limits = StreamLimits::default();
    let mut all = Vec::new();
    let mut end = 0;
    while let Some(output) = packets.next(&mut input, ProtocolLevel::V5, &limits) {
        let Output::Packet(framed) = output else {
            break;
        };
        end += framed.header.packet_length() as usize;
        all.push(Expected {
            first_byte: framed.header.first_byte,
            remaining_length: framed.header.remaining_length,
            end,
        });
    }
    all
}

fn compare(stream: &[u8], expected: &[Expected], seen: &[Seen]) {
    let headers = |first_byte, length| (first_byte, length);
    let wanted: Vec<_> = expected
        .iter()
        .map(|packet| headers(packet.first_byte, packet.remaining_length))
        .collect();
    let got: Vec<_> = seen
        .iter()
        .map(|packet| headers(packet.first_byte, packet.remaining_length))
        .collect();
    assert_eq!(
        got, wanted,
        "packets of a stream in which nothing is missing"
    );
    for (packet, seen) in expected.iter().zip(seen) {
        assert_eq!(seen.missing, 0);
        let start = packet.end - packet.remaining_length as usize - 1;
        assert!(seen.extent.0 <= start as u64 && packet.end as u64 <= seen.extent.1);
        if let Some((length, hash)) = seen.payload {
            let payload = &stream[packet.end - length as usize..packet.end];
            assert_eq!(xxh3_64(payload), hash, "payload hash");
        }
    }
}

/// What is kept of a packet event.
struct Seen {
    first_byte: u8,
    remaining_length: u32,
    missing: u32,
    payload: Option<(u32, u64)>,
    extent: (u64, u64),
}

/// Checks what the pipeline tells.
#[derive(Default)]
struct Watch {
    packets: u64,
    bad_lengths: u64,
    connections: u64,
    exchanges: u64,
    sessions: u64,
    latest: u64,
    /// By connection and sender: the extent of the latest packet.
    extents: HashMap<u64, HashMap<Endpoint, (u64, u64)>>,
    /// By client port and way.
    seen: HashMap<(u16, Towards), Vec<Seen>>,
    gaps: HashMap<u16, u64>,
}

/// The client's port as the program chose it, whoever the pipeline took for the client.
fn client_port(state: &session::ConnectionState) -> u16 {
    let ports = [state.facts.client.port, state.facts.broker.port];
    ports.into_iter().max().unwrap_or(0)
}

impl Observer for Watch {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        self.packets += 1;
        self.latest = self.latest.max(event.state.facts.number);
        let facts = &event.state.facts;
        let sender = match event.towards {
            Towards::Broker => facts.client,
            Towards::Client => facts.broker,
        };
        let last = self
            .extents
            .entry(facts.number)
            .or_default()
            .entry(sender)
            .or_default();
        let (start, end) = event.extent;
        assert!(start <= end, "extent {start} to {end}");
        assert!(start >= last.0 && end >= last.1, "extents go back");
        *last = event.extent;
        assert!(event.missing <= event.header.remaining_length);
        let payload = match &event.parsed.packet {
            Packet::Publish(publish) => {
                assert!(publish.payload_length <= Some(event.header.remaining_length));
                // A payload that was not reached has neither length nor hash.
                event
                    .payload_hash
                    .zip(publish.payload_length)
                    .map(|(hash, length)| (length, hash))
            }
            _ => {
                assert!(event.payload_hash.is_none());
                None
            }
        };
        self.seen
            .entry((client_port(event.state), event.towards))
            .or_default()
            .push(Seen {
                first_byte: event.header.first_byte,
                remaining_length: event.header.remaining_length,
                missing: event.missing,
                payload,
                extent: event.extent,
            });
    }

    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        self.bad_lengths += 1;
        self.extents.entry(event.state.facts.number).or_default();
    }

    fn gap(&mut self, event: &GapEvent<'_>) {
        assert!(event.gap.bytes > 0);
        *self.gaps.entry(client_port(event.state)).or_default() += event.gap.bytes;
    }

    fn repeated(&mut self, _slot: usize, _towards: Towards, extent: (u64, u64)) {
        assert!(extent.0 < extent.1);
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        self.connections += 1;
        assert_eq!(event.tcp.number, event.state.facts.number);
        self.extents.remove(&event.tcp.number);
    }

    fn tick(&mut self, _now: Timestamp) {}
}

impl session::Observer for Watch {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        self.exchanges += 1;
        assert!(matches!(record.qos, 1 | 2));
        assert!(record.packet_id > 0 && record.connection > 0);
        assert!(record.topic.len() <= usize::from(u16::MAX));
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        assert!(record.connection > 0);
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        self.sessions += 1;
        assert!(record.connections > 0);
        assert!(record.first <= record.last);
    }

    fn delay(&mut self, _kind: DelayKind, _towards: Towards, _delay: TimeDelta) {}
}
