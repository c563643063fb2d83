//! Conditions, contrasts and numbers in words.

use crate::results::{EffectRow, grouped, percent};
use crate::stats::Proportion;
use crate::time::TimeDelta;

/// The columns of a condition, as effects.csv and correlations.csv name it.
const FACTORS: [&str; 12] = [
    "part",
    "qos",
    "qos_subscribed",
    "payload_bytes",
    "link",
    "packet_loss_ratio",
    "fault",
    "schedule",
    "rate_per_s",
    "publishers",
    "subscribers",
    "client",
];

/// A condition as column and level, in their order. Levels may have spaces in them.
fn levels(condition: &str) -> Vec<(&str, String)> {
    let mut levels: Vec<(&str, String)> = Vec::new();
    for word in condition.split(' ') {
        match word.split_once('=') {
            Some((factor, level)) if FACTORS.contains(&factor) => {
                levels.push((factor, level.to_owned()));
            }
            _ => {
                if let Some((_, level)) = levels.last_mut() {
                    level.push(' ');
                    level.push_str(word);
                }
            }
        }
    }
    levels
}

/// One level in words: `QoS 2`, `1,024 B`.
fn spoken(factor: &str, level: &str) -> String {
    let number = |unit: &str| match level.parse() {
        Ok(number) => format!("{} {unit}", grouped(number)),
        Err(_) => format!("{level} {unit}"),
    };
    match factor {
        "part" => format!("part {}", level.replace('_', " ")),
        "qos" => format!("QoS {level}"),
        "qos_subscribed" => format!("subscribed at QoS {level}"),
        "payload_bytes" => number("B"),
        "link" if level == "none" => "no link".to_owned(),
        "link" | "schedule" | "client" => level.to_owned(),
        "packet_loss_ratio" => match level.parse() {
            Ok(ratio) => format!("{} % packet loss", percent(ratio)),
            Err(_) => "no packet loss".to_owned(),
        },
        "fault" if level == "none" => "no fault".to_owned(),
        "fault" => level.to_owned(),
        "rate_per_s" => format!("{level} messages/s"),
        "publishers" => number("publishers"),
        "subscribers" => number("subscribers"),
        other => format!("{other} {level}"),
    }
}

/// A condition or stratum in words: `QoS 2, wireless`, `all cells`.
pub(in crate::report) fn condition(condition: &str) -> String {
    let words: Vec<String> = (levels(condition).iter())
        .map(|(factor, level)| spoken(factor, level))
        .collect();
    if words.is_empty() {
        "all cells".to_owned()
    } else {
        words.join(", ")
    }
}

/// Two conditions that are compared: what differs, and what is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::report) struct Contrast {
    /// The column that differs.
    pub(in crate::report) factor: String,
    /// Its two levels, as they stand in the table.
    pub(in crate::report) levels: [String; 2],
    /// What is held, by column.
    pub(in crate::report) held: Vec<(String, String)>,
}

impl Contrast {
    pub(in crate::report) fn of(row: &EffectRow) -> Option<Self> {
        let [a, b] = [&row.condition_a, &row.condition_b].map(|condition| levels(condition));
        let differs = a.iter().find(|level| !b.contains(level))?;
        let other = b.iter().find(|(factor, _)| *factor == differs.0)?;
        let held = a.iter().filter(|level| b.contains(level));
        Some(Self {
            factor: differs.0.to_owned(),
            levels: [differs.1.clone(), other.1.clone()],
            held: held
                .map(|(f, level)| ((*f).to_owned(), level.clone()))
                .collect(),
        })
    }

    /// `QoS 2 / QoS 0`.
    pub(in crate::report) fn names(&self, between: &str) -> String {
        let [a, b] = [0, 1].map(|side| spoken(&self.factor, &self.levels[side]));
        format!("{a} {between} {b}")
    }

    /// `16 B, wired`; empty where nothing is held, `but` left out.
    pub(in crate::report) fn held(&self, but: &[&str]) -> String {
        let held = self.held.iter().filter(|(f, _)| !but.contains(&f.as_str()));
        let words: Vec<String> = held.map(|(factor, level)| spoken(factor, level)).collect();
        words.join(", ")
    }

    /// How many factors are held, the part left out.
    pub(in crate::report) fn depth(&self) -> usize {
        self.held.iter().filter(|(f, _)| f != "part").count()
    }

    /// The level of a factor that is held.
    pub(in crate::report) fn level(&self, factor: &str) -> Option<&str> {
        let held = self.held.iter().find(|(known, _)| known == factor);
        held.map(|(_, level)| level.as_str())
    }
}

/// `2.1 [1.9, 2.4]`, with as many digits as the interval is worth.
pub(in crate::report) fn estimate(value: f64, interval: Option<(f64, f64)>) -> String {
    match interval {
        Some((low, high)) => {
            let [value, low, high] = [value, low, high].map(two_digits);
            format!("{value} [{low}, {high}]")
        }
        None => two_digits(value),
    }
}

/// Of ratios: `0.98`, `2.1`, `34`, `1,200`.
fn two_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => grouped(value.round() as u64),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        v => {
            let digits = (1.0 - v.log10().floor()).clamp(2.0, 12.0) as usize;
            format!("{value:.digits$}")
        }
    }
}

/// `2.10 ms [2.05 ms, 2.15 ms]`.
pub(in crate::report) fn delay_estimate(value: f64, interval: Option<(f64, f64)>) -> String {
    let delay = |nanos: f64| {
        let delay = TimeDelta::from_nanos(nanos.round() as i64);
        delay.to_string().replace('-', "−")
    };
    match interval {
        Some((low, high)) => format!("{} [{}, {}]", delay(value), delay(low), delay(high)),
        None => delay(value),
    }
}

/// A coefficient: `0.83 [0.61, 0.95]`, `−0.12`.
pub(in crate::report) fn coefficient(value: f64, interval: Option<(f64, f64)>) -> String {
    let text = |value: f64| format!("{value:.2}").replace('-', "−");
    match interval {
        Some((low, high)) => format!("{} [{}, {}]", text(value), text(low), text(high)),
        None => text(value),
    }
}

/// `0.012`, `< 0.001`.
pub(in crate::report) fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// `none of 1,000 messages never arrived` and the like: the share with its interval.
pub(in crate::report) fn share(share: &Proportion) -> String {
    let upper = percent(share.ci_high.unwrap_or(1.0));
    match (share.of, share.count) {
        (0, _) => "nothing was written".to_owned(),
        (of, 0) => format!("none of {} lost (below {upper} %)", grouped(of)),
        (of, count) => format!(
            "{} of {} lost, {} % [{}, {upper}]",
            grouped(count),
            grouped(of),
            percent(share.ratio.unwrap_or(0.0)),
            percent(share.ci_low.unwrap_or(0.0)),
        ),
    }
}

/// Words joined as in a sentence: `a, b and c`.
pub(in crate::report) fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A column of cells.csv in words.
pub(in crate::report) fn quantity(name: &str) -> &str {
    match name {
        "delay_median_ns" => "median delay",
        "delay_p99_ns" => "p99 delay",
        "never_arrived_ratio" => "never arrived",
        "loss_ratio" => "late or lost",
        "segment_loss_ratio" => "TCP segments sent again",
        "packet_loss_ratio" => "packet loss set",
        "payload_bytes" => "payload",
        "qos" => "QoS",
        "lost" => "message lost",
        "delay_of_last_arrived_ns" => "delay of the last that arrived before",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(a: &str, b: &str) -> EffectRow {
        EffectRow {
            condition_a: a.into(),
            condition_b: b.into(),
            ..EffectRow::default()
        }
    }

    #[test]
    fn contrasts_are_told_apart_from_what_is_held() {
        let contrast = Contrast::of(&row(
            "part=outage qos=2 fault=outage every 10s for 2s",
            "part=outage qos=0 fault=outage every 10s for 2s",
        ))
        .unwrap();
        assert_eq!(contrast.names("/"), "QoS 2 / QoS 0");
        assert_eq!(contrast.held(&["part"]), "outage every 10s for 2s");
        assert_eq!(contrast.depth(), 1);
        assert_eq!(Contrast::of(&row("all", "all")), None);
        assert_eq!(condition("qos=1 payload_bytes=1024"), "QoS 1, 1,024 B");
        assert_eq!(condition("all"), "all cells");
    }

    #[test]
    fn numbers_have_the_digits_that_they_are_worth() {
        assert_eq!(estimate(2.1, Some((1.93, 2.449))), "2.10 [1.93, 2.45]");
        assert_eq!(estimate(1234.5, None), "1,235");
        assert_eq!(estimate(0.0158, Some((0.0, 0.099))), "0.016 [0, 0.099]");
        assert_eq!(coefficient(-0.123, None), "−0.12");
        assert_eq!(p_value(0.000_2), "< 0.001");
        assert_eq!(
            share(&Proportion::new(0, 3_000)),
            "none of 3,000 lost (below 0.10 %)"
        );
    }
}
