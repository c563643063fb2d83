//! The verdict: what one would tell a colleague, with the numbers.

use super::condition::{counts, never_arrived, over_blocks};
use super::words::{self, Contrast, estimate};
use super::{Experiment, Level};
use crate::results::{CellRow, counted, grouped};

/// Invalid cells that are named; the others stand below.
const NAMED: usize = 3;

/// What the page says first.
pub(super) struct Verdict {
    /// `good`, `warning` or `error`.
    pub(super) class: &'static str,
    pub(super) sentences: Vec<String>,
}

pub(super) fn of(experiment: &Experiment) -> Verdict {
    let cells = &experiment.cells;
    if cells.iter().all(|cell| cell.sent == 0) {
        return Verdict {
            class: "warning",
            sentences: vec!["Nothing was measured: no message was written.".to_owned()],
        };
    }
    let mut sentences = vec![measured(experiment)];
    let part = experiment.main_part().unwrap_or_default();
    for level in experiment.levels(&part) {
        sentences.extend(of_level(experiment, &part, level));
    }
    for factor in ["qos", "link", "payload_bytes"] {
        sentences.extend(effects(experiment, factor));
    }
    if experiment.is_study() {
        sentences.extend(super::answer::in_short(experiment));
    }
    sentences.extend(invalid(experiment));
    let lost = cells.iter().any(|cell| cell.valid && cell.lost > 0);
    let disturbed = cells.iter().any(|cell| cell.fault.is_some());
    let class = match (lost, cells.iter().all(|cell| cell.valid)) {
        (_, true) if experiment.is_study() => "good",
        (true, _) if !disturbed && !experiment.is_study() => "error",
        (_, false) => "warning",
        (true, _) => "warning",
        (false, true) => "good",
    };
    Verdict { class, sentences }
}

/// What the broker is called.
pub(super) fn broker_name(experiment: &Experiment) -> String {
    let broker = &experiment.manifest.broker;
    let version = broker.version.as_deref().unwrap_or("");
    match (broker.name.as_str(), version) {
        ("embedded", version) => format!("the embedded broker {version}")
            .trim_end()
            .to_owned(),
        ("", "") => broker.url.clone().unwrap_or_else(|| "a broker".to_owned()),
        ("", version) => version.to_owned(),
        (name, "") => name.to_owned(),
        (name, version) if version.starts_with(name) => version.to_owned(),
        (name, version) => format!("{name} {version}"),
    }
}

/// What was measured, how often, and through what.
fn measured(experiment: &Experiment) -> String {
    let parts = experiment.parts();
    let main = experiment.main_part();
    let sent: u64 = experiment.cells.iter().map(|cell| cell.sent).sum();
    let cells: Vec<&CellRow> = (experiment.cells.iter())
        .filter(|cell| Some(&cell.part) == main.as_ref())
        .collect();
    let distinct = |of: &dyn Fn(&CellRow) -> String| -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        for cell in &cells {
            let level = of(cell);
            if !seen.contains(&level) {
                seen.push(level);
            }
        }
        seen
    };
    let sorted = |of: &dyn Fn(&CellRow) -> u64| -> Vec<String> {
        let mut values: Vec<u64> = cells.iter().map(|cell| of(cell)).collect();
        values.sort_unstable();
        values.dedup();
        values.into_iter().map(grouped).collect()
    };
    let mut how = vec![
        format!(
            "QoS {}",
            words::listed(&sorted(&|cell| u64::from(cell.qos)))
        ),
        format!(
            "payloads of {} bytes",
            words::listed(&sorted(&|c| c.payload_bytes))
        ),
    ];
    let rates = distinct(&|cell| format!("{:.0}", cell.rate_per_s));
    let schedules = distinct(&|cell| cell.schedule.to_string());
    if rates.len() == 1 {
        how.push(format!(
            "{} messages/s ({})",
            rates[0],
            words::listed(&schedules)
        ));
    }
    let links = distinct(&|cell| cell.link.as_deref().unwrap_or("").to_owned());
    if links.iter().any(|link| !link.is_empty()) {
        how.push(format!("links: {}", words::listed(&links)));
    }
    let faults = distinct(&|cell| cell.fault.as_deref().unwrap_or("").to_owned());
    let faults: Vec<String> = faults
        .into_iter()
        .filter(|fault| !fault.is_empty())
        .collect();
    if !faults.is_empty() {
        how.push(format!("with {}", words::listed(&faults)));
    }
    let extensions: Vec<String> = (parts.iter())
        .filter(|part| Some(*part) != main.as_ref())
        .map(|part| part.replace('_', " "))
        .collect();
    if !extensions.is_empty() {
        how.push(format!("further parts: {}", words::listed(&extensions)));
    }
    format!(
        "Measured: {} in {} through {}: {}.",
        counted(sent, "message"),
        counted(experiment.cells.len() as u64, "cell"),
        broker_name(experiment),
        how.join("; ")
    )
}

/// Loss and delay of one QoS level.
fn of_level(experiment: &Experiment, part: &str, level: Level) -> Option<String> {
    let cells: Vec<&CellRow> = (experiment.cells.iter())
        .filter(|cell| &*cell.part == part && level.has(cell) && counts(cell))
        .collect();
    if cells.is_empty() {
        return Some(format!("{}: not one valid cell.", level.label()));
    }
    let loss = words::share(&never_arrived(&cells));
    let median = over_blocks(&cells, experiment.manifest.seed, |cell| {
        cell.delay_median_ns
    });
    let delay = match median {
        Some((value, interval)) => {
            format!("median delay {}", words::delay_estimate(value, interval))
        }
        None => "too few arrived for a median delay".to_owned(),
    };
    let late: u64 = cells.iter().map(|cell| cell.late).sum();
    let late = match late {
        0 => String::new(),
        late => format!(", {} late", grouped(late)),
    };
    Some(format!(
        "{}: {loss}{late}; {delay} over {}.",
        level.label(),
        counted(cells.len() as u64, "cell")
    ))
}

/// `QoS 2 / QoS 0 median delay 2.1 [1.9, 2.4], 10 blocks`: what this factor does, everything else
/// together.
fn effects(experiment: &Experiment, factor: &str) -> Option<String> {
    let main = experiment.main_part();
    let ratios = (experiment.effects.iter())
        .filter(|row| &*row.quantity == "delay_median_ns" && &*row.measure == "ratio");
    let of_factor = ratios.filter_map(|row| {
        let contrast = Contrast::of(row)?;
        let of_part = contrast
            .level("part")
            .is_none_or(|p| Some(p) == main.as_deref());
        let general = contrast.factor == factor && contrast.depth() == 0 && of_part;
        general.then(|| {
            row.value.map(|value| {
                let blocks = row.blocks;
                let text = estimate(value, row.ci_low.zip(row.ci_high));
                (blocks, format!("{} {text}", contrast.names("/")))
            })
        })?
    });
    let mut found: Vec<(u64, String)> = of_factor.collect();
    // Of many payloads the longest says most.
    if found.len() > 4 {
        found.drain(..found.len() - 1);
    }
    let blocks = found.iter().map(|(blocks, _)| *blocks).max()?;
    let texts: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
    Some(format!(
        "Median delay, ratio: {}; {}.",
        texts.join(", "),
        counted(blocks, "block")
    ))
}

fn invalid(experiment: &Experiment) -> Option<String> {
    let cells = &experiment.cells;
    let invalid: Vec<&CellRow> = cells.iter().filter(|cell| !cell.valid).collect();
    if invalid.is_empty() {
        return Some("Every cell is valid: the tester held its schedule.".to_owned());
    }
    let named: Vec<String> = (invalid.iter().take(NAMED))
        .map(|cell| {
            format!(
                "cell {} ({}): {}",
                cell.cell,
                super::condition::label(cell),
                cell.invalid_reason.as_deref().unwrap_or("no reason given")
            )
        })
        .collect();
    let more = match invalid.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; {more} more below"),
    };
    let saturated = invalid.iter().filter(|cell| cell.saturated).count();
    let saturated = match saturated {
        0 => String::new(),
        many => format!(" ({many} saturated)"),
    };
    Some(format!(
        "{} of {} {} invalid{saturated} and left out: {}{more}.",
        grouped(invalid.len() as u64),
        counted(cells.len() as u64, "cell"),
        if invalid.len() == 1 { "is" } else { "are" },
        named.join("; ")
    ))
}
