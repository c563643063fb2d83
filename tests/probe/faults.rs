//! What an embedded broker is told to do wrong, to the message, is what samples.csv says.

use std::net::SocketAddr;

use mqttscope::broker::{Broker, Config, Fault, Faults, Qos2Forwarding};
use mqttscope::probe::blocks::Placed;
use mqttscope::probe::clock::Epoch;
use mqttscope::probe::rows::{self, Labels};
use mqttscope::probe::tally::Tally;
use mqttscope::probe::{Arrivals, CellPlan, CellResult, Extent, run_cell};
use mqttscope::results::{Outcome, SampleRow};
use mqttscope::{PacketType, ProtocolLevel, TimeDelta};

use super::{dialect, direct, measure, number};
use crate::tool::table;

fn run(plan: &CellPlan, config: Config) -> (CellResult, Vec<SampleRow>) {
    let broker = Broker::start(SocketAddr::from(([127, 0, 0, 1], 0)), config).unwrap();
    let connector = direct(broker.address().port());
    let result = run_cell(plan, &dialect(ProtocolLevel::V5), &connector, &mut |_| true).unwrap();
    let labels = Labels {
        placed: Placed {
            cell: 1,
            block: 1,
            condition: 0,
        },
        part: "probe".into(),
        link: None,
        packet_loss: None,
        fault: None,
        client: "measuring".into(),
        epoch: Epoch::read(),
    };
    let mut samples = Vec::new();
    let collected = rows::samples(&result, &labels, |row| {
        samples.push(row.clone());
        Ok::<(), ()>(())
    });
    collected.unwrap();
    (result, samples)
}

fn plan(qos: u8) -> CellPlan {
    CellPlan {
        qos,
        subscriber_qos: qos,
        payload_bytes: 32,
        arrivals: Arrivals::Fixed,
        rate: Some(200.0),
        extent: Extent::Count(50),
        deadline_ns: 400_000_000,
        drain_ns: 2_000_000_000,
        ..CellPlan::default()
    }
}

/// Messages of the script are counted from 1, sequences from 0.
#[test]
fn scripted_faults_are_found_to_the_message() {
    for qos in [0, 1, 2] {
        let faults = Faults::default()
            .message(7, Fault::Drop)
            .message(12, Fault::Duplicate)
            .message(20, Fault::Swap)
            .message(30, Fault::Silent(PacketType::Pubcomp));
        let config = Config {
            faults,
            ..Config::default()
        };
        let (result, samples) = run(&plan(qos), config);
        assert_eq!(samples.len(), 50);
        for row in &samples {
            let (outcome, duplicates) = match row.sequence {
                6 if qos == 0 => (Outcome::LostUnconfirmed, 0),
                6 => (Outcome::LostAcknowledged, 0),
                11 => (Outcome::Delivered, 1),
                _ => (Outcome::Delivered, 0),
            };
            assert_eq!(
                (row.outcome, row.duplicates),
                (outcome, duplicates),
                "{row:?}"
            );
            assert_eq!(row.received_ns.is_none(), row.sequence == 6);
            let has_pubcomp = qos == 2 && row.sequence != 29;
            assert_eq!(row.pubcomp_ns.is_some(), has_pubcomp, "{row:?}");
        }
        assert!(
            samples[19].received_ns >= samples[20].received_ns,
            "they changed places"
        );
        let reordered: Vec<u32> = result
            .samples()
            .filter(|sample| sample.reception.reordered)
            .map(|sample| sample.sequence)
            .collect();
        assert_eq!(reordered, [19]);
        assert!(samples[19].reordered);
        let tally = Tally::new(&result);
        assert_eq!((tally.reordered, tally.duplicates, tally.lost()), (1, 1, 1));
        assert!(result.drained, "the sentinel came");
    }
}

#[test]
fn late_is_not_lost_and_refused_is_neither() {
    let faults = Faults::default()
        .message(3, Fault::Delay(TimeDelta::from_millis(450)))
        .message(15, Fault::Refuse(0x97))
        .message(18, Fault::Repeat);
    for qos in [1, 2] {
        let config = Config {
            faults: faults.clone(),
            ..Config::default()
        };
        let (result, samples) = run(&plan(qos), config);
        for row in &samples {
            let outcome = match row.sequence {
                2 => Outcome::Late,
                14 => Outcome::Refused,
                _ => Outcome::Delivered,
            };
            // A busy machine may make others late, never lost.
            let late = row.outcome == Outcome::Late && outcome == Outcome::Delivered;
            assert!(row.outcome == outcome || late, "{row:?}");
        }
        let again = &result.samples().nth(17).unwrap().reception;
        let (copies, suppressed) = if qos == 1 { (1, 0) } else { (0, 1) };
        assert_eq!((again.duplicates, again.suppressed), (copies, suppressed));
        assert!(samples[2].response_ns.unwrap() > TimeDelta::from_millis(400));
    }
}

/// The connection is cut in the middle: the session goes on, and what was in flight is sent again.
#[test]
fn a_session_is_resumed_and_loses_nothing() {
    for qos in [1, 2] {
        let faults = Faults::default().message(25, Fault::Reset);
        let config = Config {
            faults,
            ..Config::default()
        };
        let plan = CellPlan {
            keep_session: true,
            disturbed: true,
            deadline_ns: 5_000_000_000,
            drain_ns: 5_000_000_000,
            ..plan(qos)
        };
        let (result, samples) = run(&plan, config);
        assert!(
            samples.iter().all(|row| row.outcome == Outcome::Delivered),
            "{samples:?}"
        );
        let publisher = &result.publishers[0];
        assert_eq!((publisher.reconnects, publisher.resumed), (1, 1));
        assert!(publisher.records[24].resent > 0, "with DUP");
        assert!(Tally::new(&result).resent > 0);
        if qos == 2 {
            assert!(
                samples.iter().all(|row| row.duplicates == 0),
                "exactly once"
            );
        }
    }
}

/// Without a session what was in flight is given up, and told.
#[test]
fn without_a_session_what_was_in_flight_is_lost() {
    let faults = Faults::default().message(25, Fault::Reset);
    let config = Config {
        faults,
        ..Config::default()
    };
    let (result, samples) = run(&plan(1), config);
    assert_eq!(samples[24].outcome, Outcome::LostUnacknowledged);
    assert_eq!(result.publishers[0].resumed, 0);
    let reason = Tally::new(&result).invalid_reason().unwrap();
    assert!(reason.contains("a connection was lost"), "{reason}");
}

#[test]
fn the_embedded_broker_needs_nothing_installed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    measure(&["--embedded", "--rate", "400", "--count", "80", "-o", path]);
    let cells = table(&dir.path().join("cells.csv"));
    assert_eq!(cells.len(), 3);
    for cell in &cells {
        assert_eq!(
            (number(cell, "delivered"), number(cell, "planned")),
            (80, 80)
        );
    }
    let config = Config {
        qos2: Qos2Forwarding::AtPublish,
        ..Config::default()
    };
    let (_, samples) = run(&plan(2), config);
    assert!(samples.iter().all(|row| row.outcome == Outcome::Delivered));
}

/// Through the proxy, every byte takes a known time each way. No message can be faster than the
/// trips that its QoS needs; benches/ has how near the median comes.
#[test]
fn a_known_delay_is_in_every_delay() {
    const EACH_WAY: i64 = 30_000_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    measure(&[
        "--embedded",
        "--delay",
        "30ms",
        "--rate",
        "100",
        "--count",
        "40",
        "--warm-up",
        "0",
        "-o",
        path,
    ]);
    let samples = table(&dir.path().join("samples.csv"));
    assert_eq!(samples.len(), 120);
    for row in &samples {
        assert_eq!(row["outcome"], "delivered");
        // PUBLISH in and out; at QoS 2 PUBREC and PUBREL come before it goes out.
        let trips = if row["qos"] == "2" { 4 } else { 2 };
        assert!(number(row, "service_ns") >= trips * EACH_WAY, "{row:?}");
        let sent = number(row, "sent_ns");
        match row["qos"].as_str() {
            "1" => assert!(number(row, "puback_ns") - sent >= 2 * EACH_WAY),
            "2" => assert!(number(row, "pubcomp_ns") - sent >= 4 * EACH_WAY),
            _ => {}
        }
    }
    for cell in table(&dir.path().join("cells.csv")) {
        assert_eq!(cell["fault"], "delay 30ms");
    }
}

/// Outages cut the connections; sessions are resumed and nothing acknowledged is lost at QoS 1
/// and 2. What was asked for makes no cell invalid by itself.
#[test]
fn outages_are_lived_through() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let output = measure(&[
        "--embedded",
        "--outage",
        "every 400ms for 100ms",
        "--qos",
        "1,2",
        "--rate",
        "100",
        "--count",
        "100",
        "-o",
        path,
    ]);
    let cells = table(&dir.path().join("cells.csv"));
    assert_eq!(cells.len(), 2);
    for cell in &cells {
        assert_eq!(cell["fault"], "outage every 400ms for 100ms");
        assert_eq!(number(cell, "delivered"), 100, "{cell:?}");
        assert!(
            !cell["invalid_reason"].contains("a connection was lost"),
            "{cell:?}"
        );
    }
    let exactly_once = cells.iter().find(|cell| cell["qos"] == "2").unwrap();
    assert_eq!(exactly_once["duplicates"], "0");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("reconnections"), "{errors}");
}
