//! An index by hash, whose memory can be asked for ahead.

use super::prefetch;

/// No place.
const NONE: u32 = u32::MAX;

/// Slots of the first table.
const FIRST: usize = 16;

/// Half of a hash, and the place of what has it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    place: u32,
}

impl Slot {
    const EMPTY: Self = Self {
        hash: 0,
        place: NONE,
    };
}

/// Places, such as those of a [`Pages`](super::Pages), by the hash of what stands in them: an open
/// table with linear probing. A slot is eight bytes, and where the search for a hash begins can be
/// fetched ahead ([`touch`](Self::touch)), which general tables do not offer. Only 32 bits of
/// a hash are looked at; whether what was found is what was meant is for the caller to say.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// A power of two of them, or none.
    slots: Vec<Slot>,
    length: usize,
}

impl Index {
    /// How many places.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Asks for the memory where the search for a hash begins.
    #[inline]
    pub fn touch(&self, hash: u64) {
        if let Some(slot) = self.slots.get(self.home(hash as u32)) {
            prefetch(slot);
        }
    }

    /// The place that a hash most likely stands for, without a look at it: 32 bits agree.
    #[must_use]
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// The place of this hash that `is_same` agrees to.
    #[must_use]
    #[inline]
    pub fn find(&self, hash: u64, is_same: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = hash as u32;
        let mut at = self.home(hash);
        loop {
            let slot = self.slots.get(at)?;
            if slot.place == NONE {
                return None;
            }
            if slot.hash == hash && is_same(slot.place) {
                return Some(slot.place);
            }
            at = self.after(at);
        }
    }

    /// Adds a place, which is not there yet.
    pub fn insert(&mut self, hash: u64, place: u32) {
        debug_assert!(place != NONE, "not a place");
        // Half of them at most are taken, so that searches end at the first slot mostly, and end
        // at all.
        if self.length.saturating_add(1).saturating_mul(2) > self.slots.len() {
            self.grow();
        }
        self.length = self.length.saturating_add(1);
        self.put(Slot {
            hash: hash as u32,
            place,
        });
    }

    /// Takes a place out; tells whether it was there.
    pub fn remove(&mut self, hash: u64, place: u32) -> bool {
        let hash = hash as u32;
        let mut hole = self.home(hash);
        loop {
            match self.slots.get(hole) {
                None | Some(Slot { place: NONE, .. }) => return false,
                Some(slot) if slot.place == place => break,
                Some(_) => hole = self.after(hole),
            }
        }
        // Those behind it move up, unless they would come to stand before their home.
        let mut at = hole;
        loop {
            at = self.after(at);
            let Some(&slot) = self.slots.get(at) else {
                break;
            };
            if slot.place == NONE {
                break;
            }
            let mask = self.slots.len().wrapping_sub(1);
            let from_home = at.wrapping_sub(self.home(slot.hash)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.set(hole, slot);
                hole = at;
            }
        }
        self.set(hole, Slot::EMPTY);
        self.length = self.length.saturating_sub(1);
        true
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & self.slots.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        at.wrapping_add(1) & self.slots.len().wrapping_sub(1)
    }

    fn set(&mut self, at: usize, slot: Slot) {
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
        }
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while self.slots.get(at).is_some_and(|slot| slot.place != NONE) {
            at = self.after(at);
        }
        self.set(at, slot);
    }

    #[cold]
    fn grow(&mut self) {
        let length = self.slots.len().saturating_mul(2).max(FIRST);
        let before = std::mem::replace(&mut self.slots, vec![Slot::EMPTY; length]);
        for slot in before.into_iter().filter(|slot| slot.place != NONE) {
            self.put(slot);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        /// It finds what a map finds, whatever was added and taken out before, also where hashes
        /// begin their search at the same place and around the end of the table.
        #[test]
        fn it_is_a_map(
            steps in prop::collection::vec((any::<bool>(), 0_u32..120), 0..400),
            spread in prop::sample::select(vec![1_u64, 5, 16, 0xffff_fff1, 1 << 32]),
        ) {
            let hash = |place: u32| u64::from(place).wrapping_mul(spread).wrapping_sub(30);
            let (mut index, mut map) = (Index::default(), HashMap::new());
            for (adds, place) in steps {
                if adds && map.insert(place, ()).is_none() {
                    index.insert(hash(place), place);
                } else if !adds {
                    let known = map.remove(&place).is_some();
                    prop_assert_eq!(index.remove(hash(place), place), known);
                }
                prop_assert_eq!((index.len(), index.is_empty()), (map.len(), map.is_empty()));
            }
            for place in 0..120 {
                index.touch(hash(place));
                let found = index.find(hash(place), |known| known == place);
                prop_assert_eq!(found.is_some(), map.contains_key(&place));
                if let Some(guess) = index.guess(hash(place)) {
                    prop_assert_eq!(hash(guess) as u32, hash(place) as u32);
                    prop_assert!(map.contains_key(&guess));
                }
            }
        }
    }
}
