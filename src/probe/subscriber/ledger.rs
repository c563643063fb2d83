//! What one subscriber got, and what it still waits for: whatever client received it.

use crate::probe::clock::Stamp;
use crate::probe::handshake::Welcome;
use crate::probe::payload::{Payloads, Recognised};
use crate::probe::plan::CellPlan;
use crate::probe::record::{Order, Reception};

/// What has no place in the table of receptions.
pub(in crate::probe) const NOWHERE: u32 = u32::MAX;

/// What one subscriber got.
#[derive(Debug)]
pub struct SubscriberResult {
    /// Of each publisher in order, its messages in order, warm-up first.
    pub receptions: Vec<Reception>,
    /// The QoS that the broker granted.
    pub granted_qos: u8,
    /// What the broker said of itself.
    pub welcome: Welcome,
    /// How often its connection was made again.
    pub reconnects: u32,
    /// Of these, how often the broker had the session still.
    pub resumed: u32,
    /// Why its connection was lost, the first time.
    pub lost: Option<String>,
    /// Messages and packets that are none of this cell's.
    pub foreign: u64,
    /// PUBLISH packets that came, whatever they were.
    pub publishes: u64,
    /// Publishers whose last messages may be on their way still.
    pub undrained: u32,
}

/// What the subscribers of a cell expect.
#[derive(Debug)]
pub(in crate::probe) struct Expected {
    /// What every topic begins with.
    base: String,
    /// Where each publisher's messages begin in the table of receptions, and where the last one's
    /// end.
    offsets: Vec<u32>,
}

impl Expected {
    pub(in crate::probe) fn new(plan: &CellPlan, counts: &[u32]) -> Self {
        let mut offsets = vec![0];
        let mut sum = 0_u32;
        for count in counts {
            sum = sum.saturating_add(*count);
            offsets.push(sum);
        }
        Self {
            base: plan.topic_base(),
            offsets,
        }
    }

    fn publishers(&self) -> usize {
        self.offsets.len() - 1
    }

    fn total(&self) -> u32 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// The publisher whose topic this is.
    #[inline]
    fn publisher(&self, topic: &[u8]) -> Option<usize> {
        let digits = topic.strip_prefix(self.base.as_bytes())?;
        if digits.is_empty() || digits.len() > 6 {
            return None;
        }
        let number = digits.iter().try_fold(0_usize, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + usize::from(digit - b'0'))
        })?;
        (number < self.publishers()).then_some(number)
    }
}

/// The receptions of one subscriber.
#[derive(Debug)]
pub(in crate::probe) struct Ledger {
    orders: Vec<Order>,
    sentinels: Vec<bool>,
    missing: u32,
    per_publisher: Vec<u32>,
    pub(in crate::probe) result: SubscriberResult,
}

impl Ledger {
    pub(in crate::probe) fn new(expected: &Expected, welcome: Welcome, granted_qos: u8) -> Self {
        let publishers = expected.publishers();
        let bounds = expected.offsets.windows(2);
        Self {
            orders: vec![Order::default(); publishers],
            sentinels: vec![false; publishers],
            missing: expected.total(),
            per_publisher: bounds.map(|bound| bound[1] - bound[0]).collect(),
            result: SubscriberResult {
                receptions: vec![Reception::default(); expected.total() as usize],
                granted_qos,
                welcome,
                reconnects: 0,
                resumed: 0,
                lost: None,
                foreign: 0,
                publishes: 0,
                undrained: 0,
            },
        }
    }

    /// Messages that did not come yet.
    pub(in crate::probe) const fn missing(&self) -> u32 {
        self.missing
    }

    /// Of every publisher all messages came, or the sentinel behind them.
    pub(in crate::probe) fn has_sentinels(&self) -> bool {
        self.undrained() == 0
    }

    fn undrained(&self) -> u32 {
        let open = self.per_publisher.iter().zip(&self.sentinels);
        open.filter(|(missing, seen)| **missing > 0 && !**seen)
            .count() as u32
    }

    /// Where the message stands in the table; [`NOWHERE`] for a sentinel and for what is foreign.
    #[inline]
    pub(in crate::probe) fn place(
        &mut self,
        (topic, payload): (&[u8], &[u8]),
        expected: &Expected,
        payloads: &Payloads,
    ) -> u32 {
        self.result.publishes += 1;
        let Some(publisher) = expected.publisher(topic) else {
            self.result.foreign += 1;
            return NOWHERE;
        };
        let next = self.orders[publisher].next;
        match payloads.recognise(publisher as u32, next, payload) {
            Recognised::Message(index) => {
                let at = expected.offsets[publisher].saturating_add(index);
                if at < expected.offsets[publisher + 1] {
                    return at;
                }
                self.result.foreign += 1;
            }
            Recognised::Sentinel => self.sentinels[publisher] = true,
            Recognised::Foreign => self.result.foreign += 1,
        }
        NOWHERE
    }

    /// An application gets the message of this place: the first time, or a further copy.
    #[inline]
    pub(in crate::probe) fn arrive(&mut self, at: u32, qos: u8, stamp: Stamp, expected: &Expected) {
        let Some(reception) = self.result.receptions.get_mut(at as usize) else {
            return;
        };
        if reception.received.is_some() {
            reception.duplicates = reception.duplicates.saturating_add(1);
            return;
        }
        let publisher = expected.offsets.partition_point(|offset| *offset <= at) - 1;
        reception.received = Some(stamp);
        reception.qos = qos;
        let index = at - expected.offsets[publisher];
        reception.reordered = self.orders[publisher].arrive(index);
        self.missing -= 1;
        self.per_publisher[publisher] -= 1;
    }

    /// What came of it.
    pub(in crate::probe) fn end(mut self) -> SubscriberResult {
        self.result.undrained = self.undrained();
        self.result
    }
}
