//! Publishers and receivers: clients, and the groups of shared subscriptions.

use crate::memory::prefetch;
use crate::mqtt::topic::{SharedFilter, name_hash};
use crate::session::MostlyOne;
use crate::time::{TimeDelta, Timestamp};

use super::filters::has_wildcards;
use super::slab::Slab;

/// Who publishes or receives. What every message needs of it is one line of the cache, the first,
/// together with what the place says of itself.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Party {
    /// Tells parties apart for ever, also those whose place was used again.
    pub(super) serial: u32,
    /// Messages that name it, members of a group.
    pub(super) refs: u32,
    /// Connections so far.
    pub(super) epoch: u32,
    pub(super) broker: u32,
    /// How long it was connected before the present connection.
    connected_before: TimeDelta,
    /// Since when it is connected, or [`NEVER`].
    since: Timestamp,
    /// Before when bytes to it are missing, or [`NEVER`].
    gap: Timestamp,
    /// How long a message to it usually takes at most; [`UNKNOWN`] as long as nothing shows it.
    usual: TimeDelta,
    pub(super) tap: u16,
    pub(super) is_group: bool,
    /// Its session outlives the connection, until `away_until` if a time is known.
    pub(super) persistent: bool,
    /// Client identifier, address and port, or `$share/group/filter`.
    pub(super) name: Box<[u8]>,
    /// What it is found by when it comes back, if it is.
    pub(super) client_hash: Option<u64>,
    /// Members of a group, and those of them that are connected.
    pub(super) joined: u32,
    pub(super) members: u32,
    /// Its connection: slot and number.
    pub(super) connection: Option<(usize, u64)>,
    pub(super) away_until: Option<Timestamp>,
    /// Its filters, and for shared ones the group.
    pub(super) filters: MostlyOne<FilterName, Option<u32>>,
    /// The groups it is a member of, each once.
    pub(super) groups: Vec<u32>,
    /// Messages to look at when it is connected again: place and serial number.
    pub(super) waiting: Vec<(u32, u64)>,
    /// Topics of which it has a stream.
    pub(super) topics: Vec<u32>,
    /// With it and what the slab adds, four lines.
    padding: [u64; 1],
}

/// A filter, as the party that subscribed to it knows it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FilterName {
    /// Neither with wildcards nor shared: its [`name_hash`](crate::mqtt::topic::name_hash).
    Exact(u64),
    Named(Box<[u8]>),
}

/// Stands for no duration.
const UNKNOWN: TimeDelta = TimeDelta::MAX;

/// Stands for no time, before all others.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MIN);

impl FilterName {
    /// Of a filter that is not shared.
    pub(super) fn new(filter: &[u8]) -> Self {
        if has_wildcards(filter) {
            Self::Named(filter.into())
        } else {
            Self::Exact(name_hash(filter))
        }
    }

    /// Of a filter as it stands in an UNSUBSCRIBE.
    pub(super) fn of_any(filter: &[u8]) -> Self {
        if SharedFilter::parse(filter).is_some() {
            Self::Named(filter.into())
        } else {
            Self::new(filter)
        }
    }
}

impl Party {
    pub(super) fn is_connected(&self) -> bool {
        self.since != NEVER
    }

    /// Takes note of bytes to it that are missing, from before that time.
    pub(super) fn miss(&mut self, before: Timestamp) {
        self.gap = self.gap.max(before);
    }

    /// What was published then may be among the bytes to it that are missing.
    pub(super) fn lacks(&self, publish: Timestamp) -> bool {
        self.gap != NEVER && self.gap >= publish
    }

    /// How long it was connected until `now`.
    pub(super) fn clock(&self, now: Timestamp) -> TimeDelta {
        let present = if self.is_connected() {
            now - self.since
        } else {
            TimeDelta::ZERO
        };
        TimeDelta::from_nanos(
            self.connected_before
                .as_nanos()
                .saturating_add(present.as_nanos().max(0)),
        )
    }

    pub(super) fn connect(&mut self, now: Timestamp) {
        if !self.is_connected() {
            self.epoch = self.epoch.wrapping_add(1);
            self.since = now;
            self.away_until = None;
        }
    }

    pub(super) fn disconnect(&mut self, now: Timestamp) {
        self.connected_before = self.clock(now);
        self.since = NEVER;
        self.connection = None;
    }

    /// Takes note of a delay about which there is no doubt.
    pub(super) fn learn(&mut self, delay: TimeDelta) {
        let nanos = delay.as_nanos().max(0);
        let before = self.usual().map_or(0, TimeDelta::as_nanos);
        // A long delay counts at once, and is forgotten in the course of some fifty messages.
        self.usual = TimeDelta::from_nanos(nanos.max(before - before / 16));
    }

    /// How long a message to it usually takes at most, as far as that is known.
    pub(super) fn usual(&self) -> Option<TimeDelta> {
        (self.usual != UNKNOWN).then_some(self.usual)
    }
}

/// All parties.
#[derive(Debug, Default)]
pub(super) struct Parties {
    pub(super) slab: Slab<Party>,
    serials: u32,
}

impl Parties {
    pub(super) fn add(&mut self, broker: u32, tap: u16, name: &[u8], is_group: bool) -> u32 {
        self.serials = self.serials.wrapping_add(1);
        self.slab.insert(Party {
            serial: self.serials,
            broker,
            tap,
            name: name.into(),
            is_group,
            client_hash: None,
            connection: None,
            joined: 0,
            members: 0,
            epoch: 0,
            connected_before: TimeDelta::ZERO,
            since: NEVER,
            persistent: false,
            away_until: None,
            filters: MostlyOne::default(),
            groups: Vec::new(),
            waiting: Vec::new(),
            topics: Vec::new(),
            padding: [0; 1],
            gap: NEVER,
            usual: UNKNOWN,
            refs: 0,
        })
    }

    /// Asks for all of a party: what its end needs.
    #[inline]
    pub(super) fn touch_closing(&self, place: u32) {
        if let Some(party) = self.slab.get(place) {
            prefetch(&party.name);
            prefetch(&party.filters);
            prefetch(&party.waiting);
        }
    }

    pub(super) fn get(&self, place: u32) -> Option<&Party> {
        self.slab.get(place)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Party> {
        self.slab.get_mut(place)
    }

    pub(super) fn hold(&mut self, place: u32) {
        if let Some(party) = self.slab.get_mut(place) {
            party.refs = party.refs.saturating_add(1);
        }
    }

    pub(super) fn name(&self, place: u32) -> &[u8] {
        self.slab.get(place).map_or(b"", |party| &party.name)
    }
}
