//! The publishing side of a cell: all publishers on one thread, each with its connection, its
//! schedule and its session.

mod answers;
mod client;

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Scope;

use nix::poll::PollFd;

use super::clock::{self, Stamp};
use super::line::{Context, Made};
use super::load::CpuTimes;
use super::payload::Payloads;
use super::turns::Turns;
use super::wait::{self, NAP_NS, SHORT_NAP_NS};

use client::Publisher;
pub use client::PublisherResult;
pub(super) use client::SENTINEL_AGAIN_NS;

/// What the thread gives back.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) publishers: Vec<PublisherResult>,
    pub(super) cpu: Option<CpuTimes>,
    pub(super) turns: Turns,
}

/// Runs the publishers of a cell until everything is answered or the cell is over. `start` is
/// when the schedule begins.
pub(super) fn run<'scope>(
    scope: &'scope Scope<'scope, '_>,
    context: &'scope Context<'scope>,
    made: Vec<Made>,
    start: Stamp,
) -> Published {
    wait::tune_thread();
    let before = CpuTimes::of_this_thread();
    let mut payloads = Payloads::new(context.plan.tag(), context.plan.payload_bytes);
    let mut turns = Turns::default();
    let mut publishers: Vec<Publisher> = (0..)
        .zip(made)
        .map(|(number, made)| Publisher::new(context, number, made, start))
        .collect();
    while !is_over(context, &publishers) {
        // The sockets change only when a line is lost or made again.
        let sockets = wait::sockets(publishers.iter_mut().map(|publisher| &mut publisher.wire));
        let mut set = wait::poll_set(&sockets);
        let mut changed = false;
        while !changed && !is_over(context, &publishers) {
            let until = send(context, &mut publishers, &mut payloads, &mut turns);
            changed = publishers
                .iter()
                .any(|publisher| publisher.wire.needs_mending());
            if !changed {
                let ready = (&*sockets, &mut *set);
                changed = receive(context, &mut publishers, ready, until, &mut turns);
            }
        }
        for publisher in &mut publishers {
            publisher.mend(scope, context, &mut payloads);
        }
    }
    let cpu = before
        .zip(CpuTimes::of_this_thread())
        .map(|(before, after)| after.since(before));
    Published {
        publishers: publishers.into_iter().map(Publisher::end).collect(),
        cpu,
        turns,
    }
}

fn is_over(context: &Context<'_>, publishers: &[Publisher]) -> bool {
    context.is_over()
        || (context.drained.load(Ordering::Relaxed)
            && publishers.iter().all(Publisher::is_answered))
}

/// Sends what is due; gives until when there is nothing to do but to listen.
#[inline]
fn send(
    context: &Context<'_>,
    publishers: &mut [Publisher],
    payloads: &mut Payloads,
    turns: &mut Turns,
) -> Stamp {
    let now = clock::now();
    let mut until = now.plus(NAP_NS);
    for publisher in publishers {
        if publisher.pump(context, payloads, now) {
            turns.begin(now);
        }
        if publisher.wire.is_making() {
            until = until.min(now.plus(SHORT_NAP_NS));
        }
        until = until.min(publisher.wake_at(context));
    }
    until
}

/// Waits, and reads what came. Gives whether a line was lost.
#[inline]
fn receive(
    context: &Context<'_>,
    publishers: &mut [Publisher],
    (sockets, set): (&[(usize, Arc<TcpStream>)], &mut [PollFd<'_>]),
    until: Stamp,
    turns: &mut Turns,
) -> bool {
    for ((index, _), entry) in sockets.iter().zip(&mut *set) {
        wait::ask(entry, publishers[*index].wire.wants_write());
    }
    let now = clock::now();
    turns.end(now);
    if !wait::wait(set, now, until) {
        return false;
    }
    turns.begin(clock::now());
    let mut lost = false;
    for ((index, _), entry) in sockets.iter().zip(set) {
        let publisher = &mut publishers[*index];
        if wait::is_readable(entry) {
            publisher.read(context);
        }
        lost |= publisher.wire.needs_mending();
    }
    lost
}
