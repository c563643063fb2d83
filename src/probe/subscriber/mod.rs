//! The subscribing side of a cell: all subscribers on one thread.

mod client;
mod notes;

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Scope;

use nix::poll::{PollFd, PollFlags};

use super::clock::{self, Stamp};
use super::line::{Context, Made};
use super::load::CpuTimes;
use super::payload::Payloads;
use super::wait;

use client::Subscriber;
pub use client::SubscriberResult;
use notes::Expected;

/// The longest sleep: flags are looked at in between.
const NAP_NS: i64 = 20_000_000;
/// While a line is being made.
const SHORT_NAP_NS: i64 = 1_000_000;

/// What the thread gives back.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) subscribers: Vec<SubscriberResult>,
    pub(super) cpu: Option<CpuTimes>,
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
    while !context.is_over() && !is_answered(context, &mut subscribers) {
        serve(context, &mut subscribers, &expected, &payloads);
        for subscriber in &mut subscribers {
            subscriber.mend(scope, context);
        }
    }
    let cpu = before
        .zip(CpuTimes::of_this_thread())
        .map(|(before, after)| after.since(before));
    Received {
        subscribers: subscribers
            .into_iter()
            .map(|subscriber| subscriber.end(context.dialect.level))
            .collect(),
        cpu,
    }
}

/// Reads and acknowledges until a line is lost or made again: then the sockets are others.
fn serve(
    context: &Context<'_>,
    subscribers: &mut [Subscriber],
    expected: &Expected,
    payloads: &Payloads,
) {
    let sockets: Vec<(usize, Arc<TcpStream>)> = subscribers
        .iter_mut()
        .enumerate()
        .filter_map(|(index, subscriber)| Some((index, subscriber.socket()?)))
        .collect();
    let mut set: Vec<PollFd<'_>> = sockets
        .iter()
        .map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
        .collect();
    let mut changed = false;
    while !changed && !context.is_over() && !is_answered(context, subscribers) {
        let now = clock::now();
        let mut nap = NAP_NS;
        for ((index, _), entry) in sockets.iter().zip(&mut set) {
            let mut events = PollFlags::POLLIN;
            events.set(PollFlags::POLLOUT, subscribers[*index].wants_write());
            entry.set_events(events);
        }
        for subscriber in &mut *subscribers {
            subscriber.look(now);
            changed |= subscriber.needs_mending();
            if subscriber.is_making() {
                nap = SHORT_NAP_NS;
            }
        }
        if changed || !wait::wait(&mut set, now, now.plus(nap + wait::SPIN_NS)) {
            continue;
        }
        for ((index, _), entry) in sockets.iter().zip(&set) {
            let ready = entry.revents().unwrap_or(PollFlags::empty());
            if !ready.is_empty() {
                subscribers[*index].serve(context, expected, payloads);
                changed |= subscribers[*index].needs_mending();
            }
        }
    }
}

/// So long the broker may take to finish its own handshakes when all messages have come.
const HANDSHAKES_NS: i64 = 2_000_000_000;

/// Whether all that was published has come, or will not come any more: a sentinel came behind
/// what is missing, and what is missing is late by now. Says so to the publishers, and waits for
/// the rest of the broker's handshakes.
fn is_answered(context: &Context<'_>, subscribers: &mut [Subscriber]) -> bool {
    let publishers = u64::from(context.plan.publishers);
    if context.done.load(Ordering::Relaxed) < publishers {
        return false;
    }
    let now = clock::now();
    if !context.drained.load(Ordering::Relaxed) {
        let last = Stamp::from_nanos(context.last_ns.load(Ordering::Relaxed));
        let overdue = now.since(last) > context.plan.deadline_ns;
        let all_came = subscribers.iter().all(Subscriber::has_everything);
        let nothing_follows = || overdue && subscribers.iter().all(Subscriber::has_sentinels);
        if !(all_came || nothing_follows()) {
            return false;
        }
        context.drained_ns.store(now.as_nanos(), Ordering::Relaxed);
        context.drained.store(true, Ordering::Release);
    }
    let drained = Stamp::from_nanos(context.drained_ns.load(Ordering::Relaxed));
    now.since(drained) > HANDSHAKES_NS || subscribers.iter_mut().all(Subscriber::is_complete)
}
