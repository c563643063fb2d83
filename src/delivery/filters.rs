//! Who subscribed to what at one broker, found by topic.

use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::memory::Index;
use crate::mqtt::topic::{levels, name_hash};
use crate::session::{MostlyOne, SmallMap};

use super::slab::{NONE, Slab};

/// Levels of a filter with wildcards that are followed.
const MOST_LEVELS: usize = 128;

type Map<V> = HashMap<Box<[u8]>, V, foldhash::fast::RandomState>;

/// What a receiver was granted for a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
}

/// A receiver of a topic, by all its filters together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Receiver {
    pub(super) party: u32,
    /// The highest that was granted.
    pub(super) qos: u8,
    /// How many filters match, so how many copies may come.
    pub(super) copies: u8,
    /// Every filter leaves out what the receiver publishes itself.
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
}

/// A filter without wildcards, and who subscribed to it.
#[derive(Debug)]
struct Exact {
    /// [`name_hash`]: equal hashes are equal filters, as far as anybody will ever see.
    hash: u64,
    parties: MostlyOne<u32, Granted>,
}

/// A level of the filters with wildcards.
#[derive(Debug, Default)]
struct Node {
    children: Map<u32>,
    /// The child `+`.
    any: Option<u32>,
    /// Filters that end here with `#`.
    all: SmallMap<u32, Granted>,
    /// Filters that end here.
    here: SmallMap<u32, Granted>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.any.is_none()
            && self.all.is_empty()
            && self.here.is_empty()
    }
}

/// All filters at one broker.
#[derive(Debug)]
pub(super) struct Filters {
    exact: Slab<Exact>,
    /// Their places.
    index: Index,
    nodes: Slab<Node>,
    root: u32,
    /// How often filters with wildcards have changed, by what stands in front of the first
    /// wildcard. Without any it is empty.
    changes: Vec<u32>,
    hasher: foldhash::fast::RandomState,
    frontier: Vec<u32>,
    next: Vec<u32>,
}

impl Default for Filters {
    fn default() -> Self {
        let mut nodes = Slab::default();
        let root = nodes.insert(Node::default());
        Self {
            exact: Slab::default(),
            index: Index::default(),
            nodes,
            root,
            changes: Vec::new(),
            hasher: foldhash::fast::RandomState::default(),
            frontier: Vec::new(),
            next: Vec::new(),
        }
    }
}

/// The places of [`Filters::watched`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched([u16; PREFIXES]);

/// How many places count changes, and how many levels of a beginning tell them apart.
const CHANGES: usize = 4096;
const PREFIXES: usize = 5;

/// The beginnings of a topic or filter: without a level, with one, with two, and so on.
fn prefixes(topic: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut end = None;
    let mut levels = 0;
    std::iter::once(topic.get(..0).unwrap_or_default()).chain(std::iter::from_fn(move || {
        let from = end.map_or(0, |end: usize| end + 1);
        let left = topic.get(from..).filter(|_| levels < PREFIXES)?;
        levels += 1;
        let length = left.iter().position(|&byte| byte == b'/');
        let stop = from + length.unwrap_or(left.len());
        end = Some(stop);
        topic.get(..stop)
    }))
}

/// Whether a filter has wildcards, so that more than one topic may match.
pub(super) fn has_wildcards(filter: &[u8]) -> bool {
    let is_one = |byte: u8| byte == b'+' || byte == b'#';
    // Without a stop in between it is many bytes at a time.
    let any = filter.iter().fold(false, |any, &byte| any | is_one(byte));
    any && levels(filter).any(|level| level == b"+" || level == b"#")
}

impl Filters {
    /// Filters and levels kept.
    pub(super) fn size(&self) -> usize {
        self.exact.len() + self.nodes.len()
    }

    fn find_exact(&self, hash: u64) -> Option<u32> {
        let is_it = |place| {
            self.exact
                .get(place)
                .is_some_and(|exact| exact.hash == hash)
        };
        self.index.find(hash, is_it)
    }

    /// Asks for what finding a filter without wildcards needs.
    #[inline]
    pub(super) fn touch_index(&self, hash: u64) {
        self.index.touch(hash);
    }

    /// Asks for a filter without wildcards.
    #[inline]
    pub(super) fn touch(&self, hash: u64) {
        if let Some(place) = self.index.guess(hash) {
            self.exact.touch(place);
        }
    }

    /// Takes a filter without wildcards, by its [`name_hash`].
    pub(super) fn insert_exact(&mut self, hash: u64, party: u32, granted: Granted) {
        if let Some(place) = self.find_exact(hash) {
            if let Some(exact) = self.exact.get_mut(place) {
                exact.parties.insert(party, granted);
            }
            return;
        }
        let parties = MostlyOne::One((party, granted));
        let place = self.exact.insert(Exact { hash, parties });
        self.index.insert(hash, place);
    }

    /// Takes a filter; `false` where it has too many levels to be followed.
    pub(super) fn insert(&mut self, filter: &[u8], party: u32, granted: Granted) -> bool {
        if !has_wildcards(filter) {
            self.insert_exact(name_hash(filter), party, granted);
            return true;
        }
        if levels(filter).nth(MOST_LEVELS).is_some() {
            return false;
        }
        self.note_change(filter);
        let mut place = self.root;
        for level in levels(filter) {
            if level == b"#" {
                if let Some(node) = self.nodes.get_mut(place) {
                    node.all.insert(party, granted);
                }
                return true;
            }
            place = self.child(place, level);
        }
        if let Some(node) = self.nodes.get_mut(place) {
            node.here.insert(party, granted);
        }
        true
    }

    /// Where the changes are counted that concern a topic: by its beginnings of no level, one
    /// level, and so on.
    pub(super) fn watched(&self, topic: &[u8]) -> Watched {
        let mut watched = Watched::default();
        for (place, prefix) in watched.0.iter_mut().zip(prefixes(topic)) {
            *place = self.bucket(prefix);
        }
        watched
    }

    /// Another number than before where the receivers of a topic may be others.
    pub(super) fn generation(&self, watched: &Watched) -> u32 {
        watched.0.iter().fold(1, |sum: u32, &place| {
            sum.wrapping_add(self.changes.get(usize::from(place)).copied().unwrap_or(0))
        })
    }

    fn bucket(&self, prefix: &[u8]) -> u16 {
        (self.hasher.hash_one(prefix) % CHANGES as u64) as u16
    }

    fn note_change(&mut self, filter: &[u8]) {
        let literal = levels(filter)
            .take_while(|&level| level != b"+" && level != b"#")
            .count();
        let depth = (literal + 1).min(PREFIXES);
        let prefix = prefixes(filter).take(depth).last();
        let place = self.bucket(prefix.unwrap_or_default());
        if self.changes.is_empty() {
            self.changes.resize(CHANGES, 0);
        }
        if let Some(count) = self.changes.get_mut(usize::from(place)) {
            *count = count.wrapping_add(1);
        }
    }

    fn child(&mut self, place: u32, level: &[u8]) -> u32 {
        let known = self.nodes.get(place).and_then(|node| match level {
            b"+" => node.any,
            _ => node.children.get(level).copied(),
        });
        if let Some(known) = known {
            return known;
        }
        let made = self.nodes.insert(Node::default());
        if let Some(node) = self.nodes.get_mut(place) {
            if level == b"+" {
                node.any = Some(made);
            } else {
                node.children.insert(level.into(), made);
            }
        }
        made
    }

    /// A party has no filter of that [`name_hash`] any more.
    pub(super) fn remove_exact(&mut self, hash: u64, party: u32) {
        let Some(place) = self.find_exact(hash) else {
            return;
        };
        let is_left = self.exact.get_mut(place).is_some_and(|exact| {
            exact.parties.remove(&party);
            exact.parties.is_empty()
        });
        if is_left && self.exact.remove(place).is_some() {
            self.index.remove(hash, place);
        }
    }

    /// A party has no such filter any more.
    pub(super) fn remove(&mut self, filter: &[u8], party: u32) {
        if !has_wildcards(filter) {
            self.remove_exact(name_hash(filter), party);
            return;
        }
        self.note_change(filter);
        // The way down, so that what is left empty can go.
        let mut path: Vec<(u32, &[u8])> = Vec::new();
        let mut place = self.root;
        for level in levels(filter) {
            let Some(node) = self.nodes.get_mut(place) else {
                return;
            };
            if level == b"#" {
                node.all.remove(&party);
                self.prune(&path, place);
                return;
            }
            let child = match level {
                b"+" => node.any,
                _ => node.children.get(level).copied(),
            };
            path.push((place, level));
            place = child.unwrap_or(NONE);
        }
        if let Some(node) = self.nodes.get_mut(place) {
            node.here.remove(&party);
            self.prune(&path, place);
        }
    }

    fn prune(&mut self, path: &[(u32, &[u8])], mut place: u32) {
        for &(parent, level) in path.iter().rev() {
            if !self.nodes.get(place).is_some_and(Node::is_empty) {
                return;
            }
            self.nodes.remove(place);
            if let Some(node) = self.nodes.get_mut(parent) {
                if level == b"+" {
                    node.any = None;
                } else {
                    node.children.remove(level);
                }
            }
            place = parent;
        }
    }

    /// The receivers of a topic, in the order of their places; `hash` is its [`name_hash`].
    pub(super) fn receivers(&mut self, topic: &[u8], hash: u64, receivers: &mut Vec<Receiver>) {
        receivers.clear();
        if topic.is_empty() {
            return;
        }
        let exact = self.find_exact(hash);
        if let Some(exact) = exact.and_then(|place| self.exact.get(place)) {
            exact
                .parties
                .for_each(|&party, granted| receivers.push(receiver(party, granted)));
        }
        let root_is_empty = self.nodes.get(self.root).is_none_or(Node::is_empty);
        if !root_is_empty {
            self.walk(topic, receivers);
        }
        receivers.sort_unstable_by_key(|receiver| receiver.party);
        receivers.dedup_by(|other, first| {
            let same = other.party == first.party;
            if same {
                first.qos = first.qos.max(other.qos);
                first.copies = first.copies.saturating_add(other.copies);
                first.no_local &= other.no_local;
                first.retain_as_published |= other.retain_as_published;
            }
            same
        });
    }

    fn walk(&mut self, topic: &[u8], receivers: &mut Vec<Receiver>) {
        let Self {
            nodes,
            frontier,
            next,
            root,
            ..
        } = self;
        frontier.clear();
        frontier.push(*root);
        // [MQTT-4.7.2-1] A wildcard at the beginning does not match a topic that begins with $.
        let mut wild = !topic.starts_with(b"$");
        for level in levels(topic) {
            next.clear();
            for &place in frontier.iter() {
                let Some(node) = nodes.get(place) else {
                    continue;
                };
                if wild {
                    collect(&node.all, receivers);
                    next.extend(node.any);
                }
                next.extend(node.children.get(level));
            }
            wild = true;
            std::mem::swap(frontier, next);
            if frontier.is_empty() {
                return;
            }
        }
        for &place in frontier.iter() {
            if let Some(node) = nodes.get(place) {
                // `sport/#` matches `sport` too (section 4.7.1.2).
                collect(&node.all, receivers);
                collect(&node.here, receivers);
            }
        }
    }
}

fn collect(parties: &SmallMap<u32, Granted>, receivers: &mut Vec<Receiver>) {
    parties.for_each(|&party, granted| receivers.push(receiver(party, granted)));
}

const fn receiver(party: u32, granted: &Granted) -> Receiver {
    Receiver {
        party,
        qos: granted.qos,
        copies: 1,
        no_local: granted.no_local,
        retain_as_published: granted.retain_as_published,
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::mqtt::topic::matches;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["", "a", "b", "$s"]), 1..8)
            .prop_map(|levels| levels.join("/"))
    }

    fn filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["", "a", "b", "+", "$s"]);
        (prop::collection::vec(level, 0..7), any::<bool>()).prop_map(|(mut levels, all)| {
            if all || levels.is_empty() {
                levels.push("#");
            }
            levels.join("/")
        })
    }

    proptest! {
        /// The tree gives what one comparison after the other gives, also after removals.
        #[test]
        fn it_finds_what_matches(
            filters in prop::collection::vec((filter(), 0_u32..4), 0..12),
            removed in prop::collection::vec(any::<bool>(), 12),
            topic in name(),
        ) {
            let granted = Granted { qos: 1, no_local: false, retain_as_published: false };
            let mut tree = Filters::default();
            for (filter, party) in &filters {
                prop_assert!(tree.insert(filter.as_bytes(), *party, granted));
            }
            let mut left: std::collections::BTreeSet<_> = filters.iter().cloned().collect();
            for ((filter, party), removed) in filters.iter().zip(removed) {
                if removed {
                    tree.remove(filter.as_bytes(), *party);
                    left.remove(&(filter.clone(), *party));
                }
            }
            let mut expected = std::collections::BTreeMap::<u32, u8>::new();
            for (filter, party) in &left {
                if matches(filter.as_bytes(), topic.as_bytes()) {
                    *expected.entry(*party).or_default() += 1;
                }
            }
            let mut receivers = Vec::new();
            tree.receivers(topic.as_bytes(), name_hash(topic.as_bytes()), &mut receivers);
            let found: Vec<_> = receivers.iter().map(|r| (r.party, r.copies)).collect();
            prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
            for (filter, party) in &left {
                tree.remove(filter.as_bytes(), *party);
            }
            prop_assert_eq!(tree.size(), 1);
        }

        /// A topic notices every change that concerns it.
        #[test]
        fn no_change_goes_unnoticed(filter in filter(), topic in name()) {
            let granted = Granted { qos: 1, no_local: false, retain_as_published: false };
            let mut tree = Filters::default();
            let watched = tree.watched(topic.as_bytes());
            let before = tree.generation(&watched);
            tree.insert(filter.as_bytes(), 1, granted);
            let between = tree.generation(&watched);
            tree.remove(filter.as_bytes(), 1);
            let after = tree.generation(&watched);
            if has_wildcards(filter.as_bytes()) && matches(filter.as_bytes(), topic.as_bytes()) {
                prop_assert!(before != between && between != after);
            }
        }
    }
}
