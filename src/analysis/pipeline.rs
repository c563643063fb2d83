//! From frames to observations.

use std::sync::Arc;

use crate::delivery::{Deliveries, DroppedDeliveries};
use crate::frame::Frame;
use crate::session::DroppedState;
use crate::stream::tls::KeyLog;
use crate::tcp::{Delivery, FlowHash, FlowTable, Quick, TableStatistics};
use crate::time::Timestamp;
use crate::wire::{Dissection, Dissector, Segment, Skip, WireStatistics};

use super::core::Core;
use super::options::Options;
use super::ports::PortTraffic;
use super::tee::{LeadingTopic, Tee};
use super::totals::Totals;
use super::{CLOSING_STEPS, Observer};

/// How often [`Observer::tick`] is called, in frames.
const TICK_FRAMES: u64 = 256;

/// How many segments are worked on together.
const BATCH: usize = 32;

/// The whole passive analysis of one or more taps.
#[derive(Debug)]
pub struct Pipeline {
    dissector: Dissector,
    table: FlowTable,
    core: Core,
    frames: u64,
}

impl Pipeline {
    /// A pipeline that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            dissector: Dissector::new(options.wire),
            table: FlowTable::new(options.tcp),
            frames: 0,
            core: Core::new(options),
        }
    }

    /// Takes one frame.
    pub fn push<O: Observer>(&mut self, frame: &Frame<'_>, observer: &mut O) {
        self.push_all([*frame], observer);
    }

    /// Takes frames, in order. Several at a time are faster than one at a time: what is known of
    /// their connections is fetched for all of them before the first is worked on.
    pub fn push_all<'f, O: Observer>(
        &mut self,
        frames: impl IntoIterator<Item = Frame<'f>>,
        observer: &mut O,
    ) {
        let mut batch = [(Segment::EMPTY, FlowHash::default()); BATCH];
        let mut count = 0;
        frames.into_iter().for_each(|frame| {
            self.frames = self.frames.saturating_add(1);
            self.core.ledger.missed.reach(frame.time);
            if self.frames.is_multiple_of(TICK_FRAMES) {
                self.core.tick(frame.time, observer);
            }
            let Some((segment, flow)) = batch.get_mut(count) else {
                return;
            };
            match self.dissector.dissect_usual(&frame, segment) {
                Some(Ok(())) => {
                    *flow = self.table.hash(segment);
                    self.table.touch_index(flow);
                    count = count.saturating_add(1);
                    if count >= BATCH {
                        self.take_all(&mut batch, observer);
                        count = 0;
                    }
                }
                Some(Err(_)) => {}
                None => {
                    self.take_all(batch.get_mut(..count).unwrap_or_default(), observer);
                    count = 0;
                    self.push_unusual(&frame, observer);
                }
            }
        });
        self.take_all(batch.get_mut(..count).unwrap_or_default(), observer);
    }

    fn push_unusual<O: Observer>(&mut self, frame: &Frame<'_>, observer: &mut O) {
        match self.dissector.dissect(frame) {
            Dissection::Tcp(segment) => {
                hand_on(&mut self.table.push(&segment), &mut self.core, observer);
            }
            Dissection::Skipped(Skip::NotTcp {
                ports: Some(ports), ..
            }) => {
                self.core
                    .other
                    .add_datagram(ports, u64::from(frame.wire_length));
            }
            Dissection::Skipped(_) => {}
        }
    }

    fn take_all<O: Observer>(
        &mut self,
        segments: &mut [(Segment<'_>, FlowHash)],
        observer: &mut O,
    ) {
        for (segment, flow) in segments.iter_mut() {
            self.table.guess(flow);
            if segment.payload_length > 0 {
                self.core.touch_place(flow.slot());
            }
        }
        let mut opening = 0;
        let mut topics = [LeadingTopic::default(); BATCH];
        for ((segment, flow), topic) in segments.iter().zip(&mut topics) {
            *topic = LeadingTopic::of(segment.payload);
            if let Some(topic) = topic.hash() {
                observer.touch_index(segment.tap, topic);
            }
            match self.table.touch(flow) {
                Some(slot) if segment.payload_length > 0 || closes(segment) => {
                    self.core.touch(slot, observer);
                }
                None if segment.flags.syn() => {
                    self.table.touch_opening(opening);
                    opening = opening.saturating_add(1);
                }
                _ => {}
            }
        }
        let (mut hints, mut hinted) = ([None; BATCH], 0);
        let (mut closing, mut closings) = ([0; BATCH], 0);
        // By now what leads further is there.
        for ((segment, flow), topic) in segments.iter().zip(&topics) {
            if let Some(hash) = topic.hash()
                && let Some((slot, direction)) = self.table.way(flow)
            {
                let named = (segment.tap, hash);
                let hint = self.core.touch_message(slot, direction, named, observer);
                if let (Some(hint), Some(place)) = (hint, hints.get_mut(hinted)) {
                    *place = Some(hint);
                    hinted = hinted.saturating_add(1);
                }
            } else if closes(segment)
                && let Some(slot) = self.table.touch_closing(flow)
            {
                self.core.touch_closing(slot, 0, observer);
                if let Some(place) = closing.get_mut(closings) {
                    *place = slot;
                    closings = closings.saturating_add(1);
                }
            }
        }
        let closing = closing.get(..closings).unwrap_or_default();
        for step in 1..CLOSING_STEPS {
            for &slot in closing {
                self.core.touch_closing(slot, step, observer);
            }
        }
        if let Some(deliveries) = &self.core.ledger.deliveries {
            for hint in hints.iter().take(hinted).flatten() {
                deliveries.touch_topic(hint);
            }
        }
        for ((segment, flow), topic) in segments.iter().zip(topics) {
            self.core.ledger.leading = topic;
            match self.table.push_quick(segment, flow) {
                Quick::Data(tcp, chunk) => self.core.data(tcp, &chunk, observer),
                Quick::Nothing => {}
                Quick::General => {
                    let mut delivery = self.table.push_hashed(segment, flow);
                    hand_on(&mut delivery, &mut self.core, observer);
                }
            }
        }
        // Their memory may be others' from now on.
        self.core.ledger.leading = LeadingTopic::default();
    }

    /// Takes secrets of TLS connections: a whole key log, or part of one that goes on, in which
    /// the last line may be unfinished.
    pub fn add_secrets(&mut self, key_log: &[u8]) {
        Arc::make_mut(&mut self.core.options.key_log).push(key_log);
    }

    /// Secrets known by now.
    #[must_use]
    pub fn key_log(&self) -> &KeyLog {
        &self.core.options.key_log
    }

    /// Capture time goes on although no frame comes: what waits for a time is decided. `now` must
    /// not be later than the frames that are still to come.
    pub fn advance<O: Observer>(&mut self, now: Timestamp, observer: &mut O) {
        self.core.tick(now, observer);
    }

    /// The capture lost frames at some time of a span: from then on, and for what includes such a
    /// time, absence proves nothing. What would be [lost](crate::delivery::DeliveryOutcome::Lost)
    /// is undetermined, an exchange that is not complete is
    /// [unknown](crate::session::ExchangeOutcome::Unknown), and what was seen whole is marked as
    /// uncertain, since its first copy may be missing.
    pub fn missed_frames(&mut self, from: Timestamp, until: Timestamp) {
        self.core.ledger.missed.add(from, until);
    }

    /// QoS 1 and 2 exchanges in flight.
    #[must_use]
    pub fn open_exchanges(&self) -> usize {
        self.core.sessions.in_flight()
    }

    /// Messages on their way to receivers, counted for each receiver.
    #[must_use]
    pub fn awaited_deliveries(&self) -> usize {
        self.core
            .ledger
            .deliveries
            .as_ref()
            .map_or(0, Deliveries::awaited)
    }

    /// The capture is over: everything that is open is reported.
    pub fn finish<O: Observer>(&mut self, observer: &mut O) {
        hand_on(&mut self.table.finish(), &mut self.core, observer);
        let core = &mut self.core;
        let mut tee = Tee {
            ledger: &mut core.ledger,
            selection: &core.options.selection,
            wanted: core.options.selection.client_id.is_none(),
            observer,
        };
        tee.matched(&mut core.sessions, |deliveries, matched| {
            deliveries.finish(matched);
        });
        core.sessions.finish(&mut tee);
    }

    /// Frames taken.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// What was counted so far.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.core.ledger.totals
    }

    /// Counters of the link and network layer.
    #[must_use]
    pub fn wire(&self) -> &WireStatistics {
        self.dissector.statistics()
    }

    /// Counters of the flow table.
    #[must_use]
    pub const fn tcp(&self) -> &TableStatistics {
        self.table.statistics()
    }

    /// Traffic that was not taken for MQTT.
    #[must_use]
    pub const fn other(&self) -> &PortTraffic {
        &self.core.other
    }

    /// What the session layer had to drop.
    #[must_use]
    pub const fn dropped(&self) -> &DroppedState {
        self.core.sessions.dropped()
    }

    /// Whether messages are matched with their receivers.
    #[must_use]
    pub const fn matches(&self) -> bool {
        self.core.ledger.deliveries.is_some()
    }

    /// What the matching of messages had to drop.
    #[must_use]
    pub fn dropped_deliveries(&self) -> DroppedDeliveries {
        let deliveries = self.core.ledger.deliveries.as_ref();
        deliveries.map_or_else(Default::default, |deliveries| *deliveries.dropped())
    }

    /// Streams of which less was kept to stay within [`Options::stream_bytes`].
    #[must_use]
    pub const fn limited_streams(&self) -> u64 {
        self.core.limited_streams
    }

    /// Sessions seen.
    #[must_use]
    pub const fn sessions(&self) -> u64 {
        self.core.sessions.count()
    }
}

/// Hands on what a segment made available.
#[inline(never)]
fn hand_on<O: Observer>(delivery: &mut Delivery<'_, '_>, core: &mut Core, observer: &mut O) {
    while let Some(event) = delivery.next() {
        core.take(event, observer);
    }
}

/// The segment is likely to be among the last of its connection.
const fn closes(segment: &Segment<'_>) -> bool {
    segment.flags.fin() || segment.flags.rst()
}
