//! What the log of a recording says of deliveries, from the clients' words alone: who was
//! subscribed to what when something was published, who received it, and what never arrived.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A row that deliveries.csv has to have, as far as a log knows it. Client ids as in the table;
/// empty where there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delivery {
    pub(crate) publisher: String,
    pub(crate) subscriber: String,
    pub(crate) topic: String,
    pub(crate) payload_hash: String,
    pub(crate) qos_published: String,
    pub(crate) qos_delivered: String,
    pub(crate) outcome: String,
    pub(crate) basis: String,
}

/// One filter that a session has.
#[derive(Clone, Debug)]
struct Subscription {
    granted: u64,
    no_local: bool,
}

/// What the broker keeps of a client id.
#[derive(Debug, Default)]
struct Session {
    /// Devices connected under this id.
    connections: u32,
    persistent: bool,
    /// The broker's address: two addresses are two brokers to whoever only listens.
    broker: String,
    filters: BTreeMap<String, Subscription>,
    /// Packet identifiers received, with the message that each brought.
    received: BTreeMap<u64, Delivery>,
}

/// A message that somebody should get.
#[derive(Debug)]
struct Expectation {
    delivery: Delivery,
    /// Who may receive it: one, or the members of a group.
    receivers: BTreeSet<String>,
    /// Filters that match.
    copies: usize,
    seen: usize,
    /// Nobody was connected when it was published.
    away: bool,
}

/// A log, read from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Known<'e> {
    events: &'e [Value],
    /// Client id in the table, by the client's name in the log.
    ids: &'e BTreeMap<String, String>,
    /// How many of the events came before the capture began.
    unseen: usize,
    sessions: BTreeMap<String, Session>,
    expectations: Vec<Expectation>,
    rows: Vec<Delivery>,
    /// Messages that came because a subscription began, and are no deliveries.
    retained: usize,
}

/// What a log says.
#[derive(Debug)]
pub(crate) struct Deliveries {
    pub(crate) rows: Vec<Delivery>,
    /// Received messages that have no row.
    pub(crate) retained: usize,
}

/// `absent` is the outcome of what never arrived. `ids`: client id by the client's name in the log.
pub(crate) fn deliveries(
    events: &[Value],
    unseen: usize,
    ids: &BTreeMap<String, String>,
    absent: &str,
) -> Deliveries {
    let mut known = Known {
        events,
        ids,
        unseen,
        sessions: BTreeMap::new(),
        expectations: Vec::new(),
        rows: Vec::new(),
        retained: 0,
    };
    known.publish_all();
    known.receive_all();
    known.finish(absent)
}

fn text<'e>(event: &'e Value, name: &str) -> &'e str {
    event[name].as_str().unwrap()
}

fn number(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap()
}

/// Section 4.7 of MQTT 3.1.1 and 5.
fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            // `sport/#` matches `sport` too.
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// The group and the filter of a shared subscription.
fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

impl Known<'_> {
    fn id(&self, event: &Value) -> String {
        self.ids[text(event, "client")].clone()
    }

    /// First everything but what was received: the log may name a message's arrival before its
    /// departure, for these are two threads.
    fn publish_all(&mut self) {
        for (index, event) in self.events.iter().enumerate() {
            match text(event, "event") {
                "connecting" => self.connecting(event),
                "connected" if event["session_present"] == 0 => {
                    let id = self.id(event);
                    self.sessions.get_mut(&id).unwrap().filters.clear();
                }
                "disconnected" | "vanishing" => self.gone(event),
                "subscribed" => self.subscribed(index),
                "unsubscribing" => {
                    let id = self.id(event);
                    let filters = &mut self.sessions.get_mut(&id).unwrap().filters;
                    for filter in event["filters"].as_array().unwrap() {
                        filters.remove(filter.as_str().unwrap());
                    }
                }
                "publishing" if !self.refused(index) => self.publishing(event),
                _ => {}
            }
        }
    }

    fn connecting(&mut self, event: &Value) {
        let clean = event["clean"] == 1;
        let session = self.sessions.entry(self.id(event)).or_default();
        session.connections += 1;
        session.broker = text(event, "address").to_owned();
        // No client of a log asks MQTT 5 to keep its session.
        session.persistent = !clean && event["level"] != 5;
        if clean {
            session.filters.clear();
        }
    }

    fn gone(&mut self, event: &Value) {
        let session = self.sessions.get_mut(&self.id(event)).unwrap();
        session.connections -= 1;
        if session.connections == 0 && !session.persistent {
            session.filters.clear();
        }
    }

    fn subscribed(&mut self, index: usize) {
        let answer = &self.events[index];
        let request = self.events[..index]
            .iter()
            .rfind(|event| event["event"] == "subscribing" && event["client"] == answer["client"]);
        let filters = request.unwrap()["filters"].as_array().unwrap();
        let codes = answer["codes"].as_array().unwrap();
        let id = self.id(answer);
        let session = self.sessions.get_mut(&id).unwrap();
        for (filter, code) in filters.iter().zip(codes) {
            let has = |option: &str| filter.as_array().unwrap().iter().any(|o| o == option);
            let granted = code.as_u64().unwrap();
            if granted < 128 {
                let subscription = Subscription {
                    granted,
                    no_local: has("no_local"),
                };
                let name = filter[0].as_str().unwrap().to_owned();
                session.filters.insert(name, subscription);
            }
        }
    }

    /// Whether the broker answered this publish with an error.
    fn refused(&self, index: usize) -> bool {
        let event = &self.events[index];
        let answer = self.events.iter().find(|answer| {
            answer["event"] == "written_or_acknowledged"
                && answer["client"] == event["client"]
                && answer["packet_id"] == event["packet_id"]
        });
        answer.is_some_and(|answer| number(answer, "code") >= 128)
    }

    fn publishing(&mut self, event: &Value) {
        let publisher = self.id(event);
        let (topic, qos) = (text(event, "topic"), number(event, "qos"));
        let broker = self.sessions[&publisher].broker.clone();
        // Receiver, or group: members, filters that match, highest QoS, whether all are away.
        let mut found: BTreeMap<String, (BTreeSet<String>, usize, u64, bool)> = BTreeMap::new();
        for (id, session) in &self.sessions {
            for (filter, subscription) in &session.filters {
                let group = shared(filter);
                let own = subscription.no_local && *id == publisher;
                let levels = group.map_or(filter.as_str(), |(_, filter)| filter);
                if own || session.broker != broker || !matches(levels, topic) {
                    continue;
                }
                let receiver = if group.is_some() { filter } else { id };
                let (members, copies, granted, away) =
                    found
                        .entry(receiver.clone())
                        .or_insert((BTreeSet::new(), 0, 0, true));
                members.insert(id.clone());
                *copies += usize::from(group.is_none());
                *granted = (*granted).max(subscription.granted);
                *away &= session.connections == 0;
            }
        }
        for (receiver, (receivers, copies, granted, away)) in found {
            // QoS 0 is not kept for who is away.
            if away && qos.min(granted) == 0 {
                continue;
            }
            self.expectations.push(Expectation {
                delivery: Delivery {
                    publisher: publisher.clone(),
                    subscriber: receiver,
                    topic: topic.to_owned(),
                    payload_hash: text(event, "payload_xxh3").to_owned(),
                    qos_published: qos.to_string(),
                    qos_delivered: String::new(),
                    outcome: String::new(),
                    basis: "subscribed".to_owned(),
                },
                receivers,
                copies: copies.max(1),
                seen: 0,
                away,
            });
        }
    }

    fn receive_all(&mut self) {
        for (index, event) in self.events.iter().enumerate() {
            if event["event"] == "received" && index >= self.unseen {
                match self.received(event) {
                    Some(row) => self.rows.push(row),
                    None => self.retained += 1,
                }
            }
        }
    }

    /// The row of a received message; none where it was sent because a subscription began.
    fn received(&mut self, event: &Value) -> Option<Delivery> {
        let id = self.id(event);
        let (topic, hash) = (text(event, "topic"), text(event, "payload_xxh3"));
        let packet_id = event["packet_id"].as_u64();
        let qos = number(event, "qos").to_string();
        if event["dup"] == 1
            && let Some(row) = packet_id.and_then(|id_| self.sessions[&id].received.get(&id_))
            && (row.topic.as_str(), row.payload_hash.as_str()) == (topic, hash)
        {
            // How a copy is known is nobody's question.
            return Some(Delivery {
                outcome: "duplicate".to_owned(),
                basis: String::new(),
                ..row.clone()
            });
        }
        if event["retain"] == 1 && !self.asked_for_retain(event) {
            return None;
        }
        let expected = self.expectations.iter_mut().find(|expected| {
            expected.receivers.contains(&id)
                && expected.seen < expected.copies
                && (
                    expected.delivery.topic.as_str(),
                    expected.delivery.payload_hash.as_str(),
                ) == (topic, hash)
        });
        let row = if let Some(expected) = expected {
            expected.seen += 1;
            let mut row = expected.delivery.clone();
            if expected.away {
                row.basis = "queued".to_owned();
            } else if self.unseen > 0 {
                // The SUBSCRIBE came before the capture began.
                row.basis = "inferred".to_owned();
            }
            row
        } else if event["retain"] == 1 {
            return None;
        } else {
            Delivery {
                publisher: self.dead(topic, hash).unwrap_or_default(),
                subscriber: String::new(),
                topic: topic.to_owned(),
                payload_hash: hash.to_owned(),
                qos_published: String::new(),
                qos_delivered: String::new(),
                outcome: String::new(),
                basis: "observed".to_owned(),
            }
        };
        let row = Delivery {
            subscriber: id.clone(),
            qos_delivered: qos,
            outcome: "delivered".to_owned(),
            ..row
        };
        if let Some(packet_id) = packet_id {
            let session = self.sessions.get_mut(&id).unwrap();
            session.received.insert(packet_id, row.clone());
        }
        Some(row)
    }

    /// Whether a filter of this client that matches has Retain As Published.
    fn asked_for_retain(&self, event: &Value) -> bool {
        let subscriptions = self
            .events
            .iter()
            .filter(|other| other["event"] == "subscribing" && other["client"] == event["client"]);
        subscriptions
            .flat_map(|event| event["filters"].as_array().unwrap())
            .any(|filter| {
                filter
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|o| o == "retain_as_published")
                    && matches(filter[0].as_str().unwrap(), text(event, "topic"))
            })
    }

    /// Whose will this message is. Where the log has no wills, the topic names the client.
    fn dead(&self, topic: &str, hash: &str) -> Option<String> {
        let mut vanished = self
            .events
            .iter()
            .filter(|event| event["event"] == "vanishing");
        let mut openings = self
            .events
            .iter()
            .filter(|event| event["event"] == "connecting");
        let will = openings
            .find(|event| event["will"]["topic"] == topic && event["will"]["payload_xxh3"] == hash);
        let will = will.map(|event| event["client"].clone());
        let dead = vanished.find(|event| match &will {
            Some(client) => event["client"] == *client,
            None => topic.ends_with(&format!("/{}", text(event, "client"))),
        })?;
        Some(self.id(dead))
    }

    fn finish(mut self, absent: &str) -> Deliveries {
        for expected in self
            .expectations
            .iter()
            .filter(|expected| expected.seen == 0)
        {
            let outcome = absent.to_owned();
            self.rows.push(Delivery {
                outcome,
                ..expected.delivery.clone()
            });
        }
        self.rows.sort();
        Deliveries {
            rows: self.rows,
            retained: self.retained,
        }
    }
}
