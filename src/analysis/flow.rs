//! One TCP connection that may carry MQTT.

use crate::mqtt::PacketType;
use crate::mqtt::stream::PacketStream;
use crate::session::{ConnectionFacts, ConnectionState, PerWay, Towards};
use crate::tcp::{Connection, Direction};
use crate::time::Timestamp;

use super::detect::FirstBytes;
use super::options::Transport;

/// Where a chunk of a stream comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) first_seen: Timestamp,
    pub(super) whole: Timestamp,
    pub(super) file: u32,
    pub(super) frame: u64,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What is known of a slot's connection.
#[derive(Debug, Default)]
pub(super) enum Slot {
    /// No connection, or none that matters.
    #[default]
    Ignored,
    /// On no named port; its first bytes are awaited.
    Unknown,
    /// MQTT, or taken for it.
    Mqtt(Box<MqttFlow>),
}

/// A connection that carries MQTT, or that stands on a named port.
/// What every packet touches comes first.
#[derive(Debug)]
#[repr(C)]
pub(super) struct MqttFlow {
    pub(super) roles: Roles,
    /// The bytes are not MQTT that can be read (TLS, HTTP).
    pub(super) opaque: bool,
    /// The connection stands on a named port, so it is reported whatever it carries.
    pub(super) named: bool,
    pub(super) transport: Transport,
    /// First bytes of the client, until they are known to be MQTT.
    pub(super) first_bytes: Option<FirstBytes>,
    pub(super) bytes: PerWay<u64>,
    pub(super) forward: PacketStream<Mark>,
    pub(super) reverse: PacketStream<Mark>,
    pub(super) state: ConnectionState,
    pub(super) malformed: u64,
}

impl MqttFlow {
    pub(super) fn new(
        tcp: &Connection,
        client_is_forward: bool,
        transport: Transport,
        named: bool,
    ) -> Self {
        let [forward, reverse] = tcp.endpoints;
        let (client, broker) = if client_is_forward {
            (forward, reverse)
        } else {
            (reverse, forward)
        };
        let midstream = tcp.midstream();
        let facts = ConnectionFacts {
            number: tcp.number,
            slot: tcp.slot(),
            tap: tcp.tap,
            client,
            broker,
            midstream,
        };
        Self {
            state: ConnectionState::new(facts),
            forward: PacketStream::new(!midstream),
            reverse: PacketStream::new(!midstream),
            roles: Roles {
                client_is_forward,
                known: tcp.initiator_known,
            },
            transport,
            opaque: transport != Transport::Tcp,
            first_bytes: (!midstream || !named).then(FirstBytes::default),
            named,
            bytes: PerWay::default(),
            malformed: 0,
        }
    }

    pub(super) const fn stream_mut(&mut self, direction: Direction) -> &mut PacketStream<Mark> {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// Reads one word of each part that a packet needs.
    pub(super) fn touch(&self) {
        self.state.touch();
        std::hint::black_box(self.bytes.to_broker ^ u64::from(self.reverse.at_boundary()));
    }

    /// Bytes of unfinished packets that both streams keep.
    pub(super) fn buffered(&self) -> usize {
        let (forward, reverse) = (self.forward.buffered(), self.reverse.buffered());
        forward.saturating_add(reverse)
    }

    /// The first bytes seen are awaited to be a CONNECT, so a packet begins with them even where
    /// the handshake was not seen.
    pub(super) fn synchronise(&mut self) {
        self.forward = PacketStream::new(true);
        self.reverse = PacketStream::new(true);
        self.first_bytes = Some(FirstBytes::default());
    }
}

/// Who of the two endpoints is the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Roles {
    pub(super) client_is_forward: bool,
    /// Beyond doubt.
    pub(super) known: bool,
}

impl Roles {
    pub(super) const fn towards(self, direction: Direction) -> Towards {
        match (direction, self.client_is_forward) {
            (Direction::Forward, true) | (Direction::Reverse, false) => Towards::Broker,
            _ => Towards::Client,
        }
    }

    /// Some packets go one way only. The first of them settles who is the broker where neither
    /// the handshake nor the ports did. Tells whether the roles were the wrong way round.
    pub(super) fn settle(&mut self, packet_type: PacketType, towards: Towards) -> bool {
        use PacketType as T;
        let real = match packet_type {
            T::Connect | T::Subscribe | T::Unsubscribe | T::Pingreq => Towards::Broker,
            T::Connack | T::Suback | T::Unsuback | T::Pingresp => Towards::Client,
            _ => return false,
        };
        self.known = true;
        if real == towards {
            return false;
        }
        self.client_is_forward = !self.client_is_forward;
        true
    }
}
