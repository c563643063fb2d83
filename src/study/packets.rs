//! What the packets of one cell say of its messages: the same delays as the prober's stamps, seen
//! from the taps, and where on the way they came about.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::analysis::{
    BadLengthEvent, ConnectionEvent, GapEvent, Observer, Options, PacketEvent, Pipeline,
};
use crate::capture::{Capture, Item};
use crate::frame::Frame;
use crate::lab::Host;
use crate::mqtt::Packet;
use crate::mqtt::PacketType;
use crate::probe::CellPlan;
use crate::probe::payload::{Payloads, Recognised};
use crate::session::{
    self, DelayKind, ExchangeRecord, PacketTimes, SessionRecord, SubscriptionRecord, Towards,
};
use crate::time::{TimeDelta, Timestamp};
use crate::wire::{Dissection, Dissector, WireLimits};

use super::error::StudyError;

const PUBLISHER: u16 = Host::Publisher.index() as u16;
const BROKER: u16 = Host::Broker.index() as u16;
const SUBSCRIBER: u16 = Host::Subscriber.index() as u16;

/// A message of one publisher: (publisher, index).
type Message = (u32, u32);

/// The way of one message to one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// When its first byte left the publisher.
    pub left_publisher: Timestamp,
    /// When the broker could pass it on: it had the whole message, and at QoS 2 the PUBREL where
    /// it passed the message on only after that.
    pub at_broker: Timestamp,
    /// When its first byte left the broker.
    pub left_broker: Timestamp,
    /// When the receiver had all of it.
    pub at_subscriber: Timestamp,
    /// How long TCP waited to send again what had been lost, on both links together.
    pub tcp_recovery: TimeDelta,
}

/// What the packets of a cell say.
#[derive(Clone, Debug, Default)]
pub struct CellPackets {
    ways: HashMap<(Message, String), Way>,
    /// Segments with data, each at its sender's tap.
    pub segments: u64,
    /// Of these, those that brought nothing new.
    pub sent_again: u64,
    /// Whether packets are cut.
    pub cut: bool,
}

impl CellPackets {
    /// Reads the capture of a cell.
    ///
    /// # Errors
    ///
    /// A capture that cannot be opened.
    pub fn read(path: &Path, plan: &CellPlan) -> Result<Self, StudyError> {
        let mut capture = Capture::open(&[path]).map_err(StudyError::Capture)?;
        let mut pipeline = Pipeline::new(Options {
            matching: false,
            ..Options::default()
        });
        let mut segments = Segments::new();
        let mut sights = Sights::new(plan);
        while let Some(item) = capture.next_item() {
            if let Item::Frame(frame) = item {
                segments.add(&frame);
                pipeline.push(&frame, &mut sights);
            }
        }
        pipeline.finish(&mut sights);
        Ok(Self {
            ways: sights.ways(&segments),
            segments: segments.with_data,
            sent_again: segments.again,
            cut: segments.cut,
        })
    }

    /// The way of a message (its number includes the warm-up) to a receiver, where the packets
    /// show all of it.
    #[must_use]
    pub fn way(&self, publisher: u32, index: u32, subscriber: &str) -> Option<&Way> {
        self.ways.get(&((publisher, index), subscriber.to_owned()))
    }

    /// Share of segments with data that brought nothing new; `None` where there are none.
    #[must_use]
    pub fn segment_loss(&self) -> Option<f64> {
        (self.segments > 0).then(|| self.sent_again as f64 / self.segments as f64)
    }
}

/// One segment, wherever it is seen: sender, receiver, position and the datagram's identification,
/// which is another one when the same bytes are sent again.
type SegmentKey = (std::net::IpAddr, u16, std::net::IpAddr, u16, u32, u32);

/// All segments with data of a capture.
struct Segments {
    dissector: Dissector,
    /// When each left its sender.
    left: HashMap<SegmentKey, Timestamp>,
    /// Which one a frame holds, of frames that arrived at a host.
    arrived: HashMap<u64, SegmentKey>,
    /// One past the highest byte that a sender sent.
    highest: HashMap<(std::net::IpAddr, u16, std::net::IpAddr, u16), u32>,
    with_data: u64,
    again: u64,
    cut: bool,
}

impl Segments {
    fn new() -> Self {
        Self {
            // Both taps of a link see the same packets, and every tap sees each once.
            dissector: Dissector::new(WireLimits {
                mirror_window: None,
                ..WireLimits::default()
            }),
            left: HashMap::new(),
            arrived: HashMap::new(),
            highest: HashMap::new(),
            with_data: 0,
            again: 0,
            cut: false,
        }
    }

    fn add(&mut self, frame: &Frame<'_>) {
        self.cut |= (frame.bytes.len() as u64) < u64::from(frame.wire_length);
        let Dissection::Tcp(segment) = self.dissector.dissect(frame) else {
            return;
        };
        let length = segment.payload_length;
        if length == 0 {
            return;
        }
        let (from, to) = (segment.source, segment.destination);
        let key = (
            from.address,
            from.port,
            to.address,
            to.port,
            segment.sequence,
            segment.ip_identification,
        );
        let at_sender = Host::ALL
            .get(usize::from(frame.tap))
            .is_some_and(|host| from.address == std::net::IpAddr::V4(host.address()));
        if !at_sender {
            self.arrived.insert(frame.number, key);
            return;
        }
        self.left.entry(key).or_insert(frame.time);
        self.with_data += 1;
        let end = segment.sequence.wrapping_add(length);
        let stream = (from.address, from.port, to.address, to.port);
        let highest = self.highest.entry(stream).or_insert(segment.sequence);
        // Sequence numbers are in order modulo 2³²: what is less than half of that ahead is new.
        if (end.wrapping_sub(*highest) as i32) <= 0 {
            self.again += 1;
        } else {
            *highest = end;
        }
    }

    /// When the segment left that made a message whole at its receiver, in this frame.
    fn completion_left(&self, frame: u64) -> Option<Timestamp> {
        self.left.get(self.arrived.get(&frame)?).copied()
    }
}

/// A message at a tap, the first time.
#[derive(Clone, Copy, Debug)]
struct Sight {
    times: PacketTimes,
    frame: u64,
    packet_id: Option<u16>,
    qos: u8,
}

/// PUBLISH and PUBREL packets at the taps.
struct Sights {
    payloads: Payloads,
    size: usize,
    topic_base: Vec<u8>,
    /// Where numbers are cut off, the next one that is likely; by tap, connection and publisher.
    expected: HashMap<(u16, u64, u32), u32>,
    published: [HashMap<Message, Sight>; 2],
    delivered: [HashMap<(Message, String), Sight>; 2],
    /// PUBRELs at the broker by client and packet identifier, in order.
    released: BTreeMap<(String, u16), Vec<Timestamp>>,
    publisher_of: HashMap<u32, String>,
}

impl Sights {
    fn new(plan: &CellPlan) -> Self {
        Self {
            payloads: Payloads::new(plan.tag(), plan.payload_bytes),
            size: plan.payload_bytes,
            topic_base: plan.topic_base().into_bytes(),
            expected: HashMap::new(),
            published: [HashMap::new(), HashMap::new()],
            delivered: [HashMap::new(), HashMap::new()],
            released: BTreeMap::new(),
            publisher_of: (0..plan.publishers)
                .map(|number| (number, plan.client_id('p', number)))
                .collect(),
        }
    }

    /// Which message a PUBLISH is.
    fn message(&mut self, event: &PacketEvent<'_>, length: u32, payload: &[u8]) -> Option<Message> {
        let digits = event.topic?.strip_prefix(self.topic_base.as_slice())?;
        let publisher: u32 = str::from_utf8(digits).ok()?.parse().ok()?;
        if length as usize != self.size {
            return None;
        }
        let facts = &event.state.facts;
        let stream = (facts.tap, facts.number, publisher);
        let expected = self.expected.get(&stream).copied().unwrap_or(0);
        let marked = payload.len() >= crate::probe::payload::MARK_BYTES;
        let recognised = if payload.len() == self.size {
            self.payloads.recognise(publisher, expected, payload)
        } else if marked {
            // The rest was cut off, and the mark is enough.
            let mut whole = payload.to_vec();
            whole.resize(self.size, 0);
            self.payloads.recognise(publisher, expected, &whole)
        } else {
            return None;
        };
        let Recognised::Message(index) = recognised else {
            return None;
        };
        let next = self.expected.entry(stream).or_insert(0);
        *next = (*next).max(index.saturating_add(1));
        Some((publisher, index))
    }

    fn publish(
        &mut self,
        event: &PacketEvent<'_>,
        message: Message,
        packet_id: Option<u16>,
        qos: u8,
    ) {
        let sight = Sight {
            times: event.times,
            frame: event.frame,
            packet_id,
            qos,
        };
        let client = || {
            let id = event.state.client_id().unwrap_or_default();
            String::from_utf8_lossy(id).into_owned()
        };
        // A copy that was sent again says nothing of the first.
        match (event.state.facts.tap, event.towards) {
            (PUBLISHER, Towards::Broker) => {
                self.published[0].entry(message).or_insert(sight);
            }
            (BROKER, Towards::Broker) => {
                self.published[1].entry(message).or_insert(sight);
            }
            (BROKER, Towards::Client) => {
                let key = (message, client());
                self.delivered[0].entry(key).or_insert(sight);
            }
            (SUBSCRIBER, Towards::Client) => {
                let key = (message, client());
                self.delivered[1].entry(key).or_insert(sight);
            }
            _ => {}
        }
    }

    fn ways(&self, segments: &Segments) -> HashMap<(Message, String), Way> {
        let one = |key: &(Message, String), arrived: &Sight| {
            let sent = self.published[0].get(&key.0)?;
            let taken = self.published[1].get(&key.0)?;
            let passed_on = self.delivered[0].get(key)?;
            let way = Way {
                left_publisher: sent.times.first,
                at_broker: self.passable(key.0.0, taken, passed_on),
                left_broker: passed_on.times.first,
                at_subscriber: arrived.times.last,
                tcp_recovery: TimeDelta::from_nanos(
                    recovery(segments, sent, taken) + recovery(segments, passed_on, arrived),
                ),
            };
            Some((key.clone(), way))
        };
        let arrivals = self.delivered[1].iter();
        arrivals
            .filter_map(|(key, sight)| one(key, sight))
            .collect()
    }

    /// When the broker could pass a message on.
    fn passable(&self, publisher: u32, taken: &Sight, passed_on: &Sight) -> Timestamp {
        let whole = taken.times.last;
        let (2, Some(id), Some(client)) = (
            taken.qos,
            taken.packet_id,
            self.publisher_of.get(&publisher),
        ) else {
            return whole;
        };
        let released = self.released.get(&(client.clone(), id));
        released
            .and_then(|times| times.iter().find(|time| **time >= whole))
            .copied()
            .filter(|time| *time <= passed_on.times.first)
            .unwrap_or(whole)
    }
}

/// From when the sender had sent a message whole for the first time to when the segment left that
/// made it whole at the receiver, in nanoseconds: 0 unless something had to be sent again.
fn recovery(segments: &Segments, sent: &Sight, arrived: &Sight) -> i64 {
    let left = segments.completion_left(arrived.frame);
    let waited = left.map(|left| (left - sent.times.last).as_nanos());
    waited.unwrap_or(0).max(0)
}

impl Observer for Sights {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        match &event.parsed.packet {
            Packet::Publish(publish) => {
                let length = publish.payload_length.unwrap_or_default();
                if let Some(message) = self.message(event, length, publish.payload) {
                    self.publish(event, message, publish.packet_id, publish.qos);
                }
            }
            Packet::Acknowledgment(acknowledgment)
                if acknowledgment.kind == PacketType::Pubrel
                    && event.towards == Towards::Broker
                    && event.state.facts.tap == BROKER =>
            {
                if let (Some(id), Some(client)) =
                    (acknowledgment.packet_id, event.state.client_id())
                {
                    let client = String::from_utf8_lossy(client).into_owned();
                    let times = self.released.entry((client, id)).or_default();
                    times.push(event.times.last);
                }
            }
            _ => {}
        }
    }

    fn bad_length(&mut self, _: &BadLengthEvent<'_>) {}
    fn gap(&mut self, _: &GapEvent<'_>) {}
    fn repeated(&mut self, _: usize, _: Towards, _: (u64, u64)) {}
    fn connection(&mut self, _: &ConnectionEvent<'_>) {}
    fn tick(&mut self, _: Timestamp) {}
}

impl session::Observer for Sights {
    fn exchange(&mut self, _: &ExchangeRecord<'_>) {}
    fn subscription(&mut self, _: &SubscriptionRecord<'_>) {}
    fn session(&mut self, _: &SessionRecord<'_>) {}
    fn delay(&mut self, _: DelayKind, _: Towards, _: TimeDelta) {}
}
