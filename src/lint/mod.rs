//! Findings: what deserves attention in a capture, with why, and what to do.
//!
//! A [`Linter`] is told of packets, exchanges, subscriptions, deliveries and connections, and
//! tells a [`Sink`] what it finds: rules of the specification that are broken, trouble with
//! deliveries, devices that misbehave, topics and payloads against good practice. Every code is
//! in the [`catalogue`]. Findings of a code are counted, and the first thousand told in detail.
//!
//! Along the way it keeps the [`Topics`] of the capture, since most of what is found about a
//! message is found about its topic, once. Clients, topics and their names are bounded, and what
//! there is no room for is counted ([`Linter::dropped`]).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod catalogue;
mod clients;
mod collector;
mod connections;
mod members;
mod messages;
mod outcomes;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
mod tests;
mod thresholds;
mod topic;
mod topics;
mod wireshark;

use std::collections::BTreeMap;

use crate::mqtt::{FixedHeader, Packet, PacketType, Parsed, ProtocolLevel};
use crate::payload::{Keys, PayloadKind};
use crate::session::{ConnectionState, PacketTimes, SessionViolations, Towards};
use crate::time::Timestamp;

pub use catalogue::{Code, Own, catalogue, markdown};
pub use collector::{Finding, Place, Sink};
pub use connections::{Closed, Unread, WebSocketUse};
pub use thresholds::{ThresholdDoc, ThresholdError, Thresholds};
pub use topics::{Leg, Topic, Topics};

use topics::KeyLists;

use clients::Clients;
use collector::Collector;
use connections::Slots;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// From where on.
    pub thresholds: Thresholds,
    /// What is not looked for.
    pub ignored: Vec<Code>,
    /// User names may be told. Passwords never are.
    pub user_names: bool,
}

/// A control packet, with what is known around it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The connection, after it took the packet.
    pub state: &'a ConnectionState,
    /// Index of the connection among those open.
    pub slot: usize,
    /// Which way the packet goes.
    pub towards: Towards,
    /// File of the frame that completed it.
    pub file: u32,
    /// Number of that frame within its file.
    pub frame: u64,
    /// When it was seen.
    pub times: PacketTimes,
    /// Its fixed header.
    pub header: FixedHeader,
    /// Its contents.
    pub parsed: &'a Parsed<'a>,
    /// The topic of a PUBLISH, with its alias resolved.
    pub topic: Option<&'a [u8]>,
    /// [`name_hash`](crate::mqtt::topic::name_hash) of the topic.
    pub topic_hash: u64,
    /// Bytes of it that are missing from the capture.
    pub missing: u32,
    /// How often a PUBLISH was sent by now, if all of its exchange was on this connection; 0 for
    /// the first time.
    pub transmissions: u32,
    /// Rules of the conversation that it breaks.
    pub violations: SessionViolations,
}

impl Seen<'_> {
    const fn place(&self) -> Place {
        Place {
            connection: Some(self.state.facts.number),
            file: Some(self.file),
            frame: Some(self.frame),
            time: Some(self.times.last),
            tap: Some(self.state.facts.tap),
        }
    }

    /// The level that rules are named by: of a CONNECT its own.
    fn level(&self) -> ProtocolLevel {
        match &self.parsed.packet {
            Packet::Connect(connect) => connect.level().unwrap_or(self.state.level),
            _ => self.state.level,
        }
    }
}

/// What a payload is, for messages that are looked into.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// Its kind, if some of it is there.
    pub kind: Option<PayloadKind>,
    /// It is not what its content type says.
    pub contradicts: bool,
    /// It is no message of the Protobuf type that was named for its topic: why not.
    pub mismatch: Option<String>,
}

/// Looks for what deserves attention.
#[derive(Debug)]
pub struct Linter {
    settings: Settings,
    collector: Collector,
    topics: Topics,
    key_lists: KeyLists,
    clients: Clients,
    slots: Slots,
    /// Time of the latest packet.
    now: Timestamp,
}

impl Linter {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            collector: Collector::new(&settings.ignored),
            settings,
            topics: Topics::default(),
            key_lists: KeyLists::default(),
            clients: Clients::default(),
            slots: Slots::default(),
            now: Timestamp::default(),
        }
    }

    /// Asks for what a message on an open connection needs; `topic` is the
    /// [hash](crate::mqtt::topic::name_hash) of its topic.
    #[inline]
    pub fn touch_message(&self, tap: u16, towards: Towards, topic: u64) {
        self.topics.touch(tap, towards, topic);
    }

    /// Asks for what is known of an open connection.
    #[inline]
    pub fn touch_connection(&self, slot: usize) {
        self.slots.touch(slot);
    }

    /// Asks for what the end of a connection needs, in steps: each looks at what the one before
    /// asked for.
    #[inline]
    pub fn touch_closing(&self, slot: usize, step: usize) {
        // The first step asked for the slot.
        if step == 0 {
            return;
        }
        if let Some(client) = self.slots.client_of(slot) {
            if step == 1 {
                self.clients.touch_index(client);
            } else {
                self.clients.touch(client);
            }
        }
    }

    /// Asks for what finding a topic needs, before that.
    #[inline]
    pub fn touch_index(&self, tap: u16, topic: u64) {
        self.topics.touch_index(tap, topic);
    }

    /// Takes a packet. `examine` looks into the payload of a PUBLISH where that is worth it; its
    /// argument is where the keys of a JSON object go, if they are wanted.
    #[inline(always)]
    pub fn packet<S: Sink>(
        &mut self,
        seen: &Seen<'_>,
        examine: impl FnOnce(Option<&mut Keys>) -> Examined,
        sink: &mut S,
    ) {
        self.now = self.now.max(seen.times.last);
        let parsed = seen.parsed;
        let sound = parsed.violations.is_empty()
            && seen.violations.is_empty()
            && parsed.malformed.is_none();
        if !sound {
            self.broken(seen, sink);
        }
        match &parsed.packet {
            Packet::Publish(publish) => self.publish(seen, publish, examine, sink),
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Disconnect(_)
            | Packet::Subscribe(_) => self.control(seen, sink),
            _ => {}
        }
    }

    /// A packet that breaks a rule, or cannot be read.
    #[cold]
    fn broken<S: Sink>(&mut self, seen: &Seen<'_>, sink: &mut S) {
        let (parsed, level) = (seen.parsed, seen.level());
        let packet_type = seen.header.packet_type();
        let mut told = |code: Code, say: &dyn Fn() -> String| {
            self.collector
                .report(code, seen.place(), seen.topic, sink, |draft| {
                    draft.say(format_args!("{}: {}", packet_type.name(), say()));
                    draft.frame(Some(seen.frame));
                });
        };
        if let Some(malformed) = parsed.malformed.filter(|_| seen.missing == 0) {
            told(malformed.reason.into(), &|| {
                format!("{malformed} [{}]", malformed.clause(packet_type, level))
            });
        }
        for violation in parsed.violations.iter() {
            told(violation.into(), &|| {
                let clause = violation.clause(packet_type, level);
                format!("{} [{clause}]", violation.text())
            });
        }
        for violation in seen.violations.iter() {
            told(violation.into(), &|| {
                format!(
                    "{} [{}]",
                    violation.text(),
                    violation.clause(level, seen.towards, packet_type)
                )
            });
        }
    }

    /// Takes a packet whose remaining length is malformed.
    pub fn bad_length<S: Sink>(&mut self, place: Place, first_byte: u8, sink: &mut S) {
        self.collector
            .report(Own::MalformedLength, place, None, sink, |draft| {
                let packet_type = PacketType::from_first_byte(first_byte);
                draft.say(format_args!(
                    "{}: nothing after it can be read",
                    packet_type.name()
                ));
                draft.frame(place.frame);
            });
    }

    /// How often each code was found.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.collector.counts()
    }

    /// The topics of the capture.
    #[must_use]
    pub const fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What there was no room for: `findings` counted and not told, messages of `topics` that
    /// are not listed, `topic_members` (topics whose clients could not all be told apart), and
    /// `clients` whose connections were not compared.
    #[must_use]
    pub fn dropped(&self) -> [(&'static str, u64); 4] {
        [
            ("findings", self.collector.untold()),
            ("topics", self.topics.untold()),
            ("topic_members", self.topics.uncounted()),
            ("clients", self.clients.untold()),
        ]
    }
}
