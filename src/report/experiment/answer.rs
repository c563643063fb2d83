//! The published study's question, answered from the tables: how loss and delay go together at each
//! QoS, what payloads do, and wired against wireless.

use super::condition::{counts, never_arrived};
use super::words::{self, Contrast, coefficient, delay_estimate, estimate, p_value};
use super::{Experiment, Level};
use crate::results::{CellRow, CorrelationRow, counted, grouped};

/// Where a value of the paper would stand.
pub(in crate::report) const NOT_AVAILABLE: &str = "published values: not available";

/// One part of the answer.
pub(super) struct Answer {
    pub(super) question: &'static str,
    pub(super) ours: Vec<String>,
}

pub(super) fn answers(experiment: &Experiment) -> Vec<Answer> {
    let Some(main) = experiment.main_part() else {
        return Vec::new();
    };
    vec![
        Answer {
            question: "How do loss and delay go together, at each QoS?",
            ours: together(experiment),
        },
        Answer {
            question: "How do delay and loss depend on QoS?",
            ours: levels(experiment, &main),
        },
        Answer {
            question: "What does the payload's size do?",
            ours: payloads(experiment, &main),
        },
        Answer {
            question: "Wired against wireless?",
            ours: links(experiment, &main),
        },
    ]
}

/// The sentence of each QoS in each part, from the rank correlation of never-arrived loss with the
/// median delay.
fn together(experiment: &Experiment) -> Vec<String> {
    let parts = experiment
        .parts()
        .into_iter()
        .filter(|part| &**part != super::combench::PART);
    let mut sentences = Vec::new();
    for part in parts {
        let name = part_name(&part);
        let levels = experiment.levels(&part);
        let rows: Vec<(Level, Option<&CorrelationRow>)> = (levels.iter())
            .map(|level| (*level, row(experiment, &part, *level)))
            .collect();
        let lost = experiment
            .cells
            .iter()
            .any(|c| c.part == part && counts(c) && c.lost > 0);
        if !lost {
            let cells: Vec<&CellRow> = (experiment.cells.iter())
                .filter(|cell| cell.part == part && counts(cell))
                .collect();
            if cells.is_empty() {
                continue;
            }
            let again = cells
                .iter()
                .any(|cell| cell.segment_loss_ratio.unwrap_or(0.0) > 0.0);
            let repaired = if again {
                " TCP repaired what the links lost."
            } else {
                ""
            };
            sentences.push(format!(
                "{name}: {}; loss does not vary, so its correlation with delay is undefined at every \
                 QoS.{repaired}",
                words::share(&never_arrived(&cells))
            ));
            continue;
        }
        for (level, row) in rows {
            let text = match row {
                None => "no correlation was evaluated".to_owned(),
                Some(row) => correlation(row),
            };
            sentences.push(format!("{name}, {}: {text}.", level.label()));
        }
    }
    if sentences.is_empty() {
        sentences.push("Not enough data: no valid cell.".to_owned());
    }
    sentences
}

/// `Packet loss`.
fn part_name(part: &str) -> String {
    match part {
        "main" => "Main matrix".to_owned(),
        "packet_loss" => "Packet loss".to_owned(),
        "outage" => "Outages".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The headline row of a QoS within a part; a part that is alone is not named in strata, and a QoS
/// that is alone neither.
fn row<'e>(experiment: &'e Experiment, part: &str, level: Level) -> Option<&'e CorrelationRow> {
    let qos = format!("qos={}", level.qos);
    let one_level = experiment.levels(part).len() == 1;
    let strata = match (experiment.parts().len() > 1, one_level) {
        (true, false) => format!("part={part} {qos}"),
        (true, true) => format!("part={part}"),
        (false, false) => qos,
        (false, true) => "all".to_owned(),
    };
    experiment.correlations.iter().find(|row| {
        &*row.x == "never_arrived_ratio"
            && &*row.y == "delay_median_ns"
            && &*row.method == "spearman"
            && *row.stratum == *strata
    })
}

/// `loss and delay grow together, ρ = 0.83 [0.61, 0.95], p = 0.002 (0.013 after Holm), 18 cells`.
fn correlation(row: &CorrelationRow) -> String {
    let Some(value) = row.coefficient else {
        let note = row.note.as_deref().unwrap_or("undefined");
        return format!("the correlation is {note}");
    };
    let interval = row.ci_low.zip(row.ci_high);
    // Few blocks have narrow intervals: both tests have to agree.
    let apart = interval.is_some_and(|(low, high)| low > 0.0 || high < 0.0);
    let below = |p: Option<f64>| p.is_some_and(|p| p < 0.05);
    let direction = match value > 0.0 {
        true => "loss and delay grow together",
        false => "more loss goes with shorter delays of what arrives",
    };
    let how = match (apart, below(row.p_value), below(row.p_adjusted)) {
        (true, _, true) => direction.to_owned(),
        (true, true, false) => {
            format!("{direction}, as it seems (not certain among so many pairs)")
        }
        _ => "no clear direction".to_owned(),
    };
    let p = match (row.p_value, row.p_adjusted) {
        (Some(p), Some(adjusted)) => {
            format!(
                ", p {} ({} after Holm)",
                equal(&p_value(p)),
                p_value(adjusted)
            )
        }
        (Some(p), None) => format!(", p {}", equal(&p_value(p))),
        _ => String::new(),
    };
    format!(
        "{how}: Spearman's ρ = {}{p}, {}",
        coefficient(value, interval),
        counted(row.n, "cell")
    )
}

fn equal(p: &str) -> String {
    if p.starts_with('<') {
        p.to_owned()
    } else {
        format!("= {p}")
    }
}

/// Ratios and differences of median delays between the levels of a factor: over everything, and
/// within each level of `also`.
fn delays(experiment: &Experiment, factor: &str, also: &[&str]) -> Vec<String> {
    let main = experiment.main_part();
    let mut sentences: Vec<String> = Vec::new();
    for row in experiment
        .effects
        .iter()
        .filter(|row| &*row.quantity == "delay_median_ns")
    {
        let Some(contrast) = Contrast::of(row).filter(|contrast| contrast.factor == factor) else {
            continue;
        };
        let of_main = contrast
            .level("part")
            .is_none_or(|p| Some(p) == main.as_deref());
        let mut held = contrast
            .held
            .iter()
            .map(|(f, _)| f.as_str())
            .filter(|f| *f != "part");
        if !of_main || contrast.depth() > 1 || held.any(|f| !also.contains(&f)) {
            continue;
        }
        let Some(value) = row.value else { continue };
        let interval = row.ci_low.zip(row.ci_high);
        let within = match contrast.held(&["part"]) {
            all if all.is_empty() => String::new(),
            held => format!(" ({held})"),
        };
        let text = match &*row.measure {
            "ratio" => format!(
                "{}{within}: median delay × {}, {}",
                contrast.names("/"),
                estimate(value, interval),
                counted(row.blocks, "block")
            ),
            _ => {
                // The difference stands behind the ratio of the same two.
                if let Some(last) = sentences.last_mut() {
                    let difference = delay_estimate(value, interval);
                    last.insert_str(last.len() - 1, &format!("; difference {difference}"));
                }
                continue;
            }
        };
        sentences.push(text + ".");
    }
    if sentences.is_empty() {
        sentences
            .push("Not enough data: no two conditions with valid cells in one block.".to_owned());
    }
    sentences
}

/// What QoS does to delay in the main part, and to loss in every part.
fn levels(experiment: &Experiment, main: &str) -> Vec<String> {
    let mut sentences = delays(experiment, "qos", &["link"]);
    let parts = experiment.parts().into_iter();
    for part in parts.filter(|part| &**part != super::combench::PART) {
        let levels: Vec<u8> = (experiment.levels(&part).iter())
            .map(|level| level.qos)
            .collect();
        let loss = by_level(
            experiment,
            &part,
            &levels,
            |cell| cell.qos,
            |qos| format!("QoS {qos}"),
        );
        sentences.extend(loss.map(|loss| match &*part == main {
            true => loss,
            false => format!("{}. {loss}", part_name(&part)),
        }));
    }
    sentences
}

/// All of [`together`] in one sentence.
pub(super) fn in_short(experiment: &Experiment) -> Option<String> {
    let parts = experiment
        .parts()
        .into_iter()
        .filter(|part| &**part != super::combench::PART);
    let of_part = |part: &str| {
        let levels = experiment.levels(part);
        let texts: Vec<String> = (levels.iter())
            .filter_map(|level| {
                let row = row(experiment, part, *level)?;
                let value = row.coefficient.map_or_else(
                    || "undefined".to_owned(),
                    |value| coefficient(value, row.ci_low.zip(row.ci_high)),
                );
                Some(format!("{} {value}", level.label()))
            })
            .collect();
        (!texts.is_empty())
            .then(|| format!("{}: {}", part_name(part).to_lowercase(), texts.join(", ")))
    };
    let texts: Vec<String> = parts.filter_map(|part| of_part(&part)).collect();
    (!texts.is_empty()).then(|| {
        format!(
            "Loss against delay, Spearman's ρ over cells (undefined where nothing, or always as much, was \
             lost): {}.",
            texts.join("; ")
        )
    })
}

fn payloads(experiment: &Experiment, main: &str) -> Vec<String> {
    let payloads = experiment.payloads(main);
    let (Some(first), Some(last)) = (payloads.first(), payloads.last()) else {
        return Vec::new();
    };
    if first == last {
        return vec![format!(
            "Not asked: all payloads have {} bytes.",
            grouped(*first)
        )];
    }
    // The longest against the shortest says most; the table has every other.
    let ends = format!("{} B / {} B", grouped(*last), grouped(*first));
    let mut sentences: Vec<String> = delays(experiment, "payload_bytes", &["qos", "link"])
        .into_iter()
        .filter(|sentence| sentence.starts_with(&ends) || sentence.starts_with("Not enough"))
        .collect();
    sentences.extend(by_level(
        experiment,
        main,
        &payloads,
        |cell| cell.payload_bytes,
        |bytes| format!("{} B", grouped(*bytes)),
    ));
    sentences
}

fn links(experiment: &Experiment, main: &str) -> Vec<String> {
    let links = experiment.links(main);
    if links.len() < 2 {
        return vec!["Not asked: there is one link only.".to_owned()];
    }
    let mut sentences = delays(experiment, "link", &["qos"]);
    sentences.extend(by_level(
        experiment,
        main,
        &links,
        |cell| cell.link.clone(),
        |link| link.as_deref().unwrap_or("no link").to_owned(),
    ));
    sentences
}

/// Loss at each level of a factor, in one sentence.
fn by_level<L: PartialEq>(
    experiment: &Experiment,
    part: &str,
    levels: &[L],
    of: impl Fn(&CellRow) -> L,
    name: impl Fn(&L) -> String,
) -> Option<String> {
    let cells = |level: &L| -> Vec<&CellRow> {
        let cells = experiment.cells.iter();
        cells
            .filter(|c| &*c.part == part && counts(c) && of(c) == *level)
            .collect()
    };
    let all: Vec<&CellRow> = levels.iter().flat_map(&cells).collect();
    if all.is_empty() {
        return None;
    }
    if all.iter().all(|cell| cell.lost == 0) {
        let none = words::share(&never_arrived(&all));
        return Some(format!("Loss: {none}, at every level."));
    }
    let of_level = |level: &L| {
        let cells = cells(level);
        let share = match cells.as_slice() {
            [] => "no valid cell".to_owned(),
            cells => words::share(&never_arrived(cells)),
        };
        format!("{}: {share}", name(level))
    };
    let texts: Vec<String> = levels.iter().map(of_level).collect();
    Some(format!("Loss: {}.", texts.join("; ")))
}
