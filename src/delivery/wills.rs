//! Wills, by what the broker will publish.

use std::collections::{BTreeMap, HashMap};

use crate::time::Timestamp;

/// What identifies a will on its way to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WillKey {
    pub(super) topic_hash: u64,
    pub(super) payload_length: u32,
    pub(super) payload_hash: u64,
}

/// A will that may be published.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) name: Box<[u8]>,
    /// Number of the connection.
    pub(super) connection: u64,
    /// The place of its session.
    pub(super) session: Option<u32>,
    /// When the connection was closed, and until when a packet may be it; `None` while it is
    /// open.
    pub(super) closed: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    /// A subscriber was seen to get it.
    pub(super) seen: bool,
}

/// Every will that may be published.
#[derive(Debug, Default)]
pub(super) struct Wills {
    by_key: HashMap<WillKey, Vec<Will>, foldhash::fast::RandomState>,
    /// When wills of closed connections are forgotten.
    expiry: BTreeMap<(Timestamp, u64), WillKey>,
    count: usize,
}

/// Equal wills that are told apart; more of them are counted and not remembered.
const MOST_EQUAL: usize = 64;

impl Wills {
    /// Remembers a will; `false` where there is no room.
    pub(super) fn add(&mut self, key: WillKey, will: Will, most: usize) -> bool {
        let equal = self.by_key.entry(key).or_default();
        if self.count >= most || equal.len() >= MOST_EQUAL {
            if equal.is_empty() {
                self.by_key.remove(&key);
            }
            return false;
        }
        equal.push(will);
        self.count += 1;
        true
    }

    /// The connection is closed at a time: its will may be published until another.
    pub(super) fn close(
        &mut self,
        key: WillKey,
        connection: u64,
        session: Option<u32>,
        (closed, until): (Timestamp, Timestamp),
    ) {
        let Some(equal) = self.by_key.get_mut(&key) else {
            return;
        };
        if let Some(will) = equal.iter_mut().find(|will| will.connection == connection) {
            will.closed = Some(closed);
            will.until = Some(until);
            will.session = session;
            self.expiry.insert((until, connection), key);
        }
    }

    /// It will not be published.
    pub(super) fn remove(&mut self, key: WillKey, connection: u64) {
        let Some(equal) = self.by_key.get_mut(&key) else {
            return;
        };
        let before = equal.len();
        equal.retain(|will| will.connection != connection);
        self.count -= before - equal.len();
        if equal.is_empty() {
            self.by_key.remove(&key);
        }
    }

    /// The client whose will a packet of the time `sent` is: its connection was closed, at
    /// `closed` at the latest. Of several equal ones, the first that was not seen yet.
    pub(super) fn find(
        &mut self,
        key: WillKey,
        sent: Timestamp,
        closed: Timestamp,
    ) -> Option<&mut Will> {
        self.by_key
            .get_mut(&key)?
            .iter_mut()
            .filter(|will| will.until.is_some_and(|until| sent <= until))
            .filter(|will| will.closed.is_some_and(|at| at <= closed))
            .min_by_key(|will| (will.seen, will.until))
    }

    /// Whether it is the will of a client that is connected.
    pub(super) fn is_open(&self, key: WillKey) -> bool {
        let equal = self.by_key.get(&key);
        equal.is_some_and(|equal| equal.iter().any(|will| will.until.is_none()))
    }

    pub(super) fn forget_older(&mut self, now: Timestamp) {
        while let Some((&(until, connection), &key)) = self.expiry.first_key_value() {
            if until >= now {
                return;
            }
            self.expiry.pop_first();
            self.remove(key, connection);
        }
    }
}
