//! exchanges.csv.

use super::ladder::Ladder;
use super::top::Top;
use super::{DelaySeries, DigestError, Listing, Slices, Table, columns};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Most unfinished exchanges that the page shows.
const MOST_UNFINISHED: usize = 100;

/// Of exchanges.csv.
#[derive(Debug)]
pub(in crate::report) struct Exchanges {
    /// How long handshakes took, by the name of the delay.
    pub(in crate::report) series: BTreeMap<&'static str, DelaySeries>,
    /// Those that did not complete.
    pub(in crate::report) unfinished: Listing<ExchangeLine>,
}

/// One exchange to show.
#[derive(Clone, Debug)]
pub(in crate::report) struct ExchangeLine {
    pub(in crate::report) connection: u64,
    pub(in crate::report) direction: String,
    pub(in crate::report) packet_id: u64,
    pub(in crate::report) qos: u64,
    pub(in crate::report) topic: String,
    pub(in crate::report) transmissions: u64,
    pub(in crate::report) publish_ns: Option<i64>,
    pub(in crate::report) outcome: String,
    pub(in crate::report) tap: u64,
}

/// Adds to `made` what the histograms directory would have, as far as the table tells.
pub(super) fn read(
    mut table: Table<'_>,
    slices: Slices,
    made: &mut BTreeMap<String, Histogram<u64>>,
    (ladders, with_messages): (&mut [Ladder], bool),
) -> Result<Exchanges, DigestError> {
    let [
        connection,
        direction,
        packet_id,
        qos,
        topic,
        transmissions,
        publish,
    ] = columns!(
        table; connection, direction, packet_id, qos, topic, transmissions, publish_ns);
    let [puback, pubrec, pubrel, pubcomp, total, outcome, tap] = columns!(
        table; puback_ns, pubrec_ns, pubrel_ns, pubcomp_ns, total_ns, outcome, tap);
    let mut series: BTreeMap<&'static str, DelaySeries> = BTreeMap::new();
    let mut unfinished = Top::new(MOST_UNFINISHED);
    while let Some(row) = table.read()? {
        let to_client = row.raw(direction) == b"to_client";
        let publish_ns = row.integer(publish);
        if let (Some(time), Some(total)) = (publish_ns, row.integer(total)) {
            let name = delay_name(row.raw(qos) == b"2", to_client);
            series
                .entry(name)
                .or_insert_with(|| DelaySeries::new(slices))
                .record(time, total);
            record(made, name, total);
        }
        if !matches!(row.raw(outcome), b"complete" | b"resumed" | b"unknown") {
            // All alike: the first of them.
            unfinished.push(0, || ExchangeLine {
                connection: row.count(connection),
                direction: row.text(direction),
                packet_id: row.count(packet_id),
                qos: row.count(qos),
                topic: row.text(topic),
                transmissions: row.count(transmissions),
                publish_ns,
                outcome: row.text(outcome),
                tap: row.count(tap),
            });
        }
        for ladder in ladders.iter_mut() {
            if !ladder.is_of(row.count(connection), row.count(tap)) {
                continue;
            }
            let id = row.integer(packet_id);
            if let Some(time) = publish_ns.filter(|_| !with_messages) {
                let about = (row.count(qos), id);
                ladder.publish(
                    (time, to_client),
                    about,
                    (false, false),
                    &row.text(topic),
                    None,
                );
            }
            for (name, column, with_publish) in [
                ("PUBACK", puback, false),
                ("PUBREC", pubrec, false),
                ("PUBREL", pubrel, true),
                ("PUBCOMP", pubcomp, false),
            ] {
                if let Some(time) = row.integer(column) {
                    ladder.acknowledgment((time, to_client == with_publish), name, id);
                }
            }
        }
    }
    Ok(Exchanges {
        series,
        unfinished: unfinished.finish(),
    })
}

const fn delay_name(qos2: bool, to_client: bool) -> &'static str {
    match (qos2, to_client) {
        (false, false) => "puback.to_broker",
        (false, true) => "puback.to_client",
        (true, false) => "qos2_total.to_broker",
        (true, true) => "qos2_total.to_client",
    }
}

/// Adds an observation to the histogram of this name, if it is not negative.
pub(super) fn record(made: &mut BTreeMap<String, Histogram<u64>>, name: &str, nanos: i64) {
    let Ok(value) = u64::try_from(nanos) else {
        return;
    };
    let histogram = match made.get_mut(name) {
        Some(histogram) => histogram,
        None => made
            .entry(name.to_owned())
            .or_insert_with(crate::report::histograms::empty),
    };
    histogram.saturating_record(value);
}
