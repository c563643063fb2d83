//! The brokers, and what is known of their clients' subscriptions as a whole.

use std::collections::HashMap;

use crate::tcp::Endpoint;

use super::filters::Filters;
use super::slab::Slab;

/// A broker, as one tap sees it.
#[derive(Debug)]
pub(super) struct Broker {
    key: (u16, Endpoint),
    /// Tells brokers apart for ever, also those whose place was used again.
    pub(super) serial: u32,
    pub(super) filters: Filters,
    /// Open connections whose subscriptions are not all known, or are just changing: they may
    /// get messages that nothing says they will.
    pub(super) uncertain: u32,
    /// Connections and parties.
    refs: u32,
    /// `$share` groups by filter.
    pub(super) groups: Names,
    /// The parties of persistent sessions, by
    /// [`client_hash`](crate::session::ConnectionState::client_hash).
    pub(super) clients: HashMap<u64, u32, foldhash::fast::RandomState>,
}

type Names = HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>;

/// All brokers.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    index: HashMap<(u16, Endpoint), u32, foldhash::fast::RandomState>,
    pub(super) slab: Slab<Broker>,
    /// The one that was entered last: most captures have one only.
    latest: Option<((u16, Endpoint), u32)>,
    serials: u32,
}

impl Brokers {
    /// Finds or makes a broker, for one more connection or party.
    pub(super) fn enter(&mut self, key: (u16, Endpoint)) -> u32 {
        let place = match self.latest {
            Some((latest, place)) if latest == key => place,
            _ => self.find_or_make(key),
        };
        self.hold(place);
        place
    }

    fn find_or_make(&mut self, key: (u16, Endpoint)) -> u32 {
        let place = if let Some(&place) = self.index.get(&key) {
            place
        } else {
            self.serials = self.serials.wrapping_add(1);
            let place = self.slab.insert(Broker {
                key,
                serial: self.serials,
                filters: Filters::default(),
                uncertain: 0,
                refs: 0,
                groups: Names::default(),
                clients: HashMap::default(),
            });
            self.index.insert(key, place);
            place
        };
        self.latest = Some((key, place));
        place
    }

    #[inline]
    pub(super) fn hold(&mut self, place: u32) {
        if let Some(broker) = self.slab.get_mut(place) {
            broker.refs = broker.refs.saturating_add(1);
        }
    }

    #[inline]
    pub(super) fn leave(&mut self, place: u32) {
        let Some(broker) = self.slab.get_mut(place) else {
            return;
        };
        broker.refs = broker.refs.saturating_sub(1);
        if broker.refs == 0 {
            self.latest = None;
            self.index.remove(&broker.key);
            self.slab.remove(place);
        }
    }

    pub(super) fn serial(&self, place: u32) -> u32 {
        self.slab.get(place).map_or(0, |broker| broker.serial)
    }
}
