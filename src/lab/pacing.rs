//! How the emulator's thread waits: how long before a departure it is awake, and when it has to nap.
//! Without a clock: times come in.

use crate::time::{TimeDelta, Timestamp};
use crate::waiting::{Habits, Margin};

/// How long before a departure the thread is awake: a timer wakes a thread of an idle machine some 50 µs
/// late, and one of a virtual machine some milliseconds, when others have its processor. Twice as long
/// as that was seen to take.
const LEAD: Habits = Habits {
    first_ns: 70_000,
    least_ns: 70_000,
    most_ns: 10_000_000,
    reserve: 1,
    memory: 64,
};
/// A sleep that would be shorter is none: falling asleep and waking up take as long.
const SHORTEST_SLEEP_NS: i64 = 20_000;

/// How long before a departure the thread stops sleeping and looks again and again. It follows how
/// late this machine wakes a thread that sleeps.
#[derive(Debug)]
pub(super) struct Lead(Margin);

impl Lead {
    pub(super) fn new() -> Self {
        Self(Margin::new(LEAD))
    }

    /// How long the thread may sleep with so much time left; `None` is not at all.
    pub(super) fn sleep(&self, left: TimeDelta) -> Option<TimeDelta> {
        let sleep = left.as_nanos() - self.0.nanos();
        (sleep >= SHORTEST_SLEEP_NS).then_some(TimeDelta::from_nanos(sleep))
    }

    /// A timer woke the thread so late.
    pub(super) fn woken(&mut self, late: TimeDelta) {
        self.0.learn(late.as_nanos());
    }
}

/// The share of its time that a real-time thread has to sleep. The kernel stops all such threads of a
/// processor for the rest of a second when they have had 950 ms of it (sched(7),
/// `sched_rt_runtime_us`): 50 ms in which no packet passes. Many short naps delay packets by less.
const ASLEEP: f64 = 0.1;
/// A nap is due when the thread owes so much sleep; a nap takes about as long.
const NAP_AT_NS: i64 = 40_000;
/// The sleep beyond its share that is put to its account: enough for 50 ms awake.
const MOST_CREDIT_NS: i64 = 5_000_000;

/// Counts the sleep that a real-time thread owes.
#[derive(Debug)]
pub(super) struct Naps {
    counted: Timestamp,
    owed_ns: i64,
}

impl Naps {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            counted: now,
            owed_ns: 0,
        }
    }

    /// The thread was awake until now; whether it has to take a nap.
    pub(super) fn due(&mut self, now: Timestamp) -> bool {
        let awake = (now - self.counted).as_nanos();
        // Of less there is not a nanosecond to count.
        if awake > 1_000 {
            self.owed_ns += (awake as f64 * ASLEEP) as i64;
            self.counted = now;
        }
        self.owed_ns >= NAP_AT_NS
    }

    /// The thread slept so long until now.
    pub(super) fn slept(&mut self, time: TimeDelta, now: Timestamp) {
        let left = self.owed_ns - time.as_nanos();
        self.owed_ns = left.max(-MOST_CREDIT_NS);
        self.counted = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(micros: i64) -> TimeDelta {
        TimeDelta::from_nanos(micros * 1_000)
    }

    #[test]
    fn the_lead_follows_how_late_timers_are() {
        let mut lead = Lead::new();
        assert_eq!(lead.sleep(us(1_070)), Some(us(1_000)));
        assert_eq!(lead.sleep(us(70)), None);
        lead.woken(us(2_000));
        assert_eq!(lead.sleep(us(4_000)), None);
        assert_eq!(lead.sleep(us(5_000)), Some(us(1_000)));
        lead.woken(us(900_000));
        assert_eq!(lead.sleep(us(11_000)), Some(us(1_000)));
        for _ in 0..1_000 {
            lead.woken(us(5));
        }
        assert_eq!(lead.sleep(us(1_070)), Some(us(1_000)));
    }

    /// Sleeps when it has to, each time so long; gives how much of each 10 µs it was awake.
    fn awake(nap: TimeDelta, credit: TimeDelta) -> Vec<bool> {
        let mut now = Timestamp::from_nanos(0);
        let mut naps = Naps::new(now);
        naps.slept(credit, now);
        let mut awake = Vec::new();
        let mut asleep_until = now;
        while awake.len() < 300_000 {
            now = now + us(10);
            if now < asleep_until {
                awake.push(false);
                continue;
            }
            if now == asleep_until {
                naps.slept(nap, now);
            }
            if naps.due(now) {
                asleep_until = now + nap;
            }
            awake.push(true);
        }
        awake
    }

    /// Over any second the thread is awake for less than 950 ms, whatever it slept before.
    #[test]
    fn a_thread_that_is_always_busy_is_not_stopped_by_the_kernel() {
        for (nap, credit) in [(us(50), us(0)), (us(200), us(0)), (us(50), us(1_000_000))] {
            let awake = awake(nap, credit);
            for second in awake.windows(100_000).step_by(20_000) {
                let share = second.iter().filter(|awake| **awake).count();
                assert!((85_000..94_000).contains(&share), "{nap}: {share}");
            }
        }
    }

    #[test]
    fn a_thread_that_sleeps_enough_takes_no_nap() {
        let mut now = Timestamp::from_nanos(0);
        let mut naps = Naps::new(now);
        for _ in 0..10_000 {
            now = now + us(300);
            assert!(!naps.due(now));
            now = now + us(100);
            naps.slept(us(100), now);
        }
    }
}
