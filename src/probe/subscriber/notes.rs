//! What comes to a subscriber, noted and acknowledged.

use crate::mqtt::{PacketType, ProtocolLevel, Publish, write};
use crate::probe::clock::Stamp;
use crate::probe::inbound::{Arrival, Inbound};
use crate::probe::outbox::{Outbox, Token};
use crate::probe::payload::Payloads;

use super::ledger::{Expected, Ledger, NOWHERE};

/// Where what comes is noted.
pub(super) struct Notes<'s> {
    pub(super) ledger: &'s mut Ledger,
    pub(super) inbound: &'s mut Inbound,
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
        let message = (publish.topic.unwrap_or_default(), publish.payload);
        let at = self.ledger.place(message, expected, payloads);
        let copy = match publish.qos {
            2 => self.inbound.publish(publish.packet_id.unwrap_or(0), at),
            _ => Arrival::New,
        };
        let at = match copy {
            Arrival::New => {
                self.ledger.arrive(at, publish.qos, self.stamp, expected);
                at
            }
            Arrival::Copy(first) => {
                if let Some(reception) = self.ledger.result.receptions.get_mut(first as usize) {
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

    /// PUBREL: the exchange's second half, answered whether or not the first is known.
    pub(super) fn release(&mut self, packet_id: u16, outbox: &mut Outbox) {
        let at = self.inbound.pubrel(packet_id).unwrap_or(NOWHERE);
        if let Some(reception) = self.ledger.result.receptions.get_mut(at as usize) {
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
