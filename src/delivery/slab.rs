//! Things in numbered places, which are used again.

use crate::memory::{Pages, prefetch};

/// No place.
pub(super) const NONE: u32 = u32::MAX;

/// Things in places.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Pages<Option<T>>,
    free: Vec<u32>,
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

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            if let Some(slot) = self.places.get_mut(place as usize) {
                *slot = Some(value);
            }
            return place;
        }
        self.places.push(Some(value));
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
        let value = self.places.get_mut(place as usize)?.take()?;
        self.free.push(place);
        Some(value)
    }

    /// Everything, in the order of the places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0_u32..)
            .zip(self.places.iter())
            .filter_map(|(place, value)| Some((place, value.as_ref()?)))
    }
}
