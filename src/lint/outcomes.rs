//! How exchanges, subscriptions and deliveries ended.

use crate::delivery::{DeliveryOutcome, DeliveryRecord};
use crate::mqtt::{PacketType, ProtocolLevel, reason_text};
use crate::session::{ExchangeOutcome, ExchangeRecord, SubscriptionRecord};
use crate::time::{TimeDelta, Timestamp};

use super::Linter;
use super::catalogue::Own;
use super::collector::{Draft, Place, Sink};

impl Linter {
    /// Takes an exchange that is over.
    pub fn exchange<S: Sink>(&mut self, record: &ExchangeRecord<'_>, sink: &mut S) {
        use ExchangeOutcome as O;
        let code = match record.outcome {
            O::Complete | O::Resumed | O::Unknown => return,
            O::Rejected => Own::Rejected,
            O::Interrupted => Own::Interrupted,
            O::Unacknowledged | O::AwaitingPubrec | O::AwaitingPubrel | O::AwaitingPubcomp => {
                if !self.waited_long(record.publish) {
                    return;
                }
                Own::Unacknowledged
            }
        };
        let place = Place {
            connection: Some(record.connection),
            time: record.publish,
            tap: Some(record.tap),
            ..Place::default()
        };
        let topic = Some(record.topic).filter(|topic| !topic.is_empty());
        self.collector.report(code, place, topic, sink, |draft| {
            say_exchange(draft, record);
            draft.exchange(record.packet_id, record.publish);
        });
    }

    /// Whether what began then and is open still had its time.
    fn waited_long(&self, publish: Option<Timestamp>) -> bool {
        publish.is_some_and(|publish| self.is_long(self.now - publish))
    }

    /// Whether who waited so long for an answer is not served.
    pub(super) fn is_long(&self, waited: TimeDelta) -> bool {
        let seconds = i64::try_from(self.settings.thresholds.acknowledgment_s);
        waited >= TimeDelta::from_secs(seconds.unwrap_or(i64::MAX))
    }

    /// Takes a subscription that is over.
    pub fn subscription<S: Sink>(&mut self, record: &SubscriptionRecord<'_>, sink: &mut S) {
        let place = Place {
            connection: Some(record.connection),
            time: record.suback,
            tap: Some(record.tap),
            ..Place::default()
        };
        let filter = Some(record.filter);
        let client = record.client_id.unwrap_or_default();
        let refusal = record.reason_code.filter(|code| *code >= 0x80);
        if let Some(code) = refusal {
            self.collector
                .report(Own::SubscriptionRefused, place, filter, sink, |draft| {
                    // The words for 0x80 agree between the levels, and it has no others before 5.
                    let words = reason_text(PacketType::Suback, code, ProtocolLevel::V5);
                    say_code(draft, code, words);
                    draft.say(format_args!(", client ")).name(client);
                    draft.text("mqtt.topic", record.filter, None);
                });
        }
        if let Some(granted) = record
            .granted_qos
            .filter(|granted| *granted < record.requested_qos)
        {
            self.collector
                .report(Own::GrantedLower, place, filter, sink, |draft| {
                    draft.say(format_args!(
                        "QoS {granted} instead of {}, client ",
                        record.requested_qos
                    ));
                    draft.name(client);
                    draft.text("mqtt.topic", record.filter, None);
                });
        }
    }

    /// Takes a delivery that is decided.
    #[inline]
    pub fn delivery<S: Sink>(&mut self, record: &DeliveryRecord<'_>, sink: &mut S) {
        // With several filters that match, each copy may come with the QoS of its own.
        let other = record.copies <= 1 && record.qos_delivered.is_some_and(|qos| qos != record.qos);
        let sound = record.outcome == DeliveryOutcome::Delivered && record.altered.is_empty();
        if !sound || other {
            self.trouble(record, other, sink);
        }
    }

    #[cold]
    fn trouble<S: Sink>(&mut self, record: &DeliveryRecord<'_>, other: bool, sink: &mut S) {
        let code = match record.outcome {
            DeliveryOutcome::Delivered | DeliveryOutcome::Undetermined => None,
            DeliveryOutcome::Late => Some(Own::Late),
            DeliveryOutcome::Lost => Some(Own::Lost),
            // At QoS 2 the receiver knows a repetition by its packet identifier, and drops it.
            DeliveryOutcome::Duplicate if record.qos_delivered == Some(2) => None,
            DeliveryOutcome::Duplicate => Some(Own::Duplicate),
        };
        let place = Place {
            connection: record.connection,
            time: record.received.or(record.publish),
            tap: Some(record.tap),
            ..Place::default()
        };
        let qos = match record.qos_delivered {
            Some(qos) if qos > record.qos => Own::DeliveredHigher,
            _ => Own::DeliveredLower,
        };
        let altered = (!record.altered.is_empty()).then_some(Own::PropertiesAltered);
        let all = code.into_iter().chain(other.then_some(qos)).chain(altered);
        for code in all {
            self.collector
                .report(code, place, record.topic, sink, |draft| {
                    let about_qos = matches!(code, Own::DeliveredLower | Own::DeliveredHigher);
                    if let (true, Some(qos)) = (about_qos, record.qos_delivered) {
                        draft.say(format_args!("QoS {qos} instead of {}; ", record.qos));
                    }
                    if code == Own::PropertiesAltered {
                        for (property, clause) in record.altered.iter() {
                            draft.say(format_args!("{} [{clause}]; ", property.name()));
                        }
                    }
                    say_delivery(draft, record);
                });
        }
    }
}

fn say_exchange(draft: &mut Draft, record: &ExchangeRecord<'_>) {
    let way = record.towards.name();
    draft.say(format_args!(
        "QoS {} {way}, packet identifier {}",
        record.qos, record.packet_id
    ));
    match record.outcome {
        ExchangeOutcome::Rejected => {
            let code = record.reason_code.unwrap_or(0x80);
            draft.say(format_args!(": "));
            let words = reason_text(PacketType::Puback, code, ProtocolLevel::V5);
            say_code(draft, code, words);
        }
        ExchangeOutcome::Interrupted => {}
        outcome => {
            draft.say(format_args!(": {}", outcome.name()));
        }
    }
    if record.transmissions > 1 {
        draft.say(format_args!(", sent {} times", record.transmissions));
    }
}

pub(super) fn say_code(draft: &mut Draft, code: u8, words: Option<&str>) {
    match words {
        Some(words) => draft.say(format_args!("{code} ({words})")),
        None => draft.say(format_args!("{code}")),
    };
}

fn say_delivery(draft: &mut Draft, record: &DeliveryRecord<'_>) {
    draft.say(format_args!("to ")).quote(record.subscriber);
    if let Some(publisher) = record.publisher {
        draft.say(format_args!(" from ")).quote(publisher);
    }
    if let Some(delay) = record.delay {
        let micros = delay.as_nanos() / 1000;
        let rest = (micros % 1000).abs();
        draft.say(format_args!(", {}.{rest:03} ms", micros / 1000));
    }
    // Both legs: the messages of the topic from this one on.
    if let Some(topic) = record.topic {
        draft.text("mqtt.topic", topic, None);
    }
    draft.since(record.publish.or(record.received));
}
