//! What is told of a capture, counted on its way, and only what is wanted.

use crate::delivery::{self, Deliveries, DeliveryRecord};
use crate::session::{
    self, ConnectionState, DelayKind, ExchangeRecord, Grant, SessionRecord, Sessions,
    SubscriptionRecord, Towards,
};
use crate::time::TimeDelta;

use super::Observer;
use super::missed::MissedFrames;
use super::options::Selection;
use super::totals::Totals;

/// Passes records on, counted, and only the wanted ones.
pub(super) struct Tee<'t, O> {
    pub(super) totals: &'t mut Totals,
    pub(super) selection: &'t Selection,
    /// The connection that is being worked on is wanted.
    pub(super) wanted: bool,
    pub(super) observer: &'t mut O,
    pub(super) deliveries: Option<&'t mut Deliveries>,
    /// PUBLISH packets told of.
    pub(super) messages: &'t mut u64,
    pub(super) missed: &'t MissedFrames,
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
            totals: self.totals,
            selection: self.selection,
            observer: self.observer,
            missed: self.missed,
            wills: Vec::new(),
        };
        let result = take(self.deliveries.as_deref_mut()?, &mut matched);
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
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.granted(state, grant);
        }
    }

    fn withdrawn(&mut self, state: &ConnectionState, filter: &[u8]) {
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.withdrawn(state, filter);
        }
    }

    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        if self.wanted && self.selection.topic(Some(record.topic)) {
            let record = self.missed.weigh_exchange(record);
            self.totals.exchange(&record);
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
            self.totals.delay(kind, towards, delay);
            self.observer.delay(kind, towards, delay);
        }
    }
}
