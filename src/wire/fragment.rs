//! Fragments of IP datagrams, put together.
//!
//! Everything here can be sent by anyone, so everything is bounded: datagrams, bytes, the
//! fragments of a datagram, and how long one waits on the capture clock. To stay within, the
//! datagram that began first is given up first. Overlaps:
//!
//! - IPv4: what arrived first stays (RFC 791 leaves it open; this is BSD's and Linux's rule of
//!   old and cannot rewrite a header already seen);
//! - IPv6: the datagram is dropped, with the fragments of it still to come (RFC 5722; an exact
//!   copy is no overlap, RFC 8200, 4.5, or mirror ports would make every datagram one).
//!
//! A contradiction about where the datagram ends drops it in both. The key is that of the RFCs
//! (addresses, identification, and the protocol in IPv4) within one tap: VLAN tags and tunnels
//! around it do not count, since the same datagram is seen with and without.
//!
//! Pieces are stored as they come and laid out once, at the end: a few bytes that claim the far
//! end of a datagram cost a few bytes.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::cursor::{Cursor, Network, within};
use super::dissector::WireLimits;
use super::statistics::{WireStatistics, count};
use crate::time::{TimeDelta, Timestamp};

/// The longest payload of a datagram in bytes.
const LONGEST: usize = 65_535;
/// What a datagram and a piece cost beyond their bytes, roughly: tables and allocations.
const DATAGRAM_COST: usize = 256;
const PIECE_COST: usize = 64;

/// A fragment of a datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) network: Network,
    pub(super) protocol: u8,
    /// Where in the datagram the payload belongs, in bytes.
    pub(super) offset: usize,
    /// More fragments follow.
    pub(super) more: bool,
    pub(super) payload: Cursor<'a>,
}

/// A datagram whose last missing fragment has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole {
    pub(super) network: Network,
    pub(super) protocol: u8,
    /// The length of the payload on the wire.
    pub(super) length: usize,
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Insertion {
    Held,
    Duplicate,
    Dropped,
    Complete(Whole),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    tap: u16,
    source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// 0 in IPv6, where the identification alone counts (RFC 8200, 4.5).
    protocol: u8,
}

/// A stretch of a datagram that no other piece covers.
#[derive(Debug)]
struct Piece {
    start: usize,
    end: usize,
    /// The captured bytes; fewer than `end - start` where a snap length cut the fragment.
    bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Datagram {
    started: Timestamp,
    /// Its place in the order of arrival.
    age: u64,
    network: Network,
    protocol: u8,
    /// By `start`, without overlaps.
    pieces: Vec<Piece>,
    /// The sum of the pieces' lengths.
    covered: usize,
    /// Known once the last fragment has come.
    total: Option<usize>,
    /// What it is charged with.
    cost: usize,
    /// Given up; kept so that the fragments still to come are known as such.
    dropped: bool,
}

/// Datagrams that wait for fragments.
#[derive(Debug)]
pub(super) struct FragmentTable {
    limits: WireLimits,
    datagrams: HashMap<Key, Datagram, foldhash::fast::RandomState>,
    /// Arrival order to key, to find the oldest.
    ages: BTreeMap<u64, Key>,
    next_age: u64,
    cost: usize,
}

impl Key {
    fn of(tap: u16, fragment: &Fragment<'_>) -> Self {
        let Network {
            source,
            destination,
            identification,
            ..
        } = fragment.network;
        Self {
            tap,
            source,
            destination,
            identification,
            protocol: if source.is_ipv4() {
                fragment.protocol
            } else {
                0
            },
        }
    }
}

impl Fragment<'_> {
    /// Where it begins and ends, if it is one that IP allows: all but the last are a multiple
    /// of 8 bytes long, and none reaches beyond the longest datagram.
    fn range(&self) -> Option<(usize, usize)> {
        let length = self.payload.length;
        let end = self.offset.checked_add(length)?;
        let lengths_fit = !self.more || (length > 0 && length.is_multiple_of(8));
        (lengths_fit && end <= LONGEST).then_some((self.offset, end))
    }
}

impl FragmentTable {
    pub(super) fn new(limits: WireLimits) -> Self {
        Self {
            limits,
            datagrams: HashMap::default(),
            ages: BTreeMap::new(),
            next_age: 0,
            cost: 0,
        }
    }

    /// Takes a fragment. If it completes its datagram, the captured bytes are written to `into`
    /// (which is overwritten), up to the first that the capture lacks.
    pub(super) fn insert(
        &mut self,
        time: Timestamp,
        tap: u16,
        fragment: &Fragment<'_>,
        into: &mut Vec<u8>,
        statistics: &mut WireStatistics,
    ) -> Insertion {
        let Some((start, end)) = fragment.range() else {
            return Insertion::Dropped;
        };
        let key = Key::of(tap, fragment);
        self.expire(time, &key, statistics);
        self.make_room(&key, fragment.payload.bytes.len(), statistics);
        let datagram = match self.datagrams.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let age = self.next_age;
                self.next_age = age.wrapping_add(1);
                self.ages.insert(age, key);
                self.cost = self.cost.saturating_add(DATAGRAM_COST);
                entry.insert(Datagram::new(time, age, fragment))
            }
        };
        let (before, was_dropped) = (datagram.cost, datagram.dropped);
        let insertion = datagram.insert(fragment, start, end, self.limits.max_fragments);
        let after = datagram.cost;
        if datagram.dropped && !was_dropped {
            count(&mut statistics.datagrams_inconsistent);
        }
        self.cost = self.cost.saturating_sub(before).saturating_add(after);
        if let Insertion::Complete(_) = insertion
            && let Some(datagram) = self.remove(&key)
        {
            datagram.lay_out(into);
            count(&mut statistics.datagrams_reassembled);
        }
        insertion
    }

    /// Gives up what waits for too long, and what waits under the same key for too long: after
    /// that an identification is used again. A clock that jumped back counts as too long, too.
    fn expire(&mut self, now: Timestamp, key: &Key, statistics: &mut WireStatistics) {
        let limit = self.limits.fragment_expiry;
        let stale = |datagram: &Datagram| !within(now, datagram.started, limit);
        while let Some((_, oldest)) = self.ages.first_key_value() {
            let oldest = *oldest;
            if !self.datagrams.get(&oldest).is_none_or(stale) {
                break;
            }
            self.give_up(&oldest, &mut statistics.datagrams_expired);
        }
        if self.datagrams.get(key).is_some_and(stale) {
            self.give_up(key, &mut statistics.datagrams_expired);
        }
    }

    /// Gives up the oldest until `bytes` more, and a new datagram if `key` is one, have room.
    fn make_room(&mut self, key: &Key, bytes: usize, statistics: &mut WireStatistics) {
        // A fragment of IPv4 can fall into several pieces, each of them between two that are
        // there; its bytes count once, and the pieces are few (`max_fragments`).
        let needed = bytes
            .saturating_add(DATAGRAM_COST)
            .saturating_add(PIECE_COST);
        loop {
            let full = self.datagrams.len() >= self.limits.max_datagrams
                && !self.datagrams.contains_key(key);
            if !full && self.cost.saturating_add(needed) <= self.limits.max_fragment_bytes {
                return;
            }
            let Some((_, oldest)) = self.ages.first_key_value() else {
                return;
            };
            let oldest = *oldest;
            self.give_up(&oldest, &mut statistics.datagrams_evicted);
        }
    }

    fn give_up(&mut self, key: &Key, counter: &mut u64) {
        // One that was dropped for a contradiction has been counted for that.
        if self.remove(key).is_some_and(|datagram| !datagram.dropped) {
            count(counter);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Datagram> {
        let datagram = self.datagrams.remove(key)?;
        self.ages.remove(&datagram.age);
        self.cost = self.cost.saturating_sub(datagram.cost);
        Some(datagram)
    }

    /// What the table is charged with at present.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Datagrams that wait, given up ones included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.datagrams.len(), self.ages.len());
        self.datagrams.len()
    }
}

impl Datagram {
    fn new(started: Timestamp, age: u64, fragment: &Fragment<'_>) -> Self {
        Self {
            started,
            age,
            network: fragment.network,
            protocol: fragment.protocol,
            pieces: Vec::new(),
            covered: 0,
            total: None,
            cost: DATAGRAM_COST,
            dropped: false,
        }
    }

    fn insert(
        &mut self,
        fragment: &Fragment<'_>,
        start: usize,
        end: usize,
        max_fragments: usize,
    ) -> Insertion {
        if self.dropped {
            return Insertion::Dropped;
        }
        let last = self.pieces.last().map_or(0, |piece| piece.end);
        let total = if fragment.more {
            self.total
        } else {
            Some(self.total.unwrap_or(end))
        };
        let ends_fit = match total {
            Some(total) => end <= total && last <= total && (fragment.more || end == total),
            None => true,
        };
        if !ends_fit {
            return self.give_up();
        }
        self.total = total;
        if start == 0 {
            // Later fragments may have other values in them (RFC 8200, 4.5).
            self.network = fragment.network;
            self.protocol = fragment.protocol;
        }
        let bytes = fragment.payload.bytes;
        let added = if fragment.network.source.is_ipv4() {
            self.fill_gaps(start, end, bytes, max_fragments)
        } else {
            self.add_or_refuse(start, end, bytes, max_fragments)
        };
        match added {
            None => self.give_up(),
            Some(_) if total == Some(self.covered) => Insertion::Complete(Whole {
                network: self.network,
                protocol: self.protocol,
                length: self.covered,
            }),
            Some(false) if start < end => Insertion::Duplicate,
            Some(_) => Insertion::Held,
        }
    }

    /// IPv4: stores what no piece covers yet. `None`: too many pieces; else whether anything
    /// was new.
    fn fill_gaps(
        &mut self,
        start: usize,
        end: usize,
        bytes: &[u8],
        max_fragments: usize,
    ) -> Option<bool> {
        let mut index = self.pieces.partition_point(|piece| piece.end <= start);
        let mut at = start;
        let mut added = false;
        while at < end {
            let next = self.pieces.get(index).map(|piece| (piece.start, piece.end));
            let stop = match next {
                Some((from, to)) if from <= at => {
                    at = to;
                    index = index.saturating_add(1);
                    continue;
                }
                Some((from, _)) => from.min(end),
                None => end,
            };
            let from = at.saturating_sub(start).min(bytes.len());
            let to = stop.saturating_sub(start).min(bytes.len());
            self.store(index, at, stop, bytes.get(from..to)?, max_fragments)?;
            added = true;
            at = stop;
        }
        Some(added)
    }

    /// IPv6: stores the fragment. `None`: too many pieces, or it overlaps one; else whether it
    /// was new.
    fn add_or_refuse(
        &mut self,
        start: usize,
        end: usize,
        bytes: &[u8],
        max_fragments: usize,
    ) -> Option<bool> {
        let index = self.pieces.partition_point(|piece| piece.end <= start);
        match self.pieces.get(index) {
            Some(piece) if piece.start < end => {
                let copy = (piece.start, piece.end, &*piece.bytes) == (start, end, bytes);
                copy.then_some(false)
            }
            _ if start == end => Some(false),
            _ => {
                self.store(index, start, end, bytes, max_fragments)?;
                Some(true)
            }
        }
    }

    fn store(
        &mut self,
        index: usize,
        start: usize,
        end: usize,
        bytes: &[u8],
        max_fragments: usize,
    ) -> Option<()> {
        if self.pieces.len() >= max_fragments {
            return None;
        }
        let cost = bytes.len().saturating_add(PIECE_COST);
        self.cost = self.cost.saturating_add(cost);
        self.covered = self.covered.saturating_add(end.saturating_sub(start));
        let bytes = bytes.into();
        self.pieces.insert(index, Piece { start, end, bytes });
        Some(())
    }

    fn give_up(&mut self) -> Insertion {
        self.dropped = true;
        self.pieces = Vec::new();
        self.cost = DATAGRAM_COST;
        Insertion::Dropped
    }

    /// Writes the captured bytes in order, up to the first that is missing.
    fn lay_out(&self, into: &mut Vec<u8>) {
        into.clear();
        for piece in &self.pieces {
            into.extend_from_slice(&piece.bytes);
            if piece.bytes.len() < piece.end.saturating_sub(piece.start) {
                break;
            }
        }
    }
}

/// How long fragments wait by default: RFC 8200 (4.5) says 60 s, Linux does 30 s.
pub(super) const DEFAULT_EXPIRY: TimeDelta = TimeDelta::from_secs(30);

#[cfg(test)]
mod tests;
