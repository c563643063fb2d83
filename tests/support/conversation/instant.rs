//! Times of a script: `"1.5ms"`, `"20s"`, or an integer of microseconds. They count from
//! [`EPOCH`].

use std::fmt;

use mqttscope::time::{TimeDelta, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// When every script begins, in nanoseconds since the Unix epoch.
const EPOCH: i64 = 1_700_000_000_000_000_000;

/// A time or a duration of a script, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub(crate) i64);

impl Instant {
    pub(crate) const fn timestamp(self) -> Timestamp {
        Timestamp::from_nanos(EPOCH + self.0)
    }
}

impl From<Timestamp> for Instant {
    fn from(time: Timestamp) -> Self {
        Self(time.as_nanos() - EPOCH)
    }
}

impl From<TimeDelta> for Instant {
    fn from(delta: TimeDelta) -> Self {
        Self(delta.as_nanos())
    }
}

impl fmt::Display for Instant {
    /// In milliseconds, with as many decimals as it takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let fraction = format!("{:06}", nanos % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        write!(f, "{sign}{}", nanos / 1_000_000)?;
        if !fraction.is_empty() {
            write!(f, ".{fraction}")?;
        }
        f.write_str("ms")
    }
}

fn parse(text: &str) -> Option<i64> {
    const UNITS: [(&str, u32); 4] = [("ns", 0), ("us", 3), ("ms", 6), ("s", 9)];
    let (number, power) = UNITS
        .into_iter()
        .find_map(|(unit, power)| Some((text.strip_suffix(unit)?, power)))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let rest = power.checked_sub(u32::try_from(decimals.len()).ok()?)?;
    let digits: i64 = format!("{whole}{decimals}").parse().ok()?;
    digits.checked_mul(10_i64.pow(rest))
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Instant;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("microseconds, or a number with ns, us, ms or s")
            }
            fn visit_i64<E: Error>(self, micros: i64) -> Result<Instant, E> {
                Ok(Instant(micros * 1_000))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Instant, E> {
                parse(text)
                    .map(Instant)
                    .ok_or_else(|| E::custom(format!("{text:?} is no time such as 1.5ms")))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
