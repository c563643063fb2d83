//! topics.csv, or the topics of messages.csv, and the tree that they make.

use super::top::Top;
use super::{DigestError, Listing, MOST_ROWS, Table, columns};
use crate::results::{readable, shortened};
use std::collections::BTreeMap;

/// Most topics that are told apart where messages.csv has to tell, and most nodes of the tree.
const MOST_TOPICS: usize = 20_000;
/// Bytes of names that are kept for that.
const MOST_NAMES: usize = 16 << 20;
/// Levels of the tree; deeper ones stand in the last one's name.
const MOST_LEVELS: usize = 10;

/// What is known of topics.
#[derive(Debug)]
pub(in crate::report) struct Topics {
    /// Those with most messages first.
    pub(in crate::report) listing: Listing<TopicLine>,
    /// Those with most bytes first, for a figure.
    pub(in crate::report) busiest: Vec<TopicLine>,
    /// Bytes of all payloads.
    pub(in crate::report) bytes: u64,
    /// The tree's root.
    pub(in crate::report) root: Node,
    /// Topics beyond [`MOST_TOPICS`], which are in the tree as far as it knows them.
    pub(in crate::report) folded: u64,
    /// The table is not there: this comes from messages.csv.
    pub(in crate::report) from_messages: bool,
}

/// One topic to show.
#[derive(Clone, Debug)]
pub(in crate::report) struct TopicLine {
    pub(in crate::report) topic: String,
    pub(in crate::report) messages: u64,
    pub(in crate::report) bytes: u64,
    pub(in crate::report) publishers: Option<i64>,
    pub(in crate::report) subscribers: Option<i64>,
    pub(in crate::report) qos: [u64; 3],
    pub(in crate::report) retained: u64,
    pub(in crate::report) kind: String,
    pub(in crate::report) rate: Option<f64>,
    pub(in crate::report) findings: String,
    pub(in crate::report) tap: Option<i64>,
}

/// A level of the topic tree, with the sums of what is below it.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Node {
    pub(in crate::report) messages: u64,
    pub(in crate::report) bytes: u64,
    /// Topics that end here or below.
    pub(in crate::report) topics: u64,
    pub(in crate::report) rate: f64,
    pub(in crate::report) children: BTreeMap<String, Self>,
}

/// Makes the tree.
#[derive(Debug, Default)]
struct Tree {
    root: Node,
    nodes: usize,
    folded: u64,
}

impl Tree {
    fn add(&mut self, line: &TopicLine) {
        let mut node = &mut self.root;
        node.add(line);
        let mut rest = line.topic.as_str();
        for level in 1.. {
            let (name, below) = match rest.split_once('/') {
                Some((name, below)) if level < MOST_LEVELS => (name, Some(below)),
                _ => (rest, None),
            };
            if !node.children.contains_key(name) {
                if self.nodes >= MOST_TOPICS {
                    self.folded += 1;
                    return;
                }
                self.nodes += 1;
            }
            node = node.children.entry(name.to_owned()).or_default();
            node.add(line);
            match below {
                Some(below) => rest = below,
                None => return,
            }
        }
    }
}

impl Node {
    fn add(&mut self, line: &TopicLine) {
        self.messages = self.messages.saturating_add(line.messages);
        self.bytes = self.bytes.saturating_add(line.bytes);
        self.topics += 1;
        self.rate += line.rate.unwrap_or(0.0);
    }
}

/// Collects the parts of [`Topics`].
struct Collector {
    listing: Top<TopicLine>,
    busiest: Top<TopicLine>,
    bytes: u64,
    tree: Tree,
}

/// How many topics the figure has.
const BUSIEST: usize = 12;

impl Collector {
    fn new() -> Self {
        Self {
            listing: Top::new(MOST_ROWS),
            busiest: Top::new(BUSIEST),
            bytes: 0,
            tree: Tree::default(),
        }
    }

    fn add(&mut self, line: &TopicLine) {
        let key = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.listing.push(key(line.messages), || line.clone());
        self.busiest.push(key(line.bytes), || line.clone());
        self.bytes = self.bytes.saturating_add(line.bytes);
        self.tree.add(line);
    }

    fn finish(self, folded: u64, from_messages: bool) -> Topics {
        Topics {
            listing: self.listing.finish(),
            busiest: self.busiest.finish().rows,
            bytes: self.bytes,
            root: self.tree.root,
            folded: folded + self.tree.folded,
            from_messages,
        }
    }
}

pub(super) fn read(mut table: Table<'_>) -> Result<Topics, DigestError> {
    let [
        topic,
        messages,
        bytes,
        publishers,
        subscribers,
        qos0,
        qos1,
        qos2,
    ] = columns!(
        table; topic, messages, bytes, publishers, subscribers, qos0, qos1, qos2);
    let [retained, kind, rate, findings, tap] = columns!(
        table; retained, payload_kind, rate_per_s, findings, tap);
    let mut collector = Collector::new();
    while let Some(row) = table.read()? {
        collector.add(&TopicLine {
            topic: row.text(topic),
            messages: row.count(messages),
            bytes: row.count(bytes),
            publishers: row.integer(publishers),
            subscribers: row.integer(subscribers),
            qos: [qos0, qos1, qos2].map(|column| row.count(column)),
            retained: row.count(retained),
            kind: row.text(kind),
            rate: row.decimal(rate),
            findings: row.text(findings),
            tap: row.integer(tap),
        });
    }
    Ok(collector.finish(0, false))
}

/// Sums of messages.csv by topic.
#[derive(Debug, Default)]
pub(super) struct TopicTotals {
    topics: BTreeMap<Vec<u8>, Total>,
    /// Bytes of their names.
    names: usize,
    /// Messages of topics beyond the limit.
    folded: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Total {
    messages: u64,
    bytes: u64,
    qos: [u64; 3],
    retained: u64,
    first: Option<i64>,
    last: Option<i64>,
}

impl TopicTotals {
    pub(super) fn add(
        &mut self,
        topic: &[u8],
        bytes: u64,
        (qos, retain): (u64, bool),
        time: Option<i64>,
    ) {
        if !self.topics.contains_key(topic) {
            if self.topics.len() >= MOST_TOPICS || self.names > MOST_NAMES {
                self.folded += 1;
                return;
            }
            self.names += topic.len();
            self.topics.insert(topic.to_vec(), Total::default());
        }
        let Some(total) = self.topics.get_mut(topic) else {
            return;
        };
        total.messages += 1;
        total.bytes = total.bytes.saturating_add(bytes);
        if let Some(count) = total.qos.get_mut(qos as usize) {
            *count += 1;
        }
        total.retained += u64::from(retain);
        total.first = total.first.or(time);
        total.last = time.or(total.last);
    }

    pub(super) fn topics(&self) -> Topics {
        let mut collector = Collector::new();
        for (topic, total) in &self.topics {
            let seconds = total
                .first
                .zip(total.last)
                .map(|(first, last)| last.saturating_sub(first) as f64 / 1e9);
            collector.add(&TopicLine {
                topic: shortened(readable(topic)),
                messages: total.messages,
                bytes: total.bytes,
                publishers: None,
                subscribers: None,
                qos: total.qos,
                retained: total.retained,
                kind: String::new(),
                rate: seconds
                    .filter(|seconds| *seconds > 0.0 && total.messages > 1)
                    .map(|seconds| (total.messages - 1) as f64 / seconds),
                findings: String::new(),
                tap: None,
            });
        }
        collector.finish(self.folded, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&[u8]]) -> Topics {
        let mut totals = TopicTotals::default();
        for name in names {
            totals.add(name, 10, (1, false), Some(0));
        }
        totals.topics()
    }

    #[test]
    fn levels_make_a_tree_with_sums() {
        let topics = topics(&[b"home/a/t", b"home/a/t", b"home/b", b"/x", b"home/a"]);
        let home = &topics.root.children["home"];
        assert_eq!((home.messages, home.bytes, home.topics), (4, 40, 3));
        assert_eq!(home.children["a"].topics, 2);
        assert_eq!(topics.root.children[""].children["x"].messages, 1);
        assert_eq!(topics.listing.rows[0].topic, "home/a/t");
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let deep = b"/".repeat(65_000);
        let mut node = &topics(&[&deep]).root;
        let mut levels = 0;
        while let Some(child) = node.children.values().next() {
            node = child;
            levels += 1;
        }
        assert_eq!(levels, MOST_LEVELS);
        let mut totals = TopicTotals::default();
        for number in 0..2 * MOST_TOPICS {
            totals.add(number.to_string().as_bytes(), 1, (0, false), None);
        }
        let topics = totals.topics();
        assert_eq!(topics.root.children.len(), MOST_TOPICS);
        assert_eq!(topics.folded, MOST_TOPICS as u64);
    }
}
