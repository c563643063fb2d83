//! Messages by what makes them equal, in order.
//!
//! Nearly always one message of a kind is awaited; then it stands in the table itself. Where
//! equal ones follow each other fast, they stand in a queue in which every receiver has its place,
//! so that even a hundred thousand of them are found in constant time each.

use std::collections::{HashMap, VecDeque};

use hashbrown::HashTable;

use super::slab::{NONE, Slab};

/// How far a receiver has come in a queue.
#[derive(Debug, Default, Clone)]
pub(super) struct Cursor {
    /// Everything before this position is decided for it, but for those passed over.
    pub(super) next: u64,
    /// Positions that it was passed over at: they may have been lost, or come late.
    pub(super) skipped: VecDeque<u64>,
}

/// How many messages that were passed over are remembered for each receiver.
const MOST_SKIPPED: usize = 64;

impl Cursor {
    pub(super) fn skip(&mut self, position: u64) {
        if self.skipped.len() >= MOST_SKIPPED {
            self.skipped.pop_front();
        }
        self.skipped.push_back(position);
    }
}

/// Equal messages in the order of their publishing.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Serial numbers and places of messages, [`NONE`] for those that are gone.
    places: VecDeque<(u64, u32)>,
    /// Position of the first place.
    base: u64,
    live: usize,
    pub(super) cursors: HashMap<u32, Cursor, foldhash::fast::RandomState>,
}

impl Queue {
    /// The first message at or after a position, and the position after it.
    pub(super) fn at_or_after(&self, position: u64) -> Option<(u64, u32)> {
        let mut position = position.max(self.base);
        loop {
            let index = usize::try_from(position - self.base).ok()?;
            match self.places.get(index) {
                None => return None,
                Some(&(_, NONE)) => position += 1,
                Some(&(_, place)) => return Some((position, place)),
            }
        }
    }

    /// The message at a position.
    pub(super) fn at(&self, position: u64) -> Option<u32> {
        let index = usize::try_from(position.checked_sub(self.base)?).ok()?;
        self.places
            .get(index)
            .map(|&(_, place)| place)
            .filter(|&place| place != NONE)
    }

    fn push(&mut self, id: u64, place: u32) {
        self.places.push_back((id, place));
        self.live += 1;
    }

    fn remove(&mut self, id: u64) {
        if let Ok(index) = self.places.binary_search_by_key(&id, |&(id, _)| id)
            && let Some((_, place)) = self.places.get_mut(index)
            && *place != NONE
        {
            *place = NONE;
            self.live -= 1;
        }
        while self.places.front().is_some_and(|&(_, place)| place == NONE) {
            self.places.pop_front();
            self.base += 1;
        }
        if self.places.len() > 32 && self.places.len() > 2 * self.live {
            self.compact();
        }
    }

    /// Closes the holes, so that the queue does not grow while its front waits.
    fn compact(&mut self) {
        let mut moved = HashMap::with_capacity(self.live);
        let mut kept = VecDeque::with_capacity(self.live);
        let (mut before, mut counts) = (0_u64, Vec::with_capacity(self.places.len()));
        for (position, &(id, place)) in (self.base..).zip(&self.places) {
            counts.push(before);
            if place != NONE {
                moved.insert(position, self.base + before);
                kept.push_back((id, place));
                before += 1;
            }
        }
        let base = self.base;
        for cursor in self.cursors.values_mut() {
            let index = usize::try_from(cursor.next.saturating_sub(base)).unwrap_or(usize::MAX);
            cursor.next = base + counts.get(index).copied().unwrap_or(before);
            cursor.skipped = cursor
                .skipped
                .iter()
                .filter_map(|position| moved.get(position).copied())
                .collect();
        }
        self.places = kept;
    }
}

/// The messages of one key.
#[derive(Debug)]
pub(super) enum Equal<'q> {
    /// The place of the only one.
    One(u32),
    Many(&'q mut Queue),
}

/// Messages by key.
#[derive(Debug, Default)]
pub(super) struct ByKey {
    /// Key, and the place of the only message, or the queue's with [`MANY`]: where one message
    /// goes to a million keys, what an entry takes counts.
    table: HashTable<(u64, u32)>,
    queues: Slab<Queue>,
}

/// Added to the place of a queue. There are never so many messages.
const MANY: u32 = 1 << 31;

impl ByKey {
    pub(super) fn get_mut(&mut self, key: u64) -> Option<Equal<'_>> {
        let &(_, place) = self.table.find(key, |&(known, _)| known == key)?;
        if place < MANY {
            return Some(Equal::One(place));
        }
        self.queues.get_mut(place - MANY).map(Equal::Many)
    }

    /// Adds a message by its serial number and place; `id_of` tells the number of one that is in
    /// another place.
    pub(super) fn push(&mut self, key: u64, (id, place): (u64, u32), id_of: impl Fn(u32) -> u64) {
        let Some((_, known)) = self.table.find_mut(key, |&(known, _)| known == key) else {
            self.table.insert_unique(key, (key, place), |&(key, _)| key);
            return;
        };
        if *known < MANY {
            let mut queue = Queue::default();
            queue.push(id_of(*known), *known);
            *known = MANY + self.queues.insert(queue);
        }
        if let Some(queue) = self.queues.get_mut(*known - MANY) {
            queue.push(id, place);
        }
    }

    pub(super) fn remove(&mut self, key: u64, (id, place): (u64, u32)) {
        let Ok(entry) = self.table.find_entry(key, |&(known, _)| known == key) else {
            return;
        };
        let &(_, known) = entry.get();
        if known == place {
            entry.remove();
        } else if known >= MANY
            && let Some(queue) = self.queues.get_mut(known - MANY)
        {
            queue.remove(id);
            if queue.live == 0 {
                self.queues.remove(known - MANY);
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever goes in whatever order, what stays is in order, and a receiver's place stays
        /// between the same two messages.
        #[test]
        fn places_stay_where_they_are(
            count in 1_u32..200,
            gone in prop::collection::vec(any::<bool>(), 200),
            at in 0_u64..200,
        ) {
            let mut queue = Queue::default();
            (0..count).for_each(|place| queue.push(u64::from(place), place));
            let at = at.min(u64::from(count));
            queue.cursors.insert(7, Cursor { next: at, skipped: [at / 2].into() });
            for place in (0..count).filter(|&place| gone[place as usize]) {
                queue.remove(u64::from(place));
            }
            let left: Vec<u32> = (0..count).filter(|&place| !gone[place as usize]).collect();
            let (mut position, mut found) = (0, Vec::new());
            while let Some((here, place)) = queue.at_or_after(position) {
                found.push(place);
                position = here + 1;
            }
            prop_assert_eq!(&found, &left);
            let cursor = queue.cursors[&7].clone();
            let next = queue.at_or_after(cursor.next).map(|(_, place)| place);
            prop_assert_eq!(next, left.iter().copied().find(|&place| u64::from(place) >= at));
            for position in cursor.skipped {
                let place = queue.at(position);
                prop_assert!(place.is_none_or(|place| u64::from(place) == at / 2));
            }
        }
    }
}
