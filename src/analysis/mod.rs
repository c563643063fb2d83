//! The passive pipeline: frames in, observations out.
//!
//! [`Pipeline`] composes the layers below it: frames to segments, segments to streams, streams to
//! control packets, packets to sessions and exchanges. It knows which connections speak MQTT,
//! who of the two is the broker, and tells an [`Observer`] what it sees, in the order of the
//! capture. It keeps what is open and nothing of what is over, so its memory does not follow the
//! length of the capture.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod carried;
mod carrier;
mod core;
mod detect;
mod flow;
mod lints;
mod missed;
mod options;
mod packets;
mod pipeline;
mod ports;
pub mod rows;
mod schemas;
mod summary;
mod tables;
mod tee;
mod totals;

use crate::delivery::DeliveryRecord;
use crate::lint::{Seen, WebSocketUse};
use crate::mqtt::FixedHeader;
use crate::session::{self, ConnectionState, PacketTimes, PerWay, Towards};
use crate::tcp::{Connection, EndReason, Gap};
use crate::time::{TimeDelta, Timestamp};

pub use carrier::{CarrierStop, TlsView};
pub use lints::{FindingFiles, Lints, NewFinding};
pub use options::{Options, PortRule, PortRuleError, Selection, Transport};
pub use pipeline::Pipeline;
pub use ports::PortTraffic;
pub use schemas::{Schemas, sample};
pub use summary::{delays, summary};
pub use tables::{TableFiles, Tables};
pub use totals::{ExchangeCounts, PublishCounts, Totals};

/// A control packet, with everything that is known around it.
#[derive(Clone, Copy, Debug)]
pub struct PacketEvent<'a> {
    /// What findings need of it. Whole, since they take every packet, and copying its parts costs
    /// more than most of what is done with them.
    pub seen: Seen<'a>,
    /// XXH3-64 of a PUBLISH's whole payload.
    pub payload_hash: Option<u64>,
    /// Where the segments that carried it stand in the stream: first byte and one past the last.
    pub extent: (u64, u64),
    /// Number of a PUBLISH in the tables, from 1.
    pub message: Option<u64>,
}

impl<'a> std::ops::Deref for PacketEvent<'a> {
    type Target = Seen<'a>;

    fn deref(&self) -> &Seen<'a> {
        &self.seen
    }
}

/// A packet whose remaining length is malformed: the rest of its stream cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct BadLengthEvent<'a> {
    /// The connection.
    pub state: &'a ConnectionState,
    /// Index of the connection among those open; used again after it is closed.
    pub slot: usize,
    /// Which way the packet goes.
    pub towards: Towards,
    /// File of the frame that showed it.
    pub file: u32,
    /// Number of that frame within its file.
    pub frame: u64,
    /// When it was seen.
    pub times: PacketTimes,
    /// The byte with the packet type.
    pub first_byte: u8,
    /// Where the segments that carried it stand in the stream: first byte and one past the last.
    pub extent: (u64, u64),
}

/// Bytes of a stream of MQTT, before the packets in them are told of.
#[derive(Clone, Copy, Debug)]
pub struct BytesEvent<'a> {
    /// The connection.
    pub state: &'a ConnectionState,
    /// Index of the connection among those open; used again after it is closed.
    pub slot: usize,
    /// Which way the bytes go.
    pub towards: Towards,
    /// Where they stand in the stream: first byte and one past the last.
    pub extent: (u64, u64),
    /// File and number of the frame that carried them.
    pub seen_in: (u32, u64),
    /// No packet that is still to be told of has bytes before this position.
    pub needed_from: u64,
}

/// Bytes missing from a stream of MQTT.
#[derive(Clone, Copy, Debug)]
pub struct GapEvent<'a> {
    /// The connection.
    pub state: &'a ConnectionState,
    /// Which way the bytes would have gone.
    pub towards: Towards,
    /// How many, where, and why.
    pub gap: Gap,
    /// The gap lies within one packet, whose row tells of it.
    pub within_packet: bool,
}

/// A connection that is over, or open when the capture ended.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEvent<'a> {
    /// TCP's view.
    pub tcp: &'a Connection,
    /// How it ended.
    pub end: EndReason,
    /// Which way the first FIN or RST went: towards the client where the broker ended it.
    pub ended_by: Option<Towards>,
    /// The packets within which it ended, and how much of their bodies came.
    pub unfinished: PerWay<Option<(FixedHeader, u32)>>,
    /// MQTT's view.
    pub state: &'a ConnectionState,
    /// What carried it.
    pub transport: Transport,
    /// Whether the client is the sender of the forward direction.
    pub client_is_forward: bool,
    /// Bytes of complete control packets.
    pub bytes: PerWay<u64>,
    /// Packets that could not be parsed.
    pub malformed: u64,
    /// Where the tap stands.
    pub vantage: Vantage,
    /// The part of the round trip between the tap and the client.
    pub round_trip_client: Option<TimeDelta>,
    /// The part of the round trip between the tap and the broker.
    pub round_trip_broker: Option<TimeDelta>,
    /// What was seen of TLS.
    pub tls: Option<TlsView<'a>>,
    /// How WebSocket carried it, if it did.
    pub web_socket: Option<WebSocketUse>,
    /// Why MQTT was not read, or not to the end.
    pub stop: Option<CarrierStop>,
}

/// What carries MQTT on a connection cannot be read, or no longer.
#[derive(Clone, Copy, Debug)]
pub struct CarrierEvent<'a> {
    /// The connection.
    pub state: &'a ConnectionState,
    /// Index of the connection among those open; used again after it is closed.
    pub slot: usize,
    /// Which way the bytes went that showed it.
    pub towards: Towards,
    /// File of the frame that showed it.
    pub file: u32,
    /// Number of that frame within its file.
    pub frame: u64,
    /// Time of that frame.
    pub time: Timestamp,
    /// Why.
    pub stop: CarrierStop,
}

/// Where the tap stands on a connection, from the two halves of the round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vantage {
    /// Beside the client.
    Client,
    /// Beside the broker.
    Broker,
    /// On the way.
    Between,
    /// The capture does not tell.
    Unknown,
}

impl Vantage {
    /// As the tables spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Broker => "broker",
            Self::Between => "between",
            Self::Unknown => "unknown",
        }
    }

    /// A side whose half of the round trip is at most a tenth of the whole is where the tap
    /// stands: what is left there is the host's own stack. Hosts less than 200 µs apart are not
    /// told apart by that, since their stacks take as long as the way between them.
    #[must_use]
    pub fn from_round_trips(client: Option<TimeDelta>, broker: Option<TimeDelta>) -> Self {
        const TOO_CLOSE: i64 = 200_000;
        let (Some(client), Some(broker)) = (client, broker) else {
            return Self::Unknown;
        };
        let (client, broker) = (client.as_nanos(), broker.as_nanos());
        let whole = client.saturating_add(broker);
        let tenth = whole / 10;
        if whole < TOO_CLOSE {
            Self::Unknown
        } else if client <= tenth {
            Self::Client
        } else if broker <= tenth {
            Self::Broker
        } else {
            Self::Between
        }
    }
}

/// In how many steps what is known of a connection is asked for before it ends.
pub const CLOSING_STEPS: usize = 3;

/// Takes what the pipeline sees.
pub trait Observer: session::Observer {
    /// A control packet.
    fn packet(&mut self, event: &PacketEvent<'_>);
    /// A malformed remaining length.
    fn bad_length(&mut self, event: &BadLengthEvent<'_>);
    /// Missing bytes.
    fn gap(&mut self, event: &GapEvent<'_>);
    /// Bytes between two positions of a stream came again.
    fn repeated(&mut self, slot: usize, towards: Towards, extent: (u64, u64));
    /// A connection is over.
    fn connection(&mut self, event: &ConnectionEvent<'_>);
    /// Bytes of a stream, for who wants to know which frames carried a packet.
    #[inline]
    fn bytes(&mut self, _event: &BytesEvent<'_>) {}
    /// A message at one of its receivers is decided.
    fn delivery(&mut self, _record: &DeliveryRecord<'_>) {}
    /// What carries MQTT on a connection cannot be read, or no longer.
    #[inline]
    fn carrier(&mut self, _event: &CarrierEvent<'_>) {}
    /// A PUBLISH whose topic has this [hash](crate::mqtt::topic::name_hash) most likely comes soon:
    /// for who wants to fetch what is known of its topic, far memory, while
    /// others are worked on.
    #[inline]
    fn touch(&self, _tap: u16, _towards: Towards, _topic: u64) {}

    /// Before that, for who finds the topic in an index that is far memory too.
    #[inline]
    fn touch_index(&self, _tap: u16, _topic: u64) {}

    /// Something of a connection comes soon: for who wants to fetch what is known of it.
    #[inline]
    fn touch_connection(&self, _slot: usize) {}

    /// A connection is likely to end soon: for who wants to fetch what is known of it. Called with
    /// the steps below [`CLOSING_STEPS`], of which each can look at what the one before asked
    /// for.
    #[inline]
    fn touch_closing(&self, _slot: usize, _step: usize) {}
    /// Capture time goes on; called now and then, so that what waits for a time can go.
    fn tick(&mut self, now: Timestamp);
}

impl<O: Observer> Observer for Option<O> {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        self.iter_mut().for_each(|observer| observer.packet(event));
    }

    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        self.iter_mut()
            .for_each(|observer| observer.bad_length(event));
    }

    fn gap(&mut self, event: &GapEvent<'_>) {
        self.iter_mut().for_each(|observer| observer.gap(event));
    }

    fn repeated(&mut self, slot: usize, towards: Towards, extent: (u64, u64)) {
        self.iter_mut()
            .for_each(|observer| observer.repeated(slot, towards, extent));
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        self.iter_mut()
            .for_each(|observer| observer.connection(event));
    }

    #[inline]
    fn bytes(&mut self, event: &BytesEvent<'_>) {
        self.iter_mut().for_each(|observer| observer.bytes(event));
    }

    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        self.iter_mut()
            .for_each(|observer| observer.delivery(record));
    }

    fn carrier(&mut self, event: &CarrierEvent<'_>) {
        self.iter_mut().for_each(|observer| observer.carrier(event));
    }

    #[inline]
    fn touch(&self, tap: u16, towards: Towards, topic: u64) {
        self.iter()
            .for_each(|observer| observer.touch(tap, towards, topic));
    }

    #[inline]
    fn touch_index(&self, tap: u16, topic: u64) {
        self.iter()
            .for_each(|observer| observer.touch_index(tap, topic));
    }

    #[inline]
    fn touch_connection(&self, slot: usize) {
        self.iter()
            .for_each(|observer| observer.touch_connection(slot));
    }

    #[inline]
    fn touch_closing(&self, slot: usize, step: usize) {
        self.iter()
            .for_each(|observer| observer.touch_closing(slot, step));
    }

    fn tick(&mut self, now: Timestamp) {
        self.iter_mut().for_each(|observer| observer.tick(now));
    }
}

/// Both are told, the first one first.
impl<A: Observer, B: Observer> Observer for (A, B) {
    #[inline(always)]
    fn packet(&mut self, event: &PacketEvent<'_>) {
        self.0.packet(event);
        self.1.packet(event);
    }

    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        self.0.bad_length(event);
        self.1.bad_length(event);
    }

    fn gap(&mut self, event: &GapEvent<'_>) {
        self.0.gap(event);
        self.1.gap(event);
    }

    fn repeated(&mut self, slot: usize, towards: Towards, extent: (u64, u64)) {
        self.0.repeated(slot, towards, extent);
        self.1.repeated(slot, towards, extent);
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        self.0.connection(event);
        self.1.connection(event);
    }

    #[inline]
    fn bytes(&mut self, event: &BytesEvent<'_>) {
        self.0.bytes(event);
        self.1.bytes(event);
    }

    #[inline]
    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        self.0.delivery(record);
        self.1.delivery(record);
    }

    fn carrier(&mut self, event: &CarrierEvent<'_>) {
        self.0.carrier(event);
        self.1.carrier(event);
    }

    #[inline]
    fn touch(&self, tap: u16, towards: Towards, topic: u64) {
        self.0.touch(tap, towards, topic);
        self.1.touch(tap, towards, topic);
    }

    #[inline]
    fn touch_index(&self, tap: u16, topic: u64) {
        self.0.touch_index(tap, topic);
        self.1.touch_index(tap, topic);
    }

    #[inline]
    fn touch_connection(&self, slot: usize) {
        self.0.touch_connection(slot);
        self.1.touch_connection(slot);
    }

    #[inline]
    fn touch_closing(&self, slot: usize, step: usize) {
        self.0.touch_closing(slot, step);
        self.1.touch_closing(slot, step);
    }

    fn tick(&mut self, now: Timestamp) {
        self.0.tick(now);
        self.1.tick(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tap_stands_where_the_round_trip_is_short() {
        let micros = |n: i64| Some(TimeDelta::from_nanos(n * 1000));
        for (client, broker, vantage) in [
            (micros(280), micros(20), Vantage::Broker),
            (micros(20), micros(280), Vantage::Client),
            (micros(150), micros(150), Vantage::Between),
            (micros(9), micros(64), Vantage::Unknown),
            (None, micros(280), Vantage::Unknown),
        ] {
            assert_eq!(Vantage::from_round_trips(client, broker), vantage);
        }
    }
}
