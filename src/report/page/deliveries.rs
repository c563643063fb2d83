//! Deliveries, exchanges and loss.

use super::{moment_cell, named};
use crate::report::digest::Digest;
use crate::report::figure::{Figure, loss_kinds};
use crate::report::layout::{Cell, Column, absent, cut, figure, table};
use crate::results::{counted, percent};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn section(digest: &Digest, figures: &[Figure]) -> Markup {
    let summary = &digest.summary;
    let exchanges = &summary.exchanges;
    html! {
        section #deliveries {
            h2 { "Deliveries" }
            p.lead {
                "A delivery is one message to the broker and one receiver that it should reach: "
                "the PUBLISH that came in, matched with the PUBLISH that went out."
            }
            @match &summary.deliveries {
                Some(counts) => (outcomes("Deliveries by QoS and outcome", &[
                    ("QoS 0", &counts.qos0), ("QoS 1", &counts.qos1), ("QoS 2", &counts.qos2),
                ])),
                None => p.none { "Deliveries were not analysed." },
            }
            @match &digest.deliveries {
                None if summary.deliveries.is_none() => {}
                None => (absent("deliveries.csv")),
                Some(deliveries) => {
                    @if !deliveries.basis.is_empty() {
                        p.small { "How receivers are known: " (list(&deliveries.basis)) "." }
                    }
                    @if deliveries.basis.values().all(|count| *count == 0) {
                        p.none { "There was nothing to deliver." }
                    } @else if deliveries.trouble.total == 0 {
                        p { "Every delivery arrived within the deadline, once." }
                    } @else {
                        h3 { "Lost, late, repeated or undetermined" }
                        (trouble(digest))
                        @if deliveries.trouble.total > deliveries.trouble.rows.len() as u64 {
                            (cut(deliveries.trouble.rows.len(), deliveries.trouble.total, "worst", "deliveries.csv"))
                        }
                    }
                }
            }
            h3 { "Handshakes of QoS 1 and 2" }
            @if exchanges.qos1.values().chain(exchanges.qos2.values()).all(|count| *count == 0) {
                p.none { "No exchange of QoS 1 or 2 was seen." }
            } @else {
                (outcomes("Exchanges by QoS and outcome", &[
                    ("QoS 1", &exchanges.qos1), ("QoS 2", &exchanges.qos2),
                ]))
            }
            @match &digest.exchanges {
                None => (absent("exchanges.csv")),
                Some(table) if table.unfinished.total > 0 => {
                    details open[table.unfinished.total <= 20] {
                        summary { (counted(table.unfinished.total, "exchange")) " rejected or not completed" }
                        (unfinished(digest))
                        @if table.unfinished.total > table.unfinished.rows.len() as u64 {
                            (cut(table.unfinished.rows.len(), table.unfinished.total, "first", "exchanges.csv"))
                        }
                    }
                }
                Some(_) => {}
            }
            @if let Some(drawn) = named(figures, "messages-over-time") {
                (figure(drawn, per_slice(digest)))
            } @else if digest.messages.is_none() {
                (absent("messages.csv"))
            }
        }
    }
}

/// Counts by outcome, one row per QoS.
fn outcomes(caption: &'static str, rows: &[(&str, &BTreeMap<String, u64>)]) -> Markup {
    let names: BTreeSet<&str> = rows
        .iter()
        .flat_map(|(_, counts)| counts.iter())
        .filter(|(_, count)| **count > 0)
        .map(|(name, _)| name.as_str())
        .collect();
    html! {
        div.scroll { table {
            caption { (caption) }
            thead { tr {
                th scope="col" { "" }
                @for name in &names { th.n scope="col" { (name) } }
                th.n scope="col" { "all" }
            } }
            tbody {
                @for (qos, counts) in rows.iter().filter(|(_, counts)| counts.values().any(|n| *n > 0)) {
                    tr {
                        td.k { (qos) }
                        @for name in &names {
                            td.n { (counts.get(*name).copied().filter(|n| *n > 0)
                                .map_or_else(|| "–".to_owned(), crate::results::grouped)) }
                        }
                        td.n { (crate::results::grouped(counts.values().sum())) }
                    }
                }
            }
        } }
    }
}

fn list(counts: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{} {name}", crate::results::grouped(*count)))
        .collect();
    parts.join(", ")
}

fn trouble(digest: &Digest) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Word("outcome"),
        Text("topic"),
        Text("from"),
        Text("to"),
        Word("QoS"),
        Word("published (UTC)"),
        Number("delay"),
        Word("basis"),
        Number("tap"),
    ];
    let rows = digest
        .deliveries
        .iter()
        .flat_map(|table| &table.trouble.rows);
    table(
        "",
        &columns,
        rows.map(|line| {
            vec![
                Cell::text(&line.outcome),
                Cell::topic(&line.topic),
                Cell::text(&line.publisher),
                Cell::text(&line.subscriber),
                Cell::text(&line.qos),
                moment_cell(line.publish_ns),
                Cell::delay(line.delay_ns),
                Cell::text(&line.basis),
                Cell::count(line.tap),
            ]
        }),
    )
}

fn unfinished(digest: &Digest) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Word("outcome"),
        Number("connection"),
        Word("direction"),
        Number("QoS"),
        Number("packet id"),
        Text("topic"),
        Number("sent"),
        Word("PUBLISH at (UTC)"),
        Number("tap"),
    ];
    let rows = digest
        .exchanges
        .iter()
        .flat_map(|table| &table.unfinished.rows);
    table(
        "",
        &columns,
        rows.map(|line| {
            vec![
                Cell::text(&line.outcome),
                Cell::count(line.connection),
                Cell::text(&line.direction),
                Cell::count(line.qos),
                Cell::count(line.packet_id),
                Cell::topic(&line.topic),
                Cell::count(line.transmissions),
                moment_cell(line.publish_ns),
                Cell::count(line.tap),
            ]
        }),
    )
}

/// The table behind messages over time.
fn per_slice(digest: &Digest) -> Option<Markup> {
    use Column::Number;
    let messages = digest.messages.as_ref()?;
    let [to_broker, to_client] = &messages.per_slice;
    let counts = to_broker.iter().zip(to_client).enumerate();
    let rows = counts
        .filter(|(_, (up, down))| **up + **down > 0)
        .map(|(index, (up, down))| {
            let at = digest.slices.middle(index);
            vec![
                Cell::sorted(format!("{at:.3}"), at),
                Cell::count(*up),
                Cell::count(*down),
            ]
        });
    let columns = [
        Number("middle of the slice [s]"),
        Number("PUBLISH to the broker"),
        Number("PUBLISH to clients"),
    ];
    Some(table("", &columns, rows))
}

pub(super) fn loss(digest: &Digest, figures: &[Figure]) -> Markup {
    use Column::{Number, Word};
    let kinds = loss_kinds(digest);
    let columns = [
        Word("kind"),
        Number("lost"),
        Number("of"),
        Number("share"),
        Number("95 % interval"),
    ];
    html! {
        section #loss {
            h2 { "Loss" }
            p.lead {
                "Four different things: a message that a receiver did not get; a TCP segment that was "
                "sent again; bytes that the receiver acknowledged and the capture lacks, so the capturing "
                "lost them; a handshake that did not end."
            }
            @if kinds.is_empty() {
                p.none { "There is nothing that could have been lost." }
            } @else {
                @if let Some(drawn) = named(figures, "loss") { (figure(drawn, None)) }
                (table("", &columns, kinds.iter().map(|(name, share)| {
                    let ratio = share.ratio.unwrap_or(0.0);
                    let interval = match (share.ci_low, share.ci_high) {
                        (Some(low), Some(high)) => {
                            Cell::sorted(format!("{} to {} %", percent(low), percent(high)), high)
                        }
                        _ => Cell::missing(),
                    };
                    vec![
                        Cell::text(name),
                        Cell::count(share.count),
                        Cell::count(share.of),
                        Cell::sorted(format!("{} %", percent(ratio)), ratio),
                        interval,
                    ]
                })))
                p.small {
                    "Wilson's score interval; where nothing was lost, from 0 to 3/n. It takes losses as "
                    "independent: where they come in bursts, one is less sure than it says."
                }
            }
        }
    }
}
