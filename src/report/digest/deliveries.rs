//! deliveries.csv.

use super::exchanges::record;
use super::top::Top;
use super::{DelaySeries, DigestError, Listing, MOST_ROWS, Slices, Table, columns};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Of deliveries.csv.
#[derive(Debug)]
pub(in crate::report) struct Deliveries {
    /// From publisher to subscriber over time, by the name of the delay.
    pub(in crate::report) series: BTreeMap<&'static str, DelaySeries>,
    /// Lost ones first, then late ones, duplicates, and what cannot be decided.
    pub(in crate::report) trouble: Listing<DeliveryLine>,
    /// How the receivers are known: basis → rows.
    pub(in crate::report) basis: BTreeMap<String, u64>,
}

/// One delivery to show.
#[derive(Clone, Debug)]
pub(in crate::report) struct DeliveryLine {
    pub(in crate::report) outcome: String,
    pub(in crate::report) topic: String,
    pub(in crate::report) publisher: String,
    pub(in crate::report) subscriber: String,
    pub(in crate::report) qos: String,
    pub(in crate::report) publish_ns: Option<i64>,
    pub(in crate::report) delay_ns: Option<i64>,
    pub(in crate::report) basis: String,
    pub(in crate::report) tap: u64,
}

const NAMES: [[&str; 3]; 3] = [
    ["delivery_qos0", "delivery_qos1", "delivery_qos2"],
    ["turnaround_qos0", "turnaround_qos1", "turnaround_qos2"],
    ["residence_qos0", "residence_qos1", "residence_qos2"],
];

/// Adds to `made` what the histograms directory would have.
pub(super) fn read(
    mut table: Table<'_>,
    slices: Slices,
    made: &mut BTreeMap<String, Histogram<u64>>,
) -> Result<Deliveries, DigestError> {
    let [publisher, subscriber, topic, published, delivered, publish] = columns!(
        table; publisher, subscriber, topic, qos_published, qos_delivered, publish_ns);
    let [delay, residence, turnaround, outcome, basis, tap, expected] = columns!(
        table; delay_ns, residence_ns, turnaround_ns, outcome, basis, tap, qos_expected);
    let mut series: BTreeMap<&'static str, DelaySeries> = BTreeMap::new();
    let mut trouble = Top::new(MOST_ROWS);
    let mut bases: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(row) = table.read()? {
        let how = row.name(basis);
        if let Some(count) = bases.get_mut(how) {
            *count += 1;
        } else if bases.len() < 16 {
            // Our own words, of which there are four.
            bases.insert(how.to_owned(), 1);
        }
        let received = matches!(row.raw(outcome), b"delivered" | b"late");
        // As the summary counts: by what was expected, where that is known.
        let counted = match row.raw(expected) {
            b"" => row.raw(delivered),
            known => known,
        };
        let qos = match counted {
            b"0" => Some(0),
            b"1" => Some(1),
            b"2" => Some(2),
            _ => None,
        };
        if let (true, true, Some(qos)) = (received, how != "queued", qos) {
            for (names, column) in NAMES.iter().zip([delay, turnaround, residence]) {
                if let Some(value) = row.integer(column) {
                    record(made, names[qos], value);
                }
            }
            if let (Some(time), Some(delay)) = (row.integer(publish), row.integer(delay)) {
                series
                    .entry(NAMES[0][qos])
                    .or_insert_with(|| DelaySeries::new(slices))
                    .record(time, delay);
            }
        }
        let rank = match row.raw(outcome) {
            b"lost" => 4,
            b"late" => 3,
            b"duplicate" => 2,
            b"undetermined" => 1,
            _ => continue,
        };
        trouble.push(rank, || DeliveryLine {
            outcome: row.text(outcome),
            topic: row.text(topic),
            publisher: row.text(publisher),
            subscriber: row.text(subscriber),
            qos: match (row.name(published), row.name(delivered)) {
                (sent, "") => sent.to_owned(),
                (sent, got) => format!("{sent} → {got}"),
            },
            publish_ns: row.integer(publish),
            delay_ns: row.integer(delay),
            basis: row.text(basis),
            tap: row.count(tap),
        });
    }
    Ok(Deliveries {
        series,
        trouble: trouble.finish(),
        basis: bases,
    })
}
