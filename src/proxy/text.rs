//! Durations, rates and schedules as people write them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::conditions::Periodic;

/// Why a text is none of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConditionError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// Not a duration, or one longer than a day.
    Duration,
    /// Not a rate: a number and `B/s`, `kB/s`, `MB/s`, `kbit/s` or `Mbit/s`.
    Rate,
    /// Not of the form `every D for D`.
    EveryFor,
    /// Not of the form `every D`.
    Every,
    /// It lasts as long as the time between two, or longer.
    NeverOver,
    /// A time of 0 between two.
    NoTimeBetween,
    /// A rate of less than one byte a second.
    NoRate,
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.escape_debug();
        write!(f, "'{text}' ")?;
        f.write_str(match self.problem {
            Problem::Duration => "is no duration of up to a day: write 500us, 20ms, 1.5s or 2m",
            Problem::Rate => "is no rate: write 500B/s, 64kB/s, 1MB/s, 256kbit/s or 8Mbit/s",
            Problem::EveryFor => "is no schedule: write 'every 10s for 2s'",
            Problem::Every => "is no schedule: write 'every 7s'",
            Problem::NeverOver => {
                "would never be over: it has to be shorter than the time between two"
            }
            Problem::NoTimeBetween => "leaves no time between two",
            Problem::NoRate => "lets nothing through: use an outage or a stall for that",
        })
    }
}

impl std::error::Error for ConditionError {}

fn error(text: &str, problem: Problem) -> ConditionError {
    ConditionError {
        text: text.to_owned(),
        problem,
    }
}

/// Reads a duration, as everywhere in this program: `20ms`, `1.5s`, `1m 30s`; at most a day.
///
/// # Errors
/// It is something else, or negative.
pub fn parse_duration(text: &str) -> Result<Duration, ConditionError> {
    const LONGEST: Duration = Duration::from_secs(86_400);
    text.trim()
        .parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| error(text, Problem::Duration))
}

/// A number and one of these units, the number times the unit's size.
fn number(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at_checked(digits?)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    let value = number.parse::<f64>().ok()? * size;
    value.is_finite().then_some(value)
}

/// Bytes per second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate(u64);

impl Rate {
    /// So many bytes per second; `None` for 0.
    #[must_use]
    pub const fn from_bytes_per_s(bytes: u64) -> Option<Self> {
        if bytes == 0 { None } else { Some(Self(bytes)) }
    }

    /// Bytes per second, 1 or more.
    #[must_use]
    pub const fn bytes_per_s(self) -> u64 {
        self.0
    }

    /// How long so many bytes take.
    #[must_use]
    pub fn time_of(self, bytes: usize) -> Duration {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl FromStr for Rate {
    type Err = ConditionError;
    /// `64kB/s`: a number and a unit per second, in decimal multiples.
    fn from_str(text: &str) -> Result<Self, ConditionError> {
        const UNITS: [(&str, f64); 8] = [
            ("B/s", 1.0),
            ("kB/s", 1e3),
            ("KB/s", 1e3),
            ("MB/s", 1e6),
            ("bit/s", 0.125),
            ("kbit/s", 125.0),
            ("Mbit/s", 125e3),
            ("Gbit/s", 125e6),
        ];
        let bytes = number(text, &UNITS).ok_or_else(|| error(text, Problem::Rate))?;
        if bytes > 1e15 {
            return Err(error(text, Problem::Rate));
        }
        Self::from_bytes_per_s(bytes as u64).ok_or_else(|| error(text, Problem::NoRate))
    }
}

impl Periodic {
    /// Reads `every 10s for 2s`.
    ///
    /// # Errors
    /// It is something else, or would never be over.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let times = text.trim().strip_prefix("every ");
        let Some((every, lasts)) = times.and_then(|times| times.split_once(" for ")) else {
            return Err(error(text, Problem::EveryFor));
        };
        let (every, lasts) = (parse_duration(every)?, parse_duration(lasts)?);
        Self::new(every, lasts).ok_or_else(|| {
            let is_empty = every.is_zero();
            let problem = if is_empty {
                Problem::NoTimeBetween
            } else {
                Problem::NeverOver
            };
            error(text, problem)
        })
    }

    /// Reads `every 7s`: moments.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse_moments(text: &str) -> Result<Self, ConditionError> {
        let every = text.trim().strip_prefix("every ");
        let Some(every) = every.filter(|every| !every.contains(" for ")) else {
            return Err(error(text, Problem::Every));
        };
        let every = parse_duration(every)?;
        Self::new(every, Duration::ZERO).ok_or_else(|| error(text, Problem::NoTimeBetween))
    }
}
