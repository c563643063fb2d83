//! The verdict: what one would tell a colleague in a sentence or two.

use crate::report::digest::Digest;
use crate::results::{FindingDoc, Severity, counted, grouped, percent};
use crate::stats::Proportion;

/// What the page says first.
pub(super) struct Verdict {
    /// `good`, `warning` or `error`; empty where there is nothing to judge.
    pub(super) class: &'static str,
    pub(super) sentences: Vec<String>,
}

pub(super) fn of(digest: &Digest, catalogue: &[FindingDoc]) -> Verdict {
    let summary = &digest.summary;
    let unreadable = unreadable(digest);
    if summary.mqtt.packets == 0 {
        let sentence = match unreadable {
            0 => "No MQTT was found in what was captured.".to_owned(),
            1 => "No MQTT can be read here: the one connection is encrypted, and there are no keys to it.".to_owned(),
            many => format!(
                "No MQTT can be read here: all {} connections are encrypted, and there are no keys to them.",
                grouped(many)
            ),
        };
        return Verdict {
            class: "warning",
            sentences: vec![sentence],
        };
    }
    let (class_of_messages, messages) = messages(digest);
    let (worst, found) = found(digest, catalogue);
    let mut sentences = vec![messages];
    sentences.extend(found);
    if unreadable > 0 {
        let connections = counted(unreadable, "connection");
        sentences.push(format!(
            "{connections} could not be read: encrypted, and there are no keys."
        ));
    }
    let class = match worst {
        Some(Severity::Error) => "error",
        _ if class_of_messages == "error" => "error",
        Some(Severity::Warning) => "warning",
        _ if unreadable > 0 => "warning",
        _ => class_of_messages,
    };
    Verdict { class, sentences }
}

fn unreadable(digest: &Digest) -> u64 {
    if let Some(connections) = &digest.connections {
        return connections.unreadable;
    }
    if digest.summary.mqtt.packets > 0 {
        return 0;
    }
    let transports = &digest.summary.transports;
    ["tls", "wss"]
        .iter()
        .filter_map(|name| transports.get(*name))
        .sum()
}

/// How bad it is with messages, and the sentence on it.
fn messages(digest: &Digest) -> (&'static str, String) {
    let loss = &digest.summary.loss;
    if let Some(share) = loss.message.map(|message| message.all).filter(|s| s.of > 0) {
        let of = counted(share.of, "expected delivery").replace("deliverys", "deliveries");
        return match share.count {
            0 => (
                "good",
                format!(
                    "None of {of} was lost; the true share is below {} %.",
                    upper(&share)
                ),
            ),
            count => (
                "error",
                format!(
                    "{} of {of} were lost: {} % (95 % interval {} to {} %).",
                    grouped(count),
                    percent(share.ratio.unwrap_or(0.0)),
                    percent(share.ci_low.unwrap_or(0.0)),
                    upper(&share)
                ),
            ),
        };
    }
    let summary = &digest.summary;
    let mut sentence = format!(
        "{} to the broker and {} to clients were seen",
        counted(summary.publishes.to_broker.total(), "message"),
        grouped(summary.publishes.to_client.total())
    );
    let mut unfinished = false;
    if let Some(exchange) = loss.exchange.filter(|share| share.of > 0) {
        unfinished = exchange.count > 0;
        sentence += &match exchange.count {
            0 => format!(
                "; all {} were completed",
                counted(exchange.of, "QoS 1 and 2 exchange")
            ),
            count => format!(
                "; {} of {} were not completed",
                grouped(count),
                counted(exchange.of, "QoS 1 and 2 exchange")
            ),
        };
    }
    let class = if unfinished { "warning" } else { "good" };
    (class, sentence + ".")
}

fn upper(share: &Proportion) -> String {
    percent(share.ci_high.unwrap_or(1.0))
}

/// The worst severity, and what was found of it.
fn found(digest: &Digest, catalogue: &[FindingDoc]) -> (Option<Severity>, Option<String>) {
    let counts = &digest.summary.findings;
    let of = |code: &str| digest.severity(code, catalogue);
    let mut by_severity = [0_u64; 4];
    let mut worst = None;
    for (code, count) in counts.iter().filter(|(_, count)| **count > 0) {
        let severity = of(code);
        by_severity[severity as usize] += count;
        worst = worst.max(Some(severity));
    }
    if worst.is_none() {
        let looked = digest.findings.is_some();
        let sentence = looked.then(|| "Nothing was found that needs attention.".to_owned());
        return (None, sentence);
    }
    let parts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .filter(|severity| by_severity[*severity as usize] > 0)
        .map(|severity| {
            let count = by_severity[severity as usize];
            match severity {
                Severity::Info => format!("{} for information", grouped(count)),
                other => counted(count, other.name()),
            }
        })
        .collect();
    (worst, Some(format!("Found: {}.", parts.join(", "))))
}
