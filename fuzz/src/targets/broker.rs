//! The embedded broker's core: several connections that say anything, in any order.
//!
//! Input: options, then operations: what, which connection, how, and for bytes their length and
//! themselves.

use std::collections::BTreeMap;

use mqttscope::broker::{Config, ConnectionId, Core, Fault, Faults, Limits, Qos2Forwarding};
use mqttscope::mqtt::{
    HeaderResult, Packet, PacketType, Property, ProtocolLevel, Subscription, Violation, Violations,
    parse, parse_fixed_header, write,
};
use mqttscope::{TimeDelta, Timestamp};

use crate::input::Bytes;

/// What an operation does; the remainder by their number counts.
pub mod operation {
    pub const OPEN: u8 = 0;
    pub const CONNECT: u8 = 1;
    pub const SUBSCRIBE: u8 = 2;
    pub const PUBLISH: u8 = 3;
    pub const ACKNOWLEDGE: u8 = 4;
    pub const BYTES: u8 = 5;
    pub const LOSE: u8 = 6;
    pub const TIME: u8 = 7;
    pub const READ: u8 = 8;
    pub const DISCONNECT: u8 = 9;
    pub const UNSUBSCRIBE: u8 = 10;
    pub const COUNT: u8 = 11;
}

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    &[operation::OPEN, 0, 0],
    &[operation::CONNECT, 0, 0x0d],
    &[operation::CONNECT, 1, 0x3b],
    &[operation::SUBSCRIBE, 0, 0x02],
    &[operation::PUBLISH, 0, 0x02],
    &[operation::PUBLISH, 1, 0x41],
    &[operation::ACKNOWLEDGE, 0, 0x12],
    &[operation::LOSE, 0, 0],
    &[operation::TIME, 0, 200],
    &[operation::READ, 0, 3],
    b"\x05\0\0\x02\xc0\0",
    b"\x05\0\0\x05\x30\xff\xff\xff\x7f",
    b"\x05\0\0\x08\x82\x06\0\x01\0\x01#\x02",
];

const CONNECTIONS: usize = 4;
const TOPICS: [&str; 4] = ["t", "a/b", "will", "$SYS/broker/x"];
const FILTERS: [&str; 8] = [
    "t",
    "#",
    "a/+",
    "+/b",
    "will",
    "$SYS/#",
    "$share/g/t",
    "a/#/b",
];
const LEVELS: [ProtocolLevel; 3] = [
    ProtocolLevel::V3_1,
    ProtocolLevel::V3_1_1,
    ProtocolLevel::V5,
];

/// One connection as its client sees it.
struct Client {
    id: ConnectionId,
    level: ProtocolLevel,
    receive_maximum: usize,
    /// What was read and is no whole packet yet.
    received: Vec<u8>,
    packets: usize,
    /// It sent something, whether the broker looked at it or not.
    has_spoken: bool,
    said_goodbye: bool,
    /// Sent at QoS 1 or 2 on this connection and not acknowledged by anything.
    open: BTreeMap<u16, u8>,
    /// The client sent bytes that are no packets of ours: what is acknowledged is not known.
    is_wild: bool,
    /// It acknowledged what it had not read: which of that was on its way is not known.
    acknowledges_ahead: bool,
    /// The script repeats messages: a second copy may be on its way when the first is done.
    has_repeats: bool,
}

struct World {
    core: Core,
    now: Timestamp,
    clients: [Option<Client>; CONNECTIONS],
    read: u64,
    has_repeats: bool,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let options = input.byte();
    let mut world = World {
        core: Core::new(config(options), Timestamp::default()),
        now: Timestamp::default(),
        clients: Default::default(),
        read: 0,
        has_repeats: options & 4 != 0,
    };
    while !input.is_empty() {
        world.step(&mut input);
        world.settle();
    }
    for place in 0..CONNECTIONS {
        world.read(place, usize::MAX);
        world.lose(place);
    }
    assert!(world.core.next_ready().is_none(), "nobody is there");
    assert_eq!(world.core.counters().bytes_sent, world.read);
    // Sessions of MQTT 5 end in time, and wills with them.
    world.now = world.now + TimeDelta::from_secs(1 << 33);
    world.core.time_passed(world.now);
    assert!(world.core.next_ready().is_none());
}

fn config(options: u8) -> Config {
    let mut config = Config::default();
    if options & 1 != 0 {
        config.qos2 = Qos2Forwarding::AtPublish;
    }
    if options & 2 != 0 {
        config.limits = Limits {
            connections: 3,
            sessions: 2,
            subscriptions: 3,
            filters: 2,
            retained: 1,
            packet_bytes: 60,
            receive_maximum: 2,
            inflight: 2,
            queued: 2,
            stored_bytes: 600,
            output_bytes: 40,
        };
    }
    if options & 4 != 0 {
        config.faults = Faults::default()
            .message(1, Fault::Swap)
            .message(2, Fault::Duplicate)
            .message(3, Fault::Delay(TimeDelta::from_millis(1500)))
            .message(3, Fault::Swap)
            .message_of("t", 2, Fault::Repeat)
            .message_of("t", 3, Fault::Silent(PacketType::Pubcomp))
            .message_of("a/+", 1, Fault::Refuse(0x97))
            .message_of("a/+", 2, Fault::Reset)
            .refuse_connect(5, 3)
            .reset_at(3, 4);
    }
    config
}

impl World {
    fn step(&mut self, input: &mut Bytes<'_>) {
        use operation as op;
        let what = input.byte() % op::COUNT;
        let place = usize::from(input.byte()) % CONNECTIONS;
        let how = input.byte();
        match what {
            op::OPEN => self.open(place),
            op::LOSE => self.lose(place),
            op::READ => self.read(place, usize::from(how)),
            op::TIME => {
                self.now = self.now + TimeDelta::from_millis(i64::from(how) * 100);
                self.core.time_passed(self.now);
            }
            op::BYTES => {
                let length = usize::from(input.byte());
                let bytes = input.take(length).to_vec();
                if let Some(client) = &mut self.clients[place] {
                    client.is_wild = true;
                }
                self.send(place, &bytes);
            }
            op::CONNECT => self.connect(place, how),
            _ => self.packet(what, place, how),
        }
    }

    fn open(&mut self, place: usize) {
        if self.clients[place].is_some() {
            return;
        }
        let Some(id) = self.core.connection_opened(self.now) else {
            return;
        };
        self.clients[place] = Some(Client {
            id,
            level: ProtocolLevel::V3_1_1,
            receive_maximum: usize::MAX,
            received: Vec::new(),
            packets: 0,
            has_spoken: false,
            said_goodbye: false,
            open: BTreeMap::new(),
            is_wild: false,
            acknowledges_ahead: false,
            has_repeats: self.has_repeats,
        });
    }

    fn connect(&mut self, place: usize, how: u8) {
        self.open(place);
        let Some(client) = &mut self.clients[place] else {
            return;
        };
        let level = LEVELS[usize::from(how & 3) % 3];
        let is_first = !client.has_spoken;
        if is_first {
            client.level = level;
        }
        let mut properties = vec![Property::SessionExpiryInterval(u32::from(how >> 4))];
        if how & 8 != 0 {
            properties.push(Property::ReceiveMaximum(1));
            if level == ProtocolLevel::V5 && is_first {
                client.receive_maximum = 1;
            }
        }
        let delay = [Property::WillDelayInterval(u32::from(how >> 6))];
        let will = write::Will {
            qos: how >> 5 & 1,
            retain: how & 16 != 0,
            properties: &delay,
            topic: b"will",
            payload: b"gone",
        };
        let names = [&b""[..], b"1", b"2", b"3"];
        let packet = write::Connect {
            level,
            clean_start: how & 4 != 0,
            keep_alive: u16::from(how >> 5),
            properties: &properties,
            client_id: names[usize::from(how >> 4) % 4],
            will: (how & 0x40 != 0).then_some(will),
            user_name: None,
            password: None,
        };
        let mut bytes = Vec::new();
        write::connect(&mut bytes, &packet).unwrap();
        self.send(place, &bytes);
    }

    fn packet(&mut self, what: u8, place: usize, how: u8) {
        use operation as op;
        let Some(client) = &mut self.clients[place] else {
            return;
        };
        let level = client.level;
        let id = u16::from(how >> 4);
        let mut out = Vec::new();
        match what {
            op::SUBSCRIBE => {
                let subscription = Subscription {
                    filter: FILTERS[usize::from(how >> 3) % 8].as_bytes(),
                    options: how & 7,
                };
                let identifier = [Property::SubscriptionIdentifier(u32::from(how) + 1)];
                write::subscribe(&mut out, level, 1, &identifier, &[subscription]).unwrap();
            }
            op::UNSUBSCRIBE => {
                let filter = FILTERS[usize::from(how) % 8].as_bytes();
                write::unsubscribe(&mut out, level, 2, &[], &[filter]).unwrap();
            }
            op::PUBLISH => {
                let packet = write::Publish {
                    dup: how & 4 != 0,
                    qos: how & 3,
                    retain: how & 8 != 0,
                    topic: TOPICS[usize::from(how >> 6)].as_bytes(),
                    packet_id: id,
                    properties: &[Property::MessageExpiryInterval(2)],
                    payload: &[b'x'; 20][..usize::from(how >> 4)],
                };
                write::publish(&mut out, level, &packet).unwrap();
            }
            op::ACKNOWLEDGE => {
                let kinds = [
                    PacketType::Puback,
                    PacketType::Pubrec,
                    PacketType::Pubrel,
                    PacketType::Pubcomp,
                ];
                let kind = kinds[usize::from(how & 3)];
                let code = if how & 4 != 0 && kind == PacketType::Pubrec {
                    0x80
                } else {
                    0
                };
                if kind != PacketType::Pubrel && (kind != PacketType::Pubrec || code != 0) {
                    client.acknowledges_ahead |= client.open.remove(&id).is_none();
                }
                write::acknowledgment(&mut out, level, kind, id, code, &[]).unwrap();
            }
            _ => write::disconnect(&mut out, level, how & 4, &[]).unwrap(),
        }
        self.send(place, &out);
    }

    fn send(&mut self, place: usize, bytes: &[u8]) {
        if let Some(client) = &mut self.clients[place]
            && self.core.wants_input(client.id)
        {
            client.has_spoken = true;
            self.core.bytes_received(client.id, bytes, self.now);
        }
    }

    fn lose(&mut self, place: usize) {
        if let Some(client) = self.clients[place].take() {
            self.core.connection_closed(client.id, self.now);
        }
    }

    /// Asks what is to be done, as a shell does, and ends what is to be ended.
    fn settle(&mut self) {
        while let Some(id) = self.core.next_ready() {
            let known = self.clients.iter().flatten().any(|client| client.id == id);
            assert!(known, "a connection that is gone");
        }
        let due = self.core.next_deadline();
        assert!(due.is_none_or(|due| due >= Timestamp::default()));
    }

    /// The client reads so many bytes at most.
    fn read(&mut self, place: usize, most: usize) {
        let Some(client) = &mut self.clients[place] else {
            return;
        };
        let mut left = most;
        loop {
            let output = self.core.output(client.id);
            let count = output.len().min(left);
            if count == 0 {
                break;
            }
            client.received.extend_from_slice(&output[..count]);
            self.core.written(client.id, count);
            self.read += count as u64;
            left -= count;
        }
        client.look();
    }
}

impl Client {
    /// What came has to be packets that a broker may send to this client now.
    fn look(&mut self) {
        let received = std::mem::take(&mut self.received);
        let mut rest = received.as_slice();
        loop {
            let header = match parse_fixed_header(rest) {
                HeaderResult::Complete(header) => header,
                HeaderResult::Incomplete => break,
                HeaderResult::Malformed => panic!("{rest:x?}"),
            };
            let length = header.packet_length() as usize;
            let Some(body) = rest.get(usize::from(header.header_length)..length) else {
                break;
            };
            self.packet(header.first_byte, body);
            rest = &rest[length..];
        }
        self.received = rest.to_vec();
    }

    fn packet(&mut self, first_byte: u8, body: &[u8]) {
        assert!(!self.said_goodbye, "after DISCONNECT");
        self.packets += 1;
        if self.is_wild {
            return;
        }
        let parsed = parse(first_byte, body, self.level);
        let is_connack = matches!(parsed.packet, Packet::Connack(_));
        // The script refuses with a code of 3.1.1, whatever the client speaks.
        let unknown = Violations::of(Violation::UnknownReasonCode);
        let is_scripted = is_connack && parsed.malformed.is_none() && parsed.violations == unknown;
        assert!(parsed.is_valid() || is_scripted, "{parsed:?}");
        assert_eq!(is_connack, self.packets == 1, "{parsed:?}");
        match &parsed.packet {
            Packet::Publish(publish) if publish.dup && self.has_repeats => {
                assert!(publish.qos > 0, "DUP at QoS 0");
            }
            Packet::Publish(publish) if publish.qos > 0 => {
                let id = publish.packet_id.unwrap_or(0);
                let before = self.open.insert(id, publish.qos);
                if !self.acknowledges_ahead {
                    assert!(before.is_none() || publish.dup, "an identifier in use");
                    assert!(self.open.len() <= self.receive_maximum, "beyond the window");
                }
            }
            Packet::Disconnect(_) => {
                assert!(self.level.is_v5());
                self.said_goodbye = true;
            }
            Packet::Publish(_)
            | Packet::Connack(_)
            | Packet::Acknowledgment(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp => {}
            other => panic!("not from a broker: {other:?}"),
        }
    }
}
