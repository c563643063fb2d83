//! The packets of one connection in the order of time, for a sequence diagram.

use super::top::Top;
use super::{DiagramOf, DigestError, Table, columns};

/// Most packets of a diagram; further ones are counted.
const MOST_STEPS: usize = 150;

/// What happened on one connection.
#[derive(Debug)]
pub(in crate::report) struct Ladder {
    pub(in crate::report) of: DiagramOf,
    pub(in crate::report) client: String,
    pub(in crate::report) start_ns: Option<i64>,
    pub(in crate::report) end_ns: Option<i64>,
    pub(in crate::report) end_reason: String,
    steps: Top<Step>,
}

/// One packet.
#[derive(Clone, Debug)]
pub(in crate::report) struct Step {
    /// When it began, of acknowledgments when it was whole.
    pub(in crate::report) time_ns: i64,
    pub(in crate::report) to_client: bool,
    pub(in crate::report) label: String,
    /// What the label is about: a topic or a filter.
    pub(in crate::report) detail: String,
}

impl Ladder {
    pub(super) const fn new(of: DiagramOf) -> Self {
        Self {
            of,
            client: String::new(),
            start_ns: None,
            end_ns: None,
            end_reason: String::new(),
            steps: Top::new(MOST_STEPS),
        }
    }

    pub(super) fn is_of(&self, connection: u64, tap: u64) -> bool {
        self.of.connection == connection && u64::from(self.of.tap) == tap
    }

    pub(super) fn begin(
        &mut self,
        client: String,
        start: Option<i64>,
        (end, reason): (Option<i64>, &str),
    ) {
        self.client = client;
        self.start_ns = start;
        self.end_ns = end;
        self.end_reason = reason.to_owned();
    }

    pub(in crate::report) const fn is_empty(&self) -> bool {
        self.start_ns.is_none()
    }

    fn add(&mut self, (time_ns, to_client): (i64, bool), label: String, detail: String) {
        // The earliest have the greatest key.
        self.steps.push(time_ns.saturating_neg(), || Step {
            time_ns,
            to_client,
            label,
            detail,
        });
    }

    pub(super) fn publish(
        &mut self,
        when: (i64, bool),
        (qos, packet_id): (u64, Option<i64>),
        (dup, retain): (bool, bool),
        topic: &str,
        bytes: Option<i64>,
    ) {
        let mut label = format!("PUBLISH  QoS {qos}");
        if let Some(id) = packet_id {
            label += &format!("  id {id}");
        }
        if dup {
            label += "  DUP";
        }
        if retain {
            label += "  RETAIN";
        }
        if let Some(bytes) = bytes {
            label += &format!("  {bytes} B");
        }
        self.add(when, label, topic.to_owned());
    }

    pub(super) fn acknowledgment(&mut self, when: (i64, bool), name: &str, id: Option<i64>) {
        let id = id.map_or_else(String::new, |id| format!("  id {id}"));
        self.add(when, format!("{name}{id}"), String::new());
    }

    /// The first packets, in order, and how many there are at all.
    pub(in crate::report) fn steps(&self) -> (Vec<Step>, u64) {
        let listing = self.steps.clone().finish();
        (listing.rows, listing.total)
    }
}

pub(super) fn read_subscriptions(
    mut table: Table<'_>,
    ladders: &mut [Ladder],
) -> Result<(), DigestError> {
    if ladders.is_empty() {
        return Ok(());
    }
    let [
        connection,
        filter,
        requested,
        granted,
        subscribe,
        suback,
        unsubscribe,
        tap,
    ] = columns!(
        table; connection, filter, requested_qos, granted_qos, subscribe_ns, suback_ns,
        unsubscribe_ns, tap);
    while let Some(row) = table.read()? {
        for ladder in ladders.iter_mut() {
            if !ladder.is_of(row.count(connection), row.count(tap)) {
                continue;
            }
            if let Some(time) = row.integer(subscribe) {
                let label = format!("SUBSCRIBE  QoS {}", row.name(requested));
                ladder.add((time, false), label, row.text(filter));
            }
            if let Some(time) = row.integer(suback) {
                let label = match row.name(granted) {
                    "" => "SUBACK  refused".to_owned(),
                    qos => format!("SUBACK  granted QoS {qos}"),
                };
                ladder.add((time, true), label, row.text(filter));
            }
            if let Some(time) = row.integer(unsubscribe) {
                let label = "UNSUBSCRIBE, or a new SUBSCRIBE".to_owned();
                ladder.add((time, false), label, row.text(filter));
            }
        }
    }
    Ok(())
}
