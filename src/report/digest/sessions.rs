//! sessions.csv.

use super::top::Top;
use super::{DigestError, Listing, MOST_ROWS, Table, columns};

/// One session to show.
#[derive(Clone, Debug)]
pub(in crate::report) struct SessionLine {
    pub(in crate::report) client_id: String,
    pub(in crate::report) broker: String,
    pub(in crate::report) connections: u64,
    pub(in crate::report) duration_ns: Option<i64>,
    pub(in crate::report) resumed: u64,
    pub(in crate::report) taken_over: u64,
    /// How often its will was published; `None` where nobody looked.
    pub(in crate::report) will_published: Option<i64>,
    pub(in crate::report) subscriptions: u64,
    pub(in crate::report) sent: u64,
    pub(in crate::report) received: u64,
    pub(in crate::report) keep_alive_violations: u64,
    pub(in crate::report) tap: u64,
}

/// Those with trouble first, then those with most messages.
pub(super) fn read(mut table: Table<'_>) -> Result<Listing<SessionLine>, DigestError> {
    let [
        client_id,
        broker,
        connections,
        first,
        last,
        resumed,
        taken_over,
    ] = columns!(
        table; client_id, broker, connections, first_ns, last_ns, resumed, taken_over);
    let [will, subscriptions, sent, received, keep_alive, tap] = columns!(
        table; will_published, subscriptions, publishes_sent, publishes_received,
        keep_alive_violations, tap);
    let mut top = Top::new(MOST_ROWS);
    while let Some(row) = table.read()? {
        let trouble = row.count(taken_over) + row.count(keep_alive) > 0;
        let messages = row.count(sent).saturating_add(row.count(received));
        let messages = i64::try_from(messages.min(1 << 60)).unwrap_or(0);
        top.push(messages + if trouble { 1 << 61 } else { 0 }, || {
            SessionLine {
                client_id: row.text(client_id),
                broker: row.text(broker),
                connections: row.count(connections),
                duration_ns: row
                    .integer(first)
                    .zip(row.integer(last))
                    .map(|(first, last)| last.saturating_sub(first)),
                resumed: row.count(resumed),
                taken_over: row.count(taken_over),
                will_published: row.integer(will),
                subscriptions: row.count(subscriptions),
                sent: row.count(sent),
                received: row.count(received),
                keep_alive_violations: row.count(keep_alive),
                tap: row.count(tap),
            }
        });
    }
    Ok(top.finish())
}
