//! When the capture itself lost frames.
//!
//! TCP shows what is missing from a stream as soon as later bytes of it come. What nothing comes
//! after, it cannot show: then that something is missing looks as if it had never been. So where
//! frames were lost, absence proves nothing.

use std::collections::VecDeque;

use crate::delivery::{DeliveryOutcome, DeliveryRecord};
use crate::session::{ExchangeOutcome, ExchangeRecord};
use crate::time::Timestamp;

/// Most spans that are kept; beyond it, the two earliest become one.
const SPANS: usize = 256;

/// Spans of time in which frames were lost, in order and apart.
#[derive(Debug, Default)]
pub(super) struct MissedFrames {
    spans: VecDeque<(Timestamp, Timestamp)>,
    /// How far the capture has got: spans can be known before the frames around them are read.
    now: Option<Timestamp>,
}

impl MissedFrames {
    /// Frames were lost at some time of a span. Spans come in about the order of their times.
    pub(super) fn add(&mut self, from: Timestamp, until: Timestamp) {
        let (mut from, mut until) = (from.min(until), until.max(from));
        while let Some(&(begin, end)) = self.spans.back()
            && from <= end
        {
            (from, until) = (from.min(begin), until.max(end));
            self.spans.pop_back();
        }
        self.spans.push_back((from, until));
        if self.spans.len() > SPANS
            && let (Some(first), Some(second)) = (self.spans.pop_front(), self.spans.front_mut())
        {
            second.0 = first.0;
        }
    }

    /// The capture has got so far.
    #[inline]
    pub(super) fn reach(&mut self, now: Timestamp) {
        self.now = self.now.max(Some(now));
    }

    /// What can be said of an exchange.
    #[inline]
    pub(super) fn weigh_exchange<'a>(&self, record: &ExchangeRecord<'a>) -> ExchangeRecord<'a> {
        let mut weighed = *record;
        if self.spans.is_empty() {
            return weighed;
        }
        let stamps = [record.puback, record.pubrec, record.pubrel, record.pubcomp];
        let begin = record.publish.or(stamps.into_iter().flatten().min());
        let finished = record.puback.or(record.pubcomp);
        weighed.uncertain = begin.is_some_and(|begin| self.within(begin, finished));
        let complete = matches!(
            record.outcome,
            ExchangeOutcome::Complete | ExchangeOutcome::Rejected | ExchangeOutcome::Resumed
        );
        if weighed.uncertain && !complete {
            weighed.outcome = ExchangeOutcome::Unknown;
        }
        weighed
    }

    /// What can be said of a message at a receiver.
    #[inline]
    pub(super) fn weigh_delivery<'a>(&self, record: &DeliveryRecord<'a>) -> DeliveryRecord<'a> {
        let mut weighed = *record;
        if self.spans.is_empty() {
            return weighed;
        }
        let begin = record.publish.or(record.received);
        weighed.uncertain = begin.is_some_and(|begin| self.within(begin, record.received));
        if weighed.uncertain && record.outcome == DeliveryOutcome::Lost {
            weighed.outcome = DeliveryOutcome::Undetermined;
        }
        weighed
    }

    /// Whether frames may have been lost between two times, both included. `None`: up to now.
    #[inline]
    pub(super) fn within(&self, from: Timestamp, until: Option<Timestamp>) -> bool {
        !self.spans.is_empty() && self.search(from, until.or(self.now))
    }

    #[cold]
    fn search(&self, from: Timestamp, until: Option<Timestamp>) -> bool {
        let latest_first = self.spans.iter().rev();
        latest_first
            .take_while(|(_, end)| *end >= from)
            .any(|(begin, _)| until.is_none_or(|until| *begin <= until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    proptest! {
        /// As if all spans were kept; up to as many as are kept.
        #[test]
        fn spans_are_found(
            spans in prop::collection::vec((0_i64..1000, 0_i64..20), 0..60),
            asked in prop::collection::vec((0_i64..1000, 0_i64..50, any::<bool>()), 1..30),
        ) {
            let mut spans: Vec<_> = spans.iter().map(|(from, length)| (*from, from + length)).collect();
            spans.sort_unstable();
            let mut missed = MissedFrames::default();
            for (from, until) in &spans {
                missed.add(at(*from), at(*until));
            }
            for (from, length, open) in asked {
                let until = (!open).then_some(from + length);
                let expected = spans.iter().any(|(begin, end)| {
                    *end >= from && until.is_none_or(|until| *begin <= until)
                });
                prop_assert_eq!(missed.within(at(from), until.map(at)), expected);
            }
        }
    }

    #[test]
    fn many_spans_take_little() {
        let mut missed = MissedFrames::default();
        for second in 0..100_000 {
            missed.add(at(second * 10), at(second * 10 + 1));
        }
        assert_eq!(missed.spans.len(), SPANS);
        // What is old is told more coarsely, and never denied.
        assert!(missed.within(at(5), Some(at(6))));
        assert!(!missed.within(at(999_985), Some(at(999_988))));
        assert!(missed.within(at(999_985), Some(at(999_990))));
    }
}
