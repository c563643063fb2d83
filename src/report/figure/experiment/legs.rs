//! The legs of the handshakes of QoS 1 and 2, stacked.

use super::frame;
use super::stack::{Bar, legend, stacked};
use crate::report::experiment::{Condition, Experiment};
use crate::report::figure::Figure;

/// More bars than these are no figure.
const MOST_BARS: usize = 64;

/// The legs, in the order of the exchange.
const LEGS: [&str; 4] = [
    "QoS 1: PUBLISH to PUBACK",
    "QoS 2: PUBLISH to PUBREC",
    "PUBREC to PUBREL",
    "PUBREL to PUBCOMP",
];

pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    let part = experiment.main_part()?;
    let mut conditions = experiment.conditions(&part);
    conditions.sort_by_key(|condition| {
        let cell = condition.first;
        let link = experiment.links(&part).iter().position(|l| *l == cell.link);
        (link, cell.qos, cell.qos_subscribed, cell.payload_bytes)
    });
    let mut bars: Vec<Bar> = Vec::new();
    let mut before: Option<&Condition<'_>> = None;
    let all = conditions.iter().filter_map(|c| Some((c, parts(c)?)));
    for (condition, (parts, mark)) in all {
        let group = |condition: &Condition<'_>| (condition.first.link.clone(), condition.first.qos);
        bars.push(Bar {
            label: condition.label(),
            parts,
            mark,
            apart: before.is_some_and(|before| group(before) != group(condition)),
        });
        before = Some(condition);
    }
    if bars.is_empty() {
        return None;
    }
    let mut caption =
        "Medians of the publisher's handshakes, each leg by itself: the middle of the \
                       blocks. A message without an acknowledgment has no leg."
            .to_owned();
    if bars.len() > MOST_BARS {
        caption += &format!(" The first {MOST_BARS} of {} conditions.", bars.len());
        bars.truncate(MOST_BARS);
    }
    let mark = bars.iter().any(|bar| bar.mark.is_some());
    let mark = mark.then_some("median of the whole exchange at QoS 2");
    Some(stacked(
        frame(
            "handshake-legs",
            "Handshakes of QoS 1 and 2",
            caption,
            legend(&LEGS, mark),
        ),
        "time since the PUBLISH was written →",
        &bars,
    ))
}

/// Nanoseconds by leg, and the whole at QoS 2.
type Legs = (Vec<(usize, f64)>, Option<f64>);

/// The legs that a condition has.
fn parts(condition: &Condition<'_>) -> Option<Legs> {
    let legs = [
        condition.middle(|cell| cell.puback_median_ns),
        condition.middle(|cell| cell.pubrec_median_ns),
        condition.middle(|cell| cell.pubrel_median_ns),
        condition.middle(|cell| cell.pubcomp_median_ns),
    ];
    let there = legs.iter().enumerate();
    let parts: Vec<(usize, f64)> = there
        .filter_map(|(number, leg)| Some((number, (*leg)?)))
        .collect();
    (!parts.is_empty()).then(|| (parts, condition.middle(|cell| cell.qos2_total_median_ns)))
}
