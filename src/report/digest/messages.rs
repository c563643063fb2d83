//! messages.csv: how many when, and their topics where topics.csv is not there.

use super::ladder::Ladder;
use super::topics::{TopicTotals, Topics};
use super::{DigestError, SLICES, Slices, Table, columns};

/// Of messages.csv.
#[derive(Debug)]
pub(in crate::report) struct Messages {
    /// PUBLISH packets per slice of time to the broker, and to clients.
    pub(in crate::report) per_slice: [Vec<u64>; 2],
    /// How many went each way.
    pub(in crate::report) totals: [u64; 2],
    topics: TopicTotals,
}

impl Messages {
    /// What they tell of topics.
    pub(super) fn topics(&self) -> Topics {
        self.topics.topics()
    }
}

pub(super) fn read(
    mut table: Table<'_>,
    slices: Slices,
    ladders: &mut [Ladder],
) -> Result<Messages, DigestError> {
    let [
        connection,
        direction,
        first,
        packet_id,
        qos,
        dup,
        retain,
        topic,
        bytes,
        tap,
    ] = columns!(
        table; connection, direction, first_ns, packet_id, qos, dup, retain, topic, payload_bytes,
        tap);
    let mut per_slice = [vec![0; SLICES], vec![0; SLICES]];
    let mut totals = [0; 2];
    let mut topics = TopicTotals::default();
    while let Some(row) = table.read()? {
        let to_client = row.raw(direction) == b"to_client";
        let way = usize::from(to_client);
        totals[way] += 1;
        if let Some(time) = row.integer(first) {
            per_slice[way][slices.index(time)] += 1;
        }
        if !row.raw(topic).is_empty() {
            let qos = row.count(qos);
            let time = row.integer(first);
            topics.add(
                row.raw(topic),
                row.count(bytes),
                (qos, row.flag(retain)),
                time,
            );
        }
        for ladder in ladders.iter_mut() {
            if ladder.is_of(row.count(connection), row.count(tap)) {
                let Some(time) = row.integer(first) else {
                    continue;
                };
                ladder.publish(
                    (time, to_client),
                    (row.count(qos), row.integer(packet_id)),
                    (row.flag(dup), row.flag(retain)),
                    &row.text(topic),
                    row.integer(bytes),
                );
            }
        }
    }
    Ok(Messages {
        per_slice,
        totals,
        topics,
    })
}
