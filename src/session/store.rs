//! Client identifiers across connections, and the exchanges of persistent sessions that wait for
//! the next one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::hint::cold_path;
use std::num::NonZeroU64;

use crate::memory::{Index, Pages, prefetch};
use crate::tcp::Endpoint;
use crate::time::Timestamp;

use super::connection::ConnectionState;
use super::exchange::{Exchange, ExchangeOutcome, Exchanges, InFlight, Place, TopicPool};
use super::record::{Observer, SessionRecord};
use super::{PerWay, Towards};

/// Bounds of the session layer.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Client identifiers known at once. Beyond it, the one disconnected longest is reported and
    /// forgotten; if it comes back, it is a new row.
    pub sessions: usize,
    /// Bytes of the client identifiers of known sessions; beyond it, sessions go likewise.
    pub id_bytes: usize,
    /// Exchanges in flight, in all connections together; beyond it new ones are counted and not
    /// followed.
    pub exchanges: usize,
    /// Bytes of the topics of exchanges in flight or waiting; beyond it new ones are counted and
    /// not followed.
    pub topic_bytes: usize,
    /// Exchanges of persistent sessions that wait for their client to come back; beyond it they
    /// are reported as interrupted.
    pub parked: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            sessions: 100_000,
            id_bytes: 64 << 20,
            exchanges: 1_000_000,
            topic_bytes: 256 << 20,
            parked: 200_000,
        }
    }
}

/// What had to be dropped to stay within [`SessionLimits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedState {
    /// Sessions reported early.
    pub sessions: u64,
    /// Exchanges not followed.
    pub exchanges: u64,
    /// Exchanges reported as interrupted although their session may have gone on.
    pub parked: u64,
    /// Topic filters not kept.
    pub subscriptions: u64,
    /// Topic aliases not kept.
    pub aliases: u64,
}

/// Exchanges of a closed connection, with its number and its count of gaps.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) connection: u64,
    pub(super) gaps: u32,
    pub(super) exchanges: PerWay<BTreeMap<u16, Exchange>>,
}

#[derive(Debug)]
pub(super) struct Session {
    key: Key,
    /// The key's hash.
    hash: u64,
    number: u64,
    connections: u32,
    first: Timestamp,
    last: Timestamp,
    resumed: u32,
    taken_over: u32,
    subscriptions: u64,
    publishes: PerWay<u64>,
    keep_alive_violations: u64,
    will_published: u64,
    /// Connections of this client that are open.
    open: u32,
    /// Slot and number of the latest of them.
    holder: Option<(usize, u64)>,
    /// Since when it is in the order of disconnected sessions.
    away: Option<u64>,
}

#[derive(Debug)]
struct Key {
    tap: u16,
    broker: Endpoint,
    client_id: Box<[u8]>,
}

/// A [`Key`] that borrows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct KeyRef<'a> {
    tap: u16,
    broker: Endpoint,
    client_id: &'a [u8],
}

impl<'a> KeyRef<'a> {
    fn of(state: &'a ConnectionState) -> Self {
        Self {
            tap: state.facts.tap,
            broker: state.facts.broker,
            client_id: state.client_id().unwrap_or_default(),
        }
    }
}

impl Key {
    const fn borrow(&self) -> KeyRef<'_> {
        KeyRef {
            tap: self.tap,
            broker: self.broker,
            client_id: &self.client_id,
        }
    }
}

/// Disconnected sessions in the order in which they went.
#[derive(Debug, Default)]
struct Away {
    /// Departures and slots; those that came back are still in it, until it is twice as long as
    /// it has to be.
    order: VecDeque<(u64, u32)>,
    /// How many of them are still away.
    count: usize,
}

impl Away {
    fn went(&mut self, departure: u64, slot: u32, sessions: &Pages<Option<Session>>) {
        self.count = self.count.saturating_add(1);
        self.order.push_back((departure, slot));
        if self.order.len() > self.count.saturating_mul(2).saturating_add(64) {
            self.order.retain(|&(departure, slot)| {
                let session = sessions.get(slot as usize).and_then(Option::as_ref);
                session.is_some_and(|session| session.away == Some(departure))
            });
        }
    }

    const fn came_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

/// At the end so many sessions are asked for before they are looked at.
const AHEAD: usize = 8;

/// All sessions, and what the connections share.
#[derive(Debug)]
pub struct Sessions {
    pub(super) limits: SessionLimits,
    /// Slots by the hash of their keys, which stand in the sessions.
    index: Index,
    hasher: foldhash::fast::RandomState,
    /// Bytes of all client identifiers known.
    id_bytes: usize,
    slots: Pages<Option<Session>>,
    free: Vec<u32>,
    away: Away,
    departures: u64,
    numbers: u64,
    pub(super) pool: TopicPool,
    pub(super) exchanges: InFlight,
    pub(super) in_flight: usize,
    /// Exchanges that wait, by the slots of their sessions. Nearly every message asks whether any
    /// wait for it, so this is asked before the session is fetched.
    waiting: HashMap<u32, Parked, foldhash::fast::RandomState>,
    pub(super) parked: usize,
    pub(super) dropped: DroppedState,
    /// Connections whose session goes on in another one although they are still open.
    displaced: Vec<(usize, u64)>,
}

impl Sessions {
    /// No sessions yet.
    #[must_use]
    pub fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            index: Index::default(),
            hasher: foldhash::fast::RandomState::default(),
            id_bytes: 0,
            slots: Pages::default(),
            free: Vec::new(),
            away: Away::default(),
            departures: 0,
            numbers: 0,
            pool: TopicPool::default(),
            exchanges: InFlight::default(),
            in_flight: 0,
            waiting: HashMap::default(),
            parked: 0,
            dropped: DroppedState::default(),
            displaced: Vec::new(),
        }
    }

    /// What had to be dropped so far.
    #[must_use]
    pub const fn dropped(&self) -> &DroppedState {
        &self.dropped
    }

    /// Exchanges in flight now.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Sessions seen so far.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.numbers
    }

    pub(super) fn session(&mut self, slot: Option<u32>) -> Option<&mut Session> {
        self.slots.get_mut(slot? as usize)?.as_mut()
    }

    /// Asks for the session of a connection.
    #[inline]
    pub fn touch(&self, state: &ConnectionState) {
        let session = state.session.and_then(|slot| self.slots.get(slot as usize));
        if let Some(Some(session)) = session {
            prefetch(session);
        }
    }

    /// Whether another connection of the client that `state`'s CONNECT names is open. The
    /// broker may close that one before it answers, so this is asked when the CONNECT comes.
    pub(super) fn is_connected(&self, state: &ConnectionState) -> bool {
        let Some(hash) = state.client_hash().filter(|_| state.session.is_none()) else {
            return false;
        };
        let slot = self.find(KeyRef::of(state), hash);
        let session = slot.and_then(|slot| self.slots.get(slot as usize)?.as_ref());
        session.is_some_and(|session| session.open > 0)
    }

    /// Takes note of who the client is, and asks for what finding its session needs.
    pub(super) fn identify(&self, state: &mut ConnectionState, client_id: &[u8]) {
        state.client_hash = None;
        if client_id.is_empty() {
            return;
        }
        let hash = self.hasher.hash_one(KeyRef {
            tap: state.facts.tap,
            broker: state.facts.broker,
            client_id,
        });
        self.index.touch(hash);
        state.client_hash = NonZeroU64::new(hash).or(Some(NonZeroU64::MIN));
    }

    /// Books a will that the broker published for the session in this place.
    pub fn will_published(&mut self, slot: u32) {
        if let Some(session) = self.session(Some(slot)) {
            session.will_published = session.will_published.saturating_add(1);
        }
    }

    #[inline]
    fn find(&self, key: KeyRef<'_>, hash: u64) -> Option<u32> {
        let is_same = |slot: u32| {
            let session = self.slots.get(slot as usize).and_then(Option::as_ref);
            session.is_some_and(|session| session.key.borrow() == key)
        };
        self.index.find(hash, is_same)
    }

    /// Attaches an accepted connection to its session.
    pub(super) fn attach<O: Observer>(&mut self, state: &mut ConnectionState, observer: &mut O) {
        if state.session.is_some() {
            return;
        }
        let first = state
            .connect_times
            .map_or_else(Timestamp::default, |times| times.first);
        let slot = self.find_or_make(state, first, observer);
        let Some(session) = self.session(Some(slot)) else {
            return;
        };
        session.connections = session.connections.saturating_add(1);
        session.taken_over = session
            .taken_over
            .saturating_add(u32::from(state.takes_over || session.open > 0));
        session.open = session.open.saturating_add(1);
        let holder = (state.facts.slot, state.facts.number);
        let displaced = session.holder.replace(holder);
        let present = state
            .connack
            .as_ref()
            .is_some_and(|facts| facts.session_present);
        session.resumed = session.resumed.saturating_add(u32::from(present));
        if session.away.take().is_some() {
            self.away.came_back();
        }
        let discarded = if present { None } else { self.unpark(slot) };
        state.session = Some(slot);
        if let (true, Some(displaced)) = (present, displaced) {
            self.displaced.push(displaced);
        }
        if let Some(parked) = discarded {
            self.report_parked(state.facts.tap, parked, observer);
        }
    }

    fn find_or_make<O: Observer>(
        &mut self,
        state: &ConnectionState,
        first: Timestamp,
        observer: &mut O,
    ) -> u32 {
        let key = KeyRef::of(state);
        // Clients without an identifier are not told apart by it.
        let known = state.client_hash();
        if let Some(hash) = known
            && let Some(slot) = self.find(key, hash)
        {
            return slot;
        }
        while self.away.count >= self.limits.sessions
            || (self.id_bytes > self.limits.id_bytes && self.away.count > 0)
        {
            self.evict(observer);
        }
        self.numbers = self.numbers.saturating_add(1);
        let session = Session {
            key: Key {
                tap: key.tap,
                broker: key.broker,
                client_id: key.client_id.into(),
            },
            hash: known.unwrap_or_default(),
            number: self.numbers,
            connections: 0,
            first,
            last: first,
            resumed: 0,
            taken_over: 0,
            subscriptions: 0,
            publishes: PerWay::default(),
            keep_alive_violations: 0,
            will_published: 0,
            open: 0,
            holder: None,
            away: None,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(session);
                }
                slot
            }
            None => {
                self.slots.push(Some(session));
                u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
            }
        };
        self.id_bytes = self.id_bytes.saturating_add(key.client_id.len());
        if let Some(hash) = known {
            self.index.insert(hash, slot);
        }
        slot
    }

    /// Reports and forgets the session that is disconnected longest.
    fn evict<O: Observer>(&mut self, observer: &mut O) {
        while let Some((departure, slot)) = self.away.order.pop_front() {
            if self
                .session(Some(slot))
                .is_some_and(|session| session.away == Some(departure))
            {
                self.away.count = self.away.count.saturating_sub(1);
                self.dropped.sessions = self.dropped.sessions.saturating_add(1);
                return self.end(slot, observer);
            }
        }
    }

    #[inline]
    fn end<O: Observer>(&mut self, slot: u32, observer: &mut O) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.index.remove(session.hash, slot);
        self.id_bytes = self.id_bytes.saturating_sub(session.key.client_id.len());
        self.free.push(slot);
        self.report(slot, &session, observer);
    }

    #[inline]
    fn report<O: Observer>(&mut self, slot: u32, session: &Session, observer: &mut O) {
        if let Some(parked) = self.unpark(slot) {
            self.report_parked(session.key.tap, parked, observer);
        }
        observer.session(&SessionRecord {
            session: session.number,
            tap: session.key.tap,
            client_id: &session.key.client_id,
            broker: session.key.broker,
            connections: session.connections,
            first: session.first,
            last: session.last,
            resumed: session.resumed,
            taken_over: session.taken_over,
            subscriptions: session.subscriptions,
            publishes_sent: session.publishes.to_broker,
            publishes_received: session.publishes.to_client,
            keep_alive_violations: session.keep_alive_violations,
            will_published: session.will_published,
        });
    }

    /// Takes what waits for the client of a session.
    #[inline]
    fn unpark(&mut self, slot: u32) -> Option<Parked> {
        if self.waiting.is_empty() {
            return None;
        }
        cold_path();
        self.waiting.remove(&slot)
    }

    /// Reports exchanges that waited for their client, which did not come back for them.
    fn report_parked<O: Observer>(&mut self, tap: u16, parked: Parked, observer: &mut O) {
        let count = parked
            .exchanges
            .to_broker
            .len()
            .saturating_add(parked.exchanges.to_client.len());
        self.parked = self.parked.saturating_sub(count);
        self.report_open(tap, parked, true, observer);
    }

    /// Takes over an exchange that an earlier connection of the session left in flight: its
    /// first row says so.
    pub(super) fn resume<O: Observer>(
        &mut self,
        state: &ConnectionState,
        towards: Towards,
        packet_id: u16,
        observer: &mut O,
    ) -> Option<Exchange> {
        let tap = state.facts.tap;
        let parked = self.waiting.get_mut(&state.session?)?;
        let mut exchange = parked.exchanges.get_mut(towards).remove(&packet_id)?;
        let place = Place {
            connection: parked.connection,
            tap,
            towards,
            packet_id,
        };
        let gaps = parked.gaps;
        if parked.exchanges.to_broker.is_empty() && parked.exchanges.to_client.is_empty() {
            self.waiting.remove(&state.session?);
        }
        self.parked = self.parked.saturating_sub(1);
        let outcome = match exchange.outcome(gaps, true) {
            ExchangeOutcome::Interrupted => ExchangeOutcome::Resumed,
            other => other,
        };
        observer.exchange(&exchange.record(place, outcome));
        exchange.gaps = state.gap_count();
        exchange.carried_from = Some(place.connection);
        exchange.order = 0;
        Some(exchange)
    }

    /// A connection, by slot and number, whose session went on in another one while it was
    /// open: hand its state to [`Sessions::displace`].
    #[inline]
    pub fn next_displaced(&mut self) -> Option<(usize, u64)> {
        self.displaced.pop()
    }

    /// Lets the exchanges of a connection wait for the one that took its session over: of the
    /// old connection's end often only the broker's half is seen, or nothing at all.
    pub fn displace<O: Observer>(&mut self, state: &mut ConnectionState, observer: &mut O) {
        if state.persistent() {
            self.park(state, true, observer);
        }
    }

    /// Books a closed connection on its session; its exchanges wait there, or are over.
    pub(super) fn detach<O: Observer>(
        &mut self,
        state: &mut ConnectionState,
        ended: bool,
        observer: &mut O,
    ) {
        self.park(state, ended, observer);
        self.book(state);
    }

    #[inline]
    fn park<O: Observer>(&mut self, state: &mut ConnectionState, ended: bool, observer: &mut O) {
        let session_slot = state.session;
        let persistent = ended && state.persistent() && session_slot.is_some();
        let count = state.in_flight();
        self.in_flight = self.in_flight.saturating_sub(count);
        let room = self.parked.saturating_add(count) <= self.limits.parked;
        if persistent && !room {
            self.dropped.parked = self.dropped.parked.saturating_add(count as u64);
        }
        if count == 0 {
            return;
        }
        let in_flight = &mut self.exchanges;
        let mut take = |exchanges: &mut Exchanges| {
            let all = exchanges.drain();
            all.filter_map(|(packet_id, index)| Some((packet_id, in_flight.take(index)?)))
                .collect::<BTreeMap<_, _>>()
        };
        let parked = Parked {
            connection: state.facts.number,
            gaps: state.gaps,
            exchanges: PerWay {
                to_broker: take(&mut state.exchanges.to_broker),
                to_client: take(&mut state.exchanges.to_client),
            },
        };
        if let (Some(slot), true) = (session_slot, persistent && room) {
            self.parked = self.parked.saturating_add(count);
            if let Some(old) = self.waiting.insert(slot, parked) {
                // What the connection did not go on with stays as it was left.
                self.report_parked(state.facts.tap, old, observer);
            }
        } else {
            self.report_open(state.facts.tap, parked, ended, observer);
        }
    }

    /// Reports exchanges as they stood when their connection ended, or the capture.
    fn report_open<O: Observer>(&mut self, tap: u16, open: Parked, ended: bool, observer: &mut O) {
        let Parked {
            connection,
            gaps,
            exchanges,
        } = open;
        for (towards, exchanges) in [
            (Towards::Broker, exchanges.to_broker),
            (Towards::Client, exchanges.to_client),
        ] {
            for (packet_id, exchange) in exchanges {
                let place = Place {
                    connection,
                    tap,
                    towards,
                    packet_id,
                };
                let outcome = exchange.outcome(gaps, ended);
                observer.exchange(&exchange.record(place, outcome));
                self.pool.give(exchange.topic);
            }
        }
    }

    #[inline]
    fn book(&mut self, state: &ConnectionState) {
        self.departures = self.departures.saturating_add(1);
        let departure = self.departures;
        let last = state.last_packet;
        let (granted, publishes) = (state.subscriptions.granted, state.publishes);
        let violations = state.keep_alive_violations;
        self.dropped.subscriptions = self
            .dropped
            .subscriptions
            .saturating_add(state.subscriptions.dropped);
        let Some(session) = self.session(state.session) else {
            return;
        };
        session.last = session.last.max(last.unwrap_or(session.last));
        session.subscriptions = session.subscriptions.saturating_add(granted);
        session.publishes.to_broker = session
            .publishes
            .to_broker
            .saturating_add(publishes.to_broker);
        session.publishes.to_client = session
            .publishes
            .to_client
            .saturating_add(publishes.to_client);
        session.keep_alive_violations = session.keep_alive_violations.saturating_add(violations);
        session.open = session.open.saturating_sub(1);
        if session.holder == Some((state.facts.slot, state.facts.number)) {
            session.holder = None;
        }
        if session.open == 0 {
            session.away = Some(departure);
            if let Some(slot) = state.session {
                self.away.went(departure, slot, &self.slots);
            }
        }
    }

    /// Reports all sessions, in order of first connection. Every connection must be closed.
    pub fn finish<O: Observer>(&mut self, observer: &mut O) {
        let mut slots: Vec<(u64, u32)> = self
            .slots
            .iter()
            .zip(0_u32..)
            .filter_map(|(session, slot)| Some((session.as_ref()?.number, slot)))
            .collect();
        slots.sort_unstable_by_key(|&(number, _)| number);
        // Finding out what is still of use takes longer than to forget all of it.
        let sessions = std::mem::take(&mut self.slots);
        (self.index, self.free, self.id_bytes) = (Index::default(), Vec::new(), 0);
        self.away = Away::default();
        for (index, &(_, slot)) in slots.iter().enumerate() {
            if let Some(&(_, ahead)) = slots.get(index.saturating_add(AHEAD))
                && let Some(session) = sessions.get(ahead as usize)
            {
                prefetch(session);
            }
            if let Some(Some(session)) = sessions.get(slot as usize) {
                self.report(slot, session, observer);
            }
        }
    }
}
