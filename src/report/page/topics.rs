//! Topics: as a tree with the sums of each level, and as a table.

use super::{many_taps, named};
use crate::report::digest::{Digest, Node, TopicLine, Topics};
use crate::report::figure::Figure;
use crate::report::layout::{Cell, Column, absent, cut, figure, safe, table};
use crate::results::{bytes, counted, grouped};
use maud::{Markup, html};

/// Nodes of the tree that are shown, and children of one node.
const MOST_NODES: usize = 500;
const MOST_CHILDREN: usize = 40;

pub(super) fn section(digest: &Digest, figures: &[Figure]) -> Markup {
    html! {
        section #topics {
            h2 { "Topics" }
            @match &digest.topics {
                None => (absent("topics.csv")),
                Some(topics) if topics.listing.total == 0 => p.none { "No topic was seen." },
                Some(topics) => {
                    p.lead {
                        (counted(topics.listing.total, "topic")) ", " (bytes(topics.bytes as f64)) " of payload."
                        @if topics.from_messages {
                            " From " code { "messages.csv" } ": who published and subscribed is not known from it."
                        }
                    }
                    @if topics.folded > 0 {
                        p.small {
                            "There are more topics than are kept here for the tree: "
                            (grouped(topics.folded)) " times one of them is counted at a level above it, or not at all."
                        }
                    }
                    @if let Some(drawn) = named(figures, "topics") { (figure(drawn, None)) }
                    h3 { "Tree" }
                    (tree(topics, digest.slices.seconds()))
                    h3 { "Table" }
                    (topic_table(&topics.listing.rows, many_taps(digest)))
                    @if topics.from_messages {
                        (absent("topics.csv"))
                    } @else {
                        (cut(topics.listing.rows.len(), topics.listing.total, "with most messages", "topics.csv"))
                    }
                }
            }
        }
    }
}

/// The tree, the busiest first at each level.
fn tree(topics: &Topics, seconds: f64) -> Markup {
    let mut left = MOST_NODES;
    html! {
        div.tree {
            div.row.head {
                span.x { "level" } span { "messages" } span { "per second" } span { "payload" } span { "topics" }
            }
            (children(&topics.root, 0, seconds, &mut left))
        }
    }
}

fn children(node: &Node, depth: usize, seconds: f64, left: &mut usize) -> Markup {
    let mut sorted: Vec<(&String, &Node)> = node.children.iter().collect();
    sorted.sort_by(|(a, m), (b, n)| n.messages.cmp(&m.messages).then(a.cmp(b)));
    let shown = sorted.len().min(MOST_CHILDREN).min(*left);
    *left -= shown;
    let (first, rest) = sorted.split_at(shown);
    html! {
        @for (name, child) in first {
            (branch(name, child, depth, seconds, left))
        }
        @if !rest.is_empty() {
            div class={ "row d" (depth.min(6)) } {
                span.x.dim { "and " (counted(rest.len() as u64, "more level")) " here" }
                span { (grouped(rest.iter().map(|(_, node)| node.messages).sum())) }
                span { "" }
                span { (bytes(rest.iter().map(|(_, node)| node.bytes as f64).sum())) }
                span { (grouped(rest.iter().map(|(_, node)| node.topics).sum())) }
            }
        }
    }
}

/// A level with what is below it. Levels with a single one below stand on one line.
fn branch(name: &str, node: &Node, depth: usize, seconds: f64, left: &mut usize) -> Markup {
    let mut label = level(name);
    let mut node = node;
    while let (1, Some((only, below))) = (node.children.len(), node.children.iter().next())
        && below.messages == node.messages
    {
        label = format!("{label}/{}", level(only));
        node = below;
    }
    let row = html! {
        span.x { (safe(&label)) @if !node.children.is_empty() { "/" } }
        span { (grouped(node.messages)) }
        span { @if seconds > 0.0 { (rate(node.messages as f64 / seconds)) } }
        span { (bytes(node.bytes as f64)) }
        span { (grouped(node.topics)) }
    };
    let class = format!("d{}", depth.min(6));
    html! {
        @if node.children.is_empty() {
            div class={ "row " (class) } { (row) }
        } @else {
            details open[depth < 2] {
                summary class=(class) { (row) }
                div { (children(node, depth + 1, seconds, left)) }
            }
        }
    }
}

/// A level's name; an empty one is there all the same.
fn level(name: &str) -> String {
    if name.is_empty() {
        "(empty)".to_owned()
    } else {
        name.to_owned()
    }
}

/// A rate with three significant digits.
fn rate(rate: f64) -> String {
    match rate {
        r if r >= 1_000.0 => grouped(r.round() as u64),
        r if r >= 99.95 => format!("{r:.0}"),
        r if r >= 9.995 => format!("{r:.1}"),
        r if r >= 0.01 => format!("{r:.2}"),
        r => format!("{r:.1e}"),
    }
}

fn topic_table(lines: &[TopicLine], taps: bool) -> Markup {
    use Column::{Number, Text, Word};
    let full = lines.iter().any(|line| line.publishers.is_some());
    let mut columns = vec![
        Text("topic"),
        Number("messages"),
        Number("per second"),
        Number("payload"),
        Number("mean size"),
        Number("QoS 0"),
        Number("QoS 1"),
        Number("QoS 2"),
        Number("retained"),
    ];
    if full {
        columns.extend([
            Number("publishers"),
            Number("subscribers"),
            Word("kind"),
            Text("findings"),
        ]);
    }
    if full && taps {
        columns.push(Number("tap"));
    }
    let rows = lines.iter().map(|line| {
        let mean = line.bytes as f64 / line.messages.max(1) as f64;
        let mut row = vec![
            Cell::topic(if line.topic.is_empty() {
                "(empty)"
            } else {
                &line.topic
            }),
            Cell::count(line.messages),
            line.rate
                .map_or_else(Cell::missing, |r| Cell::sorted(rate(r), r)),
            Cell::sorted(bytes(line.bytes as f64), line.bytes as f64),
            Cell::sorted(bytes(mean), mean),
        ];
        row.extend(line.qos.map(Cell::trouble));
        row.push(Cell::trouble(line.retained));
        if full {
            row.extend([
                Cell::maybe(line.publishers),
                Cell::maybe(line.subscribers),
                Cell::text(&line.kind),
                Cell::text(&line.findings),
            ]);
        }
        if full && taps {
            row.push(Cell::maybe(line.tap));
        }
        row
    });
    table("", &columns, rows)
}
