//! From frames to observations.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::delivery::{self, Deliveries, DeliveryRecord, DroppedDeliveries, Seen};
use crate::frame::Frame;
use crate::lint;
use crate::mqtt::stream::{Framed, Input, Output};
use crate::mqtt::topic::{leading_topic, name_hash};
use crate::mqtt::{
    Acknowledgment, FixedHeader, Packet, PacketType, Parsed, Prefix, Violations, parse_into,
    parse_prefix,
};
use crate::session::{
    self, ConnectionState, DelayKind, DroppedState, ExchangeRecord, Grant, PacketTimes, Received,
    SessionRecord, SessionViolations, Sessions, SubscriptionRecord, Tag, Towards,
};
use crate::stream::tls::KeyLog;
use crate::tcp::{
    Chunk, Connection, Direction, EndReason, Event, FlowHash, FlowTable, Gap, Quick,
    TableStatistics,
};
use crate::time::{TimeDelta, Timestamp};
use crate::wire::{Dissection, Dissector, Segment, Skip, WireStatistics};

use super::carrier::Scratches;
use super::flow::{Mark, MqttFlow, Roles, Slot, confirm};
use super::missed::MissedFrames;
use super::options::{Options, Selection, Transport};
use super::ports::PortTraffic;
use super::totals::Totals;
use super::{
    BadLengthEvent, BytesEvent, ConnectionEvent, GapEvent, Observer, PacketEvent, Vantage,
};

/// How often [`Observer::tick`] is called, in frames.
const TICK_FRAMES: u64 = 256;

/// How many segments are worked on together.
const BATCH: usize = 32;

/// How many connections' memory is kept for the next ones.
const SPARE: usize = 256;

/// The whole passive analysis of one or more taps.
#[derive(Debug)]
pub struct Pipeline {
    dissector: Dissector,
    table: FlowTable,
    core: Core,
    frames: u64,
}

/// Everything above the TCP streams.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: Options,
    pub(super) slots: Vec<Slot>,
    /// Memory of connections that are gone, for those that come.
    #[allow(clippy::vec_box, reason = "what is spare keeps its place in memory")]
    spare: Vec<Box<MqttFlow>>,
    pub(super) sessions: Sessions,
    pub(super) deliveries: Option<Deliveries>,
    /// PUBLISH packets told of.
    pub(super) messages: u64,
    pub(super) totals: Totals,
    other: PortTraffic,
    /// Bytes of unfinished packets in all streams together.
    pub(super) buffered: usize,
    /// Streams that were told to keep less.
    pub(super) limited_streams: u64,
    /// Bytes that wait in what carries MQTT, on all connections together.
    pub(super) carried: usize,
    pub(super) scratches: Scratches,
    pub(super) missed: MissedFrames,
}

/// Passes records on, counted, and only the wanted ones.
pub(super) struct Tee<'t, O> {
    pub(super) totals: &'t mut Totals,
    pub(super) selection: &'t Selection,
    /// The connection that is being worked on is wanted.
    pub(super) wanted: bool,
    pub(super) observer: &'t mut O,
    pub(super) deliveries: Option<&'t mut Deliveries>,
    /// PUBLISH packets told of.
    pub(super) messages: &'t mut u64,
    pub(super) missed: &'t MissedFrames,
}

/// Passes what became of messages on, counted, and only of wanted ones.
struct Matched<'t, O> {
    totals: &'t mut Totals,
    selection: &'t Selection,
    observer: &'t mut O,
    missed: &'t MissedFrames,
    /// The sessions of wills that were seen to be published.
    wills: Vec<u32>,
}

impl<O: Observer> delivery::Observer for Matched<'_, O> {
    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        self.wills.extend(record.will_of);
        let wanted = self.selection.client_id.is_none()
            || self.selection.client(Some(record.subscriber))
            || self.selection.client(record.publisher);
        if wanted && self.selection.topic(record.topic) {
            let record = self.missed.weigh_delivery(record);
            self.totals.delivery(&record);
            self.observer.delivery(&record);
        }
    }
}

impl<O: Observer> Tee<'_, O> {
    /// Lets the matching take something, apart from this.
    fn matched<T>(
        &mut self,
        sessions: &mut Sessions,
        take: impl FnOnce(&mut Deliveries, &mut Matched<'_, O>) -> T,
    ) -> Option<T> {
        let mut matched = Matched {
            totals: self.totals,
            selection: self.selection,
            observer: self.observer,
            missed: self.missed,
            wills: Vec::new(),
        };
        let result = take(self.deliveries.as_deref_mut()?, &mut matched);
        for slot in matched.wills {
            sessions.will_published(slot);
        }
        Some(result)
    }
}

impl<O: Observer> session::Observer for Tee<'_, O> {
    fn granted(&mut self, state: &ConnectionState, grant: &Grant<'_>) {
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.granted(state, grant);
        }
    }

    fn withdrawn(&mut self, state: &ConnectionState, filter: &[u8]) {
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.withdrawn(state, filter);
        }
    }

    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        if self.wanted && self.selection.topic(Some(record.topic)) {
            let record = self.missed.weigh_exchange(record);
            self.totals.exchange(&record);
            self.observer.exchange(&record);
        }
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        if self.wanted {
            self.observer.subscription(record);
        }
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        if self.selection.client(Some(record.client_id)) {
            self.observer.session(record);
        }
    }

    fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta) {
        if self.wanted {
            self.totals.delay(kind, towards, delay);
            self.observer.delay(kind, towards, delay);
        }
    }
}

impl Pipeline {
    /// A pipeline that has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            dissector: Dissector::new(options.wire),
            table: FlowTable::new(options.tcp),
            frames: 0,
            core: Core {
                slots: Vec::new(),
                spare: Vec::new(),
                sessions: Sessions::new(options.session),
                deliveries: options
                    .matching
                    .then(|| Deliveries::new(options.deadline, options.delivery)),
                messages: 0,
                totals: Totals::default(),
                other: PortTraffic::default(),
                buffered: 0,
                limited_streams: 0,
                carried: 0,
                scratches: Scratches::default(),
                missed: MissedFrames::default(),
                options,
            },
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
            self.core.missed.reach(frame.time);
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
                let mut delivery = self.table.push(&segment);
                while let Some(event) = delivery.next() {
                    self.core.take(event, observer);
                }
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
        for (_, flow) in segments.iter_mut() {
            self.table.guess(flow);
        }
        let mut opening = 0;
        let mut topics = [None; BATCH];
        for ((segment, flow), topic) in segments.iter().zip(&mut topics) {
            *topic = leading_topic(segment.payload).map(name_hash);
            if let Some(topic) = *topic {
                observer.touch_index(segment.tap, topic);
            }
            match self.table.touch(flow) {
                Some(slot) if segment.payload_length > 0 || closes(segment) => {
                    self.core.touch(slot);
                }
                None if segment.flags.syn() => {
                    self.table.touch_opening(opening);
                    opening = opening.saturating_add(1);
                }
                _ => {}
            }
        }
        // By now what leads further is there.
        for ((segment, flow), topic) in segments.iter().zip(&mut topics) {
            if let Some(hash) = topic.take()
                && let Some((slot, direction)) = self.table.way(flow)
            {
                let named = (segment.tap, hash);
                *topic = self.core.touch_message(slot, direction, named, observer);
            } else if closes(segment)
                && let Some((slot, _)) = self.table.way(flow)
            {
                self.core.touch_closing(slot, observer);
            }
        }
        if let Some(deliveries) = &self.core.deliveries {
            for topic in topics.iter().take(segments.len()).flatten() {
                deliveries.touch_topic(*topic);
            }
        }
        for (segment, flow) in segments.iter() {
            match self.table.push_quick(segment, flow) {
                Quick::Data(tcp, chunk) => self.core.data(tcp, &chunk, observer),
                Quick::Nothing => {}
                Quick::General => {
                    let mut delivery = self.table.push_hashed(segment, flow);
                    while let Some(event) = delivery.next() {
                        self.core.take(event, observer);
                    }
                }
            }
        }
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
        self.core.missed.add(from, until);
    }

    /// QoS 1 and 2 exchanges in flight.
    #[must_use]
    pub fn open_exchanges(&self) -> usize {
        self.core.sessions.in_flight()
    }

    /// Messages on their way to receivers, counted for each receiver.
    #[must_use]
    pub fn awaited_deliveries(&self) -> usize {
        self.core.deliveries.as_ref().map_or(0, Deliveries::awaited)
    }

    /// The capture is over: everything that is open is reported.
    pub fn finish<O: Observer>(&mut self, observer: &mut O) {
        let mut delivery = self.table.finish();
        while let Some(event) = delivery.next() {
            self.core.take(event, observer);
        }
        let core = &mut self.core;
        let mut tee = Tee {
            totals: &mut core.totals,
            selection: &core.options.selection,
            wanted: core.options.selection.client_id.is_none(),
            observer,
            deliveries: core.deliveries.as_mut(),
            messages: &mut core.messages,
            missed: &core.missed,
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
        &self.core.totals
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
        self.core.deliveries.is_some()
    }

    /// What the matching of messages had to drop.
    #[must_use]
    pub fn dropped_deliveries(&self) -> DroppedDeliveries {
        let deliveries = self.core.deliveries.as_ref();
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

impl Core {
    /// Time goes on.
    fn tick<O: Observer>(&mut self, now: Timestamp, observer: &mut O) {
        self.missed.reach(now);
        let mut matched = Matched {
            totals: &mut self.totals,
            selection: &self.options.selection,
            observer,
            missed: &self.missed,
            wills: Vec::new(),
        };
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.tick(now, &mut matched);
        }
        for slot in matched.wills {
            self.sessions.will_published(slot);
        }
        observer.tick(now);
    }

    /// Asks for what is known of a connection.
    fn touch(&self, slot: usize) {
        if let Some(Slot::Mqtt(flow)) = self.slots.get(slot) {
            flow.touch();
        }
        if let Some(deliveries) = &self.deliveries {
            deliveries.touch(slot);
        }
    }

    /// Asks for what is known around a PUBLISH, by tap and hash of its topic; gives what the topic
    /// is known by where messages are matched.
    fn touch_message<O: Observer>(
        &self,
        slot: usize,
        direction: Direction,
        (tap, topic): (u16, u64),
        observer: &O,
    ) -> Option<u64> {
        let Some(Slot::Mqtt(flow)) = self.slots.get(slot) else {
            return None;
        };
        if flow.opaque {
            return None;
        }
        let towards = flow.roles.towards(direction);
        observer.touch(slot, tap, towards, topic);
        let deliveries = self.deliveries.as_ref()?;
        deliveries.touch_message(slot, towards, topic)
    }

    /// Asks for what the end of a connection needs.
    fn touch_closing<O: Observer>(&self, slot: usize, observer: &O) {
        if let Some(Slot::Mqtt(flow)) = self.slots.get(slot) {
            flow.touch_closing();
            self.sessions.touch(&flow.state);
            observer.touch_closing(slot);
        }
        if let Some(deliveries) = &self.deliveries {
            deliveries.touch_closing(slot);
        }
    }

    fn take<O: Observer>(&mut self, event: Event<'_>, observer: &mut O) {
        match event {
            Event::Opened(tcp) => self.open(tcp),
            Event::Data(tcp, chunk) => self.data(tcp, &chunk, observer),
            Event::Gap(tcp, gap) => self.gap(tcp, gap, observer),
            Event::Repeated(tcp, direction, offset, bytes) => {
                if let Some(Slot::Mqtt(flow)) = self.slots.get(tcp.slot()) {
                    let extent = (offset, offset.saturating_add(u64::from(bytes)));
                    observer.repeated(tcp.slot(), flow.roles.towards(direction), extent);
                }
            }
            Event::Closed(tcp, end) => self.close(tcp, end, observer),
        }
    }

    fn open(&mut self, tcp: &Connection) {
        let index = tcp.slot();
        if self.slots.len() <= index {
            self.slots
                .resize_with(index.saturating_add(1), Slot::default);
        }
        let rule = |endpoint: usize| {
            let port = tcp.endpoints.get(endpoint)?.port;
            self.options
                .ports
                .iter()
                .find(|rule| rule.port == port)
                .map(|rule| rule.transport)
        };
        let (forward, reverse) = (rule(0), rule(1));
        let slot = match (forward, reverse) {
            (_, Some(transport)) => self.named(tcp, true, transport),
            // The sender of the first frame stands on a named port: the broker, unless it is
            // the one who opened the connection.
            (Some(transport), None) => self.named(tcp, tcp.initiator_known, transport),
            (None, None) if self.options.detect => Slot::Unknown,
            (None, None) => Slot::Ignored,
        };
        if let Some(place) = self.slots.get_mut(index) {
            *place = slot;
        }
    }

    /// A connection that stands on a named port.
    fn named(&mut self, tcp: &Connection, client_is_forward: bool, transport: Transport) -> Slot {
        let flow = MqttFlow::new(tcp, client_is_forward, transport, true);
        Slot::Mqtt(match self.spare.pop() {
            Some(mut spare) => {
                *spare = flow;
                spare
            }
            None => Box::new(flow),
        })
    }

    fn data<O: Observer>(&mut self, tcp: &Connection, chunk: &Chunk<'_>, observer: &mut O) {
        let Some(slot) = self.slots.get_mut(tcp.slot()) else {
            return;
        };
        if matches!(slot, Slot::Unknown) {
            *slot = detect(tcp, chunk);
        }
        let Slot::Mqtt(flow) = slot else { return };
        if flow.first_bytes.is_some() && !flow.opaque && !confirm(flow, chunk) {
            self.ignore(tcp.slot());
            return;
        }
        if flow.opaque {
            self.carried_data(tcp, chunk, observer);
            return;
        }
        let wanted = self.options.selection.connection(&flow.state);
        let mut tee = Tee {
            totals: &mut self.totals,
            selection: &self.options.selection,
            wanted,
            observer,
            deliveries: self.deliveries.as_mut(),
            messages: &mut self.messages,
            missed: &self.missed,
        };
        // The directions are handed on one by one, so one may be ahead of the other's hole.
        flow.state
            .set_hole(tcp.has_hole(chunk.direction.opposite()));
        let mark = Mark::of(chunk);
        let begun = flow.stream_mut(chunk.direction).begun();
        tee.observer.bytes(&BytesEvent {
            state: &flow.state,
            slot: tcp.slot(),
            towards: flow.roles.towards(chunk.direction),
            extent: (mark.start, mark.end),
            seen_in: chunk.seen_in,
            needed_from: begun.map_or(mark.start, |begun| begun.start),
        });
        let input = Input {
            bytes: chunk.bytes,
            mark,
            segment_start: chunk.segment_start,
            segment_end: chunk.segment_end,
        };
        let kept = frame_packets(
            flow,
            tcp,
            chunk.direction,
            input,
            &self.options,
            &mut self.sessions,
            &mut tee,
        );
        self.buffered = self.buffered.saturating_add_signed(kept);
        if self.buffered > self.options.stream_bytes && kept > 0 {
            self.limited_streams = self.limited_streams.saturating_add(1);
            flow.stream_mut(chunk.direction).stop_buffering();
        }
        self.displace(observer);
    }

    /// Closes what newer connections have taken over.
    pub(super) fn displace<O: Observer>(&mut self, observer: &mut O) {
        while let Some((slot, number)) = self.sessions.next_displaced() {
            if let Some(Slot::Mqtt(old)) = self.slots.get_mut(slot)
                && old.state.facts.number == number
            {
                let mut tee = Tee {
                    wanted: self.options.selection.connection(&old.state),
                    totals: &mut self.totals,
                    selection: &self.options.selection,
                    observer,
                    deliveries: self.deliveries.as_mut(),
                    messages: &mut self.messages,
                    missed: &self.missed,
                };
                self.sessions.displace(&mut old.state, &mut tee);
            }
        }
    }

    fn gap<O: Observer>(&mut self, tcp: &Connection, gap: Gap, observer: &mut O) {
        let Some(Slot::Mqtt(flow)) = self.slots.get_mut(tcp.slot()) else {
            return;
        };
        if !flow.named && flow.first_bytes.is_some() {
            // What would have told that it is MQTT is missing.
            self.ignore(tcp.slot());
            return;
        }
        let mark = Mark {
            first_seen: gap.time,
            whole: gap.time,
            file: gap.file,
            frame: gap.frame,
            start: gap.offset,
            end: gap.offset.saturating_add(gap.bytes),
        };
        if flow.opaque {
            self.carried_gap(tcp, gap, mark, observer);
            return;
        }
        let wanted = self.options.selection.connection(&flow.state);
        let mut tee = Tee {
            totals: &mut self.totals,
            selection: &self.options.selection,
            wanted,
            observer,
            deliveries: self.deliveries.as_mut(),
            messages: &mut self.messages,
            missed: &self.missed,
        };
        let MqttFlow {
            state,
            forward,
            reverse,
            roles,
            malformed,
            bytes,
            ..
        } = &mut **flow;
        let stream = match gap.direction {
            Direction::Forward => forward,
            Direction::Reverse => reverse,
        };
        let before = stream.buffered();
        let towards = roles.towards(gap.direction);
        if let Some(Output::Packet(framed)) = stream.gap(gap.bytes, mark) {
            let mut books = Books {
                slot: tcp.slot(),
                at_broker: stands_at_broker(tcp, roles.client_is_forward),
                malformed,
                bytes,
            };
            packet(
                state,
                &Found::of(&framed),
                towards,
                &mut books,
                &mut self.sessions,
                &mut tee,
            );
        }
        let within_packet = stream.unfinished().is_some() || stream.at_boundary();
        if !within_packet {
            state.lost_packets(towards);
            if let Some(deliveries) = &mut tee.deliveries {
                deliveries.gap(state, towards, gap.before);
            }
        }
        let after = stream.buffered();
        self.buffered = self.buffered.saturating_add(after).saturating_sub(before);
        if wanted {
            observer.gap(&GapEvent {
                state,
                towards,
                gap,
                within_packet,
            });
        }
    }

    /// Looks no more at a connection that turned out not to be MQTT. Nothing was told of it yet.
    pub(super) fn ignore(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if let Slot::Mqtt(flow) = std::mem::replace(slot, Slot::Ignored) {
            self.buffered = self.buffered.saturating_sub(flow.buffered());
            self.carried = self.carried.saturating_sub(flow.carried());
        }
    }

    fn close<O: Observer>(&mut self, tcp: &Connection, end: EndReason, observer: &mut O) {
        if matches!(self.slots.get(tcp.slot()), Some(Slot::Mqtt(flow)) if flow.opaque) {
            self.carried_end(tcp, observer);
        }
        let Some(slot) = self.slots.get_mut(tcp.slot()).map(std::mem::take) else {
            return;
        };
        let Slot::Mqtt(mut flow) = slot else {
            self.count_other(tcp);
            return;
        };
        self.buffered = self.buffered.saturating_sub(flow.buffered());
        self.carried = self.carried.saturating_sub(flow.carried());
        if !flow.named && flow.first_bytes.is_some() {
            // It ended before its first bytes could tell.
            self.count_other(tcp);
            return;
        }
        let wanted = self.options.selection.connection(&flow.state);
        let mut tee = Tee {
            totals: &mut self.totals,
            selection: &self.options.selection,
            wanted,
            observer,
            deliveries: self.deliveries.as_mut(),
            messages: &mut self.messages,
            missed: &self.missed,
        };
        let ended = !matches!(end, EndReason::CaptureEnded | EndReason::Evicted);
        if ended {
            flow.state.silent_until(tcp.last);
        }
        self.sessions.close(&mut flow.state, ended, &mut tee);
        if let Some(deliveries) = &mut tee.deliveries {
            deliveries.closed(&flow.state, tcp.last, ended);
        }
        if !wanted {
            return;
        }
        self.count(tcp, &flow);
        let (client, broker) = if flow.roles.client_is_forward {
            (tcp.round_trip_before(), tcp.round_trip_beyond())
        } else {
            (tcp.round_trip_beyond(), tcp.round_trip_before())
        };
        observer.connection(&ConnectionEvent {
            tcp,
            end,
            ended_by: tcp.ended_by.map(|direction| flow.roles.towards(direction)),
            unfinished: flow.unfinished(),
            state: &flow.state,
            transport: flow.transport,
            client_is_forward: flow.roles.client_is_forward,
            bytes: flow.bytes,
            malformed: flow.malformed,
            vantage: Vantage::from_round_trips(client, broker),
            round_trip_client: client,
            round_trip_broker: broker,
            tls: flow.carrier.as_ref().and_then(|carrier| carrier.tls_view()),
            stop: flow.carrier.as_ref().and_then(|carrier| carrier.stopped()),
        });
        if self.spare.len() < SPARE {
            self.spare.push(flow);
        }
    }

    /// Traffic that is not MQTT counts for the port that looks like the server's.
    fn count_other(&mut self, tcp: &Connection) {
        let [forward, reverse] = tcp.endpoints;
        let server = if tcp.initiator_known {
            reverse.port
        } else {
            forward.port.min(reverse.port)
        };
        let bytes = |direction| tcp.statistics(direction).bytes;
        self.other.add(
            server,
            bytes(Direction::Forward).saturating_add(bytes(Direction::Reverse)),
        );
    }

    fn count(&mut self, tcp: &Connection, flow: &MqttFlow) {
        let totals = &mut self.totals;
        totals.connections = totals.connections.saturating_add(1);
        let transport = totals.transports.entry(flow.transport.name()).or_default();
        *transport = transport.saturating_add(1);
        if let Some(stop) = flow.carrier.as_ref().and_then(|carrier| carrier.stopped()) {
            let unread = totals.unread.entry(stop.to_string()).or_default();
            *unread = unread.saturating_add(1);
        }
        if let Some(time) = tcp.handshake_time {
            totals.tcp_handshake.record(time);
        }
        for direction in [Direction::Forward, Direction::Reverse] {
            let s = tcp.statistics(direction);
            let add = |sum: &mut u64, value: u64| *sum = sum.saturating_add(value);
            add(&mut totals.retransmitted_segments, s.retransmitted_segments);
            add(&mut totals.out_of_order_segments, s.out_of_order_segments);
            add(&mut totals.data_segments, s.segments);
            add(
                &mut totals.capture_gaps,
                s.gaps.saturating_sub(s.snapped_segments),
            );
            add(
                &mut totals.gap_bytes,
                s.gap_bytes.saturating_sub(s.snapped_bytes),
            );
            add(&mut totals.missed_bytes, s.missed_bytes);
            add(&mut totals.snapped_bytes, s.snapped_bytes);
            add(
                &mut totals.stream_bytes,
                s.bytes.saturating_add(s.gap_bytes),
            );
        }
        let skipped = flow
            .forward
            .skipped()
            .saturating_add(flow.reverse.skipped());
        totals.unsynchronised_bytes = totals.unsynchronised_bytes.saturating_add(skipped);
    }
}

/// The segment is likely to be among the last of its connection.
const fn closes(segment: &Segment<'_>) -> bool {
    segment.flags.fin() || segment.flags.rst()
}

/// Decides on a connection of no named port, by the first bytes seen of it.
fn detect(tcp: &Connection, chunk: &Chunk<'_>) -> Slot {
    // The client speaks first in MQTT.
    if tcp.initiator_known && chunk.direction == Direction::Reverse {
        return Slot::Ignored;
    }
    let client_is_forward = chunk.direction == Direction::Forward;
    let mut flow = MqttFlow::new(tcp, client_is_forward, Transport::Tcp, false);
    flow.synchronise();
    Slot::Mqtt(Box::new(flow))
}

/// What a packet is booked on besides the session.
pub(super) struct Books<'b> {
    pub(super) slot: usize,
    /// The tap stands beside the broker.
    pub(super) at_broker: bool,
    pub(super) malformed: &'b mut u64,
    pub(super) bytes: &'b mut session::PerWay<u64>,
}

/// A control packet, and where it was found.
pub(super) struct Found<'f> {
    header: FixedHeader,
    body: &'f [u8],
    first: &'f Mark,
    last: &'f Mark,
    missing: u32,
    payload_hash: Option<u64>,
}

impl<'f> Found<'f> {
    pub(super) const fn of(framed: &'f Framed<'_, Mark>) -> Self {
        Self {
            header: framed.header,
            body: framed.body,
            first: &framed.first,
            last: &framed.last,
            missing: framed.missing,
            payload_hash: framed.payload_hash,
        }
    }
}

/// A connection and what its packets are told to.
struct Work<'w, 't, O> {
    state: &'w mut session::ConnectionState,
    roles: &'w mut Roles,
    slot: usize,
    at_broker: bool,
    malformed: &'w mut u64,
    bytes: &'w mut session::PerWay<u64>,
    sessions: &'w mut Sessions,
    tee: &'w mut Tee<'t, O>,
}

impl<O: Observer> Work<'_, '_, O> {
    #[inline]
    fn packet(&mut self, direction: Direction, found: &Found<'_>) {
        let mut towards = self.roles.towards(direction);
        if !self.roles.known && self.roles.settle(found.header.packet_type(), towards) {
            if let Some(deliveries) = &mut self.tee.deliveries {
                deliveries.turned_around(self.state);
            }
            self.state.turn_around();
            std::mem::swap(&mut self.bytes.to_broker, &mut self.bytes.to_client);
            towards = towards.opposite();
        }
        let mut books = Books {
            slot: self.slot,
            at_broker: self.at_broker,
            malformed: self.malformed,
            bytes: self.bytes,
        };
        packet(
            self.state,
            found,
            towards,
            &mut books,
            self.sessions,
            self.tee,
        );
    }

    #[cold]
    fn bad_length(&mut self, direction: Direction, first_byte: u8, first: &Mark, last: &Mark) {
        *self.malformed = self.malformed.saturating_add(1);
        if !self.tee.wanted {
            return;
        }
        let packet_type = crate::mqtt::PacketType::from_first_byte(first_byte);
        self.tee.totals.packet(packet_type, 0, true);
        self.tee.observer.bad_length(&BadLengthEvent {
            state: self.state,
            slot: self.slot,
            towards: self.roles.towards(direction),
            file: last.file,
            frame: last.frame,
            times: PacketTimes {
                first: first.first_seen,
                last: last.whole,
            },
            first_byte,
            extent: (first.start, last.end),
        });
    }
}

/// Frames all packets of a chunk; tells by how much the bytes kept have grown.
pub(super) fn frame_packets<O: Observer>(
    flow: &mut MqttFlow,
    tcp: &Connection,
    direction: Direction,
    mut input: Input<'_, Mark>,
    options: &Options,
    sessions: &mut Sessions,
    tee: &mut Tee<'_, O>,
) -> isize {
    let MqttFlow {
        state,
        forward,
        reverse,
        roles,
        malformed,
        bytes,
        ..
    } = flow;
    let stream = match direction {
        Direction::Forward => forward,
        Direction::Reverse => reverse,
    };
    let before = stream.buffered();
    let mark = input.mark;
    let mut work = Work {
        slot: tcp.slot(),
        at_broker: stands_at_broker(tcp, roles.client_is_forward),
        state,
        roles,
        malformed,
        bytes,
        sessions,
        tee,
    };
    loop {
        // Nearly every packet lies whole in a chunk, and needs no copy of where it comes from.
        if let Some((header, body)) = stream.next_whole(&mut input) {
            let found = Found {
                header,
                body,
                first: &mark,
                last: &mark,
                missing: 0,
                payload_hash: None,
            };
            work.packet(direction, &found);
            continue;
        }
        let Some(output) = stream.next(&mut input, work.state.level, &options.stream) else {
            break;
        };
        match output {
            Output::Packet(framed) => work.packet(direction, &Found::of(&framed)),
            Output::BadLength {
                first_byte,
                first,
                last,
            } => work.bad_length(direction, first_byte, &first, &last),
        }
    }
    let after = stream.buffered();
    isize::try_from(after)
        .unwrap_or(isize::MAX)
        .saturating_sub(isize::try_from(before).unwrap_or(0))
}

/// Parses one packet, lets the session layer take it, and tells of it.
pub(super) fn packet<O: Observer>(
    state: &mut session::ConnectionState,
    found: &Found<'_>,
    towards: Towards,
    books: &mut Books<'_>,
    sessions: &mut Sessions,
    tee: &mut Tee<'_, O>,
) {
    let header = found.header;
    state.infer_level(header.first_byte, found.body, header.remaining_length);
    let whole = found.body.len() == header.remaining_length as usize;
    let mut parsed = Parsed::default();
    if whole {
        parse_into(&mut parsed, header.first_byte, found.body, state.level);
    } else {
        let (Prefix::Parsed(prefix) | Prefix::NeedMore(prefix)) = parse_prefix(
            header.first_byte,
            found.body,
            header.remaining_length,
            state.level,
        );
        parsed = prefix;
    }
    parsed.violations = parsed.violations.union(header.violations());
    let payload_hash = match &parsed.packet {
        Packet::Publish(publish) if whole => {
            publish.payload_length.map(|_| xxh3_64(publish.payload))
        }
        _ => found.payload_hash,
    };
    let times = PacketTimes {
        first: found.first.first_seen,
        last: found.last.whole,
    };
    let received = Received {
        towards,
        times,
        header,
        parsed: &parsed,
        payload_hash,
    };
    let taken = sessions.packet(state, &received, tee);
    let violations = taken.violations;
    let length = header.packet_length();
    *books.bytes.get_mut(towards) = books.bytes.get(towards).saturating_add(u64::from(length));
    let is_malformed = parsed.malformed.is_some();
    if is_malformed {
        // Far from what every packet touches.
        *books.malformed = books.malformed.saturating_add(1);
    }
    // A CONNECT may just have told whose connection it is.
    tee.wanted = tee.selection.connection(state);
    let topic = match &parsed.packet {
        Packet::Publish(publish) => state.topic(towards, publish),
        _ => None,
    };
    let topic_hash = topic.map_or(0, name_hash);
    let told = tee.wanted && (tee.selection.topic.is_none() || tee.selection.topic(topic));
    let mut message = None;
    let tag = match &parsed.packet {
        Packet::Publish(publish) => {
            if told {
                *tee.messages = tee.messages.saturating_add(1);
                message = Some(*tee.messages);
            }
            let seen = Seen {
                state,
                towards,
                times,
                publish,
                topic,
                topic_hash,
                payload_hash,
                number: message,
                repeated: taken.repeated,
                tag: taken.tag,
                at_broker: books.at_broker,
            };
            tee.matched(sessions, |deliveries, matched| {
                deliveries.publish(&seen, matched)
            })
            .flatten()
        }
        Packet::Acknowledgment(acknowledgment) => {
            if let (Some(deliveries), Some(tag)) = (&mut tee.deliveries, &taken.tag) {
                acknowledged(deliveries, acknowledgment, tag, towards, times);
            }
            None
        }
        other => {
            if let Some(deliveries) = &mut tee.deliveries {
                deliveries.packet(state, other, times);
            }
            None
        }
    };
    if let (Some(tag), Packet::Publish(publish)) = (tag, &parsed.packet)
        && let (1 | 2, Some(packet_id)) = (publish.qos, publish.packet_id)
    {
        sessions.tag(state, towards, packet_id, tag);
    }
    if !told {
        return;
    }
    // The topic once more, since the state was changed meanwhile.
    let topic = match &parsed.packet {
        Packet::Publish(publish) => state.topic(towards, publish),
        _ => None,
    };
    tee.totals
        .packet(header.packet_type(), length, is_malformed);
    if let Packet::Publish(publish) = &parsed.packet {
        tee.totals.publish(towards, publish.qos);
    }
    if !(parsed.violations.is_empty() && violations.is_empty()) {
        count_violations(tee.totals, parsed.violations, violations);
    }
    tee.observer.packet(&PacketEvent {
        seen: lint::Seen {
            state,
            slot: books.slot,
            towards,
            file: found.last.file,
            frame: found.last.frame,
            times,
            header,
            parsed: &parsed,
            topic,
            topic_hash,
            missing: found.missing,
            transmissions: taken.transmissions,
            violations,
        },
        payload_hash,
        extent: (found.first.start, found.last.end),
        message,
    });
}

/// What an acknowledgment means to the message that it is of.
fn acknowledged(
    deliveries: &mut Deliveries,
    acknowledgment: &Acknowledgment<'_>,
    tag: &Tag,
    towards: Towards,
    times: PacketTimes,
) {
    match (acknowledgment.kind, towards) {
        (PacketType::Pubrel, Towards::Broker) => deliveries.released(tag, times.last),
        (PacketType::Puback | PacketType::Pubrec, Towards::Client)
            if acknowledgment.reason_code.is_some_and(|code| code >= 0x80) =>
        {
            deliveries.refused(tag);
        }
        _ => {}
    }
}

/// Whether the tap stands beside the broker.
pub(super) fn stands_at_broker(tcp: &Connection, client_is_forward: bool) -> bool {
    let (client, broker) = if client_is_forward {
        (tcp.round_trip_before(), tcp.round_trip_beyond())
    } else {
        (tcp.round_trip_beyond(), tcp.round_trip_before())
    };
    Vantage::from_round_trips(client, broker) == Vantage::Broker
}

#[cold]
fn count_violations(totals: &mut Totals, own: Violations, conversation: SessionViolations) {
    for violation in own.iter() {
        totals.violation(violation.code());
    }
    for violation in conversation.iter() {
        totals.violation(violation.code());
    }
}
