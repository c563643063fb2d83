//! What a run has to hold (`--fail-on`): `delivery_qos1.p99>50ms`, `loss.qos1>0.1%`,
//! `finding>=warning`, `finding=CODE`. An expression says when a threshold is broken.

use super::finding::{FindingDoc, Severity};
use super::{DelaySummary, Summary};
use crate::stats::Proportion;
use crate::time::TimeDelta;
use std::fmt;

/// Every delay that the summary can have.
const DELAYS: [&str; 27] = [
    "delivery_qos0",
    "delivery_qos1",
    "delivery_qos2",
    "turnaround_qos0",
    "turnaround_qos1",
    "turnaround_qos2",
    "residence_qos0",
    "residence_qos1",
    "residence_qos2",
    "puback",
    "puback.to_broker",
    "puback.to_client",
    "pubrec",
    "pubrec.to_broker",
    "pubrec.to_client",
    "pubrel",
    "pubrel.to_broker",
    "pubrel.to_client",
    "pubcomp",
    "pubcomp.to_broker",
    "pubcomp.to_client",
    "qos2_total",
    "qos2_total.to_broker",
    "qos2_total.to_client",
    "connect",
    "subscribe",
    "ping",
];
const STATISTICS: [&str; 7] = ["min", "mean", "p50", "p90", "p99", "p999", "max"];
const LOSSES: [&str; 7] = [
    "message", "qos0", "qos1", "qos2", "segment", "capture", "exchange",
];

/// One `--fail-on`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Delay {
        name: String,
        statistic: &'static str,
        comparison: Comparison,
        nanos: f64,
    },
    Loss {
        kind: &'static str,
        comparison: Comparison,
        ratio: f64,
    },
    FindingAtLeast(Severity),
    FindingCode(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// An expression that cannot be understood: what it says, and what could stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdError(String);

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ThresholdError {}

impl Threshold {
    /// Understands an expression. Codes of findings are those of `catalogue`; any code will do
    /// where that is empty.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the names that are known.
    pub fn parse(text: &str, catalogue: &[FindingDoc]) -> Result<Self, ThresholdError> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let at = compact.find(['<', '>', '=']).ok_or_else(|| {
            wrong(text, "it has no comparison; write one like 'delivery_qos1.p99>50ms', 'loss.qos1>0.1%', 'finding>=warning' or 'finding=CODE'")
        })?;
        let (name, rest) = compact.split_at(at);
        let (operator, value) = rest.split_at(operator_length(rest));
        let condition = match name.split_once('.') {
            None if name == "finding" => finding(text, operator, value, catalogue)?,
            Some(("loss", kind)) => loss(text, kind, operator, value)?,
            Some(_) => delay(text, name, operator, value)?,
            None => return Err(unknown(text, name)),
        };
        Ok(Self {
            text: text.to_owned(),
            condition,
        })
    }

    /// A line that says how the run breaks this, or `None` where it holds. A value that does not
    /// exist breaks it. `severity` tells how bad a finding's code is
    /// ([`finding_severity`](super::finding_severity)).
    #[must_use]
    pub fn broken(&self, summary: &Summary, severity: &dyn Fn(&str) -> Severity) -> Option<String> {
        let said = match &self.condition {
            Condition::Delay {
                name,
                statistic,
                comparison,
                nanos,
            } => broken_delay(
                summary.delays.get(name),
                (name, statistic),
                *comparison,
                *nanos,
            ),
            Condition::Loss {
                kind,
                comparison,
                ratio,
            } => broken_loss(loss_of(summary, kind), kind, *comparison, *ratio),
            Condition::FindingAtLeast(least) => broken_findings(summary, severity, *least),
            Condition::FindingCode(code) => match summary.findings.get(code) {
                Some(count) if *count > 0 => Some(format!("{code} was found {count} times")),
                _ => None,
            },
        }?;
        Some(format!("{}: {said}", self.text))
    }
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

    fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}

fn operator_length(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| matches!(byte, b'<' | b'>' | b'='))
        .count()
}

fn wrong(text: &str, detail: &str) -> ThresholdError {
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

fn unknown(text: &str, name: &str) -> ThresholdError {
    let delays: Vec<&str> = DELAYS.into_iter().chain(["tcp_handshake"]).collect();
    if let Some((delay, statistic)) = name.rsplit_once('.')
        && delays.contains(&delay)
    {
        let known = STATISTICS.join(", ");
        return wrong(
            text,
            &format!("'{statistic}' is no statistic of {delay}; known are {known}"),
        );
    }
    if let Some(kind) = name.strip_prefix("loss.") {
        let known = LOSSES.join(", ");
        return wrong(
            text,
            &format!("'{kind}' is no kind of loss; known are {known}"),
        );
    }
    wrong(
        text,
        &format!(
            "'{name}' is nothing that is measured. Known: DELAY.STATISTIC with DELAY one of {} \
             and STATISTIC one of {}; loss.KIND with KIND one of {}; finding",
            delays.join(", "),
            STATISTICS.join(", "),
            LOSSES.join(", ")
        ),
    )
}

fn comparison(text: &str, operator: &str) -> Result<Comparison, ThresholdError> {
    Comparison::from_operator(operator).ok_or_else(|| {
        wrong(
            text,
            &format!("'{operator}' is no comparison here; write >, >=, < or <="),
        )
    })
}

fn finding(
    text: &str,
    operator: &str,
    value: &str,
    catalogue: &[FindingDoc],
) -> Result<Condition, ThresholdError> {
    match operator {
        ">=" => Severity::from_name(value)
            .map(Condition::FindingAtLeast)
            .ok_or_else(|| {
                let known = Severity::ALL.map(Severity::name).join(", ");
                wrong(
                    text,
                    &format!("'{value}' is no severity; known are {known}"),
                )
            }),
        "=" | "==" => {
            let known = catalogue.is_empty() || catalogue.iter().any(|doc| doc.code == value);
            if known && !value.is_empty() {
                return Ok(Condition::FindingCode(value.to_owned()));
            }
            let like = nearest(value, catalogue.iter().map(|doc| doc.code));
            let hint = like.map_or_else(
                || "docs/findings.md lists them".to_owned(),
                |code| format!("the nearest is {code}; docs/findings.md lists all"),
            );
            Err(wrong(
                text,
                &format!("'{value}' is no code of a finding: {hint}"),
            ))
        }
        _ => Err(wrong(
            text,
            "findings are compared as finding>=SEVERITY or finding=CODE",
        )),
    }
}

fn loss(text: &str, kind: &str, operator: &str, value: &str) -> Result<Condition, ThresholdError> {
    let kind = LOSSES
        .into_iter()
        .find(|known| *known == kind)
        .ok_or_else(|| unknown(text, &format!("loss.{kind}")))?;
    let number = |text: &str| text.parse().ok().filter(|n: &f64| n.is_finite());
    let ratio = match value.strip_suffix('%') {
        Some(percent) => number(percent).map(|percent: f64| percent / 100.0),
        None => number(value),
    };
    Ok(Condition::Loss {
        kind,
        comparison: comparison(text, operator)?,
        ratio: ratio.ok_or_else(|| {
            wrong(
                text,
                &format!("'{value}' is no share; write one like 0.1% or 0.001"),
            )
        })?,
    })
}

fn delay(text: &str, name: &str, operator: &str, value: &str) -> Result<Condition, ThresholdError> {
    let parts = name.rsplit_once('.');
    let known = |name: &str| DELAYS.contains(&name) || name == "tcp_handshake";
    let (name, statistic) = parts
        .and_then(|(name, statistic)| {
            let statistic = STATISTICS.into_iter().find(|known| *known == statistic)?;
            known(name).then_some((name, statistic))
        })
        .ok_or_else(|| unknown(text, name))?;
    Ok(Condition::Delay {
        name: name.to_owned(),
        statistic,
        comparison: comparison(text, operator)?,
        nanos: duration(value).ok_or_else(|| {
            wrong(
                text,
                &format!(
                    "'{value}' is no duration; write one with its unit, like 500us, 50ms or 1.5s"
                ),
            )
        })?,
    })
}

/// `50ms` in nanoseconds; the unit is needed, but for 0.
fn duration(text: &str) -> Option<f64> {
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

fn statistic(delay: &DelaySummary, name: &str) -> Option<i64> {
    match name {
        "min" => delay.min_ns,
        "mean" => delay.mean_ns,
        "p50" => delay.p50_ns,
        "p90" => delay.p90_ns,
        "p99" => delay.p99_ns,
        "p999" => delay.p999_ns,
        _ => delay.max_ns,
    }
}

fn broken_delay(
    delay: Option<&DelaySummary>,
    (name, which): (&str, &str),
    comparison: Comparison,
    limit: f64,
) -> Option<String> {
    let Some(delay) = delay.filter(|delay| delay.count > 0) else {
        return Some(format!("there is no {name} to measure (n = 0)"));
    };
    let n = delay.count;
    let Some(value) = statistic(delay, which) else {
        return Some(format!(
            "{name} has no {which}: fewer than ten of the observations are beyond it (n = {n})"
        ));
    };
    comparison.holds(value as f64, limit).then(|| {
        let shown = TimeDelta::from_nanos(value);
        format!("it is {shown} ({value} ns; n = {n})")
    })
}

fn loss_of(summary: &Summary, kind: &str) -> Option<Proportion> {
    let loss = &summary.loss;
    let message = loss.message.as_ref();
    match kind {
        "message" => message.map(|message| message.all),
        "qos0" => message.and_then(|message| message.qos0),
        "qos1" => message.and_then(|message| message.qos1),
        "qos2" => message.and_then(|message| message.qos2),
        "segment" => loss.segment,
        "capture" => loss.capture,
        _ => loss.exchange,
    }
}

fn broken_loss(
    share: Option<Proportion>,
    kind: &str,
    comparison: Comparison,
    limit: f64,
) -> Option<String> {
    let Some((share, ratio)) = share.and_then(|share| Some((share, share.ratio?))) else {
        return Some(format!(
            "there is nothing that loss.{kind} is a share of (n = 0)"
        ));
    };
    comparison.holds(ratio, limit).then(|| {
        let Proportion { count, of, .. } = share;
        format!("it is {} % ({count} of n = {of})", super::percent(ratio))
    })
}

fn broken_findings(
    summary: &Summary,
    severity: &dyn Fn(&str) -> Severity,
    least: Severity,
) -> Option<String> {
    let codes: Vec<(&str, u64)> = summary
        .findings
        .iter()
        .filter(|&(code, &count)| count > 0 && severity(code) >= least)
        .map(|(code, &count)| (code.as_str(), count))
        .collect();
    if codes.is_empty() {
        return None;
    }
    let total: u64 = codes.iter().map(|(_, count)| count).sum();
    let listed: Vec<String> = codes
        .iter()
        .map(|(code, count)| format!("{count} {code}"))
        .collect();
    Some(format!(
        "{total} found, of severity {} or worse: {}",
        least.name(),
        listed.join(", ")
    ))
}

#[cfg(test)]
mod tests;
