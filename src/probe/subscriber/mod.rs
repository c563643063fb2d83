//! The subscribing side of a cell: all subscribers are served by one thread.

mod client;
mod ledger;
mod notes;

use std::sync::atomic::Ordering;
use std::thread::Scope;

use super::clock::{self, Stamp};
use super::line::{Context, Made, Wire};
use super::load::CpuTimes;
use super::payload::Payloads;
use super::rounds::{Side, Worked};
use super::turns::Turns;
use super::wait::{NAP_NS, SHORT_NAP_NS};

use client::Subscriber;
pub use ledger::SubscriberResult;
pub(super) use ledger::{Expected, Ledger};

/// What the thread gives back.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) subscribers: Vec<SubscriberResult>,
    pub(super) cpu: Option<CpuTimes>,
    pub(super) turns: Turns,
}

/// The subscribers of a cell.
#[derive(Debug)]
pub(super) struct Subscribers {
    subscribers: Vec<Subscriber>,
    /// When all are looked at next, whether something came or not.
    round: Stamp,
    expected: Expected,
    payloads: Payloads,
}

impl Subscribers {
    /// `counts` are the messages of each publisher.
    pub(super) fn new(context: &Context<'_>, made: Vec<Made>, counts: &[u32]) -> Self {
        let expected = Expected::new(context.plan, counts);
        let subscribers = (0..).zip(made);
        Self {
            subscribers: subscribers
                .map(|(number, made)| Subscriber::new(context, number, made, &expected))
                .collect(),
            round: clock::now(),
            expected,
            payloads: Payloads::new(context.plan.tag(), context.plan.payload_bytes),
        }
    }

    /// Says goodbye.
    pub(super) fn end(self) -> Vec<SubscriberResult> {
        self.subscribers.into_iter().map(Subscriber::end).collect()
    }
}

impl<'scope> Side<'scope> for Subscribers {
    /// Whether every publisher is done and all that was sent has come.
    fn is_over(&mut self, context: &Context<'_>) -> bool {
        is_answered(context, &mut self.subscribers)
    }

    fn count(&self) -> usize {
        self.subscribers.len()
    }

    fn wire(&mut self, place: usize) -> &mut Wire {
        &mut self.subscribers[place].wire
    }

    fn work(&mut self, _: &Context<'_>, now: Stamp) -> Worked {
        let mut changed = false;
        if self.round <= now {
            let mut nap = NAP_NS;
            for subscriber in &mut self.subscribers {
                subscriber.look(now);
                changed |= subscriber.wire.needs_mending();
                if subscriber.wire.is_making() {
                    nap = SHORT_NAP_NS;
                }
            }
            self.round = now.plus(nap);
        }
        Worked {
            until: self.round,
            worked: false,
            changed,
        }
    }

    fn serve(&mut self, context: &Context<'_>, place: usize) -> bool {
        let subscriber = &mut self.subscribers[place];
        subscriber.serve(context, &self.expected, &self.payloads);
        subscriber.wire.needs_mending()
    }

    fn mend(&mut self, scope: &'scope Scope<'scope, '_>, context: &'scope Context<'scope>) {
        for subscriber in &mut self.subscribers {
            subscriber.mend(scope, context);
        }
        self.round = clock::now();
    }
}

/// So long the broker may take to finish its own handshakes when all messages have come.
pub(super) const HANDSHAKES_NS: i64 = 2_000_000_000;

/// Whether all that was published has come, or will not come any more, and the rest of the
/// broker's handshakes is done or was waited for.
fn is_answered(context: &Context<'_>, subscribers: &mut [Subscriber]) -> bool {
    let ledgers = subscribers.iter().map(|subscriber| &subscriber.ledger);
    let Some(drained) = drained_since(context, ledgers) else {
        return false;
    };
    clock::now().since(drained) > HANDSHAKES_NS
        || subscribers.iter_mut().all(Subscriber::is_complete)
}

/// Since when all that was published has come, or will not come any more: a sentinel came behind
/// what is missing, and what is missing is late by now. Says so to the publishers.
pub(super) fn drained_since<'l>(
    context: &Context<'_>,
    mut ledgers: impl Iterator<Item = &'l Ledger> + Clone,
) -> Option<Stamp> {
    let publishers = u64::from(context.plan.publishers);
    if context.done.load(Ordering::Relaxed) < publishers {
        return None;
    }
    if !context.drained.load(Ordering::Relaxed) {
        let now = clock::now();
        let last = Stamp::from_nanos(context.last_ns.load(Ordering::Relaxed));
        let overdue = now.since(last) > context.plan.deadline_ns;
        let all_came = ledgers.clone().all(|ledger| ledger.missing() == 0);
        if !(all_came || overdue && ledgers.all(Ledger::has_sentinels)) {
            return None;
        }
        context.drained_ns.store(now.as_nanos(), Ordering::Relaxed);
        context.drained.store(true, Ordering::Release);
    }
    Some(Stamp::from_nanos(
        context.drained_ns.load(Ordering::Relaxed),
    ))
}
