//! What is kept of samples: enough for cells, correlations and effects.

use crate::results::{Outcome, SampleRow};
use crate::stats::Point;
use crate::time::TimeDelta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The messages of a run, by the number of their cell.
#[derive(Clone, Debug, Default)]
pub struct Messages(BTreeMap<u32, CellMessages>);

/// The messages of one cell.
#[derive(Clone, Debug, Default)]
pub struct CellMessages {
    /// By outcome, in the order of [`Outcome::ALL`].
    pub(super) outcomes: [u64; 7],
    pub(super) duplicates: u64,
    pub(super) response: Vec<i64>,
    pub(super) service: Vec<i64>,
    pub(super) send_lag: Vec<i64>,
    pub(super) puback: Vec<i64>,
    pub(super) pubrec: Vec<i64>,
    pub(super) pubrel: Vec<i64>,
    pub(super) pubcomp: Vec<i64>,
    pub(super) qos2_total: Vec<i64>,
    streams: Vec<(Arc<str>, Arc<str>)>,
    pub(super) order: Vec<Ordered>,
}

/// A message in its stream: one publisher, one receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered {
    stream: usize,
    sequence: u64,
    received: Option<i64>,
    response: Option<i64>,
    lost: bool,
}

impl Messages {
    /// Without a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row of samples.csv.
    pub fn push(&mut self, sample: &SampleRow) {
        self.0.entry(sample.cell).or_default().push(sample);
    }

    /// The messages of a cell.
    #[must_use]
    pub fn of(&self, cell: u32) -> Option<&CellMessages> {
        self.0.get(&cell)
    }

    /// The numbers of the cells that have messages.
    pub fn cells(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// Puts what is sorted in order. To be called after the last [`Messages::push`].
    pub fn sort(&mut self) {
        self.0.values_mut().for_each(CellMessages::sort);
    }
}

impl CellMessages {
    fn push(&mut self, sample: &SampleRow) {
        self.outcomes[sample.outcome.place()] += 1;
        self.duplicates += u64::from(sample.duplicates);
        let nanos = |delta: Option<TimeDelta>| delta.map(TimeDelta::as_nanos);
        self.response.extend(nanos(sample.response_ns));
        self.service.extend(nanos(sample.service_ns));
        self.send_lag.extend(nanos(sample.send_lag_ns));
        for (leg, from, to) in [
            (&mut self.puback, sample.sent_ns, sample.puback_ns),
            (&mut self.pubrec, sample.sent_ns, sample.pubrec_ns),
            (&mut self.pubrel, sample.pubrec_ns, sample.pubrel_ns),
            (&mut self.pubcomp, sample.pubrel_ns, sample.pubcomp_ns),
            (&mut self.qos2_total, sample.sent_ns, sample.pubcomp_ns),
        ] {
            if let (Some(from), Some(to)) = (from, to) {
                leg.push((to - from).as_nanos());
            }
        }
        let stream = self.stream(sample);
        self.order.push(Ordered {
            stream,
            sequence: sample.sequence,
            received: sample.received_ns.map(|time| time.as_nanos()),
            response: nanos(sample.response_ns),
            lost: sample.outcome.lost(),
        });
    }

    fn stream(&mut self, sample: &SampleRow) -> usize {
        // Rows of a stream stand together, so it is the last one nearly always.
        let is_this = |(publisher, subscriber): &(Arc<str>, Arc<str>)| {
            *publisher == sample.publisher && *subscriber == sample.subscriber
        };
        self.streams.iter().rposition(is_this).unwrap_or_else(|| {
            let names = (sample.publisher.clone(), sample.subscriber.clone());
            self.streams.push(names);
            self.streams.len() - 1
        })
    }

    fn sort(&mut self) {
        for values in [
            &mut self.response,
            &mut self.service,
            &mut self.send_lag,
            &mut self.puback,
            &mut self.pubrec,
            &mut self.pubrel,
            &mut self.pubcomp,
            &mut self.qos2_total,
        ] {
            values.sort_unstable();
        }
        self.order
            .sort_by_key(|message| (message.stream, message.sequence));
    }

    /// How many ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        outcome.of(&self.outcomes)
    }

    /// Delays (received − planned) of what arrived, in ascending order.
    #[must_use]
    pub fn delays(&self) -> &[i64] {
        &self.response
    }

    /// Messages that arrived after one with a higher number: RFC 4737's type-P reordering.
    #[must_use]
    pub fn reordered(&self) -> u64 {
        let streams = self.order.chunk_by(|a, b| a.stream == b.stream);
        let of_stream = |stream: &[Ordered]| {
            let mut arrived: Vec<(i64, u64)> = stream
                .iter()
                .filter_map(|message| Some((message.received?, message.sequence)))
                .collect();
            arrived.sort_unstable();
            let mut highest = 0;
            let late = arrived.iter().filter(|(_, sequence)| {
                let is_late = *sequence < highest;
                highest = highest.max(*sequence);
                is_late
            });
            late.count() as u64
        };
        streams.map(of_stream).sum()
    }

    /// For each message that was lost or arrived: the delay of the last one before it in its
    /// stream that arrived, and 1 where it was lost itself.
    #[must_use]
    pub fn lost_after_delay(&self) -> Vec<Point> {
        let mut points = Vec::new();
        for stream in self.order.chunk_by(|a, b| a.stream == b.stream) {
            let mut before = None;
            for message in stream {
                if let Some(before) = before
                    && (message.lost || message.response.is_some())
                {
                    points.push((f64::from(u8::from(message.lost)), before));
                }
                before = message.response.map(|delay| delay as f64).or(before);
            }
        }
        points
    }
}
