//! Messages that are kept while a receiver is awaited.

use std::num::NonZeroU64;

use crate::mqtt::Forwarded;
use crate::session::SmallMap;
use crate::time::{TimeDelta, Timestamp};

use super::Seen;
use super::slab::NONE;

/// Stands for no time.
const NEVER: Timestamp = Timestamp::from_nanos(i64::MIN);

/// Bytes of a payload's visible beginning that are compared where the capture cut it.
const PREFIX: usize = 64;

/// What is compared of a payload that was not captured whole.
pub(super) fn prefix(payload: &[u8]) -> &[u8] {
    payload.get(..PREFIX).unwrap_or(payload)
}

/// Where an expectation stands: how often the message came, 0 while it is awaited, or that nobody
/// waits any more. In a byte, since there may be millions of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage(u8);

impl Stage {
    /// The message is awaited.
    pub(super) const OPEN: Self = Self(0);
    /// Nobody waits any more.
    pub(super) const OVER: Self = Self(u8::MAX);
    /// It came once.
    pub(super) const CAME: Self = Self(1);
    /// As often as can be told.
    const MOST: u8 = u8::MAX - 1;

    /// How often it came.
    pub(super) const fn times(self) -> u8 {
        if self.0 > Self::MOST { 0 } else { self.0 }
    }

    /// It came once more.
    pub(super) const fn again(self) -> Self {
        let times = self.times();
        Self(if times < Self::MOST { times + 1 } else { times })
    }
}

/// How an expectation came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The receiver had subscribed.
    Connected,
    /// It had subscribed, and was not connected at the time.
    Away,
    /// Nothing says that it subscribed.
    Inferred,
}

/// One receiver of a message. Twenty bytes: most of what a large capture keeps is these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    /// The receiver, or [`NONE`].
    pub(super) party: u32,
    /// Its count of connections at the time.
    pub(super) epoch: u32,
    /// How long it had been connected at the time, in nanoseconds, as halves: together they would
    /// make the compiler leave room elsewhere.
    clock: [u32; 2],
    /// The lowest bits of its count of connections when the message was put on its list.
    listed: u8,
    /// QoS, origin, and whether it is listed: see the constants.
    kind: u8,
    /// Copies that may come.
    pub(super) copies: u8,
    pub(super) stage: Stage,
}

impl Expectation {
    pub(super) const NOBODY: Self = Self {
        party: NONE,
        epoch: 0,
        clock: [0; 2],
        listed: 0,
        kind: 0,
        copies: 0,
        stage: Stage::OVER,
    };

    const QOS: u8 = 0b0011;
    const ORIGIN: u32 = 4;
    const LISTED: u8 = 0b1000_0000;

    /// A message is awaited by a party that is in its connection number `epoch`, connected for
    /// `clock` in all.
    pub(super) fn new(
        (party, epoch, clock): (u32, u32, TimeDelta),
        qos: u8,
        copies: u8,
        origin: Origin,
    ) -> Self {
        let nanos = clock.as_nanos();
        Self {
            party,
            epoch,
            clock: [nanos as u32, (nanos >> 32) as u32],
            copies,
            stage: Stage::OPEN,
            kind: (qos & Self::QOS) | ((origin as u8) << Self::ORIGIN),
            ..Self::NOBODY
        }
    }

    pub(super) const fn qos(&self) -> u8 {
        self.kind & Self::QOS
    }

    pub(super) const fn origin(&self) -> Origin {
        match (self.kind & !Self::LISTED) >> Self::ORIGIN {
            0 => Origin::Connected,
            1 => Origin::Away,
            _ => Origin::Inferred,
        }
    }

    /// How long the receiver had been connected at the time.
    pub(super) fn clock(&self) -> TimeDelta {
        let [low, high] = self.clock;
        TimeDelta::from_nanos((u64::from(high) << 32 | u64::from(low)).cast_signed())
    }

    /// The message is to be put on the list of what is looked at when the receiver is back; tells
    /// whether it is not there yet, so that it stands there once, however often others make it be
    /// looked at. The list is emptied by the next connection, and what was on it is looked at
    /// before another 256 can come.
    pub(super) fn list(&mut self, epoch: u32) -> bool {
        let known = self.kind & Self::LISTED != 0 && self.listed == epoch as u8;
        self.kind |= Self::LISTED;
        self.listed = epoch as u8;
        !known
    }

    /// One more copy may come.
    pub(super) fn takes(&self) -> bool {
        self.stage == Stage::OPEN || (self.stage != Stage::OVER && self.stage.times() < self.copies)
    }
}

/// A message that reached the broker. Two lines of the cache, since hundreds of thousands wait at
/// a time and each is gone to again when its time is over.
#[derive(Debug)]
pub(super) struct Message {
    /// Serial number, in the order of the capture.
    pub(super) id: u64,
    /// Hash of what makes it equal to a packet that leaves the broker.
    pub(super) key: u64,
    /// Number in the tables, if it has one.
    pub(super) number: Option<NonZeroU64>,
    /// Its topic, or [`NONE`] where an alias was never seen bound.
    pub(super) topic: u32,
    /// The broker.
    pub(super) broker: u32,
    pub(super) publisher: u32,
    pub(super) payload_length: u32,
    /// Hash of the payload, where it was captured whole.
    hash: u64,
    pub(super) publish: Timestamp,
    pub(super) whole: Timestamp,
    /// Last byte of the PUBREL, or [`NEVER`].
    released: Timestamp,
    pub(super) qos: u8,
    /// [`WHOLE`](Self::WHOLE) and [`AT_BROKER`](Self::AT_BROKER).
    traits: u8,
    /// It stays until its time is over, since somebody may get it who is not awaited.
    pub(super) keep: bool,
    /// Refused by the broker.
    pub(super) refused: bool,
    /// Receivers that are awaited.
    pub(super) open: u32,
    /// The place of the message before it on its topic.
    before_place: u32,
    /// The serial number of that one.
    before: u64,
    first: Expectation,
    more: Option<Box<More>>,
}

/// What few messages have.
#[derive(Debug, Default)]
struct More {
    /// The beginning of a payload that was not captured whole.
    prefix: Box<[u8]>,
    /// Properties that have to reach every receiver.
    forwarded: Forwarded,
    /// Further receivers that were expected from the beginning, in the order of their places.
    rest: Vec<Expectation>,
    /// Receivers that turned out later.
    others: SmallMap<u32, Expectation>,
}

impl Message {
    /// The payload was captured whole.
    const WHOLE: u8 = 1;
    /// The tap stands beside the broker.
    const AT_BROKER: u8 = 2;

    /// The message before it on its topic: place and serial number.
    pub(super) const fn before(&self) -> (u32, u64) {
        (self.before_place, self.before)
    }

    pub(super) const fn set_before(&mut self, (place, serial): (u32, u64)) {
        (self.before_place, self.before) = (place, serial);
    }

    /// A message on its way, whose receivers are still to be told.
    pub(super) fn new(id: u64, key: u64, seen: &Seen<'_>, length: u32) -> Self {
        let forwarded = seen.forwarded();
        let is_cut = seen.payload_hash.is_none();
        let more = || More {
            prefix: if is_cut {
                prefix(seen.publish.payload).into()
            } else {
                Box::default()
            },
            forwarded,
            ..More::default()
        };
        Self {
            id,
            key,
            number: seen.number.and_then(NonZeroU64::new),
            topic: NONE,
            broker: NONE,
            publisher: NONE,
            payload_length: length,
            hash: seen.payload_hash.unwrap_or(0),
            publish: seen.times.first,
            whole: seen.times.last,
            released: NEVER,
            qos: seen.publish.qos.min(2),
            traits: (u8::from(seen.payload_hash.is_some()) * Self::WHOLE)
                | (u8::from(seen.at_broker) * Self::AT_BROKER),
            keep: true,
            refused: false,
            open: 0,
            before_place: NONE,
            before: 0,
            first: Expectation::NOBODY,
            more: (is_cut || !forwarded.is_empty()).then(|| Box::new(more())),
        }
    }

    /// The tap stands beside the broker.
    pub(super) const fn at_broker(&self) -> bool {
        self.traits & Self::AT_BROKER != 0
    }

    /// Number in the tables, if it has one.
    pub(super) fn number(&self) -> Option<u64> {
        self.number.map(NonZeroU64::get)
    }

    /// XXH3-64 of the payload, where it was captured whole.
    pub(super) fn payload_hash(&self) -> Option<u64> {
        (self.traits & Self::WHOLE != 0).then_some(self.hash)
    }

    /// Properties that have to reach every receiver.
    pub(super) fn forwarded(&self) -> Forwarded {
        self.more
            .as_ref()
            .map_or_else(Forwarded::default, |more| more.forwarded)
    }

    /// Takes note of the PUBREL; the first one counts.
    pub(super) fn release(&mut self, at: Timestamp) {
        if self.released == NEVER {
            self.released = at;
        }
    }

    /// Since when the broker may pass it on, of what left the broker then.
    pub(super) fn since(&self, left: Timestamp) -> Timestamp {
        if self.released != NEVER && left >= self.released {
            self.released
        } else {
            self.whole
        }
    }

    fn rest(&self) -> &[Expectation] {
        self.more.as_ref().map_or(&[], |more| &more.rest)
    }

    /// What is expected of a receiver.
    pub(super) fn expectation(&self, party: u32) -> Option<&Expectation> {
        if self.first.party == party {
            return Some(&self.first);
        }
        let more = self.more.as_ref()?;
        match more.rest.binary_search_by_key(&party, |known| known.party) {
            Ok(index) => more.rest.get(index),
            Err(_) => more.others.get(&party),
        }
    }

    pub(super) fn expectation_mut(&mut self, party: u32) -> Option<&mut Expectation> {
        if self.first.party == party {
            return Some(&mut self.first);
        }
        let more = self.more.as_mut()?;
        match more.rest.binary_search_by_key(&party, |known| known.party) {
            Ok(index) => more.rest.get_mut(index),
            Err(_) => more.others.get_mut(&party),
        }
    }

    /// Every receiver.
    pub(super) fn expectations(&self) -> impl Iterator<Item = &Expectation> {
        std::iter::once(&self.first)
            .chain(self.rest())
            .chain(self.more.iter().flat_map(|more| more.others.values()))
            .filter(|expectation| expectation.party != NONE)
    }

    /// Every receiver, to be changed.
    pub(super) fn expectations_mut(&mut self) -> impl Iterator<Item = &mut Expectation> {
        let more = self.more.iter_mut().flat_map(|more| {
            let More { rest, others, .. } = &mut **more;
            rest.iter_mut().chain(others.values_mut())
        });
        std::iter::once(&mut self.first)
            .chain(more)
            .filter(|expectation| expectation.party != NONE)
    }

    /// Expects it at one more receiver; their places must ascend. `left` says how many there may
    /// be after it.
    pub(super) fn expect(&mut self, expectation: Expectation, left: usize) {
        if self.first.party == NONE {
            self.first = expectation;
            return;
        }
        let rest = &mut self.more.get_or_insert_default().rest;
        if rest.capacity() == 0 {
            rest.reserve_exact(left.saturating_add(1));
        }
        rest.push(expectation);
    }

    /// It turned out to be meant for somebody else too.
    pub(super) fn add(&mut self, expectation: Expectation) {
        let more = self.more.get_or_insert_default();
        more.others.insert(expectation.party, expectation);
    }

    /// Whether the payload of a packet can be this one's: the beginnings agree as far as both
    /// were captured, or both hashes do.
    pub(super) fn has_payload(&self, hash: Option<u64>, visible: &[u8]) -> bool {
        match (self.payload_hash(), hash, &self.more) {
            (Some(own), Some(hash), _) => own == hash,
            (None, None, Some(more)) => {
                let length = more.prefix.len().min(visible.len());
                more.prefix.get(..length) == visible.get(..length)
            }
            _ => false,
        }
    }
}
