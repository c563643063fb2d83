//! What only a study has: the testbed, the answer, and the extensions.

use super::delays::middle;
use super::{drawn, not_enough, ratio};
use crate::report::experiment::answer::{NOT_AVAILABLE, answers};
use crate::report::experiment::combench::{Step, curve, never_falls};
use crate::report::experiment::condition::{Condition, over_blocks};
use crate::report::experiment::links::{set_and_measured, setting_of};
use crate::report::experiment::words::delay_estimate;
use crate::report::experiment::{Experiment, setting};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, safe, table};
use crate::results::{CellRow, counted, percent};
use crate::time::TimeDelta;
use maud::{Markup, html};
use serde_json::Value;

/// The paper that the study follows.
const PAPER: &str = "S. Lee, H. Kim, D. Hong, H. Ju, “Correlation Analysis of MQTT Loss and Delay According \
                     to QoS Level”, ICOIN 2013, pp. 714–717, doi:10.1109/ICOIN.2013.6496715";

/// The question and its answer in words.
pub(super) fn answer(experiment: &Experiment) -> Markup {
    html! {
        p.lead { "The question is that of " (PAPER) "." }
        @for answer in answers(experiment) {
            h3 { (answer.question) }
            ul { @for sentence in &answer.ours { li { (safe(sentence)) } } }
            p.small { "In the paper: " (NOT_AVAILABLE) "." }
        }
        h3 { "What is the paper's, and what is ours" }
        p {
            "From the paper's abstract: the design, with three QoS levels, a wired and a wireless publisher, "
            "various payload sizes, a broker and a subscriber, captured packets, and the correlation of "
            "end-to-end delay with message loss. Its tables, payload sizes and coefficients were not available, "
            "so nothing here is held against them."
        }
        p {
            "Ours: the payload sizes, rates and numbers of messages; emulated links in place of real ones, with "
            "their numbers below; the broker and its configuration; run-level statistics with intervals, since "
            "messages of one run are alike; and the extensions, since TCP repairs lost packets, and without a "
            "lost connection, a deadline or a full queue no message is lost."
        }
    }
}

/// The drawing, and every link as set and as measured.
pub(super) fn testbed(experiment: &Experiment, figures: &[Figure]) -> Markup {
    use Column::{Text, Word};
    let links = &experiment.manifest.links;
    let rows = links.iter().map(|link| {
        let others = link.settings.iter().filter(|(name, value)| {
            !matches!(name.as_str(), "link" | "direction") && !value.is_null()
        });
        let others = others.map(|(name, value)| match value {
            Value::String(text) => format!("{name} {text}"),
            value => format!("{name} {value}"),
        });
        vec![
            Cell::text(&link.profile),
            Cell::text(setting_of(link, "link").unwrap_or("")),
            Cell::text(setting_of(link, "direction").unwrap_or("")),
            Cell::text(&set_and_measured(&[link])),
            Cell::text(
                match (link.measured_loss_ci_low, link.measured_loss_ci_high) {
                    (Some(low), Some(high)) => format!("{} to {} %", percent(low), percent(high)),
                    _ => "–".to_owned(),
                }
                .as_str(),
            ),
            Cell::text(if link.met { "yes" } else { "no" }),
            Cell::text(&others.collect::<Vec<_>>().join("; ")),
            Cell::text(&link.source),
        ]
    });
    let columns = [
        Word("profile"),
        Word("of"),
        Word("direction"),
        Text("set (measured)"),
        Word("loss measured, 95 %"),
        Word("met"),
        Text("everything set"),
        Text("source"),
    ];
    html! {
        @if links.is_empty() {
            (not_enough("no link was emulated or measured"))
        } @else {
            (drawn(figures, "testbed", Some(table("", &columns, rows))))
        }
    }
}

/// Loss against delay, and the matrix.
pub(super) fn correlations(experiment: &Experiment, figures: &[Figure]) -> Markup {
    html! {
        p.lead {
            "The statistical unit is the cell. The headline is the share of messages that never arrived against "
            "the median delay of what arrived, late messages included: a lost message has no delay."
        }
        (drawn(figures, "loss-against-delay", None))
        (drawn(figures, "correlations", None))
        (super::correlations::tables(experiment))
    }
}

/// Packet loss and outages.
pub(super) fn extensions(experiment: &Experiment, figures: &[Figure]) -> Markup {
    html! {
        p.lead {
            "TCP repairs lost packets, which costs time. Messages are lost where a connection is lost, or where "
            "the time to wait for them is over. These parts go that far."
        }
        @for (part, name, title) in [("packet_loss", "packet-loss", "Packet loss"), ("outage", "outage", "Outages")] {
            @if experiment.cells.iter().any(|cell| &*cell.part == part) {
                (drawn(figures, name, Some(conditions(experiment, part))))
            } @else {
                h3 { (title) }
                p.none { "Not part of this plan." }
            }
        }
    }
}

fn conditions(experiment: &Experiment, part: &str) -> Markup {
    use Column::{Number, Word};
    let columns = [
        Word("QoS"),
        Word("setting"),
        Number("valid cells"),
        Number("written"),
        Number("never arrived"),
        Number("share"),
        Number("median delay [95 % over blocks]"),
        Number("p95"),
        Number("TCP recovery, mean"),
    ];
    let conditions = experiment.conditions(part);
    let rows = conditions.iter().map(|condition| {
        let share = condition.never_arrived();
        vec![
            Cell::text(&format!("QoS {}", condition.first.qos)),
            Cell::text(&setting(condition.first)),
            Cell::count(condition.cells.len() as u64),
            Cell::count(share.of),
            Cell::trouble(share.count),
            ratio(share.ratio),
            estimated(experiment, condition, |cell| cell.delay_median_ns),
            estimated(experiment, condition, |cell| cell.delay_p95_ns),
            estimated(experiment, condition, |cell| cell.tcp_recovery_ns),
        ]
    });
    table("", &columns, rows)
}

fn estimated(
    experiment: &Experiment,
    condition: &Condition<'_>,
    of: impl Fn(&CellRow) -> Option<TimeDelta>,
) -> Cell {
    match over_blocks(&condition.cells, experiment.manifest.seed, of) {
        Some((value, interval)) => Cell::sorted(delay_estimate(value, interval), value),
        None => Cell::missing(),
    }
}

/// Where the delay comes from, and the two measurements side by side.
pub(super) fn packets(experiment: &Experiment, figures: &[Figure]) -> Markup {
    let has = |of: fn(&CellRow) -> Option<TimeDelta>| {
        experiment.cells.iter().any(|cell| of(cell).is_some())
    };
    html! {
        p.lead {
            "Every message was also followed through the packets at the three taps, by the passive analysis, "
            "which knows nothing of the prober's stamps."
        }
        @if has(|cell| cell.publisher_link_ns) {
            (drawn(figures, "delay-split", Some(split(experiment))))
        } @else {
            (not_enough("no capture of a cell was analysed"))
        }
        @if has(|cell| cell.wire_delay_median_ns) {
            (drawn(figures, "prober-against-packets", Some(two(experiment))))
        }
    }
}

fn split(experiment: &Experiment) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Word("part"),
        Text("condition"),
        Number("publisher's link"),
        Number("broker"),
        Number("subscriber's link"),
        Number("whole way, median"),
        Number("TCP recovery, mean"),
        Number("segments sent again"),
    ];
    let mut rows = Vec::new();
    for part in experiment.parts() {
        for condition in experiment.conditions(&part) {
            let segments: Vec<f64> = (condition.cells.iter())
                .filter_map(|cell| cell.segment_loss_ratio)
                .collect();
            rows.push(vec![
                Cell::text(&part.replace('_', " ")),
                Cell::text(&condition.label()),
                middle(&condition, |cell| cell.publisher_link_ns),
                middle(&condition, |cell| cell.broker_ns),
                middle(&condition, |cell| cell.subscriber_link_ns),
                middle(&condition, |cell| cell.wire_delay_median_ns),
                middle(&condition, |cell| cell.tcp_recovery_ns),
                ratio(crate::stats::middle(&segments)),
            ]);
        }
    }
    table("The middle over blocks", &columns, rows)
}

fn two(experiment: &Experiment) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Word("part"),
        Text("condition"),
        Number("by the prober"),
        Number("by the packets"),
        Number("difference, message by message"),
    ];
    let mut rows = Vec::new();
    for part in experiment.parts() {
        for condition in experiment.conditions(&part) {
            rows.push(vec![
                Cell::text(&part.replace('_', " ")),
                Cell::text(&condition.label()),
                middle(&condition, |cell| cell.service_median_ns),
                middle(&condition, |cell| cell.wire_delay_median_ns),
                middle(&condition, |cell| cell.wire_difference_ns),
            ]);
        }
    }
    table("Medians, the middle over blocks", &columns, rows)
}

/// ComBench's curve beside ours.
pub(super) fn combench(experiment: &Experiment, figures: &[Figure]) -> Markup {
    let curve = curve(experiment);
    html! {
        p.lead {
            "ComBench (DescartesResearch, on GitHub) published 20 runs a step of this: QoS 0, 10 messages/s of "
            "100 bytes for 20 s, packets lost on the subscriber's link. It is the one published curve that can "
            "be measured again; it is compared, and nothing passes or fails by it."
        }
        @if curve.is_empty() {
            (not_enough("this plan has no such part, or samples.csv is missing"))
        } @else {
            (drawn(figures, "combench", Some(steps(&curve))))
            @for (wait, when) in [(0, "at the last message"), (1, "60 s after it")] {
                p {
                    "Counted " (when) ", ours "
                    @if never_falls(&curve, wait) { "nowhere falls with more packet loss, within its intervals." }
                    @else { b { "falls somewhere with more packet loss, beyond its intervals." } }
                }
            }
            (differences(&curve))
        }
    }
}

fn steps(curve: &[Step]) -> Markup {
    use Column::Number;
    let columns = [
        Number("packets lost"),
        Number("runs"),
        Number("messages"),
        Number("missing at the last message [95 %]"),
        Number("missing 60 s after [95 %]"),
        Number("published"),
        Number("waited at least [s]"),
    ];
    let missing = |(value, interval): (f64, Option<(f64, f64)>)| {
        let text = match interval {
            Some((low, high)) => {
                format!("{} % [{}, {}]", percent(value), percent(low), percent(high))
            }
            None => format!("{} %", percent(value)),
        };
        Cell::sorted(text, value)
    };
    let rows = curve.iter().map(|step| {
        vec![
            ratio(Some(step.packet_loss)),
            Cell::count(step.runs),
            Cell::count(step.messages),
            missing(step.missing[0]),
            missing(step.missing[1]),
            ratio(step.published()),
            Cell::sorted(format!("{:.1}", step.waited_s), step.waited_s),
        ]
    });
    table("", &columns, rows)
}

/// Why ours and theirs are not the same, as far as it can be known.
fn differences(curve: &[Step]) -> Markup {
    let runs = curve.iter().map(|step| step.runs).max().unwrap_or(0);
    let late = curve
        .iter()
        .any(|step| step.missing[0].0 > step.missing[1].0 + 0.01);
    let short = curve.iter().any(|step| step.waited_s < 59.0);
    html! {
        h3 { "Why they differ" }
        ul {
            li {
                "When the published runs counted is not stated. "
                @if late {
                    "What separates our two lines was only late: TCP was still sending it again, with pauses "
                    "that double each time. A curve between the two would be one that waited for less."
                } @else {
                    "Our two lines agree, so here it does not matter."
                }
            }
            li { "Ours has " (counted(runs, "run")) " a step at most, the published 20." }
            li {
                "Ours loses packets each way, independently, on the subscriber's link: acknowledgments too. "
                "What exactly lost packets there, and which ways, was not available."
            }
            li {
                "How long TCP pauses follows from the round trip and the system's limits. Broker, system and "
                "links are other ones here; they stand under Settings."
            }
            @if short {
                li {
                    "Some cells waited for less than 60 s: as nothing was missing, or nothing more could come. "
                    "Their second value is that of their end."
                }
            }
        }
    }
}
