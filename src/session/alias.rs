//! Topic aliases of MQTT 5 (section 3.3.2.3.4): a number stands for a topic, per direction of a
//! connection.

use std::collections::BTreeMap;

/// Bytes of topics that one direction's aliases may hold; one beyond it stays unknown.
const KEPT_BYTES: usize = 1 << 20;

/// The aliases of one direction.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    topics: BTreeMap<u16, Box<[u8]>>,
    bytes: usize,
}

impl Aliases {
    /// Sets an alias, or sets it anew; `false` where there was no room.
    pub(super) fn set(&mut self, alias: u16, topic: &[u8]) -> bool {
        if self
            .topics
            .get(&alias)
            .is_some_and(|known| **known == *topic)
        {
            return true;
        }
        if let Some(old) = self.topics.remove(&alias) {
            self.bytes = self.bytes.saturating_sub(old.len());
        }
        if self.bytes.saturating_add(topic.len()) > KEPT_BYTES {
            return false;
        }
        self.bytes = self.bytes.saturating_add(topic.len());
        self.topics.insert(alias, topic.into());
        true
    }

    pub(super) fn get(&self, alias: u16) -> Option<&[u8]> {
        self.topics.get(&alias).map(|topic| &**topic)
    }

    /// After a gap any of them can have been set anew.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
