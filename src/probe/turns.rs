//! How long a measuring thread is busy between two looks at its sockets: so long what has come may
//! lie unread, and what is due unsent.

use super::clock::Stamp;

/// Upper ends of the classes grow by a quarter of a power of two: 19 % at most.
const STEPS: usize = 4;
const CLASSES: usize = 64 * STEPS;

/// The turns of a loop in which there was something to do. Nothing is allocated per turn.
#[derive(Clone, Debug)]
pub struct Turns {
    since: Option<Stamp>,
    counts: Vec<u64>,
    total: u64,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            since: None,
            counts: vec![0; CLASSES],
            total: 0,
        }
    }
}

impl Turns {
    /// There is something to do, from now on if not before.
    #[inline]
    pub fn begin(&mut self, now: Stamp) {
        self.since.get_or_insert(now);
    }

    /// It is done: the loop looks at its sockets again.
    #[inline]
    pub fn end(&mut self, now: Stamp) {
        if let Some(since) = self.since.take() {
            let nanos = now.since(since).max(1).unsigned_abs();
            self.counts[class(nanos)] += 1;
            self.total += 1;
        }
    }

    /// The 99th percentile in nanoseconds, at most a fifth too high; `None` without a turn.
    #[must_use]
    pub fn p99(&self) -> Option<i64> {
        let rank = (self.total as f64 * 0.99).ceil() as u64;
        let mut seen = 0;
        let class = self.counts.iter().position(|count| {
            seen += count;
            self.total > 0 && seen >= rank
        })?;
        i64::try_from(upper_end(class)).ok()
    }
}

/// The class of a number of at least 1: its highest bit, and the two bits below.
fn class(nanos: u64) -> usize {
    let bit = nanos.ilog2();
    let below = if bit >= 2 {
        nanos >> (bit - 2) & 3
    } else {
        nanos << (2 - bit) & 3
    };
    bit as usize * STEPS + below as usize
}

/// The largest number of a class.
fn upper_end(class: usize) -> u64 {
    let (bit, below) = (class / STEPS, (class % STEPS) as u128);
    let end = ((4 + below + 1) << bit).div_ceil(4);
    u64::try_from(end.saturating_sub(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_say() {
        for nanos in [
            1,
            2,
            3,
            4,
            5,
            7,
            8,
            1_000,
            1_023,
            1_024,
            123_456_789,
            u64::MAX,
        ] {
            let class = class(nanos);
            assert!(upper_end(class) >= nanos, "{nanos}");
            assert!(
                upper_end(class) as f64 <= nanos as f64 * 1.25 + 1.0,
                "{nanos}"
            );
        }
    }

    #[test]
    fn only_turns_with_work_count() {
        let at = Stamp::from_nanos;
        let mut turns = Turns::default();
        assert_eq!(turns.p99(), None);
        turns.end(at(5));
        assert_eq!(turns.p99(), None, "nothing was to do");
        for turn in 0..1_000 {
            turns.begin(at(turn * 1_000_000));
            turns.begin(at(turn * 1_000_000 + 10));
            let took = if turn < 985 { 1_000 } else { 700_000 };
            turns.end(at(turn * 1_000_000 + took));
        }
        let p99 = turns.p99().unwrap();
        assert!((700_000..875_000).contains(&p99), "{p99}");
    }
}
