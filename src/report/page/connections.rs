//! Sessions and connections.

use super::{many_taps, span_cell, time_cell};
use crate::report::digest::{
    ConnectionLine, Connections, Digest, EncryptedLine, Listing, SessionLine,
};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, absent, cut, figure, table};
use crate::results::{bytes, counted, grouped};
use maud::{Markup, html};

pub(super) fn sessions(digest: &Digest) -> Markup {
    html! {
        section #sessions {
            h2 { "Sessions" }
            p.lead { "A session is a client identifier at a broker, across its connections." }
            @match &digest.sessions {
                None => (absent("sessions.csv")),
                Some(listing) if listing.total == 0 => p.none { "No session was seen." },
                Some(listing) => {
                    (session_table(&listing.rows, many_taps(digest)))
                    (cut(listing.rows.len(), listing.total, "with trouble or most messages", "sessions.csv"))
                }
            }
        }
    }
}

fn session_table(lines: &[SessionLine], taps: bool) -> Markup {
    use Column::{Number, Text, Word};
    let wills = lines.iter().any(|line| line.will_published.is_some());
    let mut columns = vec![
        Text("client"),
        Word("broker"),
        Number("connections"),
        Number("lasted"),
        Number("resumed"),
        Number("taken over"),
        Number("keep-alive broken"),
        Number("subscriptions"),
        Number("sent"),
        Number("received"),
    ];
    if wills {
        columns.push(Number("wills published"));
    }
    if taps {
        columns.push(Number("tap"));
    }
    let rows = lines.iter().map(|line| {
        let mut row = vec![
            Cell::text(name(&line.client_id)),
            Cell::text(&line.broker),
            Cell::count(line.connections),
            span_cell(line.duration_ns),
            Cell::trouble(line.resumed),
            Cell::trouble(line.taken_over),
            Cell::trouble(line.keep_alive_violations),
            Cell::count(line.subscriptions),
            Cell::count(line.sent),
            Cell::count(line.received),
        ];
        if wills {
            row.push(Cell::maybe(line.will_published));
        }
        if taps {
            row.push(Cell::count(line.tap));
        }
        row
    });
    table("", &columns, rows)
}

fn name(client_id: &str) -> &str {
    if client_id.is_empty() {
        "(not known)"
    } else {
        client_id
    }
}

pub(super) fn section(digest: &Digest, figures: &[Figure]) -> Markup {
    let transports: Vec<String> = digest
        .summary
        .transports
        .iter()
        .map(|(name, count)| format!("{} {name}", grouped(*count)))
        .collect();
    html! {
        section #connections {
            h2 { "Connections" }
            @match &digest.connections {
                None => (absent("connections.csv")),
                Some(connections) => {
                    p.lead {
                        (counted(connections.listing.total, "connection"))
                        @if !transports.is_empty() { ": " (transports.join(", ")) }
                        "."
                    }
                    @if connections.unreadable > 0 {
                        p {
                            b { (counted(connections.unreadable, "connection")) ": encrypted, no keys." }
                            " Nothing of MQTT can be read in them, only when they were and how much went over them."
                        }
                    }
                    (encrypted(&connections.encrypted))
                    (refused(connections))
                    (connection_table(digest, &connections.listing.rows))
                    (cut(connections.listing.rows.len(), connections.listing.total, "with most packets", "connections.csv"))
                }
            }
            @for drawn in figures.iter().filter(|figure| figure.name.starts_with("connection-")) {
                (figure(drawn, None))
            }
        }
    }
}

/// What can be seen of connections whose MQTT cannot.
fn encrypted(listing: &Listing<EncryptedLine>) -> Markup {
    use Column::{Number, Text, Word};
    let columns = [
        Number("no."),
        Word("from and to"),
        Text("server name"),
        Text("TLS"),
        Text("protocol"),
        Number("handshake"),
        Number("records to broker"),
        Number("to client"),
        Number("bytes to broker"),
        Number("to client"),
        Number("longest record"),
        Number("client's longest silence"),
        Text("alerts"),
        Number("sent again"),
        Text("not read because"),
    ];
    let rows = listing.rows.iter().map(|line| {
        let [up, down] = line.records;
        let [bytes_up, bytes_down] = line.bytes;
        let longest = line.largest.into_iter().max().unwrap_or(0);
        let size = |count: u64| Cell::sorted(bytes(count as f64), count as f64);
        vec![
            Cell::count(line.connection),
            Cell::markup(html! { (line.client) br; "→ " (line.broker) }),
            Cell::text(&line.server_name),
            Cell::markup(html! { (line.version) br; (line.suite) }),
            Cell::text(&line.protocol),
            span_cell(line.handshake_ns),
            Cell::count(up),
            Cell::count(down),
            size(bytes_up),
            size(bytes_down),
            size(longest),
            span_cell(line.silence_ns),
            Cell::text(&line.alerts),
            Cell::trouble(line.retransmitted),
            Cell::text(&line.unread),
        ]
    });
    html! {
        @if !listing.rows.is_empty() {
            h3 { "Encrypted connections" }
            p {
                "What can be seen of them from outside. A protocol in brackets was offered; which was \
                 agreed on is encrypted. A client that has nothing else to say is silent for its \
                 keep-alive at most."
            }
            (table("", &columns, rows))
            (cut(listing.rows.len(), listing.total, "with most records", "connections.csv"))
        }
    }
}

fn refused(connections: &Connections) -> Markup {
    html! {
        @if !connections.refused.is_empty() {
            h3 { "Refused logins" }
            (table("", &[Column::Text("reason"), Column::Number("connections")],
                connections.refused.iter().map(|(reason, count)| {
                    vec![Cell::text(reason), Cell::count(*count)]
                })))
        }
    }
}

fn connection_table(digest: &Digest, lines: &[ConnectionLine]) -> Markup {
    let taps = many_taps(digest);
    use Column::{Number, Text, Word};
    let mut columns = vec![
        Number("no."),
        Text("client"),
        Word("from and to"),
        Word("transport"),
        Word("MQTT"),
        Word("begins (UTC)"),
        Number("lasts"),
        Text("ended"),
        Number("packets"),
        Number("bytes"),
        Text("trouble"),
        Word("vantage"),
    ];
    if taps {
        columns.push(Number("tap"));
    }
    let rows = lines.iter().map(|line| {
        let mut row = vec![
            Cell::count(line.connection),
            if !line.unread.is_empty() {
                Cell::markup(html! { em { (line.unread) } })
            } else {
                Cell::text(name(&line.client_id))
            },
            Cell::markup(html! { (line.client) br; "→ " (line.broker) }),
            Cell::text(&transport(line)),
            Cell::text(&line.level),
            time_cell(digest, line.start_ns),
            span_cell(line.duration_ns),
            Cell::text(&ended(line)),
            Cell::count(line.packets),
            Cell::sorted(bytes(line.bytes as f64), line.bytes as f64),
            trouble(line),
            Cell::text(&line.vantage),
        ];
        if taps {
            row.push(Cell::count(line.tap));
        }
        row
    });
    table("", &columns, rows)
}

/// What was not as it should be, sorted by how much of it.
fn trouble(line: &ConnectionLine) -> Cell {
    let parts: Vec<String> = [
        (line.retransmitted, "sent again"),
        (line.gaps, "missing in the capture"),
        (line.malformed, "malformed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", grouped(count)))
    .collect();
    if parts.is_empty() {
        return Cell::missing();
    }
    let sum = line.retransmitted + line.gaps + line.malformed;
    Cell::sorted(parts.join(", "), sum as f64)
}

fn transport(line: &ConnectionLine) -> String {
    match line.tls.as_str() {
        "" => line.transport.clone(),
        tls => format!("{} ({tls})", line.transport),
    }
}

fn ended(line: &ConnectionLine) -> String {
    let how = match line.ended_by.as_str() {
        "" => line.end_reason.clone(),
        who => format!("{} by {who}", line.end_reason),
    };
    match line.connack.as_str() {
        "" => how,
        refused => format!("refused: {refused}, {how}"),
    }
}
