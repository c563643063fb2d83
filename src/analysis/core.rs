//! From the events of TCP connections to those of MQTT.

use std::hint::cold_path;

use crate::delivery::{Deliveries, TopicHint};
use crate::memory::prefetch;
use crate::mqtt::stream::Input;
use crate::session::{Sessions, SpareMemory};
use crate::tcp::{Chunk, Connection, Direction, EndReason, Event, Gap};
use crate::time::Timestamp;

use super::carrier::Scratches;
use super::flow::{Mark, MqttFlow, Slot, confirm};
use super::missed::MissedFrames;
use super::options::{Options, Transport};
use super::packets::{frame_packets, lose};
use super::ports::PortTraffic;
use super::tee::{LeadingTopic, Ledger, Matched, Tee};
use super::totals::{Totals, count_one};
use super::{BytesEvent, ConnectionEvent, GapEvent, Observer, Vantage};

/// How many connections' memory is kept for the next ones.
const SPARE: usize = 256;

/// Everything above the TCP streams.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) options: Options,
    pub(super) slots: Vec<Slot>,
    /// Memory of connections that are gone, for those that come.
    #[allow(clippy::vec_box, reason = "what is spare keeps its place in memory")]
    spare: Vec<Box<MqttFlow>>,
    pub(super) sessions: Sessions,
    pub(super) ledger: Ledger,
    pub(super) other: PortTraffic,
    /// Bytes of unfinished packets in all streams together.
    pub(super) buffered: usize,
    /// Streams that were told to keep less.
    pub(super) limited_streams: u64,
    /// Bytes that wait in what carries MQTT, on all connections together.
    pub(super) carried: usize,
    pub(super) scratches: Scratches,
}

impl Core {
    /// Nothing is known yet.
    pub(super) fn new(options: Options) -> Self {
        Self {
            slots: Vec::new(),
            spare: Vec::new(),
            sessions: Sessions::new(options.session),
            ledger: Ledger {
                totals: Totals::default(),
                deliveries: options
                    .matching
                    .then(|| Deliveries::new(options.deadline, options.delivery)),
                messages: 0,
                missed: MissedFrames::default(),
                leading: LeadingTopic::default(),
            },
            other: PortTraffic::default(),
            buffered: 0,
            limited_streams: 0,
            carried: 0,
            scratches: Scratches::default(),
            options,
        }
    }

    /// Time goes on.
    pub(super) fn tick<O: Observer>(&mut self, now: Timestamp, observer: &mut O) {
        self.ledger.missed.reach(now);
        let mut matched = Matched {
            totals: &mut self.ledger.totals,
            selection: &self.options.selection,
            observer,
            missed: &self.ledger.missed,
            wills: Vec::new(),
        };
        if let Some(deliveries) = &mut self.ledger.deliveries {
            deliveries.tick(now, &mut matched);
        }
        for slot in matched.wills {
            self.sessions.will_published(slot);
        }
        observer.tick(now);
    }

    /// Asks for where to find what is known of a connection.
    #[inline]
    pub(super) fn touch_place(&self, slot: usize) {
        if let Some(place) = self.slots.get(slot) {
            prefetch(place);
        }
    }

    /// Asks for what is known of a connection.
    pub(super) fn touch<O: Observer>(&self, slot: usize, observer: &O) {
        if let Some(Slot::Mqtt(flow)) = self.slots.get(slot) {
            flow.touch();
        }
        observer.touch_connection(slot);
        if let Some(deliveries) = &self.ledger.deliveries {
            deliveries.touch(slot);
        }
    }

    /// Asks for what is known around a PUBLISH, by tap and hash of its topic; gives what the topic
    /// is known by where messages are matched.
    pub(super) fn touch_message<O: Observer>(
        &self,
        slot: usize,
        direction: Direction,
        (tap, topic): (u16, u64),
        observer: &O,
    ) -> Option<TopicHint> {
        let Some(Slot::Mqtt(flow)) = self.slots.get(slot) else {
            return None;
        };
        if flow.opaque {
            return None;
        }
        let towards = flow.roles.towards(direction);
        observer.touch(tap, towards, topic);
        let deliveries = self.ledger.deliveries.as_ref()?;
        deliveries.touch_message(slot, towards, topic)
    }

    /// Asks for what the end of a connection needs, in [`CLOSING_STEPS`].
    ///
    /// [`CLOSING_STEPS`]: super::CLOSING_STEPS
    pub(super) fn touch_closing<O: Observer>(&self, slot: usize, step: usize, observer: &O) {
        if let Some(Slot::Mqtt(flow)) = self.slots.get(slot) {
            match step {
                0 => flow.touch_closing(),
                1 => {
                    flow.state.touch_handshake();
                    self.sessions.touch(&flow.state);
                }
                _ => {}
            }
        }
        observer.touch_closing(slot, step);
        if let Some(deliveries) = &self.ledger.deliveries {
            deliveries.touch_closing(slot, step);
        }
    }

    pub(super) fn take<O: Observer>(&mut self, event: Event<'_>, observer: &mut O) {
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

    #[inline]
    fn open(&mut self, tcp: &Connection) {
        let index = tcp.slot();
        if self.slots.len() <= index {
            cold_path();
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
    #[inline]
    fn named(&mut self, tcp: &Connection, client_is_forward: bool, transport: Transport) -> Slot {
        let new = |memory| MqttFlow::new(tcp, client_is_forward, transport, true, memory);
        Slot::Mqtt(match self.spare.pop() {
            Some(mut spare) => {
                let memory = spare.state.spare_memory();
                *spare = new(memory);
                spare
            }
            None => Box::new(new(SpareMemory::default())),
        })
    }

    pub(super) fn data<O: Observer>(
        &mut self,
        tcp: &Connection,
        chunk: &Chunk<'_>,
        observer: &mut O,
    ) {
        let Some(slot) = self.slots.get_mut(tcp.slot()) else {
            return;
        };
        if matches!(slot, Slot::Unknown) {
            *slot = detect(tcp, chunk);
        }
        let Slot::Mqtt(flow) = slot else { return };
        if flow.first_bytes.is_some() && !flow.opaque && !confirm(flow, chunk) {
            cold_path();
            self.ignore(tcp.slot());
            return;
        }
        if flow.opaque {
            self.carried_data(tcp, chunk, observer);
            return;
        }
        let wanted = self.options.selection.connection(&flow.state);
        let mut tee = Tee {
            ledger: &mut self.ledger,
            selection: &self.options.selection,
            wanted,
            observer,
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
    #[inline(always)]
    pub(super) fn displace<O: Observer>(&mut self, observer: &mut O) {
        while let Some(displaced) = self.sessions.next_displaced() {
            self.displace_one(displaced, observer);
        }
    }

    #[cold]
    fn displace_one<O: Observer>(&mut self, (slot, number): (usize, u64), observer: &mut O) {
        let Some(Slot::Mqtt(old)) = self.slots.get_mut(slot) else {
            return;
        };
        if old.state.facts.number != number {
            return;
        }
        let mut tee = Tee {
            wanted: self.options.selection.connection(&old.state),
            ledger: &mut self.ledger,
            selection: &self.options.selection,
            observer,
        };
        self.sessions.displace(&mut old.state, &mut tee);
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
            ledger: &mut self.ledger,
            selection: &self.options.selection,
            wanted,
            observer,
        };
        let (kept, within_packet) = lose(
            flow,
            tcp,
            gap.direction,
            (gap.bytes, mark),
            gap.before,
            &mut self.sessions,
            &mut tee,
        );
        self.buffered = self.buffered.saturating_add_signed(kept);
        if wanted {
            observer.gap(&GapEvent {
                state: &flow.state,
                towards: flow.roles.towards(gap.direction),
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
            ledger: &mut self.ledger,
            selection: &self.options.selection,
            wanted,
            observer,
        };
        let ended = !matches!(end, EndReason::CaptureEnded | EndReason::Evicted);
        if ended {
            flow.state.silent_until(tcp.last);
        }
        self.sessions.close(&mut flow.state, ended, &mut tee);
        if let Some(deliveries) = &mut tee.ledger.deliveries {
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
            web_socket: flow
                .carrier
                .as_ref()
                .and_then(|carrier| carrier.web_socket_use(flow.state.level)),
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

    #[inline]
    fn count(&mut self, tcp: &Connection, flow: &MqttFlow) {
        let totals = &mut self.ledger.totals;
        totals.connections = totals.connections.saturating_add(1);
        count_one(&mut totals.transports, flow.transport.name());
        if let Some(stop) = flow.carrier.as_ref().and_then(|carrier| carrier.stopped()) {
            count_one(&mut totals.unread, stop.to_string());
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

/// Decides on a connection of no named port, by the first bytes seen of it.
fn detect(tcp: &Connection, chunk: &Chunk<'_>) -> Slot {
    // The client speaks first in MQTT.
    if tcp.initiator_known && chunk.direction == Direction::Reverse {
        return Slot::Ignored;
    }
    let client_is_forward = chunk.direction == Direction::Forward;
    let memory = SpareMemory::default();
    let mut flow = MqttFlow::new(tcp, client_is_forward, Transport::Tcp, false, memory);
    flow.synchronise();
    Slot::Mqtt(Box::new(flow))
}
