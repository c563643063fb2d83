//! The flow table: which connection a segment belongs to, and the life of connections.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::time::Timestamp;
use crate::wire::{Endpoint, Segment};

use super::connection::{Connection, EndReason};
use super::sequence::SequenceNumber;
use super::stream::{Arrival, HalfStream, Waiting};
use super::{Chunk, Direction, Event, Gap, GapReason, Limits};

/// Both endpoints in one order, whichever way a segment goes, and the tap that saw it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FlowKey {
    low: u128,
    high: u128,
    low_port: u16,
    high_port: u16,
    tap: u16,
}

impl FlowKey {
    fn new(segment: &Segment<'_>) -> Self {
        let flat = |endpoint: &Endpoint| match endpoint.address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let source = (flat(&segment.source), segment.source.port);
        let destination = (flat(&segment.destination), segment.destination.port);
        let (low, high) = if source <= destination {
            (source, destination)
        } else {
            (destination, source)
        };
        Self {
            low: low.0,
            high: high.0,
            low_port: low.1,
            high_port: high.1,
            tap: segment.tap,
        }
    }
}

/// Counters of the whole table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStatistics {
    /// TCP segments pushed.
    pub segments: u64,
    /// Connections seen.
    pub connections: u64,
    /// Most connections followed at once.
    pub most_connections: u64,
    /// Connections dropped to stay within [`Limits::connections`].
    pub evicted_connections: u64,
    /// Connections ended because they were silent for too long.
    pub idle_connections: u64,
    /// Segments that belong to no connection that could be followed: without payload and
    /// without SYN, or after the end of their connection.
    pub stray_segments: u64,
    /// Holes given up because too much waited behind them.
    pub limited_backlogs: u64,
}

/// All connections, and the order of their bytes.
#[derive(Debug)]
pub struct FlowTable {
    limits: Limits,
    index: HashMap<FlowKey, u32, foldhash::fast::RandomState>,
    slots: Vec<Option<Box<Connection>>>,
    keys: Vec<FlowKey>,
    free: Vec<u32>,
    /// Connections to be flushed and closed before anything else happens.
    retiring: VecDeque<Retirement>,
    /// Closed connections that are remembered for stray segments, oldest first.
    lingering: VecDeque<(Timestamp, u32, u64)>,
    live: usize,
    hand: usize,
    backlog_bytes: u64,
    statistics: TableStatistics,
    lent: Option<Waiting>,
    departed: Option<Box<Connection>>,
}

impl std::fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "flow {}-{}", self.low_port, self.high_port)
    }
}

#[derive(Clone, Copy, Debug)]
struct Retirement {
    slot: u32,
    reason: EndReason,
    /// The connection stays known for a while, so that stray segments find it.
    linger: bool,
    /// Whom a gap at the end is reported at.
    at: Mark,
}

/// A frame and its time.
#[derive(Clone, Copy, Debug)]
struct Mark {
    time: Timestamp,
    file: u32,
    frame: u64,
}

impl Mark {
    const fn of(segment: &Segment<'_>) -> Self {
        Self {
            time: segment.time,
            file: segment.file,
            frame: segment.frame,
        }
    }

    const fn of_waiting(waiting: &Waiting) -> Self {
        Self {
            time: waiting.time,
            file: waiting.file,
            frame: waiting.frame,
        }
    }
}

/// How many slots are looked at to find a connection to evict, and to expire idle ones.
const EVICTION_SAMPLE: usize = 64;
const SWEEP_SLOTS: usize = 8;
const SWEEP_EVERY: u64 = 64;

/// The same for each new connection. More than one, so that those that never got beyond their SYN
/// are found faster than new ones come, and a flood of them does not fill the table.
const SWEEP_SLOTS_OPENING: usize = 4;

impl FlowTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: HashMap::default(),
            slots: Vec::new(),
            keys: Vec::new(),
            free: Vec::new(),
            retiring: VecDeque::new(),
            lingering: VecDeque::new(),
            live: 0,
            hand: 0,
            backlog_bytes: 0,
            statistics: TableStatistics::default(),
            lent: None,
            departed: None,
        }
    }

    /// Counters so far.
    #[must_use]
    pub const fn statistics(&self) -> &TableStatistics {
        &self.statistics
    }

    /// Connections that are open now.
    #[must_use]
    pub const fn open_connections(&self) -> usize {
        self.live
    }

    /// Memory that bytes behind holes take in all connections together, with what it takes to
    /// keep them.
    #[must_use]
    pub const fn backlog_bytes(&self) -> u64 {
        self.backlog_bytes
    }

    /// The connection in a slot, unless the slot is free.
    #[must_use]
    pub fn connection(&self, slot: usize) -> Option<&Connection> {
        self.slots.get(slot)?.as_deref()
    }

    /// Takes one segment. The answer has to be drained to its end.
    #[must_use = "the events must be drained"]
    pub fn push<'t, 's>(&'t mut self, segment: &'t Segment<'s>) -> Delivery<'t, 's> {
        self.statistics.segments = self.statistics.segments.saturating_add(1);
        self.expire(segment);
        let place = self.place(segment);
        Delivery {
            stage: if self.retiring.is_empty() {
                Stage::Open
            } else {
                Stage::Retire
            },
            table: self,
            segment: Some(segment),
            place,
            pending_gap: None,
            pending_repeat: None,
            resumed: None,
            draining: Direction::Forward,
        }
    }

    /// Ends every connection: what waits is handed on, with the gaps before it.
    #[must_use = "the events must be drained"]
    pub fn finish(&mut self) -> Delivery<'_, '_> {
        let mut open: Vec<(u64, u32, Mark)> = self
            .slots
            .iter()
            .flatten()
            .filter(|connection| connection.closed.is_none())
            .map(|connection| {
                let at = Mark {
                    time: connection.last,
                    file: connection.file,
                    frame: 0,
                };
                (connection.number, connection.slot, at)
            })
            .collect();
        open.sort_unstable_by_key(|&(number, ..)| number);
        self.retiring
            .extend(open.into_iter().map(|(_, slot, at)| Retirement {
                slot,
                reason: EndReason::CaptureEnded,
                linger: false,
                at,
            }));
        Delivery {
            stage: Stage::Retire,
            table: self,
            segment: None,
            place: None,
            pending_gap: None,
            pending_repeat: None,
            resumed: None,
            draining: Direction::Forward,
        }
    }

    /// Finds or makes the connection of a segment.
    fn place(&mut self, segment: &Segment<'_>) -> Option<Place> {
        let key = FlowKey::new(segment);
        if let Some(&slot) = self.index.get(&key)
            && let Some(connection) = self.slots.get(slot as usize).and_then(Option::as_deref)
        {
            let direction = connection.direction_of(segment);
            match connection.closed {
                None if !connection.replaced_by(segment, direction) => {
                    return Some(Place {
                        slot,
                        direction,
                        fresh: false,
                    });
                }
                None => {
                    let at = Mark::of(segment);
                    let reason = if connection.any_fin() {
                        EndReason::Fin
                    } else {
                        EndReason::Replaced
                    };
                    self.retiring.push_back(Retirement {
                        slot,
                        reason,
                        linger: false,
                        at,
                    });
                }
                Some(reason)
                    if segment.flags.syn() || continues(connection, segment, direction, reason) =>
                {
                    self.release(slot);
                }
                Some(_) => {
                    self.statistics.stray_segments =
                        self.statistics.stray_segments.saturating_add(1);
                    return None;
                }
            }
        }
        let begins = segment.flags.syn() || segment.payload_length > 0;
        if segment.flags.rst() || !begins {
            self.statistics.stray_segments = self.statistics.stray_segments.saturating_add(1);
            return None;
        }
        Some(self.open(key, segment))
    }

    fn open(&mut self, key: FlowKey, segment: &Segment<'_>) -> Place {
        self.sweep(segment, SWEEP_SLOTS_OPENING);
        if self.live >= self.limits.connections {
            self.evict(segment);
        }
        self.statistics.connections = self.statistics.connections.saturating_add(1);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.keys.push(key);
            u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let connection = Box::new(Connection::new(self.statistics.connections, slot, segment));
        let direction = connection.direction_of(segment);
        if let (Some(place), Some(kept)) = (
            self.slots.get_mut(slot as usize),
            self.keys.get_mut(slot as usize),
        ) {
            *place = Some(connection);
            *kept = key;
        }
        self.index.insert(key, slot);
        self.live = self.live.saturating_add(1);
        self.statistics.most_connections = self.statistics.most_connections.max(self.live as u64);
        Place {
            slot,
            direction,
            fresh: true,
        }
    }

    /// Evicts the one that was silent longest among some: an exact order would cost every
    /// segment an update.
    fn evict(&mut self, segment: &Segment<'_>) {
        let mut oldest: Option<(Timestamp, u32)> = None;
        for _ in 0..EVICTION_SAMPLE.min(self.slots.len()) {
            let Some(connection) = self.advance_hand() else {
                continue;
            };
            if connection.closed.is_none() && oldest.is_none_or(|(time, _)| connection.last < time)
            {
                oldest = Some((connection.last, connection.slot));
            }
        }
        if let Some((_, slot)) = oldest
            && !self
                .retiring
                .iter()
                .any(|retirement| retirement.slot == slot)
        {
            self.statistics.evicted_connections =
                self.statistics.evicted_connections.saturating_add(1);
            let at = Mark::of(segment);
            self.retiring.push_back(Retirement {
                slot,
                reason: EndReason::Evicted,
                linger: false,
                at,
            });
        }
    }

    fn advance_hand(&mut self) -> Option<&Connection> {
        self.hand = self.hand.saturating_add(1);
        if self.hand >= self.slots.len() {
            self.hand = 0;
        }
        self.slots.get(self.hand)?.as_deref()
    }

    /// Forgets closed connections whose time has come, and ends some of the silent ones.
    fn expire(&mut self, segment: &Segment<'_>) {
        while let Some(&(closed, slot, number)) = self.lingering.front() {
            if segment.time - closed < self.limits.linger
                && self.lingering.len() <= self.limits.connections
            {
                break;
            }
            self.lingering.pop_front();
            if self
                .connection(slot as usize)
                .is_some_and(|known| known.number == number)
            {
                self.release(slot);
            }
        }
        if self.statistics.segments.is_multiple_of(SWEEP_EVERY) {
            self.sweep(segment, SWEEP_SLOTS);
        }
    }

    /// Ends the silent ones among the next slots.
    fn sweep(&mut self, segment: &Segment<'_>, slots: usize) {
        let (idle, half_open) = (self.limits.idle, self.limits.half_open);
        for _ in 0..slots.min(self.slots.len()) {
            let Some(connection) = self.advance_hand() else {
                continue;
            };
            let patience = if connection.half_open() {
                half_open
            } else {
                idle
            };
            if connection.closed.is_some() || segment.time - connection.last < patience {
                continue;
            }
            let (slot, at) = (connection.slot, Mark::of(segment));
            let reason = if connection.any_fin() {
                EndReason::Fin
            } else {
                EndReason::Idle
            };
            if self
                .retiring
                .iter()
                .any(|retirement| retirement.slot == slot)
            {
                continue;
            }
            self.statistics.idle_connections = self.statistics.idle_connections.saturating_add(1);
            self.retiring.push_back(Retirement {
                slot,
                reason,
                linger: false,
                at,
            });
            // A segment of the connection that comes right now begins a new one.
            if let Some(&key) = self.keys.get(slot as usize)
                && self.index.get(&key) == Some(&slot)
            {
                self.index.remove(&key);
            }
        }
    }

    /// Frees a slot.
    fn release(&mut self, slot: u32) -> Option<Box<Connection>> {
        let connection = self.slots.get_mut(slot as usize)?.take()?;
        if let Some(key) = self.keys.get(slot as usize)
            && self.index.get(key) == Some(&slot)
        {
            self.index.remove(key);
        }
        if connection.closed.is_none() {
            self.live = self.live.saturating_sub(1);
        }
        self.free.push(slot);
        Some(connection)
    }

    fn half_mut(&mut self, slot: u32, direction: Direction) -> Option<&mut HalfStream> {
        Some(
            self.slots
                .get_mut(slot as usize)?
                .as_deref_mut()?
                .half_mut(direction),
        )
    }
}

/// After a reset, data that goes on in sequence says that the reset was not obeyed.
fn continues(
    connection: &Connection,
    segment: &Segment<'_>,
    direction: Direction,
    reason: EndReason,
) -> bool {
    reason == EndReason::Reset
        && segment.payload_length > 0
        && connection
            .half(direction)
            .next
            .is_none_or(|next| SequenceNumber(segment.sequence).distance_from(next) >= 0)
}

#[derive(Clone, Copy, Debug)]
struct Place {
    slot: u32,
    direction: Direction,
    fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Flush and close what has to go first.
    Retire,
    /// Announce a new connection.
    Open,
    /// Hand on the segment's own payload.
    Payload,
    /// Hand on what waited for it, and give up holes.
    Drain,
    /// Flush and close the connection itself.
    Close,
    Done,
}

/// One step, without a borrow: the event is made from it.
#[derive(Debug)]
enum Step {
    Opened(u32),
    Segment {
        slot: u32,
        offset: u64,
        skip: u32,
        direction: Direction,
    },
    Waiting {
        slot: u32,
        offset: u64,
        skip: u32,
        direction: Direction,
        whole: Mark,
    },
    Gap {
        slot: u32,
        gap: Gap,
    },
    Repeated {
        slot: u32,
        direction: Direction,
        offset: u64,
        bytes: u32,
    },
    Closed(EndReason),
}

/// What one segment made available, lent out event by event.
#[derive(Debug)]
pub struct Delivery<'t, 's> {
    table: &'t mut FlowTable,
    segment: Option<&'t Segment<'s>>,
    place: Option<Place>,
    stage: Stage,
    pending_gap: Option<(u32, Gap)>,
    pending_repeat: Option<Step>,
    /// The latest frame since a gap was given up: what comes behind it became whole there.
    resumed: Option<Mark>,
    draining: Direction,
}

impl Delivery<'_, '_> {
    /// The next event; `None` when the segment is used up.
    // Not an iterator: the events borrow from the table.
    #[expect(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Event<'_>> {
        let step = self.step()?;
        Some(match step {
            Step::Opened(slot) => Event::Opened(self.table.connection(slot as usize)?),
            Step::Gap { slot, gap } => Event::Gap(self.table.connection(slot as usize)?, gap),
            Step::Repeated {
                slot,
                direction,
                offset,
                bytes,
            } => Event::Repeated(
                self.table.connection(slot as usize)?,
                direction,
                offset,
                bytes,
            ),
            Step::Closed(reason) => Event::Closed(self.table.departed.as_deref()?, reason),
            Step::Segment {
                slot,
                offset,
                skip,
                direction,
            } => {
                let segment = self.segment?;
                let chunk = Chunk {
                    direction,
                    bytes: segment.payload.get(skip as usize..)?,
                    offset,
                    first_seen: segment.time,
                    whole: segment.time,
                    file: segment.file,
                    frame: segment.frame,
                    segment_start: skip == 0,
                    segment_end: segment.payload.len() == segment.payload_length as usize,
                    pushed: segment.flags.psh(),
                };
                Event::Data(self.table.connection(slot as usize)?, chunk)
            }
            Step::Waiting {
                slot,
                offset,
                skip,
                direction,
                whole,
            } => {
                let waiting = self.table.lent.as_ref()?;
                let chunk = Chunk {
                    direction,
                    bytes: waiting.bytes.get(skip as usize..)?,
                    offset,
                    first_seen: waiting.time,
                    whole: whole.time,
                    file: whole.file,
                    frame: whole.frame,
                    segment_start: skip == 0,
                    segment_end: waiting.bytes.len() == waiting.length as usize,
                    pushed: waiting.pushed,
                };
                Event::Data(self.table.connection(slot as usize)?, chunk)
            }
        })
    }

    fn step(&mut self) -> Option<Step> {
        if let Some(repeated) = self.pending_repeat.take() {
            return Some(repeated);
        }
        if let Some((slot, gap)) = self.pending_gap.take() {
            return Some(Step::Gap { slot, gap });
        }
        loop {
            let step = match self.stage {
                Stage::Retire | Stage::Close => self.retire(),
                Stage::Open => self.open(),
                Stage::Payload => self.payload(),
                Stage::Drain => self.drain(),
                Stage::Done => return None,
            };
            if step.is_some() {
                return step;
            }
        }
    }

    fn open(&mut self) -> Option<Step> {
        let Some(place) = self.place else {
            self.stage = Stage::Done;
            return None;
        };
        self.stage = Stage::Payload;
        place.fresh.then_some(Step::Opened(place.slot))
    }

    /// Books the segment on its connection and hands on its payload if it is in order.
    fn payload(&mut self) -> Option<Step> {
        self.stage = Stage::Done;
        let (place, segment) = (self.place?, self.segment?);
        let limits = self.table.limits;
        let direction = place.direction;
        let connection = self
            .table
            .slots
            .get_mut(place.slot as usize)?
            .as_deref_mut()?;
        connection.last = connection.last.max(segment.time);
        match direction {
            Direction::Forward => connection.seen[0] = true,
            Direction::Reverse => connection.seen[1] = true,
        }
        if segment.flags.rst() {
            if connection.accepts_reset(segment, direction) {
                self.close(place.slot, EndReason::Reset);
            }
            return None;
        }
        if !matches!(connection.handshake, super::connection::Handshake::Done) {
            connection.time_round_trips(segment, direction);
        }
        let half = connection.half_mut(direction);
        half.anchor(segment);
        if segment.window == 0 && !segment.flags.syn() {
            half.statistics.zero_windows = half.statistics.zero_windows.saturating_add(1);
        }
        let held = half.held();
        let arrival = half.arrive(segment, &limits);
        let holds = half.held();
        self.table.backlog_bytes = self
            .table
            .backlog_bytes
            .saturating_add(holds)
            .saturating_sub(held);
        if segment.flags.fin() && half.fin.is_none() {
            half.fin = Some(SequenceNumber(segment.sequence).advance(segment.payload_length));
        }
        let waits = half.backlog.is_some();
        let end = SequenceNumber(segment.sequence).advance(segment.payload_length);
        if arrival == (Arrival::InOrder { skip: 0 }) {
            half.begin_sample(end, segment.time);
        }
        if segment.flags.ack() {
            acknowledge(connection, segment, direction, &limits);
        }
        let opposite_waits = connection.half(direction.opposite()).backlog.is_some();
        // Nothing waits and nobody closes: the usual segment needs no second look.
        let plain = !(waits || opposite_waits || segment.flags.fin() || connection.any_fin());
        self.stage = if plain { Stage::Done } else { Stage::Drain };
        self.draining = Direction::Forward;
        match arrival {
            // What came behind a filled hole became whole with this segment.
            Arrival::InOrder { skip } => self.hand_on_segment(place.slot, direction, skip),
            Arrival::Repeated { offset } => {
                let (slot, bytes) = (place.slot, segment.payload_length);
                Some(Step::Repeated {
                    slot,
                    direction,
                    offset,
                    bytes,
                })
            }
            Arrival::Empty | Arrival::Old | Arrival::Ahead => None,
        }
    }

    fn hand_on_segment(&mut self, slot: u32, direction: Direction, skip: u32) -> Option<Step> {
        let segment = self.segment?;
        let half = self.table.half_mut(slot, direction)?;
        let offset = half.offset;
        let captured = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let step = (captured > skip).then_some(Step::Segment {
            slot,
            offset,
            skip,
            direction,
        });
        let (given, missing) = split(captured, segment.payload_length, skip);
        half.consume(given.saturating_add(missing));
        half.statistics.bytes = half.statistics.bytes.saturating_add(u64::from(given));
        if skip > 0 {
            let offset = offset.saturating_sub(u64::from(skip));
            self.pending_repeat = Some(Step::Repeated {
                slot,
                direction,
                offset,
                bytes: skip,
            });
        }
        self.snap_gap(
            slot,
            direction,
            offset.saturating_add(u64::from(given)),
            missing,
            Mark::of(segment),
        );
        step.or_else(|| {
            self.pending_gap
                .take()
                .map(|(slot, gap)| Step::Gap { slot, gap })
        })
    }

    /// Notes the bytes of a segment that the snap length cut.
    fn snap_gap(&mut self, slot: u32, direction: Direction, offset: u64, missing: u32, at: Mark) {
        if missing == 0 {
            return;
        }
        let bytes = u64::from(missing);
        if let Some(half) = self.table.half_mut(slot, direction) {
            let statistics = &mut half.statistics;
            statistics.gaps = statistics.gaps.saturating_add(1);
            statistics.gap_bytes = statistics.gap_bytes.saturating_add(bytes);
            statistics.snapped_segments = statistics.snapped_segments.saturating_add(1);
            statistics.snapped_bytes = statistics.snapped_bytes.saturating_add(bytes);
        }
        let gap = Gap {
            direction,
            bytes,
            offset,
            reason: GapReason::SnapLength,
            time: at.time,
            file: at.file,
            frame: at.frame,
        };
        self.pending_gap = Some((slot, gap));
    }

    /// Hands on what waited, first in one direction, then in the other; gives up holes; ends
    /// the connection when both sides are done.
    fn drain(&mut self) -> Option<Step> {
        let place = self.place?;
        let at = Mark::of(self.segment?);
        let direction = self.draining;
        if let Some(step) = self.take_waiting(place.slot, direction, at) {
            return Some(step);
        }
        let limits = self.table.limits;
        let full = self.table.backlog_bytes > limits.total_backlog_bytes;
        let connection = self
            .table
            .slots
            .get_mut(place.slot as usize)?
            .as_deref_mut()?;
        let both_sides = connection.seen[0] && connection.seen[1];
        let half = connection.half_mut(direction);
        let reason = half.give_up(at.time, both_sides, &limits);
        let reason = reason.or((full && half.backlog.is_some()).then_some(GapReason::LimitReached));
        if let Some(reason) = reason {
            if reason == GapReason::LimitReached {
                self.table.statistics.limited_backlogs =
                    self.table.statistics.limited_backlogs.saturating_add(1);
            }
            let bytes = self.table.half_mut(place.slot, direction)?.hole()?;
            return Some(self.give_up(place.slot, direction, bytes, reason, at));
        }
        if half.fin.is_some() && half.fin == half.next {
            half.fin_delivered = true;
        }
        self.resumed = None;
        match direction {
            Direction::Forward => self.draining = Direction::Reverse,
            Direction::Reverse => {
                let finished = connection.finished();
                self.stage = Stage::Done;
                if finished {
                    self.close(place.slot, EndReason::Fin);
                }
            }
        }
        None
    }

    fn take_waiting(&mut self, slot: u32, direction: Direction, now: Mark) -> Option<Step> {
        let half = self.table.half_mut(slot, direction)?;
        let held = half.held();
        let taken = half.take_waiting();
        let holds = half.held();
        let offset = half.offset;
        self.table.backlog_bytes = self
            .table
            .backlog_bytes
            .saturating_add(holds)
            .saturating_sub(held);
        let (waiting, skip) = taken?;
        let own = Mark::of_waiting(&waiting);
        let whole = match self.resumed {
            None => now,
            Some(mark) if mark.time > own.time => mark,
            Some(_) => own,
        };
        if self.resumed.is_some() {
            self.resumed = Some(whole);
        }
        let captured = u32::try_from(waiting.bytes.len()).unwrap_or(u32::MAX);
        let (given, missing) = split(captured, waiting.length, skip);
        let half = self.table.half_mut(slot, direction)?;
        half.consume(given.saturating_add(missing));
        half.statistics.bytes = half.statistics.bytes.saturating_add(u64::from(given));
        self.table.lent = Some(waiting);
        self.snap_gap(
            slot,
            direction,
            offset.saturating_add(u64::from(given)),
            missing,
            whole,
        );
        if given > 0 {
            return Some(Step::Waiting {
                slot,
                offset,
                skip,
                direction,
                whole,
            });
        }
        self.pending_gap
            .take()
            .map(|(slot, gap)| Step::Gap { slot, gap })
    }

    /// Passes over `bytes` that will not come.
    fn give_up(
        &mut self,
        slot: u32,
        direction: Direction,
        bytes: u64,
        reason: GapReason,
        at: Mark,
    ) -> Step {
        let mut offset = 0;
        if let Some(half) = self.table.half_mut(slot, direction) {
            offset = half.offset;
            half.consume(u32::try_from(bytes).unwrap_or(u32::MAX));
            half.statistics.gaps = half.statistics.gaps.saturating_add(1);
            half.statistics.gap_bytes = half.statistics.gap_bytes.saturating_add(bytes);
            if reason == GapReason::MissingFromCapture {
                half.statistics.missed_bytes = half.statistics.missed_bytes.saturating_add(bytes);
            }
        }
        let floor = Mark {
            time: Timestamp::from_nanos(i64::MIN),
            ..at
        };
        self.resumed = Some(floor);
        let gap = Gap {
            direction,
            bytes,
            offset,
            reason,
            time: at.time,
            file: at.file,
            frame: at.frame,
        };
        Step::Gap { slot, gap }
    }

    fn close(&mut self, slot: u32, reason: EndReason) {
        if let Some(segment) = self.segment {
            let at = Mark::of(segment);
            self.table.retiring.push_back(Retirement {
                slot,
                reason,
                linger: true,
                at,
            });
            self.draining = Direction::Forward;
            self.resumed = None;
            self.stage = Stage::Close;
        }
    }

    /// Flushes and closes the connections that are to go, one step at a time.
    fn retire(&mut self) -> Option<Step> {
        let Some(&retirement) = self.table.retiring.front() else {
            self.stage = match self.stage {
                Stage::Retire if self.segment.is_some() => Stage::Open,
                _ => Stage::Done,
            };
            self.draining = Direction::Forward;
            self.resumed = None;
            return None;
        };
        let Retirement {
            slot,
            reason,
            linger,
            at,
        } = retirement;
        if let Some(step) = self.flush(slot, self.draining, reason, at) {
            return Some(step);
        }
        self.resumed = None;
        if self.draining == Direction::Forward {
            self.draining = Direction::Reverse;
            return None;
        }
        self.draining = Direction::Forward;
        self.table.retiring.pop_front();
        self.depart(slot, reason, linger, at)
    }

    fn depart(&mut self, slot: u32, reason: EndReason, linger: bool, at: Mark) -> Option<Step> {
        let connection = self.table.connection(slot as usize)?;
        let reason = match reason {
            EndReason::CaptureEnded if connection.any_fin() => EndReason::Fin,
            other => other,
        };
        if !linger {
            self.table.departed = self.table.release(slot);
            return Some(Step::Closed(reason));
        }
        let number = connection.number;
        // The slot keeps a bare copy of what stray segments are recognised by.
        let place = self.table.slots.get_mut(slot as usize)?;
        let mut connection = place.take()?;
        *place = Some(Box::new(connection.remembered(reason)));
        connection.closed = Some(reason);
        self.table.departed = Some(connection);
        self.table.live = self.table.live.saturating_sub(1);
        self.table.lingering.push_back((at.time, slot, number));
        Some(Step::Closed(reason))
    }

    fn flush(
        &mut self,
        slot: u32,
        direction: Direction,
        reason: EndReason,
        at: Mark,
    ) -> Option<Step> {
        if self.resumed.is_none() {
            self.resumed = Some(Mark {
                time: Timestamp::from_nanos(i64::MIN),
                ..at
            });
        }
        if let Some(step) = self.take_waiting(slot, direction, at) {
            return Some(step);
        }
        let connection = self.table.slots.get_mut(slot as usize)?.as_deref_mut()?;
        let both_sides = connection.seen[0] && connection.seen[1];
        let half = connection.half_mut(direction);
        let (bytes, acknowledged) = half.missing()?;
        let reason = match reason {
            _ if acknowledged => GapReason::MissingFromCapture,
            EndReason::CaptureEnded => GapReason::CaptureEnded,
            EndReason::Evicted => GapReason::LimitReached,
            _ if !both_sides => GapReason::OneSided,
            _ => GapReason::Lost,
        };
        Some(self.give_up(slot, direction, bytes, reason, at))
    }
}

/// Books an acknowledgment on the other direction, with the round trip it ends.
fn acknowledge(
    connection: &mut Connection,
    segment: &Segment<'_>,
    direction: Direction,
    limits: &Limits,
) {
    let number = SequenceNumber(segment.acknowledgment);
    let opposite = direction.opposite();
    let half = connection.half_mut(opposite);
    if let Some(next) = half.next {
        let ahead = i64::from(number.distance_from(next));
        if ahead > 0 && ahead.unsigned_abs() > limits.window_bytes {
            return;
        }
    }
    if half.acknowledge(number)
        && let Some(time) = half.end_sample(number, segment.time)
    {
        connection.sample(opposite, time);
    }
}

/// How many bytes of a segment are handed on and how many are missing, behind `skip` known ones.
fn split(captured: u32, length: u32, skip: u32) -> (u32, u32) {
    let given = captured.saturating_sub(skip);
    let total = length.saturating_sub(skip);
    (given, total.saturating_sub(given))
}
