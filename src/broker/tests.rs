//! The core with a made-up clock: what goes in as packets comes out as words.

mod faults;
mod hostile;
mod limits;
mod messages;
mod sessions;

use crate::mqtt::{
    HeaderResult, Packet, PacketType, Property, ProtocolLevel, Subscription, parse,
    parse_fixed_header, write,
};
use crate::time::{TimeDelta, Timestamp};

use super::{Closing, Config, ConnectionId, Core, Faults, Limits, Qos2Forwarding};

const V3: ProtocolLevel = ProtocolLevel::V3_1_1;
const V5: ProtocolLevel = ProtocolLevel::V5;

/// A broker and its clock.
struct World {
    core: Core,
    now: Timestamp,
    clients: Vec<Client>,
}

struct Client {
    id: ConnectionId,
    level: ProtocolLevel,
    /// What came and was not looked at.
    received: Vec<u8>,
    closed: Option<Closing>,
}

/// A CONNECT; the rest is as for a client that wants nothing special.
struct Hello<'a> {
    level: ProtocolLevel,
    clean: bool,
    keep_alive: u16,
    properties: &'a [Property<'a>],
    will: Option<write::Will<'a>>,
}

impl Hello<'_> {
    const fn new(level: ProtocolLevel) -> Self {
        Self {
            level,
            clean: true,
            keep_alive: 0,
            properties: &[],
            will: None,
        }
    }
}

fn will<'a>(qos: u8, retain: bool, properties: &'a [Property<'a>]) -> write::Will<'a> {
    write::Will {
        qos,
        retain,
        properties,
        topic: b"will",
        payload: b"gone",
    }
}

impl World {
    fn new(config: Config) -> Self {
        let now = Timestamp::from_nanos(1_000);
        Self {
            core: Core::new(config, now),
            now,
            clients: Vec::new(),
        }
    }

    fn at_publish() -> Self {
        Self::new(Config {
            qos2: Qos2Forwarding::AtPublish,
            ..Config::default()
        })
    }

    fn with_faults(faults: Faults) -> Self {
        Self::new(Config {
            faults,
            ..Config::default()
        })
    }

    fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        let mut config = Config::default();
        change(&mut config.limits);
        Self::new(config)
    }

    fn open(&mut self, level: ProtocolLevel) -> usize {
        let id = self.core.connection_opened(self.now).unwrap();
        self.clients.push(Client {
            id,
            level,
            received: Vec::new(),
            closed: None,
        });
        self.clients.len() - 1
    }

    /// Opens a connection and sends CONNECT.
    fn connect(&mut self, client_id: &str, hello: &Hello<'_>) -> usize {
        let client = self.open(hello.level);
        let packet = write::Connect {
            level: hello.level,
            clean_start: hello.clean,
            keep_alive: hello.keep_alive,
            properties: hello.properties,
            client_id: client_id.as_bytes(),
            will: hello.will,
            user_name: None,
            password: None,
        };
        self.send(client, |out, _| write::connect(out, &packet).unwrap());
        client
    }

    /// A client that is connected, with its CONNACK read.
    fn client(&mut self, client_id: &str, level: ProtocolLevel) -> usize {
        let client = self.connect(client_id, &Hello::new(level));
        assert!(self.take(client)[0].starts_with("CONNACK 0 "));
        client
    }

    fn subscriber(
        &mut self,
        client_id: &str,
        level: ProtocolLevel,
        filter: &str,
        qos: u8,
    ) -> usize {
        let client = self.client(client_id, level);
        self.subscribe(client, filter, qos);
        assert_eq!(self.take(client), [format!("SUBACK 9 {qos}")]);
        client
    }

    fn send(&mut self, client: usize, packet: impl FnOnce(&mut Vec<u8>, ProtocolLevel)) {
        let mut bytes = Vec::new();
        packet(&mut bytes, self.clients[client].level);
        self.send_bytes(client, &bytes);
    }

    fn send_bytes(&mut self, client: usize, bytes: &[u8]) {
        let id = self.clients[client].id;
        self.core.bytes_received(id, bytes, self.now);
        self.flush();
    }

    fn subscribe(&mut self, client: usize, filter: &str, options: u8) {
        self.subscribe_as(client, filter, options, &[]);
    }

    fn subscribe_as(
        &mut self,
        client: usize,
        filter: &str,
        options: u8,
        properties: &[Property<'_>],
    ) {
        let subscription = Subscription {
            filter: filter.as_bytes(),
            options,
        };
        self.send(client, |out, level| {
            write::subscribe(out, level, 9, properties, &[subscription]).unwrap();
        });
    }

    fn publish(&mut self, client: usize, qos: u8, packet_id: u16, topic: &str, payload: &str) {
        self.publish_as(client, &publish(qos, packet_id, topic, payload));
    }

    fn publish_as(&mut self, client: usize, packet: &write::Publish<'_>) {
        self.send(client, |out, level| {
            write::publish(out, level, packet).unwrap();
        });
    }

    fn acknowledge(&mut self, client: usize, kind: PacketType, packet_id: u16) {
        self.send(client, |out, level| {
            write::acknowledgment(out, level, kind, packet_id, 0, &[]).unwrap();
        });
    }

    fn disconnect(&mut self, client: usize) {
        self.send(client, |out, level| {
            write::disconnect(out, level, 0, &[]).unwrap();
        });
    }

    /// The network loses the connection.
    fn lose(&mut self, client: usize) {
        self.core
            .connection_closed(self.clients[client].id, self.now);
        self.flush();
    }

    fn pass(&mut self, time: TimeDelta) {
        self.now = self.now + time;
        self.core.time_passed(self.now);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(id) = self.core.next_ready() {
            let client = self.clients.iter_mut().rev().find(|client| client.id == id);
            let client = client.unwrap();
            loop {
                let output = self.core.output(id);
                if output.is_empty() {
                    break;
                }
                let count = output.len();
                client.received.extend_from_slice(output);
                self.core.written(id, count);
            }
            client.closed = client.closed.or(self.core.closing(id));
        }
    }

    /// The packets that a client got since the last time, and whether its connection ended.
    fn take(&mut self, client: usize) -> Vec<String> {
        let client = &mut self.clients[client];
        let bytes = std::mem::take(&mut client.received);
        let mut words = packets(&bytes, client.level);
        words.extend(client.closed.take().map(|closing| format!("{closing:?}")));
        words
    }
}

fn publish<'a>(qos: u8, packet_id: u16, topic: &'a str, payload: &'a str) -> write::Publish<'a> {
    write::Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.as_bytes(),
        packet_id,
        properties: &[],
        payload: payload.as_bytes(),
    }
}

/// Every packet in words; each has to be valid.
fn packets(mut bytes: &[u8], level: ProtocolLevel) -> Vec<String> {
    let mut words = Vec::new();
    while !bytes.is_empty() {
        let HeaderResult::Complete(header) = parse_fixed_header(bytes) else {
            panic!("not a packet: {bytes:?}");
        };
        let (packet, rest) = bytes.split_at(header.packet_length() as usize);
        let body = &packet[usize::from(header.header_length)..];
        let parsed = parse(header.first_byte, body, level);
        assert!(parsed.is_valid(), "{parsed:?}");
        words.push(word(&parsed.packet));
        bytes = rest;
    }
    words
}

fn word(packet: &Packet<'_>) -> String {
    let name = packet.packet_type().name();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match packet {
        Packet::Connack(connack) => {
            let present = connack.session_present() == Some(true);
            let present = if present { "resumed" } else { "new" };
            format!("{name} {} {present}", connack.reason_code.unwrap())
        }
        Packet::Publish(publish) => {
            let mut word = format!("{name} q{}", publish.qos);
            if let Some(id) = publish.packet_id {
                word += &format!(" id={id}");
            }
            for (is_set, flag) in [(publish.dup, " dup"), (publish.retain, " retain")] {
                word += if is_set { flag } else { "" };
            }
            word += &format!(
                " {} {}",
                text(publish.topic.unwrap()),
                text(publish.payload)
            );
            for property in publish.properties.iter() {
                word += &format!(" {property:?}");
            }
            word
        }
        Packet::Suback(suback) => format!(
            "{name} {} {}",
            suback.packet_id.unwrap(),
            codes(suback.reason_codes)
        ),
        Packet::Unsuback(unsuback) => {
            format!(
                "{name} {} {}",
                unsuback.packet_id.unwrap(),
                codes(unsuback.reason_codes)
            )
        }
        Packet::Acknowledgment(acknowledgment) => {
            let code = acknowledgment.reason_code.filter(|&code| code != 0);
            let code = code.map_or(String::new(), |code| format!(" {code:#x}"));
            format!("{name} {}{code}", acknowledgment.packet_id.unwrap())
        }
        Packet::Disconnect(disconnect) => {
            format!("{name} {:#x}", disconnect.reason_code.unwrap_or(0))
        }
        _ => name.to_owned(),
    }
}

fn codes(codes: &[u8]) -> String {
    let codes: Vec<String> = codes.iter().map(u8::to_string).collect();
    codes.join(",")
}
