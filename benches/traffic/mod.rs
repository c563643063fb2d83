//! Traffic made in memory: clients that publish to one broker with QoS 0, 1 and 2, as Ethernet
//! frames with the TCP options that Linux sends. The same arguments give the same bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mqttscope::mqtt::{Subscription, write};
use mqttscope::wire::TcpFlags;
use mqttscope::{Frame, Interface, LinkType, PacketType, PcapngWriter, ProtocolLevel, Timestamp};

pub(crate) const TOPIC: &[u8] = b"factory/hall-3/line-7/temperature";
pub(crate) const PAYLOAD: &[u8] =
    br#"{"value":21.375,"unit":"C","sequence":4711,"quality":"good"}"#;

const BROKER_PORT: u16 = 1883;
const BEGIN: i64 = 1_700_000_000_000_000_000;
/// Between two frames, in nanoseconds.
const STEP: i64 = 2_000;
/// Clients whose exchanges overlap. Frames of one connection then seldom follow each other, as
/// on a busy broker.
const OVERLAPPING: usize = 16;
/// 7919 is prime and divides no number of connections used here, so that walking in its steps
/// visits every connection once, none beside the one before.
const STRIDE: usize = 7_919;

/// Which version of IP carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ip {
    V4,
    V6,
}

/// Frames, back to back.
pub(crate) struct Traffic {
    bytes: Vec<u8>,
    /// One past each frame's last byte.
    ends: Vec<usize>,
}

impl Traffic {
    /// `connections` clients connect; then, `rounds` times, each publishes one message.
    pub(crate) fn new(ip: Ip, connections: usize, rounds: usize) -> Self {
        let mut traffic = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        let mut clients: Vec<_> = (0..connections).map(|i| Client::new(ip, i)).collect();
        let order: Vec<_> = (0..connections).map(|i| i * STRIDE % connections).collect();
        for round in 0..=rounds {
            for group in order.chunks(OVERLAPPING) {
                // No dialogue has more than five steps.
                for step in 0..5 {
                    for &index in group {
                        let client = &mut clients[index];
                        match round {
                            0 => client.open(step, &mut traffic),
                            _ => client.publish((index + round) % 3, step, &mut traffic),
                        }
                    }
                }
            }
        }
        traffic
    }

    /// The same, and then the connections end one after the other; every `silent`th just falls
    /// silent.
    pub(crate) fn ending(ip: Ip, connections: usize, rounds: usize, silent: usize) -> Self {
        let mut traffic = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        let mut clients: Vec<_> = (0..connections).map(|i| Client::new(ip, i)).collect();
        for group in clients.chunks_mut(OVERLAPPING) {
            for round in 0..=rounds + 1 {
                for step in 0..5 {
                    for client in group.iter_mut() {
                        match round {
                            0 => client.open(step, &mut traffic),
                            _ if round <= rounds => {
                                client.publish((client.index + round) % 3, step, &mut traffic);
                            }
                            _ if client.index % silent == 0 => {}
                            _ => client.end(step, &mut traffic),
                        }
                    }
                }
            }
        }
        traffic
    }

    /// `subscribers` clients subscribe to one topic; then `messages` equal messages come from
    /// another client, in a row, and after the last of them the broker passes all of them on.
    pub(crate) fn fan_out(ip: Ip, subscribers: usize, messages: usize) -> Self {
        let mut traffic = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        let mut clients: Vec<_> = (0..=subscribers).map(|i| Client::new(ip, i)).collect();
        for client in &mut clients {
            (0..5).for_each(|step| client.open(step, &mut traffic));
        }
        let (publisher, subscribers) = clients.split_first_mut().unwrap();
        for client in subscribers.iter_mut() {
            (0..3).for_each(|step| client.subscribe(step, &mut traffic));
        }
        for _ in 0..messages {
            (0..2).for_each(|step| publisher.publish(0, step, &mut traffic));
        }
        for _ in 0..messages {
            for client in subscribers.iter_mut() {
                (0..2).for_each(|step| client.receive(step, &mut traffic));
            }
        }
        traffic
    }

    /// How many frames there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all frames.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let mut begin = 0;
        (1..).zip(&self.ends).map(move |(number, &end)| {
            let bytes = &self.bytes[begin..end];
            begin = end;
            Frame {
                time: Timestamp::from_nanos(BEGIN + STEP * number as i64),
                link_type: LinkType::ETHERNET,
                wire_length: bytes.len() as u32,
                bytes,
                tap: 0,
                file: 0,
                number,
            }
        })
    }

    /// As a pcap file with nanoseconds.
    pub(crate) fn pcap(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(24 + self.bytes.len() + 16 * self.len());
        file.extend(0xa1b2_3c4d_u32.to_le_bytes());
        file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.extend(262_144_u32.to_le_bytes());
        file.extend(u32::from(LinkType::ETHERNET.0).to_le_bytes());
        for frame in self.frames() {
            let time = frame.time.as_nanos();
            for field in [(time / 1_000_000_000) as u32, (time % 1_000_000_000) as u32] {
                file.extend(field.to_le_bytes());
            }
            file.extend(frame.wire_length.to_le_bytes());
            file.extend(frame.wire_length.to_le_bytes());
            file.extend(frame.bytes);
        }
        file
    }

    /// As a pcapng file.
    pub(crate) fn pcapng(&self) -> Vec<u8> {
        let mut writer = PcapngWriter::new(Vec::new(), "benches").unwrap();
        let interface = Interface::new(LinkType::ETHERNET);
        let interface = writer.add_interface(&interface).unwrap();
        for frame in self.frames() {
            writer
                .write_frame(interface, frame.time, frame.wire_length, frame.bytes, None)
                .unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn end_frame(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

/// A client and the broker it talks to.
struct Client {
    level: ProtocolLevel,
    index: usize,
    /// Client, then broker.
    addresses: [IpAddr; 2],
    port: u16,
    /// Next sequence numbers of client and broker.
    next: [u32; 2],
    packet_id: u16,
    packet: Vec<u8>,
}

const CLIENT: usize = 0;
const BROKER: usize = 1;

impl Client {
    fn new(ip: Ip, index: usize) -> Self {
        let host = index as u32 + 2;
        let addresses = match ip {
            Ip::V4 => {
                [0x0a00_0000 | host, 0xc633_6401].map(|bits| Ipv4Addr::from_bits(bits).into())
            }
            Ip::V6 => [host, 1].map(|host| {
                let prefix = 0x2001_0db8_u128 << 96;
                Ipv6Addr::from_bits(prefix | u128::from(host)).into()
            }),
        };
        Self {
            level: match index % 4 {
                3 => ProtocolLevel::V5,
                _ => ProtocolLevel::V3_1_1,
            },
            index,
            addresses,
            port: 32_768 + (index % 28_000) as u16,
            next: [host.wrapping_mul(2_654_435_761), host.wrapping_mul(40_503)],
            packet_id: 0,
            packet: Vec::new(),
        }
    }

    /// One frame of TCP's handshake, or of CONNECT and CONNACK.
    fn open(&mut self, step: usize, out: &mut Traffic) {
        self.packet.clear();
        match step {
            0 => self.send(CLIENT, TcpFlags::SYN, out),
            1 => self.send(BROKER, TcpFlags::SYN | TcpFlags::ACK, out),
            2 => self.send(CLIENT, TcpFlags::ACK, out),
            3 => {
                let client_id = format!("sensor-{:06}", self.index);
                let connect = write::Connect {
                    level: self.level,
                    clean_start: true,
                    keep_alive: 60,
                    properties: &[],
                    client_id: client_id.as_bytes(),
                    will: None,
                    user_name: None,
                    password: None,
                };
                write::connect(&mut self.packet, &connect).unwrap();
                self.send(CLIENT, TcpFlags::PSH | TcpFlags::ACK, out);
            }
            _ => {
                write::connack(&mut self.packet, self.level, false, 0, &[]).unwrap();
                self.send(BROKER, TcpFlags::PSH | TcpFlags::ACK, out);
            }
        }
    }

    /// One frame of a message with this QoS, up to TCP's acknowledgment.
    fn publish(&mut self, qos: usize, step: usize, out: &mut Traffic) {
        self.packet.clear();
        let (sender, answer) = match (qos, step) {
            (_, 0) => (CLIENT, None),
            (1, 1) => (BROKER, Some(PacketType::Puback)),
            (2, 1) => (BROKER, Some(PacketType::Pubrec)),
            (2, 2) => (CLIENT, Some(PacketType::Pubrel)),
            (2, 3) => (BROKER, Some(PacketType::Pubcomp)),
            (0, 1) => return self.send(BROKER, TcpFlags::ACK, out),
            (1, 2) | (2, 4) => return self.send(CLIENT, TcpFlags::ACK, out),
            _ => return,
        };
        let (level, packet) = (self.level, &mut self.packet);
        if let Some(kind) = answer {
            write::acknowledgment(packet, level, kind, self.packet_id, 0, &[]).unwrap();
        } else {
            self.packet_id = self.packet_id % u16::MAX + 1;
            let publish = write::Publish {
                dup: false,
                qos: qos as u8,
                retain: false,
                topic: TOPIC,
                packet_id: self.packet_id,
                properties: &[],
                payload: PAYLOAD,
            };
            write::publish(packet, level, &publish).unwrap();
        }
        self.send(sender, TcpFlags::PSH | TcpFlags::ACK, out);
    }

    /// One frame of a subscription to the topic that everybody publishes to.
    fn subscribe(&mut self, step: usize, out: &mut Traffic) {
        self.packet.clear();
        match step {
            0 => {
                let subscription = Subscription {
                    filter: TOPIC,
                    options: 0,
                };
                write::subscribe(&mut self.packet, self.level, 1, &[], &[subscription]).unwrap();
                self.send(CLIENT, TcpFlags::PSH | TcpFlags::ACK, out);
            }
            1 => {
                write::suback(&mut self.packet, self.level, 1, &[], &[0]).unwrap();
                self.send(BROKER, TcpFlags::PSH | TcpFlags::ACK, out);
            }
            _ => self.send(CLIENT, TcpFlags::ACK, out),
        }
    }

    /// One frame of a message that the broker passes on, or TCP's acknowledgment of it.
    fn receive(&mut self, step: usize, out: &mut Traffic) {
        self.packet.clear();
        if step > 0 {
            return self.send(CLIENT, TcpFlags::ACK, out);
        }
        let publish = write::Publish {
            dup: false,
            qos: 0,
            retain: false,
            topic: TOPIC,
            packet_id: 0,
            properties: &[],
            payload: PAYLOAD,
        };
        write::publish(&mut self.packet, self.level, &publish).unwrap();
        self.send(BROKER, TcpFlags::PSH | TcpFlags::ACK, out);
    }

    /// One frame of DISCONNECT and the end of the connection.
    fn end(&mut self, step: usize, out: &mut Traffic) {
        self.packet.clear();
        let fin = TcpFlags::FIN | TcpFlags::ACK;
        match step {
            0 => {
                write::disconnect(&mut self.packet, ProtocolLevel::V3_1_1, 0, &[]).unwrap();
                self.send(CLIENT, TcpFlags::PSH | TcpFlags::ACK, out);
            }
            1 => self.send(CLIENT, fin, out),
            2 => self.send(BROKER, fin, out),
            3 => self.send(CLIENT, TcpFlags::ACK, out),
            _ => {}
        }
    }

    /// Appends one frame with `self.packet` as payload. Checksums stay 0, as where the network
    /// card fills them in.
    fn send(&mut self, sender: usize, flags: TcpFlags, out: &mut Traffic) {
        /// Header with the 12 bytes of options that every segment of Linux's has.
        const TCP: usize = 32;
        let receiver = 1 - sender;
        let length = (TCP + self.packet.len()) as u16;
        let number = out.len() as u32;
        let bytes = &mut out.bytes;
        bytes.extend([2, 0, 0, 0, 0, receiver as u8, 2, 0, 0, 0, 0, sender as u8]);
        match (self.addresses[sender], self.addresses[receiver]) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                bytes.extend([0x08, 0x00, 0x45, 0]);
                bytes.extend((20 + length).to_be_bytes());
                bytes.extend((number as u16).to_be_bytes());
                bytes.extend([0x40, 0, 64, 6, 0, 0]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                bytes.extend(length.to_be_bytes());
                bytes.extend([6, 64]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
            }
            _ => unreachable!("both ends have the same version"),
        }
        let ports = [self.port, BROKER_PORT];
        bytes.extend(ports[sender].to_be_bytes());
        bytes.extend(ports[receiver].to_be_bytes());
        bytes.extend(self.next[sender].to_be_bytes());
        let acknowledged = if flags.ack() { self.next[receiver] } else { 0 };
        bytes.extend(acknowledged.to_be_bytes());
        bytes.extend([(TCP as u8) << 2, flags.0, 0x01, 0xf6, 0, 0, 0, 0]);
        if flags.syn() {
            // Maximum segment size, window scale, padding.
            bytes.extend([2, 4, 0x05, 0xb4, 1, 3, 3, 7, 1, 1, 1, 1]);
        } else {
            // Time stamps.
            bytes.extend([1, 1, 8, 10]);
            bytes.extend(number.to_be_bytes());
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(&self.packet);
        let occupied = self.packet.len() as u32 + u32::from(flags.syn() || flags.fin());
        self.next[sender] = self.next[sender].wrapping_add(occupied);
        out.end_frame();
    }
}
