//! What PUBLISH packets show of their topics and payloads.

use std::hint::cold_path;

use crate::mqtt::Publish;
use crate::payload::Keys;
use crate::session::Towards;

use super::catalogue::{Code, Own};
use super::collector::{Collector, Draft, Sink};
use super::topics::{Addition, Topic};
use super::{Examined, Linter, Seen, topic};

impl Linter {
    #[inline]
    pub(super) fn publish<S: Sink>(
        &mut self,
        seen: &Seen<'_>,
        publish: &Publish<'_>,
        examine: impl FnOnce(Option<&mut Keys>) -> Examined,
        sink: &mut S,
    ) {
        if publish.dup && publish.qos > 0 {
            self.sent_again(seen, publish, sink);
        }
        let Some(name) = seen.topic.filter(|name| !name.is_empty()) else {
            return;
        };
        let client = self.slots.client(seen.slot, seen.state);
        let length = publish.payload_length.unwrap_or(0);
        let message = Addition {
            towards: seen.towards,
            time: seen.times.first,
            bytes: length,
            qos: publish.qos,
            retain: publish.retain,
            client,
        };
        let tap = seen.state.facts.tap;
        let Some((topic, is_new, news)) = self.topics.add(tap, (name, seen.topic_hash), &message)
        else {
            return;
        };
        let thresholds = &self.settings.thresholds;
        let mut report = Report {
            collector: &mut self.collector,
            seen,
            name,
            sink,
        };
        if is_new && !topic::is_plain(name, thresholds) {
            cold_path();
            for own in topic::form(name, thresholds) {
                report.about(topic, own, |_| {});
            }
        }
        if news.first_to_broker {
            first_to_broker(&mut report, topic);
        }
        if news.publisher && topic.publishers() == thresholds.topic_publishers.saturating_add(1) {
            report.about(topic, Own::SharedByMany, |draft| {
                draft.say(format_args!(
                    "more than {} clients publish to it",
                    thresholds.topic_publishers
                ));
            });
        }
        if publish.retain && seen.towards == Towards::Broker && length > 0 {
            let count = topic.count_retained(seen.times.first);
            if count > thresholds.retained_per_minute {
                cold_path();
                report.about(topic, Own::VolatileRetained, |draft| {
                    draft.say(format_args!("{count} retained messages within a minute"));
                });
            }
        }
        if u64::from(length) > thresholds.payload_bytes {
            report.about(topic, Own::LargePayload, |draft| {
                draft.say(format_args!("{length} bytes"));
            });
        }
        // A NUL at the end is looked for in every message: it costs one byte.
        let ends_with_nul = publish.payload.last() == Some(&0) && !topic.has(Own::TrailingNul);
        if news.sample || ends_with_nul {
            let wants_keys = topic.wants_keys();
            let examined = examine(wants_keys.then(|| self.key_lists.scratch()));
            look_into(&mut report, topic, &examined);
            if wants_keys && let Some(keys) = self.key_lists.share() {
                topic.set_keys(keys);
            }
        }
    }

    /// A PUBLISH with DUP whose first transmission was on this connection too.
    #[cold]
    fn sent_again<S: Sink>(&mut self, seen: &Seen<'_>, publish: &Publish<'_>, sink: &mut S) {
        let Some(packet_id) = publish.packet_id else {
            return;
        };
        let transmissions = seen.transmissions;
        if transmissions < 2 {
            return;
        }
        let facts = &seen.state.facts;
        self.collector
            .report(Own::Resent, seen.place(), seen.topic, sink, |draft| {
                draft.say(format_args!(
                    "packet identifier {packet_id}, sent {transmissions} times on this connection"
                ));
                draft
                    .exchange(packet_id, None)
                    .connection([facts.client, facts.broker]);
            });
    }
}

/// Tells of a topic, each code once.
struct Report<'r, S> {
    collector: &'r mut Collector,
    seen: &'r Seen<'r>,
    name: &'r [u8],
    sink: &'r mut S,
}

impl<S: Sink> Report<'_, S> {
    #[cold]
    fn about(&mut self, topic: &mut Topic, own: Own, say: impl FnOnce(&mut Draft)) {
        if self.collector.ignores(Code::from(own)) || !topic.note(own) {
            return;
        }
        let (place, frame) = (self.seen.place(), self.seen.frame);
        self.collector
            .report(own, place, Some(self.name), self.sink, |draft| {
                say(draft);
                draft.text("mqtt.topic", self.name, Some(frame));
            });
    }
}

/// What the first message of a client to a topic shows.
#[inline]
fn first_to_broker<S: Sink>(report: &mut Report<'_, S>, topic: &mut Topic) {
    if report.name.starts_with(b"$") {
        report.about(topic, Own::ReservedTopic, |_| {});
        return;
    }
    let client_id = report.seen.state.client_id();
    if topic::names_sender(report.name, client_id) == Some(false) {
        report.about(topic, Own::WithoutSender, |draft| {
            draft.say(format_args!("published by "));
            draft.quote(client_id.unwrap_or_default());
        });
    }
}

/// What a payload shows of its topic.
#[inline]
fn look_into<S: Sink>(report: &mut Report<'_, S>, topic: &mut Topic, examined: &Examined) {
    use crate::payload::PayloadKind;
    let Some(kind) = examined.kind else {
        return;
    };
    topic.add_kind(kind);
    if kind == PayloadKind::TextNul {
        report.about(topic, Own::TrailingNul, |_| {});
    }
    if examined.contradicts {
        report.about(topic, Own::ContentType, |draft| {
            draft.say(format_args!("it is {}", kind.name()));
        });
    }
    if let Some(why) = &examined.mismatch {
        report.about(topic, Own::SchemaMismatch, |draft| {
            draft.say(format_args!("{why}"));
        });
    }
}
