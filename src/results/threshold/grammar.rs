//! What thresholds have in common: comparisons, durations, shares.

use std::fmt;

/// An expression that cannot be understood: what it says, and what could stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdError(String);

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ThresholdError {}

/// How a value stands to its limit where a threshold is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Comparison {
    fn from_operator(operator: &str) -> Option<Self> {
        Some(match operator {
            ">" => Self::Above,
            ">=" => Self::AtLeast,
            "<" => Self::Below,
            "<=" => Self::AtMost,
            _ => return None,
        })
    }

    pub(super) fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}

/// An expression without its spaces.
pub(super) fn compact(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Name, operator and value of an expression without spaces.
pub(super) fn parts(compact: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = compact.split_at(compact.find(['<', '>', '='])?);
    let (operator, value) = rest.split_at(operator_length(rest));
    Some((name, operator, value))
}

fn operator_length(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| matches!(byte, b'<' | b'>' | b'='))
        .count()
}

pub(super) fn wrong(text: &str, detail: &str) -> ThresholdError {
    ThresholdError(format!("'{text}': {detail}"))
}

/// The known name that is most like another one: the fewest letters to change, put in or take
/// away (Levenshtein's distance). None where they have little in common.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    let letters: Vec<char> = name.chars().take(LONGEST).collect();
    let distance = |other: &str| {
        let mut row: Vec<usize> = (0..=letters.len()).collect();
        for (i, there) in other.chars().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, here) in letters.iter().enumerate() {
                let change = diagonal + usize::from(*here != there);
                diagonal = row[j + 1];
                row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
            }
        }
        row[letters.len()]
    };
    let (best, code) = known.map(|code| (distance(code), code)).min()?;
    (best * 2 <= name.len().max(code.len())).then_some(code)
}

pub(super) fn comparison(text: &str, operator: &str) -> Result<Comparison, ThresholdError> {
    Comparison::from_operator(operator).ok_or_else(|| {
        wrong(
            text,
            &format!("'{operator}' is no comparison here; write >, >=, < or <="),
        )
    })
}

/// `0.1%` or `0.001`.
pub(super) fn share(text: &str, value: &str) -> Result<f64, ThresholdError> {
    let number = |text: &str| text.parse().ok().filter(|n: &f64| n.is_finite());
    let ratio = match value.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent: f64| percent / 100.0),
        None => number(value),
    };
    ratio.ok_or_else(|| {
        wrong(
            text,
            &format!("'{value}' is no share; write one like 0.1% or 0.001"),
        )
    })
}

/// `50ms` in nanoseconds; the unit is needed, but for 0.
pub(super) fn duration(text: &str, value: &str) -> Result<f64, ThresholdError> {
    nanos(value).ok_or_else(|| {
        wrong(
            text,
            &format!("'{value}' is no duration; write one with its unit, like 500us, 50ms or 1.5s"),
        )
    })
}

fn nanos(text: &str) -> Option<f64> {
    let unit_at = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().ok().filter(|n: &f64| n.is_finite())?;
    let factor = match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "" if number == 0.0 => 1.0,
        _ => return None,
    };
    Some(number * factor)
}
