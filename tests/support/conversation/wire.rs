//! A script to Ethernet frames: TCP's handshake, sequence numbers and acknowledgments, as a tap
//! between the two hosts sees them.

use std::collections::HashMap;

use etherparse::{IpHeaders, IpNumber, Ipv4Header, PacketBuilder};
use mqttscope::mqtt::ProtocolLevel;

use super::instant::Instant;
use super::packet::PacketSpec;
use super::script::{Close, Peer, SegmentSpec, Step};

/// The last byte is another one where a step says so.
const BROKER: [u8; 4] = [10, 0, 0, 9];
const CLIENT: [u8; 4] = [10, 0, 0, 1];
const BROKER_PORT: u16 = 1883;
const FIRST_CLIENT_PORT: u16 = 50_001;
/// From a segment to its acknowledgment, and between the parts of a handshake.
const STEP: i64 = 10_000;

/// A frame, and when it was captured.
pub(crate) struct TimedFrame {
    pub(crate) time: Instant,
    pub(crate) bytes: Vec<u8>,
    /// The only tap that sees it; all do without it.
    pub(crate) tap: Option<u16>,
}

/// A segment as its sender made it.
#[derive(Clone, Debug)]
struct Sent {
    time: Instant,
    connection: usize,
    from: Peer,
    sequence: u32,
    kind: Kind,
    payload: Vec<u8>,
    captured: bool,
    tap: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Syn,
    SynAck,
    Data,
    Ack,
    Fin,
    Rst,
}

/// One TCP connection of the script.
struct Flow {
    broker: [u8; 4],
    level: ProtocolLevel,
    /// Sequence number of the next byte: of the client, of the broker.
    next: [u32; 2],
    /// First byte that did not arrive yet, likewise.
    arrived: [u32; 2],
    /// What arrived beyond a hole, likewise: sequence number and the one after its last.
    beyond: [Vec<(u32, u32)>; 2],
}

const fn side(peer: Peer) -> usize {
    match peer {
        Peer::Client => 0,
        Peer::Broker => 1,
    }
}

const fn other(peer: Peer) -> Peer {
    match peer {
        Peer::Client => Peer::Broker,
        Peer::Broker => Peer::Client,
    }
}

impl Flow {
    fn new(index: usize) -> Self {
        let index = u32::try_from(index).unwrap();
        let next = [1_000 + index * 100_000, 5_000_000 + index * 100_000];
        Self {
            broker: BROKER,
            level: ProtocolLevel::V3_1_1,
            next,
            arrived: next,
            beyond: [Vec::new(), Vec::new()],
        }
    }

    /// The receiver's TCP takes a segment.
    fn arrive(&mut self, from: Peer, start: u32, length: u32) {
        let end = start.wrapping_add(length);
        let beyond = &mut self.beyond[side(from)];
        beyond.push((start, end));
        beyond.sort_unstable();
        for &(start, end) in beyond.iter() {
            if start <= self.arrived[side(from)] {
                self.arrived[side(from)] = self.arrived[side(from)].max(end);
            }
        }
    }
}

/// Names of connections in the order of their first frame, which is how the analysis numbers them.
pub(crate) fn connection_names(steps: &[Step]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for step in steps {
        if !names.contains(&step.on) {
            names.push(step.on.clone());
        }
    }
    names
}

/// All frames that the tap saw, in order of time.
pub(crate) fn frames(steps: &[Step]) -> Vec<TimedFrame> {
    let names = connection_names(steps);
    let mut flows: Vec<Flow> = (0..names.len()).map(Flow::new).collect();
    let mut sent: Vec<Sent> = Vec::new();
    let mut named: HashMap<String, Vec<Sent>> = HashMap::new();
    for step in steps {
        let connection = names.iter().position(|name| *name == step.on).unwrap();
        if let Some(last) = step.broker {
            flows[connection].broker[3] = last;
        }
        if let Some(name) = &step.retransmit {
            let again = named.get(name).expect("retransmit names an earlier step");
            sent.extend(again.iter().map(|segment| Sent {
                time: step.at,
                captured: !step.lost,
                ..segment.clone()
            }));
            continue;
        }
        let new = segments_of(step, connection, &mut flows[connection]);
        if let Some(name) = &step.name {
            named.insert(name.clone(), new.clone());
        }
        sent.extend(new);
    }
    sent.sort_by_key(|segment| segment.time);
    captured(sent, &mut flows)
}

fn segments_of(step: &Step, connection: usize, flow: &mut Flow) -> Vec<Sent> {
    let make = |time: i64, from: Peer, kind: Kind, payload: &[u8], flow: &mut Flow| {
        let next = &mut flow.next[side(from)];
        let sequence = *next;
        let phantom = matches!(kind, Kind::Syn | Kind::SynAck | Kind::Fin);
        *next += u32::try_from(payload.len()).unwrap() + u32::from(phantom);
        Sent {
            time: Instant(time),
            connection,
            from,
            sequence,
            kind,
            payload: payload.to_vec(),
            captured: !step.lost,
            tap: step.tap,
        }
    };
    let at = step.at.0;
    let packet = match (&step.to_broker, &step.to_client) {
        (Some(packet), None) => Some((Peer::Client, packet)),
        (None, Some(packet)) => Some((Peer::Broker, packet)),
        (None, None) => None,
        _ => panic!("one action for each step: {step:?}"),
    };
    match (packet, step.open, step.close) {
        (Some((from, packet)), false, None) => {
            let bytes = bytes_of(step, packet, flow);
            let whole = [SegmentSpec {
                at: step.at,
                bytes: None,
                lost: false,
            }];
            let pieces = if step.segments.is_empty() {
                &whole[..]
            } else {
                &step.segments
            };
            let mut rest = &bytes[..];
            let mut out = Vec::new();
            for piece in pieces {
                let (now, later) = rest.split_at(piece.bytes.unwrap_or(rest.len()));
                rest = later;
                let mut segment = make(piece.at.0, from, Kind::Data, now, flow);
                segment.captured &= !piece.lost;
                out.push(segment);
            }
            assert!(
                rest.is_empty(),
                "the segments hold the whole packet: {step:?}"
            );
            out
        }
        (None, true, None) => vec![
            make(at, Peer::Client, Kind::Syn, &[], flow),
            make(at + STEP, Peer::Broker, Kind::SynAck, &[], flow),
            make(at + 2 * STEP, Peer::Client, Kind::Ack, &[], flow),
        ],
        (None, false, Some(close)) => {
            let by = step.by.expect("close says by whom");
            match close {
                Close::Rst => vec![make(at, by, Kind::Rst, &[], flow)],
                Close::Fin => vec![
                    make(at, by, Kind::Fin, &[], flow),
                    make(at + STEP, other(by), Kind::Fin, &[], flow),
                    make(at + 2 * STEP, by, Kind::Ack, &[], flow),
                ],
            }
        }
        _ => panic!("one action for each step: {step:?}"),
    }
}

fn bytes_of(step: &Step, packet: &PacketSpec, flow: &mut Flow) -> Vec<u8> {
    if let PacketSpec::Connect(connect) = packet
        && let Some(level) = ProtocolLevel::from_number(connect.level)
    {
        flow.level = level;
    }
    let level = step.level.map_or(flow.level, |number| {
        ProtocolLevel::from_number(number).expect("a level of 3, 4 or 5")
    });
    packet.bytes(level)
}

/// What the tap sees: each segment with the acknowledgment that its sender can give by then, and
/// the receiver's answer to data.
fn captured(sent: Vec<Sent>, flows: &mut [Flow]) -> Vec<TimedFrame> {
    let mut out: Vec<TimedFrame> = Vec::new();
    for segment in sent {
        let flow = &mut flows[segment.connection];
        let acknowledged = flow.arrived[side(other(segment.from))];
        let phantom = matches!(segment.kind, Kind::Syn | Kind::SynAck | Kind::Fin);
        let length = u32::try_from(segment.payload.len()).unwrap() + u32::from(phantom);
        flow.arrive(segment.from, segment.sequence, length);
        if segment.captured {
            let number = out.len();
            out.push(TimedFrame {
                time: segment.time,
                bytes: frame(&segment, flow.broker, acknowledged, number),
                tap: segment.tap,
            });
        }
        if segment.kind == Kind::Data {
            let number = out.len();
            let answer = Sent {
                time: Instant(segment.time.0 + STEP),
                from: other(segment.from),
                sequence: flow.arrived[side(other(segment.from))],
                kind: Kind::Ack,
                payload: Vec::new(),
                ..segment
            };
            let acknowledged = flow.arrived[side(segment.from)];
            out.push(TimedFrame {
                time: answer.time,
                bytes: frame(&answer, flow.broker, acknowledged, number),
                tap: answer.tap,
            });
        }
    }
    out.sort_by_key(|frame| frame.time);
    out
}

fn frame(segment: &Sent, broker: [u8; 4], acknowledged: u32, number: usize) -> Vec<u8> {
    let client_port = FIRST_CLIENT_PORT + u16::try_from(segment.connection).unwrap();
    let (source, destination) = match segment.from {
        Peer::Client => ((CLIENT, client_port), (broker, BROKER_PORT)),
        Peer::Broker => ((broker, BROKER_PORT), (CLIENT, client_port)),
    };
    let mut ip = Ipv4Header::new(0, 64, IpNumber::TCP, source.0, destination.0).unwrap();
    ip.identification = u16::try_from(number + 1).unwrap();
    let tcp = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ip(IpHeaders::Ipv4(ip, Default::default()))
        .tcp(source.1, destination.1, segment.sequence, 64_000);
    let tcp = match segment.kind {
        Kind::Syn => tcp.syn(),
        Kind::SynAck => tcp.syn().ack(acknowledged),
        Kind::Data => tcp.psh().ack(acknowledged),
        Kind::Ack => tcp.ack(acknowledged),
        Kind::Fin => tcp.fin().ack(acknowledged),
        Kind::Rst => tcp.rst().ack(acknowledged),
    };
    let mut bytes = Vec::with_capacity(tcp.size(segment.payload.len()));
    tcp.write(&mut bytes, &segment.payload).unwrap();
    bytes
}
