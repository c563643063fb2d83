//! What a run has to hold (`--fail-on`): `delivery_qos1.p99>50ms`, `loss.qos1>0.1%`,
//! `finding>=warning`, `finding=CODE`. An expression says when a threshold is broken.

mod cells;
mod grammar;

use super::finding::{FindingDoc, Severity};
use super::{DelaySummary, Summary};
use crate::stats::Proportion;
use crate::time::TimeDelta;

pub use cells::CellThreshold;
use grammar::{Comparison, compact, comparison, duration, parts, share, wrong};
pub use grammar::{ThresholdError, nearest};

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

impl Threshold {
    /// Understands an expression. Codes of findings are those of `catalogue`; any code will do
    /// where that is empty.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the names that are known.
    pub fn parse(text: &str, catalogue: &[FindingDoc]) -> Result<Self, ThresholdError> {
        let compact = compact(text);
        let (name, operator, value) = parts(&compact).ok_or_else(|| {
            wrong(text, "it has no comparison; write one like 'delivery_qos1.p99>50ms', 'loss.qos1>0.1%', 'finding>=warning' or 'finding=CODE'")
        })?;
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
    Ok(Condition::Loss {
        kind,
        comparison: comparison(text, operator)?,
        ratio: share(text, value)?,
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
        nanos: duration(text, value)?,
    })
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
