//! A map that is a short sorted list while it is small, as nearly all are: one allocation of the
//! right size instead of a tree's node for eleven. Larger ones are a tree, so no size is slow.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::hint::cold_path;

/// Most entries of the list.
const FEW: usize = 8;

/// See the module.
#[derive(Clone, Debug)]
pub enum SmallMap<K, V> {
    /// In the order of the keys.
    Few(Vec<(K, V)>),
    /// More than a few.
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing yet, with memory for a few entries.
    pub fn with_room(entries: usize) -> Self {
        Self::Few(Vec::with_capacity(entries.min(FEW)))
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    /// Whether it has the key.
    pub fn contains_key(&self, key: &K) -> bool {
        match self {
            Self::Few(few) => position(few, key).is_ok(),
            Self::Many(many) => {
                cold_path();
                many.contains_key(key)
            }
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Few(few) => {
                let index = position(few, key).ok()?;
                few.get(index).map(|(_, value)| value)
            }
            Self::Many(many) => {
                cold_path();
                many.get(key)
            }
        }
    }

    /// The value of a key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(few) => {
                let index = position(few, key).ok()?;
                few.get_mut(index).map(|(_, value)| value)
            }
            Self::Many(many) => {
                cold_path();
                many.get_mut(key)
            }
        }
    }

    /// Inserts or replaces; the value before is dropped.
    pub fn insert(&mut self, key: K, value: V) {
        match self {
            Self::Few(few) => match position(few, &key) {
                Ok(index) => {
                    if let Some(entry) = few.get_mut(index) {
                        entry.1 = value;
                    }
                }
                Err(index) if few.len() < FEW => {
                    if few.len() == few.capacity() {
                        few.reserve_exact(1);
                    }
                    few.insert(index, (key, value));
                }
                Err(_) => {
                    cold_path();
                    let mut many: BTreeMap<K, V> = std::mem::take(few).into_iter().collect();
                    many.insert(key, value);
                    *self = Self::Many(many);
                }
            },
            Self::Many(many) => {
                cold_path();
                many.insert(key, value);
            }
        }
    }

    /// Removes a key; its value, if it had one.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        match self {
            Self::Few(few) => {
                let index = few
                    .binary_search_by(|(known, _)| known.borrow().cmp(key))
                    .ok()?;
                Some(few.remove(index).1)
            }
            Self::Many(many) => {
                cold_path();
                many.remove(key)
            }
        }
    }

    /// Removes everything, and keeps the memory of a short list.
    pub fn clear(&mut self) {
        match self {
            Self::Few(few) => few.clear(),
            Self::Many(_) => {
                cold_path();
                *self = Self::default();
            }
        }
    }

    /// All entries while they are a list; none once they are many.
    #[inline]
    pub fn few(&self) -> &[(K, V)] {
        match self {
            Self::Few(few) => few,
            Self::Many(_) => &[],
        }
    }

    /// Does something with each entry, in the order of the keys: a short list takes less than
    /// [`iter`](Self::iter) does.
    #[inline]
    pub fn for_each(&self, mut each: impl FnMut(&K, &V)) {
        match self {
            Self::Few(few) => few.iter().for_each(|(key, value)| each(key, value)),
            Self::Many(many) => {
                cold_path();
                many.iter().for_each(|(key, value)| each(key, value));
            }
        }
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter_mut().map(|(_, value)| value)), None),
            Self::Many(many) => (None, Some(many.values_mut())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// Everything in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter().map(|(key, value)| (key, value))), None),
            Self::Many(many) => {
                cold_path();
                (None, Some(many.iter()))
            }
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

fn position<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(known, _)| known.cmp(key))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It is the tree that it replaces, below and above the size where it becomes one.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0_u8..20, any::<u16>()), 0..100)) {
            let (mut small, mut tree) = (SmallMap::default(), BTreeMap::new());
            for (insert, key, value) in steps {
                if insert {
                    small.insert(key, value);
                    tree.insert(key, value);
                } else {
                    prop_assert_eq!(small.remove(&key), tree.remove(&key));
                }
                prop_assert_eq!(small.len(), tree.len());
                prop_assert_eq!(small.contains_key(&key), tree.contains_key(&key));
                prop_assert_eq!(small.get(&(key / 2)), tree.get(&(key / 2)));
                prop_assert_eq!(small.get_mut(&(key / 2)), tree.get_mut(&(key / 2)));
                prop_assert!(small.values_mut().eq(tree.values_mut()));
                prop_assert!(small.values().eq(tree.values()));
                let mut entries = Vec::new();
                small.for_each(|&key, &value| entries.push((key, value)));
                prop_assert!(entries.iter().map(|(key, value)| (key, value)).eq(tree.iter()));
                prop_assert!(small.few().is_empty() || *small.few() == *entries);
            }
            small.clear();
            prop_assert!(small.is_empty() && small.iter().next().is_none());
        }
    }
}
