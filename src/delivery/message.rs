//! Messages that are kept while a receiver is awaited.

use crate::session::SmallMap;
use crate::time::{TimeDelta, Timestamp};

use super::slab::NONE;

/// Where an expectation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The message is awaited.
    Open,
    /// It came, as often as this.
    Came(u8),
    /// Nobody waits any more.
    Over,
}

/// One receiver of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    /// The receiver, or [`NONE`].
    pub(super) party: u32,
    /// Its count of connections at the time.
    pub(super) epoch: u32,
    /// How long it had been connected at the time.
    pub(super) clock: TimeDelta,
    pub(super) qos: u8,
    /// Copies that may come.
    pub(super) copies: u8,
    pub(super) stage: Stage,
    /// Its count of connections when the message was put on its list, to be looked at when it is
    /// back; so that it stands there once, however often others make it be looked at.
    pub(super) listed: Option<u32>,
    /// It was not connected at the time.
    pub(super) away: bool,
    /// Nothing says that it subscribed.
    pub(super) inferred: bool,
}

impl Expectation {
    pub(super) const NOBODY: Self = Self {
        party: NONE,
        epoch: 0,
        clock: TimeDelta::ZERO,
        qos: 0,
        copies: 0,
        stage: Stage::Over,
        listed: None,
        away: false,
        inferred: false,
    };

    /// One more copy may come.
    pub(super) const fn takes(&self) -> bool {
        match self.stage {
            Stage::Open => true,
            Stage::Came(times) => times < self.copies,
            Stage::Over => false,
        }
    }
}

/// A message that reached the broker.
#[derive(Debug)]
pub(super) struct Message {
    /// Serial number, in the order of the capture.
    pub(super) id: u64,
    /// Hash of what makes it equal to a packet that leaves the broker.
    pub(super) key: u64,
    /// Number in the tables, if it has one.
    pub(super) number: Option<u64>,
    /// Its topic, or [`NONE`] where an alias was never seen bound.
    pub(super) topic: u32,
    /// The broker.
    pub(super) broker: u32,
    pub(super) publisher: u32,
    pub(super) payload_length: u32,
    pub(super) payload_hash: Option<u64>,
    /// The beginning of a payload that was not captured whole.
    pub(super) prefix: Option<Box<[u8]>>,
    pub(super) publish: Timestamp,
    pub(super) whole: Timestamp,
    /// Last byte of the PUBREL.
    pub(super) released: Option<Timestamp>,
    pub(super) qos: u8,
    pub(super) at_broker: bool,
    /// It stays until its time is over, since somebody may get it who is not awaited.
    pub(super) keep: bool,
    /// Refused by the broker.
    pub(super) refused: bool,
    /// Receivers that are awaited.
    pub(super) open: u32,
    /// The message before it on its topic: place and serial number.
    pub(super) before: (u32, u64),
    pub(super) first: Expectation,
    /// Further receivers that were expected from the beginning, in the order of their places.
    pub(super) rest: Vec<Expectation>,
    /// Receivers that turned out later.
    pub(super) others: SmallMap<u32, Expectation>,
}

impl Message {
    /// What is expected of a receiver.
    pub(super) fn expectation(&self, party: u32) -> Option<&Expectation> {
        if self.first.party == party {
            return Some(&self.first);
        }
        match self.rest.binary_search_by_key(&party, |known| known.party) {
            Ok(index) => self.rest.get(index),
            Err(_) => self.others.get(&party),
        }
    }

    pub(super) fn expectation_mut(&mut self, party: u32) -> Option<&mut Expectation> {
        if self.first.party == party {
            return Some(&mut self.first);
        }
        match self.rest.binary_search_by_key(&party, |known| known.party) {
            Ok(index) => self.rest.get_mut(index),
            Err(_) => self.others.get_mut(&party),
        }
    }

    /// Every receiver.
    pub(super) fn expectations(&self) -> impl Iterator<Item = &Expectation> {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .chain(self.others.values())
            .filter(|expectation| expectation.party != NONE)
    }

    /// Every receiver, to be changed.
    pub(super) fn expectations_mut(&mut self) -> impl Iterator<Item = &mut Expectation> {
        std::iter::once(&mut self.first)
            .chain(&mut self.rest)
            .chain(self.others.values_mut())
            .filter(|expectation| expectation.party != NONE)
    }

    /// Expects it at one more receiver; their places must ascend.
    pub(super) fn expect(&mut self, expectation: Expectation) {
        if self.first.party == NONE {
            self.first = expectation;
        } else {
            self.rest.push(expectation);
        }
    }

    /// Whether the payload of a packet can be this one's: the beginnings agree as far as both
    /// were captured, or both hashes do.
    pub(super) fn has_payload(&self, hash: Option<u64>, visible: &[u8]) -> bool {
        match (self.payload_hash, hash, &self.prefix) {
            (Some(own), Some(hash), _) => own == hash,
            (None, None, Some(prefix)) => {
                let length = prefix.len().min(visible.len());
                prefix.get(..length) == visible.get(..length)
            }
            _ => false,
        }
    }
}
