//! One subscribing client.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Scope;

use crate::mqtt::{Packet, PacketType, ProtocolLevel, parse, write};
use crate::probe::clock::Stamp;
use crate::probe::error::LinkError;
use crate::probe::handshake::{self, KEEP_ALIVE_S, Welcome};
use crate::probe::inbound::Inbound;
use crate::probe::line::{self, Context, Line, Made};
use crate::probe::outbox::{Progress, Token};
use crate::probe::payload::Payloads;
use crate::probe::record::{Order, Reception};
use crate::probe::target::Role;

use super::notes::{Expected, Notes};

/// Reads of one socket before the others have their turn.
const READS: usize = 8;
/// After so long without a packet the broker is told that the client is there.
const PING_AFTER_NS: i64 = KEEP_ALIVE_S as i64 * 1_000_000_000 / 2;
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
    /// Publishers whose last messages may be on their way still.
    pub undrained: u32,
}

/// One subscriber at work.
#[derive(Debug)]
pub(super) struct Subscriber {
    role: Role,
    level: ProtocolLevel,
    line: Line,
    /// A line that was made, to be taken up by [`Subscriber::mend`].
    made: Option<Result<Made, LinkError>>,
    mending: bool,
    inbound: Inbound,
    orders: Vec<Order>,
    sentinels: Vec<bool>,
    missing: u32,
    per_publisher: Vec<u32>,
    result: SubscriberResult,
}

impl Subscriber {
    pub(super) fn new(context: &Context<'_>, number: u32, made: Made, expected: &Expected) -> Self {
        let publishers = expected.publishers();
        let bounds = expected.offsets.windows(2);
        Self {
            role: Role::Subscriber(number),
            level: context.dialect.level,
            line: Line::Up(Box::new(made.link)),
            made: None,
            mending: false,
            inbound: Inbound::default(),
            orders: vec![Order::default(); publishers],
            sentinels: vec![false; publishers],
            missing: expected.total(),
            per_publisher: bounds.map(|bound| bound[1] - bound[0]).collect(),
            result: SubscriberResult {
                receptions: vec![Reception::default(); expected.total() as usize],
                granted_qos: made.granted.unwrap_or(context.plan.subscriber_qos),
                welcome: made.welcome,
                reconnects: 0,
                resumed: 0,
                lost: None,
                foreign: 0,
                undrained: 0,
            },
        }
    }

    pub(super) fn socket(&mut self) -> Option<Arc<TcpStream>> {
        Some(Arc::clone(self.line.link()?.socket()))
    }

    pub(super) fn wants_write(&mut self) -> bool {
        self.line.link().is_some_and(|link| link.wants_write())
    }

    pub(super) const fn needs_mending(&self) -> bool {
        self.mending
    }

    pub(super) const fn is_making(&self) -> bool {
        matches!(self.line, Line::Making(_))
    }

    pub(super) const fn has_everything(&self) -> bool {
        self.missing == 0
    }

    /// Of every publisher all messages came, or the sentinel behind them.
    pub(super) fn has_sentinels(&self) -> bool {
        self.undrained() == 0
    }

    /// Every exchange with the broker is finished, as far as it goes.
    pub(super) fn is_complete(&mut self) -> bool {
        self.inbound.open() == 0 && !self.wants_write()
    }

    fn undrained(&self) -> u32 {
        let open = self.per_publisher.iter().zip(&self.sentinels);
        open.filter(|(missing, seen)| **missing > 0 && !**seen)
            .count() as u32
    }

    /// Whether its line was made again, and whether it is time for a sign of life.
    pub(super) fn look(&mut self, now: Stamp) {
        if let Some(made) = self.line.made() {
            self.made = Some(made);
            self.mending = true;
        }
        if let Some(link) = self.line.link()
            && now.since(link.last_write()) > PING_AFTER_NS
            && link.outbox.is_empty()
        {
            write::pingreq(link.outbox.packet());
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
        let before = self.missing;
        for _ in 0..READS {
            let Line::Up(link) = &mut self.line else {
                break;
            };
            let stamp = match link.fill() {
                Ok(None) => break,
                Ok(Some(stamp)) => stamp,
                Err(error) => {
                    self.lose(&error);
                    break;
                }
            };
            if let Err(error) = self.take(stamp, expected, payloads) {
                self.lose(&error);
                break;
            }
            self.flush();
        }
        self.flush();
        let count = u64::from(before - self.missing);
        context.received.fetch_add(count, Ordering::Relaxed);
    }

    fn take(
        &mut self,
        stamp: Stamp,
        expected: &Expected,
        payloads: &Payloads,
    ) -> Result<(), LinkError> {
        let Line::Up(link) = &mut self.line else {
            return Ok(());
        };
        let link = &mut **link;
        let mut notes = Notes {
            inbound: &mut self.inbound,
            orders: &mut self.orders,
            sentinels: &mut self.sentinels,
            missing: &mut self.missing,
            per_publisher: &mut self.per_publisher,
            result: &mut self.result,
            level: self.level,
            stamp,
        };
        while let Some((first_byte, body)) = link.inbox.take_packet()? {
            match handshake::checked(parse(first_byte, body, self.level))? {
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
                _ => notes.result.foreign += 1,
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        let Line::Up(link) = &mut self.line else {
            return;
        };
        if !link.wants_write() {
            return;
        }
        let receptions = &mut self.result.receptions;
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
            self.lose(&error);
        }
    }

    fn lose(&mut self, error: &LinkError) {
        self.result.lost.get_or_insert_with(|| error.to_string());
        self.line = Line::Dead;
        self.mending = true;
    }

    /// Takes up a line that was made, or has a lost one made.
    pub(super) fn mend<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        context: &'scope Context<'scope>,
    ) {
        if !std::mem::take(&mut self.mending) {
            return;
        }
        match self.made.take() {
            None if matches!(self.line, Line::Dead) && !context.is_over() => {
                self.line = line::reconnect(scope, context, self.role);
            }
            None => {}
            Some(Err(error)) => {
                self.result.lost.get_or_insert_with(|| error.to_string());
                self.line = Line::Dead;
            }
            Some(Ok(made)) => {
                self.result.reconnects += 1;
                if made.welcome.session_present {
                    self.result.resumed += 1;
                } else {
                    self.inbound.forget();
                }
                self.line = Line::Up(Box::new(made.link));
            }
        }
    }

    /// Says goodbye.
    pub(super) fn end(mut self, level: ProtocolLevel) -> SubscriberResult {
        if let Some(link) = self.line.link() {
            handshake::write_disconnect(link, level, true);
            let _ = link.flush(|_| {});
        }
        self.result.undrained = self.undrained();
        self.result
    }
}
