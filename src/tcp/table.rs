//! The flow table: which connection a segment belongs to, and the life of connections.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

use crate::memory::{Index, prefetch};
use crate::time::Timestamp;
use crate::wire::Segment;

use super::connection::{Connection, EndReason};
use super::delivery::{Delivery, Place};
use super::sequence::SequenceNumber;
use super::stream::{HalfStream, Waiting, add};
use super::{Direction, Limits};

/// Both endpoints in one order, whichever way a segment goes, and the tap that saw it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FlowKey {
    low: (u64, u64),
    high: (u64, u64),
    ports: u32,
    tap: u16,
}

/// How IPv4 addresses stand in IPv6 (RFC 4291, section 2.5.5.2): these bits above the address.
const MAPPED: u64 = 0xffff << 32;

impl Hash for FlowKey {
    #[inline(always)]
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let wide = |(first, second)| u128::from(first) << 64 | u128::from(second);
        let rest = u64::from(self.ports) << 16 | u64::from(self.tap);
        let is_short = |(first, second): (u64, u64)| first == 0 && second >> 32 == MAPPED >> 32;
        if is_short(self.low) && is_short(self.high) {
            let addresses = self.low.1 << 32 | self.high.1 & u64::from(u32::MAX);
            hasher.write_u128(wide((addresses, rest)));
        } else {
            hasher.write_u128(wide(self.low));
            hasher.write_u128(wide(self.high));
            hasher.write_u64(rest);
        }
    }
}

impl FlowKey {
    /// The key, and whether the segment goes from the lower endpoint to the higher one.
    #[inline]
    fn new(segment: &Segment<'_>) -> (Self, bool) {
        let (source, destination) = (&segment.source, &segment.destination);
        let (from, to, from_low) = match (source.address, destination.address) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let flat = |address: u32, port| u64::from(address) << 16 | u64::from(port);
                let (from, to) = (from.to_bits(), to.to_bits());
                let from_low = flat(from, source.port) <= flat(to, destination.port);
                let mapped = |address| (0, MAPPED | u64::from(address));
                (mapped(from), mapped(to), from_low)
            }
            (from, to) => {
                let (from, to) = (long(from), long(to));
                let from_low = (from, source.port) <= (to, destination.port);
                (from, to, from_low)
            }
        };
        let (low, high, low_port, high_port) = if from_low {
            (from, to, source.port, destination.port)
        } else {
            (to, from, destination.port, source.port)
        };
        let key = Self {
            low,
            high,
            ports: u32::from(low_port) << 16 | u32::from(high_port),
            tap: segment.tap,
        };
        (key, from_low)
    }
}

/// An address as one of IPv6.
fn long(address: IpAddr) -> (u64, u64) {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    ((bits >> 64) as u64, bits as u64)
}

/// A segment's flow, looked up once: see [`FlowTable::hash`].
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowHash {
    pub(super) key: FlowKey,
    pub(super) from_low: bool,
    pub(super) hash: u64,
    /// Where the connection was when it was touched; only a hint.
    pub(super) slot: u32,
}

impl FlowHash {
    /// The slot of the connection that was guessed; one that there is not where none was.
    #[must_use]
    #[inline]
    pub const fn slot(&self) -> usize {
        self.slot as usize
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
    pub(super) limits: Limits,
    /// Slots by the hash of their keys; the key itself stands in the connection.
    index: Index,
    hasher: foldhash::fast::RandomState,
    pub(super) slots: Vec<Option<Box<Connection>>>,
    free: Vec<u32>,
    /// Connections to be flushed and closed before anything else happens.
    pub(super) retiring: VecDeque<Retirement>,
    /// Closed connections that are remembered for stray segments, oldest first.
    pub(super) lingering: VecDeque<(Timestamp, u32, u64)>,
    pub(super) live: usize,
    hand: usize,
    pub(super) backlog_bytes: u64,
    pub(super) statistics: TableStatistics,
    pub(super) lent: Option<Waiting>,
    pub(super) departed: Option<Box<Connection>>,
    /// Memory of connections that are gone, for those that come.
    #[expect(clippy::vec_box)] // The boxes are what is used again.
    spare: Vec<Box<Connection>>,
}

impl std::fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "flow {:#x}", self.ports)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Retirement {
    pub(super) slot: u32,
    pub(super) reason: EndReason,
    /// The connection stays known for a while, so that stray segments find it.
    pub(super) linger: bool,
    /// Where a gap at the end is reported.
    pub(super) at: Mark,
}

/// A frame and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) time: Timestamp,
    pub(super) file: u32,
    pub(super) frame: u64,
}

impl Mark {
    pub(super) const fn of(segment: &Segment<'_>) -> Self {
        Self {
            time: segment.time,
            file: segment.file,
            frame: segment.frame,
        }
    }

    pub(super) const fn of_waiting(waiting: &Waiting) -> Self {
        Self {
            time: waiting.time,
            file: waiting.file,
            frame: waiting.frame,
        }
    }
}

/// How many connections' memory is kept for the next ones.
const SPARE: usize = 1024;
/// So many closed connections before one is forgotten, what that takes is asked for.
const FORGOTTEN_AHEAD: usize = 8;
/// How many slots are looked at to find a connection to evict, and to expire idle ones.
const EVICTION_SAMPLE: usize = 64;
const SWEEP_SLOTS: usize = 8;
const SWEEP_EVERY: u64 = 64;
/// The same for each new connection. More than one, so that those that never got beyond their SYN
/// are found faster than new ones come, and a flood of them does not fill the table.
const SWEEP_SLOTS_OPENING: usize = 2;

impl FlowTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: Index::default(),
            hasher: foldhash::fast::RandomState::default(),
            slots: Vec::new(),
            free: Vec::new(),
            retiring: VecDeque::new(),
            lingering: VecDeque::new(),
            live: 0,
            hand: 0,
            backlog_bytes: 0,
            statistics: TableStatistics::default(),
            lent: None,
            departed: None,
            spare: Vec::new(),
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

    /// A segment's flow. Looking it up touches memory that is likely far away, so several
    /// segments' hashes can be made and [touched](Self::touch) before the first is pushed.
    #[must_use]
    #[inline(always)]
    pub fn hash(&self, segment: &Segment<'_>) -> FlowHash {
        let (key, from_low) = FlowKey::new(segment);
        FlowHash {
            key,
            from_low,
            hash: self.hash_of(key),
            slot: u32::MAX,
        }
    }

    #[inline(always)]
    #[expect(
        clippy::manual_hash_one,
        reason = "that is not always inlined, and this is done for every segment"
    )]
    fn hash_of(&self, key: FlowKey) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// Asks for the part of the index that tells where a flow's connection is.
    #[inline]
    pub fn touch_index(&self, flow: &FlowHash) {
        self.index.touch(flow.hash);
    }

    /// Notes where a flow's connection is likely to be, from the index alone.
    #[inline]
    pub fn guess(&self, flow: &mut FlowHash) {
        // 32 bits of the hash agree; whether the key does is seen when it is needed.
        if let Some(slot) = self.index.guess(flow.hash) {
            flow.slot = slot;
            if let Some(place) = self.slots.get(slot as usize) {
                prefetch(place);
            }
        }
    }

    /// Fetches the connection that was guessed, for soon; tells its slot.
    #[must_use]
    #[inline]
    pub fn touch(&self, flow: &FlowHash) -> Option<usize> {
        let slot = flow.slot as usize;
        let connection = self.connection(slot)?;
        for half in &connection.halves {
            prefetch(&half.offset);
            prefetch(&half.fin_delivered);
        }
        prefetch(&connection.last);
        prefetch(&connection.last_frame);
        prefetch(&connection.key);
        Some(slot)
    }

    /// Fetches what forgetting a connection needs.
    fn touch_forgotten(&self, slot: u32) {
        if let Some(connection) = self.connection(slot as usize) {
            for half in &connection.halves {
                prefetch(&half.backlog);
            }
            prefetch(&connection.key);
            prefetch(&connection.number);
        }
    }

    /// The slot of the connection that was guessed, if it is open; fetches what its end needs.
    #[must_use]
    #[inline]
    pub fn touch_closing(&self, flow: &FlowHash) -> Option<usize> {
        let slot = flow.slot as usize;
        let connection = self.connection(slot)?;
        prefetch(&connection.handshake_time);
        prefetch(&connection.endpoints);
        connection.closed.is_none().then_some(slot)
    }

    /// The slot of the connection that was guessed, and which way the segment goes on it.
    #[must_use]
    #[inline]
    pub fn way(&self, flow: &FlowHash) -> Option<(usize, Direction)> {
        let slot = flow.slot as usize;
        let connection = self.connection(slot)?;
        Some((slot, connection.direction(flow.from_low)))
    }

    /// Fetches what opening a connection will look at, for soon, when `opened` others are opened
    /// before it.
    #[inline]
    pub fn touch_opening(&self, opened: usize) {
        let first = opened.wrapping_mul(SWEEP_SLOTS_OPENING).wrapping_add(1);
        for ahead in (first..).take(SWEEP_SLOTS_OPENING) {
            if let Some(connection) = self.connection(self.hand.wrapping_add(ahead)) {
                prefetch(&connection.last);
            }
        }
    }

    /// Connections are to be let go before the next segment.
    pub(super) fn is_work_due(&self, now: Timestamp) -> bool {
        !self.retiring.is_empty()
            || self
                .statistics
                .segments
                .wrapping_add(1)
                .is_multiple_of(SWEEP_EVERY)
            || self
                .lingering
                .front()
                .is_some_and(|&(closed, ..)| now - closed >= self.limits.linger)
    }

    pub(super) fn find(&self, flow: &FlowHash) -> Option<u32> {
        let is_same = |slot: u32| {
            self.slots
                .get(slot as usize)
                .and_then(Option::as_deref)
                .is_some_and(|connection| connection.key == flow.key)
        };
        self.index.find(flow.hash, is_same)
    }

    /// Takes one segment. The answer has to be drained to its end.
    #[must_use = "the events must be drained"]
    pub fn push<'t, 's>(&'t mut self, segment: &'t Segment<'s>) -> Delivery<'t, 's> {
        let flow = self.hash(segment);
        self.push_hashed(segment, &flow)
    }

    /// [`push`](Self::push) with the hash at hand.
    #[must_use = "the events must be drained"]
    #[inline(always)]
    pub fn push_hashed<'t, 's>(
        &'t mut self,
        segment: &'t Segment<'s>,
        flow: &FlowHash,
    ) -> Delivery<'t, 's> {
        add(&mut self.statistics.segments);
        self.expire(segment);
        let place = self.place(segment, flow);
        Delivery::of_segment(self, segment, place)
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
                    file: connection.last_frame.0,
                    frame: connection.last_frame.1,
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
        Delivery::of_the_end(self)
    }

    /// Finds or makes the connection of a segment.
    #[inline(always)]
    fn place(&mut self, segment: &Segment<'_>, flow: &FlowHash) -> Option<Place> {
        if let Some(slot) = self.find(flow)
            && let Some(connection) = self.connection(slot as usize)
        {
            let direction = connection.direction(flow.from_low);
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
                    let ended = connection.any_fin();
                    let reason = if ended {
                        EndReason::Fin
                    } else {
                        EndReason::Replaced
                    };
                    self.retire(Retirement {
                        slot,
                        reason,
                        linger: false,
                        at,
                    });
                }
                Some(reason)
                    if segment.flags.syn() || continues(connection, segment, direction, reason) =>
                {
                    self.forget(slot);
                }
                Some(_) => {
                    add(&mut self.statistics.stray_segments);
                    return None;
                }
            }
        }
        let begins = segment.flags.syn() || segment.payload_length > 0;
        if segment.flags.rst() || !begins {
            add(&mut self.statistics.stray_segments);
            return None;
        }
        Some(self.open(flow, segment))
    }

    /// Lets a connection go; its next segment, be it this one, begins a new one.
    fn retire(&mut self, retirement: Retirement) {
        self.unindex(retirement.slot);
        self.retiring.push_back(retirement);
    }

    fn open(&mut self, flow: &FlowHash, segment: &Segment<'_>) -> Place {
        self.sweep(segment, SWEEP_SLOTS_OPENING);
        if self.live >= self.limits.connections {
            self.evict(segment);
        }
        add(&mut self.statistics.connections);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let number = self.statistics.connections;
        let connection = Connection::new(number, slot, flow.key, flow.from_low, segment);
        let connection = match self.spare.pop() {
            Some(mut spare) => {
                *spare = connection;
                spare
            }
            None => Box::new(connection),
        };
        let direction = connection.direction(flow.from_low);
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(connection);
        }
        self.index.insert(flow.hash, slot);
        self.live = self.live.saturating_add(1);
        self.statistics.most_connections = self.statistics.most_connections.max(self.live as u64);
        Place {
            slot,
            direction,
            fresh: true,
        }
    }

    /// Takes a connection out of the index, so that no segment finds it.
    fn unindex(&mut self, slot: u32) {
        let Some(connection) = self.slots.get(slot as usize).and_then(Option::as_deref) else {
            return;
        };
        let hash = self.hash_of(connection.key);
        self.index.remove(hash, slot);
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
            add(&mut self.statistics.evicted_connections);
            let at = Mark::of(segment);
            self.retire(Retirement {
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
    #[inline(always)]
    fn expire(&mut self, segment: &Segment<'_>) {
        while let Some(&(closed, slot, number)) = self.lingering.front() {
            if segment.time - closed < self.limits.linger
                && self.lingering.len() <= self.limits.connections
            {
                break;
            }
            self.lingering.pop_front();
            if let Some(&(_, soon, _)) = self.lingering.get(FORGOTTEN_AHEAD) {
                self.touch_forgotten(soon);
            }
            if self
                .connection(slot as usize)
                .is_some_and(|known| known.number == number)
            {
                self.forget(slot);
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
            let silence = segment.time - connection.last;
            // Most often this tells, and the rest need not be fetched.
            if connection.closed.is_some() || silence < half_open.min(idle) {
                continue;
            }
            let patience = if connection.half_open() {
                half_open
            } else {
                idle
            };
            if silence < patience {
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
            add(&mut self.statistics.idle_connections);
            self.retire(Retirement {
                slot,
                reason,
                linger: false,
                at,
            });
        }
    }

    /// Frees a slot.
    pub(super) fn release(&mut self, slot: u32) -> Option<Box<Connection>> {
        self.unindex(slot);
        let connection = self.slots.get_mut(slot as usize)?.take()?;
        if connection.closed.is_none() {
            self.live = self.live.saturating_sub(1);
        }
        self.free.push(slot);
        Some(connection)
    }

    /// Frees a slot whose connection was told of before.
    fn forget(&mut self, slot: u32) {
        if let Some(connection) = self.release(slot) {
            self.reuse(connection);
        }
    }

    /// Keeps a connection that is gone until it was told of.
    pub(super) fn depart(&mut self, connection: Option<Box<Connection>>) {
        if let Some(before) = std::mem::replace(&mut self.departed, connection) {
            self.reuse(before);
        }
    }

    fn reuse(&mut self, connection: Box<Connection>) {
        if self.spare.len() < SPARE {
            self.spare.push(connection);
        }
    }

    pub(super) fn half_mut(&mut self, slot: u32, direction: Direction) -> Option<&mut HalfStream> {
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
