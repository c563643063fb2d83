//! What cannot be seen from outside: deliveries and exchanges as records.

use super::*;
use crate::delivery::{Basis, DeliveryOutcome, DeliveryRecord};
use crate::mqtt::Altered;
use crate::session::{ExchangeOutcome, ExchangeRecord, SubscriptionRecord};
use crate::time::TimeDelta;

/// Keeps what it is told: code, detail, filter.
#[derive(Default)]
struct Kept(Vec<(&'static str, String, String)>);

impl Sink for Kept {
    fn finding(&mut self, finding: &Finding<'_>) {
        let detail = String::from_utf8_lossy(finding.detail).into_owned();
        let code = finding.code.doc().code;
        self.0.push((code, detail, finding.filter.to_owned()));
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_nanos(second * 1_000_000_000)
}

fn record(outcome: DeliveryOutcome) -> DeliveryRecord<'static> {
    DeliveryRecord {
        message: Some(1),
        publisher: Some(b"pump"),
        subscriber: b"display",
        delivered_message: Some(2),
        topic: Some(b"plant/pump"),
        qos_published: Some(1),
        qos_delivered: Some(1),
        qos: 1,
        publish: Some(second(1000)),
        received: Some(second(1012)),
        delay: Some(TimeDelta::from_millis(12_345)),
        residence: None,
        turnaround: None,
        outcome,
        basis: Basis::Subscribed,
        payload_hash: None,
        candidates: None,
        uncertain: false,
        further_copy: false,
        copies: 1,
        will_of: None,
        altered: Altered::NONE,
        connection: Some(3),
        tap: 0,
    }
}

#[test]
fn deliveries_in_trouble_are_told() {
    use DeliveryOutcome as O;
    let mut linter = Linter::new(Settings::default());
    let mut kept = Kept::default();
    for outcome in [
        O::Delivered,
        O::Late,
        O::Lost,
        O::Duplicate,
        O::Undetermined,
    ] {
        linter.delivery(&record(outcome), &mut kept);
    }
    let lower = DeliveryRecord {
        qos_delivered: Some(0),
        ..record(O::Delivered)
    };
    linter.delivery(&lower, &mut kept);
    let overlapping = DeliveryRecord { copies: 2, ..lower };
    linter.delivery(&overlapping, &mut kept);
    let codes: Vec<&str> = kept.0.iter().map(|(code, ..)| *code).collect();
    assert_eq!(
        codes,
        [
            "message-late",
            "message-lost",
            "message-duplicate",
            "delivery-qos-lower"
        ]
    );
    let (_, detail, filter) = &kept.0[0];
    assert_eq!(detail, "to display from pump, 12345.000 ms");
    assert_eq!(
        filter,
        "mqtt.topic == \"plant/pump\" && frame.time_epoch >= 1000.000000"
    );
    assert!(kept.0[3].1.starts_with("QoS 0 instead of 1; to display"));
}

fn exchange(outcome: ExchangeOutcome, publish: Timestamp) -> ExchangeRecord<'static> {
    ExchangeRecord {
        connection: 3,
        tap: 0,
        towards: Towards::Broker,
        packet_id: 7,
        qos: 1,
        topic: b"plant/pump",
        transmissions: 1,
        publish: Some(publish),
        puback: None,
        pubrec: None,
        pubrel: None,
        pubcomp: None,
        outcome,
        reason_code: Some(0x87),
        uncertain: false,
    }
}

#[test]
fn exchanges_that_had_no_time_to_end_are_no_finding() {
    use ExchangeOutcome as O;
    let mut linter = Linter::new(Settings::default());
    linter.now = second(1010);
    let mut kept = Kept::default();
    for (outcome, publish) in [
        (O::Complete, second(1000)),
        (O::Resumed, second(1000)),
        (O::Unknown, second(1000)),
        (O::Unacknowledged, second(1001)),
        (O::Unacknowledged, second(1000)),
        (O::AwaitingPubcomp, second(990)),
        (O::Interrupted, second(1009)),
        (O::Rejected, second(1009)),
    ] {
        linter.exchange(&exchange(outcome, publish), &mut kept);
    }
    let counts = linter.counts();
    assert_eq!(counts["exchange-unacknowledged"], 2);
    assert_eq!(counts["exchange-interrupted"], 1);
    assert_eq!(
        kept.0.last().map(|(_, detail, _)| detail.as_str()),
        Some("QoS 1 to_broker, packet identifier 7: 135 (Not authorized)")
    );
}

#[test]
fn subscriptions_refused_or_granted_less_are_told() {
    let mut linter = Linter::new(Settings::default());
    let mut kept = Kept::default();
    let subscription = SubscriptionRecord {
        connection: 3,
        tap: 0,
        client_id: Some(b"display"),
        filter: b"plant/#",
        requested_qos: 2,
        granted_qos: Some(1),
        reason_code: Some(1),
        subscribe: second(1000),
        suback: Some(second(1000)),
        unsubscribe: None,
    };
    linter.subscription(&subscription, &mut kept);
    let refused = SubscriptionRecord {
        granted_qos: None,
        reason_code: Some(0x80),
        ..subscription
    };
    linter.subscription(&refused, &mut kept);
    let told: Vec<(&str, &str)> = kept.0.iter().map(|(c, d, _)| (*c, d.as_str())).collect();
    assert_eq!(
        told,
        [
            (
                "subscription-qos-lower",
                "QoS 1 instead of 2, client display"
            ),
            (
                "subscription-refused",
                "128 (Unspecified error), client display"
            ),
        ]
    );
}

#[test]
fn what_is_ignored_is_neither_counted_nor_told() {
    let mut linter = Linter::new(Settings {
        ignored: vec![Own::Lost.into()],
        ..Settings::default()
    });
    let mut kept = Kept::default();
    linter.delivery(&record(DeliveryOutcome::Lost), &mut kept);
    linter.delivery(&record(DeliveryOutcome::Late), &mut kept);
    assert_eq!(kept.0.len(), 1);
    assert_eq!(linter.counts().len(), 1);
}
