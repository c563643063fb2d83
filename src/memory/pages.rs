//! A vector that grows by pages, and whose values stay where they are.

use std::hint::cold_path;

/// Values in one page.
const PAGE: usize = 256;

/// A vector for tables that become large: it grows by pages. Twice the memory is never needed to
/// grow, nothing is copied, and no more than a page stands empty.
#[derive(Clone, Debug)]
pub struct Pages<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| {
            (self.pages.len().saturating_sub(1))
                .saturating_mul(PAGE)
                .saturating_add(last.len())
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Adds one at the end. It is made in its place where this stands where it is called.
    #[inline]
    pub fn push(&mut self, value: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(value),
            last => {
                cold_path();
                // The first page grows as any vector does: most tables stay small.
                let page = last.map_or_else(Vec::new, |_| Vec::with_capacity(PAGE));
                self.pages.push(page);
                if let Some(page) = self.pages.last_mut() {
                    page.push(value);
                }
            }
        }
    }

    /// The value at an index.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// The value at an index, to be changed.
    #[must_use]
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It is the vector that it replaces, around the ends of pages too.
        #[test]
        fn it_is_a_vector(length in 0_usize..3 * PAGE, changed in 0_usize..3 * PAGE) {
            let (mut pages, mut vector) = (Pages::default(), Vec::new());
            for value in 0..length {
                prop_assert_eq!((pages.len(), pages.is_empty()), (vector.len(), vector.is_empty()));
                pages.push(value);
                vector.push(value);
            }
            prop_assert_eq!(pages.get_mut(changed).map(std::mem::take), vector.get_mut(changed).map(std::mem::take));
            prop_assert_eq!(pages.get(changed), vector.get(changed));
            prop_assert!(pages.iter().eq(&vector));
            prop_assert_eq!(pages.len(), length);
        }
    }
}
