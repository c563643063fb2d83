//! The same run seen twice: by the prober, and by the passive analysis of its packets.
#![allow(
    clippy::print_stderr,
    reason = "by how much they differ is worth a line"
)]

use super::tcpdump::Tcpdump;
use super::tool::{Row, may_skip, mqttscope, table};
use super::{broker, directory, measure, number};
use std::collections::BTreeMap;

#[test]
fn the_prober_and_the_packets_agree() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("run.pcap");
    let Some(tcpdump) = Tcpdump::start(broker.port, &capture) else {
        return may_skip("tcpdump that may capture on lo");
    };
    let (run, analysis) = (dir.path().join("run"), dir.path().join("analysis"));
    measure(&[
        &broker.url(),
        "--rate",
        "200",
        "--count",
        "150",
        "--payload",
        "16,1400",
        "--warm-up",
        "0",
        "-o",
        directory(&run),
    ]);
    // The last packets are in the file when a later one is: the goodbyes are behind all messages.
    tcpdump.stop();
    let port = broker.port.to_string();
    mqttscope([
        "analyze",
        directory(&capture),
        "-p",
        &port,
        "--only",
        "tables",
        "-o",
        directory(&analysis),
    ]);
    let samples = table(&run.join("samples.csv"));
    let deliveries: BTreeMap<String, Row> = table(&analysis.join("deliveries.csv"))
        .into_iter()
        .map(|row| (row["payload_hash"].clone(), row))
        .collect();
    assert_eq!(samples.len(), 3 * 2 * 150);
    let mut differences = Vec::new();
    for sample in &samples {
        let hash = &sample["payload_hash"];
        let delivery = deliveries.get(hash).unwrap_or_else(|| panic!("{sample:?}"));
        for column in ["publisher", "subscriber", "outcome", "topic"] {
            assert_eq!(sample[column], delivery[column], "{sample:?} {delivery:?}");
        }
        assert_eq!(sample["qos"], delivery["qos_published"]);
        // What the prober sees holds what the packets see: it stamps before the write and after
        // the read. One clock is monotonic and the other the calendar's, so not to the nanosecond.
        differences.push(number(sample, "service_ns") - number(delivery, "delay_ns"));
    }
    differences.sort_unstable();
    let median = differences[differences.len() / 2];
    eprintln!(
        "service − delay on the wire: {median} ns at the median of {}",
        differences.len()
    );
    assert!(
        median > -1_000_000,
        "the prober cannot be faster than the packets: {median}"
    );
}
