//! Links in words, as set and as measured.

use super::Experiment;
use crate::results::{LinkRecord, percent};
use crate::time::TimeDelta;
use serde_json::Value;

/// What a setting of a link says, where it is a text.
pub(in crate::report) fn setting_of<'l>(link: &'l LinkRecord, name: &str) -> Option<&'l str> {
    link.settings.get(name).and_then(Value::as_str)
}

/// A line for each link of one side, `publisher` or `subscriber`, both ways in it.
pub(in crate::report) fn link_lines(experiment: &Experiment, side: &str) -> Vec<String> {
    let links = experiment.manifest.links.iter();
    let of_side: Vec<&LinkRecord> = links
        .filter(|link| setting_of(link, "link").unwrap_or("publisher") == side)
        .collect();
    let ways = of_side.chunk_by(|a, b| a.profile == b.profile);
    ways.map(|ways| {
        let missed = ways.iter().any(|way| !way.met);
        let missed = if missed { " – missed" } else { "" };
        let profile = ways.first().map_or("", |way| &way.profile);
        format!("{profile}: {}{missed}", set_and_measured(ways))
    })
    .collect()
}

/// `3.00 ms (3.02 ms, 3.01 ms), 0 % lost (0 %, 0 %)`: set, and in brackets measured, each way.
pub(in crate::report) fn set_and_measured(ways: &[&LinkRecord]) -> String {
    let delay = |nanos: f64| TimeDelta::from_nanos(nanos as i64).to_string();
    let share = |share: f64| format!("{} %", percent(share));
    let rate = |bits: f64| format!("{:.1} Mbit/s", bits / 1e6);
    let nanos = |nanos: Option<i64>| nanos.map(|nanos| nanos as f64);
    let quantities = [
        quantity(ways, "", delay, |way| {
            (nanos(way.delay_ns), nanos(way.measured_delay_ns))
        }),
        quantity(ways, " lost", share, |way| {
            (way.loss_ratio, way.measured_loss_ratio)
        }),
        quantity(ways, "", rate, |way| {
            (way.rate_bits_per_s, way.measured_rate_bits_per_s)
        }),
    ];
    let words: Vec<String> = quantities.into_iter().flatten().collect();
    words.join(", ")
}

/// A quantity as set, once if it is the same both ways, and as measured.
fn quantity(
    ways: &[&LinkRecord],
    what: &str,
    text: impl Fn(f64) -> String,
    of: impl Fn(&LinkRecord) -> (Option<f64>, Option<f64>),
) -> Option<String> {
    let (set, measured): (Vec<_>, Vec<_>) = ways.iter().map(|way| of(way)).unzip();
    let mut set: Vec<String> = set.into_iter().flatten().map(&text).collect();
    set.dedup();
    if set.is_empty() {
        return None;
    }
    let measured: Vec<String> = measured.into_iter().flatten().map(&text).collect();
    let set = set.join(" and ");
    Some(match measured.as_slice() {
        [] => format!("{set}{what}"),
        measured => format!("{set}{what} ({})", measured.join(", ")),
    })
}
