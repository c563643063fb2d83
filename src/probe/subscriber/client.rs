//! One subscribing client.

use std::sync::atomic::Ordering;
use std::thread::Scope;

use crate::mqtt::{Packet, PacketType, parse};
use crate::probe::clock::Stamp;
use crate::probe::error::LinkError;
use crate::probe::handshake;
use crate::probe::inbound::Inbound;
use crate::probe::line::{Context, Line, Made, Wire};
use crate::probe::outbox::{Progress, Token};
use crate::probe::payload::Payloads;
use crate::probe::target::Role;

use super::ledger::{Expected, Ledger, SubscriberResult};
use super::notes::Notes;

/// Reads of one socket before the others have their turn.
const READS: usize = 8;

/// One subscriber at work.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) wire: Wire,
    inbound: Inbound,
    pub(super) ledger: Ledger,
}

impl Subscriber {
    pub(super) fn new(context: &Context<'_>, number: u32, made: Made, expected: &Expected) -> Self {
        let granted = made.granted.unwrap_or(context.plan.subscriber_qos);
        Self {
            wire: Wire::new(context, Role::Subscriber(number), made.link),
            inbound: Inbound::default(),
            ledger: Ledger::new(expected, made.welcome, granted),
        }
    }

    /// Every exchange with the broker is finished, as far as it goes.
    pub(super) fn is_complete(&mut self) -> bool {
        self.inbound.open() == 0 && !self.wire.wants_write()
    }

    /// Whether its line was made again, and whether it is time for a sign of life.
    pub(super) fn look(&mut self, now: Stamp) {
        self.wire.look();
        if self.wire.ping(now) {
            self.flush();
        }
    }

    /// Reads what came, notes it and acknowledges it.
    pub(super) fn serve(
        &mut self,
        context: &Context<'_>,
        expected: &Expected,
        payloads: &Payloads,
    ) {
        let before = self.ledger.missing();
        // It may be the socket that takes bytes again.
        self.flush();
        for _ in 0..READS {
            let Line::Up(link) = &mut self.wire.line else {
                break;
            };
            let stamp = match link.fill() {
                Ok(None) => break,
                Ok(Some(stamp)) => stamp,
                Err(error) => {
                    self.wire.lose(&error);
                    break;
                }
            };
            if let Err(error) = self.take(stamp, expected, payloads) {
                self.wire.lose(&error);
                break;
            }
            self.flush();
            if (self.wire.line.link()).is_none_or(|link| link.is_read_out()) {
                break;
            }
        }
        let count = u64::from(before - self.ledger.missing());
        context.received.fetch_add(count, Ordering::Relaxed);
    }

    fn take(
        &mut self,
        stamp: Stamp,
        expected: &Expected,
        payloads: &Payloads,
    ) -> Result<(), LinkError> {
        let Line::Up(link) = &mut self.wire.line else {
            return Ok(());
        };
        let link = &mut **link;
        let mut notes = Notes {
            ledger: &mut self.ledger,
            inbound: &mut self.inbound,
            level: self.wire.level,
            stamp,
        };
        while let Some((first_byte, body)) = link.inbox.take_packet()? {
            match handshake::checked(parse(first_byte, body, self.wire.level))? {
                Packet::Publish(publish) => {
                    notes.publish(&publish, &mut link.outbox, expected, payloads);
                }
                Packet::Acknowledgment(acknowledgment)
                    if acknowledgment.kind == PacketType::Pubrel =>
                {
                    let packet_id = acknowledgment.packet_id.unwrap_or(0);
                    notes.release(packet_id, &mut link.outbox);
                }
                Packet::Disconnect(disconnect) => {
                    let reason = disconnect.reason_code;
                    return Err(LinkError::Closed { reason });
                }
                Packet::Pingresp => {}
                _ => notes.ledger.result.foreign += 1,
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        let Line::Up(link) = &mut self.wire.line else {
            return;
        };
        if !link.wants_write() {
            return;
        }
        let receptions = &mut self.ledger.result.receptions;
        let result = link.flush(|progress| match progress {
            Progress::Written(Token::Acknowledge(at), stamp) => {
                if let Some(reception) = receptions.get_mut(at as usize) {
                    reception.acknowledged.get_or_insert(stamp);
                }
            }
            Progress::Written(Token::Complete(at), stamp) => {
                if let Some(reception) = receptions.get_mut(at as usize) {
                    reception.pubcomp.get_or_insert(stamp);
                }
            }
            _ => {}
        });
        if let Err(error) = result {
            self.wire.lose(&error);
        }
    }

    /// Takes up a line that was made, or has a lost one made.
    pub(super) fn mend<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        context: &'scope Context<'scope>,
    ) {
        if let Some(made) = self.wire.mend(scope, context) {
            if !made.welcome.session_present {
                self.inbound.forget();
            }
            self.wire.line = Line::Up(Box::new(made.link));
        }
    }

    /// Says goodbye.
    pub(super) fn end(mut self) -> SubscriberResult {
        self.wire.end();
        SubscriberResult {
            reconnects: self.wire.reconnects,
            resumed: self.wire.resumed,
            lost: self.wire.lost,
            ..self.ledger.end()
        }
    }
}
