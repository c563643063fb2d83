//! Whether the tester measured itself: send lag and floor; and what the broker says.

use super::{drawn, not_enough};
use crate::report::experiment::{Experiment, quantile};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, cut, safe, table};
use crate::results::{BrokerRecord, CellSys, PublishCount, SysRecord};
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most rows that the page shows.
const MOST_ROWS: usize = 500;

pub(super) fn section(experiment: &Experiment, figures: &[Figure]) -> Markup {
    html! {
        p.lead {
            "The tester has delays of its own. A cell in which they could be taken for the network's "
            "is invalid, and out of all statistics."
        }
        @if experiment.send_lag.is_empty() {
            (not_enough("there are no samples"))
        }
        (drawn(figures, "send-lag", Some(lags(experiment))))
        h3 { "The floor" }
        (floor(experiment.manifest.baseline.as_ref()))
    }
}

fn lags(experiment: &Experiment) -> Markup {
    use Column::{Number, Word};
    let columns = [
        Word("QoS"),
        Number("n"),
        Number("p50"),
        Number("p95"),
        Number("p99"),
        Number("p99.9"),
        Number("max"),
    ];
    let rows = experiment.send_lag.iter().map(|(qos, histogram)| {
        let mut row = vec![
            Cell::text(&format!("QoS {qos}")),
            Cell::count(histogram.len()),
        ];
        row.extend([0.5, 0.95, 0.99, 0.999].map(|q| Cell::delay(quantile(histogram, q))));
        row.push(Cell::delay(i64::try_from(histogram.max()).ok()));
        row
    });
    table("Send lag of all cells", &columns, rows)
}

/// What a measurement against the embedded broker gave before.
fn floor(baseline: Option<&Value>) -> Markup {
    use Column::{Number, Text, Word};
    let floors = baseline.and_then(Value::as_array);
    let Some(floors) = floors.filter(|floors| !floors.is_empty()) else {
        return html! {
            p.none { "Not measured: the embedded broker is the floor itself, or the baseline was left out." }
        };
    };
    let columns = [
        Word("QoS"),
        Number("messages"),
        Number("payload [B]"),
        Number("rate [/s]"),
        Number("median delay"),
        Number("p95"),
        Number("send lag, p95"),
        Text("doubt"),
    ];
    let rows = floors.iter().take(MOST_ROWS).map(|floor| {
        let delay = |name: &str| Cell::delay(floor.get(name).and_then(Value::as_i64));
        let count = |name: &str| match floor.get(name).and_then(Value::as_f64) {
            Some(number) => Cell::sorted(format!("{number}"), number),
            None => Cell::missing(),
        };
        let doubt = floor.get("invalid_reason").and_then(Value::as_str);
        vec![
            Cell::text(&match floor.get("qos").and_then(Value::as_u64) {
                Some(qos) => format!("QoS {qos}"),
                None => "–".to_owned(),
            }),
            count("messages"),
            count("payload_bytes"),
            count("rate_per_s"),
            delay("delay_median_ns"),
            delay("delay_p95_ns"),
            delay("send_lag_p95_ns"),
            Cell::text(doubt.unwrap_or("")),
        ]
    });
    html! {
        p {
            "The same clients against the broker that is part of this tool, on the loopback, just before "
            "the run: no broker can be seen to be faster here than this."
        }
        (table("", &columns, rows))
    }
}

/// What the broker is, and its own counters beside ours.
pub(super) fn broker(experiment: &Experiment) -> Markup {
    let BrokerRecord {
        name,
        version,
        url,
        configuration,
        qos2_forwarded_at,
    } = &experiment.manifest.broker;
    let facts = [
        ("name", Some(name.clone()).filter(|name| !name.is_empty())),
        ("version", version.clone()),
        ("address", url.clone()),
        ("forwards QoS 2 at", qos2_forwarded_at.clone()),
    ];
    html! {
        (super::settings::facts(facts.into_iter().filter_map(|(n, fact)| Some((n.to_owned(), fact?)))))
        @if let Some(configuration) = configuration {
            details { summary { "Its configuration" } pre.mono { (safe_lines(configuration)) } }
        }
        (checks(&experiment.manifest.checks))
        h3 { "The broker's view beside ours" }
        (sys(experiment))
    }
}

/// Text of several lines.
fn safe_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(safe).collect();
    lines.join("\n")
}

fn checks(checks: &BTreeMap<String, Value>) -> Markup {
    let rows = checks.iter().map(|(name, verdict)| {
        let answer = match verdict {
            Value::String(text) => text.clone(),
            Value::Object(verdict) => ["judgement", "answer", "value"]
                .iter()
                .filter_map(|part| verdict.get(*part).and_then(Value::as_str))
                .collect::<Vec<_>>()
                .join(": "),
            other => other.to_string(),
        };
        vec![Cell::text(name), Cell::text(&answer)]
    });
    html! {
        @if !checks.is_empty() {
            h3 { "What it was checked for" }
            (table("", &[Column::Word("check"), Column::Text("answer")], rows))
        }
    }
}

fn sys(experiment: &Experiment) -> Markup {
    use Column::{Number, Text};
    let records = &experiment.manifest.sys;
    if records.is_empty() {
        return html! {
            p.none { "The broker says nothing of itself: no topics below " code { "$SYS" } " could be read." }
        };
    }
    let columns = [
        Number("cell"),
        Text("condition"),
        Number("ours: written"),
        Number("broker: PUBLISH in"),
        Number("ours: received"),
        Number("broker: PUBLISH out"),
        Number("broker: dropped"),
        Number("bytes in"),
        Number("bytes out"),
        Number("clients"),
        Number("subscriptions"),
        Number("retained"),
        Number("up [s]"),
    ];
    let rows = records
        .iter()
        .take(MOST_ROWS)
        .map(|record| row(experiment, record));
    html! {
        p {
            "What the broker counted (" code { "$SYS" } ") from before a cell to after it, and what we "
            "counted ourselves: PUBLISH packets, with warm-up, the messages that end a cell, copies and "
            "resends. The broker counts what others do with it too. Many brokers renew these counters only every few seconds "
            "(mosquitto: " code { "sys_interval" } ", 10 s): then they lag behind, and a short cell shows none."
        }
        (table("", &columns, rows))
        (cut(records.len().min(MOST_ROWS), records.len() as u64, "first", "manifest.json"))
    }
}

fn row(experiment: &Experiment, record: &CellSys) -> Vec<Cell> {
    let number = u64::from(record.cell);
    let cell = experiment
        .cells
        .iter()
        .find(|cell| cell.cell == record.cell);
    let grown = |of: fn(&SysRecord) -> Option<u64>| {
        let [before, after] = [&record.before, &record.after].map(|r| r.as_ref().and_then(of));
        // A broker that was started anew counts from 0.
        match before
            .zip(after)
            .and_then(|(before, after)| after.checked_sub(before))
        {
            Some(grown) => Cell::count(grown),
            None => Cell::missing(),
        }
    };
    let now = |of: fn(&SysRecord) -> Option<u64>| {
        let value = record
            .after
            .as_ref()
            .or(record.before.as_ref())
            .and_then(of);
        value.map_or_else(Cell::missing, Cell::count)
    };
    let ours = |count: u64| match record.ours == PublishCount::default() {
        false => Cell::count(count),
        true => Cell::missing(),
    };
    vec![
        Cell::count(number),
        Cell::text(&cell.map_or_else(String::new, crate::report::experiment::condition::label)),
        ours(record.ours.sent),
        grown(|sys| sys.publish_received),
        ours(record.ours.received),
        grown(|sys| sys.publish_sent),
        grown(|sys| sys.publish_dropped),
        grown(|sys| sys.bytes_received),
        grown(|sys| sys.bytes_sent),
        now(|sys| sys.clients_connected),
        now(|sys| sys.subscriptions),
        now(|sys| sys.retained),
        now(|sys| sys.uptime_s),
    ]
}
