//! The topics of messages that are kept, and who receives them.

use crate::memory::Index;
use crate::mqtt::topic::name_hash_within;
use crate::session::SmallMap;

use super::filters::{Filters, Receiver, Watched};
use super::slab::{NONE, Slab};

/// A topic at a broker. With what the slab adds it is one line of the cache.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) receivers: Box<[Receiver]>,
    /// Its receivers, as of that generation of the broker's filters; 0 for never.
    pub(super) generation: u32,
    /// Messages that name it.
    pub(super) refs: u32,
    pub(super) watched: Watched,
    pub(super) hash: u64,
    pub(super) told: Option<Box<Told>>,
    /// Of the name, whether it is kept or not.
    name_length: u32,
}

/// What is known of a topic once a message is kept: of most topics of a large capture none ever
/// is.
#[derive(Debug)]
pub(super) struct Told {
    name: Box<[u8]>,
    /// Serial number of the latest message that is kept.
    pub(super) latest: u64,
    /// Its place.
    pub(super) latest_place: u32,
    /// By receiver: those of whose subscriptions nothing is known.
    pub(super) streams: SmallMap<u32, Stream>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            name: Box::default(),
            latest: 0,
            latest_place: NONE,
            streams: SmallMap::default(),
        }
    }
}

impl Topic {
    /// Empty until a message is kept.
    pub(super) fn name(&self) -> &[u8] {
        self.told.as_ref().map_or(b"", |told| &told.name)
    }

    pub(super) fn told(&mut self) -> &mut Told {
        self.told.get_or_insert_default()
    }
}

/// What a receiver whose SUBSCRIBE was not seen got of a topic.
#[derive(Debug)]
pub(super) struct Stream {
    /// Serial number of the latest message that it got.
    pub(super) latest: u64,
    /// Messages after it that did not come in time: lost if it gets a later one.
    pub(super) undecided: Vec<Undecided>,
}

/// A message that is over, but for receivers that may turn out to have awaited it.
#[derive(Debug, Clone)]
pub(super) struct Undecided {
    pub(super) id: u64,
    pub(super) number: Option<u64>,
    pub(super) publisher: Box<[u8]>,
    pub(super) publish: crate::time::Timestamp,
    pub(super) qos: u8,
    pub(super) payload_hash: Option<u64>,
    /// Nothing says that the capture missed it.
    pub(super) certain: bool,
}

/// Topics found by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    /// Places by hash. The hash has a key of its own in every run and covers broker and name, so
    /// that equal hashes are equal topics, as far as anybody will ever see; names are not compared,
    /// since they stand in far memory.
    index: Index,
    pub(super) slab: Slab<Topic>,
    bytes: usize,
    /// The receivers of one topic, for a moment.
    gathered: Vec<Receiver>,
    /// How many more topics are turned away before unused ones are looked for again.
    patience: usize,
}

impl Topics {
    pub(super) fn find(&self, hash: u64) -> Option<u32> {
        let has_hash = |place| self.slab.get(place).is_some_and(|topic| topic.hash == hash);
        self.index.find(hash, has_hash)
    }

    /// Asks for what finding a topic needs.
    #[inline]
    pub(super) fn touch_index(&self, hash: u64) {
        self.index.touch(hash);
    }

    /// Asks for a topic, if there is one.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> bool {
        let place = self.index.guess(hash);
        if let Some(place) = place {
            self.slab.touch(place);
        }
        place.is_some()
    }

    /// Finds or makes it; `None` where there is no room.
    pub(super) fn find_or_make(
        &mut self,
        hash: u64,
        name: &[u8],
        filters: &Filters,
        (most, most_bytes): (usize, usize),
    ) -> Option<u32> {
        if let Some(place) = self.find(hash) {
            return Some(place);
        }
        let is_full = |topics: &Self| {
            topics.slab.len() >= most || topics.bytes.saturating_add(name.len()) > most_bytes
        };
        if is_full(self) {
            self.patience = self.patience.saturating_sub(1);
            if self.patience > 0 {
                return None;
            }
            // Looking at all of them must stay rare; where it made room, that pays for the next
            // time.
            let before = self.slab.len();
            self.forget_unused();
            let freed = before.saturating_sub(self.slab.len());
            self.patience = (before / 8 + 1).saturating_sub(freed);
            if is_full(self) {
                return None;
            }
        }
        self.bytes = self.bytes.saturating_add(name.len());
        let place = self.slab.insert(Topic {
            hash,
            name_length: u32::try_from(name.len()).unwrap_or(u32::MAX),
            generation: 0,
            watched: filters.watched(name),
            receivers: Box::default(),
            refs: 0,
            told: None,
        });
        self.index.insert(hash, place);
        Some(place)
    }

    /// Keeps the name of a topic, for who tells of it.
    pub(super) fn keep_name(&mut self, place: u32, name: &[u8]) {
        let Some(topic) = self.slab.get_mut(place) else {
            return;
        };
        let told = topic.told();
        if told.name.is_empty() {
            told.name = name.into();
        }
    }

    /// Brings the receivers of a topic up to date. It is given with its
    /// [`name_hash`](crate::mqtt::topic::name_hash).
    #[inline]
    pub(super) fn renew(
        &mut self,
        place: u32,
        (name, name_hash): (&[u8], u64),
        filters: &mut Filters,
    ) -> Option<()> {
        let topic = self.slab.get_mut(place)?;
        let generation = filters.generation(&topic.watched);
        if topic.generation != generation {
            topic.generation = generation;
            filters.receivers(name, name_hash, &mut self.gathered);
            // What changed elsewhere below the same wildcard changes nothing here.
            if *topic.receivers != *self.gathered {
                topic.receivers = self.gathered.as_slice().into();
            }
        }
        Some(())
    }

    /// Who receives a topic, given by its [`name_hash`](crate::mqtt::topic::name_hash), may have
    /// changed.
    pub(super) fn invalidate(&mut self, domain: u32, name_hash: u64) {
        let hash = name_hash_within(domain, name_hash);
        if let Some(place) = self.find(hash)
            && let Some(topic) = self.slab.get_mut(place)
        {
            topic.generation = 0;
        }
    }

    /// Makes room: no message names those that go, and nothing is lost that a subscription
    /// cannot tell again.
    fn forget_unused(&mut self) {
        let unused: Vec<u32> = self
            .slab
            .iter()
            .filter(|(_, topic)| {
                let told = topic.told.as_ref();
                topic.refs == 0 && told.is_none_or(|told| told.streams.is_empty())
            })
            .map(|(place, _)| place)
            .collect();
        for place in unused {
            if let Some(topic) = self.slab.remove(place) {
                self.bytes = self.bytes.saturating_sub(topic.name_length as usize);
                self.index.remove(topic.hash, place);
            }
        }
    }
}
