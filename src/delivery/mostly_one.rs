//! A map that has one entry, as nearly all of its kind do.

use std::borrow::Borrow;

use crate::session::SmallMap;

/// A map whose only entry needs no memory beside it.
#[derive(Debug)]
pub(super) enum MostlyOne<K, V> {
    One((K, V)),
    /// None, or more than one at some time.
    More(SmallMap<K, V>),
}

impl<K, V> Default for MostlyOne<K, V> {
    fn default() -> Self {
        Self::More(SmallMap::default())
    }
}

impl<K: Ord, V> MostlyOne<K, V> {
    /// Whether it has no entries.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::More(more) => more.is_empty(),
        }
    }

    /// Inserts or replaces; the value before is dropped.
    pub(super) fn insert(&mut self, key: K, value: V) {
        match self {
            Self::One((known, before)) if *known == key => *before = value,
            Self::More(more) if !more.is_empty() => more.insert(key, value),
            _ => match std::mem::replace(self, Self::One((key, value))) {
                Self::More(_) => {}
                Self::One((known, before)) => self.add(known, before),
            },
        }
    }

    /// Puts an entry beside the only one.
    #[cold]
    fn add(&mut self, key: K, value: V) {
        let mut more = SmallMap::default();
        if let Self::One((known, before)) = std::mem::take(self) {
            more.insert(known, before);
        }
        more.insert(key, value);
        *self = Self::More(more);
    }

    /// Removes a key; its value, if it had one.
    pub(super) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::More(more) => more.remove(key),
            Self::One((known, _)) if (*known).borrow() != key => None,
            Self::One(_) => match std::mem::take(self) {
                Self::One((_, value)) => Some(value),
                Self::More(_) => None,
            },
        }
    }

    /// All entries while they are few; none once they are many.
    #[inline]
    pub(super) fn few(&self) -> &[(K, V)] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more.few(),
        }
    }

    /// Does something with each entry, in the order of the keys.
    #[inline]
    pub(super) fn for_each(&self, mut each: impl FnMut(&K, &V)) {
        match self {
            Self::One((key, value)) => each(key, value),
            Self::More(more) => more.for_each(each),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// It is the tree that it replaces.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0_u8..4, any::<u16>()), 0..40)) {
            let (mut few, mut tree) = (MostlyOne::default(), BTreeMap::new());
            for (insert, key, value) in steps {
                if insert {
                    few.insert(key, value);
                    tree.insert(key, value);
                } else {
                    prop_assert_eq!(few.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(few.is_empty(), tree.is_empty());
                let mut entries = Vec::new();
                few.for_each(|&key, &value| entries.push((key, value)));
                prop_assert!(entries.iter().map(|(key, value)| (key, value)).eq(tree.iter()));
                prop_assert_eq!(few.few(), entries);
            }
        }
    }
}
