//! The publishing side of a cell: all publishers are served by one thread, each with its connection,
//! its schedule and its session.

mod answers;
mod client;

use std::sync::atomic::Ordering;
use std::thread::Scope;

use super::clock::{self, Stamp};
use super::line::{Context, Made, Wire};
use super::load::CpuTimes;
use super::payload::Payloads;
use super::rounds::{Side, Worked};
use super::turns::Turns;
use super::wait::{NAP_NS, SHORT_NAP_NS};

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

/// The publishers of a cell.
#[derive(Debug)]
pub(super) struct Publishers {
    publishers: Vec<Publisher>,
    /// When each has to be looked at, if no packet comes before.
    wakes: Vec<Stamp>,
    /// When all are looked at next.
    round: Stamp,
    payloads: Payloads,
}

/// A moment that is over.
const AT_ONCE: Stamp = Stamp::from_nanos(1);

impl Publishers {
    /// `start` is when the schedule begins.
    pub(super) fn new(context: &Context<'_>, made: Vec<Made>, start: Stamp) -> Self {
        let publishers: Vec<Publisher> = (0..)
            .zip(made)
            .map(|(number, made)| Publisher::new(context, number, made, start))
            .collect();
        Self {
            wakes: vec![AT_ONCE; publishers.len()],
            publishers,
            round: AT_ONCE,
            payloads: Payloads::new(context.plan.tag(), context.plan.payload_bytes),
        }
    }

    /// Says goodbye.
    pub(super) fn end(self) -> Vec<PublisherResult> {
        self.publishers.into_iter().map(Publisher::end).collect()
    }
}

impl<'scope> Side<'scope> for Publishers {
    fn is_over(&mut self, context: &Context<'_>) -> bool {
        context.drained.load(Ordering::Relaxed)
            && self.publishers.iter().all(Publisher::is_answered)
    }

    fn count(&self) -> usize {
        self.publishers.len()
    }

    fn wire(&mut self, place: usize) -> &mut Wire {
        &mut self.publishers[place].wire
    }

    fn work(&mut self, context: &Context<'_>, now: Stamp) -> Worked {
        let mut work = Worked {
            until: now.plus(NAP_NS),
            worked: false,
            changed: false,
        };
        let all = self.round <= now;
        if all {
            self.round = now.plus(NAP_NS);
        }
        for (publisher, wake) in self.publishers.iter_mut().zip(&mut self.wakes) {
            if all || *wake <= now {
                work.worked |= publisher.pump(context, &mut self.payloads, clock::now());
                work.changed |= publisher.wire.needs_mending();
                *wake = publisher.wake_at(context);
                if publisher.wire.is_making() {
                    self.round = self.round.min(now.plus(SHORT_NAP_NS));
                }
            }
            work.until = work.until.min(*wake);
        }
        work.until = work.until.min(self.round);
        work
    }

    fn serve(&mut self, context: &Context<'_>, place: usize) -> bool {
        let publisher = &mut self.publishers[place];
        publisher.read(context);
        self.wakes[place] = AT_ONCE;
        publisher.wire.needs_mending()
    }

    fn mend(&mut self, scope: &'scope Scope<'scope, '_>, context: &'scope Context<'scope>) {
        for publisher in &mut self.publishers {
            publisher.mend(scope, context, &mut self.payloads);
        }
        self.round = AT_ONCE;
    }
}
