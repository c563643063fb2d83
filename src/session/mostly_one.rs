//! A map that has one entry, as nearly all of its kind do.

use std::borrow::Borrow;

use super::small_map::SmallMap;

/// A map whose only entry needs no memory beside it.
#[derive(Debug)]
pub(crate) enum MostlyOne<K, V> {
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
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::More(more) => more.is_empty(),
        }
    }

    /// How many entries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::More(more) => more.len(),
        }
    }

    /// Whether it has the key.
    pub(crate) fn contains_key(&self, key: &K) -> bool {
        match self {
            Self::One((known, _)) => known == key,
            Self::More(more) => more.contains_key(key),
        }
    }

    /// Inserts or replaces; the value before is dropped.
    pub(crate) fn insert(&mut self, key: K, value: V) {
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
        let mut more = SmallMap::with_room(2);
        if let Self::One((known, before)) = std::mem::take(self) {
            more.insert(known, before);
        }
        more.insert(key, value);
        *self = Self::More(more);
    }

    /// Removes a key; its value, if it had one.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
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
    pub(crate) fn few(&self) -> &[(K, V)] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more.few(),
        }
    }

    /// Does something with each entry, in the order of the keys.
    #[inline]
    pub(crate) fn for_each(&self, mut each: impl FnMut(&K, &V)) {
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
                prop_assert_eq!((few.len(), few.is_empty()), (tree.len(), tree.is_empty()));
                prop_assert_eq!(few.contains_key(&key), tree.contains_key(&key));
                let mut entries = Vec::new();
                few.for_each(|&key, &value| entries.push((key, value)));
                prop_assert!(entries.iter().map(|(key, value)| (key, value)).eq(tree.iter()));
                prop_assert_eq!(few.few(), entries);
            }
        }
    }
}
