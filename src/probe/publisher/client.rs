//! One publishing client.

use std::sync::atomic::Ordering;
use std::thread::Scope;

use crate::mqtt::write;
use crate::probe::clock::Stamp;
use crate::probe::line::{Context, Line, Made, Wire};
use crate::probe::link::Link;
use crate::probe::outbound::Outbound;
use crate::probe::outbox::Token;
use crate::probe::payload::Payloads;
use crate::probe::record::MessageRecord;
use crate::probe::target::Role;

use super::answers::{Answers, release, stamp};

/// While so many bytes wait for the socket no more messages are put behind them.
const MOST_WAITING: usize = 64 << 10;
/// The number of the sentinel among the messages.
const SENTINEL: u32 = u32::MAX;
/// So long after one sentinel the next one is sent, if nobody has seen it.
pub(in crate::probe) const SENTINEL_AGAIN_NS: i64 = 500_000_000;
/// Reads of one socket before the others have their turn.
const READS: usize = 4;

/// What one publisher did.
#[derive(Debug)]
pub struct PublisherResult {
    /// Its messages in order, warm-up first.
    pub records: Vec<MessageRecord>,
    /// How often its connection was made again.
    pub reconnects: u32,
    /// Of these, how often the broker had the session still.
    pub resumed: u32,
    /// Why its connection was lost, the first time.
    pub lost: Option<String>,
    /// Acknowledgements of nothing in flight.
    pub unexpected_acknowledgements: u64,
    /// Packets that have no business at a publisher.
    pub foreign: u64,
    /// PUBLISH packets that it wrote: warm-up, sentinels and what was sent again included.
    pub publishes: u64,
}

/// One publisher at work.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) wire: Wire,
    topic: String,
    qos: u8,
    closed_loop: bool,
    next: usize,
    outbound: Outbound,
    window: u16,
    /// It waited for the window, the socket or the line; until when.
    stalled: bool,
    stall_end: Option<Stamp>,
    last_sent: Stamp,
    /// The last message was written or given up.
    done: bool,
    sentinel: Option<Stamp>,
    result: PublisherResult,
}

impl Publisher {
    pub(super) fn new(context: &Context<'_>, number: u32, made: Made, start: Stamp) -> Self {
        let plan = context.plan;
        let offsets = plan.offsets(number);
        let window = plan.window.min(made.welcome.receive_maximum);
        Self {
            wire: Wire::new(context, Role::Publisher(number), made.link),
            topic: plan.topic(number),
            qos: plan.qos,
            closed_loop: plan.rate.is_none(),
            next: 0,
            outbound: Outbound::new(window),
            window,
            stalled: false,
            stall_end: None,
            last_sent: start,
            done: false,
            sentinel: None,
            result: PublisherResult {
                records: offsets
                    .into_iter()
                    .map(|offset| MessageRecord::new(start.plus(offset)))
                    .collect(),
                reconnects: 0,
                resumed: 0,
                lost: None,
                unexpected_acknowledgements: 0,
                foreign: 0,
                publishes: 0,
            },
        }
    }

    /// Nothing is in flight any more, or nothing can be.
    pub(super) fn is_answered(&self) -> bool {
        self.done && (self.outbound.in_flight() == 0 || self.wire.is_dead())
    }

    #[inline]
    fn can_send(&mut self) -> bool {
        let open = self.qos == 0 || self.outbound.is_open();
        let link = self.wire.line.link();
        open && link.is_some_and(|link| link.outbox.len() < MOST_WAITING)
    }

    #[inline]
    fn is_due(&self, now: Stamp) -> bool {
        self.result
            .records
            .get(self.next)
            .is_some_and(|record| self.closed_loop || record.planned <= now)
    }

    /// When it next has to be looked at, if no packet comes before.
    #[inline]
    pub(super) fn wake_at(&mut self, context: &Context<'_>) -> Stamp {
        let far = Stamp::from_nanos(i64::MAX);
        if self.done {
            return match self.sentinel {
                Some(sent) if !context.drained.load(Ordering::Relaxed) => {
                    sent.plus(SENTINEL_AGAIN_NS)
                }
                _ => far,
            };
        }
        let can_send = self.can_send();
        match self.result.records.get(self.next) {
            // That it is due and held up has to be noted, once.
            _ if !can_send && (self.closed_loop || self.stalled) => far,
            Some(_) if self.closed_loop => Stamp::from_nanos(1),
            Some(record) => record.planned,
            None => far,
        }
    }

    /// Sends what is due and can be sent; gives whether there was anything.
    #[inline]
    pub(super) fn pump(
        &mut self,
        context: &Context<'_>,
        payloads: &mut Payloads,
        now: Stamp,
    ) -> bool {
        self.wire.look();
        let first = self.next;
        while self.is_due(now) && self.can_send() {
            self.begin(payloads, now);
        }
        if self.next > first {
            self.last_sent = now;
        }
        if self.is_due(now) && !self.done {
            // Nobody answers any more: what is left is not written.
            let patience = context.plan.drain_ns;
            let last_due = self.result.records.last().map_or(now, |last| last.planned);
            let waited = now.since(self.last_sent.max(last_due));
            self.stalled = true;
            if waited > patience || self.wire.is_dead() {
                self.finish(context, now);
            }
        }
        self.flush(context);
        if !self.done && self.next == self.result.records.len() && !self.wire.wants_write() {
            self.finish(context, now);
        }
        if self.done {
            self.close(context, payloads, now);
        }
        self.wire.ping(now);
        self.next > first
    }

    fn finish(&mut self, context: &Context<'_>, now: Stamp) {
        self.done = true;
        context.last_ns.fetch_max(now.as_nanos(), Ordering::Relaxed);
        context.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts the next message into the outbox.
    #[inline]
    fn begin(&mut self, payloads: &mut Payloads, now: Stamp) {
        let index = self.next as u32;
        let packet_id = match self.qos {
            0 => 0,
            qos => match self.outbound.begin(index, qos) {
                Some(packet_id) => packet_id,
                None => return,
            },
        };
        if self.stalled {
            (self.stalled, self.stall_end) = (false, Some(now));
        }
        let record = &mut self.result.records[self.next];
        if self.closed_loop {
            record.planned = now;
        } else {
            record.blocked = self.stall_end.is_some_and(|end| record.planned <= end);
        }
        self.next += 1;
        let number = self.wire.number();
        if let Some(link) = self.wire.line.link() {
            let first = link.outbox.position();
            let publish = write::Publish {
                dup: false,
                qos: self.qos,
                retain: false,
                topic: self.topic.as_bytes(),
                packet_id,
                properties: &[],
                payload: payloads.message(number, index),
            };
            // Topic and size were checked with the plan.
            let _ = write::publish(link.outbox.packet(), self.wire.level, &publish);
            link.outbox.mark(first, Token::Publish(index));
            self.result.publishes += 1;
        }
    }

    /// Behind the last message: the sentinel, until it has been seen.
    fn close(&mut self, context: &Context<'_>, payloads: &Payloads, now: Stamp) {
        if context.drained.load(Ordering::Relaxed) || self.wire.wants_write() {
            return;
        }
        let again = |sent: Stamp| now.since(sent) >= SENTINEL_AGAIN_NS;
        if !self.sentinel.is_none_or(again) || !self.can_send() {
            return;
        }
        let packet_id = match self.qos {
            0 => 0,
            qos => match self.outbound.begin(SENTINEL, qos) {
                Some(packet_id) => packet_id,
                None => return,
            },
        };
        self.sentinel = Some(now);
        let payload = payloads.sentinel(self.wire.number());
        if let Some(link) = self.wire.line.link() {
            let publish = write::Publish {
                dup: false,
                qos: self.qos,
                retain: false,
                topic: self.topic.as_bytes(),
                packet_id,
                properties: &[],
                payload: &payload,
            };
            let _ = write::publish(link.outbox.packet(), self.wire.level, &publish);
            self.result.publishes += 1;
        }
        self.flush(context);
    }

    #[inline]
    fn flush(&mut self, context: &Context<'_>) {
        let Line::Up(link) = &mut self.wire.line else {
            return;
        };
        if !link.wants_write() {
            return;
        }
        let records = &mut self.result.records;
        let mut written = 0;
        let result = link.flush(|progress| {
            written += u64::from(stamp(records, progress));
        });
        context.written.fetch_add(written, Ordering::Relaxed);
        if let Err(error) = result {
            self.wire.lose(&error);
        }
    }

    /// Reads what the broker answers.
    pub(super) fn read(&mut self, context: &Context<'_>) {
        for _ in 0..READS {
            let Line::Up(link) = &mut self.wire.line else {
                return;
            };
            match link.fill() {
                Ok(None) => break,
                Ok(Some(stamp)) => {
                    let answers = Answers {
                        outbound: &mut self.outbound,
                        result: &mut self.result,
                        level: self.wire.level,
                        stamp,
                    };
                    if let Err(error) = answers.take(link) {
                        return self.wire.lose(&error);
                    }
                    if link.is_read_out() {
                        break;
                    }
                }
                Err(error) => return self.wire.lose(&error),
            }
        }
        // As fast as can be, PUBREL goes out with the messages that follow at once: one write less.
        if !self.closed_loop {
            self.flush(context);
        }
    }

    /// Takes up a line that was made, or has a lost one made.
    pub(super) fn mend<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        context: &'scope Context<'scope>,
        payloads: &mut Payloads,
    ) {
        if let Some(made) = self.wire.mend(scope, context) {
            self.resume(made, payloads);
        }
    }

    /// Goes on with a new connection: what was in flight is sent again if the broker has the
    /// session still, and is given up if not.
    fn resume(&mut self, made: Made, payloads: &mut Payloads) {
        self.outbound
            .set_window(self.window.min(made.welcome.receive_maximum));
        let mut link = made.link;
        if made.welcome.session_present {
            for resend in self.outbound.resume() {
                let index = resend.message;
                if resend.release {
                    release(&mut link.outbox, self.wire.level, resend.packet_id, index);
                    continue;
                }
                self.publish_again(&mut link, payloads, resend.packet_id, index);
            }
        } else {
            self.outbound.forget();
        }
        self.wire.line = Line::Up(Box::new(link));
    }

    fn publish_again(
        &mut self,
        link: &mut Link,
        payloads: &mut Payloads,
        packet_id: u16,
        index: u32,
    ) {
        let number = self.wire.number();
        let sentinel = payloads.sentinel(number);
        let record = self.result.records.get_mut(index as usize);
        // [MQTT-3.3.1-1]: DUP on any attempt but the first.
        let dup = record.as_ref().is_none_or(|record| record.sent.is_some());
        let unwritten = record
            .as_ref()
            .is_some_and(|record| record.written.is_none());
        if let Some(record) = record
            && dup
        {
            record.resent = record.resent.saturating_add(1);
        }
        let payload = if index == SENTINEL {
            &sentinel
        } else {
            payloads.message(number, index)
        };
        let publish = write::Publish {
            dup,
            qos: self.qos,
            retain: false,
            topic: self.topic.as_bytes(),
            packet_id,
            properties: &[],
            payload,
        };
        let first = link.outbox.position();
        let _ = write::publish(link.outbox.packet(), self.wire.level, &publish);
        self.result.publishes += 1;
        if unwritten {
            link.outbox.mark(first, Token::Publish(index));
        }
    }

    /// Says goodbye.
    pub(super) fn end(mut self) -> PublisherResult {
        self.wire.end();
        PublisherResult {
            reconnects: self.wire.reconnects,
            resumed: self.wire.resumed,
            lost: self.wire.lost,
            ..self.result
        }
    }
}
