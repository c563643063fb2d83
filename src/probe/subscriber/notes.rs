//! What comes to a subscriber, noted and acknowledged.

use crate::mqtt::{PacketType, ProtocolLevel, Publish, write};
use crate::probe::clock::Stamp;
use crate::probe::inbound::{Arrival, Inbound};
use crate::probe::outbox::{Outbox, Token};
use crate::probe::payload::{Payloads, Recognised};
use crate::probe::plan::CellPlan;
use crate::probe::record::Order;

use super::client::SubscriberResult;

/// What has no place in the table of receptions.
const NOWHERE: u32 = u32::MAX;

/// What the subscribers of a cell expect.
#[derive(Debug)]
pub(super) struct Expected {
    /// What every topic begins with.
    base: String,
    /// Where each publisher's messages begin in the table of receptions, and where the last one's
    /// end.
    pub(super) offsets: Vec<u32>,
}

impl Expected {
    pub(super) fn new(plan: &CellPlan, counts: &[u32]) -> Self {
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

    pub(super) fn publishers(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn total(&self) -> u32 {
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

/// Where what comes is noted.
pub(super) struct Notes<'s> {
    pub(super) inbound: &'s mut Inbound,
    pub(super) orders: &'s mut [Order],
    pub(super) sentinels: &'s mut [bool],
    pub(super) missing: &'s mut u32,
    pub(super) per_publisher: &'s mut [u32],
    pub(super) result: &'s mut SubscriberResult,
    pub(super) level: ProtocolLevel,
    pub(super) stamp: Stamp,
}

impl Notes<'_> {
    #[inline]
    pub(super) fn publish(
        &mut self,
        publish: &Publish<'_>,
        outbox: &mut Outbox,
        expected: &Expected,
        payloads: &Payloads,
    ) {
        let at = self.place(publish, expected, payloads);
        let copy = match publish.qos {
            2 => self.inbound.publish(publish.packet_id.unwrap_or(0), at),
            _ => Arrival::New,
        };
        let at = match copy {
            Arrival::New => {
                self.arrive(at, publish.qos, expected);
                at
            }
            Arrival::Copy(first) => {
                if let Some(reception) = self.result.receptions.get_mut(first as usize) {
                    reception.suppressed = reception.suppressed.saturating_add(1);
                }
                first
            }
        };
        let kind = match publish.qos {
            1 => PacketType::Puback,
            2 => PacketType::Pubrec,
            _ => return,
        };
        self.answer(
            outbox,
            kind,
            publish.packet_id.unwrap_or(0),
            Token::Acknowledge(at),
        );
    }

    /// Where the message stands in the table; [`NOWHERE`] for a sentinel and for what is foreign.
    #[inline]
    fn place(&mut self, publish: &Publish<'_>, expected: &Expected, payloads: &Payloads) -> u32 {
        let topic = publish.topic.unwrap_or_default();
        let Some(publisher) = expected.publisher(topic) else {
            self.result.foreign += 1;
            return NOWHERE;
        };
        let next = self.orders[publisher].next;
        match payloads.recognise(publisher as u32, next, publish.payload) {
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

    #[inline]
    fn arrive(&mut self, at: u32, qos: u8, expected: &Expected) {
        let Some(reception) = self.result.receptions.get_mut(at as usize) else {
            return;
        };
        if reception.received.is_some() {
            reception.duplicates = reception.duplicates.saturating_add(1);
            return;
        }
        let publisher = expected.offsets.partition_point(|offset| *offset <= at) - 1;
        reception.received = Some(self.stamp);
        reception.qos = qos;
        let index = at - expected.offsets[publisher];
        reception.reordered = self.orders[publisher].arrive(index);
        *self.missing -= 1;
        self.per_publisher[publisher] -= 1;
    }

    /// PUBREL: the exchange's second half, answered whether or not the first is known.
    pub(super) fn release(&mut self, packet_id: u16, outbox: &mut Outbox) {
        let at = self.inbound.pubrel(packet_id).unwrap_or(NOWHERE);
        if let Some(reception) = self.result.receptions.get_mut(at as usize) {
            reception.pubrel.get_or_insert(self.stamp);
        }
        self.answer(outbox, PacketType::Pubcomp, packet_id, Token::Complete(at));
    }

    #[inline]
    fn answer(&self, outbox: &mut Outbox, kind: PacketType, packet_id: u16, token: Token) {
        let first = outbox.position();
        // So short a packet can always be written.
        let _ = write::acknowledgment(outbox.packet(), self.level, kind, packet_id, 0, &[]);
        outbox.mark(first, token);
    }
}
