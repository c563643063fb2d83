//! Settings and versions: what one needs to measure the same again.

use crate::report::experiment::Experiment;
use crate::report::layout::{Cell, Column, safe, table};
use crate::results::{date, grouped};
use crate::time::TimeDelta;
use maud::{Markup, html};
use serde_json::Value;

pub(super) fn section(experiment: &Experiment) -> Markup {
    let manifest = &experiment.manifest;
    html! {
        h3 { "Run" }
        (facts(run(experiment)))
        h3 { "Options" }
        @if manifest.options.is_empty() {
            p.none { "None are recorded." }
        } @else {
            (facts(manifest.options.iter().map(|(name, value)| (name.clone(), shown(name, value)))))
        }
        @if !manifest.versions.is_empty() {
            h3 { "Versions" }
            (facts(manifest.versions.iter().map(|(name, version)| (name.clone(), version.clone()))))
        }
        @if !manifest.notes.is_empty() {
            h3 { "Notes" }
            ul { @for note in manifest.notes.iter().take(500) { li { (safe(note)) } } }
        }
        @if !manifest.plan.is_null() {
            details {
                summary { "The plan, as it was carried out" }
                pre.mono { (plan(&manifest.plan)) }
            }
        }
    }
}

/// JSON with a line for each value; control characters are escaped in it already, and what turns
/// the direction of text is made visible.
fn plan(plan: &Value) -> String {
    let text = serde_json::to_string_pretty(plan).unwrap_or_default();
    let lines: Vec<String> = text.lines().map(safe).collect();
    lines.join("\n")
}

fn run(experiment: &Experiment) -> impl Iterator<Item = (String, String)> {
    let manifest = &experiment.manifest;
    let (host, clock) = (&manifest.host, &manifest.clock);
    let delta = |nanos: i64| TimeDelta::from_nanos(nanos).to_string();
    let model = host.cpu_model.as_deref().unwrap_or("");
    let facts = [
        ("mqttscope", Some(manifest.tool_version.clone())),
        (
            "started",
            Some(format!("{} UTC", date(manifest.started_ns))),
        ),
        (
            "ended",
            Some(manifest.ended_ns.map_or_else(
                || "interrupted".to_owned(),
                |end| format!("{} UTC", date(end)),
            )),
        ),
        ("seed", Some(manifest.seed.to_string())),
        ("blocks", Some(manifest.blocks.to_string())),
        ("deadline", Some(delta(manifest.deadline_ns))),
        (
            "warm-up",
            Some(format!(
                "{} messages of each publisher and cell",
                grouped(manifest.warmup)
            )),
        ),
        (
            "system",
            Some(format!("{} {} {}", host.os, host.kernel, host.architecture)),
        ),
        ("processors", Some(format!("{} × {model}", host.cpus))),
        (
            "processors kept awake",
            host.kept_awake.map(|kept| yes_or_no(kept).to_owned()),
        ),
        ("clock", Some(clock.source.clone())),
        ("clock error between both ends", Some(delta(clock.error_ns))),
        (
            "drift of the system's clock meanwhile",
            clock.drift_ns.map(delta),
        ),
    ];
    facts
        .into_iter()
        .filter_map(|(name, fact)| Some((name.to_owned(), fact?)))
}

fn yes_or_no(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

/// A value of JSON as people write it; nanoseconds in a unit that reads well.
fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        Value::Bool(is) => yes_or_no(*is).to_owned(),
        Value::Number(number) if name.ends_with("ns") => match number.as_i64() {
            Some(nanos) => TimeDelta::from_nanos(nanos).to_string(),
            None => number.to_string(),
        },
        Value::Array(values) if values.is_empty() => "–".to_owned(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| shown(name, value)).collect();
            values.join(", ")
        }
        other => other.to_string(),
    }
}

/// Names and what they are.
pub(super) fn facts(facts: impl Iterator<Item = (String, String)>) -> Markup {
    let columns = [Column::Word("what"), Column::Text("value")];
    let rows = facts.map(|(name, fact)| vec![Cell::text(&name), Cell::text(&fact)]);
    table("", &columns, rows)
}
