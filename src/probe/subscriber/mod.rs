//! The subscribing side of a cell: all subscribers on one thread.

mod client;
mod ledger;
mod notes;

use std::sync::atomic::Ordering;
use std::thread::Scope;

use super::clock::{self, Stamp};
use super::line::{Context, Made};
use super::load::CpuTimes;
use super::payload::Payloads;
use super::turns::Turns;
use super::wait::{self, NAP_NS, SHORT_NAP_NS};

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

/// Runs the subscribers of a cell until every publisher is done and all that was sent has come,
/// or the cell is over. `counts` are the messages of each publisher.
pub(super) fn run<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    made: Vec<Made>,
    counts: &[u32],
) -> Received {
    wait::tune_thread();
    let before = CpuTimes::of_this_thread();
    let expected = Expected::new(context.plan, counts);
    let payloads = Payloads::new(context.plan.tag(), context.plan.payload_bytes);
    let mut subscribers: Vec<Subscriber> = (0..)
        .zip(made)
        .map(|(number, made)| Subscriber::new(context, number, made, &expected))
        .collect();
    let mut turns = Turns::default();
    while !context.is_over() && !is_answered(context, &mut subscribers) {
        serve(
            context,
            &mut subscribers,
            (&expected, &payloads),
            &mut turns,
        );
        for subscriber in &mut subscribers {
            subscriber.mend(scope, context);
        }
    }
    let cpu = before
        .zip(CpuTimes::of_this_thread())
        .map(|(before, after)| after.since(before));
    Received {
        subscribers: subscribers.into_iter().map(Subscriber::end).collect(),
        cpu,
        turns,
    }
}

/// Reads and acknowledges until a line is lost or made again: then the sockets are others.
fn serve(
    context: &Context<'_>,
    subscribers: &mut [Subscriber],
    (expected, payloads): (&Expected, &Payloads),
    turns: &mut Turns,
) {
    let sockets = wait::sockets(
        subscribers
            .iter_mut()
            .map(|subscriber| &mut subscriber.wire),
    );
    let mut set = wait::poll_set(&sockets);
    let mut changed = false;
    while !changed && !context.is_over() && !is_answered(context, subscribers) {
        let now = clock::now();
        turns.end(now);
        let mut nap = NAP_NS;
        for ((index, _), entry) in sockets.iter().zip(&mut set) {
            wait::ask(entry, subscribers[*index].wire.wants_write());
        }
        for subscriber in &mut *subscribers {
            subscriber.look(now);
            changed |= subscriber.wire.needs_mending();
            if subscriber.wire.is_making() {
                nap = SHORT_NAP_NS;
            }
        }
        if changed || !wait::wait(&mut set, now, now.plus(nap + wait::SPIN_NS)) {
            continue;
        }
        turns.begin(clock::now());
        for ((index, _), entry) in sockets.iter().zip(&set) {
            if entry.any().unwrap_or(false) {
                subscribers[*index].serve(context, expected, payloads);
                changed |= subscribers[*index].wire.needs_mending();
            }
        }
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
