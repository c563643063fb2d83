//! Things in numbered places, which are used again.

use crate::memory::{Pages, prefetch};

/// No place.
pub(super) const NONE: u32 = u32::MAX;

/// Things in places.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Pages<Place<T>>,
    free: Vec<u32>,
}

/// A place. What says whether something is there comes first, in the line of the cache that is
/// looked at anyway; the compiler would hide it in any field.
#[derive(Debug)]
#[repr(u8)]
enum Place<T> {
    Free,
    Taken(T),
}

impl<T> Place<T> {
    const fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Free => None,
            Self::Taken(value) => Some(value),
        }
    }

    const fn as_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Free => None,
            Self::Taken(value) => Some(value),
        }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            places: Pages::default(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.places.len().saturating_sub(self.free.len())
    }

    #[inline]
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            if let Some(slot) = self.places.get_mut(place as usize) {
                *slot = Place::Taken(value);
            }
            return place;
        }
        self.places.push(Place::Taken(value));
        // Every user of a slab has a limit far below that.
        u32::try_from(self.places.len().saturating_sub(1)).unwrap_or(NONE)
    }

    pub(super) fn get(&self, place: u32) -> Option<&T> {
        self.places.get(place as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.places.get_mut(place as usize)?.as_mut()
    }

    /// Asks for what stands in a place.
    #[inline]
    pub(super) fn touch(&self, place: u32) {
        if let Some(value) = self.places.get(place as usize) {
            prefetch(value);
        }
    }

    pub(super) fn remove(&mut self, place: u32) -> Option<T> {
        let slot = self.places.get_mut(place as usize)?;
        match std::mem::replace(slot, Place::Free) {
            Place::Free => None,
            Place::Taken(value) => {
                self.free.push(place);
                Some(value)
            }
        }
    }

    /// Everything, in the order of the places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..)
            .zip(self.places.iter())
            .filter_map(|(place, value)| Some((place, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{message::Message, party::Party, topic::Topic};
    use super::Place;

    /// What lies beside each other must not share lines of the cache.
    #[test]
    fn places_are_whole_lines() {
        assert_eq!(size_of::<Place<Topic>>(), 64);
        assert_eq!(size_of::<Place<Party>>(), 256);
        assert_eq!(size_of::<Place<Message>>(), 128);
    }
}
