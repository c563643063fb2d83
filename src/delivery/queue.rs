//! Messages by what makes them equal, in order.
//!
//! Nearly always one message of a kind is awaited; then it stands in the table itself. Where
//! equal ones follow each other fast, they stand in a queue in which every receiver has its place,
//! so that even a hundred thousand of them are found in constant time each.

use std::collections::{HashMap, VecDeque};

use hashbrown::HashTable;

use super::slab::NONE;

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
pub(super) enum Equal {
    /// Serial number and place.
    One(u64, u32),
    Many(Box<Queue>),
}

/// Messages by key.
#[derive(Debug, Default)]
pub(super) struct ByKey {
    table: HashTable<(u64, Equal)>,
}

impl ByKey {
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Equal> {
        self.table
            .find_mut(key, |(known, _)| *known == key)
            .map(|(_, equal)| equal)
    }

    pub(super) fn push(&mut self, key: u64, id: u64, place: u32) {
        match self.get_mut(key) {
            None => {
                let entry = (key, Equal::One(id, place));
                self.table.insert_unique(key, entry, |(key, _)| *key);
            }
            Some(Equal::Many(queue)) => queue.push(id, place),
            Some(equal @ Equal::One(..)) => {
                let mut queue = Box::<Queue>::default();
                if let Equal::One(first, its_place) = equal {
                    queue.push(*first, *its_place);
                }
                queue.push(id, place);
                *equal = Equal::Many(queue);
            }
        }
    }

    pub(super) fn remove(&mut self, key: u64, id: u64) {
        let Ok(mut entry) = self.table.find_entry(key, |(known, _)| *known == key) else {
            return;
        };
        let is_empty = match &mut entry.get_mut().1 {
            Equal::One(known, _) => *known == id,
            Equal::Many(queue) => {
                queue.remove(id);
                queue.live == 0
            }
        };
        if is_empty {
            entry.remove();
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
