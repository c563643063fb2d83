//! One direction of a link: packets in at a time, packets out at a later one, or never.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::chance::{Chance, Medium, Variation, millis, seconds};
use super::counters::{Cause, Counters};
use super::impairment::{Impairment, ImpossibleSetting, Outage, Rate};
use crate::time::{TimeDelta, Timestamp};

/// How many packets one direction holds at most; one that comes while it holds that many is
/// dropped ([`Cause::Full`]). At 1,500 bytes each that is under 100 MB.
pub const MAX_IN_FLIGHT: usize = 65_536;

/// The emulator of one direction. It does no input or output and has no clock: time comes in with
/// every call, and may not run backwards. `P` is a packet, whatever that is to the caller.
#[derive(Debug)]
pub struct Emulator<P> {
    delay: TimeDelta,
    duplicate_percent: f64,
    reorder: Option<(f64, TimeDelta)>,
    outages: Vec<Outage>,
    since: Timestamp,
    transmitter: Option<Transmitter>,
    medium: Medium,
    variation: Variation,
    duplicates: Chance,
    reorders: Chance,
    /// When the last packet that keeps the order leaves.
    last_due: Timestamp,
    arrivals: u64,
    on_the_way: BinaryHeap<Reverse<Due<P>>>,
    counters: Counters,
}

/// A packet that leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure<P> {
    /// When it should have left.
    pub due: Timestamp,
    /// The packet.
    pub packet: P,
}

/// A packet on its way: ordered by its time, then by its arrival.
#[derive(Debug)]
struct Due<P> {
    at: Timestamp,
    number: u64,
    packet: P,
}

impl<P> PartialEq for Due<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P> Eq for Due<P> {}

impl<P> PartialOrd for Due<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for Due<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<P: Clone> Emulator<P> {
    /// A link direction as set from `now` on. The same settings and the same seed lose the same
    /// packets: the k-th packet's fate in the medium does not depend on when it comes.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn new(
        settings: &Impairment,
        seed: u64,
        now: Timestamp,
    ) -> Result<Self, ImpossibleSetting> {
        settings.check()?;
        Ok(Self {
            delay: millis(settings.delay_ms),
            duplicate_percent: settings.duplicate_percent,
            reorder: settings.reorder.map(|r| (r.percent, millis(r.by_ms))),
            outages: settings.outages.clone(),
            since: now,
            transmitter: settings.rate.as_ref().map(Transmitter::new),
            medium: Medium::new(settings.loss, seed),
            variation: Variation::new(settings.jitter, seed),
            duplicates: Chance::new(seed, "duplicate"),
            reorders: Chance::new(seed, "reorder"),
            last_due: Timestamp::from_nanos(i64::MIN),
            arrivals: 0,
            on_the_way: BinaryHeap::new(),
            counters: Counters::default(),
        })
    }

    /// A packet of `length` bytes comes in.
    ///
    /// # Errors
    ///
    /// Why it will not come out.
    pub fn arrive(&mut self, now: Timestamp, length: usize, packet: P) -> Result<(), Cause> {
        let fate = self.fate(now, length);
        self.counters.received += 1;
        match fate {
            Ok((due, twice)) => {
                if twice && self.on_the_way.len() + 1 < MAX_IN_FLIGHT {
                    self.counters.duplicated += 1;
                    self.hold(due, packet.clone());
                }
                self.hold(due, packet);
                Ok(())
            }
            Err(cause) => {
                self.counters.drop_one(cause);
                Err(cause)
            }
        }
    }

    /// When a packet leaves, and whether twice. Chance is drawn for every packet, also for those
    /// that something else drops.
    fn fate(&mut self, now: Timestamp, length: usize) -> Result<(Timestamp, bool), Cause> {
        let lost = self.medium.loses_next();
        let twice = self.duplicates.percent(self.duplicate_percent);
        let held_back = self
            .reorder
            .and_then(|(percent, by)| self.reorders.percent(percent).then_some(by));
        let elapsed = now - self.since;
        if self.outages.iter().any(|outage| covers(outage, elapsed)) {
            return Err(Cause::Outage);
        }
        if self.on_the_way.len() >= MAX_IN_FLIGHT {
            return Err(Cause::Full);
        }
        let (transmitted, takes) = match &mut self.transmitter {
            Some(transmitter) => transmitter.send(now, length).ok_or(Cause::Queue)?,
            None => (now, TimeDelta::ZERO),
        };
        if lost {
            return Err(Cause::Loss);
        }
        let varied = self.delay.as_nanos() + self.variation.at(now).as_nanos();
        let due = transmitted + TimeDelta::from_nanos(varied.max(0));
        // What jitter held up comes one after the other, as fast as the link is.
        let in_order = due.max(self.last_due + takes);
        if let Some(by) = held_back {
            return Ok((in_order + by, twice));
        }
        self.last_due = in_order;
        Ok((in_order, twice))
    }

    fn hold(&mut self, at: Timestamp, packet: P) {
        let number = self.arrivals;
        self.arrivals += 1;
        self.counters.in_flight += 1;
        self.on_the_way.push(Reverse(Due { at, number, packet }));
    }

    /// When the next packet leaves.
    #[must_use]
    pub fn next_departure(&self) -> Option<Timestamp> {
        self.on_the_way.peek().map(|Reverse(due)| due.at)
    }

    /// The next packet whose time has come by `now`.
    pub fn depart(&mut self, now: Timestamp) -> Option<Departure<P>> {
        if self.next_departure()? > now {
            return None;
        }
        let Reverse(Due { at, packet, .. }) = self.on_the_way.pop()?;
        self.counters.send_one(now - at);
        Some(Departure { due: at, packet })
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// Whether an outage is on, so long after the link was set.
fn covers(outage: &Outage, elapsed: TimeDelta) -> bool {
    let into = (elapsed - seconds(outage.at_s)).as_nanos();
    let lasts = seconds(outage.for_s).as_nanos();
    if into < 0 {
        return false;
    }
    match outage.every_s.map(|every| seconds(every).as_nanos()) {
        Some(every) if every > 0 => into % every < lasts,
        _ => into < lasts,
    }
}

/// Sends one packet after the other at a rate; the others wait, up to a limit.
#[derive(Debug)]
struct Transmitter {
    ns_per_byte: f64,
    limit: usize,
    /// When each packet in the queue has been sent, the first of them being sent now.
    sent_at: VecDeque<Timestamp>,
}

impl Transmitter {
    fn new(rate: &Rate) -> Self {
        Self {
            ns_per_byte: 8e3 / rate.mbit_per_s,
            limit: rate.queue_packets as usize,
            sent_at: VecDeque::new(),
        }
    }

    /// When the packet has been sent and how long that takes, or `None` where the queue is full.
    fn send(&mut self, now: Timestamp, length: usize) -> Option<(Timestamp, TimeDelta)> {
        while self.sent_at.front().is_some_and(|sent| *sent <= now) {
            self.sent_at.pop_front();
        }
        if self.sent_at.len() >= self.limit {
            return None;
        }
        let begins = self.sent_at.back().map_or(now, |last| (*last).max(now));
        let takes = TimeDelta::from_nanos((length as f64 * self.ns_per_byte).ceil() as i64);
        let sent = begins + takes;
        self.sent_at.push_back(sent);
        Some((sent, takes))
    }
}
