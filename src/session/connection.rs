//! What is known of one MQTT connection.

use std::num::NonZeroU64;

use crate::memory::prefetch;
use crate::mqtt::{PacketType, ProtocolLevel, Publish};
use crate::tcp::Endpoint;
use crate::time::Timestamp;

use super::alias::Aliases;
use super::exchange::Exchanges;
use super::order::{Order, Owed};
use super::subscription::{Subscriber, Subscriptions};
use super::{PacketTimes, PerWay, Towards};

/// How the protocol level of a connection is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LevelBasis {
    /// The CONNECT said so.
    Connect,
    /// The bytes of some packet are possible at this level only.
    Inferred,
    /// Nothing says otherwise.
    Assumed,
}

impl LevelBasis {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Inferred => "inferred",
            Self::Assumed => "assumed",
        }
    }
}

/// The will of a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillFacts {
    /// Its topic.
    pub topic: Box<[u8]>,
    /// Its QoS.
    pub qos: u8,
    /// Whether it shall be retained.
    pub retain: bool,
    /// Length of its payload in bytes.
    pub payload_length: u32,
    /// XXH3-64 of its payload.
    pub payload_hash: u64,
    /// Will Delay Interval in seconds, MQTT 5; 0 where there is none.
    pub delay: u32,
}

/// What a CONNECT said. The password is not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectFacts {
    /// The client identifier as sent; empty where the broker shall choose one.
    pub client_id: Box<[u8]>,
    /// Clean Session or Clean Start.
    pub clean_start: Option<bool>,
    /// Keep-alive in seconds; 0 is none.
    pub keep_alive: Option<u16>,
    /// The will.
    pub will: Option<WillFacts>,
    /// The user name.
    pub user_name: Option<Box<[u8]>>,
    /// Session Expiry Interval in seconds, MQTT 5.
    pub session_expiry: Option<u32>,
    /// Receive Maximum: QoS 1 and 2 messages that the client takes at a time.
    pub receive_maximum: u16,
    /// Maximum Packet Size that the client takes.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum that the client takes.
    pub topic_alias_maximum: u16,
    /// Request Problem Information: whether the broker may explain itself in any packet.
    pub problem_information: bool,
    /// Request Response Information.
    pub response_information: bool,
    /// XXH3-64 of the Authentication Method.
    pub authentication_method: Option<u64>,
}

/// What a CONNACK said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnackFacts {
    /// Return code or reason code.
    pub reason_code: u8,
    /// Session Present.
    pub session_present: bool,
    /// The client identifier that the broker chose.
    pub assigned_client_id: Option<Box<[u8]>>,
    /// Keep-alive that the broker imposed, in seconds.
    pub server_keep_alive: Option<u16>,
    /// Session Expiry Interval that the broker imposed.
    pub session_expiry: Option<u32>,
    /// Receive Maximum of the broker.
    pub receive_maximum: u16,
    /// Maximum Packet Size of the broker.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum of the broker.
    pub topic_alias_maximum: u16,
    /// Maximum QoS of the broker.
    pub maximum_qos: u8,
    /// Whether the broker keeps retained messages.
    pub retain_available: bool,
    /// Whether the broker takes filters with wildcards.
    pub wildcard_available: bool,
    /// Whether the broker takes subscription identifiers.
    pub subscription_identifier_available: bool,
    /// Whether the broker takes shared subscriptions.
    pub shared_available: bool,
}

/// What every packet is held to, from CONNECT and CONNACK, close at hand: each is what goes that
/// way may not exceed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) maximum_packet_size: PerWay<u32>,
    pub(super) receive_maximum: PerWay<u16>,
    pub(super) topic_alias_maximum: PerWay<u16>,
    pub(super) maximum_qos: u8,
    pub(super) retain_available: bool,
    /// Request Problem Information of the CONNECT.
    pub(super) problem_information: bool,
    /// Keep-alive in seconds, 0 for none.
    pub(super) keep_alive: u16,
}

impl Terms {
    /// Nothing is agreed yet, so nothing is exceeded.
    const NONE: Self = Self {
        maximum_packet_size: PerWay {
            to_broker: u32::MAX,
            to_client: u32::MAX,
        },
        receive_maximum: PerWay {
            to_broker: u16::MAX,
            to_client: u16::MAX,
        },
        topic_alias_maximum: PerWay {
            to_broker: u16::MAX,
            to_client: u16::MAX,
        },
        maximum_qos: u8::MAX,
        retain_available: true,
        problem_information: true,
        keep_alive: 0,
    };
}

/// What identifies a connection, from the layers below.
/// What every packet touches comes first.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ConnectionFacts {
    /// Number of the TCP connection.
    pub number: u64,
    /// Its index among the open connections.
    pub slot: usize,
    /// The tap that saw it.
    pub tap: u16,
    /// The capture began later than the connection.
    pub midstream: bool,
    /// The client.
    pub client: Endpoint,
    /// The broker.
    pub broker: Endpoint,
}

/// What is known of a CONNACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// It was not seen.
    Unseen,
    /// Reason code 0.
    Accepted,
    /// Any other.
    Refused,
}

/// The state of one MQTT connection.
/// What every packet touches comes first, since fetching it costs more than what is done with it.
#[derive(Debug)]
#[repr(C)]
pub struct ConnectionState {
    /// The protocol level, as far as it is known.
    pub level: ProtocolLevel,
    /// How it is known.
    pub basis: LevelBasis,
    /// Bytes of the other direction are missing at the moment.
    pub(super) hole: bool,
    pub(super) disconnected: bool,
    /// The broker sent a DISCONNECT (MQTT 5).
    pub(super) dismissed: bool,
    pub(super) session_ended: bool,
    /// Its CONNECT came while another connection of the client was open.
    pub(super) takes_over: bool,
    /// What the broker answered to the CONNECT, in short: [`connack`](Self::connack) lies far away.
    pub(super) welcome: Welcome,
    /// The CONNECT was seen: [`connect`](Self::connect) likewise.
    pub(super) introduced: bool,
    pub(super) gaps: u32,
    pub(super) session: Option<u32>,
    pub(super) client_hash: Option<NonZeroU64>,
    pub(super) terms: Terms,
    /// SUBSCRIBE and UNSUBSCRIBE packets that await their answer.
    pub(super) requests: u32,
    /// Control packets.
    pub packets: PerWay<u64>,
    /// PUBLISH packets.
    pub publishes: PerWay<u64>,
    pub(super) last_packet: Option<Timestamp>,
    pub(super) last_from_client: Option<Timestamp>,
    pub(super) exchanges: PerWay<Exchanges>,
    /// Who talks to whom.
    pub facts: ConnectionFacts,
    pub(super) aliases: PerWay<Option<Box<Aliases>>>,
    pub(super) ping: Option<Timestamp>,
    /// The CONNECT, once seen.
    pub connect: Option<Box<ConnectFacts>>,
    /// The CONNACK, once seen.
    pub connack: Option<Box<ConnackFacts>>,
    /// Silences of the client longer than one and a half times the keep-alive.
    pub keep_alive_violations: u64,
    pub(super) connect_times: Option<PacketTimes>,
    pub(super) subscriptions: Subscriptions,
    /// In which order the client has to acknowledge.
    pub(super) order: Order,
    /// Answers to what was asked more than once.
    pub(super) owed: Owed,
}

/// Memory of a connection that is gone, for the next one.
#[derive(Debug, Default)]
pub struct SpareMemory(Subscriptions);

impl ConnectionState {
    /// What the next connection can use. Nothing is known of this one afterwards.
    #[inline]
    pub fn spare_memory(&mut self) -> SpareMemory {
        let mut subscriptions = std::mem::take(&mut self.subscriptions);
        subscriptions.clear();
        SpareMemory(subscriptions)
    }

    /// A connection of which nothing was heard yet: MQTT 3.1.1 is assumed.
    #[must_use]
    pub fn new(facts: ConnectionFacts) -> Self {
        Self::new_in(facts, SpareMemory::default())
    }

    /// The same in the memory of a connection that is gone.
    #[must_use]
    #[inline(always)] // Made where it stays: handing it on would copy it.
    pub fn new_in(facts: ConnectionFacts, memory: SpareMemory) -> Self {
        Self {
            facts,
            level: ProtocolLevel::V3_1_1,
            basis: LevelBasis::Assumed,
            connect: None,
            connack: None,
            packets: PerWay::default(),
            publishes: PerWay::default(),
            keep_alive_violations: 0,
            connect_times: None,
            aliases: PerWay::default(),
            exchanges: PerWay::default(),
            subscriptions: memory.0,
            welcome: Welcome::Unseen,
            introduced: false,
            gaps: 0,
            hole: false,
            ping: None,
            last_packet: None,
            last_from_client: None,
            disconnected: false,
            dismissed: false,
            order: Order::default(),
            owed: Owed::default(),
            session: None,
            client_hash: None,
            session_ended: false,
            takes_over: false,
            terms: Terms::NONE,
            requests: 0,
        }
    }

    /// The client identifier: the one that the broker assigned, else the one of the CONNECT.
    #[must_use]
    pub fn client_id(&self) -> Option<&[u8]> {
        let assigned = self
            .connack
            .as_ref()
            .and_then(|facts| facts.assigned_client_id.as_deref());
        assigned.or_else(|| self.connect.as_ref().map(|facts| &*facts.client_id))
    }

    /// A hash of tap, broker and client identifier, with a key of its own in every run; `None` for
    /// a client without an identifier, or whose identifier is not known. Equal hashes are equal
    /// clients, as far as anybody will ever see.
    #[must_use]
    pub fn client_hash(&self) -> Option<u64> {
        self.client_hash.map(NonZeroU64::get)
    }

    /// The topic of a PUBLISH with its alias resolved; `None` where the alias was never seen
    /// bound. Call it after [`super::Sessions::packet`] took the packet.
    #[must_use]
    pub fn topic<'a>(&'a self, towards: Towards, publish: &Publish<'a>) -> Option<&'a [u8]> {
        let topic = publish.topic?;
        if !topic.is_empty() || !self.level.is_v5() {
            return Some(topic);
        }
        let Some(alias) = publish.properties.topic_alias() else {
            return Some(topic);
        };
        self.aliases.get(towards).as_ref()?.get(alias)
    }

    /// Keep-alive in seconds that holds on this connection; `None` for none.
    #[must_use]
    pub fn keep_alive(&self) -> Option<u16> {
        Some(self.terms.keep_alive).filter(|&seconds| seconds > 0)
    }

    /// Takes the terms of CONNECT and CONNACK, as far as they are known.
    pub(super) fn agree(&mut self) {
        let mut terms = Terms::NONE;
        if let Some(connect) = &self.connect {
            terms.maximum_packet_size.to_client = connect.maximum_packet_size.unwrap_or(u32::MAX);
            terms.receive_maximum.to_client = connect.receive_maximum;
            terms.topic_alias_maximum.to_client = connect.topic_alias_maximum;
            terms.problem_information = connect.problem_information;
            terms.keep_alive = connect.keep_alive.unwrap_or(0);
        }
        if let Some(connack) = &self.connack {
            terms.maximum_packet_size.to_broker = connack.maximum_packet_size.unwrap_or(u32::MAX);
            terms.receive_maximum.to_broker = connack.receive_maximum;
            terms.topic_alias_maximum.to_broker = connack.topic_alias_maximum;
            terms.maximum_qos = connack.maximum_qos;
            terms.retain_available = connack.retain_available;
            terms.keep_alive = connack.server_keep_alive.unwrap_or(terms.keep_alive);
        }
        self.terms = terms;
    }

    /// Who was taken for the broker is the client: what was booked one way belongs to the other.
    pub fn turn_around(&mut self) {
        std::mem::swap(&mut self.facts.client, &mut self.facts.broker);
        std::mem::swap(&mut self.packets.to_broker, &mut self.packets.to_client);
        std::mem::swap(&mut self.publishes.to_broker, &mut self.publishes.to_client);
        std::mem::swap(&mut self.aliases.to_broker, &mut self.aliases.to_client);
        std::mem::swap(&mut self.exchanges.to_broker, &mut self.exchanges.to_client);
    }

    /// Asks for what a packet needs.
    #[inline]
    pub fn touch(&self) {
        prefetch(&self.gaps);
        prefetch(&self.publishes);
        prefetch(&self.last_from_client);
        self.exchanges.to_broker.touch();
        self.exchanges.to_client.touch();
        prefetch(&self.facts);
    }

    /// Asks for what its end needs beyond that.
    #[inline]
    pub fn touch_closing(&self) {
        prefetch(&self.ping);
        prefetch(&self.keep_alive_violations);
        prefetch(&self.subscriptions);
        prefetch(&self.order);
        prefetch(&self.owed);
    }

    /// Asks for what its end needs beyond that, when that is there.
    #[inline]
    pub fn touch_handshake(&self) {
        self.subscriptions.touch();
        if let Some(connect) = &self.connect {
            prefetch(&**connect);
        }
        if let Some(connack) = &self.connack {
            prefetch(&**connack);
        }
    }

    /// Its CONNECT came while another connection of the client was open.
    #[must_use]
    pub const fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// When the latest packet of the client was seen; `None` also while packets may be missing.
    #[must_use]
    pub const fn last_from_client(&self) -> Option<Timestamp> {
        self.last_from_client
    }

    /// Exchanges in flight, both ways.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.exchanges
            .to_broker
            .len()
            .saturating_add(self.exchanges.to_client.len())
    }

    /// SUBSCRIBE and UNSUBSCRIBE packets that await their answer.
    #[must_use]
    pub const fn open_requests(&self) -> usize {
        self.requests as usize
    }

    /// The latest request of the client that was not answered, and when it was sent: the ping,
    /// else the SUBSCRIBE that waits longest.
    #[must_use]
    pub fn oldest_request(&self) -> Option<(PacketType, Timestamp)> {
        let ping = self.ping.map(|asked| (PacketType::Pingreq, asked));
        let subscribe = self.subscriptions.waits_since();
        ping.or_else(|| subscribe.map(|asked| (PacketType::Subscribe, asked)))
    }

    /// First byte of the CONNECT.
    #[must_use]
    pub fn connect_began(&self) -> Option<Timestamp> {
        self.connect_times.map(|times| times.first)
    }

    /// The client said goodbye: nothing will be published as its will.
    #[must_use]
    pub const fn disconnected(&self) -> bool {
        self.disconnected
    }

    /// The place of the client's session in the table of sessions, once it is accepted.
    #[must_use]
    pub const fn session(&self) -> Option<u32> {
        self.session
    }

    /// Whether the session outlives the connection (MQTT 3.1.1 section 3.1.2.4, MQTT 5 section
    /// 3.1.2.11.2).
    #[must_use]
    pub fn persistent(&self) -> bool {
        if self.session_ended {
            return false;
        }
        let Some(connect) = &self.connect else {
            return false;
        };
        if self.level.is_v5() {
            let imposed = self.connack.as_ref().and_then(|facts| facts.session_expiry);
            imposed.or(connect.session_expiry).unwrap_or(0) > 0
        } else {
            connect.clean_start == Some(false)
        }
    }

    /// The broker refused the connection.
    pub(super) fn refused(&self) -> bool {
        self.connack
            .as_ref()
            .is_some_and(|facts| facts.reason_code != 0)
    }

    pub(super) fn subscriber(&self) -> Subscriber<'_> {
        Subscriber {
            connection: self.facts.number,
            tap: self.facts.tap,
            client_id: self.client_id(),
        }
    }
}
