//! One TCP connection that may carry MQTT.

use crate::memory::prefetch;
use crate::mqtt::stream::PacketStream;
use crate::mqtt::{FixedHeader, PacketType};
use crate::session::{ConnectionFacts, ConnectionState, PerWay, SpareMemory, Towards};
use crate::tcp::{Chunk, Connection, Direction};
use crate::time::Timestamp;

use super::carrier::Carrier;
use super::detect::{FirstBytes, Guess, guess};
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

impl Mark {
    pub(super) const fn of(chunk: &Chunk<'_>) -> Self {
        Self {
            first_seen: chunk.first_seen,
            whole: chunk.whole,
            file: chunk.file,
            frame: chunk.frame,
            start: chunk.offset,
            end: chunk.offset.saturating_add(chunk.bytes.len() as u64),
        }
    }
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
    /// The bytes are not MQTT by themselves: `carrier` says what they are, and where there is none
    /// they cannot be read.
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
    /// TLS, WebSocket, or both.
    pub(super) carrier: Option<Box<Carrier>>,
}

impl MqttFlow {
    #[inline(always)] // As its state.
    pub(super) fn new(
        tcp: &Connection,
        client_is_forward: bool,
        transport: Transport,
        named: bool,
        memory: SpareMemory,
    ) -> Self {
        let midstream = tcp.midstream();
        let client_direction = if client_is_forward {
            Direction::Forward
        } else {
            Direction::Reverse
        };
        // Where the beginning is in the capture, it tells who carries what.
        let carried = named && midstream && transport != Transport::Tcp;
        let carrier = carried.then(|| {
            Box::new(match transport {
                Transport::Tls | Transport::SecureWebSocket => Carrier::tls(client_direction),
                _ => Carrier::web_socket_midstream(client_direction),
            })
        });
        Self {
            state: ConnectionState::new_in(facts(tcp, client_is_forward), memory),
            forward: PacketStream::new(!midstream),
            reverse: PacketStream::new(!midstream),
            roles: Roles {
                client_is_forward,
                known: tcp.initiator_known,
            },
            transport,
            opaque: carried,
            carrier,
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

    /// Asks for each part that a packet needs.
    #[inline]
    pub(super) fn touch(&self) {
        prefetch(&self.roles);
        prefetch(&self.bytes);
        prefetch(&self.forward);
        prefetch(&self.reverse);
        self.state.touch();
    }

    /// Asks for what its end needs beyond that.
    #[inline]
    pub(super) fn touch_closing(&self) {
        prefetch(&self.malformed);
        prefetch(&self.carrier);
        self.state.touch_closing();
    }

    /// Bytes of unfinished packets that both streams keep.
    pub(super) fn buffered(&self) -> usize {
        let (forward, reverse) = (self.forward.buffered(), self.reverse.buffered());
        forward.saturating_add(reverse)
    }

    /// The packets that are unfinished, and how much of their bodies came.
    pub(super) fn unfinished(&self) -> PerWay<Option<(FixedHeader, u32)>> {
        let of = |stream: &PacketStream<Mark>| Some((stream.unfinished()?, stream.passed()));
        let mut unfinished = PerWay::default();
        *unfinished.get_mut(self.roles.towards(Direction::Forward)) = of(&self.forward);
        *unfinished.get_mut(self.roles.towards(Direction::Reverse)) = of(&self.reverse);
        unfinished
    }

    /// Bytes that wait in what carries the connection.
    pub(super) fn carried(&self) -> usize {
        self.carrier
            .as_ref()
            .map_or(0, |carrier| carrier.buffered())
    }

    /// Its bytes are carried by something.
    fn carry(&mut self, carrier: Carrier) {
        self.transport = carrier.transport();
        self.carrier = Some(Box::new(carrier));
        self.opaque = true;
        // What they took was no packet.
        self.forward = PacketStream::new(true);
        self.reverse = PacketStream::new(true);
    }

    /// The first bytes seen are awaited to be a CONNECT, so a packet begins with them even where
    /// the handshake was not seen.
    pub(super) fn synchronise(&mut self) {
        self.forward = PacketStream::new(true);
        self.reverse = PacketStream::new(true);
        self.first_bytes = Some(FirstBytes::default());
    }
}

/// Who talks to whom.
fn facts(tcp: &Connection, client_is_forward: bool) -> ConnectionFacts {
    let [forward, reverse] = tcp.endpoints;
    let (client, broker) = if client_is_forward {
        (forward, reverse)
    } else {
        (reverse, forward)
    };
    ConnectionFacts {
        number: tcp.number,
        slot: tcp.slot(),
        tap: tcp.tap,
        client,
        broker,
        midstream: tcp.midstream(),
    }
}

/// Looks at the first bytes; `false` where the connection is none of ours.
pub(super) fn confirm(flow: &mut MqttFlow, chunk: &Chunk<'_>) -> bool {
    if flow.roles.towards(chunk.direction) == Towards::Client {
        confirm_answer(flow, chunk);
        return flow.named;
    }
    let begun = flow.stream_mut(chunk.direction).begun();
    let Some(first) = &mut flow.first_bytes else {
        return true;
    };
    let before = *first;
    let guess = first.add(chunk.bytes);
    let carrier = match guess {
        Guess::Open => return true,
        Guess::Tls => Carrier::tls(chunk.direction),
        Guess::Http => Carrier::web_socket(chunk.direction),
        Guess::Connect => {
            flow.first_bytes = None;
            flow.transport = Transport::Tcp;
            return true;
        }
        Guess::Other => {
            flow.first_bytes = None;
            // Whatever it is, it is not what the port is said to carry.
            flow.opaque = flow.transport != Transport::Tcp;
            return flow.named;
        }
    };
    flow.carry(carrier.after(before, begun));
    if flow.named {
        flow.first_bytes = None;
    }
    true
}

/// The server's bytes came first, since the client's are missing.
fn confirm_answer(flow: &mut MqttFlow, chunk: &Chunk<'_>) {
    let client = chunk.direction.opposite();
    let carrier = match guess(chunk.bytes) {
        Guess::Tls => Carrier::tls(client),
        Guess::Http => Carrier::web_socket(client),
        _ => return,
    };
    // Bytes in the middle of a stream say nothing of how it began.
    if flow.named && chunk.offset == 0 && flow.stream_mut(client).begun().is_none() {
        flow.carry(carrier);
        flow.first_bytes = None;
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
