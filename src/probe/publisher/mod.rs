//! The publishing side of a cell: all publishers on one thread, each with its connection, its
//! schedule and its session.

mod answers;
mod client;

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

use client::Publisher;
pub use client::PublisherResult;

/// The longest sleep: flags are looked at in between.
const NAP_NS: i64 = 20_000_000;
/// While a line is being made.
const SHORT_NAP_NS: i64 = 1_000_000;

/// What the thread gives back.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) publishers: Vec<PublisherResult>,
    pub(super) cpu: Option<CpuTimes>,
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
    let mut publishers: Vec<Publisher> = (0..)
        .zip(made)
        .map(|(number, made)| Publisher::new(context, number, made, start))
        .collect();
    while !is_over(context, &publishers) {
        // The sockets change only when a line is lost or made again.
        let sockets: Vec<(usize, Arc<TcpStream>)> = publishers
            .iter_mut()
            .enumerate()
            .filter_map(|(index, publisher)| Some((index, publisher.socket()?)))
            .collect();
        let mut set: Vec<PollFd<'_>> = sockets
            .iter()
            .map(|(_, socket)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let mut changed = false;
        while !changed && !is_over(context, &publishers) {
            let until = send(context, &mut publishers, &mut payloads, &mut changed);
            if !changed {
                changed = receive(context, &mut publishers, &sockets, &mut set, until);
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
    changed: &mut bool,
) -> Stamp {
    let now = clock::now();
    let mut until = now.plus(NAP_NS);
    for publisher in publishers {
        publisher.pump(context, payloads, now);
        *changed |= publisher.needs_mending();
        if publisher.is_making() {
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
    sockets: &[(usize, Arc<TcpStream>)],
    set: &mut [PollFd<'_>],
    until: Stamp,
) -> bool {
    for ((index, _), entry) in sockets.iter().zip(&mut *set) {
        let mut events = PollFlags::POLLIN;
        events.set(PollFlags::POLLOUT, publishers[*index].wants_write());
        entry.set_events(events);
    }
    if !wait::wait(set, clock::now(), until) {
        return false;
    }
    let mut lost = false;
    for ((index, _), entry) in sockets.iter().zip(set) {
        let ready = entry.revents().unwrap_or(PollFlags::empty());
        let publisher = &mut publishers[*index];
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            publisher.read(context);
        }
        lost |= publisher.needs_mending();
    }
    lost
}
