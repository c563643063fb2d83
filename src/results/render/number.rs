//! Numbers as people write them.

use crate::stats::Proportion;
use crate::time::TimeDelta;
use jiff::tz::TimeZone;

/// `1234567` → `1,234,567`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 frame`, `2 frames`.
#[must_use]
pub fn counted(number: u64, singular: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {singular}{ending}", grouped(number))
}

/// Decimal units, three significant digits: `1.23 MB`.
#[must_use]
pub fn bytes(number: f64) -> String {
    scaled(number, "B", &["kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `1.23 million`.
#[must_use]
pub fn large(number: f64) -> String {
    if number < 1e6 {
        return grouped(number.round() as u64);
    }
    scaled(
        number / 1e3,
        "thousand",
        &["million", "billion", "trillion"],
    )
}

fn scaled(number: f64, unit: &str, units: &[&str]) -> String {
    let mut value = number;
    let mut name = unit;
    for larger in units {
        // What would round to 1000 is 1.00 of the next.
        if value < 999.5 {
            break;
        }
        value /= 1e3;
        name = larger;
    }
    let digits = match value {
        _ if name == "B" => 0,
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {name}")
}

/// A delay, or a dash where there is none.
#[must_use]
pub fn delay(nanos: Option<i64>) -> String {
    nanos.map_or_else(
        || "–".to_owned(),
        |nanos| TimeDelta::from_nanos(nanos).to_string(),
    )
}

/// How long something took: `59.9 s`, `2 min 5 s`, `1 h 2 min`, `3 d 4 h`.
#[must_use]
pub fn span(duration: TimeDelta) -> String {
    let seconds = duration.as_nanos() / 1_000_000_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..60 => duration.to_string(),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// `2024-05-01 12:00:00`, UTC, whole seconds.
#[must_use]
pub fn date(nanos: i64) -> String {
    // All of the 64-bit range (years 1677 to 2262) is within jiff's.
    jiff::Timestamp::from_nanosecond(nanos.into()).map_or_else(
        |_| format!("{nanos} ns"),
        |time| {
            let time = time.to_zoned(TimeZone::UTC);
            time.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}

/// `3 of 1,200 = 0.25 % (0.085 to 0.73 %)`.
pub(super) fn proportion(proportion: &Proportion) -> String {
    let Proportion { count, of, .. } = proportion;
    let counts = format!("{} of {}", grouped(*count), grouped(*of));
    match (proportion.ratio, proportion.ci_low, proportion.ci_high) {
        (Some(ratio), Some(low), Some(high)) => format!(
            "{counts} = {} % ({} to {} %)",
            percent(ratio),
            percent(low),
            percent(high)
        ),
        _ => counts,
    }
}

/// One decimal, and more near 0 and near 100: two significant digits of what is left, so that
/// only none is 0 % and only all are 100 %.
#[must_use]
pub fn percent(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent <= 0.0 || percent >= 100.0 {
        return format!("{percent:.0}");
    }
    let nearest = percent.min(100.0 - percent);
    // A hair more, so that 0.01 which subtraction left as 0.0099999 keeps two digits.
    let digits = (1.0 - (nearest * 1.000_001).log10().floor()).clamp(1.0, 12.0) as usize;
    format!("{percent:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(999.0), "999 B");
        assert_eq!(bytes(999_999.0), "1.00 MB");
        assert_eq!(bytes(12_345.0), "12.3 kB");
        assert_eq!(large(999_999.0), "999,999");
        assert_eq!(large(5_512_345.0), "5.51 million");
        assert_eq!(counted(1, "frame"), "1 frame");
        assert_eq!(counted(0, "frame"), "0 frames");
    }

    #[test]
    fn shares_keep_two_digits() {
        for (ratio, text) in [
            (0.0, "0"),
            (1.0, "100"),
            (0.0025, "0.25"),
            (0.123, "12.3"),
            (0.05, "5.0"),
            (0.000_001_234, "0.00012"),
            (0.999_9, "99.990"),
            (0.999_999_9, "99.999990"),
        ] {
            assert_eq!(percent(ratio), text);
        }
    }

    #[test]
    fn times_read_well() {
        for (seconds, text) in [
            (59, "59.0 s"),
            (125, "2 min 5 s"),
            (3_725, "1 h 2 min"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(span(TimeDelta::from_secs(seconds)), text);
        }
        assert_eq!(date(0), "1970-01-01 00:00:00");
        assert_eq!(date(1_700_000_000_999_999_999), "2023-11-14 22:13:20");
        assert_eq!(date(i64::MIN), "1677-09-21 00:12:43");
    }
}
