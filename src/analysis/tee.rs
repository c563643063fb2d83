//! What is told of a capture, counted on its way, and only what is wanted.

use crate::delivery::{self, Deliveries, DeliveryRecord};
use crate::mqtt::topic::{leading_topic, name_hash};
use crate::session::{
    self, ConnectionState, DelayKind, ExchangeRecord, Grant, SessionRecord, Sessions,
    SubscriptionRecord, Towards,
};
use crate::time::TimeDelta;

use super::Observer;
use super::missed::MissedFrames;
use super::options::Selection;
use super::totals::Totals;

/// What all connections are counted and matched in.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) totals: Totals,
    pub(super) deliveries: Option<Deliveries>,
    /// PUBLISH packets told of.
    pub(super) messages: u64,
    pub(super) missed: MissedFrames,
    /// Of the segment that is being worked on.
    pub(super) leading: LeadingTopic,
}

/// The topic that was found at the beginning of a segment's payload and hashed ahead of its
/// packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeadingTopic {
    /// Where it stands; 0 for nowhere.
    address: usize,
    length: usize,
    hash: u64,
}

impl LeadingTopic {
    /// Of the PUBLISH that a segment begins with, if it does.
    #[inline(always)]
    pub(super) fn of(payload: &[u8]) -> Self {
        leading_topic(payload).map_or_else(Self::default, |name| Self {
            address: name.as_ptr().addr(),
            length: name.len(),
            hash: name_hash(name),
        })
    }

    /// Its hash, where there is one.
    #[inline]
    pub(super) const fn hash(&self) -> Option<u64> {
        if self.address == 0 {
            None
        } else {
            Some(self.hash)
        }
    }

    /// The [hash](name_hash) of a name in a packet. What stands in the same memory, while the
    /// segment is worked on, is the same.
    #[inline]
    pub(super) fn hash_of(&self, name: &[u8]) -> u64 {
        if self.address == name.as_ptr().addr() && self.length == name.len() {
            self.hash
        } else {
            hash_of_other(name)
        }
    }
}

#[inline(never)]
fn hash_of_other(name: &[u8]) -> u64 {
    name_hash(name)
}

/// Passes records on, counted, and only the wanted ones.
pub(super) struct Tee<'t, O> {
    pub(super) ledger: &'t mut Ledger,
    pub(super) selection: &'t Selection,
    /// The connection that is being worked on is wanted.
    pub(super) wanted: bool,
    pub(super) observer: &'t mut O,
}

/// Passes what became of messages on, counted, and only of wanted ones.
pub(super) struct Matched<'t, O> {
    pub(super) totals: &'t mut Totals,
    pub(super) selection: &'t Selection,
    pub(super) observer: &'t mut O,
    pub(super) missed: &'t MissedFrames,
    /// The sessions of wills that were seen to be published.
    pub(super) wills: Vec<u32>,
}

impl<O: Observer> delivery::Observer for Matched<'_, O> {
    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        self.wills.extend(record.will_of);
        let wanted = self.selection.client_id.is_none()
            || self.selection.client(Some(record.subscriber))
            || self.selection.client(record.publisher);
        if wanted && self.selection.topic(record.topic) {
            let record = self.missed.weigh_delivery(record);
            self.totals.delivery(&record);
            self.observer.delivery(&record);
        }
    }
}

impl<O: Observer> Tee<'_, O> {
    /// Lets the matching take something, apart from this.
    pub(super) fn matched<T>(
        &mut self,
        sessions: &mut Sessions,
        take: impl FnOnce(&mut Deliveries, &mut Matched<'_, O>) -> T,
    ) -> Option<T> {
        let mut matched = Matched {
            totals: &mut self.ledger.totals,
            selection: self.selection,
            observer: self.observer,
            missed: &self.ledger.missed,
            wills: Vec::new(),
        };
        let result = take(self.ledger.deliveries.as_mut()?, &mut matched);
        // Moving the list out, empty as it nearly always is, waits for all that was stored before.
        if !matched.wills.is_empty() {
            for slot in matched.wills {
                sessions.will_published(slot);
            }
        }
        Some(result)
    }
}

impl<O: Observer> session::Observer for Tee<'_, O> {
    fn granted(&mut self, state: &ConnectionState, grant: &Grant<'_>) {
        if let Some(deliveries) = &mut self.ledger.deliveries {
            deliveries.granted(state, grant);
        }
    }

    fn withdrawn(&mut self, state: &ConnectionState, filter: &[u8]) {
        if let Some(deliveries) = &mut self.ledger.deliveries {
            deliveries.withdrawn(state, filter);
        }
    }

    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        if self.wanted && self.selection.topic(Some(record.topic)) {
            let record = self.ledger.missed.weigh_exchange(record);
            self.ledger.totals.exchange(&record);
            self.observer.exchange(&record);
        }
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        if self.wanted {
            self.observer.subscription(record);
        }
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        if self.selection.client(Some(record.client_id)) {
            self.observer.session(record);
        }
    }

    fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta) {
        if self.wanted {
            self.ledger.totals.delay(kind, towards, delay);
            self.observer.delay(kind, towards, delay);
        }
    }
}
