//! What is wrong with the link, and when.

use std::time::Duration;

use super::text::Rate;

/// Something that happens again and again: first after `every`, then each time `every` later, and
/// each time for as long as `lasts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Periodic {
    every: Duration,
    lasts: Duration,
}

impl Periodic {
    /// `None` where `every` is 0, or `lasts` not shorter than it.
    #[must_use]
    pub fn new(every: Duration, lasts: Duration) -> Option<Self> {
        (lasts < every).then_some(Self { every, lasts })
    }

    /// From one beginning to the next.
    #[must_use]
    pub const fn every(self) -> Duration {
        self.every
    }

    /// From a beginning to its end; 0 for moments.
    #[must_use]
    pub const fn lasts(self) -> Duration {
        self.lasts
    }

    /// Whether it is going on, so long after the start.
    #[must_use]
    pub fn is_on(self, elapsed: Duration) -> bool {
        elapsed >= self.every && self.phase(elapsed) < self.lasts
    }

    /// How often it began until then, that moment included.
    #[must_use]
    pub fn began(self, elapsed: Duration) -> u64 {
        let times = elapsed.as_nanos() / self.every.as_nanos();
        u64::try_from(times).unwrap_or(u64::MAX)
    }

    /// The next time after `elapsed` when it begins or is over.
    #[must_use]
    pub fn next_change(self, elapsed: Duration) -> Duration {
        let phase = self.phase(elapsed);
        let rest = if self.is_on(elapsed) {
            self.lasts.saturating_sub(phase)
        } else {
            self.every.saturating_sub(phase)
        };
        elapsed.saturating_add(rest)
    }

    fn phase(self, elapsed: Duration) -> Duration {
        let nanos = elapsed.as_nanos() % self.every.as_nanos();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// All that is wrong with the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// Every byte towards the target is that much later.
    pub delay_to_target: Duration,
    /// Every byte towards the client is that much later.
    pub delay_to_client: Duration,
    /// So many bytes a second in each direction, over all connections.
    pub throttle: Option<Rate>,
    /// Connections are reset, and new ones refused until it is over.
    pub outage: Option<Periodic>,
    /// Connections are reset.
    pub reset: Option<Periodic>,
    /// No byte moves until it is over; nothing is lost.
    pub stall: Option<Periodic>,
}

/// What the schedule does to the link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Happening {
    /// Connections were reset, new ones are refused.
    OutageBegan,
    /// New connections are accepted again.
    OutageEnded,
    /// Connections were reset.
    Reset,
    /// No byte moves.
    StallBegan,
    /// Bytes move again.
    StallEnded,
}

impl Conditions {
    /// The same delay in both directions.
    #[must_use]
    pub const fn with_delay(mut self, each_way: Duration) -> Self {
        self.delay_to_target = each_way;
        self.delay_to_client = each_way;
        self
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What happens after `before` and until `now`, in order, with the time of each. What began
    /// and ended unseen between the two is there with both.
    #[must_use]
    pub fn happenings(&self, before: Duration, now: Duration) -> Vec<(Duration, Happening)> {
        let mut found = Vec::new();
        let mut add = |periodic: Option<Periodic>, began, ended: Option<Happening>| {
            let Some(periodic) = periodic else { return };
            let mut at = periodic.next_change(before);
            // After a long sleep only the last of many rounds are told.
            let rounds = periodic.began(now).saturating_sub(periodic.began(before));
            if rounds > MOST_ROUNDS {
                let skipped = u32::try_from(rounds - MOST_ROUNDS).unwrap_or(u32::MAX);
                at += periodic.every.saturating_mul(skipped);
            }
            while at <= now {
                let is_beginning = periodic.phase(at).is_zero();
                let happening = if is_beginning { Some(began) } else { ended };
                found.extend(happening.map(|happening| (at, happening)));
                at = periodic.next_change(at);
            }
        };
        add(
            self.outage,
            Happening::OutageBegan,
            Some(Happening::OutageEnded),
        );
        add(self.reset, Happening::Reset, None);
        add(
            self.stall,
            Happening::StallBegan,
            Some(Happening::StallEnded),
        );
        found.sort_by_key(|(at, _)| *at);
        found
    }

    /// The next time after `elapsed` when something happens.
    #[must_use]
    pub fn next_change(&self, elapsed: Duration) -> Option<Duration> {
        let all = [self.outage, self.reset, self.stall].into_iter().flatten();
        all.map(|periodic| periodic.next_change(elapsed)).min()
    }
}

/// Of one kind, told at once.
const MOST_ROUNDS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::super::text::{Problem, Rate, parse_duration};
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn what_people_write_is_read() {
        let outage = Periodic::parse("every 10s for 1.5s").unwrap();
        assert_eq!((outage.every(), outage.lasts()), (ms(10_000), ms(1_500)));
        let reset = Periodic::parse_moments(" every  7m ").unwrap();
        assert_eq!((reset.every(), reset.lasts()), (ms(420_000), ms(0)));
        let minute = Periodic::parse("every 1m 30s for 2s").unwrap();
        assert_eq!(minute.every(), ms(90_000));
        assert_eq!(parse_duration("250us").unwrap(), Duration::from_micros(250));
        for (text, bytes) in [
            ("64kB/s", 64_000),
            ("1.5MB/s", 1_500_000),
            ("8Mbit/s", 1_000_000),
            ("9bit/s", 1),
            ("100 B/s", 100),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().bytes_per_s(), bytes, "{text}");
        }
        let rate: Rate = "1kB/s".parse().unwrap();
        assert_eq!(rate.time_of(500), ms(500));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems = [
            (Periodic::parse("10s"), Problem::EveryFor, "10s"),
            (Periodic::parse("every 10s"), Problem::EveryFor, "every 10s"),
            (Periodic::parse("every 10 for 2s"), Problem::Duration, "10"),
            (
                Periodic::parse("every 1..5s for 2s"),
                Problem::Duration,
                "1..5s",
            ),
            (
                Periodic::parse("every -1s for 2s"),
                Problem::Duration,
                "-1s",
            ),
            (
                Periodic::parse("every 2s for 2s"),
                Problem::NeverOver,
                "every 2s for 2s",
            ),
            (
                Periodic::parse("every 0s for 2s"),
                Problem::NoTimeBetween,
                "every 0s for 2s",
            ),
            (
                Periodic::parse_moments("every 7s for 1s"),
                Problem::Every,
                "every 7s for 1s",
            ),
            (
                Periodic::parse_moments("every 0ms"),
                Problem::NoTimeBetween,
                "every 0ms",
            ),
            (
                Periodic::parse_moments("every 99999999s"),
                Problem::Duration,
                "99999999s",
            ),
        ];
        for (result, problem, text) in problems {
            let error = result.unwrap_err();
            assert_eq!((error.problem, error.text.as_str()), (problem, text));
            assert!(error.to_string().starts_with(&format!("'{text}' ")));
        }
        for (text, problem) in [
            ("64", Problem::Rate),
            ("kB/s", Problem::Rate),
            ("64kB", Problem::Rate),
            ("0kB/s", Problem::NoRate),
            ("1e30MB/s", Problem::Rate),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap_err().problem, problem, "{text}");
        }
        let hostile = Periodic::parse("\x1b[2J").unwrap_err();
        assert!(!hostile.to_string().contains('\x1b'));
    }

    #[test]
    fn outages_begin_and_end_on_time() {
        let outage = Periodic::new(ms(100), ms(20)).unwrap();
        for (at, is_on, next) in [
            (0, false, 100),
            (99, false, 100),
            (100, true, 120),
            (119, true, 120),
            (120, false, 200),
            (215, true, 220),
        ] {
            assert_eq!(outage.is_on(ms(at)), is_on, "at {at}");
            assert_eq!(outage.next_change(ms(at)), ms(next), "after {at}");
        }
    }

    #[test]
    fn everything_happens_once_however_time_is_cut() {
        let conditions = Conditions {
            outage: Periodic::new(ms(100), ms(20)),
            reset: Periodic::new(ms(70), ms(0)),
            stall: Periodic::new(ms(50), ms(10)),
            ..Conditions::default()
        };
        let whole = conditions.happenings(ms(0), ms(1000));
        let count = |kind| whole.iter().filter(|(_, what)| *what == kind).count();
        assert_eq!(count(Happening::OutageBegan), 10);
        assert_eq!(count(Happening::OutageEnded), 9, "the tenth goes on");
        assert_eq!(count(Happening::Reset), 14);
        assert_eq!(count(Happening::StallBegan), 20);
        for step in [1, 7, 50, 333] {
            let mut pieces = Vec::new();
            let mut at = 0;
            while at < 1000 {
                let end = (at + step).min(1000);
                pieces.extend(conditions.happenings(ms(at), ms(end)));
                at = end;
            }
            assert_eq!(pieces, whole, "in steps of {step} ms");
        }
        assert_eq!(conditions.next_change(ms(65)), Some(ms(70)));
        assert_eq!(Conditions::default().next_change(ms(0)), None);
    }

    #[test]
    fn a_long_sleep_is_no_long_list() {
        let conditions = Conditions {
            reset: Periodic::new(Duration::from_nanos(1), ms(0)),
            ..Conditions::default()
        };
        assert!(conditions.happenings(ms(0), ms(1000)).len() <= 1001);
    }
}
